"""The pages of the website on the library: every public name of the two faces, from its docstring.

Sphinx prints signature and docstring; the example of a name is the one of book/examples/, which a test runs.
"""

import ast
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


def prelude(folder: Path = EXAMPLES) -> str:
    """What comes before every example."""
    return (folder / "prelude.py").read_text(encoding="utf-8")


def public() -> list[tuple[str, str, str]]:
    """(face, name, page) of every public name, in the order of the faces; nothing is imported."""
    found = []
    for face in FACES:
        tree = ast.parse((ROOT / f"{face}.py").read_text(encoding="utf-8"))
        homes = {
            alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        (names,) = [ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)]
        for name in names:
            wing = homes[name].split(".")[1] if homes[name].count(".") > 1 else "ground"
            found.append((face, name, wing if face == "xai_utils" else face))
    return found


def entry(face: str, name: str, example: str) -> str:
    """What Sphinx reads of one name."""
    if name.isupper():
        told = f".. autodata:: {face}.{name}\n   :no-value:\n"
    elif name.endswith("Warning"):
        told = f".. autoexception:: {face}.{name}\n"
    else:
        told = f".. {'autoclass' if name[0].isupper() else 'autofunction'}:: {face}.{name}\n"
    shown = "".join(f"      {line}\n" if line else "\n" for line in example.splitlines())
    return told + ("\n   .. code-block:: pycon\n\n" + shown if example else "")


def page(title: str, sentence: str, entries: list[str]) -> str:
    body = "\n".join(entries)
    return f"# {title}\n\n{sentence}\n\n````{{eval-rst}}\n{body}````\n"


def contract() -> str:
    """The docstring of the face, as it is written."""
    text = ast.get_docstring(ast.parse((ROOT / "xai_utils.py").read_text(encoding="utf-8")))
    return f"```text\n{text.strip()}\n```\n"


def write_pages(folder: Path) -> None:
    """Write api/ below `folder`: an index with the contract, and a page for each wing."""
    shown, groups = examples(), {}
    for face, name, group in public():
        groups.setdefault(group, []).append(entry(face, name, shown.get(name, "")))
    if unknown := groups.keys() - PAGES.keys():
        raise SystemExit(f"tools/book_api.py: PAGES lacks a page for {', '.join(sorted(unknown))}")
    (folder / "api").mkdir()
    for group, (title, sentence) in PAGES.items():
        write(folder / "api" / f"{group}.md", page(title, sentence, groups[group]))
    links = "\n".join(PAGES)
    head = "# The library\n\nThe faces are imported as `import xai_utils as xu` and `import mnist1d_utils as m1`.\n\n"
    tree = f"```{{toctree}}\n:maxdepth: 1\n\n{links}\n```\n\n"
    before = f"## Before every example\n\n```python\n{prelude().strip()}\n```\n"
    contracted = "## The contract of every method\n\n" + contract()
    write(folder / "api" / "index.md", "\n".join((head, tree, before, contracted)))
