"""Where a map is drawn: operators as places, the layer when none is named, gates that are no ReLUs, channels first.

The maps are computed again in float64 by a tape at a tensor that the test itself names.
"""

import re

import keras
import numpy as np
import pytest
import tapes
import tensorflow as tf
from keras import layers, ops

import xai_utils as xu
from models import conv, headed, randomised

SHAPE = (8, 8, 2)
IMAGES = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
RAW = {"relu": False, "upsample": False}
S1 = tapes.output(1)


def name_of(tensor):
    return tensor._keras_history.operation.name


# --- sums and products written as operators ---------------------------------------------------------------------------

JOINS = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a / (1 + b * b)": lambda a, b: a / (1 + b * b),
    "-a": lambda a, b: -(a + b),
    "ops.maximum": ops.maximum,
    "ops.relu(a + b)": lambda a, b: ops.relu(a + b),
    "ops.concatenate": lambda a, b: ops.concatenate([a, b], axis=-1),
    "2 * a + b": lambda a, b: 2.0 * a + b,
}


def joined(join):
    """Two convolutions joined by `join`, read by the pooling; and the name of what the pooling reads."""
    inputs = keras.Input(SHAPE)
    a = conv("a", activation="tanh")(inputs)
    place = JOINS[join](a, conv("b", activation="tanh")(a))
    return headed(inputs, place), name_of(place)


@pytest.mark.parametrize("join", JOINS)
def test_the_default_is_what_the_pooling_reads(join):
    model, place = joined(join)
    tapes.close(xu.grad_cam(model, IMAGES, 1, **RAW), tapes.grad_cam(model, place, IMAGES, S1))


@pytest.mark.parametrize("join", ["a + b", "a / (1 + b * b)", "ops.concatenate"])
def test_the_shares_of_hires_cam_complete(join):
    """Only GAP and one dense layer follow: the raw map sums to S - b."""
    model, _ = joined(join)
    sums = xu.hires_cam(model, IMAGES, 1, upsample=False).sum(axis=(1, 2))
    tapes.close(sums, model.predict(IMAGES, verbose=0)[:, 1] - model.get_layer("head").get_weights()[1][1])


@pytest.mark.parametrize("join", ["a + b", "a * b", "ops.relu(a + b)", "2 * a + b"])
def test_a_place_can_be_asked_for_by_the_name_of_its_operation(join):
    model, place = joined(join)
    tapes.close(xu.grad_cam(model, IMAGES, 1, layer=place, **RAW), tapes.grad_cam(model, place, IMAGES, S1))
    for branch in ("a", "b"):
        wanted = tapes.grad_cam(model, branch, IMAGES, S1)
        tapes.close(xu.grad_cam(model, IMAGES, 1, layer=branch, **RAW), wanted)


@pytest.mark.parametrize("join", ["a + b", "a * b"])
def test_ablation_at_an_operator_sets_its_maps_to_zero(join):
    """Behind the place the network is linear: w_k = w_kc mean(A_k)."""
    model, place = joined(join)
    A, _ = tapes.at(model, place, IMAGES, S1)
    weights = model.get_layer("head").get_weights()[0][:, 1] * A.mean(axis=(1, 2))
    tapes.close(xu.ablation_cam(model, IMAGES, 1, **RAW), np.einsum("nhwk,nk->nhw", A, weights))


class Block(layers.Layer):
    """A residual block with a gate, written with operators alone."""

    def __init__(self, join, **options):
        super().__init__(**options)
        self.inner, self.gate, self.join = conv("inner", activation="tanh"), conv("gate", activation="sigmoid"), join

    def call(self, inputs):
        a = self.inner(inputs)
        b = self.gate(a)
        return self.join(inputs, a, b)


IN_BLOCKS = {
    "sum": lambda x, a, b: x + a * b,
    "tf": lambda x, a, b: tf.nn.relu(tf.add(x, a * b)),
    "product": lambda x, a, b: a * b,
}


class Whole(keras.Model):
    """A subclassed model whose blocks are joined in its own `call`."""

    def __init__(self, join):
        super().__init__()
        self.first, self.block = conv("first"), Block(IN_BLOCKS[join], name="block")
        self.second, self.head = conv("second", activation="tanh"), layers.Dense(3, name="head")

    def place(self, x):
        x = self.block(self.first(x))
        return x + 0.5 * self.second(x)

    def call(self, inputs):
        return self.head(tf.reduce_mean(self.place(inputs), axis=(1, 2)))


def whole(join):
    model = Whole(join)
    model(IMAGES)
    return randomised(model, 4)


def eager_grad_cam(place, behind, inputs):
    A = place(tf.constant(inputs))
    with tf.GradientTape() as tape:
        tape.watch(A)
        score = behind(A)[:, 1]
    g = tape.gradient(score, A).numpy()
    return (A.numpy() * g.mean(axis=(1, 2), keepdims=True)).sum(axis=-1)


@pytest.mark.parametrize("join", IN_BLOCKS)
def test_a_sum_in_the_call_of_a_subclassed_model_is_the_default(join):
    model = whole(join)
    wanted = eager_grad_cam(model.place, lambda A: model.head(tf.reduce_mean(A, axis=(1, 2))), IMAGES)
    tapes.close(xu.grad_cam(model, IMAGES, 1, **RAW), wanted)


@pytest.mark.parametrize("join", IN_BLOCKS)
def test_the_output_of_a_block_is_the_default_where_the_pooling_reads_it(join):
    inputs = keras.Input(SHAPE)
    model = headed(inputs, Block(IN_BLOCKS[join], name="block")(conv("first")(inputs)))
    twin = keras.Model(model.inputs, model.get_layer("block").output)
    head = model.get_layer("head")
    wanted = eager_grad_cam(twin, lambda A: head(tf.reduce_mean(A, axis=(1, 2))), IMAGES)
    tapes.close(xu.grad_cam(model, IMAGES, 1, **RAW), wanted)


@pytest.mark.parametrize("build", [lambda: joined("a + b")[0], lambda: joined("a * b")[0], lambda: whole("sum")])
def test_every_name_that_a_refusal_lists_can_be_asked_for_and_a_place_is_among_them(build):
    model = build()
    with pytest.raises(ValueError, match="^layer") as caught:
        xu.grad_cam(model, IMAGES, 1, layer="nonsense")
    names = [name for name in re.findall(r"'([^']+)'", str(caught.value)) if name != "nonsense"]
    assert len(names) >= 3, caught.value
    default = xu.grad_cam(model, IMAGES, 1, **RAW)
    maps = [xu.grad_cam(model, IMAGES, 1, layer=name, **RAW) for name in names]
    assert any(each.shape == default.shape and np.allclose(each, default, atol=1e-6) for each in maps), names


def test_the_ends_of_blocks_are_their_sums():
    inputs = keras.Input(SHAPE)
    a = conv("a")(inputs)
    first = a + conv("b", activation="tanh")(a)
    c = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="c")(first)
    second = c + conv("d", activation="tanh")(c)
    model = headed(inputs, second)
    wanted = xu.sise(model, IMAGES, 1, layers=[name_of(first), name_of(second)])
    np.testing.assert_array_equal(xu.sise(model, IMAGES, 1), wanted)


# --- the layer when none is named -------------------------------------------------------------------------------------


def streams(light=0.05):
    """A stream that carries the score and one, traced last, that carries a twentieth of it."""
    inputs = keras.Input(SHAPE)
    pooled = [layers.GlobalAveragePooling2D()(conv(name)(inputs)) for name in ("main", "side")]
    model = randomised(keras.Model(inputs, layers.Dense(3, name="head")(layers.Concatenate()(pooled))), 3)
    kernel, bias = model.get_layer("head").get_weights()
    model.get_layer("head").set_weights([kernel * ([[1]] * 4 + [[light]] * 4), bias])
    return model


def test_where_no_layer_carries_the_score_the_candidates_are_named():
    """By an error or a warning; and each candidate, or both together, is then taken."""
    try:
        _, texts = tapes.heard(xu.grad_cam, streams(), IMAGES, 1, **RAW)
    except ValueError as error:
        texts = [str(error)]
    assert [text for text in texts if "'main'" in text and "'side'" in text], texts
    tapes.silent(xu.grad_cam, streams(), IMAGES, 1, layer="main", **RAW)


@pytest.mark.parametrize("method", [xu.grad_cam, xu.hires_cam, xu.ablation_cam])
def test_a_list_of_layers_gives_the_sum_of_their_maps(method):
    parts = [method(streams(), IMAGES, 1, layer=name, relu=False) for name in ("main", "side")]
    tapes.close(tapes.silent(method, streams(), IMAGES, 1, layer=["main", "side"], relu=False), sum(parts), 1e-6)


def test_the_shares_of_two_streams_complete():
    found = xu.hires_cam(streams(), IMAGES, 1, layer=["main", "side"])  # both as large as the input
    wanted = sum(tapes.hires_cam(streams(), name, IMAGES, S1) for name in ("main", "side"))
    tapes.close(found, wanted)
    tapes.close(found.sum(axis=(1, 2)), streams().predict(IMAGES, verbose=0)[:, 1] - streams().weights[-1].numpy()[1])


def test_each_map_of_a_list_is_enlarged_for_itself():
    inputs = keras.Input(SHAPE)
    pool = layers.AveragePooling2D(2, name="pool")  # its cells are equal parts: here every way to enlarge is one
    model = headed(inputs, conv("late", activation="tanh")(pool(conv("early", activation="tanh")(inputs))))
    early, late = (tapes.grad_cam(model, name, IMAGES, S1) for name in ("early", "late"))
    found = xu.grad_cam(model, IMAGES, 1, layer=["early", model.get_layer("late")], relu=False)
    tapes.close(found, early + tapes.stretched(late, SHAPE[:2]))


def test_a_list_of_which_no_sum_can_be_made_is_refused_and_its_cure_works():
    inputs = keras.Input(SHAPE)
    early = conv("early", activation="tanh")(inputs)
    model = headed(inputs, conv("late", activation="tanh", strides=2)(early))
    with pytest.raises(ValueError, match=r"^layer: got layers of different grids.*Cure: upsample=True"):
        xu.hires_cam(model, IMAGES, 1, layer=["early", "late"], upsample=False)
    parts = [xu.hires_cam(model, IMAGES, 1, layer=name) for name in ("early", "late")]
    tapes.close(xu.hires_cam(model, IMAGES, 1, layer=["early", "late"], upsample=True), sum(parts), 1e-6)
    with pytest.raises(ValueError, match="^layer: got an empty list.*None"):
        xu.hires_cam(model, IMAGES, 1, layer=[])
    tapes.close(xu.hires_cam(model, IMAGES, 1, layer=None), parts[1], 1e-6)


class DeadBranch(keras.Model):
    """Calls a convolution, last of all, whose maps nobody reads."""

    def __init__(self):
        super().__init__()
        self.body, self.head, self.unread = conv("body"), layers.Dense(3, name="head"), conv("unread")

    def call(self, inputs):
        x = self.body(inputs)
        self.unread(x)
        return self.head(tf.reduce_mean(x, axis=(1, 2)))


def test_a_branch_that_never_reaches_the_output_is_not_chosen():
    model = DeadBranch()
    model(IMAGES)
    randomised(model, 5)
    wanted = eager_grad_cam(model.body, lambda A: model.head(tf.reduce_mean(A, axis=(1, 2))), IMAGES)
    tapes.close(xu.grad_cam(model, IMAGES, 1, **RAW), wanted)
    assert np.abs(xu.sise(model, IMAGES, 1) - xu.sise(model, IMAGES, 1, layers=["body"])).max() == 0


class DeadStream(keras.Model):
    """Two streams that are read, and one that is not."""

    def __init__(self):
        super().__init__()
        self.parts, self.head = [conv(name) for name in ("a", "b", "unread")], layers.Dense(3, name="head")

    def call(self, inputs):
        pooled = [tf.reduce_mean(part(inputs), axis=(1, 2)) for part in self.parts]
        return self.head(tf.concat(pooled[:2], axis=-1))


def test_a_stream_that_never_reaches_the_output_is_named_nowhere():
    """The two that are named add up to the score."""
    model = DeadStream()
    model(IMAGES)
    randomised(model, 5)
    _, texts = tapes.heard(xu.hires_cam, model, IMAGES, 1)
    assert len(texts) == 1 and "layer=['a', 'b']" in texts[0] and "unread" not in texts[0], texts
    found = tapes.silent(xu.hires_cam, model, IMAGES, 1, layer=["a", "b"])
    tapes.close(found.sum(axis=(1, 2)), model.predict(IMAGES, verbose=0)[:, 1] - model.head.get_weights()[1][1])
    with pytest.raises(ValueError, match="^layer: got 'nonsense'") as caught:
        xu.grad_cam(model, IMAGES, 1, layer="nonsense")
    assert "unread" not in str(caught.value)


BEHIND = {
    "max pooling": lambda: layers.MaxPooling2D(2),
    "mean pooling": lambda: layers.AveragePooling2D(2),
    "padding": lambda: layers.ZeroPadding2D(2),
}


@pytest.mark.parametrize("behind", BEHIND)
def test_the_last_convolution_is_chosen_and_not_what_shrinks_or_pads_its_maps(behind):
    inputs = keras.Input(SHAPE)
    model = headed(inputs, BEHIND[behind]()(conv("last")(conv("first")(inputs))), flat=True)
    tapes.close(xu.grad_cam(model, IMAGES, 1, **RAW), tapes.grad_cam(model, "last", IMAGES, S1))


@pytest.mark.parametrize("name", ["ZeroPadding2D", "padding by ops"])
def test_padding_that_is_pooled_is_not_chosen(name):
    """The margin is no place where the network looked: 8 x 8 positions, not 12 x 12."""
    inputs = keras.Input(SHAPE)
    pads = [[0, 0], [2, 2], [2, 2], [0, 0]]
    pad = layers.ZeroPadding2D(2) if name == "ZeroPadding2D" else lambda x: ops.pad(x, pads)
    model = headed(inputs, pad(conv("last", activation="tanh")(conv("first")(inputs))))
    tapes.close(xu.hires_cam(model, IMAGES, 1, upsample=False), tapes.hires_cam(model, "last", IMAGES, S1))


def test_what_follows_a_convolution_position_by_position_is_chosen_with_it():
    inputs = keras.Input(SHAPE)
    x = layers.BatchNormalization()(conv("last", activation=None)(inputs))
    model = headed(inputs, layers.Dropout(0.5)(layers.ReLU(name="end")(x)))
    tapes.close(xu.grad_cam(model, IMAGES, 1, **RAW), tapes.grad_cam(model, "end", IMAGES, S1))


def test_sise_takes_for_block_ends_what_every_path_leads_through():
    """Neither the scaling of the input, nor the padding, nor a layer inside a branch at a resolution of its own."""
    inputs = keras.Input((11, 11, 2))
    x = layers.ZeroPadding2D(2)(layers.Rescaling(0.5)(inputs))
    x = layers.Conv2D(4, 5, strides=2, activation="relu", name="stem")(x)  # 15 -> 6
    small = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.MaxPooling2D(3)(x))  # 2, inside a branch
    joined_ = layers.Add(name="joined")([x, layers.UpSampling2D(3)(small)])
    model = headed(inputs, layers.Conv2D(4, 3, activation="relu", name="last")(joined_))  # 4
    images = np.random.default_rng(2).normal(size=(2, 11, 11, 2)).astype(np.float32)
    wanted = xu.sise(model, images, 1, layers=["joined", "last"])
    assert (np.ptp(wanted, axis=(1, 2)) > 0).all()
    np.testing.assert_array_equal(xu.sise(model, images, 1), wanted)
