"""Make a committed table, or some of its rows: every method of it, on every item, by every metric."""

import contextlib
import functools
import json
import os
from dataclasses import replace

from tools import tables
from tools.environment import ROOT, processes


def make(name: str, items=None, methods=None):
    """One table as a frame, in the form in which it is stored; of some `items` and some `methods`, if so asked."""
    table = tables.TABLES[name]
    methods = table.settings["methods"] if methods is None else methods
    options = {method: given for method, given in table.settings["options"].items() if method in methods}
    table = replace(table, settings=table.settings | {"methods": methods, "options": options})
    model, (inputs, masks) = _network(table.network), table.data()
    return _MAKERS[type(table)](name, table, model, inputs, masks, items)


@functools.cache
def _network(name):
    """The network, once: all tables of it use the graphs that the first has traced."""
    import xai_utils as xu

    return xu.load_model(ROOT / "models" / f"{name}.keras")


def row_of(name):
    """The name of a method, or the row of a method as the rule sets it, which has a name of its own."""
    from heatproof.methods.catalogue import METHODS

    base = name.removesuffix(tables.TUNED)
    return name if name == base else replace(METHODS[base], name=name, title=f"{METHODS[base].title}, tuned")


def _scored(model, inputs, masks, places, folder=None, **question):
    """`xu.evaluate` of the inputs at `places`, None for all; random numbers are those that a place has among all."""
    from heatproof.metrics.evaluation import asked, evaluate, table

    if places is None:
        return evaluate(model, inputs, masks=masks, folder=folder, **question)
    common = {"targets": None, "metrics": None, "options": None, "activation": None, "steps": 20, "samples": 10}
    part = None if masks is None else masks[places]
    whole, rows = asked(model, inputs[places], masks=part, **common | question)
    return table(replace(whole, items=places), rows)


def _large(name, table, model, inputs, masks, items):
    """One row per method and item, one column per metric, and the first reason why a value is missing."""
    chosen = table.settings | {"fill": float(inputs.mean()), "folder": ROOT / "build" / "evaluation" / name}
    chosen["methods"] = tuple(map(row_of, chosen["methods"]))
    part = slice(None, table.items, table.every)
    masks = None if masks is None or not set(table.metrics) & set(tables.TRUTH) else masks[part]
    places = None if items is None else items // table.every
    with contextlib.nullcontext() if places is not None else _parallel():
        frame = _scored(model, inputs[part], masks, places, metrics=table.metrics, **chosen)
    frame["item"] *= table.every  # `item` counts all items of the data
    keys = ["method", "item"]
    values = frame.pivot(index=keys, columns="metric", values="value")[list(table.metrics)]
    reasons = frame[frame["reason"] != ""].drop_duplicates(keys).set_index(keys)["reason"]
    return values.assign(reason=reasons).fillna({"reason": ""}).loc[frame["method"].unique()].reset_index()


def _memory(name, table, model, inputs, masks, items):
    """One row per method; a measurement of all items at once, so that `items` do not count."""
    import xai_utils as xu

    chosen = table.settings
    found = xu.peak_memory(model, inputs[: table.items], None, chosen["methods"], options=chosen["options"])
    return found.assign(reason="")


def _tuned(name, table, model, inputs, masks, items):
    """One row per method, knob and value; what was chosen, and all options as JSON."""
    import pandas as pd

    import xai_utils as xu

    chosen, parts = table.settings, []
    with _parallel():
        for method in chosen["methods"]:
            options = {"options": chosen["options"].get(method), "folder": ROOT / "build" / "evaluation" / name}
            _, curve = xu.tune(model, inputs, method, steps=chosen["steps"], seed=chosen["seed"], **options)
            parts.append(curve.assign(method=method, options=curve["options"].map(json.dumps)))
            print(f"results/{name}.csv: {method} tuned", flush=True)
    whole = pd.concat(parts, ignore_index=True)
    return whole[["method", *(column for column in whole if column != "method")]]


def _parallel():
    """Several processes, each with one thread."""
    if processes() == 1:
        return contextlib.nullcontext()
    import joblib

    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"  # read by the workers when they start
    return joblib.parallel_config("loky", n_jobs=processes(), inner_max_num_threads=1)


_MAKERS = {
    tables.LargeTable: _large,
    tables.MemoryTable: _memory,
    tables.TuningTable: _tuned,
}
