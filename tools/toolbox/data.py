"""Data for pages that are opened from a folder: such a page may not fetch files, but it may load scripts.

So every piece of data is a script of one line, toolbox.take(NAME, VALUE), which the page asks for when it needs it.
"""

import base64
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatproof.writing import write


def save(folder: Path, name: str, value: object) -> None:
    """Write the data NAME as FOLDER/data/NAME.js."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    write(folder / "data" / f"{name}.js", f"toolbox.take({json.dumps(name)},{text});\n")


def packed(values: npt.ArrayLike, kind: str = "<f4") -> str:
    """Numbers as text: base64 of their bytes, float32 unless `kind` says otherwise."""
    return base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode("ascii")


def rounded(values: npt.ArrayLike, digits: int = 4) -> list:
    """Numbers as a (nested) list, rounded to so many decimals."""
    return np.round(np.asarray(values, np.float64), digits).tolist()
