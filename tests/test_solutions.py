"""The published solutions: one for every exercise, of the form that a student can use.

That they are right is tested in tests/test_notebook_exercises.py, where the cells of the chapters judge them.
"""

import builtins
import re
import subprocess
import symtable
import sys

import nbformat
import pytest
from exercises import CHAPTERS, ROOT, SOLUTIONS, cells_of, exercises_of, pasted, solutions_of

NAMES = [path.stem for path in SOLUTIONS]


def told(chapter):
    """The numbers of the exercises that a chapter has."""
    prose = "\n".join(cell.source for cell in cells_of(chapter) if cell.cell_type == "markdown")
    return [int(number) for number in re.findall(r"^\*\*Exercise (\d+)", prose, re.MULTILINE)]


def set_by(source):
    """The names that a cell leaves behind."""
    symbols = symtable.symtable(source, "cell", "exec").get_symbols()
    return {one.get_name() for one in symbols if one.is_assigned() or one.is_imported()}


def read_by(source):
    """The names that a cell and the functions in it read from the notebook."""
    scopes = [symtable.symtable(source, "cell", "exec")]
    for scope in scopes:
        scopes += scope.get_children()
    return {
        one.get_name()
        for scope in scopes
        for one in scope.get_symbols()
        if one.is_referenced() and (one.is_global() or scope is scopes[0])
    }


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_every_exercise_has_a_published_solution(chapter):
    numbers = told(chapter)
    assert numbers == list(range(1, len(numbers) + 1)) and set(exercises_of(chapter)) <= set(numbers)
    path = chapter.parent / "solutions" / chapter.name
    assert (list(solutions_of(path)) if path.exists() else []) == numbers
    links = [cell.source.count(f"](solutions/{chapter.name})") for cell in cells_of(chapter)]
    assert sum(links) == (len(numbers) > 0)


@pytest.mark.parametrize("path", SOLUTIONS, ids=NAMES)
def test_a_page_of_solutions_says_how_to_use_it_and_what_each_solution_does(path):
    first, *cells = cells_of(path)
    assert first.source.startswith(f"# {path.stem[:2]} · Solutions\n") and f"](../{path.name})" in first.source
    assert "`answer = None`" in first.source
    for place, (text, code) in enumerate(zip(cells[::2], cells[1::2], strict=True), start=1):
        assert text.cell_type == "markdown" and text.source.startswith(f"## Exercise {place}: ")
        opening = text.source.split("\n\n")[1]
        assert opening.startswith(("The task: ", "One possible answer: ")) and len(opening.split()) > 10
        assert code.metadata.tags == [f"exercise-{place}"]


@pytest.mark.parametrize("path", SOLUTIONS, ids=NAMES)
def test_a_solution_is_short_was_not_run_and_answers(path):
    for cell in cells_of(path):
        assert max(map(len, cell.source.splitlines())) <= 120 or cell.cell_type == "markdown"
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
            assert len(cell.source.splitlines()) <= 20 and "answer" in set_by(cell.source)


@pytest.mark.parametrize("path", SOLUTIONS, ids=NAMES)
def test_a_solution_finds_its_names_in_the_chapter_and_changes_none_that_an_exercise_reads(path):
    chapter, known, taken = path.parent.parent / path.name, set(dir(builtins)), set()
    cells = exercises_of(chapter)
    for cell in cells_of(chapter):
        if cell.cell_type == "code" and cell not in cells.values():
            known |= set_by(cell.source)
    for number, solution in solutions_of(path).items():
        whole = pasted(cells[number], solution) if number in cells else solution
        asks = pasted(cells[number], "answer = None") if number in cells else ""
        assert read_by(whole) <= known | set_by(whole), f"exercise {number}"
        mine = set_by(solution) - set_by(asks) - {"answer"}
        assert not mine & read_by(asks), f"exercise {number}"
        assert not taken & read_by(whole) - set_by(whole), f"exercise {number}"
        taken |= mine & known


def test_pytest_does_not_run_the_solutions_alone():
    command = [sys.executable, "-m", "pytest", "--nbval", "--collect-only", "-q", "-o", "addopts=", "notebooks"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "notebooks/00_the_networks.ipynb" in shown and "solutions" not in shown


def test_a_pasted_solution_takes_the_place_of_the_whole_line():
    cell = nbformat.v4.new_code_cell("start = 1\nanswer = None  # a number\n\nprint(answer)")
    assert pasted(cell, "a = 2\nanswer = a") == "start = 1\na = 2\nanswer = a\n\nprint(answer)"
