"""Kept graphs: none outlives a change of the model, and there are not more of them without end."""

import gc
import itertools
from types import SimpleNamespace

import keras
import numpy as np
import psutil
import pytest
import tapes
import tensorflow as tf
from keras import layers
from tensorflow.python.framework.func_graph import FuncGraph

import xai_utils as xu
from models import randomised

SHAPE = (6, 6, 2)
IMAGES = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)

# --- kept graphs that outlive a change --------------------------------------------------------------------------------

FACTOR = 1.0
SHARED = {"factor": 1.0}


class Changing(keras.Model):
    """S = a * conv(x) summed by a dense layer, where a is read from wherever the test has put it."""

    def __init__(self, read):
        super().__init__()
        self.conv, self.head, self._read = layers.Conv2D(3, 3, activation="tanh"), layers.Dense(3), read
        self._private, self._array = 1.0, np.ones(3, np.float32)
        self._nested, self._list, self._dict = SimpleNamespace(factor=1.0), [1.0, [1.0]], {"a": {"b": 1.0}}
        self.variable, self._holder = tf.Variable(1.0, trainable=False), SimpleNamespace(held=tf.Variable(1.0))
        self._untracked = (lambda held: lambda: held)(tf.Variable(1.0))

    def call(self, x):
        return self.head(tf.reshape(self.conv(x) * self._read(self), (-1, 4 * 4 * 3)))


def set_global(model):
    global FACTOR
    FACTOR = -2.0


def closure():
    held = [1.0]

    def change(model):
        held[0] = -2.0

    return (lambda model: held[0]), change


def rebound():
    held = 1.0

    def change(model):
        nonlocal held
        held = -2.0

    return (lambda model: held), change


def other_convolution(model):
    layer = layers.Conv2D(3, 3, activation="sigmoid")
    layer.build((None, *SHAPE))
    model._tracker.unlock()
    model.conv = layer


def low_rank(model):
    model.conv.enable_lora(2)
    model.conv.lora_kernel_b.assign(np.ones(model.conv.lora_kernel_b.shape))


CHANGES = {  # where the factor is read, and what changes it to -2; a function makes both anew
    "a private number": (lambda m: m._private, lambda m: setattr(m, "_private", -2.0)),
    "a private array, in place": (lambda m: m._array, lambda m: np.copyto(m._array, -2.0)),
    "an object's attribute": (lambda m: m._nested.factor, lambda m: setattr(m._nested, "factor", -2.0)),
    "a list in a list": (lambda m: m._list[1][0], lambda m: m._list[1].__setitem__(0, -2.0)),
    "a dictionary in a dictionary": (lambda m: m._dict["a"]["b"], lambda m: m._dict["a"].update({"b": -2.0})),
    "a global": (lambda m: FACTOR, set_global),
    "a global dictionary": (lambda m: SHARED["factor"], lambda m: SHARED.update(factor=-2.0)),
    "a closure's list": closure,
    "a closure's name": rebound,
    "a variable": (lambda m: m.variable, lambda m: m.variable.assign(-2.0)),
    "a variable put in its place": (lambda m: m._holder.held, lambda m: setattr(m._holder, "held", tf.Variable(-2.0))),
    "a variable in a closure": (lambda m: m._untracked(), lambda m: m._untracked().assign(-2.0)),
    "the function itself": (lambda m: 1.0, lambda m: setattr(m, "_read", lambda m: -2.0)),
    "a layer put in its place": (lambda m: 1.0, other_convolution),
    "low-rank parts beside a kernel": (lambda m: 1.0, low_rank),
    "the call of a layer": (lambda m: 1.0, lambda m: setattr(m.conv, "call", lambda x: -type(m.conv).call(m.conv, x))),
    "an activation": (lambda m: 1.0, lambda m: setattr(m.conv, "activation", tf.sin)),
}


@pytest.fixture(autouse=True)
def as_they_were():
    yield
    globals()["FACTOR"] = SHARED["factor"] = 1.0


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["saliency", "occlusion"])
def test_after_a_change_the_map_is_that_of_the_changed_model(name, change):
    read, make = CHANGES[change]() if callable(CHANGES[change]) else CHANGES[change]
    model = Changing(read)
    model(IMAGES)
    randomised(model, 2)
    model.variable.assign(1.0)
    before = getattr(xu, name)(model, IMAGES, 1)
    make(model)
    found = getattr(xu, name)(model, IMAGES, 1)
    slope = tapes.gradient(model, IMAGES, tapes.output(1), "float32")
    if name == "saliency":
        tapes.close(found, slope)
    else:
        tapes.close(found, by_covering(model))
    assert np.abs(found - before).max() > 0.1 * np.abs(before).max()


def by_covering(model):
    """Occlusion with the default patch and stride of 6 x 6 pixels, one pixel each, the middle of the range for fill."""
    middle, maps = (IMAGES.min(axis=(1, 2, 3)) + IMAGES.max(axis=(1, 2, 3))) / 2, np.empty(IMAGES.shape[:3])
    for row, column in itertools.product(range(6), range(6)):
        covered = IMAGES.copy()
        covered[:, row, column] = middle[:, None]
        maps[:, row, column] = model(IMAGES)[:, 1] - model(covered)[:, 1]
    return maps


# --- graphs without end -----------------------------------------------------------------------------------------------


BOUND = 64  # graphs that may be kept for one model; 70 readings of an activation would take as many


def graphs():
    for _ in range(3):  # a model goes first, then the graphs that were kept for it
        gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, FuncGraph)]


def kept_by(work, rounds):
    """How many graphs are there after `rounds` of `work` that were not there before."""
    before = graphs()  # held, so that none of them goes meanwhile
    for number in range(rounds):
        work(number)
    return len(graphs()) - len(before)


def small(length=12):
    inputs = keras.Input((length, 2))
    x = layers.Conv1D(3, 3, padding="same", activation="relu", name="conv")(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


SIGNALS = np.random.default_rng(1).normal(size=(1, 12, 2)).astype(np.float32)


def test_changes_of_an_activation_leave_a_bounded_number_of_graphs():
    model = small()

    def work(number):
        model.get_layer("conv").activation = lambda x: x * (1 + number)
        xu.saliency(model, SIGNALS, 1)

    assert kept_by(work, 70) <= BOUND


def test_sizes_of_a_network_of_any_size_leave_a_bounded_number_of_graphs():
    model = small(None)

    def work(number):
        signals = np.random.default_rng(number).normal(size=(1, 20 + number, 2)).astype(np.float32)
        xu.occlusion(model, signals, 1, patch=2, stride=2)
        xu.sise(model, signals, 1, fill="mean")

    assert kept_by(work, 24) <= BOUND


class Counting(layers.Layer):
    """Passes its input on; counts how often it was traced."""

    traced = 0

    def call(self, x):
        Counting.traced += not tf.executing_eagerly() and tf.is_tensor(x)
        return x * 1.0


def test_what_is_asked_again_and_again_is_kept_while_others_are_let_go():
    """One activation is asked for between 30 others: it is not traced anew each time."""
    inputs = keras.Input((12, 2))
    x = Counting()(layers.Conv1D(3, 3, activation="relu", name="conv")(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))
    conv, often = model.get_layer("conv"), keras.activations.tanh

    def asked(activation):
        conv.activation, before = activation, Counting.traced
        xu.saliency(model, SIGNALS, 1)
        return Counting.traced - before

    asked(often)
    new = [(asked(lambda x, n=number: x * (1 + n)), asked(often)) for number in range(30)]
    assert all(first > 0 for first, _ in new)
    assert sum(again for _, again in new) == 0


def test_models_that_are_gone_leave_no_graphs_and_little_memory():
    def work(number):
        xu.grad_cam(small(), SIGNALS, 1)

    kept_by(work, 5)
    before = psutil.Process().memory_info().rss
    assert kept_by(work, 30) <= 0
    assert psutil.Process().memory_info().rss - before < 30 * 2**20  # less than 1 MiB each
