"""What a map marks is taken out: so that the hole itself tells little (ROAD), or before a new training (ROAR).

A hole of one grey says where it is, and a network may read its outline. Here its values are made from the values around
it, so that only what stood there is lost.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from scipy import sparse

from heatproof import checks
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import PROBABILITY
from heatproof.hiding import baselines
from heatproof.metrics.faithfulness import _points, _relevance
from heatproof.problems import ArgumentTypeError, ArgumentValueError

LINEAR = "linear"
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)


def remove_top(
    inputs: npt.ArrayLike,
    relevance: npt.ArrayLike,
    share: float = 0.3,
    *,
    order: str = "most",
    fill: str | npt.ArrayLike = LINEAR,
    noise: float = 0.01,
    seed: int = 0,
) -> np.ndarray:
    """Return the inputs without the most relevant `share` of their positions.

    ceil(share * positions) are removed, for `order` "most" the most relevant, for "least" the least; among equals the
    earlier one. `fill`: what stands there instead. "linear" solves x_p = sum_q w_pq x_q for all removed p at once, q
    the neighbours of p, w = 1/6 for those beside it and 1/12 across corners, in a signal 1/2 for the one before and
    after; at the edge what is left of the weights is scaled to the sum 1. Then normal noise is added to the removed
    values, of `noise` times the range of each input, the same for every input. Or "zero", "mean", "blur", a number or
    an array, without noise: the mean of the data is that of the source's ROAR. `inputs` (N, H, W, C) or (N, T, C),
    `relevance` (N, H, W) or (N, T), signed or not. Raises `ValueError` for shapes that do not fit, NaN, or a share
    that leaves nothing. Source: Rong et al. 2022, sec. 4 (ROAD); Hooker et al. 2019 (ROAR).
    """
    inputs = _points(inputs)
    checks.one_of("order", order, ("most", "least"))
    share = checks.as_number("share", share, 0, 1, open_ends=True)
    noise, seed = checks.as_number("noise", noise, 0), checks.as_count("seed", seed, 0)
    linear = isinstance(fill, str) and fill == LINEAR
    if linear and inputs.ndim not in (3, 4):
        raise ArgumentValueError("inputs", f"shape {inputs.shape}", "signals (N, T, C) or images (N, H, W, C)")
    relevance = _relevance(relevance, inputs.shape)
    flat = relevance.reshape(len(relevance), -1) * (1 if order == "most" else -1)
    removed = np.zeros(flat.shape, bool)
    count = math.ceil(round(share * flat.shape[1], 9))
    if count == flat.shape[1]:
        raise ArgumentValueError("share", f"{share:g}, which is all {count} positions", "a share that leaves one")
    np.put_along_axis(removed, np.argsort(-flat, axis=1, kind="stable")[:, :count], True, axis=1)
    if not linear:
        hidden = baselines(fill, inputs, "fill")
        return np.where(removed.reshape(relevance.shape)[..., None], hidden, inputs).astype(inputs.dtype)
    return _imputed(inputs, removed, noise, seed)


def _imputed(inputs, removed, noise, seed):
    """Each input with its removed positions, (N, positions), solved for."""
    W = _weights(inputs.shape[1:-1])
    L = (sparse.diags(np.asarray(W.sum(axis=1)).ravel()) - W).tocsr()
    drawn = noise * np.random.default_rng(seed).standard_normal((removed.shape[1], inputs.shape[-1]))
    found = inputs.reshape(len(inputs), -1, inputs.shape[-1]).astype(np.float64)
    for x, out in zip(found, removed, strict=True):
        width = np.ptp(x)
        x[out] = sparse.linalg.splu(L[out][:, out].tocsc()).solve(W[out][:, ~out] @ x[~out])
        x[out] += width * drawn[out]
    return found.reshape(inputs.shape).astype(inputs.dtype)


def _weights(space):
    """The weights of the neighbours of each position, (positions, positions): 2 beside, 1 across a corner, over all."""
    places = np.arange(math.prod(space)).reshape(space)
    rows, columns, values = [], [], []
    for step in np.ndindex(*(3,) * len(space)):
        move = np.array(step) - 1
        far = np.abs(move).sum()
        if not far:
            continue
        here = tuple(slice(max(-m, 0), min(n - m, n)) for m, n in zip(move, space, strict=True))
        there = tuple(slice(max(m, 0), min(n + m, n)) for m, n in zip(move, space, strict=True))
        rows.append(places[here].ravel())
        columns.append(places[there].ravel())
        values.append(np.full(rows[-1].size, 2 / far))
    row, column, value = (np.concatenate(each) for each in (rows, columns, values))
    return sparse.csr_array((value, (row, column)), (places.size,) * 2)


def removal_curve(
    model: keras.Model,
    inputs: npt.ArrayLike,
    relevance: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    shares: Sequence[float] = SHARES,
    order: str = "most",
    noise: float = 0.01,
    score: str = PROBABILITY,
    activation: str | None = None,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The class probability on each input as it is, then without the most relevant shares of it: ROAD.

    f(0) = S_c(x), f(k) = S_c(`remove_top` of x with the k-th of the rising `shares`, filled linearly). A right map
    falls early for `order` "most" and late for "least"; unlike ROAR nothing is trained. Returns float64
    (N, 1 + len(shares)). Raises `ValueError` for shares that do not rise, and as `remove_top`. Source: Rong et al.
    2022.
    """
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)
    if not np.iterable(shares) or isinstance(shares, (str, bytes, dict)) or not list(shares):
        raise ArgumentTypeError("shares", checks.shown(shares), "a list of shares, such as (0.1, 0.5)")
    shares = [checks.as_number("shares", each, 0, 1, open_ends=True) for each in shares]
    if not all(before < after for before, after in zip(shares, shares[1:], strict=False)):
        raise ArgumentValueError("shares", checks.shown(shares), "shares that rise")
    options: dict[str, Any] = {"order": order, "noise": noise, "seed": seed}
    points = [remove_top(query.inputs, relevance, share, **options) for share in shares]
    return np.stack([query.scores(), *map(query.scores, points)], axis=1).astype(np.float64)
