"""Detection of Clever Hans: densities by hand, the closed form of two normal laws, ties, refusals."""

import numpy as np
import pytest
from scipy.stats import norm

import xai_utils as xu

RANDOM = np.random.default_rng(0)


def test_evidence_density_by_hand():
    """A flat map has 1 on any region; all on a quarter of the positions 4; half of it 2; none 0; nothing NaN."""
    mask = np.zeros((5, 2, 4), bool)
    mask[:4, 0, :2] = True
    relevance = np.array([[[1, 1, 1, 1], [1, 1, 1, 1]], [[1, 3, 0, 0], [0, 0, 0, 0]], [[1, 1, 2, 0], [0, 0, 0, 0]]])
    relevance = np.concatenate([relevance, [[[0, 0, 5, 0], [0, 0, 0, 0]], np.ones((2, 4))]])
    np.testing.assert_allclose(xu.evidence_density(relevance, mask), [1, 4, 2, 0, np.nan])
    assert np.isnan(xu.evidence_density(0 * relevance[:1], mask[:1])).all()


def test_concentration_by_hand():
    """Even: 0. One of four positions: 1. Two of four: 1/2. Two maps, each on its own position: 1/2, at any scale."""
    assert xu.concentration(np.ones((3, 4))) == pytest.approx(0, abs=1e-12)
    assert xu.concentration([[[0, 7], [0, 0]]]) == pytest.approx(1)
    assert xu.concentration([[1, 1, 0, 0]]) == pytest.approx(0.5)
    assert xu.concentration([[5, 0, 0, 0], [0, 100, 0, 0]]) == pytest.approx(0.5)
    assert xu.concentration([[5, 0, 0, 0], [0, 0, 0, 0], [9, 0, 0, 0]]) == pytest.approx(1)
    assert np.isnan(xu.concentration(np.zeros((2, 4))))
    with pytest.raises(ValueError, match="relevance: got shape .3, 1.; allowed: maps .* two positions"):
        xu.concentration(np.ones((3, 1)))


@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_two_normal_laws_have_the_power_of_the_formula(shift):
    """Means of k: AUC = Phi(d sqrt(k/2)), power at 5 % = Phi(d sqrt(k) - 1.645), false alarms 5 %."""
    suspect, clean, validation = RANDOM.normal(size=(3, 1500))
    table = xu.detection(suspect + shift, clean, validation, maps=(1, 4, 20), resamples=400)
    for row in table.to_dict("records"):
        k, n = row["maps"], row["groups"]
        assert n == 1500 // k
        power, auc = norm.cdf(shift * np.sqrt(k) - norm.isf(0.05)), norm.cdf(shift * np.sqrt(k / 2))
        spread = 4 * np.sqrt(0.25 / n)
        # the threshold has an error of its own, which the slope of the power carries on
        slope = norm.pdf(shift * np.sqrt(k) - norm.isf(0.05))
        width = 4 * np.hypot(np.sqrt(power * (1 - power) / n), slope * 2.1 / np.sqrt(n))
        assert row["power"] == pytest.approx(power, abs=width)
        assert row["false_alarms"] == pytest.approx(0.05, abs=4 * 1.5 * np.sqrt(0.05 * 0.95 / n))
        assert row["auc"] == pytest.approx(auc, abs=spread)
        assert row["auc low"] <= row["auc"] <= row["auc high"] and row["auc high"] - row["auc low"] < 2 * spread
        assert row["threshold"] == pytest.approx(norm.isf(0.05) / np.sqrt(k), abs=9 / np.sqrt(n * k))


def test_detection_by_hand():
    """Validation 1..20: one in twenty exceeds 19. Of four suspects two do, of the twins none; 13 of 16 pairs."""
    table = xu.detection([5, 18, 30, 30], [1, 2, 18, 19], np.arange(1, 21), maps=[1])
    row = table.iloc[0]
    assert (row["threshold"], row["power"], row["false_alarms"], row["groups"]) == (20, 0.5, 0, 4)
    assert row["auc"] == pytest.approx((2 + 2.5 + 4 + 4) / 16)
    # Wilson at 2 of 4 and 0 of 4, z = 1.96
    z2 = 1.959964**2
    half = np.sqrt(z2 * (0.25 / 4 + z2 / 64)) / (1 + z2 / 4)
    assert (row["power low"], row["power high"]) == pytest.approx((0.5 - half, 0.5 + half))
    assert (row["false_alarms low"], row["false_alarms high"]) == pytest.approx((0, z2 / 4 / (1 + z2 / 4)), abs=1e-6)


def test_on_either_side_by_hand():
    """Validation 1..20 and 200, median 11: distances 0, 1, 1, ..., 9, 9, 10, 189, one of which exceeds 10."""
    validation, suspect, clean = [*range(1, 21), 200], [-5, 0, 11, 30], [1, 2, 11, 21]
    row = xu.detection(suspect, clean, validation, maps=[1], false_alarms=0.08, two_sided=True).iloc[0]
    assert (row["threshold"], row["power"], row["false_alarms"]) == (10, 0.75, 0)
    # distances 16, 11, 0, 19 against 10, 9, 0, 10: the third beats none and is even with one
    assert row["auc"] == pytest.approx((4 + 4 + 0.5 + 4) / 16)
    one = xu.detection(suspect, clean, validation, maps=[1], false_alarms=0.08).iloc[0]
    assert (one["threshold"], one["power"]) == (20, 0.25)


def test_more_false_alarms_lower_the_threshold():
    strict, loose = (
        xu.detection([12, 16], [0, 0], np.arange(1, 21), maps=[1], false_alarms=share).iloc[0] for share in (0.25, 0.45)
    )
    assert (strict["threshold"], strict["power"]) == (16, 0) and (loose["threshold"], loose["power"]) == (12, 0.5)


def test_equal_networks_are_not_told_apart_and_both_get_the_same_groups():
    values = RANDOM.exponential(size=103)
    table = xu.detection(values, values, RANDOM.exponential(size=90), maps=(1, 5))
    np.testing.assert_allclose(table["auc"], 0.5)
    np.testing.assert_array_equal(table["power"], table["false_alarms"])
    assert list(table["groups"]) == [103, 20]
    shifted = xu.detection(values + 1e-9, values, values, maps=[5])  # in pairs every group is higher
    assert shifted["auc"].iloc[0] > 0.5


def test_a_statistic_of_maps_sees_the_one_place_that_numbers_do_not():
    """Each map is one position: for the twin anywhere, for the suspect the same one in every picture."""
    maps = np.zeros((3, 200, 25))
    for each, places in zip(maps, (np.full(200, 7), *RANDOM.integers(25, size=(2, 200))), strict=True):
        each[np.arange(200), places] = 1
    table = xu.detection(*maps, maps=(1, 5), statistic=xu.concentration)
    assert list(table["auc"]) == pytest.approx([0.5, 1]) and table["power"].iloc[1] == 1


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (([1, 2], [1, 2, 3], [1]), ValueError, "clean: got shape .3,.; allowed: .2,., the same pictures"),
        (([1, 2], [1, np.nan], [1]), ValueError, "clean: got NaN"),
        (([[1.0, 2]], [[1.0, 2]], [1]), ValueError, "validation: got shape"),
        ((5, 5, [1]), ValueError, "clean: got shape"),
        (([1, 2], None, [1]), TypeError, "clean: got object"),
    ],
)
def test_what_no_twin_answers_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        xu.detection(*arguments, maps=[1])


def test_a_group_larger_than_the_data_is_refused():
    for arrays in (([1, 2, 3], [1, 2, 3], np.arange(50)), (np.arange(50), np.arange(50), [1, 2, 3])):
        with pytest.raises(ValueError, match="maps: got 5; allowed: an integer of at least 1 and at most 3"):
            xu.detection(*arrays)
