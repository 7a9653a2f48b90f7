"""A visitor's own method and metric: scored beside the catalogue's, here and in other processes, or refused."""

import dataclasses
import functools
import sys
import threading
import types

import joblib
import numpy as np
import pandas as pd
import pytest

import models
import xai_utils as xu

NETWORK = models.linear(ending="softmax")
INPUTS = models.examples(NETWORK, 5)
WEIGHTS = models.linear_weights(NETWORK)[1]  # of class 1
LOCK = threading.Lock()


def weighted(model, inputs, targets=None, *, power=1):
    """(w * x)^power of class 1, without looking at the network."""
    return (WEIGHTS * inputs) ** power


def drawn(model, inputs, targets=None, seed=7):
    """The seed itself, everywhere."""
    return np.full(inputs.shape[:-1], seed, float)


OWN = xu.Method(function=weighted, output="inputs", relevance="magnitude")
TOTAL = xu.Metric(name="total", measure=lambda case: case.relevance.sum(axis=(1, 2)), better="")
QUESTION = {"methods": ("gradient_x_input", OWN), "metrics": (TOTAL, "deletion"), "options": {"weighted": {"power": 3}}}


def values(frame, method, metric):
    return frame[(frame["method"] == method) & (frame["metric"] == metric)].sort_values("item")["value"].to_numpy()


def test_an_own_method_and_an_own_metric_by_hand():
    """The magnitude of (w x)^3 summed over channels and positions is sum |w x|^3."""
    frame = xu.evaluate(NETWORK, INPUTS, 1, **QUESTION)
    wanted = (np.abs(WEIGHTS * INPUTS) ** 3).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(values(frame, "weighted", "total"), wanted, rtol=1e-5)
    assert list(frame["method"].unique()) == ["gradient_x_input", "weighted", "random", "edge", "centre"]
    assert list(frame["metric"].unique()) == ["deletion", "total"]  # the catalogue's first


def test_an_own_method_that_computes_what_the_catalogue_does_gets_its_scores():
    """Of a linear network gradient x input is w * x, whatever asks it: every metric that looks at maps agrees."""
    network = models.linear()
    kernel = models.linear_weights(network)[1]
    row = xu.Method(
        function=lambda model, inputs, targets: kernel * inputs, name="by_hand", output="inputs", additive=True
    )
    names = ("average_drop", "insertion", "completeness_gap", "max_sensitivity", "infidelity")
    frame = xu.evaluate(network, INPUTS, 1, ("gradient_x_input", row), names)
    for name in set(names) - {"completeness_gap"}:
        theirs = values(frame, "gradient_x_input", name)
        np.testing.assert_allclose(values(frame, "by_hand", name), theirs, rtol=1e-3, atol=1e-4, err_msg=name)
    assert (values(frame, "by_hand", "completeness_gap") < 1e-4).all()  # additive, as its row says


def test_relevance_of_an_own_row_by_hand():
    """Two positions with channels (1, -3) and (2, -1): magnitudes 4 and 3; positive parts of the sums 0 and 1."""
    attribution = np.array([[[1.0, -3.0], [2.0, -1.0]]])
    np.testing.assert_allclose(xu.relevance(OWN, attribution), [[4, 3]])
    np.testing.assert_allclose(xu.relevance(dataclasses.replace(OWN, relevance="positive"), attribution), [[0, 1]])


def test_a_seed_and_options_reach_an_own_method_whatever_the_kind_of_its_parameters():
    row, any_option = (
        xu.Method(function=drawn, output="map"),
        xu.Method(function=lambda m, x, c, **rest: np.full(x.shape[:-1], rest["value"]), name="any", output="map"),
    )
    level = xu.Metric(name="level", measure=lambda case: case.relevance.mean(axis=(1, 2)), better="")
    frame = xu.evaluate(NETWORK, INPUTS, 1, (row, any_option), (level,), seed=4, options={"any": {"value": 9.0}})
    assert set(values(frame, "drawn", "level")) == {4.0} and set(values(frame, "any", "level")) == {9.0}
    frame = xu.evaluate(NETWORK, INPUTS, 1, (row,), (level,), seed=4, options={"drawn": {"seed": 2}})
    assert set(values(frame, "drawn", "level")) == {2.0}


def test_a_metric_that_gives_no_number_per_item_says_so_in_its_rows():
    lone = xu.Metric(name="lone", measure=lambda case: 3.0, better="high")
    frame = xu.evaluate(NETWORK, INPUTS, 1, (OWN,), (lone, TOTAL))
    told = frame[frame["metric"] == "lone"]
    assert told["value"].isna().all()
    assert set(told["reason"]) == {"ValueError: lone: it gave values of shape () for 1 items"}
    assert frame[frame["metric"] == "total"]["value"].notna().all()


# ---- other processes


def test_own_rows_give_the_same_table_in_two_processes():
    alone = xu.evaluate(NETWORK, INPUTS, 1, **QUESTION)
    with joblib.parallel_config("loky", n_jobs=2):
        apart = xu.evaluate(NETWORK, INPUTS, 1, **QUESTION)
    pd.testing.assert_frame_equal(apart, alone, rtol=1e-5, atol=1e-6)  # threads differ
    assert alone["value"].notna().all()


def test_a_row_that_cannot_travel_is_refused_and_the_cure_works():
    lock = threading.Lock()

    def held(model, inputs, targets):
        with lock:
            return WEIGHTS * inputs

    row = xu.Method(function=held, output="inputs")
    metric = xu.Metric(name="held", measure=lambda case: [float(lock.locked())] * len(case.items), better="")
    with joblib.parallel_config("loky", n_jobs=2):
        with pytest.raises(TypeError, match="^methods: got 'held', whose function cannot be sent to other processes"):
            xu.evaluate(NETWORK, INPUTS, 1, (row,))
        with pytest.raises(TypeError, match="^metrics: got 'held', whose function .* or call evaluate outside joblib"):
            xu.evaluate(NETWORK, INPUTS, 1, (OWN,), (metric,))
    frame = xu.evaluate(NETWORK, INPUTS, 1, (row,), (metric,))
    assert set(values(frame, "held", "held")) == {0.0}


def test_a_row_of_a_module_that_other_processes_lack_is_refused(monkeypatch):
    module = types.ModuleType("nowhere_else")
    exec("def lost(model, inputs, targets): return inputs", module.__dict__)
    monkeypatch.setitem(sys.modules, "nowhere_else", module)
    row = xu.Method(function=module.lost, output="inputs")
    with joblib.parallel_config("loky", n_jobs=2), pytest.raises(TypeError, match="No module named 'nowhere_else'"):
        xu.evaluate(NETWORK, INPUTS, 1, (row,))


def test_the_memory_of_an_own_method_is_measured():
    """It holds 128 MiB of float64 for a while, in a process of its own."""

    def hungry(model, inputs, targets, *, numbers):
        return np.ones(numbers).sum() * inputs

    row = xu.Method(function=hungry, output="inputs")
    table = xu.peak_memory(NETWORK, INPUTS, 1, (row,), options={"hungry": {"numbers": 2**24}})
    assert table["method"].tolist() == ["hungry"] and 120 < table["MiB"][0] < 300
    with pytest.raises(TypeError, match="^methods: got 'locked', whose function or an option cannot be sent"):
        locked = xu.Method(function=functools.partial(weighted, power=LOCK), name="locked", output="inputs")
        xu.peak_memory(NETWORK, INPUTS, 1, (locked,))


# ---- rows that are refused


def imposter(model, inputs, targets):
    return inputs


def demanding(model, inputs, targets, *, strength):
    return strength * inputs


@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"methods": OWN}, TypeError, "methods: got the row weighted alone; allowed: a tuple"),
        ({"methods": (3,)}, ValueError, "methods: got 3; allowed: 'saliency'"),
        ({"methods": (TOTAL,)}, ValueError, "methods: got Metric"),
        ({"methods": (imposter,)}, ValueError, "methods: got <function imposter"),
        ({"metrics": TOTAL}, TypeError, "metrics: got the row total alone"),
        ({"metrics": (OWN,)}, ValueError, "metrics: got Method"),
        (
            {"methods": (dataclasses.replace(OWN, name="saliency"),)},
            ValueError,
            "methods: got a row named 'saliency' with another function .* name='my_saliency'",
        ),
        ({"methods": (dataclasses.replace(OWN, name="edge"),)}, ValueError, "methods: got a row named 'edge'"),
        ({"methods": (OWN, dataclasses.replace(OWN, signed=False))}, ValueError, "two rows named 'weighted'"),
        (
            {"metrics": (dataclasses.replace(TOTAL, name="deletion"),)},
            ValueError,
            "metrics: got a row named 'deletion' with another function",
        ),
        ({"metrics": (dataclasses.replace(TOTAL, name="seconds"),)}, ValueError, "metrics: got a row named 'seconds'"),
        ({"metrics": (dataclasses.replace(TOTAL, needs_masks=True),)}, ValueError, "masks: got None, but"),
        (
            {"options": {"weighted": {"strength": 1}}},
            ValueError,
            r"\['strength'\] for weighted; .*\['power'\]",
        ),
        (
            {"methods": (xu.Method(function=demanding, output="inputs"),)},
            ValueError,
            r"nothing for \['strength'\]",
        ),
    ],
)
def test_a_row_that_fits_no_table_is_refused_before_any_compute(change, error, words, monkeypatch):
    monkeypatch.setattr(xu.Query, "batched", lambda *_, **__: pytest.fail("nothing may be computed"))
    with pytest.raises(error, match=words):
        xu.evaluate(NETWORK, INPUTS, 1, **{"methods": (OWN,), "metrics": (TOTAL,)} | change)


def test_a_row_of_the_catalogue_with_another_reduction_is_taken():
    row = dataclasses.replace(xu.METHODS["gradient_x_input"], relevance="magnitude")
    frame = xu.evaluate(NETWORK, INPUTS, 1, (row,), (TOTAL,))
    found = np.abs(xu.gradient_x_input(NETWORK, INPUTS, 1)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(values(frame, "gradient_x_input", "total"), found, rtol=1e-5)
