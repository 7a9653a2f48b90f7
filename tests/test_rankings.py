"""A ranking is read from the settings that the rule chose: the committed tables, and the chapters that show them."""

import ast
import csv
import inspect
import json
import re

import nbformat
import numpy as np
import pandas as pd
import pytest

import xai_utils as xu
from heatproof.methods.catalogue import METHODS
from tools import tables
from tools.environment import ROOT

RESULTS = ROOT / "results"
LARGE = [name for name, table in tables.TABLES.items() if isinstance(table, tables.LargeTable)]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def toy(tmp_path):
    """Grad-CAM in both settings, saliency in the one that it has, and a map that knows nothing."""
    rows = "method,item,evidence_mass,insertion,deletion,reason\n"
    for method, masses in {"grad_cam": (1, 2), "saliency": (3, 4), "random": (5, 6), "grad_cam_tuned": (7, 8)}.items():
        rows += "".join(f"{method},{item},{mass},0.5,0.4,\n" for item, mass in enumerate(masses))
    (tmp_path / "toy.csv").write_text(rows)
    return tmp_path / "toy.csv"


@pytest.mark.parametrize(("settings", "found"), [("tuned", {"Grad-CAM": [7, 8]}), ("paper", {"Grad-CAM": [1, 2]})])
def test_one_setting_of_a_method_is_read(toy, settings, found):
    table = xu.read_scores(toy, settings)
    masses = table[table["metric"] == "evidence_mass"].groupby("method")["value"].apply(list).to_dict()
    assert masses == found | {"Saliency": [3, 4], "random": [5, 6]}
    assert list(table) == ["method", "item", "metric", "value"]


def test_the_criterion_ranks_nothing_that_it_has_set(toy):
    assert set(xu.read_scores(toy)["metric"]) == {"evidence_mass"}
    assert set(xu.read_scores(toy, "paper")["metric"]) == {"evidence_mass", "insertion", "deletion"}


def test_what_was_chosen_is_read_beside_what_the_paper_says(tmp_path):
    text = "method,knob,value,criterion,chosen\nsmooth_grad,noise,noise=0.15,0.4,False\n"
    text += "smooth_grad,noise,noise=0.02,0.6,True\nsaliency,,,0.5,True\n"
    (tmp_path / "toy.csv").write_text(text)
    (row,) = xu.read_choices(tmp_path / "toy.csv").to_dict("records")
    wanted = {"method": "SmoothGrad", "knob": "noise", "paper": "0.15", "tuned": "0.02"}
    assert row == wanted | {"paper criterion": 0.4, "tuned criterion": 0.6}


def chosen_options(network):
    """{method: options} with the largest criterion of all that was tried, from the curves themselves."""
    best = {}
    with (RESULTS / f"{network}_tuning.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["knob"] == "" or float(row["criterion"]) > best.get(row["method"], (-np.inf,))[0]:
                best[row["method"]] = (float(row["criterion"]), json.loads(row["options"]))
    return {method: options for method, (_, options) in best.items()}


def test_the_options_are_those_of_the_last_knob_that_was_turned(tmp_path):
    text = 'method,value,chosen,options\nlime,segments=9,True,"{""segments"": 9}"\n'
    text += 'lime,fill=zero,False,"{""segments"": 9, ""fill"": ""zero""}"\n'
    text += 'lime,fill=mean,True,"{""segments"": 9, ""fill"": ""mean""}"\nsaliency,,True,{}\n'
    (tmp_path / "toy.csv").write_text(text)
    assert xu.read_options(tmp_path / "toy.csv") == {"lime": {"segments": 9, "fill": "mean"}, "saliency": {}}


@pytest.mark.parametrize("network", sorted({tables.TABLES[name].network for name in LARGE}))
def test_the_maps_of_a_chapter_are_drawn_as_the_ranked_ones_were_made(network):
    found, wanted = xu.read_options(RESULTS / f"{network}_tuning.csv"), chosen_options(network)
    assert list(found) == list(wanted)
    for method, options in found.items():
        usual = {key: each.default for key, each in inspect.signature(METHODS[method].function).parameters.items()}
        assert {**usual, **options} == {**usual, **wanted[method]}, method


@pytest.mark.parametrize("name", LARGE)
def test_the_rows_that_are_ranked_were_made_with_what_the_rule_chose(name):
    """Of every method: its options in the table's note, and the values of its rows in the file."""
    note = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["settings"]
    raw = pd.read_csv(RESULTS / f"{name}.csv")
    read = xu.read_scores(RESULTS / f"{name}.csv")
    metric = read["metric"].iloc[0]
    for method, options in chosen_options(tables.TABLES[name].network).items():
        stored = f"{method}_tuned" if f"{method}_tuned" in note["methods"] else method
        made = note["options"].get(stored, {})
        usual = {key: each.default for key, each in inspect.signature(METHODS[method].function).parameters.items()}
        assert {key: made.get(key, usual[key]) for key in options} == options, method
        wanted = raw.loc[raw["method"] == stored, metric].to_numpy()
        found = read.loc[(read["method"] == METHODS[method].title) & (read["metric"] == metric), "value"]
        np.testing.assert_array_equal(found, wanted)


# ---- the chapters


def cells(path):
    book = nbformat.read(path, as_version=4)
    return [cell.source for cell in book.cells if cell.cell_type == "code"]


def readings(source):
    """The calls of a cell that read a table of scores: (name of the function, whether in the papers' settings)."""
    tree = ast.parse(re.sub(r"^\s*[%!].*$", "", source, flags=re.M))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "read_scores":
            words = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            yield "paper" in words


def complaint(source):
    """What is wrong with a cell: a table read past `read_scores`, or papers' settings shown without the rule's."""
    if re.search(r"_(all|stability)\b", source) and re.search(r"read_csv|\bopen\(|read_text", source):
        return "a table of scores is read past xu.read_scores"
    found = list(readings(source))
    if any(found) and all(found):
        return "the papers' settings are read without the rule's beside them"
    return ""


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_ranks_by_the_settings_of_the_rule(path):
    assert [found for source in cells(path) if (found := complaint(source))] == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("xu.summarise(xu.read_scores('../results/hmt_all.csv'))", ""),
        ("a, b = xu.read_scores(path), xu.read_scores(path, 'paper')", ""),
        ("xu.read_scores('../results/hmt_all.csv', settings='paper')", "without the rule's"),
        ("pd.read_csv('../results/hmt_all.csv')", "past xu.read_scores"),
        ("pd.read_csv(f'../results/{name}_stability.csv')", "past xu.read_scores"),
        ("json.loads(Path('../results/hmt_all.json').read_text())", "past xu.read_scores"),
    ],
)
def test_a_ranking_from_other_settings_is_found(source, said):
    assert said in complaint(source) and bool(said) == bool(complaint(source))
