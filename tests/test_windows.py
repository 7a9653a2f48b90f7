"""Scores from the changed part of each layer equal those of whole passes, on every kind of layer and border."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L
from test_perturbation import average_over_patches

import models
import xai_utils as xu
from heatproof import hiding
from heatproof.engine import anatomy, programs, receptive
from heatproof.engine import windows as room
from heatproof.engine.counting import counting
from heatproof.engine.query import Query

RELU = {"activation": "relu"}


@pytest.fixture
def always(monkeypatch):
    """Windows even where they are as large as the image, two to four in a chunk."""
    monkeypatch.setattr(room, "WORTH", 4.0)


def network(shape, *parts, head=("gap",), classes=3):
    """These layers, a head and the scores, every weight random; batch norms have statistics of their own."""
    rank = len(shape) - 1
    heads = {"gap": f"GlobalAveragePooling{rank}D", "max": f"GlobalMaxPooling{rank}D", "flatten": "Flatten"}
    x = inputs = keras.Input(shape)
    for part in (*parts, *(getattr(L, heads.get(name, name))() for name in head)):
        x = part(x)
    return models.randomised(keras.Model(inputs, L.Dense(classes)(x)))


def everywhere(space, patch):
    """A window at every position."""
    starts = itertools.product(*(range(side - size + 1) for side, size in zip(space, patch, strict=True)))
    return [tuple(slice(at, at + size) for at, size in zip(corner, patch, strict=True)) for corner in starts]


def whole_passes(model, inputs, windows, fills, targets):
    """S_c of each input with each window filled, from the model itself."""
    scores = np.empty((len(inputs), len(windows)))
    for item, c in enumerate(targets):
        covered = np.repeat(inputs[[item]], len(windows), axis=0)
        for one, window in zip(covered, windows, strict=True):
            one[window] = fills[item][window]
        scores[item] = model(covered).numpy()[:, c]
    return scores


def check(model, patch):
    """All windows of the size `patch`, and one of nothing: scores of whole passes to 2e-5 of the largest."""
    inputs = models.examples(model, 2)
    space, targets = inputs.shape[1:-1], [2, 0]
    fills = np.random.default_rng(5).normal(size=inputs.shape).astype("float32")
    windows = everywhere(space, patch)
    found = room.covered_scores(Query(model, inputs, targets, batch_size=128), windows, fills, "test")
    assert found is not None, "the trunk must be found"
    windows = [*windows, tuple(slice(0, 0) for _ in space)]
    got = np.full((len(inputs), len(windows)), np.nan)
    for item, number, value in found:
        got[item, number] = value
    wanted = whole_passes(model, inputs, windows, fills, targets)
    assert np.ptp(wanted) > 1e-3
    np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


def conv(filters=3, size=3, **options):
    rank = options.pop("rank", 2)
    return getattr(L, f"Conv{rank}D")(filters, size, **RELU | options)


def signal(filters=3, size=3, **options):
    return conv(filters, size, rank=1, **options)


SAME = {"padding": "same"}
IMAGES = {
    "valid": lambda: [conv(), conv(size=2)],
    "same": lambda: [conv(**SAME), conv(size=5, **SAME)],
    "same and valid": lambda: [conv(**SAME), conv(), conv(size=(1, 3), **SAME)],
    "even kernels": lambda: [conv(size=2, **SAME), conv(size=(4, 2), **SAME)],
    "stride 2, same": lambda: [conv(strides=2, **SAME), conv(**SAME)],
    "stride 2 by 3": lambda: [conv(size=4, strides=2, **SAME), conv(size=(2, 3), strides=3, **SAME)],
    "stride 2, valid": lambda: [conv(strides=2), conv(size=2, strides=1, **SAME)],
    "stride above kernel": lambda: [conv(size=1, strides=2), conv(**SAME)],
    "dilation": lambda: [conv(dilation_rate=2, **SAME), conv(size=2, dilation_rate=(1, 3), **SAME)],
    "dilation, valid": lambda: [conv(dilation_rate=2)],
    "max pooling": lambda: [conv(**SAME), L.MaxPooling2D(2), conv(**SAME), L.MaxPooling2D(2)],
    "max pooling, same": lambda: [conv(activation=None, **SAME), L.MaxPooling2D(2, **SAME), conv(**SAME)],
    "overlapping max pooling, same": lambda: [conv(activation=None, **SAME), L.MaxPooling2D(3, 2, **SAME)],
    "negative maps at the border": lambda: [L.MaxPooling2D(3, 1, **SAME), conv(**SAME)],
    "mean pooling": lambda: [conv(**SAME), L.AveragePooling2D(2), conv(**SAME), L.AveragePooling2D((1, 2))],
    "overlapping mean pooling": lambda: [conv(**SAME), L.AveragePooling2D(3, 1), conv(**SAME)],
    "batch norm": lambda: [L.BatchNormalization(), conv(None or 3, **SAME), L.BatchNormalization(), L.ReLU(), conv()],
    "zero padding": lambda: [L.ZeroPadding2D(((0, 2), (1, 0))), conv(strides=2), L.ZeroPadding2D(1), conv()],
    "activations": lambda: [
        conv(activation="tanh"),
        L.LeakyReLU(),
        L.Activation("elu"),
        L.ELU(),
        L.Dropout(0.5),
        conv(),
    ],
    "softmax over channels": lambda: [conv(activation="softmax", **SAME), conv()],
    "depthwise": lambda: [L.DepthwiseConv2D(3, depth_multiplier=2, **SAME), L.SeparableConv2D(3, 3, strides=2, **SAME)],
    "one layer": lambda: [conv()],
}
SIGNALS = {
    "same": lambda: [signal(**SAME), L.MaxPooling1D(2), signal(**SAME)],
    "causal": lambda: [signal(padding="causal", dilation_rate=2), signal(padding="causal", strides=2)],
    "strides": lambda: [signal(size=5, strides=3, **SAME), L.BatchNormalization(), signal(size=2)],
    "dilation": lambda: [signal(dilation_rate=3, **SAME), L.AveragePooling1D(2), signal()],
    "depthwise": lambda: [L.DepthwiseConv1D(3, **SAME), L.SeparableConv1D(4, 4, strides=2, **SAME), signal(**SAME)],
    "padding": lambda: [L.ZeroPadding1D((1, 3)), signal(), L.MaxPooling1D(3, 2, **SAME)],
}


@pytest.mark.parametrize("name", IMAGES)
def test_windows_of_images_equal_whole_passes(always, name):
    check(network((13, 11, 2), *IMAGES[name](), head=["flatten"]), (4, 3))


@pytest.mark.parametrize("name", ["same", "max pooling", "one layer"])
def test_windows_before_a_mean_over_space_equal_whole_passes(always, name):
    check(network((13, 11, 2), *IMAGES[name](), head=["gap"]), (4, 3))


@pytest.mark.parametrize("name, head, patch", [*((name, "flatten", 5) for name in SIGNALS), ("same", "gap", 1)])
def test_windows_of_signals_equal_whole_passes(always, name, head, patch):
    check(network((29, 2), *SIGNALS[name](), head=[head]), (patch,))


@pytest.mark.parametrize("space", [(12, 12), (17, 9)])
@pytest.mark.parametrize("patch", [(1, 1), (2, 5), (9, 9)])
def test_windows_of_any_patch_on_sides_that_strides_do_not_divide(always, space, patch):
    parts = [conv(**SAME), L.MaxPooling2D(2, **SAME), conv(strides=2, **SAME), conv(**SAME)]
    check(network((*space, 2), *parts, head=["max"]), patch)


def nested_network():
    inner = keras.Sequential([keras.Input((12, 12, 2)), conv(**SAME), L.MaxPooling2D(2), conv(**SAME)])
    return network((12, 12, 2), keras.Sequential([keras.Input((12, 12, 2)), inner]), conv(**SAME))


def test_windows_of_nested_and_sequential_networks(always):
    check(nested_network(), (3, 3))
    check(models.sequential((9, 8, 2), ending="logits"), (3, 3))


def test_windows_of_an_inner_unit(always):
    """S = mean of one map of the second convolution: the trunk ends there."""
    model = network((12, 12, 2), conv(**SAME), conv(4, **SAME), conv(**SAME))
    view = xu.unit(model, model.layers[2].name, 3)
    inputs = models.examples(model, 1)
    windows = everywhere((12, 12), (5, 4))
    found = room.covered_scores(Query(view, inputs, 0), windows, 0 * inputs, "test")
    wanted = whole_passes(keras.Model(model.inputs, L.GlobalAveragePooling2D()(model.layers[2].output)),
                          inputs, windows, 0 * inputs, [3])  # fmt: skip
    np.testing.assert_allclose([value for *_, value in found][:-1], wanted[0], rtol=1e-5, atol=1e-6)


# --- where the trunk ends ---------------------------------------------------------------------------------------


def squeeze_and_excite(x):
    gate = L.Dense(3, activation="sigmoid")(L.GlobalAveragePooling2D()(x))
    return L.Multiply()([x, L.Reshape((1, 1, 3))(gate)])


def skipped(x):
    return L.Add()([x, conv(**SAME)(x)])


class Odd(L.Conv2D):
    """Derived from a known class, but not local."""

    def call(self, inputs):
        return super().call(inputs) - keras.ops.mean(inputs, axis=(1, 2, 3), keepdims=True)


ENDS = {
    "group norm": lambda: L.GroupNormalization(3),
    "layer norm": lambda: L.LayerNormalization(axis=(1, 2, 3)),
    "upsampling": lambda: L.UpSampling2D(2),
    "mean pooling over a border": lambda: L.AveragePooling2D(2, padding="same"),
    "attention": lambda: squeeze_and_excite,
    "skip": lambda: skipped,
    "derived layer": lambda: Odd(3, 3, **SAME),
    "own activation": lambda: L.Activation(lambda x: x / (1 + keras.ops.mean(x, axis=(1, 2, 3), keepdims=True) ** 2)),
    "lambda": lambda: L.Lambda(lambda x: x - keras.ops.mean(x, axis=(1, 2), keepdims=True)),
    "lost channel order": lambda: L.Permute((2, 1, 3)),
    "transposed convolution": lambda: L.Conv2DTranspose(3, 3, **SAME),
}


@pytest.mark.parametrize("part", ENDS.values(), ids=ENDS)
def test_the_trunk_ends_before_what_is_not_known_to_be_local(always, part):
    """Behind two known layers the rest is computed whole, to the same scores; a first layer ends it."""
    model = network((9, 7, 2), conv(**SAME, name="one"), conv(**SAME, name="two"), part(), conv(name="behind", **SAME))
    names = [call.layer.name for step in receptive.trunk(anatomy.anatomy(Query(model, models.examples(model)).recipe))
             for call in step.calls]  # fmt: skip
    assert names == ["one", "two"]
    check(model, (3, 2))
    alone = network((9, 7, 3), part(), conv(**SAME))
    inputs = models.examples(alone, 1)
    assert room.covered_scores(Query(alone, inputs), everywhere((9, 7), (3, 3)), inputs, "test") is None


def test_a_layer_that_is_called_twice_is_not_taken_apart(always):
    twice = conv(2, **SAME)
    model = network((9, 7, 2), twice, twice)
    inputs = models.examples(model, 1)
    assert room.covered_scores(Query(model, inputs), everywhere((9, 7), (3, 3)), inputs, "test") is None


def test_a_layer_that_does_more_than_its_class_says_is_noticed(always):
    """Windows that cover nothing change its maps."""
    odd = conv(**SAME)
    model, plain = network((9, 7, 2), odd, conv(**SAME)), odd.call
    object.__setattr__(odd, "call", lambda x: plain(x) - 5 * keras.ops.mean(x))
    inputs = models.examples(model, 1)
    assert room.covered_scores(Query(model, inputs, 0), everywhere((9, 7), (3, 3)), inputs, "test") is None


def test_half_precision_takes_whole_passes(always):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network((9, 7, 2), conv(**SAME), conv(**SAME))
    finally:
        keras.config.set_dtype_policy("float32")
    inputs = models.examples(model, 1).astype("float32")
    assert room.covered_scores(Query(model, inputs, 0), everywhere((9, 7), (3, 3)), inputs, "test") is None


# --- what changes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_windows_hold_what_changes_and_no_more(padding):
    """By hand-made differences: the maps of covered and plain inputs differ inside the windows only, and fill one."""
    parts = [conv(activation=None, padding=padding), L.MaxPooling2D(2), conv(activation=None, padding=padding)]
    model = network((20, 23, 1), *parts)
    inputs = np.random.default_rng(0).random((1, 20, 23, 1), "f")
    windows = everywhere((20, 23), (4, 4))[::7]
    corners = np.array([[side.start for side in window] for window in windows])
    steps = receptive.trunk(anatomy.anatomy(Query(model, inputs).recipe))
    starts, sizes = receptive.changed(steps, corners, (4, 4))
    last = keras.Model(model.inputs, model.layers[3].output)
    plain, widest = last(inputs).numpy()[0], np.zeros(2, int)
    for corner, start in zip(corners, starts[-1], strict=True):
        covered = inputs.copy()
        covered[0, corner[0] : corner[0] + 4, corner[1] : corner[1] + 4] += 100 * np.sign(
            np.arange(16) % 3 - 1.5
        ).reshape(4, 4, 1)
        differs = np.argwhere((last(covered).numpy()[0] != plain).any(axis=-1))
        assert (differs >= start).all() and (differs < start + sizes[-1]).all()
        widest = np.maximum(widest, np.ptp(differs, axis=0) + 1)
    np.testing.assert_array_equal(widest, sizes[-1])


def test_positions_of_one_step_by_hand():
    """Kernel 3, 'same', pooling by 2 on 10 samples; samples 4-5 are covered.

    The convolution changes at 3-6, the pooling at 1-3: three outputs, for which 6 + 2 padded inputs are read from the
    padded position 2 on, which is sample 1. At the far end (8-9) the outputs 3-4 change: one window begins at 2.
    """
    model = network((10, 1), signal(**SAME), L.MaxPooling1D(2))
    passes = room._Passes(Query(model, models.examples(model)), [(slice(4, 6),), (slice(8, 10),)])
    assert len(passes.steps) == 1
    np.testing.assert_array_equal(passes.starts[-1], [[1], [2]])
    np.testing.assert_array_equal(passes.sizes, [[2], [3]])
    starts, size = passes.steps[0].cut(passes.starts[1], passes.sizes[1])
    np.testing.assert_array_equal(starts, [[2], [4]])
    np.testing.assert_array_equal(size, [8])
    assert passes.share == 8 / 10  # of the input's 10 values; the mean of the last map is not computed anew


# --- occlusion --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deep():
    """Three blocks on 64 x 60 pixels: local, and large enough to pay."""
    model = network((64, 60, 3), *(part for k in (4, 6, 8) for part in (conv(k, **SAME), L.MaxPooling2D(2))))
    return model, models.examples(model, 3)


def no_whole_passes(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("whole passes for covered inputs")

    monkeypatch.setattr(Query, "perturbed", refuse)


@pytest.mark.parametrize("fill, score", [("mean", "logit"), ("array", "probability")])
def test_occlusion_by_windows_equals_the_naive_loop(deep, monkeypatch, fill, score):
    model, inputs = deep[0], deep[1][:1]
    fill = np.random.default_rng(2).normal(size=inputs.shape[1:]) if fill == "array" else fill
    values, targets = hiding.baselines(fill, inputs), [2]

    def drop(item, where):
        covered = inputs[item].copy()
        covered[where] = values[item][where]
        z = model(np.stack([inputs[item], covered]))
        return np.subtract(*(z if score == "logit" else tf.nn.softmax(z)).numpy()[:, targets[item]])

    no_whole_passes(monkeypatch)
    got = xu.occlusion(model, inputs, targets, patch=(9, 7), stride=(9, 7), fill=fill, score=score)
    wanted = [
        average_over_patches((64, 60), (9, 7), (9, 7), lambda where, item=item: drop(item, where)) for item in range(1)
    ]
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 * max(1, np.abs(wanted).max()))
    assert np.abs(wanted).max() > 1e-3


def test_occlusion_computes_a_fraction_of_the_positions(deep, monkeypatch):
    """One whole pass per input and windows of less than an eighth of the maps, in bounded chunks, not 90 passes."""
    model, inputs = models.randomised(keras.models.clone_model(deep[0])), deep[1]
    chunks = []  # of each chunk, how many values each step reads

    def first(*arguments, original=room.covered):
        parts = original(*arguments)
        chunks.append([np.size(parts)])
        return parts

    def later(plain, starts, size, windows=None, origins=None, original=room.read):
        parts = original(plain, starts, size, windows, origins)
        if windows is None:
            return parts
        count = tf.numpy_function(lambda size: (chunks[-1].append(size), size)[1], [tf.size(parts)], tf.int32)
        with tf.control_dependencies([count]):
            return tf.identity(parts)

    monkeypatch.setattr(room, "covered", first)
    monkeypatch.setattr(room, "read", later)
    no_whole_passes(monkeypatch)
    with counting() as passes:
        xu.occlusion(model, inputs, 1, patch=9, stride=6, batch_size=4)
    assert passes["forwards"] == len(inputs) + 1  # and one to see that windows are exact
    assert {len(values) for values in chunks} == {3}
    whole = 64 * 60 * 3 + 32 * 30 * 4 + 16 * 15 * 6
    assert len(inputs) * 11 * 10 * whole / 10 < sum(map(sum, chunks)) < len(inputs) * 11 * 10 * whole / 8
    assert max(map(sum, chunks)) <= 4 * whole


def test_occlusion_by_windows_is_the_same_alone_and_in_a_batch_and_traces_once(deep):
    model, inputs = deep
    together = xu.occlusion(model, inputs, 1, patch=9, stride=6)
    known = len(programs._PROGRAMS[model])
    alone = [xu.occlusion(model, inputs[[item]], 1, patch=9, stride=6)[0] for item in range(3)]
    np.testing.assert_array_equal(together, alone)
    xu.occlusion(model, inputs[:2], [0, 2], patch=(5, 8), stride=4, fill="zero", batch_size=7)
    assert len(programs._PROGRAMS[model]) == known


def test_occlusion_with_windows_as_large_as_the_image_takes_whole_passes(deep, monkeypatch):
    model, inputs = deep
    monkeypatch.setattr(room._Passes, "pairs", None)
    got = xu.occlusion(model, inputs[:1], 1, patch=(50, 50), stride=14)
    monkeypatch.undo()
    monkeypatch.setattr(room, "WORTH", 4.0)
    no_whole_passes(monkeypatch)
    np.testing.assert_allclose(xu.occlusion(model, inputs[:1], 1, patch=(50, 50), stride=14), got, rtol=0, atol=1e-5)


def test_occlusion_follows_weights_that_change(deep):
    """The compiled functions read the weights of the moment."""
    model = keras.models.clone_model(deep[0])
    inputs = deep[1]
    for seed in (3, 4):
        models.randomised(model, seed)
        got = xu.occlusion(model, inputs[:1], 1, patch=9, stride=9, fill="zero")[0]
        covered = inputs[:1].copy()
        covered[0, :9, :9] = 0
        assert got[0, 0] == pytest.approx(float((model(inputs[:1]) - model(covered))[0, 1]), abs=1e-5)
