"""Arrays on their way into a graph and out of it."""

import numpy as np
import tensorflow as tf


def input_dtype(model):
    """Return "float64" for a float64 model, otherwise "float32"."""
    tensors = getattr(model, "inputs", None)
    return "float64" if tensors and tensors[0].dtype == "float64" else "float32"


def aligned(shape, dtype):
    """An empty array that begins where TensorFlow wants its tensors to begin: at a multiple of 64 bytes."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.empty(size + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + size].view(dtype).reshape(shape)


def shared(array):
    """The tensor that reads an `aligned` array, or a part of its rows, where it lies; other floats in such a copy.

    TensorFlow's own copy takes twice as long.
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not array.size:
        return array
    if array.ctypes.data % 64 or not array.flags.carray:
        given, array = array, aligned(array.shape, array.dtype)
        array[...] = given
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def as_float(tensor):
    """float64 stays; float16 of mixed precision and the rest become float32."""
    return tensor if tensor.dtype == tf.float64 else tf.cast(tensor, tf.float32)


def space_mean(array):
    """Mean over the spatial axes of (N, ..., K): shape (N, K)."""
    axes = tuple(range(1, len(array.shape) - 1))
    return array.mean(axis=axes) if isinstance(array, np.ndarray) else tf.reduce_mean(array, axis=axes)
