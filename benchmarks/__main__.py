"""python -m benchmarks [--quick] [--fresh] [--minutes M] [PART] [--page]: measure, then write page and figure.

A run that was stopped, or whose time was up, goes on where it stopped, unless the code has changed since. --quick
takes the same path with few inputs, samples and rounds, into build/benchmarks/quick; its numbers mean nothing. PART
measures one part alone, into the results that are there: --first the first maps, --windows what windows would save,
--relevance rules of relevance propagation and learned masks, --inside dissection and the search for patches,
--only NETWORK all settings of one network. --page writes page and figure again from results.json.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Lock

from benchmarks import figures, first, inside, machine, page, plan, relevance, windows
from benchmarks.bench import Bench
from benchmarks.driver import Contender
from heatproof.writing import write
from tools.environment import ROOT
from tools.peers import environment as peers

BUILD = ROOT / "build" / "benchmarks"
HOME = ROOT / "benchmarks"
MINUTES = 38  # no further setting is begun after this


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few inputs, samples and rounds: a trial of the path")
    parser.add_argument("--fresh", action="store_true", help="begin anew")
    parser.add_argument("--first", action="store_true", help="only the first maps, into results.json")
    parser.add_argument("--windows", action="store_true", help="only what windows would save, into results.json")
    parser.add_argument("--relevance", action="store_true", help="only rules and learned masks, into results.json")
    parser.add_argument(
        "--inside", action="store_true", help="only dissection and strongest patches, into results.json"
    )
    parser.add_argument("--only", metavar="NETWORK", choices=plan.NETWORKS, help="only this network, into results.json")
    parser.add_argument("--page", action="store_true", help="only the page and the figure, from results.json")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="begin no setting after so many minutes")
    options = parser.parse_args()
    home = BUILD / "quick" if options.quick else HOME
    if not options.page:
        home.mkdir(parents=True, exist_ok=True)
        write(home / "results.json", page.as_text(measured(options, home / "results.json")))
    results = page.read(home / "results.json")
    if page.has_scaling(results):
        figures.scaling(results, home / "scaling.png")
    write(home / "results.md", page.render(results))
    print(f"benchmarks: {(home / 'results.md').relative_to(ROOT)}", flush=True)
    return 0


def measured(options, path):
    """The results: all of them, or those in the file with one part measured anew; a trial's first file is a copy."""
    path = path if path.exists() else HOME / "results.json"
    if options.first:
        return page.read(path) | {"first": first_maps(options)}
    if options.windows:
        return page.read(path) | {"windows": windows.measure()}
    if options.relevance:
        return page.read(path) | {"relevance": rules_and_masks(options)}
    if options.inside:
        return page.read(path) | {"inside": inside.measure(options.quick)}
    if options.only:
        return merged(page.read(path), options.only, run(options))
    found = run(options) | {"first": first_maps(options), "windows": windows.measure()}
    return found | {"relevance": rules_and_masks(options), "inside": inside.measure(options.quick)}


def merged(before, network, found):
    """The results before, with the timed rows of one network as found now, and when that was."""
    others = [row for row in before["rows"] if row["network"] != network or row["purpose"] == "memory"]
    left_out = [key for key in before["left_out"] if network not in key.split()]
    alone = before.get("alone", {}) | {network: {name: found[name] for name in ("date", "load", "machine", "versions")}}
    left_out, rows = left_out + found["left_out"], others + found["rows"]
    return before | {"alone": alone, "left_out": left_out, "rows": rows}


def first_maps(options):
    """The first maps by themselves, kept until all are there."""
    store = stored(options, "first.json")
    found = {"load": store.keep("load", load), "rows": first.measure(store, say, 1 if options.quick else first.ROUNDS)}
    store.path.unlink(missing_ok=True)
    return found


def rules_and_masks(options):
    """Rules of relevance propagation and learned masks, measured at once."""
    started = time.monotonic()
    asked = relevance.QUICK if options.quick else relevance.WHOLE
    folder = (BUILD / "quick" if options.quick else BUILD) / "relevance"
    folder.mkdir(parents=True, exist_ok=True)
    peers.run([sys.executable, "-m", "benchmarks.cases", folder, *relevance.networks(asked)])
    with ExitStack() as closing:
        team, versions = gather(folder, closing, relevance.CONTENDERS)
        found = relevance.measure(asked, team, lambda name: command(name, folder), folder, say)
    return found | {"versions": versions, "minutes": round((time.monotonic() - started) / 60, 1)}


def stored(options, name):
    folder = BUILD / "quick" if options.quick else BUILD
    folder.mkdir(parents=True, exist_ok=True)
    return Store(folder / name, "quick" if options.quick else digest(), options.fresh)


def load():
    return round(os.getloadavg()[0], 1)


def run(options):
    """Measure what is not yet in the store; the results as a dict."""
    started = time.monotonic()
    peers.ensure_peers()
    store = stored(options, f"{options.only or 'partial'}.json")
    folder = store.path.parent / "cases"
    folder.mkdir(exist_ok=True)
    settings = list(plan.quick() if options.quick else plan.plan())
    settings = [setting for setting in settings if options.only in (None, setting.network)]
    networks = list(dict.fromkeys(setting.network for setting in settings))
    store.keep("load", load)
    store.keep("cases", lambda: peers.run([sys.executable, "-m", "benchmarks.cases", folder, *networks]))
    if not options.only:
        beside(store, folder, options)
        say(f"peak memory done, {(time.monotonic() - started) / 60:.1f} min")
    with ExitStack() as closing:
        team, versions = gather(folder, closing)
        store.parts["versions"] = versions
        timed(Bench(team, folder), settings, networks, store, started, options)
    found = results(store, settings)
    if not found["left_out"]:
        store.path.unlink(missing_ok=True)
    return found


def beside(store, folder, options):
    """What needs processes of its own: imports and peak memory."""
    say("imports of xai_utils in fresh processes")
    store.keep("imports", lambda: machine.imports(sys.executable, 1 if options.quick else 5))
    say("peak memory, two processes at a time")
    peaks = plan.quick_memory() if options.quick else plan.memory()
    wanted = [(setting, name) for setting in peaks for name in setting.contenders]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pair: memory(store, *pair, command(pair[1], folder)), wanted))


def timed(bench, settings, networks, store, started, options):
    """Raw passes of every network, then the settings in their order, until the time is up."""
    for network in networks:
        raw = {"batches": (8, 32), "rounds": 2} if network in plan.SCALING or options.quick else {}
        raw = {"batches": plan.BATCHES[network]} | raw if network in plan.BATCHES else raw
        bench.knows(store.keep(f"raw {network}", lambda n=network, how=raw: bench.raw(n, **how)))
    begun, done, whole = time.monotonic(), 0, sum(setting.work for setting in settings)
    for number, setting in enumerate(settings, 1):
        minutes = (time.monotonic() - started) / 60
        if minutes > options.minutes:
            say(f"time is up after {minutes:.0f} min: {len(settings) - number + 1} settings are left out")
            return
        store.keep(setting.key, lambda one=setting: bench.measure(one))
        done += setting.work
        left = (time.monotonic() - begun) / done * (whole - done) / 60
        passed = (time.monotonic() - started) / 60
        say(f"{number}/{len(settings)} {setting.key}: {passed:.1f} min, about {left:.1f} left")


def memory(store, setting, name, command):
    store.keep(f"{setting.key} {name}", lambda: machine.memory(command, setting, name))


def gather(folder, closing, names=plan.CONTENDERS):
    """Start all contenders at once and wait for each; returns them and their versions."""
    team = {}
    for name in names:
        log = closing.enter_context(open(folder / f"{name}.log", "w", encoding="utf-8"))
        team[name] = Contender(name, command(name, folder), log, peers.quiet())
        closing.callback(team[name].close)
    return team, {name: contender.greeting()["version"] for name, contender in team.items()}


def command(name, folder):
    return [peers.python_of(name), "-W", "ignore", "-m", "benchmarks.contenders.worker", name, folder]


class Store:
    """What is measured so far, in a file; of another state of the code it is of no use."""

    def __init__(self, path, state, fresh):
        self.path, self.parts = path, {}
        if path.exists() and not fresh:
            kept = json.loads(path.read_text(encoding="utf-8"))
            self.parts = kept["parts"] if kept["state"] == state else {}
        self.state, self.lock = state, Lock()

    def keep(self, key, measure):
        if key not in self.parts:
            found = measure()
            with self.lock:
                self.parts[key] = found
                write(self.path, json.dumps({"state": self.state, "parts": self.parts}))
        return self.parts[key]


def digest():
    """Of all code that is measured or measures."""
    patterns = ("heatproof/**/*.py", "benchmarks/**/*.py", "tools/peers/*.py", "requirements*.txt")
    paths = [path for pattern in patterns for path in ROOT.glob(pattern)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(paths))).hexdigest()


def results(store, settings):
    rows = [row for part in store.parts.values() if isinstance(part, list) for row in part]
    left_out = [setting.key for setting in settings if setting.key not in store.parts]
    about = {"machine": machine.describe(), "date": time.strftime("%Y-%m-%d"), "versions": store.parts["versions"]}
    about |= {name: store.parts[name] for name in ("load", "imports") if name in store.parts}
    return about | {"left_out": left_out, "rows": rows}


def say(text):
    print(f"benchmarks: {text}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted: the same command continues where this one stopped")
