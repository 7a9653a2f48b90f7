"""Which tensors are places, what carries the score, and units at operations that stand in no layer.

The maps and gradients are computed again by a tape, on the same network written with layers of Keras.
"""

import gc

import keras
import numpy as np
import pytest
import tapes
import tensorflow as tf
from keras import layers

import xai_utils as xu
from heatproof.engine.anatomy import anatomy
from heatproof.engine.views import recipe_of
from models import randomised

SHAPE = (8, 8, 2)
IMAGES = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
RAW = {"relu": False, "upsample": False}
S1 = tapes.output(1)


def conv(name, filters=4, activation="tanh", **options):
    return layers.Conv2D(filters, 3, padding="same", activation=activation, name=name, **options)


def headed(inputs, x, seed=1, flat=False):
    x = layers.Flatten()(x) if flat else layers.GlobalAveragePooling2D()(x)
    return randomised(keras.Model(inputs, layers.Dense(3, name="head")(x)), seed)


def names(model):
    return [call.layer.name for call in anatomy(recipe_of(model)).places]


# --- what has no derivative is no way ---------------------------------------------------------------------------------


class Sized(layers.Layer):
    """Flattens its first input by what is read of the second: nothing but how many there are."""

    def __init__(self, read, **options):
        super().__init__(**options)
        self.read = read

    def call(self, pair):
        x, other = pair
        flat = tf.reshape(x, tf.stack([tf.shape(x)[0], 64]))
        return flat + tf.cast(self.read(other), x.dtype)

    def compute_output_shape(self, shapes):
        return (shapes[0][0], 64)


READ = {
    "shape": lambda x: tf.shape(x)[1],
    "size": lambda x: tf.size(x[0]),
    "zeros": lambda x: tf.reduce_sum(tf.zeros_like(x)[0]),
    "ones": lambda x: tf.reduce_sum(tf.ones_like(x)[0]),
    "index": lambda x: tf.argmax(x[:, 0, 0], axis=-1)[:, None],
    "comparison": lambda x: tf.reduce_all(x > 0, axis=(1, 2))[:, :1],
}


@pytest.mark.parametrize("read", READ)
def test_what_is_read_of_a_shape_an_index_or_a_comparison_carries_nothing(read):
    """What the input is read for beside the convolutions has no derivative, so the last convolution carries all."""
    inputs = keras.Input(SHAPE)
    x = conv("last")(conv("first")(inputs))
    flat = Sized(READ[read], name="sized")([layers.MaxPooling2D(2, name="pool")(x), inputs])
    model = randomised(keras.Model(inputs, layers.Dense(3, name="head")(flat)), 2)
    inputs = keras.Input(SHAPE)
    twin = headed(inputs, layers.MaxPooling2D(2)(conv("last")(conv("first")(inputs))), flat=True)
    twin.set_weights(model.get_weights())
    if read in ("shape", "zeros", "size", "ones"):  # the constants that are added move all scores alike
        constant = {"shape": 8, "zeros": 0, "size": 128, "ones": 128}[read]
        moved = twin.predict(IMAGES, verbose=0) + constant * model.get_layer("head").get_weights()[0].sum(axis=0)
        np.testing.assert_allclose(model.predict(IMAGES, verbose=0), moved, rtol=1e-4, atol=1e-4)
    tapes.close(tapes.silent(xu.grad_cam, model, IMAGES, 1, **RAW), tapes.grad_cam(twin, "last", IMAGES, S1))


def test_a_layer_of_which_only_the_shape_is_read_is_no_place():
    inputs = keras.Input(SHAPE)
    like = layers.Lambda(lambda pair: tf.image.resize(pair[0], tf.shape(pair[1])[1:3]), output_shape=(8, 8, 4))
    model = headed(inputs, like([conv("small", strides=2)(inputs), conv("unread")(inputs)]))
    assert "unread" not in names(model) and "small" in names(model)


class Masked(layers.Layer):
    """A leaky unit written with a comparison, times a wave that is taken apart and put together."""

    def call(self, x):
        waves = tf.signal.fft(tf.cast(x, tf.complex64))
        return tf.where(x > 0, x, 0.1 * x) * tf.math.real(tf.signal.ifft(waves * 2.0))


def test_only_floats_are_places():
    inputs = keras.Input(SHAPE)
    x = Masked(name="masked")(conv("first")(inputs))
    cast = layers.Lambda(lambda x: tf.cast(tf.cast(100 * x, tf.int32), tf.float32) * 0 + x, name="whole")
    model = headed(inputs, conv("last")(cast(x)))
    assert {call.output.dtype for call in anatomy(recipe_of(model)).places} == {tf.float32}


def test_a_layer_of_comparisons_is_refused_by_its_name():
    inputs = keras.Input(SHAPE)
    x = conv("first")(inputs)
    mask = layers.Lambda(lambda x: x > 0, name="mask")(x)
    model = headed(inputs, layers.Lambda(lambda pair: pair[0] * tf.cast(pair[1], tf.float32), name="cut")([x, mask]))
    with pytest.raises(ValueError, match="^layer: got 'mask', whose output is bool.*'first'.*'cut'"):
        xu.grad_cam(model, IMAGES, 1, layer="mask")
    tapes.silent(xu.grad_cam, model, IMAGES, 1, layer="cut")


# --- streams with a common stem ---------------------------------------------------------------------------------------


def streams(second=lambda x: conv("b")(x)):
    inputs = keras.Input(SHAPE)
    stem = conv("stem")(inputs)
    pooled = [layers.GlobalAveragePooling2D()(each) for each in (conv("a")(stem), second(stem))]
    return randomised(keras.Model(inputs, layers.Dense(3, name="head")(layers.Concatenate()(pooled))), 3)


def test_streams_with_a_common_stem_are_named():
    found, texts = tapes.heard(xu.hires_cam, streams(), IMAGES, 1)
    assert [text for text in texts if "no single layer carries" in text and "layer=['b', 'a']" in text], texts
    wanted = [tapes.hires_cam(streams(), name, IMAGES, S1) for name in ("a", "b")]
    assert any(np.abs(found - each).max() < 1e-4 for each in wanted)
    both = tapes.silent(xu.hires_cam, streams(), IMAGES, 1, layer=["b", "a"])
    tapes.close(both, sum(wanted))
    bias = streams().get_layer("head").get_weights()[1][1]
    tapes.close(both.sum(axis=(1, 2)), streams().predict(IMAGES, verbose=0)[:, 1] - bias)


def streams_and_their_stem():
    inputs = keras.Input(SHAPE)
    stem = conv("stem")(inputs)
    pooled = [layers.GlobalAveragePooling2D()(each) for each in (conv("a")(stem), conv("b")(stem), stem)]
    return randomised(keras.Model(inputs, layers.Dense(3, name="head")(layers.Concatenate()(pooled))), 3)


@pytest.mark.parametrize("build", [lambda: streams(lambda x: x), streams_and_their_stem], ids=["one", "two"])
def test_a_stem_that_is_read_past_its_streams_is_the_last_that_carries_all(build):
    model = build()
    found = tapes.silent(xu.hires_cam, model, IMAGES, 1, upsample=False)
    tapes.close(found, tapes.hires_cam(model, "stem", IMAGES, S1))


def test_a_stem_that_is_pooled_beside_a_stream_is_a_stream_of_its_own():
    model = streams(lambda x: layers.MaxPooling2D(2, name="pool")(x))
    _, texts = tapes.heard(xu.hires_cam, model, IMAGES, 1)
    assert [text for text in texts if "'a'" in text and "'pool'" in text], texts
    both = xu.hires_cam(model, IMAGES, 1, layer=["a"], upsample=False).sum(axis=(1, 2))
    both = both + xu.hires_cam(model, IMAGES, 1, layer=["pool"], upsample=False).sum(axis=(1, 2))
    tapes.close(both, model.predict(IMAGES, verbose=0)[:, 1] - model.get_layer("head").get_weights()[1][1])


def test_pyramids_of_pooling_are_no_streams():
    inputs = keras.Input(SHAPE)
    x = conv("last")(conv("first")(inputs))
    parts = [layers.Flatten()(layers.MaxPooling2D(size)(x)) for size in (2, 4)]
    model = randomised(keras.Model(inputs, layers.Dense(3)(layers.Concatenate()(parts))), 3)
    tapes.close(tapes.silent(xu.grad_cam, model, IMAGES, 1, **RAW), tapes.grad_cam(model, "last", IMAGES, S1))


# --- units at operations ----------------------------------------------------------------------------------------------


class Plain(keras.Model):
    """x + second(x), as operators of TensorFlow in `call`, behind a ReLU."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = conv("first"), conv("second"), layers.Dense(3, name="head")

    def call(self, x):
        x = self.first(x)
        x = tf.nn.relu(x + self.second(x))
        return self.head(tf.reduce_mean(x, axis=(1, 2)))


def pair():
    """The model with operators, its twin of layers, and the name of the sum before the ReLU and of the ReLU."""
    model = Plain()
    model(IMAGES)
    randomised(model, 4)
    inputs = keras.Input(SHAPE)
    a = conv("first")(inputs)
    x = layers.ReLU(name="relu")(layers.Add(name="sum")([a, conv("second")(a)]))
    twin = headed(inputs, x)
    twin.set_weights(model.get_weights())
    return model, twin, *[name for name in names(model) if name.endswith(("add", "Relu"))]


def test_a_unit_at_an_operation_is_that_of_the_twin():
    model, twin, sum_, relu = pair()
    for name, layer in ((sum_, "sum"), (relu, "relu")):
        view = xu.unit(model, name, 2)
        A = keras.Model(twin.inputs, twin.get_layer(layer).output)
        wanted = tapes.gradient(A, IMAGES, lambda A: tf.reduce_mean(A[..., 2], axis=(1, 2)), tf.float32)
        tapes.close(xu.saliency(view, IMAGES, 0), wanted)
        tapes.close(
            xu.grad_cam(view, IMAGES, 0, layer="first", **RAW),
            xu.grad_cam(xu.unit(twin, layer, 2), IMAGES, 0, layer="first", **RAW),
        )


@pytest.mark.parametrize("method", [xu.grad_cam, xu.ablation_cam, xu.hires_cam])
def test_a_map_of_a_unit_at_an_operation_has_the_default_of_the_twin(method):
    model, twin, sum_, _ = pair()
    found = method(xu.unit(model, sum_, 2), IMAGES, 0, **RAW)
    tapes.close(found, method(xu.unit(twin, "sum", 2), IMAGES, 0, **RAW))


def test_what_lies_behind_a_unit_at_an_operation_is_no_layer_of_it():
    model, _, sum_, relu = pair()
    with pytest.raises(ValueError, match="^layer: got 'head', which is not in the model"):
        xu.grad_cam(xu.unit(model, sum_, 2), IMAGES, 0, layer="head")
    with pytest.raises(ValueError, match="^layer.*is not in the model"):
        xu.grad_cam(xu.unit(model, sum_, 2), IMAGES, 0, layer=relu)


def test_a_unit_at_an_operation_outlives_the_trace_that_named_it():
    model, twin, sum_, _ = pair()
    view = xu.unit(model, sum_, 1)
    wanted = xu.saliency(view, IMAGES, 0)
    xu.forget(model)
    gc.collect()
    np.testing.assert_allclose(xu.saliency(view, IMAGES, 0), wanted, rtol=1e-5, atol=1e-7)


def test_pictures_made_at_an_operation_are_those_of_the_twin():
    model, twin, sum_, relu = pair()
    for name, layer in ((sum_, "sum"), (relu, "relu")):
        dreams = [
            xu.deep_dream(each, IMAGES, at, iterations=2, octaves=2) for each, at in ((model, name), (twin, layer))
        ]
        made = [
            xu.activation_maximization(each, at, [1, 3], iterations=3, noise=1.0)
            for each, at in ((model, name), (twin, layer))
        ]
        for (found, curve), (wanted, rise) in (dreams, made):
            tapes.close(found, wanted)
            tapes.close(curve, rise)


# --- what a normalising layer clips -----------------------------------------------------------------------------------


def test_normalising_layers_inside_each_other_clip_once():
    inputs = keras.Input(SHAPE)
    inner = layers.Conv2D(4, 3, activation=layers.Normalization(axis=None, mean=0.5, variance=2.0))
    x = layers.ReLU()(layers.SpectralNormalization(inner)(inputs))
    model = headed(inputs, x)
    found = anatomy(recipe_of(model))
    assert found.relus == 1 and found.others == frozenset()


def test_an_activation_inside_a_normalising_layer_is_still_one():
    inputs = keras.Input(SHAPE)
    inner = layers.Conv2D(4, 3, activation=lambda x: keras.ops.maximum(x, 0.1))
    model = headed(inputs, layers.ReLU()(layers.SpectralNormalization(inner)(inputs)))
    assert anatomy(recipe_of(model)).others == {"Maximum"}
