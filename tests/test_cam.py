"""Oracles of the CAM family: examples worked by hand, identities, and GradientTape through a split model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from shapes import enlarged, line_weights, scaled
from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
from tf_keras_vis.scorecam import Scorecam
from tf_keras_vis.utils.scores import CategoricalScore

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
    wanted = np.einsum("ih,nhw,jw->nij", line_weights(4, 8), native, line_weights(3, 6))
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
    with pytest.raises(ValueError, match="got a head .*for CAM, global average pooling.* Cure: use grad_cam"):
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
        with pytest.raises(ValueError, match=r"not GAP \+ Dense: mean CAM \+ bias is not the score.*grad_cam"):
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
    wanted = np.einsum("ih,nhw,jw->nij", line_weights(4, 8), native, line_weights(3, 6))
    got = xu.grad_cam(model, inputs, TARGETS)
    assert got.shape == (4, 8, 6) and got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


def test_grad_cam_refuses_a_layer_without_space_or_not_there(flat_net):
    model, _, inputs = flat_net
    with pytest.raises(
        ValueError, match="'scores', which has no positions left.*: one of .*'conv_1', 'pool', 'conv_2'"
    ):
        xu.grad_cam(model, inputs, 0, layer="scores")
    with pytest.raises(
        ValueError, match="'conv_9', which is not in the model; .*: one of .*'conv_1', 'pool', 'conv_2'"
    ):
        xu.grad_cam(model, inputs, 0, layer="conv_9")


# --- Grad-CAM++ -------------------------------------------------------------------------------------------------


def same_maps(weights, bias=(0.0, 0.0)):
    """x (2x2, K channels) -> the same maps, layer "maps" -> S_c = sum_pk v_ckp x_k(p) + b_c; `weights` (2, 2, K, 2)."""
    weights = np.asarray(weights, float)
    inputs = keras.Input(weights.shape[:3])
    x = layers.DepthwiseConv2D(1, use_bias=False, name="maps")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    model.set_weights([np.ones((1, 1, weights.shape[2], 1)), weights.reshape(-1, 2), np.array(bias)])
    return model


# By hand: A_1 = [[1, 2], [0, 1]] (sum 4), A_2 = [[2, 0], [1, 0]] (sum 3); for class 0
# g_1 = [[1, -1], [0, 2]], g_2 = [[-2, 3], [0.5, 0]]; for class 1 g = -(these).
HAND_A = np.stack([[[1.0, 2], [0, 1]], [[2, 0], [1, 0]]], axis=-1)
HAND_G = np.stack([[[1.0, -1], [0, 2]], [[-2, 3], [0.5, 0]]], axis=-1)
TWO = np.stack([HAND_A, HAND_A]).astype("float32")


@pytest.fixture(scope="module")
def hand_maps():
    return same_maps(np.stack([HAND_G, -HAND_G], axis=-1))


def test_grad_cam_plus_plus_by_hand(hand_maps):
    """a = g^2 / (2 g^2 + g^3 sum A) = 1 / (2 + g sum A), counted where g > 0.

    Class 0: w_1 = 1 / (2 + 4) + 2 / (2 + 8) = 11/30; w_2 = 3 / (2 + 9) + 0.5 / (2 + 1.5) = 3/11 + 1/7 = 32/77.
    Class 1: w_1 = 1 / (2 + 4) = 1/6; w_2 = 2 / (2 + 6) = 1/4.
    """
    got = xu.grad_cam_plus_plus(hand_maps, TWO, [0, 1], layer="maps", upsample=False)
    wanted = [HAND_A @ [11 / 30, 32 / 77], HAND_A @ [1 / 6, 1 / 4]]
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_grad_cam_plus_plus_of_the_paper_with_its_exponential():
    """Eq. (5), (10), (19) in float64 with Y = exp(S), whose common factor exp(S) scales the map of an input."""
    model, twin = models.cnn(), models.cnn(ending="logits")
    inputs = models.examples(model)
    split = keras.Model(twin.inputs, [twin.get_layer("conv_2").output, twin.outputs[0]])
    with tf.GradientTape() as tape:
        A, z = split(tf.constant(inputs))
        score = tf.gather(z, TARGETS, batch_dims=1)
    A, g, Y = (np.asarray(each, np.float64) for each in (A, tape.gradient(score, A), np.exp(score)))
    wanted = np.zeros(A.shape[:-1])
    for n in range(4):
        for k in range(A.shape[-1]):
            first, second, third = (Y[n] * g[n, ..., k] ** power for power in (1, 2, 3))
            a = second / (2 * second + A[n, ..., k].sum() * third + (second == 0))
            wanted[n] += (a * np.maximum(first, 0)).sum() * A[n, ..., k]
    got = xu.grad_cam_plus_plus(model, inputs, TARGETS, upsample=False)
    np.testing.assert_allclose(got, wanted / Y[:, None, None], rtol=1e-4, atol=1e-6)
    assert np.abs(np.log(Y)).min() > 0.05, "with S = 0 the factor would not show"


def test_grad_cam_plus_plus_cuts_the_map_at_zero():
    """A = [[-1, 2], [0, 1]] (sum 2), g = 1 at one position: w = 1 / (2 + 2), and the map is max(A, 0) / 4."""
    g = np.zeros((2, 2, 1, 2))
    g[1, 1, 0, 0] = 1  # of class 0
    A = np.array([[-1.0, 2], [0, 1]])
    got = xu.grad_cam_plus_plus(same_maps(g), A[None, ..., None].astype("float32"), 0, layer="maps", upsample=False)
    np.testing.assert_allclose(got[0], np.maximum(A, 0) / 4, rtol=1e-6)


def test_grad_cam_plus_plus_does_not_overflow_at_a_score_of_200(hand_maps):
    """exp(200) is beyond float32; the bias that makes S = 200 leaves the map as it is."""
    high = same_maps(np.stack([HAND_G, -HAND_G], axis=-1), (200.0, 200.0))
    assert xu.scores(high, TWO, 0, score="logit").min() > 190
    wanted = xu.grad_cam_plus_plus(hand_maps, TWO, [0, 1], layer="maps")
    np.testing.assert_allclose(xu.grad_cam_plus_plus(high, TWO, [0, 1], layer="maps"), wanted, rtol=1e-6)


def test_grad_cam_plus_plus_does_not_underflow_with_tiny_gradients():
    """At g = 1e-20 the weights are g / 2: g^2 and g^3 would be 0 in float32."""
    tiny = same_maps(1e-20 * np.stack([HAND_G, -HAND_G], axis=-1))
    got = xu.grad_cam_plus_plus(tiny, TWO, [0, 1], layer="maps", upsample=False)
    weights = [np.maximum(sign * HAND_G, 0).sum(axis=(0, 1)) / 2 for sign in (1, -1)]
    np.testing.assert_allclose(got * 1e20, [HAND_A @ w for w in weights], rtol=1e-4)


THEIR_OPTIONS = {"penultimate_layer": "conv_2", "seek_penultimate_conv_layer": False, "expand_cam": False}


def test_grad_cam_plus_plus_equals_tf_keras_vis_on_one_map():
    """They divide the a_k(p) by their sum over p (as the authors' program, not their paper, does).

    With one map that is a factor, so that the normalised maps are equal; with several it weights the maps otherwise.
    """
    inputs = keras.Input(models.IMAGE)
    x = layers.Conv2D(1, 3, activation="relu", name="conv_2")(inputs)
    model = models.randomised(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))), 5)
    x = models.examples(model)
    theirs = GradcamPlusPlus(model, clone=False)(CategoricalScore(TARGETS.tolist()), x, **THEIR_OPTIONS)
    ours = xu.grad_cam_plus_plus(model, x, TARGETS, upsample=False)
    np.testing.assert_allclose([scaled(one) for one in ours], theirs, atol=1e-4)

    several = models.cnn(ending="logits")
    x = models.examples(several)
    theirs = GradcamPlusPlus(several, clone=False)(CategoricalScore(TARGETS.tolist()), x, **THEIR_OPTIONS)
    ours = xu.grad_cam_plus_plus(several, x, TARGETS, upsample=False)
    assert max(np.abs(scaled(one) - other).max() for one, other in zip(ours, theirs, strict=True)) > 0.01


# --- LayerCAM and HiResCAM --------------------------------------------------------------------------------------


def test_layer_cam_by_hand(hand_maps):
    """Class 0: 1 * A_1 at the first place, 2 A_1 at the last, 0.5 A_2 at the third: [[1, 0], [0.5, 2]].

    Class 1: A_1 at the second place, 2 A_2 at the first: [[4, 2], [0, 0]].
    """
    got = xu.layer_cam(hand_maps, TWO, [0, 1], layer="maps", upsample=False)
    np.testing.assert_allclose(got, [[[1, 0], [0.5, 2]], [[4, 2], [0, 0]]], rtol=1e-6)


def test_layer_cam_cuts_negative_activations(hand_maps):
    got = xu.layer_cam(hand_maps, TWO * [-1, 2], 0, layer="maps", upsample=False)
    np.testing.assert_allclose(got[0], [[0, 0], [1, 0]], atol=1e-6)


def test_hires_cam_by_hand(hand_maps):
    """g_1 A_1 + g_2 A_2 = [[1 - 4, -2 + 0], [0 + 0.5, 2 + 0]]; the other class has its negative."""
    raw = np.array([[-3.0, -2], [0.5, 2]])
    np.testing.assert_allclose(xu.hires_cam(hand_maps, TWO, [0, 1], layer="maps", upsample=False), [raw, -raw])
    got = xu.hires_cam(hand_maps, TWO, [0, 1], layer="maps", upsample=False, relu=True)
    np.testing.assert_allclose(got, [np.maximum(raw, 0), np.maximum(-raw, 0)])


@pytest.mark.parametrize("shape", [models.IMAGE, models.SIGNAL])
@pytest.mark.parametrize("head", ["gap", "flatten"])
def test_hires_cam_adds_up_to_the_score_less_the_bias(head, shape):
    model, twin = models.cnn(shape, head=head), models.cnn(shape, head=head, ending="logits")
    inputs, bias = models.examples(model), np.asarray(model.get_layer("scores").bias)
    raw = xu.hires_cam(model, inputs, TARGETS, upsample=False, batch_size=3)
    wanted = twin(inputs).numpy()[range(4), TARGETS] - bias[TARGETS]
    np.testing.assert_allclose(raw.reshape(4, -1).sum(axis=1), wanted, rtol=1e-4, atol=1e-5)
    assert raw.min() < 0 < raw.max()


def test_hires_cam_at_one_position_is_raw_grad_cam_and_layer_cam_is_not():
    """On 1x1 the gradient is its own mean. A model of any size takes such inputs."""
    inputs = keras.Input((None, None, 2))
    x = layers.Conv2D(5, 1, name="maps")(inputs)
    x = layers.Dense(4, activation="tanh")(layers.GlobalAveragePooling2D()(x))
    model = models.randomised(keras.Model(inputs, layers.Dense(3)(x)))
    x, options = models.examples((1, 1, 2)), {"layer": "maps", "upsample": False}
    raw = xu.grad_cam(model, x, TARGETS, relu=False, **options)
    np.testing.assert_allclose(xu.hires_cam(model, x, TARGETS, **options), raw, rtol=1e-5)
    assert np.abs(xu.layer_cam(model, x, TARGETS, **options) - np.maximum(raw, 0)).max() > 1e-2


# --- Score-CAM --------------------------------------------------------------------------------------------------


def one_map(ending="softmax"):
    inputs = keras.Input((6, 4, 2))
    x = layers.Conv2D(1, 3, padding="same", activation="relu", name="maps")(inputs)
    x = layers.MaxPooling2D(2, name="pool")(x)
    last = layers.Dense(3, activation=models.ENDINGS[ending])
    return models.randomised(keras.Model(inputs, last(layers.Flatten()(x))), 2)


def test_score_cam_of_one_map_is_its_probability_times_the_map():
    """The softmax is applied once: applied twice, p_c would be flatter."""
    model, twin = one_map(), one_map("logits")
    inputs = models.examples(model)
    A = keras.Model(model.inputs, model.get_layer("pool").output)(inputs).numpy()[..., 0]
    seen = np.stack([x * enlarged(scaled(a), (6, 4))[..., None] for x, a in zip(inputs, A, strict=True)])
    z = twin(seen.astype("float32")).numpy().astype(np.float64)
    p = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))[range(4), TARGETS]
    got = xu.score_cam(model, inputs, TARGETS, layer="pool", upsample=False)
    np.testing.assert_allclose(got, A * p[:, None, None], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(xu.score_cam(twin, inputs, TARGETS, layer="pool", upsample=False), got, rtol=1e-4)
    only = xu.score_cam(model, inputs, TARGETS, layer="pool", upsample=False, weights="softmax")
    np.testing.assert_allclose(only, A, rtol=1e-5, err_msg="one weight of a softmax is 1")


def three_maps():
    """A_1 = x_1, A_2 = 5 (constant), A_3 = x_2; S = (sum x_1, sum x_2) at 2x2 pixels."""
    inputs = keras.Input((2, 2, 2))
    x = layers.Conv2D(3, 1, name="maps")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    v = np.zeros((4, 3, 2))
    v[:, 0, 0] = v[:, 2, 1] = 1
    model.set_weights(
        [np.array([[1.0, 0, 0], [0, 0, 1]]).reshape(1, 1, 2, 3), np.array([0, 5.0, 0]), v.reshape(12, 2), np.zeros(2)]
    )
    return model


def test_score_cam_by_hand_with_both_weights_and_a_constant_map():
    """x_1 = [[0, 1], [0, 1]], x_2 = [[0, 0], [0, 2]]; H_1 = x_1, H_3 = x_2 / 2.

    Through H_1: S = (2, 2); through H_3: S = (1, 2). For class 1: p = (1/2, 1 / (1 + e^-1)) and softmax(2, 2) = 1/2
    each; for class 0: p = (1/2, 1 / (1 + e)) and softmax(2, 1) = (1 / (1 + e^-1), 1 / (1 + e)). The constant A_2 = 5
    has no H and no weight.
    """
    x_1, x_2 = np.array([[0.0, 1], [0, 1]]), np.array([[0.0, 0], [0, 2]])
    x = np.stack([np.stack([x_1, x_2], axis=-1)] * 2).astype("float32")
    most, least = 1 / (1 + np.exp(-1)), 1 / (1 + np.e)
    options = {"layer": "maps", "upsample": False}
    got = xu.score_cam(three_maps(), x, [0, 1], **options)
    np.testing.assert_allclose(got, [x_1 / 2 + least * x_2, x_1 / 2 + most * x_2], rtol=1e-5, atol=1e-7)
    got = xu.score_cam(three_maps(), x, [0, 1], weights="softmax", **options)
    np.testing.assert_allclose(got, [most * x_1 + least * x_2, x_1 / 2 + x_2 / 2], rtol=1e-5, atol=1e-7)


def test_score_cam_fills_what_the_mask_hides():
    """The net of the example above with fill f: through H_k the head reads x H_k + f (1 - H_k), here by hand."""
    x_1, x_2 = np.array([[0.0, 1], [0, 1]]), np.array([[0.0, 0], [0, 2]])
    x = np.stack([np.stack([x_1, x_2], axis=-1), np.stack([x_1, 2 * x_2], axis=-1)]).astype("float32")
    fill = np.stack([np.full((2, 2, 2), [3.0, 1.0]), np.full((2, 2, 2), [0.5, -1.0])])  # unlike each other
    wanted = []
    for item in range(2):
        total = 0
        for A, c in ((x[item, ..., 0], 1), (x[item, ..., 1], 1)):
            H = (A / A.max())[..., None]
            seen = x[item] * H + fill[item] * (1 - H)
            S = np.array([seen[..., 0].sum(), seen[..., 1].sum()])
            total = total + np.exp(S[c]) / np.exp(S).sum() * A
        wanted.append(total)
    got = xu.score_cam(three_maps(), x, 1, layer="maps", upsample=False, fill=fill)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)
    got = xu.score_cam(three_maps(), x[1:], 1, layer="maps", upsample=False, fill=fill[1])
    np.testing.assert_allclose(got, wanted[1:], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_score_cam_does_not_depend_on_the_batch(flat_net, batch_size):
    model, _, inputs = flat_net
    wanted = [xu.score_cam(model, inputs[i : i + 1], TARGETS[i])[0] for i in range(4)]
    np.testing.assert_allclose(
        xu.score_cam(model, inputs, TARGETS, batch_size=batch_size), wanted, rtol=1e-4, atol=1e-6
    )


def test_score_cam_equals_tf_keras_vis_where_no_enlargement_is_needed():
    """They enlarge the maps corner to corner, we by pixel centres: at full resolution the definitions coincide.

    They apply a softmax to whatever the model gives, so theirs is asked of the twin that ends in logits.
    """

    def ending_in(activation):
        inputs = keras.Input(models.IMAGE)
        x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv_2")(inputs)
        return models.randomised(keras.Model(inputs, layers.Dense(3, activation=activation)(layers.Flatten()(x))), 5)

    model, twin = ending_in("softmax"), ending_in(None)
    x = models.examples(model)
    options = THEIR_OPTIONS | {"normalize_cam": False}
    theirs = Scorecam(twin)(CategoricalScore(TARGETS.tolist()), x, **options)
    ours = xu.score_cam(model, x, TARGETS, upsample=False)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


# --- Ablation-CAM -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [models.IMAGE, models.SIGNAL])
def test_ablation_cam_of_a_gap_head_weights_each_map_with_its_share_of_the_score(shape):
    """S - S(A_k = 0) = w_kc mean(A_k): the map is sum_k w_kc mean(A_k) A_k, and the shares add up to S - b."""
    model, twin = models.cnn(shape, head="gap"), models.cnn(shape, head="gap", ending="logits")
    inputs, kernel = models.examples(model), np.asarray(model.get_layer("scores").kernel)
    A = keras.Model(model.inputs, model.get_layer("conv_2").output)(inputs).numpy()
    shares = kernel[:, TARGETS].T * A.mean(axis=tuple(range(1, A.ndim - 1)))
    wanted = np.einsum("n...k,nk->n...", A, shares)
    got = xu.ablation_cam(model, inputs, TARGETS, relu=False, upsample=False)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    bias = np.asarray(model.get_layer("scores").bias)
    z = twin(inputs).numpy()[range(4), TARGETS]
    np.testing.assert_allclose(shares.sum(axis=1) + bias[TARGETS], z, rtol=1e-4, atol=1e-5)
    with pytest.warns(xu.XAIWarning, match="all zero"):
        cut = xu.ablation_cam(model, inputs, TARGETS, upsample=False)
    np.testing.assert_allclose(cut, np.maximum(wanted, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("score", ["logit", "probability"])
@pytest.mark.parametrize("layer", ["conv_1", "conv_2"])
def test_ablation_cam_equals_zeroing_the_kernels(flat_net, layer, score):
    """A convolution whose kernel and bias are 0 in channel k gives the map 0 there (its ReLU keeps 0)."""
    model, _, inputs = flat_net
    split = models.cnn(ending="logits" if score == "logit" else "softmax")
    kernel, bias = split.get_layer(layer).get_weights()
    whole = split(inputs).numpy()[range(4), TARGETS]
    A = keras.Model(model.inputs, model.get_layer(layer).output)(inputs).numpy()
    wanted = 0
    for k in range(A.shape[-1]):
        keep = (np.arange(A.shape[-1]) != k).astype("float32")
        split.get_layer(layer).set_weights([kernel * keep, bias * keep])
        lost = whole - split(inputs).numpy()[range(4), TARGETS]
        wanted = wanted + lost[:, None, None] * A[..., k]
    options = {"layer": layer, "relu": False, "upsample": False, "score": score, "batch_size": 3}
    got = xu.ablation_cam(model, inputs, TARGETS, **options)
    np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_ablation_cam_with_a_way_around_the_layer(residual_net):
    """conv_1 reaches the scores around conv_2 too; only what goes through conv_2 may be switched off."""
    model, twin, inputs = residual_net
    x = layers.Input((8, 6, 4)), layers.Input((8, 6, 4))
    y = twin.get_layer("norm")(x[1])
    for name in ("joined", "gap"):
        y = twin.get_layer(name)(twin.get_layer("add")([x[0], y]) if name == "joined" else y)
    for last in twin.layers[-2:]:
        y = last(y)
    head = keras.Model(x, y)
    outputs = [twin.get_layer(name).output for name in ("conv_1", "conv_2")]
    a, A = (each.numpy() for each in keras.Model(twin.inputs, outputs)(inputs))
    wanted = 0
    for k in range(4):
        lost = (head([a, A]) - head([a, A * (np.arange(4) != k)])).numpy()[range(4), TARGETS]
        wanted = wanted + lost[:, None, None] * A[..., k]
    got = xu.ablation_cam(model, inputs, TARGETS, layer="conv_2", relu=False, upsample=False)
    np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-5)


# --- Guided Grad-CAM --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [models.IMAGE, models.SIGNAL])
@pytest.mark.filterwarnings("ignore::xai_utils.XAIWarning")
def test_guided_grad_cam_is_the_product(shape):
    model = models.cnn(shape, head="hidden")
    inputs = models.examples(model)
    for options in ({"layer": "conv_1"}, {"layer": "pool", "score": "probability"}, {}):
        score = {"score": options.get("score", "logit")}
        coarse, fine = (
            xu.grad_cam(model, inputs, TARGETS, **options),
            xu.guided_backprop(model, inputs, TARGETS, **score),
        )
        got = xu.guided_grad_cam(model, inputs, TARGETS, **options)
        np.testing.assert_allclose(got, np.stack([coarse, coarse], axis=-1) * fine, rtol=1e-5)
        assert got.min() < 0 < got.max() and (coarse > 0).any()


# --- the family upsamples and warns in one way ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["grad_cam_plus_plus", "layer_cam", "hires_cam", "score_cam", "ablation_cam"])
@pytest.mark.filterwarnings("ignore::xai_utils.XAIWarning")
def test_family_upsamples_linearly_between_pixel_centres(flat_net, name):
    model, _, inputs = flat_net
    native = getattr(xu, name)(model, inputs, TARGETS, upsample=False)
    wanted = np.einsum("ih,nhw,jw->nij", line_weights(4, 8), native, line_weights(3, 6))
    np.testing.assert_allclose(getattr(xu, name)(model, inputs, TARGETS), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["grad_cam_plus_plus", "layer_cam", "score_cam", "ablation_cam", "guided_grad_cam"])
def test_family_warns_of_a_map_that_is_all_zero(name):
    """Every map is off: nothing can push any class."""
    inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(2, 1, activation="relu", name="maps")(inputs)
    model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    model.get_layer("maps").set_weights([np.ones((1, 1, 1, 2)), np.array([-99.0, -99])])
    with pytest.warns(xu.XAIWarning, match="all zero for 2 of 2 inputs"):
        assert not getattr(xu, name)(model, models.examples((4, 4, 1), 2), 0, layer="maps").any()
