"""The stamps of the committed tables, and the sample that says whether other code still gives their values."""

import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import xai_utils as xu
from heatproof.methods import gradients
from heatproof.metrics import cases, digest
from tools import evaluation as kept_tables
from tools import sample, scoring, stamps, tables

SETTINGS = tables.large("mnist1d", 20) | {
    "methods": ("saliency", "smooth_grad"),
    "options": {"smooth_grad": {"samples": 2}},
}
METRICS = ("average_drop", "evidence_mass", "infidelity", "forwards")


@pytest.fixture
def tiny(monkeypatch):
    """A large table of every third of 27 signals; its name."""
    signals, masks = tables.mnist1d()
    table = tables.LargeTable("mnist1d", lambda: (signals, masks), "", SETTINGS, METRICS, 27, every=3)
    monkeypatch.setattr(tables, "TABLES", {"tiny": table})
    monkeypatch.setenv("XAI_JOBS", "1")
    return "tiny"


@pytest.fixture
def kept(tiny, tmp_path, monkeypatch):
    """The folder in which the table is stored and stamped."""
    monkeypatch.setattr(kept_tables, "ROOT", tmp_path)
    monkeypatch.setattr(scoring, "ROOT", tmp_path)
    (tmp_path / "models").symlink_to(Path(xu.__file__).with_name("models"))
    kept_tables.store(tiny, scoring.make(tiny), tmp_path)
    return tmp_path


def rewrite(folder, **changes):
    path = folder / "tiny.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_rows_of_some_items_are_those_of_the_whole_table(kept, tiny):
    """Random numbers belong to an item's place among all, whichever are made again; so do baselines and the fill."""
    whole, part = scoring.make(tiny), scoring.make(tiny, np.array([3, 24]))
    rows = whole[whole["item"].isin([3, 24])].reset_index(drop=True)
    pd.testing.assert_frame_equal(part.drop(columns="forwards"), rows.drop(columns="forwards"), rtol=1e-4, atol=1e-5)
    assert set(part["method"]) == {"saliency", "smooth_grad", *cases.BASELINES}
    few = scoring.make(tiny, np.array([3]), ("smooth_grad",))
    assert set(few["method"]) == {"smooth_grad", *cases.BASELINES}


def test_a_stamped_table_is_left_alone_and_one_of_other_code_is_checked(kept, tiny, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "make", lambda *_, **__: pytest.fail("its stamp is that of the code"))
        assert sample.run(restamp=False, folder=kept) == 0
    assert "tiny.csv: up to date" in capsys.readouterr().out
    rewrite(kept, code="of another code")
    before = {path.name: path.read_bytes() for path in kept.glob("tiny.*")}
    assert sample.run(restamp=False, folder=kept) == 0
    assert (
        "values made again, 30 as stored" in capsys.readouterr().out
    )  # 5 methods, 3 metrics that are no costs, 2 items
    assert {path.name: path.read_bytes() for path in kept.glob("tiny.*")} == before
    assert sample.run(restamp=True, folder=kept) == 0
    assert kept_tables.is_stamped(tiny, kept) and (kept / "tiny.csv").read_bytes() == before["tiny.csv"]


def test_another_formula_is_found_and_its_rows_alone_are_made_anew(kept, tiny, monkeypatch, capsys):
    rewrite(kept, code="of another code")
    before = pd.read_csv(kept / "tiny.csv")
    row = xu.METHODS["saliency"]
    other = xu.Method(function=gradients.gradient_x_input, name="saliency", output="inputs", relevance="magnitude")
    monkeypatch.setitem(xu.METHODS, "saliency", other)
    assert sample.run(restamp=False, folder=kept) == 1
    told = capsys.readouterr().out
    assert "tiny.csv: other values than stored" in told and "saliency" in told and "smooth_grad" not in told
    assert not kept_tables.is_stamped(tiny, kept)
    assert sample.run(restamp=True, folder=kept) == 0 and kept_tables.is_stamped(tiny, kept)
    assert "tiny.csv: computing saliency\n" in capsys.readouterr().out
    after, whole = pd.read_csv(kept / "tiny.csv"), scoring.make(tiny)
    values = [name for name in METRICS if name != "forwards"]
    assert (after[["method", "item"]] == before[["method", "item"]]).all(axis=None)
    np.testing.assert_allclose(after[values], whole[values], rtol=1e-3, atol=1e-4)
    others = after["method"] != "saliency"
    pd.testing.assert_frame_equal(after[others], before[others])
    assert (after[values] != before[values])[~others].any(axis=None)
    monkeypatch.setitem(xu.METHODS, "saliency", row)
    rewrite(kept, code="of another code")
    assert sample.run(restamp=True, folder=kept) == 0
    pd.testing.assert_frame_equal(pd.read_csv(kept / "tiny.csv")[values], before[values])


def test_a_method_with_other_options_and_a_new_one_are_computed_alone(kept, tiny, monkeypatch, capsys):
    assert kept_tables.outdated(tiny, kept) == ()
    settings = tables.TABLES[tiny].settings
    options = settings["options"] | {"smooth_grad": {"samples": 3}}
    changes = {"options": options, "methods": (*settings["methods"], "gradient_x_input")}
    monkeypatch.setitem(tables.TABLES, tiny, replace(tables.TABLES[tiny], settings=settings | changes))
    assert kept_tables.outdated(tiny, kept) == ("smooth_grad", "gradient_x_input")
    before = pd.read_csv(kept / "tiny.csv")
    kept_tables.run(kept)
    assert "computing smooth_grad, gradient_x_input\n" in capsys.readouterr().out
    assert kept_tables.outdated(tiny, kept) == ()
    after, whole, values = pd.read_csv(kept / "tiny.csv"), scoring.make(tiny), [n for n in METRICS if n != "forwards"]
    both = after.merge(whole, on=["method", "item"])
    assert len(both) == len(after) == len(whole)
    np.testing.assert_allclose(both[[f"{n}_x" for n in values]], both[[f"{n}_y" for n in values]], rtol=1e-3, atol=1e-4)
    same = after["method"] == "saliency"
    pd.testing.assert_frame_equal(after[same], before[before["method"] == "saliency"])
    monkeypatch.setitem(tables.TABLES, tiny, replace(tables.TABLES[tiny], settings=settings))
    assert kept_tables.outdated(tiny, kept) == settings["methods"]  # one that is gone leaves by making all


def test_other_settings_fail_the_sample_and_absent_data_do_not(kept, tiny, monkeypatch, capsys):
    rewrite(kept, settings={})
    assert sample.run(restamp=False, folder=kept) == 1
    assert "made by other settings" in capsys.readouterr().out
    rewrite(kept, settings=kept_tables.settings(tiny), code="of another code")

    def absent(*_, **__):
        raise FileNotFoundError("hmt is not in data")

    monkeypatch.setattr(scoring, "make", absent)
    assert sample.run(restamp=True, folder=kept) == 0
    assert "tiny.csv: left as it is, because hmt is not in data" in capsys.readouterr().out


# ---- what counts as another value, by hand


def rows(metric, stored, found):
    frames = [
        pd.DataFrame({"method": "m", "metric": metric, "item": range(len(v)), "value": v}) for v in (stored, found)
    ]
    return sample.compared(*frames)


@pytest.mark.parametrize(
    "metric, stored, found, far",
    [
        ("evidence_mass", 0.1234, 0.12349, False),  # within one of the fourth digit
        ("evidence_mass", 0.1234, 0.1236, True),
        ("infidelity", 0.03241, 0.0325, True),
        ("average_drop_soft", 98.76, 98.769, False),
        ("average_drop_soft", 98.76, 98.78, True),  # in percent, but nothing is ranked
        ("average_drop_grey", 98.76, 98.80, False),  # a thousandth of 100
        ("average_drop", 98.76, 98.90, True),
        ("insertion", 0.5526, 0.5523, False),
        ("insertion", 0.5526, 0.5506, True),
        ("completeness_gap", 3.071e-7, 3.215e-7, False),  # rounding
        ("completeness_gap", 3.071e-7, 3.215e-6, True),
        ("completeness_gap", np.nan, np.nan, False),
        ("completeness_gap", np.nan, 0.1, True),
        ("pointing_game", 1.0, 0.0, True),
        ("average_increase", 0.0, 0.0, False),
    ],
)
def test_what_is_another_value(metric, stored, found, far):
    assert rows(metric, [stored], [found])["far"].tolist() == [far]


def test_ranks_may_jump_on_one_of_two_items_and_other_metrics_on_none():
    assert sample.changed(rows("deletion", [0.2, 0.3], [0.25, 0.3])).empty
    assert len(sample.changed(rows("deletion", [0.2, 0.3], [0.25, 0.35]))) == 2
    assert sample.changed(rows("evidence_mass", [0.2, 0.3], [0.25, 0.3]))["item"].tolist() == [0]


# ---- the stamp


def test_the_stamp_of_a_table_is_of_what_its_methods_run_through(tmp_path, monkeypatch):
    shutil.copytree(Path(xu.__file__).with_name("heatproof"), tmp_path / "heatproof")
    monkeypatch.setattr(digest, "closure_of", functools.partial(digest.closure_of, root=tmp_path))

    def codes():
        stamps.code.cache_clear()
        return [kept_tables.code(name) for name in ("tissue_phantom_all", "mnist1d_all", "mnist1d_tuning")]

    def change(name):
        path = tmp_path / "heatproof" / name
        path.write_text(path.read_text(encoding="utf-8") + "\nCHANGED = 1\n", encoding="utf-8")
        return [old != new for old, new in zip(before, codes(), strict=True)]

    before = codes()
    assert change("display/plots.py") == [False, False, False]
    assert change("metrics/tuning.py") == [False, False, True]
    before = codes()
    assert change("methods/lime.py") == [True, True, True]
    before = codes()
    assert change("data/phantom_tissue.py") == [True, False, False]
    before = codes()
    assert change("engine/tracing.py") == [True, True, True]
    stamps.code.cache_clear()


def test_every_committed_table_bears_a_stamp_unless_it_is_a_measurement():
    for name, table in tables.TABLES.items():
        note = json.loads((kept_tables.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        assert len(note.get("code", "")) == (0 if isinstance(table, tables.MemoryTable) else 64), name
