"""CUB-200-2011, birds of 200 species, with the ten sentences a bird that Reed et al. 2016 collected.

The layout of the pictures (`CUB_200_2011`): `images.txt` numbers them and names their files below `images`,
`classes.txt` numbers the species, `image_class_labels.txt` gives each picture its species, `train_test_split.txt` says
with 1 that it is for training, with 0 that it is for the test. The layout of the sentences (`text_c10`): a folder for
each species, in it a text for each picture with ten lines. Some species are spelled differently there (Brewers_Sparrow,
Brewer_Sparrow), so a text is found by the number of its species and the two numbers at the end of its name.
"""

import io
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from heatproof import checks
from heatproof.data.archives import IMAGE_BYTES, IMAGE_FORMATS, Source
from heatproof.data.pictures import check_part, find
from heatproof.wording import words_of

SENTENCES = 10
PARTS = ("train", "test")
TEXT_BYTES = 10_000_000  # what one text of a zip may unpack to
SIDES = (32, 512)  # pixels that can be asked for
_CURE = {
    "CUB_200_2011": "fetch CUB_200_2011.tgz of Caltech's record (doi:10.22002/D1.20098), unpack it, and put the folder "
    "CUB_200_2011 there",
    "cvpr2016_cub": "fetch cvpr2016_cub.tar.gz, the sentences of Reed et al. 2016, unpack it, and put the folder "
    "cvpr2016_cub there",
}


class Birds(NamedTuple):
    """N photographs of birds, (N, size, size, 3) float32 in [0, 1], their species, and ten sentences each.

    labels: (N,) int64; sentences: N lists of ten; class_names: the 200 species; names: N file names.
    """

    images: np.ndarray
    labels: np.ndarray
    sentences: list[list[str]]
    class_names: tuple[str, ...]
    names: tuple[str, ...]
    source: str
    licence: str


def load_birds(part: str = "train", *, size: int = 224, count: int | None = None) -> Birds:
    """The birds of CUB-200-2011, each with its ten published sentences.

    part:    "train" (5,994 pictures), "test" (5,794) or "all", by the published split
    size:    side of the pictures, 32 to 512: the middle square, resampled (bicubic)
    count:   how many of the part are read, the first ones: a picture of 224 pixels takes 600 kB
    raises:  FileNotFoundError where `XAI_DATA` lacks the folder or zip `CUB_200_2011` or `cvpr2016_cub`; ValueError for
             files that are not in this layout, saying which file and what is wrong with it
    Source:  Wah, Branson, Welinder, Perona, Belongie 2011; Reed, Akata, Lee, Schiele 2016 (sentences); pictures for
             research and education only
    """
    check_part(part, PARTS)
    size = checks.as_count("size", size, *SIDES)
    count = None if count is None else checks.as_count("count", count)
    folders = [find((f"{name}.zip", name), name, cure) for name, cure in _CURE.items()]
    with Source(folders[0]) as pictures, Source(folders[1]) as texts:
        index, written = _Index(pictures), _Texts(texts)
        chosen = index.chosen(part)[:count]
        sentences = [written.sentences(index.names[each]) for each in chosen]
        images = [index.image(index.names[each], size) for each in chosen]
    return Birds(
        np.stack(images),
        np.array([index.labels[each] for each in chosen], np.int64),
        sentences,
        index.class_names,
        tuple(index.names[each] for each in chosen),
        "CUB-200-2011 (Wah et al. 2011), sentences of Reed et al. 2016",
        "research and education only; the photographers keep their rights",
    )


class _Files:
    """Files below the folder that holds one known file."""

    def __init__(self, files: Source, landmark: str) -> None:
        found = sorted({f"/{name}".split(f"/{landmark}")[0] for name in files.names if f"/{landmark}" in f"/{name}"})
        if len(found) != 1:
            told = f"{files.path} holds {len(found)} of {landmark}; the published set has one; fetch it again"
            raise ValueError(told)
        self.root = f"{found[0]}/"[1:]
        self.files, self.known = files, set(files.names)

    def fault(self, name: str, text: str) -> ValueError:
        return ValueError(f"{self.files.path}: {self.root}{name} {text}; fetch it again")

    def lines(self, name: str) -> list[str]:
        """The lines of a text, without empty ones at its end."""
        if self.root + name not in self.known:
            raise self.fault(name, "is missing")
        try:
            text = self.files.read(self.root + name, TEXT_BYTES).decode("utf-8")
        except Exception as error:  # a damaged zip or text fails in many ways
            raise self.fault(name, f"is not a readable text ({error})") from error
        return text.rstrip().splitlines()


class _Index(_Files):
    """The pictures by their numbers."""

    def __init__(self, files: Source) -> None:
        super().__init__(files, "images.txt")
        classes = self.table("classes.txt")
        if sorted(classes, key=int) != [str(number + 1) for number in range(len(classes))]:
            raise self.fault("classes.txt", f"does not number its {len(classes)} classes from 1 on")
        self.class_names = tuple(_species(classes[str(number + 1)]) for number in range(len(classes)))
        self.names = self.table("images.txt")
        if odd := [name for name in self.names.values() if not _IMAGE.fullmatch(name)]:
            raise self.fault("images.txt", f"holds {odd[0]!r} where SPECIES/PICTURE.jpg should stand")
        kinds, self.split = (self.per_image(name) for name in ("image_class_labels.txt", "train_test_split.txt"))
        if odd := [kind for kind in kinds.values() if kind not in classes]:
            raise self.fault("image_class_labels.txt", f"has the class {odd[0]!r}, which classes.txt has not")
        if odd := [value for value in self.split.values() if value not in ("0", "1")]:
            raise self.fault("train_test_split.txt", f"holds {odd[0]!r} where 0 or 1 should stand")
        self.labels = {image: int(kind) - 1 for image, kind in kinds.items()}

    def table(self, name: str) -> dict[str, str]:
        """{number: text} of lines "number text"."""
        found = dict[str, str]()
        for place, line in enumerate(self.lines(name), start=1):
            number, _, text = line.partition(" ")
            if not (_NUMBER.fullmatch(number) and text.strip()):
                raise self.fault(name, f"holds {line[:60]!r} in line {place}, where a number and a text should stand")
            if number in found:
                raise self.fault(name, f"has the number {number} twice, again in line {place}")
            found[number] = text.strip()
        if not found:
            raise self.fault(name, "is empty")
        return found

    def per_image(self, name: str) -> dict[str, str]:
        found = self.table(name)
        if odd := sorted(self.names.keys() ^ found.keys(), key=int):
            raise self.fault(name, f"and images.txt differ in the picture {odd[0]}")
        return found

    def chosen(self, part: str) -> Sequence[str]:
        wanted = {"train": "1", "test": "0"}.get(part)
        found = [each for each in sorted(self.names, key=int) if wanted in (None, self.split[each])]
        if not found:
            raise self.fault("train_test_split.txt", f"has no picture of the part {part!r}")
        return found

    def image(self, name: str, size: int) -> np.ndarray:
        path = f"images/{name}"
        if self.root + path not in self.known:
            raise self.fault(path, "is missing")
        try:
            with Image.open(io.BytesIO(self.files.read(self.root + path, IMAGE_BYTES)), formats=IMAGE_FORMATS) as image:
                square = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BICUBIC)
        except Exception as error:  # a damaged zip or image fails in many ways
            raise self.fault(path, f"is not a readable image ({error})") from error
        return np.asarray(square, np.float32) / 255


class _Texts(_Files):
    """The sentences, found by the numbers in the names of their pictures."""

    def __init__(self, files: Source) -> None:
        super().__init__(files, "text_c10/")
        self.places = dict[tuple[str, ...], str]()
        for path in sorted(self.known):
            name = path.removeprefix(f"{self.root}text_c10/")
            if match := _TEXT.fullmatch(name):
                if match.groups() in self.places:
                    raise self.fault(f"text_c10/{name}", f"and {self.places[match.groups()]} are of one picture")
                self.places[match.groups()] = f"text_c10/{name}"

    def sentences(self, name: str) -> list[str]:
        path = f"text_c10/{name.rpartition('.')[0]}.txt"
        match = _IMAGE.fullmatch(name)
        path = self.places.get(match.groups(), path) if match else path
        found = [line.strip() for line in self.lines(path)]
        if len(found) != SENTENCES:
            raise self.fault(path, f"has {len(found)} lines, where {SENTENCES} sentences should stand")
        if empty := [place for place, line in enumerate(found, start=1) if not words_of(line)]:
            raise self.fault(path, f"has no word in line {empty[0]}")
        return found


_NUMBER = re.compile(r"\d{1,6}")
_NUMBERED = r"(\d{3})\.[^/\\]+/[^/\\]+_(\d+_\d+)\."  # number of the species, numbers of the picture
_IMAGE, _TEXT = re.compile(_NUMBERED + r"jpe?g", re.IGNORECASE), re.compile(_NUMBERED + "txt")


def _species(text: str) -> str:
    """ "001.Black_footed_Albatross" as "Black footed Albatross"."""
    return text.partition(".")[2].replace("_", " ") or text
