"""Which inputs a network takes for alike: neighbours among what one of its layers answers, and a map of them.

Shared arguments (model, layer, batch_size) are explained in `xai_utils`.
"""

from typing import NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.anatomy import find_layer
from heatproof.engine.places import Place
from heatproof.engine.query import BATCH_SIZE
from heatproof.engine.tracing import Operator
from heatproof.inside.streams import Inputs, Stream
from heatproof.problems import ArgumentTypeError, ArgumentValueError

EXACT = 300  # points up to which t-SNE adds up all pairs: as fast, and the number of cores does not change its bits


class Neighbours(NamedTuple):
    """The nearest of a gallery, the nearest first: `items` (queries, k) int64, `distances` (queries, k) float64."""

    items: np.ndarray
    distances: np.ndarray


class LayerMap(NamedTuple):
    """Points of a plane for inputs, and what the plane keeps of the neighbourhoods.

    coordinates:     (N, 2) float64
    trustworthiness: 1 where all neighbours on the map were near in the features, less for each that was not
    kept:            share of the k nearest by the features that are among the k nearest on the map
    equal_class:     share of the k nearest on the map that have the class of their point; NaN without labels
    """

    coordinates: np.ndarray
    trustworthiness: float
    kept: float
    equal_class: float


def features(
    model: keras.Model,
    inputs: Inputs,
    layer: str | keras.layers.Layer | None = None,
    *,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Return what a layer answers to each input as one row of numbers, (N, D) float32.

    `layer=None` is what the head reads: the input of the last product or convolution before the scores. "pixels" are
    the inputs themselves. A layer with positions is laid out row by row. `inputs` may be an iterable of batches.
    Raises `ValueError` for an unknown layer.
    """
    return _rows(Stream(model, layer, inputs, batch_size, _place))


def _rows(stream):
    if _is_pixels(stream.layer):
        rows = [query.inputs.reshape(len(query.inputs), -1) for _, query in stream.queries()]
    else:
        rows = [answers.reshape(len(answers), -1) for _, _, answers in stream.answers()]
    return np.concatenate(rows).astype(np.float32)


def _is_pixels(layer):
    return isinstance(layer, str) and layer == "pixels"


def _place(query, layer):
    """The layer, or the operation that the head reads, as what is asked; None for pixels."""
    if _is_pixels(layer):
        return None
    if layer is not None:
        return Place(query, find_layer(query.recipe, layer).layer)
    ways = query.anatomy.ways
    if not ways.is_heavy:
        given = "None, and no product or convolution of this model stands before its scores"
        raise ArgumentValueError("layer", given, cure="name a layer, or 'pixels'")
    head = ways.operations[ways.last_heavy]
    read = next(tensor for tensor in head.inputs if tensor.name in ways.names)
    return Place(query, Operator(read.op.name))


def neighbours(
    model: keras.Model,
    queries: Inputs,
    gallery: Inputs,
    k: int = 5,
    *,
    layer: str | keras.layers.Layer | None = None,
    metric: str = "cosine",
    batch_size: int = BATCH_SIZE,
) -> Neighbours:
    """The k inputs of a gallery that are nearest to each query, by what a layer answers.

    With the features u and v of `features`: d = 1 - u.v / (||u|| ||v||) for "cosine", ||u - v|| for "euclidean". A
    row of zeros has the cosine distance 1 to all. `layer="pixels"` compares the inputs themselves. A query that
    stands in the gallery finds itself first. Raises `ValueError` for a k above the size of the gallery.
    Source: Krizhevsky, Sutskever, Hinton 2012, sec. 6.1.
    """
    k, metric = checks.as_count("k", k), checks.one_of("metric", metric, ("cosine", "euclidean"))
    asking, known = (
        Stream(model, layer, inputs, batch_size, _place, argument)
        for argument, inputs in {"queries": queries, "gallery": gallery}.items()
    )
    if known.count is not None:
        _check_k(k, known.count)
    asked, among = _rows(asking), _rows(known)
    _check_k(k, len(among))
    if asked.shape[1] != among.shape[1]:
        given = f"inputs with {asked.shape[1]} features, where those of the gallery have {among.shape[1]}"
        raise ArgumentValueError("queries", given, "inputs of one size")
    distances, items = _search(among, k, metric).kneighbors(asked)
    return Neighbours(items.astype(np.int64), distances.astype(np.float64))


def _check_k(k, size):
    if k > size:
        raise ArgumentValueError("k", f"{k}, but the gallery has {size} inputs", f"at most {size}")


def _search(points, k, metric):
    from sklearn.neighbors import NearestNeighbors  # slow to import

    return NearestNeighbors(n_neighbors=k, metric=metric, algorithm="brute").fit(points)


def knn_accuracy(features: npt.ArrayLike, labels: npt.ArrayLike, k: int = 5) -> float:
    """How often the k nearest of the other points tell a point's class: leave-one-out accuracy, from 0 to 1.

    The class is that of the most of the k nearest by ||u - v||, the smallest of equal ones. Raises `ValueError`
    for a k that is not below the number of points. Source: Cover and Hart 1967.
    """
    points, codes = _points(features), _codes(labels, features)
    k = checks.as_count("k", k, 1, len(points) - 1)
    nearest = codes[_search(points, k, "euclidean").kneighbors(return_distance=False)]
    votes = np.stack([(nearest == code).sum(axis=1) for code in range(codes.max() + 1)], axis=1)
    return float((votes.argmax(axis=1) == codes).mean())


def layer_map(
    features: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    method: str = "t-sne",
    k: int = 5,
    perplexity: float | None = None,
    start: str = "pca",
    seed: int = 0,
) -> LayerMap:
    """Lay the features of inputs, (N, D), out on a plane, and say what the plane keeps.

    "pca": the two directions of the largest variance. "t-sne": neighbours keep together, distances between groups
    mean nothing; its sums run over all pairs of up to 300 points, beyond that by the approximation of Barnes and Hut.
    With `start="pca"` it starts from the "pca" map, so that `seed`, which feeds the search for its two directions,
    moves it by little or nothing; with "random" it starts from points drawn from `seed`, and another seed gives
    another map. `perplexity` is about how many neighbours a point has, below N / 3; None is 30, or N / 4 where that is
    less. k is how many neighbours the measures look at, below N / 2.
    trustworthiness = 1 - 2 / (N k (2N - 3k - 1)) sum_i sum_j (r(i, j) - k) over the
    neighbours j of i on the map, with r their rank by the features. Raises `ValueError` for NaN, fewer than 5 points.
    Source: van der Maaten and Hinton 2008; van der Maaten 2014; Venna and Kaski 2001.
    """
    from sklearn.decomposition import PCA  # slow to import
    from sklearn.manifold import TSNE, trustworthiness

    points, method = _points(features), checks.one_of("method", method, ("pca", "t-sne"))
    start = checks.one_of("start", start, ("pca", "random"))
    count, codes = len(points), None if labels is None else _codes(labels, features)
    k, seed = checks.as_count("k", k, 1, (count - 1) // 2), checks.as_count("seed", seed, 0, 2**32 - 1)
    perplexity = min(30.0, count / 4) if perplexity is None else perplexity
    perplexity = checks.as_number("perplexity", perplexity, 1, count / 3, "high")
    if method == "pca":
        plane = PCA(2, svd_solver="full").fit_transform(points)
    else:
        sums = "exact" if count <= EXACT else "barnes_hut"
        search = TSNE(init=start, perplexity=perplexity, random_state=seed, method=sums)
        plane = search.fit_transform(points).astype(np.float64)
    near, before = (_search(each, k, "euclidean").kneighbors(return_distance=False) for each in (plane, points))
    kept = (near[:, :, None] == before[:, None, :]).any(axis=2).mean()
    equal = np.nan if codes is None else (codes[near] == codes[:, None]).mean()
    return LayerMap(plane, float(trustworthiness(points, plane, n_neighbors=k)), float(kept), float(equal))


def _points(features):
    points = checks.as_finite("features", features, {2: "(N, D)"})
    if len(points) < 5 or points.shape[1] < 2:
        raise ArgumentValueError("features", f"shape {points.shape}", "5 rows or more of 2 numbers or more")
    return points


def _codes(labels, features):
    """The labels as numbers from 0 on, in their order."""
    array = checks.as_array("labels", labels)
    if array.dtype.kind not in "biuUS":
        raise ArgumentTypeError("labels", f"{array.dtype} values", "one name or integer for each row of the features")
    if array.shape != (len(features),):
        given = f"shape {array.shape} for {len(features)} rows of features"
        raise ArgumentValueError("labels", given, f"one for each row, ({len(features)},)")
    return np.unique(array, return_inverse=True)[1]
