"""The checked question and its answers: the scores of inputs, and their gradients.

Methods are formulas over a `Query`; how a model is seen and differentiated stands in `heatproof.engine.tracing`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from heatproof import batches, checks
from heatproof.engine import chunks, nests, randomness
from heatproof.engine.anatomy import anatomy
from heatproof.engine.arrays import input_dtype
from heatproof.engine.centres import moved
from heatproof.engine.comparing import compare
from heatproof.engine.counting import BOTH, FORWARD
from heatproof.engine.places import CLASSES, Place
from heatproof.engine.programs import Program, program
from heatproof.engine.readings import LOGIT, PROBABILITY, WORDS, Score, reading
from heatproof.engine.rules import RULES
from heatproof.engine.scores import own
from heatproof.engine.tokens import Grid, place_of
from heatproof.engine.views import check_relus, headed, recipe_of
from heatproof.problems import ArgumentValueError, ArgumentWarning

BATCH_SIZE = 32
Items = Sequence[int] | np.ndarray  # places of inputs among those of a query


class Query:
    """A checked question: which model, which inputs, the score of which class.

    Built by every method from its arguments, so that all bad input is refused in one place and before any
    forward pass. `targets` are the predicted classes unless given; `rule` is how the ReLUs go back, "guided" or
    "deconvnet", in place of the chain rule. With `as_positions` a table of features (N, F) is asked about as
    (N, F, 1), positions in no order.
    """

    def __init__(
        self,
        model: keras.Model,
        inputs: npt.ArrayLike,
        targets: npt.ArrayLike | None = None,
        *,
        score: str = LOGIT,
        activation: str | None = None,
        head: str | int | None = None,
        only: str | int | None = None,
        batch_size: int = BATCH_SIZE,
        rule: str | None = None,
        as_positions: bool = False,
    ) -> None:
        if not tf.executing_eagerly():
            given = "a call inside a tf.Graph or a tf.function, where there are no numbers to answer with"
            raise ArgumentValueError("model", given, cure="call the method outside of it")
        self.recipe, self._only = recipe_of(model).noted(), only
        if rule is not None:
            self.recipe = replace(self.recipe, rule=RULES[checks.one_of("rule", rule, tuple(RULES))])
        asked = own(score, self.recipe.base)
        if asked is None:
            checks.one_of("score", score, WORDS)
        self.batch_size = checks.as_count("batch_size", batch_size)
        base = self.recipe.base
        self.input_range = getattr(base, "input_range", None)
        as_positions = checks.as_flag("as_positions", as_positions)
        self.recipe = headed(self.recipe, head).explaining(only, as_positions)
        self.inputs, self.beside = self._given(inputs, base)
        told: list[np.ndarray] = []
        if asked is not None:
            told, targets = self._ask(asked, targets, activation), 0
            self.beside += told
        compare(self.recipe, self.inputs, self.beside)
        self.anatomy = anatomy(self.recipe)
        if rule is not None:
            check_relus(self.anatomy, rule)
        if len(told) > 1:  # a region, whose class was not known to be there
            batches.as_targets(told[0], len(self.inputs), self.anatomy.outputs)
        self.score = reading(base, self.anatomy, score, activation)
        self.classes = self.anatomy.outputs if self.score.kind == "value" else self.anatomy.classes
        self._targets = batches.as_targets(targets, len(self.inputs), self.classes)
        if targets is None and self.score.kind == "value" and self.anatomy.kind == "linear":
            given = f"None, but of {self.classes} numbers none is the predicted one"
            raise ArgumentValueError("targets", given, cure=f"name the output, targets=0 to {self.classes - 1}")
        randomness.warn(self.anatomy)
        self._opened = False

    def _ask(self, asked, targets, activation):
        """End in a score of one's own; what is explained then is the one number that it gives."""
        if self.recipe.ending.layer is not None:
            given = "a view of one inner unit, whose score is its mean"
            raise ArgumentValueError("model", given, cure="leave `score` out, or pass the model itself")
        if activation is not None:
            raise ArgumentValueError("activation", f"{activation!r} for a score of one's own", cure="leave it out")
        ending, told = asked.asked(targets, len(self.inputs), self.recipe.ending.head)
        self.recipe = replace(self.recipe, ending=ending)
        return told

    def _given(self, inputs, base):
        """What is explained, and the inputs that are held fixed; the form in which they came is kept."""
        nest, self._form, self._range = self.recipe.nest, inputs, self.input_range
        if nest is None:
            inputs = batches.as_inputs(inputs, self.recipe.shape, self.input_range)
            return np.ascontiguousarray(inputs, input_dtype(base)), []  # equal bits for any memory order
        arrays = nests.given(nest, inputs, self.input_range)
        self.input_range = self._range_of(nest.explained[0])
        explained = dict(enumerate(arrays))
        if any(not nest.is_float(number) for number in nest.explained):
            explained |= nests.entries_of(base, nest).values(arrays, self.batch_size)
        return np.ascontiguousarray(nest.packed(explained)), [arrays[number] for number in nest.fed]

    def _range_of(self, number):
        """The range of one input: as the model states it, by name where there are several; that of bytes is known."""
        nest = self.recipe.nest
        stated = self._range if nest.alone else None
        stated = self._range.get(nest.names[number]) if isinstance(self._range, dict) else stated
        return (0, 255) if stated is None and nest.types[number] == "uint8" else stated

    def cells(self, side: int, most: int) -> int:
        """Into how many parts an axis is cut where nothing is said: at most so many; features stay apart."""
        return side if self.is_features else min(most, side)

    @property
    def name(self) -> str | None:
        """Of the input that is explained, where the model has several and it is one."""
        nest = self.recipe.nest
        return nest.names[nest.explained[0]] if nest and len(nest.explained) == 1 else None

    @property
    def is_features(self) -> bool:
        """Whether the inputs are features (N, F, 1), in no order."""
        return self.recipe.nest is not None and self.recipe.nest.is_features

    def each(self, function: Callable) -> np.ndarray:
        """function(part, name) of each of the inputs that are explained, laid together as `inputs` are."""
        parts = self.parts()
        found = [np.broadcast_to(function(part, name), part.shape) for name, part in parts]
        return found[0] if self.recipe.nest is None else self.recipe.nest.laid(found)

    def parts(self) -> list[tuple[str | None, np.ndarray]]:
        """(name, array) of each of the inputs that are explained; the name is None where the model has one."""
        nest = self.recipe.nest
        if nest is None:
            return [(None, self.inputs)]
        return [(None if nest.alone else nest.names[number], part) for number, part in nest.parts(self.inputs).items()]

    def in_form(self, maps: np.ndarray) -> Any:
        """Maps in the shape of `inputs` in the form in which the inputs came."""
        nest = self.recipe.nest
        if nest is None or self._only is not None:
            return maps
        return nest.in_form(self._form, nest.parts(maps))

    @property
    def targets(self) -> np.ndarray:
        """The class of each input: as given, or the predicted one."""
        if not self._opened:
            self._opened = True
            self._doubt_logits()
        if self._targets is None:
            self._targets = self.all_scores(self._order).argmax(axis=-1).astype(np.int32)
        return self._targets

    def _doubt_logits(self) -> None:
        """Outputs that no softmax made but that look like probabilities draw a warning."""
        if self.anatomy.kind != "linear" or self.score.kind == "value":
            return
        outputs = np.asarray(self._program_of_all(self._order)(self.inputs[:1], *self.told([0])))
        if (outputs >= 0).all() and np.allclose(outputs.sum(axis=-1), 1, atol=1e-3):
            given = "one whose outputs are positive and sum to 1 though no softmax ends it (an average of networks?)"
            cure = "explain each network by itself, or end the model in logits"
            checks.warn(ArgumentWarning("model", f"{given}; they are taken for logits", cure=cure))

    def batched(
        self, function: Callable, *arrays: np.ndarray, passes: tuple[str, ...] = FORWARD, size: int | None = None
    ) -> Any:
        """Run `function` on chunks of `batch_size` (or `size`) along the first axis, join its answers, count passes."""
        return chunks.batched(function, *arrays, size=size or self.batch_size, passes=passes)

    @property
    def _order(self) -> Score:
        """By which of the scores the predicted class is the largest."""
        return self.score if self.score.kind == "value" else Score("logit")

    def all_scores(self, score: Score | None = None) -> np.ndarray:
        """The scores of all classes or outputs, (N, classes)."""
        return self.batched(self._program_of_all(score or self.score), self.inputs, *self.beside)

    def predicted(self, inputs: np.ndarray, items: Items) -> np.ndarray | None:
        """The predicted classes of other `inputs`; None where the score is a number and none is predicted."""
        if self.score.kind == "value" or self.anatomy.kind in ("own", "unit"):
            return None
        return self.batched(self._program_of_all(Score("logit")), inputs, *self.told(items)).argmax(axis=-1)

    def _program_of_all(self, score):
        return program(self.recipe, ("all", score), lambda run: run.all(score))

    def scores(self, inputs: np.ndarray | None = None, items: Items | None = None) -> np.ndarray:
        """S_c of each input for its target, (N,); of other `inputs` for the targets of `items`."""
        return self.batched(self.score_program(), *self._points(inputs, items))

    def score_program(self) -> Program:
        """The compiled S_c of inputs, what the score is told beside them, and their targets."""
        return program(self.recipe, ("score", self.score), lambda run, c: run.score(c, self.score), CLASSES)

    def gradient(self, inputs: np.ndarray | None = None, items: Items | None = None) -> np.ndarray:
        """dS_c/dx at each input, in the shape of the inputs; at other `inputs` for the targets of `items`."""
        return self.batched(self._gradient_program(), *self._points(inputs, items), passes=BOTH)

    def _gradient_program(self):
        def build(run, classes):
            return run.differentiate(run.score(classes, self.score), run.inputs)

        return program(self.recipe, ("gradient", self.score), build, CLASSES)

    def _points(self, inputs, items):
        return self.inputs if inputs is None else inputs, *self.told(items), self.classes_of(items)

    def told(self, items: Items | None = None) -> list[np.ndarray]:
        """What the score is told beside the inputs, for all of them or those at `items`."""
        return self.beside if items is None else [each[items] for each in self.beside]

    def classes_of(self, items: Items | None = None) -> np.ndarray:
        """The targets of all inputs, or of those at `items`."""
        return self.targets if items is None else self.targets[items]

    def gradients(
        self, samples: Sequence, point: Callable, items: Items | None = None, label: str = "gradients"
    ) -> Iterator[tuple]:
        """Yield (item, sample, dS_c/dx) for every pair, at what point(item, sample, out) writes into the array `out`.

        Samples come in their order, each for all items in turn; one chunk of points is in memory at a time.
        """
        return self._pairs(self.gradient, samples, point, items, label)

    def perturbed(
        self, samples: Sequence, point: Callable, items: Items | None = None, label: str = "perturbed inputs"
    ) -> Iterator[tuple]:
        """Yield (item, sample, S_c) for every pair, in the same way."""
        return self._pairs(self.scores, samples, point, items, label)

    def _pairs(self, function, samples, point, items, label):
        items = range(len(self.inputs)) if items is None else items
        return chunks.pairs(function, samples, items, point, self.inputs, self.batch_size, label)

    def place(self, layer: str | keras.layers.Layer | None = None, grid: Grid = None) -> Place:
        """The spatial layer of that name, or the default one; raises `ValueError` with the list of them.

        A layer of tokens has its patches on a grid, which is found or given.
        """
        return place_of(self, layer, grid)

    @property
    def moved(self) -> frozenset:
        """The names of the tensors of `anatomy` whose positions lie where the inputs have their channels."""
        return moved(self.recipe, self.inputs.shape[1:])

    def block_ends(self) -> list[Place]:
        """The last place of each resolution that every way to the score leads through: the ends of the blocks."""
        seen = replace(self.anatomy, moved=self.moved)
        calls = seen.carriers or seen.places
        last = {size: call for size, call in zip(self._sizes(calls), calls, strict=True) if set(size) != {1}}
        return [Place(self, call.layer) for call in last.values()]

    def _sizes(self, calls):
        """How many positions come out along each axis; of a model of any size as one of these inputs tells."""
        sizes = [call.shape[1:-1] for call in calls]
        if all(None not in size for size in sizes):
            return sizes
        layers = [call.layer for call in calls]

        def build(run):
            return [tf.shape(run.call_of(layer).output)[1:-1] for layer in layers]

        return [
            tuple(size.numpy().tolist())
            for size in program(self.recipe, "sizes", build)(self.inputs[:1], *self.told([0]))
        ]


def scores(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    score: str = PROBABILITY,
    activation: str | None = None,
    head: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """S_c of each input for its target class (the predicted one for None): float32 of shape (N,).

    Raises `TypeError`, `ValueError` as every method does.
    """
    query = Query(model, inputs, targets, score=score, activation=activation, head=head, batch_size=batch_size)
    return query.scores().astype(np.float32)
