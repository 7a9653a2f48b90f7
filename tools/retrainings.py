"""Rank the methods on networks that were trained again and again, and train on what they leave (ROAR).

    python -m tools.retrainings                  all that is not there yet; interrupted, it goes on
    python -m tools.retrainings --budget         how many runs, and how long they take; nothing is run
    python -m tools.retrainings --only mnist1d   one kind of data
    python -m tools.retrainings --one            one run of each that is left, to measure its seconds

A run is one network: trained with a seed of its own, then every method scored on the same items, as the rule of chapter
07 sets it. What a run gives lies in build/retrainings/ as soon as it is done, with its seconds; the tables in results/
are written when all runs of a kind are there: NAME_retrained.csv, and roar.csv for the signals.
"""

import argparse
import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from heatproof.writing import write
from tools.environment import ROOT

FOLDER, RESULTS = ROOT / "build" / "retrainings", ROOT / "results"
TRAININGS = 8
METRICS = ("average_drop", "average_increase", "deletion", "insertion", "evidence_mass", "rank_accuracy")
ROAR_METHODS = ("saliency", "gradient_x_input", "integrated_gradients", "smooth_grad", "var_grad", "grad_cam")
ROAR_METHODS += ("occlusion", "lrp")
IGNORANT = ("random",)
SHARES, ROAR_TRAININGS, EPOCHS = (0.1, 0.3, 0.5), 5, 40


@dataclasses.dataclass(frozen=True)
class Run:
    """One network to train and what is asked of it; `make()` returns the rows of its table as a frame."""

    name: str
    kind: str
    make: Callable

    @property
    def path(self):
        return FOLDER / f"{self.name}.csv"


def scored(kind: str, train: Callable, seed: int, items: int = 100):
    """The rows of one network: method, training, item and a column for each metric."""
    import xai_utils as xu
    from tools import scoring, tables

    table = tables.TABLES[f"{kind}_all"]
    tuned = {name for name in table.settings["options"] if name.endswith(tables.TUNED)}
    names = [name for name in table.settings["methods"] if f"{name}{tables.TUNED}" not in tuned]
    inputs, masks = table.data()
    question = {name: value for name, value in table.settings.items() if name not in ("methods", "options")}
    question |= {"fill": float(inputs.mean()), "metrics": METRICS, "folder": FOLDER / f"{kind}-{seed}"}
    question["methods"] = tuple(map(scoring.row_of, names))
    question["options"] = {name: options for name, options in table.settings["options"].items() if name in names}
    frame = xu.evaluate(train(seed), inputs[:items], masks=masks[:items], **question)
    frame["method"] = frame["method"].str.removesuffix(tables.TUNED)
    return frame.assign(training=seed)[["method", "training", "metric", "item", "value"]]


def signals(seed: int, data=None, epochs: int = 120):
    """The network of mnist1d.keras, from another start."""
    import mnist1d_utils as m1

    model, data = m1.network("flatten", seed=seed), m1.make_dataset() if data is None else data
    m1.train(model, data, epochs=epochs, seed=seed, checkpoint=_checkpoint(f"mnist1d-{seed}"))
    model.input_range = (-6.0, 6.0)
    return model


def phantoms(kind: str, seed: int):
    """The network of a phantom, as models/train.py makes it, from another start."""
    import sys

    sys.path.insert(0, str(ROOT / "models"))
    import train

    return train.retrained(kind, seed, _checkpoint(f"{kind}-{seed}"))


def _checkpoint(name) -> Path:
    folder = FOLDER / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.npz"


def roar(method: str, share: float, training: int, epochs: int = EPOCHS, data=None):
    """The accuracy of a network that was trained and is tested on signals without what a method marks.

    The maps are those of the committed network for the class that it predicts, so that no label leaks into the holes;
    the mean of the training signals stands in them.
    """
    import numpy as np
    import pandas as pd

    import mnist1d_utils as m1
    import xai_utils as xu

    data, model = m1.make_dataset() if data is None else data, xu.load_model(ROOT / "models" / "mnist1d.keras")
    mean = float(m1.split(data, "train")[0].mean())
    left = dict(data)
    for name in ("x", "x_test"):
        x = np.asarray(data[name], np.float32)[..., None]
        left[name] = xu.remove_top(x, marks(method, model, x), share, fill=mean)[..., 0]
    again = m1.network("flatten", seed=training)
    m1.train(again, left, epochs=epochs, seed=training)
    x, labels = m1.split(left, "test")
    accuracy = float((again.predict(x, verbose=0).argmax(axis=1) == labels).mean())
    return pd.DataFrame([{"method": method, "share": share, "training": training, "accuracy": accuracy}])


def marks(method: str, model, x):
    """The relevance by a method of the catalogue as the rule sets it, or random numbers."""
    import numpy as np

    import xai_utils as xu

    if method in IGNORANT:
        return np.random.default_rng(0).random(x.shape[:-1])
    row, options = xu.METHODS[method], xu.read_options(RESULTS / "mnist1d_tuning.csv").get(method, {})
    return row.reduce(np.asarray(row.function(model, x, **options)))


def runs() -> list[Run]:
    """All runs, the quick ones first."""
    found = [
        Run(f"mnist1d-{seed}", "mnist1d", lambda seed=seed: scored("mnist1d", signals, seed))
        for seed in range(1, TRAININGS + 1)
    ]
    found += [
        Run(f"roar-{method}-{share}-{k}", "roar", lambda m=method, s=share, k=k: roar(m, s, k))
        for k in range(1, ROAR_TRAININGS + 1)
        for method in (*ROAR_METHODS, *IGNORANT)
        for share in SHARES
    ]
    for kind in ("schematic_faces", "tissue_phantom"):
        found += [
            Run(f"{kind}-{seed}", kind, lambda kind=kind, seed=seed: scored(kind, lambda s: phantoms(kind, s), seed))
            for seed in range(1, TRAININGS + 1)
        ]
    return found


def measured() -> dict[str, float]:
    """The seconds of a run of each kind: of what was run here, else those that are kept in results/."""
    kept = RESULTS / "retrainings.json"
    known = json.loads(kept.read_text(encoding="utf-8"))["seconds"] if kept.is_file() else {}
    here = FOLDER / "seconds.json"
    return known | (json.loads(here.read_text(encoding="utf-8")) if here.is_file() else {})


def budget(left: list[Run], seconds: dict[str, float]) -> str:
    """Runs times measured seconds, a line for each kind, and the sum."""
    lines, total = [], 0.0
    for kind in dict.fromkeys(run.kind for run in left):
        count = sum(run.kind == kind for run in left)
        if kind not in seconds:
            lines.append(f"{kind}: {count} runs, not measured yet")
            continue
        total += count * seconds[kind]
        lines.append(f"{kind}: {count} runs x {seconds[kind]:.0f} s = {count * seconds[kind] / 3600:.2f} h")
    return "\n".join([*lines, f"in all {total / 3600:.2f} h"])


def finish(run: Run) -> float:
    """Make a run's table and note its seconds; whatever stops it leaves nothing half-written."""
    started = time.monotonic()
    table = run.make()
    FOLDER.mkdir(parents=True, exist_ok=True)
    seconds = time.monotonic() - started
    write(run.path, table.to_csv(index=False, float_format="%.4f"))
    known = FOLDER / "seconds.json"
    noted = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else {}
    write(known, json.dumps(noted | {run.kind: round(seconds, 1)}, indent=1) + "\n")
    shutil.rmtree(FOLDER / run.name, ignore_errors=True)  # the shards of its scores
    return seconds


def collect(kind: str, chosen: list[Run]) -> Path | None:
    """The table of a kind in results/, once all of its runs are there."""
    import pandas as pd

    part = [run for run in chosen if run.kind == kind]
    if not part or not all(run.path.is_file() for run in part):
        return None
    table = pd.concat([pd.read_csv(run.path) for run in part], ignore_index=True)
    path = RESULTS / ("roar.csv" if kind == "roar" else f"{kind}_retrained.csv")
    write(path, table.to_csv(index=False, float_format="%.4f"))
    return path


def main(arguments=None) -> int:
    """Say what it will take, then do what is left."""
    parser = argparse.ArgumentParser(prog="python -m tools.retrainings", description=__doc__.splitlines()[0])
    parser.add_argument("--budget", action="store_true", help="say how long it takes, and run nothing")
    parser.add_argument("--one", action="store_true", help="one run of each kind, to measure its seconds")
    parser.add_argument("--only", choices=sorted({run.kind for run in runs()}), help="one kind of data")
    options = parser.parse_args(arguments)
    chosen = [run for run in runs() if options.only in (None, run.kind)]
    left = [run for run in chosen if not run.path.is_file()]
    print(budget(left, measured()), flush=True)
    if options.budget:
        return 0
    for run in list({each.kind: each for each in left[::-1]}.values())[::-1] if options.one else left:
        print(f"{run.name}: {finish(run):.0f} s", flush=True)
    for kind in dict.fromkeys(run.kind for run in chosen):
        if path := collect(kind, chosen):
            print(f"written: {path.relative_to(ROOT)}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
