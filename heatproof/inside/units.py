"""What the network itself holds: its kernels, its activations, and what in the input made one of them.

Shared arguments (model, inputs, layer) are explained in `xai_utils`.
"""

from dataclasses import replace

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.anatomy import find_layer
from heatproof.engine.endings import LOGITS, Positions
from heatproof.engine.places import Place
from heatproof.engine.query import Query
from heatproof.engine.rules import RULES
from heatproof.engine.views import View, recipe_of
from heatproof.problems import ArgumentTypeError, ArgumentValueError


def kernels(model: keras.Model, layer: str | keras.layers.Layer) -> np.ndarray:
    """Return the kernels of a convolution: (h, w, channels in, channels out) or (t, channels in, channels out).

    A copy in float32, as stored. Raises `ValueError` for a layer without kernels.
    """
    found = find_layer(recipe_of(model), layer).layer
    weights = getattr(found, "kernel", None)
    if weights is None or len(weights.shape) < 3:
        raise ArgumentValueError(
            "layer", f"{found.name!r}, which is no convolution and has no kernels", "a convolution"
        )
    return np.array(weights.numpy(), np.float32)


def activations(
    model: keras.Model, inputs: npt.ArrayLike, layer: str | keras.layers.Layer | None = None, *, batch_size: int = 32
) -> np.ndarray:
    """Return what a layer answers to the inputs, A = layer(x): (N, h, w, K) or (N, t, K), float32.

    Raises `ValueError` for an unknown layer.
    """
    query = Query(model, inputs, batch_size=batch_size)
    return Place(query, find_layer(query.recipe, layer).layer).activation().astype(np.float32)


def unit_map(
    model: keras.Model,
    inputs: npt.ArrayLike,
    layer: str | keras.layers.Layer,
    channel: int,
    position: npt.ArrayLike | None = None,
    *,
    rule: str = "deconvnet",
    batch_size: int = 32,
) -> np.ndarray:
    """What in the input made one activation a of a channel, all others set to zero.

    M = da/dx, where each ReLU goes back by `rule`: R <- max(R, 0) for "deconvnet", 1[z > 0] max(R, 0) for "guided",
    1[z > 0] R for "gradient", z being what the ReLU read. A convolution goes back by its transposed filters, without
    biases; a maximum by its switch, to the input that was the largest, which is what "unpooling" means. Zeiler and
    Fergus begin with a in place of 1: their picture is a * M. `position` is where on the layer's own grid, one for
    all inputs (axes,) or one for each (N, axes); None is the strongest of each input, the first of equal ones.
    Returns float32 in the shape of the inputs. Raises `ValueError` for a layer without positions, a position outside
    its grid, and, unless the rule is "gradient", a model without a ReLU. Source: Zeiler and Fergus 2014, sec. 2.1.
    """
    recipe = replace(recipe_of(model), ending=LOGITS)
    rule = checks.one_of("rule", rule, (*RULES, "gradient"))
    call = find_layer(recipe, layer, spatial=True)
    channel, sides = checks.as_count("channel", channel, 0, call.shape[-1] - 1), call.shape[1:-1]
    if None in sides:
        given = f"one whose layer {call.layer.name!r} has a grid of any size, {sides}"
        raise ArgumentValueError("model", given, cure="build it with a fixed input shape")
    view = View(replace(recipe, ending=Positions.at(call.layer, channel)))
    places = None if position is None else _places(position, sides, inputs)
    query = Query(view, inputs, places, rule=None if rule == "gradient" else rule, batch_size=batch_size)
    return query.in_form(np.require(query.gradient(), np.float32, "W"))


def _places(position, sides, inputs):
    """Positions on a grid of these sides as numbers, row by row."""
    array = checks.as_array("position", position)
    allowed = f"{len(sides)} integers, a place on a grid of {sides}, for all inputs or for each, or None"
    if array.dtype.kind not in "iu":
        raise ArgumentTypeError("position", f"{array.dtype} values", allowed)
    if array.ndim not in (1, 2) or array.shape[-1] != len(sides):
        raise ArgumentValueError("position", f"shape {array.shape}", allowed)
    if (array < 0).any() or (array >= sides).any():
        raise ArgumentValueError("position", f"integers from {array.min()} to {array.max()}", allowed)
    if array.ndim == 2 and hasattr(inputs, "__len__") and len(inputs) != len(array):
        raise ArgumentValueError("position", f"{len(array)} positions for {len(inputs)} inputs", allowed)
    return np.ravel_multi_index(tuple(np.moveaxis(array, -1, 0)), sides)
