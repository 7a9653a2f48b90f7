"""python -m tools.panel write FILE.npz | compare A.npz B.npz | against COMMIT

`write` asks all methods and metrics of this checkout the questions of tools/panel/questions.py and keeps the answers;
`compare` names every answer whose bits differ and ends with 1 if there is one; `against` does both for this checkout
and a commit, which is asked the same questions. For changes that must not change what is computed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
QUIET = {"XAI_PROGRESS": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}


def write(path: str) -> int:
    """Answer the panel with the code of this checkout, in one thread: with more, sums are added in another order."""
    os.environ |= QUIET | ONE_THREAD
    from tools.panel.questions import ask_all  # slow to import

    answers = ask_all()
    with open(path, "wb") as stream:
        np.savez(stream, **answers)
    refused = sum(str(answer) == "refused" for answer in answers.values())
    print(f"{len(answers)} answers, {refused} of them refusals, in {path}")
    return 0


def differences(one: dict, other: dict) -> list[str]:
    """One line for every name that only one has, and for every pair of arrays that differ in type, shape or a bit."""
    lines = []
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other:
            lines.append(f"{name}: only in the {'first' if name in one else 'second'}")
        elif problem := _difference(one[name], other[name]):
            lines.append(f"{name}: {problem}")
    return lines


def _difference(a, b):
    """What tells two arrays apart, "" for nothing; bytes are compared, so NaN equals NaN and 0 is not -0."""
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return f"{a.dtype} {a.shape}, {b.dtype} {b.shape}"
    if a.tobytes() == b.tobytes():
        return ""
    if a.dtype.kind != "f":
        return f"{np.sum(a != b)} of {a.size} values differ"
    with np.errstate(all="ignore"):
        apart = np.abs(a.astype(np.float64) - b)
    bits = [np.frombuffer(each.tobytes(), f"V{each.itemsize}") for each in (a, b)]
    return f"{np.sum(bits[0] != bits[1])} of {a.size} values differ, by up to {np.nanmax(apart, initial=0):.3g}"


def compare(first: str, second: str) -> int:
    """Print what differs between two files of answers; returns 1 if anything does."""
    with np.load(first, allow_pickle=False) as one, np.load(second, allow_pickle=False) as other:
        one, other = dict(one), dict(other)
    lines = differences(one, other)
    print("\n".join(lines) or f"{len(one)} answers, bit-identical")
    return int(bool(lines))


def against(commit: str) -> int:
    """Ask a commit and this checkout the questions as they stand here; returns 1 if an answer differs."""
    with tempfile.TemporaryDirectory() as folder:
        there = _exported(commit, Path(folder))
        shutil.rmtree(there / "tools" / "panel", ignore_errors=True)
        shutil.copytree(HERE, there / "tools" / "panel", ignore=shutil.ignore_patterns("__pycache__"))
        files = [f"{folder}/{name}.npz" for name in ("commit", "checkout")]
        for root, file in zip((there, ROOT), files, strict=True):
            subprocess.run([sys.executable, "-m", "tools.panel", "write", file], cwd=root, check=True)
        return compare(*files)


def _exported(commit: str, folder: Path) -> Path:
    """The files of a commit in a folder of their own, without touching the checkout."""
    done = subprocess.run(["git", "archive", f"--output={folder}/commit.tar", commit], cwd=ROOT, capture_output=True)
    if done.returncode:
        raise SystemExit(f"commit: got {commit!r}; git does not export it: {done.stderr.decode().strip()}")
    with tarfile.open(folder / "commit.tar") as archive:
        archive.extractall(folder / "commit", filter="data")
    return folder / "commit"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.panel", description=__doc__.partition("\n\n")[2])
    commands = parser.add_subparsers(required=True)
    for command, names in {write: ["path"], compare: ["first", "second"], against: ["commit"]}.items():
        own = commands.add_parser(command.__name__, help=command.__doc__)
        own.set_defaults(command=command)
        for name in names:
            own.add_argument(name)
    options = vars(parser.parse_args(arguments))
    return options.pop("command")(**options)


if __name__ == "__main__":
    sys.exit(main())
