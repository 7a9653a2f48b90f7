"""Region perturbation: how fast a score falls while an input is overwritten, the most relevant regions first.

Shared arguments (model, inputs, targets, seed, batch_size) are explained in `xai_utils`.
"""

from collections.abc import Iterator

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.painting import Painting, in_graph
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import PROBABILITY
from heatproof.engine.stencils import first_ranks
from heatproof.hiding import baselines
from heatproof.metrics.faithfulness import _relevance
from heatproof.problems import ArgumentValueError

NOISE = "uniform"
SHARE = 25  # a region's part of a side: 9 of 224 pixels
STEPS = 100


def region_perturbation(
    model: keras.Model,
    inputs: npt.ArrayLike,
    relevance: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    regions: int | tuple[int, ...] | None = None,
    steps: int | None = None,
    fill: str | npt.ArrayLike = NOISE,
    draws: int = 10,
    order: str = "most",
    score: str = PROBABILITY,
    activation: str | None = None,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The class probability while one region after another is overwritten, in the order of the relevance in it.

    f(k) = mean over draws of S_c(x with its first k regions replaced by `fill`), k = 0..L. The regions tile the input
    from its first corner on; those at the far edges may be smaller. They are ordered by the sum of their relevance, the
    largest first for `order` "most", the smallest for "least"; among equals the earlier region goes first. `regions`:
    their side in positions, one number or one for each axis; None is a 25th of each side, rounded and at least 1: the
    paper's 9 pixels at 224. `steps`: L, at most the number of regions; None is that number or, if less, the paper's
    100. `fill`: "uniform" noise between the ends of `model.input_range` or, where the model states none, between the
    least and the largest value of each input, drawn `draws` times; or "zero", "mean", "blur", a number or an array,
    which need no draws. `relevance`: (N, H, W) or (N, T), signed or not. Returns float64 (N, L + 1).
    Raises `ValueError` for shapes that do not fit, features, NaN, an unknown fill. Source: Samek et al. 2017, sec. III.
    """
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)
    if query.inputs.ndim < 3:
        given = f"features of shape {query.inputs.shape}, which lie in no order and have no regions"
        raise ArgumentValueError("inputs", given, "signals (N, T, C), images (N, H, W, C) or volumes")
    draws, seed = checks.as_count("draws", draws), checks.as_count("seed", seed, 0)
    sign = {"most": 1, "least": -1}[checks.one_of("order", order, ("most", "least"))]
    sides = _sides(regions, query.inputs.shape[1:-1])
    ranks, number = _ranks(sign * _relevance(relevance, query.inputs.shape), sides)
    steps = min(number, STEPS) if steps is None else checks.as_count("steps", steps, 1, number)
    curves = [_fallen(query, ranks, steps, hidden) for hidden in _drawn(fill, query, draws, seed)]
    start = query.scores().astype(np.float64)
    return np.concatenate([start[:, None], np.mean(curves, axis=0)], axis=1)


def aopc(curves: npt.ArrayLike) -> np.ndarray:
    """How far each curve lies below its start, the mean over its points: 1/(L + 1) sum_k [f(0) - f(k)], k = 0..L.

    `curves`: (N, L + 1), as `region_perturbation` returns. Returns (N,): the area over the perturbation curve, higher
    where the score falls early. Source: Samek et al. 2017, eq. (12), there also averaged over the inputs.
    """
    curves = checks.as_finite("curves", curves)
    if curves.ndim != 2 or curves.shape[1] < 2:
        raise ArgumentValueError("curves", f"shape {curves.shape}", "(N, steps + 1), as region_perturbation returns")
    return (curves[:, :1] - curves).mean(axis=1)


def _sides(regions, space):
    """The side of a region along each axis."""
    return checks.per_axis("regions", regions, [max(1, round(side / SHARE)) for side in space], space)


def _ranks(relevance, sides):
    """The place of each position's region in the order of falling relevance, (N, *space), and how many there are."""
    space = relevance.shape[1:]
    counts = [-(-length // side) for length, side in zip(space, sides, strict=True)]
    cells = [np.arange(length) // side for length, side in zip(space, sides, strict=True)]
    labels, number = np.ravel_multi_index(np.ix_(*cells), counts), int(np.prod(counts))
    sums = np.stack([np.bincount(labels.ravel(), each.ravel(), number) for each in relevance])
    order = np.argsort(-sums, axis=1, kind="stable")
    return np.argsort(order, axis=1)[:, labels], number


def _drawn(fill, query, draws, seed) -> Iterator[np.ndarray]:
    """What overwrites the inputs, for each draw; the same noise serves every input."""
    if isinstance(fill, str):
        checks.one_of("fill", fill, (NOISE, "zero", "mean", "blur"))
    if not isinstance(fill, str) or fill != NOISE:
        yield baselines(fill, query.inputs, "fill")
        return
    axes = tuple(range(1, query.inputs.ndim))
    ends = (query.inputs.min(axis=axes, keepdims=True), query.inputs.max(axis=axes, keepdims=True))
    low, high = query.input_range or ends
    for draw in range(draws):
        noise = np.random.default_rng([seed, draw]).random(query.inputs.shape[1:])
        yield np.broadcast_to(low + (high - low) * noise, query.inputs.shape).astype(query.inputs.dtype)


def _fallen(query, ranks, steps, hidden):
    """S_c of the inputs with their first 1, 2, ... `steps` regions replaced by `hidden`, (N, steps)."""
    if in_graph(query):
        codes = [np.arange(1, steps + 1)]
        return Painting(query, first_ranks, hidden, query.inputs, codes, lambda item: [ranks[item]], "regions").scores()
    found, mixed = np.empty((len(ranks), steps)), np.array(query.inputs)

    def point(item, step, out):  # steps come in their order: what earlier ones have changed stays
        region = ranks[item] == step
        mixed[item, region] = hidden[item, region]
        out[...] = mixed[item]

    for item, step, value in query.perturbed(range(steps), point, label="regions"):
        found[item, step] = value
    return found
