"""The engine's objects: endings and rules are one class each, counts belong to their block and thread, rooms reload."""

import importlib
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import models
import xai_utils as xu
from heatproof.engine import endings, rules, views
from heatproof.engine.counting import count, counting
from heatproof.engine.query import Query

ROOT = Path(__file__).resolve().parents[1]


def test_a_new_ending_is_one_class():
    """S = the largest logit minus the mean of all: its gradient is that of the tape."""

    class Lead(endings.Logits):
        def of(self, run, outputs):
            _, z, _ = super().of(run, outputs)
            lead = (tf.reduce_max(z, axis=1) - tf.reduce_mean(z, axis=1))[:, None]
            return "unit", lead, lead

    model = models.cnn()
    inputs = models.examples(model, 3)
    view = views.View(replace(views.recipe_of(model), ending=Lead()))
    with tf.GradientTape() as tape:
        x = tf.constant(inputs)
        tape.watch(x)
        z = xu.logits(model)(x)
        lead = tf.reduce_max(z, axis=1) - tf.reduce_mean(z, axis=1)
    np.testing.assert_allclose(xu.saliency(view, inputs, 0), tape.gradient(lead, x), rtol=1e-4, atol=1e-6)


def test_a_new_rule_is_one_class():
    """A rule that passes everything on: the product of the kernels alone, worked out in numpy for two Dense layers."""

    class Straight(rules.Rule):
        def back(self, operation, gradient):
            return gradient

    parts = [layers.Flatten(), layers.Dense(5, activation="relu"), layers.Dense(3)]
    model = models.randomised(keras.Sequential([keras.Input((4, 1)), *parts]))
    first, second = (layer.kernel.numpy() for layer in model.layers[-2:])
    view = views.View(replace(views.recipe_of(model), rule=rules.registered(Straight())))
    got = xu.saliency(view, -np.ones((2, 4, 1), np.float32), [2, 0])
    np.testing.assert_allclose(got[..., 0], (first @ second).T[[2, 0]], rtol=1e-5, atol=1e-6)


def test_every_room_of_the_engine_can_be_reloaded():
    """In a process of its own: the same guided map after every reload."""
    code = """
import importlib, pathlib, sys
sys.path.insert(0, "tests")
import numpy as np, models, xai_utils as xu
model = models.cnn()
inputs = models.examples(model, 2)
before = xu.guided_backprop(model, inputs, 1)
rooms = sorted(path.stem for path in pathlib.Path("heatproof/engine").glob("[a-z]*.py"))
assert "rules" in rooms
for room in rooms:
    importlib.reload(importlib.import_module(f"heatproof.engine.{room}"))
    assert np.array_equal(xu.guided_backprop(model, inputs, 1), before), room
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-800:]


def test_a_reloaded_rule_is_the_new_one():
    model = models.cnn()
    inputs = models.examples(model, 2)
    before = xu.guided_backprop(model, inputs, 1)
    importlib.reload(rules)
    assert np.array_equal(xu.guided_backprop(models.cnn(), inputs, 1), before)


def test_counts_nest_and_end_with_their_block():
    with counting() as outer:
        count(("forwards",), 2)
        with counting() as inner:
            count(("forwards", "backwards"), 3)
        count(("forwards",), 1)
    count(("forwards",), 100)
    assert outer == {"forwards": 6, "backwards": 3} and inner == {"forwards": 3, "backwards": 3}


def test_two_threads_count_their_own_passes():
    """Two at once, of different sizes: each counts what it asked for itself."""
    model = models.cnn()
    inputs, found, together = models.examples(model, 8), {}, threading.Barrier(2)
    xu.smooth_grad(model, inputs[:1], 0, samples=1)  # traced before

    def ask(samples):
        together.wait()
        with counting() as passes:
            for _ in range(5):
                xu.smooth_grad(model, inputs, 0, samples=samples)
        found[samples] = passes["backwards"]

    threads = [threading.Thread(target=ask, args=(samples,)) for samples in (2, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {2: 5 * 8 * 2, 5: 5 * 8 * 5}


def test_an_ending_keeps_no_layer_alive_and_equals_its_twin():
    model = models.cnn()
    layer = model.layers[1]
    assert endings.Unit.at(layer, 2) == endings.Unit.at(layer, 2) != endings.Unit.at(layer, 1)
    assert endings.Channels.at(layer) != endings.Energy.at(layer)
    assert hash(endings.Unit.at(layer, 2)) == hash(endings.Unit.at(layer, 2))
    assert Query(xu.unit(model, layer, 2), models.examples(model, 1)).recipe.ending.layer is layer
