"""Generated pictures whose concepts are known: shapes, each of one colour and one texture, on a grey ground.

Item i is made from numpy's SeedSequence(seed, spawn_key=(i,)): equal seed, equal bits, and item i is the same whether
10 or 10 000 items are made.
"""

import functools

import numpy as np
import skimage

from heatproof import checks
from heatproof.data.concepts import Concepts

COLOURS = {
    "red": (0.9, 0.1, 0.1), "orange": (0.95, 0.5, 0.05), "yellow": (0.95, 0.9, 0.1), "green": (0.1, 0.7, 0.15),
    "blue": (0.1, 0.3, 0.9), "purple": (0.5, 0.1, 0.8), "white": (1.0, 1.0, 1.0),
}  # fmt: skip
SHAPES = ("disc", "square", "triangle", "ring", "cross")
TEXTURES = ("plain", "stripes", "dots", "grid", "noise", "brick", "grass", "gravel")
OBJECTS, SMALLEST, LARGEST = 3, 16, 512  # of a picture; sides of a picture, pixels


def concept_pictures(count: int, seed: int = 0, *, size: int = 64) -> Concepts:
    """Draw `count` pictures of `size` x `size` pixels with three shapes, and mark shape, colour and texture.

    Each object has a shape (disc, square, triangle, ring, cross), a colour (the seven of `COLOURS`) and a texture
    (plain, stripes, dots, grid, noise, and crops of the brick, grass and gravel that scikit-image ships), drawn
    independently: pixel = colour * (0.4 + 0.6 texture). Later objects lie on earlier ones, so a pixel has one label
    of each category. The ground, grey of 0.25 to 0.6 with a little noise, has none. Categories: "shape", "colour",
    "texture"; in a set too small to hold them all the absent concepts are left out. Raises `TypeError`, `ValueError`
    that names the argument.
    """
    count, seed = checks.as_count("count", count), checks.as_count("seed", seed, 0)
    size = checks.as_count("size", size, SMALLEST, LARGEST)
    images = np.empty((count, size, size, 3), np.float32)
    kinds = {"shape": SHAPES, "colour": tuple(COLOURS), "texture": TEXTURES}
    codes = np.full((3, count, size, size), -1)
    for item in range(count):
        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(item,)))
        images[item], codes[:, item] = _picture(random, size)
    masks: dict[str, dict[str, np.ndarray]] = {}
    for (category, names), found in zip(kinds.items(), codes, strict=True):
        present = np.unique(found)
        masks[category] = {name: found == code for code, name in enumerate(names) if code in present}
    return Concepts(images, masks, one_label=tuple(kinds))


def _picture(random, size):
    """One picture (size, size, 3) and the numbers (3, size, size) of shape, colour and texture; -1 on the ground."""
    rows, columns = np.mgrid[:size, :size] + 0.5
    image = random.uniform(0.25, 0.6) + 0.03 * random.standard_normal((size, size, 1)) * np.ones(3)
    codes = np.full((3, size, size), -1)
    for _ in range(OBJECTS):
        kinds = [int(random.integers(len(names))) for names in (SHAPES, COLOURS, TEXTURES)]
        radius, (y, x) = size * random.uniform(0.14, 0.24), size * random.uniform(0.15, 0.85, 2)
        turn = random.uniform(0, 2 * np.pi)
        u = (np.cos(turn) * (columns - x) + np.sin(turn) * (rows - y)) / radius
        v = (np.cos(turn) * (rows - y) - np.sin(turn) * (columns - x)) / radius
        inside = _SHAPES[SHAPES[kinds[0]]](u, v)
        texture = _texture(TEXTURES[kinds[2]], columns, rows, random)
        colour = np.array(list(COLOURS.values())[kinds[1]])
        image[inside] = (colour * (0.4 + 0.6 * texture[..., None]))[inside]
        codes[:, inside] = np.array(kinds)[:, None]
    return np.clip(image, 0, 1), codes


_SHAPES = {
    "disc": lambda u, v: np.hypot(u, v) < 1,
    "square": lambda u, v: np.maximum(abs(u), abs(v)) < 0.85,
    "triangle": lambda u, v: (v < 0.6) & (v > 1.8 * abs(u) - 1.1),
    "ring": lambda u, v: abs(np.hypot(u, v) - 0.8) < 0.25,
    "cross": lambda u, v: (np.minimum(abs(u), abs(v)) < 0.3) & (np.maximum(abs(u), abs(v)) < 1),
}


def _texture(name, columns, rows, random):
    """One texture (size, size) in [0, 1]; every texture draws its own numbers."""
    if name == "plain":
        return np.ones(columns.shape)
    if name == "noise":
        return random.uniform(size=columns.shape)
    if name in ("brick", "grass", "gravel"):
        picture, size = _photograph(name), len(columns)
        top, left = random.integers(0, LARGEST - size + 1, 2)
        return picture[top : top + size, left : left + size]
    wave, turn = 2 * np.pi / random.uniform(4, 7), random.uniform(0, np.pi)
    u = wave * (np.cos(turn) * columns + np.sin(turn) * rows)
    v = wave * (np.cos(turn) * rows - np.sin(turn) * columns)
    if name == "stripes":
        return (np.sin(u) > 0).astype(float)
    if name == "dots":
        return (np.cos(u) + np.cos(v) > 0.5).astype(float)
    return (np.maximum(np.cos(u), np.cos(v)) < 0.75).astype(float)


@functools.cache
def _photograph(name):
    """A grey photograph that scikit-image ships, 512 x 512, stretched to [0, 1] between its 2nd and 98th percentile."""
    picture = getattr(skimage.data, name)().astype(float)
    low, high = np.percentile(picture, (2, 98))
    return np.clip((picture - low) / (high - low), 0, 1)
