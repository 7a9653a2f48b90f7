"""Relevance propagation against an independent reference, a hand-worked network, and the identities it must obey."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers
from relevance_reference import Network, Options

import xai_utils as xu
from models import examples, linear, linear_weights, randomised

IMAGE, SIGNAL, VOLUME = (5, 4, 2), (9, 2), (3, 4, 3, 1)
RULES = ("epsilon", "z_plus", "alpha_beta", "gamma", "flat", "w_square")
BIASES = ("split", "whole", "none")
CLASSES = 3


def chain(shape, *parts, seed=0):
    """Those layers one after the other, flattened into three scores, every weight and bias from the seed."""
    parts = [keras.Input(shape), *parts, layers.Flatten(), layers.Dense(CLASSES, name="scores")]
    return randomised(keras.Sequential(parts), seed)


def conv(name="conv", activation="relu", **options):
    return layers.Conv2D(3, 3, name=name, activation=activation, **options)


def residual():
    inputs = keras.Input(IMAGE)
    x = conv("stem", padding="same")(inputs)
    y = conv("first", padding="same")(x)
    y = layers.BatchNormalization(name="norm")(conv("second", activation=None, padding="same")(y))
    x = layers.ReLU()(layers.Add(name="add")([x, y]))
    return headed(inputs, layers.GlobalAveragePooling2D(name="gap")(x))


def concatenated():
    inputs = keras.Input(IMAGE)
    x = conv("stem", padding="same")(inputs)
    both = layers.Concatenate(name="both")([conv("left", padding="same")(x), layers.AveragePooling2D(1)(x)])
    return headed(inputs, layers.Flatten()(conv("after")(both)))


def nested():
    inner = keras.Input(IMAGE)
    trunk = keras.Model(inner, layers.MaxPooling2D(2)(conv("inside", padding="same")(inner)), name="trunk")
    inputs = keras.Input(IMAGE)
    return headed(inputs, layers.Flatten()(trunk(inputs)))


def shared():
    """One convolution twice in a row, then once more in another branch."""
    again, inputs = layers.Conv2D(2, 3, padding="same", activation="relu", name="again"), keras.Input(IMAGE)
    x = again(inputs)
    return headed(inputs, layers.Flatten()(layers.Add(name="add")([again(x), layers.MaxPooling2D(1)(x)])))


def normalised_apart():
    """The convolution is read twice, so the normalisation cannot be folded into it."""
    inputs = keras.Input(IMAGE)
    x = conv("stem", activation=None, padding="same")(inputs)
    y = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    return headed(inputs, layers.Flatten()(layers.Concatenate()([layers.ReLU()(x), y])))


def headed(inputs, x):
    return randomised(keras.Model(inputs, layers.Dense(CLASSES, name="scores")(x)), 0)


NETWORKS = {
    "dense": lambda: chain((6,), layers.Dense(5, activation="relu"), layers.Dense(4, activation="relu")),
    "valid": lambda: chain(IMAGE, conv()),
    "same": lambda: chain(IMAGE, conv(padding="same"), conv("next", padding="same")),
    "strided": lambda: chain(IMAGE, conv(padding="same", strides=2), conv("next", padding="same")),
    "dilated": lambda: chain(IMAGE, conv(padding="same", dilation_rate=2)),
    "grouped": lambda: chain(IMAGE, layers.Conv2D(4, 3, groups=2, activation="relu", name="conv")),
    "without_bias": lambda: chain(IMAGE, conv(use_bias=False), layers.LeakyReLU(0.2)),
    "signal": lambda: chain(SIGNAL, layers.Conv1D(4, 3, strides=2, padding="same", activation="relu", name="conv")),
    "depthwise": lambda: chain(IMAGE, layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu", name="conv")),
    "separable": lambda: chain(IMAGE, layers.SeparableConv2D(3, 3, padding="same", activation="relu", name="conv")),
    "transposed": lambda: chain((3, 2, 2), layers.Conv2DTranspose(2, 3, strides=2, activation="relu", name="conv")),
    "volume": lambda: chain(VOLUME, layers.Conv3D(2, 2, padding="same", activation="relu", name="conv")),
    "norm_after": lambda: chain(
        IMAGE, conv(activation=None), layers.BatchNormalization(), layers.ReLU(), conv("b", padding="same")
    ),
    "norm_apart": normalised_apart,
    "norm_first": lambda: chain(IMAGE, layers.BatchNormalization(name="norm"), conv(padding="same")),
    "maximum": lambda: chain(IMAGE, conv(padding="same", activation=None), layers.MaxPooling2D(2, padding="same")),
    "average": lambda: chain(IMAGE, conv(padding="same", activation=None), layers.AveragePooling2D(2, padding="same")),
    "padded": lambda: chain(IMAGE, layers.ZeroPadding2D(1), conv(), layers.Cropping2D(1), layers.UpSampling2D(2)),
    "residual": residual,
    "concatenated": concatenated,
    "nested": nested,
    "shared": shared,
}
OF_BIASES = ("dense", "same", "norm_after", "residual")


@pytest.fixture(scope="module")
def network():
    """The network of a name, its inputs and their classes; each is made once. Half of the scores are negative."""
    made = {}

    def get(name):
        if name not in made:
            model = NETWORKS[name]()
            inputs = examples(model, 4)
            scores = np.asarray(model(inputs))
            made[name] = model, inputs, np.where([True, False, True, False], scores.argmax(1), scores.argmin(1))
        return made[name]

    return get


def reference(model, inputs, targets, rule, fold=True, **options):
    taken = [Network(model, item, fold) for item in inputs]
    return np.stack([one.map(c, rule, Options(**options)) for one, c in zip(taken, targets, strict=True)])


def assert_same(found, wanted, tolerance=2e-5):
    """The largest difference of an input in units of its largest value."""
    assert found.shape == wanted.shape
    for ours, theirs in zip(np.asarray(found, np.float64), wanted, strict=True):
        assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


# --- every rule on every shape ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_rule_is_its_loop_over_neurons(network, name, rule):
    model, inputs, targets = network(name)
    found = xu.lrp(model, inputs, targets, rule=rule, epsilon=0)
    assert_same(found, reference(model, inputs, targets, rule))


@pytest.mark.parametrize("bias", BIASES[1:])
@pytest.mark.parametrize("rule", RULES[:4])
@pytest.mark.parametrize("name", OF_BIASES)
def test_every_treatment_of_biases_is_its_loop_over_neurons(network, name, rule, bias):
    model, inputs, targets = network(name)
    found = xu.lrp(model, inputs, targets, rule=rule, epsilon=0, bias=bias)
    assert_same(found, reference(model, inputs, targets, rule, bias=bias), 1e-4)


def first_weights(model):
    return next(layer.name for layer in model.layers if layer.weights)


@pytest.mark.parametrize("name", ["valid", "dilated", "signal", "dense"])
def test_the_box_below_is_its_loop_over_neurons(network, name):
    """z_plus above it as "z_box", LRP-0 above it in a mapping; the bounds lie outside of every input."""
    model, inputs, targets = network(name)
    box = {"low": float(inputs.min()) - 0.5, "high": float(inputs.max()) + 1}
    first = first_weights(model)
    for rule, above in (("z_box", "z_plus"), ({first: "z_box"}, "epsilon")):
        found = xu.lrp(model, inputs, targets, rule=rule, epsilon=0, **box)
        by_layer = lambda layer, above=above: "z_box" if layer.name == first else above  # noqa: E731
        assert_same(found, reference(model, inputs, targets, by_layer, **box))


def test_a_box_may_have_bounds_for_each_channel(network):
    model, inputs, targets = network("same")
    low, high = np.array([-5.0, -4]), np.array([6.0, 4.5])
    found = xu.lrp(model, inputs, targets, rule="z_box", epsilon=0, low=low, high=high)
    box = {"low": np.tile(low, 20), "high": np.tile(high, 20)}
    by_layer = lambda layer: "z_box" if layer.name == "conv" else "z_plus"  # noqa: E731
    assert_same(found, reference(model, inputs, targets, by_layer, **box))


COMPOSITES = {
    "epsilon_plus": ("z_plus", "z_plus"),
    "epsilon_plus_flat": ("flat", "z_plus"),
    "epsilon_gamma_box": ("z_box", "gamma"),
    "epsilon_alpha2_beta1": ("alpha_beta", "alpha_beta"),
}


@pytest.mark.parametrize("name", ["same", "signal", "residual", "separable"])
@pytest.mark.parametrize("rule", COMPOSITES)
def test_a_composite_is_one_rule_below_one_in_convolutions_one_in_dense_layers(network, rule, name):
    model, inputs, targets = network(name)
    below, inside = COMPOSITES[rule]
    first, box = first_weights(model), {"low": -5.0, "high": 5.0}

    def by_layer(layer):
        return below if layer.name == first else inside if layer.kind.endswith("Conv") else "epsilon"

    found = xu.lrp(model, inputs, targets, rule=rule, epsilon=0, **box)
    assert_same(found, reference(model, inputs, targets, by_layer, **box))


def test_a_rule_for_a_name_a_layer_or_whatever_fits(network):
    """The first key that fits counts, and epsilon for the rest."""
    model, inputs, targets = network("same")
    inside = {"conv": "flat", "next": "gamma"}
    wanted = reference(model, inputs, targets, lambda layer: inside.get(layer.name, "epsilon"))
    is_convolution = lambda layer: isinstance(layer, layers.Conv2D)  # noqa: E731
    for rule in (inside, {model.get_layer("conv"): "flat", is_convolution: "gamma"}):
        assert_same(xu.lrp(model, inputs, targets, rule=rule, epsilon=0), wanted)
    gamma_first = xu.lrp(
        model, inputs, targets, rule={is_convolution: "gamma", lambda layer: True: "z_plus"}, epsilon=0
    )
    by_kind = lambda layer: "gamma" if layer.kind == "Conv" else "z_plus"  # noqa: E731
    assert_same(gamma_first, reference(model, inputs, targets, by_kind))


# --- inner layers, channels, the ledger ---------------------------------------------------------------------------

INNER = {"same": "conv", "residual": "first", "concatenated": "left"}


@pytest.mark.parametrize("rule", ["epsilon", "z_plus", "gamma"])
@pytest.mark.parametrize("name", ["same", "residual", "concatenated"])
def test_the_relevance_of_an_inner_layer_and_what_flows_through_its_channels(network, name, rule):
    """At the layer itself; through one channel; and all channels make up the whole map."""
    model, inputs, targets = network(name)
    layer, options = INNER[name], {"rule": rule, "epsilon": 0}
    taken = list(zip([Network(model, item) for item in inputs], targets, strict=True))
    wanted = np.stack([one.map(c, rule, at=layer) for one, c in taken])
    assert_same(xu.lrp(model, inputs, targets, relevance_at=layer, **options), wanted)
    through = [xu.lrp(model, inputs, targets, through=(layer, [channel]), **options) for channel in range(3)]
    for channel, found in enumerate(through):
        wanted = np.stack([one.map(c, rule, through=(layer, [channel])) for one, c in taken])
        assert np.abs(found - wanted).max() <= 2e-5 * np.abs(through).max()
    every = xu.lrp(model, inputs, targets, through=(layer, [0, 1, 2]), **options)
    np.testing.assert_allclose(sum(through), every, atol=2e-5 * np.abs(every).max())


def test_all_channels_of_the_only_way_make_up_the_whole_map(network):
    model, inputs, targets = network("same")
    parts = [xu.lrp(model, inputs, targets, rule="epsilon_plus", through=("conv", [c])) for c in range(3)]
    assert_same(sum(parts), xu.lrp(model, inputs, targets, rule="epsilon_plus").astype(float))


LEDGERS = [("dense", bias) for bias in BIASES]
LEDGERS += [(name, "split") for name in ("residual", "norm_apart", "average", "shared", "signal")]


@pytest.mark.parametrize("rule", [*RULES, "epsilon_plus", "epsilon_alpha2_beta1"])
@pytest.mark.parametrize(("name", "bias"), LEDGERS)
def test_the_ledger_closes(network, name, rule, bias):
    """Each row, and the score: what arrived is what was passed on and what was taken."""
    model, inputs, targets = network(name)
    found, ledger = xu.lrp(model, inputs, targets, rule=rule, bias=bias, epsilon=1e-3, ledger=True)
    S = xu.scores(model, inputs, targets, score="logit")
    size = np.abs(S) + sum(np.abs(row.arrived) for row in ledger)
    taken = 0
    for row in ledger:
        assert (np.abs(row.arrived - row.passed - row.biases - row.epsilon - row.lost) <= 1e-5 * size).all()
        taken = taken + row.biases + row.epsilon + row.lost
    assert (np.abs(S - found.reshape(len(S), -1).sum(axis=1) - taken) <= 1e-5 * size).all()
    np.testing.assert_array_equal(found, xu.lrp(model, inputs, targets, rule=rule, bias=bias, epsilon=1e-3))


def test_the_ledger_of_the_hand_net():
    """S = 3. Score: 4 - 1/2 arrive below, the bias -1/2 took its share. Hidden: 2 arrive, the biases 1 + 1/2."""
    x = np.array([[1, 2]], "float32")
    _, ledger = xu.lrp(hand(biases=True), x, 0, rule="epsilon", epsilon=0, ledger=True, score="value")
    rows = {row.layer: [row.arrived[0], row.passed[0], row.biases[0], row.epsilon[0], row.lost[0]] for row in ledger}
    np.testing.assert_allclose(rows["score"], [3, 3.5, -0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(rows["hidden"], [3.5, 2, 1.5, 0, 0], atol=1e-6)


def test_the_ledger_says_what_epsilon_took_and_what_a_rule_lost():
    """Epsilon 1/2: 2/3 of 2 taken at the score. Alpha 2, beta 1: one hidden neuron has no negative part, 4 made."""
    x = np.array([[1, 2]], "float32")
    _, ledger = xu.lrp(hand(), x, 0, rule="epsilon", epsilon=0.5, ledger=True, score="value")
    top = next(row for row in ledger if row.layer == "score")
    np.testing.assert_allclose([top.arrived[0], top.passed[0], top.epsilon[0]], [2, 4 / 3, 2 / 3], rtol=1e-5)
    found, ledger = xu.lrp(hand(), x, 0, rule="alpha_beta", epsilon=0, ledger=True, score="value")
    rows = {row.layer: [row.arrived[0], row.passed[0], row.lost[0]] for row in ledger}
    np.testing.assert_allclose(rows["score"], [2, 2, 0], atol=1e-5)
    np.testing.assert_allclose(rows["hidden"], [2, 6, -4], atol=1e-5)


# --- a network worked by hand -------------------------------------------------------------------------------------
#
# x = (1, 2), W = [[1, -1], [1, 1]], w = (1, -1): h = (3, 1), S = 2. With x = (-1, 2): h = (1, 3), S = -2.
# With biases (1, -1/2) and -1/2, x = (1, 2): h = (4, 1/2), S = 3.

HAND = [
    ((1, 2), "epsilon", (2, 0)),
    ((1, 2), "z_plus", (2 / 3, 4 / 3)),
    ((1, 2), "gamma", (8 / 7, 6 / 7)),
    ((1, 2), "alpha_beta", (14 / 3, 4 / 3)),
    ((1, 2), {"hidden": "z_box"}, (0.5, 1.5)),
    ((1, 2), {"hidden": "flat"}, (1, 1)),
    ((1, 2), {"hidden": "w_square"}, (1, 1)),
    ((-1, 2), "epsilon", (-2, 0)),
    ((-1, 2), "z_plus", (0, -2)),
    ((-1, 2), "gamma", (-8 / 7, -6 / 7)),
    ((-1, 2), "alpha_beta", (16 / 3, -16 / 3)),
]
HAND_WITH_BIASES = [
    ("epsilon", "split", (2, 0)),
    ("epsilon", "whole", (2, 0)),
    ("epsilon", "none", (11 / 7, 10 / 7)),
    ("z_plus", "split", (3 / 4, 3 / 2)),
    ("z_plus", "whole", (6 / 7, 12 / 7)),
    ("z_plus", "none", (1, 2)),
    ("alpha_beta", "split", (4, 3)),
    ("gamma", "split", (1.1, 1.2)),
]


def hand(biases=False):
    inputs = keras.Input((2,))
    x = layers.Dense(2, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(1, name="score")(x))
    b, c = ([1, -0.5], [-0.5]) if biases else ([0, 0], [0])
    model.set_weights([np.array(each, float) for each in ([[1, -1], [1, 1]], b, [[1], [-1]], c)])
    return model


def by_loops(model, inputs, targets=None, *, rule, **options):
    """The reference with the signature of `xu.lrp`, so that one table of numbers judges both."""
    named = rule if isinstance(rule, str) else lambda layer: rule.get(layer.name, "epsilon")
    return reference(model, inputs, np.zeros(len(inputs), int), named, **options)


@pytest.fixture(params=["the reference", "the method"])
def explain(request):
    return by_loops if request.param == "the reference" else partial(xu.lrp, score="value")


@pytest.mark.parametrize(("x", "rule", "wanted"), HAND)
def test_the_hand_net(explain, x, rule, wanted):
    found = explain(hand(), np.array([x], "float32"), 0, rule=rule, epsilon=0, gamma=0.5, low=0, high=3)
    np.testing.assert_allclose(found[0], wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("rule", "bias", "wanted"), HAND_WITH_BIASES)
def test_the_hand_net_with_biases(explain, rule, bias, wanted):
    found = explain(hand(biases=True), np.array([[1, 2]], "float32"), 0, rule=rule, epsilon=0, gamma=0.5, bias=bias)
    np.testing.assert_allclose(found[0], wanted, rtol=1e-6, atol=1e-6)


def test_epsilon_is_in_units_of_the_size_of_each_layer_by_hand(explain):
    """Score: z = 2, of size 2. Hidden: z = (3, 1), of size sqrt 5. An item beside it changes nothing."""
    found = explain(hand(), np.array([[1, 2], [100, -50]], "float32"), 0, rule="epsilon", epsilon=0.5)
    top = 2 / (2 + 0.5 * 2) * np.array([3, -1])
    first, second = top / (np.array([3, 1]) + 0.5 * np.sqrt(5))
    np.testing.assert_allclose(found[0], [first - second, 2 * first + 2 * second], rtol=1e-6)


def test_two_branches_share_by_what_they_add_by_hand(explain):
    """x1 - 3 x2 as a sum of two branches, at (1, 1): S = -2, once and not twice; z_plus goes where it is positive."""
    inputs = keras.Input((2,))
    one, other = (layers.Dense(1, use_bias=False)(inputs) for _ in range(2))
    model = keras.Model(inputs, layers.Add()([one, other]))
    model.set_weights([np.array([[1.0], [0]]), np.array([[0], [-3.0]])])
    x = np.ones((1, 2), "float32")
    np.testing.assert_allclose(explain(model, x, 0, rule="epsilon", epsilon=0), [[1, -3]], atol=1e-6)
    np.testing.assert_allclose(explain(model, x, 0, rule="z_plus", epsilon=0), [[-2, 0]], atol=1e-6)


def test_a_skipped_branch_is_not_counted_twice_by_hand(explain):
    """x + 3 x at 1: 4, not 8."""
    inputs = keras.Input((1,))
    model = keras.Model(inputs, layers.Add()([inputs, layers.Dense(1, use_bias=False)(inputs)]))
    model.set_weights([np.array([[3.0]])])
    for rule in ("epsilon", "z_plus", "gamma"):
        np.testing.assert_allclose(
            explain(model, np.ones((1, 1), "float32"), 0, rule=rule, epsilon=0), [[4]], rtol=1e-6
        )


# --- LRP-0 is gradient x input, and where it is not ---------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_without_epsilon_it_is_gradient_x_input(network, name):
    """ReLU, leaky ReLU, the winner of a maximum, normalisations, additions: with their biases."""
    model, inputs, targets = network(name)
    found = xu.lrp(model, inputs, targets, rule="epsilon", epsilon=0)
    assert_same(found, xu.gradient_x_input(model, inputs, targets).astype(float))


def one_number(after):
    """A network of one number: `after` what a layer makes of it."""
    inputs = keras.Input((1,))
    return keras.Model(inputs, after(inputs, lambda: layers.Dense(1, use_bias=False)))


def test_a_saturated_relu6_passes_relevance_and_no_gradient(explain):
    """x = 2, w = 4: S = 6, all of it is relevance of x; the gradient is 0."""
    model = one_number(lambda x, dense: layers.ReLU(6)(dense()(x)))
    model.set_weights([np.array([[4.0]])])
    x = np.array([[2.0]], "float32")
    np.testing.assert_allclose(explain(model, x, 0, rule="epsilon", epsilon=0), [[6]], rtol=1e-6)
    assert xu.gradient_x_input(model, x, 0, score="value")[0, 0] == 0


def test_a_gate_is_a_constant():
    """S = x sigmoid(x), all of it relevance of x through the factor that is gated; the gradient sees the gate too."""

    def gated(x, dense):
        return layers.Multiply()([dense()(x), layers.Activation("sigmoid")(dense()(x))])

    model, x = one_number(gated), np.array([[2.0]], "float32")
    model.set_weights([np.array([[1.0]])] * 2)
    S, open_by = 2 / (1 + np.exp(-2)), 1 / (1 + np.exp(-2))
    np.testing.assert_allclose(xu.lrp(model, x, 0, rule="epsilon", epsilon=0, score="value"), [[S]], rtol=1e-6)
    gradient = xu.gradient_x_input(model, x, 0, score="value")
    np.testing.assert_allclose(gradient, [[S + 4 * open_by * (1 - open_by)]], rtol=1e-5)


# --- closed forms -------------------------------------------------------------------------------------------------


def test_on_a_linear_score_every_rule_has_a_closed_form():
    model = linear()
    x = examples(model)
    w, b = linear_weights(model)[1], float(model.layers[-1].bias[1])
    S = x.reshape(len(x), -1) @ w.ravel() + b
    S = S.reshape(-1, 1, 1, 1).astype(float)
    low, high = x.min() - 1, x.max() + 1
    box = x * w - low * np.maximum(w, 0) - high * np.minimum(w, 0)
    positive = np.maximum(x * w, 0)
    wanted = {
        "epsilon": x * w,
        "w_square": S * w**2 / (w**2).sum(),
        "flat": np.broadcast_to(S / w.size, x.shape),
        "z_box": S * box / box.sum(axis=(1, 2, 3), keepdims=True),
        "z_plus": S * positive / (positive.sum(axis=(1, 2, 3), keepdims=True) + max(b, 0)),
    }
    for rule, maps in wanted.items():
        assert_same(xu.lrp(model, x, 1, rule=rule, epsilon=0, low=low, high=high), maps)


def test_flat_counts_no_padding_by_hand(explain):
    """Three numbers, a window of three: the ends have two neighbours and share in halves, the middle in thirds."""
    model = keras.Sequential(
        [
            keras.Input((3, 1)),
            layers.Conv1D(1, 3, padding="same", use_bias=False),
            layers.Flatten(),
            layers.Dense(1, use_bias=False),
        ]
    )
    model.set_weights([np.array([1.0, -2, 3]).reshape(3, 1, 1), np.array([[1.0], [2], [3]])])
    x = np.array([[[1.0], [5], [2]]], "float32")
    S = float(model(x)[0, 0])
    np.testing.assert_allclose(explain(model, x, 0, rule="flat")[0, :, 0], S * np.array([5, 8, 5]) / 18, rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_a_normalisation_in_the_weights_or_after_them_is_one_function_and_one_map(rule):
    """The same convolution, its scale and shift once in a layer of their own and once in its kernel and bias."""
    apart = NETWORKS["norm_after"]()
    first, norm = apart.layers[0], apart.layers[1]
    scale = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    kernel, bias = (np.asarray(each) for each in first.get_weights())
    inside = chain(IMAGE, conv(), conv("b", padding="same"))
    bias = (bias - np.asarray(norm.moving_mean)) * scale + np.asarray(norm.beta)
    inside.set_weights([kernel * scale, bias, *apart.get_weights()[6:]])
    inputs = examples(apart, 4)
    assert_same(inside(inputs).numpy(), apart(inputs).numpy().astype(float))
    found = [xu.lrp(model, inputs, [0, 1, 2, 0], rule=rule, epsilon=0) for model in (apart, inside)]
    assert_same(found[0], found[1].astype(float))


CHAINS = ("dense", "valid", "same", "strided", "dilated", "grouped", "signal", "separable", "volume", "norm_after")


@pytest.mark.parametrize("name", CHAINS)
def test_z_plus_has_the_sign_of_the_score_on_chains(network, name):
    model, inputs, targets = network(name)
    S = xu.scores(model, inputs, targets, score="logit")
    found = xu.lrp(model, inputs, targets, rule="z_plus").reshape(len(S), -1)
    assert {1, -1} == set(np.sign(S))
    assert (found * np.sign(S)[:, None] >= 0).all() and (np.abs(found).sum(axis=1) > 0).all()


@pytest.mark.parametrize("rule", RULES)
def test_dead_neurons_take_nothing_and_break_nothing(rule):
    """A filter of zeros, an input of zeros: 0 / 0 is 0."""
    model = NETWORKS["same"]()
    kernel, bias, *others = model.get_weights()
    kernel[..., 0], bias[0] = 0, 0
    model.set_weights([kernel, bias, *others])
    inputs = examples(model, 3)
    inputs[1], inputs[2, :2] = 0, 0
    found = xu.lrp(model, inputs, [0, 1, 2], rule=rule, epsilon=0)
    assert np.isfinite(found).all()
    assert_same(found, reference(model, inputs, [0, 1, 2], rule))


@pytest.mark.parametrize("rule", RULES)
def test_an_input_alone_is_explained_as_in_a_batch(network, rule):
    model, inputs, targets = network("residual")
    together = xu.lrp(model, inputs, targets, rule=rule, epsilon=0.1)
    for item in range(len(inputs)):
        alone = xu.lrp(model, inputs[item : item + 1], targets[item : item + 1], rule=rule, epsilon=0.1)
        assert_same(alone, together[item : item + 1].astype(float), 1e-5)
