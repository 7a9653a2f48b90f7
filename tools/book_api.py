"""The pages of the website on the library: every public name of the two faces, from its docstring.

Sphinx prints signature and docstring; the example of a name is the one of book/examples/, which a test runs.
"""

import importlib
import re
from pathlib import Path

from heatproof.writing import write
from tools.environment import ROOT

EXAMPLES = ROOT / "book" / "examples"
FACES = {"xai_utils": "xu", "mnist1d_utils": "m1"}
PAGES = {  # wing of the package: title and first sentence of its page
    "methods": ("Methods", "One function for each explanation method; all have the contract of `xai_utils`."),
    "engine": ("Models, scores and views", "What is explained of a model, and views of it that share its weights."),
    "inside": ("Inside a network", "A unit rather than a decision: what excites it, and what it reads."),
    "metrics": ("Metrics and evaluation", "Whether a map is right: scores, their tables and their intervals."),
    "data": ("Data and phantoms", "Data sets, and generated data whose evidence is known."),
    "networks": ("Networks", "Networks on disk with their cards, and how often they are right."),
    "display": ("Figures and tables", "Figures of inputs and maps, and what a notebook hands to the report."),
    "ground": ("Problems", "What is raised and what is warned of."),
    "mnist1d_utils": ("MNIST-1D", "The data with its evidence masks, the networks and their training."),
}


def examples(folder: Path = EXAMPLES) -> dict[str, str]:
    """{name: its example, as at a Python prompt}; a file holds names, each with its indented example below it."""
    found = {}
    for path in sorted(folder.glob("*.txt")):
        for name, text in re.findall(r"^(\w+)\n((?:    .*\n|\n)+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            if name in found:
                raise SystemExit(f"{path.name}: a second example of {name}")
            found[name] = re.sub(r"^    ", "", text.strip("\n"), flags=re.MULTILINE) + "\n"
    return found


def public() -> list[tuple[str, str, object, str]]:
    """(face, name, object, page) of every public name, in the order of the faces."""
    found = []
    for face in FACES:
        module = importlib.import_module(face)
        for name in module.__all__:
            thing = getattr(module, name)
            home = getattr(thing, "__module__", "")
            wing = home.split(".")[1] if home.count(".") > 1 else "ground"
            wing = {"METHODS": "methods", "METRICS": "metrics"}.get(name, wing)
            found.append((face, name, thing, wing if face == "xai_utils" else face))
    return found


def entry(face: str, name: str, thing: object, example: str) -> str:
    """What Sphinx reads of one name."""
    if isinstance(thing, type):
        kind = "autoexception" if issubclass(thing, BaseException) else "autoclass"
        told = f".. {kind}:: {face}.{name}\n"
    elif callable(thing):
        told = f".. autofunction:: {face}.{name}\n"
    else:
        told = f".. py:data:: {face}.{name}\n   :type: {type(thing).__name__}\n\n   {_listed(thing)}\n"
    shown = "".join(f"      {line}\n" if line else "\n" for line in example.splitlines())
    return told + ("\n   .. code-block:: pycon\n\n" + shown if example else "")


def _listed(thing: object) -> str:
    return "Holds " + ", ".join(f"``{one}``" for one in thing) + "."


def page(title: str, sentence: str, entries: list[str]) -> str:
    body = "\n".join(entries)
    return f"# {title}\n\n{sentence}\n\n````{{eval-rst}}\n{body}````\n"


def contract() -> str:
    """The docstring of the face, as it is written."""
    text = importlib.import_module("xai_utils").__doc__
    return f"```text\n{text.strip()}\n```\n"


def write_pages(folder: Path) -> None:
    """Write api/ below `folder`: an index with the contract, and a page for each wing."""
    shown, groups = examples(), {}
    for face, name, thing, group in public():
        groups.setdefault(group, []).append(entry(face, name, thing, shown.get(name, "")))
    (folder / "api").mkdir()
    for group, (title, sentence) in PAGES.items():
        write(folder / "api" / f"{group}.md", page(title, sentence, groups[group]))
    links = "\n".join(PAGES)
    head = "# The library\n\nThe faces are imported as `import xai_utils as xu` and `import mnist1d_utils as m1`.\n\n"
    tree = f"```{{toctree}}\n:maxdepth: 1\n\n{links}\n```\n\n"
    write(folder / "api" / "index.md", head + tree + "## The contract of every method\n\n" + contract())
