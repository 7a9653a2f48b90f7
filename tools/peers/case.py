"""What every library gets and gives back: one network, its inputs and all that would else be drawn at random.

A case is a folder: model.keras ends in probabilities, logits.keras is the same network before the softmax, inputs.npz
holds the arrays. A library's maps go to NAME.npz beside them, its version to NAME.txt. Maps lie as Keras lays them:
(N, H, W, C) or (N, T, C) for input gradients, (N, H, W) or (N, T) for one value per position.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

STEPS = 18  # nodes of Integrated Gradients
NOISE = 0.15  # of the range of each input
ALPHA, KERNEL_WIDTH = 1.0, 0.25  # of LIME's ridge regression


@dataclass
class Case:
    """The arrays of inputs.npz, and the folder."""

    inputs: np.ndarray  # (N, ..., C)
    targets: np.ndarray  # (N,)
    noise: np.ndarray  # (N, samples, ..., C): what SmoothGrad and VarGrad add
    patch: np.ndarray  # occlusion: one size per axis, a divisor of it; the same value covers everywhere
    fill: np.ndarray
    masks: np.ndarray  # RISE: (masks, ...) in [0, 1]
    segments: np.ndarray  # LIME: (...) labels from 0
    visible: np.ndarray  # LIME: (samples, segments) of 0 and 1, the first row all 1
    layer: np.ndarray  # name of the layer that the CAM family looks at
    folder: Path = Path()

    @classmethod
    def load(cls, folder):
        with np.load(folder / "inputs.npz") as arrays:
            return cls(**{name: arrays[name] for name in arrays.files}, folder=folder)

    def save(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "folder"}
        np.savez(self.folder / "inputs.npz", **arrays)

    def network(self, ending="logits"):
        """The Keras network that ends in "logits", or the one that ends in probabilities, "model"."""
        import keras

        keras.config.disable_interactive_logging()
        return keras.saving.load_model(self.folder / f"{ending}.keras", compile=False)

    @property
    def is_image(self):
        return self.inputs.ndim == 4

    @property
    def one_hot(self):
        classes = self.network().output_shape[-1]
        return np.eye(classes, dtype="float32")[self.targets]

    @property
    def proximity(self):
        """LIME's kernel on the cosine distance D of each row of `visible` from all ones: sqrt(exp(-D^2 / width^2))."""
        distance = 1 - np.sqrt(self.visible.mean(axis=1))
        return np.sqrt(np.exp(-((distance / KERNEL_WIDTH) ** 2)))


def answer(name, version, maps, folders):
    """Write the maps of one library for every case; `maps` takes a `Case` and returns arrays by name."""
    for folder in map(Path, folders):
        found = {key: np.asarray(value) for key, value in maps(Case.load(folder)).items()}
        np.savez(folder / f"{name}.npz", **found)
        (folder / f"{name}.txt").write_text(version, encoding="utf-8")
        print(f"  {name} {version} on {folder.name}: {len(found)} maps", flush=True)
