"""Inputs shown in part, painted and scored in one graph: what crosses for each of them is a code of a few bytes.

Where a network runs on a GPU, masks that are made on the host keep it waiting: each is as large as an input. Here an
input, what hides it and what is common to all masks cross once, and `heatproof.engine.stencils` makes the masks of
codes where the network is. On a processor the host's way is the faster one (see `heatproof.engine.windows`, too).
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from heatproof.engine.chunks import finite
from heatproof.engine.counting import FORWARD, count
from heatproof.engine.functions import Asked
from heatproof.engine.programs import kept
from heatproof.engine.query import Items, Query
from heatproof.engine.randomness import restored
from heatproof.problems import ArgumentValueError
from heatproof.progress import progress


def in_graph(query: Query | Asked) -> TypeGuard[Query]:
    """Whether masks are made in the graph: where a GPU is visible, or as the environment variable XAI_MASKS says.

    A function is asked from the host, wherever it computes. Raises `ValueError` where XAI_MASKS says anything but
    "graph" or "host".
    """
    choice = os.environ.get("XAI_MASKS") or None
    if choice not in (None, "graph", "host"):
        given, allowed = f"{choice!r} in the environment", "'graph' or 'host'"
        raise ArgumentValueError("XAI_MASKS", given, allowed, "unset it: a GPU then gets masks made in the graph")
    wanted = bool(tf.config.get_visible_devices("GPU")) if choice is None else choice == "graph"
    return wanted and query.recipe is not None


def entered(array: Any, dtype: Any = None) -> tf.Tensor:
    """An array in the graph: all that crosses on the way to it goes through here."""
    return tf.constant(array, dtype)


@dataclass
class Painting:
    """`shown` through masks m of a stencil and `hidden` behind: x_i = hidden + m_i (shown - hidden), for each code i.

    `shown`, `hidden`: (N, ...) as the inputs of the query; `codes`: arrays of equal length, a row for each mask;
    `constants(item)`: the arrays that the stencil wants to know of an item.
    """

    query: Query
    stencil: Callable
    shown: np.ndarray
    hidden: np.ndarray
    codes: Sequence[np.ndarray]
    constants: Callable[[int], Sequence[np.ndarray]]
    label: str

    def scores(self, items: Items | None = None) -> np.ndarray:
        """S_c(x_i) of each item for each code: float64 (items, codes)."""
        items = range(len(self.query.inputs)) if items is None else items
        found: list[list] = [[] for _ in items]
        for place, real, given in self._chunks(items):
            found[place].append((self._run(False, *given), real))
        rows = [[value[:real] for value, real in values] for values in found]
        return np.array([finite(np.concatenate([[], *values])) for values in rows], np.float64)

    def sums(self, origins: npt.ArrayLike, items: Items | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """sum_i v_i m_i (items, *space) and sum_i v_i (items,) for v_i = S_c(x_i) - `origins`, and sum_i m_i: float64.

        They are added up in the graph and cross once for each item.
        """
        items = range(len(self.query.inputs)) if items is None else items
        origins, space = np.asarray(origins, np.float64), self.shown.shape[1:-1]
        found = [(tf.zeros((2, *space), tf.float64), tf.zeros((), tf.float64)) for _ in items]
        for place, real, given in self._chunks(items):
            found[place] = self._run(True, *given, entered(origins[place]), entered(np.int64(real)), found[place])
        both, total = (finite(np.stack(parts)) for parts in zip(*found, strict=True))
        return both[:, 0], total, both[0, 1]

    def _chunks(self, items: Items) -> Iterator[tuple[int, int, tuple]]:
        """Yield (place of the item, number of masks, what the function takes) chunk by chunk, all of one shape.

        Chunks are as even as can be, and the last one is filled up with the last code.
        """
        number = len(self.codes[0])
        size = -(-number // max(1, -(-number // self.query.batch_size)))
        parts = [(place, start) for place in range(len(items)) for start in range(0, number, max(1, size))]
        for place, start in progress(parts, None, self.label):
            if start == 0:
                held = self._held(int(items[place]))
            rows = np.minimum(np.arange(start, start + size), number - 1)
            real = min(size, number - start)
            count(FORWARD, real)
            yield place, real, (*held, tuple(entered(codes[rows]) for codes in self.codes))

    def _held(self, item):
        """What crosses once for an item."""
        query, recipe = self.query, self.query.recipe
        types = [*(spec.dtype for spec in (*recipe.others, *recipe.ending.beside)), tf.int32]
        told = [*query.told([item]), query.targets[[item]]]
        told = tuple(entered(each, dtype) for each, dtype in zip(told, types, strict=True))
        constants = tuple(entered(each) for each in self.constants(item))
        return entered(self.shown[item][None]), entered(self.hidden[item][None]), told, constants

    def _run(self, adds, *given):
        score, recipe = self.query.score_program(), self.query.recipe
        specs = tf.nest.map_structure(lambda each: tf.TensorSpec([None] * each.shape.rank, each.dtype), given)
        name = ("painted", self.stencil, self.query.score, adds, specs)
        run = kept(recipe, name, lambda: _compiled(recipe, score, self.stencil, adds, specs))
        with restored(score.states):
            return run(*given)


def _compiled(recipe, score, stencil, adds, specs):
    """The compiled scores of painted inputs, or what they add to the sums; the model itself is not held."""
    shapes = [recipe.shape, *(spec.shape for spec in (*recipe.others, *recipe.ending.beside)), (None,)]

    def scores(shown, hidden, told, constants, codes):
        mask = stencil(tf.unstack(tf.shape(shown, tf.int64)[1:-1], len(shown.shape) - 2), constants, codes)
        over = mask[..., None]
        plain = mask.dtype == tf.bool
        points = tf.where(over, shown, hidden) if plain else hidden + tf.cast(over, shown.dtype) * (shown - hidden)
        rows = [points, *(tf.repeat(each, tf.shape(mask)[0], axis=0) for each in told)]
        return mask, score(*map(tf.ensure_shape, rows, shapes))

    def added(*given):
        *given, origin, real, (sums, total) = given
        mask, values = scores(*given)
        counts = tf.cast(tf.sequence_mask(real, tf.shape(mask, tf.int64)[0]), tf.float64)
        change = counts * (tf.cast(values, tf.float64) - origin)
        sums += tf.tensordot(tf.stack([change, counts]), tf.cast(mask, tf.float64), 1)
        return sums, total + tf.reduce_sum(change)

    function = added if adds else lambda *given: scores(*given)[1]
    return tf.function(function, autograph=False).get_concrete_function(*specs)
