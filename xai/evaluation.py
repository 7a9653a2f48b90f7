"""Methods against metrics over a data set, in shards that can run anywhere and be taken up again: one tidy table.

Three maps that never look at the model stand in every table: a method that does not beat them has shown nothing.
"""

import hashlib
import inspect
import json
import os
import pickle
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from xai import checks
from xai.core import BATCH_SIZE, PASSES, QUIET, Query, progress
from xai.registry import METHODS, options_of
from xai.scoring import BASELINES, COSTS, METRICS, Case, Settings
from xai.views import recipe_of

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
    carrier = _Carrier(model)
    if joblib.effective_n_jobs(None) > 1:
        carrier.pack()
    whole = Case(None, settings, "", np.arange(len(query.inputs)), query.inputs, query.targets, query.scores(), masks)
    shards = [
        replace(whole.at(whole.items[start : start + BATCH_SIZE]), name=name)
        for start in range(0, len(whole.items), BATCH_SIZE)
        for name in dict.fromkeys((*methods, *BASELINES))
    ]
    store = _Store(folder, model, whole)
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


# ----------------------------------------------------------------------------------------------------------- shards


class _Carrier:
    """The model of a run: itself in this process; in another one revived once from its bytes."""

    def __init__(self, model):
        self.model, self.data = model, None

    def pack(self):
        """Make the bytes; raises `TypeError` for a model that cannot become bytes and come back."""
        try:
            data = pickle.dumps((self.model, getattr(self.model, "input_range", None)))
            pickle.loads(data)
            self.data = data
        except Exception as error:
            raise TypeError(
                f"model: it cannot be sent to other processes ({error}). Cure: pass a functional or Sequential model, "
                "or call evaluate outside joblib.parallel_config."
            ) from error

    def __reduce__(self):
        if self.data is None:
            self.pack()
        return _revived, (self.data,)


@lru_cache(maxsize=2)
def _revived(data):
    model, model_range = pickle.loads(data)
    model.input_range = model_range
    return _Carrier(model)


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
    before, start = dict(PASSES), time.perf_counter()
    maps, reasons = _attempt(lambda places: case.at(places).explain(), len(case.items))
    cost = {"seconds": time.perf_counter() - start} | {name: PASSES[name] - before[name] for name in PASSES}
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


class _Store:
    """Finished shards on disk, each under a name that says which question it answers; no folder, no store."""

    def __init__(self, folder, model, whole):
        self.folder = folder
        if self.folder is None:
            return
        settings = replace(whole.settings, options={})
        weights = [np.asarray(weight) for weight in recipe_of(model).base.get_weights()]
        arrays = [whole.inputs, whole.targets, whole.full, *weights, *([] if whole.masks is None else [whole.masks])]
        self.question = hashlib.sha256(repr(settings).encode())
        for array in arrays:
            self.question.update(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())

    def _path(self, shard):
        key = self.question.copy()
        source = inspect.getsource(BASELINES.get(shard.name) or METHODS[shard.name].function)
        key.update(f"{shard.name} {shard.options!r} {shard.items[0]} {source}".encode())
        return self.folder / f"{shard.name}-{shard.items[0]:06d}-{key.hexdigest()[:16]}.json"

    def read(self, shard):
        if self.folder is None or not self._path(shard).exists():
            return None
        return json.loads(self._path(shard).read_text(encoding="utf-8"))

    def write(self, shard, rows):
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(shard)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            partial.write_text(json.dumps(rows), encoding="utf-8")
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
