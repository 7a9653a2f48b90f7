"""What every contender gets: the network and the first n inputs with all that would else be drawn or chosen."""

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

NOISE, BATCH, STEPS = 0.15, 32, 50
FINE = 1440  # steps of the reference, with many divisors
LADDER = tuple(steps for steps in range(4, FINE // 2 + 1) if FINE % steps == 0)
TOLERANCE = 0.01


class Case:
    """The files of one network; `case.inputs(n)` are its first n inputs, `case.targets(n)` their classes."""

    def __init__(self, folder):
        self.folder = Path(folder)

    @cached_property
    def arrays(self):
        with np.load(self.folder / "inputs.npz") as arrays:
            return dict(arrays)

    def inputs(self, n):
        return self.arrays["inputs"][:n]

    def targets(self, n):
        return self.arrays["targets"][:n]

    def one_hot(self, n):
        return np.eye(self.network().output_shape[-1], dtype="float32")[self.targets(n)]

    @property
    def layer(self):
        return str(self.arrays["layer"])

    @property
    def fill(self):
        return float(self.arrays["fill"])

    @property
    def is_image(self):
        return self.arrays["inputs"].ndim == 4

    @property
    def window(self):
        """Patch and stride of occlusion, one number per axis."""
        axes = self.arrays["inputs"].ndim - 2
        return tuple((int(size),) * axes for size in self.arrays["window"])

    @lru_cache(maxsize=2)  # noqa: B019 - one case for the life of the process
    def network(self, ending="logits"):
        """The network that ends in "logits", or in probabilities, "model"."""
        import keras

        keras.config.disable_interactive_logging()
        return keras.saving.load_model(self.folder / f"{ending}.keras", compile=False)


def steps_needed(maps, reference, change):
    """The smallest number of steps whose map has gap and distance from the reference within 1 %.

    `maps`: steps -> map of one input; `change` is S(x) - S(x'), which a complete map adds up to.
    """
    for steps, found in sorted(maps.items()):
        gap = abs(found.sum() - change) / abs(change)
        if gap <= TOLERANCE and np.abs(found - reference).sum() <= TOLERANCE * np.abs(reference).sum():
            return steps
    return max(maps)


def doubled(of_steps, change):
    """Steps 8, 16, 32, ... until gap and change of the map are within 1 %, as without a reference; all count."""
    steps, before = 8, of_steps(8)
    while steps < 512:
        steps *= 2
        found = of_steps(steps)
        gap = abs(found.sum() - change) / abs(change)
        if gap <= TOLERANCE and np.abs(found - before).sum() <= TOLERANCE * np.abs(found).sum():
            break
        before = found
    return found
