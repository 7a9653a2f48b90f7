"""Broden, the broadly and densely labelled pictures of Bau et al. 2017, read as published from a folder or a zip.

The layout: `index.csv` names a picture in each row, its split, its sides ih and iw, the sides sh and sw of its label
maps, and, in a column for each category, the labels: numbers for the whole picture, or names of PNG files, several with
semicolons between them. A pixel of such a file holds the label number R + 256 G. `category.csv` lists the categories,
`label.csv` the labels with their names, `c_CATEGORY.csv` the labels of each category. All pictures lie in `images`.
"""

import io
import re

import numpy as np
import pandas as pd

from heatproof import checks
from heatproof.data.archives import Source
from heatproof.data.concepts import Concepts
from heatproof.data.pictures import check_part, find

SIDES = tuple("sh sw".split())  # of the masks of a picture
SIZES, PARTS = (224, 227, 384), ("train", "val")
ONE_LABEL = ("color", "scene")  # a pixel has one colour, a picture is one scene
TABLE_BYTES = 100_000_000  # what one table of a zip may unpack to
LARGEST = 2**16 - 2  # label number
_CURE = "fetch the file that netdissect.csail.mit.edu publishes as data/{0}.zip, and put it there"


def load_broden(size: int = 224, part: str = "val", *, count: int | None = None) -> Concepts:
    """The pictures of Broden (`size` 224, 227 or 384 pixels) and the masks of their concepts.

    63,305 pictures with 1,197 concepts of the categories color, object, part, material, scene and texture in all;
    `part` is "train", "val" or "all", `count` how many of it are read, the first ones: a picture of 224 pixels takes
    600 kB and 25 kB for each layer of labels. Names are as published. Concepts that are on none of these pictures are
    left out. Raises `FileNotFoundError` where `XAI_DATA` holds neither `broden1_SIZE.zip` nor such a folder,
    `ValueError` for a file that is not in this layout, saying which and where.
    Source: Bau, Zhou, Khosla, Oliva, Torralba 2017, sec. 2.1; labels under the licences of the sets it is made of.
    """
    checks.one_of("size", size, SIZES)
    check_part(part, PARTS)
    count = None if count is None else checks.as_count("count", count)
    name = f"broden1_{size}"
    with Source(find((f"{name}.zip", name), name, _CURE.format(name))) as files:
        return _Broden(files, size).read(part, count)


class _Broden:
    """Reads one source, and says of what does not fit in which file it stands."""

    def __init__(self, files, size):
        self.files, self.size, self.known = files, size, set(files.names)
        found = [name for name in files.names if name.rpartition("/")[2] == "index.csv"]
        if len(found) != 1:
            raise ValueError(f"{files.path} holds {len(found)} files named index.csv; Broden has one")
        self.root = found[0].removesuffix("index.csv")
        self.index = self.table("index.csv", "image", "split", "ih", "iw", *SIDES)
        self.categories = self.table("category.csv", "name")["name"].tolist()
        self.labels = self._labels()
        if missing := [name for name in self.categories if name not in self.index]:
            raise self.fault("index.csv", f"has no column for the category {missing[0]!r} of category.csv")

    def fault(self, name, text):
        return ValueError(f"{self.files.path}: {self.root}{name} {text}; fetch it again")

    def table(self, name, *columns):
        """A table of text with these columns."""
        if self.root + name not in self.known:
            raise self.fault(name, "is missing")
        try:
            content = io.BytesIO(self.files.read(self.root + name, TABLE_BYTES))
            table = pd.read_csv(content, dtype=str, keep_default_na=False)
        except Exception as error:  # a damaged zip or table fails in many ways
            raise self.fault(name, f"is not a readable table ({error})") from error
        if missing := [column for column in columns if column not in table]:
            raise self.fault(name, f"has no column {missing[0]!r}")
        if not len(table):
            raise self.fault(name, "has no rows")
        return table

    def number(self, file, text):
        if not re.fullmatch(r"\d{1,5}", text):
            raise self.fault(file, f"holds {text[:40]!r} where a number should stand")
        return int(text)

    def _labels(self):
        """{category: {label number: name}}, as its own table and that of all labels tell."""
        every = self.table("label.csv", "number", "name", "category")
        named = {
            self.number("label.csv", number): name for number, name in zip(every["number"], every["name"], strict=True)
        }
        found = {}
        for category in self.categories:
            own = self.table(f"c_{category}.csv", "code", "number", "name")
            numbers = [self.number(f"c_{category}.csv", each) for each in own["number"]]
            if odd := [each for each in numbers if each not in named or not 0 < each <= LARGEST]:
                raise self.fault(f"c_{category}.csv", f"has the label {odd[0]}, which label.csv has not")
            found[category] = {number: named[number] for number in numbers}
        return found

    def read(self, part, count):
        rows = self.index if part == "all" else self.index[self.index["split"] == part]
        rows = rows[:count]
        if not len(rows):
            raise self.fault("index.csv", f"has no picture of the part {part!r}")
        sides = {tuple(self.number("index.csv", each) for each in row) for row in rows[["ih", "iw"]].values}
        masks = {tuple(self.number("index.csv", each) for each in row) for row in rows[list(SIDES)].values}
        if sides != {(self.size, self.size)} or len(masks) > 1 or masks & {(0, 0)}:
            raise self.fault("index.csv", f"has pictures of {sorted(sides)} and maps of {sorted(masks)} pixels")
        pictures = self.files.decode(self._there(rows["image"]), "RGB", (self.size, self.size)) / np.float32(255)
        names, kinds, known = list[str](), list[str](), masks.pop()
        labelled, maps = dict[str, np.ndarray](), dict[str, np.ndarray]()
        for category in self.categories:
            codes = self._maps(category, rows[category].tolist(), known)
            present = np.unique(codes)[np.unique(codes) > 0]
            if not len(present):
                continue
            table = np.zeros(LARGEST + 2, np.uint16)
            table[present] = np.arange(len(names) + 1, len(names) + 1 + len(present))
            maps[category], labelled[category] = table[codes], (rows[category] != "").to_numpy()
            names += [self.labels[category][number] for number in present.tolist()]
            kinds += [category] * len(present)
        if not names:
            raise self.fault("index.csv", f"has no label for the part {part!r}")
        return Concepts.of_maps(pictures, names, kinds, labelled, maps)

    def _there(self, images):
        names = [f"{self.root}images/{image}" for image in images]
        if missing := [name for name in names if name not in self.known]:
            raise self.fault("index.csv", f"names {missing[0]!r}, which is not there")
        return names

    def _maps(self, category, cells, size):
        """The label numbers of a category (N, layers, *size) uint16, 0 for none."""
        split = [[each for each in cell.split(";") if each] for cell in cells]
        maps = np.zeros((len(cells), max(1, *map(len, split)), *size), np.uint16)
        for item, entries in enumerate(split):
            for layer, entry in enumerate(entries):
                maps[item, layer] = self._map(category, entry, size)
            for layer in range(1, len(entries)):  # the same label twice on a pixel counts once
                maps[item, layer][(maps[item, :layer] == maps[item, layer]).any(axis=0)] = 0
        if category in ONE_LABEL and ((maps > 0).sum(axis=1) > 1).any():
            raise self.fault("index.csv", f"has several labels on one pixel in the category {category!r}")
        return maps

    def _map(self, category, entry, size):
        """One label of the whole picture, or the numbers R + 256 G that a file holds."""
        if entry.isdigit():
            codes = np.full(size, self.number("index.csv", entry))
        else:
            red, green, blue = np.moveaxis(self.files.decode(self._there([entry]), "RGB", size)[0].astype(int), -1, 0)
            codes = red + 256 * green
            if blue.any():
                raise self.fault(f"images/{entry}", "has blue in it, where a label is R + 256 G")
        known = {0, *self.labels[category]}
        if odd := sorted(set(np.unique(codes).tolist()) - known):
            raise self.fault("index.csv", f"labels {entry!r} with {odd[0]}, which c_{category}.csv has not")
        return codes
