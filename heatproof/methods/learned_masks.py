"""Meaningful perturbation: the mask that hides as little as it can and takes the class away, learned by descent.

One float32 map per input at its own resolution. Shared arguments (model, inputs, targets, score, seed, batch_size) are
explained in `xai_utils`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.nests import over_inputs
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import PROBABILITY
from heatproof.enlarging import Enlarging, resize
from heatproof.methods.blends import Adam, Blends, grid_of, references
from heatproof.problems import ArgumentWarning
from heatproof.progress import progress

GAMES = ("deletion", "preservation")
LARGEST, MOST = 1e6, 64  # of a weight or a rate, and of a power
PARTS = 28  # of a side, one for each cell of the paper's masks: differences are measured per such a part
FALLS = 0.05  # share of the whole fall of the loss that the last tenth of the steps may still bring


@over_inputs
def meaningful_perturbation(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    game: str = "deletion",
    reference: str | npt.ArrayLike = "blur",
    grid: int | Sequence[int] | None = None,
    steps: int = 300,
    learning_rate: float = 0.1,
    area_weight: float = 0.08,
    variation_weight: float = 8.0,
    variation_power: float = 3.0,
    jitter: int | None = None,
    seed: int = 0,
    score: str = PROBABILITY,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The smallest smooth mask that takes the class away (deletion), or that is enough for it (preservation).

    Phi = m * x + (1 - m) * r shows the input where m = 1. Means are over the n cells; the sum is over all pairs of
    cells that touch along an axis, d = (m_i - m_j) * g / 28 with g cells along that axis; v = `variation_power`:
    deletion: min_m area_weight * mean |1 - m| + variation_weight / n * sum |d|^v + S_c(Phi), map 1 - m;
    preservation: min_m area_weight * mean |m| + variation_weight / n * sum |d|^v - S_c(Phi), map m.
    So a slope costs the same on every grid. The paper writes sums over 28 x 28 cells, where d = m_i - m_j: its weights
    1e-4 and 1e-2 are 0.08 and 8 here, the defaults. Maps lie in [0, 1], large where the evidence is. m starts at 1/2,
    takes `steps` steps of Adam, each clipped to [0, 1], and is enlarged linearly from `grid` cells per axis (by default
    one per 8 positions, at least 7). At each step x and r are moved under m by a random shift of up to `jitter`
    positions along each axis, one shift for all inputs (by default a 56th of the shortest side, 4 at 224); features
    (N, F) are not moved and have no neighbours. `reference`, r: "blur" (sigma a tenth of the sides), "constant" (the
    mean of each channel), "noise" (normal, with the mean and deviation of each channel), "zero", a number or an array
    as in `integrated_gradients`. Warns (`XAIWarning`) where the loss still falls at the end. Raises `ValueError` for an
    unknown game, a grid finer than the positions, or a reference equal to an input. Source: Fong and Vedaldi 2017,
    eq. (3) and (4).
    """
    loss = Loss(
        checks.one_of("game", game, GAMES) == "deletion",
        checks.as_number("area_weight", area_weight, 0, LARGEST),
        checks.as_number("variation_weight", variation_weight, 0, LARGEST),
        checks.as_number("variation_power", variation_power, 1, MOST),
    )
    steps, seed = checks.as_count("steps", steps), checks.as_count("seed", seed, 0)
    rate = checks.as_number("learning_rate", learning_rate, 0, LARGEST, open_ends="low")
    query = Query(
        model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size,
        as_positions=True,
    )  # fmt: skip
    grid, margin = grid_of(query, grid), _margin(query, jitter)
    hidden = references(reference, query, seed)
    shifts = np.random.default_rng(seed).integers(-margin, margin + 1, (steps, len(grid))).tolist()
    cells = np.empty((len(query.inputs), *grid))
    for start in range(0, len(cells), query.batch_size):
        items = np.arange(len(cells))[start : start + query.batch_size]
        cells[items] = _learned(loss, Blends(query, items, hidden, margin=margin), grid, shifts, rate)
    return resize(1 - cells if loss.deletes else cells, query.inputs.shape[1:-1])


def _margin(query, jitter):
    """By how many positions the inputs may be moved."""
    shortest = min(query.inputs.shape[1:-1])
    if query.is_features:
        return 0
    return round(shortest / 56) if jitter is None else checks.as_count("jitter", jitter, 0, shortest - 1)


@dataclass(frozen=True)
class Loss:
    """What is minimised over cells (n, 1, ...) in [0, 1]: one number for each of the n masks."""

    deletes: bool
    area: float
    variation: float
    power: float

    def regular(self, cells: np.ndarray, apart: bool = False) -> np.ndarray:
        """The two terms that know no network; cells that are `apart` touch nothing."""
        axes = tuple(range(2, cells.ndim))
        paid = 1 - cells if self.deletes else cells
        rises = [] if apart else [np.diff(cells, axis=axis) * cells.shape[axis] / PARTS for axis in axes]
        varied = sum((np.abs(rise) ** self.power).sum(axes) for rise in rises)
        return self.area * paid.mean(axes) + self.variation * varied / cells[0, 0].size

    def slope(self, cells: np.ndarray, apart: bool = False) -> np.ndarray:
        """The gradient of `regular`."""
        found = np.full(cells.shape, -self.area if self.deletes else self.area)
        for axis in () if apart else range(2, cells.ndim):
            unit = cells.shape[axis] / PARTS
            rise = np.diff(cells, axis=axis) * unit
            pull = self.variation * self.power * np.sign(rise) * np.abs(rise) ** (self.power - 1)
            found += _between(pull * unit, axis)
        return found / cells[0, 0].size

    def of_score(self, score: np.ndarray) -> np.ndarray:
        """The term of the network, and by the same sign its gradient."""
        return score if self.deletes else -score


def _between(pull, axis):
    """What pairs of neighbours pull at each cell: the one before it forward, the one behind it back."""
    ends = [(0, 0)] * pull.ndim
    ends[axis] = (1, 1)
    return -np.diff(np.pad(pull, ends), axis=axis)


def _learned(loss, blends, grid, shifts, rate):
    """The cells of the mask of each input of some blends, in [0, 1]."""
    enlarge = Enlarging(grid, blends.space, blends.channels, blends.points.dtype)
    apart, wide = blends.query.is_features, lambda cells: enlarge(cells.astype(blends.points.dtype))

    def value(cells):
        return (loss.of_score(blends.scores(wide(cells))) + loss.regular(cells, apart))[:, 0]

    cells, adam, late = np.full((len(blends.items), 1, *grid), 0.5), Adam(rate), len(shifts) - -(-len(shifts) // 10)
    before = first = value(cells)
    for step in progress(range(len(shifts)), len(shifts), "meaningful perturbation"):
        before = value(cells) if step == late else before
        slope = loss.of_score(enlarge.back(blends.gradient(wide(cells), shifts[step]))) + loss.slope(cells, apart)
        cells = np.clip(cells - adam.step(slope), 0, 1)
    _doubt(first, before, value(cells))
    return cells[:, 0]


def _doubt(first, before, last):
    """Warns where the last tenth of the steps brought more than its share, `FALLS`, of the whole fall."""
    falling = (before - last > FALLS * (first - last)) & (first > last)
    if falling.any():
        given = f"too few: the loss still falls for {falling.sum()} of {len(last)} masks"
        checks.warn(ArgumentWarning("steps", given, cure="more steps, or a larger learning_rate"))
