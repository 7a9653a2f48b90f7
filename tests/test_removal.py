"""Removal: neighbours' weights and solutions by hand, harmonic closed forms, curves of a linear model, refusals."""

import keras
import numpy as np
import pytest

import models
import xai_utils as xu

RANDOM = np.random.default_rng(0)


def marked(*places, shape):
    """Relevance 1 at these places and 0 elsewhere, and their share."""
    found = np.zeros((1, *shape))
    for place in places:
        found[(0, *place)] = 1
    return found, len(places) / found[0].size


def test_a_hole_in_a_signal_is_a_straight_line_between_its_ends():
    """x_t = (x_{t-1} + x_{t+1}) / 2: from 3 to 11 in four steps 5, 7, 9; at the edge the last value goes on."""
    x = np.array([4.0, 3, 0, 0, 0, 11, 2, 0]).reshape(1, 8, 1)
    relevance, share = marked((2,), (3,), (4,), (7,), shape=(8,))
    got = xu.remove_top(x, relevance, share, noise=0)
    np.testing.assert_allclose(got.ravel(), [4, 3, 5, 7, 9, 11, 2, 2], atol=1e-12)


def test_one_pixel_by_hand():
    """Beside it 1/6, across corners 1/12; in a corner of the picture 2/5, 2/5 and 1/5."""
    x = RANDOM.uniform(size=(1, 4, 5, 2))
    relevance, share = marked((1, 2), shape=(4, 5))
    beside = x[0, 0, 2] + x[0, 2, 2] + x[0, 1, 1] + x[0, 1, 3]
    across = x[0, 0, 1] + x[0, 0, 3] + x[0, 2, 1] + x[0, 2, 3]
    got = xu.remove_top(x, relevance, share, noise=0)
    np.testing.assert_allclose(got[0, 1, 2], beside / 6 + across / 12)
    relevance, share = marked((0, 0), shape=(4, 5))
    got = xu.remove_top(x, relevance, share, noise=0)
    np.testing.assert_allclose(got[0, 0, 0], (2 * x[0, 0, 1] + 2 * x[0, 1, 0] + x[0, 1, 1]) / 5)
    kept = np.ones((4, 5), bool)
    kept[0, 0] = False
    np.testing.assert_array_equal(got[0][kept], x[0][kept])


def test_two_pixels_side_by_side_are_solved_together():
    """a = (2 b + A) / 12, b = (2 a + B) / 12 with the sums A and B over their other neighbours."""
    x = RANDOM.uniform(size=(1, 3, 4, 1))
    relevance, share = marked((1, 1), (1, 2), shape=(3, 4))
    p = x[0, :, :, 0]
    A = 2 * (p[0, 1] + p[2, 1] + p[1, 0]) + p[0, 0] + p[0, 2] + p[2, 0] + p[2, 2]
    B = 2 * (p[0, 2] + p[2, 2] + p[1, 3]) + p[0, 1] + p[0, 3] + p[2, 1] + p[2, 3]
    got = xu.remove_top(x, relevance, share, noise=0)[0, 1, 1:3, 0]
    np.testing.assert_allclose(got, np.linalg.solve([[12, -2], [-2, 12]], [A, B]))


def test_a_ramp_is_filled_as_it_was():
    """A linear picture is the mean of its neighbours, so any hole inside is filled with what stood there."""
    down, across = np.mgrid[0:9.0, 0:7.0]
    x = np.stack([2 * down - across, 3 * across], axis=-1)[None].astype("float32")
    relevance = np.zeros((1, 9, 7))
    relevance[0, 2:7, 1:6] = RANDOM.uniform(1, 2, (5, 5))
    np.testing.assert_allclose(xu.remove_top(x, relevance, 0.3, noise=0), x, atol=1e-5)


def test_what_is_removed_is_the_share_asked_for_and_each_inputs_own():
    x = RANDOM.normal(size=(2, 5, 4, 1))
    relevance = RANDOM.normal(size=(2, 5, 4))
    for order, sign in (("most", -1), ("least", 1)):
        got = xu.remove_top(x, relevance, 0.21, order=order, fill=9.0)  # ceil(4.2) of twenty
        for item in range(2):
            first = np.argsort(sign * relevance[item].ravel())[:5]
            want = np.isin(np.arange(20), first)
            np.testing.assert_array_equal(got[item].ravel() == 9, want)
            np.testing.assert_array_equal(got[item].ravel()[~want], x[item].ravel()[~want])
    ties = xu.remove_top(x, np.ones((2, 5, 4)), 0.1, fill=9.0)
    assert (ties[:, 0, :2] == 9).all() and (ties == 9).sum() == 4
    mean = xu.remove_top(x, relevance, 0.5, fill="mean")
    assert mean[0][~np.isclose(mean[0], x[0])] == pytest.approx(x[0].mean())


def test_noise_is_a_share_of_the_range_and_the_same_for_every_input():
    x = np.concatenate([RANDOM.uniform(size=(1, 40, 40, 1)), 5 * RANDOM.uniform(size=(1, 40, 40, 1))])
    relevance = np.broadcast_to(RANDOM.uniform(size=(40, 40)), (2, 40, 40))
    smooth = xu.remove_top(x, relevance, 0.6, noise=0)
    noisy = xu.remove_top(x, relevance, 0.6, noise=0.2, seed=3)
    moves = [(noisy[item] - smooth[item])[noisy[item] != x[item]] for item in range(2)]
    assert [len(each) for each in moves] == [960, 960]
    for item, each in enumerate(moves):
        assert each.std() == pytest.approx(0.2 * np.ptp(x[item]), rel=0.1)
    np.testing.assert_allclose(moves[0] / np.ptp(x[0]), moves[1] / np.ptp(x[1]), atol=1e-9)
    assert not np.allclose(noisy, xu.remove_top(x, relevance, 0.6, noise=0.2, seed=4))
    np.testing.assert_array_equal(noisy[1:], xu.remove_top(x[1:], relevance[1:], 0.6, noise=0.2, seed=3))


def test_removal_curve_of_a_linear_model():
    """The logit of what remove_top makes, share by share; the first point is the input as it is."""
    model = models.linear((6, 5, 1), ending="softmax")
    x, relevance = models.examples((6, 5, 1), 3), RANDOM.normal(size=(3, 6, 5))
    options = {"order": "least", "noise": 0.1, "seed": 2}
    got = xu.removal_curve(model, x, relevance, [0, 1, 2], shares=(0.2, 0.5), score="logit", **options)
    w, b = models.linear_weights(model), model.layers[-1].bias.numpy()
    for place, points in enumerate([x, *(xu.remove_top(x, relevance, share, **options) for share in (0.2, 0.5))]):
        want = (points * w).sum(axis=(1, 2, 3)) + b
        np.testing.assert_allclose(got[:, place], want, rtol=1e-4, atol=1e-5)
    probability = xu.removal_curve(model, x, relevance, [0, 1, 2])
    assert probability.shape == (3, 8)
    np.testing.assert_allclose(probability[:, 0], xu.scores(model, x, [0, 1, 2]), rtol=1e-6)


def test_road_by_hand():
    """One position of twenty decides, by the sigmoid of 3; its neighbours are 0: without it the sigmoid of 0 is left.

    Marked first, it goes with the first share: (s + 1/2) / 2 over 0.1, then 1/2 up to 0.9. Marked as the twelfth, it
    goes between 0.5 and 0.7. Marked last, it stays. The noise, 0.01 of the range 1, moves a probability of 1/2 by 3 / 4
    of a hundredth per deviation.
    """
    model = keras.Sequential([keras.Input((20, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    x, weights, s = np.zeros((1, 20, 1), "float32"), np.zeros((20, 2)), 1 / (1 + np.exp(-3))
    x[0, 7], weights[7, 1] = 1, 3
    model.layers[-1].set_weights([weights, np.zeros(2)])
    places = {"first": np.r_[7, 0:7, 8:20], "twelfth": np.r_[0:7, 8:12, 7, 12:20], "last": np.r_[0:7, 8:20, 7]}
    maps = {name: 20.0 - np.argsort(order)[None] for name, order in places.items()}
    rows = [xu.Method(name=name, function=lambda m, x, t, R=R, **_: R, output="map") for name, R in maps.items()]
    found = xu.evaluate(model, x, 1, rows, ("road",)).set_index("method")["value"]
    assert found["first"] == pytest.approx((0.1 * (s + 0.5) / 2 + 0.8 * 0.5) / 0.9, abs=0.03)
    assert found["twelfth"] == pytest.approx((0.5 * s + 0.2 * (s + 0.5) / 2 + 0.2 * 0.5) / 0.9, abs=0.006)
    assert found["last"] == pytest.approx(s, abs=1e-6)


def test_the_class_stays_that_of_the_whole_input():
    model = models.linear((6, 5, 1), ending="softmax")
    x = models.examples((6, 5, 1), 4)
    relevance, classes = RANDOM.normal(size=(4, 6, 5)), model.predict(x, verbose=0).argmax(axis=1)
    got, want = (xu.removal_curve(model, x, relevance, targets) for targets in (None, classes))
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"share": 0.99}, "share: got 0.99, which is all 30 positions"),
        ({"share": 1}, "share: got 1; allowed: a finite number strictly between 0 and 1"),
        ({"fill": "grey"}, "fill: got 'grey'"),
        ({"order": "random"}, "order: got 'random'"),
    ],
)
def test_what_cannot_be_removed_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        xu.remove_top(np.zeros((1, 6, 5, 1)), np.zeros((1, 6, 5)), **options)


def test_volumes_are_filled_by_a_number_but_not_linearly():
    x, relevance = np.ones((1, 3, 3, 3, 1)), np.arange(27.0).reshape(1, 3, 3, 3)
    assert (xu.remove_top(x, relevance, 0.1, fill=0.0) == 0).sum() == 3
    with pytest.raises(ValueError, match="inputs: got shape .1, 3, 3, 3, 1.; allowed: signals"):
        xu.remove_top(x, relevance, 0.1)
