"""Methods against metrics over a data set, in shards that can run anywhere and be taken up again: one tidy table.

Three maps that never look at the model stand in every table: a method that does not beat them has shown nothing.
"""

import os
from collections.abc import Sequence

import joblib
import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from heatproof import checks
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import PROBABILITY
from heatproof.methods.catalogue import METHODS
from heatproof.methods.rows import Method, chosen, listed, options_of
from heatproof.metrics.cases import BASELINES, Case, Metric, Settings
from heatproof.metrics.catalogue import COSTS, METRICS
from heatproof.metrics.shards import Carrier, answer, check_travel
from heatproof.metrics.store import Store
from heatproof.problems import ArgumentValueError
from heatproof.progress import progress

COLUMNS = ("method", "metric", "item", "value", "reason")


def evaluate(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    methods: Sequence[str | Method] = ("grad_cam", "integrated_gradients"),
    metrics: Sequence[str | Metric] | None = None,
    masks: npt.ArrayLike | None = None,
    *,
    options: dict | None = None,
    fraction: float = 0.15,
    fill: float = 0.0,
    steps: int = 20,
    samples: int = 10,
    seed: int = 0,
    activation: str | None = None,
    folder: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Score every item's map of every method, and of the baselines random, edge (Sobel) and centre, by every metric.

    methods:   names of METHODS, or rows of your own: xu.Method(function=mine, output="map")
    metrics:   names of METRICS, or rows of your own: xu.Metric(name="total", measure=lambda case: ..., better="high");
               or "seconds", "forwards", "backwards": what making the map cost, per item; None takes drop, increase and,
               with masks, evidence mass and pointing game
    masks:     the true evidence, bool, (N, H, W) or (N, T); the metrics that compare with it need it
    options:   {method: {option: value}} for single methods
    fraction, fill: drop and increase keep this share of the positions and put `fill` in place of the others
    steps:     of deletion (fill "mean") and insertion (fill "blur"); samples: of max-sensitivity, and a
               tenth of those of infidelity
    seed:      of the random baseline, of metrics that draw, and of methods that draw unless `options` says otherwise
    activation: "softmax" or "sigmoid", where neither the model nor its loss tells how logits become probabilities
    folder:    finished shards are kept here and found again by the same question, so that a run of hours goes on
               where it was interrupted; another network, another option, another line of code that the answer runs
               through, or another version of a library is another question

    The work is cut into shards, one method on 32 items each, that joblib runs: one after the other in this process, or
    as `with joblib.parallel_config(...)` says, `"loky"` for processes, `"dask"` for the workers of a
    `dask.distributed.Client`. What a shard gives depends on nothing else.

    Returns a DataFrame with one row per (method, metric, item): `value` is the metric of that item alone (drop and
    increase in percent), `reason` is empty, or says why the value is missing (NaN): the method failed on the item, or
    its map is zero everywhere and ranks nothing. Drop, increase, deletion, insertion, region perturbation (its AOPC, of
    one draw of uniform noise) and ROAD (the area under `removal_curve`, most relevant first) are of the class
    probability. Entropy rise is from the network as it is to one whose layers are all shuffled.
    Raises `TypeError`, `ValueError` for arguments that fit no item.
    """
    folder = None if folder is None else checks.as_path("folder", folder, "folder")
    numbers = {"fraction": fraction, "fill": fill, "steps": steps, "samples": samples, "seed": seed}
    whole, rows = asked(model, inputs, targets, methods, metrics, masks, options, activation, **numbers)
    return table(whole, rows, folder)


def asked(model, inputs, targets, methods, metrics, masks, options, activation, **numbers):
    """The whole question of `evaluate` as one case, and the rows of its methods; what fits no item is refused here."""
    query = Query(model, inputs, targets, score=PROBABILITY, activation=activation)
    masks = None if masks is None else _as_masks(masks, query.inputs.shape)
    rows = chosen("methods", listed("methods", methods, Method), METHODS, Method, reserved=BASELINES)
    metrics, costs = _metrics(metrics, masks)
    _check_numbers(**numbers)
    shared = {"seed": numbers["seed"]} | ({} if activation is None else {"activation": activation})
    options = options_of(options, rows, **shared)
    settings = Settings(metrics=metrics, costs=costs, options=options, activation=activation, **numbers)
    _check_travel(model, rows, metrics)
    items, full = np.arange(len(query.inputs)), query.scores()
    return Case(model, settings, items, query.inputs, query.targets, full, masks), rows


def table(whole, rows, folder=None):
    """The rows of all shards in order: those that the folder has, and those that joblib's workers give."""
    shards, store, carrier = whole.shards(rows, BATCH_SIZE), Store(folder, whole), Carrier(whole.model)
    found = {number: rows for number, shard in enumerate(shards) if (rows := store.read(shard)) is not None}
    waiting = [number for number in range(len(shards)) if number not in found]
    run = joblib.Parallel(return_as="generator_unordered", batch_size=1)
    tasks = (joblib.delayed(answer)(carrier, number, shards[number]) for number in waiting)
    for number, rows in progress(run(tasks), len(waiting), "evaluation"):
        store.write(shards[number], rows)
        found[number] = rows
    return pd.DataFrame([row for number in range(len(shards)) for row in found[number]], columns=COLUMNS)


def _metrics(given, masks):
    """The rows and the names of the costs that are asked for, in the order of the catalogue, a visitor's last."""
    possible = [name for name, metric in METRICS.items() if masks is not None or not metric.needs_masks]
    quick = [name for name in possible if METRICS[name].quick]
    given = quick if given is None else listed("metrics", given, Metric)
    costs = tuple(name for name in COSTS if any(isinstance(one, str) and one == name for one in given))
    names = [one for one in given if not (isinstance(one, str) and one in COSTS)]
    rows = chosen("metrics", names, METRICS, Metric, reserved=COSTS, also=COSTS)
    if not (*rows, *costs):
        raise ArgumentValueError("metrics", "none", f"one or more of {[*METRICS, *COSTS]}")
    if masks is None and (needy := [row.name for row in rows if row.needs_masks]):
        given = f"None, but {needy} compare with the true evidence"
        raise ArgumentValueError("masks", given, cure="pass masks, or other metrics")
    order = [*METRICS, *(row.name for row in rows)]
    return tuple(sorted(rows, key=lambda row: order.index(row.name))), costs


def _check_numbers(fraction, fill, **counts):
    checks.as_number("fraction", fraction, 0, 1, open_ends="low")
    checks.as_number("fill", fill)
    for name, count in counts.items():
        checks.as_count(name, count, 0 if name == "seed" else 1)


def _check_travel(model, methods, metrics):
    """Refuses a model and rows that do not arrive in other processes, where there will be some."""
    if joblib.effective_n_jobs(None) > 1:
        Carrier(model).pack()
        check_travel("methods", [row for row in methods if METHODS.get(row.name) is not row])
        check_travel("metrics", [row for row in metrics if METRICS.get(row.name) is not row])


def _as_masks(masks, shape):
    masks = checks.as_array("masks", masks)
    if masks.dtype != bool or masks.shape != shape[:-1]:
        allowed = f"bool {shape[:-1]} for inputs of {shape}"
        raise ArgumentValueError("masks", f"{masks.dtype} {masks.shape}", allowed)
    return masks
