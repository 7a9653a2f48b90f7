"""What in a data set excites a unit most.

Shared arguments (model, layer, batch_size) are explained in `xai_utils`. The inputs may be one array or an iterable of
batches: a batch is in memory, and for each unit its best places, never the activations of the set.
"""

from typing import NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.query import BATCH_SIZE
from heatproof.inside.streams import Inputs, Stream
from heatproof.problems import ArgumentValueError


class Strongest(NamedTuple):
    """Of each unit (channel) of a layer its k strongest answers, the strongest first.

    values:    (units, k) float32, the activations
    items:     (units, k) int64, which input
    positions: (units, k, axes) int64, where on the layer's own grid: (row, column) of images, (t,) of signals
    """

    values: np.ndarray
    items: np.ndarray
    positions: np.ndarray


def strongest(
    model: keras.Model,
    layer: str | keras.layers.Layer | None,
    inputs: Inputs,
    k: int = 9,
    *,
    sources: npt.ArrayLike | None = None,
    per_source: int = 1,
    batch_size: int = BATCH_SIZE,
) -> Strongest:
    """The k places of a data set that excite each unit of a layer most: one pass through the network per input.

    For each channel the k largest A(item, position), at most `per_source` of one source. Equal values stand in the
    order of items, then of positions. `sources` (N,) says which inputs belong together, such as crops of one
    photograph; None takes every input for a source of its own. Memory: a batch, and units * k places. Raises
    `ValueError` for a layer without positions, and where fewer than k places are allowed.
    Source: Zeiler and Fergus 2014, sec. 4; Girshick et al. 2014, sec. 3.1.
    """
    k, per_source = checks.as_count("k", k), checks.as_count("per_source", per_source)
    stream, numbers = Stream(model, layer, inputs, batch_size), numbered(sources)
    if stream.count is not None:
        check_sources(numbers, stream.count)
        groups = stream.count if numbers is None else len(np.unique(numbers))
        if k > groups * per_source:
            raise _too_many(k, groups * per_source)
    best, count = _Best(k, per_source, numbers), 0
    for start, _, activations in stream.answers():
        count = start + len(activations)
        if numbers is not None and count > len(numbers):
            check_sources(numbers, count)
        best.take(start, activations)
    check_sources(numbers, count)
    return best.found()


def numbered(sources):
    """Sources as numbers (N,), whatever names they have."""
    if sources is None:
        return None
    array = checks.as_array("sources", sources)
    if array.ndim != 1 or array.dtype.kind not in "biuUS":
        given = f"shape {array.shape} of {array.dtype} values"
        raise ArgumentValueError("sources", given, "one name or integer for each input, (N,), or None")
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def check_sources(numbers, count):
    """Refuse sources that are not one for each of so many inputs."""
    if numbers is not None and len(numbers) != count:
        raise ArgumentValueError("sources", f"{len(numbers)} for {count} inputs or more", "one for each input")


def _too_many(k, most):
    given = f"{k}, but the inputs have {most} places that may be taken"
    return ArgumentValueError("k", given, f"at most {most}", "more inputs, or a larger per_source")


class _Best:
    """For each unit the best places so far, in their order."""

    def __init__(self, k, per_source, numbers):
        self.k, self.per_source, self.numbers = k, per_source, numbers
        self.kept, self.sides = list[np.ndarray](), ()

    def take(self, start, activations):
        """Let the places of one batch, activations (n, ..., K), compete."""
        self.sides = activations.shape[1:-1]
        flat = activations.reshape(len(activations), -1, activations.shape[-1])
        places = self._first_places(flat)
        items = np.broadcast_to(start + np.arange(len(flat))[:, None, None], places.shape)
        new = [np.take_along_axis(flat, places, axis=1), items, places]
        new = [np.moveaxis(each, -1, 0).reshape(flat.shape[-1], -1) for each in new]
        joined = [np.hstack(pair) for pair in zip(self.kept, new, strict=True)] if self.kept else new
        self.kept = self._ordered(*joined)

    def _first_places(self, flat):
        """The places (n, places, K) of each input that may be among its best: more of one input are never taken."""
        if self.per_source == 1:
            return flat.argmax(axis=1)[:, None]
        return np.argsort(-flat, axis=1, kind="stable")[:, : self.per_source]

    def _ordered(self, values, *places):
        """The k largest, in their order; what its source has too often counts as minus infinity."""
        order = np.argsort(-values, axis=1, kind="stable")
        values, *places = (np.take_along_axis(each, order, axis=1) for each in (values, *places))
        if self.numbers is not None:
            values = np.where(_among_first(self.numbers[places[0]], self.per_source), values, -np.inf)
            order = np.argsort(-values, axis=1, kind="stable")
            values, *places = (np.take_along_axis(each, order, axis=1) for each in (values, *places))
        return [each[:, : self.k] for each in (values, *places)]

    def found(self):
        values, items, places = self.kept
        filled = int(np.isfinite(values).sum(axis=1).min())
        if filled < self.k:
            raise _too_many(self.k, filled)
        positions = np.stack(np.unravel_index(places, self.sides), axis=-1)
        return Strongest(values.astype(np.float32), items.astype(np.int64), positions.astype(np.int64))


def _among_first(sources, most):
    """Which entries of each row are among the first `most` of their source."""
    order = np.argsort(sources, axis=1, kind="stable")
    grouped, columns = np.take_along_axis(sources, order, axis=1), np.arange(sources.shape[1])
    begins = np.hstack([np.ones((len(sources), 1), bool), grouped[:, 1:] != grouped[:, :-1]])
    rank = columns - np.maximum.accumulate(np.where(begins, columns, 0), axis=1)
    first = np.empty(sources.shape, bool)
    np.put_along_axis(first, order, rank < most, axis=1)
    return first
