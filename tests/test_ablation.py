"""Oracles of removed units: zeros worked by hand, and what it does to the classes that read a concept."""

import keras
import numpy as np
import pytest
from keras import layers

import models
import xai_utils as xu


def test_removed_units_are_zero_in_all_that_reads_them_and_the_model_stays():
    """The head reads channels 0, 1, 2 with weights 1, 10, 100: what is removed is missing from the sum."""
    inputs = keras.Input((2, 2, 3))
    x = layers.Activation("linear", name="units")(inputs)
    model = keras.Model(inputs, layers.Dense(1, use_bias=False)(layers.GlobalAveragePooling2D()(x)))
    model.layers[-1].set_weights([np.array([[1.0], [10.0], [100.0]])])
    model.input_range, model.class_names = (0, 9), ["sum"]
    x = np.ones((2, 2, 2, 3), np.float32) * np.array([1, 2, 3], np.float32) * np.array([1, 2])[:, None, None, None]
    ask = lambda channels: xu.ablated(model, "units", channels).predict(x, verbose=0).ravel()  # noqa: E731
    np.testing.assert_allclose(model.predict(x, verbose=0).ravel(), [321, 642])
    np.testing.assert_allclose(ask([]), [321, 642])
    np.testing.assert_allclose(ask([1]), [301, 602])
    np.testing.assert_allclose(ask([2, 0, 2]), [20, 40])
    np.testing.assert_allclose(ask([0, 1, 2]), [0, 0])
    copy = xu.ablated(model, "units", [0, 1, 2])
    assert copy.input_range == (0, 9) and copy.class_names == ["sum"]
    np.testing.assert_allclose(model.predict(x, verbose=0).ravel(), [321, 642])
    copy.layers[-1].set_weights([np.zeros((3, 1))])
    np.testing.assert_allclose(model.predict(x, verbose=0).ravel(), [321, 642])


def test_removed_units_are_those_whose_filters_and_biases_are_zero():
    model = models.cnn()
    x, other = models.examples(model), keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    kernel, bias = other.get_layer("conv_1").get_weights()
    kernel[..., [1, 3]], bias[[1, 3]] = 0, 0
    other.get_layer("conv_1").set_weights([kernel, bias])
    found = xu.ablated(model, "conv_1", [1, 3])
    np.testing.assert_allclose(found.predict(x, verbose=0), other.predict(x, verbose=0), atol=1e-6)
    assert np.abs(found.predict(x, verbose=0) - model.predict(x, verbose=0)).max() > 1e-3


def test_a_sum_that_reads_a_layer_twice_reads_zeros_twice():
    inputs = keras.Input((3, 3, 2))
    x = layers.Activation("linear", name="units")(inputs)
    x = layers.Add()([x, layers.Rescaling(2)(x)])
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    x = np.ones((1, 3, 3, 2), np.float32)
    np.testing.assert_allclose(xu.ablated(model, "units", [0]).predict(x, verbose=0), [[0, 3]])


def test_models_that_cannot_be_copied_and_layers_inside_of_others_are_refused():
    inner = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 1, name="deep")], name="inner")
    inputs = keras.Input((4, 4, 1))
    nested = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(inner(inputs))))
    with pytest.raises(ValueError, match="layer: got 'deep', which lies inside another model; allowed: a layer of"):
        xu.ablated(nested, "deep", [0])
    assert xu.ablated(nested, "inner", [0]).predict(np.ones((1, 4, 4, 1)), verbose=0).shape == (1, 2)

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.units = layers.Conv2D(3, 3, name="units")

        def call(self, inputs):
            return keras.ops.mean(self.units(inputs), axis=(1, 2))

    own = Own()
    own.build((None, 6, 6, 1))
    with pytest.raises(TypeError, match="model: got Own, which Keras cannot copy .* Cure: pass a functional"):
        xu.ablated(own, "units", [0])


def test_removing_the_detectors_of_a_concept_harms_the_class_that_needs_it_and_no_other():
    """Class c is present where concept c is; two units see each. Others removed, as many, harm it by nothing."""
    names = ("red", "green", "blue")
    made = xu.concept_pictures(60, seed=5, size=32)
    seen = np.stack([made.mask(name, "colour") for name in names], axis=-1).astype(np.float32)
    x = seen + 0.01 * np.random.default_rng(0).random(seen.shape, np.float32)
    inputs = keras.Input(x.shape[1:])
    units = layers.Conv2D(6, 1, use_bias=False, name="units")(inputs)
    model = keras.Model(inputs, layers.Dense(3, use_bias=False)(layers.GlobalMaxPooling2D()(units)))
    model.get_layer("units").set_weights([np.tile(np.eye(3), 2)[None, None]])
    model.layers[-1].set_weights([np.tile(np.eye(3), 2).T / 2])
    table = xu.dissect(model, "units", x, made, quantile=0.02, draws=0).table
    assert table["concept"].tolist() == [*names, *names]
    truth = seen.any(axis=(1, 2))
    right = lambda channels: (  # noqa: E731
        (xu.ablated(model, "units", channels).predict(x, verbose=0) > 0.4) == truth
    ).mean(axis=0)
    np.testing.assert_array_equal(right([]), 1)
    for number, name in enumerate(names):
        own = table.index[table["concept"] == name].to_numpy()
        harm, others = 1 - right(own), 1 - right((own + 1) % 6)
        np.testing.assert_allclose(harm[number], truth[:, number].mean())
        assert harm[number] > 0.1 and np.delete(harm, number).max() == 0
        assert others[number] == 0
