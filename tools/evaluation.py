"""Score the methods on whole test sets and keep the tables in results/, each with a note of what made it.

For a table NAME the folder results/ holds NAME.csv (tidy: method, metric, item, value, reason; 4 digits) and
NAME.json (settings, hashes, date, versions), written last: without it, or with other settings, the table is made anew.
"""

import contextlib
import datetime
import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from heatproof.writing import write
from tools.environment import ROOT

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


def hmt():
    """The 496 test tiles; nobody has outlined their evidence."""
    import xai_utils as xu

    return xu.load_hmt("test").images, None


def tissue_phantom(count=100):
    """The first items of the phantom's test part, with their evidence."""
    import xai_utils as xu

    phantom = xu.tissue_phantom(count, seed=3)
    return phantom.images, phantom.masks


def schematic_faces():
    """The first 500 items of the drawn faces' test part, with their evidence."""
    import xai_utils as xu

    phantom = xu.schematic_faces(500, seed=3)
    return phantom.images, phantom.masks


def mnist1d():
    """The 1000 test signals, with their evidence."""
    import mnist1d_utils as m1

    data = m1.make_dataset()
    return m1.split(data, "test")[0], m1.evidence_masks(data)[1]


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
TABLES = {
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
    own = {Table: ("others_on_every",), LargeTable: ("metrics", "items"), MemoryTable: ("items",)}[type(table)]
    wanted |= {field: getattr(table, field) for field in own}
    if getattr(table, "every", 1) > 1:
        wanted["every"] = table.every
    return json.loads(json.dumps(wanted))


def is_current(name: str, folder: Path = RESULTS) -> bool:
    """Whether the table was made with these settings and is the one that its note speaks of."""
    table, note = folder / f"{name}.csv", folder / f"{name}.json"
    if not (table.exists() and note.exists()):
        return False
    found = json.loads(note.read_text(encoding="utf-8"))
    return found.get("settings") == settings(name) and found.get("table_sha256") == digest(table)


def make(name: str):
    """One table as a frame, in the form in which it is stored."""
    import xai_utils as xu

    table = TABLES[name]
    model = xu.load_model(ROOT / "models" / f"{table.network}.keras")
    inputs, masks = table.data()
    made = {Table: _small, LargeTable: _large, MemoryTable: _memory}[type(table)]
    return made(name, table, model, inputs, masks)


def _small(name, table, model, inputs, masks):
    """All methods and baselines; Integrated Gradients from elsewhere; other fills. One row per metric and item."""
    import pandas as pd

    import xai_utils as xu

    chosen = table.settings
    fills = {0.0: 0.0, "white": 1.0, "grey": float(inputs.mean())}

    def score(step, methods, options, fill, metrics=None):
        """Every `step`-th item; `item` counts all items of the data."""
        given = masks[::step] if masks is not None and metrics is None else None
        common = {"fraction": chosen["fraction"], "seed": chosen["seed"], "fill": fills[fill], "options": options}
        part = xu.evaluate(model, inputs[::step], None, methods, metrics, given, **common)
        return part.assign(item=part["item"] * step)

    few = table.others_on_every
    parts = [score(1, chosen["methods"], chosen["options"], chosen["fill"])]
    for word, start in chosen["starts"].items():
        options = {"integrated_gradients": {"steps": STEPS, "baseline": start}}
        part = score(few, tuple(options), options, chosen["fill"])
        parts.append(part[part["method"].isin(tuple(options))].assign(method=f"integrated_gradients_{word}"))
    for word in table.fills:
        part = score(few, chosen["methods"], chosen["options"], word, ("average_drop",))
        parts.append(part.assign(metric=f"average_drop_{word}"))
    return pd.concat(parts)


def _large(name, table, model, inputs, masks):
    """One row per method and item, one column per metric, and the first reason why a value is missing."""
    import xai_utils as xu

    chosen = table.settings | {"fill": float(inputs.mean()), "folder": ROOT / "build" / "evaluation" / name}
    part = slice(None, table.items, table.every)
    masks = None if masks is None or not set(table.metrics) & set(TRUTH) else masks[part]
    with _parallel():
        frame = xu.evaluate(model, inputs[part], None, metrics=table.metrics, masks=masks, **chosen)
    frame["item"] *= table.every  # `item` counts all items of the data
    keys = ["method", "item"]
    values = frame.pivot(index=keys, columns="metric", values="value")[list(table.metrics)]
    reasons = frame[frame["reason"] != ""].drop_duplicates(keys).set_index(keys)["reason"]
    return values.assign(reason=reasons).fillna({"reason": ""}).loc[frame["method"].unique()].reset_index()


def _memory(name, table, model, inputs, masks):
    """One row per method."""
    import xai_utils as xu

    chosen = table.settings
    found = xu.peak_memory(model, inputs[: table.items], None, chosen["methods"], options=chosen["options"])
    return found.assign(reason="")


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
        "items": int(table["item"].nunique()) if "item" in table else TABLES[name].items,
        "rows": len(table),
        "without_value": int((table["reason"] != "").sum()),
        "table_sha256": digest(folder / f"{name}.csv"),
    }
    write(folder / f"{name}.json", json.dumps(note, indent=1) + "\n")


def run() -> None:
    """Make every table that is not up to date; a data set that is not here leaves its table alone."""
    sys.path.insert(0, str(ROOT))
    for name in TABLES:
        if is_current(name):
            print(f"results/{name}.csv: up to date", flush=True)
            continue
        print(f"results/{name}.csv: computing", flush=True)
        try:
            table = make(name)
        except FileNotFoundError as absent:
            print(f"results/{name}.csv: left as it is, because {absent}", flush=True)
            continue
        store(name, table)
        print(f"results/{name}.csv: {len(table)} rows", flush=True)
