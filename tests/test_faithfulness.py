"""Deletion, insertion, max-sensitivity, infidelity, randomisation: closed forms on linear models, limits, refusals."""

import itertools

import keras
import numpy as np
import pytest

import models
import xai_utils as xu

SHAPE = (2, 2, 1)
W = np.array([1.0, -2.0, 3.0, 0.5], "float32")
X = np.array([[0.5, 0.2, 0.9, 0.4], [0.1, 0.8, 0.3, 0.6]], "float32").reshape(2, *SHAPE)


@pytest.fixture(scope="module")
def linear():
    """Logits (w.x + 1, 0) on four pixels."""
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.layers[-1].set_weights([np.stack([W, 0 * W], axis=1), np.array([1.0, 0.0])])
    return model


def relevance_of(order):
    """A map that ranks the positions as `order` says, the same for both items."""
    ranked = np.empty(4)
    ranked[list(order)] = [4, 3, 2, 1]
    return np.broadcast_to(ranked.reshape(2, 2), (2, 2, 2))


def scores_with(order, before, after):
    """w.x + 1 with 0, 1, .. 4 positions of `before` taken from `after`, in the given order."""
    points = np.repeat(before.reshape(2, 1, 4), 5, axis=1)
    for step in range(5):
        taken = list(order[:step])
        points[:, step, taken] = after.reshape(2, 4)[:, taken]
    return points @ W + 1


ORDER = (2, 0, 3, 1)


def test_deletion_and_insertion_of_a_linear_model_by_hand(linear):
    fill = np.full_like(X, 0.25)
    got = xu.deletion_curve(linear, X, relevance_of(ORDER), 0, fill=0.25, score="logit")
    np.testing.assert_allclose(got, scores_with(ORDER, X, fill), rtol=1e-5)
    got = xu.insertion_curve(linear, X, relevance_of(ORDER), 0, fill=0.25, score="logit")
    np.testing.assert_allclose(got, scores_with(ORDER, fill, X), rtol=1e-5)


def test_curves_of_probabilities_end_in_the_input_and_in_the_fill(linear):
    whole = xu.scores(linear, X, [0, 1])
    mean = np.broadcast_to(X.mean(axis=(1, 2), keepdims=True), X.shape)
    got = xu.deletion_curve(linear, X, relevance_of(ORDER), [0, 1])
    np.testing.assert_allclose(got[:, 0], whole, rtol=1e-5)
    np.testing.assert_allclose(got[:, -1], xu.scores(linear, mean, [0, 1]), rtol=1e-5)
    back = xu.insertion_curve(linear, X, -relevance_of(ORDER), [0, 1], fill="mean")
    np.testing.assert_allclose(got, back[:, ::-1], rtol=1e-5)


def test_the_order_by_w_times_x_has_the_least_area_of_all_orders(linear):
    """On a linear model with fill 0 the perfect map is w * x: no permutation deletes faster or inserts slower."""
    contribution = (X[..., 0] * W.reshape(2, 2)).astype(float)
    best = xu.area_under_curve(xu.deletion_curve(linear, X, contribution, 0, fill="zero", score="logit"))
    every = [scores_with(order, X, 0 * X).mean(axis=1) * 5 / 4 for order in itertools.permutations(range(4))]
    ends = (scores_with(ORDER, X, 0 * X)[:, [0, -1]].sum(axis=1)) / 8
    np.testing.assert_allclose(best, np.min(every, axis=0) - ends, rtol=1e-5)
    insert = xu.area_under_curve(xu.insertion_curve(linear, X, contribution, 0, fill="zero", score="logit"))
    assert (insert >= best).all()


def test_steps_take_equal_shares_and_ties_go_by_position(linear):
    flat = np.ones((2, 2, 2))
    got = xu.deletion_curve(linear, X, flat, 0, steps=2, fill="zero", score="logit")
    np.testing.assert_allclose(got, scores_with((0, 1, 2, 3), X, 0 * X)[:, ::2], rtol=1e-5)


def test_area_under_curve_by_hand():
    np.testing.assert_allclose(xu.area_under_curve([[1, 0.5, 0], [1, 1, 1], [0, 0, 1]]), [0.5, 1, 0.25])
    with pytest.raises(ValueError, match="curves: got shape"):
        xu.area_under_curve([1, 0.5, 0])


def test_area_under_a_curve_of_points_that_lie_apart():
    """(1 + 0) / 2 over 1, then (0 + 6) / 2 over 3: 9.5 over a length of 4; wherever the first point lies."""
    for start in (0, 2):
        np.testing.assert_allclose(xu.area_under_curve([[1, 0, 6]], at=np.array([0, 1, 4]) + start), [9.5 / 4])
    np.testing.assert_allclose(xu.area_under_curve([[1, 0, 6]], at=[0, 5, 10]), xu.area_under_curve([[1, 0, 6]]))


def test_max_sensitivity_of_linear_maps(linear):
    """The gradient does not move; w * x moves by w * e, with the draws repeated here."""
    np.testing.assert_allclose(xu.max_sensitivity(xu.saliency, linear, X, 0), [0, 0], atol=1e-6)
    got = xu.max_sensitivity(xu.gradient_x_input, linear, X, 0, radius=0.1, samples=4, seed=3)
    width = 0.1 * (X.max(axis=(1, 2)) - X.min(axis=(1, 2)))
    generator = np.random.default_rng(3)
    change = np.array([generator.uniform(-1, 1, SHAPE).ravel() * W for _ in range(4)])
    wanted = width[:, 0] * np.linalg.norm(change, axis=1).max() / np.linalg.norm(X.reshape(2, 4) * W, axis=1)
    np.testing.assert_allclose(got, wanted, rtol=1e-3)


def test_max_sensitivity_passes_options_on_and_explains_the_class_of_the_input():
    model, inputs = models.cnn(), models.examples(models.IMAGE, 2)
    got = xu.max_sensitivity(xu.grad_cam, model, inputs, radius=5.0, samples=1, layer="conv_1", relu=False)
    targets = np.argmax(model(inputs), axis=1)
    width = 5.0 * (inputs.max(axis=(1, 2), keepdims=True) - inputs.min(axis=(1, 2), keepdims=True))
    moved = inputs + width * np.random.default_rng(0).uniform(-1, 1, models.IMAGE)
    maps = [xu.grad_cam(model, each.astype("float32"), targets, layer="conv_1", relu=False) for each in (inputs, moved)]
    maps = [each.reshape(2, -1) for each in maps]
    np.testing.assert_allclose(
        got, np.linalg.norm(maps[1] - maps[0], axis=1) / np.linalg.norm(maps[0], axis=1), rtol=1e-3
    )


def test_max_sensitivity_keeps_the_class_of_the_input_where_the_noise_changes_it(linear):
    """w.x + 1 = 0.1: class 0 by a hair. A moved input of class 1 would have the map 0."""
    x = np.array([0.1, 0.65, 0.05, 0.3], "float32").reshape(1, *SHAPE)
    moved = x + 0.5 * (x.max() - x.min()) * np.random.default_rng(0).uniform(-1, 1, SHAPE)
    for seed in range(5):
        draw = np.random.default_rng(seed).uniform(-1, 1, SHAPE).ravel()
        change = 0.5 * (x.max() - x.min()) * np.linalg.norm(draw * W)
        got = xu.max_sensitivity(xu.gradient_x_input, linear, x, radius=0.5, samples=1, seed=seed)
        np.testing.assert_allclose(got, change / np.linalg.norm(x.ravel() * W), rtol=1e-4)
    assert {int((moved.ravel() @ W + 1) < 0)} == {1}  # seed 0 does change the class


def test_infidelity_is_its_formula_on_a_network_that_is_not_linear():
    model, x = models.cnn(), models.examples(models.IMAGE, 1)
    M = xu.gradient_x_input(model, x, 1)
    got = xu.infidelity(model, x, M, 1, noise=0.5, samples=6, seed=2)
    width = 0.5 * (x.max(axis=(1, 2)) - x.min(axis=(1, 2)))
    I = np.stack([width * np.random.default_rng([2, k]).standard_normal(models.IMAGE) for k in range(6)])  # noqa: E741
    change = xu.scores(model, x, 1, score="logit") - xu.scores(model, (x - I).astype("float32"), 1, score="logit")
    foretold = (I * M).sum(axis=(1, 2, 3))
    b = (foretold * change).sum() / (foretold**2).sum()
    np.testing.assert_allclose(got, ((b * foretold - change) ** 2).sum() / (change**2).sum(), rtol=1e-3)


def test_infidelity_of_a_linear_model(linear):
    """w explains all, whatever its scale; what is orthogonal to w nothing; in between 1 - cos^2."""
    w = np.broadcast_to(W.reshape(SHAPE), X.shape)
    for scale in (1, -3, 1e-3):
        np.testing.assert_allclose(xu.infidelity(linear, X, scale * w, 0), 0, atol=1e-5)
    np.testing.assert_allclose(xu.infidelity(linear, X, 0 * w, 0), 1, rtol=1e-6)
    other = np.broadcast_to(np.array([2.0, 1.0, 0, 0]).reshape(SHAPE), X.shape)  # w.other = 0
    assert (xu.infidelity(linear, X, other, 0, samples=2000) > 0.99).all()
    cosine = (W @ np.ones(4)) / (np.linalg.norm(W) * 2)
    got = xu.infidelity(linear, X, np.ones(X.shape[:-1]), 0, samples=4000)
    np.testing.assert_allclose(got, 1 - cosine**2, atol=0.03)


def test_infidelity_is_nan_where_the_score_does_not_move():
    model = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(2, kernel_initializer="zeros")]
    )
    assert np.isnan(xu.infidelity(model, X, X, 0, samples=3)).all()


def test_randomised_shuffles_from_the_output_down_and_leaves_the_model_alone():
    model = models.cnn()
    before = [w.copy() for w in model.get_weights()]
    names = [layer.name for layer in model.layers if layer.weights]
    seen = []
    for name, copy in xu.randomised(model, seed=1):
        seen.append(name)
        for layer in (each for each in model.layers if each.weights):
            for old, new in zip(layer.get_weights(), copy.get_layer(layer.name).get_weights(), strict=True):
                np.testing.assert_array_equal(np.sort(old, axis=None), np.sort(new, axis=None))
                if old.ndim > 1:
                    assert np.array_equal(old, new) == (layer.name not in seen), layer.name
    assert seen == names[::-1]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_randomised_refuses_what_it_cannot_copy_or_shuffle():
    class Closed(models.Subclassed):
        def get_config(self):
            raise NotImplementedError("no configuration")

    subclassed = Closed()
    subclassed(models.examples(models.IMAGE, 1))
    with pytest.raises(TypeError, match="Cure: pass a functional or Sequential model"):
        next(xu.randomised(subclassed))
    with pytest.raises(ValueError, match="no weights"):
        next(xu.randomised(keras.Sequential([keras.Input((3, 1)), keras.layers.Flatten()])))


MAP = np.ones((2, 2, 2))


@pytest.mark.parametrize(
    "ask, error, message",
    [
        (lambda m: xu.deletion_curve(m, X, MAP[:1], 0), ValueError, "relevance: got shape"),
        (lambda m: xu.deletion_curve(m, X, MAP * np.nan, 0), ValueError, "relevance: got NaN"),
        (lambda m: xu.deletion_curve(m, X, MAP, 0, steps=5), ValueError, "steps: got 5"),
        (lambda m: xu.deletion_curve(m, X, MAP, 0, steps=0), ValueError, "steps: got 0"),
        (lambda m: xu.insertion_curve(m, X, MAP, 0, fill="grey"), ValueError, "fill: got 'grey'"),
        (lambda m: xu.insertion_curve(m, X, MAP, 7), ValueError, "targets"),
        (lambda m: xu.max_sensitivity(xu.saliency, m, X, 0, radius=0), ValueError, "radius: got 0"),
        (lambda m: xu.max_sensitivity(xu.saliency, m, X, 0, samples=0), ValueError, "samples: got 0"),
        (lambda m: xu.infidelity(m, X, MAP[:, :1], 0), ValueError, "attribution: got shape"),
        (lambda m: xu.infidelity(m, X, MAP * np.inf, 0), ValueError, "attribution: got NaN"),
        (lambda m: xu.infidelity(m, X, MAP, 0, noise=-1), ValueError, "noise: got -1"),
        (lambda m: xu.infidelity(m, X, MAP, 0, samples=1), ValueError, "samples: got 1"),
    ],
)
def test_bad_arguments_are_refused(linear, ask, error, message):
    with pytest.raises(error, match=message):
        ask(linear)
