"""Scores of an explanation against a known truth, or of two arrays of probabilities.

Every function takes plain arrays, so that each can be worked by hand; what asks the model again stands in
`xai.faithfulness`. `relevance` is the non-negative reduction of an attribution, (N, H, W) or (N, T), which
`xai.registry.relevance` makes.
"""

import math

import numpy as np
import scipy
import skimage

from xai import checks


def evidence_mass(relevance, mask):
    """The share of the relevance that lies on the evidence.

    m = sum_p R(p) 1[p in mask] / sum_p R(p), in [0, 1]; NaN where all R(p) are 0. `mask`: bool, in the shape of
    `relevance`. A map that ignores the mask has m equal to the mask's share of the positions. Returns (N,). Raises
    `ValueError` for shapes that differ, a mask that is not boolean, or negative relevance.
    """
    relevance, mask = _flat(relevance, mask)
    total = relevance.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, (relevance * mask).sum(axis=1) / total, np.nan)


def pointing_game(relevance, mask):
    """Whether the most relevant position lies on the evidence: 1 or 0, with ties shared; NaN for an all-zero map.

    Returns (N,). Raises as `evidence_mass`. Source: Zhang et al. 2018 (without their tolerance of 15 pixels).
    """
    relevance, mask = _flat(relevance, mask)
    top = relevance == relevance.max(axis=1, keepdims=True)
    hits = (top & mask).sum(axis=1) / top.sum(axis=1)
    return np.where(relevance.any(axis=1), hits, np.nan)


def rank_accuracy(relevance, mask):
    """The share of the K most relevant positions that lie on the evidence, with K the size of the evidence.

    a = |top_K and mask| / K, in [0, 1]; positions that tie for the last places share them. NaN for an all-zero map or
    an empty mask. Returns (N,). Raises as `evidence_mass`. Source: Arras, Osman, Samek 2022, eq. (2).
    """
    relevance, mask = _flat(relevance, mask)
    return np.array([_rank_accuracy(R, inside) for R, inside in zip(relevance, mask, strict=True)])


def _rank_accuracy(R, inside):
    K = inside.sum()
    if K == 0 or not R.any():
        return np.nan
    last = np.sort(R)[-K]
    above, tied = R > last, R == last
    return ((above & inside).sum() + (tied & inside).sum() * (K - above.sum()) / tied.sum()) / K


def average_precision(relevance, mask):
    """How well the relevance separates evidence from the rest: the area under its precision-recall curve.

    AP = sum_n (r_n - r_{n-1}) p_n over the thresholds n, with precision p_n and recall r_n of the positions above them;
    1 for a perfect order, about the mask's share of the positions for a random one. NaN for an all-zero map or an empty
    mask. Returns (N,). Raises as `evidence_mass`.
    """
    from sklearn.metrics import average_precision_score  # slow to import

    relevance, mask = _flat(relevance, mask)
    possible = relevance.any(axis=1) & mask.any(axis=1)
    pairs = zip(relevance, mask, possible, strict=True)
    return np.array([average_precision_score(inside, R) if able else np.nan for R, inside, able in pairs])


def rank_correlation(one, other):
    """Spearman's correlation of two arrays of maps, map by map: 1 for the same order of values, -1 for the reverse.

    `one`, `other`: (N, ...), equal shapes. NaN where a map is constant. Returns (N,). Raises `ValueError` for shapes
    that differ or NaN.
    """
    one, other = _maps("other", one, other)
    found = []
    for a, b in zip(one, other, strict=True):
        varied = np.ptp(a) > 0 and np.ptp(b) > 0
        found.append(scipy.stats.spearmanr(a.ravel(), b.ravel()).statistic if varied else np.nan)
    return np.array(found)


def similarity(one, other):
    """Structural similarity of two arrays of maps, each divided by its largest magnitude: 1 for equal pictures.

    `one`, `other`: (N, H, W) or (N, T), equal shapes, signed or not; sum the channels of a gradient method first. The
    window has 7 positions a side, or as many as fit. Returns (N,). Raises `ValueError` for shapes that differ, NaN, or
    a side below 3. Source: Wang et al. 2004; on maps Adebayo et al. 2018.
    """
    one, other = (_unit_magnitude(maps) for maps in _maps("other", one, other))
    side = min(one.shape[1:])
    if side < 3:
        raise ValueError(f"one: got shape {one.shape}; structural similarity needs sides of 3 or more.")
    window = min(7, side - 1 + side % 2)
    pairs = zip(one, other, strict=True)
    return np.array([skimage.metrics.structural_similarity(a, b, win_size=window, data_range=2.0) for a, b in pairs])


def _unit_magnitude(maps):
    """Each map divided by its largest magnitude; an all-zero map stays zero."""
    largest = np.abs(maps).max(axis=tuple(range(1, maps.ndim)), keepdims=True)
    return np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0)


def _maps(name, one, other):
    one, other = checks.as_numbers("one", one), checks.as_numbers(name, other)
    if one.ndim < 2 <= other.ndim:
        raise ValueError(f"one: got shape {one.shape}; pass maps with their batch axis, (N, ...).")
    if one.shape != other.shape or one.ndim < 2:
        raise ValueError(f"{name}: got shape {other.shape}; the first has {one.shape}, (N, ...), and both must agree.")
    for label, values in {name: other, "one": one}.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{label}: has NaN or infinite values; leave those items out.")
    return one, other


def keep_top(inputs, relevance, fraction=0.15, fill=0.0):
    """Return the inputs with only their most relevant `fraction` of positions kept and `fill` everywhere else.

    ceil(fraction * positions) positions are kept; among equals the earlier one. `inputs` (N, H, W, C) or (N, T, C).
    Raises `ValueError` for shapes that do not fit or a fraction outside (0, 1].
    """
    inputs, relevance = _points(inputs), checks.as_numbers("relevance", relevance)
    fill = checks.as_number("fill", fill)
    if checks.as_number("fraction", fraction, 0, 1) == 0:
        raise ValueError("fraction: got 0; pass a number above 0 and at most 1.")
    if relevance.shape != inputs.shape[:-1]:
        raise ValueError(f"relevance: got shape {relevance.shape}; inputs of {inputs.shape} need {inputs.shape[:-1]}.")
    if not np.isfinite(relevance).all():
        raise ValueError("relevance: has NaN or infinite values; leave those items out.")
    flat = relevance.reshape(len(relevance), -1)
    count = math.ceil(round(fraction * flat.shape[1], 9))
    kept = np.zeros(flat.shape, bool)
    np.put_along_axis(kept, np.argsort(-flat, axis=1, kind="stable")[:, :count], True, axis=1)
    return np.where(kept.reshape(relevance.shape)[..., None], inputs, inputs.dtype.type(fill))


def soft_mask(inputs, relevance, fill=0.0):
    """Return the inputs dimmed by their relevance: m x + (1 - m) fill with m = R / max R of each item.

    `inputs` (N, H, W, C) or (N, T, C), `relevance` (N, H, W) or (N, T); an all-zero map leaves nothing but `fill`.
    Raises `ValueError` for shapes that do not fit or negative relevance. Source: Chattopadhay et al. 2018, sec. 4.1
    (fill 0).
    """
    inputs, relevance = _points(inputs), checks.as_numbers("relevance", relevance)
    if relevance.shape != inputs.shape[:-1]:
        raise ValueError(f"relevance: got shape {relevance.shape}; inputs of {inputs.shape} need {inputs.shape[:-1]}.")
    _check_relevance(relevance)
    m = _unit_magnitude(relevance)[..., None]
    return (m * inputs + (1 - m) * checks.as_number("fill", fill)).astype(inputs.dtype)


def average_drop(full, kept):
    """How much of the class probability is lost, in percent: 100 * mean(max(0, Y - O) / Y).

    `full`: Y, the probability of the class on the whole input; `kept`: O, on the input reduced to its relevant part;
    both (N,). Lower is better. Raises `ValueError` for shapes that differ or Y <= 0. Source: Chattopadhay et al. 2018.
    """
    full, kept = _pair(full, kept)
    return float(100 * np.mean(np.maximum(0, full - kept) / full))


def average_increase(full, kept):
    """How often the class probability rises, in percent: 100 * mean(1[Y < O]).

    Arguments as in `average_drop`. Higher is better. Source: Chattopadhay et al. 2018.
    """
    full, kept = _pair(full, kept)
    return float(100 * np.mean(full < kept))


def completeness_gap(attribution, score, baseline_score):
    """How far an additive attribution is from adding up: |sum M - (S(x) - S(x'))| / max(|S(x) - S(x')|, 1e-6).

    `attribution` (N, ...); `score`, `baseline_score` (N,). Returns (N,). Source: Sundararajan, Taly, Yan 2017, prop. 1.
    """
    attribution = checks.as_numbers("attribution", attribution)
    if attribution.ndim < 2 or not np.isfinite(attribution).all():
        raise ValueError(f"attribution: got shape {attribution.shape}; pass finite values of shape (N, ...).")
    given = {"score": score, "baseline_score": baseline_score}
    score, baseline_score = (_scores(name, values, len(attribution)) for name, values in given.items())
    difference = score - baseline_score
    total = attribution.reshape(len(attribution), -1).sum(axis=1)
    return np.abs(total - difference) / np.maximum(np.abs(difference), 1e-6)


def _scores(name, values, count):
    values = checks.as_numbers(name, values)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise ValueError(f"{name}: got shape {values.shape}; pass one finite score per attribution, ({count},).")
    return values


def _points(inputs):
    array = checks.as_array("inputs", inputs)
    if array.dtype.kind != "f":
        raise TypeError(f"inputs: got {array.dtype} values; pass floats in the model's own units.")
    if not np.isfinite(array).all():
        raise ValueError("inputs: holds NaN or infinity; every value must be finite. Cure: look at the data first.")
    return array


def _check_relevance(relevance):
    if not ((relevance >= 0) & (relevance < np.inf)).all():
        raise ValueError(
            "relevance: has negative or NaN values, or infinity. Cure: reduce the attribution with xu.relevance first."
        )


def _flat(relevance, mask):
    relevance, mask = checks.as_numbers("relevance", relevance), checks.as_array("mask", mask)
    if relevance.ndim < 2 <= mask.ndim:
        raise ValueError(f"relevance: got shape {relevance.shape}; the mask has {mask.shape}, (N, ...).")
    if mask.dtype != bool:
        raise ValueError(f"mask: got dtype {mask.dtype}; pass a boolean mask (threshold a fractional one first).")
    if relevance.shape != mask.shape or relevance.ndim < 2:
        raise ValueError(f"mask: got shape {mask.shape}; relevance of {relevance.shape} needs the same, (N, ...).")
    _check_relevance(relevance)
    return relevance.reshape(len(relevance), -1), mask.reshape(len(mask), -1)


def _pair(full, kept):
    full, kept = checks.as_numbers("full", full), checks.as_numbers("kept", kept)
    if full.ndim != 1:
        raise ValueError(f"full: got shape {full.shape}; pass one probability per input, (N,).")
    if full.shape != kept.shape:
        raise ValueError(f"kept: got shape {kept.shape}; pass one probability per input, as in full, {full.shape}.")
    if not (full > 0).all():
        raise ValueError("full: has a probability that is not above 0; the drop is relative to it.")
    for name, values in {"full": full, "kept": kept}.items():
        if not ((values >= 0) & (values <= 1 + 1e-6)).all():
            raise ValueError(f"{name}: has values outside 0 to 1, or NaN; pass probabilities, xu.scores gives them.")
    return full, kept
