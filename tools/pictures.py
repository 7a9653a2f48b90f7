"""The pictures of an executed notebook, stored in the smallest form that shows the same."""

import base64
import io

import numpy as np
from PIL import Image

QUALITY = 70  # of a JPEG: with it the pages of photographs stay below a megabyte
CLOSE = 5  # how far a palette may move a colour, in 255 parts of a channel
FEW = 0.001  # the share of pixels, at edges of lines, that it may move further


def lighten(outputs: list) -> None:
    """Replace the PNG pictures of a cell's outputs by a palette PNG, or by a JPEG where a palette would be seen."""
    for output in outputs:
        data = output.get("data", {})
        if "image/png" in data:
            kind, content = smallest(base64.b64decode(data.pop("image/png")))
            data[kind] = base64.b64encode(content).decode()


def smallest(png: bytes) -> tuple[str, bytes]:
    """(MIME type, content) of the smallest form of a picture: as it is, with a palette, or as a JPEG.

    The palette is taken only where nobody sees it: greys stay grey and a zero white, colours move by a little.
    """
    whole = Image.open(io.BytesIO(png)).convert("RGB")
    palette = whole.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    forms = [("image/png", png), ("image/jpeg", _saved(whole, "JPEG", quality=QUALITY, optimize=True))]
    if _unseen(np.asarray(whole, int), np.asarray(palette.convert("RGB"), int)):
        forms.append(("image/png", _saved(palette, "PNG", optimize=True)))
    return min(forms, key=lambda form: len(form[1]))


def _unseen(picture, changed):
    """Whether a change of the colours of a picture, (H, W, 3) each, is too small to be seen."""
    return (np.abs(changed - picture).max(axis=-1) > CLOSE).mean() <= FEW


def _saved(picture: Image.Image, kind: str, **options) -> bytes:
    content = io.BytesIO()
    picture.save(content, format=kind, **options)
    return content.getvalue()
