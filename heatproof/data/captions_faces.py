"""Schematic faces whose brows, eyes and mouth are drawn one by one, as their class makes them likely.

`heatproof.data.captions.load_captioned` is the door. Of a class only the table is known, so no sentence that is made
from the class alone can be true of every picture.
"""

from collections.abc import Callable

import numpy as np

from heatproof.data import phantom_faces
from heatproof.data.captions_grammar import Grammar, Topic, topic
from heatproof.data.phantoms import draw_nuisances

CLASS_NAMES, SHAPE = phantom_faces.CLASS_NAMES, phantom_faces.SHAPE

# value of an attribute -> columns of the shape of a face, as in `phantom_faces.EXPRESSIONS`; the others are neutral
_COLUMNS = {
    "brows": ("brow_inner", "brow_outer", "brow_arch"),
    "eyes": ("eye",),
    "mouth": ("width", "corners", "upper", "lower", "wave", "teeth"),
}
_SHAPES: dict[str, dict[str, tuple[float, ...]]] = {
    "brows": {
        "lowered": (-2.4, 1.6, 0.2), "level": (0.0, 0.0, 1.0), "raised": (2.6, 2.0, 1.8), "slanted": (2.6, -1.6, 0.2),
    },
    "eyes": {"narrow": (0.5,), "calm": (1.0,), "wide": (1.42,)},
    "mouth": {
        "smiling": (7.2, 3.2, 0.0, 0.0, 0.0, 0.0), "frowning": (5.2, -2.8, 0.0, 0.0, 0.0, 0.0),
        "straight": (5.2, 0.0, 0.0, 0.0, 0.0, 0.0), "round": (3.4, 0.0, 3.0, 4.2, 0.0, 0.0),
        "crooked": (6.0, -0.6, 0.3, 0.3, 2.2, 0.0),
    },
}  # fmt: skip
ATTRIBUTES = {name: tuple(values) for name, values in _SHAPES.items()}

# p(value | class) of the attributes, values in the order above; classes overlap
_ROWS = {
    "angry": ((0.80, 0.10, 0.04, 0.06), (0.65, 0.25, 0.10), (0.03, 0.50, 0.37, 0.05, 0.05)),
    "disgust": ((0.35, 0.45, 0.05, 0.15), (0.70, 0.25, 0.05), (0.03, 0.12, 0.10, 0.05, 0.70)),
    "fear": ((0.04, 0.08, 0.28, 0.60), (0.05, 0.20, 0.75), (0.03, 0.22, 0.10, 0.45, 0.20)),
    "happy": ((0.04, 0.46, 0.40, 0.10), (0.45, 0.45, 0.10), (0.85, 0.03, 0.06, 0.03, 0.03)),
    "sad": ((0.10, 0.15, 0.05, 0.70), (0.45, 0.45, 0.10), (0.03, 0.70, 0.17, 0.03, 0.07)),
    "surprise": ((0.03, 0.07, 0.80, 0.10), (0.05, 0.15, 0.80), (0.07, 0.03, 0.07, 0.80, 0.03)),
    "neutral": ((0.08, 0.77, 0.10, 0.05), (0.15, 0.75, 0.10), (0.07, 0.08, 0.77, 0.03, 0.05)),
}
TABLE = {name: np.array([_ROWS[each][place] for each in CLASS_NAMES]) for place, name in enumerate(ATTRIBUTES)}

# value of a nuisance -> what it fixes of `phantom_faces.NUISANCES`
_FIXED: dict[str, dict[str, dict[str, float]]] = {
    "glasses": {"none": {"glasses": 0}, "worn": {"glasses": 2}},
    "hair": {name: {"hair": code} for code, name in enumerate(("bald", "short", "parted", "long", "curly"))},
    "light": {
        "even": {"light": 0.02},
        "left": {"light": 0.28, "light_from": 180.0},
        "right": {"light": 0.28, "light_from": 0.0},
    },
    "background": {"plain": {"pattern": 0}, "spotted": {"pattern": 1}, "striped": {"pattern": 2}},
}
NUISANCES = {name: tuple(values) for name, values in _FIXED.items()}
ARTEFACTS = tuple("one two three four five six seven".split())

GRAMMAR = Grammar(
    {
        "brows": topic(
            ("brows", "eyebrows"),
            {
                "lowered": "lowered knitted", "level": "level relaxed", "raised": "raised high",
                "slanted": "slanted worried",
            },
            plain="level",
        ),
        "eyes": topic(("eyes",), {"narrow": "narrow squinting", "calm": "calm", "wide": "wide staring"}, plain="calm"),
        "mouth": topic(
            ("a mouth", "lips"),
            {
                "smiling": "smiling", "frowning": "frowning", "straight": "straight closed", "round": "round open",
                "crooked": "crooked wavy",
            },
            plain="straight", smiling="a smile", frowning="a frown",
        ),
        "glasses": Topic(
            {"none": ("no glasses",), "worn": ("glasses", "spectacles")},
            {"none": ("no glasses are worn",), "worn": ("glasses are worn", "spectacles are worn")},
            0.5, "none",
        ),
        "hair": Topic(
            {"bald": ("a bald head",)} | {each: (f"{each} hair",) for each in NUISANCES["hair"][1:]},
            {"bald": ("the head is bald",)} | {each: (f"the hair is {each}",) for each in NUISANCES["hair"][1:]},
            0.5,
        ),
        "light": Topic(
            {"even": ("even light",), "left": ("light from the left",), "right": ("light from the right",)},
            {
                "even": ("the light is even",), "left": ("the light comes from the left",),
                "right": ("the light comes from the right",),
            },
            0.4, "even",
        ),
        "background": topic(
            ("a background",), {"plain": "plain", "spotted": "spotted", "striped": "striped"}, 0.5, "plain"
        ),
        "artefact": Topic(
            {name: (f"the number {name}",) for name in ARTEFACTS},
            {name: (f"the number {name} is printed",) for name in ARTEFACTS},
        ),
    },
    ("a face with", "we see", "this picture shows"),
)  # fmt: skip


def draw(attributes: dict[str, str], named: dict[str, str], item: Callable) -> tuple[np.ndarray, dict, dict]:
    """One face (48, 48, 1), {attribute: mask (48, 48)}, and all nuisances of the phantom.

    `named` holds the nuisances of this room by their values; `item(stream)` gives the generators of the item.
    """
    nuisance = draw_nuisances(phantom_faces, item("nuisance"))
    for name, value in named.items():
        nuisance |= _FIXED[name][value]
    shape = dict(zip(phantom_faces.SHAPE_NAMES, phantom_faces.EXPRESSIONS["neutral"], strict=True))
    for name, value in attributes.items():
        shape |= dict(zip(_COLUMNS[name], _SHAPES[name][value], strict=True))
    image, touched = phantom_faces.draw_shape(shape, nuisance, item("background"))
    masks = dict(zip(ATTRIBUTES, (touched["brow"], touched["eye"], touched["mouth"]), strict=True))
    return image, masks, nuisance


def add_artefact(image: np.ndarray, code: int, nuisance: dict) -> tuple[np.ndarray, np.ndarray]:
    """The digit code + 1 in the lower right corner, as on the confounded phantom."""
    return phantom_faces.add_artefact(image, code, nuisance)
