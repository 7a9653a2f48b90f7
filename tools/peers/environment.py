"""The other libraries' titles, and the environment of those that live in one of their own, .venv-peers."""

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
TITLES = {
    "tf_keras_vis": "tf-keras-vis",
    "lime": "lime",
    "xplique": "Xplique",
    "saliency": "PAIR saliency",
    "captum": "Captum",
    "shap": "shap",
}
ELSEWHERE = (
    "xplique",
    "saliency",
    "captum",
    "shap",
)  # in .venv-peers; the others are part of the project's own environment


def python_of(peer: str) -> Path:
    """The interpreter that has this library."""
    return ensure_peers() if peer in ELSEWHERE else Path(sys.executable)


def ensure_peers() -> Path:
    """The interpreter of an up-to-date .venv-peers, made first where needed."""
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = VENV / "requirements.stamp"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print("peers: a new .venv-peers (about 3 GB on disk)", flush=True)
    found, _ = environment.find_python()
    run([found, "-m", "venv", "--clear", VENV])
    # Xplique asks for TensorFlow's CUDA build on Linux, so what it needs is pinned here and it comes by itself.
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    alone = [line for line in lines if line.startswith("xplique==")]
    others = VENV / "others.txt"
    write(others, "\n".join(line for line in lines if line not in alone) + "\n")
    install = [python, "-m", "pip", "install", "--quiet"]
    run([*install, "-r", others])
    run([*install, "--no-deps", *alone])
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
