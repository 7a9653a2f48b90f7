"""One contender's process: python -m benchmarks.contenders.worker NAME FOLDER.

Orders come in and answers go out as JSON lines. It computes only when asked; what libraries print goes to stderr.
"""

import importlib
import json
import os
import sys
import time
import traceback
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.contenders.case import Case


class Worker:
    """The functions that are ready to be timed, by key."""

    def __init__(self, name, folder):
        self.module = importlib.import_module(f"benchmarks.contenders.with_{name}")
        self.folder, self.cases, self.ready = Path(folder), {}, {}

    def about(self):
        package, backend = self.module.PACKAGE, getattr(self.module, "BACKEND", None)
        own = version(package) if package else "this commit"
        return {"version": f"{own} on {backend} {version(backend)}" if backend else own}

    def build(self, setting):
        """The function of a setting, or None where the library has no such method."""
        network = setting["network"]
        case = self.cases.setdefault(network, Case(self.folder / network))
        maker = self.module.METHODS.get(setting["method"])
        return maker and maker(case, setting)

    def prepare(self, key, setting, warm=True, maps=None):
        """Build; run once unless told otherwise, and leave that run's maps in the file `maps`."""
        run = self.build(setting)
        if run is None:
            return {"absent": True}
        self.ready[key] = run
        if not warm:
            return {}
        started = time.perf_counter()
        found = run()
        seconds = time.perf_counter() - started
        if maps:
            np.save(maps, np.asarray(found, np.float32))
        return {"seconds": seconds}

    def time(self, key, repeats=1):
        """Seconds of one call, the mean of `repeats` in a row."""
        run = self.ready[key]
        started = time.perf_counter()
        for _ in range(repeats):
            run()
        return {"seconds": (time.perf_counter() - started) / repeats}

    def forget(self, key):
        self.ready.pop(key, None)
        return {}

    def memory(self, setting):
        """Peak memory in bytes: once built, with one forward pass done, and after the method; and size of its maps."""
        import resource

        self.build(setting | {"method": "forward", "n": 1})()
        self.cases[setting["network"]].inputs(setting["n"])
        run = self.build(setting)
        if run is None:
            return {"absent": True}
        unit = 1 if sys.platform == "darwin" else 1024

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

        before = peak()
        maps = np.asarray(run())
        return {"bytes": max(0, peak() - before - maps.nbytes)}


def main(name, folder):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if name == "captum":
        os.environ["KERAS_BACKEND"] = "torch"  # the weights are all that is wanted of Keras
    try:
        worker = Worker(name, folder)
        greeting = worker.about()
    except Exception:
        greeting = {"error": traceback.format_exc()}
    print(json.dumps(greeting), file=answers, flush=True)
    for line in sys.stdin:
        order, arguments = json.loads(line)
        try:
            answer = getattr(worker, order)(**arguments)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
