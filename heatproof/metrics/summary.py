"""The means of a table of `evaluate` with intervals, and whether two metrics rank the methods alike."""

import numpy as np
import pandas as pd
from scipy.stats import bootstrap, rankdata

from heatproof import checks
from heatproof.methods.catalogue import METHODS
from heatproof.metrics.catalogue import METRICS
from heatproof.problems import ArgumentTypeError, ArgumentValueError

KEYS = ["method", "metric", "item"]


def summarise(frame: pd.DataFrame, resamples: int = 2000, seed: int = 0, against: str | None = None) -> pd.DataFrame:
    """Return the mean of every method and metric over the items, with the 95 % interval of the percentile bootstrap.

    `frame` is a table of `evaluate`. Items without a value are left out and counted in `failed`. With `against` (the
    name of a method) also the mean difference to it over the items that both have, with its interval: the paired
    comparison, which is narrower than what two intervals suggest. An interval speaks of other items, not of another
    network. Columns: method, metric, mean, low, high, items, failed; with `against` difference, difference low and
    difference high; then family (of the method) and better ("high" or "low"), empty for what is in no catalogue. Raises
    `ValueError` for a frame without the columns or an unknown `against`.
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
        rows.append(row | {"family": _family(method), "better": getattr(METRICS.get(metric), "better", "")})
    return pd.DataFrame(rows)


def _family(method):
    """The family of a method, by its name or its title; "" for what is not in the catalogue."""
    return next((row.family for row in METHODS.values() if method in (row.name, row.title)), "")


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
    if len(values) < 2:  # no value, or one, which every draw repeats
        return (values[0] if len(values) else np.nan,) * 3
    return values.mean(), *_resampled(values, np.mean, resamples, seed).confidence_interval


def _resampled(values, statistic, resamples, seed):
    """`scipy.stats.bootstrap` of one sample; statistic(draws, axis=-1) takes all draws at once."""
    options = {"n_resamples": resamples, "method": "percentile", "vectorized": True}
    return bootstrap((values,), statistic, **options, rng=np.random.default_rng(seed))


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
    values = [table[methods].reindex(items).to_numpy() for table in tables]

    def correlations(draws, axis=-1):
        """Spearman's correlation for each draw (..., items) of places in the list of items."""
        flat = draws.reshape(-1, len(items))
        counts = np.stack([np.bincount(draw, minlength=len(items)) for draw in flat])
        ranks = [rankdata(_means(part, counts), axis=1) for part in values]
        one, other = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
        found = (one * other).sum(axis=1) / np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
        return found.reshape(draws.shape[:-1])

    places = np.arange(len(items))
    found = correlations(places)
    again = found if len(items) < 2 else _resampled(places, correlations, resamples, seed).bootstrap_distribution
    low, high = np.nanpercentile(again, [2.5, 97.5])
    return {"correlation": float(found), "low": float(low), "high": float(high), "methods": len(methods)}


def _by_item(frame, name, metric):
    checks.one_of(name, metric, tuple(frame["metric"].unique()))
    return frame[frame["metric"] == metric].pivot(index="item", columns="method", values="value")


def _means(values, counts):
    """The mean over items, each taken as often as `counts` says, of what is not NaN: (draws, methods)."""
    there = np.isfinite(values)
    return counts @ np.where(there, values, 0) / (counts @ there)
