"""A shard: some items of one method, how it travels to a worker, and its rows, which depend on nothing else."""

import pickle
import time
import warnings
from dataclasses import replace
from functools import lru_cache

import joblib
import numpy as np

from heatproof import checks
from heatproof.engine.counting import counting
from heatproof.problems import ArgumentTypeError
from heatproof.progress import QUIET

# ------------------------------------------------------------------------------------------------------------ travel

STAY = "or call evaluate outside joblib.parallel_config"


class Carrier:
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
            given = f"{type(self.model).__name__}, which cannot be sent to other processes ({error})"
            cure = f"pass a functional or Sequential model, {STAY}"
            raise ArgumentTypeError("model", given, cure=cure) from error

    def __reduce__(self):
        if self.data is None:
            self.pack()
        return _revived, (self.data,)


@lru_cache(maxsize=2)
def _revived(data):
    model, model_range = pickle.loads(data)
    model.input_range = model_range
    return Carrier(model)


def check_travel(argument, rows):
    """`TypeError` for a row that does not arrive in another process of the backend that joblib was told to use."""
    for row in rows:
        try:
            joblib.Parallel()([joblib.delayed(_arrived)(row)])
        except Exception as error:
            reason = "".join(str(error.__cause__ or error).strip(' \n"').splitlines()[-1:])
            given = f"{row.name!r}, whose function cannot be sent to other processes ({reason})"
            cure = "let it hold nothing that belongs to this process (an open file, a lock) and define it in a module "
            raise ArgumentTypeError(argument, given, cure=f"{cure}that the others can import, {STAY}") from error


def _arrived(row):
    return row.name


# -------------------------------------------------------------------------------------------------------------- rows


def answer(carrier, number, shard):
    """The rows of one shard; what its methods would warn of was said of the whole input, or is told in the rows."""
    quiet = QUIET.set(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", checks.XAIWarning)
            return number, list(_rows(replace(shard, model=carrier.model)))
    finally:
        QUIET.reset(quiet)


def _rows(case):
    """(method, metric, item, value, reason) for every metric and item."""
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
        values, why = np.full(len(case.items), np.nan), list(reasons)
        for place, value, reason in _measured(metric, able, there):
            values[place], why[place] = value, reason
        yield from _told(case, metric.name, values, why)
    for name in case.settings.costs:
        yield from _told(case, name, [cost[name] / len(case.items)] * len(case.items), [""] * len(case.items))


def _told(case, metric, values, reasons):
    for item, value, reason in zip(case.items, values, reasons, strict=True):
        yield case.name, metric, int(item), float(value), reason


def _measured(metric, case, places):
    """(place, value, reason) of every item that has a map."""

    def values(part):
        found = np.asarray(metric.measure(case if len(part) == len(places) else case.at(part)), float)
        if found.shape != (len(part),):
            raise ValueError(f"{metric.name}: it gave values of shape {found.shape} for {len(part)} items")
        return found

    found, reasons = _attempt(values, len(places))
    for place, value, reason in zip(places, found, reasons, strict=True):
        value = np.nan if value is None else value
        yield place, value, reason or ("" if np.isfinite(value) else "the metric has no value for this map")


def _attempt(function, count):
    """Values and reasons: `function` of all places; where that fails, of one by one, so that each tells its reason."""
    if not count:
        return [], []
    try:
        found = list(function(np.arange(count)))
        if len(found) != count:
            raise ValueError(f"it gave {len(found)} answers for {count} items")
        return found, [""] * count
    except Exception as error:  # whatever goes wrong is told in the row
        if count == 1:
            return [None], [f"{type(error).__name__}: {error}"]
    singles = [_attempt(lambda _, place=place: function(np.array([place])), 1) for place in range(count)]
    return [value for (value,), _ in singles], [reason for _, (reason,) in singles]
