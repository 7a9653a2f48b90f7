"""The pictures of an executed notebook, stored in the smallest form that shows the same."""

import base64
import io

import numpy as np
from PIL import Image

COLOURS, CLOSE, QUALITY = 256, 4, 85  # of a palette; the largest difference in 255 parts; of a JPEG


def lighten(outputs: list) -> None:
    """Replace the PNG pictures of a cell's outputs by a palette PNG, or by a JPEG where a palette would be seen."""
    for output in outputs:
        data = output.get("data", {})
        if "image/png" in data:
            kind, content = smallest(base64.b64decode(data.pop("image/png")))
            data[kind] = base64.b64encode(content).decode()


def smallest(png: bytes) -> tuple[str, bytes]:
    """(MIME type, content) of the smallest form of a picture: as it is, with a palette, or as a JPEG.

    The palette is taken only where no channel of a pixel changes by more than CLOSE: a grey stays grey, a zero white.
    """
    whole = Image.open(io.BytesIO(png)).convert("RGB")
    palette = whole.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    forms = [("image/png", png), ("image/jpeg", _saved(whole, "JPEG", quality=QUALITY, subsampling=0, optimize=True))]
    change = np.abs(np.asarray(palette.convert("RGB"), int) - np.asarray(whole, int)).max()
    if change <= CLOSE:
        forms.append(("image/png", _saved(palette, "PNG", optimize=True)))
    return min(forms, key=lambda form: len(form[1]))


def _saved(picture: Image.Image, kind: str, **options) -> bytes:
    content = io.BytesIO()
    picture.save(content, format=kind, **options)
    return content.getvalue()
