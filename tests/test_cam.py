"""Oracles of CAM and Grad-CAM: examples worked by hand, identities, and GradientTape through a split model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import models
import xai_utils as xu

TARGETS = np.array([2, 0, 1, 2])

# By hand: x = [[1, 2], [3, 4]]; A_1 = x, A_2 = -2 x; head w = [[3, 1], [2, -1]] (rows k, columns c), b = (0.5, -1).
# CAM_0 = 3 x + 2 (-2 x) = -x and CAM_1 = x + 2 x = 3 x; mean(x) = 2.5, so S = (-2.5 + 0.5, 7.5 - 1) = (-2, 6.5).
HAND_X = np.array([[1, 2], [3, 4]], "float32")[None, :, :, None]
HAND_CAM = {0: -HAND_X[0, ..., 0], 1: 3 * HAND_X[0, ..., 0]}
HAND_SCORE = {0: -2.0, 1: 6.5}


@pytest.fixture(scope="module")
def hand_net():
    inputs = keras.Input((2, 2, 1))
    x = layers.Conv2D(2, 1, use_bias=False, name="maps")(inputs)
    x = layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    model.set_weights([np.array([1.0, -2]).reshape(1, 1, 1, 2), np.array([[3.0, 1], [2, -1]]), np.array([0.5, -1])])
    return model


@pytest.fixture(scope="module")
def flat_net():
    """A network with a Flatten head, its logits twin, inputs."""
    model = models.cnn()
    return model, models.cnn(ending="logits"), models.examples(model)


def raw_grad_cam(split, inputs, targets):
    """sum_k mean_p(dS_c/dA_k) A_k by GradientTape; `split` returns (A, logits)."""
    with tf.GradientTape() as tape:
        activation, z = split(tf.constant(inputs))
        score = tf.gather(z, targets, batch_dims=1)
    activation, gradient = activation.numpy(), tape.gradient(score, activation).numpy()
    maps = [
        sum(g[..., k].mean() * a[..., k] for k in range(a.shape[-1])) for a, g in zip(activation, gradient, strict=True)
    ]
    return np.stack(maps)


def linear_weights(native, size):
    """Rows: output pixels, columns: native pixels; centres at half-integers, linear in between, flat at the ends."""
    weights = np.zeros((size, native))
    for i in range(size):
        at = np.clip((i + 0.5) * native / size - 0.5, 0, native - 1)
        low = min(int(at), native - 2) if native > 1 else 0
        weights[i, low] += 1 - (at - low)
        if native > 1:
            weights[i, low + 1] += at - low
    return weights


# --- CAM --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [0, 1])
def test_cam_by_hand(hand_net, target):
    got = xu.cam(hand_net, HAND_X, target, upsample=False)
    assert got.dtype == np.float32 and got.shape == (1, 2, 2)
    np.testing.assert_allclose(got[0], HAND_CAM[target], rtol=1e-5)
    bias = {0: 0.5, 1: -1}[target]
    assert got.mean() + bias == pytest.approx(HAND_SCORE[target], rel=1e-5)


@pytest.mark.parametrize("shape", [models.IMAGE, models.SIGNAL])
@pytest.mark.parametrize("head, ending", [("gap", "softmax"), ("gap", "logits"), ("pointwise", "softmax")])
def test_cam_mean_and_bias_are_the_logit(shape, head, ending):
    build = {"shape": shape, "head": head, "dropout": True, "normalise": True}
    model, twin = models.cnn(ending=ending, **build), models.cnn(ending="logits", **build)
    inputs = models.examples(model)
    maps = xu.cam(model, inputs, TARGETS, upsample=False, batch_size=3)
    bias = np.asarray(model.get_layer("scores").bias)
    got = maps.reshape(4, -1).mean(axis=1) + bias[TARGETS]
    np.testing.assert_allclose(got, twin(inputs).numpy()[range(4), TARGETS], rtol=1e-4, atol=1e-5)
    assert maps.std(axis=tuple(range(1, maps.ndim))).min() > 1e-3, "a constant map would prove nothing"


def test_cam_is_the_weighted_sum_of_the_maps_at_each_position():
    model = models.cnn(head="gap")
    inputs, kernel = models.examples(model), np.asarray(model.get_layer("scores").kernel)
    activation = keras.Model(model.inputs, model.get_layer("conv_2").output)(inputs).numpy()
    wanted = np.stack([activation[i] @ kernel[:, c] for i, c in enumerate(TARGETS)])
    np.testing.assert_allclose(xu.cam(model, inputs, TARGETS, upsample=False), wanted, rtol=1e-4, atol=1e-5)


def test_cam_of_one_sigmoid_unit_has_opposite_classes():
    model, twin = (
        models.cnn(classes=1, head="gap", ending="sigmoid"),
        models.cnn(classes=1, head="gap", ending="logits"),
    )
    inputs = models.examples(model, 2)
    maps = xu.cam(model, inputs, 1, upsample=False)
    got = maps.mean(axis=(1, 2)) + float(model.get_layer("scores").bias[0])
    np.testing.assert_allclose(got, twin(inputs).numpy()[:, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(xu.cam(model, inputs, 0, upsample=False), -maps, rtol=1e-5)


def test_cam_upsampled_is_linear_between_pixel_centres():
    model = models.cnn(head="gap")
    inputs = models.examples(model)
    native = xu.cam(model, inputs, TARGETS, upsample=False)
    wanted = np.einsum("ih,nhw,jw->nij", linear_weights(4, 8), native, linear_weights(3, 6))
    np.testing.assert_allclose(xu.cam(model, inputs, TARGETS), wanted, rtol=1e-4, atol=1e-5)


def gap_relu():
    inputs = keras.Input(models.IMAGE)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    return models.randomised(keras.Model(inputs, layers.Dense(3)(layers.ReLU()(x))))


def skip_to_the_scores():
    inputs = keras.Input(models.IMAGE)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    return models.randomised(keras.Model(inputs, layers.Add()([layers.Dense(3)(x), layers.Dense(3)(x)])))


def max_pooling():
    inputs = keras.Input(models.IMAGE)
    x = layers.GlobalMaxPooling2D()(layers.Conv2D(4, 3)(inputs))
    return models.randomised(keras.Model(inputs, layers.Dense(3)(x)))


REFUSED = {
    "Flatten + Dense": models.cnn,
    "hidden Dense": lambda: models.cnn(head="hidden"),
    "no pooling": models.linear,
    "ReLU between": gap_relu,
    "skip to the scores": skip_to_the_scores,
    "max pooling": max_pooling,
}


@pytest.mark.parametrize("build", REFUSED.values(), ids=REFUSED)
def test_cam_refuses_other_heads(build):
    model = build()
    with pytest.raises(ValueError, match="CAM needs a head of global average pooling.*grad_cam"):
        xu.cam(model, models.examples(model), 0)


class HiddenSkip(keras.Model):
    """Its last two layers are GAP and Dense, but its scores are more than that."""

    def __init__(self, extra):
        super().__init__()
        self.conv, self.gap = layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()
        self.dense, self.extra = layers.Dense(3), extra

    def call(self, inputs):
        return self.dense(self.gap(self.conv(inputs))) + self.extra * keras.ops.sum(inputs**2, axis=(1, 2, 3))[:, None]


@pytest.mark.parametrize("extra, refused", [(0.02, True), (0.0, False)])
def test_cam_refuses_what_only_looks_like_gap_and_dense(extra, refused):
    model, inputs = HiddenSkip(extra), models.examples(models.IMAGE)
    model(inputs)
    models.randomised(model)
    if refused:
        with pytest.raises(ValueError, match=r"mean CAM \+ bias is not the score.*grad_cam"):
            xu.cam(model, inputs, 0)
    else:
        assert xu.cam(model, inputs, 0).shape == (4, 8, 6)


# --- Grad-CAM ---------------------------------------------------------------------------------------------------


def test_grad_cam_by_hand(hand_net):
    """With GAP, dS_c/dA_k(p) = w_kc / 4: the raw map is CAM / 4, its ReLU cuts class 0 to nothing."""
    raw = xu.grad_cam(hand_net, np.concatenate([HAND_X, HAND_X]), [0, 1], relu=False, upsample=False)
    np.testing.assert_allclose(raw, np.stack([HAND_CAM[0], HAND_CAM[1]]) / 4, rtol=1e-5)
    np.testing.assert_allclose(xu.grad_cam(hand_net, HAND_X, 1, upsample=False)[0], HAND_CAM[1] / 4, rtol=1e-5)


def test_grad_cam_averages_each_channels_gradient_before_weighting():
    """By hand: A = x with two channels, S_0 = sum v A with v_1 = [[1, 0], [0, 3]], v_2 = [[-1, -1], [-2, 0]].

    alpha = (1, -1), so the raw map is x_1 - x_2 = [[1 - 2, 2 - 2], [3 - 2, 4 - 5]] = [[-1, 0], [1, -1]].
    """
    inputs = keras.Input((2, 2, 2))
    same = layers.DepthwiseConv2D(1, use_bias=False, name="maps")(inputs)
    model = keras.Model(inputs, layers.Dense(2, use_bias=False)(layers.Flatten()(same)))
    v = np.stack([[[1.0, 0], [0, 3]], [[-1, -1], [-2, 0]]], axis=-1).reshape(8, 1)
    model.set_weights([np.ones((1, 1, 2, 1)), np.hstack([v, -2 * v])])
    x = np.stack([[[1.0, 2], [3, 4]], [[2, 2], [2, 5]]], axis=-1)[None].astype("float32")
    raw = np.array([[-1.0, 0], [1, -1]])
    two = np.concatenate([x, x])
    got = xu.grad_cam(model, two, [0, 1], layer="maps", relu=False, upsample=False)
    np.testing.assert_allclose(got, [raw, -2 * raw], atol=1e-6)
    got = xu.grad_cam(model, two, [0, 1], layer="maps", upsample=False)
    np.testing.assert_allclose(got, [np.maximum(raw, 0), np.maximum(-2 * raw, 0)], atol=1e-6)


@pytest.mark.parametrize("shape", [models.IMAGE, models.SIGNAL])
def test_grad_cam_before_gap_is_cam_over_the_number_of_positions(shape):
    model = models.cnn(shape, head="gap")
    inputs, positions = models.examples(model), {3: 12, 2: 6}[len(shape)]
    raw = xu.grad_cam(model, inputs, TARGETS, relu=False, upsample=False)
    wanted = xu.cam(model, inputs, TARGETS, upsample=False) / positions
    np.testing.assert_allclose(raw, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", ["conv_1", "pool", "conv_2", None])
def test_grad_cam_at_each_layer_equals_the_tape(flat_net, layer):
    """None is conv_2: the last layer that keeps space."""
    model, twin, inputs = flat_net
    split = keras.Model(twin.inputs, [twin.get_layer(layer or "conv_2").output, twin.outputs[0]])
    wanted = raw_grad_cam(split, inputs, TARGETS)
    got = xu.grad_cam(model, inputs, TARGETS, layer=layer, relu=False, upsample=False, batch_size=3)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


def test_grad_cam_of_the_probability(flat_net):
    model, twin, inputs = flat_net
    split = keras.Model(model.inputs, [model.get_layer("conv_2").output, model.outputs[0]])
    got = xu.grad_cam(model, inputs, TARGETS, relu=False, upsample=False, score="probability")
    wanted = raw_grad_cam(split, inputs, TARGETS)
    np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("layer", ["conv_1", "norm", "add", "joined"])
def test_grad_cam_in_a_residual_network_equals_the_tape(residual_net, layer):
    model, twin, inputs = residual_net
    split = keras.Model(twin.inputs, [twin.get_layer(layer).output, twin.outputs[0]])
    got = xu.grad_cam(model, inputs, TARGETS, layer=model.get_layer(layer), relu=False, upsample=False)
    np.testing.assert_allclose(got, raw_grad_cam(split, inputs, TARGETS), rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def residual_net():
    model = models.residual()
    return model, models.residual(ending="logits"), models.examples(model)


def test_grad_cam_of_a_nested_layer_equals_the_tape():
    model, twin = models.nested(), models.nested(ending="logits")
    inputs, trunk = models.examples(model), twin.get_layer("trunk")
    top = twin.layers[-2:]
    halves = keras.Model(trunk.inputs, [trunk.get_layer("conv_1").output, trunk.outputs[0]])

    def split(x):
        activation, features = halves(x)
        return activation, top[1](top[0](features))

    got = xu.grad_cam(model, inputs, TARGETS, layer="conv_1", relu=False, upsample=False)
    np.testing.assert_allclose(got, raw_grad_cam(split, inputs, TARGETS), rtol=1e-4, atol=1e-6)


def any_size():
    inputs = keras.Input((None, None, 2))
    x = layers.Conv2D(3, 3, padding="same", name="conv_1")(inputs)
    x = layers.Conv2D(3, 3, padding="same", name="last")(x)
    x = layers.Dense(4)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return models.randomised(keras.Model(inputs, layers.Flatten()(x)))


DEFAULTS = {
    "1x1-convolution head": (lambda: models.cnn(head="pointwise"), "conv_2"),
    "hidden Dense": (lambda: models.cnn(head="hidden"), "conv_2"),
    "residual": (models.residual, "joined"),
    "sequential": (models.sequential, "re_lu"),
    "any size": (any_size, "last"),
}


@pytest.mark.parametrize("build, name", DEFAULTS.values(), ids=DEFAULTS)
def test_grad_cam_chooses_the_last_layer_that_keeps_space(build, name):
    model, inputs = build(), models.examples(models.IMAGE, 2)
    layer = next(each for each in model.layers if each.name.startswith(name))
    options = {"relu": False, "upsample": False}
    wanted = xu.grad_cam(model, inputs, 1, layer=layer, **options)
    np.testing.assert_array_equal(xu.grad_cam(model, inputs, 1, **options), wanted)
    assert wanted.std() > 0


def test_grad_cam_does_not_depend_on_the_batch(flat_net):
    model, _, inputs = flat_net
    options = {"relu": False, "upsample": False}
    together = xu.grad_cam(model, inputs, TARGETS, **options)
    for i in range(4):
        alone = xu.grad_cam(model, inputs[i : i + 1], TARGETS[i], **options)
        np.testing.assert_allclose(together[i], alone[0], rtol=1e-4, atol=1e-6)


def test_grad_cam_warns_of_a_map_that_is_all_zero(hand_net):
    with pytest.warns(xu.XAIWarning, match=r"all zero for 1 of 2 inputs \(first: 1\).*relu=False"):
        got = xu.grad_cam(hand_net, np.concatenate([HAND_X, HAND_X]), [1, 0])
    assert got[0].min() > 0 and not got[1].any()


@pytest.mark.filterwarnings("error::xai_utils.XAIWarning")
def test_grad_cam_does_not_warn_of_a_map_with_values(hand_net):
    assert xu.grad_cam(hand_net, HAND_X, 1).any()


def test_grad_cam_upsampled_by_hand_in_one_dimension():
    """Native (0, 1) on 2 positions becomes (0, 0.25, 0.75, 1) on 4: centres at -0.25, 0.25, 0.75, 1.25."""
    inputs = keras.Input((4, 1))
    x = layers.MaxPooling1D(2, name="pool")(inputs)
    model = keras.Model(inputs, layers.Dense(2, use_bias=False)(layers.GlobalAveragePooling1D()(x)))
    model.set_weights([np.array([[2.0, -2.0]])])
    got = xu.grad_cam(model, np.array([[[0.0], [-1], [1], [0]]], "float32"), 0)
    np.testing.assert_allclose(got, [[0, 0.25, 0.75, 1]], atol=1e-6)


@pytest.mark.filterwarnings("ignore::xai_utils.XAIWarning")
def test_grad_cam_upsampled_is_linear_between_pixel_centres(flat_net):
    model, _, inputs = flat_net
    native = xu.grad_cam(model, inputs, TARGETS, upsample=False)
    wanted = np.einsum("ih,nhw,jw->nij", linear_weights(4, 8), native, linear_weights(3, 6))
    got = xu.grad_cam(model, inputs, TARGETS)
    assert got.shape == (4, 8, 6) and got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


def test_grad_cam_refuses_a_layer_without_space_or_not_there(flat_net):
    model, _, inputs = flat_net
    with pytest.raises(ValueError, match="'scores' has no positions left.*'conv_1', 'pool', 'conv_2'"):
        xu.grad_cam(model, inputs, 0, layer="scores")
    with pytest.raises(ValueError, match="'conv_9' is not in the model.*'conv_1', 'pool', 'conv_2'"):
        xu.grad_cam(model, inputs, 0, layer="conv_9")
