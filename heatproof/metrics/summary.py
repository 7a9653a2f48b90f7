"""The means of a table of `evaluate` with intervals, and whether two metrics rank the methods alike."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from heatproof import checks
from heatproof.problems import ArgumentTypeError, ArgumentValueError

KEYS = ["method", "metric", "item"]


def summarise(frame: pd.DataFrame, resamples: int = 2000, seed: int = 0, against: str | None = None) -> pd.DataFrame:
    """Return the mean of every method and metric over the items, with the 95 % interval of the percentile bootstrap.

    `frame` is a table of `evaluate`. Items without a value are left out and counted in `failed`. With `against` (the
    name of a method) also the mean difference to it over the items that both have, with its interval: the paired
    comparison, which is narrower than what two intervals suggest. An interval speaks of other items, not of another
    network. Columns: method, metric, mean, low, high, items, failed and, with `against`, difference, difference low,
    difference high. Raises `ValueError` for a frame without the columns or an unknown `against`.
    Source: Efron and Tibshirani 1993, ch. 13.
    """
    _check_table(frame)
    resamples, seed = checks.as_count("resamples", resamples), checks.as_count("seed", seed, 0)
    if against is not None:
        checks.one_of("against", against, tuple(frame["method"].unique()))
    rows = []
    for (method, metric), group in frame.groupby(["method", "metric"], sort=False):
        values = group.set_index("item")["value"]
        mean, low, high = _bootstrap(values.dropna().to_numpy(), resamples, seed)
        row = {"method": method, "metric": metric, "mean": mean, "low": low, "high": high}
        row |= {"items": len(values), "failed": int(values.isna().sum())}
        if against is not None:
            other = frame[(frame["method"] == against) & (frame["metric"] == metric)].set_index("item")["value"]
            found = _bootstrap((values - other).dropna().to_numpy(), resamples, seed)
            row |= dict(zip(("difference", "difference low", "difference high"), found, strict=True))
        rows.append(row)
    return pd.DataFrame(rows)


def _check_table(frame):
    if not isinstance(frame, pd.DataFrame):
        raise ArgumentTypeError("frame", type(frame).__name__, "a table of xu.evaluate, a pandas DataFrame")
    if missing := [name for name in [*KEYS, "value"] if name not in frame]:
        raise ArgumentValueError("frame", f"a table that lacks the columns {missing}", "a table of xu.evaluate")
    if frame.duplicated(KEYS).any():
        given = "two rows for one method, metric and item"
        raise ArgumentValueError("frame", given, cure="summarise one run at a time")


def _bootstrap(values, resamples, seed):
    """Mean and the 2.5th and 97.5th percentile of the means of resampled values; equal lengths share the draws."""
    if not len(values):
        return np.nan, np.nan, np.nan
    draws = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    return values.mean(), *np.percentile(values[draws].mean(axis=1), [2.5, 97.5])


def rank_agreement(frame: pd.DataFrame, one: str, other: str, resamples: int = 2000, seed: int = 0) -> dict:
    """Return Spearman's correlation, over the methods, of their means of two metrics, with its 95 % interval.

    1: the metrics put the methods in the same order; -1: in the reverse one. `frame` is a table of `evaluate`; items
    are resampled, the methods are not, so the interval speaks of other items and not of other methods. Items that lack
    a value somewhere count where they have one. Returns {"correlation", "low", "high", "methods"}. Raises `ValueError`
    for a metric that is not in the table or fewer than three methods that have both.
    """
    _check_table(frame)
    resamples, seed = checks.as_count("resamples", resamples), checks.as_count("seed", seed, 0)
    tables = [_by_item(frame, name, metric) for name, metric in (("one", one), ("other", other))]
    methods = [name for name in tables[0].columns if name in tables[1] and all(t[name].notna().any() for t in tables)]
    if len(methods) < 3:
        given = f"only {methods} with both {one} and {other}"
        raise ArgumentValueError("frame", given, "three methods or more, to have ranks")
    items = tables[0].index.union(tables[1].index)
    draws = np.random.default_rng(seed).integers(0, len(items), (resamples, len(items)))
    counts = np.stack([np.ones(len(items)), *(np.bincount(draw, minlength=len(items)) for draw in draws)])
    ranks = [rankdata(_means(table[methods].reindex(items).to_numpy(), counts), axis=1) for table in tables]
    one, other = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    found = (one * other).sum(axis=1) / np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    low, high = np.nanpercentile(found[1:], [2.5, 97.5])
    return {"correlation": float(found[0]), "low": float(low), "high": float(high), "methods": len(methods)}


def _by_item(frame, name, metric):
    checks.one_of(name, metric, tuple(frame["metric"].unique()))
    return frame[frame["metric"] == metric].pivot(index="item", columns="method", values="value")


def _means(values, counts):
    """The mean over items, each taken as often as `counts` says, of what is not NaN: (draws, methods)."""
    there = np.isfinite(values)
    return counts @ np.where(there, values, 0) / (counts @ there)
