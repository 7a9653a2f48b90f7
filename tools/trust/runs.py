"""Runs that are kept one by one: what a run gives is on disk as soon as it is done, with its seconds."""

import dataclasses
import io
import json
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from heatproof.writing import write
from tools.environment import ROOT, processes
from tools.panel.__main__ import ONE_THREAD

FOLDER, RESULTS = ROOT / "build" / "trust", ROOT / "results"
DIGITS = "%.4f"
PLACES = ("strength", "share")  # broken numbers that say which row it is, as all other columns do that are no measure
ROUNDING = 1.01e-4  # the last stored digit


@dataclasses.dataclass(frozen=True)
class Run:
    """A part of the table results/KIND.csv: `make()` returns its rows as a frame.

    `settings`: the numbers that it is made by; with others it is another run, and what was kept is not taken for it.
    """

    name: str
    kind: str
    make: Callable
    settings: tuple = ()

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}-{zlib.crc32(repr(self.settings).encode()):08x}.csv"


def measured() -> dict[str, float]:
    """The mean seconds of one core of a run of each kind, of what was run here, else as kept in results/."""
    here = {kind: round(sum(each) / len(each), 1) for kind, each in _read(FOLDER / "seconds.json").items()}
    noted = {kind: note["seconds"] for kind, note in _read(RESULTS / "trust.json").items() if note["seconds"]}
    return noted | here


def current(kind: str, part: list[Run]) -> bool:
    """Whether the table of a kind in results/ is of these runs, by their names and numbers."""
    noted = _read(RESULTS / "trust.json").get(kind, {})
    return (RESULTS / f"{kind}.csv").is_file() and noted.get("runs") == _names(part)


def _names(part):
    return f"{zlib.crc32(repr([(run.name, run.settings) for run in part]).encode()):08x}"


def _read(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def budget(left: list[Run], seconds: dict[str, float]) -> str:
    """Runs times measured seconds of one core, a line for each kind, and the sum."""
    lines, total = [], 0.0
    for kind in dict.fromkeys(run.kind for run in left):
        count = sum(run.kind == kind for run in left)
        if kind not in seconds:
            lines.append(f"{kind}: {count} runs, not measured yet")
            continue
        total += count * seconds[kind]
        lines.append(f"{kind}: {count} runs x {seconds[kind]:.0f} s = {count * seconds[kind] / 3600:.2f} h")
    return "\n".join([*lines, f"in all {total / 3600:.2f} h of one core, {total / 7200:.2f} h on two"])


def asked(question: Callable, chosen: Iterable[Run]) -> Iterator[tuple]:
    """(run, what the question gives for it), as they come: from several processes at once, each with one thread.

    With more threads TensorFlow adds in another order, and a training ends with other digits.
    """
    import joblib

    os.environ |= ONE_THREAD  # read by TensorFlow when it starts
    chosen = list(chosen)
    several = joblib.Parallel(processes(), return_as="generator_unordered")
    for place, answer in several(joblib.delayed(_placed)(question, *each) for each in enumerate(chosen)):
        yield chosen[place], answer


def _placed(question, place, run):
    return place, question(run)


def finish(run: Run) -> float:
    """Make a run's table; its seconds of one core, which other work does not lengthen.

    Whatever stops it leaves nothing half-written.
    """
    started = time.process_time()
    table = run.make()
    seconds = time.process_time() - started
    FOLDER.mkdir(parents=True, exist_ok=True)
    write(run.path, table.to_csv(index=False, float_format=DIGITS))
    return seconds


def note(run: Run, seconds: float) -> None:
    """Keep what a run took."""
    noted = _read(FOLDER / "seconds.json")
    noted.setdefault(run.kind, []).append(round(seconds, 1))
    write(FOLDER / "seconds.json", json.dumps(noted) + "\n")


def collect(kind: str, chosen: list[Run]) -> Path | None:
    """The table of a kind in results/, once all of its runs are there, with a note of them and of their seconds."""
    import pandas as pd

    part = [run for run in chosen if run.kind == kind]
    if not part or not all(run.path.is_file() for run in part):
        return None
    table = pd.concat([pd.read_csv(run.path) for run in part], ignore_index=True)
    path = RESULTS / f"{kind}.csv"
    write(path, table.to_csv(index=False, float_format=DIGITS))
    known = _read(RESULTS / "trust.json") | {kind: {"seconds": measured().get(kind), "runs": _names(part)}}
    write(RESULTS / "trust.json", json.dumps(dict(sorted(known.items())), indent=1) + "\n")
    return path


def differing(run: Run):
    """The rows of a run, made again, that its table in results/ does not have, or with other numbers."""
    import pandas as pd

    made = run.make().to_csv(index=False, float_format=DIGITS)
    stored = pd.read_csv(RESULTS / f"{run.kind}.csv")
    found = pd.read_csv(io.StringIO(made), dtype=stored.dtypes.to_dict())
    stored = stored.reindex(columns=found.columns)
    measures = [name for name in found if found[name].dtype.kind == "f" and name not in PLACES]
    keys = [name for name in found if name not in measures]
    both = found.merge(stored, "left", on=keys, suffixes=("", "_stored"), indicator="known")
    far = both.pop("known") != "both"
    for name in measures:
        gone = both[name].isna() != both[f"{name}_stored"].isna()
        far |= gone | ((both[name] - both[f"{name}_stored"]).abs() > ROUNDING)
    return both[far]
