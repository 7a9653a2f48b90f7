"""Oracles of the strongest places and of what they read: a full sort, hand-made nets, pixels changed outside."""

import tracemalloc
import warnings

import keras
import numpy as np
import pytest
from keras import layers

import models
import xai_utils as xu
from heatproof.engine.counting import counting

SHAPES = {"image": models.IMAGE, "signal": models.SIGNAL}


@pytest.fixture(scope="module", params=SHAPES.values(), ids=list(SHAPES))
def net(request):
    return models.cnn(request.param)


def sorted_in_full(activations, k, sources=None, per_source=1):
    """(value, item, position) of each unit, from a sorted list of all places; a source has at most so many."""
    found = []
    for channel in range(activations.shape[-1]):
        places = [(-value, place) for place, value in np.ndenumerate(activations[..., channel])]
        taken, kept = {}, []
        for value, place in sorted(places):
            source = place[0] if sources is None else sources[place[0]]
            taken[source] = taken.get(source, 0) + 1
            if taken[source] <= per_source:
                kept.append((-value, place[0], place[1:]))
        found.append(kept[:k])
    return found


def check(found, wanted):
    assert found.values.dtype == np.float32 and found.items.dtype == found.positions.dtype == np.int64
    for row, (values, items, positions) in zip(wanted, zip(*found, strict=True), strict=True):
        np.testing.assert_allclose(values, [value for value, _, _ in row], rtol=1e-6)
        assert items.tolist() == [item for _, item, _ in row]
        assert positions.tolist() == [list(position) for _, _, position in row]


@pytest.mark.parametrize("per_source", [1, 3])
@pytest.mark.parametrize("sources", [None, "dealt"])
def test_strongest_is_the_full_sort(net, per_source, sources):
    x = models.examples(net, 13)
    sources = None if sources is None else np.array(list("abcbaacbcdeea"))
    found = xu.strongest(net, "conv_2", x, 4, sources=sources, per_source=per_source, batch_size=3)
    check(found, sorted_in_full(xu.activations(net, x, "conv_2"), 4, sources, per_source))


def test_strongest_of_batches_is_that_of_one_array_at_any_size(net):
    x = models.examples(net, 11)
    whole = xu.strongest(net, "conv_1", x, 5)
    for given in (x, list(x), [x[:1], x[1:8], x[8:]], (part for part in (x[:6], x[6:]))):
        for one, other in zip(whole, xu.strongest(net, "conv_1", given, 5, batch_size=4), strict=True):
            np.testing.assert_array_equal(one, other)


def test_strongest_takes_the_first_of_equal_places():
    """All inputs are alike and constant: every place of the valid convolution is equal."""
    inputs = keras.Input((5, 4, 1))
    x = layers.Conv2D(2, 2, name="conv")(inputs)
    model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    found = xu.strongest(model, "conv", np.ones((6, 5, 4, 1), np.float32), 3, per_source=2, batch_size=2)
    assert found.items.tolist() == [[0, 0, 1]] * 2
    assert found.positions.tolist() == [[[0, 0], [0, 1], [0, 0]]] * 2
    once = xu.strongest(model, "conv", np.ones((6, 5, 4, 1), np.float32), 3, batch_size=4)
    assert once.items.tolist() == [[0, 1, 2]] * 2 and not once.positions.any()


def test_strongest_keeps_one_place_of_each_source_whatever_comes_later():
    """A later item of a source takes the place of its earlier ones, and frees nothing for the others."""
    inputs = keras.Input((1, 2, 1))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Conv2D(1, 1, name="conv")(inputs))))
    model.get_layer("conv").set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    x = np.array([[3, 1], [4, 0], [9, 2], [5, 8], [6, 7]], np.float32).reshape(5, 1, 2, 1)
    found = xu.strongest(model, "conv", x, 2, sources=[0, 1, 0, 1, 0], batch_size=1)
    assert found.values.tolist() == [[9, 8]] and found.items.tolist() == [[2, 3]]
    assert found.positions.tolist() == [[[0, 0], [0, 1]]]
    twice = xu.strongest(model, "conv", x, 4, sources=[0, 1, 0, 1, 0], per_source=2, batch_size=2)
    assert twice.values.tolist() == [[9, 8, 7, 5]] and twice.items.tolist() == [[2, 3, 4, 3]]


def test_strongest_asks_each_input_once():
    model = models.cnn()
    with counting() as passes:
        xu.strongest(model, "conv_2", models.examples(model, 7), 2, batch_size=3)
    assert passes == {"forwards": 7, "backwards": 0}


def test_strongest_holds_a_batch_and_not_the_set():
    """Six batches and sixty: the same memory, though the activations of the set are ten times as many."""
    model = models.cnn((24, 24, 2))
    x, peaks = models.examples(model, 8), {}
    for batches in (1, 6, 60):
        tracemalloc.start()
        xu.strongest(model, "conv_1", (x + np.float32(number) for number in range(batches)), 2)
        peaks[batches] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    one = x.nbytes * 4 // 2  # the activations of a batch
    assert peaks[60] < peaks[6] + one / 2 and peaks[6] > one


def test_strongest_refuses_what_has_too_few_places():
    model, x = models.cnn(), models.examples(models.IMAGE, 4)
    with pytest.raises(ValueError, match="k: got 5, but the inputs have 4 places.*more inputs"):
        xu.strongest(model, "conv_2", x, 5)
    with pytest.raises(ValueError, match="k: got 3, but the inputs have 2 places"):
        xu.strongest(model, "conv_2", x, 3, sources=[0, 0, 1, 1])
    with pytest.raises(ValueError, match="k: got 9, but the inputs have 4 places"):
        xu.strongest(model, "conv_2", iter([x]))
    with pytest.raises(ValueError, match="sources: got 3 for 4 inputs"):
        xu.strongest(model, "conv_2", [x[:2], x[2:]], 1, sources=[0, 0, 1])
    with pytest.raises(ValueError, match="sources: got 5 for 4 inputs"):
        xu.strongest(model, "conv_2", [x[:2], x[2:]], 1, sources=[0, 0, 1, 1, 2])
    with pytest.raises(ValueError, match="inputs: got no batch at all"):
        xu.strongest(model, "conv_2", iter([]))
    with pytest.raises(ValueError, match="layer: got 'scores', which has no positions left"):
        xu.strongest(model, "scores", x, 1)
    inputs = keras.Input((None, None, 2))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3, name="conv")(inputs))
    model, sizes = models.randomised(keras.Model(inputs, layers.Dense(2)(x))), [(2, 5, 4, 2), (1, 4, 5, 2)]
    with pytest.raises(ValueError, match=r"inputs: got a batch \(1, 4, 5, 2\) behind a batch \(2, 5, 4, 2\)"):
        xu.strongest(model, "conv", [np.ones(size, np.float32) for size in sizes], 1)
    assert xu.strongest(model, "conv", [np.ones(sizes[0], np.float32)] * 2, 1).positions.tolist() == [[[0, 0]]] * 2


# --- what they read ----------------------------------------------------------------------------------------------


def deep(shape=(11, 13, 2), padding="same"):
    """Strides, a dilation, "same" padding that is uneven, pooling: each counts in the field."""
    inputs = keras.Input(shape)
    x = layers.Conv2D(3, 3, strides=2, padding=padding, activation="relu", name="one")(inputs)
    x = layers.Conv2D(4, (3, 2), dilation_rate=(1, 2), padding=padding, activation="relu", name="two")(x)
    x = layers.MaxPooling2D(2, 1, name="three")(x)
    return models.randomised(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))


def test_patches_of_a_hand_worked_field():
    """3 wide, stride 2, "same" on 5: position j reads 2 j - 1 to 2 j + 1; on 6 nothing is added in front: 2 j to
    2 j + 2, the last one sticking out by one."""
    for side, first in ((5, -1), (6, 0)):
        inputs = keras.Input((side, 1))
        x = layers.Conv1D(1, 3, strides=2, padding="same", name="conv")(inputs)
        model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
        model.input_range = (0, 8)
        x = np.arange(1, side + 1, dtype=np.float32).reshape(1, side, 1)
        found = xu.patches(model, "conv", x, [0, 0, 0], [[0], [1], [2]])
        padded = np.concatenate([[4.0] * (first == -1), x.ravel(), [4.0]])  # the middle of the range
        np.testing.assert_array_equal(found.corners[:, 0], [first, first + 2, first + 4])
        for number, patch in enumerate(found.images[..., 0]):
            np.testing.assert_array_equal(patch, padded[2 * number : 2 * number + 3])
        assert found.masks.tolist() == [[first == 0, True, True], [True] * 3, [True, True, False]]


@pytest.mark.parametrize("layer", ["one", "two", "three"])
def test_pixels_outside_the_field_leave_a_unit_bit_equal_and_each_inside_changes_it(layer):
    model = deep()
    x, random = models.examples(model, 2), np.random.default_rng(3)
    found = xu.strongest(model, layer, x, 2)
    cut = xu.patches(model, layer, x, found.items, found.positions)
    for unit, rank in np.ndindex(found.items.shape):
        item, place = found.items[unit, rank], tuple(found.positions[unit, rank])
        low = np.maximum(cut.corners[unit, rank], 0)
        high = cut.corners[unit, rank] + cut.masks.shape[-2:]
        inside = np.zeros(x.shape[1:3], bool)
        inside[low[0] : high[0], low[1] : high[1]] = True
        assert inside.sum() == cut.masks[unit, rank].sum()
        np.testing.assert_array_equal(x[item][inside], cut.images[unit, rank][cut.masks[unit, rank]])
        other = np.where(inside[..., None], x[item], random.normal(size=x.shape[1:])).astype(np.float32)
        asked = xu.activations(model, np.stack([x[item], other]), layer)[(slice(None), *place, unit)]
        assert asked[0] == asked[1]
        # the first and last row and column of the field have a part in it, where they lie in the picture
        support = xu.unit_map(model, x[[item]], layer, unit, place, rule="gradient")[0].any(axis=-1)
        assert not support[~inside].any()


def test_the_field_is_no_larger_than_what_is_read():
    """Of a layer of averages every pixel of the field has a part in the answer, at every place."""
    inputs = keras.Input((11, 9, 1))
    x = layers.AveragePooling2D(3, 2, padding="valid", name="one")(inputs)
    x = layers.AveragePooling2D((2, 3), 1, padding="same", name="two")(x)
    model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    picture = models.examples(model, 1)
    sides = xu.activations(model, picture, "two").shape[1:3]
    places = np.stack(np.meshgrid(*map(np.arange, sides), indexing="ij"), axis=-1)
    cut = xu.patches(model, "two", picture, np.zeros(sides, int), places)
    for place in np.ndindex(*sides):
        support = xu.unit_map(model, picture, "two", 0, place, rule="gradient")[0, ..., 0] != 0
        inside = np.zeros_like(support)
        low, high = np.maximum(cut.corners[place], 0), cut.corners[place] + cut.masks.shape[-2:]
        inside[low[0] : high[0], low[1] : high[1]] = True
        np.testing.assert_array_equal(support, inside)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_patch_alone_on_a_neutral_ground_gives_the_same_activation(padding):
    model = deep((15, 17, 2), padding)
    x = models.examples(model, 5)
    found = xu.strongest(model, "three", x, 3)
    cut = xu.patches(model, "three", x, found.items, found.positions)
    for unit, rank in np.ndindex(found.items.shape):
        if not cut.masks[unit, rank].all():
            continue
        alone, (top, left) = np.zeros((1, *x.shape[1:]), np.float32), cut.corners[unit, rank]
        alone[0, top : top + cut.masks.shape[2], left : left + cut.masks.shape[3]] = cut.images[unit, rank]
        place = (0, *found.positions[unit, rank], unit)
        got = xu.activations(model, alone, "three")[place]
        np.testing.assert_allclose(got, found.values[unit, rank], rtol=1e-5, atol=1e-6)
    assert cut.masks.all(axis=(2, 3)).any()


def test_patches_of_batches_are_those_of_one_array_without_a_pass():
    model = deep()
    x = models.examples(model, 6)
    found = xu.strongest(model, "two", x, 2)
    with counting() as passes:
        whole = xu.patches(model, "two", x, found.items, found.positions)
        parts = xu.patches(model, "two", [x[:4], x[4:]], found.items, found.positions)
    assert passes["forwards"] == 0
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)
    some = xu.patches(model, "two", x, found.items[1, 0], found.positions[1, 0])
    np.testing.assert_array_equal(some.images, whole.images[1, 0])


def test_patches_follow_a_layer_whose_axes_are_exchanged():
    """Rows and columns change places inside the network: the field is cut where it lies in the input."""
    inputs = keras.Input((6, 9, 1))
    x = layers.Conv2D(2, (1, 3), activation="relu", name="conv")(layers.Permute((2, 1, 3))(inputs))
    model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    x = models.examples(model, 1)
    cut = xu.patches(model, "conv", x, [0], [[4, 1]])
    assert cut.images.shape == (1, 3, 1, 1) and cut.corners.tolist() == [[1, 4]]
    np.testing.assert_array_equal(cut.images[0], x[0, 1:4, 4:5])


def test_patches_refuse_places_that_are_none_and_layers_that_do_not_tell():
    model = deep()
    x = models.examples(model, 2)
    with pytest.raises(ValueError, match="positions: got integers from 0 to 7; allowed: places on a grid of"):
        xu.patches(model, "one", x, [0], [[0, 7]])
    with pytest.raises(ValueError, match=r"positions: got shape \(2,\); allowed: one place of 2 numbers"):
        xu.patches(model, "one", x, [0], [0, 1])
    with pytest.raises(ValueError, match="items: got integers from 2 to 2; allowed: integers from 0 to 1"):
        xu.patches(model, "one", [x], [2], [[0, 0]])
    inputs = keras.Input((6, 4, 1))
    x = layers.Reshape((6, 4, 1), name="woven")(layers.Dense(24)(layers.Flatten()(inputs)))
    model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    with pytest.raises(ValueError, match="layer: got 'woven', whose operations do not tell what its positions read"):
        xu.patches(model, "woven", models.examples(model, 1), [0], [[0, 0]])


def test_patches_say_where_a_gate_reads_more_than_they_show():
    """Squeeze and excitation: the mean of all positions multiplies each of them."""
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(3, 3, padding="same", name="before")(inputs)
    gate = layers.Dense(3, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.MaxPooling2D(2, name="pooled")(layers.ReLU(name="behind")(layers.Multiply(name="gated")([x, gate])))
    model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    x = models.examples(model, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert xu.patches(model, "before", x, [0], [[1, 1]]).images.shape == (1, 3, 3, 2)
    for name, side in (("gated", 3), ("behind", 3), ("pooled", 4)):
        with pytest.warns(xu.XAIWarning, match=f"layer: got '{name}', where a gate reads all positions"):
            assert xu.patches(model, name, x, [0], [[1, 1]]).images.shape == (1, side, side, 2)
