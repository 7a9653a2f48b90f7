"""Where the winners of a maximum or minimum lie: in windows, along axes, of two tensors.

A pooling of volumes is one over height and width, then one over depth: TensorFlow's own way back through it gives every
one of equal winners the whole gradient.
"""

import tensorflow as tf
from tensorflow.python.framework.ops import gradient_registry


class _Elsewhere:
    """An operation as if it had read, and given, other values: for TensorFlow's own derivative of it."""

    def __init__(self, operation, inputs, outputs):
        self._operation, self.inputs, self.outputs = operation, inputs, outputs

    def __getattr__(self, name):
        return getattr(self._operation, name)


def derivative(operation, gradient, inputs, outputs=()):
    """The chain rule of an operation at other values, a gradient for each input."""
    found = gradient_registry.lookup(operation.type)(_Elsewhere(operation, inputs, outputs), gradient)
    return list(found) if isinstance(found, (list, tuple)) else [found]


def is_lowest(operation):
    """Whether the smallest wins."""
    return operation.type in ("Min", "Minimum")


def to_winners(operation, gradient, inputs, output):
    """A gradient at the places that win in these inputs, for each input; equal ones share it or the first has it."""
    if operation.type != "MaxPool3D":
        return derivative(operation, gradient, inputs, [output])
    for read, given, windows in reversed(_planes(operation, inputs[0])):
        gradient = tf.reshape(gradient, tf.shape(given))
        gradient = tf.raw_ops.MaxPoolGrad(orig_input=read, orig_output=given, grad=gradient, **windows)
    return [tf.reshape(gradient, tf.shape(inputs[0]))]


def at_winners(operation, inputs, output, others):
    """What other inputs hold where these win; of equal winners that share, the value farthest from winning."""
    if operation.type in ("Maximum", "Minimum"):
        first = inputs[0] <= inputs[1] if is_lowest(operation) else inputs[0] >= inputs[1]
        return tf.where(first, *others)
    if operation.type in ("Max", "Min"):
        return _along_axes(operation, inputs, others)
    values, steps = others[0], [(inputs[0], output, _windows(operation))]
    for read, given, windows in _planes(operation, inputs[0]) if operation.type == "MaxPool3D" else steps:
        values = tf.reshape(values, tf.shape(read))
        values = tf.raw_ops.MaxPoolGradGrad(orig_input=read, orig_output=given, grad=values, **windows)
    return tf.reshape(values, tf.shape(output))


def _along_axes(operation, inputs, others):
    best, worst = (tf.reduce_min, tf.reduce_max) if is_lowest(operation) else (tf.reduce_max, tf.reduce_min)
    wins = inputs[0] == best(inputs[0], inputs[1], keepdims=True)
    never = inputs[0].dtype.min if is_lowest(operation) else inputs[0].dtype.max
    return worst(tf.where(wins, others[0], never), inputs[1], keepdims=operation.get_attr("keep_dims"))


def _windows(operation):
    names = ("ksize", "strides", "padding", "data_format")
    return {name: operation.get_attr(name) for name in names}


def _planes(operation, volume):
    """(what is read, what it gives, the windows) of a pooling over height and width, and of one over depth."""
    rows, depth, height, width, channels = tf.unstack(tf.shape(volume))
    sizes, strides = operation.get_attr("ksize"), operation.get_attr("strides")
    steps, read = [], tf.reshape(volume, (rows * depth, height, width, channels))
    for part in (slice(2, 4), slice(1, 2)):
        windows = {
            name: [1, *values[part], *[1] * (part.start == 1), 1]
            for name, values in (("ksize", sizes), ("strides", strides))
        }
        windows["padding"] = operation.get_attr("padding")
        given = tf.raw_ops.MaxPool(input=read, **windows)
        steps.append((read, given, windows))
        read = tf.reshape(given, (rows, depth, -1, channels))
    return steps
