"""The figure of results.md: seconds per input over inputs, steps, masks and the side of the image."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.plan import NETWORKS, TITLES
from heatproof.writing import replacing

# Okabe and Ito's colours, which the colour-blind can tell apart; markers and dashes say the same again.
STYLES = {
    "ours": {"color": "#0072B2", "marker": "o"},
    "xplique": {"color": "#D55E00", "marker": "s"},
    "floor": {"color": "#666666", "marker": "", "linestyle": "--"},
}
PANELS = (
    ("saliency", "n", "Saliency, 150 px", "inputs in one call"),
    ("integrated_gradients", "amount", "Integrated Gradients, 150 px, N = 2", "steps"),
    ("rise", "amount", "RISE, 150 px, N = 1", "masks"),
    ("saliency", "side", "Saliency, N = 8", "side of the image (pixels)"),
)


def series(results, method, over, contender):
    """(x, median seconds per input) of one line, in the order of x."""
    rows = [row for row in results["rows"] if row["purpose"] == "scaling" and row["method"] == method]
    rows = [row for row in rows if row["contender"] == contender and row["seconds"]]
    if over == "side":
        found = {NETWORKS[row["network"]]: row for row in rows if row["n"] == 8}
    else:
        found = {row[over]: row for row in rows if row["network"] == "vgg7_150"}
    return sorted((x, float(np.median(row["seconds"]))) for x, row in found.items())


def scaling(results, path):
    """Draw the four panels and write them, whole or not at all."""
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (method, over, title, label) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        ticks = set()
        for contender, style in STYLES.items():
            points = series(results, method, over, contender)
            if points:
                axes.plot(*zip(*points, strict=True), label=TITLES[contender], **style)
                ticks |= {x for x, _ in points}
        axes.set(xscale="log", yscale="log", xlabel=label, ylabel="seconds per input")
        axes.set_title(title, fontsize=10)
        axes.set_xticks(sorted(ticks), [str(tick) for tick in sorted(ticks)])
        axes.minorticks_off()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    with replacing(path) as (partial,):
        figure.savefig(partial, dpi=110, format="png", metadata={"Software": None})
