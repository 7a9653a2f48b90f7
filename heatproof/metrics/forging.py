"""Fragile and forged maps: an input that looks the same and is classified the same, with another map.

To know how easily a map can be led astray is a defence: whoever shows a map as evidence should know which methods move
and what steadies them (`softened`, SmoothGrad). The room is for networks of one's own.
"""

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.forging import LOGITS, METHODS, Maps, soft_copy
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.views import recipe_of
from heatproof.hiding import starts
from heatproof.problems import ArgumentTypeError, ArgumentValueError


def softened(model: keras.Model, beta: float = 10.0) -> keras.Model:
    """A copy of a network, with the same weights, whose ReLUs are softplus(beta x) / beta.

    The softer (the smaller `beta`), the less its gradient turns from one input to the next, and the less a small change
    of the input can move its maps; for beta -> infinity it is the network itself. Layers of ReLUs and layers with a
    ReLU as their activation are made soft; the model itself is not touched. Raises `TypeError`, `ValueError` for a
    model that Keras cannot copy, that has no ReLU, or one with a limit, slope or threshold, and for beta <= 0. Source:
    Dombrowski et al. 2019, sec. 4.
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
    method: str = "saliency",
    baseline: str | npt.ArrayLike = "zero",
    layer: str | keras.layers.Layer | None = None,
    limit: float = 0.02,
    steps: int = 100,
    beta: float = 10.0,
    keep: float = 1.0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Return inputs that look alike and are classified alike, whose maps are nearer to maps of one's choice.

    The map m is that of a `method` as `relevance` reduces it, s its shares, m over its sum; S is the logit of the
    target, G = dS/dx:
        "saliency":              m_p = sum_c |G_pc|
        "gradient_x_input":      m_p = ReLU(sum_c x_pc G_pc)
        "integrated_gradients":  m_p = ReLU(sum_c (x - b)_pc mean_k G_pc(b + k/8 (x - b))), k = 1 ... 8, b the
                                 `baseline` of the input as it was
        "grad_cam":              m = ReLU(sum_k mean(dS/dA_k) A_k), A at the `layer`, by default
                                 the last that keeps space, and on its grid
    x' starts at x and takes `steps` steps -r / 10 sign(d/dx'), of D(s, g) + `keep` |z(x') - z(x)|^2 / |z(x)|^2 with
    D(s, g) = |s - g|^2 / |g|^2, g the goal over its sum, z the logits; each is put back into |x' - x| <= r, r = `limit`
    times the range of x, and into the range of the model or of x. The steps are those of `softened`, because a ReLU has
    no second derivative; they are judged by the network itself: of all x' that it takes for the class of x, the one
    with the smallest D. An input that no step improves comes back as it is; a map of zeros is near to no goal. `goal`:
    (N, H, W), (N, T), or (N, F) for features, not negative, such as another input's map. Returns an array in the shape
    of `inputs`, float32 but for a float64 model. Raises `ValueError` for a goal that does not fit or is 0 everywhere, a
    baseline or a layer for a method that has none, a model with several inputs, and as `softened` does; `TypeError` for
    a list of baselines. Source: Dombrowski et al. 2019, sec. 2; signed steps:
    Ghorbani, Abid, Zou 2019.
    """
    method = checks.one_of("method", method, METHODS)
    query = Query(model, inputs, targets, batch_size=batch_size, as_positions=True)
    if query.recipe.nest is not None and not query.recipe.nest.alone:
        raise ArgumentValueError("model", "one with several inputs", "a model with one input")
    limit = checks.as_number("limit", limit, 0, 1, open_ends="low")
    steps, keep = checks.as_count("steps", steps), checks.as_number("keep", keep, 0)
    goal, start = _goal(goal, query.inputs.shape[:-1]), _start(query, method, baseline)
    hard = Maps(query, method, start, _layer(method, layer))
    soft = Query(softened(model, beta), inputs, query.targets, batch_size=batch_size, as_positions=True)
    logits, soft = soft.all_scores(LOGITS), Maps(soft, method, start, hard.place and hard.place.layer.name)
    goal, moved = hard.goal(goal), _near(query, limit)
    point, best, items = query.inputs, query.inputs.copy(), np.arange(len(query.inputs))
    classes, nearest = query.predicted(point, items), hard.distances(point, goal).copy()
    for _ in range(steps):
        point = moved(point, soft.slope(point, goal, keep, logits))
        now = hard.distances(point, goal)
        better = (now < nearest) & (query.predicted(point, items) == classes)
        best[better], nearest[better] = point[better], now[better]
    return query.in_form(best)


def _near(query, limit):
    """step(point, slope) -> a tenth of the way down to the limit, within it and the range of the model or of x."""
    x, axes = query.inputs, tuple(range(1, query.inputs.ndim))
    low, high = query.input_range or (x.min(axis=axes, keepdims=True), x.max(axis=axes, keepdims=True))
    radius = limit * np.ptp(x, axis=axes, keepdims=True)
    floor, ceiling = np.maximum(x - radius, np.minimum(low, x)), np.minimum(x + radius, np.maximum(high, x))
    return lambda point, slope: np.clip(point - radius / 10 * np.sign(slope), floor, ceiling).astype(x.dtype)


def _start(query, method, baseline):
    """Where the path of integrated gradients begins; 0 for the others, which have none."""
    if method != "integrated_gradients" and not (isinstance(baseline, str) and baseline == "zero"):
        given = f"{checks.shown(baseline)} for {method!r}, which has none"
        raise ArgumentValueError("baseline", given, cure="leave it out, or method='integrated_gradients'")
    if isinstance(baseline, list):
        raise ArgumentTypeError("baseline", "a list", "one baseline: a word, a number or an array")
    return starts(baseline, query)[0]


def _layer(method, layer):
    """The layer of Grad-CAM; the others have none."""
    if method != "grad_cam" and layer is not None:
        given = f"{checks.shown(layer)} for {method!r}, which has none"
        raise ArgumentValueError("layer", given, cure="leave it out, or method='grad_cam'")
    return layer


def _goal(goal, shape):
    """The goal, float64."""
    goal = checks.as_finite("goal", goal)
    if goal.shape != shape:
        raise ArgumentValueError("goal", f"shape {goal.shape}", f"{shape}, a map for each input")
    if (goal < 0).any() or not goal.any(axis=tuple(range(1, goal.ndim))).all():
        given = "negative values, or a map that is 0 everywhere"
        raise ArgumentValueError("goal", given, "values of 0 or more, not all 0", "reduce it with xu.relevance first")
    return goal.astype(np.float64)
