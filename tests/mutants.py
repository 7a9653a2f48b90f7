"""Do the tests notice? Break each method in turn, one sign, factor, axis or layer at a time, and run its tests.

    python tests/mutants.py                all groups; the stamps of those without a problem are written
    python tests/mutants.py --changed      only the groups that differ from their stamps (mutant_stamps.py says how)
    python tests/mutants.py NAME ...       these groups
    ... --stamp                            with either: write the stamps of what ran without a problem

It prints for every mutant the test that caught it. The exit code is 1 if one survives that is not listed as equivalent
(with the reason why nothing can tell it from the original), or if the tests fail without any mutant. A mutant
(mutant_groups/) replaces a snippet, which must occur once, in the source of a module; the code of the functions that
differ then stands in for that of the living ones, so that every reference to them is mutated.
"""

import argparse
import contextlib
import contextvars
import functools
import importlib
import inspect
import io
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mutant_stamps
import pytest
from mutant_groups import GROUPS, modules
from mutant_snippets import changes

ROOT = Path(__file__).resolve().parents[1]
PROBLEM, CLEAN = "PROBLEM ", "CLEAN "


# --- mutating ---------------------------------------------------------------------------------------------------


def living_function(module, name):
    """The function object behind a qualified name: unwrapped, or the getter of a property, kept or not."""
    found = module
    for part in name:
        found = vars(found)[part]
    found = found.func if isinstance(found, functools.cached_property) else found
    return inspect.unwrap(found.fget if isinstance(found, property) else found)


def forget():
    """Forget all graphs and all answers that functions keep."""
    importlib.import_module(modules.PROGRAMS)._PROGRAMS.clear()
    for module in [module for name, module in sys.modules.items() if name.startswith(f"{modules.PACKAGE}.")]:
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


@contextlib.contextmanager
def applied(mutant):
    """Let the changed functions run in place of the living ones, and forget what was made, before and after."""
    module, changed = importlib.import_module(mutant.module), changes(mutant)
    functions = {name: living_function(module, name) for name in changed}
    forget()
    try:
        for name, function in functions.items():
            function.__code__ = changed[name][1]
        yield
    finally:
        for name, function in functions.items():
            function.__code__ = changed[name][0]
        forget()


# --- testing ----------------------------------------------------------------------------------------------------


class FirstFailure:
    """A pytest plugin: leaves out tests that are expected to fail, remembers the first that does.

    `seconds` of each test, filled by the first run, lets quick tests go first in the next.
    """

    def __init__(self, seconds):
        self.test, self.seconds, self.known, self.count = None, seconds, dict(seconds), 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if not item.get_closest_marker("xfail")]
        items.sort(key=lambda item: self.known.get(item.nodeid, 0))
        self.count = len(items)

    def pytest_runtest_logreport(self, report):
        if report.failed and self.test is None:
            self.test = report.nodeid.split("::")[-1]
        if report.nodeid not in self.known:
            self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0) + report.duration


def first_failure(tests, keywords, seconds):
    """The name of the first failing test, or None; raises if pytest found no test.

    It runs in a context of its own: what a mutant leaves in a context variable is gone before the next run.
    """
    watcher, output = FirstFailure(seconds), io.StringIO()
    options = ["-o", "addopts=", "-p", "no:cacheprovider", "-x", "-q", "--tb=no", "-k", keywords]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        question = [*options, f"--rootdir={ROOT}", str(ROOT / "tests" / tests)]
        code = contextvars.copy_context().run(pytest.main, question, plugins=[watcher])
    if code not in (0, 1) or watcher.count == 0:
        raise RuntimeError(f"pytest ended with {code}:\n{output.getvalue()[-2000:]}")
    return watcher.test


def check(name):
    """Run one group; return its problems, one line each."""
    tests, keywords, seconds = GROUPS[name].tests, GROUPS[name].keywords, {}
    failed = first_failure(tests, keywords, seconds)
    if failed:
        return [f"{name}: {failed} fails without any mutant"]
    problems = []
    for mutant in GROUPS[name].mutants:
        try:
            with applied(mutant):
                caught = first_failure(tests, keywords, seconds)
        except LookupError as stale:
            problems.append(f"{name}: {stale}")
            continue
        verdict = f"caught by {caught}" if caught else "SURVIVED"
        if mutant.equivalent:
            verdict = f"equivalent: {mutant.equivalent}" if not caught else f"LISTED AS EQUIVALENT, but {verdict}"
        old, new = (" ".join(text.split())[:70] for text in (mutant.old, mutant.new))
        print(f"{name}: {old}  ->  {new}\n    {verdict}", flush=True)
        if bool(caught) == bool(mutant.equivalent):
            problems.append(f"{name}: {old}  ->  {new}: {verdict}")
    return problems


def here(names):
    """Run groups in this process, and say of each that it is clean, or its problems; return their number."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    import conftest  # noqa: F401  (its settings come before TensorFlow is imported)

    count = 0
    for name in names:
        problems = check(name)
        print(*[f"{PROBLEM}{problem}" for problem in problems] or [f"{CLEAN}{name}"], sep="\n", flush=True)
        count += len(problems)
    return count


# --- the command ------------------------------------------------------------------------------------------------


def listen(command):
    """Run a command and print its lines as they come; return the names of clean groups, and the problems."""
    clean, problems = [], []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith(CLEAN):
                clean.append(line.removeprefix(CLEAN).strip())
                continue
            print(line, end="", flush=True)
            if line.startswith(PROBLEM):
                problems.append(line.strip())
    if process.returncode and not problems:
        problems = [f"{PROBLEM}{' '.join(command[3:])}: the process ended with exit code {process.returncode}"]
    return clean, problems


def in_two_processes(names):
    """Share the groups out by their number of mutants; return the clean ones, and the problems of both processes."""
    shares = [[], []]
    for name in sorted(names, key=lambda name: -len(GROUPS[name].mutants)):
        min(shares, key=lambda share: sum(len(GROUPS[each].mutants) for each in share)).append(name)
    commands = [[sys.executable, __file__, "--here", *share] for share in shares if share]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(listen, commands))
    return [name for clean, _ in found for name in clean], [problem for _, problems in found for problem in problems]


def parsed(arguments):
    parser = argparse.ArgumentParser(description="Break each method in turn and see which test catches it.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="groups; all if none is named")
    parser.add_argument("--changed", action="store_true", help="leave out the groups that are as their stamps say")
    parser.add_argument("--stamp", action="store_true", help="write the stamps of the groups that ran clean")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(GROUPS)):
        parser.error(f"unknown: {unknown}; the groups are {list(GROUPS)}")
    return options


def main(arguments, root=ROOT):
    """Run what is asked; `root` holds the stamps and what they cover. Returns the number of problems."""
    options = parsed(arguments)
    names = options.names or list(GROUPS)
    if options.here:
        return here(names)
    start = time.monotonic()
    stamps = {name: mutant_stamps.digest(GROUPS[name], root) for name in names}  # before an edit while the mutants run
    if options.changed:
        stale = mutant_stamps.stale(stamps, root)
        print(f"skipped, as their stamps say: {', '.join(name for name in names if name not in stale) or 'none'}")
        names = stale
    clean, problems = in_two_processes(names)
    if options.stamp or not (options.names or options.changed):
        known = mutant_stamps.read(root)
        kept = {name: known[name] for name in GROUPS if name in known and name not in names}
        mutant_stamps.write(kept | {name: stamps[name] for name in clean}, root)
    count = sum(len(GROUPS[name].mutants) for name in names)
    verdict = "problems, see above" if problems else "none survives"
    print(*problems, f"{count} mutants, {time.monotonic() - start:.0f} s: {verdict}", sep="\n")
    return len(problems)


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))
