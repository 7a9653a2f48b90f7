"""Gates whose inner ReLU is no ReLU of the network, and networks whose channels come first.

Backward rules are custom gradients of our own in float64; a network with the channels first has a twin with the
channels last, whose maps the tape or that twin gives.
"""

import functools

import cures
import keras
import numpy as np
import pytest
import tapes
import tensorflow as tf
from keras import layers
from shapes import deconv_relu, guided_relu

import xai_utils as xu
from models import randomised

SHAPE = (8, 6, 2)
IMAGES = np.random.default_rng(0).normal(0, 2, size=(3, *SHAPE)).astype(np.float32)

# --- gates ------------------------------------------------------------------------------------------------------------


def hard_sigmoid(x):
    return tf.clip_by_value(x / 6 + 0.5, 0, 1)


class Swish(layers.Layer):
    """Hard swish in plain TensorFlow."""

    def call(self, x):
        return x * tf.nn.relu6(x + 3) / 6


GATES = {  # the layers as they are written, and what they compute
    "hard_silu": (lambda x: layers.Activation("hard_silu")(x), lambda x: x * hard_sigmoid(x)),
    "in a layer of its own": (lambda x: Swish()(x), lambda x: x * hard_sigmoid(x)),
    "hard_sigmoid": (lambda x: layers.Activation("hard_sigmoid")(x), hard_sigmoid),
    "by layers, as in MobileNetV3": (
        lambda x: layers.Multiply()([x, layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)]),
        lambda x: x * hard_sigmoid(x),
    ),
    "by operators": (lambda x: x * keras.ops.relu6(x + 3.0) / 6.0, lambda x: x * hard_sigmoid(x)),
    "of channels": (
        lambda x: x * keras.ops.relu6(keras.ops.mean(x, axis=(1, 2), keepdims=True) + 3.0) / 6.0,
        lambda x: x * hard_sigmoid(tf.reduce_mean(x, axis=(1, 2), keepdims=True)),
    ),
}
RULES = {"guided_backprop": guided_relu, "deconvnet": deconv_relu}


def gated(gate, relu=True, cap=None):
    """Convolution, gate, convolution, ReLU (or ReLU6), dense."""
    inputs = keras.Input(SHAPE)
    x = GATES[gate][0](layers.Conv2D(4, 3, padding="same", name="one")(inputs))
    x = layers.Conv2D(4, 3, padding="same", name="two")(x)
    x = layers.ReLU(cap)(x) if relu else x
    return randomised(keras.Model(inputs, layers.Dense(3, name="head")(layers.Flatten()(x))), 1)


def by_rule(model, gate, rule, images=IMAGES):
    """The backward signal in float64: the rule at the ReLU, the chain rule through the gate."""
    w = {layer.name: [tf.constant(v, tf.float64) for v in layer.get_weights()] for layer in model.layers}

    def forward(x):
        x = GATES[gate][1](tf.nn.conv2d(x, w["one"][0], 1, "SAME") + w["one"][1])
        x = rule(tf.nn.conv2d(x, w["two"][0], 1, "SAME") + w["two"][1])
        return tf.reshape(x, (len(x), -1)) @ w["head"][0] + w["head"][1]

    np.testing.assert_allclose(forward(tf.constant(images, tf.float64)), model(images), rtol=1e-4, atol=1e-4)
    return tapes.gradient(forward, images, tapes.output(1))


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("method", RULES)
def test_the_rule_does_not_enter_a_gate(method, gate):
    model = gated(gate)
    tapes.close(tapes.heard(getattr(xu, method), model, IMAGES, 1)[0], by_rule(model, gate, RULES[method]))


@pytest.mark.parametrize(
    "method, gate", [*(("guided_backprop", gate) for gate in GATES), ("guided_grad_cam", "hard_silu")]
)
def test_a_network_with_gates_alone_has_no_relu(method, gate):
    with pytest.raises(ValueError, match="^model: got one that has no ReLU"):
        getattr(xu, method)(gated(gate, relu=False), IMAGES, 1)


def test_a_relu6_that_is_an_activation_is_still_one():
    @tf.custom_gradient
    def rule(a):
        return tf.nn.relu6(a), lambda R: R * tf.cast((a > 0) & (a < 6) & (R > 0), R.dtype)

    model = gated("hard_silu", cap=6.0)
    found = tapes.heard(xu.guided_backprop, model, 3 * IMAGES, 1)[0]
    tapes.close(found, by_rule(model, "hard_silu", rule, 3 * IMAGES))


NORMALISING = {
    "Normalization": lambda: layers.Normalization(mean=[0.5, -0.5], variance=[2.0, 0.5]),
    "UnitNormalization": lambda: layers.UnitNormalization(),
    "LayerNormalization": lambda: layers.LayerNormalization(),
}


@pytest.mark.parametrize("kind", NORMALISING)
def test_what_a_normalization_clips_is_no_activation(kind):
    """The rules then change every activation that there is, so that nothing is to be warned of."""
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(NORMALISING[kind]()(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    found = tapes.silent(xu.guided_backprop, model, IMAGES, 1)
    conv, head = model.layers[2], model.layers[4]
    w, v = tf.constant(conv.kernel.numpy(), tf.float64), tf.constant(head.kernel.numpy(), tf.float64)
    scale = {"Normalization": lambda x: (x - [0.5, -0.5]) / np.sqrt([2.0, 0.5])}
    scale["UnitNormalization"] = lambda x: x / tf.norm(x, axis=-1, keepdims=True)
    scale["LayerNormalization"] = lambda x: (
        (x - tf.reduce_mean(x, -1, keepdims=True)) / tf.sqrt(tf.math.reduce_variance(x, -1, keepdims=True) + 1e-3)
    )

    def forward(x):
        return tf.reshape(guided_relu(tf.nn.conv2d(scale[kind](x), w, 1, "SAME")), (len(x), -1)) @ v

    tapes.close(found, tapes.gradient(forward, IMAGES, tapes.output(1)))


# --- channels first ---------------------------------------------------------------------------------------------------


@functools.cache
def network(data_format, rank=2, flat=False):
    """The same weights in both layouts; a Flatten layer reads the channels last in both."""
    last = data_format == "channels_last"
    shape = (*SHAPE[:rank], 2) if last else (2, *SHAPE[:rank])
    of_rank = lambda name: getattr(layers, f"{name}{rank}D")  # noqa: E731
    options = {"data_format": data_format}
    inputs = keras.Input(shape)
    x = of_rank("Conv")(4, 3, padding="same", activation="relu", name="conv_1", **options)(inputs)
    x = layers.BatchNormalization(axis=-1 if last else 1)(x)
    x = of_rank("MaxPooling")(2, **options)(x)
    x = of_rank("Conv")(5, 3, padding="same", activation="relu", name="conv_2", **options)(x)
    x = layers.Flatten(**options)(x) if flat else of_rank("GlobalAveragePooling")(**options)(x)
    return randomised(keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(x)), 7)


def images_of(rank):
    """Channels last and channels first."""
    images = IMAGES if rank == 2 else IMAGES[:, :, 0]
    return images, np.ascontiguousarray(np.moveaxis(images, -1, 1))


OPTIONS = {
    "smooth_grad": {"samples": 3, "noise": 0.0},
    "integrated_gradients": {"steps": 4},
    "occlusion": {"patch": 3, "stride": 2, "fill": 0.3},
    "rise": {"masks": 40, "grid": 3},
    "lime": {"samples": 60, "fill": 0.0},
}
CASES = [(name, 2, False) for name in xu.METHODS if name != "var_grad"]  # with so little noise its map is rounding
CASES += [(name, 1, True) for name in ("gradient_x_input", "hires_cam", "occlusion", "sise")]


@pytest.mark.parametrize("name, rank, flat", CASES)
def test_with_the_channels_first_a_map_is_that_of_the_twin(name, rank, flat):
    """In the model's own layout; or the call is refused, and then its cure gives that map."""
    last, first = network("channels_last", rank, flat), network("channels_first", rank, flat)
    images, swapped = images_of(rank)
    np.testing.assert_allclose(first(swapped), last(images), atol=1e-5)
    method, options = xu.METHODS[name].function, dict(OPTIONS.get(name, {}))
    if name == "lime":  # superpixels might follow the layout
        options["segments"] = np.arange(np.prod(images.shape[1:-1])).reshape(images.shape[1:-1]) // 4
    wanted = method(last, images, 1, **options)
    found, _, inputs = cures.answered(lambda model, inputs: method(model, inputs, 1, **options), first, swapped)
    if wanted.ndim == images.ndim and inputs.shape == swapped.shape:
        found = np.moveaxis(found, 1, -1)
    tapes.close(found, wanted)


@pytest.mark.parametrize("rank", [1, 2])
def test_with_the_channels_first_gradients_and_maps_are_those_of_a_tape(rank):
    """The logit behind GAP is linear: raw Grad-CAM = A.w / Z."""
    images, swapped = images_of(rank)
    first, twin = network("channels_first", rank), tapes.in_float64(network("channels_last", rank))
    w = twin.get_layer("head").get_weights()[0][:, 1:2]
    before = keras.Model(twin.inputs, twin.layers[-2].output)
    slope = tapes.gradient(before, images, lambda h: (h @ w)[:, 0])
    found, _, inputs = cures.answered(lambda model, inputs: xu.saliency(model, inputs, 1), first, swapped)
    tapes.close(np.moveaxis(found, 1, -1) if inputs.shape == swapped.shape else found, slope)
    A = keras.Model(twin.inputs, twin.get_layer("conv_2").output)(images).numpy()
    found, _, _ = cures.answered(lambda *given: xu.grad_cam(*given, 1, relu=False, upsample=False), first, swapped)
    tapes.close(found, (A @ w)[..., 0] / np.prod(A.shape[1:-1]))
