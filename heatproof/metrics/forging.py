"""Fragile and forged maps: an input that looks the same and is classified the same, with another gradient map.

To know how easily a map can be led astray is a defence: whoever shows a map as evidence should know which methods move
and what steadies them (`softened`, SmoothGrad). The room is for networks of one's own.
"""

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.forging import distance, shares, slope, soft_copy
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.views import recipe_of
from heatproof.problems import ArgumentValueError


def softened(model: keras.Model, beta: float = 10.0) -> keras.Model:
    """A copy of a network, with the same weights, whose ReLUs are softplus(beta x) / beta.

    The softer (the smaller `beta`), the less its gradient turns from one input to the next, and the less a small change
    of the input can move its maps; for beta -> infinity it is the network itself. Layers of ReLUs and layers with a
    ReLU as their activation are made soft; the model itself is not touched. Raises `TypeError`, `ValueError` for a
    model that Keras cannot copy or that has no ReLU, or beta <= 0. Source: Dombrowski et al. 2019, sec. 4.
    """
    beta = checks.as_number("beta", beta, 0, open_ends=True)
    recipe_of(model)
    return soft_copy(model, beta)


def forged(
    model: keras.Model,
    inputs: npt.ArrayLike,
    goal: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    limit: float = 0.02,
    steps: int = 100,
    beta: float = 10.0,
    keep: float = 1.0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Return inputs that look alike and are classified alike, whose gradient maps are nearer to maps of one's choice.

    The map is the saliency with its magnitudes, s_p = sum_c |dS/dx_pc| over its sum. x' starts at x and takes `steps`
    steps -r / 10 sign(d/dx'), of D(s, g) + `keep` |z(x') - z(x)|^2 / |z(x)|^2 with D(s, g) = |s - g|^2 / |g|^2, g the
    goal over its sum, z the logits; each is put back into |x' - x| <= r, r = `limit` times the range of x, and into
    the range of the model or of x. The steps are those of `softened`, because a ReLU has no second derivative; they are
    judged by the network itself: of all x' that it takes for the class of x, the one with the smallest D. An input that
    no step improves comes back as it is. `goal`: (N, H, W) or (N, T), not negative, such as another input's map.
    Returns float32 in the shape of `inputs`. Raises `ValueError` for a goal that does not fit or is 0 everywhere, and
    as `softened` does. Source: Dombrowski et al. 2019, sec. 2; signed steps: Ghorbani, Abid, Zou 2019.
    """
    query = Query(model, inputs, targets, batch_size=batch_size)
    limit = checks.as_number("limit", limit, 0, 1, open_ends="low")
    steps, keep = checks.as_count("steps", steps), checks.as_number("keep", keep, 0)
    goal = _goal(goal, query.inputs.shape[:-1])
    soft = Query(softened(model, beta), query.inputs, query.targets, batch_size=batch_size)
    x, items, best = query.inputs, np.arange(len(query.inputs)), query.inputs.copy()
    axes = tuple(range(1, x.ndim))
    low, high = query.input_range or (x.min(axis=axes, keepdims=True), x.max(axis=axes, keepdims=True))
    radius = limit * np.ptp(x, axis=axes, keepdims=True)
    classes, nearest, point = query.predicted(x, items), _distance(query, x, goal), x
    for _ in range(steps):
        point = point - radius / 10 * np.sign(slope(soft, point, items, goal, keep))
        point = np.clip(np.clip(point, x - radius, x + radius), np.minimum(low, x), np.maximum(high, x)).astype(x.dtype)
        now = _distance(query, point, goal)
        better = (now < nearest) & (query.predicted(point, items) == classes)
        best[better], nearest[better] = point[better], now[better]
    return best


def _distance(query, points, goal):
    return distance(shares(query.gradient(points, np.arange(len(points)))), goal).numpy()


def _goal(goal, shape):
    """The goal over its sum, float32."""
    goal = checks.as_finite("goal", goal)
    if goal.shape != shape:
        raise ArgumentValueError("goal", f"shape {goal.shape}", f"{shape}, a map for each input")
    totals = goal.sum(axis=tuple(range(1, goal.ndim)), keepdims=True)
    if (goal < 0).any() or not totals.all():
        given = "negative values, or a map that is 0 everywhere"
        raise ArgumentValueError("goal", given, "values of 0 or more, not all 0", "reduce it with xu.relevance first")
    return (goal / totals).astype(np.float32)
