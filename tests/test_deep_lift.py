"""DeepLIFT: cases worked by hand, sums that close on every kind of operation, limits, and a network without Keras."""

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import zoo
from keras import layers, ops

import models
import xai_utils as xu

NETWORKS = sorted((Path(__file__).parents[1] / "models").glob("*.keras"))


def numbers(values, shape=(1, -1, 1)):
    """One signal of these values."""
    return np.array(values, np.float32).reshape(shape)


def by_hand(build, count, weights=None):
    """The model that reads `count` numbers of a signal, with S_0 = weights . build(x) of the last axis."""
    inputs = keras.Input((count, 1))
    x = build(layers.Flatten()(inputs))
    model = keras.Model(inputs, layers.Dense(1, use_bias=False)(x))
    weights = np.ones(x.shape[-1]) if weights is None else np.array(weights)
    model.layers[-1].set_weights([weights[:, None].astype(np.float32)])
    return model


def shares(model, x, start, **options):
    """M of one signal from one baseline, its numbers in a row: S is the output itself."""
    given = {"score": "value", "baseline": numbers(start)[0], **options}
    return xu.deep_lift(model, numbers(x), 0, **given)[0, :, 0]


def gap(model, x, start, score="logit", targets=1):
    """How far the sums of the maps are from S(x) - S(x'), relative to the largest L1 norm of a map."""
    start = np.broadcast_to(start, x.shape).astype(x.dtype)
    maps = xu.deep_lift(model, x, targets, baseline=start, score=score).astype(np.float64)
    change = xu.scores(model, x, targets, score=score) - xu.scores(model, start, targets, score=score)
    assert np.abs(change).max() > 1e-3  # or nothing would be tested
    axes = tuple(range(1, x.ndim))
    return np.abs(maps.sum(axis=axes) - change).max() / np.abs(maps).sum(axis=axes).max()


# --- by hand --------------------------------------------------------------------------------------------------


def test_deep_lift_of_a_relu_is_the_slope_between_both_sides_of_its_kink():
    relu = by_hand(ops.relu, 1, [3.0])
    np.testing.assert_allclose(shares(relu, [2], [-1]), [6], rtol=1e-6)  # slope 2/3: no derivative of a ReLU
    np.testing.assert_allclose(shares(relu, [-1], [2]), [-6], rtol=1e-6)
    np.testing.assert_allclose(shares(relu, [-1], [-3]), [0], atol=1e-7)
    twice = by_hand(lambda x: ops.relu(ops.sum(x * numbers([2, -1], (1, 2)), axis=1, keepdims=True)), 2, [3.0])
    # z = 2 a - b: from -3 to 4, ReLU from 0 to 4, slope 4/7: 3 * 4/7 * (2 * 2, -1 * -3)
    np.testing.assert_allclose(shares(twice, [2, 0], [0, 3]), [48 / 7, 36 / 7], rtol=1e-6)


def test_deep_lift_of_two_relus_multiplies_their_slopes():
    def build(x):
        return ops.relu(ops.relu(x) - 1)

    # x from -1 to 3: first ReLU 0 to 3 (slope 3/4), second from -1 to 2, so 0 to 2 (slope 2/3).
    np.testing.assert_allclose(shares(by_hand(build, 1), [3], [-1]), [2], rtol=1e-6)
    both = by_hand(lambda x: build(ops.sum(x, axis=1, keepdims=True)), 2)
    np.testing.assert_allclose(shares(both, [2, 1], [0, -1]), [1, 1], rtol=1e-6)  # slope 1/2 of (2, 2)


def test_deep_lift_of_a_capped_relu_counts_what_lies_below_the_cap():
    capped = by_hand(ops.relu6, 1)
    np.testing.assert_allclose(shares(capped, [8], [0]), [6], rtol=1e-6)
    np.testing.assert_allclose(shares(capped, [8], [7]), [0], atol=1e-7)


def test_deep_lift_of_a_maximum_is_paid_by_the_place_of_the_larger_one():
    largest = by_hand(lambda x: layers.GlobalMaxPooling1D()(x[:, :, None]), 3)
    np.testing.assert_allclose(shares(largest, [5, 1, 2], [1, 3, 2]), [2, 0, 0], rtol=1e-6)  # rises: where x wins
    np.testing.assert_allclose(shares(largest, [2, 1, 0], [1, 5, 0]), [0, -3, 0], rtol=1e-6)  # falls: where x' won
    least = by_hand(lambda x: ops.min(x, axis=-1, keepdims=True), 3)
    np.testing.assert_allclose(shares(least, [-5, -1, -2], [-1, -3, -2]), [-2, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(shares(least, [-2, -1, 0], [-1, -5, 0]), [0, 3, 0], rtol=1e-6)
    np.testing.assert_allclose(shares(largest, [2, 1, 0], [2, 5, 0]), [0, -3, 0], rtol=1e-6)  # the winner stayed
    np.testing.assert_allclose(shares(largest, [-1, -2, -3], [0, 0, 0]), [-1, 0, 0], rtol=1e-6)  # x' has no one winner
    smallest = by_hand(lambda x: ops.min(x, axis=1, keepdims=True), 3)
    np.testing.assert_allclose(shares(smallest, [5, 1, 2], [1, 3, 4]), [0, 0, 0], atol=1e-7)
    np.testing.assert_allclose(shares(smallest, [5, -2, 2], [1, 3, 4]), [0, -3, 0], rtol=1e-6)
    np.testing.assert_allclose(shares(smallest, [5, 6, 7], [1, 3, 4]), [4, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(shares(smallest, [4, 3, 7], [0, 0, 0]), [0, 3, 0], rtol=1e-6)
    larger = by_hand(lambda x: ops.maximum(x[:, :1], x[:, 1:]), 2)
    np.testing.assert_allclose(shares(larger, [1, 2], [3, 0]), [-1, 0], rtol=1e-6)  # falls: where x' won
    of_two = by_hand(lambda x: ops.minimum(x[:, :1], x[:, 1:]), 2)
    np.testing.assert_allclose(shares(of_two, [2, 6], [1, 0]), [0, 2], rtol=1e-6)
    np.testing.assert_allclose(shares(of_two, [1, 0], [2, 6]), [0, -2], rtol=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_deep_lift_of_max_pooling_is_that_of_the_maximum_of_each_window(rank):
    pool = getattr(layers, f"MaxPooling{rank}D")(2)
    pooled = by_hand(lambda x: layers.Flatten()(pool(ops.reshape(x, (-1, *[2] * rank, 1)))), 2**rank)
    tied = np.array([5.0, 5.0] + [0.0] * (2**rank - 2))
    np.testing.assert_allclose(np.sum(shares(pooled, tied, 0 * tied)), 5, rtol=1e-6)  # of equal winners one pays
    generator = np.random.default_rng(0)
    whole = by_hand(lambda x: ops.max(x, axis=1, keepdims=True), 2**rank)
    for _ in range(6):
        x, start = generator.permutation(2**rank), generator.permutation(2**rank)
        np.testing.assert_allclose(shares(pooled, x, start), shares(whole, x, start), rtol=1e-6)
    ties = [1.0] * 2**rank  # every place wins in x': the one that wins in x pays
    np.testing.assert_allclose(shares(pooled, -np.arange(2.0**rank), ties)[0], -1, rtol=1e-6)


def test_deep_lift_of_overlapping_windows_adds_what_each_pays():
    pool = layers.MaxPooling1D(2, strides=1)
    pooled = by_hand(lambda x: layers.Flatten()(pool(x[:, :, None])), 3)
    # windows (a, b) and (b, c): from 1, 2 to 5, 5
    np.testing.assert_allclose(shares(pooled, [0, 5, 4], [0, 1, 2]), [0, 4 + 3, 0], rtol=1e-6)


def test_deep_lift_of_a_product_takes_each_factor_at_the_middle_of_the_other():
    product = by_hand(lambda x: x[:, :1] * x[:, 1:], 2)
    np.testing.assert_allclose(shares(product, [3, 5], [1, 2]), [2 * 3.5, 3 * 2.0], rtol=1e-6)  # 15 - 2 = 7 + 6
    quotient = by_hand(lambda x: x[:, :1] / x[:, 1:], 2)
    # 6/3 - 2/1: 4 * (1/3 + 1)/2 and mean 4 * (1/3 - 1)
    np.testing.assert_allclose(shares(quotient, [6, 3], [2, 1]), [8 / 3, -8 / 3], rtol=1e-6)
    inverse = by_hand(lambda x: 6 / x, 1)
    np.testing.assert_allclose(shares(inverse, [3], [1]), [-4], rtol=1e-6)


def test_deep_lift_of_a_broadcast_product_sums_over_what_was_repeated():
    gated = by_hand(lambda x: x[:, :2] * x[:, 2:], 3)
    np.testing.assert_allclose(shares(gated, [1, 2, 3], [0, 0, 1]), [2, 4, 3], rtol=1e-6)  # (1 + 2)/2 * 2
    divided = by_hand(lambda x: x[:, :2] / x[:, 2:], 3)
    np.testing.assert_allclose(shares(divided, [2, 4, 2], [0, 0, 1]), [1.5, 3, -1.5], rtol=1e-6)
    larger = by_hand(lambda x: ops.maximum(x[:, :2], x[:, 2:]), 3)
    np.testing.assert_allclose(shares(larger, [1, 9, 3], [0, 0, 0]), [0, 9, 3], rtol=1e-6)


def test_deep_lift_of_a_step_is_paid_by_what_it_chooses():
    jumping = by_hand(lambda x: ops.where(x > 1, 2 * x, -x), 1)
    np.testing.assert_allclose(shares(jumping, [3], [-2]), [4], rtol=1e-6)  # 6 - 2
    two = by_hand(lambda x: ops.where(x[:, :1] > 0, x[:, 1:2], x[:, 2:]), 3)
    np.testing.assert_allclose(shares(two, [1, 5, 2], [1, 3, 9]), [0, 2, 0], rtol=1e-6)  # not turned
    np.testing.assert_allclose(shares(two, [1, 5, 2], [-1, 3, 9]), [0, -4, 0], rtol=1e-6)  # 5 - 9, by the chosen
    np.testing.assert_allclose(shares(two, [1, 5, 2], [-1, 5, 9]), [0, 0, -4], rtol=1e-6)  # which stayed: the other
    np.testing.assert_allclose(shares(two, [-1, 5, 2], [1, 3, 9]), [0, 0, -1], rtol=1e-6)  # 2 - 3
    apart = by_hand(lambda x: ops.where(x[:, :1] > 0, x[:, 1:2] - x[:, 2:], -x[:, 2:]), 3)
    np.testing.assert_allclose(shares(apart, [1, 5, 2], [1, 3, 0]), [0, 2, -2], rtol=1e-6)  # 3 - 3: the derivative
    gated = by_hand(lambda x: x * ops.cast(x > 1, "float32"), 1)  # a ReLU with a threshold
    np.testing.assert_allclose(shares(gated, [3], [0.5]), [3], rtol=1e-6)


def test_deep_lift_of_a_softmax_by_its_exponentials_and_the_logarithm_of_their_sum():
    """Of two classes with fixed a_2 = 0: all of p - p' is paid by a_1; of three the formula, term by term."""
    first = by_hand(lambda x: ops.softmax(ops.concatenate([x, 0 * x], axis=-1)), 1, [1.0, 0.0])
    np.testing.assert_allclose(shares(first, [1], [-2]), [1 / (1 + np.exp(-1)) - 1 / (1 + np.exp(2))], rtol=1e-6)
    a, b, weights = np.array([1.0, -1, 0.5]), np.array([-0.5, 2, 0.5]), np.array([3.0, -1, 2])
    L, K = np.log(np.exp(a).sum()), np.log(np.exp(b).sum())
    p, q = np.exp(a - L), np.exp(b - K)
    means = (p - q) / (np.log(p) - np.log(q))  # c(log p, log p')
    own = np.where(a == b, np.exp(a), (np.exp(a) - np.exp(b)) / np.where(a == b, 1, a - b))
    of_sum = own / ((np.exp(L) - np.exp(K)) / (L - K))
    m = weights * means - of_sum * (weights * means).sum()
    three = by_hand(ops.softmax, 3, weights)
    np.testing.assert_allclose(shares(three, a, b), (a - b) * m, rtol=1e-5, atol=1e-6)
    logarithm = by_hand(ops.log_softmax, 3, weights)
    np.testing.assert_allclose(shares(logarithm, a, b), (a - b) * (weights - of_sum * weights.sum()), rtol=1e-5)
    assert np.isclose(shares(three, [200, 0, 0], [0, 200, 0]).sum(), 4, rtol=1e-4)  # nothing overflows


# --- limits ---------------------------------------------------------------------------------------------------


def test_deep_lift_of_a_linear_model_is_its_weights_times_the_way():
    model = models.linear()
    x, start = models.examples(model, 3), models.examples(model, 3, seed=2)
    w = models.linear_weights(model)[[2, 0, 1]]
    np.testing.assert_allclose(xu.deep_lift(model, x, [2, 0, 1], baseline=start), w * (x - start), rtol=1e-4, atol=1e-6)


def test_deep_lift_from_zero_is_gradient_x_input_without_biases():
    for options in ({}, {"pooling": "average"}, {"activation": "leaky_relu"}, {"shape": models.SIGNAL}):
        model = models.cnn(use_bias=False, head="gap", **options)
        x = models.examples(model, 4)
        np.testing.assert_allclose(xu.deep_lift(model, x, 1), xu.gradient_x_input(model, x, 1), rtol=1e-4, atol=1e-6)


def test_deep_lift_near_its_baseline_tends_to_the_gradient_times_the_way():
    model = models.cnn(activation="tanh", pooling="average", dtype="float64")
    x, way = models.examples(model, 3), models.examples(model, 3, seed=2)
    gradient = xu.saliency(model, x, 1)
    for size, tolerance in ((1e-3, 1e-2), (1e-5, 1e-4), (0, 0)):
        found = xu.deep_lift(model, x, 1, baseline=x - size * way)
        assert np.abs(found - gradient * size * way).sum() <= tolerance * np.abs(gradient * size * way).sum()


def test_deep_lift_from_the_input_itself_is_zero():
    for model in (models.cnn(), models.residual()):
        x = models.examples(model, 2)
        assert not xu.deep_lift(model, x, 0, baseline=x).any()


def test_deep_lift_takes_the_derivative_where_a_neuron_stays():
    """z = a + b is 1 for x and x': tanh stays, and its derivative is the share of a and b, which cancel."""
    tanh = by_hand(lambda x: ops.tanh(ops.sum(x, axis=1, keepdims=True)), 2)
    slope = 1 - np.tanh(1) ** 2
    np.testing.assert_allclose(shares(tanh, [3, -2], [0, 1]), [3 * slope, -3 * slope], rtol=1e-5)
    np.testing.assert_allclose(shares(tanh, [3.3, -2.3], [0.1, 0.9]), [3.2 * slope, -3.2 * slope], rtol=1e-3)


def test_deep_lift_of_two_layers_of_tanh_is_the_formula_in_numpy():
    generator = np.random.default_rng(4)
    W, b, V, c = (generator.normal(size=shape) for shape in ((6, 5), (5,), (5, 3), (3,)))
    inputs = keras.Input((3, 2))
    hidden = layers.Dense(5, activation="tanh", name="hidden")(layers.Flatten()(inputs))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="out")(hidden))
    model.get_layer("hidden").set_weights([W, b])
    model.get_layer("out").set_weights([V, c])
    x, start = generator.normal(size=(2, 4, 3, 2))
    targets = np.array([0, 2, 1, 0])
    a, z = x.reshape(4, 6) @ W + b, start.reshape(4, 6) @ W + b
    slopes = (np.tanh(a) - np.tanh(z)) / (a - z)
    m = np.einsum("ij,nj,jn->ni", W, slopes, V[:, targets])
    found = xu.deep_lift(model, x.astype(np.float32), targets, baseline=start.astype(np.float32))
    np.testing.assert_allclose(found, (x - start) * m.reshape(x.shape), rtol=1e-4, atol=1e-5)


def test_deep_lift_alone_is_deep_lift_in_a_batch():
    model = models.residual()
    x, start = models.examples(model, 5), models.examples(model, 5, seed=2)
    targets = np.arange(5) % 3
    together = xu.deep_lift(model, x, targets, baseline=start)
    alone = [xu.deep_lift(model, x[[k]], targets[[k]], baseline=start[[k]]) for k in range(5)]
    np.testing.assert_allclose(np.concatenate(alone), together, rtol=1e-4, atol=1e-6)
    for size in (1, 2, 3, 4):
        again = xu.deep_lift(model, x, targets, baseline=start, batch_size=size)
        np.testing.assert_allclose(again, together, rtol=1e-4, atol=1e-6)


def test_deep_lift_of_a_list_of_baselines_is_the_mean_of_their_maps():
    model = models.cnn()
    x = models.examples(model, 2)
    single = [xu.deep_lift(model, x, 1, baseline=baseline) for baseline in ("zero", "blur", 0.5)]
    found = xu.deep_lift(model, x, 1, baseline=["zero", "blur", 0.5])
    np.testing.assert_allclose(found, np.mean(single, axis=0), rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="baseline: got an empty list"):
        xu.deep_lift(model, x, 1, baseline=[])


def test_deep_lift_leaves_the_gradients_of_the_model_as_they_were():
    model = models.cnn()
    x = models.examples(model, 2)
    before = xu.saliency(models.cnn(), x, 1)
    xu.deep_lift(model, x, 1, baseline=1.0)
    np.testing.assert_array_equal(xu.saliency(model, x, 1), before)


# --- sums -----------------------------------------------------------------------------------------------------


def of(build, shape=models.IMAGE):
    """A convolution, what `build` makes of it, and three scores of all that comes out."""
    inputs = keras.Input(shape)
    conv = getattr(layers, f"Conv{len(shape) - 1}D")(4, 3, padding="same", name="conv")
    x = build(conv(inputs))
    x = layers.Flatten()(x) if len(x.shape) > 2 else x
    return models.randomised(keras.Model(inputs, layers.Dense(3)(x)))


def squeeze_and_excite(x):
    gates = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return x * layers.Conv2D(4, 1, activation="sigmoid")(layers.Conv2D(2, 1, activation="relu")(gates))


def attention(x):
    tokens = layers.Reshape((48, 4))(x)
    return layers.MultiHeadAttention(2, 3)(tokens, tokens)


BUILDS = {
    "depthwise": lambda x: layers.DepthwiseConv2D(3, activation="relu")(x),
    "dilated depthwise": lambda x: layers.DepthwiseConv2D(3, dilation_rate=2, padding="same", activation="relu")(x),
    "separable": lambda x: layers.SeparableConv2D(4, 3, activation="relu")(x),
    "grouped": lambda x: layers.Conv2D(4, 3, groups=2, activation="relu")(x),
    "transposed": lambda x: layers.Conv2DTranspose(4, 3, strides=2, activation="relu")(x),
    "enlarged": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(ops.relu(x)),
    "max pooling, overlapping": lambda x: layers.MaxPooling2D(3, 2, padding="same")(x),
    "global max pooling": lambda x: layers.GlobalMaxPooling2D()(x),
    "maximum of two": lambda x: ops.maximum(x, 0.3 - x[:, ::-1]),
    "stopped gradient": lambda x: ops.stop_gradient(ops.relu(x)),
    "minimum of two": lambda x: ops.minimum(x, 0.3 - x[:, ::-1]),
    "quotient": lambda x: x / (1 + ops.abs(x[..., ::-1])),
    "ELU, alpha": lambda x: layers.ELU(0.5)(x),
    "PReLU": lambda x: layers.PReLU()(x),
    "ReLU, all options": lambda x: layers.ReLU(1.0, 0.1, 0.2)(x),
    "squeeze and excite": squeeze_and_excite,
    "attention": attention,
    "layer normalisation": lambda x: layers.LayerNormalization()(x),
    "group normalisation": lambda x: layers.GroupNormalization(2)(x),
    "softmax inside": lambda x: ops.softmax(x),
    "log softmax": lambda x: ops.log_softmax(x),
    "standard deviation": lambda x: ops.std(x, axis=-1),
    "cube": lambda x: x**3,
    "gated linear unit": lambda x: keras.activations.glu(x),
    "axes changed and back": lambda x: ops.transpose(ops.transpose(x, (1, 0, 2, 3)), (1, 0, 2, 3)) ** 2,
}
ACTIVATIONS = "leaky_relu elu selu silu gelu mish tanh sigmoid hard_sigmoid hard_silu softplus softsign exponential"
ACTIVATIONS += " celu log_sigmoid soft_shrink squareplus hard_tanh"


@pytest.mark.parametrize("name", BUILDS)
def test_deep_lift_sums_to_the_change_of_the_score_behind(name):
    model = of(BUILDS[name])
    x = models.examples(model, 4)
    assert gap(model, x, 0) < 1e-5
    assert gap(model, x, models.examples(model, 4, seed=2)) < 1e-5


@pytest.mark.parametrize("name", ACTIVATIONS.split())
def test_deep_lift_sums_to_the_change_of_the_score_with_activation(name):
    model = of(layers.Activation(name))
    x = models.examples(model, 4)
    assert gap(model, x, models.examples(model, 4, seed=2)) < 1e-5
    near = x + 1e-3 * models.examples(model, 4, seed=3)
    near[:, :4] = x[:, :4]  # where nothing moves, little moves, and both
    near[:, 7] = -x[:, 7]
    assert gap(model, x, near) < 1e-5


SHAPED = {
    "chain": lambda: models.cnn(),
    "batch norm": lambda: models.cnn(normalise=True),
    "residual": lambda: models.residual(),
    "nested": lambda: models.nested(),
    "subclassed": lambda: models.subclassed(),
    "signal": lambda: models.cnn(shape=models.SIGNAL),
    "hidden layer": lambda: models.cnn(head="hidden"),
    "float64": lambda: models.cnn(dtype="float64"),
    "sigmoid": lambda: models.cnn(classes=1, ending="sigmoid"),
}


@pytest.mark.parametrize("score", ["logit", "probability", "value"])
@pytest.mark.parametrize("name", SHAPED)
def test_deep_lift_sums_to_the_change_of_each_score(name, score):
    model = SHAPED[name]()
    given = models.IMAGE if name == "subclassed" else model
    x, start = models.examples(given, 3), models.examples(given, 3, seed=2)
    assert gap(model, x, start, score, targets=0) < 1e-5


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_deep_lift_sums_to_the_change_of_the_score_of_every_committed_network(path):
    model = xu.load_model(path)
    x = np.random.default_rng(0).uniform(0, 1, (3, *model.input_shape[1:])).astype(np.float32)
    assert gap(model, x, 0) < 1e-5
    assert gap(model, x, x[[1, 2, 0]]) < 1e-5


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "EfficientNetB0"])
def test_deep_lift_sums_to_the_change_of_the_score_of_a_large_network(name):
    subject = zoo.subject(name)
    assert gap(subject.models["float32"], subject.inputs, 0, targets=subject.targets) < 1e-5


def test_deep_lift_of_scores_of_ones_own_sums_to_their_change():
    model = models.cnn(ending="logits")
    x, start = models.examples(model, 3), models.examples(model, 3, seed=2)
    found = xu.deep_lift(model, x, baseline=start, score=xu.contrast(2, 0)).sum(axis=(1, 2, 3))
    z, w = (xu.Query(model, each, 0).all_scores() for each in (x, start))
    np.testing.assert_allclose(found, (z - w)[:, 2] - (z - w)[:, 0], rtol=1e-4, atol=1e-5)


def test_deep_lift_of_several_inputs_shares_the_change_among_all():
    image, meta = keras.Input((6, 6, 2), name="image"), keras.Input((3,), name="meta")
    x = layers.Flatten()(layers.Conv2D(3, 3, activation="relu")(image))
    x = layers.Concatenate()([x, layers.Dense(4, activation="tanh")(meta)])
    model = models.randomised(keras.Model([image, meta], layers.Dense(3)(layers.Dense(5, activation="relu")(x))))
    generator = np.random.default_rng(3)
    given = [generator.normal(size=(3, *shape)).astype(np.float32) for shape in ((6, 6, 2), (3,))]
    found = xu.deep_lift(model, given, 1, baseline={"image": 0.25, "meta": "zero"})
    start = [np.full_like(given[0], 0.25), np.zeros_like(given[1])]
    change = xu.scores(model, given, 1, score="logit") - xu.scores(model, start, 1, score="logit")
    total = found[0].sum(axis=(1, 2, 3)) + found[1].sum(axis=1)
    np.testing.assert_allclose(total, change, rtol=1e-4, atol=1e-5)
    alone = xu.deep_lift(model, given, 1, only="image", baseline=0.25)  # meta is held as it is
    change = xu.scores(model, given, 1, score="logit") - xu.scores(model, [start[0], given[1]], 1, score="logit")
    np.testing.assert_allclose(alone.sum(axis=(1, 2, 3)), change, rtol=1e-4, atol=1e-5)


# --- refused --------------------------------------------------------------------------------------------------

UNKNOWN = {
    "TopKV2": lambda x: ops.sort(layers.Flatten()(x)),
    "Prod": lambda x: ops.prod(x, axis=-1),
    "While": lambda x: layers.LSTM(3)(layers.Reshape((8, 24))(x)),
    "Round": lambda x: ops.round(x),
    "AddV2": lambda x: x + ops.cast(x > 0, "float32"),  # a step beside the way
    "Relu": lambda x: ops.transpose(ops.relu(ops.transpose(x, (1, 0, 2, 3))), (1, 0, 2, 3)),  # examples are no rows
    "MatMul": lambda x: ops.sum(ops.matmul(x[:, 0, 0], ops.transpose(x[:, 0, 0])), 1, True),  # mixes the examples
    "MatMul of rows": lambda x: ops.matmul(x[:, 0, 0], x[:, 0, 0]),  # as many examples as channels, mixed
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_deep_lift_refuses_by_name_what_has_no_rule(kind):
    model = of(UNKNOWN[kind])
    with pytest.raises(ValueError, match=f"without a rule for differences.*{kind.split()[0]} .*Cure: xu.integ"):
        xu.deep_lift(model, models.examples(model, 2))


def test_deep_lift_refuses_a_view_with_another_backward_rule():
    model = models.cnn()
    with pytest.raises(ValueError, match="ReLUs go back by another rule.*Cure: pass the model"):
        xu.deep_lift(xu.with_relu_rule(model, "guided"), models.examples(model, 2), 0)


def test_deep_lift_says_nothing_where_the_sum_comes_out():
    model = models.cnn()
    with warnings.catch_warnings():
        warnings.simplefilter("error", xu.XAIWarning)
        xu.deep_lift(model, models.examples(model, 2), 1)


def test_deep_lift_says_where_the_sum_does_not_come_out():
    """A step that only the condition of a choice sees: between constants no difference is left to pay for it."""
    model = of(lambda x: 0.1 * x + 3 * ops.where(x > 0, 1 + 0 * x, -1 + 0 * x))
    with pytest.warns(xu.XAIWarning, match="while its score changes by .* Cure: look for steps"):
        xu.deep_lift(model, models.examples(model, 3), 1, baseline=models.examples(model, 3, seed=2))
