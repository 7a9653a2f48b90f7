"""Networks that turn their axes: a map lies where the input's axes are, as that of the same network without the turn.

The twin does by its kernels what the network does by turning its input: a convolution of a turned picture is the turned
convolution by turned kernels.
"""

import functools

import keras
import numpy as np
import pytest
import tapes
import tensorflow as tf
from keras import layers
from refusals import Counter, refused

import xai_utils as xu
from models import randomised

SHAPE = (12, 8, 3)
IMAGES = np.random.default_rng(4).normal(size=(3, *SHAPE)).astype(np.float32)
SIGNALS = np.random.default_rng(5).normal(size=(3, 12, 4)).astype(np.float32)


class Transposed(layers.Layer):
    """tf.transpose."""

    def call(self, x):
        return tf.transpose(x, (0, 2, 1, 3))

    def compute_output_shape(self, shape):
        return (shape[0], shape[2], shape[1], shape[3])


TURNS = {
    "Permute": lambda x: layers.Permute((2, 1, 3))(x),
    "tf.transpose": lambda x: Transposed()(x),
    "keras.ops.transpose": lambda x: keras.ops.transpose(x, (0, 2, 1, 3)),
    "swapaxes": lambda x: keras.ops.swapaxes(x, 1, 2),
}


def network(turn=None, early=False, shape=SHAPE):
    """Strided along one axis, so that neither the grid nor its centres are those of the other axis."""
    inputs = keras.Input(shape)
    step = (1, 2) if early else (2, 1)
    x = turn(inputs) if turn and early else inputs
    kernel = (5, 3) if early and turn else (3, 5)
    strides = step if turn or not early else step[::-1]
    x = layers.Conv2D(4, kernel, strides=strides, padding="same", activation="relu", name="conv")(x)
    x = turn(x) if turn and not early else x
    x = layers.Activation("tanh", name="place")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(x))


@functools.cache
def pair(turn, early, shape=SHAPE):
    """The network that turns its axes, and its twin without a turn."""
    twin = randomised(network(None, early, shape), 3)
    model = network(TURNS[turn], early, shape)
    kernel, *others = twin.get_weights()
    model.set_weights([kernel.transpose(1, 0, 2, 3) if early else kernel, *others])
    np.testing.assert_allclose(model(IMAGES), twin(IMAGES), atol=1e-5)
    return model, twin


METHODS = {
    name: {} for name in ("grad_cam", "hires_cam", "layer_cam", "xgrad_cam", "ablation_cam", "grad_cam_plus_plus")
}
METHODS = dict.fromkeys(("cam", "grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam", "ablation_cam"), {})
METHODS |= {"score_cam": {"fill": 0.0}, "sise": {"layers": ["place"], "fill": 0.0}}
PLACED = [name for name in METHODS if name not in ("sise", "cam")]


def options_of(name):
    return METHODS[name] | ({"layer": "place"} if name in PLACED else {})


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_a_map_at_turned_axes_is_that_of_the_twin(name, early):
    model, twin = pair("Permute", early)
    method, options = xu.METHODS[name].function, options_of(name)
    tapes.close(method(model, IMAGES, 1, **options), method(twin, IMAGES, 1, **options))


@pytest.mark.parametrize("align", ["centres", "stretch"])
@pytest.mark.parametrize("turn", TURNS)
def test_however_the_turn_is_written_and_the_map_enlarged(turn, align):
    model, twin = pair(turn, False)
    maps = [xu.hires_cam(each, IMAGES, 1, layer="place", relu=False, align=align) for each in (model, twin)]
    tapes.close(*maps)
    A, centres = tapes.hires_cam(twin, "place", IMAGES, tapes.output(1)), (2.0 * np.arange(6) + 1, np.arange(8.0))
    wanted = tapes.stretched(A, SHAPE[:2]) if align == "stretch" else tapes.enlarged(A, centres, SHAPE[:2])
    tapes.close(maps[0], wanted)


def test_on_the_layers_own_grid_a_map_keeps_the_layers_axes():
    model, twin = pair("Permute", False)
    maps = [xu.hires_cam(each, IMAGES, 1, layer="place", upsample=False) for each in (model, twin)]
    tapes.close(maps[0], maps[1].transpose(0, 2, 1))


@pytest.mark.parametrize("early", [False, True])
def test_a_model_of_any_size_turns_its_axes_too(early):
    model, twin = pair("Permute", early, (None, None, 3))
    tapes.close(*(xu.grad_cam(each, IMAGES, 1, layer="place") for each in (model, twin)))


def test_the_default_places_of_a_network_that_turns_are_those_of_the_twin():
    model, twin = pair("Permute", True)
    tapes.close(xu.grad_cam(model, IMAGES, 1), xu.grad_cam(twin, IMAGES, 1))
    tapes.close(xu.sise(model, IMAGES, 1, fill=0.0), xu.sise(twin, IMAGES, 1, fill=0.0))


# --- channels among the positions -------------------------------------------------------------------------------------


def headed(inputs, x, moved=None):
    """With its channels moved to the second axis before a mean over the positions, or without."""
    rank = len(inputs.shape) - 2
    if moved:
        x = layers.Permute((rank + 1, *range(1, rank + 1)), name="moved")(x)
        x = layers.Activation("tanh", name="behind")(x)
        x = getattr(layers, f"GlobalAveragePooling{rank}D")(data_format="channels_first")(x)
    else:
        x = getattr(layers, f"GlobalAveragePooling{rank}D")()(layers.Activation("tanh")(x))
    return randomised(keras.Model(inputs, layers.Dense(3, name="head")(x)), 6)


def inside(moved, shape=SHAPE, counted=False):
    inputs = keras.Input(shape)
    x = Counter()(inputs) if counted else inputs
    of_rank = getattr(layers, f"Conv{len(shape) - 1}D")
    return headed(inputs, of_rank(4, 3, 2, padding="same", activation="relu", name="conv")(x), moved)


CASES = {"images": IMAGES, "signals": SIGNALS}


@pytest.mark.parametrize("kind", CASES)
def test_the_default_place_has_its_channels_last(kind):
    inputs = CASES[kind]
    model, twin = inside(True, inputs.shape[1:]), inside(False, inputs.shape[1:])
    np.testing.assert_allclose(model(inputs), twin(inputs), atol=1e-5)
    tapes.close(xu.grad_cam(model, inputs, 1), xu.grad_cam(twin, inputs, 1, layer="conv"))
    tapes.close(xu.sise(model, inputs, 1, fill=0.0), xu.sise(twin, inputs, 1, layers=["conv"], fill=0.0))


@pytest.mark.parametrize("layer", ["moved", "behind"])
@pytest.mark.parametrize("kind", CASES)
def test_channels_are_no_positions(kind, layer):
    inputs = CASES[kind]
    model = inside(True, inputs.shape[1:], counted=True)
    words = ["layer: got", layer, "where channels should stand", "'conv'"]
    for upsample in (True, False):
        refused(ValueError, words, xu.grad_cam, model, inputs, 1, layer=layer, upsample=upsample)
    refused(ValueError, words, xu.sise, model, inputs, 1, layers=[layer], fill=0.0)
    found = xu.grad_cam(model, inputs, 1, layer="conv")  # the layer that is offered
    tapes.close(found, xu.grad_cam(inside(False, inputs.shape[1:]), inputs, 1, layer="conv"))


def test_two_streams_that_move_their_channels_are_explained_before_they_do():
    def built(moved):
        inputs = keras.Input(SHAPE)
        ends = [layers.Conv2D(4, 3, activation="relu", name=f"conv_{number}")(inputs) for number in (1, 2)]
        ends = [layers.Permute((3, 1, 2))(end) for end in ends] if moved else ends
        form = "channels_first" if moved else "channels_last"
        ends = [layers.GlobalAveragePooling2D(data_format=form)(end) for end in ends]
        return randomised(keras.Model(inputs, layers.Dense(3)(layers.Concatenate()(ends))), 8)

    found, texts = tapes.heard(xu.grad_cam, built(True), IMAGES, 1)
    (text,) = (text for text in texts if "lead to it side by side" in text)
    assert "'conv_1'" in text and "'conv_2'" in text and "permute" not in text
    tapes.close(found, tapes.heard(xu.grad_cam, built(False), IMAGES, 1)[0])


def test_cam_wants_a_mean_over_positions():
    refused(ValueError, ["model: got a head"], xu.cam, inside(True, counted=True), IMAGES, 1)
