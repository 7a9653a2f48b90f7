"""Oracles of the maps of one activation: a net worked by hand, finite differences, the unit view of the engine."""

import keras
import numpy as np
import pytest
from keras import layers

import models
import xai_utils as xu


def by_hand():
    """x (4,) -> z = x -> ReLU -> max of pairs -> 2 m_0 - 3 m_1: one answer, with a ReLU and a switch behind it."""
    inputs = keras.Input((4, 1))
    x = layers.Conv1D(1, 1, activation="relu", name="first")(inputs)
    x = layers.MaxPooling1D(2, name="pool")(x)
    x = layers.Conv1D(2, 2, padding="same", name="second")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    weights = np.array([[[2.0, 5.0]], [[-3.0, 7.0]]])  # (t, in, out)
    model.get_layer("first").set_weights([np.ones((1, 1, 1)), np.array([0.5])])
    model.get_layer("second").set_weights([weights, np.zeros(2)])
    return model


def test_unit_map_by_hand():
    """At position 0 of channel 0: 2 to the switch of the first pair, -3 to that of the second."""
    model, x = by_hand(), np.array([[1, 4, 3, 2], [-9, -8, 5, 6]], np.float32)[..., None]
    maps = {rule: xu.unit_map(model, x, "second", 0, 0 * np.ones(1, int), rule=rule) for rule in RULES}
    assert all(each.dtype == np.float32 and each.shape == x.shape for each in maps.values())
    np.testing.assert_array_equal(maps["gradient"][..., 0], [[0, 2, -3, 0], [0, 0, 0, -3]])
    np.testing.assert_array_equal(maps["guided"][..., 0], [[0, 2, 0, 0], [0, 0, 0, 0]])
    # both inputs of the second pair of item 1 are off and equal 0: the switch is the first
    np.testing.assert_array_equal(maps["deconvnet"][..., 0], [[0, 2, 0, 0], [2, 0, 0, 0]])


RULES = ("gradient", "guided", "deconvnet")


def test_the_strongest_position_is_meant_and_the_first_of_equal_ones():
    """Channel 0 of item 0: 2 * 4.5 - 3 * 3.5 = -1.5 and 2 * 3.5 = 7; of equal answers the first."""
    model, x = by_hand(), np.array([[1, 4, 3, 2], [-9, -8, -5, -6]], np.float32)[..., None]
    assert xu.activations(model, x, "second")[0, :, 0].tolist() == [-1.5, 7]
    found = xu.unit_map(model, x, "second", 0, rule="gradient")
    np.testing.assert_array_equal(found[0, :, 0], [0, 0, 2, 0])
    np.testing.assert_array_equal(xu.unit_map(model, x, "second", 0, [[1], [0]], rule="gradient"), found)
    wanted = xu.unit_map(model, x, "second", 0, [[1], [0]])  # of deconvnet, where what is off passes too
    np.testing.assert_array_equal(xu.unit_map(model, x, "second", 0), wanted)


@pytest.mark.parametrize("shape", [models.IMAGE, models.SIGNAL], ids=["image", "signal"])
@pytest.mark.parametrize("layer", ["conv_1", "conv_2"])
def test_the_gradient_is_that_of_finite_differences(shape, layer):
    model = models.cnn(shape)
    x = models.examples(model, 2)
    answers = xu.activations(model, x, layer)
    channel = int(answers.max(axis=tuple(range(answers.ndim - 1))).argmax())
    got = xu.unit_map(model, x, layer, channel, rule="gradient")
    step = 1e-3
    for item, picture in enumerate(x):
        place = np.unravel_index(answers[item, ..., channel].argmax(), answers.shape[1:-1])
        nudges = step * np.eye(picture.size, dtype=np.float32).reshape(-1, *shape)
        up, down = (xu.activations(model, picture + sign * nudges, layer) for sign in (1, -1))
        wanted = (up - down)[(slice(None), *place, channel)] / (2 * step)
        np.testing.assert_allclose(got[item].ravel(), wanted, atol=2e-3)
    assert np.abs(got).max() > 0.1


@pytest.mark.parametrize("rule", [None, "guided", "deconvnet"])
def test_its_mean_over_all_positions_is_the_map_of_the_unit_view(rule):
    """The unit view is the mean over space. Only the chain rule is linear all the way; the others up to the layer."""
    model = models.cnn(activation="relu")
    x = models.examples(model, 3)
    first = "conv_1"  # behind it no ReLU but its own: all of the rules are linear in what comes back
    sides = xu.activations(model, x, first).shape[1:3]
    maps = [xu.unit_map(model, x, first, 2, place, rule=rule or "gradient") for place in np.ndindex(*sides)]
    wanted = xu.Query(xu.unit(model, first, 2), x, 0, rule=rule).gradient()
    np.testing.assert_allclose(np.mean(maps, axis=0), wanted, rtol=1e-4, atol=1e-6)
    assert np.abs(wanted).max() > 1e-3


@pytest.mark.parametrize("rule", RULES)
def test_of_one_convolution_the_map_is_its_filter(rule):
    model = models.cnn()
    x = models.examples(model, 1)
    answers = xu.activations(model, x, "conv_1")[0]
    channel, place = 1, np.unravel_index(answers[1:-1, 1:-1, 1].argmax(), (6, 4))
    got = xu.unit_map(model, x, "conv_1", channel, np.add(place, 1), rule=rule)[0]
    wanted = np.zeros_like(got)
    wanted[place[0] : place[0] + 3, place[1] : place[1] + 3] = xu.kernels(model, "conv_1")[..., channel]
    assert answers[1:-1, 1:-1, 1].max() > 0
    np.testing.assert_array_equal(got, wanted)


def test_each_input_has_its_own_position_in_any_batch():
    model = models.cnn()
    x, places = models.examples(model, 4), np.array([[0, 0], [1, 2], [3, 1], [2, 2]])
    whole = xu.unit_map(model, x, "conv_2", 3, places, batch_size=3)
    for item in range(4):
        alone = xu.unit_map(model, x[[item]], "conv_2", 3, places[item])
        np.testing.assert_allclose(whole[[item]], alone, rtol=1e-5, atol=1e-7)
    assert len({each.tobytes() for each in whole}) == 4


def test_unit_map_refuses_what_has_no_relu_and_no_place():
    model = models.cnn(activation="tanh")
    x = models.examples(model, 1)
    with pytest.raises(ValueError, match="model: got one that has no ReLU.*use saliency"):
        xu.unit_map(model, x, "conv_1", 0)
    assert np.isfinite(xu.unit_map(model, x, "conv_1", 0, rule="gradient")).all()
    with pytest.raises(ValueError, match=r"position: got integers from 0 to 8; allowed: 2 integers.*\(8, 6\)"):
        xu.unit_map(models.cnn(), x, "conv_1", 0, [8, 0])
    with pytest.raises(ValueError, match="layer: got 'scores', which has no positions left"):
        xu.unit_map(models.cnn(), x, "scores", 0)
    inputs = keras.Input((None, None, 1))
    any_size = layers.Conv2D(2, 3, activation="relu", name="conv")(inputs)
    open_model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.GlobalMaxPooling2D()(any_size))))
    with pytest.raises(ValueError, match="model: got one whose layer 'conv' has a grid of any size.*fixed input shape"):
        xu.unit_map(open_model, np.ones((1, 5, 5, 1), np.float32), "conv", 0)
