"""Spectral clusters of maps: closed forms of the Laplacian's eigenvalues, parts that are found, refusals."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import xai_utils as xu

RANDOM = np.random.default_rng(0)


def on_a_circle(count):
    """Maps of three positions whose shares lie on a circle, at equal angles."""
    angles = 2 * np.pi * np.arange(count) / count
    return 1 / 3 + 0.1 * np.stack([np.cos(angles + turn) for turn in (0, 2 * np.pi / 3, 4 * np.pi / 3)], axis=1)


def blobs(sizes, seed=0):
    """Maps (N, 8, 8) with a bright square in one of four corners, and whose corner it is; in random order."""
    random = np.random.default_rng(seed)
    corners = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    maps = random.uniform(0, 0.2, (len(corners), 8, 8))
    for each, corner in zip(maps, corners, strict=True):
        row, column = divmod(corner, 2)
        each[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 1
    return maps, corners


def test_the_eigenvalues_of_a_ring_are_those_of_the_formula():
    """Each of n points joined to the two beside it: 1 - cos(2 pi j / n), every value but the first and last twice."""
    got = xu.spectral_clusters(on_a_circle(12), neighbours=2, most=11).eigenvalues
    np.testing.assert_allclose(got, np.sort(1 - np.cos(2 * np.pi * np.arange(12) / 12)), atol=1e-7)


def test_the_eigenvalues_of_a_graph_that_joins_all_are_those_of_the_formula():
    """n points all joined: 0 once, n / (n - 1) else."""
    found = xu.spectral_clusters(RANDOM.uniform(size=(8, 5)), neighbours=7, most=7)
    np.testing.assert_allclose(found.eigenvalues, [0, *[8 / 7] * 7], atol=1e-12)
    np.testing.assert_allclose(found.gaps, [8 / 7, *[0] * 6], atol=1e-12)
    assert not found.labels.any()


def test_a_neighbour_that_is_not_one_in_return_counts_half():
    """Shares 0, 1, 3 on a line, one neighbour each: weights 1 and 1/2; det(L - t) = t (1 - t) (t - 2) by hand."""
    maps = np.array([[0, 10.0], [1, 9], [3, 7]])
    found = xu.spectral_clusters(maps, neighbours=1, most=2)
    # W = [[0, 1, 0], [1, 0, 1/2], [0, 1/2, 0]], D = (1, 3/2, 1/2): a path, bipartite, so 0, 1, 2 whatever the weights
    np.testing.assert_allclose(found.eigenvalues, [0, 1, 2], atol=1e-12)
    # the eigenvector of 1 is orthogonal to D^(1/2) 1 and has no entry in the middle
    np.testing.assert_allclose(found.embedding[1, 0], 0, atol=1e-12)
    ratio = found.embedding[2, 0] / found.embedding[0, 0]
    assert ratio == pytest.approx(-np.sqrt(2))  # -(1 / sqrt(1)) / (1/2 / sqrt(1/2)): an unweighted path would have -1


@pytest.mark.parametrize("sizes", [(30, 20), (25, 35, 15), (20, 25, 15, 30)])
def test_parts_that_do_not_touch_are_counted_and_found(sizes):
    maps, truth = blobs(sizes)
    found = xu.spectral_clusters(maps, neighbours=5)
    np.testing.assert_allclose(found.eigenvalues[: len(sizes)], 0, atol=1e-9)
    assert found.eigenvalues[len(sizes)] > 0.02 and int(found.gaps.argmax()) + 1 == len(sizes)
    assert adjusted_rand_score(truth, found.labels) == 1
    assert list(np.bincount(found.labels)) == sorted(sizes, reverse=True)  # the largest first
    again = xu.spectral_clusters(7 * maps, neighbours=5, count=len(sizes))  # scale does not count
    np.testing.assert_array_equal(again.labels, found.labels)
    np.testing.assert_allclose(np.linalg.norm(found.embedding, axis=0), 1)


@pytest.mark.parametrize("seed", range(8))
def test_the_largest_cluster_is_the_first_and_the_brightness_of_a_map_does_not_count(seed):
    maps, truth = blobs((20, 25, 15, 30), seed)
    found = xu.spectral_clusters(maps, neighbours=5, seed=seed)
    assert list(np.bincount(found.labels)) == [30, 25, 20, 15]
    brighter = maps * np.random.default_rng(seed).uniform(1, 50, len(maps))[:, None, None]
    again = xu.spectral_clusters(brighter, neighbours=5, seed=seed)
    np.testing.assert_allclose(again.eigenvalues, found.eigenvalues, atol=1e-9)
    assert adjusted_rand_score(truth, again.labels) == 1


def test_a_count_that_is_asked_for_is_given():
    maps, truth = blobs((30, 20, 10))
    assert len(np.unique(xu.spectral_clusters(maps, neighbours=5, count=2).labels)) == 2
    assert len(np.unique(xu.spectral_clusters(maps, neighbours=5, count=12).labels)) == 12
    assert xu.spectral_clusters(maps, neighbours=5, most=4).eigenvalues.shape == (5,)


def test_pooling_takes_means_of_areas_so_that_noise_of_single_positions_does_not_count():
    """A checkerboard and its negative are the same at half the resolution: there the corner tells, and it alone."""
    maps, truth = blobs((20, 20), seed=1)
    board = np.indices((8, 8)).sum(axis=0) % 2
    odd = np.arange(40)[:, None, None] % 2
    maps += 5 * (odd * board + (1 - odd) * (1 - board))
    options = {"neighbours": 12, "count": 2}  # ten share board and corner, twenty the board
    fine, coarse = (xu.spectral_clusters(maps, side=side, **options).labels for side in (8, 4))
    assert adjusted_rand_score(np.arange(40) % 2, fine) == 1
    assert adjusted_rand_score(truth, coarse) == 1


def test_signals_are_clustered_too():
    maps = np.zeros((30, 40)) + 0.01 * RANDOM.uniform(size=(30, 40))
    maps[:12, :10] += 1
    maps[12:, 30:] += 1
    assert adjusted_rand_score(np.arange(30) < 12, xu.spectral_clusters(maps, neighbours=8).labels) == 1


@pytest.mark.parametrize(
    "maps, options, message",
    [
        (-np.ones((20, 4)), {}, "relevance: got negative"),
        (np.ones((20, 4, 4, 2)), {}, "relevance: got shape"),
        (np.ones((2, 4)), {}, "relevance: got shape .2, 4.; allowed: three maps or more"),
        (np.concatenate([np.ones((15, 4)), np.zeros((1, 4))]), {}, "relevance: got maps that are 0 .*, item 15 the"),
        (np.ones((8, 4)), {}, "neighbours: got 10; allowed: an integer of at least 1 and at most 7"),
        (np.ones((8, 4)), {"neighbours": 2}, "most: got 10; allowed: an integer of at least 1 and at most 7"),
        (np.ones((8, 4)), {"neighbours": 2, "most": 3, "count": 8}, "count: got 8"),
    ],
)
def test_what_has_no_clusters_is_refused(maps, options, message):
    with pytest.raises(ValueError, match=message):
        xu.spectral_clusters(maps, **options)
