"""How much memory a method takes beyond its inputs: each measured in a process of its own.

`python -m heatproof.metrics.cost FOLDER` is that process.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import joblib
import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import psutil

from heatproof.engine.query import Query
from heatproof.engine.views import recipe_of
from heatproof.methods.catalogue import METHODS
from heatproof.methods.rows import Method, chosen, listed, options_of
from heatproof.problems import ArgumentTypeError
from heatproof.progress import progress

MEBIBYTE = 2**20
PERIOD = 0.002  # seconds between two looks at the process


def peak_memory(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    methods: Sequence = ("grad_cam", "integrated_gradients"),
    *,
    options: object = None,
) -> pd.DataFrame:
    """Measure the peak memory of each method, one after the other, each in a new Python process.

    peak = max_t resident(t) - resident(before), in MiB: from just before the call, with the network loaded and the
    inputs read, until the maps are there. The inputs are not in it; the maps, the traced graph and what TensorFlow
    keeps for later are. `methods`: names of METHODS, or rows of your own; `options`: {method: {option: value}}.

    Returns a DataFrame with the columns method, MiB. Raises `TypeError`, `ValueError` as `evaluate` does,
    `RuntimeError` with the last lines of the process when a method failed in it, and `TypeError` for a model that
    cannot be saved as one `.keras` file, or a method that cannot be sent to another process.
    """
    query = Query(model, inputs, targets)
    rows = chosen("methods", listed("methods", methods, Method), METHODS, Method)
    options = options_of(options, rows, seed=0)
    if recipe_of(model).base is not model:
        raise ArgumentTypeError("model", "a view, which is no file", cure="pass the model itself")
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        np.savez(Path(folder) / "question.npz", inputs=query.inputs, targets=query.targets)
        calls = {row.name: _packed(row, options[row.name]) for row in rows}
        found = [(name, _ask(folder, name, calls[name])) for name in progress(calls, len(calls), "peak memory")]
    return pd.DataFrame(found, columns=["method", "MiB"])


def _packed(row, options):
    """The bytes of a call."""
    try:
        return pickle.dumps(joblib.wrap_non_picklable_objects((row.function, options), keep_wrapper=False))
    except Exception as error:
        given = f"{row.name!r}, whose function or an option cannot be sent to another process ({error})"
        cure = "let it hold nothing that belongs to this process (an open file, a lock)"
        raise ArgumentTypeError("methods", given, cure=cure) from error


def _ask(folder, name, call):
    """The peak of one method, from a process of its own."""
    (Path(folder) / "call.pickle").write_bytes(call)
    root = Path(__file__).resolve().parents[2]
    places = os.pathsep.join(filter(None, sys.path))  # where a visitor's function may be imported from
    environ = os.environ | {"XAI_PROGRESS": "0", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": places}
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
    function, options = pickle.loads((folder / "call.pickle").read_bytes())
    with Watch() as watch:
        function(model, inputs, targets, **options)
    print(watch.peak)


if __name__ == "__main__":
    main(sys.argv[1])
