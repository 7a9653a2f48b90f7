"""The exercises of the chapters and their published solutions, as they stand in the notebooks."""

import functools
import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
WAITING = re.compile(r"^answer = None.*$", re.MULTILINE)


@functools.cache
def cells_of(path):
    """The cells of a notebook; none of the tests changes them."""
    return nbformat.read(path, as_version=4).cells


def exercises_of(chapter):
    """The cells that wait for an answer, by the numbers of their exercises; some exercises have none."""
    found, waiting = {}, iter(())
    for cell in cells_of(chapter):
        if cell.cell_type == "markdown":
            told = re.findall(r"^\*\*Exercise (\d+)", cell.source, re.MULTILINE)
            waiting = iter(told) if told else waiting
        elif len(WAITING.findall(cell.source)) == 1:
            found[int(next(waiting))] = cell
    return found


def solutions_of(path):
    """The published solutions of a chapter: {number of the exercise: code}, by the tags of their cells."""
    tagged = {tag: cell.source for cell in cells_of(path) for tag in cell.metadata.get("tags", [])}
    return {int(tag.removeprefix("exercise-")): source for tag, source in tagged.items()}


def pasted(cell, solution):
    """The source of an exercise's cell with a solution pasted over its line `answer = None`."""
    source, count = WAITING.subn(lambda line: solution, cell.source)
    assert count == 1
    return source
