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
clipped_swish = lambda x: x * hard_sigmoid(x)  # noqa: E731


class TwoPoint(layers.Layer):
    """A gate that is cut off at 4, as a fraction of 4."""

    def call(self, x):
        return tf.minimum(tf.nn.relu(2 * (x + 1)) / 2, 2) / 2


# Written otherwise: by maximum and minimum, with the cap first, in parts, falling, as a layer's activation.
GATES |= {
    "three first": (lambda x: x * keras.ops.relu6(3.0 + x) * (1 / 6), clipped_swish),
    "of a line": (
        lambda x: keras.ops.relu6(1.5 * (x + 2.0)) / 6.0,
        lambda x: tf.clip_by_value(1.5 * x + 3, 0, 6) / 6,
    ),
    "falling": (lambda x: keras.ops.relu6(3.0 - x) / 6.0, lambda x: hard_sigmoid(-x)),
    "of a shifted line": (lambda x: keras.ops.hard_sigmoid(x - 1.0), lambda x: hard_sigmoid(x - 1)),
    "of Keras 2": (lambda x: keras.ops.clip(0.2 * x + 0.5, 0, 1), lambda x: tf.clip_by_value(0.2 * x + 0.5, 0, 1)),
    "clip_by_value": (lambda x: layers.Lambda(lambda x: x * tf.clip_by_value(x / 6 + 0.5, 0, 1))(x), clipped_swish),
    "maximum, minimum": (lambda x: x * keras.ops.minimum(keras.ops.maximum(x + 3, 0), 6) / 6, clipped_swish),
    "minimum, maximum": (lambda x: x * keras.ops.maximum(0.0, keras.ops.minimum(6.0, x + 3)) / 6, clipped_swish),
    "capped ReLU": (lambda x: x * keras.ops.minimum(keras.ops.relu(x + 3), 6) / 6, clipped_swish),
    "capped in parts": (lambda x: x * keras.ops.minimum(keras.ops.relu(x + 3) / 6, 1), clipped_swish),
    "capped before": (lambda x: x * keras.ops.relu(keras.ops.minimum(x, 3) + 3) / 6, clipped_swish),
    "ReLU(1)": (lambda x: layers.ReLU(1.0)(0.2 * x + 0.5), lambda x: tf.clip_by_value(0.2 * x + 0.5, 0, 1)),
    "Rescaling": (lambda x: layers.ReLU(6.0)(layers.Rescaling(2.0, 3.0)(x)), lambda x: 6 * hard_sigmoid(2 * x)),
    "hard_sigmoid of keras.ops": (keras.ops.hard_sigmoid, hard_sigmoid),
    "hard_silu of keras.ops": (lambda x: layers.Lambda(keras.ops.hard_silu)(x), clipped_swish),
    "hard_sigmoid as an activation": ("hard_sigmoid", hard_sigmoid),
    "hard_swish as an activation": ("hard_swish", clipped_swish),
    "cut off at 4": (lambda x: TwoPoint()(x), lambda x: tf.clip_by_value(2 * x + 2, 0, 4) / 4),
}
RULES = {"guided_backprop": guided_relu, "deconvnet": deconv_relu}


def gated(gate, relu=True, cap=None):
    """Convolution, gate, convolution, ReLU (or ReLU6), dense."""
    inputs = keras.Input(SHAPE)
    written = GATES[gate][0]
    inner = {"activation": written} if isinstance(written, str) else {}
    x = layers.Conv2D(4, 3, padding="same", name="one", **inner)(inputs)
    x = x if inner else written(x)
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
    tapes.close(tapes.silent(getattr(xu, method), model, IMAGES, 1), by_rule(model, gate, RULES[method]))


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


class Biased(layers.Layer):
    """A ReLU6 behind a weight that happens to be 3."""

    def build(self, shape):
        self.bias = self.add_weight(shape=(), initializer=keras.initializers.Constant(3.0))

    def call(self, x):
        return tf.nn.relu6(x + self.bias)


SHIFTS = np.array([3, 3, 3, 0], np.float32)
ACTIVATIONS = {  # clipped, but not half open at x = 0: as they are written, and what is clipped at which number
    "ReLU6": (layers.ReLU(6.0), lambda x: x, 6),
    "ReLU(4)": (layers.ReLU(4.0), lambda x: x, 4),
    "relu6(x + 1)": (lambda x: keras.ops.relu6(x + 1.0), lambda x: x + 1, 6),
    "relu6(x - 3)": (lambda x: keras.ops.relu6(x - 3.0), lambda x: x - 3, 6),
    "relu(x + 3)": (lambda x: keras.ops.relu(x + 3.0), lambda x: x + 3, np.inf),
    "min(relu(x + 3), 5)": (lambda x: keras.ops.minimum(keras.ops.relu(x + 3.0), 5.0), lambda x: x + 3, 5),
    "relu(3 - min(x, -3))": (
        lambda x: keras.ops.relu(3.0 - keras.ops.minimum(x, -3.0)),
        lambda x: 3 - tf.minimum(x, -3),
        np.inf,
    ),
    "min(-relu(x + 3), -6)": (
        lambda x: keras.ops.minimum(-keras.ops.relu(x + 3.0), -6.0),
        lambda x: x + 3,
        np.inf,
        lambda x: -tf.maximum(x, 6),
    ),
    "relu6(x + (3, 3, 3, 0))": (lambda x: keras.ops.relu6(x + SHIFTS), lambda x: x + SHIFTS, 6),
    "a trained bias": (lambda x: Biased(name="biased")(x), lambda x: x + 3, 6),
}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_a_clip_that_is_not_half_open_at_zero_is_a_relu_of_the_network(kind):
    """The rule enters it: another offset, another cap, none at all, or a bias that is a weight."""
    written, line, cap, *after = ACTIVATIONS[kind]
    inputs = keras.Input(SHAPE)
    x = written(layers.Conv2D(4, 3, padding="same", name="one")(inputs))
    model = randomised(keras.Model(inputs, layers.Dense(3, name="head")(layers.Flatten()(x))), 1)
    if kind == "a trained bias":
        model.get_layer("biased").bias.assign(3.0)
    w = {layer.name: [tf.constant(v, tf.float64) for v in layer.get_weights()] for layer in model.layers}

    @tf.custom_gradient
    def rule(a):
        return tf.clip_by_value(a, 0, cap), lambda R: R * tf.cast((a > 0) & (a < cap) & (R > 0), R.dtype)

    def forward(x):
        x = rule(line(tf.nn.conv2d(x, w["one"][0], 1, "SAME") + w["one"][1]))
        x = after[0](x) if after else x
        return tf.reshape(x, (len(x), -1)) @ w["head"][0] + w["head"][1]

    found = tapes.silent(xu.guided_backprop, model, 3 * IMAGES, 1)
    np.testing.assert_allclose(forward(tf.constant(3 * IMAGES, tf.float64)), model(3 * IMAGES), rtol=1e-4, atol=1e-3)
    tapes.close(found, tapes.gradient(forward, 3 * IMAGES, tapes.output(1)))


OTHERS = {
    "maximum": lambda x: keras.ops.maximum(x, 0),
    "maximum, minimum": lambda x: keras.ops.minimum(keras.ops.maximum(x, 0), 6),
    "leaky": lambda x: keras.ops.maximum(x, 0.1 * x),
    "hard_tanh": keras.ops.hard_tanh,
    "hard_tanh above 0": lambda x: keras.ops.maximum(keras.ops.minimum(x - 1, 1), -1) + 1,
    "cut off at -1": lambda x: keras.ops.maximum(keras.ops.minimum(x + 1, 2), -1),
    "behind a sum": lambda x: keras.ops.maximum(keras.ops.relu(x) - 1, 0),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_maximum_that_is_no_gate_clips_as_an_activation(kind):
    """The rules leave it alone, and say so."""
    inputs = keras.Input(SHAPE)
    x = layers.ReLU()(OTHERS[kind](layers.Conv2D(4, 3)(inputs)))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    _, texts = tapes.heard(xu.guided_backprop, model, IMAGES, 1)
    assert [text for text in texts if "['Maximum']" in text]


def test_a_gate_in_half_precision_is_one():
    """1 / 6 is 0.16663 there, so that the cap stands at 6.0015."""
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(4, 3, dtype="float16")(inputs)
    x = layers.Lambda(lambda x: tf.minimum(tf.nn.relu(x + 3) * (1 / 6), 1), dtype="float16")(x)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    with pytest.raises(ValueError, match="^model: got one that has no ReLU"):
        xu.guided_backprop(model, IMAGES, 1)


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
    "expected_gradients": {"samples": 4, "background": "constant"},  # one value for a whole input, in any layout
    "kernel_shap": {"samples": 300, "fill": 0.0},
    "meaningful_perturbation": {"steps": 5, "reference": 0.0},
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
    if name in ("lime", "kernel_shap"):  # superpixels might follow the layout
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
