"""The blank of the report for students: it typesets without a notebook, and fills up as a notebook saves."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from heatproof.display import saving
from tools import assignment, notebooks
from tools import report as pdf

matplotlib.use("Agg")
ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "report"
TEMPLATE = (REPORT / "template/template.tex").read_text("utf-8")
ASSIGNMENT = (REPORT / "template/assignment.tex").read_text("utf-8")
CELL = re.search(r"\\begin\{verbatim\}\n(.*?)\\end\{verbatim\}", ASSIGNMENT, re.DOTALL).group(1)
BLANKS = {"tables/networks.tex", "tables/scores.tex", "figures/maps.pdf", "figures/scores.pdf"}
NUMBERS = {f"values/{name}.tex" for name in ("test-count", "accuracy", "accuracy-low", "accuracy-high")}
LATEX = pytest.mark.skipif(shutil.which("latexmk") is None, reason="latexmk is missing: make latex")


def missing(log):
    """The files that a log says were not saved yet (LaTeX says the same of its own .aux and .bbl)."""
    return set(re.findall(r"^No file ((?:figures|tables|values)/.*)\.$", log, re.MULTILINE))


def warnings(log):
    """Every warning of LaTeX, its class and packages, and what tools/report.py complains about."""
    return re.findall(r"^(?:LaTeX|Class|Package)\b.*Warning:.*$", log, re.MULTILINE) + pdf.complaints(log)


def latexmk(folder):
    """Run what the README tells a student to run; return the log."""
    command = ["latexmk", "-pdf", "-interaction=nonstopmode", "template.tex"]
    environ = {**os.environ, "max_print_line": "1000"}
    run = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, errors="replace")
    assert run.returncode == 0, run.stdout[-3000:]
    return (folder / "template.log").read_text("utf-8", errors="replace")


def sections(text):
    return re.findall(r"\\(?:begin\{(abstract)\}|section\{(.*?)\}|(bibliography)\{)", text)


def test_the_blank_has_the_sections_and_the_layout_of_the_report():
    whole = (REPORT / "report.tex").read_text("utf-8")
    assert sections(TEMPLATE) == sections(whole)
    packages = re.compile(r"^\\(?:documentclass|usepackage).*$", re.MULTILINE)
    own = set(packages.findall(TEMPLATE)) - set(packages.findall(whole))
    assert set(packages.findall(whole)) <= set(packages.findall(TEMPLATE)) and own == {r"\usepackage{xcolor}"}


def test_every_section_says_what_belongs_there_and_what_a_marker_looks_for():
    parts = re.split(r"\\begin\{abstract\}|\\section\{.*?\}|\\bibliography\{", TEMPLATE)[1:-1]
    assert [len(re.findall(r"^\\guide\{", part, re.MULTILINE)) for part in parts] == [1] * len(parts)


def test_every_chapter_has_one_question_and_one_week():
    chapters = [path.name[:2] for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    assert re.findall(r"^  \\item\[(\d\d) ", ASSIGNMENT, re.MULTILINE) == chapters
    weeks = re.findall(r"^    (\d+) & (.*?) &", ASSIGNMENT, re.MULTILINE)
    assert [int(week) for week, _ in weeks] == list(range(1, len(weeks) + 1))
    assert [chapter for _, several in weeks for chapter in re.findall(r"\d\d", several)] == chapters


# ---- the notebook of the assignment


def cells():
    return {cell.id: cell for cell in nbformat.read(assignment.PAGE, as_version=4).cells}


def test_the_notebook_asks_the_questions_of_the_page_in_their_order_and_leaves_a_cell_for_each():
    item = r"^  \\item\[(\d\d) (.*?)\.\]\s(.*?)(?=\n  \\item|\n\\end)"
    asked = re.findall(item, ASSIGNMENT, re.MULTILINE | re.DOTALL)
    order = [name for name in cells() if name.startswith("question-")]
    assert order == [f"question-{number}" for number, _, _ in asked] and len(order) == len(notebooks.found())
    for number, name, question in asked:
        heading, text = cells()[f"question-{number}"].source.split("\n\n")
        (link,) = re.findall(r" \(\[chapter \d\d\]\((.*)\)\)$", text)
        assert heading == f"## {number} {name}" and text.startswith(" ".join(question.split()) + " ([")
        assert (assignment.TEMPLATE / link).is_file() and Path(link).name.startswith(f"{number}_")
        assert cells()[f"answer-{number}"].cell_type == "code" and cells()[f"answer-{number}"].source == ""


def test_the_notebook_is_in_step_with_the_page():
    assert assignment.PAGE.read_text("utf-8") == nbformat.writes(assignment.notebook()) + "\n", "run make readme"


def test_the_set_up_cell_is_that_of_the_chapters_but_for_its_folder():
    ours, theirs = cells()["setup"].source.splitlines(), notebooks.SETUP_CELL.splitlines()
    assert len(ours) == len(theirs) + 2
    assert set(theirs) - set(ours) == {'sys.path.insert(0, "..")  # the folder of xai_utils.py'}


def test_a_command_of_latex_in_a_question_is_refused():
    with pytest.raises(SystemExit, match=r"assignment.tex: \\emph in a question"):
        assignment.questions("\\begin{description}\n  \\item[00 A.] What is \\emph{it}?\n\\end{description}")


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["report/template", "notebooks"])
def test_the_notebook_runs_in_a_folder_of_the_report_and_in_that_of_the_chapters(folder, tmp_path):
    """On Colab the folder is that of the chapters."""
    page = nbformat.read(assignment.PAGE, as_version=4)
    (cell,) = [cell for cell in page.cells if assignment.MINE in cell.source]
    cell.source = cell.source.replace("report/mine", tmp_path.as_posix())
    resources = {"metadata": {"path": str(ROOT / folder)}}
    client = NotebookClient(page, kernel_manager_class=notebooks.OwnKernel, resources=resources)
    client.execute(env={**os.environ, "XAI_PROGRESS": "0", "TF_CPP_MIN_LOG_LEVEL": "3"})
    test = json.loads((ROOT / "models/mnist1d.json").read_text("utf-8"))["accuracy"]["test"]
    assert (tmp_path / "values/test-count.tex").read_text("utf-8") == str(test["total"])
    assert (tmp_path / "values/accuracy.tex").read_text("utf-8") == rf"{100 * test['accuracy']:.1f}\,\%"


@LATEX
def test_the_target_builds_at_most_four_pages_without_a_warning_or_a_notebook(tmp_path):
    folder = tmp_path / "template"
    assert pdf.template(folder) <= 4
    log = (folder / "template.log").read_text("utf-8", errors="replace")
    assert not warnings(log) and missing(log) == BLANKS | NUMBERS
    assert (folder / "template.pdf").read_bytes().startswith(b"%PDF")


@LATEX
@pytest.mark.slow
def test_what_a_notebook_saves_reaches_the_page(tmp_path, monkeypatch):
    mine = tmp_path / "report/mine"
    shutil.copytree(REPORT / "template", mine)
    shutil.copy(REPORT / "references.bib", mine.parent)
    plain = "\\pdfcompresslevel=0 \\pdfobjcompresslevel=0 \\begin{document}"
    (mine / "template.tex").write_text(TEMPLATE.replace("\\begin{document}", plain), "utf-8")
    log = latexmk(mine)
    assert not warnings(log) and pdf.pages(log) <= 4 and missing(log) == BLANKS | NUMBERS

    # the cell that the assignment prints, in a notebook of its own folder
    monkeypatch.setenv("XAI_REPORT_DIR", "")
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.chdir(REPORT / "template")
    exec(CELL.replace("report/mine", mine.as_posix()), {})
    test = json.loads((ROOT / "models/mnist1d.json").read_text("utf-8"))["accuracy"]["test"]
    shown = {path.stem: path.read_text("utf-8") for path in (mine / "values").iterdir()}
    assert shown["accuracy"] == rf"{100 * test['accuracy']:.1f}\,\%" and shown["test-count"] == str(test["total"])
    low, high = (rf"{100 * bound:.1f}\,\%" for bound in test["interval"])
    assert (shown["accuracy-low"], shown["accuracy-high"]) == (low, high)

    # the same command sees the new files; a percent sign without a backslash is no comment
    saving.save_value("accuracy-low", test["interval"][0], f"{100 * test['interval'][0]:.1f}%")
    figure, axes = plt.subplots()
    axes.plot([1, 3, 2])
    saving.save_figure(figure, "maps", "A line.")
    plt.close(figure)
    saving.save_table("scores", pd.DataFrame({"map": ["saliency"], "evidence mass": [0.25]}))
    log = latexmk(mine)
    assert not warnings(log) and missing(log) == BLANKS - {"figures/maps.pdf", "tables/scores.tex"}
    page = (mine / "template.pdf").read_bytes()
    for text in ("accuracy", "accuracy-low", "accuracy-high"):
        number = re.escape(shown[text].partition("\\")[0]).encode()
        assert re.search(rb"\b" + number + rb"(?:\)[-\d.]+\()?%", page), text

    # handed in: no guiding sentence, no assignment
    source = (mine / "template.tex").read_text("utf-8").replace("\n\\guidetrue", "\n\\guidefalse")
    (mine / "template.tex").write_text(source, "utf-8")
    log = latexmk(mine)
    assert not warnings(log) and "assignment.tex" not in log
    assert b"Mark" in page and b"Mark" not in (mine / "template.pdf").read_bytes()
