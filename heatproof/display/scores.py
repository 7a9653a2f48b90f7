"""The figure of a ranking: one row for each method, one panel for each score, dots with intervals."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from heatproof import checks
from heatproof.display import style
from heatproof.display.charts import as_reference
from heatproof.problems import ArgumentTypeError, ArgumentValueError

FAMILIES = dict(zip(("gradients", "cam", "perturbation", "relevance"), style.COLOURS, strict=False))
COLUMNS = ("method", "metric", "mean", "low", "high", "family", "better")


def plot_scores(
    summary: pd.DataFrame,
    metrics: Mapping[str, str],
    *,
    beside: pd.DataFrame | None = None,
    references: Mapping[str, tuple[float, str]] | None = None,
    width: float = style.PAGE_WIDTH,
) -> plt.Figure:
    """Draw the means of every method as dots with their intervals, a panel for each metric, the best row on top.

    `summary` is a table of `summarise`; `metrics` is {metric: label}, of which the first orders the rows. `beside` is a
    second table, of the methods in another setting, drawn as hollow dots. `references` is {metric: (value, text)},
    dashed lines such as the score of chance. Colours tell the families; what never looks at the network is grey. An
    arrow after a label points at the better end. Raises `ValueError` for a metric that the table does not have.
    """
    _check("summary", summary, metrics)
    if beside is not None:
        _check("beside", beside, metrics)
    if references is not None:
        checks.as_dictionary("references", references, "a dictionary {metric: (value, text)}")
    references = {
        metric: as_reference(given, f"references[{metric!r}]") for metric, given in (references or {}).items()
    }
    width, first = style.as_width(width), next(iter(metrics))
    rows = summary[summary["metric"] == first].sort_values("mean", ascending=_low(summary, first))
    order = [*dict.fromkeys([*rows["method"], *summary[summary["metric"].isin(metrics)]["method"]])]
    size = (width, 0.19 * len(order) + 0.9)
    figure, grid = plt.subplots(1, len(metrics), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axes, (metric, label) in zip(grid[0], metrics.items(), strict=True):
        if beside is not None:
            _dots(axes, beside[beside["metric"] == metric], order, hollow=True)
        _dots(axes, summary[summary["metric"] == metric], order)
        _reference(axes, references.get(metric))
        axes.set_xlabel(f"{label} {'←' if _low(summary, metric) else '→'}")
        axes.grid(axis="x", color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
    grid[0, 0].set_yticks(range(len(order)), order)
    families = dict(zip(summary["method"], summary["family"], strict=True))
    for text in grid[0, 0].get_yticklabels():
        text.set_color(_colour(families[text.get_text()]))
    grid[0, 0].set_ylim(len(order) - 0.4, -0.6)
    return figure


def _check(argument, table, metrics):
    if not isinstance(table, pd.DataFrame):
        raise ArgumentTypeError(argument, type(table).__name__, "a table of xu.summarise, a pandas DataFrame")
    if missing := [name for name in COLUMNS if name not in table]:
        raise ArgumentValueError(argument, f"a table that lacks the columns {missing}", "a table of xu.summarise")
    checks.as_dictionary("metrics", metrics, "a dictionary {metric: label}")
    for metric, label in metrics.items():
        checks.one_of("metrics", metric, tuple(table["metric"].unique()))
        checks.as_text(f"metrics[{metric!r}]", label)


def _low(summary, metric):
    return summary.loc[summary["metric"] == metric, "better"].iloc[0] == "low"


def _colour(family):
    return FAMILIES.get(family, style.NEUTRAL)


def _dots(axes, table, order, hollow=False):
    for row in table.itertuples():
        if row.method not in order or not np.isfinite(row.mean):
            continue
        place, colour = order.index(row.method), _colour(row.family)
        if hollow:
            axes.plot(row.mean, place, "o", markersize=4.5, markerfacecolor="white", markeredgecolor=colour)
        else:
            axes.hlines(place, row.low, row.high, color=colour, linewidth=1.6)
            axes.plot(row.mean, place, "o", markersize=4.5, color=colour)


def _reference(axes, reference):
    if reference is not None:
        value, text = reference
        axes.axvline(value, color=style.NEUTRAL, linestyle="--", linewidth=0.9)
        axes.annotate(text, (value, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=7)
