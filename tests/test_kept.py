"""What a question notices of a changed model, what it compares, what has to be said; and draws that come back."""

import array
import functools
import os
import types
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tapes
import tensorflow as tf
from keras import layers

import xai_utils as xu
from heatproof.engine import comparing
from heatproof.engine.settings import Same, settings_of
from models import randomised

SHAPE = (5, 4, 2)
IMAGES = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
OPTIONS = types.ModuleType("options_of_the_tests")
OPTIONS.__file__ = __file__
OPTIONS.factor = 1.0


class Times(layers.Layer):
    """Multiplies by what `read(layer)` gives."""

    def __init__(self, read, **options):
        super().__init__(**options)
        self.read = read

    def call(self, x):
        return x * self.read(self)


def network(*middle):
    """Layers in a row, then one dense layer."""
    inputs = x = keras.Input(SHAPE)
    for layer in middle:
        x = layer(x)
    return randomised(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))), 1)


def slope(model, inputs=IMAGES):
    return tapes.gradient(lambda x: model(x, training=False), inputs, tapes.output(1), "float32")


# --- what a question notices ------------------------------------------------------------------------------------------


class Slotted:
    """Holds its number in a slot."""

    __slots__ = ("factor",)


class Held:
    """Holds its number in the class, and gives it by a method."""

    factor = 1.0

    def read(self, layer):
        return self.factor


class Scale:
    """A number that can be called."""

    def __init__(self):
        self.factor = 1.0

    def __call__(self, layer):
        return self.factor


def helper():
    return OPTIONS.factor


def by_slot():
    held = Slotted()
    held.factor = 1.0
    return (lambda layer: held.factor), lambda: setattr(held, "factor", -2.0)


def by_class():
    Held.factor = 1.0
    return (lambda layer: Held.factor), lambda: setattr(Held, "factor", -2.0)


def by_method():
    held = Held()
    held.factor = 1.0
    return held.read, lambda: setattr(held, "factor", -2.0)


def by_callable():
    held = Scale()
    return held, lambda: setattr(held, "factor", -2.0)


def by_module():
    OPTIONS.factor = 1.0
    return (lambda layer: OPTIONS.factor), lambda: setattr(OPTIONS, "factor", -2.0)


def by_helper():
    OPTIONS.factor = 1.0
    return (lambda layer: helper()), lambda: setattr(OPTIONS, "factor", -2.0)


def by_default():
    def read(layer, factor=1.0):
        return factor

    return read, lambda: setattr(read, "__defaults__", (-2.0,))


def by_keyword():
    def read(layer, *, factor=1.0):
        return factor

    return read, lambda: read.__kwdefaults__.update(factor=-2.0)


def by_attribute_of_a_function():
    def read(layer):
        return read.factor

    read.factor = 1.0
    return read, lambda: setattr(read, "factor", -2.0)


def by_partial():
    options = {"factor": 1.0}
    return functools.partial(lambda layer, options: options["factor"], options=options), lambda: options.update(
        factor=-2.0
    )


def by_inner_function():
    OPTIONS.factor = 1.0

    def read(layer):
        return (lambda: OPTIONS.factor)()

    return read, lambda: setattr(OPTIONS, "factor", -2.0)


def by_code():
    def read(layer):
        return 1.0

    return read, lambda: setattr(read, "__code__", (lambda layer: -2.0).__code__)


NOTICED = (by_slot, by_class, by_method, by_callable, by_module, by_helper, by_default, by_keyword, by_partial)
NOTICED += (by_attribute_of_a_function, by_inner_function, by_code)


@pytest.mark.parametrize("make", NOTICED)
def test_a_change_that_can_be_read_is_noticed_without_a_pass(make, monkeypatch):
    monkeypatch.setattr(comparing, "_agrees", None)  # it would raise
    read, change = make()
    model = network(Times(read))
    before = xu.saliency(model, IMAGES, 1)
    np.testing.assert_array_equal(xu.saliency(model, IMAGES, 1), before)
    assert settings_of(model) == settings_of(model)
    change()
    found = xu.saliency(model, IMAGES, 1)
    tapes.close(found, slope(model))
    tapes.close(found, -2 * before)


def test_a_change_of_the_way_back_alone_is_noticed():
    """x + stop_gradient(x) and 2x have one value; the slopes are 1 and 2."""

    class Half(layers.Layer):
        _stops = False

        def call(self, x):
            return x + (tf.stop_gradient(x) if self._stops else x)

    half = Half()
    model = network(half)
    before = xu.saliency(model, IMAGES, 1)
    half._stops = True
    tapes.close(xu.saliency(model, IMAGES, 1), before / 2)


def test_a_variable_of_a_layer_of_keras_put_in_its_place_is_noticed():
    dense = layers.Dense(3)
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, dense(layers.Flatten()(inputs)))
    xu.saliency(model, IMAGES, 1)
    dense._tracker.unlock()
    dense._kernel = keras.Variable(np.random.default_rng(5).normal(size=dense._kernel.shape))
    np.testing.assert_allclose(xu.saliency(model, IMAGES, 1).reshape(3, -1)[0], dense.kernel[:, 1], rtol=1e-6)


def test_the_key_of_an_object_that_is_gone_is_that_of_no_other():
    """The new one lies where the old one lay."""
    first = Scale()
    key, place = Same(first), id(first)
    assert key == Same(first) and hash(key) == hash(Same(first))
    del first
    others = [Scale()]
    while id(others[-1]) != place and len(others) < 100_000:
        others.append(Scale())
    assert id(others[-1]) == place and Same(others[-1]) not in {key: 0}


class Stretched(layers.Layer):
    """Reads a module in its own call, and counts in its class how often."""

    runs = 0

    def call(self, x):
        Stretched.runs += 1
        return x * OPTIONS.factor


def test_a_module_that_the_call_of_a_layer_reads_is_noticed_and_a_counter_is_no_setting():
    OPTIONS.factor = 1.0
    model = network(Stretched())
    before = xu.saliency(model, IMAGES, 1)
    runs = Stretched.runs
    np.testing.assert_array_equal(xu.saliency(model, IMAGES, 1), before)
    assert Stretched.runs == runs
    OPTIONS.factor = -2.0
    tapes.close(xu.saliency(model, IMAGES, 1), -2 * before)


def test_what_is_met_again_and_what_has_no_end_is_read():
    """A list that holds itself; a chain longer than can be followed is compared."""
    loop = [1.0]
    loop.append(loop)
    model = network(Times(lambda layer: loop[0]))
    assert settings_of(model) == settings_of(model) and not settings_of(model).unknown
    chain = []
    for _ in range(200):
        chain = [chain]
    assert settings_of(network(Times(lambda layer: 1.0 + 0 * len(chain)))).unknown


def test_graphs_that_are_kept_for_others_are_no_settings():
    """The code of a view inside a model leads to them: what is asked of another model changes nothing in the key."""
    outer = keras.Sequential([xu.logits(network(layers.Conv2D(3, 2, name="conv")))])
    outer(IMAGES)
    before = settings_of(outer)
    for seed in range(3):
        random = network(layers.Dropout(0.5, seed=seed), Times(lambda layer: 1.0))
        tapes.heard(xu.saliency, random, IMAGES, 1)
        tapes.heard(xu.saliency, network(Times(lambda layer: tf.random.uniform(()))), IMAGES, 1)
        assert settings_of(outer) == before and not before.unknown


@pytest.mark.parametrize(
    "make",
    [
        lambda: tf.Variable(1.0).handle,
        lambda: tf.raw_ops.EmptyTensorList(
            element_shape=tf.constant([], tf.int32), max_num_elements=1, element_dtype=tf.float32
        ),
    ],
    ids=["resource", "variant"],
)
def test_a_handle_has_no_value_to_read(make):
    held = [make()]
    model = network(Times(lambda layer: 1.0 + 0 * len(held)))
    assert settings_of(model) == settings_of(model) and settings_of(model).unknown == ("a TensorFlow handle",)
    tapes.close(xu.saliency(model, IMAGES, 1), slope(model))


def test_texts_in_an_array_are_read_not_their_addresses():
    held = np.array([["plus", 1.0]], object)
    model = network(Times(lambda layer: 1.0 if held[0, 0] == "plus" else -2.0))
    before, key = xu.saliency(model, IMAGES, 1), settings_of(model)
    held[0, 0] = "".join(["pl", "us"])  # an equal text at another address
    assert settings_of(model) == key
    held[0, 0] = "minus"
    tapes.close(xu.saliency(model, IMAGES, 1), -2 * before)


# --- what is compared -------------------------------------------------------------------------------------------------


def by_environment(folder):
    os.environ["FACTOR_OF_THE_TESTS"] = "1"
    return (lambda layer: float(os.environ["FACTOR_OF_THE_TESTS"])), lambda: os.environ.update(FACTOR_OF_THE_TESTS="-2")


def by_file(folder):
    file = str(folder / "factor.txt")
    np.savetxt(file, [1.0])

    def read(layer):
        with open(file) as lines:
            return float(lines.read())

    return read, lambda: np.savetxt(file, [-2.0])


def by_array(folder):
    held = array.array("d", [1.0])
    return (lambda layer: held[0]), lambda: held.__setitem__(0, -2.0)


@pytest.mark.parametrize("make", [by_environment, by_file, by_array])
@pytest.mark.parametrize("method", [xu.saliency, xu.grad_cam, xu.rise])
def test_a_change_that_cannot_be_read_shows_when_the_graph_is_compared(method, make, tmp_path):
    read, change = make(tmp_path)
    model = network(layers.Conv2D(3, 2, name="conv"), Times(read))
    assert settings_of(model).unknown
    options = {"masks": 30, "score": "logit"} if method is xu.rise else {}
    before = method(model, IMAGES, 1, **options)
    change()
    found = tapes.silent(method, model, IMAGES, 1, **options)
    xu.forget(model)
    np.testing.assert_array_equal(found, method(model, IMAGES, 1, **options))
    assert np.abs(found - before).max() > 0.1 * np.abs(before).max()


def test_a_change_behind_a_saturated_softmax_shows():
    """The first class has 1 - 1e-13 before and after: the logarithms of the others tell."""
    held = array.array("d", [30.0])
    inputs = keras.Input((3, 1))
    logits = Times(lambda layer: held[0])(layers.Flatten()(inputs))
    model = keras.Model(inputs, layers.Softmax()(logits))
    x = np.array([[[1.0], [0], [0]]], np.float32)
    tapes.close(xu.saliency(model, x, 0), np.array([[[30.0], [0], [0]]]))
    held[0] = 40.0
    tapes.close(xu.saliency(model, x, 0), np.array([[[40.0], [0], [0]]]))


def test_numbers_drawn_in_python_are_said():
    model = network(Times(lambda layer: np.random.normal()))
    for _ in range(2):
        _, texts = tapes.heard(xu.saliency, model, IMAGES, 1)
        (text,) = texts
        assert "numpy.random" in text and "seed" in text and "Cure:" in text


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_rounding_is_no_change(dtype):
    held = array.array("d", [1.5])
    inputs = keras.Input(SHAPE, dtype="float64" if dtype == "float64" else None)
    x = layers.Conv2D(16, 3, dtype=dtype)(inputs)
    x = layers.Dense(3, dtype=dtype)(layers.Flatten()(Times(lambda layer: held[0], dtype=dtype)(x)))
    tapes.silent(xu.saliency, randomised(keras.Model(inputs, x), 1), IMAGES, 1, score="logit")


def test_a_comparison_leaves_losses_and_seeds_as_they_were():
    held = array.array("d", [1.0])
    drop = SeededDropout()
    regular = layers.Conv2D(3, 2, activity_regularizer="l2")
    model = network(regular, drop, Times(lambda layer: held[0]))
    model(IMAGES)
    losses, state = [float(loss) for loss in model.losses], drop.seed_generator.state.numpy()
    xu.saliency(model, IMAGES, 1)
    assert [float(loss) for loss in model.losses] == losses
    np.testing.assert_array_equal(drop.seed_generator.state, state)


# --- what has to be said ----------------------------------------------------------------------------------------------


def test_what_is_patched_into_keras_has_to_be_said(monkeypatch):
    """After `forget`, also of a view, the map is that of the patched layer."""
    model = network(layers.Rescaling(3.0))
    before = xu.saliency(model, IMAGES, 1)
    monkeypatch.setattr(layers.Rescaling, "call", lambda self, x: -2 * self.scale * x)
    np.testing.assert_array_equal(xu.saliency(model, IMAGES, 1), before)
    xu.forget(xu.logits(model))
    tapes.close(xu.saliency(model, IMAGES, 1), -2 * before)


# --- draws ------------------------------------------------------------------------------------------------------------


class SeededDropout(layers.Layer):
    """Drops at inference too, with a seed of its own."""

    def __init__(self, **options):
        super().__init__(**options)
        self.seed_generator = keras.random.SeedGenerator(7)

    def call(self, x):
        return keras.random.dropout(x, 0.5, seed=self.seed_generator)


class Drawing(layers.Layer):
    """Adds what `draw(layer)` gives, in the place that `where` makes for it."""

    def __init__(self, draw, where, **options):
        super().__init__(**options)
        self.draw, self.where = draw, where
        self.seed, self.generator = keras.random.SeedGenerator(7), tf.random.Generator.from_seed(3)
        self.count = tf.Variable(0.0, trainable=False)

    def call(self, x):
        return self.where(x, lambda: x * self.draw(self))


DRAWS = {  # what draws, and whether its state can be put back
    "keras.random": (lambda layer: keras.random.normal((1,), seed=layer.seed), True),
    "no seed": (lambda layer: keras.random.normal((1,)), True),
    "a generator": (lambda layer: layer.generator.normal((1,)), True),
    "a count": (lambda layer: layer.count.assign_add(1.0), True),
    "tf.random": (lambda layer: tf.random.normal((1,)), False),
    "tf.random with a seed": (lambda layer: tf.random.uniform((1,), seed=3), False),
    "a seed that is drawn": (
        lambda layer: tf.random.stateless_normal((1,), tf.random.uniform((2,), 0, 99, tf.int32)),
        False,
    ),
    "truncated": (lambda layer: tf.random.truncated_normal((1,)), False),
    "shuffled": (lambda layer: tf.random.shuffle([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])[:1], False),
}
PLACES = {
    "plain": lambda x, draw: draw(),
    "tf.function": lambda x, draw: tf.function(draw)(),
    "a loop": lambda x, draw: tf.while_loop(lambda i, y: i < 2, lambda i, y: (i + 1, y + draw()), (0, x))[1],
    "a branch": lambda x, draw: tf.cond(tf.reduce_sum(x * x) > 0, draw, lambda: x),
    "a loop in a branch": lambda x, draw: PLACES["a branch"](x, lambda: PLACES["a loop"](x, draw)),
}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("kind", DRAWS)
def test_a_draw_comes_back_or_is_said(kind, where):
    draw, comes_back = DRAWS[kind]
    layer = Drawing(draw, PLACES[where], name="drawing")
    model = network(layers.Conv2D(2, 1, name="conv"), layer)
    states = [layer.seed.state.numpy(), layer.generator.state.numpy(), layer.count.numpy()]
    first, texts = tapes.heard(xu.saliency, model, IMAGES, 1, batch_size=2)
    second, again = tapes.heard(xu.saliency, model, IMAGES, 1, batch_size=2)
    for before, after in zip(states, (layer.seed.state, layer.generator.state, layer.count), strict=True):
        np.testing.assert_array_equal(after, before)
    assert texts == again
    if comes_back:
        assert texts == []
        np.testing.assert_array_equal(first, second)
    else:
        assert len(texts) == 1 and "'drawing'" in texts[0] and "random" in texts[0]


def test_a_draw_that_the_answer_does_not_depend_on_is_passed_over():
    """Behind the unit that is explained."""
    model = network(layers.Conv2D(2, 1, name="conv"), Drawing(DRAWS["tf.random"][0], PLACES["plain"]))
    tapes.silent(xu.saliency, xu.unit(model, "conv", 0), IMAGES)
    assert len(tapes.heard(xu.saliency, model, IMAGES, 1)[1]) == 1


@pytest.mark.parametrize("kind", ["tf.random", "training=True"])
def test_a_draw_is_said_once_by_a_call_that_asks_several_questions(kind):
    random = Drawing(DRAWS["tf.random"][0], PLACES["plain"], name="noise")
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(2, 2, activation="relu", name="conv")(inputs)
    x = random(x) if kind == "tf.random" else layers.Dropout(0.5, name="noise")(x, training=True)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))
    for _ in range(2):
        for call in (xu.guided_grad_cam, functools.partial(xu.max_sensitivity, xu.saliency, samples=2)):
            _, texts = tapes.heard(call, model, IMAGES, 1)
            assert sum("'noise'" in text for text in texts) == 1


def test_the_cures_of_what_is_random_work():
    """Drawn with a seed that the layer holds; and a layer of one's own whose call says training=True."""
    assert len(tapes.heard(xu.saliency, network(Drawing(DRAWS["tf.random"][0], PLACES["plain"])), IMAGES, 1)[1]) == 1
    tapes.silent(xu.saliency, network(Drawing(DRAWS["keras.random"][0], PLACES["plain"])), IMAGES, 1)

    class On(layers.Layer):
        def __init__(self):
            super().__init__()
            self.drop = layers.Dropout(0.5, seed=1)

        def call(self, x):
            return self.drop(x, training=True)

    model = network(On())
    found = tapes.silent(xu.saliency, model, IMAGES, 1)
    np.testing.assert_array_equal(found, tapes.silent(xu.saliency, model, IMAGES, 1))
    state = model.layers[1].drop.seed_generator.state
    before = state.numpy()
    tapes.close(found, slope(model))  # the tape draws what the map has drawn
    assert (state.numpy() != before).any()


@pytest.mark.parametrize("nested", [False, True])
def test_training_that_is_written_into_a_batch_normalization_is_said(nested):
    inputs = keras.Input(SHAPE)
    x = layers.BatchNormalization(name="norm")(inputs, training=True)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    if nested:
        outer = keras.Input(SHAPE)
        model = keras.Model(outer, layers.Dense(2)(model(outer)))
    randomised(model, 3)
    found, texts = tapes.heard(xu.saliency, model, IMAGES, 1)
    assert len(texts) == 1 and "'norm'" in texts[0] and "Cure:" in texts[0]
    tapes.close(found, slope(model))


def test_training_that_keras_writes_into_augmentation_is_not_said():
    """It notes training=True, their default, and switches them off at inference all the same."""
    inputs = keras.Input(SHAPE)
    x = layers.RandomContrast(0.9, seed=1)(layers.RandomFlip(seed=1)(inputs))
    model = randomised(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))), 3)
    np.testing.assert_array_equal(model(IMAGES, training=False), model(IMAGES, training=False))
    tapes.close(tapes.silent(xu.saliency, model, IMAGES, 1), slope(model))


# --- many models, threads, processes ----------------------------------------------------------------------------------


def growth(count):
    """MiB that a process takes for each of `count` different small models, after ten."""
    import psutil

    def explain(number):
        inputs = keras.Input((12, 2))
        x = layers.Conv1D(2 + number % 7, 3, activation="relu")(inputs)
        model = keras.Model(inputs, layers.Dense(2 + number)(layers.GlobalAveragePooling1D()(x)))
        xu.grad_cam(model, np.ones((1, 12, 2), np.float32), 1)

    for number in range(10):
        explain(number)
    before = psutil.Process().memory_info().rss
    for number in range(count):
        explain(number)
    return (psutil.Process().memory_info().rss - before) / 2**20 / count


@pytest.mark.slow
def test_two_hundred_models_leave_less_than_a_mebibyte_each():
    import processes

    assert processes.ask(growth, 200) < 1


def maps(seed=1):
    """Maps of a network with a draw in it, of a fixed seed."""
    inputs = keras.Input((12, 2))
    x = layers.Conv1D(4, 3, activation="relu", name="conv")(inputs)
    x = SeededDropout()(x)
    model = randomised(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x))), seed)
    signals = np.random.default_rng(seed).normal(size=(3, 12, 2)).astype(np.float32)
    found = {name: getattr(xu, name)(model, signals, 1) for name in ("saliency", "grad_cam", "layer_cam")}
    return found | {"rise": xu.rise(model, signals, 1, masks=20)}


def alike(found, wanted):
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values)


def test_threads_that_share_a_network_with_a_draw_get_equal_bits():
    model = network(SeededDropout())
    wanted = xu.saliency(model, IMAGES, 1)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: xu.saliency(model, IMAGES, 1), range(40)):
            np.testing.assert_array_equal(found, wanted)


def test_threads_processes_and_loky_workers_give_the_same_maps():
    """Each worker builds the network for itself; a process is a new one, for a fork of TensorFlow hangs."""
    import multiprocessing

    from joblib.externals.loky import ProcessPoolExecutor

    with multiprocessing.get_context("spawn").Pool(1) as spawned, ProcessPoolExecutor(1) as workers:
        there = [spawned.apply_async(maps), workers.submit(maps)]
        wanted = maps()
        with ThreadPoolExecutor(3) as pool:
            for found in pool.map(maps, [1] * 3):
                alike(found, wanted)
        alike(there[0].get(60), wanted)
        alike(there[1].result(60), wanted)
