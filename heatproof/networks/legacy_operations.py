"""TensorFlow's plain functions that Keras 2 wrote into a network, as `keras.ops`; no other function is ever called.

Keras 2 stored `x / 255 - 1` or `tf.nn.relu6(x)` as a layer that names a function of TensorFlow. The first argument of
each function below is the tensor; the others carry the names that TensorFlow gave them.
"""

import keras
import numpy as np
from keras import ops

_HISTORY = "_keras_history"  # what a symbolic tensor knows of the operation that it came from


def _each(prefix, names):
    return {f"{prefix}.{name}": getattr(ops, name) for name in names.split()}


def _pair(function):
    return lambda x, y: function(_array(x), _array(y))


def _reduction(function):
    return lambda x, axis=None, keepdims=False: function(x, axis=_tuple(axis), keepdims=bool(keepdims))


def _tuple(axis):
    return tuple(axis) if isinstance(axis, list) else axis


def _array(value):
    """A list of numbers as an array of float32 or int32; a tensor and a number as they are."""
    if not isinstance(value, list):
        return value
    array = np.asarray(value)
    return array.astype("float32") if array.dtype.kind == "f" else array.astype("int32")


def _piece(x, slice_spec):
    """x[start:stop:step, ...]: Keras 2 stored slices as dictionaries."""

    def one(entry):
        if not isinstance(entry, dict):
            return entry
        if entry.get("class_name") == "__ellipsis__":
            return Ellipsis
        return slice(entry["start"], entry["stop"], entry["step"])

    return x[tuple(map(one, slice_spec)) if isinstance(slice_spec, list) else one(slice_spec)]


def _split(x, num_or_size_splits, axis=0):
    sizes = num_or_size_splits
    return ops.split(x, np.cumsum(sizes)[:-1].tolist() if isinstance(sizes, list) else sizes, axis=axis)


def _pad(x, paddings, mode="CONSTANT", constant_values=0):
    mode = mode.lower()
    return ops.pad(x, paddings, mode=mode, constant_values=constant_values if mode == "constant" else None)


def _norm(x, ord="euclidean", axis=None, keepdims=None):
    return ops.norm(x, ord=None if ord == "euclidean" else ord, axis=_tuple(axis), keepdims=bool(keepdims))


def _matmul(x, b, transpose_a=False, transpose_b=False):
    left, right = ("...ji" if transpose_a else "...ij"), ("...kj" if transpose_b else "...jk")
    if transpose_a or transpose_b:
        return ops.einsum(f"{left},{right}->...ik", x, _array(b))
    return ops.matmul(_array(x), _array(b))


def _bias_add(x, bias, data_format=None):
    bias = _array(bias)
    return ops.add(x, bias.reshape(-1, *[1] * (len(x.shape) - 2)) if str(data_format).startswith("NC") else bias)


def _gather(x, indices, axis=0, batch_dims=0, validate_indices=None):
    if batch_dims:
        raise ValueError(f"batch_dims={batch_dims}")
    return ops.take(x, _array(indices), axis=0 if axis is None else axis)


PLAIN_OPERATIONS = {
    **_each("math", "abs ceil cos erf exp floor log log1p logical_not negative reciprocal round rsqrt"),
    **_each("math", "sigmoid sign sin softplus sqrt square tanh"),
    **_each("nn", "elu relu relu6 selu silu softsign"),
    "nn.gelu": lambda x, approximate=False: ops.gelu(x, approximate=approximate),
    "nn.leaky_relu": lambda x, alpha=0.2: ops.leaky_relu(x, negative_slope=alpha),
    "nn.softmax": lambda x, axis=None: ops.softmax(x, axis=-1 if axis is None else axis),
    "nn.log_softmax": lambda x, axis=None: ops.log_softmax(x, axis=-1 if axis is None else axis),
    "nn.bias_add": _bias_add,
    "__operators__.add": _pair(ops.add),
    "__operators__.getitem": _piece,
    "math.add": _pair(ops.add),
    "math.divide_no_nan": _pair(ops.divide_no_nan),
    "compat.v1.floor_div": _pair(ops.floor_divide),
    "math.floormod": _pair(ops.mod),
    "math.multiply": _pair(ops.multiply),
    "math.pow": _pair(ops.power),
    "math.subtract": _pair(ops.subtract),
    "math.truediv": _pair(ops.true_divide),
    "math.divide": _pair(ops.true_divide),
    **{f"math.{name}": _pair(getattr(ops, name)) for name in ("maximum", "minimum", "logical_and", "logical_or")},
    **{f"math.{name}": _pair(getattr(ops, name)) for name in ("greater", "greater_equal", "less", "less_equal")},
    **{f"math.reduce_{name}": _reduction(getattr(ops, name)) for name in ("mean", "sum", "max", "min", "prod")},
    **{f"math.reduce_{name}": _reduction(getattr(ops, name)) for name in ("any", "all", "std")},
    "math.reduce_variance": _reduction(ops.var),
    "math.reduce_logsumexp": _reduction(ops.logsumexp),
    "math.argmax": lambda x, axis=0: ops.argmax(x, axis=axis),
    "math.l2_normalize": lambda x, axis=None, epsilon=1e-12: ops.normalize(x, axis=axis, order=2, epsilon=epsilon),
    "compat.v1.norm": _norm,
    "linalg.matmul": _matmul,
    "tensordot": lambda x, b, axes: ops.tensordot(x, _array(b), axes=axes),
    "where": lambda condition, x, y: ops.where(condition, _array(x), _array(y)),
    "cast": lambda x, dtype: ops.cast(x, dtype),
    "clip_by_value": lambda x, clip_value_min, clip_value_max: ops.clip(x, clip_value_min, clip_value_max),
    "concat": lambda x, axis: ops.concatenate(x, axis=axis),
    "stack": lambda x, axis=0: ops.stack(x, axis=axis),
    "unstack": lambda x, num=None, axis=0: ops.unstack(x, num=num, axis=axis),
    "split": _split,
    "tile": lambda x, multiples: ops.tile(x, multiples),
    "repeat": lambda x, repeats, axis=None: ops.repeat(x, repeats, axis=axis),
    "compat.v1.gather": _gather,
    "reverse": lambda x, axis: ops.flip(x, axis=_tuple(axis)),
    "expand_dims": lambda x, axis: ops.expand_dims(x, axis),
    "compat.v1.squeeze": lambda x, axis=None: ops.squeeze(x, axis=_tuple(axis)),
    "compat.v1.transpose": lambda x, perm=None, conjugate=False: ops.transpose(x, perm),
    "compat.v1.pad": _pad,
    "reshape": lambda x, shape: ops.reshape(x, shape),
    "keras.backend.batch_flatten": lambda x: ops.reshape(x, (-1, int(np.prod(x.shape[1:])))),
    "zeros_like": ops.zeros_like,
    "ones_like": ops.ones_like,
    "stop_gradient": ops.stop_gradient,
    "identity": lambda x: x,
    "ensure_shape": lambda x, shape: x,
    "image.flip_left_right": lambda x: ops.flip(x, axis=-2),
    "image.rgb_to_grayscale": lambda x: ops.image.rgb_to_grayscale(x, data_format="channels_last"),
    "image.resize": lambda x, size, method="bilinear", antialias=False: ops.image.resize(
        x, size, interpolation=method, antialias=antialias, data_format="channels_last"
    ),
}


def apply(function, name, x, arguments):
    """The function of a layer named ``name`` on tensors, under that name: a layer can be asked for by it."""
    result = function(x, **{key: value for key, value in arguments.items() if key != "name"})
    before = [each._keras_history.operation for each in keras.tree.flatten((x, arguments)) if hasattr(each, _HISTORY)]
    operation = keras.tree.flatten(result)[0]._keras_history.operation
    if operation not in before:
        operation.name = name
    return result
