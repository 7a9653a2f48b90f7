"""Which networks the toolbox shows, and on which inputs and concepts it looks at their units."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import mnist1d_utils as m1
import xai_utils as xu
from tools.environment import ROOT
from tools.toolbox.data import packed


class Seen(NamedTuple):
    """Inputs (N, ...), the names of their classes and labels (N,), and which of them belong together, (N,) or None."""

    inputs: np.ndarray
    class_names: Sequence[str] = ()
    labels: np.ndarray | None = None
    sources: np.ndarray | None = None


class Source(NamedTuple):
    """A network, the inputs on which its units are looked at, and the concepts with which they are compared.

    `layers` {name: how many units} is what Browse shows of a large network; empty, all units of all convolutions.
    """

    title: str
    told: str
    seen: Callable[[], Seen]
    concepts: Callable[[], xu.Concepts] | None = None
    examples: str = ""
    layers: dict[str, int] = {}


def _phantom(make, count, **options):
    phantom = make(count, seed=3, **options)
    return Seen(phantom.images, phantom.class_names, phantom.labels)


def _signals():
    inputs, labels = m1.split(m1.make_dataset(), "test")
    return Seen(inputs, m1.CLASS_NAMES, labels)


def _crops():
    photographs = xu.load_photos(2 * 224)
    crops = xu.crops(photographs, 84)
    return Seen(crops.images, sources=crops.labels)


FACES = "500 drawn faces of the test part"
TILES = "104 drawn tiles of the test part"
EFFICIENTNET = {"stem_relu": 16, "block2b_add": 16, "block3b_add": 16, "block5c_add": 16, "block6d_add": 16}
SOURCES = {
    "schematic_faces": Source(
        "Drawn faces",
        f"{FACES}; concepts: the parts of 210 drawn faces",
        lambda: _phantom(xu.schematic_faces, 500),
        lambda: xu.face_parts(210, seed=3),
        "faces",
    ),
    "schematic_faces_confounded": Source(
        "Drawn faces with a watermark",
        f"{FACES}, each with the watermark of its class; concepts: their parts and the watermark",
        lambda: _phantom(xu.schematic_faces, 500, confounded=1.0),
        lambda: xu.face_parts(210, seed=3, confounded=1.0),
        "faces",
    ),
    "faces": Source(
        "Faces of FER2013",
        f"{FACES}, because its photographs are not ours to pass on; concepts: the parts of 210 drawn faces",
        lambda: _phantom(xu.schematic_faces, 500),
        lambda: xu.face_parts(210, seed=3),
        "faces",
    ),
    "tissue_phantom": Source(
        "Drawn tissue",
        f"{TILES}; concepts: the structures of 64 drawn tiles",
        lambda: _phantom(xu.tissue_phantom, 104),
        lambda: xu.tissue_parts(64, seed=3),
        "tissue",
    ),
    "hmt": Source(
        "Tissue of Kather et al.",
        f"{TILES}, because the photographed ones are fetched apart; concepts: the structures of 64 drawn tiles",
        lambda: _phantom(xu.tissue_phantom, 104),
        lambda: xu.tissue_parts(64, seed=3),
        "tissue",
    ),
    "mnist1d": Source("Signals, flattened at the end", "the 1000 test signals of MNIST-1D", _signals, None, "signals"),
    "mnist1d_gap": Source(
        "Signals, averaged at the end", "the 1000 test signals of MNIST-1D", _signals, None, "signals"
    ),
    "efficientnet_lite0": Source(
        "Photographs, EfficientNet-Lite0",
        "84 crops of 21 photographs, at most one of each; concepts: shapes, colours and textures in 120 made pictures; "
        "of each layer the 16 units whose concept fits best",
        _crops,
        lambda: xu.concept_pictures(120, seed=3, size=224),
        layers=EFFICIENTNET,
    ),
}


def network(name: str) -> Any:
    """The committed network of that name, or the one that a package brings."""
    return xu.imagenet_network() if name == "efficientnet_lite0" else xu.load_model(ROOT / "models" / f"{name}.keras")


def credits() -> list[str]:
    """Whose the pictures are, a line each: drawn ones are the course's own."""
    photographs, faces = xu.load_photos(8), xu.load_faces()
    lines = ["Drawn faces, drawn tissue, signals and concept pictures: made by the course's generators"]
    lines.append(f"Photographed faces: {faces.source} ({faces.licence})")
    told = zip(photographs.source.splitlines(), photographs.licence.splitlines(), strict=True)
    return [*lines, *(f"{source}, {licence.partition(': ')[2]}" for source, licence in told)]


def examples(kind: str) -> list[dict[str, Any]]:
    """Inputs to begin with on the page: {title, pixels or values}."""
    if kind == "signals":
        inputs, labels = m1.split(m1.make_dataset(), "test")
        first = [int(np.flatnonzero(labels == digit)[0]) for digit in range(len(m1.CLASS_NAMES))]
        return [{"title": f"a signal of digit {digit}", "values": packed(inputs[at])} for digit, at in enumerate(first)]
    if kind == "faces":
        faces = xu.load_faces()
        titles = [f"a photographed face, {faces.class_names[label]}" for label in faces.labels]
        return [_pixels(title, image) for title, image in zip(titles, faces.images, strict=True)]
    tiles = xu.tissue_phantom(8, seed=3)
    order = np.argsort(tiles.labels)
    return [_pixels(f"a drawn tile of {tiles.class_names[tiles.labels[at]]}", tiles.images[at]) for at in order]


def _pixels(title, image):
    return {"title": title, "pixels": packed((255 * image).round(), "u1")}
