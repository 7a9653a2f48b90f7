"""How a method is set for a network: one rule for all methods, fixed before looking, that knows no evidence.

The knobs of a method and their values stand in `heatproof.metrics.knobs`; the paper's value is the first of each.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from heatproof import checks
from heatproof.engine.query import Query
from heatproof.engine.readings import PROBABILITY
from heatproof.methods.catalogue import METHODS
from heatproof.methods.rows import Method, chosen
from heatproof.metrics import faithfulness
from heatproof.metrics.cases import Metric
from heatproof.metrics.catalogue import COSTS
from heatproof.metrics.evaluation import evaluate
from heatproof.metrics.knobs import LARGEST, declared
from heatproof.problems import ArgumentTypeError, ArgumentValueError

FILL = "mean"  # what stands for nothing in both curves


def _insertion(case):
    return case.area(faithfulness.insertion_curve, FILL)


def _deletion(case):
    return case.area(faithfulness.deletion_curve, FILL)


PARTS = (
    Metric(name="insertion_from_mean", measure=_insertion, better="high"),
    Metric(name="deletion_to_mean", measure=_deletion, better="low"),
)


class Tuned(NamedTuple):
    """What the rule chose: `options` of the method, and the `curve`, one row for each setting that was tried."""

    options: dict[str, Any]
    curve: pd.DataFrame


def tune(
    model: keras.Model,
    inputs: npt.ArrayLike,
    method: str | Method,
    targets: npt.ArrayLike | None = None,
    *,
    knobs: Mapping[str, Sequence] | None = None,
    options: Mapping[str, Any] | None = None,
    steps: int = 20,
    seed: int = 0,
    activation: str | None = None,
    folder: str | os.PathLike | None = None,
) -> Tuned:
    """Choose the settings of a method by what the network says on inputs that are kept for it, not by a known truth.

    The criterion of a setting is the mean over the inputs of insertion - deletion: the areas under the two curves of
    the class probability while the most relevant positions return to, or leave, an input whose "nothing" is its own
    mean. A map of zeros ranks nothing and counts as 0. One knob is turned after the other, the first ones left as
    chosen; the first of equal values stays.

    method:   a name of METHODS, or a row of your own
    knobs:    {option: values}, at most six each, the paper's first, or values that are dicts of options which belong
              together; None takes those declared for the method, None of which changes its number of passes but by the
              layer that it reads
    options:  options that stay as they are, such as {"samples": 10}
    steps, seed, activation, folder: as in `evaluate`

    `curve` has one row per setting: knob, value, the mean insertion, deletion and criterion, the standard error of the
    criterion, the number of inputs without a ranking, seconds and passes per input, whether it was chosen, and all
    options. Raises `TypeError`, `ValueError` as `evaluate`, for more than six values of a knob, and where no value can
    be scored. Tune on inputs that no result is reported of. Source of the curves: Petsiuk, Das, Saenko 2018, sec. 4.2.
    """
    (row,) = chosen("method", [method], METHODS, Method)
    given, best = None if knobs is None else _as_knobs(knobs, row), _as_options(options)
    query = Query(model, inputs, targets, score=PROBABILITY, activation=activation)
    turned = declared(row.name, query) if given is None else given
    question = {"model": model, "inputs": query.inputs, "targets": targets, "activation": activation}
    question |= {"steps": steps, "seed": seed, "folder": folder}
    parts = []
    for knob, values in (turned or {"": [{}]}).items():
        tried = [best | value for value in values]
        part = _scored(row, knob, tried, question)
        criterion = part["criterion"].to_numpy()
        if not np.isfinite(criterion).any():
            raise ArgumentValueError("knobs", f"values of {knob} none of which can be scored: {part['reason'][0]}")
        first = int(np.nanargmax(criterion))
        best |= values[first]
        told = [_told(value) for value in values]
        parts.append(part.assign(value=told, chosen=np.arange(len(part)) == first, options=tried))
    order = ["knob", "value", "insertion", "deletion", "criterion", "error", "without", *COSTS, "chosen", "options"]
    order += ["reason"]
    return Tuned(best, pd.concat(parts, ignore_index=True)[order])


def _scored(row, knob, settings, question):
    """One row for each of the `settings`: the means over the inputs."""
    names = [f"{row.name}_{number}" for number in range(len(settings))]
    rows, options = tuple(replace(row, name=name) for name in names), dict(zip(names, settings, strict=True))
    frame = evaluate(**question, methods=rows, metrics=(*PARTS, *COSTS), options=options)
    return pd.DataFrame([_means(frame[frame["method"] == name]) for name in names]).assign(knob=knob)


def _means(rows):
    values = rows.pivot(index="item", columns="metric", values="value")
    insertion, deletion = (values[part.name] for part in PARTS)
    failed = rows["reason"][rows["reason"].str.match(r"\w*Error: ")]
    gain = (insertion - deletion).fillna(0.0)
    return {
        "insertion": insertion.mean(),
        "deletion": deletion.mean(),
        "criterion": np.nan if len(failed) else gain.mean(),
        "error": gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else np.nan,
        "without": int(insertion.isna().sum()),
        "reason": failed.iloc[0] if len(failed) else "",
    } | {cost: values[cost].mean() for cost in COSTS}


def _as_options(given):
    if given is not None and not isinstance(given, Mapping):
        raise ArgumentTypeError("options", checks.shown(given), "{option: value}, or None")
    return dict(given or {})


def _as_knobs(given, row):
    """{option: dicts of options}, checked."""
    if not isinstance(given, Mapping):
        raise ArgumentTypeError("knobs", checks.shown(given), "{option: values}, or None")
    return {name: _as_values(name, values, row) for name, values in given.items()}


def _as_values(name, values, row):
    if isinstance(values, str) or not np.iterable(values):
        raise ArgumentTypeError("knobs", f"{checks.shown(values)} for {name}", "a tuple of values")
    settings = [value if isinstance(value, dict) else {name: value} for value in values]
    if not 1 <= len(settings) <= LARGEST:
        raise ArgumentValueError("knobs", f"{len(settings)} values for {name}", f"1 to {LARGEST} values")
    for options in settings:
        try:
            row.options(options)
        except ArgumentValueError as error:
            raise ArgumentValueError("knobs", error.given, error.allowed) from None
    return settings


def _told(options):
    """A setting in words, as tables show it."""
    return ", ".join(f"{name}={value}" for name, value in options.items())
