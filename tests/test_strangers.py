"""Networks that practitioners bring and our own tables of shapes do not have, each against an oracle of its own."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import xai_utils as xu
from heatproof.engine import programs
from heatproof.engine.query import Query

IMAGES = np.random.default_rng(0).random((3, 16, 16, 3), np.float32)
SIGNALS = np.random.default_rng(1).standard_normal((3, 32, 2)).astype(np.float32)


def tape(model, inputs, target=0):
    """dS_c/dx of a model that ends in logits."""
    x = tf.constant(inputs)
    with tf.GradientTape() as watcher:
        watcher.watch(x)
        score = model(x)[:, target]
    return watcher.gradient(score, x).numpy()


def close(found, wanted, tolerance=1e-5):
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


# --- tokens: positions along other axes than those of the input -------------------------------------------------------


@pytest.fixture(scope="module")
def tokens():
    """A convolution, its 8 x 8 positions in a row, attention among them."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((16, 16, 3))
    maps = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="maps")(inputs)
    row = layers.Reshape((64, 8))(maps)
    row = layers.Add(name="row")([row, layers.MultiHeadAttention(2, 4)(row, row)])
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling1D()(row)))


def test_the_default_layer_is_the_last_with_the_axes_of_the_input(tokens):
    x = tf.constant(IMAGES)
    behind = keras.Model(tokens.get_layer("maps").output, tokens.output)
    A = keras.Model(tokens.inputs, tokens.get_layer("maps").output)(x)
    with tf.GradientTape() as watcher:
        watcher.watch(A)
        score = behind(A)[:, 2]
    gradient = watcher.gradient(score, A).numpy()
    wanted = (A.numpy() * gradient.mean(axis=(1, 2), keepdims=True)).sum(axis=-1)
    close(xu.grad_cam(tokens, IMAGES, 2, relu=False, upsample=False), wanted)
    assert [place.layer.name for place in Query(tokens, IMAGES).block_ends()] == ["maps"]
    for method in (xu.grad_cam, xu.score_cam, xu.sise, xu.ablation_cam):
        assert method(tokens, IMAGES, 2).shape == (3, 16, 16)


def test_a_layer_with_other_axes_is_refused(tokens):
    inner = next(layer for layer in tokens.layers if isinstance(layer, layers.MultiHeadAttention)).query_dense
    with pytest.raises(ValueError, match=r"has other axes \(shape \(None, 64, 2, 4\)\)"):
        xu.grad_cam(tokens, IMAGES, 2, layer=inner)
    with pytest.raises(ValueError, match="got a head .*for CAM, global average pooling"):
        xu.cam(tokens, IMAGES, 2)


# --- what the last layer is -------------------------------------------------------------------------------------------


class Block(keras.Model):
    """Ends in an operation, and not in a layer."""

    def __init__(self, name):
        super().__init__(name=name)
        self.inner = layers.Conv2D(8, 3, padding="same", name="inner")

    def call(self, inputs):
        return tf.nn.relu(inputs + self.inner(inputs))


def test_a_block_that_ends_in_an_operation_is_the_last_layer_itself():
    """Behind it GAP and one dense layer: raw Grad-CAM there is CAM / Z, and the inner convolution's map is not."""
    inputs = keras.Input((16, 16, 3))
    maps = Block("block")(layers.Conv2D(8, 3)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(maps)))
    found = xu.grad_cam(model, IMAGES, 1, relu=False, upsample=False)
    close(found, xu.cam(model, IMAGES, 1, upsample=False) / 14**2)
    assert np.abs(found - xu.grad_cam(model, IMAGES, 1, layer="inner", relu=False, upsample=False)).max() > 1e-3


def test_a_layer_that_is_called_twice_is_passed_over():
    inputs, relu = keras.Input((16, 16, 3)), layers.ReLU(name="twice")
    maps = relu(layers.Conv2D(8, 3, name="second")(relu(layers.Conv2D(8, 3, name="first")(inputs))))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(maps)))
    assert Query(model, IMAGES).place().layer.name == "second"
    np.testing.assert_array_equal(xu.grad_cam(model, IMAGES, 1), xu.grad_cam(model, IMAGES, 1, layer="second"))


# --- graphs that must not grow old ------------------------------------------------------------------------------------


def test_a_normalization_that_is_adapted_anew_is_seen():
    normalization = layers.Normalization()
    normalization.adapt(IMAGES)
    tail = [layers.Conv2D(4, 3, activation="tanh"), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    model = keras.Sequential([keras.Input((16, 16, 3)), normalization, *tail])
    close(xu.saliency(model, IMAGES, 0), tape(model, IMAGES))
    normalization.adapt(10 * IMAGES + 3)
    close(xu.saliency(model, IMAGES, 0), tape(model, IMAGES))


class Scaled(keras.layers.Layer):
    """Multiplies by what stands in its attributes."""

    def __init__(self):
        super().__init__()
        self._private, self.number, self.several = 1.0, np.float32(1), [1.0, np.ones(2, np.float32)]
        self.named, self.tensor = {"factor": 1.0}, tf.ones(2)

    def call(self, inputs):
        one, two = self.several
        return inputs * self._private * self.number * one * two * self.named["factor"] * self.tensor


CHANGES = {
    "private": lambda layer: setattr(layer, "_private", 2.0),
    "a NumPy number": lambda layer: setattr(layer, "number", np.float32(2)),
    "in a list": lambda layer: layer.several.__setitem__(0, 2.0),
    "an array in a list": lambda layer: layer.several[1].__imul__(2),
    "in a dictionary": lambda layer: layer.named.update({"factor": 2.0}),
    "a tensor": lambda layer: setattr(layer, "tensor", 2 * tf.ones(2)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_attribute_of_a_layer_of_ones_own_is_seen(change):
    layer, inputs = Scaled(), keras.Input((32, 2))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layer(inputs))))
    before = xu.saliency(model, SIGNALS, 1)
    known = len(programs._PROGRAMS[model])
    np.testing.assert_array_equal(xu.saliency(model, SIGNALS, 1), before)
    assert len(programs._PROGRAMS[model]) == known, "nothing has changed: the graph stays"
    CHANGES[change](layer)
    close(xu.saliency(model, SIGNALS, 1), 2 * before)


# --- what cannot be explained as it stands ----------------------------------------------------------------------------


def test_a_softmax_over_groups_is_refused():
    inputs = keras.Input((32, 2))
    groups = layers.Softmax()(layers.Reshape((2, 5))(layers.Dense(10)(layers.Flatten()(inputs))))
    with pytest.raises(ValueError, match="model: got a model that ends in a softmax over 5 of its 10 outputs.* Cure:"):
        xu.saliency(keras.Model(inputs, layers.Flatten()(groups)), SIGNALS)


def test_a_layer_with_a_state_is_refused_before_any_pass():
    inputs = keras.Input(batch_shape=(3, 32, 2))
    model = keras.Model(inputs, layers.Dense(3)(layers.LSTM(5, stateful=True, name="memory")(inputs)))
    with pytest.raises(ValueError, match=r"model: got .* layers \['memory'\] keep a state.* Cure: .*stateful=False"):
        xu.saliency(model, SIGNALS)
    assert not any(np.asarray(state).any() for state in model.get_layer("memory").states)


def test_a_relu_inside_a_loop_draws_a_warning():
    """The rule cannot reach it: the map is the plain gradient there."""
    inputs = keras.Input((32, 2))
    model = keras.Model(inputs, layers.Dense(3)(layers.SimpleRNN(5, activation="relu")(inputs)))
    with pytest.warns(xu.XAIWarning, match="but not .*ReLU inside a loop"):
        xu.guided_backprop(model, SIGNALS, 0)


def test_losses_of_activities_stay_numbers():
    inputs = keras.Input((16, 16, 3))
    maps = layers.Conv2D(4, 3, activity_regularizer="l1")(inputs)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(maps)))
    model(IMAGES)
    before = float(sum(model.losses))
    xu.saliency(model, IMAGES)
    assert float(sum(model.losses)) == before


# --- occlusion --------------------------------------------------------------------------------------------------------


def whole_passes(model, inputs, side, fill=0.0):
    """Occlusion with windows side by side, image by image, window by window."""
    score, maps = model(inputs).numpy()[:, 0], np.zeros(inputs.shape[:3])
    for row in range(0, inputs.shape[1], side):
        for column in range(0, inputs.shape[2], side):
            covered = inputs.copy()
            covered[:, row : row + side, column : column + side] = fill
            change = score - model.predict_on_batch(covered)[:, 0]
            maps[:, row : row + side, column : column + side] = change[:, None, None]
    return maps


def test_occlusion_before_a_recurrent_head_equals_whole_passes():
    keras.utils.set_random_seed(5)
    images = np.random.default_rng(2).standard_normal((2, 40, 40, 3)).astype(np.float32)
    inputs = keras.Input((40, 40, 3))
    maps = layers.MaxPooling2D(4)(layers.Conv2D(2, 3, padding="same", dilation_rate=2)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.LSTM(3)(layers.Reshape((-1, 2))(maps))))
    close(xu.occlusion(model, images, 0, patch=8, stride=8, fill="zero"), whole_passes(model, images, 8), 1e-4)


def test_occlusion_takes_a_mean_over_other_axes_for_what_it_is():
    """As many channels as rows, so that a mean over the wrong axes has the right shape."""
    inputs = keras.Input((16, 16, 3))
    maps = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    mean = layers.GlobalAveragePooling2D(data_format="channels_first")(maps)
    model = keras.Model(inputs, layers.Dense(3)(mean))
    close(xu.occlusion(model, IMAGES, 0, patch=4, stride=4, fill="zero"), whole_passes(model, IMAGES, 4), 1e-4)
