"""The scores of an explanation, each worked by hand: perfect, worst, chance, ties, refusals."""

import numpy as np
import pytest

import xai_utils as xu

MASK = np.array([[[True, False], [False, False]]] * 4)
EVIDENCE_SCORES = [xu.evidence_mass, xu.pointing_game, xu.rank_accuracy, xu.average_precision]
RELEVANCE = np.array([[[7, 0], [0, 0]], [[0, 1], [2, 3]], [[2, 2], [2, 2]], [[3, 1], [1, 3]]], float)


def test_evidence_mass_by_hand():
    """All on the mask, none, a flat map (the mask's share, 1/4), 3 of 8."""
    np.testing.assert_allclose(xu.evidence_mass(RELEVANCE, MASK), [1, 0, 0.25, 0.375])
    np.testing.assert_allclose(xu.evidence_mass(10 * RELEVANCE, ~MASK), [0, 1, 0.75, 0.625])


def test_pointing_game_by_hand_and_ties_are_shared():
    """Top inside, top outside, a tie of all four with one inside, a tie of two with one inside."""
    np.testing.assert_allclose(xu.pointing_game(RELEVANCE, MASK), [1, 0, 0.25, 0.5])


def test_rank_accuracy_by_hand_and_ties_for_the_last_place_are_shared():
    """The evidence has two of four positions: both on top, one, none, one and a third of what three share."""
    mask = np.array([[True, True, False, False]] * 4)
    relevance = np.array([[4.0, 3, 2, 1], [4, 1, 3, 2], [1, 2, 3, 4], [5, 1, 1, 1]])
    np.testing.assert_allclose(xu.rank_accuracy(relevance, mask), [1, 0.5, 0, (1 + 1 / 3) / 2])
    assert np.isnan(xu.rank_accuracy(relevance[:1], ~mask[:1] & mask[:1])).all()


def test_average_precision_by_hand():
    """Evidence at ranks 1 and 3: recall rises by 1/2 at precision 1 and by 1/2 at 2/3. A flat map: the mask's share."""
    mask = np.array([[True, True, False, False]] * 3)
    relevance = np.array([[4.0, 2, 3, 1], [4, 3, 2, 1], [1, 1, 1, 1]])
    np.testing.assert_allclose(xu.average_precision(relevance, mask), [(1 + 2 / 3) / 2, 1, 0.5])
    assert np.isnan(xu.average_precision(relevance[:1], ~mask[:1] & mask[:1])).all()


def test_rank_correlation_by_hand():
    """Same order, reverse, one exchange of neighbours among four: 1 - 6 * 2 / (4 * 15); a constant map has none."""
    one = np.array([[1.0, 2, 3, 4]] * 4)
    other = np.array([[1.0, 10, 100, 1000], [4, 3, 2, 1], [2, 1, 3, 4], [7, 7, 7, 7]])
    np.testing.assert_allclose(xu.rank_correlation(one, other), [1, -1, 0.8, np.nan])


def test_similarity_of_constants_is_the_luminance_term_and_scale_does_not_count():
    """Maps of 1 and -1 everywhere: (2 * -1 + C1) / (2 + C1), C1 = (0.01 * 2)^2; a map and 5 times it are equal."""
    ones, noise = np.ones((1, 8, 9)), np.random.default_rng(0).normal(size=(1, 8, 9))
    np.testing.assert_allclose(xu.similarity(ones, -ones), [(-2 + 4e-4) / (2 + 4e-4)], rtol=1e-6)
    np.testing.assert_allclose(xu.similarity(noise, 5 * noise), [1])
    np.testing.assert_allclose(xu.similarity(np.zeros((1, 3, 3)), np.zeros((1, 3, 3))), [1])
    assert xu.similarity(noise, noise[:, ::-1])[0] < 0.3
    assert xu.similarity(noise[:, 0], noise[:, 0])[0] == 1


def test_soft_mask_by_hand():
    """Largest relevance: the input. Half of it: halfway to the fill. None: the fill."""
    inputs, relevance = np.array([[[8.0], [6], [4]]]), np.array([[4.0, 2, 0]])
    np.testing.assert_allclose(xu.soft_mask(inputs, relevance, 2.0), [[[8], [4], [2]]])
    np.testing.assert_allclose(xu.soft_mask(inputs, 0 * relevance), 0 * inputs)
    with pytest.raises(ValueError, match="relevance: got shape"):
        xu.soft_mask(inputs, relevance[:, :2])
    with pytest.raises(ValueError, match="relevance: got negative values, NaN"):
        xu.soft_mask(inputs, -relevance)


@pytest.mark.parametrize("score", [xu.rank_correlation, xu.similarity])
@pytest.mark.parametrize(
    "one, other, message",
    [
        (RELEVANCE, RELEVANCE[:2], "other: got shape"),
        (RELEVANCE[0, 0], RELEVANCE[0, 0], "other: got shape"),
        (RELEVANCE, RELEVANCE * np.nan, "other: got NaN"),
    ],
)
def test_similarities_refuse_bad_arguments(score, one, other, message):
    with pytest.raises(ValueError, match=message):
        score(one, other)


def test_similarity_refuses_what_no_window_fits():
    with pytest.raises(ValueError, match="sides of 3 or more"):
        xu.similarity(RELEVANCE, RELEVANCE)


def test_evidence_scores_work_on_signals():
    relevance, mask = np.array([[0.0, 1, 3, 4]]), np.array([[False, True, True, False]])
    assert xu.evidence_mass(relevance, mask) == pytest.approx([0.5])
    assert xu.pointing_game(relevance, mask) == pytest.approx([0])


@pytest.mark.parametrize("score", EVIDENCE_SCORES)
def test_evidence_scores_of_an_empty_map_are_nan_and_of_it_alone(score):
    got = score(np.stack([np.zeros((2, 2)), RELEVANCE[0]]), MASK[:2])
    assert np.isnan(got[0]) and got[1] == 1


@pytest.mark.parametrize("score", EVIDENCE_SCORES)
@pytest.mark.parametrize(
    "relevance, mask, message",
    [
        (RELEVANCE, MASK.astype(float), "mask: got dtype float64"),
        (RELEVANCE, MASK[:2], "mask: got shape"),
        (RELEVANCE, MASK[:, :1], "mask: got shape"),
        (-RELEVANCE, MASK, "relevance: got negative"),
        (RELEVANCE * np.nan, MASK, "relevance: got negative values, NaN"),
    ],
)
def test_evidence_scores_refuse_what_they_cannot_score(score, relevance, mask, message):
    with pytest.raises(ValueError, match=message):
        score(relevance, mask)


def test_keep_top_by_hand():
    """Half of four positions: those of relevance 4 and 3; both channels stay together, the rest is the fill."""
    inputs = np.arange(1, 9, dtype="float32").reshape(1, 4, 2)
    relevance = np.array([[3, 1, 4, 2]])
    got = xu.keep_top(inputs, relevance, 0.5, fill=-1)
    np.testing.assert_array_equal(got[0], [[1, 2], [-1, -1], [5, 6], [-1, -1]])
    assert got.dtype == np.float32
    np.testing.assert_array_equal(inputs.ravel(), np.arange(1, 9))


def test_keep_top_keeps_the_earlier_of_equals_and_each_inputs_own():
    inputs = np.ones((2, 2, 2, 1), "float32")
    relevance = np.array([[[1, 1], [1, 1]], [[0, 0], [0, 5]]])
    got = xu.keep_top(inputs, relevance, 0.25)
    np.testing.assert_array_equal(got[..., 0], [[[1, 0], [0, 0]], [[0, 0], [0, 1]]])


@pytest.mark.parametrize("fraction, kept", [(0.15, 15), (0.151, 16), (1, 100), (1e-6, 1), (0.07, 7), (0.55, 55)])
def test_keep_top_keeps_the_ceiling(fraction, kept):
    """7 % of 100 is 7 and not 8, although 0.07 * 100 exceeds 7 in floating point."""
    inputs, relevance = np.ones((1, 100, 1)), np.random.default_rng(0).uniform(size=(1, 100))
    got = xu.keep_top(inputs, relevance, fraction)[0, :, 0]
    assert got.sum() == kept and set(np.flatnonzero(got)) == set(np.argsort(relevance[0])[::-1][:kept])


@pytest.mark.parametrize(
    "relevance, fraction, message",
    [
        (np.ones((1, 40)), 0, "fraction: got 0"),
        (np.ones((1, 40)), 1.5, "fraction: got 1.5"),
        (np.ones((1, 39)), 0.5, "relevance: got shape"),
        (np.ones((1, 40, 1)), 0.5, "relevance: got shape"),
    ],
)
def test_keep_top_refuses_bad_arguments(relevance, fraction, message):
    with pytest.raises(ValueError, match=message):
        xu.keep_top(np.ones((1, 40, 1)), relevance, fraction)


def test_average_drop_and_increase_by_hand():
    """Y = (0.8, 0.5, 0.4), O = (0.4, 0.6, 0.4): drops 50 %, 0, 0; one of three rises; equality is no rise."""
    full, kept = [0.8, 0.5, 0.4], [0.4, 0.6, 0.4]
    assert xu.average_drop(full, kept) == pytest.approx(50 / 3)
    assert xu.average_increase(full, kept) == pytest.approx(100 / 3)


def test_average_drop_and_increase_limits():
    assert xu.average_drop([0.9, 0.1], [0.0, 0.0]) == pytest.approx(100)
    assert xu.average_drop([0.9, 0.1], [0.9, 0.1]) == xu.average_increase([0.9, 0.1], [0.9, 0.1]) == 0
    assert xu.average_increase([0.1, 0.2], [0.9, 0.3]) == 100


@pytest.mark.parametrize("score", [xu.average_drop, xu.average_increase])
@pytest.mark.parametrize(
    "full, kept, message", [([0.5, 0.5], [0.5], "kept: got shape"), ([0.0], [0.5], "full: got a probability")]
)
def test_average_drop_and_increase_refuse_bad_arguments(score, full, kept, message):
    with pytest.raises(ValueError, match=message):
        score(full, kept)


def test_completeness_gap_by_hand():
    """Sums 3 and -3; differences of scores 3 and -2: gaps 0 and 1/2. A difference of 0 counts as 1e-6."""
    attribution = np.array([[[1], [2]], [[-2], [-1]], [[0], [1e-6]]])
    np.testing.assert_allclose(xu.completeness_gap(attribution, [5, 1, 4], [2, 3, 4]), [0, 0.5, 1])
    with pytest.raises(ValueError, match="score: got shape"):
        xu.completeness_gap(attribution, [5, 1], [2, 3])
