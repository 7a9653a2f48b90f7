"""Work in a copy of the repository, each piece in a new process that knows nothing of the original."""

import contextlib
import importlib
import io
import os
import re
import shutil
import sys
from pathlib import Path

import processes
import pytest

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", "build", "dist", "__pycache__", ".*_cache", "*.egg-info", "*.partial", "cache"
)


def copy_to(folder):
    """The files of the repository, without its history, its environments and what is made from it."""
    return Path(shutil.copytree(ROOT, folder, ignore=LEFT_OUT))


def ask(root, work, *arguments):
    """What `work(root, *arguments)` returns in a new process that begins in the copy at `root`."""
    return processes.ask(_inside, str(root), work, *arguments)


def _inside(root, work, *arguments):
    """Every import that follows is one of the copy."""
    os.chdir(root)
    mine = {str(ROOT), str(ROOT / "tests"), ""}
    sys.path[:] = [root, os.path.join(root, "tests"), *(place for place in sys.path if place not in mine)]
    sys.dont_write_bytecode = True  # a file may change twice in a second
    for variable in [name for name in os.environ if name.startswith(("PYTEST_", "XAI_DATA", "XAI_REPORT"))]:
        del os.environ[variable]
    return work(root, *arguments)


class _Watcher:
    """A pytest plugin: of a test with parameters, keeps the cases that name the `word`, if any do; notes outcomes."""

    def __init__(self, word):
        self.word, self.passed, self.failed = word, [], []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        named = {item.function for item in items if self.word in item.name.partition("[")[2]}
        items[:] = [item for item in items if item.function not in named or self.word in item.name.partition("[")[2]]

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_runtest_logreport(self, report):
        name = re.sub(r"\[.*", "", report.nodeid)
        if report.failed:
            self.failed.append(name)
        elif report.when == "call" and report.passed:
            self.passed.append(name)


def _tested(root, tests, word, *options):
    """The tests that passed, those that failed, and what pytest said; a file that cannot be imported has failed."""
    for name, module in list(sys.modules.items()):  # all that the copy held before
        if (getattr(module, "__file__", None) or "").startswith(root + os.sep):
            del sys.modules[name]
    importlib.invalidate_caches()
    watcher, said = _Watcher(word), io.StringIO()
    quiet = ["-o", "addopts=", "-p", "no:cacheprovider", "-q", "--tb=short", f"--basetemp={root}.temporary"]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        pytest.main([*quiet, *options, f"--rootdir={root}", *tests], plugins=[watcher])
    return set(watcher.passed) - set(watcher.failed), set(watcher.failed), said.getvalue()


def run(root, tests, faults, word):
    """What all `tests` say of the copy as it is; then, for each fault (file, content, test), what that test says.

    A content of None takes the file away. Every file is put back.
    """
    whole = _tested(root, tests, word)
    return whole, [_with_fault(root, *fault, word) for fault in faults]


def _with_fault(root, file, content, test, word):
    path = Path(root, file)
    right = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    try:
        return _tested(root, [test], word, "-x")
    finally:
        path.write_bytes(right)
