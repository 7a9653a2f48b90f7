"""The rule that sets every method: its criterion by hand, what it may look at, and the curves that are committed."""

import inspect
import json
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

import xai_utils as xu
from heatproof.metrics import knobs
from tools import evaluation as kept_tables
from tools import sets, tables

T, STEPS = 8, 4
WEIGHTS = np.array([3.0, -1.0, 0.5, 2.0, 0.0, -2.0, 1.0, -0.5], np.float32)


@pytest.fixture(scope="module")
def model():
    """p_1 = 1 / (1 + exp(-w.x)) of a signal of eight samples."""
    inputs = keras.Input((T, 1))
    outputs = layers.Dense(1, activation="sigmoid", use_bias=False)(layers.Flatten()(inputs))
    built = keras.Model(inputs, outputs)
    built.layers[-1].set_weights([WEIGHTS[:, None]])
    return built


@pytest.fixture(scope="module")
def signals():
    return np.random.default_rng(0).normal(size=(5, T, 1)).astype(np.float32)


def oracle(model, inputs, targets, *, sign=1.0, noise=0.0):
    """w * x from its mean, the sign of the class and a wrong sign if so asked."""
    towards = np.where(np.asarray(targets) == 1, 1.0, -1.0)[:, None] * sign
    if noise > 1:
        raise ValueError("too much")
    own = (inputs[..., 0] - inputs[..., 0].mean(axis=1, keepdims=True)) * WEIGHTS * towards
    return own + 10 - noise * np.arange(T)


ORACLE = xu.Method(function=oracle, output="map")


def probability(x, target):
    p = 1 / (1 + np.exp(-x.astype(float) @ WEIGHTS))
    return p if target == 1 else 1 - p


def by_hand(x, target, relevance):
    """Insertion - deletion, from and to the mean of the signal, two samples at a time, by trapezoids."""
    order, nothing = np.argsort(-relevance, kind="stable"), np.full(T, x.mean())
    found = []
    for start, end in ((nothing, x), (x, nothing)):
        heights = []
        for count in range(0, T + 1, T // STEPS):
            mixed = start.copy()
            mixed[order[:count]] = end[order[:count]]
            heights.append(probability(mixed, target))
        found.append(np.trapezoid(heights, dx=1 / STEPS))
    return found


def test_the_criterion_is_insertion_minus_deletion_worked_out_by_hand(model, signals):
    options, curve = xu.tune(model, signals, ORACLE, [1, 0, 1, 0, 1], knobs={"sign": (-1.0, 1.0, 0.5)}, steps=STEPS)
    for row, sign in zip(curve.itertuples(), (-1.0, 1.0, 0.5), strict=True):
        maps = oracle(model, signals, [1, 0, 1, 0, 1], sign=sign)
        each = np.array([by_hand(x[:, 0], c, m) for x, c, m in zip(signals, [1, 0, 1, 0, 1], maps, strict=True)])
        gains = each[:, 0] - each[:, 1]
        np.testing.assert_allclose([row.insertion, row.deletion], each.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose([row.criterion, row.error], [gains.mean(), gains.std(ddof=1) / 5**0.5], rtol=1e-4)
    assert options == {"sign": 1.0}  # 0.5 gives the same ranking: the first of equal values stays
    assert curve["chosen"].tolist() == [False, True, False]
    assert curve["criterion"][0] < 0 < curve["criterion"][1] == curve["criterion"][2]


def test_one_knob_after_the_other_and_values_that_belong_together(model, signals):
    knobs = {"sign": (-1.0, 1.0), "noise": [{"noise": 0.0}, {"noise": 0.9, "sign": -1.0}]}
    options, curve = xu.tune(model, signals, ORACLE, 1, knobs=knobs, options={"noise": 0.001}, steps=STEPS)
    assert options == {"noise": 0.0, "sign": 1.0}
    tried = [{"noise": 0.001, "sign": s} for s in (-1.0, 1.0)]
    assert curve["options"].tolist() == [*tried, {"noise": 0.0, "sign": 1.0}, {"noise": 0.9, "sign": -1.0}]
    assert curve["knob"].tolist() == ["sign", "sign", "noise", "noise"]
    assert curve["value"].tolist()[-1] == "noise=0.9, sign=-1.0"


def test_a_map_of_zeros_ranks_nothing_and_a_value_that_fails_is_not_chosen(model, signals):
    def half(model, inputs, targets, *, of=0.0):
        maps = oracle(model, inputs, targets)
        maps[::2] *= of
        return maps

    row = xu.Method(function=half, output="map", name="half")
    options, curve = xu.tune(model, signals, row, 1, knobs={"of": (0.0, 1.0)}, steps=STEPS)
    assert curve["without"].tolist() == [3, 0] and options == {"of": 1.0}
    whole = oracle(model, signals, np.ones(5))[1::2]
    each = np.array([by_hand(x[:, 0], 1, m) for x, m in zip(signals[1::2], whole, strict=True)])
    np.testing.assert_allclose(curve["criterion"][0], (each[:, 0] - each[:, 1]).sum() / 5, rtol=1e-4)
    options, curve = xu.tune(model, signals, ORACLE, 1, knobs={"noise": (2.0, 0.0)}, steps=STEPS)
    assert options == {"noise": 0.0} and np.isnan(curve["criterion"][0]) and "too much" in curve["reason"][0]
    with pytest.raises(ValueError, match="^knobs: got values of noise none of which can be scored: ValueError: too m"):
        xu.tune(model, signals, ORACLE, 1, knobs={"noise": (2.0, 3.0)}, steps=STEPS)


@pytest.mark.parametrize(
    "given, error, told",
    [
        ({"sign": range(7)}, ValueError, "7 values for sign; allowed: 1 to 6"),
        ({"sign": ()}, ValueError, "0 values for sign"),
        ({"sign": "ab"}, TypeError, "'ab' for sign; allowed: a tuple of values"),
        ({"sign": 1.0}, TypeError, "1.0 for sign; allowed: a tuple of values"),
        (["sign"], TypeError, "allowed: {option: values}, or None"),
        ({"tone": (1.0,)}, ValueError, "tone"),
    ],
)
def test_knobs_that_cannot_be_tried_are_refused(model, signals, given, error, told):
    with pytest.raises(error) as raised:
        xu.tune(model, signals, ORACLE, 1, knobs=given)
    assert told in str(raised.value)


def test_a_method_without_knobs_has_one_setting(model, signals):
    options, curve = xu.tune(model, signals, "saliency", 1, options={"score": "probability"}, steps=STEPS)
    assert options == {"score": "probability"} and len(curve) == 1 and curve["chosen"].all()


def test_the_rule_knows_no_evidence_and_is_equal_twice(model, signals):
    assert "masks" not in inspect.signature(xu.tune).parameters
    runs = [xu.tune(model, signals, "smooth_grad", 1, options={"samples": 4}, steps=STEPS) for _ in range(2)]
    measured = ["seconds"]
    pd.testing.assert_frame_equal(*(run.curve.drop(columns=measured) for run in runs))
    assert runs[0].options == runs[1].options


def test_the_declared_knobs_are_options_of_their_methods_with_six_values_at_most():
    for stem, shape in (("mnist1d", (1, 40, 1)), ("hmt", (1, 150, 150, 3))):
        network = xu.load_model(kept_tables.ROOT / "models" / f"{stem}.keras")
        query = xu.Query(network, np.random.default_rng(0).random(shape).astype(np.float32), 0)
        for name in knobs.KNOBS:
            for values in knobs.declared(name, query).values():
                assert 1 < len(values) <= knobs.LARGEST
                for options in values:
                    xu.METHODS[name].options(options)  # raises for one that it does not have
    layer = [options["layer"] for options in knobs.declared("grad_cam", query)["layer"]]
    assert layer[0] is None and len(layer) > 2 and len(set(layer)) == len(layer)


@pytest.mark.parametrize("side", [40, 48, 150, 224])
def test_patches_of_every_size_stand_at_about_as_many_places(side):
    for share in (7, 10, 5, 4, 3, 2):
        (patch,), (stride,) = knobs.patch_at(share, (side,)).values()
        assert abs(patch - side / share) <= 0.5 and 1 <= stride <= patch
        apart = abs(-(-(side - patch) // stride) + 1 - knobs.PLACES)
        assert apart <= (1 if side > 40 else 2)  # on 40 samples a stride of 2, 3 or 4 is all there is


# --- the committed tunings ----------------------------------------------------------------------------------------

TUNED = [name for name, table in tables.TABLES.items() if isinstance(table, tables.TuningTable)]


@pytest.mark.parametrize("name", TUNED)
def test_every_method_was_tuned_at_equal_passes_and_the_best_value_chosen(name):
    curves, settings = pd.read_csv(kept_tables.RESULTS / f"{name}.csv"), tables.TABLES[name].settings
    assert set(curves["method"]) == set(settings["methods"])
    for (method, knob), part in curves.fillna({"knob": ""}).groupby(["method", "knob"], sort=False):
        assert part["chosen"].sum() == 1 and len(part) <= knobs.LARGEST
        best = part["criterion"].max()
        assert part.loc[part["chosen"], "criterion"].item() == best
        # A pass for each map of a layer; windows where a patch lies; of few segments all coalitions that there are.
        if knob not in ("layer", "segments") and method != "occlusion":
            assert part["forwards"].max() <= 1.25 * part["forwards"].min() + 2, (method, knob)


def test_a_method_that_joins_or_turns_other_knobs_is_tuned_alone(tmp_path):
    wanted = kept_tables.settings("mnist1d_tuning")
    (tmp_path / "mnist1d_tuning.csv").write_text("method\n")

    def outdated(**changes):
        note = {"settings": wanted | changes, "table_sha256": kept_tables.digest(tmp_path / "mnist1d_tuning.csv")}
        (tmp_path / "mnist1d_tuning.json").write_text(json.dumps(note))
        return kept_tables.outdated("mnist1d_tuning", tmp_path)

    assert outdated() == ()
    before = {name: value for name, value in wanted["knobs"].items() if name != "kernel_shap"}
    assert outdated(methods=[name for name in wanted["methods"] if name != "kernel_shap"], knobs=before) == (
        "kernel_shap",
    )
    assert outdated(knobs=wanted["knobs"] | {"rise": {"grid": "_grids"}}) == ("rise",)
    assert outdated(knobs=wanted["knobs"] | {"smooth_grad": {"noise": [0.15, 0.3]}}) == ("smooth_grad",)
    assert outdated(steps=3) == tuple(wanted["methods"])


def test_what_a_tuning_chose_counts_for_the_tables_that_follow(tmp_path, monkeypatch):
    before = {name: table.settings["methods"] for name, table in tables.TABLES.items()}
    assert "grad_cam_tuned" in before["mnist1d_all"]
    shutil.copytree(kept_tables.RESULTS, tmp_path / "results")
    curves = pd.read_csv(tmp_path / "results" / "mnist1d_tuning.csv")
    rows = curves["method"] == "grad_cam"
    curves.loc[rows, "chosen"] = curves.loc[rows, "value"] == "layer=None"
    curves.to_csv(tmp_path / "results" / "mnist1d_tuning.csv", index=False)
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "TABLES", dict(tables.TABLES))
    tables.chosen_anew("mnist1d_all")
    assert {name: table.settings["methods"] for name, table in tables.TABLES.items()} == before
    tables.chosen_anew("mnist1d_tuning")
    after = {name: table.settings["methods"] for name, table in tables.TABLES.items()}
    without = tuple(name for name in before["mnist1d_all"] if name != "grad_cam_tuned")
    assert after == before | {"mnist1d_all": without, "mnist1d_stability": without}


@pytest.mark.parametrize("network", ["mnist1d", "schematic_faces", "tissue_phantom",
                                     pytest.param("hmt", marks=pytest.mark.data)])  # fmt: skip
def test_what_methods_are_tuned_on_is_in_no_test_part(network):
    test = {"mnist1d": sets.mnist1d, "schematic_faces": sets.schematic_faces, "hmt": sets.hmt}
    test["tissue_phantom"] = lambda: sets.tissue_phantom(500)
    try:
        known = {one.astype(np.float32).tobytes() for one in test[network]()[0]}
    except FileNotFoundError as absent:
        pytest.skip(str(absent))
    inputs = sets.validation(network)
    assert len({one.tobytes() for one in inputs}) == len(inputs) == sets.TUNED_ON
    assert not known & {one.tobytes() for one in inputs}
