"""Peak memory: the watch sees what is held and no more; a method's peak comes from a process of its own."""

import keras
import numpy as np
import pytest
from keras import layers

import xai_utils as xu
from heatproof.metrics.cost import Watch

INPUTS = np.zeros((2, 8, 8, 3), np.float32)


def test_the_watch_sees_an_array_that_is_gone_again():
    with Watch() as watch:
        held = np.ones(2**25)  # 256 MiB of float64, every page touched
        held += 1
        del held
    assert 240 < watch.peak < 400


def test_nothing_held_is_nothing_seen():
    with Watch() as watch:
        sum(range(10**6))
    assert watch.peak < 20


def small(side):
    inputs = keras.Input((side, side, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(3)(x))


def test_the_maps_of_a_method_are_in_its_peak_and_the_inputs_are_not():
    """512 inputs of 128x128x3 are 96 MiB of float32, and so are their maps; the rest is one batch and its graph."""
    inputs = np.zeros((512, 128, 128, 3), np.float32)
    table = xu.peak_memory(small(128), inputs, 0, ("saliency",))
    assert table["method"].tolist() == ["saliency"]
    assert 96 < table["MiB"][0] < 96 + 400


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"methods": ("salience",)}, "methods"),
        ({"methods": ("saliency",), "options": {"rise": {"masks": 5}}}, "options"),
        ({"methods": ("saliency",), "options": {"saliency": {"masks": 5}}}, "options"),
    ],
)
def test_bad_arguments_are_refused_before_a_process_is_started(arguments, words, monkeypatch):
    monkeypatch.setattr("subprocess.run", None)
    with pytest.raises(ValueError, match=f"^{words}"):
        xu.peak_memory(small(8), INPUTS, 0, **arguments)


def test_a_view_is_refused():
    with pytest.raises(TypeError, match="view"):
        xu.peak_memory(xu.logits(small(8)), INPUTS, 0)


def test_what_went_wrong_in_the_process_is_told(monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(RuntimeError, match="^saliency"):
        xu.peak_memory(small(8), INPUTS, 0, ("saliency",))
