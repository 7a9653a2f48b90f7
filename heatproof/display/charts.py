"""Figures of numbers and networks: confusion matrices, estimates with their intervals, curves, chains of layers.

Every function returns the figure; end the cell with `plt.show()`. `width` is in inches: PAGE_WIDTH or COLUMN_WIDTH
of `heatproof.display.style`, at which the report includes figures in their natural size.
"""

from collections.abc import Sequence
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from matplotlib.layout_engine import ConstrainedLayoutEngine

from heatproof import checks
from heatproof.display import style
from heatproof.problems import ArgumentTypeError, ArgumentValueError


def plot_confusion(
    matrix: npt.ArrayLike, class_names: Sequence[str], *, width: float = style.COLUMN_WIDTH
) -> plt.Figure:
    """Draw a confusion matrix: counts written, shares of the true class (rows) as colour.

    Raises ValueError unless `matrix` is (K, K) of counts (rows true, columns predicted) with K class names.
    """
    matrix = checks.as_finite("matrix", matrix, {2: "(K, K)"})
    if not np.iterable(class_names):
        allowed = f"one text for each of the {len(matrix)} classes"
        raise ArgumentTypeError("class_names", checks.shown(class_names), allowed)
    names = [str(name) for name in class_names]
    if matrix.shape != (len(names), len(names)) or (matrix < 0).any() or (matrix != np.round(matrix)).any():
        allowed = "one row (true) and one column (predicted) per class, holding counts of 0 or more"
        raise ArgumentValueError("matrix", f"shape {matrix.shape} for {len(names)} class names", allowed)
    width = style.as_width(width)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(width, width * 0.92), layout="constrained")
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count:.0f}", ha="center", va="center", color=colour, fontsize=7)
    slanted: dict[str, Any] = (
        {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 3 else {}
    )
    axes.set_xticks(range(len(names)), names, **slanted)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.05, pad=0.02)
    return figure


def plot_intervals(
    names: Sequence[str],
    estimates: npt.ArrayLike,
    intervals: npt.ArrayLike,
    xlabel: str,
    *,
    reference: tuple[float, str] | None = None,
    width: float = style.COLUMN_WIDTH,
) -> plt.Figure:
    """Draw one estimate per name as a dot with its interval as a line, the first name on top.

    `intervals` is (N, 2), the low and the high end; say in `xlabel` what they are ("with 95 % intervals").
    `reference` is a (value, text) pair drawn as a dashed line, such as the score of a random map.
    Raises ValueError when the lengths differ or an estimate lies outside its interval.
    """
    estimates = checks.as_finite("estimates", estimates, {1: "(N,)"})
    intervals = checks.as_finite("intervals", intervals, {2: "(N, 2)"})
    names = checks.one_each("names", names, len(estimates))
    if intervals.shape != (len(names), 2):
        raise ArgumentValueError("intervals", f"shape {intervals.shape}", f"{(len(names), 2)}, low and high")
    if (intervals[:, 0] > estimates).any() or (estimates > intervals[:, 1]).any():
        raise ArgumentValueError("intervals", "an estimate outside its interval", "low, then high, around the estimate")
    xlabel, reference, width = checks.as_text("xlabel", xlabel), _as_reference(reference), style.as_width(width)
    figure, axes = plt.subplots(figsize=(width, 0.24 * len(names) + 0.8), layout="constrained")
    places = np.arange(len(names))
    axes.hlines(places, *intervals.T, color=style.COLOURS[0], linewidth=1.6)
    axes.plot(estimates, places, "o", color=style.COLOURS[0], markersize=4.5)
    if reference is not None:
        axes.axvline(reference[0], color=style.NEUTRAL, linestyle="--", linewidth=0.9, label=reference[1])
        figure.legend(loc="outside upper right")
    axes.set_yticks(places, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    figure.supxlabel(style.wrap(xlabel, width), fontsize=9)
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure


def plot_curves(
    curves: dict,
    xlabel: str,
    ylabel: str,
    *,
    log: str = "",
    reference: tuple[float, str] | None = None,
    width: float = style.COLUMN_WIDTH,
) -> plt.Figure:
    """Draw curves {name: (x, y)}, told apart by colour and by marker.

    `log` names the logarithmic axes: "", "x", "y" or "xy". `reference` is a (value, text) pair drawn as a
    dashed horizontal line. Raises ValueError for x and y of unequal length, or values of 0 or less on a
    logarithmic axis.
    """
    checks.one_of("log", log, ("", "x", "y", "xy"))
    checks.as_dictionary("curves", curves, "a dictionary such as {'IG': (x, y)}")
    pairs = {name: checks.as_pair(f"curves[{name!r}]", curve, "(x, y)") for name, curve in curves.items()}
    curves = {name: _curve(name, x, y, log) for name, (x, y) in pairs.items()}
    xlabel, ylabel = checks.as_text("xlabel", xlabel), checks.as_text("ylabel", ylabel)
    reference, width = _as_reference(reference), style.as_width(width)
    figure, axes = plt.subplots(figsize=(width, width * 0.7), layout="constrained")
    for (name, points), marker in zip(curves.items(), "os^Dvx*+" * len(curves), strict=False):
        axes.plot(*points, marker=marker, label=name)
    if reference is not None:
        axes.axhline(reference[0], color=style.NEUTRAL, linestyle="--", linewidth=0.9, label=reference[1])
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_xscale("log" if "x" in log else "linear")
    axes.set_yscale("log" if "y" in log else "linear")
    axes.grid(color="0.9", linewidth=0.6)
    if len(curves) + (reference is not None) > 1:
        axes.legend()
    return figure


def _curve(name: str, x: npt.ArrayLike, y: npt.ArrayLike, log: str) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y as arrays, refused when they do not fit each other or a logarithmic axis."""
    argument = f"curves[{name!r}]"
    x, y = (checks.as_finite(argument, values, {1: "(N,)"}) for values in (x, y))
    if len(x) != len(y):
        raise ArgumentValueError(argument, f"{len(x)} x and {len(y)} y values", "as many of both")
    if ("x" in log and x.min() <= 0) or ("y" in log and y.min() <= 0):
        raise ArgumentValueError(argument, "values of 0 or less", "values above 0 on a logarithmic axis", "log=''")
    return x, y


def _as_reference(reference: Sequence | None) -> tuple[float, str] | None:
    """Return a checked (value, text) pair, or None."""
    if reference is None:
        return None
    value, text = checks.as_pair("reference", reference, "(value, text), or None")
    return checks.as_number("reference[0]", value), checks.as_text("reference[1]", text)


# -- networks

DRAWN = "a functional or Sequential model with a fixed input shape"
KINDS = {
    "Input": ("input", "0.8"),
    "Conv": ("convolution", style.COLOURS[0]),
    "Global": ("global pooling", style.COLOURS[2]),
    "Pooling": ("pooling", style.COLOURS[5]),
    "Flatten": ("flatten", style.COLOURS[3]),
    "Dense": ("dense", style.COLOURS[1]),
    "": ("other", "0.5"),
}


def plot_architecture(model: keras.Model, *, title: str = "") -> plt.Figure:
    """Draw a chain of layers from the input to the classes, each by the shape of its output, PAGE_WIDTH wide.

    An output with positions is a box: height and depth are its positions (H, W) or (T,), width its channels.
    An output of K units is a bar of height K. Positions, channels and units have one scale each: within it
    lengths are proportional to numbers, and the largest number is drawn as large as the space allows.
    Raises ValueError for a model with branches, one that was never called, a free size, or outputs that are
    not (H, W, C), (T, C) or (K,).
    """
    chain, title = _chain(model), checks.as_text("title", title)
    spatial = [shape for _, _, shape in chain if len(shape) > 1] or [(1, 1)]
    units = [shape[0] for _, _, shape in chain if len(shape) == 1] or [1]
    slot, half = style.PAGE_WIDTH / len(chain), 0.75 if len(spatial[0]) == 3 else 0.6
    position, unit = 1.2 / max(max(shape[:-1]) for shape in spatial), 1.2 / max(units)
    channel = 0.6 * slot / max(shape[-1] for shape in spatial)
    bottom, top = -half - 0.6, half + 0.35 + 0.22 * bool(title)
    figure, axes = _inches(bottom, top)
    axes.plot([slot / 2, style.PAGE_WIDTH - slot / 2], [0, 0], color="0.7", linewidth=0.8, zorder=0)
    for number, (name, kind, shape) in enumerate(chain):
        depth = position * shape[1] if len(shape) == 3 else 0.0
        size = (channel * shape[-1], position * shape[0]) if len(shape) > 1 else (0.1, unit * shape[0])
        _draw_box(axes, (number + 0.5) * slot, (*size, depth), *KINDS[kind])
        text = f"{style.wrap(name, slot, 15)}\n{_shape(shape)}"
        axes.text((number + 0.5) * slot, -half - 0.08, text, ha="center", va="top", fontsize=7)
    handles, names = axes.get_legend_handles_labels()
    kinds = dict(zip(names, handles, strict=True))
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, 1 - (top - half - 0.35) / (top - bottom))}
    axes.legend(list(kinds.values()), list(kinds), ncols=len(kinds), handlelength=1, borderaxespad=0.2, **place)
    axes.set_title(title, loc="left", x=0.01, y=1 - 0.06 / (top - bottom), va="top", pad=0)
    return figure


def _inches(bottom: float, top: float) -> tuple[plt.Figure, plt.Axes]:
    """Return a figure of PAGE_WIDTH and axes that fill it, one unit one inch, heights from bottom to top."""
    figure, axes = plt.subplots(
        figsize=(style.PAGE_WIDTH, top - bottom), layout=ConstrainedLayoutEngine(w_pad=0, h_pad=0)
    )
    axes.set(xlim=(0, style.PAGE_WIDTH), ylim=(bottom, top))
    axes.set_axis_off()
    return figure, axes


def _shape(shape: Sequence[int | None]) -> str:
    """Return an output shape as text: positions on one line, channels below them."""
    *positions, channels = shape
    return "\u00d7".join(map(str, positions)) + f"\n\u00d7{channels}" if positions else str(channels)


def _chain(model: keras.Model) -> list[tuple]:
    """Return [(name, key of KINDS, output shape without the batch)] of a model whose layers form a chain."""
    try:
        layers = list(model.layers)
        chain = [(layer.name, layer.__class__.__name__, tuple(layer.output.shape[1:])) for layer in layers]
    except AttributeError as error:
        raise ArgumentValueError("model", f"{checks.shown(model)} ({error})", DRAWN) from error
    if not layers:
        raise ArgumentValueError("model", "one without layers", DRAWN)
    if not chain[0][1].startswith("Input"):
        chain.insert(0, ("input", "InputLayer", tuple(model.input_shape[1:])))
    for before, layer in zip(layers, layers[1:], strict=False):
        if layer.input is not before.output:
            given = f"branches (layer '{layer.name}' does not take the output of '{before.name}' alone)"
            cure = "the branches one by one, keras.Model(start.output, end.output)"
            raise ArgumentValueError("model", given, "a chain of layers", cure)
    for name, _, shape in chain:
        if not 1 <= len(shape) <= 3 or None in shape:
            given, allowed = f"the output shape {shape} of layer '{name}'", "(H, W, C), (T, C) or (K,) of fixed sizes"
            raise ArgumentValueError("model", given, allowed, "build the model with a fixed input shape")
    return [(name, next(key for key in KINDS if key in kind), shape) for name, kind, shape in chain]


def _draw_box(axes: plt.Axes, middle: float, size: Sequence[float], label: str, colour: str) -> None:
    """Draw a box of (width, height, depth) in oblique projection: the side behind is shifted by depth / 4."""
    width, height, depth = size
    shift = 0.25 * depth
    left, foot = middle - (width + shift) / 2, -(height + shift) / 2
    right, head = left + width, foot + height
    edge: dict[str, Any] = {"edgecolor": "black", "linewidth": 0.5, "joinstyle": "round"}
    axes.add_patch(plt.Rectangle((left, foot), width, height, label=label, facecolor=colour, **edge))
    upper = [(left, head), (left + shift, head + shift), (right + shift, head + shift), (right, head)]
    side = [(right, foot), (right + shift, foot + shift), (right + shift, head + shift), (right, head)]
    for corners, white in ((upper, 0.6), (side, 0.35)) if depth else ():
        light = white + (1 - white) * np.array(to_rgb(colour))
        axes.add_patch(plt.Polygon(corners, facecolor=light, **edge))
