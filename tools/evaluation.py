"""Score the methods on whole test sets and keep the tables in results/, each with a note of what made it.

What the rule of `xu.tune` chooses on validation parts stands in NETWORK_tuning.csv; the large tables then score every
method twice, as its paper sets it and, where the rule chose otherwise, as METHOD_tuned.

For a table NAME the folder results/ holds NAME.csv (tidy: method, metric, item, value, reason; 4 digits) and
NAME.json (settings, hashes, date, versions, and the stamp of the code), written last: without it,
or with other settings, the table is made anew: the rows of one method, if only its own options are others.
"""

import contextlib
import datetime
import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from heatproof.metrics.knobs import KNOBS
from heatproof.writing import write
from tools import stamps
from tools.environment import ROOT
from tools.sets import TUNED_ON, hmt, mnist1d, schematic_faces, tissue_phantom, validation

RESULTS = ROOT / "results"
METHODS = ("grad_cam", "integrated_gradients", "saliency", "gradient_x_input", "smooth_grad", "guided_backprop")
STEPS = 18
OPTIONS = {"integrated_gradients": {"steps": STEPS, "baseline": 1.0}, "smooth_grad": {"samples": 10}}
STARTS = {"black": 0.0, "mean": "mean"}  # other baselines of Integrated Gradients than white
SETTINGS = {"methods": METHODS, "options": OPTIONS, "starts": STARTS, "fraction": 0.15, "fill": 0.0, "seed": 0}

# The large tables: all methods, one fill (the mean of all items), and the mean of an item where a method hides a part.
MANY = (*METHODS, "grad_cam_plus_plus", "layer_cam", "hires_cam", "score_cam", "ablation_cam", "guided_grad_cam")
MANY += ("var_grad", "deconvnet", "occlusion", "rise", "sise", "lime")
QUICK = ("average_drop", "average_increase", "average_drop_soft", "deletion", "insertion")
TRUTH = ("evidence_mass", "pointing_game", "rank_accuracy", "average_precision")
COST = ("seconds", "forwards", "backwards")
STABILITY = (
    "max_sensitivity",
    "infidelity",
    "randomised_similarity",
    "randomised_rank_correlation",
    "completeness_gap",
)
HIDING = {
    "score_cam": {"fill": "mean"},
    "rise": {"masks": 300, "fill": "mean"},
    "sise": {"fill": "mean"},
}
SAMPLED = {"smooth_grad": {"samples": 10}, "var_grad": {"samples": 10}}


def large(occlusion, lime, start, steps):
    """The settings of a large table; `start`: the baseline of Integrated Gradients."""
    options = SAMPLED | HIDING | {"occlusion": occlusion, "lime": lime}
    options |= {"integrated_gradients": {"steps": STEPS, "baseline": start}}
    return {
        "methods": MANY,
        "options": options,
        "fraction": 0.15,
        "fill": "grey",
        "steps": steps,
        "samples": 4,
        "seed": 0,
    }


IMAGES = large(
    {"patch": 30, "stride": 15, "fill": "mean"}, {"samples": 200, "segments": 60, "fill": "mean"}, "mean", 10
)
FACES = large({"fill": "mean"}, {"samples": 300, "fill": "mean"}, "mean", 20)
FACES |= {"methods": ("cam", *MANY)}
SIGNALS = large({"fill": "mean"}, {"samples": 300, "fill": "mean"}, "zero", 20)


@dataclass(frozen=True)
class Table:
    """One table: a network, its data, how the methods are called, and which items of the data it takes."""

    network: str
    data: Callable
    note: str  # what the data are
    settings: dict
    others_on_every: int = 1  # the items for other baselines and other fills: every n-th
    fills: tuple = ("white", "grey")  # the other fills


@dataclass(frozen=True)
class LargeTable:
    """All methods and many metrics, one row per method and item; in shards that are kept until the table is done."""

    network: str
    data: Callable
    note: str
    settings: dict
    metrics: tuple
    items: int | None = None  # the first of the data, None for all
    every: int = 1  # of these every n-th


@dataclass(frozen=True)
class MemoryTable:
    """The peak memory of each method on the first items, each in a process of its own; one row per method."""

    network: str
    data: Callable
    note: str
    settings: dict
    items: int = 32


HMT_NOTE = "H&E tiles, test part (Kather et al. 2016, doi:10.5281/zenodo.53169, CC BY 4.0)"
TISSUE_NOTE = "xai_utils.tissue_phantom({}, seed=3), generated"
TISSUE = ("tissue_phantom", functools.partial(tissue_phantom, 500), TISSUE_NOTE.format(500), IMAGES)
DRAWN = ("schematic_faces", schematic_faces, "xai_utils.schematic_faces(500, seed=3), generated", FACES)
SIGNAL = ("mnist1d", mnist1d, "mnist1d_utils.make_dataset(), test part, generated", SIGNALS)
TILES = ("hmt", hmt, HMT_NOTE, IMAGES)
BUDGET = SAMPLED | {"rise": {"masks": 300}, "integrated_gradients": {"steps": STEPS}}
TUNING = {
    "mnist1d": {"lime": {"samples": 300}},
    "schematic_faces": {"lime": {"samples": 300}},
    "tissue_phantom": {"lime": {"samples": 200}},
    "hmt": {"lime": {"samples": 200}},
}


@dataclass(frozen=True)
class TuningTable:
    """What `xu.tune` tries of every method on validation items of a network; one row per setting."""

    network: str
    note: str
    settings: dict

    def data(self):
        return validation(self.network), None


def tuning(network, methods=MANY):
    """The tuning of all methods for a network; what stays as it is are the numbers of samples: equal passes."""
    settings = {"methods": methods, "options": BUDGET | TUNING[network], "steps": 20, "seed": 0}
    note = f"{TUNED_ON} items of the validation part, spread over it"
    return TuningTable(network, note, settings | {"knobs": {name: [*KNOBS[name]] for name in methods if name in KNOBS}})


TABLES = {
    "mnist1d_tuning": tuning("mnist1d"),
    "schematic_faces_tuning": tuning("schematic_faces"),
    "tissue_phantom_tuning": tuning("tissue_phantom"),
    "hmt_tuning": tuning("hmt"),
    "tissue_phantom": Table("tissue_phantom", tissue_phantom, TISSUE_NOTE.format(100), SETTINGS),
    "hmt": Table("hmt", hmt, HMT_NOTE, SETTINGS, others_on_every=4),
    "mnist1d_all": LargeTable(*SIGNAL, (*QUICK, *TRUTH, *COST)),
    "schematic_faces_all": LargeTable(*DRAWN, (*QUICK, *TRUTH, *COST)),
    "tissue_phantom_all": LargeTable(*TISSUE, (*QUICK, *TRUTH, *COST)),
    "hmt_all": LargeTable(*TILES, (*QUICK, *COST)),
    "mnist1d_stability": LargeTable(*SIGNAL, STABILITY, 40),
    "schematic_faces_stability": LargeTable(*DRAWN, STABILITY, 40),
    "tissue_phantom_stability": LargeTable(*TISSUE, STABILITY, 40),
    "hmt_stability": LargeTable(*TILES, STABILITY, 480, every=12),
    "tissue_phantom_memory": MemoryTable(*TISSUE),
}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def settings(name: str) -> dict:
    """What decides whether a table is up to date, as JSON gives it back."""
    table = TABLES[name]
    model = f"models/{table.network}.keras"
    wanted = {"data": table.note, "model": model, "model_sha256": digest(ROOT / model)} | table.settings
    own = {Table: ("others_on_every",), LargeTable: ("metrics", "items"), MemoryTable: ("items",), TuningTable: ()}
    own = own[type(table)]
    wanted |= {field: getattr(table, field) for field in own}
    if getattr(table, "every", 1) > 1:
        wanted["every"] = table.every
    return json.loads(json.dumps(wanted))


def outdated(name: str, folder: Path = RESULTS) -> tuple:
    """The methods whose rows were not made with these settings; all, if the table is not the one its note speaks of."""
    wanted = settings(name)
    table, note = folder / f"{name}.csv", folder / f"{name}.json"
    if not (table.exists() and note.exists()):
        return tuple(wanted["methods"])
    stored = json.loads(note.read_text(encoding="utf-8"))
    found = stored.get("settings", {})
    gone = set(found.get("methods", ())) - set(wanted["methods"])
    if gone or stored.get("table_sha256") != digest(table) or _shared(found) != _shared(wanted):
        return tuple(wanted["methods"])
    return tuple(each for each in wanted["methods"] if _own(found, each) != _own(wanted, each))


def _shared(settings):
    """The settings of a table that all of its rows depend on."""
    return {field: value for field, value in settings.items() if field not in ("methods", "options")}


def _own(settings, method):
    """The options of one method; None if it is not in the table."""
    return settings["options"].get(method, {}) if method in settings["methods"] else None


def code(name: str) -> dict:
    """{"code": stamp of the code} of a table; {} where the values are measured, not computed."""
    table = TABLES[name]
    return {} if isinstance(table, MemoryTable) else {"code": stamps.code(table.network, table.settings["methods"])}


def is_stamped(name: str, folder: Path) -> bool:
    """Whether the table's note bears the stamp of the code as it is."""
    note = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return note | code(name) == note


def stamp(name: str, folder: Path) -> None:
    """Write the stamp of the code as it is into the table's note."""
    path = folder / f"{name}.json"
    note = json.loads(path.read_text(encoding="utf-8"))
    write(path, json.dumps(note | code(name), indent=1) + "\n")


def make(name: str, items=None, methods=None):
    """One table as a frame, in the form in which it is stored; of some `items` and some `methods`, if so asked."""
    table = TABLES[name]
    methods = table.settings["methods"] if methods is None else methods
    options = {method: given for method, given in table.settings["options"].items() if method in methods}
    table = replace(table, settings=table.settings | {"methods": methods, "options": options})
    model, (inputs, masks) = _network(table.network), table.data()
    made = {Table: _small, LargeTable: _large, MemoryTable: _memory, TuningTable: _tuned}[type(table)]
    return made(name, table, model, inputs, masks, items)


@functools.cache
def _network(name):
    """The network, once: all tables of it use the graphs that the first has traced."""
    import xai_utils as xu

    return xu.load_model(ROOT / "models" / f"{name}.keras")


def _scored(model, inputs, masks, places, folder=None, **question):
    """`xu.evaluate` of the inputs at `places`, None for all; random numbers are those that a place has among all."""
    from heatproof.metrics.evaluation import asked, evaluate, table

    if places is None:
        return evaluate(model, inputs, masks=masks, folder=folder, **question)
    common = {"targets": None, "metrics": None, "options": None, "activation": None, "steps": 20, "samples": 10}
    part = None if masks is None else masks[places]
    whole, rows = asked(model, inputs[places], masks=part, **common | question)
    return table(replace(whole, items=places), rows)


def _small(name, table, model, inputs, masks, items):
    """All methods and baselines; Integrated Gradients from elsewhere; other fills. One row per metric and item."""
    import pandas as pd

    chosen = table.settings
    fills = {0.0: 0.0, "white": 1.0, "grey": float(inputs.mean())}

    def score(step, methods, options, fill, metrics=None):
        """Every `step`-th item; `item` counts all items of the data."""
        given = masks[::step] if masks is not None and metrics is None else None
        common = {"fraction": chosen["fraction"], "seed": chosen["seed"], "fill": fills[fill], "options": options}
        places = None if items is None else items // step
        part = _scored(model, inputs[::step], given, places, methods=methods, metrics=metrics, **common)
        return part.assign(item=part["item"] * step)

    few = table.others_on_every
    parts = [score(1, chosen["methods"], chosen["options"], chosen["fill"])]
    paths = "integrated_gradients" in chosen["methods"]
    for word, start in chosen["starts"].items() if paths else ():
        options = {"integrated_gradients": {"steps": STEPS, "baseline": start}}
        part = score(few, tuple(options), options, chosen["fill"])
        parts.append(part[part["method"].isin(tuple(options))].assign(method=f"integrated_gradients_{word}"))
    for word in table.fills:
        part = score(few, chosen["methods"], chosen["options"], word, ("average_drop",))
        parts.append(part.assign(metric=f"average_drop_{word}"))
    return pd.concat(parts)


def _large(name, table, model, inputs, masks, items):
    """One row per method and item, one column per metric, and the first reason why a value is missing."""
    chosen = table.settings | {"fill": float(inputs.mean()), "folder": ROOT / "build" / "evaluation" / name}
    part = slice(None, table.items, table.every)
    masks = None if masks is None or not set(table.metrics) & set(TRUTH) else masks[part]
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
    """As many processes as cores, each with one thread; XAI_JOBS says how many, 1 for none but this."""
    jobs = int(os.environ.get("XAI_JOBS", os.cpu_count() or 1))
    if jobs == 1:
        return contextlib.nullcontext()
    import joblib

    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"  # read by the workers when they start
    return joblib.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1)


def store(name: str, table, folder: Path = RESULTS) -> None:
    folder.mkdir(exist_ok=True)
    write(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.4g", lineterminator="\n"))
    note = {
        "command": "python -m tools evaluation",
        "date": datetime.date.today().isoformat(),
        "versions": {"python": sys.version.split()[0]} | {room: version(room) for room in ("numpy", "keras")},
        "settings": settings(name),
        "items": int(table["item"].nunique()) if "item" in table else getattr(TABLES[name], "items", TUNED_ON),
        "rows": len(table),
        "without_value": int((table["reason"] != "").sum()),
        "table_sha256": digest(folder / f"{name}.csv"),
    } | code(name)
    write(folder / f"{name}.json", json.dumps(note, indent=1) + "\n")


def renew(name: str, methods: tuple, folder: Path = RESULTS) -> None:
    """Make the rows of some methods anew, and those of the maps that know nothing; all others stay as they are."""
    import pandas as pd

    print(f"results/{name}.csv: computing {', '.join(methods)}", flush=True)
    code(name)  # kept: the code as it is now, not in some hours
    found = make(name, methods=methods)
    if set(methods) < set(TABLES[name].settings["methods"]):
        keys = [key for key in ("method", "metric", "item") if key in found]
        keys = ["method", "knob", "value"] if "knob" in found else keys
        stored, found = (
            pd.read_csv(folder / f"{name}.csv").fillna({"reason": ""}).set_index(keys),
            found.set_index(keys),
        )
        order = stored.index.append(found.index.difference(stored.index, sort=False))
        found = pd.concat([stored.loc[stored.index.difference(found.index)], found]).loc[order].reset_index()
    store(name, found, folder)
    print(f"results/{name}.csv: {len(found)} rows", flush=True)


def run(folder: Path = RESULTS) -> None:
    """Make the rows that were made by other settings; a data set that is not here leaves its table alone."""
    sys.path.insert(0, str(ROOT))
    for name in TABLES:
        if not (methods := outdated(name, folder)):
            continue
        try:
            renew(name, methods, folder)
        except FileNotFoundError as absent:
            print(f"results/{name}.csv: left as it is, because {absent}", flush=True)
