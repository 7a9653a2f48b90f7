"""Settings that were refused with a false reason, or answered wrongly: right now, or refused with a cure that works."""

import cures
import keras
import numpy as np
import pytest
import tapes
import tensorflow as tf
from keras import layers

import models
import xai_utils as xu
from heatproof.engine.query import Query

IMAGES = np.random.default_rng(0).random((3, 8, 8, 3), np.float32)


def classifier(head, shape=(8, 8, 3)):
    inputs = keras.Input(shape)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(inputs)
    return models.randomised(keras.Model(inputs, head(x)), 1)


def plain():
    return classifier(lambda x: layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("end", ["layer", "activation", "none"])
def test_cam_of_a_network_in_network_is_the_map_of_the_class(end):
    """Convolution -> GAP -> softmax (Lin et al. 2014): w is the identity, so that M_c = A_c and mean M_c = S_c."""
    squash = {"layer": layers.Softmax(), "activation": layers.Activation("softmax"), "none": lambda x: x}[end]
    model = classifier(lambda x: squash(layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, name="maps")(x))))
    maps = keras.Model(model.inputs, model.get_layer("maps").output)(IMAGES).numpy()
    found = tapes.heard(xu.cam, model, IMAGES, [2, 0, 1], upsample=False)[0]
    np.testing.assert_allclose(
        found, np.stack([maps[0, ..., 2], maps[1, ..., 0], maps[2, ..., 1]]), rtol=1e-5, atol=1e-6
    )


def test_a_view_inside_a_sequential_is_seen_through():
    """The logits of a classifier as a layer of another model: its gradient, and the maps of the layers inside."""
    model = plain()
    outer = keras.Sequential([xu.logits(model), layers.Softmax()])
    outer(IMAGES)
    np.testing.assert_allclose(outer.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0), atol=1e-6)
    assert Query(outer, IMAGES).anatomy.kind == "softmax"
    tapes.close(xu.saliency(outer, IMAGES, 1), xu.saliency(model, IMAGES, 1), 1e-6)
    tapes.close(xu.grad_cam(outer, IMAGES, 1, layer="conv"), xu.grad_cam(model, IMAGES, 1), 1e-6)


def test_a_view_of_a_unit_inside_a_model_keeps_its_backward_rule():
    model = plain()
    outer = keras.Sequential([xu.with_relu_rule(model, "guided")])
    outer(IMAGES)
    tapes.close(tapes.heard(xu.saliency, outer, IMAGES, 1)[0], xu.guided_backprop(model, IMAGES, 1), 1e-6)


def test_a_view_is_no_file(tmp_path):
    with pytest.raises(TypeError, match="^model: got a view.*Cure: save that model"):
        xu.logits(plain()).save(tmp_path / "view.keras")
    model = plain()
    model.save(tmp_path / "model.keras")  # the cure
    again = xu.logits(xu.load_model(tmp_path / "model.keras"))
    np.testing.assert_array_equal(again(IMAGES), xu.logits(model)(IMAGES))


@pytest.mark.parametrize("way", ["Reshape", "expand_dims"])
@pytest.mark.parametrize("name", ["saliency", "grad_cam", "occlusion"])
def test_images_without_an_axis_of_channels(name, way):
    """Their width is not the number of channels of a signal; behind the cure the answer is that of images."""
    inputs = keras.Input((8, 6))
    x = layers.Reshape((8, 6, 1))(inputs) if way == "Reshape" else keras.ops.expand_dims(inputs, -1)
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    model = models.randomised(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))), 2)
    grey, method = IMAGES[:, :, :6, 0], getattr(xu, name)
    found, cured, given = cures.answered(lambda model, inputs: method(model, inputs, 1), model, grey)
    assert given.shape == (3, 8, 6, 1) and found.shape[1:3] == (8, 6)
    if name == "saliency":
        tapes.close(found[..., 0], tapes.gradient(model, grey, tapes.output(1), "float32"))
    with pytest.raises(ValueError, match="^model: got a model that takes images .*without an axis of channels"):
        method(model, grey, 1)


def test_signals_that_are_reshaped_to_images_of_several_channels_stay_signals():
    inputs = keras.Input((8, 6))
    x = layers.Conv2D(4, 3)(layers.Reshape((8, 3, 2))(inputs))
    model = models.randomised(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))), 2)
    signals = IMAGES[:, :, :6, 0]
    tapes.close(xu.saliency(model, signals, 1), tapes.gradient(model, signals, tapes.output(1), "float32"))


def test_a_call_inside_a_graph_is_refused_and_outside_it_works():
    model = plain()
    with tf.Graph().as_default():
        with pytest.raises(ValueError, match="inside a tf.Graph.* Cure: call the method outside of it"):
            xu.saliency(model, IMAGES, 1)
    assert xu.saliency(model, IMAGES, 1).any()


@pytest.mark.parametrize("name", ["saliency", "grad_cam", "smooth_grad", "occlusion"])
def test_a_fixed_batch_size_is_no_hindrance(name):
    """The network is built for two inputs at a time; three, or one, are explained as by its twin of any number."""
    free, inputs = plain(), keras.Input(batch_shape=(2, 8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    fixed = keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    fixed.set_weights(free.get_weights())
    for count in (3, 1):
        tapes.close(getattr(xu, name)(fixed, IMAGES[:count], 1), getattr(xu, name)(free, IMAGES[:count], 1), 1e-6)


def test_mixed_bfloat16_is_to_the_bit_what_a_plain_function_gives():
    """Eager TensorFlow differs, since oneDNN then rounds other products to 8 bits: that is no error of a map."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = plain()
    finally:
        keras.config.set_dtype_policy("float32")

    @tf.function
    def gradient(x):
        z = model(x, training=False)
        while z.op.type != "Softmax":
            z = z.op.inputs[0]
        return tf.gradients(tf.cast(z.op.inputs[0], tf.float32)[:, 1], x)[0]

    np.testing.assert_array_equal(xu.saliency(model, IMAGES, 1), gradient(tf.constant(IMAGES)).numpy())
