"""What windows would save, against a net counted by hand and against patches that are really covered."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from benchmarks import page, windows
from tools.environment import ROOT


def test_two_convolutions_counted_by_hand():
    """8 px, patch 3, stride 3: patches begin at 0, 3, 5.

    3x3, 2 filters: 6 positions a side, of which 3, 5, 3 see a patch. 2x2, stride 2, 3 filters: 3 positions, 2, 3, 2.
    """
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(3, 2, strides=2)(layers.Conv2D(2, 3)(inputs))
    first, second, dense = windows.layers(keras.Model(inputs, layers.Dense(5)(layers.Flatten()(x))), 3, 3)
    assert (first.sides, second.sides, dense.sides) == ((6, 6), (3, 3), ())
    assert (first.whole, second.whole, dense.whole) == (36 * 9 * 2, 9 * 4 * 2 * 3, 27 * 5)
    assert first.share == pytest.approx((11 / 3) ** 2 / 36) and first.largest == pytest.approx(25 / 36)
    assert second.share == pytest.approx((7 / 3) ** 2 / 9) and second.largest == 1
    assert (dense.share, dense.largest) == (1, 1)
    whole, *stages = windows.rows("net", [first, second, dense])
    assert whole == {"network": "net", "stage": "all", "whole": 648 + 216 + 135, "windows": 508, "alike": 801}
    assert [stage["stage"] for stage in stages] == ["6x6", "3x3", "1"]
    assert [stage["windows"] for stage in stages] == [242, 131, 135]
    assert windows.bound(whole) == 999 / 508 and windows.bound(whole, "alike") == 999 / 801


def shortcuts():
    """Padding by a layer, strides, a depthwise convolution, a sum of two ways of different reach, means of pairs."""
    inputs = keras.Input((22, 18, 2))
    x = layers.Conv2D(4, 3, strides=2, activation="elu")(layers.ZeroPadding2D(((0, 1), (2, 1)))(inputs))
    x = layers.BatchNormalization()(x)
    y = layers.Conv2D(4, 1)(layers.DepthwiseConv2D(3, padding="same", activation="silu")(x))
    x = layers.Add()([x, y])
    y = layers.Conv2D(5, 3, strides=2, padding="same")(x)
    x = layers.Concatenate()([y, layers.Conv2D(3, 1, strides=2)(x)])
    return keras.Model(inputs, layers.Conv2D(2, 2)(layers.AveragePooling2D(2)(x)))


def gated():
    """Squeeze and excitation between two convolutions."""
    inputs = keras.Input((22, 18, 2))
    x = layers.Conv2D(4, 3, activation="elu")(inputs)
    gate = layers.Reshape((1, 1, 4))(layers.GlobalAveragePooling2D()(x))
    x = layers.Multiply()([x, layers.Conv2D(4, 1, activation="sigmoid")(gate)])
    return keras.Model(inputs, layers.Conv2D(3, 3)(x))


def with_maxima():
    inputs = keras.Input((22, 18, 2))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(layers.Conv2D(4, 3, activation="relu")(inputs))
    return keras.Model(inputs, layers.Conv2D(3, 3, padding="same")(x))


def signal():
    inputs = keras.Input((30, 2))
    x = layers.Conv1D(3, 5, strides=2, padding="same", activation="tanh")(inputs)
    return keras.Model(inputs, layers.Conv1D(2, 3, padding="causal")(x))


@pytest.mark.parametrize(("make", "exactly"), [(shortcuts, True), (gated, True), (signal, True), (with_maxima, False)])
def test_covering_a_patch_changes_what_the_window_holds(make, exactly):
    """Every tensor of every operation, patch by patch: the smallest box around all changes is the window.

    Where a maximum is taken a change can pass unnoticed, so there it may be smaller, never larger.
    """
    keras.utils.set_random_seed(1)
    model = make()
    generator = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(np.abs(generator.normal(0, 0.5, variable.shape)) + 0.1)
    x = generator.random((1, *model.input_shape[1:]), np.float32)
    patches = list(itertools.product(*(windows.patches_along(side, 5, 3) for side in x.shape[1:-1])))
    run = tf.compat.v1.wrap_function(lambda x: model(x, training=False), [tf.TensorSpec(x.shape)])
    found = windows.followed(run.graph, run.graph.inputs[0], patches)
    tensors = [run.graph.get_tensor_by_name(name) for name in found]
    tensors = [tensor for tensor in tensors if tensor.shape.rank == x.ndim]
    assert len(tensors) > 5
    see = run.prune(run.graph.inputs[0], tensors)
    plain = [values.numpy() for values in see(tf.constant(x))]
    for number, patch in enumerate(patches):
        covered = x.copy()
        covered[0][patch] += 1
        for tensor, before, after in zip(tensors, plain, see(tf.constant(covered)), strict=True):
            moved = np.abs(after.numpy() - before)[0].max(axis=-1) > 1e-6
            box = [slice(*found[tensor.name][axis, :, number]) for axis in range(1, x.ndim - 1)]
            inside = np.zeros_like(moved)
            inside[tuple(box)] = True
            assert not (moved & ~inside).any(), f"{tensor.name}: {patch} changes more than {box}"
            assert not exactly or moved.sum() == inside.sum(), f"{tensor.name}: {patch} changes less than {box}"


def test_the_multiply_adds_are_those_of_the_papers():
    """MobileNetV2: 300 million. EfficientNetB0 without gates has the parameters of EfficientNet-Lite0, 4 652 008."""
    assert (
        round(sum(layer.whole for layer in windows.layers(keras.applications.MobileNetV2(weights=None))) / 1e6) == 301
    )
    bare = windows.without_gates(keras.applications.EfficientNetB0(weights=None))
    assert sum(np.prod(one.shape) for one in bare.trainable_weights) == 4_652_008
    assert not any("se_" in layer.name for layer in bare.layers)


def test_an_operation_whose_reach_is_unknown_is_refused():
    inputs = keras.Input((8, 8, 3))
    turned = keras.Model(inputs, layers.Conv2D(2, 3)(keras.ops.flip(inputs, axis=1)))
    with pytest.raises(ValueError, match="Reverse.* is not known here"):
        windows.layers(turned, 3, 3)


def test_the_page_names_the_networks_that_windows_would_speed_up():
    """Twice is enough for windows of their own size and not for windows of one size; 1.9 times is not enough."""
    rows = [
        {"network": "A", "stage": "all", "whole": 200, "windows": 100, "alike": 150},
        {"network": "A", "stage": "4x4", "whole": 200, "windows": 100, "alike": 150},
        {"network": "B", "stage": "all", "whole": 190, "windows": 100, "alike": 100},
    ]
    text = windows.section({"windows": rows})
    assert "At least 2 times fewer with windows of their own size: A. With windows of one size: none." in text
    assert "| A | all | 0.0002 | 0.0001 | 2.00 | 1.33 |" in text
    assert windows.section({}) == ""


def test_the_committed_counts_are_those_of_the_network():
    kept = page.read(ROOT / "benchmarks" / "results.json")["windows"]
    found = windows.rows("MobileNetV2", windows.layers(keras.applications.MobileNetV2(weights=None)))
    assert [row for row in kept if row["network"] == "MobileNetV2"] == found
