"""Which groups of mutants have changed since they last ran without a problem?

The stamp of a group is a digest of what decides its outcome: its mutants, its tests and their selection, the modules
that it mutates, and all that its test file imports of the tests (in turn), with conftest.py. What the mutated modules
import, the libraries and the runner do not count: `python tests/mutants.py` without a word runs every group. Line ends
do not count. The stamps lie in mutant_stamps.json, which is committed.
"""

import ast
import dataclasses
import hashlib
import json
from pathlib import Path

from mutant_snippets import path_of

ROOT = Path(__file__).resolve().parents[1]
FILE = Path("tests/mutant_stamps.json")


def imported(path):
    """The files of the same folder that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return {file for name in names if name and (file := path.with_name(f"{name}.py")).is_file()}


def files_of(group, root=ROOT):
    """The files whose text decides what a group's run says, in the order of their names."""
    tests = root / "tests" / group.tests
    found, waiting = {root / "tests" / "conftest.py"}, {tests}
    while waiting:
        found |= waiting
        waiting = {file for path in waiting if path.is_file() for file in imported(path)} - found
    return sorted(found | {path_of(mutant.module, root) for mutant in group.mutants})


def digest(group, root=ROOT):
    """The stamp of a group as everything stands now; a file that is not there counts as such."""
    texts = {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") if path.is_file() else None
        for path in files_of(group, root)
    }
    return hashlib.sha256(json.dumps([dataclasses.astuple(group), texts]).encode()).hexdigest()


def read(root=ROOT):
    """{group: stamp} as committed."""
    path = root / FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write(stamps, root=ROOT):
    """Replace the committed stamps, a line for each group."""
    text = json.dumps(stamps, indent=2, sort_keys=True) + "\n"
    (root / FILE).write_text(text, encoding="utf-8", newline="\n")


def stale(digests, root=ROOT):
    """The names of {group: digest} that differ from their stamps or have none."""
    stamps = read(root)
    return [name for name, now in digests.items() if stamps.get(name) != now]
