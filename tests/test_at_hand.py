"""Inputs, targets and baselines as they are at hand: pictures, tensors, lists, bytes, one-hot targets, channels."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image

import xai_utils as xu
from heatproof.hiding import baselines

COLOURS = np.array([[[[0, 51, 255], [255, 0, 102]], [[10, 20, 30], [0, 0, 0]]]], np.uint8)  # one picture, 2 x 2
W = np.linspace(-1, 2, 24).reshape(12, 2).astype(np.float32)


def linear(limits=None, channels=3):
    """S = w . x: the map of gradient x input is w * x, so that every value of x is seen in it."""
    dense = layers.Dense(2)
    model = keras.Sequential([keras.Input((2, 2, channels)), layers.Flatten(), dense])
    dense.set_weights([W[: 4 * channels], np.zeros(2)])
    if limits is not None:
        model.input_range = limits
    return model


def explained(model, inputs, targets=1):
    return xu.gradient_x_input(model, inputs, targets, score="value")


def share(x):
    return W[: x[0].size, 1].reshape(x.shape[1:]) * x


@pytest.mark.parametrize("limits", [(0, 1), (0, 255), (-1, 1)])
def test_pil_images_come_in_the_units_of_the_model(limits):
    """255 is white: the upper end of the model's range; 51 is a fifth of the way from black."""
    x = limits[0] + (limits[1] - limits[0]) * (COLOURS / 255)
    image = Image.fromarray(COLOURS[0])
    np.testing.assert_allclose(explained(linear(limits), image), share(x), rtol=1e-6, atol=1e-6)
    found = explained(linear(limits), [image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)])
    np.testing.assert_allclose(found, share(np.concatenate([x, x[:, :, ::-1]])), rtol=1e-6, atol=1e-6)


def test_a_pil_image_is_made_grey_for_a_network_that_takes_grey():
    """PIL's luminance: 0.299 R + 0.587 G + 0.114 B, rounded."""
    red = Image.fromarray(np.full((2, 2, 3), (200, 0, 0), np.uint8))
    found = explained(linear((0, 255), channels=1), red)
    np.testing.assert_allclose(found, share(np.full((1, 2, 2, 1), 60.0)), rtol=1e-6)


@pytest.mark.parametrize(
    ("image", "limits", "words"),
    [
        (Image.fromarray(COLOURS[0]), None, ("units", "model.input_range = (0, 1)")),
        (Image.fromarray(COLOURS[0]).resize((3, 5)), (0, 1), ("(3, 5)", "image.resize((2, 2))")),
        (Image.new("I;16", (2, 2)), (0, 1), ("'I;16'", "8 bits")),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 9)), (0, 1), ("transparent", "ground")),
    ],
)
def test_a_picture_that_would_lose_something_is_refused(image, limits, words):
    with pytest.raises(ValueError, match="^inputs:") as told:
        explained(linear(limits), [image])
    assert all(word in str(told.value) for word in words)


def test_pictures_of_two_sizes_and_arrays_among_them_are_refused():
    image, model = Image.fromarray(COLOURS[0]), linear((0, 1))
    with pytest.raises(ValueError, match=r"one size, that of the model.*image.resize\(\(2, 2\)\)"):
        explained(model, [image, image.resize((4, 4))])
    with pytest.raises(TypeError, match="a ndarray among PIL images"):
        explained(model, [image, COLOURS[0]])
    signals = keras.Sequential([keras.Input((4, 3)), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"PIL images; allowed: arrays of shape \(N, 4, 3\)"):
        explained(signals, image)


def test_bytes_are_taken_where_the_model_says_that_they_are_its_units():
    found = explained(linear((0, 255)), COLOURS)
    np.testing.assert_allclose(found, share(COLOURS.astype(float)), rtol=1e-6)
    for limits in (None, (0, 1)):
        with pytest.raises(TypeError, match=r"uint8 values.*astype"):
            explained(linear(limits), COLOURS)


def test_tensors_and_lists_are_arrays():
    x = (COLOURS / 255).astype(np.float32)
    wanted = explained(linear(), x)
    assert np.array_equal(explained(linear(), tf.constant(x), tf.constant([1])), wanted)
    assert np.array_equal(explained(linear(), x.tolist(), [1]), wanted)


def test_a_data_set_is_refused_with_a_loop_that_works():
    x = np.random.default_rng(0).normal(size=(6, 2, 2, 3)).astype(np.float32)
    model, dataset = linear(), tf.data.Dataset.from_tensor_slices((x, [0, 1, 1, 0, 1, 0])).batch(4)
    with pytest.raises(TypeError, match=r"inputs: got a \w+ of tf.data.*for x, y in dataset.as_numpy_iterator\(\)"):
        explained(model, dataset)
    maps = [explained(model, x, y) for x, y in dataset.as_numpy_iterator()]  # the cure, taken literally
    assert np.array_equal(np.concatenate(maps), explained(model, x, [0, 1, 1, 0, 1, 0]))


@pytest.mark.parametrize("kind", [int, float, bool, np.uint8])
def test_one_hot_targets_and_a_column_are_class_indices(kind):
    x = np.random.default_rng(0).normal(size=(3, 2, 2, 3)).astype(np.float32)
    wanted = explained(linear(), x, [1, 0, 0])
    assert np.array_equal(explained(linear(), x, np.eye(2)[[1, 0, 0]].astype(kind)), wanted)
    assert np.array_equal(explained(linear(), x, [[1], [0], [0]]), wanted)
    with pytest.raises((TypeError, ValueError), match="^targets:"):
        explained(linear(), x, np.ones((3, 2), kind))  # two classes at once


def test_two_one_hot_targets_for_two_classes_are_read_by_row():
    x = np.random.default_rng(0).normal(size=(2, 2, 2, 3)).astype(np.float32)
    assert np.array_equal(explained(linear(), x, [[0, 1], [1, 0]]), explained(linear(), x, [1, 0]))


def test_a_baseline_may_have_a_value_for_each_channel():
    """A linear model: the map is w * (x - x'), with x' = (0.1, 0.2, 0.3) in the three channels."""
    x, start = (COLOURS / 255).astype(np.float32), np.array([0.1, 0.2, 0.3])
    found = xu.integrated_gradients(linear(), x, 1, baseline=start, steps=1, score="value")
    np.testing.assert_allclose(found, W[:, 1].reshape(2, 2, 3) * (x - start), rtol=1e-5, atol=1e-6)
    covered = xu.occlusion(linear(), x, 1, patch=1, stride=1, fill=start, score="value")
    np.testing.assert_allclose(covered, (W[:, 1].reshape(2, 2, 3) * (x - start)).sum(-1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("given", [[0.1, 0.2, 0.3], (0, 1, 1), [np.float32(1), 0.0, 0.0]])
def test_a_list_of_bare_numbers_is_refused_with_both_cures(given):
    x = (COLOURS / 255).astype(np.float32)
    with pytest.raises(ValueError, match=r"baseline: got a list of numbers.*numpy\.array.*numpy\.array\(value\)"):
        xu.integrated_gradients(linear(), x, 1, baseline=given, steps=1, score="value")
    with pytest.raises(ValueError, match=r"fill: got a list of numbers.*numpy\.array"):
        xu.occlusion(linear(), x, 1, fill=given, score="value")
    averaged = [np.array(value) for value in given]  # the second cure: the mean of three maps
    found = xu.integrated_gradients(linear(), x, 1, baseline=averaged, steps=1, score="value")
    wanted = W[:, 1].reshape(2, 2, 3) * (x - np.mean(given))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_channels_come_first_nowhere():
    inputs = np.zeros((2, 3, 4, 5))
    assert baselines(np.arange(5.0), inputs)[1, 2, 3].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"baseline: got shape \(4,\)"):
        baselines(np.zeros(4), inputs)
