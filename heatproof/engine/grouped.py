"""The way back through a grouped convolution, group by group where TensorFlow cannot take it at once.

With G groups, the channels of the input and of the output fall into G runs of equal length, and run g of the output
is the convolution of run g of the input with run g of the kernels. So the gradients of the runs, put in a row, are
those of the whole. TensorFlow has them on the CPU in float32 and bfloat16, and there only with oneDNN; in float64 and
float16 it refuses. Keras compiles its grouped convolutions with XLA to get round that, and a graph in which every
function lies open cannot.
"""

import contextlib
import functools

import tensorflow as tf

from heatproof.engine.towards import is_skipped

NAME = "HeatproofGroupedConvolution"
OVERRIDES = {"Conv2D": NAME}  # as a graph takes them; a convolution of signals is one of pictures of height 1


def _back(operation, gradient):
    """The gradients of a convolution with respect to its input and its kernels."""
    x, kernels = operation.inputs
    axis = 1 if operation.get_attr("data_format") == b"NCHW" else 3
    groups = _groups(x.shape[axis], kernels.shape[2])
    if groups == 1 or _at_once(x.dtype):
        return _slopes(operation, x, kernels, gradient)
    parts = (tf.split(x, groups, axis), tf.split(kernels, groups, 3), tf.split(gradient, groups, axis))
    slopes = [_slopes(operation, *part) for part in zip(*parts, strict=True)]
    of_x, of_kernels = zip(*slopes, strict=True)
    return tf.concat(of_x, axis), None if is_skipped(operation, 1) else tf.concat(of_kernels, 3)


def _groups(channels, seen):
    """How many groups: each kernel sees the channels of one; 1 where a number of channels is unknown."""
    return channels // seen if channels and seen else 1


def _slopes(operation, x, kernels, gradient):
    names = ("strides", "padding", "explicit_paddings", "dilations", "data_format")
    options = {name: operation.get_attr(name) for name in names}
    back, weigh = tf.raw_ops.Conv2DBackpropInput, tf.raw_ops.Conv2DBackpropFilter
    of_x = back(input_sizes=tf.shape(x), filter=kernels, out_backprop=gradient, **options)
    if is_skipped(operation, 1):
        return of_x, None
    return of_x, weigh(input=x, filter_sizes=tf.shape(kernels), out_backprop=gradient, **options)


@functools.cache
def _at_once(dtype):
    """Whether TensorFlow can take this way back on this machine in this type: tried once."""
    with tf.init_scope():
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=(1, 1, 1, 2),
                filter=tf.ones((1, 1, 1, 2), dtype),
                out_backprop=tf.ones((1, 1, 1, 2), dtype),
                strides=[1] * 4,
                padding="VALID",
            )
        except tf.errors.OpError:
            return False
    return True


with contextlib.suppress(KeyError):  # known already, after a reload
    tf.RegisterGradient(NAME)(lambda operation, gradient: _back(operation, gradient))
