"""Real images: faces, FER2013, tissue tiles (HMT), photographs.

Data sets live in the folder that the environment variable ``XAI_DATA`` names (default ``data``; a relative path
counts from the root of the repository). A zip dropped in there works as it is. Every loader returns a ``Dataset``
with images as float32 in [0, 1]. A data set that is absent raises ``FileNotFoundError`` and is never replaced.
"""

import io
import os
import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
import skimage

from xai.files import Source, cached

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / "data" / "cache"

EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
TISSUES = ("tumor", "stroma", "complex", "lympho", "debris", "mucosa", "adipose", "empty")
TABLE_BYTES = 500_000_000  # what the table of FER2013 may unpack to; it has 301 MB


class Dataset(NamedTuple):
    """Images (N, H, W, C) float32 in [0, 1], labels (N,) int, what they are called, where they come from."""

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple
    names: tuple
    source: str
    licence: str


def data_folder():
    """The folder of data sets: ``XAI_DATA``, or ``data``; a relative path counts from the repository's root."""
    return ROOT / Path(os.environ.get("XAI_DATA") or "data").expanduser()


# ------------------------------------------------------------------------------------------ shipped with scikit-image

# Number in scikit-image's lfw_subset -> expression, our own labels. Chosen by eye where the expression is plain.
LFW_FACES = {
    52: "happy", 53: "happy", 91: "happy", 29: "surprise", 49: "surprise", 97: "angry",
    44: "sad", 65: "sad", 16: "fear", 15: "neutral", 62: "neutral", 73: "neutral",
}  # fmt: skip
ASTRONAUT_FACE = (slice(70, 190), slice(165, 285))


def load_faces():
    """Thirteen faces that scikit-image ships, 48x48 grey: the astronaut's and a dozen of Labeled Faces in the Wild.

    The labels are ours. The dozen is 25x25 pixels originally (Huang et al. 2007), enlarged with bicubic splines.
    """
    astronaut = skimage.color.rgb2gray(skimage.data.astronaut()[ASTRONAUT_FACE])
    small = skimage.data.lfw_subset()
    faces = [skimage.transform.resize(astronaut, (48, 48), anti_aliasing=True)]
    faces += [skimage.transform.resize(small[number], (48, 48), order=3) for number in LFW_FACES]
    labels = [EXPRESSIONS.index(expression) for expression in ("happy", *LFW_FACES.values())]
    return _dataset(
        np.clip(faces, 0, 1)[..., None],
        labels,
        EXPRESSIONS,
        ("astronaut", *(f"lfw_{number:02d}" for number in LFW_FACES)),
        "scikit-image: portrait of Eileen Collins (NASA) and Labeled Faces in the Wild (Huang et al. 2007)",
        "portrait: public domain; Labeled Faces in the Wild: research use",
    )


def load_photos(size=224):
    """Four photographs that scikit-image ships (cat, coffee, rocket, astronaut), centre square, ``size`` pixels, RGB.

    Raises ``ValueError`` when ``size`` is not a positive integer.
    """
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
        raise ValueError(f"size: got {size!r}; it is the side of the images in pixels, an integer of at least 1")
    pictures = {"cat": skimage.data.chelsea(), "coffee": skimage.data.coffee()}
    pictures |= {"rocket": skimage.data.rocket(), "astronaut": skimage.data.astronaut()}
    images = [
        skimage.transform.resize(_centre_square(picture), (size, size), anti_aliasing=True)
        for picture in pictures.values()
    ]
    return _dataset(
        np.clip(images, 0, 1),
        range(len(pictures)),
        tuple(pictures),
        tuple(pictures),
        "scikit-image: Chelsea (S. van der Walt), coffee (R. Michetti), rocket (SpaceX), Eileen Collins (NASA)",
        "CC0 and public domain",
    )


def _centre_square(picture):
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


# --------------------------------------------------------------------------------------------------------- FER2013

FER_PARTS = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
FER_PLACES = (
    "fer2013.zip",
    "fer2013.csv",
    "icml_face_data.csv",
    "fer2013.csv.zip",
    "icml_face_data.csv.zip",
    "fer2013",
)


def load_fer2013(part="test"):
    """FER2013, 35,887 faces 48x48 grey of 7 expressions (Goodfellow et al. 2013, arXiv:1307.0414).

    ``part`` is "train" (Training), "validation" (PublicTest), "test" (PrivateTest) or "all". Reads ``fer2013.csv``,
    ``icml_face_data.csv``, a zip with one of them, or images as ``train/angry/Training_*.jpg`` and
    ``test/angry/PrivateTest_*.jpg`` in a zip or folder ``fer2013``.

    Raises ``FileNotFoundError`` when it is absent, ``ValueError`` for an unknown part or a damaged source.
    """
    wanted = _check_part(part, FER_PARTS)
    source = _find(
        FER_PLACES, "fer2013", "get fer2013.csv or its zip from Kaggle (data set 'fer2013') and put it there unchanged"
    )
    with Source(source) as files:
        tables = [name for name in files.names if PurePosixPath(name).name in ("fer2013.csv", "icml_face_data.csv")]
        if tables:
            labels, usages, names, decode = _fer_table(files, tables[0])
        else:
            labels, usages, names, decode = _fer_images(files)
        chosen = [k for k, usage in enumerate(usages) if part == "all" or usage == wanted]
        images = cached(CACHE, "fer2013", files, names, decode)[chosen]
    return _dataset(
        images[..., None] / np.float32(255),
        np.asarray(labels)[chosen],
        EXPRESSIONS,
        tuple(names[k] for k in chosen),
        "FER2013, ICML 2013 challenges in representation learning (Goodfellow et al. 2013)",
        "research use",
    )


def _fer_table(files, table):
    """Kaggle's tables: emotion, pixels, Usage, in any order, with or without blanks in the header."""
    try:
        frame = pd.read_csv(io.BytesIO(files.read(table, TABLE_BYTES)), skipinitialspace=True).rename(columns=str.strip)
    except Exception as error:  # a damaged zip or table fails in many ways
        raise ValueError(f"{files.path}: {table} is not a readable table ({error}); fetch it again") from error
    missing = {"emotion", "pixels", "Usage"} - set(frame.columns)
    if missing:
        raise ValueError(f"fer2013: {table} lacks the columns {sorted(missing)}; it has {list(frame.columns)}")
    usages = [str(usage).strip() for usage in frame["Usage"]]
    for column, values, allowed in (
        ("emotion", frame["emotion"].tolist(), range(len(EXPRESSIONS))),
        ("Usage", usages, FER_PARTS.values()),
    ):
        wrong = [value for value in set(values) if value not in allowed]
        if wrong:
            raise ValueError(f"fer2013: {table} has {column} {wrong[0]!r}; allowed are {list(allowed)}; fetch it again")
    names = [f"{usage}_{row:05d}" for row, usage in enumerate(usages)]

    def decode():
        images = np.empty((len(frame), 48 * 48), dtype=np.uint8)
        for row, text in enumerate(frame["pixels"]):
            try:
                pixels = np.fromstring(str(text), dtype=np.int64, sep=" ")
            except ValueError:  # not numbers alone
                pixels = np.zeros(0)
            if pixels.size != 48 * 48 or pixels.min() < 0 or pixels.max() > 255:
                raise ValueError(
                    f"fer2013: row {row} of {table} does not hold 48x48 pixels from 0 to 255; fetch the file again"
                )
            images[row] = pixels
        return images.reshape(-1, 48, 48)

    return frame["emotion"].tolist(), usages, names, decode


def _fer_images(files):
    members = [
        name
        for name in files.images
        if PurePosixPath(name).parent.name in EXPRESSIONS
        and PurePosixPath(name).name.split("_")[0] in FER_PARTS.values()
    ]
    if not members:
        raise ValueError(f"fer2013: {files.path} holds neither a table nor images as train/angry/Training_1.jpg")
    members.sort(key=lambda name: (EXPRESSIONS.index(PurePosixPath(name).parent.name), PurePosixPath(name).stem))
    labels = [EXPRESSIONS.index(PurePosixPath(name).parent.name) for name in members]
    names = [PurePosixPath(name).stem for name in members]
    usages = [name.split("_")[0] for name in names]
    return labels, usages, names, lambda: files.decode(members, "L", (48, 48))


# ------------------------------------------------------------------------------------------------------------- HMT

HMT_FILE = "Kather_texture_2016_image_tiles_5000.zip"
HMT_URL = f"https://zenodo.org/records/53169/files/{HMT_FILE}?download=1"
HMT_SHA256 = "936d0b95ae0f04f1f7b18a2b7e8c55776c3e887d102f645bcee752d1a6626a32"
HMT_PLACES = ("hmt.zip", HMT_FILE, "hmt", HMT_FILE.removesuffix(".zip"), "HMT")
HMT_FOLDERS = tuple(f"{number:02d}_{tissue.upper()}" for number, tissue in enumerate(TISSUES, start=1))

# The course's test tiles are the last 62 of the 625 of each class, in the order of a file browser (numbers in names
# compare as numbers, digits before letters). So the first of them in each class decides for every file name.
HMT_FIRST_TEST_TILE = (
    "13859_CRC-Prim-HE-04_033.tif_Row_601_Col_1",
    "12895_CRC-Prim-HE-04.tif_Row_1651_Col_1051",
    "12693_CRC-Prim-HE-06_011.tif_Row_1_Col_901",
    "D948_CRC-Prim-HE-09_006.tif_Row_1_Col_151",
    "11393_CRC-Prim-HE-08_024.tif_Row_301_Col_451",
    "14177_CRC-Prim-HE-06_032.tif_Row_151_Col_901",
    "14870_CRC-Prim-HE-06_004.tif_Row_1951_Col_2251",
    "13309_CRC-Prim-HE-06_005.tif_Row_1801_Col_3151",
)


def load_hmt(part="test"):
    """5000 tiles 150x150 RGB of human colorectal tissue, stained with H&E, 8 classes (Kather et al. 2016).

    ``part`` is "train" (4504 tiles), "test" (496) or "all"; a tile belongs to one of them by its name alone, so the
    record's layout (``CLASS/*.tif``) and the course's (``HMT_train/CLASS/*``, ``HMT_test/CLASS/*``), zipped or in a
    folder, give the same split. Within a class the tiles stand in the order of a file browser.
    The decoded tiles are kept in ``data/cache`` and decoded anew when the source changed.

    Raises ``FileNotFoundError`` when it is absent, ``ValueError`` for an unknown part or a damaged source.
    """
    _check_part(part, ("train", "test"))
    source = _find(HMT_PLACES, "hmt", "'make data' fetches it (258 MB)")
    with Source(source) as files:
        members = [name for name in files.images if PurePosixPath(name).parent.name in HMT_FOLDERS]
        if not members:
            raise ValueError(f"hmt: {source} holds no images in folders {HMT_FOLDERS[0]} ... {HMT_FOLDERS[-1]}")
        label = {name: HMT_FOLDERS.index(PurePosixPath(name).parent.name) for name in members}
        members.sort(key=lambda name: (label[name], _natural_order(PurePosixPath(name).stem)))
        names = [PurePosixPath(name).stem for name in members]
        in_test = [is_hmt_test_tile(name, label[member]) for name, member in zip(names, members, strict=True)]
        chosen = [k for k, test in enumerate(in_test) if part == "all" or test == (part == "test")]
        images = cached(CACHE, "hmt", files, names, lambda: files.decode(members, "RGB", (150, 150)))[chosen]
    return _dataset(
        images / np.float32(255),
        [label[members[k]] for k in chosen],
        TISSUES,
        tuple(names[k] for k in chosen),
        "Kather et al. 2016, Collection of textures in colorectal cancer histology, doi:10.5281/zenodo.53169",
        "CC BY 4.0",
    )


def is_hmt_test_tile(name, label):
    """Whether the tile ``name`` (without suffix) of class ``label`` is one of the course's 496 test tiles."""
    return _natural_order(name) >= _natural_order(HMT_FIRST_TEST_TILE[label])


def hmt_slide(name):
    """The slide, "01" to "10", from which a tile was cut: tiles of one slide look alike, so they leak."""
    return re.search(r"CRC-Prim-HE-(\d\d)", name).group(1)


def _natural_order(name):
    """Order of a file browser: runs of digits compare as numbers and come before letters."""
    return [(0, int(run), "") if run.isdigit() else (1, 0, run.lower()) for run in re.findall(r"\d+|\D+", name)]


def fetch_hmt():
    """Fetch the record's zip (258,098,431 bytes) into the data folder, check its SHA-256, return its path.

    The download goes to a temporary file and is renamed only when the hash is right; a file that is already there
    and right is kept. Raises ``OSError`` when the record cannot be reached or what came is not the record.
    """
    import pooch  # only fetching needs it

    folder = data_folder()
    record = pooch.create(folder, base_url="", registry={HMT_FILE: f"sha256:{HMT_SHA256}"}, urls={HMT_FILE: HMT_URL})
    try:
        return Path(record.fetch(HMT_FILE, progressbar=os.environ.get("XAI_PROGRESS") != "0"))
    except Exception as error:
        raise OSError(
            f"hmt: fetching {HMT_URL} into {folder} failed ({error}); nothing was kept: try again, let XAI_DATA name a "
            "folder that can be written and has 258 MB of room, or fetch the file with a browser and put it there"
        ) from error


# ----------------------------------------------------------------------------------------------------- what all use


def _dataset(images, labels, class_names, names, source, licence):
    images, labels = np.asarray(images, dtype=np.float32), np.asarray(labels, dtype=np.int64)
    images.flags.writeable = labels.flags.writeable = False
    return Dataset(images, labels, class_names, names, source, licence)


def _check_part(part, parts):
    if not isinstance(part, str) or part not in (*parts, "all"):
        raise ValueError(f"part: got {part!r}; allowed are {', '.join(map(repr, (*parts, 'all')))}")
    return parts[part] if isinstance(parts, dict) and part != "all" else part


def _find(places, name, cure):
    folder = data_folder()
    for place in places:
        if (folder / place).exists():
            return folder / place
    raise FileNotFoundError(f"{name} is not in {folder} (the folder that XAI_DATA names): {cure}")
