"""Meaningful perturbation: the loss by hand, its gradient by differences, the two games as mirrors of one another."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import models
import xai_utils as xu
from heatproof.engine.query import Query
from heatproof.enlarging import Enlarging, resize
from heatproof.methods.blends import Adam, Blends, grid_of, references
from heatproof.methods.learned_masks import Loss

SHAPES = {"image": (6, 5, 2), "signal": (9, 2), "volume": (3, 4, 5, 1)}
RANDOM = np.random.default_rng(0)


def linear(w, b=0.0):
    """S = w.x + b, one number."""
    inputs = keras.Input(w.shape)
    head = layers.Dense(1)
    model = keras.Model(inputs, head(layers.Flatten()(inputs)))
    head.set_weights([w.reshape(-1, 1), np.array([b])])
    return model


def smooth(shape, seed=0):
    """A network in float64 without kinks."""
    inputs = keras.Input(shape, dtype="float64")
    x = layers.Dense(6, "tanh", dtype="float64")(layers.Flatten(dtype="float64")(inputs))
    return models.randomised(keras.Model(inputs, layers.Dense(3, dtype="float64")(x)), seed)


def drawn(shape, count=2):
    return np.random.default_rng(1).normal(size=(count, *shape))


# --- the loss ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deletes", [True, False])
def test_the_three_terms_of_a_loss_by_hand(deletes):
    """Cells 0.5, 1 / 0, 0.25 on 2 x 2 pixels, w = 1, 2 / 3, 4, x = 1, r = 0.5.

    mean |m| = 1.75 / 4 and mean |1 - m| = 2.25 / 4, times 3. Steps of 0.5 and 0.25 along rows, 0.5 and 0.75 along
    columns, squares of 1.125 in all; one of two cells spans 14 parts of 28, so 784 * 1.125 * (2 / 28)^2 / 4 = 1.125.
    S = sum w (0.5 + 0.5 m) = 5 + 0.5 (0.5 + 2 + 0 + 1) = 6.75.
    """
    cells = np.array([[[[0.5, 1], [0, 0.25]]]])
    query = Query(linear(np.array([[[1.0], [2]], [[3], [4]]])), np.ones((1, 2, 2, 1)), 0, score="value")
    blends = Blends(query, np.array([0]), np.full((1, 2, 2, 1), 0.5, np.float32))
    loss, score = Loss(deletes, area=3.0, variation=784.0, power=2.0), blends.scores(cells.astype(np.float32))
    np.testing.assert_allclose(score, [[6.75]])
    np.testing.assert_allclose(loss.regular(cells), [[(6.75 if deletes else 5.25) / 4 + 1.125]])
    np.testing.assert_allclose(loss.of_score(score) + loss.regular(cells), [[9.5625 if deletes else -4.3125]])


@pytest.mark.parametrize("deletes", [True, False])
@pytest.mark.parametrize("kind", SHAPES)
def test_the_gradient_of_the_loss_is_that_of_central_differences(kind, deletes):
    """Of the whole loss by each cell, two inputs at once, moved by one position under the mask."""
    shape, h = SHAPES[kind], 1e-6
    query = Query(smooth(shape), drawn(shape), [0, 2])
    grid, shift = [2] * (len(shape) - 1), [1, -1, 0][: len(shape) - 1]
    blends = Blends(query, np.arange(2), np.zeros((2, *shape)), margin=1)
    enlarge, loss = Enlarging(grid, shape[:-1], shape[-1], np.float64), Loss(deletes, 0.3, 50.0, 3.0)
    cells = np.random.default_rng(2).uniform(0.1, 0.9, (2, 1, *grid))

    def value(at):
        score = query.scores(blends.seen(enlarge(at), shift), np.arange(2))
        return loss.of_score(score) + loss.regular(at)[:, 0]

    found = loss.of_score(enlarge.back(blends.gradient(enlarge(cells), shift))) + loss.slope(cells)
    for place in np.ndindex(*grid):
        step = np.zeros(grid)
        step[place] = h
        np.testing.assert_allclose(
            found[:, 0, *place], (value(cells + step) - value(cells - step)) / (2 * h), rtol=2e-6, atol=1e-8
        )


def test_features_touch_nothing():
    """Without neighbours the variation is no term: neither of the loss nor of its gradient."""
    cells, loss = np.array([[[0.0, 1.0, 0.5]]]), Loss(False, 2.0, 100.0, 2.0)
    np.testing.assert_allclose(loss.regular(cells, apart=True), [[1.0]])
    np.testing.assert_allclose(loss.slope(cells, apart=True), np.full((1, 1, 3), 2 / 3))


def test_the_first_steps_of_adam_by_hand():
    """Gradients 1 and 3 at rate 0.1: 0.1; then m = 0.9 * 0.1 + 0.3 = 0.39 of 0.19, v = 0.009999 of 0.001999."""
    adam = Adam(0.1)
    np.testing.assert_allclose(adam.step(np.array([1.0])), [0.1], rtol=1e-6)
    np.testing.assert_allclose(adam.step(np.array([3.0])), [0.1 * (0.39 / 0.19) / np.sqrt(0.009999 / 0.001999)])


# --- blends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SHAPES)
def test_the_whole_mask_gives_the_score_of_the_input_and_none_that_of_the_reference(kind):
    shape = SHAPES[kind]
    query = Query(smooth(shape), drawn(shape), [0, 2])
    hidden = references("noise", query, 3)
    blends = Blends(query, np.array([1, 0]), hidden, count=2)
    masks = np.stack([np.ones(shape), np.zeros(shape)]).reshape(1, 2, *shape[:-2], -1).repeat(2, axis=0)
    wanted = np.stack([query.scores(), query.scores(hidden)], axis=1)[[1, 0]]
    np.testing.assert_allclose(blends.scores(masks), wanted, rtol=1e-9)


@pytest.mark.parametrize("times", [1, 3])
def test_enlarging_is_resize_and_its_way_back_the_transpose(times):
    """<E m, v> = <m, E' v>; each position of the last axis comes `times` in a row."""
    enlarge = Enlarging([3, 2], (7, 5), times, np.float64)
    maps, values = RANDOM.normal(size=(4, 3, 2)), RANDOM.normal(size=(4, 7, 5 * times))
    np.testing.assert_allclose(enlarge(maps), resize(maps, (7, 5)).repeat(times, axis=-1), atol=1e-6)
    np.testing.assert_allclose((enlarge(maps) * values).sum(), (maps * enlarge.back(values)).sum())


def test_inputs_are_moved_under_the_mask_and_their_borders_go_on():
    x = np.arange(8.0).reshape(1, 4, 2)
    query = Query(smooth((4, 2)), x, 0)
    blends = Blends(query, np.array([0]), np.zeros((1, 4, 2)), margin=2)
    rows = {0: [0, 1, 2, 3], 1: [0, 0, 1, 2], -2: [2, 3, 3, 3]}
    for by, order in rows.items():
        np.testing.assert_array_equal(blends.seen(np.ones((1, 1, 8)), [by]), x[:, order])


def test_the_references():
    model = models.cnn()
    x = models.examples(model, 2)
    query = Query(model, x, 0)
    np.testing.assert_allclose(references("constant", query, 0), x.mean((1, 2), keepdims=True) + 0 * x, rtol=1e-5)
    noise = references("noise", query, 0)
    apart = (noise - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True)
    np.testing.assert_allclose(apart[0], apart[1], rtol=1e-3, atol=1e-5)  # one draw for both
    assert abs(apart[0].mean()) < 0.3 and 0.8 < apart[0].std() < 1.2
    assert np.abs(references("noise", query, 1) - noise).max() > 0.1
    assert (references(0.5, query, 0) == 0.5).all() and (references("zero", query, 0) == 0).all()
    assert grid_of(query, None) == [min(side, 7) for side in x.shape[1:-1]]


# --- the maps ---------------------------------------------------------------------------------------------------


def test_meaningful_perturbation_takes_exactly_the_cells_of_a_linear_score_that_pay():
    """A cell per pixel: deleting it lowers S by w (x - r) and costs area_weight / n."""
    w = RANDOM.normal(size=(5, 4, 2))
    x = RANDOM.normal(size=(3, 5, 4, 2)).astype(np.float32)
    share = (w * (x - 0.2)).sum(axis=-1)
    cost = 0.5
    options = {"grid": (5, 4), "area_weight": cost * 20, "variation_weight": 0, "reference": 0.2, "score": "value"}
    for game in ("deletion", "preservation"):
        found = xu.meaningful_perturbation(linear(w), x, 0, game=game, steps=60, jitter=0, **options)
        clear = np.abs(share - cost) > 0.05
        np.testing.assert_array_equal(found[clear], (share > cost)[clear])


def test_deletion_is_preservation_of_the_reference_under_the_negative_score():
    """Deletion of (x, r, S): 1 - m. Preservation of (r, x, -S): the same map, for the start is the middle."""
    w = RANDOM.normal(size=(6, 5, 2))
    x, r = RANDOM.normal(size=(2, 2, 6, 5, 2)).astype(np.float32)
    options = {"score": "value", "steps": 12, "area_weight": 0.9, "variation_weight": 2.0, "jitter": 1, "grid": 3}
    one = xu.meaningful_perturbation(linear(w), x, 0, game="deletion", reference=r, **options)
    other = xu.meaningful_perturbation(linear(-w), r, 0, game="preservation", reference=x, **options)
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert np.ptp(one) > 0.5


def test_the_published_weights_are_the_defaults_on_the_published_grid():
    """Sums of 1e-4 and 1e-2 over 28 x 28 cells, of differences of a cell."""
    cells, usual = np.random.default_rng(3).random((1, 1, 28, 28)), Loss(True, 0.08, 8.0, 3.0)
    steps = [np.abs(np.diff(cells, axis=axis)) ** 3 for axis in (2, 3)]
    published = 1e-4 * (1 - cells).sum() + 1e-2 * sum(step.sum() for step in steps)
    np.testing.assert_allclose(usual.regular(cells), published, rtol=0.03)


def test_variation_smooths_and_area_frees():
    model = models.cnn()
    x = models.examples(model, 2)
    rough, even = (xu.meaningful_perturbation(model, x, 1, variation_weight=v, steps=60) for v in (0.0, 1e5))
    wide, small = (xu.meaningful_perturbation(model, x, 1, area_weight=a, steps=60) for a in (0.0, 10.0))
    assert np.ptp(even) < 0.3 * np.ptp(rough) and small.max() < 0.05 < wide.mean()


def test_an_input_alone_and_in_any_batch_has_one_map_and_a_seed_its_bits():
    model = models.cnn()
    x = models.examples(model, 5)

    def learned(inputs, seed=4, jitter=2, **options):
        return xu.meaningful_perturbation(model, inputs, 1, steps=30, jitter=jitter, seed=seed, **options)

    found = learned(x)
    np.testing.assert_array_equal(learned(x), found)
    np.testing.assert_allclose(learned(x, batch_size=2), found, atol=1e-4)
    np.testing.assert_allclose(learned(x[3:4])[0], found[3], atol=1e-4)
    assert np.abs(learned(x, seed=5) - found).max() > 1e-3
    np.testing.assert_array_equal(learned(x, 4, jitter=0), learned(x, 5, jitter=0))


def test_a_loss_that_still_falls_is_told_and_one_that_rests_is_not():
    w, x = np.ones((4, 4, 1)), np.ones((1, 4, 4, 1), np.float32)
    options = {"reference": 0.0, "score": "value", "learning_rate": 0.01, "jitter": 0}
    with pytest.warns(xu.XAIWarning, match="steps: got too few: the loss still falls for 1 of 1"):
        xu.meaningful_perturbation(linear(w), x, 0, steps=20, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = xu.meaningful_perturbation(linear(w), x, 0, steps=100, **options)
    np.testing.assert_array_equal(found, 1)
