"""Figures of inputs and attributions: the only room that scales attributions for the eye.

Every function takes batches, as the methods do: inputs (N, H, W, C) or (N, T, C), and `maps`, a dictionary
from a title to one method's attributions for these inputs. Every `plot_` function returns the figure; end
the cell with `plt.show()`. Arguments that they share:

- `labels`: one text per input.
- `masks`: the true evidence, (N, H, W) or (N, T), bool: an outline on images, a grey band on signals.
- `channels`: how the channel axis is reduced: "sum" (signed), "magnitude" (Euclidean norm) or "maximum"
  (largest absolute value, as in Simonyan et al. 2014).
- `signed`: True for a diverging colour map symmetric about 0 (red for the class, blue against it), False
  for a sequential one from 0; None means True for channels="sum" and False otherwise.
- `scale`: "row" for one scale per row, in the map's units; "map" divides every map by its own limit, for
  methods whose units differ.
- `percentile`: the limit of a scale is this percentile of |value|; 100 clips nothing. The figure states it.
- `overlay`: draw the maps over the inputs; `contour`: draw the lines of equal brightness of an image over its maps.
- `width`: in inches; PAGE_WIDTH or COLUMN_WIDTH of `heatproof.display.style`, at which the report includes figures
  in their natural size.
"""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.colors import Normalize
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patheffects import withStroke

from heatproof import checks
from heatproof.display import lines, scales, style
from heatproof.problems import ArgumentValueError

# -- images


def to_screen(images: npt.ArrayLike, input_range: Sequence[float] | None) -> np.ndarray:
    """Return images (N, H, W[, C]) as grey or RGB in [0, 1]; `input_range` None stretches each by itself."""
    images = checks.as_finite("images", images, {3: "(N, H, W)", 4: "(N, H, W, C)"})
    images = images[..., None] if images.ndim == 3 else images
    if images.shape[-1] not in (1, 3):
        raise ArgumentValueError("images", f"{images.shape[-1]} channels", "1 (grey) or 3 (RGB)")
    known = None if input_range is None else checks.as_range("input_range", input_range)
    ends = images.min((1, 2, 3), keepdims=True), images.max((1, 2, 3), keepdims=True)
    low, high = ends if known is None else known
    slack = 1e-6 * (high - low)  # resampling and float32 may pass the ends by a rounding error
    if known is not None and (images.min() < low - slack or images.max() > high + slack):
        given, allowed = f"values from {images.min():g} to {images.max():g}", f"input_range, {low:g} to {high:g}"
        cure = "input_range=model.input_range, or None to stretch each image by itself"
        raise ArgumentValueError("images", given, allowed, cure)
    images = np.clip((images - low) / np.maximum(high - low, np.finfo(float).tiny), 0, 1)
    return images[..., 0] if images.shape[-1] == 1 else images


def show(axes: plt.Axes, image: np.ndarray, title: str = "", **colours: Any) -> None:
    """Draw one image without ticks or frame; grey levels run from 0 to 1 unless colours are given."""
    axes.set_axis_on()
    colours = colours or {"cmap": "gray", "norm": Normalize(0, 1)}
    axes.imshow(image, interpolation="nearest", **colours)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title)


def panels(
    rows: int,
    columns: int,
    width: float,
    shape: Sequence[int],
    titles: Sequence[str],
    titled_rows: int,
    caption: str = "",
    bar: float = 0.0,
) -> tuple[plt.Figure, np.ndarray, list[str]]:
    """Return a figure and its (rows, columns) axes for images of `shape` (H, W), and the titles wrapped.

    The height leaves room for the titles of `titled_rows` rows and the caption, the width for a colour `bar`.
    """
    panel = (width - bar) / columns
    titles = [style.wrap(title, panel) for title in titles]
    lines = titled_rows * max(title.count("\n") + bool(title) for title in titles)
    lines += style.wrap(caption, width, 16).count("\n") + 2 * bool(caption)
    height = rows * (panel * shape[0] / shape[1] + 0.06) + 0.16 * lines
    layout = ConstrainedLayoutEngine(compress=True, w_pad=0.03, h_pad=0.03, wspace=0.01, hspace=0.01)
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout=layout)
    for one in axes.flat:
        one.set_axis_off()
    if caption:
        scales.caption(figure, caption)
    return figure, axes, titles


def plot_images(
    images: npt.ArrayLike,
    labels: Sequence | None = None,
    *,
    masks: npt.ArrayLike | None = None,
    columns: int = 8,
    input_range: tuple[float, float] | None = (0, 1),
    width: float = style.PAGE_WIDTH,
) -> plt.Figure:
    """Draw images (N, H, W[, C]) as a contact sheet, each under its label.

    `input_range` is the pair of values drawn as black and white; None stretches each image by itself.
    Raises ValueError for images outside it, channels other than 1 or 3, and labels or masks that do not
    fit.
    """
    screen = to_screen(images, input_range)
    labels, masks = checks.one_each("labels", labels, len(screen)), scales.as_masks(masks, screen.shape[:3])
    columns, width = min(checks.as_count("columns", columns, 1, 1000), len(screen)), style.as_width(width)
    rows = math.ceil(len(screen) / columns)
    figure, axes, labels = panels(rows, columns, width, screen.shape[1:3], labels, rows)
    for panel, image, label, mask in zip(axes.flat, screen, labels, masks, strict=False):
        show(panel, image, label)
        lines.outline(panel, mask)
    return figure


def plot_attributions(
    images: npt.ArrayLike,
    maps: dict,
    labels: Sequence | None = None,
    *,
    masks: npt.ArrayLike | None = None,
    channels: str = "sum",
    signed: bool | None = None,
    scale: str = "row",
    percentile: float = 99.5,
    overlay: bool = False,
    contour: bool = False,
    columns: int | None = None,
    input_range: tuple[float, float] | None = (0, 1),
    width: float = style.PAGE_WIDTH,
) -> plt.Figure:
    """Draw each image and, beside it, its attribution maps: one row per image, one column per method.

    With `overlay` a map lies over the grey image, its opacity |value| / limit. With `contour` lines on the maps show
    where the image, a little blurred, is as bright as its quartiles. With `columns` the panels of one image
    continue on the next line. Raises ValueError for maps or masks that do not fit the images, NaN
    or infinite values, images outside `input_range`, and unknown options; TypeError when `maps` is not a
    dictionary.
    """
    screen = to_screen(images, input_range)
    shape = screen.shape[:3]
    maps, signed = scales.prepare(maps, shape, channels, signed, scale, percentile)
    labels, masks = checks.one_each("labels", labels, len(screen)), scales.as_masks(masks, shape)
    overlay, width = checks.as_flag("overlay", overlay), style.as_width(width)
    contour = checks.as_flag("contour", contour)
    columns = len(maps) + 1 if columns is None else min(checks.as_count("columns", columns, 1, 1000), len(maps) + 1)
    high = math.ceil((len(maps) + 1) / columns)
    more = ["Opacity: |value| / limit."] if overlay else []
    more += ["Outline: evidence."] if masks[0] is not None else []
    more += ["Thin lines: the brightness of the input at its quartiles."] if contour else []
    caption = scales.statement(signed, channels, scale, percentile, *more, one="row" if high == 1 else "input")
    rows = len(screen) * high
    figure, axes, titles = panels(
        rows, columns, width, shape[1:], ["input", *maps], rows if high > 1 else 1, caption, bar=0.8
    )
    limits, maps = scales.scale_of(maps, scale, percentile)
    for index, (image, label, mask, limit) in enumerate(zip(screen, labels, masks, limits, strict=True)):
        row = axes[index * high : (index + 1) * high]
        titles = titles if index == 0 or high > 1 else [""] * len(titles)
        show(row[0, 0], image, titles[0])
        row[0, 0].set_ylabel(style.wrap(label, 1.4), fontsize=8)
        for panel, values, title in zip(row.flat[1:], maps.values(), titles[1:], strict=False):
            _show_map(panel, values[index], title, limit, signed, image if overlay else None)
            if contour:
                lines.contour(panel, image)
        for panel in row.flat[: len(maps) + 1]:
            lines.outline(panel, mask)
        if scale == "row":
            scales.colour_bar(figure, row.flat, limit, signed, percentile)
    if scale == "map":
        scales.colour_bar(figure, axes.flat, 1.0, signed, percentile)
    return figure


def _show_map(
    axes: plt.Axes, values: np.ndarray, title: str, limit: float, signed: bool, under: np.ndarray | None = None
) -> None:
    """Draw one map, over the grey version of the image `under` if there is one."""
    colours = scales.colours(limit, signed)
    if under is not None:
        show(axes, under if under.ndim == 2 else under.mean(-1))
        colours["alpha"] = np.clip(np.abs(values) / limit, 0, 1)
    show(axes, values, title, **colours)


# -- signals


def plot_signals(
    signals: npt.ArrayLike,
    maps: dict,
    labels: Sequence | None = None,
    *,
    masks: npt.ArrayLike | None = None,
    channels: str = "sum",
    signed: bool | None = None,
    scale: str = "map",
    percentile: float = 100,
    overlay: bool = False,
    width: float = style.PAGE_WIDTH,
) -> plt.Figure:
    """Draw each signal over time with its attributions below: one column per signal, one row per method.

    Bars show sign and size; with `overlay` every row repeats the signal on coloured strips instead. The
    evidence is a grey band behind the rows and a black strip at their foot. Raises ValueError for maps or
    masks that do not fit the signals, NaN or infinite values and unknown options; TypeError when `maps` is
    not a dictionary.
    """
    signals = checks.as_finite("signals", signals, {2: "(N, T)", 3: "(N, T, C)"})
    shape = signals.shape[:2]
    maps, signed = scales.prepare(maps, shape, channels, signed, scale, percentile)
    labels, masks = checks.one_each("labels", labels, len(signals)), scales.as_masks(masks, shape)
    overlay, width = checks.as_flag("overlay", overlay), style.as_width(width)
    limits, maps = scales.scale_of(maps, scale, percentile, by_method=True)
    rows = len(maps) + (not overlay)
    heights = [1.0] * rows if overlay else [1.2] + [0.6] * len(maps)
    figure, axes = plt.subplots(
        rows, len(signals), figsize=(width, sum(heights) + 0.9), height_ratios=heights,
        sharex=True, sharey="row", squeeze=False, layout="constrained",
    )  # fmt: skip
    for panel, label in zip(axes[0], labels, strict=True):
        panel.set_title(style.wrap(label, width / len(signals), 11))
    if not overlay:
        _draw_signal_row(axes[0], "signal", signals, masks)
    for row, (name, values), limit in zip(axes[-len(maps) :], maps.items(), limits, strict=True):
        if overlay:
            _draw_signal_row(row, name, signals, masks)
            for panel, one in zip(row, values, strict=True):
                _strips(panel, one, scales.colours(limit, signed))
            scales.colour_bar(figure, row, limit, signed, percentile)
        else:
            _draw_bar_row(row, name, values, masks, limit, signed)
    for panel in axes[-1]:
        panel.set(xlabel="sample", xlim=(-0.5, shape[1] - 0.5))
    more = ["Grey band, black strip: evidence."] if masks[0] is not None else []
    scales.caption(figure, scales.statement(signed, channels, scale, percentile, *more))
    figure.align_ylabels(axes[:, 0])
    return figure


def _row_name(axes: plt.Axes, name: str) -> None:
    """Write the name of a row at its left, upright."""
    axes.set_ylabel(style.wrap(name, 1.2), rotation=0, ha="right", va="center")


def _draw_signal_row(row: np.ndarray, name: str, signals: np.ndarray, masks: np.ndarray | list[None]) -> None:
    """Draw every signal as dots on a line, with its evidence."""
    for panel, signal, mask in zip(row, signals, masks, strict=True):
        halo = [withStroke(linewidth=3, foreground="white")]
        panel.plot(signal, "o-", color="black", markersize=2.5, linewidth=0.8, zorder=3, path_effects=halo)
        panel.margins(y=0.12)
        _mark_evidence(panel, mask)
    _row_name(row[0], name)


def _draw_bar_row(
    row: np.ndarray, name: str, values: np.ndarray, masks: np.ndarray | list[None], limit: float, signed: bool
) -> None:
    """Draw one method's attributions as bars on the scale of its row, in colours by sign."""
    for panel, one, mask in zip(row, values, masks, strict=True):
        colours = np.where(one >= 0, style.FOR, style.AGAINST) if signed else style.NEUTRAL
        panel.bar(np.arange(len(one)), np.clip(one, -limit, limit), width=0.8, color=colours, zorder=3)
        panel.axhline(0, color="black", linewidth=0.5, zorder=3)
        _mark_evidence(panel, mask)
    ticks = [-limit, 0, limit] if signed else [0, limit]
    row[0].set_yticks(ticks, labels=list(map(scales.number, ticks)))
    row[0].set_ylim(-1.2 * limit if signed else -0.1 * limit, 1.2 * limit)
    _row_name(row[0], name)


def _mark_evidence(axes: plt.Axes, mask: np.ndarray | None) -> None:
    """Mark each run of a mask by a grey band and a black strip at its foot, over whole samples."""
    if mask is None:
        return
    for start, stop in np.flatnonzero(np.diff(np.pad(mask.astype(int), 1))).reshape(-1, 2) - 0.5:
        axes.axvspan(start, stop, facecolor="0.88", linewidth=0, zorder=0)
        axes.axvspan(start, stop, ymax=0.05, facecolor="black", linewidth=0, zorder=4)


def _strips(axes: plt.Axes, values: np.ndarray, colours: dict) -> None:
    """Colour the background of a signal's panel, one strip per sample."""
    extent = (-0.5, len(values) - 0.5, *axes.get_ylim())
    axes.imshow(values[None], extent=extent, aspect="auto", interpolation="nearest", zorder=1, **colours)
