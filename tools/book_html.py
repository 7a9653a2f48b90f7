"""What the theme's pages lack for a reader who hears them: names and landmarks, added after Sphinx has made them."""

import re
from pathlib import Path

from heatproof.writing import write

PARAMETERS = re.compile(r"<dl>\s*((?:<dd>.*?</dd>\s*)+)</dl>", re.DOTALL)  # of a signature over several lines
MENDED = [
    # a visible text is the name: no label beside it that says something else
    (r'(<button class="btn search-button-field[^>]*?) aria-label="[^"]*"', r"\1"),
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    # the folding arrow of a list has no text
    (r'<summary>(?=<span class="toctree-toggle")', '<summary aria-label="the pages below">'),
    # the sidebar stands outside of every landmark
    (r'(<div id="pst-primary-sidebar"(?![^>]*role=))', r'\1 role="region" aria-label="the pages of the course"'),
    # a corner of a table is no header
    (r'<th class="head[^"]*">(?:<p></p>)?</th>', "<td></td>"),
]


def mended(page: str) -> str:
    """The page, with each of these changes."""
    for pattern, text in MENDED:
        page = re.sub(pattern, text, page)
    return PARAMETERS.sub(_spans, page)


def _spans(match: re.Match) -> str:
    parameters = match[1].replace("<dd>", '<span class="parameter">').replace("</dd>", "</span>")
    return f'<span class="parameters">{parameters}</span>'


def mend(folder: Path) -> None:
    """Mend every page below a folder."""
    for path in folder.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        if (better := mended(text)) != text:
            write(path, better)
