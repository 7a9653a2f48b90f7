"""Oracles of the gradient family: closed forms, finite differences, GradientTape and numpy written out here."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest

import models
import xai_utils as xu

TARGETS = np.array([2, 0, 1, 2])
RULES = {"guided": xu.guided_backprop, "deconvnet": xu.deconvnet}


@pytest.fixture(scope="module")
def relu_net():
    """A ReLU network that ends in softmax, its twin that ends in logits, and inputs for both."""
    model = models.cnn()
    return model, models.cnn(ending="logits"), models.examples(model)


@pytest.fixture(scope="module")
def cubic():
    return models.power(3)


def tape_gradient(twin, inputs, targets, score="logit"):
    """dS_c/dx by GradientTape on a network that ends in logits, one example at a time."""
    rows = []
    for x, c in zip(inputs, targets, strict=True):
        with tf.GradientTape() as tape:
            x = tf.constant(x[None])
            tape.watch(x)
            z = twin(x)
            s = (z if score == "logit" else tf.nn.softmax(z))[0, c]
        rows.append(tape.gradient(s, x)[0].numpy())
    return np.stack(rows)


def relative_error(got, wanted):
    """Largest difference, relative to the largest wanted value."""
    return np.abs(np.asarray(got, np.float64) - wanted).max() / np.abs(wanted).max()


# --- saliency ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", ["logit", "probability"])
@pytest.mark.parametrize("shape, activation", [((4, 3, 2), "tanh"), ((6, 2), "softplus")])
def test_saliency_equals_central_differences(shape, activation, score):
    build = {"shape": shape, "activation": activation, "pooling": "average", "dtype": "float64"}
    model, twin = models.cnn(**build), models.cnn(ending="logits", **build)
    inputs, targets, h = models.examples(model, 3), np.array([1, 2, 0]), 1e-5

    def score_of(x, c):
        z = twin(x).numpy()
        return (z if score == "logit" else np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))[:, c]

    shifts = h * np.eye(inputs[0].size).reshape(-1, *shape)
    rises = [score_of(x + shifts, c) - score_of(x - shifts, c) for x, c in zip(inputs, targets, strict=True)]
    wanted = np.reshape(rises, inputs.shape) / (2 * h)
    got = xu.saliency(model, inputs, targets, score=score)
    assert got.dtype == np.float32 and relative_error(got, wanted) < 1e-6


@pytest.mark.parametrize("ending", ["logits", "softmax"])
def test_saliency_of_a_linear_model_is_w_of_each_inputs_class(ending):
    model = models.linear(ending=ending)
    got = xu.saliency(model, models.examples(model), TARGETS)
    np.testing.assert_allclose(got, models.linear_weights(model)[TARGETS], rtol=1e-5, atol=1e-7)


def test_saliency_of_one_sigmoid_unit_has_opposite_classes():
    model = models.linear(classes=1, ending="sigmoid")
    inputs, w = models.examples(model, 2), models.linear_weights(model)[0]
    np.testing.assert_allclose(xu.saliency(model, inputs, [0, 1]), [-w, w], rtol=1e-5, atol=1e-7)
    p = np.asarray(model(inputs))[:, 0, None, None, None]  # d sigmoid(z)/dx = p (1 - p) w
    got = xu.saliency(model, inputs, [0, 1], score="probability")
    np.testing.assert_allclose(got, np.stack([-w, w]) * p * (1 - p), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_saliency_equals_the_tape_item_by_item(relu_net, score):
    model, twin, inputs = relu_net
    got = xu.saliency(model, inputs, TARGETS, score=score)
    assert relative_error(got, tape_gradient(twin, inputs, TARGETS, score)) < 1e-5


def test_saliency_explains_the_predicted_class_unless_told(relu_net):
    model, twin, _ = relu_net
    many = models.examples(model, 60, seed=2) * 4
    predicted = twin(many).numpy().argmax(axis=1)
    predicted, first = np.unique(predicted, return_index=True)
    inputs = many[first]
    assert len(predicted) > 1, "the test needs different predictions"
    assert relative_error(xu.saliency(model, inputs), tape_gradient(twin, inputs, predicted)) < 1e-5
    assert relative_error(xu.saliency(model, inputs, 1), tape_gradient(twin, inputs, np.ones_like(predicted))) < 1e-5


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_saliency_does_not_depend_on_the_batch(relu_net, batch_size):
    model, _, inputs = relu_net
    alone = np.concatenate([xu.saliency(model, inputs[i : i + 1], TARGETS[i]) for i in range(4)])
    got = xu.saliency(model, inputs, TARGETS, batch_size=batch_size)
    np.testing.assert_allclose(got, alone, rtol=1e-5, atol=1e-6)
    assert np.abs(got[0] - got[3]).max() > 1e-3, "equal targets, different inputs: the gradients must differ"


def test_saliency_uses_moving_statistics_and_no_dropout():
    """By hand: at inference BatchNorm is a factor gamma / sqrt(variance + eps) per channel, Dropout is nothing."""
    inputs = keras.Input((3, 2))
    x = layers.Dropout(0.9)(layers.BatchNormalization(epsilon=1e-3)(inputs))
    model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    gamma, _, _, variance = (np.asarray(w) for w in model.layers[1].weights)
    wanted = np.asarray(model.layers[-1].kernel).T.reshape(2, 3, 2) * gamma / np.sqrt(variance + 1e-3)
    got = xu.saliency(model, models.examples(model, 2, seed=3) * 5 + 7, [0, 1])
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


# --- gradient x input -------------------------------------------------------------------------------------------


def test_gradient_x_input_sums_to_the_score_without_biases():
    model, twin = models.cnn(use_bias=False), models.cnn(use_bias=False, ending="logits")
    inputs = models.examples(model)
    wanted = twin(inputs).numpy()[range(4), TARGETS]
    got = xu.gradient_x_input(model, inputs, TARGETS)
    np.testing.assert_allclose(got.sum(axis=(1, 2, 3)), wanted, rtol=1e-4, atol=1e-5)


def test_gradient_x_input_and_the_biases_share_the_score():
    """FullGrad (Srinivas and Fleuret 2019): S = sum(x g) + sum(b dS/db); a BatchNorm mean enters as a bias does."""
    model, twin = models.cnn(normalise=True, head="hidden"), models.cnn(normalise=True, head="hidden", ending="logits")
    inputs = models.examples(model)
    biases = [w.value for w in twin.weights if w.path.endswith(("bias", "beta", "moving_mean"))]
    assert len(biases) == 6
    for x, c in zip(inputs, TARGETS, strict=True):
        with tf.GradientTape() as tape:
            tape.watch(biases)
            score = twin(x[None])[0, c]
        parts = zip(biases, tape.gradient(score, biases), strict=True)
        from_biases = sum(float(tf.reduce_sum(b * g)) for b, g in parts)
        from_input = xu.gradient_x_input(model, x[None], c).sum()
        assert abs(from_biases) > 1e-2, "the test needs biases that matter"
        assert from_input + from_biases == pytest.approx(float(score), rel=1e-4, abs=1e-5)


def test_gradient_x_input_is_the_product_position_by_position(relu_net):
    model, twin, inputs = relu_net
    wanted = inputs * tape_gradient(twin, inputs, TARGETS, "probability")
    assert relative_error(xu.gradient_x_input(model, inputs, TARGETS, score="probability"), wanted) < 1e-5


# --- SmoothGrad and VarGrad -------------------------------------------------------------------------------------

# Three inputs of different ranges (1, 10, 0.5) and offsets: sigma must follow each input's own max - min.
RANGES = np.array([1, 10, 0.5])
UNEVEN = np.array([[0, 0.3, 0.5, 0.7, 0.9, 1.0], [-5, -2, 0, 1, 2, 5], [3, 3.1, 3.2, 3.3, 3.4, 3.5]])
UNEVEN = UNEVEN.reshape(3, 3, 2).astype("float32")


def test_smooth_grad_without_noise_is_saliency(relu_net):
    model, _, inputs = relu_net
    got = xu.smooth_grad(model, inputs, TARGETS, noise=0, samples=3)
    np.testing.assert_allclose(got, xu.saliency(model, inputs, TARGETS), rtol=1e-5, atol=1e-7)


def test_smooth_grad_of_a_linear_model_is_w():
    model = models.linear()
    got = xu.smooth_grad(model, models.examples(model), TARGETS, samples=5, noise=0.5)
    np.testing.assert_allclose(got, models.linear_weights(model)[TARGETS], rtol=1e-5, atol=1e-7)


def test_smooth_grad_has_the_expectation_of_a_cubic(cubic):
    """d(sum x^3)/dx = 3 x^2, so E over e ~ N(0, sigma^2) is 3 x^2 + 3 sigma^2; class 1 is its negative."""
    n, noise = 4000, 0.3
    sigma = noise * RANGES[:, None, None]
    sign = np.array([1, -1, 1])[:, None, None]
    got = xu.smooth_grad(cubic, UNEVEN, [0, 1, 0], samples=n, noise=noise, batch_size=2000)
    standard_error = np.sqrt((36 * UNEVEN**2 * sigma**2 + 18 * sigma**4) / n)
    assert (np.abs(sign * got - (3 * UNEVEN**2 + 3 * sigma**2)) < 5 * standard_error).all()


def test_smooth_grad_draws_independent_normal_noise():
    """On S = sum x^2 one sample gives 2 (x + e): the noise itself can be read off and looked at."""
    model, shape = models.power(2, (1500, 3)), (1500, 3)
    x = np.linspace(2, 4, 4500, dtype="float32").reshape(1, *shape)
    e = (xu.smooth_grad(model, x, 0, samples=1, noise=0.25)[0] / 2 - x[0]) / (0.25 * 2)
    assert kstest(e.ravel(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(e.T) - np.eye(3)).max() < 0.1 and len(np.unique(e)) > 4400
    other = (xu.smooth_grad(model, x, 0, samples=1, noise=0.25, seed=1)[0] / 2 - x[0]) / (0.25 * 2)
    assert abs(np.corrcoef(e.ravel(), other.ravel())[0, 1]) < 0.1


@pytest.mark.parametrize("method", [xu.smooth_grad, xu.var_grad])
def test_smooth_grad_and_var_grad_use_the_same_noise_for_every_item(relu_net, method):
    model, _, inputs = relu_net
    options = {"samples": 4, "noise": 0.3, "batch_size": 3}
    twice = method(model, np.stack([inputs[0], inputs[1], inputs[0]]), [2, 0, 2], **options)
    np.testing.assert_allclose(twice[0], twice[2], rtol=1e-4, atol=1e-6)
    alone = method(model, inputs[:1], 2, **options)
    np.testing.assert_allclose(twice[0], alone[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", [xu.smooth_grad, xu.var_grad])
def test_smooth_grad_and_var_grad_repeat_with_their_seed_and_leave_the_global_one(relu_net, method):
    model, _, inputs = relu_net
    before = np.random.get_state()[1].copy()
    first, again = (method(model, inputs, TARGETS, samples=3, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert relative_error(method(model, inputs, TARGETS, samples=3, seed=6), first) > 1e-3
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_var_grad_is_zero_without_noise_and_on_a_linear_model(relu_net):
    model, _, inputs = relu_net
    assert np.abs(xu.var_grad(model, inputs, TARGETS, noise=0, samples=4)).max() < 1e-10
    line = models.linear()
    assert np.abs(xu.var_grad(line, models.examples(line), TARGETS, noise=0.5, samples=4)).max() < 1e-10


def test_var_grad_has_the_closed_form_of_a_quadratic():
    """d(sum x^2)/dx at x + e is 2 (x + e), of variance 4 sigma^2 at every position."""
    n, noise = 4000, 0.3
    got = xu.var_grad(models.power(2), UNEVEN, 0, samples=n, noise=noise, batch_size=2000)
    wanted = np.broadcast_to(4 * (noise * RANGES[:, None, None]) ** 2, got.shape)
    np.testing.assert_allclose(got, wanted, rtol=5 * np.sqrt(2 / n))


def test_var_grad_is_numpys_variance_of_the_gradients_smooth_grad_averages(relu_net):
    """The k-th gradient is k SmoothGrad(k) - (k - 1) SmoothGrad(k - 1); their variance divides by n."""
    model, _, inputs = relu_net
    sums = [n * xu.smooth_grad(model, inputs, TARGETS, samples=n, noise=0.5).astype(np.float64) for n in range(1, 6)]
    gradients = np.diff([np.zeros_like(sums[0]), *sums], axis=0)
    wanted = gradients.var(axis=0)
    assert relative_error(xu.var_grad(model, inputs, TARGETS, samples=5, noise=0.5), wanted) < 1e-4


# --- guided backprop and deconvnet ------------------------------------------------------------------------------

# x = (1, 2); hidden units with incoming weights (1, 1), (1, -1), (2, 0) have z = (3, -1, 2): the second is off.
# Class 0 reads them by (1, 1, -1), class 1 by (-1, 2, 3). Going back by hand, R at the hidden units and then at x:
#   class 0  gradient  (1, 0, -1) -> (-1, 1)    guided (1, 0, 0) -> (1, 1)    deconvnet (1, 1, 0) -> (2, 0)
#   class 1  gradient  (-1, 0, 3) -> (5, -1)    guided (0, 0, 3) -> (6, 0)    deconvnet (0, 2, 3) -> (8, -2)
HAND_X = np.array([[[1.0], [2.0]]] * 2, "float32")
HAND_WEIGHTS = [np.array([[1, 1, 2], [1, -1, 0]]), np.zeros(3), np.array([[1, -1], [1, 2], [-1, 3]]), np.zeros(2)]
HAND = {"gradient": [[-1, 1], [5, -1]], "guided": [[1, 1], [6, 0]], "deconvnet": [[2, 0], [8, -2]]}


class OpsRelu(keras.Model):
    def __init__(self):
        super().__init__()
        self.flatten, self.first, self.last = layers.Flatten(), layers.Dense(3), layers.Dense(2)

    def call(self, inputs):
        return self.last(keras.ops.relu(self.first(self.flatten(inputs))))


def hand_net(kind):
    """The network above, its ReLU written in one of the ways Keras allows."""
    if kind == "ops.relu in a subclass":
        model = OpsRelu()
        model(HAND_X)
        model.set_weights(HAND_WEIGHTS)
        return model
    hidden = {
        "activation argument": [layers.Dense(3, activation="relu")],
        "ReLU layer": [layers.Dense(3), layers.ReLU()],
        "relu6": [layers.Dense(3), layers.ReLU(max_value=6)],
        "nested": [keras.Sequential([keras.Input((2,)), layers.Dense(3), layers.Activation("relu")])],
    }[kind]
    model = keras.Sequential([keras.Input((2, 1)), layers.Flatten(), *hidden, layers.Dense(2, activation="softmax")])
    model.set_weights(HAND_WEIGHTS)
    return model


@pytest.mark.parametrize("kind", ["activation argument", "ReLU layer", "relu6", "nested", "ops.relu in a subclass"])
def test_guided_backprop_and_deconvnet_by_hand(kind):
    model = hand_net(kind)
    np.testing.assert_allclose(xu.saliency(model, HAND_X, [0, 1])[..., 0], HAND["gradient"], atol=1e-5)
    for rule, method in RULES.items():
        np.testing.assert_allclose(method(model, HAND_X, [0, 1])[..., 0], HAND[rule], atol=1e-5)
    np.testing.assert_allclose(xu.saliency(model, HAND_X, [0, 1])[..., 0], HAND["gradient"], atol=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_guided_backprop_and_deconvnet_apply_their_rule_at_every_relu(rule):
    """Against numpy on a chain of three hidden layers; biases switch units off but carry no signal back."""
    widths = [6, 7, 8, 5]
    parts = [keras.Input((3, 2)), layers.Flatten(), *(layers.Dense(n, activation="relu") for n in widths[1:])]
    model = models.randomised(keras.Sequential([*parts, layers.Dense(3, activation="softmax")]), spread=1.5)
    inputs, targets = models.examples((3, 2), 5), np.array([0, 1, 2, 1, 0])
    kernels = [np.asarray(w, np.float64) for w in model.get_weights()[::2]]
    biases = model.get_weights()[1::2]
    active, a = [], inputs.reshape(5, -1)
    for kernel, bias in zip(kernels[:-1], biases, strict=False):
        active.append(a @ kernel + bias > 0)
        a = np.maximum(a @ kernel + bias, 0)
    signal = kernels[-1].T[targets]
    for kernel, on in zip(kernels[-2::-1], active[::-1], strict=True):
        signal = np.maximum(signal, 0) * (on if rule == "guided" else 1)
        signal = signal @ kernel.T
    assert relative_error(RULES[rule](model, inputs, targets), signal.reshape(inputs.shape)) < 1e-5


def test_guided_backprop_stops_where_relu6_is_saturated():
    inputs = keras.Input((2, 1))
    x = layers.Dense(2, use_bias=False)(layers.Flatten()(layers.ReLU(max_value=6)(inputs)))
    model = keras.Model(inputs, x)
    model.set_weights([np.ones((2, 2))])
    got = xu.guided_backprop(model, np.array([[[7.0], [3.0]]], "float32"), 0)
    np.testing.assert_allclose(got[0, :, 0], [0, 1])


@pytest.mark.parametrize("rule", RULES)
def test_guided_backprop_and_deconvnet_refuse_a_network_without_relu(rule):
    model = models.cnn(activation="tanh")
    with pytest.raises(ValueError, match=f"no ReLU.*{rule}.*Tanh.*saliency"):
        RULES[rule](model, models.examples(model))


def mixed_net(activation, units=2):
    inputs = keras.Input((4, 1))
    x = layers.Dense(3, activation=activation)(layers.Dense(3, activation="relu")(layers.Flatten()(inputs)))
    return models.randomised(keras.Model(inputs, layers.Dense(units)(x)))


def test_guided_backprop_warns_of_activations_it_leaves_alone():
    with pytest.warns(xu.XAIWarning, match="1 ReLUs but not .*Tanh"):
        xu.guided_backprop(mixed_net("tanh"), models.examples((4, 1)), 0)


def test_guided_backprop_warns_of_an_inner_sigmoid_before_one_linear_unit():
    with pytest.warns(xu.XAIWarning, match="Sigmoid"):
        xu.guided_backprop(mixed_net("sigmoid", units=1), models.examples((4, 1)), 0)


@pytest.mark.filterwarnings("error::xai_utils.XAIWarning")
def test_guided_backprop_does_not_take_prelu_for_relu_in_silence():
    inputs = keras.Input((4, 1))
    model = keras.Model(inputs, layers.Dense(2)(layers.PReLU()(layers.Dense(3)(layers.Flatten()(inputs)))))
    with pytest.raises((ValueError, xu.XAIWarning)):
        xu.guided_backprop(models.randomised(model), models.examples((4, 1)), 0)


# --- Integrated Gradients ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def line():
    model = models.linear()
    return model, models.examples(model), models.linear_weights(model)[TARGETS]


def product_net():
    """S_0 = x1 * x2, S_1 = -S_0, for inputs of shape (2, 1)."""
    inputs = keras.Input((2, 1))
    flat = layers.Flatten()(inputs)
    ways = [layers.Dense(1, use_bias=False, name=f"x{i}")(flat) for i in (1, 2)]
    model = keras.Model(inputs, layers.Dense(2, use_bias=False)(layers.Multiply()(ways)))
    model.set_weights([np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]]), np.array([[1.0, -1.0]])])
    return model


def test_integrated_gradients_of_a_linear_model_is_exact_in_one_step(line):
    model, inputs, w = line
    got = xu.integrated_gradients(model, inputs, TARGETS, baseline=0.5, steps=1)
    np.testing.assert_allclose(got, w * (inputs - 0.5), rtol=1e-4, atol=1e-6)


def test_integrated_gradients_of_a_product():
    """On S = x1 x2 from (b1, b2): M1 = (x1 - b1)(x2 + b2) / 2. One midpoint is exact for a quadratic."""
    x, b = np.array([[[3.0], [-2.0]], [[1.0], [4.0]]], "float32"), np.array([[1.0], [0.5]], "float32")
    wanted = (x - b) * (x[:, ::-1] + b[::-1]) / 2 * np.array([1, -1])[:, None, None]
    got = xu.integrated_gradients(product_net(), x, [0, 1], baseline=b, steps=1)
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


@pytest.mark.parametrize("rule", ["midpoint", "gauss-legendre"])
@pytest.mark.parametrize("baseline", [-0.7, models.examples((3, 2), seed=5)], ids=["number", "one array per input"])
def test_integrated_gradients_of_squares(rule, baseline):
    """On S = sum x^2 the map is x^2 - x'^2, and one node is exact."""
    x = models.examples((3, 2))
    got = xu.integrated_gradients(models.power(2), x, 0, baseline=baseline, rule=rule, steps=1)
    np.testing.assert_allclose(got, x**2 - baseline**2, rtol=1e-4, atol=1e-5)


def test_integrated_gradients_by_gauss_legendre_is_exact_to_degree_2n_minus_1():
    """n nodes integrate the gradient of x^4 (degree 3) exactly for n = 2, that of x^6 (degree 5) only for n = 3."""
    x = models.examples((3, 2)).astype("float64")
    fourth, sixth = models.power(4, dtype="float64"), models.power(6, dtype="float64")

    def error(model, exponent, steps, rule="gauss-legendre"):
        got = xu.integrated_gradients(model, x, 0, baseline=-1.0, rule=rule, steps=steps)
        return relative_error(got, x**exponent - 1)

    assert error(fourth, 4, 2) < 1e-6 < 1e-3 < error(fourth, 4, 2, "midpoint")
    assert error(sixth, 6, 3) < 1e-6 < 1e-3 < error(sixth, 6, 2)


def test_integrated_gradients_equals_an_eager_loop(relu_net):
    model, twin, inputs = relu_net
    steps, start = 7, np.float32(0.25)
    for score in ("logit", "probability"):
        total = np.zeros(inputs.shape)
        for k in range(steps):
            point = start + (k + 0.5) / steps * (inputs - start)
            total += tape_gradient(twin, point.astype("float32"), TARGETS, score) / steps
        got = xu.integrated_gradients(model, inputs, TARGETS, baseline=0.25, steps=steps, score=score)
        assert relative_error(got, (inputs - start) * total) < 1e-5


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_integrated_gradients_is_complete(relu_net, score):
    model, twin, inputs = relu_net
    last = (lambda z: z) if score == "logit" else tf.nn.softmax
    start = np.full_like(inputs, 0.3)
    wanted = (last(twin(inputs)) - last(twin(start))).numpy()[range(4), TARGETS]
    got = xu.integrated_gradients(model, inputs, TARGETS, baseline=0.3, steps=300, score=score)
    np.testing.assert_allclose(got.sum(axis=(1, 2, 3)), wanted, atol=1e-2 * np.abs(wanted).max())
    gap = xu.completeness_gap(got, wanted, np.zeros(4))
    np.testing.assert_allclose(gap, np.abs(got.sum(axis=(1, 2, 3)) - wanted) / np.abs(wanted), rtol=1e-3)


def test_integrated_gradients_does_not_depend_on_the_implementation():
    """Hidden units permuted, one scaled up and read down, one split in two: other weights, the same function."""
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(6, 4)), generator.normal(size=(4, 3))
    bias, last = generator.normal(size=4), generator.normal(size=3)

    def build(kernel, bias, reading):
        parts = [keras.Input((3, 2)), layers.Flatten(), layers.Dense(len(bias), "relu"), layers.Dense(3, "softmax")]
        model = keras.Sequential(parts)
        model.set_weights([kernel, bias, reading, last])
        return model

    order = [2, 0, 3, 1, 1]
    scale, share = np.array([3, 1, 0.5, 2, 1]), np.array([1, 1, 1, 0.3, 0.7])
    one = build(first, bias, second)
    other = build(first[:, order] * scale, bias[order] * scale, second[order] * (share / scale)[:, None])
    inputs = models.examples((3, 2))
    np.testing.assert_allclose(one(inputs), other(inputs), rtol=1e-4)
    maps = [xu.integrated_gradients(model, inputs, TARGETS, steps=40) for model in (one, other)]
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-4, atol=1e-5)


def test_integrated_gradients_baselines_read_off_a_linear_model(line):
    """There M = w (x - x'), so that x' = x - M / w."""
    model, inputs, w = line
    array, arrays = models.examples(models.IMAGE, 1, seed=8)[0], models.examples(models.IMAGE, 4, seed=9)
    blurred = np.empty_like(inputs)
    for item, channel in np.ndindex(4, 2):
        blurred[item, ..., channel] = gaussian_filter(inputs[item, ..., channel], (0.8, 0.6))
    means = np.array([[x[..., 0].mean(), x[..., 1].mean()] for x in inputs])[:, None, None]
    for baseline, start in [
        ("zero", 0),
        ("mean", means),
        ("blur", blurred),
        (0.25, 0.25),
        (array, array),
        (arrays, arrays),
        (["zero", 0.5, array], (0.5 + array) / 3),
    ]:
        got = xu.integrated_gradients(model, inputs, TARGETS, baseline=baseline, steps=2)
        np.testing.assert_allclose(got, w * (inputs - start), rtol=1e-3, atol=1e-5)


def test_integrated_gradients_averages_maps_over_a_list_of_baselines(relu_net):
    model, _, inputs = relu_net
    each = [xu.integrated_gradients(model, inputs, TARGETS, baseline=b, steps=5) for b in ("zero", 1.5)]
    got = xu.integrated_gradients(model, inputs, TARGETS, baseline=["zero", 1.5], steps=5)
    assert relative_error(each[0], each[1]) > 1e-2
    np.testing.assert_allclose(got, (each[0] + each[1]) / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_integrated_gradients_refines_to_the_reference_of_10000_steps(relu_net):
    model, twin, inputs = relu_net
    n = 10_000
    points = (np.arange(n) + 0.5) / n
    for x, c, got in zip(inputs, TARGETS, xu.integrated_gradients(model, inputs, TARGETS), strict=True):
        path = tf.constant(points[:, None, None, None] * x, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(path)
            total = tf.reduce_sum(twin(path)[:, c])
        wanted = x * tape.gradient(total, path).numpy().mean(axis=0)
        assert np.abs(got - wanted).sum() <= 0.01 * np.abs(wanted).sum()


@pytest.mark.parametrize("max_steps, reached", [(18, 18), (53, 18), (54, 54), (162, 162)])
def test_integrated_gradients_refined_is_the_plain_rule_of_its_last_steps(relu_net, max_steps, reached):
    """A tolerance that cannot be met runs to the end: reusing nested midpoints must change nothing. And it warns."""
    model, _, inputs = relu_net
    with pytest.warns(xu.XAIWarning, match=f"4 of 4 inputs.*within {reached} steps.*max_steps"):
        got = xu.integrated_gradients(model, inputs, TARGETS, baseline=0.1, tolerance=1e-9, max_steps=max_steps)
    wanted = xu.integrated_gradients(model, inputs, TARGETS, baseline=0.1, steps=reached)
    assert relative_error(got, wanted) < 1e-5


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_integrated_gradients_refines_each_input_by_itself(relu_net):
    """Inputs of tiny and large norm need different numbers of steps; each gets what it gets alone."""
    model, _, inputs = relu_net
    mixed = inputs * np.array([1e-3, 1, 8, 2], "float32")[:, None, None, None]
    options = {"tolerance": 0.003, "max_steps": 162}
    together = xu.integrated_gradients(model, mixed, TARGETS, **options)
    for i in range(4):
        alone = xu.integrated_gradients(model, mixed[i : i + 1], TARGETS[i], **options)
        np.testing.assert_allclose(together[i], alone[0], rtol=1e-3, atol=1e-5 * np.abs(alone).max())


def _criteria(maps, target):
    """Gap and change of the last of two maps, as the docstring defines them."""
    gap = abs(maps[1].sum() - target) / abs(target)
    return gap, np.abs(maps[1] - maps[0]).sum() / np.abs(maps[1]).sum()


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_integrated_gradients_stops_at_the_first_steps_that_meet_both_criteria(relu_net, score):
    """Each input's map is that of the first of 18, 54, 162, 486 steps whose gap and change are within tolerance."""
    model, twin, inputs = relu_net
    inputs, tolerance = inputs * 2, 0.02
    last = (lambda z: z) if score == "logit" else tf.nn.softmax
    targets = (last(twin(inputs)) - last(twin(0 * inputs))).numpy()[range(4), TARGETS]
    by_steps = {
        n: xu.integrated_gradients(model, inputs, TARGETS, steps=n, score=score).astype(np.float64)
        for n in (6, 18, 54, 162, 486)
    }
    got = xu.integrated_gradients(model, inputs, TARGETS, tolerance=tolerance, score=score)
    for i in range(4):
        for n in (18, 54, 162, 486):
            if max(_criteria((by_steps[n // 3][i], by_steps[n][i]), targets[i])) <= tolerance:
                break
        np.testing.assert_allclose(got[i], by_steps[n][i], rtol=1e-3, atol=1e-5 * np.abs(got[i]).max())


def test_integrated_gradients_in_float32_and_float64_agree(relu_net):
    model, _, inputs = relu_net
    exact = models.cnn(dtype="float64")
    exact.set_weights(model.get_weights())
    maps = [xu.integrated_gradients(m, inputs.astype("float64"), TARGETS, steps=50) for m in (model, exact)]
    assert relative_error(*maps) < 1e-4


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rule": "trapezoid"}, "rule: got 'trapezoid'.*midpoint"),
        ({"steps": 0}, "steps: got 0"),
        ({"rule": "gauss-legendre"}, "steps: got None"),
        ({"tolerance": 0}, "tolerance: got 0"),
        ({"tolerance": 1}, "tolerance: got 1"),
        ({"baseline": "black"}, "baseline: got 'black'.*zero"),
        ({"baseline": np.zeros(3)}, r"baseline: got shape \(3,\)"),
        ({"baseline": np.nan}, "baseline: got nan"),
        ({"baseline": []}, "baseline: got an empty list"),
    ],
)
def test_integrated_gradients_refuses_bad_options(line, options, message):
    model, inputs, _ = line
    with pytest.raises(ValueError, match=message):
        xu.integrated_gradients(model, inputs, 0, **options)


# --- Expected Gradients -----------------------------------------------------------------------------------------

BACKGROUND = models.examples(models.IMAGE, 5, seed=11)
FEW = {"background": BACKGROUND, "samples": 10}


@pytest.mark.parametrize("samples", [5, 15])
def test_expected_gradients_of_a_linear_model_is_exact_where_each_background_is_used_alike(line, samples):
    """M = w (x - mean x'): K divides n."""
    model, inputs, w = line
    got = xu.expected_gradients(model, inputs, TARGETS, background=BACKGROUND, samples=samples)
    np.testing.assert_allclose(got, w * (inputs - BACKGROUND.mean(axis=0)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count, samples", [(7, 3), (7, 7), (7, 17), (1, 4)])
def test_expected_gradients_uses_each_background_as_often_as_the_others_or_once_more(count, samples):
    """S = sum x at x = 0, unit vectors in the background: -n M counts how often each was drawn."""
    background = np.eye(8, dtype="float32").reshape(8, 4, 2)[:count]
    got = xu.expected_gradients(models.power(1, (4, 2)), np.zeros((1, 4, 2), "f"), 0, background=background,
                                samples=samples, seed=3)  # fmt: skip
    drawn = -samples * got.ravel()[:count]
    np.testing.assert_allclose(drawn, np.round(drawn), atol=1e-4)
    assert drawn.sum() == pytest.approx(samples, abs=1e-3) and np.ptp(drawn) < 1.01
    assert not got.ravel()[count:].any()


@pytest.mark.parametrize("score", ["logit", "probability"])
@pytest.mark.parametrize("background", ["set", "uniform", "constant", "shuffled"])
def test_expected_gradients_is_complete_within_three_standard_errors(relu_net, background, score):
    """Over 30 seeds the sum of the map is S(x) - E S(x'); the words' x' are drawn here once more, in another way."""
    model, twin, inputs = relu_net
    last = (lambda z: z) if score == "logit" else tf.nn.softmax
    generator, low, high = np.random.default_rng(8), inputs.min(axis=(1, 2, 3)), inputs.max(axis=(1, 2, 3))
    starts = {
        "set": lambda i: BACKGROUND,
        "uniform": lambda i: generator.uniform(low[i], high[i], (4000, *models.IMAGE)),
        "constant": lambda i: np.linspace(low[i], high[i], 4000)[:, None, None, None] * np.ones(models.IMAGE),
        "shuffled": lambda i: np.stack([generator.permutation(inputs[i].reshape(48, 2)) for _ in range(4000)]),
    }[background]
    given = BACKGROUND if background == "set" else background
    maps = [xu.expected_gradients(model, inputs, TARGETS, background=given, samples=20, seed=seed, score=score)
            for seed in range(30)]  # fmt: skip
    sums = np.sum(maps, axis=(2, 3, 4), dtype=np.float64)
    for i, c in enumerate(TARGETS):
        values = last(twin(np.reshape(starts(i), (-1, *models.IMAGE)).astype("f"))).numpy()[:, c]
        wanted = last(twin(inputs[i : i + 1])).numpy()[0, c] - values.mean()
        known = 0 if background in ("set", "constant") else values.var() / len(values)
        error = np.sqrt(sums[:, i].var(ddof=1) / len(sums) + known)
        assert abs(sums[:, i].mean() - wanted) <= 3 * error and error < 0.2 * max(abs(wanted), np.ptp(values))


def test_expected_gradients_equals_an_eager_loop(relu_net):
    """For one background, at the place a that S = sum x^2 tells: M = 2 (x - x') (x' + a (x - x'))."""
    model, twin, inputs = relu_net
    for k, start in enumerate(BACKGROUND):
        options = {"background": start[None], "samples": 1, "seed": k}
        told = xu.expected_gradients(models.power(2, dtype="float64"), np.full((1, 3, 2), 2.0), 0,
                                     **options | {"background": np.ones((1, 3, 2))})  # fmt: skip
        a = told.ravel()[0] / 2 - 1
        assert 0 <= a <= 1
        slope = tape_gradient(twin, (start + a * (inputs - start)).astype("float32"), TARGETS)
        got = xu.expected_gradients(model, inputs, TARGETS, **options)
        assert relative_error(got, (inputs - start) * slope) < 1e-4


@pytest.mark.parametrize("seed", range(5))
def test_expected_gradients_has_one_place_in_each_part_of_the_way(seed):
    """S = x^2 from 0 to 1: M = 2 mean a; one a in each of 100 parts: within 1/100 of 1 (by chance alone: 1/17)."""
    options = {"background": np.zeros((1, 3, 2), "f")}
    got = xu.expected_gradients(models.power(2), np.ones((1, 3, 2), "f"), 0, seed=seed, **options)
    np.testing.assert_allclose(got, 1, rtol=0, atol=1.01e-2)
    other = xu.expected_gradients(models.power(2), np.ones((1, 3, 2), "f"), 0, seed=seed + 1, **options)
    assert np.abs(got - 1).max() > 1e-5 < np.abs(got - other).max(), "midpoints would be no draws"


def test_expected_gradients_of_one_background_tends_to_integrated_gradients(relu_net):
    model, _, inputs = relu_net
    wanted = xu.integrated_gradients(model, inputs, TARGETS, baseline=BACKGROUND[0], steps=400)
    got = xu.expected_gradients(model, inputs, TARGETS, background=BACKGROUND[:1], samples=400)
    assert relative_error(got, wanted) < 2e-2


def test_expected_gradients_is_the_mean_over_its_backgrounds_of_a_cubic():
    """S = sum x^3: M = x^3 - mean x'^3, within the error of 2000 draws."""
    x, background = models.examples((3, 2)), models.examples((3, 2), 4, seed=7)
    got = xu.expected_gradients(models.power(3), x, 0, background=background, samples=2000, batch_size=500)
    np.testing.assert_allclose(got, x**3 - (background**3).mean(axis=0), rtol=0, atol=3e-2)
    assert np.abs(x**3 - background[0] ** 3 - got).max() > 1


def test_expected_gradients_of_an_input_that_is_its_background_is_zero(relu_net):
    model, _, inputs = relu_net
    assert not xu.expected_gradients(model, inputs[:1], 0, background=inputs[:1]).any()
    flat = np.full((1, *models.IMAGE), 0.5, "f")
    for word in ("uniform", "constant", "shuffled"):  # of one value in all places, nothing else can be drawn
        assert not xu.expected_gradients(model, flat, 0, background=word, samples=3).any()


def drawn_from(model, inputs, w, word, seed=0):
    """The x' of one draw, read off a linear model: x - M / w."""
    return inputs - xu.expected_gradients(model, inputs, TARGETS, background=word, samples=1, seed=seed) / w


def test_expected_gradients_draws_what_the_words_say(line):
    """In each input's own range, and the same draw for all inputs."""
    model, inputs, w = line
    low, high = (f(inputs, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    uniform, constant, shuffled = (drawn_from(model, inputs, w, word) for word in ("uniform", "constant", "shuffled"))
    share = (uniform - low) / (high - low)
    np.testing.assert_allclose(share, share[:1] * np.ones_like(inputs), atol=1e-3)
    assert kstest(share[0].ravel(), "uniform").pvalue > 0.01 and share.min() > -1e-3 and share.max() < 1.001
    level = (constant - low) / (high - low)
    np.testing.assert_allclose(level, level[0, 0, 0, 0] * np.ones_like(inputs), atol=1e-3)
    assert 0 < level[0, 0, 0, 0] < 1
    order = [np.abs(one.reshape(48, 1, 2) - x.reshape(1, 48, 2)).sum(axis=2).argmin(axis=1)
             for one, x in zip(shuffled, inputs, strict=True)]  # fmt: skip
    assert sorted(order[0]) == list(range(48)) != list(order[0])
    for own, one, x in zip(order, shuffled, inputs, strict=True):
        np.testing.assert_array_equal(own, order[0])
        np.testing.assert_allclose(one.reshape(48, 2), x.reshape(48, 2)[own], atol=1e-3)
    for word, one in (("uniform", uniform), ("constant", constant), ("shuffled", shuffled)):
        assert np.abs(drawn_from(model, inputs, w, word, seed=1) - one).max() > 0.1


def test_expected_gradients_draws_in_the_models_range_where_it_has_one():
    model = models.linear()
    inputs, w = models.examples(model), models.linear_weights(model)[TARGETS]
    model.input_range = (-6.0, 10.0)
    found = drawn_from(model, inputs, w, "uniform")
    assert -6.01 < found.min() < -5 and 9 < found.max() < 10.01
    with pytest.warns(xu.XAIWarning, match="background: got values from -21 to 21.*input_range"):
        xu.expected_gradients(model, inputs, TARGETS, background=np.stack([inputs[0] * 0 - 21, inputs[0] * 0 + 21]))


def test_expected_gradients_draws_each_x_anew(relu_net):
    """Draws of a word differ within one call: the mean of two is neither of them."""
    model = models.linear()
    inputs, w = models.examples(model), models.linear_weights(model)[TARGETS]
    for word in ("uniform", "constant", "shuffled"):
        two = inputs - xu.expected_gradients(model, inputs, TARGETS, background=word, samples=2) / w
        first = drawn_from(model, inputs, w, word)
        second = 2 * two - first
        assert np.abs(second - first).max() > 0.05, word
    alone = [xu.expected_gradients(relu_net[0], relu_net[2][i : i + 1], TARGETS[i], **FEW) for i in range(4)]
    together = xu.expected_gradients(relu_net[0], relu_net[2], TARGETS, batch_size=3, **FEW)
    assert relative_error(together, np.concatenate(alone)) < 1e-5
