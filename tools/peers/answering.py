"""One library's process: python -m tools.peers.answering PEER MODULE FOLDER... writes PEER.npz and PEER.txt there."""

import importlib
import os
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

from tools.peers.case import Case


def wrapper(module):
    """The module, ready to load networks: for a library that explains PyTorch, Keras has nothing but the weights."""
    found = importlib.import_module(module)
    if getattr(found, "BACKEND", None) == "torch":
        os.environ["KERAS_BACKEND"] = "torch"
    return found


def main(peer, module, *folders):
    library = wrapper(module)
    release = version(library.PACKAGE)
    for folder in map(Path, folders):
        found = {key: np.asarray(value) for key, value in library.answers(Case.load(folder)).items()}
        np.savez(folder / f"{peer}.npz", **found)
        (folder / f"{peer}.txt").write_text(release, encoding="utf-8")
        print(f"  {peer} {release} on {folder.name}: {len(found)} arrays", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
