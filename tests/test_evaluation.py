"""The engine on a linear model whose every value is known, and the tables that are committed."""

import contextlib
import dataclasses
import functools
import inspect
import io
import json
import os
import threading
import time

import joblib
import keras
import numpy as np
import pandas as pd
import processes
import psutil
import pytest
from tqdm import tqdm

import models
import xai_utils as xu
from heatproof import progress
from heatproof.metrics import cases as scoring
from heatproof.metrics import evaluation
from tools import evaluation as kept_tables
from tools import scoring as made
from tools import tables

# Four pixels, two classes: S_1 - S_0 = w.x, so the probability of class 1 is the sigmoid of w.x.
WEIGHTS = np.array([2.0, -1.0, 1.0, 0.5], "float32")
INPUTS = np.array([[1, 1, 1, 2], [0, 0, 2, 1], [2, 1, 0, 0]], "float32").reshape(3, 2, 2, 1)
MASKS = np.array([[1, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0]], bool).reshape(3, 2, 2)


def sigmoid(z):
    return 1 / (1 + np.exp(-np.asarray(z, float)))


@pytest.fixture(scope="module")
def model():
    layers = [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
    network = keras.Sequential(layers)
    network.layers[-1].set_weights([np.stack([0 * WEIGHTS, WEIGHTS], axis=1), np.zeros(2)])
    return network


def values(frame, method, metric):
    return frame[(frame["method"] == method) & (frame["metric"] == metric)].sort_values("item")["value"].to_numpy()


def test_every_value_of_a_linear_model_by_hand(model):
    """Gradient x input is w*x: (2, -1, 1, 1), (0, 0, 2, .5), (4, -1, 0, 0); its positive part is the relevance.

    Half of four pixels is kept: items 0, 1, 2 keep w*x of 2 + 1 (the earlier of equals), 2 + .5, 4 - 1 or 4: item 2
    keeps pixel 0 and, among the three of relevance 0, the earliest: pixel 1 with w*x = -1.
    """
    frame = xu.evaluate(model, INPUTS, 1, ("gradient_x_input",), masks=MASKS, fraction=0.5)
    full, kept = sigmoid([3, 2.5, 3]), sigmoid([3, 2.5, 3])
    np.testing.assert_allclose(values(frame, "gradient_x_input", "average_drop"), 100 * (1 - kept / full), atol=1e-4)
    np.testing.assert_allclose(values(frame, "gradient_x_input", "evidence_mass"), [2 / 4, 1, 0], atol=1e-6)
    np.testing.assert_allclose(values(frame, "gradient_x_input", "pointing_game"), [1, 1, 0])


def test_drop_and_increase_of_one_kept_pixel_by_hand(model):
    """A quarter of four pixels, the one of largest w*x: 2 of 3, 2 of 2.5, 4 of 3. With fill -1 the others add -w."""
    frame = xu.evaluate(model, INPUTS, 1, ("gradient_x_input",), fraction=0.25)
    drop = 100 * (1 - sigmoid([2, 2]) / sigmoid([3, 2.5]))
    np.testing.assert_allclose(values(frame, "gradient_x_input", "average_drop"), [*drop, 0], atol=1e-4)
    np.testing.assert_array_equal(values(frame, "gradient_x_input", "average_increase"), [0, 0, 100])
    filled = xu.evaluate(model, INPUTS, 1, ("gradient_x_input",), fraction=0.25, fill=-1.0)
    kept = sigmoid([2 + 1 - 1 - 0.5, 2 - 2 + 1 - 0.5, 4 + 1 - 1 - 0.5])
    wanted = 100 * np.maximum(0, 1 - kept / sigmoid([3, 2.5, 3]))
    np.testing.assert_allclose(values(filled, "gradient_x_input", "average_drop"), wanted, atol=1e-4)


def test_baselines_stand_in_every_table_and_never_look_at_the_model(model):
    other = keras.models.clone_model(model)
    other.set_weights([10 * model.get_weights()[0], np.ones(2)])
    pair = [xu.evaluate(network, INPUTS, 1, metrics=("evidence_mass",), masks=MASKS) for network in (model, other)]
    assert list(pair[0]["method"].unique()) == ["grad_cam", "integrated_gradients", *scoring.BASELINES]
    for name in scoring.BASELINES:
        np.testing.assert_array_equal(*(values(frame, name, "evidence_mass") for frame in pair))


def test_baselines_by_hand():
    """A vertical step: Sobel's answer is 4 on both sides of it. The centre of 3x3 is 1, an edge 1 - 1/sqrt(2)."""
    step = np.zeros((1, 5, 6, 1))
    step[:, :, 3:] = 1
    edge = scoring.BASELINES["edge"](step, np.arange(1), 0)[0]
    np.testing.assert_allclose(edge, np.tile([0, 0, 4, 4, 0, 0], (5, 1)))
    centre = scoring.BASELINES["centre"](np.zeros((1, 3, 3, 2)), np.arange(1), 0)[0]
    np.testing.assert_allclose(centre, [[0, 1 - 0.5**0.5, 0], [1 - 0.5**0.5, 1, 1 - 0.5**0.5], [0, 1 - 0.5**0.5, 0]])
    apart = scoring.BASELINES["edge"](np.concatenate([0 * step, step, 1 - step]), np.arange(3), 0)
    np.testing.assert_allclose(apart, np.stack([0 * edge, edge, edge]))  # items do not mix
    line = scoring.BASELINES["edge"](np.arange(6.0).reshape(1, 6, 1), np.arange(1), 0)[0]
    np.testing.assert_allclose(line[1:-1], 2)


def test_equal_seeds_give_equal_tables_and_an_item_does_not_depend_on_the_others(model, monkeypatch):
    arguments = {"methods": ("smooth_grad", "integrated_gradients"), "options": {"smooth_grad": {"samples": 3}}}
    frame = xu.evaluate(model, INPUTS, 1, masks=MASKS, **arguments)
    pd.testing.assert_frame_equal(frame, xu.evaluate(model, INPUTS, 1, masks=MASKS, **arguments))
    fewer = xu.evaluate(model, INPUTS[:2], 1, masks=MASKS[:2], **arguments)
    first = frame[frame["item"] < 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, fewer)
    monkeypatch.setattr(evaluation, "BATCH_SIZE", 2)
    smaller = xu.evaluate(model, INPUTS, 1, masks=MASKS, **arguments)
    keys = ["method", "metric", "item"]
    pd.testing.assert_frame_equal(
        frame.sort_values(keys, ignore_index=True), smaller.sort_values(keys, ignore_index=True)
    )
    other = xu.evaluate(model, INPUTS, 1, masks=MASKS, seed=1, **arguments)
    assert not np.array_equal(values(frame, "random", "evidence_mass"), values(other, "random", "evidence_mass"))


def test_a_method_that_fails_on_one_item_is_one_row_that_says_why(model):
    def moody(model, inputs, targets=None):
        if (inputs[:, 0, 0, 0] == 0).any():
            raise ValueError("no map for a black corner")
        return xu.gradient_x_input(model, inputs, targets)

    row = xu.Method(function=moody, output="inputs")
    frame = xu.evaluate(model, INPUTS, 1, (row, "gradient_x_input"), masks=MASKS)
    failed = frame[frame["value"].isna()]
    assert set(failed["method"]) == {"moody"} and set(failed["item"]) == {1} and len(failed) == 4
    assert set(failed["reason"]) == {"ValueError: no map for a black corner"}
    assert set(frame.drop(failed.index)["reason"]) == {""}
    for metric in frame["metric"].unique():
        others = [values(frame, name, metric)[[0, 2]] for name in ("moody", "gradient_x_input")]
        np.testing.assert_array_equal(*others)
    summary = xu.summarise(frame, resamples=10).set_index(["method", "metric"])
    assert summary.loc[("moody", "evidence_mass"), ["items", "failed"]].tolist() == [3, 1]


def test_a_method_that_needs_what_the_model_lacks_fails_on_every_item(model):
    frame = xu.evaluate(model, INPUTS, 1, ("cam",))
    assert frame[frame["method"] == "cam"]["value"].isna().all()
    assert frame["reason"][0].startswith("ArgumentValueError: model: got a head that ends in")
    assert np.isnan(xu.summarise(frame, resamples=10)["mean"][0])


def test_a_map_that_is_zero_everywhere_ranks_nothing(model):
    """Gradient x input of a black image is 0: there is no top fraction to keep. So is the edge picture of it."""
    frame = xu.evaluate(model, 0 * INPUTS, 1, ("gradient_x_input",), masks=MASKS)
    empty = frame["method"].isin(["gradient_x_input", "edge"])
    assert set(frame[empty]["reason"]) == {"the map is zero everywhere"}
    assert frame[empty]["value"].isna().all() and frame[~empty]["value"].notna().all()


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"methods": ("gradcam",)}, ValueError, "methods: got 'gradcam'"),
        ({"methods": "grad_cam"}, TypeError, "methods: got the text 'grad_cam'"),
        ({"metrics": ("drop",)}, ValueError, "metrics: got 'drop'"),
        ({"metrics": ("evidence_mass",), "masks": None}, ValueError, "masks: got None, but"),
        ({"masks": MASKS.astype(float)}, ValueError, "masks: got float64"),
        ({"masks": MASKS[:2]}, ValueError, "masks: got bool"),
        ({"options": {"saliency": {}}}, ValueError, "options: got options for"),
        (
            {"options": {"grad_cam": {"steps": 3}}},
            ValueError,
            r"options: got \['steps'\] for grad_cam; allowed: its options",
        ),
        ({"fraction": 0}, ValueError, "fraction: got 0"),
        ({"fill": "white"}, TypeError, "fill: got 'white'"),
        ({"inputs": INPUTS.astype(int)}, TypeError, "inputs: got int"),
    ],
)
def test_bad_arguments_are_refused_before_any_row(model, change, error, message):
    arguments = {"inputs": INPUTS, "masks": MASKS} | change
    with pytest.raises(error, match=message):
        xu.evaluate(model, targets=1, **arguments)


# ---- summary


def frame_of(**columns):
    rows = [(name, "m", item, value, "") for name, found in columns.items() for item, value in enumerate(found)]
    return pd.DataFrame(rows, columns=evaluation.COLUMNS)


def test_the_interval_of_a_mean_is_the_normal_one_for_many_items():
    """For n values of deviation s it is mean +- 1.96 s / sqrt(n), here to a tenth of its half width."""
    found = np.random.default_rng(5).normal(3, 2, 400)
    row = xu.summarise(frame_of(a=found), resamples=4000).iloc[0]
    half = 1.96 * found.std() / 20
    assert row["mean"] == pytest.approx(found.mean())
    np.testing.assert_allclose([row["low"], row["high"]], [found.mean() - half, found.mean() + half], atol=0.1 * half)


def test_a_paired_difference_is_narrower_than_two_intervals():
    """b is a plus exactly 1: the intervals of the means overlap, the difference has none at all. Missing items drop."""
    a = np.random.default_rng(1).normal(0, 5, 50)
    b = a + 1
    b[7] = np.nan
    summary = xu.summarise(frame_of(a=a, b=b), resamples=200, against="a").set_index("method")
    assert summary.loc["a", "high"] > summary.loc["b", "low"]
    ends = summary.loc["b", ["difference", "difference low", "difference high"]].astype(float)
    np.testing.assert_allclose(ends, 1)
    np.testing.assert_allclose(summary.loc["a", ["difference", "difference low", "difference high"]].astype(float), 0)
    assert summary.loc["b", ["items", "failed"]].tolist() == [50, 1]


def test_an_interval_does_not_depend_on_the_other_rows_and_repeats():
    found = np.random.default_rng(2).random(30)
    alone, both = xu.summarise(frame_of(a=found)), xu.summarise(frame_of(b=found**2, a=found))
    pd.testing.assert_series_equal(alone.iloc[0], both.iloc[1], check_names=False)


def test_a_summary_says_the_family_of_a_method_and_which_end_of_a_metric_is_better():
    frame = pd.concat([frame_of(saliency=[1.0]), frame_of(**{"Grad-CAM": [1.0], "mine": [1.0]})])
    frame = pd.concat([frame.assign(metric="deletion"), frame.assign(metric="mass of mine")])
    found = xu.summarise(frame).set_index(["method", "metric"])
    families = {"saliency": "gradients", "Grad-CAM": "cam", "mine": ""}
    assert found["family"].xs("deletion", level="metric").to_dict() == families
    assert found["better"].xs("mine").to_dict() == {"deletion": "low", "mass of mine": ""}


def test_summarise_refuses_what_is_no_table_of_evaluate():
    with pytest.raises(ValueError, match=r"frame: got a table that lacks the columns \['item'\]"):
        xu.summarise(frame_of(a=[1.0]).drop(columns="item"))
    with pytest.raises(ValueError, match="against: got 'b'"):
        xu.summarise(frame_of(a=[1.0]), against="b")
    with pytest.raises(ValueError, match="two rows for one method"):
        xu.summarise(pd.concat([frame_of(a=[1.0]), frame_of(a=[2.0])]))


# ---- every metric is the public function of that name


def lone(function, *arrays):
    """A function of batches, item by item."""
    return np.concatenate([function(*(array[[item]] for array in arrays)) for item in range(len(arrays[0]))])


def test_metrics_that_ask_the_model_are_the_public_functions_item_by_item(model):
    names = ("deletion", "insertion", "max_sensitivity", "infidelity", "randomised_similarity", "rank_accuracy")
    names += ("randomised_rank_correlation", "average_precision", "average_drop_soft", "average_increase_soft")
    names += ("region_perturbation", "road", "entropy_rise")
    tall = np.repeat(np.repeat(INPUTS, 2, axis=1), 2, axis=2)  # sides of 4: structural similarity needs 3
    seeded = [keras.initializers.GlorotUniform(seed) for seed in (3, 4)]
    wide = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    wide.add(keras.layers.Dense(6, activation="relu", kernel_initializer=seeded[0]))
    wide.add(keras.layers.Dense(2, activation="softmax", kernel_initializer=seeded[1]))
    masks = np.repeat(np.repeat(MASKS, 2, axis=1), 2, axis=2)
    frame = xu.evaluate(wide, tall, 1, ("gradient_x_input",), names, masks, steps=5, samples=3, seed=4, fill=0.5)
    M = xu.gradient_x_input(wide, tall, 1)
    R = xu.relevance("gradient_x_input", M)
    soft = [
        xu.scores(wide, (R[i : i + 1] / R[i].max())[..., None] * (tall[i : i + 1] - 0.5) + 0.5, 1) for i in range(3)
    ]
    full = xu.scores(wide, tall, 1)
    again, shares = {"seed": 4}, (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)
    *_, (_, shuffled) = xu.randomised(wide, seed=4)
    cascade = [xu.randomisation(xu.gradient_x_input, wide, tall[[i]], 1, **again) for i in range(3)]
    wanted = {
        "deletion": lone(lambda x, r: xu.area_under_curve(xu.deletion_curve(wide, x, r, 1, steps=5)), tall, R),
        "insertion": lone(lambda x, r: xu.area_under_curve(xu.insertion_curve(wide, x, r, 1, steps=5)), tall, R),
        "region_perturbation": lone(
            lambda x, r: xu.aopc(xu.region_perturbation(wide, x, r, 1, draws=1, seed=4)), tall, R
        ),
        "road": lone(lambda x, r: xu.area_under_curve(xu.removal_curve(wide, x, r, 1, **again), shares), tall, R),
        "entropy_rise": xu.entropy_rise(M[..., 0], xu.gradient_x_input(shuffled, tall, 1)[..., 0]),
        "max_sensitivity": lone(
            lambda x: xu.max_sensitivity(xu.gradient_x_input, wide, x, 1, samples=3, **again), tall
        ),
        "infidelity": lone(lambda x, m: xu.infidelity(wide, x, m, 1, samples=30, **again), tall, M),
        "randomised_similarity": [found[1].mean() for found in cascade],
        "randomised_rank_correlation": [found[2].mean() for found in cascade],
        "rank_accuracy": xu.rank_accuracy(R, masks),
        "average_precision": xu.average_precision(R, masks),
        "average_drop_soft": 100 * np.maximum(0, full - np.ravel(soft)) / full,
        "average_increase_soft": 100.0 * (np.ravel(soft) > full),
    }
    for name, found in wanted.items():
        np.testing.assert_allclose(values(frame, "gradient_x_input", name), found, rtol=1e-4, atol=1e-5, err_msg=name)
    for name in scoring.BASELINES:  # the maps of a baseline know nothing of weights
        assert (values(frame, name, "randomised_similarity") == 1).all()
        assert (values(frame, name, "entropy_rise") == 0).all()


def test_completeness_gap_is_of_additive_methods_from_their_own_baseline(model):
    options = {"integrated_gradients": {"steps": 3, "baseline": "mean"}}
    frame = xu.evaluate(model, INPUTS, 1, ("integrated_gradients", "saliency"), ("completeness_gap",), options=options)
    assert (
        values(frame, "integrated_gradients", "completeness_gap") < 1e-4
    ).all()  # a linear logit: exact in any steps
    assert set(frame[frame["method"] == "saliency"]["reason"]) == {
        "ValueError: completeness is a property of additive methods"
    }


def test_costs_count_what_goes_through_the_network(model):
    """Saliency: one pass each way. IG: one each way per step. RISE: masks and input. Occlusion: 4 patches and input."""
    methods = ("saliency", "integrated_gradients", "rise", "occlusion", "grad_cam")
    options = {
        "integrated_gradients": {"steps": 5},
        "rise": {"masks": 7, "grid": 2},
        "occlusion": {"patch": 1, "stride": 1},
    }
    frame = xu.evaluate(model, INPUTS, 1, methods, ("forwards", "backwards", "seconds"), options=options)
    passes = {name: tuple(values(frame, name, cost)[0] for cost in ("forwards", "backwards")) for name in methods}
    assert passes["saliency"] == (1, 1) and passes["integrated_gradients"] == (5, 5)
    assert passes["occlusion"] == (5, 0) and passes["rise"] == (8, 0)
    assert passes["grad_cam"] == (0, 0)  # no layer with positions: it failed before any pass
    assert tuple(values(frame, "edge", cost)[0] for cost in ("forwards", "backwards")) == (0, 0)
    assert (frame[frame["metric"] == "seconds"]["value"] >= 0).all()


# ---- shards: kept, taken up again, sent elsewhere


METHODS = ("saliency", "smooth_grad")
TASK = {"methods": METHODS, "masks": MASKS, "options": {"smooth_grad": {"samples": 2}}}


def test_a_finished_shard_is_found_again_and_only_by_the_same_question(model, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "BATCH_SIZE", 2)
    first = xu.evaluate(model, INPUTS, 1, folder=tmp_path, **TASK)
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == (len(METHODS) + len(scoring.BASELINES)) * 2 and {path.suffix for path in kept} == {".json"}
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "answer", lambda *_: pytest.fail("nothing is left to compute"))
        pd.testing.assert_frame_equal(xu.evaluate(model, INPUTS, 1, folder=tmp_path, **TASK), first)
    kept[0].unlink()
    pd.testing.assert_frame_equal(xu.evaluate(model, INPUTS, 1, folder=tmp_path, **TASK), first)
    assert sorted(tmp_path.iterdir()) == kept
    other = keras.models.clone_model(model)
    other.set_weights([2 * weight for weight in model.get_weights()])
    for network, change in ((model, {"fraction": 0.3}), (model, {"seed": 1}), (other, {}), (model, {"masks": ~MASKS})):
        before = len(list(tmp_path.iterdir()))
        xu.evaluate(network, INPUTS, 1, folder=tmp_path, **TASK | change)
        assert len(list(tmp_path.iterdir())) == before + len(kept), change
    before = len(list(tmp_path.iterdir()))
    xu.evaluate(model, INPUTS, 1, folder=tmp_path, **TASK | {"options": {"smooth_grad": {"samples": 3}}})
    assert len(list(tmp_path.iterdir())) == before + 2  # the shards of the one method whose options changed


def test_an_interrupted_run_goes_on_where_it_stopped(model, tmp_path, monkeypatch):
    whole = xu.evaluate(model, INPUTS, 1, **TASK)
    answer, done = evaluation.answer, []

    def stopped(*arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(arguments)
        return answer(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(evaluation, "answer", stopped)
        xu.evaluate(model, INPUTS, 1, folder=tmp_path, **TASK)
    assert len(list(tmp_path.iterdir())) == 2
    pd.testing.assert_frame_equal(xu.evaluate(model, INPUTS, 1, folder=tmp_path, **TASK), whole)


def killed_in_the_middle(process, folder, told):
    """Kill a process as soon as the first shard is kept; tell how many are kept then."""
    while not (kept := list(folder.glob("*.json"))):
        time.sleep(0.001)
    psutil.Process(process).kill()
    told.append(len(kept))


@pytest.fixture(scope="module")
def cluster_run(tmp_path_factory):
    """Tables made here and by a Dask cluster of two worker processes, of which one is killed on the way."""
    dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")
    processes.start_server()

    def own(model, inputs, targets):
        """A visitor's method, which no module of the workers has."""
        return inputs**3

    network, folder, bar, kept = models.cnn(), tmp_path_factory.mktemp("cluster"), io.StringIO(), []
    network.input_range = (-6.0, 6.0)
    question = {
        "methods": ("grad_cam", "smooth_grad", "rise", xu.Method(function=own, name="own", output="inputs")),
        "masks": np.random.default_rng(2).random((48, 8, 6)) < 0.3,
    }
    question["options"] = {"rise": {"masks": 60}, "smooth_grad": {"samples": 3}}
    total = xu.Metric(name="total", measure=lambda case: case.relevance.sum(axis=(1, 2)), better="")
    question["metrics"] = ("average_drop", "deletion", "insertion", "evidence_mass", total)
    start_method = {"distributed.worker.multiprocessing-method": processes.METHOD}
    with pytest.MonkeyPatch.context() as patch, dask.config.set(start_method), contextlib.redirect_stderr(bar):
        patch.setenv("XAI_PROGRESS", "1")
        patch.setattr(progress, "tqdm", lambda *given, **options: tqdm(*given, **options | {"delay": 0}))
        patch.setattr(evaluation, "BATCH_SIZE", 4)  # 12 shards of each method
        run = functools.partial(xu.evaluate, network, models.examples(network, 48), **question)
        tables = {"alone": run()}
        options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
        with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
            before = client.run(processes.has, "heatproof.metrics.shards")
            with joblib.parallel_config("dask"):
                bar.truncate(0)
                tables["cluster"] = run()
                tables["told"] = bar.getvalue()
                after = client.run(processes.has, "heatproof.metrics.shards")
                tables["began to take part"] = [before[worker] < after[worker] for worker in after]
                process = next(iter(client.run(os.getpid).values()))
                threading.Thread(target=killed_in_the_middle, args=(process, folder, kept)).start()
                tables["killed"] = run(folder=folder)
                tables["is gone"] = process not in client.run(os.getpid).values()
    return tables | {"kept": (*kept, len(list(folder.iterdir())))}


def test_a_dask_cluster_of_two_processes_gives_the_table_of_one_process(cluster_run):
    pd.testing.assert_frame_equal(cluster_run["cluster"], cluster_run["alone"], rtol=1e-5, atol=1e-5)  # threads differ
    assert cluster_run["began to take part"] == [True, True]
    assert "evaluation: " in cluster_run["told"] and "/84 [" in cluster_run["told"]  # the bar
    assert cluster_run["alone"]["value"].notna().mean() > 0.9
    assert np.isfinite(values(cluster_run["cluster"], "own", "total")).all()


def test_a_worker_killed_in_the_middle_loses_nothing(cluster_run):
    when_killed, at_the_end = cluster_run["kept"]
    assert 0 < when_killed < at_the_end == 84 and cluster_run["is gone"]
    pd.testing.assert_frame_equal(cluster_run["killed"], cluster_run["alone"], rtol=1e-5, atol=1e-5)


def test_a_model_that_cannot_travel_is_refused_with_the_cure(model):
    with joblib.parallel_config("loky", n_jobs=2), pytest.raises(TypeError, match="cannot be sent to other processes"):
        xu.evaluate(xu.logits(model), INPUTS, 1, **TASK)


def test_no_bar_inside_a_bar(model, monkeypatch, capsys):
    """A method's own bars are off inside a shard; they are on outside."""
    monkeypatch.setenv("XAI_PROGRESS", "1")
    seen = []
    monkeypatch.setattr(progress, "tqdm", lambda iterable, disable, **_: seen.append(disable) or iterable)
    xu.evaluate(model, INPUTS, 1, ("rise",), options={"rise": {"masks": 3, "grid": 2}})
    assert seen[-1] is True
    xu.rise(model, INPUTS, 1, masks=3, grid=2)
    assert seen[-1] is False


# ---- agreement of two metrics


def test_rank_agreement_by_hand():
    """Four methods with means 1, 2, 3, 4 by one metric and 1, 3, 2, 4 by the other: 1 - 6 * 2 / (4 * 15) = 0.8."""
    rows = [(name, "one", item, float(place), "") for place, name in enumerate("abcd") for item in range(5)]
    rows += [(name, "other", item, float(place), "") for place, name in enumerate("acbd") for item in range(5)]
    frame = pd.DataFrame(rows, columns=evaluation.COLUMNS)
    found = xu.rank_agreement(frame, "one", "other", resamples=20)
    assert found == {
        "correlation": pytest.approx(0.8),
        "low": pytest.approx(0.8),
        "high": pytest.approx(0.8),
        "methods": 4,
    }
    noisy = frame.assign(value=frame["value"] + np.random.default_rng(0).normal(0, 3, len(frame)))
    found = xu.rank_agreement(noisy, "one", "other", resamples=200)
    assert found["low"] < 1 and found["low"] <= found["correlation"] <= found["high"]
    with pytest.raises(ValueError, match="other: got 'third'"):
        xu.rank_agreement(frame, "one", "third")
    with pytest.raises(ValueError, match="three methods or more"):
        xu.rank_agreement(frame[frame["method"].isin(["a", "b"])], "one", "other")


# ---- the committed tables


@pytest.mark.parametrize("name", tables.TABLES)
def test_committed_results_belong_to_the_committed_network(name):
    assert not kept_tables.outdated(name), (
        f"results/{name}.csv was made by another network or other settings: make evaluation"
    )


def test_a_large_table_has_one_row_per_method_and_item_and_is_taken_up_again(monkeypatch, tmp_path):
    signals, masks = tables.mnist1d()
    settings = tables.large("mnist1d", 20) | {"methods": ("saliency", "cam")}
    settings["options"] = {}
    tiny = tables.LargeTable("mnist1d", lambda: (signals, masks), "", settings, ("average_drop", "evidence_mass"), 3)
    monkeypatch.setattr(tables, "TABLES", {"tiny": tiny})
    monkeypatch.setattr(kept_tables, "ROOT", tmp_path)
    monkeypatch.setattr(made, "ROOT", tmp_path)
    (tmp_path / "models").symlink_to(xu.__file__.replace("xai_utils.py", "models"))
    monkeypatch.setenv("XAI_JOBS", "1")
    table = made.make("tiny")
    assert list(table) == ["method", "item", "average_drop", "evidence_mass", "reason"] and len(table) == 5 * 3
    model = xu.load_model(tmp_path / "models" / "mnist1d.keras")
    alone = xu.evaluate(model, signals[:3], None, ("saliency",), masks=masks[:3], fill=float(signals.mean()))
    found = table[table["method"] == "saliency"]
    np.testing.assert_allclose(found["evidence_mass"], values(alone, "saliency", "evidence_mass"), rtol=1e-5)
    np.testing.assert_allclose(found["average_drop"], values(alone, "saliency", "average_drop"), rtol=1e-4, atol=1e-4)
    reasons = table[table["method"] == "cam"]["reason"]
    assert reasons.str.startswith("ArgumentValueError: model: got a head that ends in").all()
    assert len(list((tmp_path / "build" / "evaluation" / "tiny").iterdir())) == 5


def test_a_table_is_kept_until_its_network_settings_or_bytes_change(tmp_path, monkeypatch):
    name, table = "tissue_phantom_all", frame_of(a=[1.5, 2.25])
    every = tuple(tables.TABLES[name].settings["methods"])
    assert kept_tables.outdated(name, tmp_path) == every
    kept_tables.store(name, table, tmp_path)
    assert kept_tables.outdated(name, tmp_path) == ()
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / f"{name}.csv", keep_default_na=False), table, check_dtype=False
    )
    with monkeypatch.context() as patch:
        patch.setitem(tables.TABLES[name].settings, "fraction", 0.2)
        assert kept_tables.outdated(name, tmp_path) == every
    (tmp_path / f"{name}.csv").write_text("cut")
    assert kept_tables.outdated(name, tmp_path) == every


def test_an_absent_data_set_leaves_its_table_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XAI_DATA", str(tmp_path))
    monkeypatch.setattr(tables, "TABLES", {"hmt_all": tables.TABLES["hmt_all"]})
    monkeypatch.setattr(kept_tables, "outdated", lambda name, folder: ("saliency",))
    monkeypatch.setattr(kept_tables, "store", lambda *_: pytest.fail("nothing may be stored"))
    kept_tables.run(tmp_path)
    assert "results/hmt_all.csv: left as it is, because hmt is not in" in capsys.readouterr().out


def test_noise_stays_inside_the_box_of_a_table_of_stability():
    """Pixels of [0, 1] are pushed by as much as max_sensitivity does; the other tables have the box of the network."""
    radius = inspect.signature(xu.max_sensitivity).parameters["radius"].default
    boxed = {name: [] for name in tables.TABLES}
    for name, table in tables.TABLES.items():
        for options in table.settings["options"].values():
            if options.get("rule") in tables.BOXED:
                boxed[name].append((options.get("low"), options.get("high")))
    stable = {name for name in boxed if name.endswith("_stability") and boxed[name]}
    assert stable == {"schematic_faces_stability", "tissue_phantom_stability", "hmt_stability"}
    for name, found in boxed.items():
        assert set(found) <= {(-radius, 1 + radius) if name in stable else (None, None)}, name


# ---- the budget


def test_the_budget_is_runs_times_the_seconds_that_were_measured(tmp_path, monkeypatch):
    """Two methods on 500 items are 32 shards; 10 shards took 25 s: 80 s. What was never measured is said."""
    table = tables.TABLES["tissue_phantom_all"]
    few = dataclasses.replace(table, settings=table.settings | {"methods": ("saliency", "grad_cam"), "options": {}})
    monkeypatch.setattr(tables, "TABLES", {"tissue_phantom_all": few})
    (line,), seconds = kept_tables.budget(tmp_path)
    assert line.endswith("2 methods x 500 items in 32 shards, not measured yet") and seconds == 0
    note = {"measured": {"shards": 10, "seconds": 25, "processes": 2}}
    (tmp_path / "tissue_phantom_all.json").write_text(json.dumps(note))
    (line,), seconds = kept_tables.budget(tmp_path)
    assert line.endswith("in 32 shards x 2.5 s = 1 min") and seconds == pytest.approx(80)


def test_what_an_interrupted_run_has_left_is_not_measured_again(tmp_path, monkeypatch):
    monkeypatch.setattr(kept_tables, "SHARDS", tmp_path)
    folder = tmp_path / "mnist1d_all"
    folder.mkdir()
    (folder / "old.json").write_text("[]")

    def make(name, methods, new=3):
        for number in range(new):
            (folder / f"{number}.json").write_text("[]")
        return "table"

    monkeypatch.setattr(made, "make", make)
    found, note = kept_tables._shards_timed("mnist1d_all", ())
    assert found == "table" and note["measured"]["shards"] == 3
    assert kept_tables._shards_timed("mnist1d_all", ())[1] == {}  # all were there


def test_making_every_table_anew_takes_eight_hours_at_most():
    whole = 0.0
    for name, table in tables.TABLES.items():
        note = json.loads((kept_tables.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        whole += kept_tables._expected(name, len(table.settings["methods"]), kept_tables.RESULTS)[1]
        assert isinstance(table, tables.TuningTable) or table.count == note["items"]
    assert whole / 3600 < 8
