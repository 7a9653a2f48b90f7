"""LaTeX, which the report needs: what of it is missing, and how it is installed. The standard library alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tools.environment import ROOT, apt_command, apt_install, is_root

LATEX_SIZE = "186 MB to download, 484 MB on disk"


def missing_latex() -> list[str]:
    """Programs and packages the report needs and this machine lacks."""
    programs = [name for name in ("latexmk", "pdflatex", "bibtex") if not shutil.which(name)]
    if programs or not shutil.which("kpsewhich"):
        return programs
    text = "".join(
        (ROOT / "report" / name).read_text(encoding="utf-8") for name in ("report.tex", "template/template.tex")
    )
    groups = re.findall(r"^\\usepackage(?:\[[^]]*\])?\{([^}]*)\}", text, re.MULTILINE)
    styles = [f"{name.strip()}.sty" for group in groups for name in group.split(",")]
    there = subprocess.run(["kpsewhich", *styles], capture_output=True, text=True).stdout.split()
    return sorted(set(styles) - {Path(path).name for path in there})


def ensure_latex(install: bool = False) -> None:
    """Install LaTeX where asked for or as root; otherwise stop with the one command that does."""
    missing = missing_latex()
    if not missing:
        if install:
            print("LaTeX is there: nothing to install")
        return
    packages = (ROOT / "apt.txt").read_text().split()
    print(f"LaTeX is missing ({', '.join(missing)}): {LATEX_SIZE}", flush=True)
    if (install or is_root()) and apt_install(packages) and not missing_latex():
        return
    raise SystemExit(
        f"To install LaTeX ({LATEX_SIZE}): {apt_command(packages)}\n"
        "Elsewhere than on Debian and Ubuntu: TeX Live, MacTeX or MiKTeX with latexmk.\n"
        "Then make report again: the executed notebooks are kept in build/notebooks/."
    )
