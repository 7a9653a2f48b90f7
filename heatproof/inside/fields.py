"""The piece of the input that a position of a layer reads: its receptive field, cut out as it is.

Shared arguments (model, layer, inputs) are explained in `xai_utils`.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.inside.streams import Inputs, Stream
from heatproof.problems import ArgumentTypeError, ArgumentValueError, ArgumentWarning


class Patches(NamedTuple):
    """Pieces of inputs, each the receptive field of one position.

    images:  (..., h, w, C), of signals (..., t, C); beyond the border of the input stands the middle of its range
    masks:   (..., h, w) bool, True where the piece lies inside the input
    corners: (..., axes) int64, where in the input the piece begins; negative where it sticks out
    """

    images: np.ndarray
    masks: np.ndarray
    corners: np.ndarray


def patches(
    model: keras.Model,
    layer: str | keras.layers.Layer | None,
    inputs: Inputs,
    items: npt.ArrayLike,
    positions: npt.ArrayLike,
) -> Patches:
    """Cut out of the inputs what given positions of a layer read: their receptive fields, whole.

    Along each axis position j reads the input from first + j * apart to last + j * apart. Through a layer of reach k,
    dilation d and stride s these numbers become: first - pad * apart, last + ((k - 1) * d - pad) * apart, apart * s,
    from (0, 0, 1) at the input on; the paddings are those that TensorFlow takes. `items` (...) and `positions`
    (..., axes) are those of `strongest`, or a part of them, `found.items[:4]` and `found.positions[:4]`. What stands
    beyond the border is marked in `masks`. What was made of all positions and multiplies each, as in
    squeeze-and-excitation, is not counted, and a warning says so. No pass through the network. Raises `ValueError`
    for places outside the inputs, and for a layer whose operations do not tell what it reads.
    Source: Araujo, Norris, Sim 2019.
    """
    stream, items, positions = Stream(model, layer, inputs), _whole("items", items), _whole("positions", positions)
    if stream.count is not None:
        _check_items(items, stream.count)
    made: Any = None
    for start, query in stream.queries():
        count = start + len(query.inputs)
        window = _Window(query, query.place(layer))
        made = made or window.empty(items, positions)
        for at in map(tuple, np.argwhere((items >= start) & (items < count))):
            window.cut(query.inputs[items[at] - start], *(each[at] for each in made))
    _check_items(items, count)
    return made


def _whole(name, values):
    array = checks.as_array(name, values)
    if array.dtype.kind not in "iu":
        raise ArgumentTypeError(name, f"{array.dtype} values", "integers, such as those of xu.strongest")
    return array.astype(np.int64)


def _check_items(items, count):
    if items.size == 0:
        raise ArgumentValueError("items", "none", "one item or more")
    if items.min() < 0 or items.max() >= count:
        given = f"integers from {items.min()} to {items.max()}"
        raise ArgumentValueError("items", given, f"integers from 0 to {count - 1}")


class _Window:
    """What the positions of a layer read of one of its inputs."""

    def __init__(self, query, place):
        grid = place.told()
        if grid is None:
            given = f"{place.layer.name!r}, whose operations do not tell what its positions read"
            raise ArgumentValueError("layer", given, cure="a layer that convolutions and pooling alone lead to")
        if any(field.gated for field in grid.fields):
            given = f"{place.layer.name!r}, where a gate reads all positions: the pieces show what is read beside it"
            checks.warn(ArgumentWarning("layer", given, cure="a layer in front of the gates, for all that is read"))
        self.axes, self.fields, self.sides = grid.order, grid.fields, grid.sides
        self.channels = query.inputs.shape[-1]
        self.middle = 0.0 if query.input_range is None else float(np.mean(query.input_range))

    def empty(self, items, positions):
        """The `Patches` of these places, with nothing cut yet."""
        if positions.shape != (*items.shape, len(self.axes)):
            allowed = f"one place of {len(self.axes)} numbers for each item, {(*items.shape, len(self.axes))}"
            raise ArgumentValueError("positions", f"shape {positions.shape}", allowed)
        if (positions < 0).any() or (positions >= self.sides).any():
            given = f"integers from {positions.min()} to {positions.max()}"
            raise ArgumentValueError("positions", given, f"places on a grid of {self.sides}")
        corners, sizes = [], []
        for axis, field in zip(self.axes, self.fields, strict=True):
            moved = positions[..., axis - 1] * field.apart
            first, last = np.floor(field.first + moved + 1e-6), np.ceil(field.last + moved - 1e-6)
            corners.append(first.astype(np.int64))
            sizes.append(int((last - first).max()) + 1)
        images = np.full((*items.shape, *sizes, self.channels), self.middle, np.float32)
        return Patches(images, np.zeros(images.shape[:-1], bool), np.stack(corners, axis=-1))

    @staticmethod
    def cut(picture, image, mask, corner):
        """Fill one piece, which begins at this corner, from the picture."""
        inner, outer = [], []
        for begin, size, side in zip(corner.tolist(), mask.shape, picture.shape, strict=False):
            low, high = max(begin, 0), min(begin + size, side)
            outer.append(slice(low, max(low, high)))
            inner.append(slice(low - begin, max(low, high) - begin))
        image[tuple(inner)], mask[tuple(inner)] = picture[tuple(outer)], True
