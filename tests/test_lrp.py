"""Oracles of relevance propagation: a network worked by hand, gradient x input, and a ledger that must close."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import models
import xai_utils as xu
from heatproof.engine import linear

LAYERS = ("epsilon", "z_plus", "gamma", "alpha_beta", "flat", "w_square", "z_box")
COMPOSITES = ("epsilon_plus", "epsilon_gamma_box", "epsilon_plus_flat", "epsilon_alpha2_beta1")
BOX = {"low": -9, "high": 9}


def hand(weights=((1, -1), (1, 1)), last=((1,), (-1,)), bias=(0, 0)):
    """x -> ReLU(x W + b) -> w2, with the layers named first and last."""
    inputs = keras.Input((1, 2))
    first = layers.Dense(2, activation="relu", name="first")
    outputs = layers.Dense(1, use_bias=False, name="last")(first(layers.Flatten()(inputs)))
    first.set_weights([np.array(weights, float), np.array(bias, float)])
    model = keras.Model(inputs, outputs)
    model.get_layer("last").set_weights([np.array(last, float)])
    return model


def of_hand(x, model=None, **options):
    """The relevance of (x1, x2) for the one output of the network."""
    model = model or hand()
    return xu.lrp(model, np.array([[x]], np.float32), 0, **{"score": "value", "epsilon": 0, **options}).ravel()


@functools.cache
def network(name):
    """A small network of every kind of operation that relevance passes."""
    if name == "chain":
        return models.cnn(ending="logits")
    if name == "signal":
        return models.cnn(models.SIGNAL, head="gap", activation="leaky_relu", normalise=True)
    if name == "residual":
        return models.residual()
    if name == "nested":
        return models.nested()
    build, shape = BUILT[name]
    inputs = keras.Input(shape)
    return models.randomised(keras.Model(inputs, layers.Dense(3, name="scores")(layers.Flatten()(build(inputs)))))


def separable(x):
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, dilation_rate=2, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return layers.ReLU()(layers.BatchNormalization()(layers.SeparableConv2D(5, 3)(x)))


def grouped(x):
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3, groups=2, strides=2)(x)))
    return layers.ReLU()(layers.BatchNormalization()(layers.Conv2DTranspose(4, 3, strides=2)(x)))


def branching(x):
    a = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    b = layers.ZeroPadding2D(1)(layers.Cropping2D(1)(a))
    c = layers.UpSampling2D(2, interpolation="bilinear")(layers.AveragePooling2D(2)(a))
    turned = layers.PReLU()(layers.Permute((2, 1, 3))(a))
    parts = [a, layers.Subtract()([b, c]), layers.Maximum()([a, b]), layers.Average()([a, b, c]), turned]
    return layers.Conv2D(3, 1, activation="relu")(layers.Concatenate()(parts))


def normalised_apart(x):
    """BatchNorms that no linear layer takes in: behind a pool, and in front of a padded convolution."""
    x = layers.MaxPooling2D(2)(layers.Conv2D(4, 3, activation="relu")(layers.BatchNormalization()(x)))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return layers.Conv2D(4, 3, padding="same", activation="relu")(x)


def tokens(x):
    x = layers.EinsumDense("abc,cd->abd", output_shape=(12, 5), bias_axes="d")(layers.Dense(5, activation="relu")(x))
    return layers.Conv1DTranspose(3, 3, strides=2)(layers.ReLU()(layers.BatchNormalization()(x)))


def called_twice(x):
    shared = layers.Conv2D(4, 3, padding="same", activation="relu")
    return shared(shared(x))


BUILT = {
    "separable": (separable, (8, 8, 4)),
    "grouped": (grouped, (8, 8, 4)),
    "branching": (branching, (8, 8, 4)),
    "normalised apart": (normalised_apart, (8, 8, 4)),
    "tokens": (tokens, (12, 4)),
    "called twice": (called_twice, (8, 8, 4)),
    "broadcast": (lambda x: layers.ReLU()(x + keras.ops.mean(x, (1, 2), keepdims=True)), (8, 8, 4)),
    "subtracted": (lambda x: layers.ReLU()(layers.Conv2D(4, 3)(x) - 0.3), (8, 8, 4)),
    "volume": (lambda x: layers.AveragePooling3D(2)(layers.Conv3D(3, 3, activation="relu")(x)), (6, 6, 6, 2)),
}
NETWORKS = ("chain", "signal", "residual", "nested", *BUILT)


def near(found, wanted, tolerance=1e-5):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


# --- the network worked by hand --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "options", "wanted"),
    [
        ((1, 2), {}, (2, 0)),
        ((1, 2), {"rule": "z_plus"}, (2 / 3, 4 / 3)),
        ((1, 2), {"rule": "gamma", "gamma": 0.5}, (8 / 7, 6 / 7)),
        ((1, 2), {"rule": "gamma", "gamma": 0}, (2, 0)),
        ((1, 2), {"rule": "alpha_beta"}, (14 / 3, 4 / 3)),
        ((1, 2), {"rule": "alpha_beta", "alpha": 3, "beta": 2}, (14, 0)),
        ((1, 2), {"rule": {"first": "z_box"}, "low": 0, "high": 3}, (0.5, 1.5)),
        ((1, 2), {"rule": {"first": "flat"}}, (1, 1)),
        ((-1, 2), {}, (-2, 0)),
        ((-1, 2), {"rule": "z_plus"}, (0, -2)),
        ((-1, 2), {"rule": "gamma", "gamma": 0.5}, (-8 / 7, -6 / 7)),
        ((-1, 2), {"rule": "alpha_beta"}, (16 / 3, -16 / 3)),
    ],
)
def test_lrp_of_the_network_worked_by_hand(x, options, wanted):
    np.testing.assert_allclose(of_hand(x, **options), wanted, atol=1e-6)


def test_w_square_by_hand():
    """One neuron of weights 3 and 1: its relevance of 5 goes 9 to 1."""
    model = hand(((3, 0), (1, 0)), ((1,), (0,)))
    np.testing.assert_allclose(of_hand((1, 2), model, rule={"first": "w_square"}), (4.5, 0.5), atol=1e-6)
    np.testing.assert_allclose(of_hand((1, 2), model, rule={"first": "flat"}), (2.5, 2.5), atol=1e-6)


@pytest.mark.parametrize(
    ("rule", "bias", "wanted"),
    [  # x = (2, 1), w = (3, -1), b = 1: z = 6 = 6 - 1 + 1
        ("epsilon", "split", (6, -1)),
        ("epsilon", "whole", (6, -1)),
        ("epsilon", "none", (36 / 5, -6 / 5)),
        ("z_plus", "split", (36 / 7, 0)),
        ("z_plus", "whole", (36 / 7, 0)),
        ("z_plus", "none", (6, 0)),
        ("alpha_beta", "split", (72 / 7, -6)),
        ("alpha_beta", "none", (12, -6)),
        ("gamma", "split", (9 * 6 / 9.5, -6 / 9.5)),
        ("gamma", "whole", (9 * 6 / 9, -6 / 9)),
        ("gamma", "none", (9 * 6 / 8, -6 / 8)),
    ],
)
def test_the_bias_takes_its_share(rule, bias, wanted):
    model = hand(((3, 0), (-1, 0)), ((1,), (0,)), (1, 0))
    found = of_hand((2, 1), model, rule={"first": rule, "last": "epsilon"}, bias=bias, gamma=0.5)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_negative_bias_counts_with_the_negative_part():
    """x = (2, 1), w = (3, -1), b = -1: the parts are 6 and -1 - 1; for "whole" 6 - 1 and -1 - 1."""
    model = hand(((3, 0), (-1, 0)), ((1,), (0,)), (-1, 0))
    split = of_hand((2, 1), model, rule={"first": "alpha_beta", "last": "epsilon"})
    whole = of_hand((2, 1), model, rule={"first": "alpha_beta", "last": "epsilon"}, bias="whole")
    np.testing.assert_allclose(split, (8, -2), rtol=1e-5)
    np.testing.assert_allclose(whole, (2 * 4 * 6 / 5, -2), rtol=1e-5)


@pytest.mark.parametrize(("bias", "wanted"), [("split", (6, -1)), ("none", (18 / 5, -3 / 5))])
def test_lrp_takes_what_is_subtracted_behind_a_layer_for_its_bias(bias, wanted):
    """x = (2, 1), w = (3, -1), then - 2: z = 6 - 1 - 2; without the bias 6 and -1 share S = 3 in the ratio of 5."""
    entry = layers.Input((2,))
    model = keras.Model(entry, layers.Dense(1, use_bias=False, name="d")(entry) - 2.0)
    model.get_layer("d").set_weights([np.array([[3.0], [-1.0]])])
    near(xu.lrp(model, np.array([[2.0, 1.0]]), score="value", epsilon=0, bias=bias)[0], np.array(wanted))


def test_epsilon_is_relative_to_the_size_of_z():
    """z = (3, 1) and 2: the root mean squares are sqrt(5) and 2; the first relevances are 2 * 3 / 2.2, -2 / 2.2."""
    e = 0.1 * np.sqrt(5)
    top = 2 / (2 + 0.2)
    into = np.array([3, -1]) * top / np.array([3 + e, 1 + e])
    wanted = np.array([1, 2]) * (np.array([[1, -1], [1, 1]]) @ into)
    np.testing.assert_allclose(of_hand((1, 2), epsilon=0.1), wanted, rtol=1e-5)
    into = np.array([1, -3]) * (-2 / (-2 - 0.2)) / np.array([1 + e, 3 + e])  # z = (1, 3) and -2: epsilon has its sign
    wanted = np.array([-1, 2]) * (np.array([[1, -1], [1, 1]]) @ into)
    np.testing.assert_allclose(of_hand((-1, 2), epsilon=0.1), wanted, rtol=1e-5)


# --- LRP-0 is gradient x input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_lrp_0_is_gradient_x_input(name):
    model = network(name)
    x = models.examples(model, 3)
    near(xu.lrp(model, x, 1, epsilon=0), xu.gradient_x_input(model, x, 1), 1e-4)


def test_lrp_0_is_not_gradient_x_input_where_a_relu6_saturates():
    inputs = keras.Input((2, 1))
    outputs = layers.Flatten()(layers.ReLU(6)(layers.Conv1D(1, 1, use_bias=False)(inputs)))
    model = keras.Model(inputs, outputs)
    model.layers[1].set_weights([np.full((1, 1, 1), 4.0)])
    x = np.array([[[2], [1]]], np.float32)
    assert xu.lrp(model, x, 0, score="value", epsilon=0).ravel().tolist() == [6, 0]
    assert xu.gradient_x_input(model, x, 0, score="value").ravel().tolist() == [0, 0]


def test_a_gate_counts_as_a_constant():
    """S = w . (x sigmoid(v . x)): all of it goes to the signal x, w x sigmoid."""
    inputs = keras.Input((1, 4))
    gate = layers.Dense(4, activation="sigmoid")(inputs)
    model = models.randomised(keras.Model(inputs, layers.Dense(1)(layers.Flatten()(layers.Multiply()([gate, inputs])))))
    x = models.examples(model, 3)
    shut = keras.Model(inputs, gate)(x).numpy()
    wanted = x * shut * model.layers[-1].kernel.numpy().ravel()
    near(xu.lrp(model, x, 0, score="value", epsilon=0), wanted)


@pytest.mark.parametrize("activation", ["silu", "gelu", "mish", "hard_silu", "elu", "selu", "softplus", "tanh"])
def test_an_activation_passes_relevance_as_it_is(activation):
    inputs = keras.Input((1, 4))
    last = layers.Dense(1, use_bias=False)
    middle = layers.Activation(activation)(inputs)
    model = models.randomised(keras.Model(inputs, last(layers.Flatten()(middle))))
    x = models.examples(model, 3)
    given = keras.Model(inputs, middle)(x).numpy()
    near(xu.lrp(model, x, 0, score="value", epsilon=0), given * last.kernel.numpy().ravel())


# --- the ledger ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [*LAYERS, "epsilon_gamma_box"])
@pytest.mark.parametrize("name", ["chain", "residual", "separable", "normalised apart", "tokens", "nested"])
def test_the_ledger_closes(name, rule):
    model = network(name)
    x = models.examples(model, 3)
    bias = ("split", "whole", "none")[LAYERS.index(rule) % 3 if rule in LAYERS else 0]
    maps, rows = xu.lrp(model, x, 1, rule=rule, bias=bias, epsilon=0.01, ledger=True, **BOX)
    scale = max(np.abs(row[2:]).max() for row in rows)
    for row in rows:
        assert np.abs(row.arrived - row.passed - row.biases - row.epsilon - row.lost).max() <= 1e-5 * scale
    taken = sum(row.biases + row.epsilon + row.lost for row in rows)
    S = xu.scores(model, x, 1, score="logit")
    np.testing.assert_allclose(maps.reshape(3, -1).sum(axis=1) + taken, S, rtol=0, atol=1e-5 * scale)
    np.testing.assert_allclose(rows[0].arrived, S, rtol=1e-5)


def test_the_ledger_tells_who_took_what():
    model = hand(((3, 0), (-1, 0)), ((1,), (0,)), (1, 0))
    x = np.array([[[2, 1]]], np.float32)
    options = {"score": "value", "epsilon": 0, "ledger": True}
    _, (last, first) = xu.lrp(model, x, 0, rule={"first": "alpha_beta"}, **options)
    assert (last.layer, last.rule, first.layer, first.rule) == ("last", "epsilon", "first", "alpha_beta")
    np.testing.assert_allclose(np.ravel(last[2:]), (6, 6, 0, 0, 0), atol=1e-5)
    np.testing.assert_allclose(np.ravel(first[2:]), (6, 72 / 7 - 6, 12 / 7, 0, 0), atol=1e-5)
    _, (last, _) = xu.lrp(model, x, 0, **options | {"epsilon": 0.5})
    np.testing.assert_allclose(np.ravel(last[2:]), (6, 4, 0, 2, 0), atol=1e-5)
    _, rows = xu.lrp(hand(), np.array([[[1, 2]]], np.float32), 0, rule="alpha_beta", **options)
    np.testing.assert_allclose([row.lost.item() for row in rows], (0, -4), atol=1e-5)


def test_what_meets_no_positive_part_is_lost():
    model = hand(((-1, 0), (-1, 0)), ((1,), (0,)), (5, 0))
    maps, rows = xu.lrp(
        model, np.array([[[1, 2]]], np.float32), 0, rule="z_plus", bias="none", score="value", ledger=True
    )
    np.testing.assert_array_equal(maps, 0)
    np.testing.assert_allclose(rows[1].lost, 2, rtol=1e-5)


# --- sums, pools, padding ------------------------------------------------------------------------------------------


def of_sum(rule, join, x):
    inputs = keras.Input((1, 2))
    joined = join(inputs[:, :, :1], inputs[:, :, 1:])
    return xu.lrp(
        keras.Model(inputs, layers.Flatten()(joined)),
        np.array([[x]], np.float32),
        0,
        score="value",
        rule=rule,
        epsilon=0,
    ).ravel()


def test_a_sum_shares_by_contribution():
    plus, minus = (lambda a, b: a + b), (lambda a, b: a - b)
    np.testing.assert_allclose(of_sum("epsilon", plus, (3, -1)), (3, -1), rtol=1e-6)
    np.testing.assert_allclose(of_sum("z_plus", plus, (3, -1)), (2, 0), rtol=1e-6)
    np.testing.assert_allclose(of_sum("alpha_beta", plus, (3, -1)), (3, -1), rtol=1e-6)
    np.testing.assert_allclose(of_sum("epsilon", minus, (3, -1)), (3, 1), rtol=1e-6)
    np.testing.assert_allclose(of_sum("z_plus", minus, (3, 1)), (2, 0), rtol=1e-6)


def test_an_average_shares_by_value_and_the_largest_takes_all():
    inputs = keras.Input((4, 1))
    x = np.array([3, -1, 2, 4], np.float32)[None, :, None]
    average = keras.Model(inputs, layers.GlobalAveragePooling1D()(inputs))
    largest = keras.Model(inputs, layers.GlobalMaxPooling1D()(inputs))
    pooled = keras.Model(inputs, layers.Flatten()(layers.MaxPooling1D(4)(inputs)))
    options = {"targets": 0, "score": "value", "epsilon": 0}
    near(xu.lrp(average, x, **options).ravel(), np.array([3, -1, 2, 4]) / 4)
    near(xu.lrp(average, x, rule="z_plus", **options).ravel(), 2 * np.array([3, 0, 2, 4]) / 9)
    for model in (largest, pooled):
        near(xu.lrp(model, x, **options).ravel(), np.array([0, 0, 0, 4]))


@pytest.mark.parametrize("explicit", [False, True])
def test_flat_and_w_square_count_no_padding(explicit):
    """A mean over 3 of 2 positions: at both places two inputs are there, each gets half."""
    inputs = keras.Input((2, 1))
    convolution = layers.Conv1D(
        1, 3, padding="valid" if explicit else "same", use_bias=False, kernel_initializer="ones"
    )
    read = layers.ZeroPadding1D(1)(inputs) if explicit else inputs
    model = keras.Model(inputs, layers.Dense(1, use_bias=False)(layers.Flatten()(convolution(read))))
    model.layers[-1].set_weights([np.array([[1.0], [0.0]])])
    x = np.array([1, 3], np.float32)[None, :, None]
    for rule in ("flat", "w_square"):
        found = xu.lrp(model, x, 0, rule={convolution: rule}, score="value", epsilon=0).ravel()
        np.testing.assert_allclose(found, (2, 2), rtol=1e-6)


def test_z_plus_has_the_sign_of_the_score_on_a_chain():
    model = network("chain")
    x = np.abs(models.examples(model, 4))
    for c in range(3):
        maps, S = xu.lrp(model, x, c, rule="z_plus"), xu.scores(model, x, c, score="logit")
        assert (maps * np.sign(S)[:, None, None, None] >= 0).all() and np.abs(maps).max() > 0


# --- rules by layer ------------------------------------------------------------------------------------------------


def test_the_first_key_that_fits_counts():
    model = network("chain")
    x = models.examples(model, 2)
    rules = {model.get_layer("conv_1"): "flat", lambda layer: "conv" in layer.name: "z_plus", "scores": "gamma"}
    _, rows = xu.lrp(model, x, 0, rule=rules, ledger=True)
    assert [(row.layer, row.rule) for row in rows] == [("scores", "gamma"), ("conv_2", "z_plus"), ("conv_1", "flat")]


def test_a_key_to_which_an_earlier_one_leaves_nothing_is_refused_by_name():
    """A key for some of the layers that an earlier one has not taken, and a function that finds none, may stay."""
    model = network("chain")
    x = models.examples(model, 2)

    def anywhere(layer):
        return True

    for keys in ((anywhere, "conv_2"), ("conv_2", model.get_layer("conv_2"))):
        told = "rule: got the key '?conv_2'? behind .*, the first key that fits, which leaves nothing to it.* before"
        with pytest.raises(ValueError, match=told):
            xu.lrp(model, x, 0, rule=dict.fromkeys(keys, "flat"))
    with pytest.raises(ValueError, match=r"rule: got the key 'nobody'; allowed: layers that .*'conv_2'"):
        xu.lrp(model, x, 0, rule={anywhere: "flat", "nobody": "gamma"})
    rules = {"scores": "epsilon", "conv_2": "flat", anywhere: "z_plus", lambda layer: False: "gamma"}
    _, rows = xu.lrp(model, x, 0, rule=rules, ledger=True)
    assert [(row.layer, row.rule) for row in rows] == [("scores", "epsilon"), ("conv_2", "flat"), ("conv_1", "z_plus")]
    rules = {"conv_2": "flat", "trunk": "z_plus"}  # of which conv_1 is left
    _, rows = xu.lrp(network("nested"), x, 0, rule=rules, ledger=True)
    assert [row.rule for row in rows] == ["epsilon", "flat", "z_plus"]


@pytest.mark.parametrize(
    ("composite", "first", "convolution", "dense"),
    [
        ("epsilon_plus", "z_plus", "z_plus", "epsilon"),
        ("epsilon_gamma_box", "z_box", "gamma", "epsilon"),
        ("epsilon_plus_flat", "flat", "z_plus", "epsilon"),
        ("epsilon_alpha2_beta1", "alpha_beta", "alpha_beta", "epsilon"),
        ("z_box", "z_box", "z_plus", "z_plus"),
        *((rule, rule, rule, rule) for rule in LAYERS[:-1]),
    ],
)
def test_a_composite_is_the_mapping_that_it_says(composite, first, convolution, dense):
    model = network("chain")
    x = models.examples(model, 2)
    mapping = {"conv_1": first, "conv_2": convolution, "scores": dense}
    np.testing.assert_array_equal(xu.lrp(model, x, 0, rule=composite, **BOX), xu.lrp(model, x, 0, rule=mapping, **BOX))


def test_a_rescaling_in_front_passes_relevance_to_the_pixels():
    """The box is taken through it, and what arrives at the scaled pixels is the map."""
    inputs, pixels = keras.Input((8, 6, 2)), models.examples((8, 6, 2), 2) * 10 + 100
    core = models.cnn(ending="logits")
    model = keras.Model(inputs, core(layers.Rescaling([0.1, -0.2], [-5, 4])(inputs)))
    scaled = (pixels * [0.1, -0.2] + [-5, 4]).astype(np.float32)
    low, high = np.array([50, 60]), np.array([200, 150])
    ends = np.sort([low * [0.1, -0.2] + [-5, 4], high * [0.1, -0.2] + [-5, 4]], axis=0)
    for rule in ("epsilon_gamma_box", "epsilon_plus", "flat"):
        found = xu.lrp(model, pixels, 0, rule=rule, low=low, high=high)
        near(found, xu.lrp(core, scaled, 0, rule=rule, low=ends[0], high=ends[1]), 1e-4)


def test_the_box_is_by_default_the_range_of_the_model():
    model = network("chain")
    x = models.examples(model, 2)
    with pytest.raises(ValueError, match="input_range"):
        xu.lrp(model, x, 0, rule="z_box")
    ranged = models.cnn(ending="logits")
    ranged.input_range = (-9, 9)
    np.testing.assert_array_equal(xu.lrp(ranged, x, 0, rule="z_box"), xu.lrp(model, x, 0, rule="z_box", **BOX))


# --- parts of a map -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["epsilon", "gamma", "alpha_beta"])
def test_what_flows_through_the_channels_adds_up(rule):
    model = network("signal")
    x = models.examples(model, 2)
    whole = xu.lrp(model, x, 0, rule=rule)
    parts = [xu.lrp(model, x, 0, rule=rule, through=("conv_1", channel)) for channel in range(4)]
    near(sum(parts), whole)
    near(xu.lrp(model, x, 0, rule=rule, through=("conv_1", [0, 2])), parts[0] + parts[2])
    assert np.abs(parts[0] - parts[1]).max() > 0.01 * np.abs(whole).max()


def test_what_goes_past_a_layer_does_not_flow_through_it():
    model = network("residual")
    x = models.examples(model, 2)
    beside = xu.lrp(model, x, 0, through=("norm", [0, 1, 2, 3]), relevance_at="norm")
    near(xu.lrp(model, x, 0, through=("norm", [0, 1, 2, 3])).sum(), _below(model, x, beside), 1e-3)


def _below(model, x, arrived):
    """What of the relevance at the norm reaches the inputs: all but what the ledger says was taken behind it."""
    _, rows = xu.lrp(model, x, 0, through=("norm", [0, 1, 2, 3]), ledger=True)
    behind = rows[[row.layer for row in rows].index("conv_2") :]
    return arrived.sum() - sum((row.biases + row.epsilon + row.lost).sum() for row in behind)


def test_the_relevance_of_an_inner_layer():
    """At the maps that GAP and a dense layer read it is w A / Z."""
    model = models.cnn(head="gap")
    x = models.examples(model, 3)
    A = keras.Model(model.inputs, model.get_layer("conv_2").output)(x).numpy()
    wanted = A * model.get_layer("scores").kernel.numpy()[:, 2] / (A.shape[1] * A.shape[2])
    near(xu.lrp(model, x, 2, relevance_at="conv_2", epsilon=0), wanted)
    near(xu.lrp(model, x, 2, relevance_at=model.get_layer("conv_2"), epsilon=0), wanted)


# --- scores, inputs, precision --------------------------------------------------------------------------------------


def twice_the_first(outputs, targets):
    return 2 * outputs[:, 0] - outputs[:, 1]


def test_scores_of_ones_own_are_shared_out_by_contribution():
    model = network("chain")
    x = models.examples(model, 3)
    first, second = (xu.lrp(model, x, c, epsilon=0) for c in (0, 1))
    near(xu.lrp(model, x, score=xu.contrast(0, 1), epsilon=0), first - second)
    near(xu.lrp(model, x, score=twice_the_first, epsilon=0), 2 * first - second)
    unit = xu.unit(model, "conv_2", 1)
    near(xu.lrp(unit, x, 0, epsilon=0), xu.gradient_x_input(unit, x, 0))


def test_a_region_of_a_dense_prediction():
    inputs = keras.Input((8, 6, 2))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    model = models.randomised(keras.Model(inputs, layers.Conv2D(3, 1, activation="softmax")(x)))
    mask = np.zeros((8, 6))
    mask[2:4, 1:5] = 1
    x, score = models.examples(model, 2), xu.region(mask)
    near(xu.lrp(model, x, 1, score=score, epsilon=0), xu.gradient_x_input(model, x, 1, score=score))


def test_several_inputs_and_tokens():
    first, second = keras.Input((8, 6, 2), name="first"), keras.Input((5,), name="second")
    maps = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(first))
    joined = layers.Concatenate()([layers.Dense(4, activation="relu")(second), maps])
    model = models.randomised(keras.Model([first, second], layers.Dense(3)(joined)))
    given = [models.examples((8, 6, 2), 3), models.examples((5,), 3)]
    both, wanted = xu.lrp(model, given, 0, epsilon=0), xu.gradient_x_input(model, given, 0)
    for one, other in zip(both, wanted, strict=True):
        near(one, other)
    near(xu.lrp(model, given, 0, epsilon=0, only="second"), wanted[1])
    words = keras.Input((7,), dtype="int32")
    read = layers.Conv1D(4, 3, activation="relu")(layers.Embedding(9, 6)(words))
    model = models.randomised(keras.Model(words, layers.Dense(3)(layers.GlobalAveragePooling1D()(read))))
    given = np.arange(14).reshape(2, 7) % 9
    near(xu.lrp(model, given, 0, epsilon=0), xu.gradient_x_input(model, given, 0))


@pytest.mark.parametrize("rule", ["epsilon", "gamma", "z_box"])
def test_mixed_and_double_precision_give_the_same_map(rule):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        mixed = models.cnn(normalise=True, head="hidden")
    finally:
        keras.config.set_dtype_policy("float32")
    plain, double = (models.cnn(normalise=True, head="hidden", dtype=dtype) for dtype in (None, "float64"))
    for model in (plain, double):
        model.set_weights(mixed.get_weights())
    x = models.examples(plain, 3)
    wanted = xu.lrp(plain, x, 0, rule=rule, epsilon=1e-3, **BOX)
    near(xu.lrp(double, x, 0, rule=rule, epsilon=1e-3, **BOX), wanted, 1e-4)
    near(xu.lrp(mixed, x, 0, rule=rule, epsilon=1e-3, **BOX), wanted, 2e-2)


@pytest.mark.parametrize("name", ["residual", "separable", "tokens"])
def test_an_input_alone_and_in_a_batch_get_the_same_map(name):
    model = network(name)
    x = models.examples(model, 5)
    for rule in ("epsilon", "alpha_beta"):
        whole = xu.lrp(model, x, 0, rule=rule, epsilon=0.1)
        near(xu.lrp(model, x[3:4], 0, rule=rule, epsilon=0.1), whole[3:4])
        near(xu.lrp(model, x, 0, rule=rule, epsilon=0.1, batch_size=2), whole)


@pytest.mark.parametrize("rule", ["epsilon", "gamma", "alpha_beta"])
def test_lrp_of_a_dilated_layer_is_the_same_where_the_sides_are_open(rule):
    """Its bias is added after the blocks are put together again, and nothing in the graph tells their sizes."""

    def network(shape):
        dilated = layers.Conv2D(3, 3, dilation_rate=2, padding="same", activation="relu")
        return models.randomised(keras.Sequential([keras.Input(shape), dilated, layers.GlobalAveragePooling2D()]))

    closed, wide = network((15, 13, 1)), network((None, None, 1))
    wide.set_weights(closed.get_weights())
    x = models.examples(closed)
    found = xu.lrp(wide, x, 0, score="value", rule=rule, epsilon=0)
    near(found, xu.lrp(closed, x, 0, score="value", rule=rule, epsilon=0))
    if rule == "epsilon":
        near(found, xu.gradient_x_input(wide, x, 0, score="value"))


def test_lrp_holds_no_relu_until_relevance_arrives(monkeypatch):
    """Its output is taken once more when the layer behind it has its turn, and not kept since the forward pass."""
    made, created = [], linear.created

    def noted(operation, given):
        made.append(created(operation, given))
        return made[-1]

    monkeypatch.setattr(linear, "created", noted)
    convolutions = [layers.Conv2D(2, 3, activation="relu") for _ in range(2)]
    model = models.randomised(
        keras.Sequential([keras.Input((8, 8, 1)), *convolutions, layers.GlobalAveragePooling2D()])
    )
    xu.lrp(model, models.examples(model), 0, score="value")
    again = [each for each in made if each.type == "Relu"]
    assert again and all(each.control_inputs for each in again)


def test_a_batch_norm_that_is_folded_gives_the_map_of_one_layer():
    """Conv, norm, 2 z + 0.1, ReLU as one convolution: w' = 2 s w, b' = 2 ((b - mean) s + beta) + 0.1; some s < 0."""
    inputs = keras.Input((8, 6, 2))
    convolution, norm = layers.Conv2D(4, 3, name="apart"), layers.BatchNormalization()
    apart = layers.ReLU()(layers.Rescaling(2.0, 0.1)(norm(convolution(inputs))))
    head = layers.Dense(3)
    apart = models.randomised(keras.Model(inputs, head(layers.Flatten()(apart))))
    gamma, beta, mean, variance = norm.get_weights()
    norm.set_weights([gamma * [1, -1, 1, -1], beta, mean, variance])
    s = gamma * [1, -1, 1, -1] / np.sqrt(variance + norm.epsilon)
    w, b = convolution.get_weights()
    one = layers.Conv2D(4, 3, activation="relu")
    folded = keras.Model(inputs, head(layers.Flatten()(one(inputs))))
    one.set_weights([w * 2 * s, 2 * ((b - mean) * s + beta) + 0.1])
    x = models.examples(apart, 3)
    for rule in LAYERS:
        near(xu.lrp(apart, x, 0, rule=rule, **BOX), xu.lrp(folded, x, 0, rule=rule, **BOX), 1e-4)


# --- refusals -------------------------------------------------------------------------------------------------------


def attention(x):
    x = layers.Reshape((48, 2))(x)
    return layers.MultiHeadAttention(2, 3, name="refused")(x, x)


REFUSED = {
    "LayerNormalization": (lambda x: layers.LayerNormalization(name="refused")(x), "Mul"),
    "attention": (attention, "Einsum"),
    "softmax": (lambda x: layers.Softmax(name="refused")(layers.Conv2D(3, 3)(x)), "Softmax"),
    "product": (lambda x: layers.Multiply(name="refused")([x, layers.Conv2D(2, 1)(x)]), "Mul"),
    "unknown": (lambda x: layers.Lambda(lambda x: tf.cumsum(x, axis=1), name="refused")(x), "Cumsum"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_operation_without_a_rule_is_refused_by_name(name):
    build, operation = REFUSED[name]
    inputs = keras.Input((8, 6, 2))
    model = models.randomised(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(build(inputs)))))
    with pytest.raises(ValueError, match=f"{operation} in 'refused'.*integrated_gradients"):
        xu.lrp(model, models.examples(model, 2), 0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"alpha": 2, "beta": 0.5}, "beta=1"),
        ({"gamma": -0.1}, "gamma"),
        ({"epsilon": -1}, "epsilon"),
        ({"rule": "lrp"}, "epsilon_plus_flat"),
        ({"rule": {"nobody": "flat"}}, "conv_1"),
        ({"rule": {"conv_1": "epsilon_plus"}}, "z_plus"),
        ({"rule": {"conv_2": "z_box"}, **BOX}, "first linear layer"),
        ({"rule": "z_box", "low": 0, "high": 1}, "inputs"),
        ({"rule": "z_box", "low": 1, "high": 0}, "high"),
        ({"bias": "half"}, "split"),
        ({"through": ("conv_1", 4)}, "through"),
        ({"through": ("conv_1", [])}, "through"),
        ({"relevance_at": "nobody"}, "relevance_at"),
        ({"score": "probability"}, "logit"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, told):
    model = network("chain")
    with pytest.raises((ValueError, TypeError), match=told):
        xu.lrp(model, models.examples(model, 2), 0, **options)
