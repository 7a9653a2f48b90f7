"""Scores of an explanation that ask the model again: no truth is needed, and none is measured.

Deletion and insertion follow the class probability while positions go or come in the order of their relevance;
max-sensitivity and infidelity perturb the input; cascading randomisation perturbs the network. Shared arguments (model,
inputs, targets, seed, batch_size) are explained in `xai_utils`.
"""

import math

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.painting import Painting, in_graph
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import LOGIT, PROBABILITY
from heatproof.engine.stencils import first_ranks
from heatproof.hiding import baselines
from heatproof.metrics.randomisation import _unit_magnitude
from heatproof.problems import ArgumentTypeError, ArgumentValueError


def deletion_curve(
    model: keras.Model,
    inputs: npt.ArrayLike,
    relevance: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    steps: int | None = None,
    fill: str | npt.ArrayLike = "mean",
    score: str = PROBABILITY,
    activation: str | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The class probability while the most relevant positions are replaced, step by step, by `fill`.

    f(k) = S_c(x with its k n / K most relevant positions replaced), k = 0..K, n positions, K = `steps` (by default one
    position a step, at most 50). `relevance`: (N, H, W) or (N, T), see `xu.relevance`; among equals the earlier
    position goes first. `fill`: "zero", "mean", "blur", a number or an array. Returns float64 (N, K + 1). A curve that
    falls early says that the network needed what the map ranks first, or that the changed input is one it has never
    seen. Raises `ValueError` for shapes that do not fit, NaN, an unknown fill. Source: Petsiuk, Das, Saenko 2018, sec.
    3.3.
    """
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)
    return _curve(query, query.inputs, baselines(fill, query.inputs, "fill"), relevance, steps)


def insertion_curve(
    model: keras.Model,
    inputs: npt.ArrayLike,
    relevance: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    steps: int | None = None,
    fill: str | npt.ArrayLike = "blur",
    score: str = PROBABILITY,
    activation: str | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The class probability while the most relevant positions return, step by step, to an input that is all `fill`.

    f(k) = S_c(fill with the k n / K most relevant positions of x). Arguments, errors and source as in `deletion_curve`;
    "blur" is the paper's start, because sharp pieces on an even ground make edges that the input does not have.
    """
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)
    return _curve(query, baselines(fill, query.inputs, "fill"), query.inputs, relevance, steps)


def area_under_curve(curves: npt.ArrayLike, at: npt.ArrayLike | None = None) -> np.ndarray:
    """The mean height of each curve, by trapezoids: sum_k (t(k) - t(k-1)) (f(k-1) + f(k)) / 2 / (t(K) - t(0)).

    `curves`: f, (N, K + 1). `at`: t, (K + 1,), where its points lie, such as 0 and the rising shares of
    `removal_curve`; None: equally far apart, as the steps of deletion and insertion are. Returns (N,). Lower is better
    for deletion and removal, higher for insertion. Raises `ValueError` for shapes that do not fit, NaN, or an `at` that
    does not rise.
    """
    curves = checks.as_finite("curves", curves)
    if curves.ndim != 2 or curves.shape[1] < 2:
        raise ArgumentValueError("curves", f"shape {curves.shape}", "(N, steps + 1), as deletion_curve returns")
    if at is None:
        return np.trapezoid(curves, dx=1 / (curves.shape[1] - 1), axis=1)
    at = checks.as_finite("at", at)
    if at.shape != curves.shape[1:]:
        raise ArgumentValueError("at", f"shape {at.shape}", f"{curves.shape[1:]} for curves of {curves.shape}")
    if not (np.diff(at) > 0).all():
        raise ArgumentValueError("at", checks.shown(at.tolist()), "numbers that rise")
    return np.trapezoid(curves, at, axis=1) / (at[-1] - at[0])


def _curve(query, before, after, relevance, steps):
    """S_c of `before` with its most relevant positions taken from `after`, more of them at every step."""
    order = _order(relevance, query.inputs.shape)
    positions = order.shape[1]
    steps = min(positions, 50) if steps is None else checks.as_count("steps", steps, 1, positions)
    counts = np.round(np.linspace(0, positions, steps + 1)).astype(np.int32)
    if in_graph(query):  # the rank of each position is its place in the order
        ranks, codes = np.argsort(order, axis=1).reshape(query.inputs.shape[:-1]), [counts.astype(np.int64)]
        return Painting(query, first_ranks, after, before, codes, lambda item: [ranks[item]], "curve").scores()
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
    relevance = _relevance(relevance, shape)
    return np.argsort(-relevance.reshape(len(relevance), -1), axis=1, kind="stable")


def _relevance(relevance, shape):
    """Finite relevance, one for each position of inputs of `shape`."""
    relevance = checks.as_finite("relevance", relevance)
    if relevance.shape != shape[:-1]:
        raise ArgumentValueError("relevance", f"shape {relevance.shape}", f"{shape[:-1]} for inputs of {shape}")
    return relevance


def infidelity(
    model: keras.Model,
    inputs: npt.ArrayLike,
    attribution: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    noise: float = 0.1,
    samples: int = 200,
    seed: int = 0,
    score: str = LOGIT,
    activation: str | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
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
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)
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


def _attribution(attribution, shape):
    M = checks.as_finite("attribution", attribution)
    if M.shape not in (shape, shape[:-1]):
        raise ArgumentValueError("attribution", f"shape {M.shape}", f"{shape} or {shape[:-1]} for inputs of {shape}")
    return M if M.shape == shape else M[..., None]


def keep_top(inputs: npt.ArrayLike, relevance: npt.ArrayLike, fraction: float = 0.15, fill: float = 0.0) -> np.ndarray:
    """Return the inputs with only their most relevant `fraction` of positions kept and `fill` everywhere else.

    ceil(fraction * positions) positions are kept; among equals the earlier one. `inputs` (N, H, W, C) or (N, T, C).
    Raises `ValueError` for shapes that do not fit or a fraction outside (0, 1].
    """
    inputs, fill = _points(inputs), checks.as_number("fill", fill)
    fraction = checks.as_number("fraction", fraction, 0, 1, open_ends="low")
    relevance = _relevance(relevance, inputs.shape)
    flat = relevance.reshape(len(relevance), -1)
    count = math.ceil(round(fraction * flat.shape[1], 9))
    kept = np.zeros(flat.shape, bool)
    np.put_along_axis(kept, np.argsort(-flat, axis=1, kind="stable")[:, :count], True, axis=1)
    return np.where(kept.reshape(relevance.shape)[..., None], inputs, inputs.dtype.type(fill))


def soft_mask(inputs: npt.ArrayLike, relevance: npt.ArrayLike, fill: float = 0.0) -> np.ndarray:
    """Return the inputs dimmed by their relevance: m x + (1 - m) fill with m = R / max R of each item.

    `inputs` (N, H, W, C) or (N, T, C), `relevance` (N, H, W) or (N, T); an all-zero map leaves nothing but `fill`.
    Raises `ValueError` for shapes that do not fit or negative relevance. Source: Chattopadhay et al. 2018, sec. 4.1
    (fill 0).
    """
    inputs = _points(inputs)
    relevance = _relevance(relevance, inputs.shape)
    checks.as_relevance(relevance)
    m = _unit_magnitude(relevance)[..., None]
    return (m * inputs + (1 - m) * checks.as_number("fill", fill)).astype(inputs.dtype)


def average_drop(full: npt.ArrayLike, kept: npt.ArrayLike) -> float:
    """How much of the class probability is lost, in percent: 100 * mean(max(0, Y - O) / Y).

    `full`: Y, the probability of the class on the whole input; `kept`: O, on the input reduced to its relevant part;
    both (N,). Lower is better. Raises `ValueError` for shapes that differ or Y <= 0. Source: Chattopadhay et al. 2018.
    """
    full, kept = _pair(full, kept)
    return float(100 * np.mean(np.maximum(0, full - kept) / full))


def average_increase(full: npt.ArrayLike, kept: npt.ArrayLike) -> float:
    """How often the class probability rises, in percent: 100 * mean(1[Y < O]).

    Arguments as in `average_drop`. Higher is better. Source: Chattopadhay et al. 2018.
    """
    full, kept = _pair(full, kept)
    return float(100 * np.mean(full < kept))


def completeness_gap(attribution: npt.ArrayLike, score: npt.ArrayLike, baseline_score: npt.ArrayLike) -> np.ndarray:
    """How far an additive attribution is from adding up: |sum M - (S(x) - S(x'))| / max(|S(x) - S(x')|, 1e-6).

    `attribution` (N, ...); `score`, `baseline_score` (N,). Returns (N,). Source: Sundararajan, Taly, Yan 2017, prop. 1.
    """
    attribution = checks.as_finite("attribution", attribution)
    if attribution.ndim < 2:
        raise ArgumentValueError("attribution", f"shape {attribution.shape}", "(N, ...)")
    given = {"score": score, "baseline_score": baseline_score}
    score, baseline_score = (_scores(name, values, len(attribution)) for name, values in given.items())
    difference = score - baseline_score
    total = attribution.reshape(len(attribution), -1).sum(axis=1)
    return np.abs(total - difference) / np.maximum(np.abs(difference), 1e-6)


def _scores(name, values, count):
    values = checks.as_finite(name, values)
    if values.shape != (count,):
        raise ArgumentValueError(name, f"shape {values.shape}", f"one finite score per attribution, ({count},)")
    return values


def _points(inputs):
    array = checks.as_array("inputs", inputs)
    if array.dtype.kind != "f":
        raise ArgumentTypeError("inputs", f"{array.dtype} values", "floats in the model's own units")
    if not np.isfinite(array).all():
        raise ArgumentValueError("inputs", "NaN or infinity", "finite values alone", "look at the data first")
    return array


def _pair(full, kept):
    full, kept = checks.as_numbers("full", full), checks.as_numbers("kept", kept)
    if full.ndim != 1:
        raise ArgumentValueError("full", f"shape {full.shape}", "one probability per input, (N,)")
    if full.shape != kept.shape:
        raise ArgumentValueError("kept", f"shape {kept.shape}", f"one probability per input, as in full, {full.shape}")
    if not (full > 0).all():
        given = "a probability that is not above 0"
        raise ArgumentValueError("full", given, "probabilities above 0, because the drop is relative to them")
    for name, values in {"full": full, "kept": kept}.items():
        if not ((values >= 0) & (values <= 1 + 1e-6)).all():
            given = "values outside 0 to 1, or NaN"
            raise ArgumentValueError(name, given, "probabilities, as xu.scores gives them")
    return full, kept
