"""The questions of the assignment as a notebook for students, made from the page that is typeset.

report/template/assignment.tex holds the questions. `make readme` writes report/template/assignment.ipynb from it: each
question with a link to its chapter, a place for what is expected, an empty cell, a place for what was found.
"""

import re

import nbformat

from heatproof.writing import write
from tools.environment import ROOT
from tools.notebooks import found, public_address, setup_cell

TEMPLATE = ROOT / "report" / "template"
PAGE = TEMPLATE / "assignment.ipynb"
OPENING = """\
# The assignment

{task}

{advice}

This notebook belongs into `report/mine`, a copy of `report/template`: the report there reads what it saves. The
timeline, and what to check before handing in, follow the questions in `template.pdf`."""
EXAMPLE = """\
## An example

Four numbers on their way to the page: in `template.tex`, `\\val{accuracy}` stands for the second of them."""
DOWN = """\
if os.path.exists("../xai_utils.py"):  # the folder of the chapters, where Colab begins
    os.chdir("../report/template")
sys.path.insert(0, "../..")"""
MINE = 'os.environ["XAI_REPORT_DIR"] = "report/mine"  # from the folder of xai_utils.py'


def plain(text: str) -> str:
    """A paragraph of the page in one line; a command of LaTeX would mean nothing in a notebook."""
    if command := re.search(r"\\\w+|[~{}$]|``|''", text):
        raise SystemExit(f"assignment.tex: {command[0]} in a question; write it in words, the notebook shows it too")
    return " ".join(text.split())


def questions(page: str) -> dict[str, tuple[str, str]]:
    """{number of the chapter: (its name, the question)}, in the order of the page."""
    (listed,) = re.findall(r"\\begin\{description\}(.*?)\\end\{description\}", page, re.DOTALL)
    items = re.findall(r"^  \\item\[(\d\d) (.*?)\.\] (.*?)(?=^  \\item|\Z)", listed, re.DOTALL | re.MULTILINE)
    return {number: (name, plain(text)) for number, name, text in items}


def setup() -> str:
    """The set-up cell of the chapters, for a notebook that lies one folder further down."""
    return setup_cell(public_address()).replace('sys.path.insert(0, "..")', DOWN)


def example(page: str) -> str:
    """The cell that the page prints, without what the set-up cell has done."""
    (cell,) = re.findall(r"\\begin\{verbatim\}\n(.*?)\\end\{verbatim\}", page, re.DOTALL)
    return cell[cell.index("model = ") :].strip()


def notebook() -> nbformat.NotebookNode:
    """The notebook, from the page as it is now."""
    page, chapters = (TEMPLATE / "assignment.tex").read_text("utf-8"), {path.stem[:2]: path for path in found()}
    task = re.search(r"\\section\*\{The assignment\}\n(.*?)\\begin\{description\}", page, re.DOTALL)[1]
    advice = re.search(r"\\end\{description\}\n(.*?)\\section", page, re.DOTALL)[1]
    note, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    cells = [
        note(OPENING.format(task=plain(task), advice=plain(advice)), id="opening"),
        code(setup(), id="setup"),
        code(f"import mnist1d_utils as m1\n\n{MINE}\nxu.use_style()", id="report"),
        note(EXAMPLE, id="example-text"),
        code(example(page), id="example"),
    ]
    for number, (name, text) in questions(page).items():
        link = f"[chapter {number}](../../notebooks/{chapters[number].name})"
        cells += [
            note(f"## {number} {name}\n\n{text} ({link})", id=f"question-{number}"),
            note("**I expect:**", id=f"expected-{number}"),
            code("", id=f"answer-{number}"),
            note("**I found:**", id=f"found-{number}"),
        ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def refresh() -> None:
    write(PAGE, nbformat.writes(notebook()) + "\n")
