"""What every library gets: one network, its inputs, and all that would else be chosen or drawn at random.

A case is a folder: model.keras ends in probabilities, logits.keras is the same network before the softmax, inputs.npz
holds the arrays. Maps lie as Keras lays them: (N, H, W, C) or (N, T, C) for input gradients, (N, H, W) or (N, T) for
one value per position.
"""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np

STEPS = 18  # nodes of Integrated Gradients that are compared
NOISE = 0.15  # of the range of each input
BATCH = 32  # of inputs, copies or samples that go through the network together
ALPHA, KERNEL_WIDTH = 1.0, 0.25  # of LIME's ridge regression


@dataclass(frozen=True, eq=False)
class Case:
    """The folder and the arrays of inputs.npz; what only the comparison or only the benchmark needs may be None."""

    folder: Path
    inputs: np.ndarray  # (N, ..., C)
    targets: np.ndarray  # (N,)
    layer: str  # name of the layer that the CAM family looks at
    fill: float  # what hides a part of an input
    patch: np.ndarray  # occlusion: one size per axis
    stride: np.ndarray  # occlusion: one step per axis, so that windows overlap and fit without a rest
    segments: np.ndarray  # LIME: (N, ...) labels from 0
    noise: np.ndarray | None = None  # (N, samples, ..., C): what SmoothGrad and VarGrad add
    masks: np.ndarray | None = None  # RISE: (masks, ...) in [0, 1]
    visible: np.ndarray | None = None  # LIME: (samples, segments) of 0 and 1, the first row all 1
    parts: np.ndarray | None = None  # KernelSHAP: (N, ...) labels 0 to 7, few enough for all coalitions
    coalitions: np.ndarray | None = None  # KernelSHAP: (samples, 8) of 0 and 1, the first row all 0, the last all 1
    background: np.ndarray | None = None  # Expected Gradients: (K, ..., C)
    places: np.ndarray | None = None  # Expected Gradients: which of the background each draw starts from
    along: np.ndarray | None = None  # Expected Gradients: how far towards the input each draw is
    relevance: np.ndarray | None = None  # (N, ...) maps whose deletion and insertion curves are taken
    varied: float | None = None  # how many maps of the layer are not constant, on average
    made: dict = field(default_factory=dict, repr=False)  # networks and what is made of them, by name

    @classmethod
    def load(cls, folder):
        with np.load(Path(folder) / "inputs.npz") as arrays:
            found = {name: arrays[name] for name in arrays.files}
        plain = {name: array if array.ndim else array.item() for name, array in found.items()}
        return cls(folder=Path(folder), **plain)

    def save(self):
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("folder", "made")}
        np.savez(self.folder / "inputs.npz", **{name: value for name, value in found.items() if value is not None})

    def first(self, n):
        """The same case with its first n inputs."""
        names = ("inputs", "targets", "segments", "noise", "parts", "relevance")
        kept = {name: getattr(self, name) for name in names}
        return replace(self, **{name: array[:n] for name, array in kept.items() if array is not None})

    def once(self, name, make):
        """What `make()` returns, made once for all inputs of this network."""
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def network(self, ending="logits"):
        """The Keras network that ends in "logits", or the one that ends in probabilities, "model"."""
        return self.once(ending, lambda: load_network(self.folder / f"{ending}.keras"))

    @property
    def is_image(self):
        return self.inputs.ndim == 4

    @property
    def box(self):
        """The smallest and the largest value of the inputs, the bounds of z^B."""
        return float(self.inputs.min()), float(self.inputs.max())

    @property
    def one_hot(self):
        return np.eye(self.network().output_shape[-1], dtype="float32")[self.targets]

    @property
    def proximity(self):
        """LIME's kernel on the cosine distance D of each row of `visible` from all ones: sqrt(exp(-D^2 / width^2))."""
        distance = 1 - np.sqrt(self.visible.mean(axis=1))
        return np.sqrt(np.exp(-((distance / KERNEL_WIDTH) ** 2)))


def load_network(path):
    import keras

    keras.config.disable_interactive_logging()
    return keras.saving.load_model(path, compile=False)


def times_covered(space, patch, stride):
    """How many windows of occlusion contain each position; one size and one step per axis."""
    times = np.ones(())
    for side, size, step in zip(space, patch, stride, strict=True):
        along = np.zeros(side)
        for start in range(0, side - size + 1, step):
            along[start : start + size] += 1
        times = np.multiply.outer(times, along)
    return times
