"""Clusters of maps: are there several ways in which a network decides? Found without knowing what to look for.

Spectral relevance analysis (SpRAy): maps that look alike are neighbours in a graph, and the graph falls into parts.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from heatproof import checks
from heatproof.problems import ArgumentValueError


@dataclass(frozen=True, eq=False)
class Clusters:
    """The clusters of N maps.

    labels:      (N,) int64, the cluster of each map, the largest cluster first
    eigenvalues: the smallest eigenvalues of the graph's normalised Laplacian, rising, in [0, 2]
    gaps:        eigenvalues[k] - eigenvalues[k - 1] for k = 1, 2, ...: wide where k clusters describe the graph
    embedding:   (N, 2) the two eigenvectors after the first, to draw the maps as points
    """

    labels: np.ndarray
    eigenvalues: np.ndarray
    gaps: np.ndarray
    embedding: np.ndarray


def spectral_clusters(
    relevance: npt.ArrayLike,
    *,
    count: int | None = None,
    neighbours: int = 10,
    side: int = 16,
    most: int = 10,
    seed: int = 0,
) -> Clusters:
    """Group maps by the graph of their nearest neighbours.

    Each map is pooled to at most `side` positions an axis (means of equal areas) and divided by its sum. Two maps are
    joined with the weight 1 if each is among the `neighbours` nearest of the other, 1/2 if only one is. Of the
    normalised Laplacian L = I - D^(-1/2) W D^(-1/2), with the degrees D = diag(W 1), the eigenvalues near 0 are as many
    as the graph has parts that hang together loosely or not at all. `count` clusters, or, for None, as many as stand
    before the widest gap among the first `most` eigenvalues: at least 1. The maps are grouped by k-means of their
    entries in the first `count` eigenvectors, each map's scaled to length 1 (Ng, Jordan, Weiss 2001). `relevance`:
    (N, H, W) or (N, T), not negative. Raises `ValueError` for negative relevance, an all-zero map, or fewer maps than
    `most` + 1 or `neighbours` + 1. Source: Lapuschkin et al. 2019; von Luxburg 2007.
    """
    from sklearn.cluster import KMeans  # slow to import

    relevance = checks.as_numbers("relevance", relevance)
    checks.as_relevance(relevance)
    if relevance.ndim not in (2, 3) or len(relevance) < 3:
        raise ArgumentValueError("relevance", f"shape {relevance.shape}", "three maps or more, (N, H, W) or (N, T)")
    number, side, seed = len(relevance), checks.as_count("side", side), checks.as_count("seed", seed, 0)
    neighbours = checks.as_count("neighbours", neighbours, 1, number - 1)
    most = checks.as_count("most", most, 1, number - 1)
    count = None if count is None else checks.as_count("count", count, 1, number - 1)
    W = _graph(_pooled(relevance, side), neighbours)
    roots = 1 / np.sqrt(W.sum(axis=1))
    values, vectors = eigh(np.eye(number) - roots[:, None] * W * roots, subset_by_index=[0, max(most, count or 1, 2)])
    values = np.maximum(values, 0)  # rounding may leave -1e-17
    gaps = np.diff(values[: most + 1])
    count = int(gaps.argmax()) + 1 if count is None else count
    rows = vectors[:, :count]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    labels = KMeans(count, n_init=10, random_state=seed).fit(rows).labels_
    order = np.argsort(-np.bincount(labels, minlength=count), kind="stable")
    return Clusters(np.argsort(order)[labels], values, gaps, vectors[:, 1:3])


def _pooled(relevance, side):
    """Each map as a row of at most `side` means an axis, divided by its sum."""
    from skimage.transform import resize_local_mean

    sides = tuple(min(side, length) for length in relevance.shape[1:])
    rows = np.stack([resize_local_mean(each, sides).ravel() for each in relevance])
    if not rows.any(axis=1).all():
        given = f"maps that are 0 everywhere, item {int(np.argmin(rows.any(axis=1)))} the first"
        raise ArgumentValueError("relevance", given, cure="leave those items out")
    return rows / rows.sum(axis=1, keepdims=True)


def _graph(rows, neighbours):
    """The weights of the graph of nearest neighbours, (N, N): the mean of who names whom."""
    from sklearn.neighbors import kneighbors_graph

    named = kneighbors_graph(rows, neighbours, include_self=False).toarray()
    return (named + named.T) / 2
