"""Extremal perturbation: exact areas, the best mask of few cells by trying all, and what leaves the mask as it is."""

import itertools
import warnings

import keras
import numpy as np
import pytest
import shapes
from keras import layers
from test_learned_masks import drawn, linear, smooth

import models
import xai_utils as xu
from heatproof.engine.counting import counting
from heatproof.engine.query import Query
from heatproof.hiding import baselines
from heatproof.methods.blends import Blends
from heatproof.methods.extremal import _Search
from heatproof.methods.levels import hardened, level_of, mask_at, top
from heatproof.methods.masks import RandomMasks

AREAS = (0.05, 0.1, 0.2, 0.4)


@pytest.fixture(scope="module")
def faces():
    return xu.load_model("models/schematic_faces.keras"), xu.schematic_faces(6, seed=5)


@pytest.fixture(scope="module")
def found(faces):
    return xu.extremal_perturbation(faces[0], faces[1].images, steps=100)


# --- areas ------------------------------------------------------------------------------------------------------


def test_the_area_is_exact_and_the_mask_nearly_0_and_1(found):
    """Within 1e-3 of the picture; a tenth of the values between 0.1 and 0.9, and half of the area above."""
    assert found.masks.shape == (6, 4, 48, 48) and found.masks.dtype == np.float32
    np.testing.assert_allclose(found.masks.mean((2, 3), np.float64), np.broadcast_to(AREAS, (6, 4)), atol=1e-6)
    between = ((found.masks > 0.1) & (found.masks < 0.9)).mean((2, 3))
    assert (between <= 0.1).all() and (between <= 0.5 * np.array(AREAS)).all()
    assert ((found.masks >= 0.9).mean((2, 3)) > 0.5 * np.array(AREAS)).all()


@pytest.mark.parametrize("steep", [0.1, 3.0, 1e3])
def test_the_level_gives_each_row_its_own_area(steep):
    heights, areas = np.random.default_rng(0).normal(size=(3, 4, 50)), np.array([0.05, 0.3, 0.5, 0.97])[:, None]
    level = level_of(heights, areas, steep, np.zeros((3, 4, 1)))
    np.testing.assert_allclose(mask_at(heights, steep, level).mean(axis=-1), np.tile(areas.T, (3, 1)), atol=1e-8)
    np.testing.assert_allclose(mask_at(heights, steep, level), 1 / (1 + np.exp(-steep * (heights - level))), atol=1e-9)


def test_masks_are_hardened_one_by_one():
    """A row of far heights keeps its k; one of near heights does not; ties cannot be parted and end the doubling."""
    heights = np.stack([np.repeat([-9.0, 9.0], 10), np.linspace(0, 0.1, 20), np.zeros(20)])[None]
    masks = hardened(heights, np.full((3, 1), 0.5), 1.0)
    np.testing.assert_allclose(masks[0, 0], mask_at(heights[0, 0], 1.0, 0.0))
    assert ((masks[0, 1] > 0.1) & (masks[0, 1] < 0.9)).mean() <= 0.1
    np.testing.assert_allclose(masks.mean(axis=-1), 0.5, atol=1e-8)


def test_the_binary_mask_has_the_largest_heights():
    heights = np.array([[[3.0, 1, 2, 2], [0, 0, 0, 0]]])
    np.testing.assert_array_equal(top(heights, np.array([[0.5], [0.25]])), [[[1, 0, 1, 0], [1, 0, 0, 0]]])


def test_scores_are_those_of_the_masks_and_the_ends_those_of_input_and_reference(faces, found):
    model, data = faces
    blur, targets = xu.Query(model, data.images), xu.Query(model, data.images).targets
    hidden = baselines("blur", blur.inputs)
    for area in range(4):
        m = found.masks[:, area, ..., None]
        seen = xu.scores(model, m * data.images + (1 - m) * hidden, targets, score="logit")
        np.testing.assert_allclose(found.scores[:, area], seen, rtol=1e-3, atol=1e-3)
        binary = np.stack([one >= np.sort(one.ravel())[-round(AREAS[area] * one.size)] for one in found.masks[:, area]])
        if (binary.sum((1, 2)) == round(AREAS[area] * 48 * 48)).all():
            seen = xu.scores(model, np.where(binary[..., None], data.images, hidden), targets, score="logit")
            np.testing.assert_allclose(found.binary_scores[:, area], seen, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.whole, xu.scores(model, data.images, targets, score="logit"), rtol=1e-5)
    np.testing.assert_allclose(found.nothing, xu.scores(model, hidden, targets, score="logit"), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found.areas, AREAS)


# --- the best mask ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("game", ["preservation", "deletion"])
def test_on_a_linear_model_the_cells_with_the_largest_sums_are_found(game):
    """A cell per pixel of 4 x 3, every number of cells: the k largest w (x - r), summed over channels."""
    draw = np.random.default_rng(3)
    w, x = draw.normal(size=(4, 3, 2)), draw.normal(size=(2, 4, 3, 2)).astype(np.float32)
    model, areas = linear(w), np.arange(1, 12) / 12
    targets = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one of the two scores less than its reference
        found = xu.extremal_perturbation(model, x, targets, areas=areas, game=game, reference=0.1, grid=(4, 3),
                                         score="value", steps=400)  # fmt: skip
    share = (w * (x - 0.1)).sum(axis=-1).reshape(2, -1)
    for item, number in itertools.product(range(2), range(11)):
        best = np.zeros(12)
        best[np.argsort(-share[item])[: number + 1]] = 1
        np.testing.assert_allclose(found.masks[item, number].ravel(), best, atol=0.15, err_msg=f"{number + 1} cells")
    assert np.isnan(found.smallest).all()  # a number has no class


def small_net(seed):
    """Convolution, ReLU, dense, ReLU on 3 x 3 pixels of two channels."""
    keras.utils.set_random_seed(seed)
    inputs, bias = keras.Input((3, 3, 2)), keras.initializers.RandomNormal(stddev=0.3, seed=seed)
    x = layers.Conv2D(6, 2, activation="relu", padding="same", bias_initializer=bias)(inputs)
    x = layers.Dense(8, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(3)(x))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::heatproof.checks.XAIWarning")
def test_of_all_masks_of_three_by_three_cells_nearly_the_best_is_found():
    """Twenty networks, eight areas: the binary score is within 2 % of the best one's distance from S(r) in 9 of 10."""
    masks = np.array(list(itertools.product([0, 1], repeat=9)), np.float32)
    near = []
    for seed in range(20):
        model, x = small_net(seed), np.random.default_rng(seed).normal(size=(1, 3, 3, 2)).astype(np.float32)
        query = Query(model, x)
        every = query.scores(masks.reshape(-1, 3, 3, 1) * x, np.zeros(512, int))
        found = xu.extremal_perturbation(
            model, x, query.targets, areas=np.arange(1, 9) / 9, reference="zero", grid=3, activation="softmax"
        )
        for cells in range(1, 9):
            best = every[masks.sum(axis=1) == cells].max()
            assert found.binary_scores[0, cells - 1] <= best + 1e-5
            near.append(best - found.binary_scores[0, cells - 1] <= 0.02 * abs(best - every[0]))
    print(f"within 2 % of the best of all masks: {np.mean(near):.3f} of {len(near)}")
    assert np.mean(near) >= 0.9


@pytest.mark.parametrize("deletes", [True, False])
@pytest.mark.parametrize("kind, shape", [("image", (4, 3, 2)), ("signal", (7, 2))])
def test_the_gradient_holds_the_area_and_is_that_of_central_differences(kind, shape, deletes):
    """Of the share by theta, where the level follows so that the area stays."""
    h, steep, areas = 1e-5, 2.0, np.array([0.3, 0.6])
    query = Query(smooth(shape), drawn(shape), [0, 2])
    search = _Search(query, np.zeros((2, *shape)), [2] * (len(shape) - 1), areas, deletes)
    blends = Blends(query, np.arange(2), np.zeros((2, *shape)), 2)
    theta = np.random.default_rng(5).normal(size=(2, 2, *search.grid))

    def masks(at):
        heights = search._rows(search.enlarge(at))
        return mask_at(heights, steep, level_of(heights, search.areas, steep, np.zeros((2, 2, 1))))

    def share(at):
        sign = -1 if deletes else 1
        return sign * blends.scores(search._shown(blends, masks(at))) / search.unit[..., 0]

    rise = steep * search._rise(blends, masks(theta))
    found = search.enlarge.back(rise.reshape(2, 2, *shape[:-1]))
    for place in np.ndindex(*search.grid):
        step = np.zeros(search.grid)
        step[place] = h
        wanted = (share(theta + step) - share(theta - step)) / (2 * h)
        np.testing.assert_allclose(found[(slice(None), slice(None), *place)], wanted, rtol=1e-4, atol=1e-7)


# --- what leaves a mask as it is --------------------------------------------------------------------------------


def test_logits_times_a_factor_have_the_same_masks():
    model = models.cnn(ending="logits")
    x = models.examples(model, 2)
    one = xu.extremal_perturbation(model, x, 1, areas=(0.2, 0.5), steps=40, activation="softmax")
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([64 * kernel, 64 * bias])
    other = xu.extremal_perturbation(model, x, 1, areas=(0.2, 0.5), steps=40, activation="softmax")
    np.testing.assert_allclose(one.masks, other.masks, atol=1e-4)
    np.testing.assert_allclose(64 * one.scores, other.scores, rtol=1e-3, atol=1e-3)


def test_deletion_is_preservation_of_the_reference_under_the_negative_score():
    """min S((1 - m) x + m r) is max -S(m r + (1 - m) x)."""
    shape = (5, 4, 2)
    w = np.random.default_rng(4).normal(size=shape)
    x, r = np.random.default_rng(5).normal(size=(2, 2, *shape)).astype(np.float32)
    options = {"areas": (0.2, 0.5), "steps": 40, "score": "value", "grid": 4}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = xu.extremal_perturbation(linear(w), x, 0, game="deletion", reference=r, **options)
        other = xu.extremal_perturbation(linear(-w), r, 0, game="preservation", reference=x, **options)
    np.testing.assert_allclose(one.masks, other.masks, atol=1e-3)
    np.testing.assert_allclose(one.scores, -other.scores, rtol=1e-3, atol=1e-3)


def test_an_input_alone_and_in_any_batch_has_one_mask_and_a_seed_its_bits(faces):
    model, x = faces[0], faces[1].images[:3]
    run = lambda inputs, **options: xu.extremal_perturbation(model, inputs, areas=(0.1, 0.3), steps=20, **options)  # noqa: E731
    found = run(x)
    for one, other in zip(found, run(x), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(run(x[2:]).masks[0], found.masks[2], atol=1e-2)
    np.testing.assert_allclose(run(x, batch_size=1).masks, found.masks, atol=1e-2)
    assert np.abs(run(x, seed=1).masks - found.masks).max() > 0.5


def test_the_model_comes_back_untouched_and_the_passes_are_those_of_the_steps():
    model = models.cnn()
    x, weights = models.examples(model, 3), [weight.copy() for weight in model.get_weights()]
    with counting() as passes:
        xu.extremal_perturbation(model, x, 1, areas=(0.2, 0.5), steps=23, batch_size=4)
    points = 2 * 3
    assert (passes["forwards"], passes["backwards"]) == (23 * points + 2 * points + 2 * 3 + 3 * points, 23 * points)
    assert all(np.array_equal(*pair) for pair in zip(weights, model.get_weights(), strict=True))
    assert model.trainable and all(layer.trainable for layer in model.layers)


# --- the smallest area ------------------------------------------------------------------------------------------


def seen_class(threshold):
    """Class 1 where more than `threshold` of 12 pixels are 1, class 0 where not."""
    inputs = keras.Input((4, 3, 1))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inputs)))
    model.layers[-1].set_weights([np.stack([np.zeros(12), np.ones(12)], axis=1), np.array([0, -threshold])])
    return model


@pytest.mark.parametrize("game, wanted", [("preservation", 6 / 12), ("deletion", 8 / 12)])
def test_the_smallest_area_that_decides_the_class(game, wanted):
    """Of 12 equal pixels more than 4.5 must be seen; once 8 are hidden, 4 are left."""
    x, areas = np.ones((1, 4, 3, 1), np.float32), np.array([2, 4, 6, 8, 10]) / 12
    found = xu.extremal_perturbation(seen_class(4.5), x, 1, areas=areas, game=game, reference="zero", grid=(4, 3),
                                     steps=5, activation="softmax")  # fmt: skip
    np.testing.assert_allclose(found.smallest, [wanted])
    never = xu.extremal_perturbation(seen_class(4.5), x, 1, areas=areas[:2], reference="zero", steps=5,
                                     activation="softmax")  # fmt: skip
    assert np.isnan(never.smallest).all()


# --- refused ----------------------------------------------------------------------------------------------------


def test_a_reference_of_the_same_score_is_refused_and_a_better_one_told():
    w = np.zeros((4, 3, 2))
    w[0, 0, 0] = 1
    x = np.ones((2, 4, 3, 2), np.float32)
    same = x.copy()
    same[:, 1:] = 0
    with pytest.raises(ValueError, match="reference: got one that scores as input 0 does, 1;.*another reference"):
        xu.extremal_perturbation(linear(w), x, 0, reference=same, score="value", steps=1)
    with pytest.warns(xu.XAIWarning, match="reference: got one that scores higher than the input for 2 of 2"):
        xu.extremal_perturbation(linear(w), x, 0, reference=2.0, score="value", steps=1, areas=(0.5,))


def test_several_inputs_are_explained_one_at_a_time():
    parts = [keras.Input((4, 3, 2), name="image"), keras.Input((5,), name="meta")]
    both = layers.Concatenate()([layers.Flatten()(part) for part in parts])
    model = keras.Model(parts, layers.Dense(2, "softmax")(layers.Dense(4, "relu")(both)))
    given = [np.random.default_rng(0).normal(size=(2, *size)).astype(np.float32) for size in ((4, 3, 2), (5,))]
    with pytest.raises(ValueError, match="only: got None, for a model with several inputs.*image.*meta"):
        xu.extremal_perturbation(model, given, 0, steps=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = xu.extremal_perturbation(model, given, 0, steps=2, only="image", areas=(0.5,))
        assert found.masks.shape == (2, 1, 4, 3)
        found = xu.extremal_perturbation(model, given, 0, steps=2, only="meta", areas=(0.4,), reference="zero")
    assert found.masks.shape == (2, 1, 5)
    np.testing.assert_allclose(found.masks.mean(axis=-1), 0.4, atol=1e-6)


@pytest.mark.parametrize("shape", [shapes.SIGNAL, shapes.VOLUME])
def test_signals_and_volumes(shape):
    truth = shapes.Truth(shape)
    model = truth.give_to(shapes.functional(truth))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = xu.extremal_perturbation(model, truth.inputs(), truth.targets, areas=(0.25,), steps=3)
    assert found.masks.shape == (3, 1, *shape[:-1])
    np.testing.assert_allclose(found.masks.reshape(3, -1).mean(axis=-1), 0.25, atol=1e-6)


def test_other_masks_of_equal_area_seldom_do_better(faces, found):
    """On schematic faces: the binary masks of RISE, occlusion and chance against ours, areas and faces together."""
    model, x = faces[0], faces[1].images
    query = Query(model, x)
    hidden, areas = baselines("blur", query.inputs), np.array(AREAS)[:, None]

    def scores(maps):
        masks = top(np.repeat(maps.reshape(6, 1, -1), 4, axis=1), areas).reshape(24, 48, 48, 1)
        points = np.where(masks, x.repeat(4, axis=0), hidden.repeat(4, axis=0)).astype(np.float32)
        return query.scores(points, np.arange(24) // 4).reshape(6, 4)

    draw = RandomMasks(x.shape[1:], [7, 7], 0.5, 0)
    others = {
        "chance": [np.repeat(draw.mask(number)[None, ..., 0], 6, axis=0) for number in range(10)],
        "RISE": [xu.rise(model, x, masks=300, score="logit", fill="blur")],
        "occlusion": [xu.occlusion(model, x, fill="blur")],
    }
    most = {"chance": 0.02, "RISE": 0.15, "occlusion": 0.3}
    for name, maps in others.items():
        beaten = np.concatenate([scores(one) > found.binary_scores + 1e-4 for one in maps])
        low, high = xu.wilson_interval(int(beaten.sum()), beaten.size)
        print(f"{name} beats the extremal mask in {beaten.mean():.3f} of {beaten.size} [{low:.3f}, {high:.3f}]")
        assert beaten.mean() <= most[name]
