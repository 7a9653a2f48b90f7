"""Networks that stay random at inference: equal calls give equal bits, or one warning that says why not."""

import keras
import numpy as np
import pytest
import tapes
import tensorflow as tf
from keras import layers

import xai_utils as xu
from models import randomised

SHAPE = (6, 6, 2)
IMAGES = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)


class Noise(layers.Layer):
    """Adds what `draw(shape)` gives, in training and at inference."""

    def __init__(self, draw, **options):
        super().__init__(**options)
        self.draw = draw

    def call(self, x):
        return x + self.draw(tf.shape(x))


class SeededDropout(layers.Layer):
    """Drops with a seed generator of its own, whatever `training` says."""

    def __init__(self, **options):
        super().__init__(**options)
        self.seed_generator = keras.random.SeedGenerator(7)

    def call(self, x):
        return keras.random.dropout(x, 0.5, seed=self.seed_generator)


class MonteCarlo(layers.Layer):
    """Dropout that is on by what its `call` says."""

    def __init__(self, **options):
        super().__init__(**options)
        self.drop = layers.Dropout(0.5)

    def call(self, x):
        return self.drop(x, training=True)


RANDOM = {
    "Dropout": lambda x: layers.Dropout(0.5, name="random")(x, training=True),
    "Dropout with a seed": lambda x: layers.Dropout(0.5, seed=3, name="random")(x, training=True),
    "SpatialDropout2D": lambda x: layers.SpatialDropout2D(0.5, name="random")(x, training=True),
    "GaussianNoise": lambda x: layers.GaussianNoise(1.0, name="random")(x, training=True),
    "RandomFlip": lambda x: layers.RandomFlip(name="random")(x, training=True),
    "tf.random": lambda x: Noise(lambda shape: tf.random.normal(shape), name="random")(x),
    "tf.random.uniform": lambda x: Noise(lambda shape: tf.random.uniform(shape), name="random")(x),
    "a seed generator": lambda x: SeededDropout(name="random")(x),
    "inside a call": lambda x: MonteCarlo(name="random")(x),
}
STEADY = {  # no two calls differ
    "Dropout": lambda x: layers.Dropout(0.5, name="random")(x),
    "RandomFlip": lambda x: layers.RandomFlip(name="random")(x),
    "a fixed seed": lambda x: Noise(lambda s: tf.random.stateless_normal(s, (1, 2)), name="random")(x),
    "a whole number for a seed": lambda x: Noise(lambda s: keras.random.normal(s, seed=5), name="random")(x),
}


def noisy(kind):
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(4, 3, activation="relu", name="first")(inputs)
    x = layers.Conv2D(4, 3, activation="tanh", name="last")(kind(x))
    return randomised(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))), 1)


@pytest.mark.parametrize("kind", RANDOM)
@pytest.mark.parametrize("method", [xu.saliency, xu.grad_cam])
def test_equal_calls_give_equal_bits_or_one_warning_that_names_the_layer(method, kind):
    model = noisy(RANDOM[kind])
    first, texts = tapes.heard(method, model, IMAGES, 1, batch_size=1)  # three chunks, and still one warning
    second, again = tapes.heard(method, model, IMAGES, 1, batch_size=1)
    told = [text for text in texts if "random" in text and "ure:" in text]
    assert len(told) <= 1
    if told:
        assert "'random'" in told[0] and "seed" in told[0], told
        assert again == texts
    else:
        np.testing.assert_array_equal(first, second)


def without_it(model):
    """The map of the same weights where the random layer passes its input on."""
    steady = noisy(lambda x: x)
    steady.set_weights([value for value in model.get_weights() if value.dtype.kind == "f"])
    return tapes.gradient(steady, IMAGES, tapes.output(1), "float32")


@pytest.mark.parametrize("kind", [kind for kind in RANDOM if kind != "RandomFlip"])
def test_what_is_random_is_not_switched_off_in_silence(kind):
    """`training=True` is written into the model: the map is that of the random network, or a warning tells."""
    model = noisy(RANDOM[kind])
    found, texts = tapes.heard(xu.saliency, model, IMAGES, 1)
    off = without_it(model)
    assert texts or np.abs(found - off).max() > 0.02 * np.abs(off).max()


@pytest.mark.parametrize("kind", ["Dropout with a seed", "a seed generator", "inside a call"])
@pytest.mark.parametrize("method", [xu.saliency, xu.rise])
def test_the_state_of_a_seed_comes_back_as_it_was(method, kind):
    model = noisy(RANDOM[kind])
    layer = model.get_layer("random")
    generator = getattr(layer, "drop", layer).seed_generator
    before, options = generator.state.numpy(), {"masks": 40} if method is xu.rise else {}
    tapes.heard(method, model, IMAGES, 1, **options)
    np.testing.assert_array_equal(generator.state, before)


@pytest.mark.parametrize("kind", STEADY)
def test_a_network_that_is_not_random_draws_no_warning(kind):
    model = noisy(STEADY[kind])
    first = tapes.silent(xu.saliency, model, IMAGES, 1)
    np.testing.assert_array_equal(first, tapes.silent(xu.saliency, model, IMAGES, 1))
    tapes.close(first, tapes.gradient(lambda x: model(x, training=False), IMAGES, tapes.output(1), "float32"))
