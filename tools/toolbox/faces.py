"""What the page needs to draw the faces of heatproof/data/phantom_faces.py: its tables, and random numbers."""

from typing import Any

import numpy as np

from heatproof.data import phantom_faces
from heatproof.data.phantoms import generator
from tools.toolbox.data import packed, rounded


def tables() -> dict[str, Any]:
    """The ranges of the sliders, the shapes of the expressions, and the draws of the background of seed 0, item 0.

    So a face of the page is `xu.schematic_faces(1, seed=0, labels=[class], fixed=...)` with all nuisances fixed.
    """
    shapes = [phantom_faces._expression(label, 1.0) for label in range(len(phantom_faces.CLASS_NAMES))]
    sliders = {
        name: {"low": low, "high": high, "meaning": meaning, "step": 1 if isinstance(low, int) else (high - low) / 100}
        for name, (low, high, meaning) in phantom_faces.NUISANCES.items()
    }
    return {"classes": list(phantom_faces.CLASS_NAMES), "shapes": shapes, "sliders": sliders, "background": _draws()}


def _draws():
    """The numbers that `phantom_faces.draw` takes from its generator, in its order."""
    random = generator(0, 0, "background")
    centres, radii = random.uniform(0, 48, (2, 6)), random.uniform(5, 11, 6)
    angle, wave = random.uniform(0, np.pi), random.uniform(7, 12)
    noise = random.standard_normal(phantom_faces.SHAPE[:2])
    discs = rounded(np.column_stack([*centres, radii]), 12)
    return {"discs": discs, "angle": angle, "wave": wave, "noise": packed(noise)}
