"""The website of the course: build/book/, pages that need no server and ask no other for anything.

The sources are gathered in build/book-source/ in the layout of the repository, so that links between them hold: the
executed notebooks (those of `make report` where they are newer than their sources, otherwise the committed ones; none
is executed here), the solutions of their exercises, the pages of docs/ and benchmarks/, and what book/ adds. Sphinx
makes the pages, MathJax is theirs.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath

import nbformat
import yaml

from heatproof.writing import write
from tools import book_api, book_html, book_text, npm
from tools.environment import ROOT
from tools.notebooks import BUILD as EXECUTED
from tools.notebooks import DATE, found, public_address, run_digest, stamp

SOURCE = ROOT / "book"
STAGED = ROOT / "build" / "book-source"
BOOK = ROOT / "build" / "book"
WORK = ROOT / "build" / "book-work"
TOOLBOX = ROOT / "build" / "toolbox"
PAGES = ("README.md", "CONTRIBUTING.md", "docs/*.md", "benchmarks/results.md", "data/README.md", "results/README.md")
PAGES += ("report/template/README.md",)
REPORTS = (ROOT / "build" / "report" / "report.pdf", ROOT / "report" / "report.pdf")  # the first that is there
SOLUTIONS = """\
# Solutions

Every exercise of every chapter, solved. Each solution is pasted into its exercise, whose cell then prints its numbers;
the tests of the course do the same. Try an exercise and its hint before you look.

```{toctree}
:maxdepth: 1

PAGES
```
"""
FIRST = re.compile(r"\A(?P<first># .*?^## The notebooks$.*?)(?=^## )", re.DOTALL | re.MULTILINE)


def executed(path: Path) -> Path:
    """The notebook with its outputs: as `make report` left it where that is up to date, otherwise as committed."""
    made = EXECUTED / path.name
    return made if made.exists() and stamp(path.stem).get("digest") == run_digest(path) else path


def citation() -> dict:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def settings() -> dict:
    """What book/conf.py needs to know of the repository."""
    about = citation()
    extra = ["extra"] if (STAGED / "extra").is_dir() else []
    names = [one.get("name") or f"{one['given-names']} {one['family-names']}" for one in about["authors"]]
    told = {"title": about["title"], "author": ", ".join(names), "version": about["version"]}
    return told | {"date": str(about["date-released"]), "address": public_address().rstrip("/"), "extra": extra}


def stage_chapters() -> book_text.Chapters:
    """Write the notebooks with their links; return what can be linked."""
    chapters = book_text.Chapters(found(), bibliography())
    chapters.terms = book_text.terms((SOURCE / "glossary.md").read_text(encoding="utf-8"))
    for path in found():
        notebook = book_text.chapter(nbformat.read(executed(path), as_version=4), chapters, path.stem[:2])
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = local(cell.source, f"notebooks/{path.name}")
        write_page(f"notebooks/{path.name}", nbformat.writes(notebook))
    return chapters


def solved() -> list[Path]:
    """The solutions of the exercises, one notebook for each chapter; they are not executed on their own."""
    return sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))


def stage_solutions(chapters: book_text.Chapters) -> None:
    """Write the pages of the solutions with their links, and the page that lists them."""
    for path in solved():
        name, notebook = path.relative_to(ROOT).as_posix(), nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                text = book_text.linked(cell.source, chapters, path.stem[:2])
                cell.source = local(text.replace('href="../', 'href="../../'), name)
        write_page(name, nbformat.writes(notebook))
    pages = "\n".join(path.stem for path in solved())
    write_page("notebooks/solutions/index.md", SOLUTIONS.replace("PAGES", pages))


def staged() -> set[str]:
    """The files of the repository that become pages, by their paths in it."""
    paths = [path for pattern in PAGES for path in ROOT.glob(pattern)] + found() + solved()
    return {path.relative_to(ROOT).as_posix() for path in paths}


def local(text: str, page: str) -> str:
    return book_text.local_links(text, PurePosixPath(page), staged(), public_address().rstrip("/"))


def write_page(name: str, text: str) -> None:
    path = STAGED / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, text)


def stage_pages(chapters: book_text.Chapters) -> None:
    """The pages of the repository, README.md cut in two: its first part opens the website."""
    for name in sorted(staged()):
        if not name.endswith(".md"):
            continue
        text = local((ROOT / name).read_text(encoding="utf-8"), name)
        for picture in re.findall(r"!\[[^\]]*\]\(([^):]*)\)", text):
            place = PurePosixPath(os.path.normpath(PurePosixPath(name).parent / picture))
            (STAGED / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / place, STAGED / place)
        if name == "README.md":
            first = FIRST.match(text)["first"]
            write_page("index.md", front(first))
            text = "# Using the course and its library\n\n" + text.removeprefix(first)
        write_page(name, text)
    for path in sorted(SOURCE.glob("*.md")):
        if path.name != "index.md":
            write_page(path.name, book_text.linked(path.read_text(encoding="utf-8"), chapters))


def front(first: str) -> str:
    """The first page: README.md to the end of its table of notebooks, then the way to all others."""
    names = "\n".join([f"notebooks/{path.stem}" for path in found()] + ["notebooks/solutions/index"])
    rest = (SOURCE / "index.md").read_text(encoding="utf-8").replace("CHAPTERS", names)
    toolbox = (TOOLBOX / "index.html").is_file()
    rest = re.sub(r"<!-- toolbox -->\n(.*?)<!-- end -->\n", r"\1" if toolbox else "", rest, flags=re.DOTALL)
    return first + rest


def stage_extra() -> None:
    """What the website carries as it is: the report, the toolbox, MathJax."""
    (STAGED / "extra").mkdir()
    pdf = next((path for path in REPORTS if path.is_file()), None)
    if pdf is None:
        raise SystemExit("book: there is no report: make report")
    shutil.copyfile(pdf, STAGED / "extra" / "report.pdf")
    if (TOOLBOX / "index.html").is_file():
        shutil.copytree(TOOLBOX, STAGED / "extra" / "toolbox")
    shutil.copytree(SOURCE / "static", STAGED / "static")
    (STAGED / "static" / "mathjax").mkdir()
    shutil.copyfile(npm.fetch("mathjax") / "es5" / "tex-svg.js", STAGED / "static" / "mathjax" / "tex-svg.js")


def bibliography() -> str:
    return (ROOT / "report" / "references.bib").read_text(encoding="utf-8")


def stage() -> None:
    """Write build/book-source/ anew."""
    shutil.rmtree(STAGED, ignore_errors=True)
    STAGED.mkdir(parents=True)
    stage_extra()
    chapters = stage_chapters()
    stage_solutions(chapters)
    stage_pages(chapters)
    book_api.write_pages(STAGED)
    write_page("report/references.bib", bibliography())
    write_page("settings.json", json.dumps(settings(), indent=1))
    shutil.copyfile(SOURCE / "conf.py", STAGED / "conf.py")


def digest() -> str:
    """SHA-256 of what the pages are made from: the staged files, the docstrings, the packages."""
    paths = [path for path in sorted(STAGED.rglob("*")) if path.is_file()]
    paths += [*sorted((ROOT / "heatproof").rglob("*.py")), *sorted(ROOT.glob("*_utils.py")), ROOT / "requirements.txt"]
    paths += sorted((ROOT / "tools").glob("book*.py"))
    whole = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        whole.update(f"{path.relative_to(ROOT).as_posix()} {len(content)}\n".encode() + content)
    return whole.hexdigest()


def build() -> None:
    """Stage, let Sphinx make the pages (a warning is an error), say where the first one is."""
    started = time.monotonic()
    stage()
    made, stamped = digest(), WORK / "stamp"
    if not (BOOK / "index.html").is_file() or not stamped.is_file() or stamped.read_text() != made:
        stamped.unlink(missing_ok=True)
        typeset()
        write(stamped, made)
    pages = len(list(BOOK.glob("**/*.html")))
    print(f"book: {(BOOK / 'index.html').relative_to(ROOT)}, {pages} pages, {time.monotonic() - started:.0f} s")


def typeset() -> None:
    """Let Sphinx make build/book/ anew; on a warning what was there stays."""
    partial = WORK / "html"
    shutil.rmtree(partial, ignore_errors=True)
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": DATE, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    command += ["-d", str(WORK / "doctrees"), str(STAGED), str(partial)]
    if subprocess.call(command, cwd=ROOT, env=environ):
        raise SystemExit("book: Sphinx found fault, see above")
    for templates in partial.glob("_static/*webpack-macros.html"):
        templates.unlink()  # of the theme, no pages
    book_html.mend(partial)
    shutil.rmtree(BOOK, ignore_errors=True)
    partial.rename(BOOK)
