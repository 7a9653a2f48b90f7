"""Write the tables of README.md, docs/acceptance_grid.md, the first cells, and the assignment as a notebook."""

import re
import sys

import nbformat

from heatproof.writing import write
from tools import assignment
from tools.environment import ROOT
from tools.notebooks import found, public_address, write_setup_cells

README = ROOT / "README.md"
WORDS_A_MINUTE = 110  # of the chapters that say how long they take


def table(header: tuple, rows: list) -> str:
    """A Markdown table; a bar in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def methods() -> str:
    """One row per method of the catalogue, with its authors and year from references.bib."""
    import xai_utils as xu

    rows = [
        (f"`xu.{name}`", title, f"`{formula}`", needs or "any classifier", cited(reference))
        for name, title, formula, needs, reference in xu.methods_table()
    ]
    return table(("call", "method", "formula", "needs", "source"), rows)


def cited(key: str) -> str:
    """The first author's family name and the year of an entry of references.bib."""
    entry = re.search(r"@\w+\{" + key + r",(.*?)\n\}", (ROOT / "report" / "references.bib").read_text(), re.S)[1]
    authors = re.search(r"author\s*=\s*\{(.*?)\},\n", entry, re.S)[1].split(" and ")
    year = re.search(r"year\s*=\s*\{?(\d{4})", entry)[1]
    names = [author.split()[-1] for author in authors]
    return f"{' and '.join(names) if len(names) < 3 else names[0] + ' et al.'} {year}"


BADGES = {  # name: picture, address; in the order in which they stand
    "Colab": (
        "https://colab.research.google.com/assets/colab-badge.svg",
        "https://colab.research.google.com/github/{name}/blob/main/notebooks/{file}",
    ),
    "Binder": (
        "https://mybinder.org/badge_logo.svg",
        "https://mybinder.org/v2/gh/{name}/main?urlpath=lab/tree/notebooks/{file}",
    ),
}


def badges(file: str, address: str) -> str:
    """What opens a notebook in a browser; nothing while CITATION.cff names no address on GitHub."""
    name = re.fullmatch(r"https://github\.com/([^/]+/[^/]+?)(?:\.git)?/?", address)
    if name is None:
        return ""
    pictures = [
        f"[![Open {file} in {service}]({picture})]({target.format(name=name[1], file=file)})"
        for service, (picture, target) in BADGES.items()
    ]
    return "<br>" + " ".join(pictures)


def notebooks() -> str:
    """One row per notebook: its title, and of its aim what "This chapter" does, or the first sentence."""
    rows, address = [], public_address()
    for path in found():
        cells = nbformat.read(path, as_version=4).cells
        first = cells[0].source
        title, text = re.match(r"# (.*?)\n+(.*?)(?:\n\n|\Z)", first, re.S).groups()
        sentences = re.split(r"(?<=[.?])\s", " ".join(text.split()).removeprefix("**Aim.** "))
        told = [one.removeprefix("This chapter ") for one in sentences if one.startswith("This chapter ")]
        sentence = (told or sentences)[0]
        link = f"[{path.stem}](notebooks/{path.name}){badges(path.name, address)}"
        about = sentence[0].upper() + sentence[1:]
        rows.append(
            (link, title.split(" · ")[-1], about, minutes([c.source for c in cells if c.cell_type == "markdown"]))
        )
    return table(("notebook", "chapter", "what it is about", "minutes to read"), rows)


def minutes(texts: list) -> int:
    """What the chapter says it takes to read, otherwise its words at WORDS_A_MINUTE, rounded to five minutes."""
    whole = "\n".join(texts)
    said = re.search(r"Reading takes about (\d+) minutes", whole)
    return int(said[1]) if said else 5 * round(len(whole.split()) / WORDS_A_MINUTE / 5)


def networks() -> str:
    """One row per committed network: its test accuracies with their intervals, from the cards."""
    import xai_utils as xu

    rows = []
    for path in sorted((ROOT / "models").glob("*.json")):
        card = xu.read_card(path)
        for part, found_ in card["accuracy"].items():
            low, high = found_["interval"]
            accuracy = f"{found_['accuracy']:.3f} ({low:.3f} to {high:.3f})"
            rows.append((f"`models/{path.stem}.keras`", f"{card['parameters']:,}", part, found_["total"], accuracy))
    return table(("network", "parameters", "part", "items", "accuracy (95 % Wilson interval)"), rows)


def updated(text: str) -> str:
    """README.md with the content between `<!-- NAME -->` and `<!-- end -->` made anew."""
    for make in (methods, notebooks, networks):
        pattern = rf"(<!-- {make.__name__} -->\n).*?(<!-- end -->)"
        text, count = re.subn(pattern, lambda match, make=make: match[1] + make() + "\n" + match[2], text, flags=re.S)
        if count != 1:
            raise SystemExit(f"README.md: expected the marker <!-- {make.__name__} --> once, found it {count} times")
    return text


GRID = ROOT / "docs" / "acceptance_grid.md"
INTRODUCTION = """\
# The acceptance grid: every method on every shape of a model

Written by `make readme` from `tests/shapes.py`; a test compares. One small network (convolution, ReLU, max pooling,
convolution, ReLU, GAP, Dense; variants as named) is built in every shape that a Keras model can have. In every cell
the map of the method for three inputs and three classes is compared with an oracle that uses neither Keras nor the
code under test. A cell names the kind of oracle and the largest allowed sum of absolute errors, relative to the sum of
the true magnitudes. The test is `test_every_shape_of_one_network_has_the_map_of_the_formula` in
`tests/test_contract.py`; that of inner units is `test_every_method_explains_an_inner_unit`.
"""


def acceptance_grid() -> str:
    """docs/acceptance_grid.md: the shapes, the grid, its oracles, what is not applicable, and the further tests."""
    import shapes

    import xai_utils as xu

    numbered = [*shapes.SHAPES, "inner unit"]
    columns = dict(enumerate(numbered, 1))
    grid, reasons = [], []
    for name in xu.METHODS:
        kind, text = shapes.COMPARED[name]
        missing = shapes.NOT_APPLICABLE.get(name, {})
        bounds = {shape: shapes.tolerance(name, shapes.UNITS[0] if shape == "inner unit" else shape)
                  for shape in numbered}  # fmt: skip
        cells = [
            "n/a" if shape in missing else f"{kind} {bounds[shape]:.0e}".replace("e-0", "e-") for shape in numbered
        ]
        grid.append((f"`{name}`", *cells, text))
        reasons += [(f"`{name}`", shape, reason) for shape, reason in missing.items()]
    parts = [
        INTRODUCTION,
        "## Shapes\n",
        table(("column", "shape"), [(number, _said(shape, shapes.UNITS)) for number, shape in columns.items()]) + "\n",
        "## Oracles\n",
        table(("kind", "what a map is compared with"), shapes.ORACLES.items()) + "\n",
        "## Grid\n",
        table(("method", *columns, "what is computed"), grid) + "\n",
        "## Not applicable\n",
        table(("method", "shape", "why, and what is tested instead"), reasons) + "\n",
        "## Further tests of each method\n\nTheir names, as they stand in the test files.\n",
        table(("method", "tests"), [(f"`{name}`", "; ".join(tests)) for name, tests in further_tests(xu).items()]),
    ]
    return "\n".join(parts) + "\n"


def _said(shape: str, units: tuple) -> str:
    return f"mean of one inner feature map, in the shapes {', '.join(units)}" if shape == "inner unit" else shape


def further_tests(xu) -> dict:
    """{method: what its tests in the files of the families and methods say}, read from the functions' names."""
    one = "|".join(sorted(xu.METHODS, key=len, reverse=True))
    found = {name: [] for name in xu.METHODS}
    for room in ("gradients", "cam", "lrp", "deep_lift", "perturbation", "learned_masks"):
        text = (ROOT / "tests" / f"test_{room}.py").read_text(encoding="utf-8")
        for first, second, said in re.findall(rf"^def test_({one})(?:_and_({one}))?_(\w+)\(", text, re.M):
            for name in filter(None, (first, second)):
                found[name].append(said.replace("_", " "))
    return found


def refresh() -> None:
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    for name in write_setup_cells():
        print(f"notebooks/{name}: the first cell is in step with CITATION.cff; its outputs stayed")
    write(README, updated(README.read_text(encoding="utf-8")))
    GRID.parent.mkdir(exist_ok=True)
    write(GRID, acceptance_grid())
    assignment.refresh()
