"""Any function as the thing explained: what needs no gradient asks only for the numbers that it gives.

A classifier of another library, a SavedModel, a network behind an address: `predict(inputs)` takes an array (n, ...)
and gives (n, K) numbers. They are explained as they are.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from heatproof import batches, checks
from heatproof.engine import chunks
from heatproof.engine.query import Query
from heatproof.engine.readings import WORDS, Default
from heatproof.problems import ArgumentTypeError, ArgumentValueError

Predict = Callable[[np.ndarray], npt.ArrayLike]


class Asked:
    """A checked question to a function: the part of a `Query` that needs no graph."""

    recipe, name = None, None  # it is looked into nowhere, and its input has no name

    def __init__(
        self,
        predict: Predict,
        inputs: npt.ArrayLike,
        targets: npt.ArrayLike | None = None,
        *,
        score: str,
        activation: str | None,
        batch_size: int,
    ) -> None:
        self.predict, self.input_range = predict, getattr(predict, "input_range", None)
        self.batch_size = checks.as_count("batch_size", batch_size)
        if checks.one_of("score", score, WORDS) == "logit" and not isinstance(score, Default):
            given = "'logit', but a function gives numbers and not what they were made of"
            raise ArgumentValueError("score", given, cure="score='value', or a function that gives logits")
        if activation is not None:
            given = f"{activation!r} for a function, whose numbers are explained as they are"
            raise ArgumentValueError("activation", given, cure="leave it out")
        shape = (None,) * max(2, np.ndim(checks.as_array("inputs", inputs)))
        self.inputs = np.ascontiguousarray(batches.as_inputs(inputs, shape, self.input_range))
        self.is_features = self.inputs.ndim == 2  # a table: asked about as positions in no order
        if self.is_features:
            self.inputs = self.inputs[..., None]
        whole = self.batched(self._answers, self.inputs)
        self._targets = batches.as_targets(targets, len(self.inputs), whole.shape[1])
        self.targets = whole.argmax(axis=1).astype(np.int32) if self._targets is None else self._targets
        self._whole = whole[np.arange(len(whole)), self.targets]

    def batched(self, function: Callable, *arrays: np.ndarray) -> Any:
        """Run `function` on chunks of `batch_size` along the first axis, join its answers, count passes."""
        return chunks.batched(function, *arrays, size=self.batch_size)

    def cells(self, side: int, most: int) -> int:
        """Into how many parts an axis is cut where nothing is said: at most so many; features stay apart."""
        return side if self.is_features else min(most, side)

    def scores(self, inputs: np.ndarray | None = None, items: Any = None) -> np.ndarray:
        """S_c of each input for its target, (N,); of other `inputs` for the targets of `items`."""
        if inputs is None:
            return self._whole
        targets = self.targets if items is None else self.targets[items]
        return self.batched(self._answers, inputs)[np.arange(len(inputs)), targets]

    def perturbed(self, samples: Any, point: Callable, items: Any = None, label: str = "perturbed inputs") -> Any:
        """Yield (item, sample, S_c) for every pair, at what point(item, sample, out) writes into the array `out`."""
        items = range(len(self.inputs)) if items is None else items
        return chunks.pairs(self.scores, samples, items, point, self.inputs, self.batch_size, label)

    def _answers(self, inputs):
        """What the function gives for a copy of these inputs, which it may change; refused unless it is (n, K)."""
        found = self.predict(inputs[..., 0].copy() if self.is_features else inputs.copy())
        found = list(found.values()) if isinstance(found, dict) else found
        found = found[0] if isinstance(found, list) and len(found) == 1 else found
        found = np.asarray(found)
        allowed = f"numbers ({len(inputs)}, K), one row for each input"
        if found.ndim != 2 or len(found) != len(inputs) or found.shape[1] < 1:
            cure = "lambda x: numpy.reshape(predict(x), (len(x), -1))"
            raise ArgumentValueError("model", f"a function that gave {found.shape}", allowed, cure)
        if found.dtype.kind not in "biuf":
            raise ArgumentTypeError("model", f"a function that gave {found.dtype} values", allowed)
        return found.astype(np.float64)


def ask(
    model: keras.Model | Predict,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    score: str,
    activation: str | None,
    head: str | int | None,
    only: str | int | None,
    batch_size: int,
) -> Query | Asked:
    """The question to a Keras model or to a function, for a method that needs no gradient."""
    options: dict[str, Any] = {"score": score, "activation": activation, "batch_size": batch_size}
    if isinstance(model, keras.Model) or not callable(model):
        return Query(model, inputs, targets, head=head, only=only, as_positions=True, **options)
    for name, value in (("head", head), ("only", only)):
        if value is not None:
            given = f"{value!r} for a function, which has one input and one output"
            raise ArgumentValueError(name, given, cure="leave it out")
    return Asked(model, inputs, targets, **options)
