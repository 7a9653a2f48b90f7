"""Grouped convolutions in every type of number: the maps of the same weights in convolutions that are not grouped.

The oracle is written with TensorFlow alone, in float64: the channels are split, each group has a convolution of its
own, and what these give is put in a row. Its maps are the formulas of the papers.
"""

import itertools

import keras
import numpy as np
import pytest
import shapes
import tapes
import tensorflow as tf
from keras import layers

import xai_utils as xu
from heatproof.engine import grouped
from models import randomised

IMAGE, SIGNAL, TARGETS = (8, 6, 4), (14, 4), np.array([2, 0])
# Maps are float32; of a coarse type 16 steps, which a wrong group exceeds by far.
TOLERANCE = {"float64": 1e-6, "float32": 1e-5, "float16": 2**-6, "bfloat16": 2**-3}
TYPES = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
KINDS = {  # shape of an input, layer, its options, number of groups
    "Conv2D": (IMAGE, layers.Conv2D, {"filters": 6, "groups": 2}, 2),
    "Conv2D, stride": (IMAGE, layers.Conv2D, {"filters": 8, "groups": 4, "strides": 2, "padding": "same"}, 4),
    "Conv2D, dilated": (IMAGE, layers.Conv2D, {"filters": 6, "groups": 2, "dilation_rate": 2, "padding": "same"}, 2),
    "Conv1D": (SIGNAL, layers.Conv1D, {"filters": 6, "groups": 2, "strides": 2}, 2),
    "DepthwiseConv2D": (IMAGE, layers.DepthwiseConv2D, {"depth_multiplier": 2}, 4),
    "DepthwiseConv1D": (SIGNAL, layers.DepthwiseConv1D, {"padding": "same"}, 4),
    "SeparableConv2D": (IMAGE, layers.SeparableConv2D, {"filters": 6}, 4),
    "SeparableConv1D": (SIGNAL, layers.SeparableConv1D, {"filters": 6}, 4),
}


def network(kind, dtype):
    """A layer in groups with its ReLU, then pooling and a softmax."""
    shape, layer, options, _ = KINDS[kind]
    inputs = keras.Input(shape, dtype=None if dtype.startswith("mixed") else dtype)
    A = layer(kernel_size=3, activation="relu", name="parts", dtype=dtype, **options)(inputs)
    pooling = layers.GlobalAveragePooling1D if len(shape) == 2 else layers.GlobalAveragePooling2D
    logits = layers.Dense(3, name="scores", dtype=dtype)(pooling(dtype=dtype)(A))
    model = keras.Model(inputs, layers.Softmax(dtype="float32")(logits))
    return randomised(model, 3, spread=2.0)


class Twin:
    """The same network in float64, without Keras and without groups."""

    def __init__(self, model, kind):
        self.shape, _, self.options, self.groups = KINDS[kind]
        exact = lambda value: np.asarray(tf.cast(value, tf.float64))  # noqa: E731
        self.kernel, *pointwise, self.bias = (exact(value) for value in model.get_layer("parts").weights)
        self.pointwise = pointwise[0] if pointwise else None
        self.head = [exact(value) for value in model.get_layer("scores").weights]

    def kernels(self):
        """One for each group; in a depthwise kernel the third axis is that of the groups."""
        if self.kernel.shape[-2] == self.shape[-1]:
            return np.split(self.kernel, self.groups, axis=-2)
        return np.split(self.kernel, self.groups, axis=-1)

    def features(self, x, relu=tf.nn.relu):
        options = {"strides": self.options.get("strides", 1), "dilations": self.options.get("dilation_rate", 1)}
        options["padding"] = self.options.get("padding", "valid").upper()
        parts = zip(tf.split(x, self.groups, axis=-1), self.kernels(), strict=True)
        a = tf.concat([tf.nn.convolution(part, kernel, **options) for part, kernel in parts], axis=-1)
        return relu((a if self.pointwise is None else tf.nn.convolution(a, self.pointwise)) + self.bias)

    def scores(self, A):
        return tf.reduce_mean(A, axis=tuple(range(1, A.ndim - 1))) @ self.head[0] + self.head[1]

    def gradient(self, x, relu=tf.nn.relu):
        score = lambda z: shapes.of_classes(z, TARGETS)  # noqa: E731
        return tapes.gradient(lambda points: self.scores(self.features(points, relu)), x, score)

    def score(self, points, target, probability=False):
        z = self.scores(self.features(tf.constant(np.asarray(points), tf.float64)))
        return (tf.nn.softmax(z) if probability else z).numpy()[:, target]

    def at_features(self, x, probability):
        A = self.features(tf.constant(x, tf.float64))
        score = lambda z: shapes.of_classes(tf.nn.softmax(z) if probability else z, TARGETS)  # noqa: E731
        return A.numpy(), tapes.gradient(self.scores, A, score)


def integrated(twin, x):
    return x * np.mean([twin.gradient(x * (k + 0.5) / 3) for k in range(3)], axis=0)


def grad_cam(twin, x):
    A, g = twin.at_features(x, False)
    return np.maximum((A * g.mean(axis=tuple(range(1, g.ndim - 1)), keepdims=True)).sum(axis=-1), 0)


def ablation(twin, x):
    A, _ = twin.at_features(x, False)
    maps = np.zeros(A.shape[:-1])
    for k in range(A.shape[-1]):
        lost = twin.scores(A) - twin.scores(A * (np.arange(A.shape[-1]) != k))
        weights = shapes.of_classes(lost, TARGETS).numpy()
        maps += weights.reshape(-1, *[1] * (maps.ndim - 1)) * A[..., k]
    return np.maximum(maps, 0)


def occluded(twin, x):
    drops, space = np.zeros(x.shape[:-1]), x.shape[1:-1]
    for item, corner in itertools.product(range(len(x)), itertools.product(*(range(0, side, 2) for side in space))):
        covered, where = x[item].copy(), tuple(slice(start, start + 2) for start in corner)
        covered[where] = 0
        drops[(item, *where)] = np.subtract(*twin.score([x[item], covered], TARGETS[item]))
    return drops


def sise(twin, x):
    """Of one block, the last."""
    maps, (A, g) = [], twin.at_features(x, True)
    for item, target in enumerate(TARGETS):
        V = np.zeros(x.shape[1:-1])
        for k in np.flatnonzero(g[item].reshape(-1, A.shape[-1]).mean(axis=0) > 0):
            m = shapes.scaled(shapes.enlarged(A[item, ..., k], x.shape[1:-1]))
            V += twin.score([x[item] * m[..., None]], target, True)[0] * m
        maps.append(shapes.scaled(V))
    return np.stack(maps)


METHODS = {
    "saliency": ({}, lambda twin, x: twin.gradient(x)),
    "guided_backprop": ({}, lambda twin, x: twin.gradient(x, shapes.guided_relu)),
    "integrated_gradients": ({"steps": 3}, integrated),
    "grad_cam": ({"upsample": False}, grad_cam),
    "ablation_cam": ({"upsample": False}, ablation),
    "occlusion": ({"patch": 2, "stride": 2, "fill": "zero"}, occluded),
    "sise": ({"layers": "parts", "align": "stretch"}, sise),  # the oracle enlarges evenly
}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_maps_are_those_of_split_channels_in_float64(kind, dtype):
    model = network(kind, dtype)
    shape = KINDS[kind][0]
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype("float16").astype("float64")
    twin, given = Twin(model, kind), x.astype("float64" if dtype == "float64" else "float32")
    for name, (options, formula) in METHODS.items():
        found = getattr(xu, name)(model, given, TARGETS, **options)
        wanted = formula(twin, x)
        assert np.shape(found) == wanted.shape and wanted.any()
        # As lengths: in a coarse type a ReLU near zero opens or shuts, and moves the few values behind it.
        distance = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
        assert distance <= TOLERANCE[dtype.removeprefix("mixed_")], (name, distance)


@pytest.mark.parametrize("kind", [kind for kind, row in KINDS.items() if "groups" in row[2]])
def test_group_by_group_is_the_gradient_that_tensorflow_has(kind, monkeypatch):
    """In float32, where it has one; also with respect to the kernels, which may depend on the input."""
    model = network(kind, "float32")
    x = np.random.default_rng(1).normal(size=(2, *KINDS[kind][0])).astype("float32")
    at_once = xu.saliency(model, x, TARGETS)
    xu.forget(model)
    monkeypatch.setattr(grouped, "_at_once", lambda dtype: False)
    tapes.close(xu.saliency(model, x, TARGETS), at_once, 1e-6)


class Dynamic(layers.Layer):
    """A grouped convolution whose kernels are read from the input."""

    def call(self, x):
        kernel = tf.reshape(tf.reduce_mean(x, axis=0)[:3, :3, :2], (3, 3, 2, 1))
        return keras.ops.conv(x, tf.tanh(tf.concat([kernel, 2 * kernel], axis=-1)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_that_depend_on_the_input_are_differentiated_too(dtype):
    inputs = keras.Input(IMAGE, dtype=dtype)
    x = Dynamic(dtype=dtype)(inputs)
    model = randomised(keras.Model(inputs, layers.Dense(3, dtype=dtype)(layers.Flatten(dtype=dtype)(x))), 2)
    x = np.random.default_rng(1).normal(size=(1, *IMAGE)).astype(dtype)
    weights = [value.astype(np.float64) for value in model.get_weights()]

    def plain(x):
        kernel = tf.tanh(tf.reshape(tf.reduce_mean(x, axis=0)[:3, :3, :2], (3, 3, 2, 1)))
        second = tf.tanh(2 * tf.reshape(tf.reduce_mean(x, axis=0)[:3, :3, :2], (3, 3, 2, 1)))
        parts = [tf.nn.conv2d(x[..., :2], kernel, 1, "VALID"), tf.nn.conv2d(x[..., 2:], second, 1, "VALID")]
        return tf.reshape(tf.concat(parts, axis=-1), (len(x), -1)) @ weights[0] + weights[1]

    found = xu.saliency(model, x, 1, score="logit", activation="softmax")
    tapes.close(found, tapes.gradient(plain, x, tapes.output(1)), 1e-5)


def test_a_group_is_taken_back_at_once_only_where_tensorflow_can():
    """Asked of TensorFlow itself, with a tape and without the compiler that Keras calls."""
    for dtype in ("float32", "float64", "float16", "bfloat16"):
        x, kernel = tf.ones((1, 3, 3, 4), dtype), tf.ones((2, 2, 2, 6), dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.nn.conv2d(x, kernel, 1, "VALID")
        try:
            can = tape.gradient(y, x) is not None
        except tf.errors.OpError:
            can = False
        assert grouped._at_once(tf.as_dtype(dtype)) == can
