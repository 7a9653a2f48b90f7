"""Oracles of neighbours and maps of a layer: distances one by one, scikit-learn's own measures, hand-made points."""

import keras
import numpy as np
import pytest
from keras import layers
from scipy.spatial.distance import cdist
from sklearn.manifold import TSNE, trustworthiness
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

import models
import xai_utils as xu
from heatproof.inside import neighbours

RANDOM = np.random.default_rng(5)
GROUPS = np.repeat([0, 1, 2], 12)
LABELS = np.array([3, 7, 9])[GROUPS]
POINTS = RANDOM.normal(size=(36, 6)) + 2.0 * np.eye(6)[GROUPS]


# --- features ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model, layer",
    [
        (models.cnn(head="hidden"), "dense"),
        (models.cnn(head="gap"), "gap"),
        (models.cnn(head="pointwise"), "gap"),
        (models.cnn(head="flatten"), "conv_2"),
        (models.cnn(head="gap", classes=1, ending="sigmoid"), "gap"),
        (models.residual(), "dense"),
    ],
)
def test_features_are_what_the_head_reads(model, layer):
    x = models.examples(model, 5)
    if layer == "dense":
        layer = next(each.name for each in model.layers if isinstance(each, layers.Dense))
    wanted = keras.Model(model.inputs, model.get_layer(layer).output).predict(x, verbose=0).reshape(5, -1)
    got = xu.features(model, x, batch_size=2)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(xu.features(model, x, layer), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(xu.features(model, [x[:2], x[2:]]), wanted, rtol=1e-5, atol=1e-6)


def test_features_in_pixels_are_the_inputs_laid_out():
    model = models.cnn()
    x = models.examples(model, 3)
    np.testing.assert_array_equal(xu.features(model, x, "pixels"), x.reshape(3, -1))
    np.testing.assert_array_equal(xu.features(model, iter([x[:1], x[1:]]), "pixels"), x.reshape(3, -1))


def test_features_of_a_model_without_products_need_a_layer():
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, layers.GlobalAveragePooling2D(name="mean")(inputs))
    with pytest.raises(ValueError, match="layer: got None, and no product or convolution.*name a layer, or 'pixels'"):
        xu.features(model, np.ones((2, 4, 4, 3), np.float32))


# --- neighbours --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [None, "conv_1", "pixels"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_neighbours_are_the_nearest_by_brute_force(metric, layer):
    model = models.cnn(head="hidden")
    gallery, queries = models.examples(model, 11, seed=1), models.examples(model, 4, seed=2)
    found = xu.neighbours(model, queries, gallery, 6, layer=layer, metric=metric, batch_size=3)
    u, v = (xu.features(model, x, layer).astype(float) for x in (queries, gallery))
    distances = cdist(u, v, metric)
    order = distances.argsort(axis=1)[:, :6]
    assert found.items.dtype == np.int64 and found.distances.dtype == np.float64
    np.testing.assert_array_equal(found.items, order)
    np.testing.assert_allclose(found.distances, np.take_along_axis(distances, order, axis=1), rtol=1e-4, atol=1e-5)


def test_the_last_layer_is_the_default_and_not_pixels():
    """Two pictures that differ in pixels and not in their mean are the same to a head that reads means."""
    inputs = keras.Input((2, 1, 1))
    model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(inputs))))
    gallery = np.array([[1, 3], [3, 1.5], [8, 8]], np.float32).reshape(3, 2, 1, 1)
    query = np.array([[3, 1]], np.float32).reshape(1, 2, 1, 1)
    assert xu.neighbours(model, query, gallery, 2, metric="euclidean").items.tolist() == [[0, 1]]
    assert xu.neighbours(model, query, gallery, 2, layer="pixels", metric="euclidean").items.tolist() == [[1, 0]]


def test_cosine_looks_at_directions_and_euclidean_at_distances():
    inputs = keras.Input((2, 1))
    model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inputs))))
    gallery, query = np.array([[9, 9], [1, 0], [0, 0]], np.float32)[..., None], np.ones((1, 2, 1), np.float32)
    near = {metric: xu.neighbours(model, query, gallery, 3, metric=metric) for metric in ("cosine", "euclidean")}
    assert near["cosine"].items.tolist() == [[0, 1, 2]] and near["euclidean"].items.tolist() == [[1, 2, 0]]
    np.testing.assert_allclose(near["cosine"].distances, [[0, 1 - np.sqrt(0.5), 1]], atol=1e-6)
    np.testing.assert_allclose(near["euclidean"].distances, [[1, np.sqrt(2), np.sqrt(128)]], rtol=1e-6)


def test_neighbours_refuse_a_k_above_the_gallery():
    model, x = models.cnn(), models.examples(models.IMAGE, 3)
    for gallery in (x, [x[:1], x[1:]]):
        with pytest.raises(ValueError, match="k: got 4, but the gallery has 3 inputs; allowed: at most 3"):
            xu.neighbours(model, x, gallery, 4)


# --- accuracy of neighbours --------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3, 5])
def test_knn_accuracy_is_that_of_leave_one_out(k):
    points = POINTS + RANDOM.normal(size=POINTS.shape)
    wanted = cross_val_score(KNeighborsClassifier(k), points, LABELS, cv=LeaveOneOut()).mean()
    assert 0.2 < wanted < 0.95
    np.testing.assert_allclose(xu.knn_accuracy(points, LABELS, k), wanted)
    names = np.array(["a", "b", "c"])[GROUPS]
    np.testing.assert_allclose(xu.knn_accuracy(points, names, k), wanted)


def test_knn_accuracy_by_hand():
    """On a line: 0, 1.1, 2, 5 of class 0, 2.8 and 9 of class 1."""
    points = np.array([[0, 0], [1.1, 0], [2, 0], [2.8, 0], [9, 0], [5, 0]])
    # nearest: 1.1, 2, 2.8 (wrong), 2 (wrong), 5 (wrong), 2.8 (wrong)
    assert xu.knn_accuracy(points, [0, 0, 0, 1, 1, 0], 1) == 2 / 6
    # of two: (1.1, 2), (2, 0), a tie of 2.8 and 1.1 goes to class 0; wrong (2, 1.1), a tie (5, 2.8), right (2.8, 2)
    assert xu.knn_accuracy(points, [0, 0, 0, 1, 1, 0], 2) == 4 / 6


# --- maps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["pca", "t-sne"])
def test_the_measures_of_a_map_are_scikit_learns_and_those_of_brute_force(method):
    found = xu.layer_map(POINTS, LABELS, method=method, k=4, seed=1)
    assert found.coordinates.shape == (36, 2) and found.coordinates.dtype == np.float64
    np.testing.assert_allclose(found.trustworthiness, trustworthiness(POINTS, found.coordinates, n_neighbors=4))
    near, before = (cdist(each, each) + np.diag([np.inf] * 36) for each in (found.coordinates, POINTS))
    near, before = near.argsort(axis=1)[:, :4], before.argsort(axis=1)[:, :4]
    np.testing.assert_allclose(found.equal_class, (LABELS[near] == LABELS[:, None]).mean())
    kept = [len(set(one) & set(other)) / 4 for one, other in zip(near, before, strict=True)]
    np.testing.assert_allclose(found.kept, np.mean(kept))
    assert 0.2 < found.kept < 1 and 0.4 < found.equal_class < 1
    assert np.isnan(xu.layer_map(POINTS, method=method).equal_class)


def test_pca_is_the_plane_of_the_largest_variance():
    found = xu.layer_map(POINTS, method="pca").coordinates
    centred = POINTS - POINTS.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found), np.abs(left[:, :2] * sizes[:2]), rtol=1e-6)


def test_tsne_starts_from_pca_unless_points_are_to_be_drawn_and_its_seed_is_all_that_is_random():
    one, again = (xu.layer_map(POINTS, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.coordinates, again.coordinates)
    started = {init: theirs(init=init, method="exact") for init in ("pca", "random")}
    np.testing.assert_allclose(one.coordinates, started["pca"], rtol=1e-5)
    drawn = {seed: xu.layer_map(POINTS, start="random", seed=seed).coordinates for seed in (3, 4)}
    np.testing.assert_allclose(drawn[3], started["random"], rtol=1e-5)
    assert min(np.abs(drawn[3] - each).max() for each in (one.coordinates, drawn[4])) > 1
    other = xu.layer_map(POINTS, seed=3, perplexity=4)
    assert np.abs(other.coordinates - one.coordinates).max() > 1


def theirs(**options):
    """The map of scikit-learn."""
    return TSNE(perplexity=9, random_state=3, **options).fit_transform(POINTS)


def test_tsne_approximates_beyond_some_hundred_points(monkeypatch):
    sums = {method: theirs(init="random", method=method) for method in ("exact", "barnes_hut")}
    assert np.abs(sums["exact"] - sums["barnes_hut"]).max() > 0.1
    for most, method in ((36, "exact"), (35, "barnes_hut")):
        monkeypatch.setattr(neighbours, "EXACT", most)
        found = xu.layer_map(POINTS, start="random", seed=3).coordinates
        np.testing.assert_allclose(found, sums[method], rtol=1e-4, atol=1e-3)


def test_a_map_of_separate_groups_keeps_them_separate():
    apart = RANDOM.normal(size=(36, 6)) + 50 * np.eye(6)[GROUPS]
    assert xu.layer_map(apart, LABELS).equal_class == 1 and xu.knn_accuracy(apart, LABELS) == 1
    mixed = xu.layer_map(RANDOM.normal(size=(36, 6)), LABELS)
    assert mixed.equal_class < 0.6


def test_layer_map_refuses_what_has_no_map():
    with pytest.raises(ValueError, match="perplexity: got 12; allowed: a finite number"):
        xu.layer_map(POINTS, perplexity=12)
    assert xu.layer_map(POINTS, perplexity=11.9).coordinates.shape == (36, 2)
    with pytest.raises(ValueError, match="features: got NaN"):
        xu.layer_map(np.where(POINTS > 3, np.nan, POINTS))
    with pytest.raises(ValueError, match=r"features: got shape \(4, 6\); allowed: 5 rows or more"):
        xu.layer_map(POINTS[:4])
    with pytest.raises(ValueError, match="k: got 18; allowed: an integer of at least 1 and at most 17"):
        xu.layer_map(POINTS, k=18)
    with pytest.raises(ValueError, match=r"labels: got shape \(35,\) for 36 rows"):
        xu.layer_map(POINTS, LABELS[1:])
