"""Refusals whose reason is true and whose cure works: the code in the message is run on the model that drew it."""

import zipfile

import cures
import keras
import numpy as np
import pytest
import tapes
import tensorflow as tf
from keras import layers, ops
from PIL import Image

import xai_utils as xu
from models import randomised

SHAPE = (8, 8, 3)
IMAGES = np.random.default_rng(0).random((2, *SHAPE), np.float32)


def saliency(model, inputs):
    return xu.saliency(model, inputs, 1)


def classifier(shape=SHAPE, name="last"):
    inputs = keras.Input(shape)
    x = layers.Conv2D(4, 3, padding="same", activation="tanh", name=name)(inputs)
    return randomised(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))), 1)


def slope(model, inputs=IMAGES, target=1):
    return tapes.gradient(model, inputs, tapes.output(target), "float32")


# --- models -----------------------------------------------------------------------------------------------------------


class Outputs(keras.Model):
    """Two heads; `packed` says how they are returned."""

    def __init__(self, packed):
        super().__init__()
        self.conv, self.packed = layers.Conv2D(4, 3, activation="tanh"), packed
        self.one, self.two = layers.Dense(3), layers.Dense(2)

    def call(self, x):
        x = ops.mean(self.conv(x), axis=(1, 2))
        return self.packed(self.one(x), self.two(x))


PACKED = {"list": lambda a, b: [a, b], "tuple": lambda a, b: (a, b), "dictionary": lambda a, b: {"a": a, "b": b}}


@pytest.mark.parametrize("packed", PACKED)
def test_several_outputs_of_a_subclassed_model(packed):
    """The cure must not name `model.inputs`, which such a model does not have."""
    model = Outputs(PACKED[packed])
    model(IMAGES)
    randomised(model, 2)
    found, _, _ = cures.answered(saliency, model, IMAGES)
    wanted = slope(lambda x: tf.nest.flatten(model(x))[0])
    tapes.close(found, wanted)


@pytest.mark.parametrize("pack", ["list", "dictionary"])
def test_several_outputs_of_a_functional_model(pack):
    one = classifier()
    two = layers.Dense(2, name="two")(one.layers[-2].output)
    outputs = {"list": [one.output, two], "dictionary": {"a": one.output, "b": two}}[pack]
    found, _, _ = cures.answered(saliency, keras.Model(one.inputs, outputs), IMAGES)
    tapes.close(found, slope(one))


class Dense(keras.Model):
    """A score for each position, subclassed."""

    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(3, 3, padding="same")

    def call(self, x):
        return self.conv(x)


@pytest.mark.parametrize("subclassed", [False, True])
def test_a_prediction_at_every_position(subclassed):
    """Pooled over space, the score of class 1 has the slope of the mean over positions."""
    model = Dense()
    model(IMAGES)
    randomised(model, 3)
    if not subclassed:
        inputs = keras.Input(SHAPE)
        model = keras.Model(inputs, model.conv(inputs))
    found, _, _ = cures.answered(saliency, model, IMAGES)
    tapes.close(found, slope(lambda x: tf.reduce_mean(model(x), axis=(1, 2))))


def test_several_classifiers_in_one_softmax():
    """Two groups of three: the cure takes one of them, so that the answer is the slope of a logit of one group."""
    one = classifier()
    groups = layers.Softmax()(layers.Reshape((2, 3))(layers.Dense(6, name="six")(one.layers[-2].output)))
    model = keras.Model(one.inputs, layers.Flatten()(groups))
    found, cured, _ = cures.answered(saliency, model, IMAGES)
    logit = keras.Model(one.inputs, model.get_layer("six").output)
    assert cured.output_shape[-1] == 3
    assert any(np.allclose(found, slope(logit, target=target), atol=1e-5) for target in (1, 4))


class Plain(keras.Model):
    """A subclassed classifier, not yet called."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = layers.Conv2D(4, 3, activation="tanh"), layers.Dense(3)

    def call(self, x):
        return self.head(ops.mean(self.conv(x), axis=(1, 2)))


def test_a_model_that_was_never_called():
    found, model, _ = cures.answered(saliency, Plain(), IMAGES)
    tapes.close(found, slope(model))


def test_a_bfloat16_model_is_explained_or_refused_with_the_true_reason():
    """In bfloat16 a gradient is a gradient: it has 8 bits."""
    inputs, options = keras.Input(SHAPE, dtype="bfloat16"), {"dtype": "bfloat16"}
    x = layers.Conv2D(4, 3, padding="same", activation="tanh", **options)(inputs)
    x = layers.GlobalAveragePooling2D(**options)(x)
    model = randomised(keras.Model(inputs, layers.Dense(3, **options)(x)), 1)
    assert model.inputs[0].dtype == "bfloat16"
    try:
        found = saliency(model, IMAGES)
    except (ValueError, TypeError) as error:
        assert "nothing can be differentiated" not in str(error)
        found, _, _ = cures.answered(saliency, model, IMAGES, shape=SHAPE)
    twin = classifier()
    twin.set_weights([np.asarray(value, np.float32) for value in model.get_weights()])
    tapes.close(found, slope(twin), 0.05)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_a_model_of_whole_numbers_is_cured_as_its_message_says(dtype):
    inputs = keras.Input(SHAPE, dtype=dtype)
    one = classifier()
    model = keras.Model(inputs, one(layers.Rescaling(1 / 255)(inputs)))
    pixels = np.round(255 * IMAGES)
    found, _, _ = cures.answered(saliency, model, pixels.astype(np.float32), shape=SHAPE)
    tapes.close(found, slope(lambda x: one(x / 255), pixels))


def test_a_layer_of_int8_weights_is_in_the_model():
    inputs = keras.Input(SHAPE)
    x = layers.Dense(4, activation="relu", name="mix")(inputs)
    model = randomised(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))), 1)
    with pytest.warns(UserWarning):
        model.quantize("int8")

    def call(model, inputs):
        return xu.grad_cam(model, inputs, 1, layer="mix", relu=False, upsample=False)

    try:
        found = call(model, IMAGES)
    except ValueError as error:
        assert "is not in the model" not in str(error)
        found, _, _ = cures.answered(call, model, IMAGES)
    A = model.get_layer("mix")(IMAGES).numpy()
    with tf.GradientTape() as tape:
        x = tf.constant(A)
        tape.watch(x)
        score = model.layers[-1](tf.reduce_mean(x, axis=(1, 2)))[:, 1]
    g = tape.gradient(score, x).numpy()
    tapes.close(found, (A * g.mean(axis=(1, 2), keepdims=True)).sum(axis=-1))


# --- inputs -----------------------------------------------------------------------------------------------------------

PIXELS = np.round(255 * IMAGES[0]).astype(np.uint8)
GIVEN = {
    "a picture": lambda: Image.fromarray(PIXELS),
    "pictures": lambda: [Image.fromarray(PIXELS)],
    "a list": lambda: PIXELS[None].tolist(),
    "a tensor": lambda: tf.constant(PIXELS[None]),
    "an array": lambda: PIXELS[None],
    "an array of one": lambda: PIXELS,
    "a list of floats": lambda: PIXELS.astype(float).tolist(),
    "channels first": lambda: np.moveaxis(PIXELS[None].astype(np.float32), -1, 1),
    "objects": lambda: PIXELS[None].astype(object),
}


@pytest.mark.parametrize("given", GIVEN)
def test_the_cure_of_refused_inputs_works_on_what_was_given(given):
    """One after the other: the type, then the axis of the batch."""
    found, model, inputs = cures.answered(saliency, classifier(), GIVEN[given]())
    values = PIXELS[None].astype(np.float32)
    told = hasattr(model, "input_range")  # the cure may divide by 255, or have it done
    scale = 255 if told else float(values.max() / np.max(np.asarray(inputs)))
    tapes.close(found, slope(classifier(), values / scale))


def test_masked_values_are_filled_as_the_message_says():
    given = np.ma.masked_less(IMAGES, 0.1)
    found, _, inputs = cures.answered(saliency, classifier(), given, value=0.0)
    np.testing.assert_array_equal(inputs, np.where(IMAGES < 0.1, 0, IMAGES).astype(np.float32))
    tapes.close(found, slope(classifier(), np.asarray(inputs)))


# --- files ------------------------------------------------------------------------------------------------------------

DAMAGED = ("damaged", "cut short", "not a complete", "fetch it again")


class AttentionOverPositionsThatThisFileAloneKnows(layers.Layer):
    """Not registered: a file that holds it is whole, and yet not to be read without it."""

    def call(self, x):
        return x


def told(path):
    with pytest.raises(ValueError, match="^path") as caught:
        xu.load_model(path)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_file_with_a_layer_of_ones_own_is_not_called_damaged(suffix, deep, tmp_path):
    inputs = keras.Input(SHAPE)
    x = AttentionOverPositionsThatThisFileAloneKnows()(layers.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    if deep:
        outer = keras.Input(SHAPE)
        model = keras.Model(outer, layers.Activation("tanh")(model(outer)))
    model.save(tmp_path / f"own{suffix}")
    message = told(tmp_path / f"own{suffix}")
    assert "AttentionOverPositionsThatThisFileAloneKnows" in message  # not cut off before the name
    assert [word for word in DAMAGED if word in message] == [], message


def test_a_whole_file_of_weights_is_not_called_damaged(tmp_path):
    classifier().save_weights(tmp_path / "some.weights.h5")
    message = told(tmp_path / "some.weights.h5")
    assert "load_weights" in message
    assert [word for word in DAMAGED if word in message] == [], message


def test_a_zip_of_other_things_is_not_called_cut_short(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("notes.txt", "no model")
    message = told(tmp_path / "other.keras")
    assert "config.json" in message and "cut short" not in message


def test_hdf5_that_is_named_keras_is_read_or_told_as_what_it_is(tmp_path):
    model = classifier()
    model.save(tmp_path / "whole.h5")
    path = (tmp_path / "whole.h5").rename(tmp_path / "whole.keras")
    try:
        found = xu.load_model(path)
    except ValueError as error:
        assert "HDF5" in str(error) and not [word for word in DAMAGED if word in str(error)], error
        found = xu.load_model(path.rename(tmp_path / "again.h5"))
    np.testing.assert_array_equal(found(IMAGES), model(IMAGES))


# --- layers -----------------------------------------------------------------------------------------------------------


def test_a_layer_that_is_called_twice_can_be_named_by_what_the_message_lists():
    inputs, twice = keras.Input(SHAPE), layers.Conv2D(3, 3, padding="same", activation="tanh", name="twice")
    x = layers.Conv2D(4, 3, padding="same", name="once")(twice(twice(inputs)))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(ValueError, match="^layer: got 'twice'.*2 calls") as caught:
        xu.grad_cam(model, IMAGES, 1, layer="twice")
    assert "'once'" in str(caught.value)
