"""Scores of an explanation against a known truth.

Every function takes plain arrays, so that each can be worked by hand. `relevance` is the non-negative reduction of an
attribution, (N, H, W) or (N, T), which `xu.relevance` makes.
"""

import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.problems import ArgumentValueError


def evidence_mass(relevance: npt.ArrayLike, mask: npt.ArrayLike) -> np.ndarray:
    """The share of the relevance that lies on the evidence.

    m = sum_p R(p) 1[p in mask] / sum_p R(p), in [0, 1]; NaN where all R(p) are 0. `mask`: bool, in the shape of
    `relevance`. A map that ignores the mask has m equal to the mask's share of the positions. Returns (N,). Raises
    `ValueError` for shapes that differ, a mask that is not boolean, or negative relevance.
    """
    relevance, mask = _flat(relevance, mask)
    total = relevance.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, (relevance * mask).sum(axis=1) / total, np.nan)


def pointing_game(relevance: npt.ArrayLike, mask: npt.ArrayLike) -> np.ndarray:
    """Whether the most relevant position lies on the evidence: 1 or 0, with ties shared; NaN for an all-zero map.

    Returns (N,). Raises as `evidence_mass`. Source: Zhang et al. 2018 (without their tolerance of 15 pixels).
    """
    relevance, mask = _flat(relevance, mask)
    top = relevance == relevance.max(axis=1, keepdims=True)
    hits = (top & mask).sum(axis=1) / top.sum(axis=1)
    return np.where(relevance.any(axis=1), hits, np.nan)


def rank_accuracy(relevance: npt.ArrayLike, mask: npt.ArrayLike) -> np.ndarray:
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


def average_precision(relevance: npt.ArrayLike, mask: npt.ArrayLike) -> np.ndarray:
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


def _flat(relevance, mask):
    relevance, mask = checks.as_numbers("relevance", relevance), checks.as_array("mask", mask)
    if relevance.ndim < 2 <= mask.ndim:
        raise ArgumentValueError("relevance", f"shape {relevance.shape}", f"{mask.shape}, (N, ...), as the mask")
    if mask.dtype != bool:
        cure = "threshold a fractional one first"
        raise ArgumentValueError("mask", f"dtype {mask.dtype}", "a boolean mask", cure)
    if relevance.shape != mask.shape or relevance.ndim < 2:
        raise ArgumentValueError("mask", f"shape {mask.shape}", f"{relevance.shape}, (N, ...), as the relevance")
    checks.as_relevance(relevance)
    return relevance.reshape(len(relevance), -1), mask.reshape(len(mask), -1)
