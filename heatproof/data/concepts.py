"""Pictures in which named concepts are marked, pixel by pixel: what network dissection compares units with.

A concept, such as "stripes", belongs to a category, such as "texture". A picture is labelled for a category or it is
not: where it is not, nothing is known of the concepts of that category, and it counts for none of them.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import skimage

from heatproof import checks
from heatproof.problems import ArgumentTypeError, ArgumentValueError

Masks = Mapping[str, Mapping[str, npt.ArrayLike]]


class Concepts:
    """N pictures with the masks of C concepts.

    images:     (N, H, W, channels) float32
    names:      (C,) of text, and `categories`, the category of each
    labelled:   {category: (N,) bool}, which pictures are labelled for it
    maps:       {category: (N, layers, h, w) uint16}: 0 for nothing, else 1 + the number of a concept; a pixel with
                several concepts has several layers. h and w are the sides of the pictures, or a whole part of them

    areas:      (C,) int64, how many pixels of all masks each concept has

    Made from masks: `masks` {category: {name: (N, h, w) bool}}; `labelled` as above, where it is not all pictures;
    `one_label` the categories in which a pixel has one concept at most, such as colours. All arrays are read-only.
    Raises `TypeError`, `ValueError` for masks that overlap there, or of another size, or where nothing is labelled.
    """

    images: np.ndarray
    names: tuple[str, ...]
    categories: tuple[str, ...]
    labelled: dict[str, np.ndarray]
    maps: dict[str, np.ndarray]
    areas: np.ndarray

    def __init__(
        self,
        images: npt.ArrayLike,
        masks: Masks,
        *,
        labelled: Mapping[str, npt.ArrayLike] | None = None,
        one_label: Collection[str] = (),
    ) -> None:
        pictures = checks.as_finite("images", images, {4: "(N, H, W, C)"})
        masks = checks.as_dictionary("masks", masks, "a dictionary {category: {name: mask}}")
        labelled = {} if labelled is None else checks.as_dictionary("labelled", labelled, "{category: (N,) bool}")
        _check_categories("labelled", labelled, masks)
        _check_categories("one_label", one_label, masks)
        names, categories, size = list[str](), list[str](), None
        maps, known = dict[str, np.ndarray](), dict[str, np.ndarray]()
        for category, named in masks.items():
            known[category] = _labelled(category, labelled.get(category), len(pictures))
            found = _checked(category, named, pictures.shape, known[category], size)
            size = next(iter(found.values())).shape[1:]
            maps[category] = _in_layers(found, len(names) + 1, category if category in one_label else None)
            names += found
            categories += [category] * len(found)
        self._set(pictures.astype(np.float32), names, categories, known, maps)

    @classmethod
    def of_maps(cls, images: np.ndarray, names: Any, categories: Any, labelled: dict, maps: dict) -> "Concepts":
        """The same from maps of numbers, which a loader has read and checked."""
        made = object.__new__(cls)
        made._set(images, names, categories, labelled, maps)
        return made

    def _set(self, images, names, categories, labelled, maps):
        self.images, self.names, self.categories = images, tuple(names), tuple(categories)
        self.labelled, self.maps = dict(labelled), dict(maps)
        counts = [np.bincount(each.reshape(-1), minlength=len(self.names) + 1)[1:] for each in maps.values()]
        self.areas = np.sum(counts, axis=0)
        for array in (images, *labelled.values(), *maps.values(), self.areas):
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Concepts({len(self)} pictures, {len(self.names)} concepts of {list(self.labelled)})"

    @property
    def size(self) -> tuple[int, int]:
        """The sides of the masks."""
        return next(iter(self.maps.values())).shape[2:]

    def number(self, name: str, category: str | None = None) -> int:
        """Which of the concepts has that name; the category tells where two have it."""
        found = [
            number
            for number, (each, its) in enumerate(zip(self.names, self.categories, strict=True))
            if each == name and category in (None, its)
        ]
        if len(found) != 1:
            allowed = f"one of {list(self.names)}" + ", with its category" * (len(found) > 1)
            raise ArgumentValueError("name", checks.shown(name), allowed)
        return found[0]

    def mask(self, name: str, category: str | None = None) -> np.ndarray:
        """Where a concept is, (N, h, w) bool."""
        number = self.number(name, category)
        return (self.maps[self.categories[number]] == number + 1).any(axis=1)


def _check_categories(argument, given, masks):
    allowed = f"categories of the masks, {list(masks)}"
    if isinstance(given, str) or not np.iterable(given):
        raise ArgumentTypeError(argument, checks.shown(given), allowed)
    if unknown := [each for each in given if each not in masks]:
        raise ArgumentValueError(argument, checks.shown(unknown[0]), allowed)


def _labelled(category, given, count):
    argument = f"labelled[{category!r}]"
    array = np.ones(count, bool) if given is None else checks.as_array(argument, given)
    if array.dtype != bool or array.shape != (count,):
        raise ArgumentValueError(argument, f"shape {array.shape} of {array.dtype} values", f"({count},) of bool")
    if not array.any():
        raise ArgumentValueError(argument, "no labelled picture", "one or more", "leave the category out")
    return array.copy()


def _checked(category, named, shape, labelled, size):
    """{name: mask} of one category, each (N, h, w) bool and present."""
    named, found = checks.as_dictionary(f"masks[{category!r}]", named, "a dictionary {name: mask}"), {}
    for name, mask in named.items():
        argument = f"masks[{category!r}][{name!r}]"
        checks.as_text("masks", name, "names of concepts as text")
        found[name] = array = checks.as_array(argument, mask)
        fits = array.ndim == 3 and len(array) == shape[0] and has_whole_part(shape[1:3], array.shape[1:])
        if array.dtype != bool or not fits:
            allowed = f"({', '.join(map(str, shape[:3]))}) of bool, or the sides divided by one whole number"
            raise ArgumentValueError(argument, f"shape {array.shape} of {array.dtype} values", allowed)
        size = size or array.shape[1:]
        if array.shape[1:] != size:
            raise ArgumentValueError(argument, f"masks of {array.shape[1:]} beside masks of {size}", "one size for all")
        if array[~labelled].any():
            cure = f"set labelled[{category!r}] there, or clear the mask"
            raise ArgumentValueError(argument, "a mask on pictures that are not labelled", cure=cure)
        if not array.any():
            raise ArgumentValueError(argument, "a concept that is on no picture", cure="leave the concept out")
    return found


def has_whole_part(sides: Sequence[int], size: Sequence[int]) -> bool:
    """Whether a mask of this size has the sides of a picture, divided by one whole number and rounded down."""
    part = max(1, round(sides[0] / max(size[0], 1)))
    return tuple(size) == (sides[0] // part, sides[1] // part)


def _in_layers(named, first, one_label):
    """Masks as maps of numbers, from `first` on; what overlaps goes into a further layer, or is refused."""
    layers, owners = list[np.ndarray](), list(named)
    for number, (name, mask) in enumerate(named.items(), start=first):
        left = mask
        for layer in layers:
            if one_label is not None and (met := layer[left & (layer > 0)]).size:
                given = f"{owners[met[0] - first]!r} and {name!r} on the same pixels of {one_label!r}"
                cure = "leave the category out of one_label, or let one of them end where the other begins"
                raise ArgumentValueError("masks", given, "one concept on each pixel", cure)
            free = left & (layer == 0)
            layer[free] = number
            left = left & ~free
        if left.any():
            layers.append(np.where(left, np.uint16(number), np.uint16(0)))
    return np.stack(layers, axis=1)


# --- colours, by their names ---------------------------------------------------------------------------------------

# hue in degrees from -> name, for what is neither black, white nor grey
_HUES = {0: "red", 15: "orange", 45: "yellow", 70: "green", 170: "blue", 255: "purple", 290: "pink", 345: "red"}
_BLACK, _PALE, _WHITE, _BROWN = 0.2, 0.15, 0.85, 0.6


def colour_masks(images: npt.ArrayLike) -> dict[str, np.ndarray]:
    """Where pictures have which colour: {name: (N, H, W) bool}, every pixel in one of them, absent ones left out.

    By hue h (degrees), saturation s and value v (0 to 1): black below v = 0.2; else white (v of 0.85 or more) or grey
    where s is below 0.15; else red, orange, yellow, green, blue, purple, pink from h = 0, 15, 45, 70, 170, 255 and 290
    on, red again from 345; dark orange (v below 0.6) is brown. The eleven names are those of Berlin and Kay 1969, the
    borders ours. images: (N, H, W, 3) in [0, 1]. Raises `ValueError` for other pictures.
    """
    pictures = checks.as_finite("images", images, {4: "(N, H, W, 3)"})
    if pictures.shape[-1] != 3 or pictures.min() < 0 or pictures.max() > 1:
        given = f"shape {pictures.shape}, values from {pictures.min():.3g} to {pictures.max():.3g}"
        raise ArgumentValueError("images", given, "colour pictures (N, H, W, 3) in [0, 1]")
    hue, saturation, value = np.moveaxis(skimage.color.rgb2hsv(pictures), -1, 0)
    begins, names = list(_HUES), np.array(list(_HUES.values()))
    named = names[np.searchsorted(begins, 360 * hue, side="right") - 1]
    named = np.where((named == "orange") & (value < _BROWN), "brown", named)
    named = np.where(saturation < _PALE, np.where(value < _WHITE, "grey", "white"), named)
    named = np.where(value < _BLACK, "black", named)
    return {str(name): named == name for name in np.unique(named)}
