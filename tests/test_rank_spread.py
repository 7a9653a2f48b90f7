"""Ranks over trainings: mean and spread by hand, the published critical difference, both sources of chance."""

import numpy as np
import pandas as pd
import pytest

import xai_utils as xu

RANDOM = np.random.default_rng(0)


def frame_of(values, metric="m"):
    """A table of an array (trainings, methods, items); methods are a, b, c ..."""
    rows = [("abcdefghij"[j], t, metric, i, values[t, j, i]) for t, j, i in np.ndindex(values.shape)]
    return pd.DataFrame(rows, columns=["method", "training", "metric", "item", "value"])


def test_ranks_and_spread_by_hand():
    """Means 3, 2, 1 then 3, 1, 2 then 2, 2, 1 (a tie for the first place): ranks 1 2 3, 1 3 2, 1.5 1.5 3."""
    means = np.array([[3, 2, 1], [3, 1, 2], [2, 2, 1.0]])
    values = means[..., None] + np.array([-0.25, 0.25])
    table = xu.rank_spread(frame_of(values), "m", better="high", resamples=50).set_index("method")
    np.testing.assert_allclose(table.loc[["a", "b", "c"], "rank"], [3.5 / 3, 6.5 / 3, 8 / 3])
    spread = [np.std(ranks, ddof=1) for ranks in ([1, 1, 1.5], [2, 3, 1.5], [3, 2, 3])]
    np.testing.assert_allclose(table.loc[["a", "b", "c"], "spread"], spread)
    low = xu.rank_spread(frame_of(values), "m", better="low", resamples=50)
    assert list(low["method"]) == ["c", "b", "a"]  # rank 4 minus the other
    np.testing.assert_allclose(low["rank"], [4 - 8 / 3, 4 - 6.5 / 3, 4 - 3.5 / 3])


@pytest.mark.parametrize("count, q", [(2, 1.960), (4, 2.569), (10, 3.164)])
def test_the_critical_difference_has_the_published_quantiles(count, q):
    """Demsar 2006, table 5 a."""
    table = xu.rank_spread(frame_of(RANDOM.normal(size=(8, count, 3))), "m", better="high", resamples=2)
    np.testing.assert_allclose(table["critical"], q * np.sqrt(count * (count + 1) / 48), rtol=1e-3)


def test_the_interval_knows_of_items_and_of_trainings():
    """Where only trainings differ it has a width, where only items differ too, and where neither does none."""
    trainings = np.where(np.arange(8) % 2, 1.0, -1.0)[:, None, None] * np.array([1.0, -1])[None, :, None]
    by_training = np.broadcast_to(trainings, (8, 2, 6))
    one = RANDOM.normal(size=(1, 2, 6))
    by_item, steady = (
        np.broadcast_to(one - one.mean(axis=2, keepdims=True), (8, 2, 6)),
        np.zeros((8, 2, 6)) + [[1], [0]],
    )
    for values, wide in ((by_training, True), (by_item + [[1e-3], [0]], True), (steady, False)):
        table = xu.rank_spread(frame_of(values), "m", better="high", resamples=300)
        assert ((table["high"] - table["low"] > 0.3) == wide).all()
    assert (xu.rank_spread(frame_of(by_item + [[1e-3], [0]]), "m", better="high", resamples=9)["spread"] == 0).all()


def test_the_direction_is_that_of_the_metric_and_missing_values_do_not_count():
    values = np.stack([np.array([[0.2, 0.4, np.nan], [0.9, 0.7, 0.8], [np.nan] * 3])] * 2)
    table = xu.rank_spread(frame_of(values, "evidence_mass"), "evidence_mass", resamples=20)
    assert list(table["method"]) == ["b", "a"]
    assert list(xu.rank_spread(frame_of(values, "deletion"), "deletion", resamples=20)["method"]) == ["a", "b"]


def test_a_mean_over_fewer_items_is_a_mean_and_a_method_that_misses_a_training_is_left_out():
    """One value of 0.9 is better than three of 0.5, which sum to more; c has no value in the second training."""
    first = [[0.9, np.nan, np.nan], [0.5, 0.5, 0.5], [0.7, 0.7, 0.7]]
    second = [[0.9, np.nan, np.nan], [0.5, 0.5, 0.5], [np.nan] * 3]
    table = xu.rank_spread(frame_of(np.array([first, second])), "m", better="high", resamples=20)
    assert list(table["method"]) == ["a", "b"]
    np.testing.assert_allclose(table["rank"], [1, 2])


def test_what_has_no_spread_is_refused():
    good = frame_of(RANDOM.normal(size=(3, 2, 4)))
    for frame, message in (
        (good.drop(columns="training"), r"frame: got a table that lacks the columns \['training'\]"),
        (pd.concat([good, good]), "frame: got two rows"),
        (good[good["training"] == 0], "frame: got 2 methods with values in all of 1 trainings"),
        (good[good["method"] == "a"], "frame: got 1 methods"),
    ):
        with pytest.raises(ValueError, match=message):
            xu.rank_spread(frame, "m", better="high")
    with pytest.raises(ValueError, match="better: got ''; allowed: 'high', 'low'"):
        xu.rank_spread(good, "m")
