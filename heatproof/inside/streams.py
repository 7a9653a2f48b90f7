"""A layer asked about more inputs than memory holds: one array, or batches of inputs one after the other."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.places import Place
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.views import recipe_of
from heatproof.problems import ArgumentProblem, ArgumentValueError
from heatproof.progress import progress

Inputs = npt.ArrayLike | Iterable[npt.ArrayLike]


class Stream:
    """The answers of one layer to inputs, those of a batch in memory at a time.

    `inputs`: an array (N, ..., C), or something that gives such arrays, batches of any size, when it is iterated.
    `find(query, layer)` is the place that is asked: by default a layer with positions. `argument` is what the inputs
    are called where they are refused.
    """

    def __init__(
        self,
        model: keras.Model,
        layer: str | keras.layers.Layer | None,
        inputs: Inputs,
        batch_size: int = BATCH_SIZE,
        find: Callable = Query.place,
        argument: str = "inputs",
    ) -> None:
        recipe = recipe_of(model)
        if recipe.nest is not None and not recipe.nest.alone:
            raise ArgumentValueError("model", "one with several inputs", "a model with one input")
        self.model, self.layer, self.find = model, layer, find
        self.inputs: Any = inputs
        self.batch_size, self.argument = checks.as_count("batch_size", batch_size), argument
        self.query = None if _is_stream(inputs, len(recipe.shape)) else self._query(inputs)
        self.place = self.query and find(self.query, layer)

    def _query(self, inputs: Any, before: Query | None = None) -> Query:
        try:
            return before.about(inputs) if before else Query(self.model, inputs, batch_size=self.batch_size)
        except ArgumentProblem as problem:
            if problem.argument != "inputs":
                raise
            cure = problem.cure.replace("inputs", self.argument)
            raise type(problem)(self.argument, problem.given, problem.allowed, cure) from None

    @property
    def count(self) -> int | None:
        """How many inputs there are, where that is known before they come."""
        return None if self.query is None else len(self.query.inputs)

    def check_again(self) -> None:
        """Refuse what can be gone through once alone."""
        if self.query is None and iter(self.inputs) is self.inputs:
            given = f"a {type(self.inputs).__name__}, which can be gone through once, and two passes are needed"
            cure = "a list of batches, or an object whose __iter__ begins anew each time"
            raise ArgumentValueError(self.argument, given, cure=cure)

    def queries(self) -> Iterator[tuple[int, Query]]:
        """(number of its first input, checked question) of each array that comes."""
        if self.query is not None:
            yield 0, self.query
            return
        start, query = 0, None
        for batch in self.inputs:
            before, query = query, self._query(batch, query)
            if before and before.inputs.shape[1:] != query.inputs.shape[1:]:
                given = f"a batch {query.inputs.shape} behind a batch {before.inputs.shape}"
                raise ArgumentValueError(self.argument, given, "inputs of one size")
            yield start, query
            start += len(query.inputs)
        if not start:
            raise ArgumentValueError(self.argument, "no batch at all", "one batch or more")

    def parts(self) -> Iterator[tuple[int, Place, slice]]:
        """(number of the first input, layer as a place, which inputs of its query) of each batch."""
        for first, query in self.queries():
            place = self.place or self.find(query, self.layer)
            starts = range(0, len(query.inputs), self.batch_size)
            for start in progress(starts, None, "batches") if self.place else starts:
                yield first + start, place, slice(start, start + self.batch_size)

    def answers(self) -> Iterator[tuple[int, Place, np.ndarray]]:
        """(number of the first input, layer as a place, A (n, ..., K)) of each batch."""
        for start, place, part in self.parts():
            yield start, place, place.activation(part)


def _is_stream(inputs: Any, rank: int) -> bool:
    """Whether these are batches, and not one array: a list holds batches if its first entry has their axes."""
    if hasattr(inputs, "__array__") or isinstance(inputs, (str, bytes, Mapping)) or not np.iterable(inputs):
        return False
    if not isinstance(inputs, (list, tuple)):
        return True
    try:
        return bool(inputs) and np.ndim(inputs[0]) == rank
    except ValueError:  # rows of unequal length: no array, which is told by whoever reads it
        return False
