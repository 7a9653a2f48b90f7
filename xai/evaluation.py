"""Methods against metrics over a data set: one tidy table, and the means of it with intervals.

Three maps that never look at the model stand in every table: a method that does not beat them has shown nothing.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import sobel

from xai import checks, metrics
from xai.core import BATCH_SIZE, Query, progress, scores
from xai.registry import METHODS, relevance

COLUMNS = ("method", "metric", "item", "value", "reason")


# ------------------------------------------------------------------------------------------------------- baselines


def _random(inputs, items, seed):
    """Uniform numbers in [0, 1): item i has the same whatever else is in the data set."""
    return np.stack([np.random.default_rng([seed, item]).random(inputs.shape[1:-1]) for item in items])


def _edge(inputs, items, seed):
    """The magnitude of Sobel's gradient of the mean over channels."""
    slopes = [[sobel(one, axis, mode="nearest") for axis in range(one.ndim)] for one in inputs.mean(axis=-1)]
    return np.sqrt(np.square(slopes).sum(axis=1))


def _centre(inputs, items, seed):
    """1 at the centre, 0 at the farthest position, linear in the distance."""
    shape = inputs.shape[1:-1]
    middle = (np.asarray(shape) - 1) / 2
    distance = np.sqrt(sum((axis - place) ** 2 for axis, place in zip(np.indices(shape), middle, strict=True)))
    return np.broadcast_to(1 - distance / max(distance.max(), 1), inputs.shape[:-1])


BASELINES = {"random": _random, "edge": _edge, "centre": _centre}

# --------------------------------------------------------------------------------------------------------- metrics


@dataclass(frozen=True)
class View:
    """What a metric may look at: one item, as arrays of length 1.

    full, kept: probability of the class on the whole input and on its most relevant part; relevance, mask: (1, ...).
    """

    full: np.ndarray
    kept: np.ndarray
    relevance: np.ndarray
    mask: np.ndarray | None


MASK_METRICS = {
    "evidence_mass": lambda view: metrics.evidence_mass(view.relevance, view.mask)[0],
    "pointing_game": lambda view: metrics.pointing_game(view.relevance, view.mask)[0],
}
METRICS = {
    "average_drop": lambda view: metrics.average_drop(view.full, view.kept),
    "average_increase": lambda view: metrics.average_increase(view.full, view.kept),
} | MASK_METRICS

# ---------------------------------------------------------------------------------------------------------- engine


@dataclass(frozen=True)
class _Task:
    """The checked question: everything that one part of the table needs and all parts share."""

    model: Callable
    inputs: np.ndarray
    targets: np.ndarray
    full: np.ndarray  # probability of the target on the whole input
    masks: np.ndarray | None
    metrics: tuple
    fraction: float
    fill: float
    seed: int
    options: dict


def evaluate(
    model: Callable,
    inputs: np.ndarray,
    targets=None,
    methods: Sequence[str] = ("grad_cam", "integrated_gradients"),
    metrics: Sequence[str] | None = None,
    masks: np.ndarray | None = None,
    *,
    options: dict | None = None,
    fraction: float = 0.15,
    fill: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Score every item's map of every method, and of the baselines random, edge (Sobel) and centre, by every metric.

    methods:   names of METHODS
    metrics:   of average_drop, average_increase, evidence_mass, pointing_game; None takes all that can be computed
    masks:     the true evidence, bool, (N, H, W) or (N, T); the last two metrics need it
    options:   {method: {option: value}} for single methods
    fraction, fill: drop and increase keep this share of the positions and put `fill` in place of the others
    seed:      of the random baseline, and of methods that draw unless `options` says otherwise

    Returns a DataFrame with one row per (method, metric, item): `value` is the metric of that item alone (drop and
    increase in percent, as `average_drop` and `average_increase` of one item), `reason` is empty, or says why the
    value is missing (NaN): the method failed on the item, or its map is zero everywhere and ranks nothing. Drop and
    increase are of the class probability. Raises `TypeError`, `ValueError` for arguments that fit no item.
    """
    task = _checked(model, inputs, targets, methods, metrics, masks, options, fraction, fill, seed)
    names = [*dict.fromkeys(methods), *BASELINES]
    starts = range(0, len(task.inputs), BATCH_SIZE)
    parts = [(name, np.arange(start, min(start + BATCH_SIZE, len(task.inputs)))) for name in names for start in starts]
    rows = [row for name, items in progress(parts, len(parts), "evaluation") for row in _rows(task, name, items)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _checked(model, inputs, targets, methods, names, masks, options, fraction, fill, seed):
    query = Query(model, inputs, targets, score="probability")
    methods = _names("methods", methods, METHODS)
    masks = None if masks is None else _as_masks(masks, query.inputs.shape)
    possible = [name for name in METRICS if masks is not None or name not in MASK_METRICS]
    names = possible if names is None else _names("metrics", names, METRICS)
    if needy := [name for name in names if name not in possible]:
        raise ValueError(f"masks: got None, but {needy} compare with the true evidence; pass masks, or other metrics.")
    if checks.as_number("fraction", fraction, 0, 1) == 0:
        raise ValueError("fraction: got 0; pass a number above 0 and at most 1.")
    fill, seed, options = checks.as_number("fill", fill), checks.as_count("seed", seed, 0), options or {}
    if unused := set(options) - set(methods):
        raise ValueError(f"options: got options for {sorted(unused)}; the methods asked for are {list(methods)}.")
    options = {name: _options(name, options.get(name, {}), seed) for name in methods}
    ordered = tuple(name for name in METRICS if name in names)
    return _Task(model, query.inputs, query.targets, query.scores(), masks, ordered, fraction, fill, seed, options)


def _names(argument, given, allowed):
    if isinstance(given, str):
        raise TypeError(f"{argument}: got the text {given!r}; pass a tuple of names, ({given!r},).")
    return [checks.one_of(argument, name, tuple(allowed)) for name in given]


def _as_masks(masks, shape):
    masks = np.asarray(masks)
    if masks.dtype != bool or masks.shape != shape[:-1]:
        raise ValueError(f"masks: got {masks.dtype} {masks.shape}; inputs of {shape} need bool {shape[:-1]}.")
    return masks


def _options(name, given, seed):
    """The options of one method, refused if it has no such option, with the seed where it draws."""
    known = [p.name for p in inspect.signature(METHODS[name].function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    if unknown := set(given) - set(known):
        raise ValueError(f"options: {name} has no {sorted(unknown)}; its options are {known}.")
    return ({"seed": seed} if "seed" in known else {}) | given


def _rows(task, name, items):
    """The rows of one method for some items: a part that depends on nothing but its arguments."""
    maps, reasons = _maps(task, name, items)
    there = np.array([not why for why in reasons])
    kept = np.full(len(items), np.nan)
    if there.any() and set(task.metrics) - set(MASK_METRICS):
        ranks = np.stack([maps[place] for place in np.flatnonzero(there)])
        part = metrics.keep_top(task.inputs[items[there]], ranks, task.fraction, task.fill)
        kept[there] = scores(task.model, part, task.targets[items[there]])
    for metric in task.metrics:
        for place, item in enumerate(items):
            value, why = np.nan, reasons[place]
            if not why:
                mask = None if task.masks is None else task.masks[[item]]
                value, why = _measured(metric, View(task.full[[item]], kept[[place]], maps[place][None], mask))
            yield name, metric, int(item), value, why


def _measured(metric, view):
    """The value and no reason, or no value and the reason."""
    try:
        return float(METRICS[metric](view)), ""
    except ValueError as error:
        return np.nan, str(error)


def _maps(task, name, items):
    """A relevance map and no reason, or no map and the reason, for each item."""
    maps, reasons = _attempt(task, name, items)
    for place, found in enumerate(maps):
        if found is not None and not found.any():
            maps[place], reasons[place] = None, "the map is zero everywhere"
    return maps, reasons


def _attempt(task, name, items):
    """The maps of a batch; where the batch fails, its items are tried one by one, so that each tells its own reason."""
    inputs = task.inputs[items]
    if name in BASELINES:
        return list(BASELINES[name](inputs, items, task.seed)), [""] * len(items)
    try:
        found = METHODS[name].function(task.model, inputs, task.targets[items], **task.options[name])
        return list(relevance(name, found)), [""] * len(items)
    except Exception as error:  # whatever goes wrong is told in the row
        if len(items) == 1:
            return [None], [f"{type(error).__name__}: {error}"]
    singles = [_attempt(task, name, items[[place]]) for place in range(len(items))]
    return [maps[0] for maps, _ in singles], [reasons[0] for _, reasons in singles]


# --------------------------------------------------------------------------------------------------------- summary


def summarise(frame: pd.DataFrame, resamples: int = 2000, seed: int = 0, against: str | None = None) -> pd.DataFrame:
    """Return the mean of every method and metric over the items, with the 95 % interval of the percentile bootstrap.

    `frame` is a table of `evaluate`. Items without a value are left out and counted in `failed`. With `against` (the
    name of a method) also the mean difference to it over the items that both have, with its interval: the paired
    comparison, which is narrower than what two intervals suggest. An interval speaks of other items, not of another
    network. Columns: method, metric, mean, low, high, items, failed and, with `against`, difference, difference low,
    difference high. Raises `ValueError` for a frame without the columns or an unknown `against`.
    Source: Efron and Tibshirani 1993, ch. 13.
    """
    if missing := [name for name in COLUMNS[:4] if name not in frame]:
        raise ValueError(f"frame: lacks the columns {missing}; pass a table of xu.evaluate.")
    if frame.duplicated(list(COLUMNS[:3])).any():
        raise ValueError("frame: has two rows for one method, metric and item; summarise one run at a time.")
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


def _bootstrap(values, resamples, seed):
    """Mean and the 2.5th and 97.5th percentile of the means of resampled values; equal lengths share the draws."""
    if not len(values):
        return np.nan, np.nan, np.nan
    draws = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    return values.mean(), *np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
