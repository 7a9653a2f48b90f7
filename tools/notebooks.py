"""Execute the notebooks into build/notebooks/, each again only when something it is made from has changed.

For a notebook NAME the folder build/notebooks/ holds NAME.ipynb (executed), NAME/ (its figures, values and
tables), NAME.log (what the kernel wrote to stderr) and NAME.json (the stamp, written last: without it the
notebook counts as not executed).
"""

import hashlib
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import nbformat
import yaml
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from traitlets import default

from heatproof.writing import write
from tools.environment import ROOT, STAMP
from tools.pictures import lighten

NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build" / "notebooks"
DIGEST_KEY = "xai_digest"  # in the metadata of a committed notebook: what its outputs were made from
DATE = "1767225600"  # seconds since 1970 that PDF files carry, so that equal content gives equal bytes
SECONDS_PER_CELL = 3.0  # first guess of the time left

# The first code cell of every notebook; its statement for Colab, which opens a page without the course, is one of two.
SETUP = """\
import os
import sys

if "google.colab" in sys.modules and not os.path.exists("../xai_utils.py"):  # Colab has this page alone
{colab}
sys.path.insert(0, "..")  # the folder of xai_utils.py
import matplotlib.pyplot as plt
import numpy as np

import xai_utils as xu"""
FETCH = """\
    get_ipython().system("test -e course || git clone -q --depth 1 {address} course")
    get_ipython().run_line_magic("run", "course/tools/colab.py")"""
UPLOAD = """\
    raise FileNotFoundError("upload the whole repository as /content/course, then: %run course/tools/colab.py")"""

# What every notebook is made from, beside its own cells.
SOURCES = ("heatproof/**/*.py", "*_utils.py", "data/MNIST1D.pkl", "models/**/*.keras", "models/**/*.json")
SOURCES += ("requirements.txt", "tools/notebooks.py", "tools/pictures.py")
RESULTS = "results/**/*.csv"  # count for the notebooks that read a table from there
TEXT = {".py", ".txt", ".json", ".csv"}


class OwnKernel(AsyncKernelManager):
    """The kernel of the running interpreter, whatever kernels the user has registered elsewhere."""

    @default("kernel_spec_manager")
    def _own_interpreter(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])


def found(root: Path = ROOT) -> list[Path]:
    """The notebooks of the course, in reading order."""
    return sorted((root / "notebooks").glob("*.ipynb"))


def public_address(root: Path = ROOT) -> str:
    """Where the repository can be cloned from: `repository-code` of CITATION.cff, or "" while that is not set."""
    address = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8")).get("repository-code", "")
    if address and not re.fullmatch(r"[a-z]+://[\w.:/~-]+", address):
        allowed = "an address without spaces and quotes, as https://HOST/OWNER/NAME"
        raise SystemExit(f"CITATION.cff: repository-code is {address!r}; allowed is {allowed}")
    return address


def setup_cell(address: str) -> str:
    """The first code cell of every notebook, for the address that Colab clones from."""
    return SETUP.format(colab=FETCH.format(address=address) if address else UPLOAD)


SETUP_CELL = setup_cell(public_address())


def write_setup_cells(root: Path = ROOT) -> list[str]:
    """Bring the set-up cell of every notebook in step with CITATION.cff; return the names of those changed.

    Outputs, ids and metadata stay as they are.
    """
    cell, changed = setup_cell(public_address(root)), []
    for path in found(root):
        notebook = nbformat.read(path, as_version=4)
        first = next(each for each in notebook.cells if each.cell_type == "code")
        if first.source != cell:
            first.source = cell
            write(path, nbformat.writes(notebook) + "\n")
            changed.append(path.name)
    return changed


def source_digest(notebook: Path, root: Path = ROOT) -> str:
    """SHA-256 of the cells' sources and tags and of every file that they depend on; stored outputs do not count."""
    cells = nbformat.read(notebook, as_version=4).cells
    reads_results = any(cell.cell_type == "code" and "results" in cell.source for cell in cells)
    patterns = (*SOURCES, RESULTS) if reads_results else SOURCES
    parts = [[cell.cell_type, cell.source, cell.metadata.get("tags", [])] for cell in cells]
    whole = hashlib.sha256(json.dumps(parts).encode())
    for path in sorted(path for pattern in patterns for path in root.glob(pattern)):
        content = path.read_bytes()
        if path.suffix in TEXT:
            content = content.replace(b"\r\n", b"\n")  # a checkout on Windows
        whole.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return whole.hexdigest()


def run_digest(notebook: Path) -> str:
    """The sources and the data sets at hand (names and sizes in the folder that XAI_DATA names)."""
    folder = ROOT / os.environ.get("XAI_DATA", "data")
    data = sorted((path.name, path.stat().st_size) for path in folder.glob("*") if path.is_file())
    packages = STAMP.read_text() if STAMP.exists() else ""
    return hashlib.sha256(json.dumps([source_digest(notebook), data, packages]).encode()).hexdigest()


def stamp(name: str) -> dict:
    """{"digest", "seconds"} of the last complete execution, or {}."""
    path = BUILD / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def joined(outputs: list) -> list:
    """The outputs with neighbouring pieces of printed text made one: how a kernel cuts them varies."""
    whole = []
    for output in outputs:
        if whole and output.output_type == whole[-1].output_type == "stream":
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Keep what a reader sees and every machine agrees on: no stderr, no versions, no widget state, light pictures."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = joined([output for output in cell.outputs if output.get("name") != "stderr"])
            lighten(cell.outputs)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )


def execute(path: Path) -> None:
    """Run one notebook in its own folder; on an error nothing of this run stays."""
    partial = BUILD / f"{path.stem}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    environ = {**os.environ, "XAI_REPORT_DIR": str(partial), "XAI_PROGRESS": "0"}
    environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "SOURCE_DATE_EPOCH": DATE}
    environ.pop("MPLBACKEND", None)
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        kernel_manager_class=OwnKernel,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        with open(BUILD / f"{path.stem}.log", "wb") as log:
            client.execute(env=environ, stderr=log)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    tidy(notebook)
    for old in (BUILD / f"{path.stem}.json", BUILD / path.name):
        old.unlink(missing_ok=True)
    shutil.rmtree(BUILD / path.stem, ignore_errors=True)
    os.replace(partial, BUILD / path.stem)
    write(BUILD / path.name, nbformat.writes(notebook) + "\n")


def code_cells(path: Path) -> int:
    return sum(cell.cell_type == "code" for cell in nbformat.read(path, as_version=4).cells)


def clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def execute_all() -> None:
    """Execute what is missing or older than its sources, with one progress line and the time left."""
    paths = found()
    digests = {path: run_digest(path) for path in paths}
    stale = [path for path in paths if stamp(path.stem).get("digest") != digests[path]]
    print(f"notebooks: {len(paths)}, to execute: {len(stale)}", flush=True)
    expected = {path: stamp(path.stem).get("seconds", SECONDS_PER_CELL * code_cells(path)) for path in stale}
    factor = 1.0  # how much slower than expected this machine has been so far
    spent = planned = 0.0
    for number, path in enumerate(stale, start=1):
        left = factor * sum(expected[later] for later in stale[number - 1 :])
        print(f"[{number}/{len(stale)}] {path.stem}: running, about {clock(left)} left", flush=True)
        start = time.monotonic()
        try:
            execute(path)
        except CellExecutionError as error:
            raise SystemExit(f"{path.name} failed:\n{plain(str(error))}") from None
        except (DeadKernelError, AssertionError):
            # nbclient answers Ctrl-C by ending the kernel, and then trips over its absence
            log = (BUILD / f"{path.stem}.log").relative_to(ROOT)
            raise SystemExit(
                f"{path.name}: the kernel stopped (interrupted, or out of memory: {log}); "
                "the same command continues here"
            ) from None
        seconds = time.monotonic() - start
        write(BUILD / f"{path.stem}.json", json.dumps({"digest": digests[path], "seconds": round(seconds, 1)}))
        spent, planned = spent + seconds, planned + expected[path]
        factor = spent / planned
        print(f"[{number}/{len(stale)}] {path.stem}: done in {clock(seconds)}", flush=True)


def plain(text: str) -> str:
    """Without colour codes where the output is not a terminal."""
    return text if sys.stdout.isatty() else re.sub(r"\x1b\[[0-9;]*m", "", text)


def publish() -> None:
    """Copy executed notebooks over the committed ones whose sources changed since their outputs were made."""
    for path in found():
        committed = nbformat.read(path, as_version=4)
        digest = source_digest(path)
        if committed.metadata.get(DIGEST_KEY) == digest:
            print(f"edition: {path.name} keeps its outputs")
            continue
        executed = nbformat.read(BUILD / path.name, as_version=4)
        executed.metadata[DIGEST_KEY] = digest
        write(path, nbformat.writes(executed) + "\n")
        print(f"edition: {path.name} refreshed")
