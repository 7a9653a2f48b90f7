"""Views share the weights, end before the squashing, leave the model alone, and are traced once."""

import gc
import threading
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import models
import xai_utils as xu
from heatproof import enlarging
from heatproof.engine import arrays, programs
from heatproof.engine.query import Query

TARGETS = np.array([2, 0, 1, 2])
BUILDERS = {
    "functional": models.cnn,
    "sequential": models.sequential,
    "nested": models.nested,
    "residual": models.residual,
    "subclassed": models.subclassed,
}


@pytest.fixture(scope="module")
def net():
    model = models.cnn()
    return model, models.cnn(ending="logits"), models.examples(model)


def with_ending(*parts, units=3, activation=None):
    """Flatten, Dense (with `activation`), then `parts`; the same weights whatever comes after the Dense layer."""
    first = [keras.Input((4, 2)), layers.Flatten(), layers.Dense(units, activation=activation)]
    return models.randomised(keras.Sequential([*first, *parts]))


def squashed_inside():
    inputs = keras.Input((4, 2))
    return keras.Model(inputs, with_ending(layers.Softmax())(inputs))


ENDINGS = {
    "softmax argument": lambda: with_ending(activation="softmax"),
    "Softmax layer": lambda: with_ending(layers.Softmax()),
    "Activation layer": lambda: with_ending(layers.Activation("softmax")),
    "log softmax": lambda: with_ending(activation="log_softmax"),
    "Reshape before": lambda: with_ending(layers.Reshape((1, 3)), layers.Softmax(), layers.Flatten()),
    "Reshape after": lambda: with_ending(layers.Softmax(), layers.Reshape((3, 1)), layers.Reshape((3,))),
    "Dropout after": lambda: with_ending(layers.Softmax(), layers.Dropout(0.5)),
    "inside a nested model": squashed_inside,
    "sigmoids": lambda: with_ending(activation="sigmoid"),
    "linear": with_ending,
}


@pytest.mark.parametrize("build", ENDINGS.values(), ids=ENDINGS)
def test_logits_ends_before_the_squashing(build):
    model, inputs = build(), models.examples((4, 2))
    wanted = np.asarray(with_ending()(inputs))
    np.testing.assert_allclose(xu.logits(model)(inputs), wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(xu.scores(model, inputs, TARGETS, score="logit"), wanted[range(4), TARGETS], rtol=1e-4)
    if build is not ENDINGS["linear"]:  # the probability is what the model itself gives
        output = np.asarray(model(inputs))
        output = np.exp(output) if output.max() <= 0 else output
        np.testing.assert_allclose(xu.scores(model, inputs, TARGETS), output[range(4), TARGETS], rtol=1e-4)


@pytest.mark.parametrize("build", [models.subclassed, models.nested, models.residual])
def test_logits_of_other_kinds_of_models(build):
    model, inputs = build(), models.examples(models.IMAGE)
    np.testing.assert_allclose(xu.logits(model)(inputs), build(ending="logits")(inputs), rtol=1e-4, atol=1e-5)


def test_logits_of_one_unit_are_minus_z_and_z():
    model, inputs = with_ending(units=1, activation="sigmoid"), models.examples((4, 2))
    z = np.asarray(with_ending(units=1)(inputs))
    np.testing.assert_allclose(xu.logits(model)(inputs), np.hstack([-z, z]), rtol=1e-5)
    p = np.asarray(model(inputs))[:, 0]
    np.testing.assert_allclose(xu.scores(model, inputs, 1), p, rtol=1e-5)
    np.testing.assert_allclose(xu.scores(model, inputs, 0), 1 - p, rtol=1e-5)
    np.testing.assert_allclose(xu.scores(model, inputs), np.maximum(p, 1 - p), rtol=1e-5)


def test_a_linear_end_has_the_probabilities_of_its_softmax():
    model, inputs = with_ending(), models.examples((4, 2))
    z = np.asarray(model(inputs), np.float64)
    wanted = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))[range(4), TARGETS]
    np.testing.assert_allclose(xu.scores(model, inputs, TARGETS), wanted, rtol=1e-5)


def test_logits_of_a_float64_model_are_float64():
    model, twin = (models.cnn(dtype="float64", ending=ending) for ending in ("softmax", "logits"))
    inputs = models.examples(model)
    np.testing.assert_allclose(xu.logits(model)(inputs), twin(inputs), rtol=1e-12)


def test_methods_take_a_view_for_the_model_it_shows(net):
    model, _, inputs = net
    np.testing.assert_array_equal(xu.saliency(xu.logits(model), inputs, TARGETS), xu.saliency(model, inputs, TARGETS))


# --- inner units ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer, channel", [("conv_1", 3), ("conv_2", 0), ("scores", 2)])
def test_unit_is_the_mean_activation_and_its_saliency_the_tape(net, layer, channel):
    _, twin, inputs = net
    inner = keras.Model(twin.inputs, twin.get_layer(layer).output)
    with tf.GradientTape() as tape:
        x = tf.constant(inputs)
        tape.watch(x)
        activation = inner(x)[..., channel]
        score = tf.reduce_mean(tf.reshape(activation, (4, -1)), axis=1)
    view = xu.unit(twin, layer, channel)
    np.testing.assert_allclose(np.asarray(view(inputs)), score[:, None], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(xu.saliency(view, inputs), tape.gradient(score, x), rtol=1e-4, atol=1e-6)


def test_unit_of_a_nested_layer():
    model = models.nested()
    inputs, trunk = models.examples(model), model.get_layer("trunk")
    wanted = keras.Model(trunk.inputs, trunk.get_layer("conv_1").output)(inputs).numpy()[..., 1].mean(axis=(1, 2))
    np.testing.assert_allclose(xu.unit(model, "conv_1", 1)(inputs)[:, 0], wanted, rtol=1e-4)
    by_object = xu.unit(model, trunk.get_layer("conv_1"), 1)
    np.testing.assert_allclose(by_object(inputs)[:, 0], wanted, rtol=1e-4)


def test_unit_refuses_what_is_not_there(net):
    model, _, inputs = net
    with pytest.raises(ValueError, match="channel: got 4"):
        xu.unit(model, "conv_1", 4)
    with pytest.raises(ValueError, match="'conv_9', which is not in the model; allowed: one such as .*conv_1"):
        xu.unit(model, "conv_9", 0)
    with pytest.raises(ValueError, match="score: got .probability. of an inner unit, which has none"):
        xu.saliency(xu.unit(model, "conv_1", 0), inputs, score="probability")


def test_relu_rules_leave_the_forward_pass_alone(net):
    model, twin, inputs = net
    for rule in ("guided", "deconvnet"):
        np.testing.assert_allclose(xu.with_relu_rule(model, rule)(inputs), twin(inputs), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="rule: got 'guide'"):
        xu.with_relu_rule(model, "guide")


# --- the model stays as it is -----------------------------------------------------------------------------------


def state_of(model):
    layers_ = list(model._flatten_layers())
    return {
        "config": model.to_json(),
        "weights": [w.copy() for w in model.get_weights()],
        "compiled": (model.compiled, id(model.optimizer), id(model.loss)),
        "training": [layer.trainable for layer in layers_],
        "activations": [id(getattr(layer, "activation", None)) for layer in layers_],
        "attributes": [sorted(layer.__dict__) for layer in layers_],
    }


def test_every_method_leaves_the_model_and_the_inputs_untouched():
    model = models.cnn(head="gap", normalise=True, dropout=True)
    model.compile("adam", "sparse_categorical_crossentropy")
    inputs = models.examples(model, 2)
    given, prediction, before = inputs.copy(), model.predict(inputs, verbose=0), state_of(model)
    few = {"smooth_grad": {"samples": 2}, "var_grad": {"samples": 2}, "integrated_gradients": {"steps": 2}}
    for name, row in xu.METHODS.items():
        row.function(model, inputs, TARGETS[:2], **few.get(name, {}))
    xu.unit(model, "conv_1", 0)(inputs)
    after = state_of(model)
    for was, now in zip(before.pop("weights"), after.pop("weights"), strict=True):
        np.testing.assert_array_equal(was, now)
    assert before == after
    np.testing.assert_array_equal(model.predict(inputs, verbose=0), prediction)
    np.testing.assert_array_equal(inputs, given)


def test_a_trace_that_raises_leaves_no_watcher_behind():
    model, inputs = with_ending(), models.examples((4, 2))
    wanted = np.asarray(model(inputs))[:, 0]
    model.layers[-1].activation, original = _stumble, model.layers[-1].activation
    before = [sorted(layer.__dict__) for layer in model._flatten_layers()]
    with pytest.raises(RuntimeError, match="stumbled"):
        xu.saliency(model, inputs)
    assert [sorted(layer.__dict__) for layer in model._flatten_layers()] == before
    assert not any("call" in layer.__dict__ for layer in model._flatten_layers())
    model.layers[-1].activation = original
    np.testing.assert_allclose(xu.scores(model, inputs, 0, score="logit"), wanted, rtol=1e-5)


def _stumble(_):
    raise RuntimeError("stumbled")


# --- graphs follow the model ------------------------------------------------------------------------------------


def test_views_share_the_weights_through_training():
    model = models.cnn()
    inputs, view = models.examples(model), xu.logits(model)
    before = np.asarray(view(inputs))
    xu.saliency(model, inputs, TARGETS)
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    model.train_on_batch(inputs, TARGETS)
    twin = models.cnn(ending="logits")
    twin.set_weights(model.get_weights())
    assert np.abs(np.asarray(twin(inputs)) - before).max() > 1e-2
    np.testing.assert_allclose(view(inputs), twin(inputs), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(view.predict(inputs, verbose=0), twin(inputs), rtol=1e-4, atol=1e-5)
    got, wanted = xu.saliency(model, inputs, TARGETS), xu.saliency(twin, inputs, TARGETS)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    assert len(view.trainable_weights) == len(model.trainable_weights)


def test_graphs_are_rebuilt_after_an_activation_is_changed():
    model, inputs = models.linear(), models.examples(models.IMAGE)
    w = models.linear_weights(model)[1]
    np.testing.assert_allclose(xu.saliency(model, inputs[:1], 1)[0], w, rtol=1e-5)
    model.layers[-1].activation = lambda z: -3 * z
    np.testing.assert_allclose(xu.saliency(model, inputs[:1], 1)[0], -3 * w, rtol=1e-5)
    model.layers[-1].activation = keras.activations.linear
    np.testing.assert_allclose(xu.saliency(model, inputs[:1], 1)[0], w, rtol=1e-5)


def test_training_does_not_make_known_graphs_forgotten():
    """compile, fit and predict leave their own attributes in a model; the next map needs no new graph."""
    model, inputs = models.cnn(), models.examples(models.IMAGE)
    xu.saliency(model, inputs, 1)
    known = set(programs._PROGRAMS[model])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(inputs, np.ones(len(inputs)), verbose=0)
    model.predict(inputs, verbose=0)
    model.evaluate(inputs, np.ones(len(inputs)), verbose=0)
    xu.saliency(model, inputs, 1)
    assert set(programs._PROGRAMS[model]) == known


def test_graphs_are_rebuilt_after_a_plain_number_is_changed():
    """LeakyReLU(x) = slope * x below 0: for x < 0 the saliency is slope * w."""
    inputs, slope = keras.Input((4, 1)), keras.layers.LeakyReLU(negative_slope=0.5)
    head = keras.layers.Dense(2, use_bias=False)
    model = keras.Model(inputs, head(keras.layers.Flatten()(slope(inputs))))
    w = np.asarray(head.kernel)[:, 1]
    for slope.negative_slope in (0.5, 0.25):
        found = xu.saliency(model, -np.ones((1, 4, 1), np.float32), 1).ravel()
        np.testing.assert_allclose(found, slope.negative_slope * w, rtol=1e-6)


def times(factor):
    """A function that multiplies, and holds its factor in a closure."""
    return lambda z: factor * z


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda factor: lambda z, factor=factor: factor * z, id="function"),
        pytest.param(times, id="closure"),
    ],
)
def test_graphs_are_rebuilt_for_every_new_activation(make):
    """The old activation is freed before the new one is made, and the new one gets its place in memory."""
    model, inputs = models.linear(), models.examples(models.IMAGE)
    place = None
    for factor in range(1, 4):
        model.layers[-1].activation = keras.activations.linear
        gc.collect()
        tried = [make(factor)]  # what is tried in vain stays alive, so that each lies elsewhere
        while place is not None and id(tried[-1]) != place and len(tried) < 100_000:
            tried.append(make(factor))
        place = id(tried[-1])
        model.layers[-1].activation = tried.pop()
        wanted = np.asarray(model(inputs))[:, 1]
        np.testing.assert_allclose(xu.scores(model, inputs, 1, score="logit"), wanted, rtol=1e-4)


def test_graphs_are_rebuilt_after_a_layer_is_added_or_removed():
    model, inputs = models.sequential(ending="logits"), models.examples(models.IMAGE)
    before = xu.saliency(model, inputs, TARGETS)
    model.add(layers.Rescaling(-2.0))
    np.testing.assert_allclose(xu.saliency(model, inputs, TARGETS), -2 * before, rtol=1e-4, atol=1e-6)
    model.pop()
    np.testing.assert_allclose(xu.saliency(model, inputs, TARGETS), before, rtol=1e-5)


class Counting(models.Subclassed):
    """Counts how often Python runs its `call`."""

    runs = 0

    def call(self, inputs):
        type(self).runs += 1
        return super().call(inputs)


def test_a_question_is_traced_once():
    model = Counting()
    inputs = models.examples(models.IMAGE, 7)
    model(inputs)
    options = {"steps": 3, "batch_size": 4}
    questions = [
        lambda n, c: xu.saliency(model, inputs[:n], c),
        lambda n, c: xu.saliency(model, inputs[:n], c, score="probability"),
        lambda n, c: xu.integrated_gradients(model, inputs[:n], c, **options),
        lambda n, c: xu.grad_cam(model, inputs[:n], c, layer="conv_1", relu=False),
    ]
    for question in questions:
        question(2, [0, 1])
    traced = Counting.runs
    for question in questions:
        question(7, [0, 1, 2, 0, 1, 2, 0])
        question(1, 2)
    assert Counting.runs == traced


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_a_model_is_freed_with_its_graphs(build):
    model, inputs = build(), models.examples(models.IMAGE, 2)
    xu.grad_cam(model, inputs, 0, layer="conv_1", relu=False)
    view = xu.unit(xu.logits(model), "conv_1", 0)
    xu.saliency(view, inputs, 0)
    gone = weakref.ref(model)
    del model, view
    gc.collect()
    assert gone() is None


# --- threads ----------------------------------------------------------------------------------------------------


def test_threads_get_the_answers_of_one(net):
    model, twin, inputs = models.cnn(), net[1], net[2]
    wanted = {c: xu.saliency(twin, inputs, c) for c in range(3)}
    wanted_map = xu.grad_cam(twin, inputs, TARGETS, relu=False)
    problems = []

    def ask(c):
        try:
            np.testing.assert_allclose(xu.saliency(model, inputs, c), wanted[c], rtol=1e-4, atol=1e-6)
            got = xu.grad_cam(model, inputs, TARGETS, relu=False)
            np.testing.assert_allclose(got, wanted_map, rtol=1e-4, atol=1e-6)
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=ask, args=(k % 3,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


class Interrupted(models.Subclassed):
    """While it is traced, another thread calls its first layer, as a user's own thread may."""

    def call(self, inputs):
        if not tf.executing_eagerly():
            other = threading.Thread(target=lambda: self.conv(np.zeros((1, *models.IMAGE), "float32")))
            other.start()
            other.join()
        return super().call(inputs)


def test_a_trace_ignores_what_other_threads_ask_of_the_model():
    model, inputs = Interrupted(), models.examples(models.IMAGE)
    model(inputs)
    xu.grad_cam(model, inputs, layer="conv_1", relu=False)


# --- refusals ---------------------------------------------------------------------------------------------------


def two_outputs():
    inputs = keras.Input((4, 2))
    x = layers.Flatten()(inputs)
    return keras.Model(inputs, [layers.Dense(2)(x), layers.Dense(3)(x)])


def two_inputs():
    inputs = [keras.Input((4, 2)), keras.Input((4, 2))]
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Add()(inputs))))


@pytest.mark.parametrize(
    "build, error, message",
    [
        (lambda: len, TypeError, "model: got a builtin_function"),
        (lambda: keras.Sequential([layers.Flatten(), layers.Dense(2)]), ValueError, "never called.*model"),
        (two_outputs, ValueError, r"output is a list of 2.*xu.head\(model, 'dense"),
        (two_inputs, TypeError, "ndarray, for a model with several inputs; allowed: a list, or a dictionary"),
        (
            lambda: keras.Sequential([keras.Input((4, 2)), layers.Dense(3)]),
            ValueError,
            "one output of shape \\(N, classes\\)",
        ),
    ],
)
def test_models_that_cannot_be_explained_are_refused(build, error, message):
    with pytest.raises(error, match=message):
        xu.saliency(build(), models.examples((4, 2)))


def test_warnings_point_at_the_callers_line(net):
    model, _, inputs = net
    model.input_range = (0, 0.1)
    try:
        with pytest.warns(xu.XAIWarning, match="inputs: got values from") as caught:
            xu.saliency(model, inputs)
    finally:
        del model.input_range
    assert caught[0].filename == __file__


# --- helpers of the core ----------------------------------------------------------------------------------------


def test_batched_joins_every_chunk_in_order(net):
    model, _, inputs = net
    query = Query(model, np.concatenate([inputs, inputs, inputs])[:11], 0, batch_size=4)
    seen = []

    def twice(chunk):
        seen.append(len(chunk))
        return 2 * chunk, chunk.sum(axis=(1, 2, 3))

    doubled, sums = query.batched(twice, query.inputs)
    np.testing.assert_array_equal(doubled, 2 * query.inputs)
    np.testing.assert_allclose(sums, query.inputs.sum(axis=(1, 2, 3)), rtol=1e-6)
    assert seen == [4, 4, 3]


def test_space_mean_and_resize_by_hand():
    array = np.arange(12, dtype="float32").reshape(1, 2, 3, 2)
    np.testing.assert_allclose(arrays.space_mean(array), [[5, 6]])
    np.testing.assert_allclose(arrays.space_mean(tf.constant(array)), [[5, 6]])
    np.testing.assert_allclose(arrays.space_mean(array[:, 0]), [[2, 3]])
    np.testing.assert_allclose(enlarging.resize(np.array([[[0, 4.0]]]), (1, 4)), [[[0, 1, 3, 4]]])
    np.testing.assert_allclose(enlarging.resize(np.array([[[0], [4.0]]]), (4, 1)), [[[0], [1], [3], [4]]])
    np.testing.assert_allclose(enlarging.resize(np.array([[0, 4.0], [8, 0]]), (4,)), [[0, 1, 3, 4], [8, 6, 2, 0]])
