"""Which tensors are places, what carries the score, and units at operations that stand in no layer.

The maps and gradients are computed again by a tape, on the same network written with layers of Keras.
"""

import ast
import functools
import gc
import re

import keras
import numpy as np
import pytest
import tapes
import tensorflow as tf
from keras import layers

import models
import xai_utils as xu
from heatproof.engine.anatomy import anatomy
from heatproof.engine.views import recipe_of
from heatproof.engine.ways import Ways
from models import headed, randomised

SHAPE = (8, 8, 2)
IMAGES = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
RAW = {"relu": False, "upsample": False}
S1 = tapes.output(1)
conv = functools.partial(models.conv, activation="tanh")


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


# --- loops and functions that hide their products ---------------------------------------------------------------------

SIGNALS = np.random.default_rng(4).normal(size=(3, 12, 2)).astype(np.float32)


def recurrent(cell, unroll):
    cells = {"LSTM": layers.LSTM, "GRU": layers.GRU, "SimpleRNN": layers.SimpleRNN}
    if cell in cells:
        return cells[cell](4, return_sequences=True, unroll=unroll)
    return layers.Bidirectional(layers.LSTM(2, return_sequences=True, unroll=unroll))


def signal_conv(name):
    return layers.Conv1D(4, 3, padding="same", activation="tanh", name=name)


def classified(inputs, *parts):
    features = layers.Concatenate()(list(parts)) if len(parts) > 1 else parts[0]
    return randomised(keras.Model(inputs, layers.Dense(3, name="head")(features)), 3)


def of_signals(cell, unroll=False, before=(), behind=()):
    inputs = x = keras.Input(SIGNALS.shape[1:])
    for layer in (*before, recurrent(cell, unroll), layers.Activation("linear", name="maps"), *behind):
        x = layer(x)
    return classified(inputs, layers.Flatten()(x))


BEFORE = {"alone": lambda: (), "scaled": lambda: (layers.Rescaling(0.5),), "conv": lambda: (signal_conv("conv"),)}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("cell", ["LSTM", "GRU", "SimpleRNN", "Bidirectional"])
def test_the_maps_of_a_loop_are_chosen_and_not_the_pooling_behind_them(cell, before):
    model = of_signals(cell, before=BEFORE[before](), behind=[layers.MaxPooling1D(2, name="pool")])
    found = tapes.silent(xu.hires_cam, model, SIGNALS, 1, upsample=False)
    tapes.close(found, tapes.hires_cam(model, "maps", SIGNALS, S1))


@pytest.mark.parametrize("cell", ["LSTM", "Bidirectional"])
def test_a_loop_and_its_steps_written_out_have_the_same_ends_of_blocks(cell):
    """The steps written out are products that stand in the graph itself."""
    behind = [layers.MaxPooling1D(2, name="pool"), signal_conv("late")]
    looped, written = (of_signals(cell, unroll, [layers.Rescaling(0.5)], behind) for unroll in (False, True))
    written.set_weights(looped.get_weights())
    assert [place.layer.name for place in xu.Query(looped, SIGNALS).block_ends()] == ["maps", "late"]
    tapes.close(xu.sise(looped, SIGNALS, 1), xu.sise(written, SIGNALS, 1))


def test_streams_of_loops_behind_a_stem_are_named():
    inputs = keras.Input(SIGNALS.shape[1:])
    stem = signal_conv("stem")(inputs)
    ends = [layers.LSTM(4, return_sequences=True, name=name)(stem) for name in ("a", "b")]
    model = classified(inputs, *map(layers.GlobalAveragePooling1D(), ends))
    _, texts = tapes.heard(xu.hires_cam, model, SIGNALS, 1)
    assert [text for text in texts if "'a'" in text and "'b'" in text], texts
    both = tapes.silent(xu.hires_cam, model, SIGNALS, 1, layer=["a", "b"]).sum(axis=1)
    tapes.close(both, model.predict(SIGNALS, verbose=0)[:, 1] - model.get_layer("head").get_weights()[1][1])


class Compiled(layers.Layer):
    """A convolution in a function that was traced before: one operation of the graph calls it."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3, 3, shape[-1], 4), name="kernel")
        self.run = tf.function(lambda x: tf.tanh(tf.nn.conv2d(x, self.kernel.value, 1, "SAME")))
        self.run = self.run.get_concrete_function(tf.TensorSpec((None, *shape[1:]), tf.float32))

    def call(self, x):
        return tf.ensure_shape(self.run(x), self.compute_output_shape(x.shape))

    def compute_output_shape(self, shape):
        return (*shape[:-1], 4)


def test_a_convolution_in_a_compiled_function_is_one():
    def build(layer):
        inputs = keras.Input(SHAPE)
        return headed(inputs, layers.MaxPooling2D(2, name="pool")(layer(inputs)), flat=True)

    model, twin = build(Compiled(name="maps")), build(conv("maps", use_bias=False))
    twin.set_weights(model.get_weights())
    tapes.close(tapes.silent(xu.grad_cam, model, IMAGES, 1, **RAW), tapes.grad_cam(twin, "maps", IMAGES, S1))


# --- ways past all layers ---------------------------------------------------------------------------------------------


def past(*names, loop=False):
    """Convolutions, or loops, side by side, and the means of the input itself."""
    inputs = keras.Input(SIGNALS.shape[1:])
    made = [layers.LSTM(4, return_sequences=True, name=name) if loop else signal_conv(name) for name in names]
    pooled = layers.GlobalAveragePooling1D()
    return classified(inputs, *(pooled(layer(inputs)) for layer in made), pooled(inputs))


def share_of_the_input(model):
    """What the means of the input add to the score: the last two rows of the head."""
    kernel, bias = model.get_layer("head").get_weights()
    return SIGNALS.mean(axis=1) @ kernel[-2:, 1] + bias[1]


@pytest.mark.parametrize("loop", [False, True])
def test_the_only_end_is_not_taken_in_silence_where_the_input_leads_past_it(loop):
    """The map misses the share of the input: both ways are named, and either can be taken."""
    model = past("only", loop=loop)
    found, texts = tapes.heard(xu.hires_cam, model, SIGNALS, 1)
    assert len(texts) == 1 and "layer='only'" in texts[0] and "the input also leads there past it" in texts[0], texts
    named = tapes.silent(xu.hires_cam, model, SIGNALS, 1, layer="only")
    np.testing.assert_array_equal(found, named)
    score = model.predict(SIGNALS, verbose=0)[:, 1]
    tapes.close(named.sum(axis=1), score - share_of_the_input(model))
    assert "such as saliency" in texts[0]
    tapes.close(tapes.silent(xu.saliency, model, SIGNALS, 1), tapes.gradient(model, SIGNALS, S1, tf.float32))


def test_ends_past_which_the_input_leads_do_not_add_up_to_the_score_and_that_is_said():
    model = past("a", "b")
    _, texts = tapes.heard(xu.hires_cam, model, SIGNALS, 1)
    assert len(texts) == 1 and "the input also leads there past them" in texts[0], texts
    names = ast.literal_eval(re.search(r"layer=(\[.*?\])", texts[0])[1])
    both = tapes.silent(xu.hires_cam, model, SIGNALS, 1, layer=names)
    tapes.close(both.sum(axis=1), model.predict(SIGNALS, verbose=0)[:, 1] - share_of_the_input(model))


def test_streams_that_carry_all_of_the_score_leave_no_way_out():
    inputs = keras.Input(SIGNALS.shape[1:])
    model = classified(inputs, *(layers.GlobalAveragePooling1D()(signal_conv(name)(inputs)) for name in ("a", "b")))
    _, texts = tapes.heard(xu.hires_cam, model, SIGNALS, 1)
    assert len(texts) == 1 and "past" not in texts[0] and "leave out" not in texts[0], texts


@pytest.mark.parametrize("build", [lambda: past("a", "b"), lambda: past("a", loop=True), models.cnn], ids=range(3))
def test_the_ends_are_the_places_from_which_no_way_leads_to_another(build):
    """As they are defined: the ways from each place by themselves."""
    seen = anatomy(recipe_of(build()))
    names = {call.output.name for call in seen.places}
    behind = {call.output.name: Ways(call.output, seen.logits).names - {call.output.name} for call in seen.places}
    assert [call.output.name for call in seen.ends] == [name for name, ways in behind.items() if not ways & names]


def test_a_place_before_the_first_product_carries_all_and_draws_no_warning():
    inputs = keras.Input(SIGNALS.shape[1:])
    model = classified(inputs, layers.Flatten()(layers.Rescaling(0.5, name="scaled")(inputs)))
    found = tapes.silent(xu.hires_cam, model, SIGNALS, 1)
    tapes.close(found, tapes.hires_cam(model, "scaled", SIGNALS, S1))


# --- models of any size -----------------------------------------------------------------------------------------------


class Computing(keras.Model):
    """Works with the sizes of its maps: the operations that do so are named, and are missing where a size is known."""

    def __init__(self, sizes):
        super().__init__()
        self.sizes, self.head = sizes, layers.Dense(3, name="head")
        self.fine, self.coarse = conv("fine", activation="relu"), conv("coarse", activation="relu", strides=2)

    def call(self, x):
        fine = self.fine(x)
        coarse = self.coarse(fine) * 0.5
        large = tf.image.resize(coarse, self.sizes(coarse, fine))
        return self.head(tf.reduce_mean(large * large + large, axis=(1, 2)))


SIZES = {
    "product": lambda coarse, fine: [2 * side for side in keras.ops.shape(coarse)[1:3]],
    "sum": lambda coarse, fine: [side + side for side in keras.ops.shape(coarse)[1:3]],
    "tf.shape": lambda coarse, fine: tf.shape(coarse)[1:3] * 2,
    "of another": lambda coarse, fine: keras.ops.shape(fine)[1:3],
}


def computing(sizes, side):
    inputs = keras.Input((side, side, 2))
    return randomised(keras.Model(inputs, Computing(SIZES[sizes])(inputs)), 6)


@pytest.mark.parametrize("sizes", SIZES)
def test_sise_of_a_model_of_any_size_is_that_of_the_fixed_size(sizes):
    free, fixed = computing(sizes, None), computing(sizes, 8)
    fixed.set_weights(free.get_weights())
    assert len(xu.Query(free, IMAGES).block_ends()) == 2
    np.testing.assert_allclose(xu.sise(free, IMAGES, 1), xu.sise(fixed, IMAGES, 1), atol=1e-6)


@pytest.mark.parametrize("sizes", SIZES)
def test_the_ends_of_the_blocks_of_a_model_of_any_size_can_be_asked_for_by_name(sizes):
    model = computing(sizes, None)
    named = [place.layer.name for place in xu.Query(model, IMAGES).block_ends()]
    np.testing.assert_array_equal(xu.sise(model, IMAGES, 1, layers=named), xu.sise(model, IMAGES, 1))


def test_what_has_one_position_at_the_size_of_these_inputs_ends_no_block():
    def build(side):
        inputs = keras.Input((side, side, 2))
        x = layers.Conv2D(4, 4, strides=4, activation="relu", name="coarse")(conv("fine", activation="relu")(inputs))
        return headed(inputs, layers.MaxPooling2D(2, name="pool")(x))  # 8, 2, 1

    free, fixed = build(None), build(8)
    assert [place.layer.name for place in xu.Query(free, IMAGES).block_ends()] == ["fine", "coarse"]
    np.testing.assert_allclose(xu.sise(free, IMAGES, 1), xu.sise(fixed, IMAGES, 1), atol=1e-6)


# --- what stands in place of an operator ------------------------------------------------------------------------------


class ReadTwice(keras.Model):
    """A sum that two operations read, one of them twice over."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = conv("first"), conv("second"), layers.Dense(3, name="head")

    def sum(self, x):
        x = self.first(x)
        return x + self.second(x)

    def call(self, x):
        x = self.sum(x)
        return self.head(tf.reduce_mean(tf.concat([tf.nn.relu(x), x, x], axis=-1), axis=(1, 2)))


def test_ablation_at_an_operator_of_a_subclassed_model_sets_all_that_is_read_of_it_to_zero():
    """w_k = S - S(A_k = 0): the share of the ReLU of A_k and that of A_k, counted with two weights."""
    model = ReadTwice()
    model(IMAGES)
    randomised(model, 7)
    A = model.sum(tf.constant(IMAGES)).numpy()
    kernel = model.head.get_weights()[0][:, 1]
    weights = kernel[:4] * np.maximum(A, 0).mean(axis=(1, 2)) + (kernel[4:8] + kernel[8:]) * A.mean(axis=(1, 2))
    place = next(name for name in names(model) if name.endswith("add"))
    found = xu.ablation_cam(model, IMAGES, 1, layer=place, **RAW)
    tapes.close(found, np.einsum("nhwk,nk->nhw", A, weights))
