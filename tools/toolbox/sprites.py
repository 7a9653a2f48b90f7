"""One picture for each unit: its patches, what in them excited it, and where in the inputs they lie."""

import io

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw

from tools.toolbox.data import rounded
from tools.toolbox.units import Windows

TILE, MARK = 64, (217, 95, 2)


def colours(name: str) -> list[list[int]]:
    """A colour scale as 256 rows of red, green, blue."""
    return np.round(255 * mpl.colormaps[name](np.linspace(0, 1, 256))[:, :3]).astype(int).tolist()


def sheet(windows: Windows, maps: np.ndarray, inputs: np.ndarray) -> bytes:
    """Three rows: the patches, their maps in colours symmetric about 0, and the inputs with a frame (WebP)."""
    columns = []
    for piece, corner, marked, picture in zip(windows.pieces, windows.corners, maps, inputs, strict=True):
        part = within(marked, corner, piece.shape[:-1])
        framed = _tile(_coloured(picture))
        box = [TILE * side / len(picture) for side in (*corner[::-1], *(corner + piece.shape[:-1])[::-1])]
        if len(piece) < len(picture):
            around = [round(side) + beside for side, beside in zip(box, (-3, -3, 2, 2), strict=True)]
            ImageDraw.Draw(framed).rectangle(around, outline=MARK, width=2)
        columns.append([_tile(_coloured(piece)), _tile(signed(part)), framed])
    whole = Image.new("RGB", (TILE * len(columns), 3 * TILE))
    for column, tiles in enumerate(columns):
        for row, tile in enumerate(tiles):
            whole.paste(tile, (column * TILE, row * TILE))
    return _saved(whole, quality=85)


def picture(pixels: np.ndarray) -> bytes:
    """One input in [0, 1], at its own size (WebP)."""
    return _saved(Image.fromarray(_coloured(pixels)), quality=90)


def within(values: np.ndarray, corner: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The piece of a map that begins at `corner`, 0 where it sticks out."""
    pads = [
        (max(-low, 0), max(low + side - whole, 0)) for low, side, whole in zip(corner, size, values.shape, strict=True)
    ]
    starts = [low + before for low, (before, _) in zip(corner, pads, strict=True)]
    padded = np.pad(values, pads)
    return padded[tuple(slice(start, start + side) for start, side in zip(starts, size, strict=True))]


def signed(values: np.ndarray) -> np.ndarray:
    """A map in red and blue, its largest absolute value at the end of the scale."""
    table = np.array(colours("RdBu_r"), np.uint8)
    return table[np.round(127.5 + 127.5 * values / (np.abs(values).max() or 1)).astype(int)]


def curves(windows: Windows, maps: np.ndarray, inputs: np.ndarray) -> list[dict]:
    """The same of signals, as numbers that the page draws; `field` is [first sample, one beyond the last]."""
    size = windows.pieces.shape[1]
    return [
        {"signal": rounded(signal[:, 0], 2), "map": rounded(each, 3), "field": [int(corner), int(corner + size)]}
        for signal, each, (corner,) in zip(inputs, maps, windows.corners, strict=True)
    ]


def _coloured(picture):
    """Grey or coloured values in [0, 1] as bytes of three colours."""
    return np.broadcast_to((255 * np.clip(picture, 0, 1)).round(), (*picture.shape[:-1], 3)).astype(np.uint8)


def _tile(pixels):
    """A picture at the size of a tile; a small one by whole pixels, so that they can be seen."""
    kind = Image.Resampling.NEAREST if len(pixels) < TILE else Image.Resampling.BOX
    return Image.fromarray(pixels).resize((TILE, TILE), kind)


def _saved(image, quality):
    file = io.BytesIO()
    image.save(file, "WEBP", quality=quality)
    return file.getvalue()
