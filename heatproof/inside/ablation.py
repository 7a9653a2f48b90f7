"""What a network does without some of its units.

Shared arguments (model, layer) are explained in `xai_utils`.
"""

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.anatomy import find_layer
from heatproof.engine.copies import copied
from heatproof.engine.views import recipe_of
from heatproof.problems import ArgumentTypeError, ArgumentValueError


def ablated(model: keras.Model, layer: str | keras.layers.Layer | None, channels: npt.ArrayLike) -> keras.Model:
    """Return a copy of a network in which units (channels) of a layer are removed.

    A_k <- 0 everywhere for each k of `channels`, integers (n,), in all that reads the layer; [] gives an equal copy.
    The model itself is not touched. Raises `TypeError` for a model that Keras cannot copy, `ValueError` for channels
    that the layer does not have and for a layer inside another model. Source: Morcos et al. 2018, sec. 2.
    """
    call = find_layer(recipe_of(model), layer)
    kept = np.ones(call.shape[-1], np.float32)
    kept[_channels(channels, len(kept))] = 0
    found = []

    def called(each, *arguments, **options):
        answer = each(*arguments, **options)
        if each.name != call.layer.name:
            return answer
        found.append(each)
        return answer * keras.ops.cast(kept, answer.dtype)

    copy = copied(model, call_function=called)
    if not found:
        given = f"{call.layer.name!r}, which lies inside another model"
        raise ArgumentValueError("layer", given, "a layer of the model itself", "pass that inner model")
    return copy


def _channels(channels, count):
    array = checks.as_array("channels", channels)
    allowed = f"integers from 0 to {count - 1}, one or more in a list, or []"
    if array.ndim != 1:
        raise ArgumentValueError("channels", f"shape {array.shape}", allowed)
    if not array.size:
        return np.zeros(0, np.int64)
    if array.dtype.kind not in "iu":
        raise ArgumentTypeError("channels", f"{array.dtype} values", allowed)
    if array.min() < 0 or array.max() >= count:
        raise ArgumentValueError("channels", f"integers from {array.min()} to {array.max()}", allowed)
    return array
