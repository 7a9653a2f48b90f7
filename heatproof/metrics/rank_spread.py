"""Ranks of methods, spread over items and trainings: what holds for the method and not for one network alone."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata, studentized_range

from heatproof import checks
from heatproof.metrics.catalogue import METRICS
from heatproof.problems import ArgumentTypeError, ArgumentValueError

COLUMNS = ["method", "training", "metric", "item", "value"]


def rank_spread(
    frame: pd.DataFrame, metric: str, *, better: str | None = None, resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Return the mean rank of every method over the trainings of a network, 1 for the best, and how far it spreads.

    `frame` has a row for each method, training, metric and item, and its value; all trainings share their items. In
    each training the methods are ranked by their means over the items, ties share their ranks. Columns: method, rank
    (the mean over trainings), low and high (its 95 % percentile interval, items and trainings drawn anew), spread (the
    standard deviation of the rank over trainings), and critical (the same for all): two mean ranks differ at the
    5 % level, among all pairs, if they are further apart than CD = q sqrt(k (k + 1) / (6 T)) for k methods and T
    trainings, q the upper 5 % point of the studentised range over sqrt(2). A method without a value in some training is
    left out. `better`: "high" or "low", None asks METRICS. Raises `TypeError`, `ValueError` for a frame without the
    columns, a double row, an unknown metric, fewer than two methods or trainings. Source: Demsar 2006, sec. 3.2.
    """
    values, methods = _values(frame, metric)
    better = getattr(METRICS.get(metric), "better", "") if better is None else better
    sign = {"high": -1, "low": 1}[checks.one_of("better", better, ("high", "low"))]
    resamples, seed = checks.as_count("resamples", resamples), checks.as_count("seed", seed, 0)
    trainings, count, items = values.shape
    ranks = _ranks(values, np.ones(items), sign)
    generator, again = np.random.default_rng(seed), np.empty((resamples, count))
    for draw in range(resamples):
        taken = np.bincount(generator.integers(items, size=items), minlength=items)
        again[draw] = _ranks(values[generator.integers(trainings, size=trainings)], taken, sign).mean(axis=0)
    low, high = np.nanpercentile(again, [2.5, 97.5], axis=0)
    q = studentized_range.ppf(0.95, count, np.inf) / np.sqrt(2)
    columns = {"method": methods, "rank": ranks.mean(axis=0), "low": low, "high": high}
    columns |= {"spread": ranks.std(axis=0, ddof=1), "critical": q * np.sqrt(count * (count + 1) / (6 * trainings))}
    return pd.DataFrame(columns).sort_values("rank", kind="stable", ignore_index=True)


def _ranks(values, weights, sign):
    """The ranks of the methods in each training by their weighted means over the items: (trainings, methods)."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means = (np.where(there, values, 0) @ weights) / (there @ weights)
    return rankdata(sign * means, axis=1, nan_policy="omit")


def _values(frame, metric):
    """(trainings, methods, items) of a metric, and the methods that have a value in every training."""
    if not isinstance(frame, pd.DataFrame):
        raise ArgumentTypeError("frame", type(frame).__name__, "a pandas DataFrame with a row for each value")
    if missing := [name for name in COLUMNS if name not in frame]:
        raise ArgumentValueError("frame", f"a table that lacks the columns {missing}", f"one with {COLUMNS}")
    checks.one_of("metric", metric, tuple(frame["metric"].unique()))
    part = frame[frame["metric"] == metric]
    if part.duplicated(COLUMNS[:4]).any():
        raise ArgumentValueError("frame", "two rows for one method, training, metric and item", "one row for each")
    wide = part.pivot(index=["training", "method"], columns="item", values="value")
    usable = wide.notna().any(axis=1).unstack("training", fill_value=False).all(axis=1)
    methods, trainings = list(usable.index[usable]), part["training"].unique()
    if len(methods) < 2 or len(trainings) < 2:
        given = f"{len(methods)} methods with values in all of {len(trainings)} trainings"
        raise ArgumentValueError("frame", given, "two methods or more in two trainings or more")
    return np.stack([wide.loc[training].loc[methods].to_numpy(float) for training in trainings]), methods
