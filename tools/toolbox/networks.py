"""A network of Keras as a table that a page can run: a chain of convolutions, pooling and dense layers.

A signal (T, C) is written as a picture of one row, (1, T, C), so that the page knows one kind of layer only.
"""

from typing import Any

import keras
import numpy as np

from heatproof.engine.query import Query
from heatproof.problems import ArgumentTypeError, ArgumentValueError
from tools.toolbox.data import packed

ACTIVATIONS = ("linear", "relu", "softmax")
KNOWN = "Conv1D, Conv2D, MaxPooling, AveragePooling, GlobalAveragePooling, Flatten and Dense"


def exported(model: keras.Model) -> dict[str, Any]:
    """The network as numbers and text; what cannot be written exactly is refused.

    layers:  one table per layer, with its kind; kernels (rows, columns, in, out) or (in, out), biases (out,)
    centres: {layer: per axis [place of position 0 in the input, pixels between two positions]}, of layers with space
    cam:     the layer that Grad-CAM takes unless told otherwise
    Raises `TypeError` for anything but a Keras model, `ValueError` for another kind of layer, or a model that is not
    one chain with a softmax at its end.
    """
    if not isinstance(model, keras.Model):
        raise ArgumentTypeError("model", type(model).__name__, "a Keras model")
    layers = [_layer(layer) for layer in _chain(model)]
    if layers[-1].get("activation") != "softmax":
        raise ArgumentValueError("model", f"one that ends in {layers[-1]['name']!r}", "a Dense layer with a softmax")
    for table in layers[:-1]:
        if table.get("activation") == "softmax":
            raise ArgumentValueError("model", f"a softmax in {table['name']!r}", "one at the end, and no other")
    shape = model.input_shape[1:]
    rows = shape if len(shape) == 3 else (1, *shape)
    known = {"input": list(rows), "signal": len(shape) == 2, "layers": layers}
    known |= {"range": [float(end) for end in model.input_range], "classes": list(model.class_names)}
    centres = _centres(model, [table["name"] for table in layers if table["kind"] in ("convolution", "pooling")])
    return known | {"centres": centres, "cam": Query(model, np.zeros((1, *shape), np.float32)).place(None).layer.name}


def _chain(model):
    """The layers in their order, without the input; each reads what the one before it gives."""
    chain = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    if len(model.inputs) != 1 or None in model.input_shape[1:] or len(model.input_shape) not in (3, 4):
        raise ArgumentValueError("model", f"inputs {model.input_shape}", "one picture or signal of a fixed size")
    before = model.inputs[0]
    for layer in chain:
        if len(layer._inbound_nodes) != 1 or layer.input is not before:
            given = f"{layer.name!r}, which reads something else than the layer before it"
            raise ArgumentValueError("model", given, "a chain of layers")
        before = layer.output
    return chain


def _layer(layer):
    """One layer as a table."""
    for kinds, write in _WRITERS.items():
        if type(layer) in kinds:
            return {"name": layer.name, **write(layer)}
    raise ArgumentValueError("model", f"{layer.name!r}, a {type(layer).__name__}", f"layers of the kinds {KNOWN}")


def _refuse_unless(layer, right, what):
    if not right:
        raise ArgumentValueError("model", f"{layer.name!r} with {what}", "layers without it")


def _wide(pair):
    """A size along each axis of a picture; of a signal the rows are 1."""
    return [1, *pair] if len(pair) == 1 else list(pair)


def _convolution(layer):
    _refuse_unless(layer, layer.data_format == "channels_last", "its channels first")
    _refuse_unless(layer, set(layer.dilation_rate) == {1}, f"dilation {layer.dilation_rate}")
    _refuse_unless(layer, layer.groups == 1, f"{layer.groups} groups")
    _refuse_unless(layer, layer.padding in ("same", "valid"), f"padding {layer.padding!r}")
    kernel = layer.kernel.numpy()
    kernel = kernel[None] if kernel.ndim == 3 else kernel
    table = {"kind": "convolution", "strides": _wide(layer.strides), "padding": layer.padding}
    return table | _weights(layer, kernel)


def _dense(layer):
    return {"kind": "dense"} | _weights(layer, layer.kernel.numpy())


def _weights(layer, kernel):
    name = getattr(layer.activation, "__name__", str(layer.activation))
    _refuse_unless(layer, name in ACTIVATIONS, f"the activation {name!r}")
    bias = layer.bias.numpy() if layer.use_bias else np.zeros(kernel.shape[-1])
    return {"activation": name, "shape": list(kernel.shape), "kernel": packed(kernel), "bias": packed(bias)}


def _pooling(layer):
    size = _wide(layer.pool_size)
    _refuse_unless(layer, layer.data_format == "channels_last", "its channels first")
    _refuse_unless(layer, layer.padding == "valid", f"padding {layer.padding!r}")
    _refuse_unless(layer, _wide(layer.strides) == size, f"strides {layer.strides} for windows of {layer.pool_size}")
    return {"kind": "pooling", "size": size, "by": "maximum" if "Max" in type(layer).__name__ else "mean"}


def _average(layer):
    _refuse_unless(layer, layer.data_format == "channels_last", "its channels first")
    _refuse_unless(layer, not layer.keepdims, "keepdims")
    return {"kind": "average"}


_K = keras.layers
_WRITERS = {
    (_K.Conv1D, _K.Conv2D): _convolution,
    (_K.MaxPooling1D, _K.MaxPooling2D, _K.AveragePooling1D, _K.AveragePooling2D): _pooling,
    (_K.GlobalAveragePooling1D, _K.GlobalAveragePooling2D): _average,
    (_K.Flatten,): lambda layer: {"kind": "flatten"},
    (_K.Dense,): _dense,
}


def _centres(model, names):
    """Where the positions of each layer lie in the picture; a signal has one row, at 0."""
    query = Query(model, np.zeros((1, *model.input_shape[1:]), np.float32))
    found = {name: [[float(part) for part in axis] for axis in query.place(name).centres()] for name in names}
    return {name: axes if len(axes) == 2 else [[0.0, 1.0], *axes] for name, axes in found.items()}
