"""Reading the tables of scores that `make evaluation` keeps: each method as the rule sets it, or as its paper does."""

import json
import os
from typing import Any

import pandas as pd

from heatproof import checks
from heatproof.methods.catalogue import METHODS
from heatproof.problems import ArgumentFileError, ArgumentValueError

TUNED = "_tuned"  # behind the name of a method as the rule sets it, where that is not the paper's setting
CRITERION = ("insertion", "deletion")  # by which the rule chooses, so that they rank nothing that it has set


def read_scores(path: str | os.PathLike, settings: str = "tuned") -> pd.DataFrame:
    """Return a committed table of scores in one setting, in the form of `evaluate`: method, metric, item, value.

    path:     results/NETWORK_all.csv or results/NETWORK_stability.csv, one row for each method and item
    settings: "tuned", every method as the rule of `tune` sets it on other items, without insertion and deletion, by
              which the rule chooses; or "paper", as its paper sets it, or our default where a paper is silent

    `method` holds titles ("Grad-CAM"). Raises `FileNotFoundError` for a file that is not there and `ValueError` for one
    that is no such table.
    """
    checks.one_of("settings", settings, ("tuned", "paper"))
    table = _read(path, ("method", "item", "reason"), "results/hmt_all.csv, one row for each method and item")
    turned = table["method"].str.endswith(TUNED)
    names = table["method"].str.removesuffix(TUNED)
    if settings == "tuned":
        table = table.drop(columns=[name for name in CRITERION if name in table])
        kept = turned | ~names.isin(set(names[turned]))
    else:
        kept = ~turned
    titles = {name: method.title for name, method in METHODS.items()}
    table = table.assign(method=names.replace(titles)).drop(columns="reason")[kept]
    return table.melt(["method", "item"], var_name="metric", ignore_index=True)


def read_choices(path: str | os.PathLike) -> pd.DataFrame:
    """Return what the rule of `tune` chose for a network: one row for each method and knob.

    path: results/NETWORK_tuning.csv. Columns: method (title), knob, paper and tuned (the values), and the criterion,
    insertion minus deletion, of both ("paper criterion", "tuned criterion"). A method without a knob has no row.
    Raises `FileNotFoundError` for a file that is not there and `ValueError` for one that is no such table.
    """
    columns = ("method", "knob", "value", "criterion", "chosen")
    table = _read(path, columns, "results/hmt_tuning.csv, one row for each setting")
    rows = []
    for (name, knob), tried in table.dropna(subset=["knob"]).groupby(["method", "knob"], sort=False):
        paper, tuned = tried.iloc[0], tried[tried["chosen"]].iloc[0]
        values = [row["value"].replace(f"{knob}=", "", 1) for row in (paper, tuned)]
        criteria = [row["criterion"] for row in (paper, tuned)]
        rows.append([METHODS[name].title, knob, *values, *criteria])
    return pd.DataFrame(rows, columns=["method", "knob", "paper", "tuned", "paper criterion", "tuned criterion"])


def read_options(path: str | os.PathLike) -> dict[str, dict[str, Any]]:
    """Return {name: options}, each method as the rule of `tune` sets it for a network: to draw the ranked maps.

    path: results/NETWORK_tuning.csv. `xu.METHODS[name].function(model, inputs, targets, **options[name])` gives such a
    map. Raises `FileNotFoundError` for a file that is not there and `ValueError` for one that is no such table.
    """
    columns = ("method", "chosen", "options")
    table = _read(path, columns, "results/hmt_tuning.csv, one row for each setting")
    last = table[table["chosen"]].drop_duplicates("method", keep="last")  # one knob is turned after the other
    return {name: json.loads(options) for name, options in zip(last["method"], last["options"], strict=True)}


def _read(path, columns, example):
    path = checks.as_path("path", path, "file")
    if not path.is_file():
        raise ArgumentFileError("path", f"{path}, where no table is", cure="'make evaluation' makes those of results/")
    table = pd.read_csv(path)
    if missing := [name for name in columns if name not in table]:
        given = f"{path.name}, which lacks the columns {missing}"
        raise ArgumentValueError("path", given, f"a table such as {example}")
    return table
