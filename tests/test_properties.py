"""Properties on drawn questions: a right one is answered by the contract, a wrong one refused by the argument's name.

Hypothesis draws shapes, dtypes, targets and every option of every method, always the same ones. What a right question
gives is float32, finite, in the promised shape, and the same for an item alone as in its batch; no warning other than
an `XAIWarning` is let through. What a wrong one gives is a `TypeError` or `ValueError` that starts with its argument.
"""

import functools
import inspect
import math
import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.extra.numpy import arrays
from keras import layers
from refusals import told_in_fields

import models
import xai_utils as xu
from heatproof import batches, checks

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "xai_hypothesis")  # never the checkout
ALL = sorted(xu.METHODS)
CLASSES, LAYERS = 3, ("conv_1", "conv_2")
SHAPES = [(6, 5, 2), (3, 7, 1), (1, 4, 3), (9, 2), (5, 1)]
NAN, INF = float("nan"), float("inf")
slow = settings(derandomize=True, deadline=None, database=None, max_examples=7, suppress_health_check=list(HealthCheck))
quick = settings(slow, max_examples=60)


@functools.cache
def network(shape):
    """Two convolutions with ReLU, GAP, Dense: every method can explain it."""
    rank = len(shape) - 1
    of_rank = lambda name: getattr(layers, f"{name}{rank}D")  # noqa: E731
    inputs = keras.Input(shape)
    x = of_rank("Conv")(3, 3, padding="same", activation="relu", name="conv_1")(inputs)
    x = of_rank("Conv")(4, 3, padding="same", activation="relu", name="conv_2")(x)
    x = of_rank("GlobalAveragePooling")(name="gap")(x)
    return models.randomised(keras.Model(inputs, layers.Dense(CLASSES, activation="softmax", name="head")(x)), spread=2)


def parameters(name):
    return [each for each in inspect.signature(getattr(xu, name)).parameters if each not in ("model", "inputs")]


# --- right questions --------------------------------------------------------------------------------------------

dtypes = st.sampled_from([np.float16, np.float32, np.float64])


@st.composite
def right_inputs(draw, shape):
    """One to three inputs of a few sizes of numbers: an array, in either memory order, or a list."""
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    size = draw(st.sampled_from([0.01, 1.0, 50.0]))
    x = (size * generator.normal(size=(draw(st.integers(1, 3)), *shape))).astype(draw(dtypes))
    return draw(st.sampled_from([x, np.asfortranarray(x), x.astype(">f4")]))


def right_targets(count):
    index = st.integers(0, CLASSES - 1)
    each = st.lists(index, min_size=count, max_size=count)
    return st.one_of(st.none(), index, index.map(np.uint8), each, each.map(np.array))


def right_options(shape):
    """A strategy of right values for every option that a method can have."""
    side = min(shape[:-1])
    fills = st.sampled_from(["zero", "mean", "blur", 0.25, -3])
    return {
        "score": st.sampled_from(["logit", "probability", "value"]),
        "activation": st.sampled_from([None, "softmax"]),
        "batch_size": st.integers(1, 4),
        "samples": st.integers(4, 8),
        "noise": st.floats(0, 2),
        "seed": st.integers(0, 2**70),
        "baseline": fills | st.lists(fills, min_size=1, max_size=2),
        "background": st.sampled_from(["uniform", "constant", "shuffled", np.ones((2, *shape), np.float32)]),
        "steps": st.integers(1, 4),
        "rule": st.sampled_from(["midpoint", "gauss-legendre"]),
        "tolerance": st.floats(0.05, 0.9),
        "max_steps": st.integers(18, 60),
        "layer": st.sampled_from([None, *LAYERS]),
        "relu": st.booleans(),
        "upsample": st.booleans(),
        "align": st.sampled_from(["centres", "stretch"]),
        "weights": st.sampled_from(["probability", "softmax"]),
        "fill": fills,
        "patch": st.integers(1, side),
        "stride": st.just(1),
        "probability_map": st.booleans(),
        "masks": st.integers(2, 6),
        "grid": st.none() | st.integers(1, side),
        "p": st.floats(0.1, 0.9),
        "layers": st.sampled_from([None, "conv_1", ["conv_1", "conv_2"]]),
        "threshold": st.floats(0, 0.9),
        "segments": st.integers(2, 5) if len(shape) == 2 else st.none(),
        "kernel_width": st.floats(0.1, 3),
        "alpha": st.floats(0.01, 10),
        "epsilon": st.sampled_from([0.01, 0.1]),  # relative: without it a share of nearly nothing may be anything
        "gamma": st.floats(0, 2),
        "beta": st.just(1.0),
        "low": st.none(),  # of another rule: see `test_lrp.py`
        "high": st.none(),
        "bias": st.sampled_from(["split", "whole", "none"]),
        "relevance_at": st.none(),
        "through": st.sampled_from([None, ("conv_1", 0), ("conv_2", [1, 3])]),
        "ledger": st.just(False),
        "head": st.none(),  # of one output and one input there is nothing to choose: see `test_several_inputs.py`
        "only": st.none(),
    }


# What options mean that have other values elsewhere.
OF_LRP = {
    "score": st.just("logit"),
    "rule": st.sampled_from(["epsilon", "z_plus", "gamma", "flat", "w_square", "epsilon_plus", {"conv_1": "gamma"}]),
    "alpha": st.just(2.0),
}


@st.composite
def right_questions(draw, name):
    shape = draw(st.sampled_from(SHAPES))
    inputs = draw(right_inputs(shape))
    strategies = right_options(shape) | {"targets": right_targets(len(inputs))} | (OF_LRP if name == "lrp" else {})
    if "layer" in parameters(name):
        strategies["grid"] = st.none()  # the patches of these networks lie as they are: see `test_tokens.py`
    given_ones = [each for each in parameters(name) if draw(st.booleans()) or each in ("samples", "masks", "steps")]
    return shape, inputs, {each: draw(strategies[each]) for each in given_ones}


def promised_shape(name, inputs, options):
    if xu.METHODS[name].output == "inputs":
        return inputs.shape
    return inputs.shape[:-1]  # both convolutions keep the grid, so the native one is the same


@pytest.mark.parametrize("name", ALL)
@slow
@given(data=st.data())
def test_a_right_question_is_answered(name, data):
    shape, inputs, options = data.draw(right_questions(name))
    model, method = network(shape), getattr(xu, name)
    before, weights = inputs.tobytes(), [weight.tobytes() for weight in model.get_weights()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", xu.XAIWarning)
        maps = method(model, inputs, **options)
        alone = {**options, "targets": np.broadcast_to(options.get("targets"), len(inputs))[-1:].tolist()}
        alone["targets"] = None if alone["targets"] == [None] else alone["targets"]
        single = method(model, inputs[-1:], **alone)
    assert maps.dtype == np.float32 and maps.shape == promised_shape(name, inputs, options)
    assert np.isfinite(maps).all()
    np.testing.assert_allclose(single[0], maps[-1], rtol=1e-5, atol=1e-5 * max(1, np.abs(maps[-1]).max()))
    assert inputs.tobytes() == before and [weight.tobytes() for weight in model.get_weights()] == weights


# --- wrong questions --------------------------------------------------------------------------------------------

oddities = st.one_of(st.booleans(), st.complex_numbers(), st.binary(), st.just(object), st.just({}))
no_numbers = oddities | st.text() | st.none()
no_words = no_numbers | st.integers() | st.floats()
no_flags = st.integers() | st.floats() | st.text() | st.none() | st.binary()


def no_counts(low):
    return no_numbers | st.floats() | st.integers(max_value=low - 1)


def numbers_outside(low, high=None):
    outside = st.floats(max_value=low, exclude_max=True) | st.sampled_from([NAN, INF, -INF, 10**400])
    return no_numbers | outside | (st.nothing() if high is None else st.floats(min_value=high))


no_fills = st.text() | st.none() | st.booleans() | st.sampled_from([NAN, INF, np.zeros((2, 2)), [[1], [1, 2]]])
no_boxes = st.text() | st.booleans().map(lambda value: [value] * 7) | st.sampled_from([NAN, INF, np.zeros((2, 2))])
no_layers = st.text() | st.integers() | st.floats() | st.sampled_from(["head", "gap", np.zeros(2), layers.Dense(2)])
WRONG_OPTIONS = {
    "score": no_words,
    "activation": no_words.filter(lambda word: word is not None) | st.just("sigmoid"),
    "batch_size": no_counts(1),
    "samples": no_counts(1),
    "noise": numbers_outside(0),
    "seed": no_counts(0),
    "baseline": no_fills | st.just([]),
    "background": no_fills | st.floats() | st.just(np.zeros((2, 9, 9, 9), np.float32)),
    "steps": no_counts(1).filter(lambda value: value is not None),
    "rule": no_words,
    "tolerance": numbers_outside(0, 1) | st.just(0),
    "max_steps": no_counts(18),
    "layer": no_layers,
    "relu": no_flags,
    "upsample": no_flags,
    "align": no_words,
    "weights": no_words,
    "fill": no_fills,
    "patch": no_counts(1).filter(lambda value: value is not None) | st.integers(10),
    "stride": no_counts(1).filter(lambda value: value is not None) | st.integers(10),
    "probability_map": no_flags,
    "masks": no_counts(2),
    "grid": no_counts(1).filter(lambda value: value is not None) | st.integers(10),
    "p": numbers_outside(0, 1) | st.just(0),
    "layers": st.text() | st.lists(no_layers, max_size=2),
    "threshold": numbers_outside(0, 1),
    "segments": no_counts(2).filter(lambda value: value is not None) | st.just(np.zeros((2, 2), int)),
    "kernel_width": numbers_outside(0) | st.just(0),
    "alpha": numbers_outside(0),
    "epsilon": numbers_outside(0),
    "gamma": numbers_outside(0),
    "beta": numbers_outside(0) | st.sampled_from([0.5, 3.0]),
    "low": no_boxes,
    "high": no_boxes,
    "bias": no_words,
    "relevance_at": no_layers.filter(lambda layer: not isinstance(layer, str) or layer not in ("head", "gap")),
    "through": st.text() | st.integers() | st.sampled_from([("conv_1", 9), ("conv9", 0), ("conv_1", [])]),
    "ledger": no_flags,
    "head": no_words.filter(lambda value: value is not None),
    "only": no_words.filter(lambda value: value is not None),
}
every_dtype = st.sampled_from([bool, np.uint8, np.int64, np.float16, np.float32, np.float64, complex, object, "M8[D]"])


@st.composite
def wrong_inputs(draw, shape):
    """An array of any dtype and of any rank up to five, or of the right shape with one wrong value."""
    sizes = draw(st.lists(st.integers(0, 9), max_size=5).map(tuple) | st.just((2, *shape)))
    array = np.zeros(sizes, draw(every_dtype))
    if array.dtype.kind == "f" and sizes[1:] == shape and sizes[0] > 0:
        array.flat[draw(st.integers(0, array.size - 1))] = draw(st.sampled_from([NAN, INF, -INF]))
    return draw(st.sampled_from([array, [array, array[..., None]]]))


def wrong_targets(count):
    outside = st.integers(max_value=-1) | st.integers(CLASSES)
    wrong_length = st.lists(st.integers(0, CLASSES - 1), max_size=6).filter(lambda targets: len(targets) != count)
    return outside | wrong_length | st.floats() | st.text() | st.booleans() | st.lists(st.floats(), min_size=1)


@st.composite
def wrong_questions(draw, name):
    """A question with one or two wrong arguments, and which they are."""
    shape, inputs, options = draw(right_questions(name))
    arguments = ["inputs", *parameters(name)]
    wrong = draw(st.lists(st.sampled_from(arguments), min_size=1, max_size=2, unique=True))
    strategies = WRONG_OPTIONS | {"inputs": wrong_inputs(shape), "targets": wrong_targets(len(inputs))}
    return shape, {"inputs": inputs, **options, **{each: draw(strategies[each]) for each in wrong}}, wrong


@pytest.mark.parametrize("name", ALL)
@settings(slow, max_examples=24)
@given(data=st.data())
def test_a_wrong_question_is_refused_by_the_name_of_its_argument(name, data):
    shape, options, wrong = data.draw(wrong_questions(name))
    with pytest.raises((TypeError, ValueError)) as caught:
        getattr(xu, name)(network(shape), **options)
    told_in_fields(caught.value, str(caught.value))
    names = {"layer" if each == "layers" else each for each in wrong} | {*wrong}
    assert str(caught.value).startswith(tuple(f"{each}:" for each in names)), str(caught.value)


def test_every_option_has_right_and_wrong_values():
    options = {each for name in ALL for each in parameters(name)} - {"targets"}
    assert options == set(WRONG_OPTIONS) == set(right_options((6, 5, 2)))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 2)])
def test_an_input_of_one_position_is_answered_or_refused_by_name(name, shape):
    """There is nothing to hide and no layer keeps positions: a method may say so, and that is all it may do."""
    fewer = {"masks": 4} if name == "rise" else {"samples": 4} if "samples" in parameters(name) else {}
    try:
        maps = getattr(xu, name)(network(shape), np.ones((2, *shape), np.float32), **fewer)
    except ValueError as error:
        assert str(error).startswith(("layer:", "layers:", "segments:", "inputs:")), str(error)
    else:
        assert np.isfinite(maps).all() and len(maps) == 2


# --- metrics ----------------------------------------------------------------------------------------------------

sizes = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5))
values = st.floats(0, 1e3).map(lambda value: round(value, 1))  # ties are wanted
factors = st.integers(-8, 8).map(lambda power: 2.0**power)  # exact, so that ties stay


@st.composite
def judged(draw):
    """Relevance and mask of a few items, a factor, an order of the items."""
    shape = draw(sizes)
    order = draw(st.permutations(range(shape[0])))
    return draw(arrays(float, shape, elements=values)), draw(arrays(bool, shape)), draw(factors), list(order)


@pytest.mark.parametrize("name", ["evidence_mass", "pointing_game", "rank_accuracy", "average_precision"])
@quick
@given(case=judged())
def test_scores_against_a_mask(name, case):
    """In [0, 1], or NaN where all relevance is 0 (or the mask is empty); scale and order do not count."""
    relevance, mask, factor, order = case
    metric = getattr(xu, name)
    found = metric(relevance, mask)
    assert found.shape == (len(relevance),)
    empty = ~relevance.any(axis=(1, 2)) | (~mask.any(axis=(1, 2)) & (name in ("rank_accuracy", "average_precision")))
    np.testing.assert_array_equal(np.isnan(found), empty)
    assert ((found[~empty] >= 0) & (found[~empty] <= 1 + 1e-12)).all()
    np.testing.assert_allclose(metric(factor * relevance, mask), found, rtol=1e-9)
    np.testing.assert_array_equal(metric(relevance[order], mask[order]), found[order])
    np.testing.assert_allclose(metric(relevance[:, ::-1], mask[:, ::-1]), found, rtol=1e-9)
    everywhere = metric(relevance, np.ones_like(mask))
    assert np.allclose(everywhere[relevance.any(axis=(1, 2))], 1)


@quick
@given(case=judged(), seed=st.integers(0, 9))
def test_comparisons_of_two_maps(case, seed):
    """Symmetric, at most 1, 1 with itself, free of scale, item by item."""
    one, _, factor, order = case
    other = np.random.default_rng(seed).normal(size=one.shape)
    pairs = [xu.rank_correlation] + ([xu.similarity] if min(one.shape[1:]) >= 3 else [])
    for metric in pairs:
        found = metric(one, other)
        known = found[~np.isnan(found)]
        assert ((known >= -1 - 1e-9) & (known <= 1 + 1e-9)).all()
        np.testing.assert_allclose(metric(other, one), found, atol=1e-9)
        np.testing.assert_allclose(metric(factor * one, other), found, atol=1e-9)
        np.testing.assert_allclose(metric(one[order], other[order]), found[order], atol=1e-12)
        np.testing.assert_allclose(
            metric(other, other), np.where(np.ptp(other, axis=(1, 2)) > 0, 1, metric(other, other))
        )


@quick
@given(case=judged(), fraction=st.floats(0.01, 1), fill=st.floats(-5, 5))
def test_kept_and_dimmed_inputs(case, fraction, fill):
    """`keep_top` keeps ceil(fraction * positions) whole; `soft_mask` lies between input and fill."""
    relevance, _, factor, _ = case
    inputs = 10 + np.random.default_rng(0).random((*relevance.shape, 2))
    kept = xu.keep_top(inputs, relevance, fraction, fill)
    whole = (kept == inputs).all(axis=-1)
    count = math.ceil(round(fraction * relevance[0].size, 9))
    assert (whole.sum(axis=(1, 2)) == count).all() and (kept[~whole] == fill).all()
    lowest = np.where(whole, relevance, np.inf).min(axis=(1, 2))
    assert (np.where(whole, -np.inf, relevance).max(axis=(1, 2)) <= lowest).all()
    np.testing.assert_array_equal(xu.keep_top(inputs, factor * relevance, fraction, fill), kept)
    soft = xu.soft_mask(inputs, relevance, fill)
    assert (soft >= fill - 1e-9).all() and (soft <= inputs + 1e-9).all()
    np.testing.assert_allclose(xu.soft_mask(inputs, factor * relevance, fill), soft)


probabilities = arrays(float, st.integers(1, 6), elements=st.floats(0.01, 1))


@quick
@given(full=probabilities, seed=st.integers(0, 9))
def test_drop_and_increase(full, seed):
    """Percentages; nothing drops where nothing changes; the order of the items does not count."""
    kept = np.random.default_rng(seed).random(full.shape)
    for metric in (xu.average_drop, xu.average_increase):
        assert 0 <= metric(full, kept) <= 100
        assert metric(full, full) == 0
        assert metric(full[::-1], kept[::-1]) == pytest.approx(metric(full, kept))
    assert xu.average_drop(full, 0 * full) == pytest.approx(100)


@quick
@given(curves=arrays(float, st.tuples(st.integers(1, 4), st.integers(2, 9)), elements=st.floats(0, 1)))
def test_the_area_lies_between_the_ends_of_its_curve(curves):
    area = xu.area_under_curve(curves)
    assert (area >= curves.min(axis=1) - 1e-12).all() and (area <= curves.max(axis=1) + 1e-12).all()
    np.testing.assert_allclose(xu.area_under_curve(curves[:, ::-1]), area)


@quick
@given(total=st.integers(1, 10**6), share=st.floats(0, 1))
def test_the_interval_of_a_proportion_holds_it(total, share):
    correct = int(share * total)
    low, high = xu.wilson_interval(correct, total)
    assert 0 <= low <= correct / total + 1e-12 and correct / total - 1e-12 <= high <= 1 and low < high
    assert xu.wilson_interval(total - correct, total) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@quick
@given(name=st.sampled_from(ALL), x=arrays(np.float32, (2, 3, 4, 2), elements=st.floats(-9, 9, width=32)))
def test_relevance_is_one_non_negative_number_a_position(name, x):
    x = x if xu.METHODS[name].output == "inputs" else x[..., 0]
    found = xu.relevance(name, x)
    assert found.shape == (2, 3, 4) and found.dtype == np.float32 and (found >= 0).all()
    np.testing.assert_allclose(xu.relevance(name, 4 * x), 4 * found)


# --- checks -----------------------------------------------------------------------------------------------------

anything = st.one_of(no_words, st.just([1]), st.just(np.zeros(2)), st.just(np.array(1)), st.just(10**400))


def answer(check, *arguments, **options):
    """What the check returns, or that it refused by name."""
    try:
        return check("name", *arguments, **options)
    except (TypeError, ValueError) as error:
        told_in_fields(error, "name")
        assert str(error).startswith("name: got"), str(error)
        return "refused"


@settings(quick, max_examples=300)
@given(value=anything, low=st.integers(-5, 5), width=st.integers(0, 9))
def test_numbers_and_integers_are_returned_or_refused(value, low, width):
    """An integer in the range comes back as it is, a number in the range as a float, and nothing else comes back."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    inside = number and low <= value <= low + width
    expected = value if inside and isinstance(value, int) else "refused"
    assert answer(checks.as_count, value, low, low + width) == expected
    assert answer(checks.as_number, value, low, low + width) == (value if inside else "refused")
    strictly = number and low < value < low + width
    assert answer(checks.as_number, value, low, low + width, open_ends=True) == (value if strictly else "refused")
    assert answer(checks.as_flag, value) == (value if isinstance(value, bool) else "refused")
    assert answer(checks.one_of, value, ("a", "b")) == (
        value if isinstance(value, str) and value in "ab" and value else "refused"
    )


@settings(quick, max_examples=200)
@given(data=st.data(), shape=st.sampled_from(SHAPES))
def test_inputs_are_returned_whole_or_refused(data, shape):
    right = data.draw(right_inputs(shape))
    found = batches.as_inputs(right, (None, *shape))
    assert found.dtype == (np.float64 if right.dtype == np.float64 else np.float32)
    np.testing.assert_array_equal(found, right)
    with pytest.raises((TypeError, ValueError), match="^inputs: "):
        batches.as_inputs(data.draw(wrong_inputs(shape)), (None, *shape))


@settings(quick, max_examples=200)
@given(data=st.data(), count=st.integers(1, 4))
def test_targets_are_returned_one_an_item_or_refused(data, count):
    right = data.draw(right_targets(count))
    found = batches.as_targets(right, count, CLASSES)
    if right is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, np.broadcast_to(right, count))
    with pytest.raises((TypeError, ValueError), match="^targets: "):
        batches.as_targets(data.draw(wrong_targets(count)), count, CLASSES)
