"""The Python environment: find an interpreter, make .venv from requirements.txt, compile the lock.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from heatproof.writing import write

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "requirements.stamp"
OLDEST, NEWEST = (3, 11), (3, 13)
SPAN = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"


def processes() -> int:
    """How many processes work at once: as many as cores; XAI_JOBS says another number, 1 for none but this."""
    return int(os.environ.get("XAI_JOBS", os.cpu_count() or 1))


def lock_text() -> str:
    return (ROOT / "requirements.txt").read_text(encoding="utf-8")


def gpu_requirements(lock: str) -> str:
    """The lock with tensorflow[and-cuda] in place of the CPU build, at the same version."""
    version = re.search(r"^tensorflow-cpu==([^\s;]+)", lock, re.MULTILINE).group(1)
    others = [line for line in lock.splitlines() if not re.match(r"tensorflow(-cpu)?==", line)]
    return "\n".join([*others, f"tensorflow[and-cuda]=={version}"]) + "\n"


def stamp(lock: str, gpu: bool) -> str:
    """What .venv was made from: the build of TensorFlow and the lock. Another stamp makes it stale."""
    return f"{'gpu' if gpu else 'cpu'} {hashlib.sha256(lock.encode()).hexdigest()}"


def conda(lock: str) -> str:
    """environment.yml: conda solves Python and pip, pip installs the lock, written inline."""
    head = (
        "# Generated from requirements.txt by `make environment`; do not edit.\n"
        "name: heatproof\n"
        "channels:\n  - conda-forge\n  - nodefaults\n"
        "dependencies:\n"
        f"  - python >={OLDEST[0]}.{OLDEST[1]},<{NEWEST[0]}.{NEWEST[1] + 1}\n"
        "  - pip\n"
        "  - pip:\n"
    )
    return head + "".join(f'    - "{line}"\n' for line in lock.splitlines() if line.strip())


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def probe(command: list[str]) -> tuple[str, tuple[int, int]] | None:
    """Path and (major, minor) of an interpreter, or None when the command does not run."""
    code = "import sys; print(sys.executable, *sys.version_info[:2], sep=chr(10))"
    try:
        answer = subprocess.run([*command, "-c", code], capture_output=True, text=True, check=True)
        path, major, minor = answer.stdout.splitlines()
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    return path, (int(major), int(minor))


def find_python() -> tuple[str, tuple[int, int]]:
    """The first interpreter of the supported span: the running one, then those on PATH."""
    names = ["python3", "python3.13", "python3.12", "python3.11", "python"]
    launchers = [["py", f"-3.{minor}"] for minor in (13, 12, 11)] if os.name == "nt" else []
    running = getattr(sys, "_base_executable", sys.executable)
    for command in [[running], *([name] for name in names), *launchers]:
        found = probe(command)
        if found and OLDEST <= found[1] <= NEWEST:
            return found
    raise SystemExit(
        f"no Python {SPAN} found (this one is {platform.python_version()}; TensorFlow has no build for "
        "others): install one of them, or name it: make report PYTHON=/path/to/python3.12"
    )


def find_uv() -> str | None:
    """uv from PATH, or from the new environment's own pip; None when neither works."""
    inside = venv_python().with_name("uv.exe" if os.name == "nt" else "uv")
    for candidate in (shutil.which("uv"), str(inside)):
        if candidate and works([candidate, "--version"]):
            return candidate
    if works([str(venv_python()), "-m", "pip", "install", "--quiet", "uv"]) and works([str(inside), "--version"]):
        return str(inside)
    return None


def works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def create() -> None:
    """Make an empty .venv; on Debian without its venv package, install that as root or say how."""
    python, (major, minor) = find_python()
    if shutil.which("uv") and works(["uv", "venv", "--quiet", "--clear", "--python", python, str(VENV)]):
        return
    command = [python, "-m", "venv", "--clear", str(VENV)]
    if works(command):
        return
    package = f"python{major}.{minor}-venv"
    if not works([python, "-c", "import ensurepip"]) and is_root() and apt_install([package]):
        if works(command):
            return
    shutil.rmtree(VENV, ignore_errors=True)
    raise SystemExit(f"{' '.join(command)} failed. On Debian and Ubuntu: {apt_command([package])}")


def apt_command(packages: list[str]) -> str:
    sudo = "" if is_root() else "sudo "
    wanted = " ".join(packages)
    return f"{sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends {wanted}"


def apt_install(packages: list[str]) -> bool:
    """Install Debian packages; False where there is no apt-get or it fails."""
    if not shutil.which("apt-get"):
        return False
    print(apt_command(packages), flush=True)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return all(
        subprocess.call(step.split(), env=environ, stdout=subprocess.DEVNULL) == 0
        for step in apt_command(packages).split(" && ")
    )


def is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def install(gpu: bool) -> None:
    """Install the lock into .venv: with uv where there is one, otherwise with pip; bytecode compiled."""
    requirements = ROOT / "requirements.txt"
    if gpu:
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            raise SystemExit("GPU=1 works on Linux x86-64 only: leave it out here")
        requirements = VENV / "requirements-gpu.txt"
        write(requirements, gpu_requirements(lock_text()))
    uv = find_uv()
    if uv:
        command = [uv, "pip", "install", "--python", str(venv_python()), "--compile-bytecode"]
    else:
        command = [str(venv_python()), "-m", "pip", "install", "--compile"]
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    if subprocess.call([*command, *quiet, "-r", str(requirements)]):
        raise SystemExit("set-up: the installation failed, see above; the same command tries again")


def is_usable() -> bool:
    """Whether .venv exists, runs and has a supported Python."""
    found = probe([str(venv_python())])
    return found is not None and OLDEST <= found[1] <= NEWEST


def ensure(gpu: bool | None = None) -> Path:
    """The interpreter of an up-to-date .venv, which is made or mended first where needed.

    `gpu` selects the build of TensorFlow; None keeps the one that is there (the CPU build in a new .venv).
    """
    made = STAMP.read_text().strip() if STAMP.exists() else ""
    if gpu is None:
        gpu = made.startswith("gpu")
    wanted = stamp(lock_text(), gpu)
    if made == wanted and venv_python().exists():
        return venv_python()
    other_build = bool(made) and made[:3] != wanted[:3]
    if other_build or not is_usable():
        print("set-up: a new .venv (about 2 GB on disk)", flush=True)
        create()
    print("set-up: installing requirements.txt into .venv", flush=True)
    install(gpu)
    write(STAMP, wanted + "\n")
    return venv_python()


def compile_lock() -> None:
    """requirements.in -> requirements.txt for every supported Python and system, without addresses."""
    uv = find_uv()
    if uv is None:
        raise SystemExit("make lock needs uv: pip install uv")
    options = "--universal --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet"
    command = [uv, "pip", "compile", *options.split(), "--python-version", f"{OLDEST[0]}.{OLDEST[1]}"]
    if subprocess.call([*command, "requirements.in", "--output-file", "requirements.txt"], cwd=ROOT):
        raise SystemExit("make lock: uv could not resolve requirements.in, see above")
