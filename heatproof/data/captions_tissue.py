"""Tissue tiles whose structure, nuclei and colour are drawn one by one, as their class makes them likely.

`heatproof.data.captions.load_captioned` is the door. A tile is a window of 96 pixels of a tile of the tissue phantom,
around its patch. Six of the eight classes are here: "empty" has no structure to speak of, "complex" is a mixture.
"""

from collections.abc import Callable

import numpy as np
from skimage.color import hsv2rgb

from heatproof.data import phantom_tissue
from heatproof.data.captions_grammar import Grammar, Topic, topic
from heatproof.data.phantom_tissue import Tissue
from heatproof.data.phantoms import draw_nuisances

CLASS_NAMES = ("tumor", "stroma", "lympho", "debris", "mucosa", "adipose")
SHAPE = (96, 96, 3)
_WINDOW = slice(27, 123)  # of the 150 pixels of the phantom's tile

_STRUCTURES: dict[str, dict[str, float]] = {
    "solid": {},
    "fibrous": {"fibres": 0.35},
    "glandular": {"glands": 26.0},
    "fatty": {"fat": 19.0},
}
_NUMBERS = {"few": (24.0, 14.0), "some": (14.0, 7.0), "many": (8.5, 4.0)}  # spacing of nuclei; on the rim of a gland
_SIZES = {"small": 1.8, "large": 3.4}
_COLOURS = {"pale": (0.06, 0.34), "pink": (0.03, 0.90), "violet": (0.50, 0.50)}  # haematoxylin, eosin of the ground
ATTRIBUTES = {
    "structure": tuple(_STRUCTURES), "number": tuple(_NUMBERS), "size": tuple(_SIZES), "colour": tuple(_COLOURS),
}  # fmt: skip

# p(value | class) of the attributes, values in the order above; classes overlap
_ROWS = {
    "tumor": ((0.80, 0.06, 0.10, 0.04), (0.05, 0.35, 0.60), (0.10, 0.90), (0.10, 0.15, 0.75)),
    "stroma": ((0.10, 0.80, 0.05, 0.05), (0.55, 0.35, 0.10), (0.75, 0.25), (0.15, 0.75, 0.10)),
    "lympho": ((0.75, 0.15, 0.05, 0.05), (0.04, 0.16, 0.80), (0.90, 0.10), (0.60, 0.15, 0.25)),
    "debris": ((0.65, 0.20, 0.05, 0.10), (0.40, 0.45, 0.15), (0.85, 0.15), (0.20, 0.30, 0.50)),
    "mucosa": ((0.08, 0.08, 0.80, 0.04), (0.10, 0.40, 0.50), (0.60, 0.40), (0.30, 0.50, 0.20)),
    "adipose": ((0.05, 0.10, 0.05, 0.80), (0.75, 0.20, 0.05), (0.80, 0.20), (0.30, 0.60, 0.10)),
}
TABLE = {name: np.array([_ROWS[each][place] for each in CLASS_NAMES]) for place, name in enumerate(ATTRIBUTES)}

# value of a nuisance -> what it fixes of `phantom_tissue.NUISANCES`
_FIXED: dict[str, dict[str, dict[str, float]]] = {
    "light": {"bright": {"brightness": 1.0}, "dim": {"brightness": 0.8}},
    "stain": {"faint": {"haematoxylin": 0.8, "eosin": 0.75}, "strong": {"haematoxylin": 1.2, "eosin": 1.2}},
    "surroundings": {"quiet": {"density": 0.1}, "busy": {"density": 1.0}},
    "place": {"left": {"patch_x": 64.0}, "right": {"patch_x": 85.0}},
}
NUISANCES = {name: tuple(values) for name, values in _FIXED.items()}
ARTEFACTS = ("red", "yellow", "green", "turquoise", "blue", "magenta")  # hues, 60 degrees apart

GRAMMAR = Grammar(
    {
        "structure": Topic(
            {
                "solid": ("solid tissue", "solid sheets"), "fibrous": ("wavy fibres", "fibrous tissue"),
                "glandular": ("round glands", "glandular tissue"), "fatty": ("fat cells", "fatty tissue"),
            },
            {
                "solid": ("the tissue is solid",), "fibrous": ("the tissue is fibrous",),
                "glandular": ("the tissue is glandular",), "fatty": ("the tissue is fatty",),
            },
        ),
        "number": topic(("nuclei",), {"few": "few sparse", "some": "scattered", "many": "many crowded"}),
        "size": topic(("nuclei",), {"small": "small tiny", "large": "large big"}),
        "colour": topic(("a ground",), {"pale": "pale", "pink": "pink rosy", "violet": "violet purple"}),
        "light": topic(("some light",), {"bright": "bright", "dim": "dim"}, 0.4),
        "stain": topic(("a stain",), {"faint": "faint", "strong": "strong"}, 0.4),
        "surroundings": topic(("surroundings",), {"quiet": "quiet", "busy": "busy"}, 0.4),
        "place": Topic(
            {"left": ("a patch on the left",), "right": ("a patch on the right",)},
            {"left": ("the patch is on the left",), "right": ("the patch is on the right",)},
            0.4,
        ),
        "artefact": topic(("some ink",), {name: name for name in ARTEFACTS}),
    },
    ("a tile with", "we see", "this picture shows"),
)  # fmt: skip


def draw(attributes: dict[str, str], named: dict[str, str], item: Callable) -> tuple[np.ndarray, dict, dict]:
    """One tile (96, 96, 3), {attribute: mask (96, 96)}, which is its patch for all, and all nuisances of the phantom.

    `named` holds the nuisances of this room by their values; `item(stream)` gives the generators of the item.
    """
    random = item("nuisance")
    nuisance = draw_nuisances(phantom_tissue, random)
    nuisance |= {"patch_y": float(random.uniform(66, 83)), "patch_radius": float(random.uniform(24, 28))}
    for name, value in named.items():
        nuisance |= _FIXED[name][value]
    image, inside = phantom_tissue.draw_row(_tissue(attributes), nuisance, item("background"), item("evidence"))
    mask = inside[_WINDOW, _WINDOW]
    return image[_WINDOW, _WINDOW], dict.fromkeys(ATTRIBUTES, mask), nuisance


def _tissue(attributes):
    """The row of the phantom's table that has these attributes."""
    structure, radius = attributes["structure"], _SIZES[attributes["size"]]
    spacing = _NUMBERS[attributes["number"]][structure == "glandular"]
    blue, pink = _COLOURS[attributes["colour"]]
    row = Tissue(blue, pink, clouds=0.08, spacing=spacing, radius=radius, spread=0.1, length=1.4, stain=1.6)
    return row._replace(**_STRUCTURES[structure])


def add_artefact(image: np.ndarray, code: int, nuisance: dict) -> tuple[np.ndarray, np.ndarray]:
    """Spill clear ink of hue code / 6 into the corner farthest from the patch; the mask is the spill."""
    rows, columns = np.mgrid[:96, :96]
    centre_x = 85 if nuisance["patch_x"] < 74.5 else 10
    centre_y = 85 if nuisance["patch_y"] < 74.5 else 10
    cover = np.clip(0.5 + 10 - np.hypot(rows - centre_y, columns - centre_x), 0, 1)[..., None]
    ink = hsv2rgb(np.array([code / len(CLASS_NAMES), 1.0, 0.9]))
    return image * (1 - cover * (1 - ink)), cover[..., 0] > 0
