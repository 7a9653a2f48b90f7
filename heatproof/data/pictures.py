"""Real images: what a data set is, where data sets lie, and the faces that scikit-image ships.

Data sets live in the folder that the environment variable ``XAI_DATA`` names; without it, in the one that
``heatproof/folders.py`` says. A zip dropped in there works as it is. Every loader returns a ``Dataset`` with images as
float32 in [0, 1]. A data set that is absent raises ``FileNotFoundError`` and is never replaced.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import skimage

from heatproof import checks, folders

CACHE = folders.cache_folder()

EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


class Dataset(NamedTuple):
    """Images (N, H, W, C) float32 in [0, 1], labels (N,) int, what they are called, where they come from."""

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple
    names: tuple
    source: str
    licence: str


# ------------------------------------------------------------------------------------------ shipped with scikit-image

# Number in scikit-image's lfw_subset -> expression, our own labels. Chosen by eye where the expression is plain.
LFW_FACES = {
    52: "happy", 53: "happy", 91: "happy", 29: "surprise", 49: "surprise", 97: "angry",
    44: "sad", 65: "sad", 16: "fear", 15: "neutral", 62: "neutral", 73: "neutral",
}  # fmt: skip
ASTRONAUT_FACE = (slice(70, 190), slice(165, 285))


def load_faces() -> Dataset:
    """Thirteen faces that scikit-image ships, 48x48 grey: the astronaut's and a dozen of Labeled Faces in the Wild.

    The labels are ours. The dozen is 25x25 pixels originally (Huang et al. 2007), enlarged with bicubic splines.
    """
    astronaut = skimage.color.rgb2gray(skimage.data.astronaut()[ASTRONAUT_FACE])
    small = skimage.data.lfw_subset()
    faces = [skimage.transform.resize(astronaut, (48, 48), anti_aliasing=True)]
    faces += [skimage.transform.resize(small[number], (48, 48), order=3) for number in LFW_FACES]
    labels = [EXPRESSIONS.index(expression) for expression in ("happy", *LFW_FACES.values())]
    return as_dataset(
        np.clip(faces, 0, 1)[..., None],
        labels,
        EXPRESSIONS,
        ("astronaut", *(f"lfw_{number:02d}" for number in LFW_FACES)),
        "scikit-image: portrait of Eileen Collins (NASA) and Labeled Faces in the Wild (Huang et al. 2007)",
        "portrait: public domain; Labeled Faces in the Wild: research use",
    )


# ----------------------------------------------------------------------------------------------------- what all use


def as_dataset(
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    class_names: tuple[str, ...],
    names: tuple[str, ...],
    source: str,
    licence: str,
) -> Dataset:
    images, labels = np.asarray(images, dtype=np.float32), np.asarray(labels, dtype=np.int64)
    images.flags.writeable = labels.flags.writeable = False
    return Dataset(images, labels, class_names, names, source, licence)


def check_part(part: str, parts: Sequence[str] | dict[str, str]) -> str:
    checks.one_of("part", part, (*parts, "all"))
    return parts[part] if isinstance(parts, dict) and part != "all" else part


def find(candidates: Sequence[str], name: str, cure: str) -> Path:
    folder = folders.data_folder()
    for candidate in candidates:
        if (folder / candidate).exists():
            return folder / candidate
    raise FileNotFoundError(f"{name} is not in {folder} (the folder that XAI_DATA names): {cure}")
