"""The gradient family: saliency, gradient x input, SmoothGrad, VarGrad, guided backprop, deconvnet, Integrated
Gradients. Every method returns one float32 array in the shape of the inputs, raw and signed.

Shared arguments (model, inputs, targets, score, batch_size) are explained in `xai_utils`.
"""

import functools

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import LOGIT
from heatproof.hiding import starts
from heatproof.problems import ArgumentValueError


def saliency(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """How much the score changes for a small change of each input value.

    M = dS_c/dx. For a linear model S_c = w.x + b it is w everywhere. Signed: take the magnitude only to look at it.
    Source: Simonyan, Vedaldi, Zisserman 2014, eq. (4).
    """
    return _saliency(model, inputs, targets, score, activation, head, only, batch_size)


def _saliency(model, inputs, targets, score, activation, head, only, batch_size, rule=None):
    options = {"score": score, "activation": activation, "head": head, "only": only, "batch_size": batch_size}
    query = Query(model, inputs, targets, rule=rule, **options)
    return query.in_form(np.require(query.gradient(), np.float32, "W"))  # copied only where it is not ours alone


def gradient_x_input(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The first-order share of each input value in the score.

    M = x * dS_c/dx. It sums to S_c only for a network without biases and BatchNorm shifts: then S_c is homogeneous
    of degree one in x (Euler). Source: Shrikumar et al. 2016.
    """
    query = Query(
        model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size
    )
    return query.in_form((query.inputs * query.gradient()).astype(np.float32))


def smooth_grad(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    samples: int = 50,
    noise: float = 0.15,
    seed: int = 0,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The gradient, averaged over noisy copies of the input.

    M = 1/n sum_k dS_c/dx (x + e_k), e_k ~ N(0, sigma^2), sigma = `noise` * (max x - min x) of each input. The same
    n = `samples` noise arrays, drawn from `seed`, serve every input. noise=0 gives saliency. The default is
    within the paper's 10 to 20 % for ImageNet; small networks may need less: with 0.15 the class stays the same in 34 %
    of the noisy copies of the embedded faces (models/faces.keras) and 51 % of those of MNIST-1D (models/mnist1d.keras),
    with 0.02 in 81 % and 98 %. Raises `ValueError` for samples < 1 or noise < 0. Source: Smilkov et al. 2017, sec. 2.
    """
    query, point, samples = _noisy(
        model, inputs, targets, samples, noise, seed, score, activation, head, only, batch_size
    )
    total = np.zeros(query.inputs.shape, np.float64)
    for item, _, gradient in query.gradients(range(samples), point, label="SmoothGrad"):
        total[item] += gradient
    return query.in_form((total / samples).astype(np.float32))


def var_grad(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    samples: int = 50,
    noise: float = 0.15,
    seed: int = 0,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The variance of the gradient over the noisy copies of `smooth_grad`: where the gradient is unsteady.

    M = 1/n sum_k (g_k - mean g)^2, never negative; 0 everywhere for noise=0 and for a linear model. Raises as
    `smooth_grad`. Source: Adebayo, Gilmer, Goodfellow, Kim 2018.
    """
    query, point, samples = _noisy(
        model, inputs, targets, samples, noise, seed, score, activation, head, only, batch_size
    )
    mean, squares = np.zeros((2, *query.inputs.shape), np.float64)
    for item, sample, gradient in query.gradients(range(samples), point, label="VarGrad"):
        change = gradient - mean[item]
        mean[item] += change / (sample + 1)
        squares[item] += change * (gradient - mean[item])  # Welford's sum of squared deviations
    return query.in_form((squares / samples).astype(np.float32))


def _noisy(model, inputs, targets, samples, noise, seed, score, activation, head, only, batch_size):
    samples = checks.as_count("samples", samples)
    noise = checks.as_number("noise", noise, 0)
    seed = checks.as_count("seed", seed, 0)
    query = Query(
        model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size
    )
    sigma = noise * query.each(_spread)

    @functools.lru_cache(maxsize=1)
    def draw(sample):
        generator = np.random.default_rng([seed, sample])
        return generator.standard_normal(query.inputs.shape[1:], np.float32)

    def point(item, sample, out):
        np.multiply(draw(sample), sigma[item], out=out)
        out += query.inputs[item]

    return query, point, samples


def _spread(part, _):
    """max x - min x of each item, to be laid over it."""
    return np.ptp(part, axis=tuple(range(1, part.ndim)), keepdims=True)


def guided_backprop(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The backward signal that passes each ReLU only where its input and the signal itself are positive.

    R_l = 1[a_l > 0] * 1[R_{l+1} > 0] * R_{l+1} at every ReLU, the chain rule elsewhere. Not a gradient, and close to
    an edge picture whatever the class. Raises `ValueError` if the model has no ReLU. Source: Springenberg et al. 2015.
    """
    return _saliency(model, inputs, targets, score, activation, head, only, batch_size, "guided")


def deconvnet(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The backward signal that passes each ReLU only where the signal is positive, whatever the input was.

    R_l = 1[R_{l+1} > 0] * R_{l+1} at every ReLU, the chain rule elsewhere (max pooling by its switches). Raises
    `ValueError` if the model has no ReLU. Source: Zeiler and Fergus 2014, sec. 2.1.
    """
    return _saliency(model, inputs, targets, score, activation, head, only, batch_size, "deconvnet")


def integrated_gradients(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    baseline: str | npt.ArrayLike | list = "zero",
    steps: int | None = None,
    rule: str = "midpoint",
    tolerance: float = 0.01,
    max_steps: int = 486,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The gradient, averaged on the straight way from a baseline x' to the input, times the way.

    M = (x - x') * integral_0^1 dS_c/dx (x' + a (x - x')) da; its sum is S_c(x) - S_c(x') (completeness).
    `baseline`: "zero", "mean" (of each input's channels), "blur" (of each input), a number, an array in the shape of
    one input or of all, an array (C,) of a value for each channel, or a list of these, whose maps are averaged.
    `steps`: number of nodes of the `rule` ("midpoint" or "gauss-legendre"); None refines midpoints by three (6, 18, 54,
    ... up to `max_steps`) for each input until the completeness gap, relative to |S_c(x) - S_c(x')|, and the change of
    the map, relative to its L1 norm, are both <= `tolerance`, and draws an `XAIWarning` if that is not reached. Raises
    `ValueError` for an unknown baseline or rule, steps < 1, a tolerance outside (0, 1). Source: Sundararajan, Taly, Yan
    2017, eq. (1)-(3).
    """
    checks.one_of("rule", rule, ("midpoint", "gauss-legendre"))
    if steps is not None:
        steps = checks.as_count("steps", steps)
    elif rule != "midpoint":
        given = "None with rule='gauss-legendre', whose nodes do not nest"
        raise ArgumentValueError("steps", given, cure="name the steps, such as steps=32")
    tolerance = checks.as_number("tolerance", tolerance, 0, 1, open_ends=True)
    max_steps = checks.as_count("max_steps", max_steps, 18)
    query = Query(
        model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size
    )
    ways = starts(baseline, query)
    if steps is None:
        maps = [_refined_path(query, start, tolerance, max_steps) for start in ways]
    else:
        maps = [_path(query, start, *_nodes(rule, steps)) for start in ways]
    return query.in_form(np.mean(maps, axis=0).astype(np.float32))


def _nodes(rule, steps):
    """Nodes a_k in (0, 1) and weights w_k, sum 1."""
    if rule == "midpoint":
        return (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return (nodes + 1) / 2, weights / 2


def _path(query, start, nodes, weights, items=None):
    """(x - x') * sum_k w_k dS_c/dx (x' + a_k (x - x')), for all inputs or for `items` (others stay 0)."""
    way, nodes, weights = query.inputs - start, nodes.tolist(), weights.tolist()  # Python's floats keep float32
    total = np.zeros(query.inputs.shape, np.float64)

    def point(item, node, out):
        np.multiply(way[item], nodes[node], out=out)
        out += start[item]

    for item, node, gradient in query.gradients(range(len(nodes)), point, items, "Integrated Gradients"):
        total[item] += weights[node] * gradient
    return way * total


def _refined_path(query, start, tolerance, max_steps):
    """Midpoint rule, refined by three until gap and change are <= tolerance: old midpoints are every third new one."""
    target = query.scores().astype(np.float64) - query.scores(start)
    steps, items = 6, np.arange(len(query.inputs))
    maps = _path(query, start, *_nodes("midpoint", steps))
    space = tuple(range(1, maps.ndim))
    while len(items) and 3 * steps <= max_steps:
        steps *= 3
        nodes = np.delete(_nodes("midpoint", steps)[0], np.s_[1::3])
        finer = maps / 3 + _path(query, start, nodes, np.full(len(nodes), 1 / steps), items)
        change = np.abs(finer - maps).sum(axis=space) / np.maximum(np.abs(finer).sum(axis=space), 1e-12)
        gap = np.abs(finer.sum(axis=space) - target) / np.maximum(np.abs(target), 1e-6)
        maps[items] = finer[items]
        items = items[~((gap[items] <= tolerance) & (change[items] <= tolerance))]
    if len(items):
        checks.warn(
            f"integrated_gradients: {len(items)} of {len(query.inputs)} inputs did not reach tolerance {tolerance:g} "
            f"within {steps} steps. Cure: a larger max_steps, or a baseline whose score is further from the input's."
        )
    return maps
