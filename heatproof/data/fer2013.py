"""FER2013: faces of seven expressions, read from any layout in which it is published."""

import io
from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from heatproof.data import pictures
from heatproof.data.archives import Source, cached
from heatproof.data.pictures import EXPRESSIONS, as_dataset, check_part, find

TABLE_BYTES = 500_000_000  # what the table of FER2013 may unpack to; it has 301 MB

FER_PARTS = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
FER_PLACES = (
    "fer2013.zip",
    "fer2013.csv",
    "icml_face_data.csv",
    "fer2013.csv.zip",
    "icml_face_data.csv.zip",
    "fer2013",
)


def load_fer2013(part: str = "test") -> pictures.Dataset:
    """FER2013, 35,887 faces 48x48 grey of 7 expressions (Goodfellow et al. 2013, arXiv:1307.0414).

    ``part`` is "train" (Training), "validation" (PublicTest), "test" (PrivateTest) or "all". Reads ``fer2013.csv``,
    ``icml_face_data.csv``, a zip with one of them, or images as ``train/angry/Training_*.jpg`` and
    ``test/angry/PrivateTest_*.jpg`` in a zip or folder ``fer2013``.

    Raises ``FileNotFoundError`` when it is absent, ``ValueError`` for an unknown part or a damaged source.
    """
    wanted = check_part(part, FER_PARTS)
    source = find(
        FER_PLACES, "fer2013", "get fer2013.csv or its zip from Kaggle (data set 'fer2013') and put it there unchanged"
    )
    with Source(source) as files:
        tables = [name for name in files.names if PurePosixPath(name).name in ("fer2013.csv", "icml_face_data.csv")]
        if tables:
            labels, usages, names, decode = _fer_table(files, tables[0])
        else:
            labels, usages, names, decode = _fer_images(files)
        chosen = [k for k, usage in enumerate(usages) if part == "all" or usage == wanted]
        images = cached(pictures.CACHE, "fer2013", files, names, decode)[chosen]
    return as_dataset(
        images[..., None] / np.float32(255),
        np.asarray(labels)[chosen],
        EXPRESSIONS,
        tuple(names[k] for k in chosen),
        "FER2013, ICML 2013 challenges in representation learning (Goodfellow et al. 2013)",
        "research use",
    )


def _fer_table(files: Source, table: str) -> tuple[list[int], list[str], list[str], Callable[[], np.ndarray]]:
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

    def decode() -> np.ndarray:
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


def _fer_images(files: Source) -> tuple[list[int], list[str], list[str], Callable[[], np.ndarray]]:
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
