"""Methods against metrics over a data set, in shards that can run anywhere and be taken up again: one tidy table.

Three maps that never look at the model stand in every table: a method that does not beat them has shown nothing.
"""

import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from heatproof import checks
from heatproof.engine.counting import counting
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.methods.catalogue import METHODS, options_of
from heatproof.metrics.catalogue import BASELINES, COSTS, METRICS, Case, Settings
from heatproof.metrics.shards import Carrier, Store
from heatproof.progress import QUIET, progress

COLUMNS = ("method", "metric", "item", "value", "reason")


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
    steps: int = 20,
    samples: int = 10,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Score every item's map of every method, and of the baselines random, edge (Sobel) and centre, by every metric.

    methods:   names of METHODS
    metrics:   names of METRICS, or "seconds", "forwards", "backwards": what making the map cost, per item; None takes
               drop, increase and, with masks, evidence mass and pointing game
    masks:     the true evidence, bool, (N, H, W) or (N, T); the metrics that compare with it need it
    options:   {method: {option: value}} for single methods
    fraction, fill: drop and increase keep this share of the positions and put `fill` in place of the others
    steps:     of deletion (fill "mean") and insertion (fill "blur"); samples: of max-sensitivity, and a
               tenth of those of infidelity
    seed:      of the random baseline, of metrics that draw, and of methods that draw unless `options` says otherwise
    folder:    finished shards are kept here and found again by the same question, so that a run of hours goes on
               where it was interrupted

    The work is cut into shards, one method on 32 items each, that joblib runs: one after the other in this process, or
    as `with joblib.parallel_config(...)` says, `"loky"` for processes, `"dask"` for the workers of a
    `dask.distributed.Client`. What a shard gives depends on nothing else.

    Returns a DataFrame with one row per (method, metric, item): `value` is the metric of that item alone (drop and
    increase in percent), `reason` is empty, or says why the value is missing (NaN): the method failed on the item, or
    its map is zero everywhere and ranks nothing. Drop, increase, deletion and insertion are of the class probability.
    Raises `TypeError`, `ValueError` for arguments that fit no item.
    """
    folder = _as_folder(folder)
    query = Query(model, inputs, targets, score="probability")
    names = ("metrics", "options", "fraction", "fill", "steps", "samples", "seed")
    given = (metrics, options, fraction, fill, steps, samples, seed)
    methods = _names("methods", methods, METHODS)
    masks = None if masks is None else _as_masks(masks, query.inputs.shape)
    settings = _settings(methods, masks, **dict(zip(names, given, strict=True)))
    carrier = Carrier(model)
    if joblib.effective_n_jobs(None) > 1:
        carrier.pack()
    whole = Case(None, settings, "", np.arange(len(query.inputs)), query.inputs, query.targets, query.scores(), masks)
    shards = [
        replace(whole.at(whole.items[start : start + BATCH_SIZE]), name=name)
        for start in range(0, len(whole.items), BATCH_SIZE)
        for name in dict.fromkeys((*methods, *BASELINES))
    ]
    store = Store(folder, model, whole)
    found = {number: rows for number, shard in enumerate(shards) if (rows := store.read(shard)) is not None}
    waiting = [number for number in range(len(shards)) if number not in found]
    run = joblib.Parallel(return_as="generator_unordered", batch_size=1)
    tasks = (joblib.delayed(_answer)(carrier, number, shards[number]) for number in waiting)
    for number, rows in progress(run(tasks), len(waiting), "evaluation"):
        store.write(shards[number], rows)
        found[number] = rows
    return pd.DataFrame([row for number in range(len(shards)) for row in found[number]], columns=COLUMNS)


def _settings(methods, masks, **given):
    """The checked options of `evaluate`."""
    possible = [name for name, metric in METRICS.items() if masks is not None or not metric.needs_masks]
    names = given["metrics"]
    names = [name for name in possible if METRICS[name].quick] if names is None else names
    names = _names("metrics", names, (*METRICS, *COSTS))
    if not names:
        raise ValueError(f"metrics: got none; pass one or more of {[*METRICS, *COSTS]}.")
    if needy := [name for name in names if name not in (*possible, *COSTS)]:
        raise ValueError(f"masks: got None, but {needy} compare with the true evidence; pass masks, or other metrics.")
    if checks.as_number("fraction", given["fraction"], 0, 1) == 0:
        raise ValueError("fraction: got 0; pass a number above 0 and at most 1.")
    checks.as_number("fill", given["fill"])
    for name, low in {"steps": 1, "samples": 1, "seed": 0}.items():
        checks.as_count(name, given[name], low)
    options = {} if given["options"] is None else given["options"]
    if not isinstance(options, dict) or not all(isinstance(own, dict) for own in options.values()):
        raise TypeError(f"options: got {checks.shown(options)}; pass {{method: {{option: value}}}}, or None.")
    if unused := set(options) - set(methods):
        raise ValueError(f"options: got options for {sorted(unused)}; the methods asked for are {list(methods)}.")
    options = {name: options_of(name, options.get(name, {}), given["seed"]) for name in methods}
    ordered = tuple(name for name in (*METRICS, *COSTS) if name in names)
    return Settings(**given | {"metrics": ordered, "options": options})


def _names(argument, given, allowed):
    if isinstance(given, str):
        raise TypeError(f"{argument}: got the text {given!r}; pass a tuple of names, ({given!r},).")
    if not np.iterable(given):
        raise TypeError(f"{argument}: got {checks.shown(given)}; pass a tuple of names.")
    return [checks.one_of(argument, name, tuple(allowed)) for name in given]


def _as_folder(folder):
    """The folder as a path, or None; refused before the network is run."""
    try:
        return None if folder is None else Path(folder)
    except TypeError:
        raise TypeError(f"folder: got {checks.shown(folder)}; pass the name of a folder, or None.") from None


def _as_masks(masks, shape):
    masks = checks.as_array("masks", masks)
    if masks.dtype != bool or masks.shape != shape[:-1]:
        raise ValueError(f"masks: got {masks.dtype} {masks.shape}; inputs of {shape} need bool {shape[:-1]}.")
    return masks


def _answer(carrier, number, shard):
    """The rows of one shard; what its methods would warn of was said of the whole input, or is told in the rows."""
    quiet = QUIET.set(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", checks.XAIWarning)
            return number, list(_rows(replace(shard, model=carrier.model)))
    finally:
        QUIET.reset(quiet)


def _rows(case):
    """The rows of one shard: a part of the table that depends on nothing but its arguments."""
    start = time.perf_counter()
    with counting() as passes:
        maps, reasons = _attempt(lambda places: case.at(places).explain(), len(case.items))
    cost = passes | {"seconds": time.perf_counter() - start}
    for place, found in enumerate(maps):
        if found is not None and not found.any():
            maps[place], reasons[place] = None, "the map is zero everywhere"
    there = [place for place, found in enumerate(maps) if found is not None]
    able = replace(case.at(there), attribution=np.stack([maps[place] for place in there])) if there else None
    for metric in case.settings.metrics:
        if metric in COSTS:
            values, why = [cost[metric] / len(case.items)] * len(case.items), [""] * len(case.items)
        else:
            values, why = np.full(len(case.items), np.nan), list(reasons)
            for place, value, reason in _measured(METRICS[metric].measure, able, there):
                values[place], why[place] = value, reason
        for item, value, reason in zip(case.items, values, why, strict=True):
            yield case.name, metric, int(item), float(value), reason


def _measured(measure, case, places):
    """(place, value, reason) of every item that has a map."""
    found, reasons = _attempt(lambda part: measure(case if len(part) == len(places) else case.at(part)), len(places))
    for place, value, reason in zip(places, found, reasons, strict=True):
        value = np.nan if value is None else value
        yield place, value, reason or ("" if np.isfinite(value) else "the metric has no value for this map")


def _attempt(function, count):
    """Values and reasons: `function` of all places; where that fails, of one by one, so that each tells its reason."""
    if not count:
        return [], []
    try:
        return list(function(np.arange(count))), [""] * count
    except Exception as error:  # whatever goes wrong is told in the row
        if count == 1:
            return [None], [f"{type(error).__name__}: {error}"]
    singles = [_attempt(lambda _, place=place: function(np.array([place])), 1) for place in range(count)]
    return [value for (value,), _ in singles], [reason for _, (reason,) in singles]
