"""Photographs that scikit-image, scikit-learn and matplotlib bring inside their packages, and crops of them.

Nothing is fetched: the files are opened where the packages lie. Left out is what is no photograph (drawings,
renderings, silhouettes, a phase image) and the right picture of the motorcycle, which hardly differs from the left one.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import skimage
from PIL import Image

from heatproof import checks
from heatproof.data.pictures import Dataset, as_dataset
from heatproof.problems import ArgumentFileError, ArgumentTypeError, ArgumentValueError

CC0, PUBLIC, BSD = "CC0", "public domain", "as scikit-image, BSD 3-Clause; no other is named"
FOLDERS = {"skimage": "data", "sklearn": "datasets/images", "matplotlib": "mpl-data/sample_data"}


class _Photograph(NamedTuple):
    """A file in the package that brings it, whose picture it is, and under which licence."""

    package: str
    file: str
    source: str
    licence: str


PHOTOGRAPHS = {
    "cat": _Photograph("skimage", "chelsea.png", "Stefan van der Walt, Chelsea", CC0),
    "coffee": _Photograph("skimage", "coffee.png", "Rachel Michetti, courtesy of Pikolo Espresso Bar", CC0),
    "rocket": _Photograph("skimage", "rocket.jpg", "SpaceX, DSCOVR on its launch pad", PUBLIC),
    "astronaut": _Photograph("skimage", "astronaut.png", "NASA, Eileen Collins", PUBLIC),
    "cameraman": _Photograph("skimage", "camera.png", "Lav Varshney", CC0),
    "clock": _Photograph("skimage", "clock_motion.png", "Stefan van der Walt", PUBLIC),
    "coins": _Photograph("skimage", "coins.png", "Brooklyn Museum, coins from Pompeii", "no known restrictions"),
    "motorcycle": _Photograph(
        "skimage", "motorcycle_left.png", "Middlebury stereo benchmark, Scharstein and others 2014", BSD
    ),
    "bricks": _Photograph("skimage", "brick.png", "CC0Textures, Bricks25", CC0),
    "grass": _Photograph("skimage", "grass.png", "linolafett, Grass 01", CC0),
    "gravel": _Photograph("skimage", "gravel.png", "CC0Textures, Gravel04", CC0),
    "moon": _Photograph("skimage", "moon.png", "surface of the moon; who took it is not named", BSD),
    "galaxies": _Photograph("skimage", "hubble_deep_field.jpg", "NASA, Hubble eXtreme Deep Field", PUBLIC),
    "retina": _Photograph("skimage", "retina.jpg", "Mikael Häggström 2014", CC0),
    "vessels": _Photograph("skimage", "microaneurysms.png", "High-Resolution Fundus database, A. Maier", CC0),
    "tissue": _Photograph(
        "skimage", "ihc.png", "Center for Microscopy and Molecular Imaging, colon", "no known restrictions"
    ),
    "page": _Photograph("skimage", "page.png", "a printed page; who took it is not named", BSD),
    "text": _Photograph("skimage", "text.png", "Wikipedia, Corner.png", PUBLIC),
    "temple": _Photograph("sklearn", "china.jpg", "danielbuechele, 2011", "CC BY 2.0"),
    "flower": _Photograph("sklearn", "flower.jpg", "vultilion, 2011", "CC BY 2.0"),
    "admiral": _Photograph("matplotlib", "grace_hopper.jpg", "United States Navy, Grace Hopper", PUBLIC),
}


def load_photos(size: int = 224, names: Sequence[str] | None = None) -> Dataset:
    """Photographs that the installed packages bring: the centre square, resized to ``size`` x ``size``, RGB in [0, 1].

    ``names`` lists keys of ``PHOTOGRAPHS`` in the order wanted; None gives all 21: cat, coffee, rocket, astronaut, then
    the others. Labels number the photographs from 0; ``source`` and ``licence`` have one line for each photograph.

    Raises ``TypeError`` or ``ValueError`` when ``size`` is not a positive integer or ``names`` are not among the keys.
    """
    size = checks.as_count("size", size)
    chosen = {name: PHOTOGRAPHS[name] for name in _names(names)}
    squares = [_centre_square(_opened(photograph)) for photograph in chosen.values()]
    images = [skimage.transform.resize(square, (size, size), anti_aliasing=True) for square in squares]
    return as_dataset(
        np.clip(images, 0, 1),
        range(len(chosen)),
        tuple(chosen),
        tuple(chosen),
        "\n".join(f"{name}: {one.source} (in the package {one.package})" for name, one in chosen.items()),
        "\n".join(f"{name}: {one.licence}" for name, one in chosen.items()),
    )


def crops(
    photos: Dataset, count: int = 300, *, scales: Sequence[float] = (0.4, 0.6, 0.8), size: int = 224, seed: int = 0
) -> Dataset:
    """Squares cut from photographs at random places, enlarged or reduced linearly to ``size`` x ``size`` pixels.

    Crop i comes from photograph i mod N. Its side is the share ``scales[(i // N) mod len(scales)]`` of that
    photograph's shorter side, so photographs and scales occur equally often; its place is drawn uniformly. With one
    seed, a smaller ``count`` gives the first crops of a larger one. Photographs loaded at twice the ``size`` keep small
    crops sharp. ``labels`` and ``class_names`` are those of the photographs; each name says which square was cut.

    photos: a ``Dataset`` with images (N, H, W, C) in [0, 1], as ``load_photos`` gives it; scales: in (0, 1].
    Raises ``TypeError`` or ``ValueError``, each naming the argument.
    """
    if not isinstance(photos, Dataset):
        raise ArgumentTypeError("photos", type(photos).__name__, "a data set", "xu.load_photos()")
    count, size, seed = checks.as_count("count", count), checks.as_count("size", size), checks.as_count("seed", seed, 0)
    shares = _scales(scales)
    places = np.random.default_rng(seed).random((count, 2))
    number = np.arange(count) % len(photos.images)
    images, names = np.empty((count, size, size, photos.images.shape[-1]), np.float32), []
    for i, image in enumerate(photos.images[number]):
        side = max(1, round(shares[i // len(photos.images) % len(shares)] * min(image.shape[:2])))
        top, left = (places[i] * (np.array(image.shape[:2]) - side + 1)).astype(int)
        images[i] = _resized(image[top : top + side, left : left + side], size)
        names.append(f"{photos.names[number[i]]}, {side} pixels from row {top}, column {left}")
    return as_dataset(images, photos.labels[number], photos.class_names, tuple(names), photos.source, photos.licence)


def _names(names: Sequence[str] | None) -> Sequence[str]:
    allowed = f"names among {', '.join(PHOTOGRAPHS)}"
    if names is None:
        return tuple(PHOTOGRAPHS)
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ArgumentTypeError("names", checks.shown(names), f"a list of {allowed}")
    wrong = [name for name in names if not isinstance(name, str) or name not in PHOTOGRAPHS]
    if wrong or not names or len(set(names)) < len(names):
        raise ArgumentValueError("names", checks.shown(wrong or names), f"{allowed}, each at most once")
    return names


def _scales(scales: Sequence[float]) -> list[float]:
    if isinstance(scales, str) or not isinstance(scales, Sequence) or not scales:
        raise ArgumentTypeError("scales", checks.shown(scales), "a list of shares of the shorter side")
    return [checks.as_number("scales", scale, 0, 1, open_ends="low") for scale in scales]


def _opened(photograph: _Photograph) -> np.ndarray:
    """The pixels of a photograph (H, W, 3), bytes; grey ones with three equal channels."""
    found = importlib.util.find_spec(photograph.package)
    path = Path(found.origin if found and found.origin else "").parent / FOLDERS[photograph.package] / photograph.file
    if not path.is_file():
        given = f"{photograph.file}, which the installed {photograph.package} does not bring"
        raise ArgumentFileError("names", given, cure="pip install -r requirements.txt, or choose other names")
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _centre_square(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


def _resized(picture: np.ndarray, size: int) -> np.ndarray:
    """A float32 picture (H, W, C), linear between pixels; where it is reduced, the mean weighted by a triangle."""
    channels = [Image.fromarray(channel) for channel in np.moveaxis(picture, -1, 0)]
    resized = [channel.resize((size, size), Image.Resampling.BILINEAR) for channel in channels]
    return np.stack([np.asarray(channel) for channel in resized], axis=-1)
