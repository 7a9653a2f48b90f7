"""Score the methods on whole test sets and keep the tables in results/, each with a note of what made it.

For a table NAME the folder results/ holds NAME.csv (tidy: method, metric, item, value, reason; 4 digits) and
NAME.json (settings, hashes, date, versions, and the stamp of the code), written last: without it,
or with other settings, the table is made anew: the rows of one method, if only its own options are others.
"""

import datetime
import hashlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

from heatproof.writing import write
from tools import scoring, stamps, tables
from tools.environment import ROOT, processes

RESULTS = ROOT / "results"
SHARDS = ROOT / "build" / "evaluation"
SHARD = 32  # items


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def settings(name: str) -> dict:
    """What decides whether a table is up to date, as JSON gives it back."""
    table = tables.TABLES[name]
    model = f"models/{table.network}.keras"
    wanted = {"data": table.note, "model": model, "model_sha256": digest(ROOT / model)} | table.settings
    wanted |= {field: getattr(table, field) for field in table.own}
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
    return {field: value for field, value in settings.items() if field not in ("methods", "options", "knobs")}


def _own(settings, method):
    """The options of one method and the knobs that are turned; None if it is not in the table."""
    if method not in settings["methods"]:
        return None
    return settings["options"].get(method, {}), settings.get("knobs", {}).get(method, [])


def code(name: str) -> dict:
    """{"code": stamp of the code} of a table; {} where the values are measured, not computed."""
    table = tables.TABLES[name]
    measured = isinstance(table, tables.MemoryTable)
    rooms = ("tuning",) if isinstance(table, tables.TuningTable) else ()
    return {} if measured else {"code": stamps.code(table.network, table.settings["methods"], rooms)}


def is_stamped(name: str, folder: Path) -> bool:
    """Whether the table's note bears the stamp of the code as it is."""
    note = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return note | code(name) == note


def stamp(name: str, folder: Path) -> None:
    """Write the stamp of the code as it is into the table's note."""
    path = folder / f"{name}.json"
    note = json.loads(path.read_text(encoding="utf-8"))
    write(path, json.dumps(note | code(name), indent=1) + "\n")


def store(name: str, table, folder: Path = RESULTS, measured: dict | None = None) -> None:
    """Write the table and its note; `measured` as `_shards_timed` returns it."""
    folder.mkdir(exist_ok=True)
    write(folder / f"{name}.csv", table.to_csv(index=False, float_format="%.4g", lineterminator="\n"))
    note = (
        {
            "command": "python -m tools evaluation",
            "date": datetime.date.today().isoformat(),
            "versions": {"python": sys.version.split()[0]} | {room: version(room) for room in ("numpy", "keras")},
            "settings": settings(name),
            "items": int(table["item"].nunique()) if "item" in table else tables.TABLES[name].items,
            "rows": len(table),
            "without_value": int((table["reason"] != "").sum()),
            "table_sha256": digest(folder / f"{name}.csv"),
        }
        | code(name)
        | (measured or {})
    )
    write(folder / f"{name}.json", json.dumps(note, indent=1) + "\n")


def renew(name: str, methods: tuple, folder: Path = RESULTS) -> None:
    """Make the rows of some methods anew, and those of the maps that know nothing; all others stay as they are."""
    import pandas as pd

    print(f"results/{name}.csv: computing {', '.join(methods)}", flush=True)
    code(name)  # kept: the code as it is now, not in some hours
    found, measured = _shards_timed(name, methods)
    if set(methods) < set(tables.TABLES[name].settings["methods"]):
        keys = [key for key in ("method", "metric", "item") if key in found]
        keys = ["method", "knob", "value"] if "knob" in found else keys
        stored = pd.read_csv(folder / f"{name}.csv").fillna({"reason": "", "knob": "", "value": ""}).set_index(keys)
        found = found.set_index(keys)
        kept = ~stored.index.get_level_values("method").isin(methods) | stored.index.isin(found.index)
        stored = stored[kept]  # without what is no longer tried
        order = stored.index.append(found.index.difference(stored.index, sort=False))
        found = pd.concat([stored.loc[stored.index.difference(found.index)], found]).loc[order].reset_index()
    store(name, found, folder, measured or _measured(name, folder))
    print(f"results/{name}.csv: {len(found)} rows", flush=True)


def _shards_timed(name, methods):
    """The rows, and {"measured": shards and seconds} of what was not taken from an interrupted run; {} if all was."""
    before, start = _kept(name), time.monotonic()
    found = scoring.make(name, methods=methods)
    made, seconds = _kept(name) - before, time.monotonic() - start
    measured = {"shards": made, "seconds": round(seconds), "processes": processes()}
    return found, {"measured": measured} if made > 0 else {}


def _kept(name):
    """The number of finished shards on disk."""
    return sum(1 for _ in (SHARDS / name).glob("*.json"))


def _measured(name, folder):
    """The measurement that the table's note keeps; {} if there is none."""
    note = folder / f"{name}.json"
    stored = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
    return {field: stored[field] for field in ("measured",) if field in stored}


# ---- the budget


def budget(folder: Path = RESULTS) -> tuple:
    """What a run has to compute: lines to print, one for each table, and the sum of the seconds that are known."""
    lines, whole = [], 0.0
    for name in tables.TABLES:
        if methods := outdated(name, folder):
            line, seconds = _expected(name, len(methods), folder)
            lines.append(line)
            whole += seconds
    return lines, whole


def _expected(name, methods, folder):
    """Runs x measured seconds of a table, as a line and as a number."""
    table = tables.TABLES[name]
    shards = methods * -(-table.count // SHARD)
    text = f"results/{name}.csv: {methods} methods x {table.count} items in {shards} shards"
    if not (found := _measured(name, folder)):
        return f"{text}, not measured yet", 0.0
    each = found["measured"]["seconds"] / found["measured"]["shards"]
    return f"{text} x {each:.1f} s = {shards * each / 60:.0f} min", shards * each


def run(folder: Path = RESULTS) -> None:
    """Make the rows that were made by other settings; a data set that is not here leaves its table alone."""
    sys.path.insert(0, str(ROOT))
    lines, seconds = budget(folder)
    if lines:
        print(*lines, f"budget: {seconds / 3600:.1f} h, and what is not measured yet", sep="\n", flush=True)
    for name in tables.TABLES:
        if not (methods := outdated(name, folder)):
            continue
        try:
            renew(name, methods, folder)
            tables.chosen_anew(name)
        except FileNotFoundError as absent:
            print(f"results/{name}.csv: left as it is, because {absent}", flush=True)
