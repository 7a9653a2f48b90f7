"""Oracles of our own: gradients and maps in float64 by an eager tape, enlarged by NumPy alone.

A score is a function from the outputs of a model (N, K) to (N,). No line of the package is used here.
"""

import warnings

import keras
import numpy as np
import tensorflow as tf

import xai_utils as xu


def in_float64(model):
    """The same functional network with every weight and operation in float64."""
    twin = keras.models.model_from_json(model.to_json().replace("float32", "float64"))
    twin.set_weights(model.get_weights())
    return twin


def output(index):
    """The score that is one output as it is."""
    return lambda outputs: outputs[:, index]


def sigmoid_of(index):
    return lambda outputs: tf.sigmoid(outputs[:, index])


def softmax_of(index):
    return lambda outputs: tf.nn.softmax(outputs)[:, index]


def gradient(model, inputs, score, dtype=tf.float64):
    """d score / d inputs of any callable."""
    x = tf.constant(inputs, dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = score(model(x))
    return tape.gradient(value, x).numpy()


def at(model, name, inputs, score):
    """A and dS/dA in float64 at the operation of that name in a functional network."""
    twin, x = in_float64(model), tf.constant(inputs, tf.float64)
    inner = next(operation for operation in twin.operations if operation.name == name).output
    both = keras.Model(twin.inputs, [inner, twin.outputs[0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        A, outputs = both(x)
        value = score(outputs)
    return A.numpy(), tape.gradient(value, A).numpy()


def grad_cam(model, name, inputs, score):
    """Selvaraju et al. 2017, eq. (1)-(2), without the ReLU, on the native grid."""
    A, g = at(model, name, inputs, score)
    return (A * g.mean(axis=tuple(range(1, g.ndim - 1)), keepdims=True)).sum(axis=-1)


def hires_cam(model, name, inputs, score):
    """Draelos and Carin 2020, eq. (4), on the native grid."""
    A, g = at(model, name, inputs, score)
    return (A * g).sum(axis=-1)


def enlarged(maps, centres, sides):
    """Maps (N, h, w) or (N, t) whose cells lie at `centres` (one list per axis): linear between, flat beyond."""
    for axis, (places, side) in enumerate(zip(centres, sides, strict=True), 1):
        maps = np.apply_along_axis(lambda line, p=places, n=side: np.interp(np.arange(n), p, line), axis, maps)
    return maps


def stretched(maps, sides):
    """The plain stretch: cells are equal parts of the input."""
    parts = zip(sides, maps.shape[1:], strict=True)
    return enlarged(maps, [(np.arange(n) + 0.5) * side / n - 0.5 for side, n in parts], sides)


def close(found, wanted, tolerance=1e-4):
    assert np.shape(found) == np.shape(wanted)
    assert np.abs(wanted).max() > 0
    assert np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


def heard(function, *arguments, **options):
    """What the call gives, and the texts of the `XAIWarning`s that it draws."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = function(*arguments, **options)
    return found, [str(each.message) for each in caught if issubclass(each.category, xu.XAIWarning)]


def silent(function, *arguments, **options):
    """What the call gives; it must draw no `XAIWarning`."""
    found, texts = heard(function, *arguments, **options)
    assert texts == []
    return found


def accepting(keyword):
    """The names of the methods that take this keyword."""
    import inspect

    return [name for name, row in xu.METHODS.items() if keyword in inspect.signature(row.function).parameters]
