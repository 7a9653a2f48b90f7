"""Enlarging maps and masks linearly, as products of small matrices that one thread computes."""

import functools
import itertools

import numpy as np

CHUNK = 32  # maps that are enlarged together
PIECE = 2**17  # multiplications; OpenBLAS takes further threads from 2**18 on


def interpolation(side, parts, places=None):
    """The weights (side, parts) of linear interpolation between the centres of `parts` equal parts of an axis.

    `places`: where the `side` values are asked for, in parts from the first one's centre; by default the centres of
    `side` equal parts of the same axis. Beyond the outer centres the outer value stays.
    """
    places = (np.arange(side) + 0.5) * parts / side - 0.5 if places is None else places
    apart = np.clip(places, 0, parts - 1)[:, None] - np.arange(parts)
    return np.maximum(0, 1 - np.abs(apart)).astype(np.float32)


def resize(maps, shape):
    """Linear interpolation of maps (N, h, w) or (N, t) to the spatial `shape`, pixel centres at half-integers."""
    sides = zip(shape, np.shape(maps)[1:], strict=True)
    return _resized(np.asarray(maps, np.float32), *itertools.starmap(interpolation, sides))


def _resized(maps, *weights):
    *rows, columns = weights
    return product(product(rows[0], maps) if rows else maps, columns.T)


def product(left, right):
    """left @ right for stacks of matrices, in pieces for which the library of linear algebra takes one thread.

    Its other threads would go on turning for a while after the product, in the way of TensorFlow's.
    """
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)  # small transposed ones take twice as long
    stack = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    whole = np.empty((*stack, left.shape[-2], right.shape[-1]), np.result_type(left, right))
    step = max(1, PIECE // (left.shape[-1] * right.shape[-1]))
    for start in range(0, left.shape[-2], step):
        rows = np.s_[..., start : start + step, :]
        np.matmul(left[rows], right, out=whole[rows])
    return whole


def enlarged(maps, shape):
    """number -> that one of the maps (K, ...) in the `shape` of an input, the same in all of its channels.

    A chunk of them is resized and kept at a time.
    """
    *rows, columns = map(interpolation, shape, maps.shape[1:])
    columns = np.repeat(columns, shape[-1], axis=0)

    @functools.lru_cache(maxsize=1)
    def chunk(start):
        part = maps[start : start + CHUNK].astype(np.float32, copy=False)
        return _resized(part, *rows, columns).reshape(-1, *shape)

    return lambda number: chunk(number - number % CHUNK)[number % CHUNK]
