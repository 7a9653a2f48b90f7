"""Region perturbation: curves by hand on linear models, all orders of four regions, noise drawn again, limits."""

import itertools

import keras
import numpy as np
import pytest

import models
import xai_utils as xu
from heatproof.hiding import baselines

SHAPE, SIDES = (5, 4, 2), (2, 3)  # 3 x 2 regions, of which those at the far edges are smaller


def linear_of(shape, weights, bias=0.0):
    """Logits (w.x + b, 0)."""
    model = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(2)])
    weights = np.ravel(weights)
    model.layers[-1].set_weights([np.stack([weights, 0 * weights], axis=1), np.array([bias, 0.0])])
    return model


def slices(shape, sides):
    """The regions in the order of their places, one by one."""
    starts = itertools.product(*(range(0, length, side) for length, side in zip(shape, sides, strict=True)))
    return [tuple(slice(a, a + side) for a, side in zip(corner, sides, strict=True)) for corner in starts]


def wanted(model, x, relevance, fill, sides, **options):
    """The curves of a loop over inputs, regions and steps."""
    found = []
    for item, one in enumerate(x):
        regions = slices(one.shape[:-1], sides)
        regions.sort(key=lambda region: -relevance[item][region].sum())  # stable
        points = [one.copy()]
        for region in regions:
            points.append(points[-1].copy())
            points[-1][region] = fill[item][region]
        found.append(xu.scores(model, np.array(points), **options))
    return np.array(found)


@pytest.fixture(scope="module")
def network():
    return models.cnn(models.IMAGE), models.examples(models.IMAGE, 3)


def test_region_perturbation_by_hand():
    """Nine regions of 2 x 2 pixels with contributions 1 to 9: 45, then 36, 28, ... the AOPC is 285 / 10."""
    worth = np.array([[2, 9, 4], [7, 5, 3], [6, 1, 8.0]])
    pixels = np.kron(worth, [[0.1, 0.2], [0.3, 0.4]])  # a region's contributions differ from pixel to pixel
    model = linear_of((6, 6, 1), pixels)
    curve = xu.region_perturbation(
        model, np.ones((1, 6, 6, 1), "float32"), pixels[None], 0, regions=2, fill="zero", score="logit"
    )
    np.testing.assert_allclose(curve, [[45, 36, 28, 21, 15, 10, 6, 3, 1, 0]], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(xu.aopc(curve), [28.5], rtol=1e-5)
    least = xu.region_perturbation(
        model, np.ones((1, 6, 6, 1), "float32"), pixels[None], 0, regions=2, fill=0, score="logit", order="least"
    )
    np.testing.assert_allclose(least, [[45, 44, 42, 39, 35, 30, 24, 17, 9, 0]], rtol=1e-5, atol=1e-5)


def test_the_best_order_beats_every_permutation_and_a_random_one_falls_on_a_line():
    """Four regions, 24 orders: contributions order best, their mean is the expectation of a random order."""
    generator = np.random.default_rng(0)
    weights, x = generator.normal(size=(4, 6, 2)), generator.normal(size=(1, 4, 6, 2)).astype("float32")
    model = linear_of((4, 6, 2), weights, 0.3)
    options = {"regions": (2, 3), "fill": 0.5, "score": "logit"}
    contribution = ((x - 0.5) * weights).sum(axis=-1)
    orders = np.array(list(itertools.permutations([4, 3, 2, 1])))
    maps = np.kron(orders.reshape(24, 2, 2), np.ones((2, 3)))
    curves = xu.region_perturbation(model, np.repeat(x, 24, axis=0), maps, 0, **options)
    best = xu.region_perturbation(model, x, contribution, 0, **options)
    assert len(np.unique(xu.aopc(curves).round(4))) > 12  # orders do matter
    np.testing.assert_allclose(xu.aopc(best), [xu.aopc(curves).max()], rtol=1e-5)
    worst = xu.region_perturbation(model, x, contribution, 0, **options, order="least")
    np.testing.assert_allclose(xu.aopc(worst), [xu.aopc(curves).min()], rtol=1e-5)
    whole, nothing = (x * weights).sum() + 0.3, 0.5 * weights.sum() + 0.3
    np.testing.assert_allclose(curves.mean(axis=0), np.linspace(whole, nothing, 5), rtol=1e-4)
    np.testing.assert_allclose(xu.aopc(curves).mean(), (whole - nothing) / 2, rtol=1e-4)


@pytest.mark.parametrize("fill", ["zero", "mean", "blur", 0.3, np.array([0.1, -0.2])])
def test_curves_are_those_of_a_loop(network, fill):
    model, x = network
    relevance = np.random.default_rng(0).normal(size=x.shape[:-1])
    got = xu.region_perturbation(model, x, relevance, [0, 1, 2], regions=(3, 4), fill=fill, batch_size=5)
    assert got.shape == (3, 1 + 3 * 2)
    for item in range(3):
        one = wanted(
            model, x[[item]], relevance[[item]], baselines(fill, x)[[item]], (3, 4), targets=item, score="probability"
        )
        np.testing.assert_allclose(got[[item]], one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape, sides", [((9, 2), (4,)), ((3, 4, 5, 1), (2, 1, 3))])
def test_signals_and_volumes(shape, sides):
    model, x = models.linear(shape), models.examples(shape, 2)
    relevance = np.random.default_rng(1).random(x.shape[:-1])
    got = xu.region_perturbation(model, x, relevance, 1, regions=sides, fill=0.2, score="logit", steps=3)
    loop = wanted(model, x, relevance, np.full_like(x, 0.2), sides, targets=1, score="logit")
    np.testing.assert_allclose(got, loop[:, :4], rtol=1e-4)


def test_ties_go_by_place_and_a_map_is_summed_not_averaged():
    x = np.ones((1, *SHAPE), "float32")
    model = linear_of(SHAPE, np.arange(40.0))
    parts = [np.arange(40.0).reshape(SHAPE)[region].sum() for region in slices(SHAPE[:-1], SIDES)]
    flat = xu.region_perturbation(model, x, np.zeros((1, 5, 4)), 0, regions=SIDES, fill="zero", score="logit")
    np.testing.assert_allclose(flat[0], 780 - np.cumsum([0, *parts]), rtol=1e-5)
    even = xu.region_perturbation(model, x, np.ones((1, 5, 4)), 0, regions=SIDES, fill="zero", score="logit")
    by_size = [parts[place] for place in (0, 2, 4, 1, 3, 5)]  # regions of 6, 6, 3, 2, 2 and 1 positions
    np.testing.assert_allclose(even[0], 780 - np.cumsum([0, *by_size]), rtol=1e-5)


def test_draws_are_averaged_over_noise_between_the_ends(network):
    """The same noise for every input; between the ends of what the model states, else of each input."""
    model, x = network
    relevance = np.random.default_rng(2).random(x.shape[:-1])
    asked = {"regions": 3, "steps": 4, "score": "logit"}
    for stated in (None, (-4.0, 5.0)):
        model.input_range = stated
        got = xu.region_perturbation(model, x, relevance, 1, draws=3, seed=7, **asked)
        noise = np.array([np.random.default_rng([7, draw]).random(models.IMAGE) for draw in range(3)])
        low, high = (
            (x.min(axis=(1, 2, 3)), x.max(axis=(1, 2, 3))) if stated is None else (np.full(3, e) for e in stated)
        )
        low, high = (each.reshape(3, 1, 1, 1) for each in (low, high))
        single = [
            xu.region_perturbation(model, x, relevance, 1, fill=(low + (high - low) * u).astype("float32"), **asked)
            for u in noise
        ]
        np.testing.assert_allclose(got, np.mean(single, axis=0), rtol=1e-4, atol=1e-5)
        assert np.ptp(single, axis=0)[:, 1:].min() > 1e-3  # draws differ
    model.input_range = None


def test_a_fill_that_is_no_noise_does_not_depend_on_draws_and_seed(network):
    model, x = network
    relevance = np.random.default_rng(3).random(x.shape[:-1])
    one, other = (
        xu.region_perturbation(model, x, relevance, fill="mean", steps=3, draws=draws, seed=draws) for draws in (1, 6)
    )
    np.testing.assert_array_equal(one, other)


def test_an_input_alone_has_the_curve_that_it_has_in_a_batch(network):
    model, x = network
    relevance = np.random.default_rng(4).normal(size=x.shape[:-1])
    together = xu.region_perturbation(model, x, relevance, [2, 0, 1], draws=2, steps=9)
    for item, target in enumerate([2, 0, 1]):
        alone = xu.region_perturbation(model, x[[item]], relevance[[item]], target, draws=2, steps=9)
        np.testing.assert_allclose(together[[item]], alone, rtol=1e-4)


def test_the_order_may_be_turned(network):
    model, x = network
    relevance = np.random.default_rng(5).normal(size=x.shape[:-1])
    least = xu.region_perturbation(model, x, relevance, 1, order="least", fill="zero", steps=12)
    turned = xu.region_perturbation(model, x, -relevance, 1, fill="zero", steps=12)
    np.testing.assert_array_equal(least, turned)


@pytest.mark.parametrize(
    "space, region, steps",
    [((224, 224), 81, 100), ((48, 48), 4, 100), ((60, 25), 2, 100), ((8, 6), 1, 48), ((1500, 1), 60, 25)],
)
def test_a_region_is_a_25th_of_a_side_and_at_most_100_are_replaced(space, region, steps):
    """The sum of pixels that are all 1 falls by the size of the first region."""
    model, size = linear_of((*space, 1), np.ones(space)), np.prod(space)
    curve = xu.region_perturbation(
        model, np.ones((1, *space, 1), "float32"), np.ones((1, *space)), 0, fill="zero", score="logit"
    )
    assert curve.shape == (1, steps + 1)
    np.testing.assert_array_equal(curve[0, :2], [size, size - region])


def test_features_are_refused():
    with pytest.raises(ValueError, match=r"inputs: got features of shape \(2, 3\)"):
        xu.region_perturbation(models.linear((3,), ending="softmax"), np.ones((2, 3), "float32"), np.ones(2))


def test_aopc_by_hand():
    np.testing.assert_allclose(xu.aopc([[1, 0.5, 0], [1, 1, 1], [0, 0, 1], [2, 4, 3]]), [0.5, 0, -1 / 3, -1])
    with pytest.raises(ValueError, match="curves: got shape"):
        xu.aopc([1, 0.5, 0])
