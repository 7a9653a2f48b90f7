"""Pictures of executed notebooks: the smallest form shows the same."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tools import pictures


def _png(values):
    content = io.BytesIO()
    Image.fromarray(np.asarray(values, np.uint8)).save(content, format="PNG")
    return content.getvalue()


def _shown(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), int)


def _lines():
    """Five colours in large fields with sharp edges: what a plot is."""
    colours = np.array([[255, 255, 255], [178, 24, 43], [33, 102, 172], [77, 77, 77], [0, 158, 115]])
    places = np.random.default_rng(0).integers(0, 5, (30, 30))
    return colours[np.kron(places, np.ones((4, 4), int))]


def _photograph():
    """Smooth colours, each different: more than a palette holds."""
    a, b = np.mgrid[:300, :300] / 300
    return np.stack([255 * a, 255 * b, 255 * np.sin(9 * a * b) ** 2], axis=-1)


def test_few_colours_get_a_palette_and_stay_as_they_are():
    png = _png(_lines())
    kind, content = pictures.smallest(png)
    assert kind == "image/png" and len(content) < len(png) and Image.open(io.BytesIO(content)).mode == "P"
    np.testing.assert_array_equal(_shown(content), _lines())


def test_many_smooth_colours_become_a_jpeg_that_is_close():
    kind, content = pictures.smallest(_png(_photograph()))
    assert kind == "image/jpeg" and np.abs(_shown(content) - _photograph()).mean() < 2


def test_a_palette_that_changes_a_pixel_too_much_is_not_taken(monkeypatch):
    """Noise has no palette: of its forms the palette is the smallest, and is left out."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    noise[:, 32:] = noise[:1, 32:33]
    assert pictures.smallest(_png(noise))[0] == "image/jpeg"
    monkeypatch.setattr(pictures, "CLOSE", 255)
    monkeypatch.setattr(pictures, "QUALITY", 100)
    kind, content = pictures.smallest(_png(noise))
    assert kind == "image/png" and Image.open(io.BytesIO(content)).mode == "P"


def test_a_colour_may_move_a_little_and_few_pixels_further():
    colour = np.full((50, 50, 3), (100, 100, 160))
    assert pictures._unseen(colour, colour + 5) and not pictures._unseen(colour, colour - [0, 6, 0])
    dots = colour.copy()
    dots[0, :2] += 50  # 2 of 2500 are few, 3 are not
    assert pictures._unseen(colour, dots)
    dots[0, :3] += 50
    assert not pictures._unseen(colour, dots)


@pytest.mark.parametrize("values", [_lines(), _photograph()], ids=["lines", "photograph"])
def test_what_is_stored_replaces_the_picture_and_nothing_else(values):
    text = {"output_type": "stream", "name": "stdout", "text": "0.5\n"}
    shown = {"output_type": "display_data", "data": {"text/plain": "<Figure>"}, "metadata": {"image/png": {"alt": "a"}}}
    shown["data"]["image/png"] = base64.b64encode(_png(values)).decode()
    outputs = [dict(text), shown]
    pictures.lighten(outputs)
    assert outputs[0] == text and shown["metadata"] == {"image/png": {"alt": "a"}}
    kind = ({"image/png", "image/jpeg"} & set(shown["data"])).pop()
    content = base64.b64decode(shown["data"][kind])
    assert len(shown["data"]) == 2 and (kind, content) == pictures.smallest(_png(values))
