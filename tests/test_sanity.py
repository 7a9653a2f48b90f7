"""Sanity checks: orders and draws of random weights, likeness of maps, the floors; closed forms on linear models."""

import keras
import numpy as np
import pytest
from scipy.stats import spearmanr

import models
import xai_utils as xu

SHAPE = (6, 5, 1)
X = models.examples(SHAPE, 3)


@pytest.fixture(scope="module")
def cnn():
    return models.cnn(models.IMAGE)


@pytest.fixture(scope="module")
def linear():
    return models.linear(SHAPE, ending="softmax")


def changed_layers(model, copy):
    """The layers of which a copy has other weights."""
    pairs = [(layer, copy.get_layer(layer.name)) for layer in model.layers if layer.weights]
    return [a.name for a, b in pairs if not all(map(np.array_equal, a.get_weights(), b.get_weights()))]


def value(table, measure, step):
    rows = table[(table["measure"] == measure) & (table["step"] == step)]
    return rows.sort_values("item")["value"].to_numpy()


# ------------------------------------------------------------------------------------------------ orders and draws


@pytest.mark.parametrize("draws", ["shuffle", "initialiser"])
def test_every_order_makes_the_layers_random_that_it_says(cnn, draws):
    names = [layer.name for layer in cnn.layers if layer.weights]
    assert len(names) == 3
    down = [changed_layers(cnn, copy) for _, copy in xu.randomised(cnn, draws=draws)]
    assert down == [names[2:], names[1:], names]
    up = [changed_layers(cnn, copy) for _, copy in xu.randomised(cnn, order="bottom_up", draws=draws)]
    assert up == [names[:1], names[:2], names]
    alone = [(name, changed_layers(cnn, copy)) for name, copy in xu.randomised(cnn, order="independent", draws=draws)]
    assert alone == [(name, [name]) for name in names[::-1]]


def test_draws_of_the_initialiser_are_new_and_of_its_law():
    """Glorot's uniform law ends at sqrt(6 / (ins + outs)); biases begin at 0; equal layers do not get equal weights."""
    layers = [keras.layers.Dense(40, activation="relu") for _ in range(3)]
    model = keras.Sequential([keras.Input((40,)), *layers])
    for layer in layers:
        layer.set_weights([np.full((40, 40), 7.0), np.full(40, 7.0)])
    *_, (_, copy) = xu.randomised(model, draws="initialiser", seed=3)
    kernels = [layer.get_weights()[0] for layer in copy.layers]
    limit = np.sqrt(6 / 80)
    for layer, kernel in zip(copy.layers, kernels, strict=True):
        assert np.abs(kernel).max() <= limit and kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)
        assert not layer.get_weights()[1].any()
    assert np.abs(np.corrcoef([kernel.ravel() for kernel in kernels])[np.triu_indices(3, 1)]).max() < 0.1
    *_, (_, again) = xu.randomised(model, draws="initialiser", seed=3)
    *_, (_, other) = xu.randomised(model, draws="initialiser", seed=4)
    np.testing.assert_array_equal(again.get_weights()[0], copy.get_weights()[0])
    assert abs(np.corrcoef(other.get_weights()[0].ravel(), kernels[0].ravel())[0, 1]) < 0.1


def test_statistics_of_batches_begin_at_mean_0_and_variance_1():
    model = models.cnn(models.IMAGE, normalise=True)
    for name, copy in xu.randomised(model, order="independent", draws="initialiser"):
        if isinstance(layer := copy.get_layer(name), keras.layers.BatchNormalization):
            for got, want in zip(layer.get_weights(), (1, 0, 0, 1), strict=True):
                np.testing.assert_array_equal(got, want)


def test_a_recurrent_kernel_is_drawn_by_the_recurrent_initialiser():
    model = keras.Sequential([keras.Input((5, 2)), keras.layers.SimpleRNN(4), keras.layers.Dense(2)])
    *_, (_, copy) = xu.randomised(model, draws="initialiser")
    recurrent = next(w for w in copy.weights if w.name == "recurrent_kernel").numpy()
    np.testing.assert_allclose(recurrent.T @ recurrent, np.eye(4), atol=1e-5)


def test_a_weight_without_an_initialiser_is_refused_before_any_layer_is_drawn():
    class Scale(keras.layers.Layer):
        def build(self, shape):
            self.factor = self.add_weight(name="factor", shape=(shape[-1],), initializer="ones")

        def call(self, inputs):
            return inputs * self.factor

    model = keras.Sequential([keras.Input((3,)), Scale(name="mine"), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="draws: .*'mine' names none for its weight 'factor'.*draws='shuffle'"):
        next(xu.randomised(model, draws="initialiser"))
    assert [name for name, _ in xu.randomised(model, draws="shuffle")][-1] == "mine"


# -------------------------------------------------------------------------------------------------- likeness of maps


def test_hog_similarity_by_hand():
    """A ramp along each axis fills one of nine orientations in every cell: the histograms correlate by -1/8."""
    down, across = np.mgrid[0:24.0, 0:24.0]
    one, other = np.stack([down, down, down, down, down * 0]), np.stack([across, -down, 5 * down, across, down])
    np.testing.assert_allclose(xu.hog_similarity(one, other), [-1 / 8, 1, 1, -1 / 8, np.nan], atol=1e-6)


def test_hog_similarity_knows_place():
    """A blob in another corner has the same orientations, but not there."""
    down, across = np.mgrid[0:32, 0:32]
    blobs = [np.exp(-((down - y) ** 2 + (across - x) ** 2) / 8) for y, x in ((8, 8), (8, 9), (24, 24))]
    near, far = xu.hog_similarity(np.stack([blobs[0]] * 2), np.stack(blobs[1:]))
    assert near > 0.9 and far < 0.1


def test_hog_similarity_refuses_signals_and_takes_small_maps():
    with pytest.raises(ValueError, match="one: got shape .3, 40.; allowed: maps .N, H, W. .* no orientations"):
        xu.hog_similarity(np.ones((3, 40)), np.ones((3, 40)))
    small = np.random.default_rng(0).normal(size=(1, 3, 4))
    assert xu.hog_similarity(small, small) == pytest.approx([1])


def test_map_entropy_by_hand():
    """Constant: 0. Halves: ln 2. A quarter and the rest: the formula. A hundred values, one in each part: ln 100."""
    maps = np.stack([np.full(100, 3.0), np.repeat([0, 9.0], 50), np.repeat([-1, 1.0], [25, 75]), np.arange(100.0)])
    quarter = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    np.testing.assert_allclose(xu.map_entropy(maps), [0, np.log(2), quarter, np.log(100)], atol=1e-12)
    np.testing.assert_allclose(xu.map_entropy(maps, bins=10)[3], np.log(10))


def test_entropy_rise_by_hand():
    """From ln 2 to ln 4: as much again. Back: half is lost. From a constant there is no share."""
    two, four = np.repeat([0, 1.0], 10), np.repeat([0, 1.0, 2, 3], 5)
    before, after = np.stack([two, four, 0 * two]), np.stack([four, two, two])
    np.testing.assert_allclose(xu.entropy_rise(before, after), [1, -0.5, np.nan])


def test_entropy_rise_of_the_catalogue_sums_channels_and_shuffles_with_the_seed():
    """Saliency of a logit is its row of weights; the maps that look at no network rise by nothing."""
    model, x = models.linear((12, 10, 2), ending="softmax"), models.examples((12, 10, 2), 3)
    frame = xu.evaluate(model, x, [0, 1, 2], ("saliency",), ("entropy_rise",), seed=4)
    ((_, copy),) = xu.randomised(model, seed=4)
    want = xu.entropy_rise(*(models.linear_weights(each).sum(axis=-1) for each in (model, copy)))
    found = frame.pivot(index="method", columns="item", values="value")
    assert np.abs(want).min() > 1e-3
    np.testing.assert_allclose(found.loc["saliency"], want, atol=1e-12)
    np.testing.assert_array_equal(found.drop("saliency"), 0)


# -------------------------------------------------------------------------------------------------------- the tests


def test_parameter_test_of_a_linear_model_by_hand(linear):
    """Saliency of a logit is its row of weights; the score is the softmax of the shuffled network."""
    table = xu.parameter_test(xu.saliency, linear, X, [0, 1, 2], seed=4)
    ((name, copy),) = xu.randomised(linear, seed=4)
    assert list(table["layer"].unique()) == ["", name] and set(table["step"]) == {0, 1} and not table.isna().any().any()
    before, after = models.linear_weights(linear), models.linear_weights(copy)
    ranked = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(before, after, strict=True)]
    np.testing.assert_allclose(value(table, "rank_correlation", 1), ranked, rtol=1e-6)
    unsigned = [spearmanr(abs(a.ravel()), abs(b.ravel())).statistic for a, b in zip(before, after, strict=True)]
    np.testing.assert_allclose(value(table, "rank_correlation_of_magnitudes", 1), unsigned, rtol=1e-6)
    logits = X.reshape(3, -1) @ after.reshape(3, -1).T + copy.layers[-1].bias.numpy()
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        value(table, "score", 1), np.diag(exponents) / exponents.sum(axis=1), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(value(table, "score", 0), xu.scores(linear, X, [0, 1, 2]), rtol=1e-6)
    maps = before[..., 0], after[..., 0]
    np.testing.assert_allclose(value(table, "similarity", 1), xu.similarity(*maps), rtol=1e-6)
    np.testing.assert_allclose(value(table, "hog_similarity", 1), xu.hog_similarity(*maps), rtol=1e-6)
    np.testing.assert_allclose(value(table, "entropy_rise", 1), xu.entropy_rise(*maps), rtol=1e-6)


def test_step_0_is_the_network_as_it_is(cnn):
    x = models.examples(models.IMAGE, 2)
    table = xu.parameter_test(xu.gradient_x_input, cnn, x, order="independent", draws="initialiser")
    alike = [name for name in table["measure"].unique() if name not in ("score", "entropy_rise")]
    assert len(alike) == 5 and table["layer"].nunique() == 4
    for name in alike:
        np.testing.assert_allclose(value(table, name, 0), 1)
    np.testing.assert_array_equal(value(table, "entropy_rise", 0), 0)
    alone = xu.parameter_test(xu.gradient_x_input, cnn, x[1:], order="independent", draws="initialiser")
    for step in range(4):
        both, one = (value(frame, "rank_correlation", step) for frame in (table, alone))
        np.testing.assert_allclose(both[1:], one, atol=1e-6)


def test_the_order_and_the_draws_are_those_asked_for(cnn, linear):
    names = [layer.name for layer in cnn.layers if layer.weights]
    x = models.examples(models.IMAGE, 1)
    assert list(xu.parameter_test(xu.edge_map, cnn, x, order="bottom_up")["layer"].unique()) == ["", *names]
    table = xu.parameter_test(xu.saliency, linear, X, [0, 1, 2], draws="initialiser", seed=2)
    ((_, copy),) = xu.randomised(linear, draws="initialiser", seed=2)
    maps = models.linear_weights(linear)[..., 0], models.linear_weights(copy)[..., 0]
    np.testing.assert_allclose(value(table, "similarity", 1), xu.similarity(*maps), rtol=1e-6)


def test_the_class_is_that_of_the_network_as_it_is(cnn):
    x, asked = models.examples(models.IMAGE, 2), []

    def method(model, inputs, targets, batch_size):
        asked.append(np.array(targets))
        return xu.saliency(model, inputs, targets)

    xu.parameter_test(method, cnn, x)
    want = cnn.predict(x, verbose=0).argmax(axis=1)
    assert len(asked) == 4 and all(np.array_equal(each, want) for each in asked)


def test_the_edges_stay_and_random_numbers_do_not(cnn):
    x = models.examples((8, 6, 2), 6)
    edges = xu.parameter_test(xu.edge_map, cnn, x)
    noise = xu.parameter_test(xu.random_map, cnn, x)
    for step in range(4):
        np.testing.assert_allclose(value(edges, "rank_correlation", step), 1)
        np.testing.assert_allclose(value(edges, "similarity", step), 1)
        if step:  # 48 positions: the correlation of independent ones has the spread 1/sqrt(47), their mean 1/sqrt(282)
            assert abs(value(noise, "rank_correlation", step).mean()) < 4 / np.sqrt(282)
    first, again = xu.random_map(cnn, x, seed=5), xu.random_map(cnn, x[2:3], seed=5)
    np.testing.assert_array_equal(first[2:3], again)
    assert abs(np.corrcoef(first.reshape(6, -1))[np.triu_indices(6, 1)]).max() < 0.6
    assert not np.allclose(first, xu.random_map(cnn, x, seed=6))
    assert first.std() == pytest.approx(1, abs=0.2) and abs(first.mean()) < 0.25


def test_the_edges_of_a_step_by_hand():
    """Sobel's weights of a step of 1 sum to 4 on both sides of it; channels are averaged first."""
    x = np.zeros((1, 4, 4, 2), "float32")
    x[:, :, 2:, 0] = 2.0
    model = models.linear((4, 4, 2))
    np.testing.assert_allclose(xu.edge_map(model, x, 0)[0], np.tile([0.0, 4, 4, 0], (4, 1)))


def test_data_test_of_a_network_and_its_negative(linear):
    """The maps of the negative are the negatives: ranks turn round, magnitudes and outlines stay."""
    other = keras.models.clone_model(linear)
    other.set_weights([-weight for weight in linear.get_weights()])
    table = xu.data_test(xu.saliency, linear, other, X, [0, 1, 2])
    for measure, want in {"rank_correlation": -1, "rank_correlation_of_magnitudes": 1, "hog_similarity": 1}.items():
        np.testing.assert_allclose(value(table, measure, 1), want, atol=1e-6)
    np.testing.assert_allclose(value(table, "score", 1), xu.scores(other, X, [0, 1, 2]), rtol=1e-6)
    with pytest.raises(ValueError, match="other: got inputs .*, outputs .*; allowed: inputs .6, 5, 1., outputs .3,."):
        xu.data_test(xu.saliency, linear, models.linear(SHAPE, classes=4), X)


def test_a_network_that_predicts_a_number_is_told_by_it():
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(loss="mse")
    table = xu.parameter_test(xu.saliency, model, X, 0)
    np.testing.assert_allclose(value(table, "score", 0), model.predict(X, verbose=0)[:, 0], rtol=1e-5)
    ((_, copy),) = xu.randomised(model)
    np.testing.assert_allclose(value(table, "score", 1), copy.predict(X, verbose=0)[:, 0], rtol=1e-5)
    before, after = (each.get_weights()[0].ravel() for each in (model, copy))  # and not the negative of z, class 0
    np.testing.assert_allclose(value(table, "rank_correlation", 1), spearmanr(before, after).statistic)


def test_noise_averaged_is_smooth_grad_of_saliency_and_asks_for_the_class_of_the_input(cnn):
    """The same sum by hand: the noise is a share of each input's range, the same for every input."""
    x, asked = np.concatenate([models.examples(models.IMAGE, 1), 3 * models.examples(models.IMAGE, 1, 2)]), []

    def method(model, inputs, targets, batch_size):
        asked.append((inputs - x, targets))
        return inputs[..., 0] ** 2

    got = xu.noise_averaged(method, samples=40, noise=0.3, seed=1)(cnn, x)
    moves = np.stack([move for move, _ in asked])
    width = 0.3 * (x.max(axis=(1, 2, 3)) - x.min(axis=(1, 2, 3)))
    np.testing.assert_allclose(moves.std(axis=(0, 2, 3, 4)), width, rtol=0.03)
    assert np.abs(moves.mean(axis=(0, 2, 3, 4))).max() < 0.01 * width.max()
    np.testing.assert_allclose(moves[:, 0] / width[0], moves[:, 1] / width[1], atol=1e-4)
    np.testing.assert_allclose(got, np.mean((moves + x) ** 2, axis=0)[..., 0], rtol=1e-3, atol=1e-4)
    want = cnn.predict(x, verbose=0).argmax(axis=1)
    assert len(asked) == 40 and all(np.array_equal(targets, want) for _, targets in asked)
