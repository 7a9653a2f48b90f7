"""Masks: RISE and SISE. One float32 map per input at its own resolution.

Each changes the input and watches the score; none needs a gradient, except SISE to choose its maps. Shared arguments
(model, inputs, targets, score, seed, batch_size) are explained in `xai_utils`.
"""

import functools
from collections import defaultdict
from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
import skimage

from heatproof import checks
from heatproof.engine.functions import Predict, ask
from heatproof.engine.nests import over_inputs
from heatproof.engine.painting import Painting, in_graph
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import PROBABILITY
from heatproof.engine.stencils import random_cells, unit_maps
from heatproof.enlarging import enlarged, interpolation, neighbours, neighbours_along, product
from heatproof.hiding import fills, seen_through
from heatproof.methods.finishing import CENTRES, as_align, centres_of
from heatproof.problems import ArgumentValueError

# --- RISE -------------------------------------------------------------------------------------------------------


@over_inputs
def rise(
    model: keras.Model | Predict,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    masks: npt.ArrayLike | None = 2000,
    grid: int | Sequence[int] | None = None,
    p: float = 0.5,
    fill: str | npt.ArrayLike = "zero",
    seed: int = 0,
    score: str = PROBABILITY,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """How the score depends, on average, on seeing a position, over random smooth masks.

    M(l) = 1/(n p) sum_i S_c(x * m_i + f * (1 - m_i)) (m_i(l) - mean m(l)), with n = `masks`. Each m_i is a grid of
    `grid` cells per axis (one number or one per axis, by default 7, or the side where that is less), kept with
    probability `p`, enlarged linearly and shifted at random. The paper's map lacks the mean of the masks, which only
    adds noise: with it a constant model has the map 0, and on a linear model M is in proportion to w * (x - f) summed
    over cells. The masks are the same for all inputs and are drawn as they are needed. Raises `ValueError` for masks
    < 2, grid < 1 or above the side, p outside (0, 1), an unknown fill. Source: Petsiuk, Das, Saenko 2018, eq. (6).
    """
    masks = checks.as_count("masks", masks, 2)
    p = checks.as_number("p", p, 0, 1, open_ends=True)
    seed = checks.as_count("seed", seed, 0)
    query = ask(model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size)
    space = query.inputs.shape[1:-1]
    grid = checks.per_axis("grid", grid, [query.cells(side, 7) for side in space], space)
    random, hidden = RandomMasks(query.inputs.shape[1:], grid, p, seed), fills(fill, query)
    sums = _sums_in_graph if in_graph(query) else _sums_on_host
    change, total, mean = sums(query, random, hidden, masks)
    # The score of the whole input is taken off everywhere: it does not change the sum, and keeps it exact.
    return ((change - np.multiply.outer(total, mean / masks)) / (masks * p)).astype(np.float32)


def _sums_in_graph(query, random, hidden, masks):
    """sum_i (S_c(x_i) - S_c(x)) m_i and sum_i (S_c(x_i) - S_c(x)) of each input, and sum_i m_i."""
    cells, starts = np.empty((masks, *random.grid), bool), np.empty((masks, len(random.grid)), np.int64)
    for number in range(masks):
        cells[number], starts[number] = random.drawn(number)
    tables = random.tables()
    painting = Painting(query, random_cells, query.inputs, hidden, [cells, starts], lambda _: tables, "RISE")
    return painting.sums(query.scores().astype(np.float64))


def _sums_on_host(query, random, hidden, masks):
    """The same, from masks that are made here."""
    count, space, see = len(query.inputs), query.inputs.shape[1:-1], seen_through(query.inputs, hidden)
    strip = functools.lru_cache(query.batch_size)(random.strip)
    mask = functools.lru_cache(1)(lambda number: random.enlarged(*strip(number)))

    def point(item, number, out):
        see(item, mask(number), out)

    # Enlarging is linear: strips that begin at one place are weighted and added up first, and their sum is enlarged.
    sums: dict[int, np.ndarray] = defaultdict(lambda: np.zeros((count + 1, *space[:-1], random.grid[-1])))
    total = np.zeros(count)
    whole = query.scores().astype(np.float64)
    for item, number, value in query.perturbed(range(masks), point, label="RISE"):
        cells, start = strip(number)
        sums[start][item] += (value - whole[item]) * cells
        total[item] += value - whole[item]
        if item == 0:
            sums[start][-1] += cells
    *change, mean = sum(random.enlarged(cells, start)[..., 0] for start, cells in sums.items())
    return change, total, mean


class RandomMasks:
    """Masks in [0, 1] in the shape of an input: random grids of 0 and 1, enlarged linearly, cut out at random places.

    Cells of one position are not enlarged: each is a position of its own.
    """

    def __init__(self, shape, grid, p, seed):
        self.space, self.grid, self.p, self.seed = shape[:-1], grid, p, seed
        self.canvases = [self._canvas(*sides) for sides in zip(self.space, grid, strict=True)]
        self.wide = np.stack([self.canvases[-1].T] * shape[-1], axis=-1)

    def mask(self, number):
        """The mask of this number, the same in all channels."""
        return self.enlarged(*self.strip(number))

    def drawn(self, number):
        """The cells that are kept, bools, and for each axis the place where the mask is to be cut out."""
        generator = np.random.Generator(np.random.PCG64([self.seed, number]))  # default_rng takes twice as long
        cells = generator.random(self.grid) < self.p
        free = (len(canvas) - side + 1 for canvas, side in zip(self.canvases, self.space, strict=True))
        return cells, [int(generator.integers(places)) for places in free]

    def tables(self):
        """For each axis in turn the `neighbours` of all places at which a mask may be cut out."""
        axes = zip(self.space, self.grid, strict=True)
        return [table for side, cells in axes for table in neighbours(cells, self._places(side, cells))]

    def strip(self, number):
        """The mask while its last axis is still one of cells, and the place where it is to be cut out there."""
        cells, (*starts, last) = self.drawn(number)
        strip = cells.astype(np.float32)
        for axis, start in enumerate(starts):
            part = self.canvases[axis][start : start + self.space[axis]]
            strip = (strip.swapaxes(axis, -1) @ part.T).swapaxes(axis, -1)
        return strip, last

    def enlarged(self, strips, start):
        """Strips (..., cells), or sums of them, cut out from `start` on: (..., positions, channels)."""
        part = self.wide[:, start : start + self.space[-1]]
        found = product(np.atleast_2d(strips), part.reshape(len(part), -1))
        return found.reshape(*strips.shape[:-1], *part.shape[1:])

    @staticmethod
    def _canvas(side, cells):
        """Weights (positions, cells) that enlarge an axis so far that `side` positions may begin all over a cell."""
        return interpolation(cells, RandomMasks._places(side, cells))

    @staticmethod
    def _places(side, cells):
        """Where they lie, in cells from the first one's centre."""
        cell = -(-side // cells)
        places = (np.arange(side + cell - 1) + 0.5) * cells / ((cells + (cell > 1)) * cell) - 0.5
        return places


# --- SISE -------------------------------------------------------------------------------------------------------


@over_inputs(needs_positions=True)
def sise(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    layers: Sequence | str | keras.layers.Layer | None = None,
    threshold: float = 0.0,
    fill: str | npt.ArrayLike = "zero",
    align: str = CENTRES,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The network's own feature maps as masks, scored by the class probability, fused from the first block to the last.

    Per block: keep the maps whose mean gradient exceeds `threshold` times the largest one (and 0); scale each to [0, 1]
    at input resolution, enlarged as `align` says, m_k; V = sum_k p_c(x * m_k + f * (1 - m_k)) m_k, scaled to [0, 1].
    From the first block to the last, with F = V of the first: F <- (F + V) * 1[V > Otsu threshold of V], scaled to
    [0, 1]. `layers`: names or layers, by default the last one at each resolution. Constant maps are left out; a block
    of which none is left is passed over, and a map for which no block is left is 0 and draws an `XAIWarning`. Values in
    [0, 1]. Raises `ValueError` for unknown layers or a threshold outside [0, 1). Source: Sattarzadeh et al. 2021, sec.
    3.
    """
    threshold = checks.as_number("threshold", threshold, 0, 1, open_ends="high")  # no map exceeds 1
    align = as_align(align)
    query = Query(
        model, inputs, targets, score=PROBABILITY, activation=activation, head=head, only=only, batch_size=batch_size
    )
    one = isinstance(layers, str) or hasattr(layers, "name") or not np.iterable(layers)
    named = [layers] if one else list(layers)  # type: ignore[arg-type]  # several, as `one` says
    places = query.block_ends() if layers is None else [query.place(layer) for layer in named]
    if not places:
        given = "None, and no layer of this model keeps space" if named else "none"
        raise ArgumentValueError("layers", given, "one layer or more that keeps space", "rise, which needs no layer")
    total = _totals(query, fills(fill, query))
    maps = np.zeros(query.inputs.shape[:-1], np.float32)
    for item in range(len(query.inputs)):
        blocks = [_block_map(place, item, threshold, total, align) for place in places]
        blocks = [_unit_range(block) for block in blocks if np.ptp(block) > 0]
        if blocks:
            maps[item] = functools.reduce(_fused, blocks)
        else:
            checks.warn(f"sise: no feature map of input {item} pushes its class; the map is 0. Cure: another target.")
    return maps


def _totals(query, hidden):
    """total(item, grids, centres): the grids, enlarged and scaled to [0, 1], each times the score seen through it."""
    if in_graph(query):
        return functools.partial(_total_in_graph, query, hidden)
    return functools.partial(_total_on_host, query, seen_through(query.inputs, hidden))


def _block_map(place, item, threshold, total, align):
    """V: the chosen maps of one layer, each weighted by the probability of the class seen through it."""
    A, gradient = place.gradient(item)
    slopes = gradient.reshape(-1, gradient.shape[-1]).mean(axis=0)
    varied = np.ptp(A.reshape(-1, A.shape[-1]), axis=0) > 0
    chosen = np.flatnonzero(varied & (slopes > threshold * slopes.max()))  # none where all slopes are negative
    grids = place.in_order(np.moveaxis(A[..., chosen], -1, 0))
    return total(item, grids, centres_of(place, align))


def _total_in_graph(query, hidden, item, grids, centres):
    maps = [grids.astype(np.float32), *neighbours_along(grids, query.inputs.shape[1:-1], centres)]
    codes = [np.arange(len(grids))]
    painting = Painting(query, unit_maps, query.inputs, hidden, codes, lambda _: maps, "SISE")
    return painting.sums([0.0], [item])[0][0]


def _total_on_host(query, see, item, grids, centres):
    coarse = enlarged(grids, query.inputs.shape[1:], centres)
    masks = functools.lru_cache(query.batch_size)(lambda number: _unit_range(coarse(number)))

    def point(item, number, out):
        see(item, masks(number), out)

    total = np.zeros(query.inputs.shape[1:-1])
    for _, number, value in query.perturbed(range(len(grids)), point, [item], "SISE"):
        total += value * masks(number)[..., 0]
    return total


def _unit_range(values):
    return (values - values.min()) / np.ptp(values) if np.ptp(values) > 0 else np.zeros_like(values)


def _fused(F, V):
    """(F + V) where V is above its Otsu threshold, scaled to [0, 1]."""
    return _unit_range((F + V) * (V > skimage.filters.threshold_otsu(V)))
