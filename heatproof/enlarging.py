"""Enlarging maps and masks linearly: by products of small matrices that one thread computes, or by two neighbours."""

import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

CHUNK, KEPT = 32, 2**25  # maps that are enlarged together, and the bytes that they may take
DENSE = 2**20  # weights of an axis that are kept as a matrix
PIECE = 2**17  # multiplications; OpenBLAS takes further threads from 2**18 on


def interpolation(parts: int, places: np.ndarray) -> np.ndarray:
    """The weights (places, parts) of linear interpolation between the centres of equal `parts` of an axis.

    `places`: where values are asked for, in parts from the first one's centre. Beyond the outer centres the outer value
    stays.
    """
    apart = np.clip(places, 0, parts - 1)[:, None] - np.arange(parts)
    return np.maximum(0, 1 - np.abs(apart)).astype(np.float32)


def neighbours(parts: int, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same weights as the number of the part before each place, int64, and the share of the next one, float32."""
    within = np.clip(places, 0, parts - 1.0)
    before = np.minimum(within.astype(np.int64), max(parts - 2, 0))
    return before, (within - before).astype(np.float32)


def neighbours_along(maps: np.ndarray, shape: Sequence[int], centres: Sequence | None = None) -> list[np.ndarray]:
    """`neighbours` for each axis in turn, by which `resize` enlarges maps (K, ...) to the spatial `shape`."""
    return [table for axis in _axes(shape, maps.shape[1:], centres) for table in neighbours(axis.parts, axis.places)]


def resize(maps: npt.ArrayLike, shape: Sequence[int], centres: Sequence | None = None) -> np.ndarray:
    """Linear interpolation of maps (N, h, w), (N, t) or (N, d, h, w) at the spatial `shape`.

    `centres`: per axis where the first value lies, in positions of `shape`, and how far apart two are; by default in
    the centres of equal parts, pixel centres at half-integers.
    """
    return _resized(np.asarray(maps, np.float32), *_axes(shape, np.shape(maps)[1:], centres))


class _Axis:
    """What makes of the values along an axis those at `places`, in parts from the first one's centre.

    A product with the matrix of weights; where that would be large, the two neighbours of each place are looked up.
    """

    def __init__(self, places: np.ndarray, parts: int) -> None:
        self.places, self.parts = places, parts
        dense = len(places) * parts <= DENSE
        self.weights = interpolation(parts, places) if dense else None

    def each(self, times: int) -> "_Axis":
        """The same with each of the places several times in a row."""
        return _Axis(np.repeat(self.places, times), self.parts) if times > 1 else self

    def down(self, maps: np.ndarray) -> np.ndarray:
        """Along the last but one axis."""
        return self._between(maps, -2) if self.weights is None else product(self.weights, maps)

    def along(self, maps: np.ndarray) -> np.ndarray:
        """Along the last axis."""
        return self._between(maps, -1) if self.weights is None else product(maps, self.weights.T)

    def _between(self, maps: np.ndarray, axis: int) -> np.ndarray:
        before, share = neighbours(self.parts, self.places)
        share = share[:, None] if axis == -2 else share
        fine = np.take(maps, before, axis) * (1 - share)
        fine += np.take(maps, np.minimum(before + 1, self.parts - 1), axis) * share
        return fine


def _axes(shape: Sequence[int], grid: Sequence[int], centres: Sequence | None) -> Iterator[_Axis]:
    for side, parts, centre in zip(shape, grid, centres or [None] * len(grid), strict=True):
        even = (np.arange(side) + 0.5) * parts / side - 0.5
        yield _Axis(even if centre is None else (np.arange(side) - centre[0]) / centre[1], parts)


def _resized(maps: np.ndarray, *axes: _Axis) -> np.ndarray:
    *rows, columns = axes
    for number, row in enumerate(rows, start=1):
        maps = np.moveaxis(row.down(np.moveaxis(maps, number, -2)), -2, number)
    return columns.along(maps)


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
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


def enlarged(maps: np.ndarray, shape: tuple[int, ...], centres: Sequence | None = None) -> Callable[[int], np.ndarray]:
    """number -> that one of the maps (K, ...) in the `shape` of an input, the same in all of its channels.

    A chunk of them is resized, as by `resize`, and kept at a time.
    """
    *rows, columns = _axes(shape[:-1], maps.shape[1:], centres)
    axes, size = (*rows, columns.each(shape[-1])), max(1, min(CHUNK, KEPT // (4 * int(np.prod(shape)))))

    @functools.lru_cache(maxsize=1)
    def chunk(start: int) -> np.ndarray:
        part = maps[start : start + size].astype(np.float32, copy=False)
        return _resized(part, *axes).reshape(-1, *shape)

    return lambda number: chunk(number - number % size)[number % size]


class Enlarging:
    """The linear enlarging of maps (..., *grid) to a `shape`, and its transpose, which leads gradients back.

    Each position of the last axis comes `times` in a row, once for each channel of an input.
    """

    def __init__(self, grid: Sequence[int], shape: Sequence[int], times: int = 1, dtype: npt.DTypeLike = np.float32):
        *rows, columns = _axes(shape, grid, None)
        axes = *rows, columns.each(times)
        self.weights = [interpolation(axis.parts, axis.places).astype(dtype) for axis in axes]

    def __call__(self, maps: np.ndarray) -> np.ndarray:
        """Maps (..., *grid) as (..., *shape)."""
        return self._through(maps, self.weights)

    def back(self, values: np.ndarray) -> np.ndarray:
        """What each cell adds up of values (..., *shape) by the weights with which it was enlarged: (..., *grid)."""
        return self._through(values, [weights.T for weights in self.weights])

    @staticmethod
    def _through(maps, matrices):
        *rows, columns = matrices
        for axis, matrix in enumerate(rows, start=-len(matrices)):
            maps = np.moveaxis(product(matrix, np.moveaxis(maps, axis, -2)), -2, axis)
        return product(maps, columns.T)
