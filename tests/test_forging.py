"""Forged maps: soft ReLUs by their formula, second derivatives by finite differences, what stays and what moves."""

import keras
import numpy as np
import pytest
import test_axes
import test_tokens
from keras import layers

import models
import xai_utils as xu
from heatproof.engine import forging
from heatproof.engine.query import Query
from heatproof.enlarging import resize

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model():
    return models.cnn((8, 6, 1))


def maps(model, x, targets, method="saliency", start=0.0):
    """The maps that are forged, by the methods of the library: (N, positions), float64."""
    if method == "grad_cam":
        found = xu.grad_cam(model, x, targets, upsample=False)
    else:
        count = 8 if method == "integrated_gradients" else 1
        points = [start + k / count * (x - start) for k in range(1, count + 1)]
        found = np.mean([xu.saliency(model, each.astype("float32"), targets) for each in points], axis=0)
        found = xu.relevance(method, found if method == "saliency" else (x - start) * found)
    return found.reshape(len(x), -1).astype(float)


def distances(model, x, targets, goal, method="saliency", start=0.0):
    goal = goal.reshape(len(goal), -1)
    goal = goal / goal.sum(axis=1, keepdims=True)
    found = maps(model, x, targets, method, start)
    shares = found / np.maximum(found.sum(axis=1, keepdims=True), 1e-30)
    return np.where(found.any(axis=1), ((shares - goal) ** 2).sum(axis=1) / (goal**2).sum(axis=1), np.inf)


def test_softened_is_softplus_over_beta_and_its_limit_the_network(model):
    """ln(1 + e^(beta x)) / beta behind the same weights; at beta 1e4 the network itself, which is not touched."""
    dense = keras.layers.Dense(3, activation="relu")
    small = keras.Sequential([keras.Input((4,)), dense, keras.layers.ReLU(), keras.layers.Dense(2)])
    models.randomised(small)
    x = models.examples((4,), 5)
    a, c, w, b = (weight.numpy() for weight in small.weights)
    inner = np.log1p(np.exp(3 * (x @ a + c))) / 3
    want = (np.log1p(np.exp(3 * inner)) / 3) @ w + b
    np.testing.assert_allclose(xu.softened(small, 3.0).predict(x, verbose=0), want, rtol=1e-5, atol=1e-6)
    assert dense.activation is keras.activations.relu
    images = models.examples((8, 6, 1))
    hard, soft = (each.predict(images, verbose=0) for each in (model, xu.softened(model, 1e4)))
    np.testing.assert_allclose(hard, soft, atol=1e-3)
    assert np.abs(hard - xu.softened(model, 2.0).predict(images, verbose=0)).max() > 1e-2


@pytest.mark.parametrize("method", forging.METHODS)
def test_maps_and_slopes_are_those_of_the_methods_and_of_finite_differences(method):
    """Distance and logits of the soft network, moved along two directions by steps too short for a sign to turn."""
    soft, random = xu.softened(models.cnn((8, 6, 1), pooling="average"), 3.0), np.random.default_rng(1)
    x, goal = models.examples((8, 6, 1), 2), random.uniform(0.1, 1, size=(2, 8, 6))
    classes = [1, 1] if method == "grad_cam" else [0, 2]  # whose maps are not 0 everywhere
    start = np.full(x.shape, 0.2 if method == "integrated_gradients" else 0.0)
    far = (x + 0.3 * random.normal(size=x.shape)).astype("float32")
    for batch_size in (32, 1):
        query = Query(soft, x, classes, batch_size=batch_size)
        forger, z = forging.Maps(query, method, start), query.all_scores(forging.LOGITS)
        aim = forger.goal(goal)
        told = distances(soft, far, classes, aim, method, start)
        np.testing.assert_allclose(forger.distances(far, aim), told, rtol=1e-4)
        got = forger.slope(far, aim, 30.0, z)

    def loss(points):
        now = Query(soft, points, classes).all_scores(forging.LOGITS)
        return forger.distances(points, aim) + 30 * ((now - z) ** 2).sum(axis=1) / (z**2).sum(axis=1)

    for _ in range(2):
        way, step = random.normal(size=x.shape).astype("float32"), 3e-4
        want = (loss(far + step * way) - loss(far - step * way)) / (2 * step)
        np.testing.assert_allclose((got * way).sum(axis=(1, 2, 3)), want, rtol=2e-2, atol=1e-3)


def test_a_goal_lies_at_the_positions_of_the_maps(model):
    """On the input's grid as it is; on a layer's what enlarging would give each cell; the axes of a turned layer."""
    x, goal = models.examples((8, 6, 1), 2), np.random.default_rng(2).uniform(size=(2, 8, 6))
    own = forging.Maps(Query(model, x), "saliency", np.zeros_like(x)).goal(goal)
    np.testing.assert_allclose(own, goal.reshape(2, -1) / goal.sum(axis=(1, 2))[:, None], rtol=1e-6)
    deep = forging.Maps(Query(model, x), "grad_cam", np.zeros_like(x))
    sides = xu.grad_cam(model, x, upsample=False).shape[1:]
    got = deep.goal(goal).reshape(2, *sides)
    unit, want = np.eye(int(np.prod(sides))).reshape(-1, *sides), []
    for cell in resize(unit, (8, 6)):
        want.append((goal * cell).sum(axis=(1, 2)))
    want = np.array(want).T / np.sum(want, axis=0)[:, None]
    np.testing.assert_allclose(got.reshape(2, -1), want, rtol=1e-5)


def test_forged_inputs_stay_near_keep_their_class_and_approach_the_goal(model):
    x = np.clip(models.examples((8, 6, 1), 4), -1, 1) * np.array([1, 0.3, 1, 1])[:, None, None, None]
    x = x.astype(np.float32)
    classes = model.predict(x, verbose=0).argmax(axis=1)
    goal = np.zeros((4, 8, 6))
    goal[:, :3, :3] = 1
    got = xu.forged(model, x, goal, limit=0.1, steps=20)
    assert got.dtype == np.float32 and got.shape == x.shape
    width = np.ptp(x, axis=(1, 2, 3))
    assert (np.abs(got - x).max(axis=(1, 2, 3)) <= 0.1 * width * 1.0001).all()
    assert got.min() >= -1 and got.max() <= 1
    np.testing.assert_array_equal(model.predict(got, verbose=0).argmax(axis=1), classes)
    before, after = (distances(model, each, classes, goal) for each in (x, got))
    assert (after <= before).all() and (after < 0.9 * before).sum() >= 3
    alone = xu.forged(model, x[2:3], 5 * goal[2:3], limit=0.1, steps=20)  # the scale of a goal does not count
    np.testing.assert_allclose(distances(model, alone, classes[2:3], goal[2:3]), after[2], rtol=0.05)
    less = xu.forged(model, x, goal, limit=0.01, steps=20)
    assert (distances(model, less, classes, goal) >= after - 1e-6).all()


@pytest.mark.parametrize("method", forging.METHODS[1:])
def test_the_maps_of_other_methods_are_forged_too(model, method):
    """The one that is asked for comes nearer to the goal, by more than when the gradient is forged."""
    x = np.clip(models.examples((8, 6, 1), 4), -1, 1)
    classes, goal = model.predict(x, verbose=0).argmax(axis=1), np.full((4, 8, 6), 0.01)
    goal[:, 4:, 3:] = 1
    options = {"baseline": 0.3} if method == "integrated_gradients" else {}
    start = options.get("baseline", 0.0)
    got, by_gradient = (
        xu.forged(model, x, goal, limit=0.1, steps=20, **each)
        for each in ({"method": method, **options}, {"method": "saliency"})
    )
    np.testing.assert_array_equal(model.predict(got, verbose=0).argmax(axis=1), classes)
    aim = forging.Maps(Query(model, x), method, np.full(x.shape, start)).goal(goal)
    before, after, beside = (distances(model, each, classes, aim, method, start) for each in (x, got, by_gradient))
    assert (after <= before + 1e-6).all() and after.mean() < 0.95 * before.mean() and after.mean() < beside.mean()


def test_maps_of_turned_layers_and_of_tokens_are_those_of_their_twins():
    """The same distances and slopes where a layer has turned its axes, or laid its positions behind a token."""
    for model, twin, names, x in (
        (*test_axes.pair("Permute", False), ("place", "place"), test_axes.IMAGES),
        (*[test_tokens.network("volume", 2, 1)] * 2, ("tokens", "patches"), test_tokens.inputs_of("volume")),
    ):
        goal, start, found = np.random.default_rng(7).uniform(size=x.shape[:-1]), np.zeros_like(x), []
        for each, layer in zip((model, twin), names, strict=True):
            query = Query(each, x, 1)
            forger = forging.Maps(query, "grad_cam", start, layer)
            aim = forger.goal(goal)
            found.append((forger.distances(x, aim), forger.slope(x, aim, 1.0, query.all_scores(forging.LOGITS))))
        assert (found[0][0] != found[0][0][0]).any() and np.abs(found[0][1]).max() > 0
        for one, other in zip(*found, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_a_map_of_zeros_is_near_to_no_goal(model):
    """A goal that is far from every sharp map, D = 11 and more, would be nearer to a map that vanishes, D = 1."""
    x, goal = 3 * np.random.default_rng(2).normal(size=(6, 8, 6, 1)).astype(np.float32), np.zeros((6, 8, 6))
    goal[:, 0, 0] = 1
    zeros = ~xu.grad_cam(model, x, 0, upsample=False).any(axis=(1, 2))
    forger = forging.Maps(Query(model, x, 0), "grad_cam", np.zeros_like(x))
    assert zeros.sum() == 3
    np.testing.assert_array_equal(np.isinf(forger.distances(x, forger.goal(goal))), zeros)


@pytest.mark.parametrize("options", [{"max_value": 1.0}, {"negative_slope": 0.3}, {"threshold": 0.1}], ids=str)
def test_a_relu_that_is_no_plain_one_is_not_made_soft(options):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.ReLU(name="bent", **options)])
    with pytest.raises(ValueError, match="whose ReLU 'bent' has a limit, a slope or a threshold"):
        xu.softened(model)


def test_an_unknown_layer_is_told_before_any_compute(model, monkeypatch):
    monkeypatch.setattr("heatproof.metrics.forging.softened", None)
    with pytest.raises(ValueError, match="layer: got 'nowhere'"):
        xu.forged(model, models.examples((8, 6, 1), 2), np.ones((2, 8, 6)), method="grad_cam", layer="nowhere")


@pytest.mark.parametrize("method", ["saliency", "integrated_gradients"])
def test_features_are_positions_of_their_own(method):
    """A table (N, F) is forged as the same values on a line of F positions are."""
    table = keras.Sequential([keras.Input((5,)), layers.Dense(8, "relu"), layers.Dense(8, "relu"), layers.Dense(3)])
    line = keras.Sequential(
        [keras.Input((5, 1)), layers.Flatten(), *(type(each).from_config(each.get_config()) for each in table.layers)]
    )
    models.randomised(table)
    line.set_weights(table.get_weights())
    x, goal = models.examples((5,), 3), np.random.default_rng(4).uniform(size=(3, 5))
    got = xu.forged(table, x, goal, [0, 1, 2], method=method, limit=0.3, steps=10)
    want = xu.forged(line, x[..., None], goal, [0, 1, 2], method=method, limit=0.3, steps=10)
    assert got.shape == x.shape and np.abs(got - x).max() > 0
    np.testing.assert_allclose(got, want[..., 0], atol=1e-6)


def test_a_model_with_several_inputs_is_refused():
    one, two = keras.Input((8, 6, 1)), keras.Input((8, 6, 1))
    ends = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3, activation="relu")(layers.Add()([one, two])))
    model = keras.Model([one, two], layers.Dense(3)(ends))
    with pytest.raises(ValueError, match="model: got one with several inputs; allowed: a model with one input"):
        xu.forged(model, [models.examples((8, 6, 1), 2)] * 2, np.ones((2, 8, 6)))


def test_a_method_without_a_baseline_refuses_one(model):
    x = models.examples((8, 6, 1), 2)
    with pytest.raises(ValueError, match="baseline: got 'mean' for 'grad_cam', which has none"):
        xu.forged(model, x, np.ones((2, 8, 6)), method="grad_cam", baseline="mean")
    with pytest.raises(ValueError, match="layer: got 'conv2' for 'saliency', which has none"):
        xu.forged(model, x, np.ones((2, 8, 6)), layer="conv2")
    with pytest.raises(TypeError, match="baseline: got a list"):
        xu.forged(model, x, np.ones((2, 8, 6)), method="integrated_gradients", baseline=["mean"])


def test_the_range_of_the_model_is_kept():
    model = models.cnn((8, 6, 1))
    model.input_range = (-0.5, 0.5)
    x = np.clip(models.examples((8, 6, 1), 2), -0.45, 0.45)
    got = xu.forged(model, x, np.ones((2, 8, 6)), limit=0.2, steps=10)
    assert 0.45 < np.abs(got).max() <= 0.5


def test_what_has_no_other_map_is_refused(model):
    x = models.examples((8, 6, 1), 2)
    with pytest.raises(ValueError, match="model: got one without a ReLU to make soft"):
        xu.forged(models.linear((8, 6, 1), ending="softmax"), x, np.ones((2, 8, 6)))
    with pytest.raises(ValueError, match="goal: got negative values, or a map that is 0 everywhere"):
        xu.forged(model, x, np.zeros((2, 8, 6)))
    with pytest.raises(ValueError, match="goal: got shape .2, 6, 8.; allowed: .2, 8, 6., a map for each input"):
        xu.forged(model, x, np.ones((2, 6, 8)))
