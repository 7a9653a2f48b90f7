"""make toolbox: writes build/toolbox, layer by layer; what is up to date is kept."""

import functools
import hashlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from heatproof.metrics import digest
from heatproof.writing import write
from tools.environment import ROOT
from tools.toolbox import faces, library, networks, sprites, units
from tools.toolbox.data import rounded, save
from tools.toolbox.sources import SOURCES, credits, examples, network

FOLDER, CACHE, PAGES = ROOT / "build" / "toolbox", ROOT / "build" / "toolbox_cache", Path(__file__).parent / "pages"
ROOMS = (
    "heatproof.inside.search",
    "heatproof.inside.fields",
    "heatproof.inside.synthesis",
    "heatproof.inside.dissection",
)
LIVE = tuple(name for name in SOURCES if name != "efficientnet_lite0")


def build(
    folder: Path = FOLDER,
    cache: Path = CACHE,
    live: Sequence[str] = LIVE,
    browse: Sequence[str] = tuple(SOURCES),
    layers: dict[str, dict[str, int]] | None = None,
) -> Path:
    """Write the pages, their data and TensorFlow.js; return the folder.

    `live`, `browse`: the networks of the two pages. `layers`: {network: {layer: how many units}} in place of all.
    """
    started = time.monotonic()
    for page in sorted(PAGES.iterdir()):
        write(folder / page.name, page.read_bytes())
    save(folder, "colours", {"diverging": sprites.colours("RdBu_r"), "sequential": sprites.colours("viridis")})
    listed = [_browse(folder, cache, name, (layers or {}).get(name, SOURCES[name].layers)) for name in browse]
    save(folder, "browse", {"networks": listed})
    save(folder, "credits", credits())
    _live(folder, cache, live, [f"{known['name']}/{layer['name']}" for known in listed for layer in known["layers"]])
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    print(f"toolbox: {os.path.relpath(folder / 'index.html')}, {size:.1f} MB, {time.monotonic() - started:.0f} s")
    return folder


def _live(folder, cache, names, shown):
    path, missing = library.fetched(cache)
    if path is not None:
        write(folder / "tf.min.js", path.read_bytes())
    else:
        print(f"toolbox: Live will not run: {missing}")
    for name in names:
        save(folder, f"networks/{name}", networks.exported(network(name)))
    for kind in {SOURCES[name].examples for name in names}:
        save(folder, f"examples/{kind}", examples(kind))
    save(folder, "faces", faces.tables())
    told = [
        {"name": each, "title": SOURCES[each].title, "examples": f"examples/{SOURCES[each].examples}"} for each in names
    ]
    save(folder, "live", {"missing": missing, "networks": told, "browse": shown})


def _browse(folder, cache, name, chosen) -> dict[str, Any]:
    """What the list of units tells of one network; its layers are made where they are not up to date."""
    source, model = SOURCES[name], network(name)
    counts = chosen or dict.fromkeys(_convolutions(model))
    seen, concepts = functools.cache(source.seen), functools.cache(source.concepts or (lambda: None))
    rows = []
    for layer, count in counts.items():
        kept, stamp = cache / name / f"{layer}.json", _stamp(name, layer, count)
        known = json.loads(kept.read_text("utf-8")) if kept.is_file() else {}
        if known.get("stamp") != stamp or not (folder / "data" / "units" / name / f"{layer}.js").is_file():
            print(f"toolbox: {name}, {layer}", flush=True)
            known = {"stamp": stamp, "units": _layer(folder, name, model, layer, seen(), concepts(), count)}
            write(kept, json.dumps(known))
        rows.append({"name": layer, "units": known["units"]})
    return {"name": name, "title": source.title, "told": source.told, "live": name in LIVE, "layers": rows}


def _convolutions(model):
    kinds = (keras.layers.Conv1D, keras.layers.Conv2D)
    return [layer.name for layer in model.layers if isinstance(layer, kinds)]


def _stamp(name, layer, count):
    """Changes with the code that makes the data of a layer, with its network, and with the number of units."""
    made_by = digest.sources({module: path for room in ROOMS for module, path in digest.closure_of(room).items()})
    weights = ROOT / "models" / f"{name}.keras"
    own = [*sorted(Path(__file__).parent.glob("*.py")), *([weights] if weights.is_file() else [])]
    parts = [made_by, layer, str(count), *(hashlib.sha256(path.read_bytes()).hexdigest() for path in own)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _layer(folder, name, model, layer, seen, concepts, count):
    """Write what the page shows of the units of one layer; return what the list tells of them."""
    found = units.looked_at(model, layer, seen, concepts, count)
    pictures = folder / "units" / name / layer
    shutil.rmtree(pictures, ignore_errors=True)
    for table, windows, maps, items, made in zip(*found, strict=True):
        inputs = seen.inputs[items]
        if seen.inputs.ndim == 4:
            write(pictures / f"{table['unit']}.webp", sprites.sheet(windows, maps, inputs))
            write(pictures / f"{table['unit']}-made.webp", sprites.picture(made))
        else:
            table |= {"curves": sprites.curves(windows, maps, inputs), "made": rounded(made[:, 0], 2)}
    save(folder, f"units/{name}/{layer}", [*found.tables])
    return [
        [
            table["unit"],
            table.get("concept", ""),
            table.get("category", ""),
            table.get("iou", 0),
            table.get("class", ""),
        ]
        for table in found.tables
    ]
