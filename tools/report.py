r"""Assemble build/report/ from what the notebooks wrote, and typeset it with latexmk.

figures/ holds the committed figures overlaid by those just made; tables/ the tables; values.tex every value,
quoted in the text as \val{NAME}, where an unknown name stops the build. build/template/ holds the blank of the
report for students, which needs no notebook.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from heatproof.writing import write
from tools.environment import ROOT
from tools.latex import ensure_latex
from tools.notebooks import BUILD as EXECUTED
from tools.notebooks import DATE, found

SOURCE = ROOT / "report"
BUILD = ROOT / "build" / "report"
TEMPLATE = ROOT / "build" / "template"
KINDS = ("figures", "values", "tables")
OVERFULL_LIMIT = 5.0  # points

VAL_MACRO = r"""\newcommand{\val}[1]{\ifcsname val:#1\endcsname\csname val:#1\endcsname
  \else\errmessage{no notebook saved the value #1}\fi}
"""


def collect(folders: list[Path]) -> dict[tuple[str, str], Path]:
    """{(kind, file name): path} of what the notebooks wrote; one name from two notebooks is an error."""
    files = {}
    for folder in folders:
        for kind in KINDS:
            for path in sorted((folder / kind).glob("*")):
                first = files.setdefault((kind, path.name), path)
                if first != path:
                    names = f"{first.parts[-3]} and {folder.name}"
                    raise SystemExit(f"report: {kind}/{path.name} is written by both {names}: rename one")
    return files


def values_tex(values: dict[str, str]) -> str:
    r"""One definition for each value: plain text; % & # _ are escaped, a leading minus becomes one, maths may stand."""
    lines = [VAL_MACRO]
    for name, text in sorted(values.items()):
        escaped = re.sub(r"(?<!\\)([%&#_])", r"\\\1", text.strip())
        escaped = re.sub(r"^-(?=\d)", "$-$", escaped)
        lines.append(rf"\expandafter\def\csname val:{name}\endcsname{{{escaped}}}" + "\n")
    return "".join(lines)


def assemble() -> None:
    """Write build/report/, leaving latexmk's own files so that an unchanged report is not set again."""
    files = collect([EXECUTED / path.stem for path in found()])
    for folder in ("figures", "tables"):
        shutil.rmtree(BUILD / folder, ignore_errors=True)
        (BUILD / folder).mkdir(parents=True)
    for path in (SOURCE / "figures").glob("*"):
        shutil.copyfile(path, BUILD / "figures" / path.name)
    for (kind, name), path in files.items():
        if kind != "values":
            shutil.copyfile(path, BUILD / kind / name)
    for name in ("report.tex", "sheet.tex", "references.bib"):
        shutil.copyfile(SOURCE / name, BUILD / name)
    values = {Path(name).stem: path.read_text("utf-8") for (kind, name), path in files.items() if kind == "values"}
    write(BUILD / "values.tex", values_tex(values))


def complaints(log: str) -> list[str]:
    """What a LaTeX log says about undefined references and citations, double labels and overfull boxes."""
    text = log.replace("\r\n", "\n")
    found = re.findall(r"^(?:LaTeX|Package natbib) Warning: ((?:Reference|Citation|Label) .*)$", text, re.MULTILINE)
    found += re.findall(r"^LaTeX Warning: (There were (?:undefined|multiply).*)$", text, re.MULTILINE)
    found += re.findall(r"^Package natbib Warning: (There were undefined.*)$", text, re.MULTILINE)
    for line, points in re.findall(r"^(Overfull \\[hv]box \(([\d.]+)pt too .*)$", text, re.MULTILINE):
        if float(points) > OVERFULL_LIMIT:
            found.append(line)
    return found


def pages(log: str) -> int:
    return int(re.search(r"Output written on .*?\((\d+) page", log, re.DOTALL).group(1))


def typeset(folder: Path = BUILD, name: str = "report") -> int:
    """Run latexmk on NAME.tex in `folder`; the number of pages, or an error with the reason from the log."""
    environ = {**os.environ, "SOURCE_DATE_EPOCH": DATE, "FORCE_SOURCE_DATE": "1", "max_print_line": "1000"}
    command = ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
    run = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, errors="replace")
    write(folder / "latexmk.txt", run.stdout + run.stderr)
    path = folder / f"{name}.log"
    log = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    if run.returncode:
        error = re.search(r"^!.*(?:\n.*){0,8}", log, re.MULTILINE)
        reason = error.group(0) if error else (run.stdout + run.stderr)[-2000:]
        raise SystemExit(f"latexmk failed ({path}):\n{reason}")
    if wrong := complaints(log):
        raise SystemExit(f"{name}.tex is not in order:\n  " + "\n  ".join(wrong))
    return pages(log)


def build(started: float) -> None:
    """Assemble and typeset; the last line names the PDF, its pages and the seconds since the start."""
    assemble()
    ensure_latex()
    number, sheet = typeset(), typeset(name="sheet")
    if sheet != 1:
        raise SystemExit(f"sheet.tex has {sheet} pages, not the one that a reader can pin to a wall")
    path = (BUILD / "report.pdf").relative_to(ROOT)
    print(f"report: {path}, {number} pages, and sheet.pdf, {time.monotonic() - started:.0f} s", flush=True)


def template(folder: Path = TEMPLATE) -> int:
    """Typeset the blank of the report; return its pages. It reads ../references.bib, as report/template/ does."""
    ensure_latex()
    folder.mkdir(parents=True, exist_ok=True)
    for path in (SOURCE / "template").glob("*.tex"):
        shutil.copyfile(path, folder / path.name)
    shutil.copyfile(SOURCE / "references.bib", folder.parent / "references.bib")
    return typeset(folder, "template")


def publish() -> None:
    """Refresh report/figures/, report/report.pdf and report/sheet.pdf; figures that no notebook made here stay."""
    for (kind, name), path in collect([EXECUTED / path.stem for path in found()]).items():
        if kind == "figures":
            (SOURCE / "figures").mkdir(exist_ok=True)
            shutil.copyfile(path, SOURCE / "figures" / name)
    for name in ("report.pdf", "sheet.pdf"):
        shutil.copyfile(BUILD / name, SOURCE / name)
    print("edition: report/figures/ and report/report.pdf refreshed", flush=True)
