"""One trace of a model for all that is asked of it: as often, with the same bits, and told where it takes long."""

import time

import keras
import numpy as np
import pytest
import tapes
import tensorflow as tf
from keras import layers

import xai_utils as xu
from heatproof import progress
from heatproof.engine import owned, parts, programs, traces
from heatproof.engine.anatomy import anatomy
from heatproof.engine.places import CLASSES
from heatproof.engine.readings import Score
from heatproof.engine.views import recipe_of
from models import randomised

IMAGES = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
LOGIT = Score("logit")


class Counted(layers.Layer):
    """Passes its input on, slowly if asked to; counts its symbolic calls."""

    calls, pause = 0, 0.0

    def call(self, x):
        if not tf.executing_eagerly():
            Counted.calls += 1
            time.sleep(Counted.pause)
        return x * 1.0


def network(*middle):
    """A convolution, layers in a row, and a dense layer."""
    inputs = keras.Input(IMAGES.shape[1:])
    x = layers.Conv2D(9, 3, activation="silu", name="conv")(inputs)  # silu has a gradient of its own
    for layer in middle:
        x = layer(x)
    return randomised(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))), 1)


def questions(model):
    """Maps that ask for scores, gradients and activations, of the model and of one unit."""
    yield xu.saliency(model, IMAGES, activation="softmax")  # of the predicted class
    yield xu.saliency(model, IMAGES, 1, score="probability", activation="softmax")
    yield xu.grad_cam(model, IMAGES, 1, layer="conv", relu=False)
    yield xu.saliency(xu.unit(model, "conv", 2), IMAGES)
    yield xu.scores(model, IMAGES, 1, score="logit")


# --- one trace --------------------------------------------------------------------------------------------------------


def test_all_questions_share_one_trace():
    model, before = network(Counted()), Counted.calls
    list(questions(model))
    assert Counted.calls == before + 1


def test_the_answers_have_the_bits_of_traces_of_their_own(monkeypatch):
    model, twin = network(layers.ReLU(6.0)), network(layers.ReLU(6.0))
    shared = list(questions(model))
    monkeypatch.setattr(traces.Trace, "question", lambda *arguments: None)
    for one, other in zip(shared, questions(twin), strict=True):
        np.testing.assert_array_equal(one, other)


def gradient(run, classes):
    return run.differentiate(run.score(classes, LOGIT), run.inputs)


def test_a_part_holds_what_its_answer_needs_and_no_other_question():
    trace = programs.trace_of(recipe_of(network()))
    run = trace.ended(recipe_of(network()).ending)
    with trace.graph.as_default():
        classes = tf.compat.v1.placeholder(tf.int32, (None,))
        slope = gradient(run, classes)
        part = parts.Part(trace.graph, [run.inputs], [run.call_of(run.calls[1].layer).output])
    kinds = [operation.type for operation in part.get_operations()]
    assert len(part.captured) == 2 and "MatMul" not in kinds and kinds.count("Conv2D") == 1
    assert part.is_pure
    assert not parts.Part(trace.graph, [run.inputs], [slope]).is_pure  # nobody gives the classes


@tf.custom_gradient
def _scaled(x, w):
    return x * w, lambda slope: (slope * w, tf.reduce_sum(slope * x))


class Everywhere(layers.Layer):
    """Products, sums and convolutions in which the input stands on both sides, and on either."""

    def call(self, x):
        mean = tf.reduce_mean(x, axis=(0, 1, 2))
        kernel = tf.reshape(tf.tile(mean, [9]), (1, 1, 9, 9))
        y = tf.nn.conv2d(x, kernel, 1, "SAME") + tf.nn.conv2d(x, tf.ones((3, 3, 9, 9)), 1, "SAME")
        y = (2.0 - y) * x / (3.0 + x * x) - y / 7.0 + 1.0 / (5.0 + tf.square(y))
        return _scaled(y, tf.constant(1.5))


def test_gradients_are_whole_whatever_is_passed_over():
    """Of the inputs and of a layer in turn, in one graph: what one passes over the other may need."""
    model = network(Everywhere(name="everywhere"))
    one = IMAGES[:1]  # kernels are made of the whole batch
    slope = tapes.gradient(lambda x: model(x, training=False), one, tapes.output(1), "float32")
    for _ in range(2):
        xu.grad_cam(model, one, 1, layer="everywhere", relu=False)
        xu.grad_cam(model, one, 1, layer="conv", relu=False)
        np.testing.assert_allclose(xu.saliency(model, one, 1), slope, rtol=1e-3, atol=1e-5)
    marked = [each for each in programs.trace_of(recipe_of(model)).graph.get_operations() if _marks(each)]
    assert not marked


def _marks(operation):
    return hasattr(operation, "skip_input_indices")


def test_weights_get_no_gradient_where_nobody_asks():
    model = network()
    xu.saliency(model, IMAGES, 1)
    kinds = [each.type for each in programs.trace_of(recipe_of(model)).graph.get_operations()]
    assert "Conv2DBackpropInput" in kinds and "Conv2DBackpropFilter" not in kinds


# --- where a question has a trace of its own --------------------------------------------------------------------------


@tf.custom_gradient
def _noisy(x):
    return x * 1.0, lambda slope: slope + 0.0 * tf.random.normal(tf.shape(slope))


OWN = {
    "draws": lambda: layers.Lambda(lambda x: x + 0.0 * tf.random.normal(tf.shape(x))),
    "draws on the way back": lambda: layers.Lambda(_noisy),
    "loops": lambda: layers.Lambda(lambda x: tf.while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, y * 2), (0, x))[1]),
}


@pytest.mark.parametrize("name", OWN)
def test_what_draws_or_loops_is_traced_for_each_question(name):
    """In the shared graph the order of what draws would not be that of the model, and a loop would be rewritten."""
    model = network(OWN[name]())
    recipe = recipe_of(model)
    assert programs.trace_of(recipe).question(recipe, gradient, [CLASSES], None) is None
    slope = tapes.gradient(lambda x: model(x, training=False), IMAGES, tapes.output(1), "float32")
    np.testing.assert_allclose(tapes.heard(xu.saliency, model, IMAGES, 1)[0], slope, rtol=1e-4, atol=1e-5)


# --- a network is read without what questions add ---------------------------------------------------------------------


def test_a_network_is_read_as_before_after_any_number_of_questions():
    """Behind a ReLU a question takes the minimum with a constant, as a gate would, and lays the positions in a row."""
    model = network(layers.ReLU(), Counted())
    recipe = recipe_of(model)
    trace = programs.trace_of(recipe)
    relu = trace.run.calls[2].output
    count, readers = len(owned.operations(trace.graph)), owned.readers(relu)
    with trace.graph.as_default():
        tf.minimum(relu, 6.0)
        tf.reshape(relu, (-1, 144))
        tf.nn.relu(relu)
    list(questions(model))
    seen = anatomy(recipe)
    assert len(owned.operations(trace.graph)) == count and owned.readers(relu) == readers
    assert seen.relus == 1 and seen.own == count
    assert seen.relus == anatomy(recipe_of(xu.unit(model, "conv", 0))).relus


# --- a bound ----------------------------------------------------------------------------------------------------------


def test_a_graph_holds_a_bounded_number_of_questions(monkeypatch):
    monkeypatch.setattr(programs, "MOST", 12)
    model, before = network(Counted()), Counted.calls
    maps = [xu.saliency(xu.unit(model, "conv", channel % 9), IMAGES) for channel in range(12)]
    assert 1 < Counted.calls - before < 12 and programs.trace_of(recipe_of(model)).asked <= 12
    for one, other in zip(maps[:3], maps[9:], strict=True):
        np.testing.assert_array_equal(one, other)


# --- what is told, and what is left as it was -------------------------------------------------------------------------


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(Counted, "pause", 0.3)
    monkeypatch.setattr(traces, "told", lambda label: progress.told(label, 0.05))
    monkeypatch.setenv("XAI_PROGRESS", "1")
    return network(Counted())


def test_a_trace_that_takes_long_is_told(slow, capsys):
    xu.saliency(slow, IMAGES, 1)
    assert f"tracing {slow.name!r}" in capsys.readouterr().err
    xu.saliency(slow, IMAGES, 1)
    assert capsys.readouterr().err == ""


def test_nothing_is_told_where_bars_are_switched_off(slow, capsys, monkeypatch):
    monkeypatch.setenv("XAI_PROGRESS", "0")
    xu.saliency(slow, IMAGES, 1)
    assert capsys.readouterr().err == ""


def test_a_line_comes_after_two_seconds_and_goes_with_the_work(capsys, monkeypatch):
    monkeypatch.setenv("XAI_PROGRESS", "1")
    with progress.told("short"):
        time.sleep(0.1)
    assert capsys.readouterr().err == ""
    with progress.told("long"):
        time.sleep(2.3)
        assert "long ..." in capsys.readouterr().err
    after = capsys.readouterr().err
    assert after and not after.strip("\r ")  # written over
    with pytest.raises(ValueError, match="stop"), progress.told("raises", 0.05):
        time.sleep(0.2)
        raise ValueError("stop")


def test_a_view_can_be_differentiated_by_a_tape():
    """Whoever takes it for a model: by its inputs and by its weights."""
    model, x = network(), tf.constant(IMAGES)
    found = []
    for one in (xu.logits(model), model):
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = one(x)[:, 1]
        found.append(tape.gradient(score, [x, model.get_layer("conv").kernel.value]))
    for mine, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-4, atol=1e-5)
