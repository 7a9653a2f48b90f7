"""Clever Hans: would maps have warned that a network reads an artefact?

A network that was trained where an artefact names the class is compared with its clean twin on the same pictures. From
each map, or from several, a number is taken that should be higher for the network that cheats: how dense the relevance
is on the artefact, where one knows it, or how concentrated the maps are, where one does not.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binomtest, rankdata

from heatproof import checks
from heatproof.metrics.localisation import evidence_mass
from heatproof.metrics.summary import _resampled
from heatproof.problems import ArgumentTypeError, ArgumentValueError


def evidence_density(relevance: npt.ArrayLike, mask: npt.ArrayLike) -> np.ndarray:
    """The relevance in a region, in multiples of what its area alone would have.

    d = m / a, m the `evidence_mass` and a the region's share of the positions: 1 for a map that does not see the
    region, 0 for one that avoids it, 1 / a at most. NaN for an all-zero map or an empty region. Returns (N,). Raises
    as `evidence_mass`.
    """
    mass = evidence_mass(relevance, mask)
    area = np.asarray(mask).reshape(len(mass), -1).mean(axis=1)
    return np.divide(mass, area, out=np.full(len(mass), np.nan), where=area > 0)


def concentration(relevance: npt.ArrayLike) -> float:
    """How few positions several maps have in common: 0 for an even mean map, 1 where it is all on one position.

    1 + sum_p q(p) ln q(p) / ln P over the P positions, q the mean of the maps, each divided by its sum: an artefact at
    one place concentrates the mean map, evidence that moves from picture to picture spreads it. Maps that are zero
    everywhere are left out; NaN where no other is there. `relevance`: (N, ...), not negative. Raises `ValueError` for
    negative relevance, NaN, or a single position.
    """
    relevance = checks.as_numbers("relevance", relevance)
    checks.as_relevance(relevance)
    if relevance.ndim < 2 or relevance[:1].size < 2:
        raise ArgumentValueError("relevance", f"shape {relevance.shape}", "maps (N, ...) of two positions or more")
    flat = relevance.reshape(len(relevance), -1)
    flat = flat[flat.any(axis=1)]
    if not len(flat):
        return np.nan
    q = (flat / flat.sum(axis=1, keepdims=True)).mean(axis=0)
    return float(1 + (q * np.log(q, out=np.zeros_like(q), where=q > 0)).sum() / np.log(q.size))


def detection(
    suspect: npt.ArrayLike,
    clean: npt.ArrayLike,
    validation: npt.ArrayLike,
    *,
    maps: Sequence[int] = (1, 5, 20),
    false_alarms: float = 0.05,
    statistic: Callable = np.mean,
    two_sided: bool = False,
    resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """How often k maps of a network that cheats raise an alarm, when those of its clean twin seldom do.

    `suspect`, `clean`: (N, ...) of the two networks on the same N pictures, a number for each map (such as its
    `evidence_density` on the artefact) or the maps themselves; `validation`: (V, ...) of the clean twin on other
    pictures. `statistic`: k of these -> one number, higher for a network that cheats; the mean of numbers, or
    `concentration` of maps. The alarm is a number above the threshold that the share `false_alarms` of groups of k
    validation pictures exceeds, drawn `resamples` times; with `two_sided` numbers stand for their distances from the
    median of these groups, so that a number that is too low raises it too. The N pictures are cut at random into
    groups of k that share no picture, the same groups for both networks. Returns a row for each k of `maps`: maps,
    groups, auc (the share of pairs of groups in which the suspect has the higher number, ties count half), power and
    false_alarms (the shares of groups with an alarm), threshold, and for auc, power and false_alarms the ends of
    their 95 % intervals ("power low", "power high", ...): Wilson's, and the percentile bootstrap over groups for auc.
    Raises `TypeError`, `ValueError` for arrays that do not fit, NaN, or more maps in a group than pictures.
    """
    suspect, clean = checks.as_finite("suspect", suspect), checks.as_finite("clean", clean)
    validation = checks.as_finite("validation", validation)
    if suspect.ndim < 1 or suspect.shape != clean.shape:
        raise ArgumentValueError("clean", f"shape {clean.shape}", f"{suspect.shape}, the same pictures as `suspect`")
    if validation.shape[1:] != suspect.shape[1:] or validation.ndim < 1:
        allowed = f"({', '.join(['V', *map(str, suspect.shape[1:])])}), as `suspect`"
        raise ArgumentValueError("validation", f"shape {validation.shape}", allowed)
    false_alarms = checks.as_number("false_alarms", false_alarms, 0, 1, open_ends=True)
    resamples, seed = checks.as_count("resamples", resamples), checks.as_count("seed", seed, 0)
    two_sided = checks.as_flag("two_sided", two_sided)
    if not callable(statistic):
        raise ArgumentTypeError("statistic", checks.shown(statistic), "a function of k numbers or maps, as numpy.mean")
    rows = []
    for k in _sizes(maps, min(len(suspect), len(validation))):
        generator = np.random.default_rng([seed, k])
        rounds = -(-resamples * k // (len(validation) // k * k))
        drawn = np.concatenate([_groups(len(validation), k, generator) for _ in range(rounds)])
        ordinary = np.array([statistic(validation[group]) for group in drawn])
        groups = _groups(len(suspect), k, generator)
        told, twin = (np.array([statistic(each[group]) for group in groups]) for each in (suspect, clean))
        if two_sided:
            ordinary, told, twin = (np.abs(part - np.median(ordinary)) for part in (ordinary, told, twin))
        threshold = np.quantile(ordinary, 1 - false_alarms, method="higher")
        rows.append(_row(k, told, twin, threshold, resamples, seed))
    return pd.DataFrame(rows)


def _sizes(maps, most):
    """The sizes of groups, each an integer from 1 to `most`."""
    if not np.iterable(maps) or isinstance(maps, (str, bytes, dict)) or not list(maps):
        raise ArgumentTypeError("maps", checks.shown(maps), "a list of numbers of maps, such as (1, 5, 20)")
    return [checks.as_count("maps", k, 1, most) for k in maps]


def _groups(count, k, generator):
    """All of `count` places but a rest, at random in groups of k."""
    return generator.permutation(count)[: count // k * k].reshape(-1, k)


def _row(k, suspect, clean, threshold, resamples, seed):
    places = np.arange(len(suspect))
    found = {"maps": k, "groups": len(places), "threshold": threshold, "auc": _auc(suspect, clean)}

    def again(draws, axis=-1):
        return _auc(suspect[draws], clean[draws])

    ends = _resampled(places, again, resamples, seed).confidence_interval if len(places) > 1 else (0.0, 1.0)
    found |= dict(zip(("auc low", "auc high"), ends, strict=True))
    for name, values in (("power", suspect), ("false_alarms", clean)):
        alarms = int((values > threshold).sum())
        interval = binomtest(alarms, len(places)).proportion_ci(0.95, method="wilson")
        found |= {name: alarms / len(places), f"{name} low": interval.low, f"{name} high": interval.high}
    return found


def _auc(suspect, clean):
    """The share of pairs in which the first is higher, ties half, along the last axis: Mann and Whitney's U / n^2."""
    count = suspect.shape[-1]
    ranks = rankdata(np.concatenate([suspect, clean], axis=-1), axis=-1)[..., :count]
    return (ranks.sum(axis=-1) - count * (count + 1) / 2) / count**2
