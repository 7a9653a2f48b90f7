"""HMT: tiles of human colorectal tissue, read from the record or the course's layout, or fetched."""

import os
import re
from pathlib import Path, PurePosixPath

import numpy as np

from heatproof import folders
from heatproof.data import pictures
from heatproof.data.archives import Source, cached
from heatproof.data.pictures import as_dataset, check_part, find

TISSUES = ("tumor", "stroma", "complex", "lympho", "debris", "mucosa", "adipose", "empty")

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


def load_hmt(part: str = "test") -> pictures.Dataset:
    """5000 tiles 150x150 RGB of human colorectal tissue, stained with H&E, 8 classes (Kather et al. 2016).

    ``part`` is "train" (4504 tiles), "test" (496), "validation" (the last tenth of each class of "train", 450 tiles, on
    which the committed network's best epoch was chosen) or "all". A tile belongs to "train" or "test" by its name
    alone, so the record's layout (``CLASS/*.tif``) and the course's (``HMT_train/CLASS/*``, ``HMT_test/CLASS/*``),
    zipped or in a folder, give the same split. Within a class the tiles stand in the order of a file browser.
    The decoded tiles are kept in the cache (``heatproof/folders.py``) and decoded anew when the source changed.

    Raises ``FileNotFoundError`` when it is absent, ``ValueError`` for an unknown part or a damaged source.
    """
    check_part(part, ("train", "validation", "test"))
    fetch = "make data" if folders.CHECKOUT else 'python -c "from heatproof.data import hmt; hmt.fetch_hmt()"'
    source = find(HMT_PLACES, "hmt", f"'{fetch}' fetches it (258 MB)")
    with Source(source) as files:
        members = [name for name in files.images if PurePosixPath(name).parent.name in HMT_FOLDERS]
        if not members:
            raise ValueError(f"hmt: {source} holds no images in folders {HMT_FOLDERS[0]} ... {HMT_FOLDERS[-1]}")
        label = {name: HMT_FOLDERS.index(PurePosixPath(name).parent.name) for name in members}
        members.sort(key=lambda name: (label[name], _natural_order(PurePosixPath(name).stem)))
        names = [PurePosixPath(name).stem for name in members]
        in_test = np.array([is_hmt_test_tile(name, label[member]) for name, member in zip(names, members, strict=True)])
        kept = last_tenth(np.array([label[member] for member in members]), ~in_test)
        parts = {"train": ~in_test, "validation": kept, "test": in_test, "all": in_test | ~in_test}
        chosen = np.flatnonzero(parts[part])
        images = cached(pictures.CACHE, "hmt", files, names, lambda: files.decode(members, "RGB", (150, 150)))[chosen]
    return as_dataset(
        images / np.float32(255),
        [label[members[k]] for k in chosen],
        TISSUES,
        tuple(names[k] for k in chosen),
        "Kather et al. 2016, Collection of textures in colorectal cancer histology, doi:10.5281/zenodo.53169",
        "CC BY 4.0",
    )


def last_tenth(labels: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Which of the tiles `among` all are the last tenth of their class: the validation part."""
    chosen = np.zeros_like(among)
    for label in np.unique(labels):
        own = np.flatnonzero((labels == label) & among)
        chosen[own[-round(len(own) / 10) :]] = True
    return chosen


def is_hmt_test_tile(name: str, label: int) -> bool:
    """Whether the tile ``name`` (without suffix) of class ``label`` is one of the course's 496 test tiles."""
    return _natural_order(name) >= _natural_order(HMT_FIRST_TEST_TILE[label])


def hmt_slide(name: str) -> str:
    """The slide, "01" to "10", from which a tile was cut: tiles of one slide look alike, so they leak."""
    return re.findall(r"CRC-Prim-HE-(\d\d)", name)[0]


def _natural_order(name: str) -> list[tuple]:
    """Order of a file browser: runs of digits compare as numbers and come before letters."""
    return [(0, int(run), "") if run.isdigit() else (1, 0, run.lower()) for run in re.findall(r"\d+|\D+", name)]


def fetch_hmt() -> Path:
    """Fetch the record's zip (258,098,431 bytes) into the data folder, check its SHA-256, return its path.

    The download goes to a temporary file and is renamed only when the hash is right; a file that is already there
    and right is kept. Raises ``OSError`` when the record cannot be reached or what came is not the record.
    """
    import pooch  # only fetching needs it

    folder = folders.data_folder()
    record = pooch.create(folder, base_url="", registry={HMT_FILE: f"sha256:{HMT_SHA256}"}, urls={HMT_FILE: HMT_URL})
    try:
        return Path(record.fetch(HMT_FILE, progressbar=os.environ.get("XAI_PROGRESS") != "0"))
    except Exception as error:
        raise OSError(
            f"hmt: fetching {HMT_URL} into {folder} failed ({error}); nothing was kept: try again, let XAI_DATA name a "
            "folder that can be written and has 258 MB of room, or fetch the file with a browser and put it there"
        ) from error
