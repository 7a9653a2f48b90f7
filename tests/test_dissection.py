"""Oracles of network dissection: masks worked by hand, units that are filters by construction, a plain NumPy loop."""

import keras
import numpy as np
import pytest
from keras import layers

import models
import xai_utils as xu
from heatproof.engine.counting import counting
from heatproof.enlarging import resize
from heatproof.inside.tallies import Largest


def passing(shape):
    """A network whose layer "units" gives its input as it is, one unit per channel."""
    inputs = keras.Input(shape)
    x = layers.Conv2D(shape[-1], 1, use_bias=False, name="units")(inputs)
    model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    model.get_layer("units").set_weights([np.eye(shape[-1])[None, None]])
    return model


def masks_of(count, side, *places):
    """A mask (count, side, side) that is True at these (item, rows, columns)."""
    mask = np.zeros((count, side, side), bool)
    for item, rows, columns in places:
        mask[item, rows, columns] = True
    return mask


# --- by hand -----------------------------------------------------------------------------------------------------


def by_hand():
    """Two 4 x 4 pictures of two channels. With a quantile of 1/4 the unit's 8 largest of 32 values are its mask."""
    x = np.arange(32, dtype=np.float32).reshape(2, 4, 4)  # unit 0: its mask is the lower half of picture 1
    x = np.stack([x, -x], axis=-1)  # unit 1: the upper half of picture 0
    top, all_of = slice(0, 2), slice(None)
    masks = {
        "place": {"top": masks_of(2, 4, (0, top, all_of), (1, top, all_of)), "left": masks_of(2, 4, (0, all_of, top))},
        "thing": {"spot": masks_of(2, 4, (1, slice(3, 4), all_of))},
    }
    labelled = {"place": np.array([True, True]), "thing": np.array([False, True])}
    return x, xu.Concepts(x, masks, labelled=labelled)


def test_dissection_by_hand():
    """Unit 0, rows 2 and 3 of picture 1: top 0 / (8 + 16), left 0 / (8 + 8), spot, of which picture 1 alone counts,
    4 / 8. Unit 1, rows 0 and 1 of picture 0: top 8 / 16, left 4 / (8 + 8 - 4), spot 0 / 4."""
    x, concepts = by_hand()
    found = xu.dissect(passing((4, 4, 2)), "units", x, concepts, quantile=0.25, draws=0)
    assert concepts.names == ("top", "left", "spot")
    np.testing.assert_allclose(found.iou, [[0, 0, 4 / 8], [8 / 16, 4 / 12, 0]])
    # p: 16, 8 of 32 and 4 of 16 pixels; q: 8 of 32, and of picture 1 alone 8 of 16 for unit 0, none for unit 1
    np.testing.assert_allclose(found.ceiling, [[8 / 16, 1, 4 / 8], [8 / 16, 1, 0]])
    np.testing.assert_allclose(found.thresholds, [23.25, -7.75])
    table = found.table
    assert table["concept"].tolist() == ["spot", "top"] and table["category"].tolist() == ["thing", "place"]
    assert table["iou"].tolist() == [0.5, 0.5] and table["ceiling"].tolist() == [0.5, 0.5]
    assert table["share"].tolist() == [0.25, 0.25] and table["detector"].tolist() == [True, True]
    assert table[["p_value", "low", "high"]].isna().all(axis=None)
    strict = xu.dissect(passing((4, 4, 2)), "units", x, concepts, quantile=0.25, draws=0, threshold=0.5)
    assert not strict.table["detector"].any(), "above, and not at, the threshold"


def test_a_unit_that_shares_nothing_has_no_concept():
    x = np.zeros((1, 4, 4, 1), np.float32)
    x[0, 0, 0] = 1
    concepts = xu.Concepts(x, {"place": {"corner": masks_of(1, 4, (0, 3, 3))}})
    with pytest.warns(xu.XAIWarning, match="layer: got one in which 1 of 1 units have the threshold 0"):
        found = xu.dissect(passing((4, 4, 1)), "units", x, concepts, quantile=0.25, draws=5)
    row = found.table.iloc[0]
    assert (row["concept"], row["category"], row["iou"], row["p_value"]) == ("", "", 0, 1)
    assert row["threshold"] == 0 and row["share"] == 1 / 16, "above 0, and not all that is 0 or more"


# --- the plain loop ----------------------------------------------------------------------------------------------


def in_a_loop(activations, centres, concepts, quantile):
    """T, IoU and ceiling from all activations at once, one unit, concept and picture at a time."""
    units, names = activations.shape[-1], range(len(concepts.names))
    thresholds = np.quantile(activations.reshape(-1, units), 1 - quantile, axis=0)
    iou, ceiling = np.zeros((2, units, len(names)))
    for unit in range(units):
        fine = resize(activations[..., unit], concepts.size, centres) > np.float32(thresholds[unit])
        for number in names:
            label = concepts.mask(concepts.names[number], concepts.categories[number])
            shared = union = pixels = p = q = 0
            for item in np.flatnonzero(concepts.labelled[concepts.categories[number]]):
                shared += (fine[item] & label[item]).sum()
                union += (fine[item] | label[item]).sum()
                p, q, pixels = p + label[item].sum(), q + fine[item].sum(), pixels + label[item].size
            iou[unit, number] = shared / union
            ceiling[unit, number] = min(p / pixels, q / pixels) / max(p / pixels, q / pixels)
    return thresholds, iou, ceiling


def overlapping(count=10, size=24):
    """A generated set with a category of parts that overlap, and one that half of the pictures are labelled for."""
    made = xu.concept_pictures(count, seed=3, size=size)
    masks = {name: {} for name in dict.fromkeys(made.categories)}
    for name, category in zip(made.names, made.categories, strict=True):
        masks[category][name] = made.mask(name, category)
    half = np.arange(count) % 2 == 0
    random = np.random.default_rng(0)
    masks["blob"] = {name: (random.random((count, size, size)) < 0.1) & half[:, None, None] for name in "abc"}
    return xu.Concepts(made.images, masks, labelled={"blob": half})


@pytest.mark.parametrize("quantile", [0.005, 0.05])
def test_dissection_is_the_plain_loop_on_all_activations(quantile):
    concepts = overlapping()
    inputs = keras.Input((24, 24, 3))
    x = layers.Conv2D(4, 5, strides=2, padding="same", name="one")(inputs)
    x = layers.MaxPooling2D(2, name="units")(x)
    model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    # "same" pads 1 before and 2 behind: position j of "one" lies at 2 j + 1, one of "units" in the middle of two
    centres = [(2.0, 4.0)] * 2
    wanted = in_a_loop(xu.activations(model, concepts.images, "units"), centres, concepts, quantile)
    for given, size in ((concepts.images, 3), ([concepts.images[:7], concepts.images[7:]], 32)):
        found = xu.dissect(model, "units", given, concepts, quantile=quantile, draws=0, batch_size=size)
        np.testing.assert_allclose(found.thresholds, wanted[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.iou, wanted[1], atol=1e-12)
        np.testing.assert_allclose(found.ceiling, wanted[2], atol=1e-12)
    assert (found.iou <= found.ceiling + 1e-12).all() and (found.iou > 0).mean() > 0.2


def test_masks_of_half_the_size_are_met_in_the_middle_of_each_field():
    """Masks of 4 x 4 for pictures of 8 x 8: pixel m of a mask lies at 2 m + 1/2 of the picture."""
    x = models.examples((8, 8, 1), 6)
    random = np.random.default_rng(1)
    concepts = xu.Concepts(x, {"blob": {"a": random.random((6, 4, 4)) < 0.3}})
    found = xu.dissect(passing((8, 8, 1)), "units", x, concepts, quantile=0.2, draws=0)
    centres = [(-0.25, 0.5)] * 2  # position j lies at j of the picture, at (j - 1/2) / 2 of the mask
    _, iou, ceiling = in_a_loop(x, centres, concepts, 0.2)
    np.testing.assert_allclose(found.iou, iou)
    np.testing.assert_allclose(found.ceiling, ceiling)


def test_a_layer_whose_axes_are_exchanged_is_laid_on_the_masks_as_the_pictures_lie():
    """Rows and columns change places inside the network; every third column is left out there."""
    inputs = keras.Input((9, 6, 1))
    x = layers.Conv2D(1, 1, strides=(1, 3), name="units")(layers.Permute((2, 1, 3))(inputs))
    model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    model.get_layer("units").set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    x, random = models.examples(model, 5), np.random.default_rng(2)
    concepts = xu.Concepts(x, {"blob": {"a": random.random((5, 9, 6)) < 0.3}})
    found = xu.dissect(model, "units", x, concepts, quantile=0.1, draws=0)
    _, iou, _ = in_a_loop(x[:, ::3], [(0, 3), (0, 1)], concepts, 0.1)
    np.testing.assert_allclose(found.iou, iou)
    assert iou[0, 0] > 0


@pytest.mark.parametrize("total", [200, 201, 997])
@pytest.mark.parametrize("quantile", [0.005, 0.031, 0.4, 0.999])
def test_the_threshold_is_numpys_quantile_in_any_batches(total, quantile):
    values = np.random.default_rng(total).normal(size=(total, 3)).astype(np.float32).round(1)
    largest = Largest(quantile, total)
    for part in np.array_split(values, 23):
        largest.take(part)
    np.testing.assert_allclose(largest.quantile(), np.quantile(values, 1 - quantile, axis=0), rtol=1e-5, atol=1e-6)


# --- what it is for ----------------------------------------------------------------------------------------------


def filters(rotated=False):
    """A network whose units are colours by construction: min over channels of what is like the colour; a rotation."""
    colours = xu.concept_pictures(40, seed=1, size=32)
    names = [name for name, category in zip(colours.names, colours.categories, strict=True) if category == "colour"]
    x = np.stack([colours.mask(name, "colour") for name in names], axis=-1).astype(np.float32)
    x += 0.01 * np.random.default_rng(0).random(x.shape, np.float32)
    model = passing(x.shape[1:])
    if rotated:
        turn = np.linalg.qr(np.random.default_rng(2).normal(size=(len(names),) * 2))[0]
        model.get_layer("units").set_weights([turn[None, None]])
    return model, x, colours, names


def test_units_that_are_filters_of_a_concept_are_dissected_perfectly():
    model, x, concepts, names = filters()
    areas = np.array([concepts.mask(name, "colour").mean() for name in names])
    found = xu.dissect(model, "units", x, concepts, quantile=areas.max() + 0.001, draws=20)
    assert found.table["concept"].tolist() == names and set(found.table["category"]) == {"colour"}
    np.testing.assert_allclose(found.table["iou"], found.table["ceiling"])
    widest = areas.argmax()
    assert found.table["iou"][widest] > 0.95, "the one that is as wide as the quantile"
    assert (found.table["p_value"] == 1 / 21).all()
    exact = [
        xu.dissect(model, "units", x, concepts, quantile=area, draws=0).table["iou"][number]
        for number, area in enumerate(areas)
    ]
    assert min(exact) > 0.99


def test_the_same_span_in_a_rotated_basis_has_fewer_detectors_and_lower_iou():
    """The axis test, with answers of 0.2 to 1: single units stand for concepts, directions in general do not."""
    tables = []
    for rotated in (False, True):
        model, x, concepts, _ = filters(rotated)
        graded = x * np.random.default_rng(6).uniform(0.2, 1, x.shape).astype(np.float32)
        tables.append(xu.dissect(model, "units", graded, concepts, quantile=0.03, draws=0).table)
    straight, turned = tables
    assert straight["concept"].nunique() > turned["concept"].nunique()
    assert straight["iou"].mean() > 1.2 * turned["iou"].mean()


def test_permuted_images_are_at_chance_and_random_units_at_the_floor():
    """Units that follow nothing: p-values spread over all of 0 to 1, and IoU far below that of the filters."""
    _, x, concepts, _ = filters()
    noise = np.random.default_rng(4).normal(size=(*x.shape[:-1], 30)).astype(np.float32)
    table = xu.dissect(passing(noise.shape[1:]), "units", noise, concepts, quantile=0.02, draws=60).table
    assert 0.25 < table["p_value"].mean() < 0.75 and table["p_value"].max() > 0.7
    assert (table["p_value"] < 0.05).mean() < 0.2 and table["iou"].max() < 0.05
    model, x, concepts, _ = filters()
    order = np.random.default_rng(5).permutation(len(x))
    true, mixed = (xu.dissect(model, "units", each, concepts, draws=60).table for each in (x, x[order]))
    assert (true["p_value"] == 1 / 61).all() and mixed["p_value"].mean() > 0.2
    assert mixed["iou"].mean() < true["iou"].mean() / 3


def test_the_p_value_counts_the_best_of_all_concepts():
    """Two pictures of which one is labelled: nothing can be exchanged, so every draw does as well."""
    x, concepts = by_hand()
    found = xu.dissect(passing((4, 4, 2)), "units", x, concepts, quantile=0.25, draws=40)
    # unit 0: spot is on the only labelled picture, so that 0.5 comes back in each draw
    assert found.table["p_value"][0] == 1
    # unit 1: exchanged, top (a half of each picture) is met as before: 8 / 16 in each draw too
    assert found.table["p_value"][1] == 1
    assert found.table[["low", "high"]].to_numpy().shape == (2, 2)


def test_the_interval_resamples_inputs_or_sources():
    """Four pictures, the unit right on some: with one source the interval has no width; else it holds the IoU."""
    x = models.examples((6, 6, 1), 12)
    random = np.random.default_rng(0)
    concepts = xu.Concepts(x, {"blob": {"a": (x[..., 0] > 1) | (random.random(x.shape[:3]) < 0.02)}})
    ask = lambda sources: xu.dissect(  # noqa: E731
        passing((6, 6, 1)), "units", x, concepts, quantile=0.1, draws=400, sources=sources, seed=2
    ).table.iloc[0]
    alone, one, pairs = ask(None), ask(np.zeros(12, int)), ask(np.arange(12) // 2)
    assert alone["low"] < alone["iou"] < alone["high"] and pairs["low"] < pairs["iou"] < pairs["high"]
    np.testing.assert_allclose([one["low"], one["high"]], one["iou"])
    threshold = np.quantile(x, 0.9)
    mask, label = x[..., 0] > threshold, concepts.mask("a")
    drawn = np.random.default_rng(9).integers(0, 12, (4000, 12))
    shared, union = (mask & label).sum(axis=(1, 2))[drawn], (mask | label).sum(axis=(1, 2))[drawn]
    wanted = np.percentile(shared.sum(axis=1) / union.sum(axis=1), (2.5, 97.5))
    np.testing.assert_allclose([alone["low"], alone["high"]], wanted, atol=0.03)


def test_the_seed_is_all_that_is_random_and_two_passes_are_made():
    model, x, concepts, _ = filters()
    with counting() as passes:
        one = xu.dissect(model, "units", x[:40], concepts, draws=10, seed=1)
    assert passes == {"forwards": 80, "backwards": 0}
    again, other = (xu.dissect(model, "units", x[:40], concepts, draws=10, seed=seed) for seed in (1, 2))
    assert one.table.equals(again.table)
    assert not one.table.equals(other.table) and one.table["iou"].equals(other.table["iou"])


# --- refusals ----------------------------------------------------------------------------------------------------


def test_dissect_refuses_what_does_not_fit():
    x, concepts = by_hand()
    model = passing((4, 4, 2))
    with pytest.raises(TypeError, match="concepts: got dict; allowed: an xu.Concepts"):
        xu.dissect(model, "units", x, {"place": {}})
    with pytest.raises(ValueError, match="inputs: got 1 inputs for 2 pictures with concepts"):
        xu.dissect(model, "units", x[:1], concepts)
    with pytest.raises(ValueError, match="inputs: got 4 inputs for 2 pictures with concepts"):
        xu.dissect(model, "units", [x, x], concepts, quantile=0.1)
    with pytest.raises(ValueError, match="inputs: got a generator, which can be gone through once.*begins anew"):
        xu.dissect(model, "units", (part for part in [x]), concepts)
    with pytest.raises(ValueError, match="quantile: got 0.01, less than one of the 32 positions; allowed: 0.031"):
        xu.dissect(model, "units", x, concepts, quantile=0.01)
    with pytest.raises(ValueError, match=r"concepts: got masks of \(4, 4\) pixels for inputs of \(6, 4\)"):
        xu.dissect(passing((6, 4, 2)), "units", np.zeros((2, 6, 4, 2), np.float32), concepts)
    with pytest.raises(ValueError, match="sources: got 3 for 2 inputs"):
        xu.dissect(model, "units", x, concepts, sources=[0, 1, 2])
    signal = models.cnn(models.SIGNAL)
    with pytest.raises(ValueError, match=r"model: got one of inputs of shape .*; allowed: a model of images"):
        xu.dissect(signal, "conv_1", models.examples(signal, 2), concepts)
