"""Scores of an explanation against a known truth or against the model itself.

Every function takes plain arrays, so that each can be worked by hand. `relevance` is the non-negative reduction of an
attribution, (N, H, W) or (N, T), which `xai.registry.relevance` makes.
"""

import math

import numpy as np

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


def keep_top(inputs, relevance, fraction=0.15, fill=0.0):
    """Return the inputs with only their most relevant `fraction` of positions kept and `fill` everywhere else.

    ceil(fraction * positions) positions are kept; among equals the earlier one. `inputs` (N, H, W, C) or (N, T, C).
    Raises `ValueError` for shapes that do not fit or a fraction outside (0, 1].
    """
    inputs, relevance = np.asarray(inputs), np.asarray(relevance)
    if checks.as_number("fraction", fraction, 0, 1) == 0:
        raise ValueError("fraction: got 0; pass a number above 0 and at most 1.")
    if relevance.shape != inputs.shape[:-1]:
        raise ValueError(f"relevance: got shape {relevance.shape}; inputs of {inputs.shape} need {inputs.shape[:-1]}.")
    flat = relevance.reshape(len(relevance), -1)
    count = math.ceil(round(fraction * flat.shape[1], 9))
    kept = np.zeros(flat.shape, bool)
    np.put_along_axis(kept, np.argsort(-flat, axis=1, kind="stable")[:, :count], True, axis=1)
    return np.where(kept.reshape(relevance.shape)[..., None], inputs, inputs.dtype.type(fill))


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
    attribution = np.asarray(attribution, np.float64)
    difference = np.asarray(score, np.float64) - np.asarray(baseline_score, np.float64)
    if difference.shape != attribution.shape[:1]:
        raise ValueError(
            f"score: got shape {difference.shape}; pass one score per attribution, {attribution.shape[:1]}."
        )
    total = attribution.reshape(len(attribution), -1).sum(axis=1)
    return np.abs(total - difference) / np.maximum(np.abs(difference), 1e-6)


def _flat(relevance, mask):
    relevance, mask = np.asarray(relevance, np.float64), np.asarray(mask)
    if mask.dtype != bool:
        raise ValueError(f"mask: got dtype {mask.dtype}; pass a boolean mask (threshold a fractional one first).")
    if relevance.shape != mask.shape or relevance.ndim < 2:
        raise ValueError(f"mask: got shape {mask.shape}; relevance of {relevance.shape} needs the same, (N, ...).")
    if not (relevance >= 0).all():
        raise ValueError("relevance: has negative or NaN values. Cure: reduce the attribution with xu.relevance first.")
    return relevance.reshape(len(relevance), -1), mask.reshape(len(mask), -1)


def _pair(full, kept):
    full, kept = np.asarray(full, np.float64), np.asarray(kept, np.float64)
    if full.shape != kept.shape or full.ndim != 1:
        raise ValueError(f"kept: got shape {kept.shape}; pass one probability per input, as in full, {full.shape}.")
    if not (full > 0).all():
        raise ValueError("full: has a probability that is not above 0; the drop is relative to it.")
    return full, kept
