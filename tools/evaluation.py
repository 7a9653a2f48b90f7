"""Score the methods on whole test sets and keep the tables in results/, each with a note of what made it.

For a table NAME the folder results/ holds NAME.csv (tidy: method, metric, item, value, reason; 4 digits) and
NAME.json (settings, hashes, date, versions), written last: without it, or with other settings, the table is made anew.
"""

import datetime
import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

from tools.environment import ROOT, write

RESULTS = ROOT / "results"
METHODS = ("grad_cam", "integrated_gradients", "saliency", "gradient_x_input", "smooth_grad", "guided_backprop")
STEPS = 18
OPTIONS = {"integrated_gradients": {"steps": STEPS, "baseline": 1.0}, "smooth_grad": {"samples": 10}}
STARTS = {"black": 0.0, "mean": "mean"}  # other baselines of Integrated Gradients than white
SETTINGS = {"methods": METHODS, "options": OPTIONS, "starts": STARTS, "fraction": 0.15, "fill": 0.0, "seed": 0}


def hmt():
    """The 496 test tiles; nobody has outlined their evidence."""
    import xai_utils as xu

    return xu.load_hmt("test").images, None


def tissue_phantom():
    """The first 100 items of the phantom's test part, with their evidence."""
    import xai_utils as xu

    phantom = xu.tissue_phantom(100, seed=3)
    return phantom.images, phantom.masks


# name of the table: (its data, what the note says of it, other baselines and fills are tried on every n-th item)
TABLES = {
    "tissue_phantom": (tissue_phantom, "xai.phantoms.tissue_phantom(100, seed=3), generated", 1),
    "hmt": (hmt, "H&E tiles, test part (Kather et al. 2016, doi:10.5281/zenodo.53169, CC BY 4.0)", 4),
}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def settings(name: str) -> dict:
    """What decides whether a table is up to date, as JSON gives it back."""
    model = f"models/{name}.keras"
    _, data, every = TABLES[name]
    wanted = {"data": data, "others_on_every": every, "model": model, "model_sha256": digest(ROOT / model)}
    return json.loads(json.dumps(wanted | SETTINGS))


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

    inputs, masks = TABLES[name][0]()
    some = slice(None, None, TABLES[name][2])
    few, few_masks = inputs[some], None if masks is None else masks[some]
    model = xu.load_model(ROOT / "models" / f"{name}.keras")
    common = {"fraction": SETTINGS["fraction"], "seed": SETTINGS["seed"]}
    parts = [xu.evaluate(model, inputs, None, METHODS, masks=masks, options=OPTIONS, fill=SETTINGS["fill"], **common)]
    for word, start in STARTS.items():
        options = {"integrated_gradients": {"steps": STEPS, "baseline": start}}
        part = xu.evaluate(model, few, None, tuple(options), masks=few_masks, options=options, **common)
        part = part[part["method"].isin(tuple(options))]
        parts.append(part.assign(method=f"integrated_gradients_{word}", item=part["item"] * some.step))
    for word, fill in {"white": 1.0, "grey": float(inputs.mean())}.items():
        part = xu.evaluate(model, few, None, METHODS, ("average_drop",), options=OPTIONS, fill=fill, **common)
        parts.append(part.assign(metric=f"average_drop_{word}", item=part["item"] * some.step))
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
