"""What confounds a phantom: a mark of local extent, or a change of the whole picture, that names a class.

Each kind of phantom has its own mark (a printed digit, an ink stain); those here fit any picture. A code of 0 to
classes - 1 is the class that the artefact stands for.
"""

from types import ModuleType

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.color import hsv2rgb

GLOBAL = ("blur", "cast")  # they change every pixel, so that no share of a map on them tells anything
_WIDTH, _BLUR, _CAST = 1 / 24, 1 / 40, 0.35  # of the frame and the widest Gaussian, per side; depth of the colour


def stamped(
    kind: ModuleType,
    artefact: str,
    image: np.ndarray,
    code: int,
    nuisance: dict,
    evidence: np.ndarray,
    strength: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a finished picture with its artefact, and the mask of the pixels that the artefact may change.

    border: a frame, a 24th of a side wide, in a tone (grey pictures) or a hue that tells the code; evidence hides it
    blur:   a Gaussian of sigma = strength (code + 1) / classes sides / 40
    cast:   light of hue code / classes, of which `strength` is the share
    """
    classes, side = len(kind.CLASS_NAMES), image.shape[0]
    everywhere = np.ones(image.shape[:2], bool)
    if artefact == "blur":
        sigma = strength * _BLUR * side * (code + 1) / classes
        return gaussian_filter(image, (sigma, sigma, 0), mode="nearest"), everywhere
    if artefact == "cast":
        return image * (1 - strength * _CAST * (1 - _hue(code, classes))), everywhere
    if artefact == "border":
        inner = round(_WIDTH * side)
        mask = ~np.pad(np.ones((side - 2 * inner,) * 2, bool), inner) & ~evidence
        tone = code / (classes - 1) if image.shape[-1] == 1 else 0.9 * _hue(code, classes)
        full = np.where(mask[..., None], tone, image)
    else:
        full, mask = kind.add_artefact(image, code, nuisance)
    return full if strength == 1 else image + strength * (full - image), mask


def _hue(code, classes):
    """The pure colour of a code."""
    return hsv2rgb(np.array([code / classes, 1.0, 1.0]))
