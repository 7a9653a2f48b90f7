"""Score the methods on whole test sets and keep the tables in results/, each with a note of what made it.

For a table NAME the folder results/ holds NAME.csv (tidy: method, metric, item, value, reason; 4 digits) and
NAME.json (settings, hashes, date, versions), written last: without it, or with other settings, the table is made anew.
"""

import datetime
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tools.environment import ROOT, write

RESULTS = ROOT / "results"
METHODS = ("grad_cam", "integrated_gradients", "saliency", "gradient_x_input", "smooth_grad", "guided_backprop")
STEPS = 18
OPTIONS = {"integrated_gradients": {"steps": STEPS, "baseline": 1.0}, "smooth_grad": {"samples": 10}}
STARTS = {"black": 0.0, "mean": "mean"}  # other baselines of Integrated Gradients than white
SETTINGS = {"methods": METHODS, "options": OPTIONS, "starts": STARTS, "fraction": 0.15, "fill": 0.0, "seed": 0}

# The tables of all methods: one fill, the mean of all items, and the mean colour where a method hides or covers.
ALL_METHODS = METHODS + ("grad_cam_plus_plus", "layer_cam", "hires_cam", "score_cam", "ablation_cam")
ALL_METHODS += ("guided_grad_cam", "var_grad", "deconvnet", "occlusion", "rise", "sise", "lime")
ALL_OPTIONS = OPTIONS | {
    "var_grad": {"samples": 10},
    "score_cam": {"fill": "mean"},
    "occlusion": {"patch": 30, "stride": 15, "fill": "mean"},
    "rise": {"masks": 200, "fill": "mean"},
    "sise": {"fill": "mean"},
    "lime": {"samples": 200, "segments": 60, "fill": "mean"},
}
ALL_SETTINGS = {"methods": ALL_METHODS, "options": ALL_OPTIONS, "starts": {"mean": "mean"}}
ALL_SETTINGS |= {"fraction": 0.15, "fill": "grey", "seed": 0}


def hmt():
    """The 496 test tiles; nobody has outlined their evidence."""
    import xai_utils as xu

    return xu.load_hmt("test").images, None


def tissue_phantom():
    """The first 100 items of the phantom's test part, with their evidence."""
    import xai_utils as xu

    phantom = xu.tissue_phantom(100, seed=3)
    return phantom.images, phantom.masks


@dataclass(frozen=True)
class Table:
    """One table: a network, its data, how the methods are called, and which items of the data it takes."""

    network: str
    data: Callable
    note: str  # what the data are
    settings: dict
    every: int = 1  # the items of the table: every n-th
    others_on_every: int = 1  # of these, the items for other baselines and other fills
    fills: tuple = ("white", "grey")  # the other fills


TISSUE = ("tissue_phantom", tissue_phantom, "xai.phantoms.tissue_phantom(100, seed=3), generated")
HMT = ("hmt", hmt, "H&E tiles, test part (Kather et al. 2016, doi:10.5281/zenodo.53169, CC BY 4.0)")
TABLES = {
    "tissue_phantom": Table(*TISSUE, SETTINGS),
    "hmt": Table(*HMT, SETTINGS, others_on_every=4),
    "tissue_phantom_all": Table(*TISSUE, ALL_SETTINGS, every=2, fills=()),
    "hmt_all": Table(*HMT, ALL_SETTINGS, every=12, fills=()),
}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def settings(name: str) -> dict:
    """What decides whether a table is up to date, as JSON gives it back."""
    table = TABLES[name]
    model = f"models/{table.network}.keras"
    wanted = {"data": table.note, "others_on_every": table.others_on_every, "model": model}
    wanted |= {"every": table.every} if table.every > 1 else {}
    return json.loads(json.dumps(wanted | {"model_sha256": digest(ROOT / model)} | table.settings))


def is_current(name: str, folder: Path = RESULTS) -> bool:
    """Whether the table was made with these settings and is the one that its note speaks of."""
    table, note = folder / f"{name}.csv", folder / f"{name}.json"
    if not (table.exists() and note.exists()):
        return False
    found = json.loads(note.read_text(encoding="utf-8"))
    return found.get("settings") == settings(name) and found.get("table_sha256") == digest(table)


def make(name: str):
    """The table of one data set: all methods and baselines; Integrated Gradients from elsewhere; other fills."""
    import pandas as pd

    import xai_utils as xu

    table, chosen = TABLES[name], TABLES[name].settings
    inputs, masks = table.data()
    fills = {0.0: 0.0, "white": 1.0, "grey": float(inputs.mean())}
    model = xu.load_model(ROOT / "models" / f"{table.network}.keras")

    def score(step, methods, options, fill, metrics=None):
        """Every `step`-th item; `item` counts all items of the data."""
        given = masks[::step] if masks is not None and metrics is None else None
        common = {"fraction": chosen["fraction"], "seed": chosen["seed"], "fill": fills[fill], "options": options}
        part = xu.evaluate(model, inputs[::step], None, methods, metrics, given, **common)
        return part.assign(item=part["item"] * step)

    few = table.every * table.others_on_every
    parts = [score(table.every, chosen["methods"], chosen["options"], chosen["fill"])]
    for word, start in chosen["starts"].items():
        options = {"integrated_gradients": {"steps": STEPS, "baseline": start}}
        part = score(few, tuple(options), options, chosen["fill"])
        parts.append(part[part["method"].isin(tuple(options))].assign(method=f"integrated_gradients_{word}"))
    for word in table.fills:
        part = score(few, chosen["methods"], chosen["options"], word, ("average_drop",))
        parts.append(part.assign(metric=f"average_drop_{word}"))
    return pd.concat(parts)


def store(name: str, table, folder: Path = RESULTS) -> None:
    folder.mkdir(exist_ok=True)
    write(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.4g", lineterminator="\n"))
    note = {
        "command": "python -m tools evaluation",
        "date": datetime.date.today().isoformat(),
        "versions": {"python": sys.version.split()[0]} | {room: version(room) for room in ("numpy", "keras")},
        "settings": settings(name),
        "items": int(table["item"].nunique()),
        "rows": len(table),
        "without_value": int(table["value"].isna().sum()),
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
