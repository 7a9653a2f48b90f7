"""Whether the committed tables are still what the code gives: a sample of their rows, made again.

Where the stamp in results/NAME.json is that of the code, nothing is computed. Where it is not, a few rows are: all
metrics of all methods (the costliest left out) on a few items, drawn with a seed. `make evaluation` then stamps a table
that agrees, and makes the rows of a method that does not anew; `python -m tools evaluation --sample` says whether all
agree and writes nothing.
"""

import sys
from pathlib import Path

from tools import evaluation, scoring, tables
from tools.environment import ROOT
from tools.evaluation import RESULTS
from tools.tables import COST

SEED, ITEMS = 0, 2
QUICK = ("smooth_grad", "grad_cam")  # methods whose tuning is done again
SLOW = ("score_cam", "rise", "sise", "lime", "kernel_shap")
COSTLY = dict.fromkeys(("tissue_phantom_stability", "hmt_stability"), SLOW)

# Where two values of a map lie a rounding apart, another order of adding swaps their ranks, and what counts ranks jumps
# (maps that differ by 1e-7 gave rank correlations 5e-4 apart). Such a metric agrees to a thousandth of its range, and
# has changed if that fails on most of the items; any other agrees to the stored digits on every item.
RANKING = ("average_drop", "average_increase", "deletion", "insertion", "road", "pointing_game", "rank_accuracy")
RANKING += ("average_precision", "randomised_rank_correlation", "criterion", "error")
PERCENT = ("average_drop", "average_increase")
ROUNDING = 1e-6  # what a sum in float32 misses, such as the completeness gap of an exact method: in no unit a change


def tidy(table):
    """One row per method, metric and item; without what making a map cost, which belongs to a shard of 32 items."""
    table = table.drop(columns=[name for name in ("reason", "options", "chosen", *COST) if name in table])
    if "knob" in table:
        table = table.assign(item=table.pop("knob").fillna("") + " " + table.pop("value").fillna(""))
    return table if "metric" in table else table.melt(["method", "item"], var_name="metric")


def drawn(name: str, stored):
    """The items of a sample, among those that have all their rows."""
    import numpy as np

    items = np.sort(stored["item"].unique())
    return np.sort(np.random.default_rng(SEED).choice(items, min(ITEMS, len(items)), replace=False))


def compared(stored, found):
    """The rows of both, with `far`: whether the value found is another one than that stored with four digits."""
    import numpy as np

    both = tidy(stored).merge(tidy(found), on=["method", "metric", "item"], suffixes=("", "_found"), how="right")
    size = both["value"].abs()
    unit = 10.0 ** (np.floor(np.log10(size.where(size > 0, 1.0))) - 3)
    scale = np.where(both["metric"].str.startswith(PERCENT), 100.0, 1.0) * 1e-3
    unit = np.maximum(unit, ROUNDING)
    allowed = np.where(_ranks(both["metric"]), np.maximum(unit, scale), unit) * (1 + 1e-9)
    gone = both["value"].isna() != both["value_found"].isna()
    return both.assign(far=gone | ((both["value"] - both["value_found"]).abs() > allowed))


def _ranks(metrics):
    return metrics.str.startswith(RANKING) & ~metrics.str.endswith("_soft")


def changed(rows):
    """The far rows of every method and metric that gives other values than the table."""
    share = rows.groupby(["method", "metric"])["far"].transform("mean")
    return rows[rows["far"] & (~_ranks(rows["metric"]) | (share > 0.5))]


def check(name: str, folder: Path):
    """The rows of a sample that have other values now, of a table whose stamp is not that of the code."""
    import pandas as pd

    stored = pd.read_csv(folder / f"{name}.csv")
    items = drawn(name, stored) if "item" in stored else None
    methods = tuple(each for each in tables.TABLES[name].settings["methods"] if each not in COSTLY.get(name, ()))
    methods = methods if "item" in stored else QUICK  # a curve is of all items
    rows = compared(stored, scoring.make(name, items, methods))
    print(f"results/{name}.csv: {len(rows)} values made again, {int((~rows['far']).sum())} as stored", flush=True)
    far = changed(rows)
    if not far.empty:
        print(f"results/{name}.csv: other values than stored:\n{far.to_string(index=False)}", flush=True)
    return far


def run(restamp: bool, folder: Path = RESULTS) -> int:
    """Check every table that was made by other code; 1 if one has other values now and they are not made anew."""
    sys.path.insert(0, str(ROOT))
    failed = []
    for name in tables.TABLES:
        if evaluation.outdated(name, folder):
            print(f"results/{name}.csv: made by other settings or another network", flush=True)
            failed.append(name)
        elif evaluation.is_stamped(name, folder):
            print(f"results/{name}.csv: up to date", flush=True)
        else:
            failed += _checked(name, restamp, folder)
    if failed:
        print(f"To make what changed in {failed} again: make evaluation")
    return 1 if failed else 0


def _checked(name, restamp, folder):
    """[name] if the table has other values and keeps them; a data set that is not here leaves it alone."""
    try:
        far = check(name, folder)
        if not restamp:
            return [] if far.empty else [name]
        if far.empty:
            evaluation.stamp(name, folder)
        else:
            every = tables.TABLES[name].settings["methods"]
            evaluation.renew(name, tuple(each for each in every if each in set(far["method"])) or every, folder)
    except FileNotFoundError as absent:
        print(f"results/{name}.csv: left as it is, because {absent}", flush=True)
    return []
