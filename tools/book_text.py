"""Notebooks and pages of the repository, rewritten for the website: what a page links by name becomes a link.

The texts stay where they are. A notebook says "equation (3) of chapter 01", "section 7", "[fong2017]" and
"chapter 04"; here each of these is turned into a link, and nothing else of a text changes.
"""

import copy
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import nbformat

# What is left as it stands: code, mathematics, links, tags, headings.
KEPT = re.compile(
    r"(```.*?```|`[^`]*`|\$\$.*?\$\$(?: \(eq-[\w-]+\))?|\$[^$]*\$|!?\[[^\]]*\]\([^)]*\)"
    r"|<a .*?</a>|</?\w[^>]*>|^#+ [^\n]*$)",
    re.DOTALL | re.MULTILINE,
)
NUMBERED = re.compile(r"\$\$((?:(?!\$\$).)*?)\s*\\tag\{(\w+)\}\s*\$\$", re.DOTALL)
HEADING = re.compile(r"^## (\d+)\. ", re.MULTILINE)
# Words of the glossary that chapters also use in their plain sense: these are not linked.
AMBIGUOUS = {"activation", "baseline", "contrast", "head", "interval", "mask", "oracle", "parity", "reference", "score"}
AMBIGUOUS |= {"segment", "stride", "target", "unit", "evidence", "gradient"}
SOURCE = (
    r"\b([A-Z][a-z]+)(?:,? (?:and )?[A-Z][a-z]+)*(?: and others| et al\.)?,? \(?((?:19|20)\d\d)\b\)?"
    r"(?!,? (?:\*[^*]*\*,? )?\[)"
)
CONTENTS = re.compile(r"(\*\*Contents\*\*\n+)((?:\d+\. .*\n?)+)")
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]*)\)")


class Chapters:
    """What can be linked: the chapters by number, their equations and sections, the keys of the bibliography."""

    def __init__(self, paths: list[Path], bibliography: str):
        self.names, self.equations, self.sections, self.terms = {}, {}, {}, []
        self.keys = set(re.findall(r"^@\w+\{([^,]+),", bibliography, re.MULTILINE))
        for path in paths:
            number, text = path.stem[:2], prose_of(nbformat.read(path, as_version=4))
            tags = [tag for _, tag in NUMBERED.findall(text)]
            if tags != [str(place) for place in range(1, len(tags) + 1)]:
                raise SystemExit(f"{path.name}: the numbers of its equations are {tags}, not 1, 2, 3, ... in order")
            self.names[number] = path.stem
            self.equations[number], self.sections[number] = set(tags), set(HEADING.findall(text))

    def equation(self, shown: str, tag: str, chapter: str) -> str:
        known = tag in self.equations.get(chapter, ())
        return f"{{eq}}`eq-{chapter}-{tag}`" if known else shown

    def section(self, shown: str, number: str, chapter: str) -> str:
        known = number in self.sections.get(chapter, ())
        return f"{{ref}}`{shown} <section-{chapter}-{number}>`" if known else shown

    def chapter(self, shown: str, number: str) -> str:
        return f"[{shown}](/notebooks/{self.names[number]}.ipynb)" if number in self.names else shown

    def key(self, shown: str, key: str) -> str:
        return f"{{cite:p}}`{key}`" if key in self.keys else shown

    def source(self, shown: str, name: str, year: str) -> str:
        """A source named in a sentence; the key of an entry is its first author's name and the year."""
        key = f"{name}{year}".lower()
        return f'<a href="../references.html#{key}">{shown}</a>' if key in self.keys else shown


def terms(glossary: str) -> list[str]:
    """The terms of the glossary that mean nothing else in a sentence, the longer before the shorter."""
    found = re.findall(r"^(\S.*)\n    \S", glossary.partition(":::{glossary}")[2], re.MULTILINE)
    return sorted(set(found) - AMBIGUOUS, key=len, reverse=True)


def with_terms(cells: list[nbformat.NotebookNode], names: list[str]) -> None:
    """Link each term to the glossary where a chapter names it first."""
    left = {name: re.compile(rf"(?<![\w-]){re.escape(name)}(?:s|es)?(?![\w-])", re.IGNORECASE) for name in names}
    for cell in cells:
        if cell.cell_type != "markdown":
            continue
        for name, pattern in list(left.items()):
            pieces = KEPT.split(cell.source)
            for place in range(0, len(pieces), 2):
                pieces[place], count = pattern.subn(rf"{{term}}`\g<0> <{name}>`", pieces[place], count=1)
                if count:
                    del left[name]
                    break
            cell.source = "".join(pieces)


def prose_of(notebook: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def linked(text: str, chapters: Chapters, own: str = "") -> str:
    """A text with links to chapters, sections, equations and sources; `own` is the number of its chapter."""
    parts = KEPT.split(text)
    for place in range(0, len(parts), 2):
        part = parts[place]
        for pattern, make in _links(chapters, own):
            pieces = KEPT.split(part)  # what an earlier pattern has made a link stays one
            pieces[::2] = [re.sub(pattern, make, piece) for piece in pieces[::2]]
            part = "".join(pieces)
        parts[place] = part
    return "".join(parts)


def _links(chapters: Chapters, own: str) -> list[tuple[str, Callable]]:
    """Pattern -> link, the longer before the shorter."""
    others = r"((?:, \d\d)*(?:,? (?:and|to|or) \d\d)?)"

    def several(match):
        rest = re.sub(r"\d\d", lambda one: chapters.chapter(one[0], one[0]), match[3])
        return chapters.chapter(f"{match[1]} {match[2]}", match[2]) + rest

    return [
        (r"\((\d+)\)(,? of )(chapter) (\d\d)", lambda m: chapters.equation(f"({m[1]})", m[1], m[4]) + m[2]
         + chapters.chapter(f"{m[3]} {m[4]}", m[4])),
        (r"\b(chapter) (\d\d), (eq\. )\((\d+)\)", lambda m: chapters.chapter(f"{m[1]} {m[2]}", m[2]) + f", {m[3]}"
         + chapters.equation(f"({m[4]})", m[4], m[2])),
        (r"\b([Ss]ection) (\d+)( of )(chapter) (\d\d)", lambda m: chapters.section(f"{m[1]} {m[2]}", m[2], m[5])
         + m[3] + chapters.chapter(f"{m[4]} {m[5]}", m[5])),
        (r"\b([Cc]hapters?) (\d\d)\b" + others, several),
        (r"\b([Ss]ections?) (\d+)\b(?! of )", lambda m: chapters.section(m[0], m[2], own)),
        (r"\((\d+)\)", lambda m: chapters.equation(m[0], m[1], own)),
        (SOURCE, lambda m: chapters.source(m[0], m[1], m[2]) if own else m[0]),
        (r"[\[(]([a-z]+\d{4}[a-z]*)[\])]", lambda m: chapters.key(m[0], m[1])),
    ]  # fmt: skip


def chapter_text(text: str, chapters: Chapters, own: str) -> str:
    """A markdown cell: its equations get labels, its headings targets, its list of contents links."""
    text = NUMBERED.sub(lambda match: f"$${match[1]}$$ (eq-{own}-{match[2]})", text)
    text = text.replace(" (keys of `report/references.bib` in brackets)", "")
    text = CONTENTS.sub(lambda match: match[1] + listed(match[2], chapters, own), text)
    text = linked(text, chapters, own)
    return HEADING.sub(lambda match: f"(section-{own}-{match[1]})=\n{match[0]}", text)


def listed(contents: str, chapters: Chapters, own: str) -> str:
    """The list of sections, each entry a link."""

    def entry(match):
        return f"{match[1]}. {chapters.section(match[2], match[1], own)}"

    return re.sub(r"^(\d+)\. ([^`$\[\n]+)$", entry, contents, flags=re.MULTILINE)


def local_links(text: str, page: PurePosixPath, staged: set[str], address: str) -> str:
    """The text of `page` with links to what the website does not hold sent to the repository, or left as words."""

    def replaced(match):
        picture, shown, target = match.groups()
        file, mark, place = target.partition("#")
        if picture or not file or ":" in file or file.startswith("/"):
            return match[0]
        path = os.path.normpath(page.parent / file)
        if path in staged:
            return match[0]
        return f"[{shown}]({address}/blob/main/{path}{mark}{place})" if address else shown

    text = re.sub(r"<br>(?: ?\[!\[[^\]]*\]\([^)]*\)\]\([^)]*\))+", "", text)  # badges: the page has its own buttons
    return LINK.sub(replaced, text)


def chapter(notebook: nbformat.NotebookNode, chapters: Chapters, own: str) -> nbformat.NotebookNode:
    """An executed notebook as the website shows it: linked text, a folded set-up cell, a text for every figure."""
    notebook, cells = copy.deepcopy(notebook), []
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.metadata.tags = [*first.metadata.get("tags", []), "hide-input"]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = chapter_text(cell.source, chapters, own)
            cells.append(cell)
        else:
            cells += figures_apart(cell)
    with_terms(cells, chapters.terms)
    notebook.cells = cells
    return notebook


def figures_apart(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cell, with the text of its figure where MyST-NB reads it; of several figures each gets a cell."""
    groups = [[]]
    for output in cell.get("outputs", []):
        if text_of(output) and any(text_of(other) for other in groups[-1]):
            groups.append([])
        groups[-1].append(output)
    cells = [cell]
    for number, outputs in enumerate(groups):
        if number:
            cells.append(nbformat.v4.new_code_cell("", metadata={"tags": ["remove-input"]}, id=f"{cell.id}-{number}"))
        cells[-1].outputs = outputs
        if text := next(filter(None, map(text_of, outputs)), ""):
            cells[-1].metadata.mystnb = {"image": {"alt": text}}
    return cells


def text_of(output: nbformat.NotebookNode) -> str:
    """What the notebook says of a figure for those who cannot see it; "" for another output."""
    kinds = [kind for kind in output.get("data", {}) if kind.startswith("image/")]
    return output.get("metadata", {}).get(kinds[0], {}).get("alt", "") if kinds else ""
