"""The other libraries' titles, and the environments of those that live in one of their own."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from heatproof.writing import write
from tools import environment
from tools.environment import ROOT

VENV = ROOT / ".venv-peers"
REQUIREMENTS = ROOT / "requirements-peers.txt"
OLD_VENV = ROOT / ".venv-innvestigate"
OLD_REQUIREMENTS = ROOT / "requirements-innvestigate.txt"
# Installed as they are: Xplique asks for TensorFlow's CUDA build on Linux, zennit-crp for an older zennit, zennit for a
# later patch of Python 3.11 than it needs, TorchRay for what its own data sets need. What they need is pinned beside
# them.
ALONE = ("xplique==", "zennit==", "zennit-crp==", "torchray==")
TITLES = {
    "tf_keras_vis": "tf-keras-vis",
    "lime": "lime",
    "xplique": "Xplique",
    "saliency": "PAIR saliency",
    "captum": "Captum",
    "shap": "shap",
}
RELEVANCE = {"zennit": "zennit", "crp": "zennit-crp", "innvestigate": "iNNvestigate"}  # relevance propagation alone
MASKS = {"torchray": "TorchRay"}  # learned masks, in the benchmark alone
ELSEWHERE = (
    "xplique",
    "saliency",
    "captum",
    "shap",
    "zennit",
    "crp",
    "torchray",
)  # in .venv-peers; iNNvestigate in .venv-innvestigate; the others in the project's own environment


def python_of(peer: str) -> Path:
    """The interpreter that has this library."""
    if peer == "innvestigate":
        return ensure_innvestigate()
    return ensure_peers() if peer in ELSEWHERE else Path(sys.executable)


def ensure_peers() -> Path:
    """The interpreter of an up-to-date .venv-peers, made first where needed."""
    return made(environment.find_python()[0], VENV, REQUIREMENTS, "about 8 GB on disk")


def ensure_innvestigate() -> Path:
    """That of .venv-innvestigate: iNNvestigate needs a TensorFlow below 2.15, and that needs Python 3.11."""
    found = environment.probe(["python3.11"])
    if found is None:
        raise SystemExit("peers: iNNvestigate needs Python 3.11: install it, as python3.11 on the path")
    return made(found[0], OLD_VENV, OLD_REQUIREMENTS, "about 1 GB on disk")


def made(found, folder: Path, requirements: Path, size: str) -> Path:
    """The interpreter of an environment with these requirements, which is made first where it is not up to date."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "requirements.stamp"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"peers: a new {folder.name} ({size})", flush=True)
    run([found, "-m", "venv", "--clear", folder])
    lines = requirements.read_text(encoding="utf-8").splitlines()
    alone = [line for line in lines if line.startswith(ALONE)]
    others = folder / "others.txt"
    write(others, "\n".join(line for line in lines if line not in alone) + "\n")
    install = [python, "-m", "pip", "install", "--quiet"]
    run([*install, "-r", others])
    if alone:
        run([*install, "--no-deps", "--ignore-requires-python", *alone])
    write(stamp, wanted)
    return python


def ask(python, peer: str, module: str, folders) -> None:
    """Let a wrapper answer for the cases in these folders, in a process of its own: PEER.npz and PEER.txt in each."""
    run([python, "-W", "ignore", "-m", "tools.peers.answering", peer, module, *folders])


def run(command) -> None:
    """Run a command in the project's folder; a failure ends the run."""
    if subprocess.call([str(part) for part in command], cwd=ROOT, env=quiet()):
        raise SystemExit(f"peers: {' '.join(map(str, command[:6]))} ... failed, see above")


def quiet() -> dict:
    """The environment variables, with TensorFlow's messages and our progress bars off."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "XAI_PROGRESS": "0"}
