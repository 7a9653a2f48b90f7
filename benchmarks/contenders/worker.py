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

from benchmarks.contenders import converging
from tools.peers.answering import wrapper
from tools.peers.case import Case
from tools.peers.environment import MASKS, RELEVANCE, TITLES

LIBRARIES = TITLES | RELEVANCE | MASKS


class Worker:
    """The functions that are ready to be timed, by key."""

    def __init__(self, name, folder):
        self.module = wrapper(f"{'tools.peers' if name in LIBRARIES else 'benchmarks.contenders'}.with_{name}")
        self.methods = dict(self.module.METHODS)
        if name in converging.RULES:
            self.methods |= converging.methods(self.module.path, converging.RULES[name])
        if "forward" not in self.methods and name not in RELEVANCE | MASKS:  # a library that explains the Keras network
            self.methods |= importlib.import_module("benchmarks.contenders.raw").METHODS
        self.folder, self.cases, self.ready = Path(folder), {}, {}

    def about(self):
        package, backend = (getattr(self.module, name, None) for name in ("PACKAGE", "BACKEND"))
        own = version(package) if package else "this commit"
        return {"version": f"{own} on {backend} {version(backend)}" if backend else own}

    def case(self, network):
        if network not in self.cases:
            self.cases[network] = Case.load(self.folder / network)
        return self.cases[network]

    def build(self, setting):
        """The function of a setting, or None where the library has no such method."""
        case, maker = self.case(setting["network"]).first(setting["n"]), self.methods.get(setting["method"])
        return maker and maker(case, setting["amount"])

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
