"""How much memory a method takes beyond its inputs: each measured in a process of its own.

`python -m heatproof.metrics.cost FOLDER` is that process.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import psutil

from heatproof import checks
from heatproof.engine.query import Query
from heatproof.engine.views import recipe_of
from heatproof.methods.catalogue import METHODS, options_of
from heatproof.progress import progress

MEBIBYTE = 2**20
PERIOD = 0.002  # seconds between two looks at the process


def peak_memory(model, inputs, targets=None, methods=("grad_cam", "integrated_gradients"), *, options=None):
    """Measure the peak memory of each method, one after the other, each in a new Python process.

    peak = max_t resident(t) - resident(before), in MiB: from just before the call, with the network loaded and the
    inputs read, until the maps are there. The inputs are not in it; the maps, the traced graph and what TensorFlow
    keeps for later are. `options`: {method: {option: value}}.

    Returns a DataFrame with the columns method, MiB. Raises `TypeError`, `ValueError` as `evaluate` does,
    `RuntimeError` with the last lines of the process when a method failed in it, and `TypeError` for a model that
    cannot be saved as one `.keras` file.
    """
    query = Query(model, inputs, targets)
    methods = [checks.one_of("methods", name, tuple(METHODS)) for name in methods]
    if unused := set(options or {}) - set(methods):
        raise ValueError(f"options: got options for {sorted(unused)}; the methods asked for are {methods}.")
    options = {name: options_of(name, (options or {}).get(name, {}), 0) for name in methods}
    if recipe_of(model).base is not model:
        raise TypeError("model: got a view, which is no file. Cure: pass the model itself.")
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        np.savez(Path(folder) / "question.npz", inputs=query.inputs, targets=query.targets)
        rows = [(name, _ask(folder, name, options[name])) for name in progress(methods, len(methods), "peak memory")]
    return pd.DataFrame(rows, columns=["method", "MiB"])


def _ask(folder, name, options):
    """The peak of one method, from a process of its own."""
    (Path(folder) / "call.json").write_text(json.dumps({"method": name, "options": options}), encoding="utf-8")
    root = Path(__file__).resolve().parents[2]
    environ = os.environ | {"XAI_PROGRESS": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "heatproof.metrics.cost", str(folder)]
    done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name}: its process failed: {done.stderr.strip().splitlines()[-1:]}")
    return float(done.stdout.split()[-1])


class Watch:
    """The largest resident memory of this process inside a `with` block, beyond that at its beginning, in MiB."""

    def __enter__(self):
        self._process, self._done = psutil.Process(), threading.Event()
        self._before = self._highest = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self):
        while not self._done.wait(PERIOD):
            self._highest = max(self._highest, self._process.memory_info().rss)

    def __exit__(self, *_):
        self._highest = max(self._highest, self._process.memory_info().rss)
        self._done.set()
        self._thread.join()

    @property
    def peak(self):
        return (self._highest - self._before) / MEBIBYTE


def main(folder):
    """Load the question, answer it once, print the peak in MiB."""
    folder = Path(folder)
    model, question = keras.saving.load_model(folder / "model.keras", compile=False), np.load(folder / "question.npz")
    inputs, targets = question["inputs"], question["targets"]
    call = json.loads((folder / "call.json").read_text(encoding="utf-8"))
    with Watch() as watch:
        METHODS[call["method"]].function(model, inputs, targets, **call["options"])
    print(watch.peak)


if __name__ == "__main__":
    main(sys.argv[1])
