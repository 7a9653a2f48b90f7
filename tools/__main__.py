"""python -m tools TARGET: what `make TARGET` calls, on any operating system.

This file, tools/environment.py, tools/latex.py and heatproof/writing.py run before .venv exists, on whatever Python
the machine has, so they use the standard library alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from heatproof.writing import write
from tools import environment

ROOT = environment.ROOT
HELP = {
    "help": "print this list",
    "report": "set up .venv, execute the notebooks into build/, write build/report/report.pdf",
    "book": "make the website of the course from the executed notebooks, build/book/index.html",
    "template": "typeset the blank of the report for students, build/template/template.pdf",
    "test": "unit tests, and every notebook executed again and compared with its stored outputs",
    "lab": "open the course in JupyterLab: the start page beside the list of the chapters",
    "latex": "install the Debian packages of apt.txt that the report needs (asks for sudo)",
    "data": "fetch the tissue tiles (258 MB, Zenodo record 53169) into the folder of data sets",
    "models": "train the networks and the captioners again (models/train.py, models/train_captioners.py)",
    "evaluation": "score the methods on whole test sets into results/ (what is up to date is kept; --sample: check)",
    "mutants": "break each method in turn and see which test catches it; stamp what is clean",
    "parity": "compare methods and metrics with other libraries (a second environment, .venv-peers)",
    "networks": "compare every method with an oracle on fourteen networks of Keras into docs/networks.md (an hour)",
    "bench": "time the methods beside other libraries into benchmarks/ (about 45 minutes on 2 quiet cores)",
    "lint": "ruff on code and notebooks, mypy on the package and its two faces",
    "edition": "refresh stored outputs of changed notebooks, report/figures/, report/report.pdf, README.md",
    "readme": "write the tables of README.md from METHODS, the notebooks and the cards of the networks",
    "toolbox": "write build/toolbox, pages that show the networks from the inside, in a browser without a server",
    "lock": "compile requirements.in into requirements.txt and environment.yml",
    "environment": "write environment.yml (conda, mamba) from requirements.txt",
    "clean": "remove build/",
}


GPU_CHOICES = {"": None, "0": False, "1": True}  # nothing said: the build that is there


def show_help() -> int:
    print("make TARGET   or   python -m tools TARGET\n")
    print("\n".join(f"  {name:<12} {text}" for name, text in HELP.items()))
    print("\nGPU=1 (or --gpu) takes TensorFlow with CUDA in place of the CPU build; GPU=0 goes back.")
    return 0


def run(*command: object, progress: str = "0", **variables: str) -> int:
    """Run a command from the root of the repository with the settings that keep output quiet and equal."""
    environ = {**os.environ, "XAI_PROGRESS": progress, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    environ.pop("MPLBACKEND", None)
    return subprocess.call([str(part) for part in command], cwd=ROOT, env=environ)


def python(*arguments: object) -> int:
    return run(sys.executable, *arguments)


def report() -> int:
    from tools import notebooks
    from tools import report as pdf

    started = time.monotonic()
    notebooks.execute_all()
    pdf.build(started)
    return 0


def book() -> int:
    from tools import book as website

    website.build()
    return 0


def template() -> int:
    from tools import report as pdf

    print(f"template: build/template/template.pdf, {pdf.template()} pages")
    return 0


def edition() -> int:
    from tools import notebooks
    from tools import report as pdf

    report()
    notebooks.publish()
    pdf.publish()
    return readme()


def readme() -> int:
    from tools import readme as tables

    tables.refresh()
    return 0


def toolbox() -> int:
    from tools.toolbox import building

    building.build()
    return 0


def evaluation() -> int:
    from tools import evaluation as tables
    from tools import sample, words, words_confounded

    tables.run()
    subprocess.run([sys.executable, "-m", "tools.trust"], check=True, cwd=ROOT)  # threads are set when it starts
    words.main()
    words_confounded.main()
    return sample.run(restamp=True)


def sample() -> int:
    from tools import sample as rows

    return rows.run(restamp=False)


def parity() -> int:
    from tools import metric_parity, relevance_parity, word_parity
    from tools import parity as method_parity

    return method_parity.main() | metric_parity.main() | relevance_parity.main() | word_parity.main()


def networks() -> int:
    os.environ.setdefault("XAI_PROGRESS", "0")
    sys.path.insert(0, str(ROOT / "tests"))
    import zoo_table

    zoo_table.main()
    return 0


def latex() -> int:
    from tools.latex import ensure_latex

    ensure_latex(install=True)
    return 0


def write_environment() -> int:
    write(ROOT / "environment.yml", environment.conda(environment.lock_text()))
    return 0


def lock() -> int:
    environment.compile_lock()
    return write_environment()


def lint() -> int:
    """The first that finds something ends it."""
    steps = (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",))
    return next((status for step in steps if (status := python("-m", *step))), 0)


def clean() -> int:
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    return 0


def lab() -> int:
    """The start page beside the list of the chapters; tools/lab/ says what the list hides."""
    allowed = ["--allow-root"] if environment.is_root() else []
    page = "/lab/tree/README.md?file-browser-path=/notebooks"
    place = (f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url={page}")
    settings = [str(ROOT / "tools" / "lab"), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    command = (sys.executable, "-m", "jupyterlab", *place, *allowed)
    return run(*command, progress="1", JUPYTER_CONFIG_PATH=os.pathsep.join(settings))


def data() -> int:
    from heatproof.data import hmt

    try:
        print(f"data: {hmt.fetch_hmt()}")
    except OSError as error:
        raise SystemExit(str(error)) from None
    return 0


# Targets that need nothing but the standard library, and those that run inside .venv.
OUTSIDE = {"help": show_help, "latex": latex, "environment": write_environment, "clean": clean}
INSIDE = {
    "report": report,
    "book": book,
    "template": template,
    "test": lambda: python("-m", "pytest", "--nbval"),
    "lab": lab,
    "data": data,
    "models": lambda: python("models/train.py") or python("models/train_captioners.py"),
    "evaluation": evaluation,
    "mutants": lambda: python("tests/mutants.py"),
    "parity": parity,
    "networks": networks,
    "bench": lambda: python("-m", "benchmarks"),
    "lint": lint,
    "edition": edition,
    "readme": readme,
    "toolbox": toolbox,
    "lock": lock,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools", description="The targets of the Makefile.")
    parser.add_argument("target", nargs="?", default="help", choices=list(HELP))
    parser.add_argument("--gpu", action="store_true", help="TensorFlow with CUDA")
    parser.add_argument("--sample", action="store_true", help="evaluation: make a few rows again and compare them")
    options = parser.parse_args()
    if options.sample and options.target != "evaluation":
        parser.error("--sample: it belongs to the target evaluation")
    if options.target in OUTSIDE:
        return OUTSIDE[options.target]()
    gpu = os.environ.get("GPU", "")
    if gpu not in GPU_CHOICES:
        parser.error(f"GPU: got {gpu!r}; allowed: 1 (TensorFlow with CUDA), 0 (the CPU build), or nothing")
    interpreter = environment.ensure(True if options.gpu else GPU_CHOICES[gpu])
    if Path(sys.prefix).resolve() != environment.VENV.resolve():
        return subprocess.call([str(interpreter), "-m", "tools", *sys.argv[1:]], cwd=ROOT)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return sample() if options.sample else INSIDE[options.target]()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted: the same command continues where this one stopped")
