"""Relevance propagation against an independent reference, a hand-worked network, and the identities it must obey."""

import keras
import numpy as np
import pytest
from keras import layers
from models import examples, randomised
from relevance_reference import Network, Options

import xai_utils as xu

IMAGE, SIGNAL, VOLUME = (5, 4, 2), (9, 2), (3, 4, 3, 1)
RULES = ("epsilon", "z_plus", "alpha_beta", "gamma", "flat", "w_square")
BIASES = ("split", "whole", "none")
CLASSES = 3


def chain(shape, *parts, seed=0):
    """Those layers one after the other, flattened into three scores, every weight and bias from the seed."""
    parts = [keras.Input(shape), *parts, layers.Flatten(), layers.Dense(CLASSES, name="scores")]
    return randomised(keras.Sequential(parts), seed)


def conv(name="conv", activation="relu", **options):
    return layers.Conv2D(3, 3, name=name, activation=activation, **options)


def residual():
    inputs = keras.Input(IMAGE)
    x = conv("stem", padding="same")(inputs)
    y = conv("first", padding="same")(x)
    y = layers.BatchNormalization(name="norm")(conv("second", activation=None, padding="same")(y))
    x = layers.ReLU()(layers.Add(name="add")([x, y]))
    return headed(inputs, layers.GlobalAveragePooling2D(name="gap")(x))


def concatenated():
    inputs = keras.Input(IMAGE)
    x = conv("stem", padding="same")(inputs)
    both = layers.Concatenate(name="both")([conv("left", padding="same")(x), layers.AveragePooling2D(1)(x)])
    return headed(inputs, layers.Flatten()(conv("after")(both)))


def nested():
    inner = keras.Input(IMAGE)
    trunk = keras.Model(inner, layers.MaxPooling2D(2)(conv("inside", padding="same")(inner)), name="trunk")
    inputs = keras.Input(IMAGE)
    return headed(inputs, layers.Flatten()(trunk(inputs)))


def shared():
    """One convolution twice in a row, then once more in another branch."""
    again, inputs = layers.Conv2D(2, 3, padding="same", activation="relu", name="again"), keras.Input(IMAGE)
    x = again(inputs)
    return headed(inputs, layers.Flatten()(layers.Add(name="add")([again(x), layers.MaxPooling2D(1)(x)])))


def normalised_apart():
    """The convolution is read twice, so the normalisation cannot be folded into it."""
    inputs = keras.Input(IMAGE)
    x = conv("stem", activation=None, padding="same")(inputs)
    y = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    return headed(inputs, layers.Flatten()(layers.Concatenate()([layers.ReLU()(x), y])))


def headed(inputs, x):
    return randomised(keras.Model(inputs, layers.Dense(CLASSES, name="scores")(x)), 0)


NETWORKS = {
    "dense": lambda: chain((6,), layers.Dense(5, activation="relu"), layers.Dense(4, activation="relu")),
    "valid": lambda: chain(IMAGE, conv()),
    "same": lambda: chain(IMAGE, conv(padding="same"), conv("next", padding="same")),
    "strided": lambda: chain(IMAGE, conv(padding="same", strides=2), conv("next", padding="same")),
    "dilated": lambda: chain(IMAGE, conv(padding="same", dilation_rate=2)),
    "grouped": lambda: chain(IMAGE, layers.Conv2D(4, 3, groups=2, activation="relu", name="conv")),
    "without_bias": lambda: chain(IMAGE, conv(use_bias=False), layers.LeakyReLU(0.2)),
    "signal": lambda: chain(SIGNAL, layers.Conv1D(4, 3, strides=2, padding="same", activation="relu", name="conv")),
    "depthwise": lambda: chain(IMAGE, layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu", name="conv")),
    "separable": lambda: chain(IMAGE, layers.SeparableConv2D(3, 3, padding="same", activation="relu", name="conv")),
    "transposed": lambda: chain((3, 2, 2), layers.Conv2DTranspose(2, 3, strides=2, activation="relu", name="conv")),
    "volume": lambda: chain(VOLUME, layers.Conv3D(2, 2, padding="same", activation="relu", name="conv")),
    "norm_after": lambda: chain(
        IMAGE, conv(activation=None), layers.BatchNormalization(), layers.ReLU(), conv("b", padding="same")
    ),
    "norm_apart": normalised_apart,
    "norm_first": lambda: chain(IMAGE, layers.BatchNormalization(name="norm"), conv(padding="same")),
    "maximum": lambda: chain(IMAGE, conv(padding="same", activation=None), layers.MaxPooling2D(2, padding="same")),
    "average": lambda: chain(IMAGE, conv(padding="same", activation=None), layers.AveragePooling2D(2, padding="same")),
    "padded": lambda: chain(IMAGE, layers.ZeroPadding2D(1), conv(), layers.Cropping2D(1), layers.UpSampling2D(2)),
    "residual": residual,
    "concatenated": concatenated,
    "nested": nested,
    "shared": shared,
}
OF_BIASES = ("dense", "same", "norm_after", "residual")


@pytest.fixture(scope="module")
def network():
    """The network of a name, its inputs and their classes; each is made once. Half of the scores are negative."""
    made = {}

    def get(name):
        if name not in made:
            model = NETWORKS[name]()
            inputs = examples(model, 4)
            scores = np.asarray(model(inputs))
            made[name] = model, inputs, np.where([True, False, True, False], scores.argmax(1), scores.argmin(1))
        return made[name]

    return get


def reference(model, inputs, targets, rule, fold=True, **options):
    taken = [Network(model, item, fold) for item in inputs]
    return np.stack([one.map(c, rule, Options(**options)) for one, c in zip(taken, targets, strict=True)])


def assert_same(found, wanted, tolerance=2e-5):
    """The largest difference of an input in units of its largest value."""
    assert found.shape == wanted.shape
    for ours, theirs in zip(np.asarray(found, np.float64), wanted, strict=True):
        assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


# --- every rule on every shape ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_rule_is_its_loop_over_neurons(network, name, rule):
    model, inputs, targets = network(name)
    found = xu.lrp(model, inputs, targets, rule=rule, epsilon=0)
    assert_same(found, reference(model, inputs, targets, rule))


@pytest.mark.parametrize("bias", BIASES[1:])
@pytest.mark.parametrize("rule", RULES[:4])
@pytest.mark.parametrize("name", OF_BIASES)
def test_every_treatment_of_biases_is_its_loop_over_neurons(network, name, rule, bias):
    model, inputs, targets = network(name)
    found = xu.lrp(model, inputs, targets, rule=rule, epsilon=0, bias=bias)
    assert_same(found, reference(model, inputs, targets, rule, bias=bias))
