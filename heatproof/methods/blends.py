"""Inputs blended with a reference through masks, and the way back of a gradient from the blend to the mask."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.arrays import aligned
from heatproof.engine.query import Query
from heatproof.hiding import baselines, by_name
from heatproof.problems import ArgumentValueError

WORDS = {"blur": "blur", "constant": "mean", "noise": "noise", "zero": "zero"}  # and what `baselines` calls them
CELL, FEWEST = 8, 7  # positions of a cell, and the fewest cells of an axis, by default


def grid_of(query: Query, grid: int | Sequence[int] | None) -> list[int]:
    """The cells of the masks along each axis: at most one for each position; features stay apart."""
    space = query.inputs.shape[1:-1]
    usual = [query.cells(side, max(FEWEST, round(side / CELL))) for side in space]
    return checks.per_axis("grid", grid, usual, space)


def references(choice: str | npt.ArrayLike, query: Query, seed: int) -> np.ndarray:
    """What is seen where an input is hidden, in the shape of the inputs; `ValueError` where it is the input itself."""
    choice, inputs = by_name("reference", choice, query.name), query.inputs
    if isinstance(choice, str):
        checks.one_of("reference", choice, WORDS)
    if query.is_features:
        found = baselines(_of_features(choice), inputs[..., 0], "reference")[..., None]
    elif isinstance(choice, str) and choice == "noise":
        found = _noise(query, seed)
    else:
        found = baselines(WORDS[choice] if isinstance(choice, str) else choice, inputs, "reference")
    same = [item for item, (x, r) in enumerate(zip(inputs, found, strict=True)) if np.array_equal(x, r)]
    if same:
        given = f"{checks.shown(choice)}, which is input {same[0]} itself: hiding changes nothing"
        raise ArgumentValueError("reference", given, cure="another reference, or leave that input out")
    return found


def _of_features(choice: Any) -> Any:
    if isinstance(choice, str) and choice != "zero":
        given = f"{choice!r} for features (N, F), each in a unit of its own"
        raise ArgumentValueError("reference", given, "'zero', a number or an array", "numpy.array of F values")
    return choice


def _noise(query, seed):
    """Normal numbers of the mean and deviation of each channel, within the range; one draw serves all inputs."""
    inputs, axes = query.inputs, tuple(range(1, query.inputs.ndim - 1))
    drawn = np.random.default_rng([seed, 1]).standard_normal(inputs.shape[1:], np.float32)
    noise = inputs.mean(axis=axes, keepdims=True) + inputs.std(axis=axes, keepdims=True) * drawn
    known = query.input_range
    return (noise if known is None else np.clip(noise, *known)).astype(inputs.dtype)


class Blends:
    """Phi = r + M * (x - r) of some inputs x of a query, through `count` masks M each.

    The channels of a position stand in a row with the positions of the last axis: masks are (n, count, ..., W * C).
    With a `margin`, x and r can be moved under the masks by up to as many positions; their borders are repeated.
    """

    def __init__(self, query: Query, items: np.ndarray, hidden: np.ndarray, count: int = 1, margin: int = 0) -> None:
        self.query, self.items, self.count, self.margin = query, items, count, margin
        self.space, self.channels = query.inputs.shape[1:-1], query.inputs.shape[-1]
        self.ground = self._wide(hidden[items])
        self.way = self._wide(query.inputs[items] - hidden[items])
        self.still = (0,) * len(self.space)
        shape = (len(items) * count, *query.inputs.shape[1:])
        self.points, self.rows = aligned(shape, query.inputs.dtype), np.repeat(items, count)

    def _wide(self, values):
        edges = [(0, 0), *[(self.margin, self.margin)] * len(self.space), (0, 0)]
        padded = np.pad(values, edges, mode="edge")
        return np.ascontiguousarray(padded.reshape(len(values), 1, *padded.shape[1:-2], -1))

    def seen(self, masks: np.ndarray, shift: Sequence[int] | None = None) -> np.ndarray:
        """The blends (n * count, ..., C), with x and r moved by `shift`; overwritten by the next call."""
        cut = self._cut(shift)
        points = self.points.reshape(masks.shape)
        np.multiply(masks, self.way[cut], out=points)
        points += self.ground[cut]
        return self.points

    def scores(self, masks: np.ndarray) -> np.ndarray:
        """S of each blend, (n, count)."""
        return self.query.scores(self.seen(masks), self.rows).reshape(-1, self.count)

    def gradient(self, masks: np.ndarray, shift: Sequence[int] | None = None) -> np.ndarray:
        """dS/dM = (x - r) dS/dPhi, in the shape of the masks."""
        slope = self.query.gradient(self.seen(masks, shift), self.rows).reshape(masks.shape)
        return slope * self.way[self._cut(shift)]

    def by_channel(self, masks: np.ndarray) -> np.ndarray:
        """Masks (..., P) with each position once for each channel, (..., P * C)."""
        wide = np.empty((*masks.shape, self.channels), masks.dtype)
        for channel in range(self.channels):  # several times faster than to go from position to position
            wide[..., channel] = masks
        return wide.reshape(*masks.shape[:-1], -1)

    def by_position(self, slopes: np.ndarray) -> np.ndarray:
        """The transpose: (..., W * C) as sums over the channels, (..., W)."""
        apart = slopes.reshape(*slopes.shape[:-1], -1, self.channels)
        total = apart[..., 0].copy()
        for channel in range(1, self.channels):
            total += apart[..., channel]
        return total

    def _cut(self, shift):
        """The part of the wide arrays that lies under the masks."""
        *rows, last = zip(self.space, self.still if shift is None else shift, strict=True)
        parts = [slice(self.margin - by, self.margin - by + side) for side, by in rows]
        begin = (self.margin - last[1]) * self.channels
        return (slice(None), slice(None), *parts, slice(begin, begin + last[0] * self.channels))


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1) with its usual betas, one step at a time, in float64."""

    def __init__(self, rate: float) -> None:
        self.rate, self.steps = rate, 0
        self.mean, self.square = np.zeros(()), np.zeros(())

    def step(self, gradient: np.ndarray) -> np.ndarray:
        """What to subtract from the point at which the gradient was taken."""
        self.steps += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        mean, square = self.mean / (1 - 0.9**self.steps), self.square / (1 - 0.999**self.steps)
        return self.rate * mean / (np.sqrt(square) + 1e-8)
