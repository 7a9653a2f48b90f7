"""One small network in every shape a Keras model can have, and the same network without Keras.

`Truth` holds the weights and computes the network in float64 with plain TensorFlow operations, eagerly; its maps are
written from the papers' formulas. `SHAPES` builds Keras models that must all compute that network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import xai_utils as xu

IMAGE, SIGNAL = (8, 6, 2), (12, 2)
CLASSES, EPSILON = 3, 1e-3
OPTIONS = {
    "smooth_grad": {"samples": 3, "noise": 0.2, "seed": 7},
    "var_grad": {"samples": 3, "noise": 0.2, "seed": 7},
    "integrated_gradients": {"steps": 3, "baseline": 0.25},
    "cam": {"upsample": False},
    "grad_cam": {"upsample": False},
}
TARGETS = np.array([2, 0, 1])


@tf.custom_gradient
def guided_relu(a):
    """Springenberg et al. 2015: back through a ReLU only where its input and the signal are positive."""
    return tf.nn.relu(a), lambda R: R * tf.cast(a > 0, R.dtype) * tf.cast(R > 0, R.dtype)


@tf.custom_gradient
def deconv_relu(a):
    """Zeiler and Fergus 2014: back through a ReLU only where the signal is positive."""
    return tf.nn.relu(a), lambda R: R * tf.cast(R > 0, R.dtype)


class Truth:
    """conv + ReLU, max pooling, conv + ReLU, mean over space, dense; with `residual` also a skip and batch norms."""

    def __init__(self, shape=IMAGE, residual=False, binary=False, seed=3):
        draw = np.random.default_rng(seed).normal
        self.shape, self.residual, self.binary = shape, residual, binary
        self.kernel = (3,) * (len(shape) - 1)
        norm = np.abs(draw(1, 0.3, (2, 4, 4)))  # gamma, beta, moving mean, moving variance of two batch norms
        self.weights = {
            "conv_1": [draw(0, 0.4, (*self.kernel, 2, 4)), draw(0, 0.3, 4)],
            "conv_2": [draw(0, 0.3, (*self.kernel, 4, 4)), draw(0, 0.3, 4)],
            "norm_1": list(norm[0]),
            "norm_2": list(norm[1]),
            "head": [draw(0, 1, (4, CLASSES)), draw(0, 1, CLASSES)],
        }
        if binary:
            self.weights["head"] = [draw(0, 1, (4, 1)), draw(0, 1, 1)]

    def inputs(self, count=3, seed=5):
        return np.random.default_rng(seed).normal(size=(count, *self.shape)).astype(np.float32)

    @property
    def targets(self):
        return TARGETS % 2 if self.binary else TARGETS

    def give_to(self, model):
        """Set the weights of every layer that carries one of the names, however deep it lies."""
        for layer in model.layers:
            if hasattr(layer, "layers"):
                self.give_to(layer)
            elif layer.name in self.weights:
                values = zip(self.weights[layer.name], layer.weights, strict=True)
                layer.set_weights([value.reshape(variable.shape) for value, variable in values])
        return model

    # --- the network, in float64; a signal is an image of width 1 ---

    def _convolve(self, x, name):
        kernel, bias = self.weights[name]
        kernel = kernel if len(self.shape) == 3 else kernel[:, None]
        return tf.nn.conv2d(x, kernel, 1, "SAME") + bias

    def _norm(self, x, name):
        gamma, beta, mean, variance = self.weights[name]
        return gamma * (x - mean) / np.sqrt(variance + EPSILON) + beta

    def features(self, x, relu=tf.nn.relu):
        """A, the maps that the head averages: (N, h, w, 4)."""
        x = x if len(self.shape) == 3 else x[:, :, None]
        if self.residual:
            a = relu(self._norm(self._convolve(x, "conv_1"), "norm_1"))
            return relu(a + self._norm(self._convolve(a, "conv_2"), "norm_2"))
        a = relu(self._convolve(x, "conv_1"))
        size = (2, 2) if len(self.shape) == 3 else (2, 1)
        return relu(self._convolve(tf.nn.max_pool2d(a, size, size, "VALID"), "conv_2"))

    def head(self, A):
        """Logits (N, classes); one sigmoid unit z has the logits -z and z."""
        z = tf.reduce_mean(A, axis=(1, 2)) @ self.weights["head"][0] + self.weights["head"][1]
        return tf.concat([-z, z], axis=1) if self.binary else z

    def logits(self, x):
        return self.head(self.features(tf.constant(x, tf.float64))).numpy()

    def probabilities(self, x):
        """Softmax, or sigma(z) and 1 - sigma(z) for one sigmoid unit."""
        z = self.logits(x)
        p = 1 / (1 + np.exp(-z)) if self.binary else np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return p

    # --- maps ---

    def gradient(self, x, targets, relu=tf.nn.relu, ending=None):
        """dS_c/dx with S_c = ending(logits)_c, the logit for None."""
        x = tf.constant(x, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(x)
            z = self.head(self.features(x, relu))
            score = tf.gather(z if ending is None else ending(z), targets, batch_dims=1)
        return tape.gradient(score, x).numpy()

    def unit_gradient(self, x, channel, relu=tf.nn.relu):
        """d mean_p A_channel(p) / dx."""
        x = tf.constant(x, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.reduce_mean(self.features(x, relu)[..., channel], axis=(1, 2))
        return tape.gradient(score, x).numpy()

    def on_grid(self, maps):
        return maps if len(self.shape) == 3 else maps[:, :, 0]


def _noisy_gradients(truth, x, gradient):
    option = OPTIONS["smooth_grad"]
    space = tuple(range(1, x.ndim))
    sigma = option["noise"] * (x.max(axis=space, keepdims=True) - x.min(axis=space, keepdims=True))
    streams = [np.random.default_rng([option["seed"], k]) for k in range(option["samples"])]
    return np.stack([gradient(x + sigma * s.standard_normal(truth.shape, np.float32)) for s in streams])


def _path_integral(x, gradient):
    option = OPTIONS["integrated_gradients"]
    start, steps = option["baseline"], option["steps"]
    return (x - start) * np.mean([gradient(start + (k + 0.5) / steps * (x - start)) for k in range(steps)], axis=0)


def _gradient_map(name, truth, x, gradient):
    """The map of a method of the gradient family, where gradient(x, relu) differentiates the score."""
    if name == "gradient_x_input":
        return x * gradient(x)
    if name == "smooth_grad":
        return _noisy_gradients(truth, x, gradient).mean(axis=0)
    if name == "var_grad":
        return _noisy_gradients(truth, x, gradient).var(axis=0)
    if name == "integrated_gradients":
        return _path_integral(x, gradient)
    rules = {"saliency": tf.nn.relu, "guided_backprop": guided_relu, "deconvnet": deconv_relu}
    return gradient(x, rules[name])


def _cam(truth, x, targets):
    A, weights = truth.features(tf.constant(x, tf.float64)).numpy(), truth.weights["head"][0]
    weights = np.concatenate([-weights, weights], axis=1) if truth.binary else weights
    return truth.on_grid(np.stack([a @ weights[:, c] for a, c in zip(A, targets, strict=True)]))


def _grad_cam(truth, x, targets):
    A = truth.features(tf.constant(x, tf.float64))
    with tf.GradientTape() as tape:
        tape.watch(A)
        score = tf.gather(truth.head(A), targets, batch_dims=1)
    alpha = tf.reduce_mean(tape.gradient(score, A), axis=(1, 2), keepdims=True)
    return truth.on_grid(np.maximum(tf.reduce_sum(alpha * A, axis=-1).numpy(), 0))


def expected(name, truth, x, targets):
    """The map of the method `name` with its OPTIONS, computed without Keras and without the code under test."""
    if name in ("cam", "grad_cam"):
        return {"cam": _cam, "grad_cam": _grad_cam}[name](truth, x, targets)
    return _gradient_map(name, truth, x, lambda points, *relu: truth.gradient(points, targets, *relu))


def expected_of_unit(name, truth, x, channel):
    """The same for the mean of feature map `channel`: there dS/dA_k(p) = 1/Z, so Grad-CAM is A_k / Z."""
    if name == "grad_cam":
        A = truth.features(tf.constant(x, tf.float64)).numpy()[..., channel]
        return truth.on_grid(A / A[0].size)
    return _gradient_map(name, truth, x, lambda points, *relu: truth.unit_gradient(points, channel, *relu))


def distance(found, true):
    """Sum of the absolute errors relative to the sum of the true magnitudes; the shapes must agree."""
    assert found.shape == true.shape, (found.shape, true.shape)
    return float(np.abs(found - true).sum() / np.abs(true).sum())


# --- the shapes -----------------------------------------------------------------------------------------------


def _layer(truth, name):
    return getattr(layers, f"{name}{len(truth.shape) - 1}D")


def trunk(truth, dtype=None):
    """The layers before the head, fresh ones, in order."""
    options = {"padding": "same", "activation": "relu", "dtype": dtype}
    return [
        _layer(truth, "Conv")(4, 3, name="conv_1", **options),
        _layer(truth, "MaxPooling")(2, name="pool", dtype=dtype),
        _layer(truth, "Conv")(4, 3, name="conv_2", **options),
    ]


def head(truth, ending="softmax", dtype=None):
    units = 1 if truth.binary else CLASSES
    pooling = _layer(truth, "GlobalAveragePooling")(name="gap", dtype=dtype)
    return [pooling, layers.Dense(units, activation=ending, name="head", dtype=dtype)]


def chain(steps, x):
    for step in steps:
        x = step(x)
    return x


def functional(truth, ending="softmax", shape=None, dtype=None):
    inputs = keras.Input(shape or truth.shape)
    return keras.Model(inputs, chain(trunk(truth, dtype) + head(truth, ending, dtype), inputs))


def sequential(truth):
    return keras.Sequential([keras.Input(truth.shape), *trunk(truth), *head(truth)])


def sequential_after_a_call(truth):
    model = keras.Sequential(trunk(truth) + head(truth))
    model(truth.inputs(2))
    return model


def nested_classifier(truth):
    inputs = keras.Input(truth.shape)
    return keras.Model(inputs, functional(truth)(inputs))


def nested_trunk(truth):
    inputs, inner = keras.Input(truth.shape), keras.Sequential([keras.Input(truth.shape), *trunk(truth)])
    return keras.Model(inputs, chain(head(truth), inner(inputs)))


def residual(truth):
    conv_1, _, conv_2 = trunk(truth)
    conv_1.activation = conv_2.activation = keras.activations.linear
    norm_1, norm_2 = (layers.BatchNormalization(epsilon=EPSILON, name=f"norm_{k}") for k in (1, 2))
    inputs = keras.Input(truth.shape)
    a = layers.ReLU()(norm_1(conv_1(inputs)))
    A = layers.ReLU()(layers.Add()([a, norm_2(conv_2(a))]))
    return keras.Model(inputs, chain(head(truth), A))


def pointwise_head(truth):
    inputs = keras.Input(truth.shape)
    x = layers.GlobalAveragePooling2D(keepdims=True)(chain(trunk(truth), inputs))
    x = layers.Reshape((CLASSES,))(layers.Conv2D(CLASSES, 1, name="head")(x))
    return keras.Model(inputs, layers.Activation("softmax")(x))


class Subclassed(keras.Model):
    """A model that is only a `call`."""

    def __init__(self, truth):
        super().__init__()
        self.steps = trunk(truth) + head(truth)

    def call(self, inputs):
        return chain(self.steps, inputs)


def subclassed(truth):
    model = Subclassed(truth)
    model(truth.inputs(2))
    return model


@dataclass(frozen=True)
class Shape:
    """How to build a model, the network it must compute, and how near its maps must come."""

    build: Callable
    truth: Truth
    tolerance: float = 1e-5
    saved: bool = False

    def model(self, folder):
        model = self.truth.give_to(self.build(self.truth))
        if self.saved:
            model.save(folder / "saved.keras")
            model = xu.load_model(folder / "saved.keras")
        return model


PLAIN = Truth()
SHAPES = {
    "functional": Shape(functional, PLAIN),
    "logits": Shape(lambda truth: functional(truth, None), PLAIN),
    "sigmoid": Shape(lambda truth: functional(truth, "sigmoid"), Truth(binary=True)),
    "sequential": Shape(sequential, PLAIN),
    "sequential after a call": Shape(sequential_after_a_call, PLAIN),
    "saved and loaded": Shape(functional, PLAIN, saved=True),
    "nested classifier": Shape(nested_classifier, PLAIN),
    "nested trunk": Shape(nested_trunk, PLAIN),
    "residual and batch norm": Shape(residual, Truth(residual=True)),
    "one dimension": Shape(functional, Truth(SIGNAL)),
    "1x1 convolution head": Shape(pointwise_head, PLAIN),
    "subclassed": Shape(subclassed, PLAIN),
    "sides of any size": Shape(lambda truth: functional(truth, shape=(None, None, 2)), PLAIN),
    "mixed precision": Shape(lambda truth: functional(truth, dtype="mixed_float16"), PLAIN, tolerance=1e-2),
}
