"""The budgeted command of the retrainings, on toys: what it says first, what it keeps, what a run contains."""

import json

import numpy as np
import pandas as pd
import pytest

import mnist1d_utils as m1
import xai_utils as xu
from tools import retrainings, scoring, tables


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """Three runs of two kinds that note what was made; their folders lie in a new place."""
    made = []

    def make(name):
        made.append(name)
        return pd.DataFrame([{"method": name, "value": len(made) / 3}])

    runs = [retrainings.Run(f"{kind}-{k}", kind, lambda n=f"{kind}-{k}": make(n)) for kind, k in ("a1", "a2", "b1")]
    monkeypatch.setattr(retrainings, "FOLDER", tmp_path / "kept")
    monkeypatch.setattr(retrainings, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(retrainings, "ROOT", tmp_path)
    monkeypatch.setattr(retrainings, "runs", lambda: runs)
    (tmp_path / "results").mkdir()
    return tmp_path, made


def test_the_budget_is_runs_times_seconds():
    runs = [retrainings.Run(f"{kind}{k}", kind, None) for kind, count in (("a", 8), ("b", 2)) for k in range(count)]
    told = retrainings.budget(runs, {"a": 450.0}).splitlines()
    assert told == ["a: 8 runs x 450 s = 1.00 h", "b: 2 runs, not measured yet", "in all 1.00 h"]


def test_the_budget_is_printed_first_and_nothing_is_run(toys, capsys):
    folder, made = toys
    (folder / "results" / "retrainings.json").write_text(json.dumps({"seconds": {"a": 1800, "b": 3600}}))
    assert retrainings.main(["--budget"]) == 0 and not made
    assert capsys.readouterr().out.splitlines()[-1] == "in all 2.00 h"


def test_what_is_done_is_not_done_again_and_a_whole_kind_becomes_a_table(toys, capsys):
    folder, made = toys
    retrainings.main(["--one"])
    assert made == ["a-1", "b-1"] and not (folder / "results" / "a_retrained.csv").exists()
    assert pd.read_csv(folder / "results" / "b_retrained.csv")["method"].tolist() == ["b-1"]
    assert set(retrainings.measured()) == {"a", "b"}
    assert retrainings.main(["--only", "a"]) == 0
    assert made == ["a-1", "b-1", "a-2"]
    table = pd.read_csv(folder / "results" / "a_retrained.csv")
    assert table["method"].tolist() == ["a-1", "a-2"] and table["value"].tolist() == [0.3333, 1.0]
    capsys.readouterr()
    retrainings.main([])
    assert len(made) == 3 and capsys.readouterr().out.startswith("in all 0.00 h")


def test_a_run_that_fails_leaves_nothing_and_is_made_the_next_time(toys, monkeypatch):
    folder, made = toys
    runs = retrainings.runs()

    def broken():
        raise KeyboardInterrupt

    monkeypatch.setattr(retrainings, "runs", lambda: [runs[0], retrainings.Run("a-2", "a", broken)])
    with pytest.raises(KeyboardInterrupt):
        retrainings.main([])
    assert made == ["a-1"] and sorted(path.name for path in (folder / "kept").glob("*.csv")) == ["a-1.csv"]
    assert not (folder / "results" / "a_retrained.csv").exists()


def test_the_runs_are_eight_trainings_of_three_kinds_and_five_of_roar():
    kinds = pd.Series([run.kind for run in retrainings.runs()]).value_counts()
    assert kinds.to_dict() == {"roar": 5 * 3 * 9, "mnist1d": 8, "schematic_faces": 8, "tissue_phantom": 8}
    assert len({run.name for run in retrainings.runs()}) == kinds.sum()


def test_a_run_scores_every_method_as_the_rule_sets_it(tmp_path, monkeypatch):
    signals, masks = m1.make_dataset(count=40), None
    x = m1.split(signals, "test")[0][:6]
    masks = np.arange(40) < np.full((6, 1), 10)
    settings = {
        "methods": ("gradient_x_input", "occlusion", "occlusion_tuned"),
        "options": {"occlusion": {"patch": 7}, "occlusion_tuned": {"patch": 3}},
        "fraction": 0.15, "fill": "grey", "steps": 5, "samples": 2, "seed": 0,
    }  # fmt: skip
    monkeypatch.setattr(retrainings, "FOLDER", tmp_path)
    monkeypatch.setitem(
        tables.TABLES, "mnist1d_all", tables.LargeTable("mnist1d", lambda: (x, masks), "", settings, ())
    )
    monkeypatch.setattr(scoring, "ROOT", tmp_path)
    model = m1.network("flatten", seed=3)
    table = retrainings.scored("mnist1d", lambda seed: model, 3, items=5)
    assert list(table.columns) == ["method", "training", "metric", "item", "value"] and set(table["training"]) == {3}
    assert {"gradient_x_input", "occlusion", "random"} <= set(table["method"])
    part = table[(table["method"] == "occlusion") & (table["metric"] == "evidence_mass")].sort_values("item")
    maps = xu.relevance("occlusion", xu.occlusion(model, x[:5], patch=3))
    np.testing.assert_allclose(part["value"], xu.evidence_mass(maps, masks[:5]), rtol=1e-5)


def test_roar_trains_on_what_is_left(monkeypatch):
    """The largest values of a signal are marked: neither the training nor the test has them, the mean stands there."""
    data, seen = m1.make_dataset(count=1000), {}
    monkeypatch.setattr(retrainings, "marks", lambda method, model, x: x[..., 0])
    monkeypatch.setattr(m1, "train", lambda model, left, **options: seen.update(options, data=left))
    table = retrainings.roar("saliency", 0.25, 4, epochs=1, data=data)
    mean = m1.split(data, "train")[0].mean()
    for name in ("x", "x_test"):
        kept = np.argsort(data[name], axis=1)[:, :30]
        for before, after, places in zip(data[name], seen["data"][name], kept, strict=True):
            np.testing.assert_allclose(after[places], before[places], rtol=1e-6)
            np.testing.assert_allclose(np.delete(after, places), mean, rtol=1e-5)
    row = table.iloc[0]
    assert (row["method"], row["share"], row["training"]) == ("saliency", 0.25, 4) and 0 <= row["accuracy"] <= 1
    assert seen["seed"] == 4 and seen["epochs"] == 1


def test_marks_are_those_of_the_committed_choice_or_random():
    model, x = xu.load_model(retrainings.ROOT / "models" / "mnist1d.keras"), m1.split(m1.make_dataset(), "test")[0][:3]
    options = xu.read_options(retrainings.RESULTS / "mnist1d_tuning.csv")["grad_cam"]
    want = xu.relevance("grad_cam", xu.grad_cam(model, x, **options))
    np.testing.assert_allclose(retrainings.marks("grad_cam", model, x), want, rtol=1e-6)
    random = retrainings.marks("random", model, x)
    assert random.shape == (3, 40) and abs(np.corrcoef(random)[0, 1]) < 0.6
