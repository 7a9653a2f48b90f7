"""Write the tables of README.md between their markers: methods, notebooks, networks, each from its own files."""

import re
import sys

import nbformat

from tools.environment import ROOT, write
from tools.notebooks import found

README = ROOT / "README.md"


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


def notebooks() -> str:
    """One row per notebook: its title and the first sentence under it."""
    rows = []
    for path in found():
        first = nbformat.read(path, as_version=4).cells[0].source
        title, text = re.match(r"# (.*?)\n+(.*?)(?:\n\n|\Z)", first, re.S).groups()
        sentence = re.match(r"(?:\*\*Aim\.?\*\*\s*)?(.*?[.?])(?:\s|$)", " ".join(text.split()))[1]
        rows.append((f"[{path.stem}](notebooks/{path.name})", title.split(" · ")[-1], sentence))
    return table(("notebook", "chapter", "what it is about"), rows)


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


def refresh() -> None:
    sys.path.insert(0, str(ROOT))
    write(README, updated(README.read_text(encoding="utf-8")))
