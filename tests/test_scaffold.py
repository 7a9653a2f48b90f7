"""The scaffold that notices perturbed inputs: whose answer is whose, and a method that is led astray."""

import numpy as np
import pytest

import xai_utils as xu

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(1, 2, (200, 6, 1))


def reads(place):
    """A classifier of two classes that looks at one position alone."""

    def predict(inputs):
        p = 1 / (1 + np.exp(-8 * (np.asarray(inputs)[:, place, 0] - 1.5)))
        return np.stack([1 - p, p], axis=1)

    return predict


def occluded(x):
    """Copies in which one position, each in its turn, is 0."""
    found = np.repeat(x, 6, axis=0)
    found[np.arange(len(found)), np.arange(len(found)) % 6] = 0
    return found


def test_what_looks_ordinary_is_answered_honestly_and_what_looks_perturbed_is_not():
    predict = xu.scaffolded(reads(0), reads(1), X[:150], occluded(X[:50]))
    np.testing.assert_array_equal(predict(X[150:]), reads(0)(X[150:]))
    np.testing.assert_array_equal(predict(occluded(X[150:])), reads(1)(occluded(X[150:])))
    mixed = np.concatenate([X[150:151], occluded(X[151:152])])
    np.testing.assert_array_equal(predict(mixed)[0], reads(0)(mixed)[0])
    np.testing.assert_array_equal(predict(mixed)[1:], reads(1)(mixed)[1:])


def test_occlusion_no_longer_sees_the_position_that_decides():
    """Of the honest one only position 0 counts; behind the scaffold it looks as the idle ones do, and 1 stands out."""
    x = X[150:160].astype("float32")
    options = {"patch": 1, "stride": 1, "fill": 0.0, "score": "probability"}
    plain = xu.occlusion(reads(0), x, 1, **options)
    assert (np.abs(plain[:, 0]) > 0).all() and np.abs(plain[:, 1:]).max() < 1e-6
    led = xu.occlusion(xu.scaffolded(reads(0), reads(1), X[:150], occluded(X[:50])), x, 1, **options)
    np.testing.assert_allclose(led[:, 0], led[:, 2], atol=1e-6)
    want = reads(0)(x)[:, 1] - reads(1)(x)[:, 1]
    np.testing.assert_allclose(led[:, 0], want, atol=1e-5)
    assert np.abs(led[:, 1] - led[:, 0]).mean() > 0.2


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ((None, len, X, X), TypeError, "honest: got None"),
        ((len, 3, X, X), TypeError, "decoy: got 3"),
        ((len, len, X[0, :, 0], X), ValueError, "ordinary: got shape .6,."),
        ((len, len, X, X[:, :5]), ValueError, "perturbed: got shape .200, 5, 1."),
        ((len, len, X, X * np.nan), ValueError, "perturbed: got NaN"),
    ],
)
def test_what_makes_no_scaffold_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        xu.scaffolded(*arguments)
