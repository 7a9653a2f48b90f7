"""Scores of an explanation that ask the model again: no truth is needed, and none is measured.

Deletion and insertion follow the class probability while positions go or come in the order of their relevance;
max-sensitivity and infidelity perturb the input; cascading randomisation perturbs the network. Shared arguments (model,
inputs, targets, seed, batch_size) are explained in `xai_utils`.
"""

import keras
import numpy as np

from xai import checks, metrics
from xai.core import BATCH_SIZE, Query
from xai.masking import baselines
from xai.views import recipe_of


def deletion_curve(
    model, inputs, relevance, targets=None, *, steps=None, fill="mean", score="probability", batch_size=BATCH_SIZE
):
    """The class probability while the most relevant positions are replaced, step by step, by `fill`.

    f(k) = S_c(x with its k n / K most relevant positions replaced), k = 0..K, n positions, K = `steps` (by default one
    position a step, at most 50). `relevance`: (N, H, W) or (N, T), see `xu.relevance`; among equals the earlier
    position goes first. `fill`: "zero", "mean", "blur", a number or an array. Returns float64 (N, K + 1). A curve that
    falls early says that the network needed what the map ranks first, or that the changed input is one it has never
    seen. Raises `ValueError` for shapes that do not fit, NaN, an unknown fill. Source: Petsiuk, Das, Saenko 2018, sec.
    3.3.
    """
    query = Query(model, inputs, targets, score=score, batch_size=batch_size)
    return _curve(query, query.inputs, baselines(fill, query.inputs, "fill"), relevance, steps)


def insertion_curve(
    model, inputs, relevance, targets=None, *, steps=None, fill="blur", score="probability", batch_size=BATCH_SIZE
):
    """The class probability while the most relevant positions return, step by step, to an input that is all `fill`.

    f(k) = S_c(fill with the k n / K most relevant positions of x). Arguments, errors and source as in `deletion_curve`;
    "blur" is the paper's start, because sharp pieces on an even ground make edges that the input does not have.
    """
    query = Query(model, inputs, targets, score=score, batch_size=batch_size)
    return _curve(query, baselines(fill, query.inputs, "fill"), query.inputs, relevance, steps)


def area_under_curve(curves):
    """The mean height of each curve, by trapezoids: (f(0)/2 + f(1) + ... + f(K)/2) / K.

    `curves`: (N, K + 1). Returns (N,). Lower is better for deletion, higher for insertion.
    """
    curves = checks.as_numbers("curves", curves)
    if curves.ndim != 2 or curves.shape[1] < 2:
        raise ValueError(f"curves: got shape {curves.shape}; pass (N, steps + 1) as deletion_curve returns.")
    if not np.isfinite(curves).all():
        raise ValueError("curves: has NaN or infinite values; leave those items out.")
    return np.trapezoid(curves, dx=1 / (curves.shape[1] - 1), axis=1)


def _curve(query, before, after, relevance, steps):
    """S_c of `before` with its most relevant positions taken from `after`, more of them at every step."""
    order = _order(relevance, query.inputs.shape)
    positions = order.shape[1]
    steps = min(positions, 50) if steps is None else checks.as_count("steps", steps, 1, positions)
    counts = np.round(np.linspace(0, positions, steps + 1)).astype(np.int32)
    curves, mixed = np.empty((len(query.inputs), steps + 1)), np.array(before, order="C")
    flat, after = (array.reshape(*order.shape, -1) for array in (mixed, after))

    def point(item, step, out):  # steps come in their order: what earlier ones have changed stays
        changed = order[item, counts[max(step - 1, 0)] : counts[step]]
        flat[item, changed] = after[item, changed]
        out[...] = mixed[item]

    for item, step, value in query.perturbed(range(steps + 1), point, label="curve"):
        curves[item, step] = value
    return curves


def _order(relevance, shape):
    """The positions of each input in the order of falling relevance, (N, positions)."""
    relevance = checks.as_numbers("relevance", relevance)
    if relevance.shape != shape[:-1]:
        raise ValueError(f"relevance: got shape {relevance.shape}; inputs of {shape} need {shape[:-1]}.")
    if not np.isfinite(relevance).all():
        raise ValueError("relevance: has NaN or infinite values; leave those items out.")
    return np.argsort(-relevance.reshape(len(relevance), -1), axis=1, kind="stable")


def max_sensitivity(
    method, model, inputs, targets=None, *, radius=0.02, samples=10, seed=0, batch_size=BATCH_SIZE, **options
):
    """How much a map changes, at most, when the input hardly does.

    max_k ||M(x + e_k) - M(x)|| / ||M(x)||, e_k uniform in [-r, r] at every value, r = `radius` * (max x - min x) per
    channel: Yeh et al. 2019, def. 3, estimated from `samples` draws, so a lower bound. `method`: a function of the
    catalogue, `options` its options. The class explained is that of x. Returns (N,), NaN where M(x) is 0 everywhere.
    Raises as the method does, and `ValueError` for radius <= 0.
    """
    _check_method(method)
    samples, seed = checks.as_count("samples", samples), checks.as_count("seed", seed, 0)
    radius = checks.as_number("radius", radius, 0, open_ends=True)
    query = Query(model, inputs, targets, batch_size=batch_size)
    x, space = query.inputs, tuple(range(1, query.inputs.ndim - 1))
    width = radius * (x.max(axis=space, keepdims=True) - x.min(axis=space, keepdims=True))

    def explain(points):
        maps = method(model, points, query.targets, batch_size=batch_size, **options)
        return np.asarray(maps, np.float64).reshape(len(maps), -1)

    before, generator, worst = explain(x), np.random.default_rng(seed), np.zeros(len(x))
    for _ in range(samples):
        change = explain((x + width * generator.uniform(-1, 1, x.shape[1:])).astype(x.dtype)) - before
        worst = np.maximum(worst, np.linalg.norm(change, axis=1))
    size = np.linalg.norm(before, axis=1)
    return np.divide(worst, size, out=np.full(len(x), np.nan), where=size > 0)


def infidelity(
    model, inputs, attribution, targets=None, *, noise=0.1, samples=200, seed=0, score="logit", batch_size=BATCH_SIZE
):
    """How badly the map predicts what small perturbations I do to the score, at the scale that suits the map best.

    E[(b I.M - (S(x) - S(x - I)))^2] / E[(S(x) - S(x - I))^2], b = E[I.M dS] / E[(I.M)^2] per input: the share of the
    score's change that no multiple of the map explains, 0 (all) to 1 (nothing). I is normal with deviation `noise` *
    (max x - min x) of each channel; the same draws serve every input. `attribution`: in the shape of `inputs`, or
    (N, H, W), (N, T), which stands for every channel. Returns (N,), NaN where the score does not move. Raises
    `ValueError` for shapes that do not fit, NaN, noise <= 0. Source: Yeh et al. 2019, eq. (1) and sec. 4 for b; the
    denominator is ours, so that inputs can be averaged.
    """
    samples, seed = checks.as_count("samples", samples, 2), checks.as_count("seed", seed, 0)
    noise = checks.as_number("noise", noise, 0, open_ends=True)
    query = Query(model, inputs, targets, score=score, batch_size=batch_size)
    x, space = query.inputs, tuple(range(1, query.inputs.ndim - 1))
    M = _attribution(attribution, x.shape)
    width = noise * (x.max(axis=space, keepdims=True) - x.min(axis=space, keepdims=True))
    whole, moved, foretold = query.scores().astype(np.float64), *np.empty((2, len(x), samples))

    def without(item, sample, out):
        perturbation = width[item] * np.random.default_rng([seed, sample]).standard_normal(x.shape[1:])
        foretold[item, sample] = (perturbation * M[item]).sum()
        out[...] = x[item] - perturbation

    for item, sample, value in query.perturbed(range(samples), without, label="infidelity"):
        moved[item, sample] = whole[item] - value
    power, total = (foretold**2).sum(axis=1), (moved**2).sum(axis=1)
    b = np.divide((foretold * moved).sum(axis=1), power, out=np.zeros(len(x)), where=power > 0)
    rest = ((b[:, None] * foretold - moved) ** 2).sum(axis=1)
    return np.divide(rest, total, out=np.full(len(x), np.nan), where=total > 0)


def _check_method(method):
    if not callable(method):
        raise TypeError(f"method: got {checks.shown(method)}; pass a function of the catalogue, such as xu.saliency.")


def _attribution(attribution, shape):
    M = checks.as_numbers("attribution", attribution)
    if M.shape not in (shape, shape[:-1]):
        raise ValueError(f"attribution: got shape {M.shape}; inputs of {shape} need {shape} or {shape[:-1]}.")
    if not np.isfinite(M).all():
        raise ValueError("attribution: has NaN or infinite values; leave those items out.")
    return M if M.shape == shape else M[..., None]


def randomised(model, *, seed=0):
    """Yield (layer's name, copy of the model) with more and more layers' weights shuffled, from the output down.

    First the last layer's weights are shuffled, then also those of the layer before, and so on: the "cascading
    randomisation" of Adebayo et al. 2018, sec. 3, with a permutation of each weight array in place of new draws, so
    that the spread of the weights stays. It is one copy that changes from step to step: use it before you ask for the
    next. The model itself is not touched. Raises `TypeError` for a subclassed model, which Keras cannot
    copy; `ValueError` for a model without weights.
    """
    recipe_of(model)
    generator = np.random.default_rng(checks.as_count("seed", seed, 0))
    try:
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
    except (ValueError, TypeError, NotImplementedError) as error:
        raise TypeError(
            f"model: Keras cannot copy it ({error}). Cure: pass a functional or Sequential model."
        ) from error
    copy.input_range = getattr(model, "input_range", None)
    layers = [layer for layer in copy._flatten_layers() if layer.weights and not hasattr(layer, "layers")]
    if not layers:
        raise ValueError("model: it has no weights to shuffle.")
    for layer in reversed(layers):
        layer.set_weights([generator.permutation(w.ravel()).reshape(w.shape) for w in layer.get_weights()])
        yield layer.name, copy


def randomisation(method, model, inputs, targets=None, *, seed=0, batch_size=BATCH_SIZE, **options):
    """How much of a map is left when the network's weights are shuffled, layer by layer, from the output down.

    `method`: a function of the catalogue, `options` its options; channels are summed. The class explained is that of
    the whole network. Returns (names of the layers in the order of shuffling, structural similarity (N, L), Spearman's
    correlation (N, L)) of each map with the map of the network as it is. A map that stays alike cannot speak of what
    the network has learned. Raises as `randomised` and the method do. Source: Adebayo et al. 2018, sec. 3.
    """
    _check_method(method)
    seed = checks.as_count("seed", seed, 0)
    query = Query(model, inputs, targets, batch_size=batch_size)

    def explain(network):
        maps = method(network, query.inputs, query.targets, batch_size=batch_size, **options)
        return maps.sum(axis=-1) if maps.ndim == query.inputs.ndim else maps

    whole, names, alike, ranked = explain(model), [], [], []
    for name, copy in randomised(model, seed=seed):
        maps = explain(copy)
        names.append(name)
        alike.append(metrics.similarity(whole, maps))
        ranked.append(metrics.rank_correlation(whole, maps))
    return names, np.stack(alike, axis=1), np.stack(ranked, axis=1)
