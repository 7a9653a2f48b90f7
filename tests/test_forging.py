"""Forged maps: soft ReLUs by their formula, second derivatives by finite differences, what stays and what moves."""

import keras
import numpy as np
import pytest

import models
import xai_utils as xu
from heatproof.engine import forging
from heatproof.engine.query import Query

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model():
    return models.cnn((8, 6, 1))


def shares(model, x, targets):
    maps = np.abs(xu.saliency(model, x, targets)).sum(axis=-1).astype(float)
    return maps / maps.sum(axis=(1, 2), keepdims=True)


def distances(model, x, targets, goal):
    goal = goal / goal.sum(axis=(1, 2), keepdims=True)
    return ((shares(model, x, targets) - goal) ** 2).sum(axis=(1, 2)) / (goal**2).sum(axis=(1, 2))


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


def test_the_slope_is_that_of_finite_differences():
    """Distance and logits of the soft network, moved along two directions by steps too short for a sign to turn."""
    soft, random = xu.softened(models.cnn((8, 6, 1), pooling="average"), 3.0), np.random.default_rng(1)
    x, goal = models.examples((8, 6, 1), 2), random.uniform(size=(2, 8, 6)).astype("float32")
    goal /= goal.sum(axis=(1, 2), keepdims=True)
    far = (x + 0.3 * random.normal(size=x.shape)).astype("float32")
    query = Query(soft, x, [0, 2])
    got, z = forging.slope(query, far, np.arange(2), goal, 30.0), query.all_scores(forging.LOGITS)

    def loss(points):
        now = Query(soft, points, [0, 2]).all_scores(forging.LOGITS)
        return distances(soft, points, [0, 2], goal) + 30 * ((now - z) ** 2).sum(axis=1) / (z**2).sum(axis=1)

    for _ in range(2):
        way, step = random.normal(size=x.shape).astype("float32"), 3e-4
        want = (loss(far + step * way) - loss(far - step * way)) / (2 * step)
        np.testing.assert_allclose((got * way).sum(axis=(1, 2, 3)), want, rtol=2e-2, atol=1e-3)


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
