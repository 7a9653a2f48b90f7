"""Figures: the only room that imports matplotlib and scales attributions for the eye.

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
- `overlay`: draw the maps over the inputs.
- `width`: in inches; PAGE_WIDTH or COLUMN_WIDTH, at which the report includes figures in their natural
  size.
"""

import math
import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import cycler
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.patheffects import withStroke

PAGE_WIDTH, COLUMN_WIDTH = 7.0, 3.4
FOR, AGAINST, NEUTRAL = "#b2182b", "#2166ac", "#4d4d4d"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito 2008
STYLE = {
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "pdf.fonttype": 42,
}


def use_style():
    """Set the one figure style for the session: fonts of 8 and 9 points, colours safe for the colour-blind.

    The set-up cell calls it once, so that figures drawn here and figures drawn by hand in a notebook look
    alike.
    """
    plt.rcParams.update(STYLE)


# -- checks and scales


def _one_of(name, given, allowed):
    """Return `given` if it is one of the allowed words or flags."""
    given = bool(given) if isinstance(given, np.bool_) else given
    if not isinstance(given, tuple({type(each) for each in allowed})) or given not in allowed:
        raise ValueError(f"{name} is {given!r}; allowed: {', '.join(map(repr, allowed))}.")
    return given


def _within(name, given, low, high, kinds=(int, float, np.integer, np.floating)):
    """Return `given` if it is one number in [low, high]."""
    if isinstance(given, (bool, np.bool_)) or not isinstance(given, kinds) or not low <= given <= high:
        kind = "one number" if float in kinds else "one integer"
        raise ValueError(f"{name} is {given!r}; allowed: {kind} from {low:g} to {high:g}.")
    return given


def _text(name, given):
    """Return `given` if it is text."""
    if not isinstance(given, str):
        raise TypeError(f"{name} is of type {type(given).__name__}; allowed: text.")
    return given


def _width(given):
    return _within("width", given, 1, 100)


def _columns(given):
    return _within("columns", given, 1, 1000, (int, np.integer))


def _pair(name, given, allowed):
    """Return the two parts of `given`."""
    if not isinstance(given, (tuple, list, np.ndarray)) or len(given) != 2:
        raise TypeError(f"{name} is {given!r}; allowed: a pair, {allowed}, or None.")
    return given


def _reference(given):
    """Return a (value, text) pair of a number and a text, or None."""
    if given is None:
        return None
    value, text = _pair("reference", given, "(value, text)")
    return _within("reference value", value, -np.finfo(float).max, np.finfo(float).max), _text("reference text", text)


def _range(given):
    """Return the ends of an input range, low below high, or None."""
    if given is None:
        return None
    ends = _finite("input_range", _pair("input_range", given, "(low, high)"), {1: "(low, high)"})
    if not ends[0] < ends[1]:
        raise ValueError(f"input_range is {given!r}; allowed: (low, high) with low below high, or None.")
    return ends


def _array(name, values):
    """Return `values` as an array of real numbers."""
    if np.ma.is_masked(values):
        raise ValueError(f"{name} is a masked array, whose hidden values would be drawn; fill them, or leave them out.")
    try:
        values = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} makes no array ({error}); allowed: one regular array of numbers.") from None
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{name} holds {values.dtype} values; allowed: real numbers.")
    return values


def _finite(name, values, ranks):
    """Return `values` as an array, refused unless finite, not empty and of one of the ranks {rank: shape}."""
    values = _array(name, values)
    if values.ndim not in ranks:
        raise ValueError(
            f"{name} has shape {values.shape}; allowed: {' or '.join(ranks.values())}. "
            "For one example keep the batch axis: inputs[:1]."
        )
    if values.size == 0:
        raise ValueError(f"{name} is empty, shape {values.shape}; give at least one value.")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} contains NaN or infinity; only finite values can be drawn: mend its source.")
    return values


def _one_each(name, texts, count):
    """Return `texts` as a list of `count` strings; None gives empty ones."""
    if texts is not None and not np.iterable(texts):
        raise TypeError(f"{name} is {texts!r}; allowed: one text for each of the {count} examples, or None.")
    texts = [""] * count if texts is None else [str(text) for text in texts]
    if len(texts) != count:
        raise ValueError(f"{name} has {len(texts)} entries; allowed: one for each of the {count} examples.")
    return texts


def _masks(masks, shape):
    """Return `masks` as booleans of `shape`, or one None per example."""
    if masks is None:
        return [None] * shape[0]
    masks = _array("masks", masks)
    if masks.shape != shape:
        raise ValueError(f"masks has shape {masks.shape}; allowed: {shape}, one mask for each input.")
    if not np.isin(masks, (0, 1)).all():
        raise ValueError("masks holds values other than 0 and 1; state a threshold, such as masks > 0.5.")
    return masks.astype(bool)


def _reduce(name, values, shape, channels):
    """Return an attribution (N, ...) or (N, ..., C) of inputs of `shape` without its channel axis."""
    ranks = {len(shape): f"{shape}", len(shape) + 1: f"{shape} with a last axis for channels"}
    values = _finite(f"map '{name}'", values, ranks)
    if values.shape[: len(shape)] != shape:
        raise ValueError(f"map '{name}' has shape {values.shape}; allowed: {' or '.join(ranks.values())}.")
    values = values.reshape(*shape, -1).astype(float)
    if channels == "sum":
        return values.sum(-1)
    return np.linalg.norm(values, axis=-1) if channels == "magnitude" else np.abs(values).max(-1)


def _prepare(maps, shape, channels, signed, scale, percentile):
    """Check the shared arguments; return the reduced maps and whether they are signed."""
    _one_of("channels", channels, ("sum", "magnitude", "maximum"))
    _one_of("scale", scale, ("row", "map"))
    signed = _one_of("signed", signed, (None, True, False))
    if _within("percentile", percentile, 0, 100) == 0:
        raise ValueError("percentile is 0; allowed: above 0, at most 100 (100 clips nothing).")
    if not isinstance(maps, dict) or not maps:
        raise TypeError(f"maps is {type(maps).__name__}; allowed: a dictionary such as {{'CAM': maps}}.")
    signed = channels == "sum" if signed is None else signed
    reduced = {name: _reduce(name, values, shape, channels) for name, values in maps.items()}
    negative = [name for name, values in reduced.items() if values.min() < 0]
    if negative and not signed:
        raise ValueError(f"signed is False, but {negative} hold negative values; use signed=True.")
    return reduced, signed


def _limit(values, percentile):
    """Return the end of the colour scale: a percentile of |value|, never 0."""
    values = np.abs(values)
    return float(np.percentile(values, percentile) or values.max() or 1.0)


def _scale(maps, scale, percentile, by_method=False):
    """Return the limit of every row and the maps to draw, divided by their own limits when scale is "map".

    A row holds all maps of one example, or, `by_method`, one method's maps of all examples.
    """
    stack = np.stack(list(maps.values()))
    rows = stack if by_method else stack.swapaxes(0, 1)
    if scale == "row":
        return [_limit(row, percentile) for row in rows], maps
    divided = {name: np.stack([one / _limit(one, percentile) for one in maps[name]]) for name in maps}
    return [1.0] * len(rows), divided


def _colours(limit, signed):
    """Return the colours and the norm of a map: diverging on [-limit, limit], or sequential on [0, limit]."""
    low, name = (-limit, "RdBu_r") if signed else (0.0, "viridis")
    return {"cmap": name, "norm": Normalize(low, limit)}


def _statement(signed, channels, scale, percentile, *more):
    """Return the sentences under a figure that say how its maps were scaled."""
    size = "largest |value|" if percentile == 100 else f"{percentile:g}th percentile of |value|"
    clip = "" if percentile == 100 else ", values beyond it clipped"
    lines = ["Red: positive, blue: negative."] if signed else []
    if channels != "sum":
        kind = {"magnitude": "Euclidean norm", "maximum": "largest absolute value"}[channels]
        lines.append(f"Values: {kind} over the channels.")
    if scale == "row":
        lines.append(f"Limit of each row: its {size}{clip}.")
    else:
        lines.append(f"Each map divided by its own {size}{clip}.")
    return " ".join([*lines, *more])


def _wrap(text, inches, letters=13):
    """Return `text` with lines broken to fit a width, at a number of letters per inch."""
    return "\n".join(textwrap.fill(line, max(int(inches * letters), 8)) for line in text.splitlines())


def _number(value):
    """Return a tick's number with two digits and a real minus sign."""
    return f"{value:.2g}".replace("-", "\N{MINUS SIGN}")


def _caption(figure, text):
    """Write the statement under a figure, wrapped to its width."""
    figure.supxlabel(_wrap(text, figure.get_figwidth(), 16), fontsize=8, x=0.01, ha="left", color="0.25")


def _colour_bar(figure, axes, limit, signed, percentile):
    """Draw one colour bar for `axes`, with pointed ends where values may have been clipped."""
    ends = "neither" if percentile == 100 else "both" if signed else "max"
    ticks = [-limit, 0, limit] if signed else [0, limit]
    panels = list(axes)
    rows = len({panel.get_subplotspec().rowspan.start for panel in panels})
    colours = ScalarMappable(**_colours(limit, signed))
    bar = figure.colorbar(colours, ax=panels, extend=ends, aspect=15 * rows, pad=0.01, fraction=0.05)
    bar.set_ticks(ticks, labels=map(_number, ticks))
    bar.outline.set_linewidth(0.4)


# -- images


def _to_screen(images, input_range):
    """Return images (N, H, W[, C]) as grey or RGB in [0, 1]; `input_range` None stretches each by itself."""
    images = _finite("images", images, {3: "(N, H, W)", 4: "(N, H, W, C)"}).astype(float)
    images = images[..., None] if images.ndim == 3 else images
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"images has {images.shape[-1]} channels; allowed: 1 (grey) or 3 (RGB).")
    known = _range(input_range)
    ends = images.min((1, 2, 3), keepdims=True), images.max((1, 2, 3), keepdims=True)
    low, high = ends if known is None else known
    slack = 1e-6 * (high - low)  # resampling and float32 may pass the ends by a rounding error
    if known is not None and (images.min() < low - slack or images.max() > high + slack):
        raise ValueError(
            f"images span [{images.min():g}, {images.max():g}], outside input_range ({low:g}, {high:g}); "
            "pass input_range=model.input_range, or None to stretch each image by itself."
        )
    images = np.clip((images - low) / np.maximum(high - low, np.finfo(float).tiny), 0, 1)
    return images[..., 0] if images.shape[-1] == 1 else images


def _show(axes, image, title="", **colours):
    """Draw one image without ticks or frame; grey levels run from 0 to 1 unless colours are given."""
    axes.set_axis_on()
    colours = colours or {"cmap": "gray", "norm": Normalize(0, 1)}
    axes.imshow(image, interpolation="nearest", **colours)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title)


def _outline(axes, mask):
    """Draw the border of a mask along the edges of its pixels: black on white, so it shows on any colour."""
    if mask is None or not mask.any():
        return
    height, width = mask.shape
    grid = np.arange(-1, width + 1), np.arange(-1, height + 1), np.pad(mask, 1).astype(float)
    for colour, line in (("white", 2.2), ("black", 1.0)):
        axes.contour(*grid, levels=[0.5], colors=colour, linewidths=line)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _panels(rows, columns, width, shape, titles, titled_rows, caption="", bar=0.0):
    """Return a figure and its (rows, columns) axes for images of `shape` (H, W), and the titles wrapped.

    The height leaves room for the titles of `titled_rows` rows and the caption, the width for a colour `bar`.
    """
    panel = (width - bar) / columns
    titles = [_wrap(title, panel) for title in titles]
    lines = titled_rows * max(title.count("\n") + bool(title) for title in titles)
    lines += _wrap(caption, width, 16).count("\n") + 2 * bool(caption)
    height = rows * (panel * shape[0] / shape[1] + 0.06) + 0.16 * lines
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="compressed")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.01, hspace=0.01)
    for one in axes.flat:
        one.set_axis_off()
    if caption:
        _caption(figure, caption)
    return figure, axes, titles


def plot_images(images, labels=None, *, masks=None, columns=8, input_range=(0, 1), width=PAGE_WIDTH):
    """Draw images (N, H, W[, C]) as a contact sheet, each under its label.

    `input_range` is the pair of values drawn as black and white; None stretches each image by itself.
    Raises ValueError for images outside it, channels other than 1 or 3, and labels or masks that do not
    fit.
    """
    screen = _to_screen(images, input_range)
    labels, masks = _one_each("labels", labels, len(screen)), _masks(masks, screen.shape[:3])
    columns, width = min(_columns(columns), len(screen)), _width(width)
    rows = math.ceil(len(screen) / columns)
    figure, axes, labels = _panels(rows, columns, width, screen.shape[1:3], labels, rows)
    for panel, image, label, mask in zip(axes.flat, screen, labels, masks, strict=False):
        _show(panel, image, label)
        _outline(panel, mask)
    return figure


def plot_attributions(
    images, maps, labels=None, *, masks=None, channels="sum", signed=None, scale="row", percentile=99.5,
    overlay=False, columns=None, input_range=(0, 1), width=PAGE_WIDTH,
):  # fmt: skip
    """Draw each image and, beside it, its attribution maps: one row per image, one column per method.

    With `overlay` a map lies over the grey image, its opacity |value| / limit. With `columns` the panels of
    one image continue on the next line. Raises ValueError for maps or masks that do not fit the images, NaN
    or infinite values, images outside `input_range`, and unknown options; TypeError when `maps` is not a
    dictionary.
    """
    screen = _to_screen(images, input_range)
    shape = screen.shape[:3]
    maps, signed = _prepare(maps, shape, channels, signed, scale, percentile)
    labels, masks = _one_each("labels", labels, len(screen)), _masks(masks, shape)
    overlay, width = _one_of("overlay", overlay, (True, False)), _width(width)
    columns = len(maps) + 1 if columns is None else min(_columns(columns), len(maps) + 1)
    lines = math.ceil((len(maps) + 1) / columns)
    more = ["Opacity: |value| / limit."] if overlay else []
    more += ["Outline: evidence."] if masks[0] is not None else []
    caption = _statement(signed, channels, scale, percentile, *more)
    rows = len(screen) * lines
    figure, axes, titles = _panels(
        rows, columns, width, shape[1:], ["input", *maps], rows if lines > 1 else 1, caption, bar=0.8
    )
    limits, maps = _scale(maps, scale, percentile)
    for index, (image, label, mask, limit) in enumerate(zip(screen, labels, masks, limits, strict=True)):
        row = axes[index * lines : (index + 1) * lines]
        titles = titles if index == 0 or lines > 1 else [""] * len(titles)
        _show(row[0, 0], image, titles[0])
        row[0, 0].set_ylabel(_wrap(label, 1.4), fontsize=8)
        for panel, values, title in zip(row.flat[1:], maps.values(), titles[1:], strict=False):
            _show_map(panel, values[index], title, limit, signed, image if overlay else None)
        for panel in row.flat[: len(maps) + 1]:
            _outline(panel, mask)
        if scale == "row":
            _colour_bar(figure, row.flat, limit, signed, percentile)
    if scale == "map":
        _colour_bar(figure, axes.flat, 1.0, signed, percentile)
    return figure


def _show_map(axes, values, title, limit, signed, under=None):
    """Draw one map, over the grey version of the image `under` if there is one."""
    colours = _colours(limit, signed)
    if under is not None:
        _show(axes, under if under.ndim == 2 else under.mean(-1))
        colours["alpha"] = np.clip(np.abs(values) / limit, 0, 1)
    _show(axes, values, title, **colours)


# -- signals


def plot_signals(
    signals, maps, labels=None, *, masks=None, channels="sum", signed=None, scale="map", percentile=100,
    overlay=False, width=PAGE_WIDTH,
):  # fmt: skip
    """Draw each signal over time with its attributions below: one column per signal, one row per method.

    Bars show sign and size; with `overlay` every row repeats the signal on coloured strips instead. The
    evidence is a grey band behind the rows and a black strip at their foot. Raises ValueError for maps or
    masks that do not fit the signals, NaN or infinite values and unknown options; TypeError when `maps` is
    not a dictionary.
    """
    signals = _finite("signals", signals, {2: "(N, T)", 3: "(N, T, C)"})
    shape = signals.shape[:2]
    maps, signed = _prepare(maps, shape, channels, signed, scale, percentile)
    labels, masks = _one_each("labels", labels, len(signals)), _masks(masks, shape)
    overlay, width = _one_of("overlay", overlay, (True, False)), _width(width)
    limits, maps = _scale(maps, scale, percentile, by_method=True)
    rows = len(maps) + (not overlay)
    heights = [1.0] * rows if overlay else [1.2] + [0.6] * len(maps)
    figure, axes = plt.subplots(
        rows, len(signals), figsize=(width, sum(heights) + 0.9), height_ratios=heights,
        sharex=True, sharey="row", squeeze=False, layout="constrained",
    )  # fmt: skip
    for panel, label in zip(axes[0], labels, strict=True):
        panel.set_title(_wrap(label, width / len(signals), 11))
    if not overlay:
        _draw_signal_row(axes[0], "signal", signals, masks)
    for row, (name, values), limit in zip(axes[-len(maps) :], maps.items(), limits, strict=True):
        if overlay:
            _draw_signal_row(row, name, signals, masks)
            for panel, one in zip(row, values, strict=True):
                _strips(panel, one, _colours(limit, signed))
            _colour_bar(figure, row, limit, signed, percentile)
        else:
            _draw_bar_row(row, name, values, masks, limit, signed)
    for panel in axes[-1]:
        panel.set(xlabel="sample", xlim=(-0.5, shape[1] - 0.5))
    more = ["Grey band, black strip: evidence."] if masks[0] is not None else []
    _caption(figure, _statement(signed, channels, scale, percentile, *more))
    figure.align_ylabels(axes[:, 0])
    return figure


def _row_name(axes, name):
    """Write the name of a row at its left, upright."""
    axes.set_ylabel(_wrap(name, 1.2), rotation=0, ha="right", va="center")


def _draw_signal_row(row, name, signals, masks):
    """Draw every signal as dots on a line, with its evidence."""
    for panel, signal, mask in zip(row, signals, masks, strict=True):
        halo = [withStroke(linewidth=3, foreground="white")]
        panel.plot(signal, "o-", color="black", markersize=2.5, linewidth=0.8, zorder=3, path_effects=halo)
        panel.margins(y=0.12)
        _mark_evidence(panel, mask)
    _row_name(row[0], name)


def _draw_bar_row(row, name, values, masks, limit, signed):
    """Draw one method's attributions as bars on the scale of its row, in colours by sign."""
    for panel, one, mask in zip(row, values, masks, strict=True):
        colours = np.where(one >= 0, FOR, AGAINST) if signed else NEUTRAL
        panel.bar(np.arange(len(one)), np.clip(one, -limit, limit), width=0.8, color=colours, zorder=3)
        panel.axhline(0, color="black", linewidth=0.5, zorder=3)
        _mark_evidence(panel, mask)
    ticks = [-limit, 0, limit] if signed else [0, limit]
    row[0].set_yticks(ticks, labels=map(_number, ticks))
    row[0].set_ylim(-1.2 * limit if signed else -0.1 * limit, 1.2 * limit)
    _row_name(row[0], name)


def _mark_evidence(axes, mask):
    """Mark each run of a mask by a grey band and a black strip at its foot, over whole samples."""
    edges = [] if mask is None else np.flatnonzero(np.diff(np.pad(mask.astype(int), 1))).reshape(-1, 2) - 0.5
    for start, stop in edges:
        axes.axvspan(start, stop, facecolor="0.88", linewidth=0, zorder=0)
        axes.axvspan(start, stop, ymax=0.05, facecolor="black", linewidth=0, zorder=4)


def _strips(axes, values, colours):
    """Colour the background of a signal's panel, one strip per sample."""
    extent = (-0.5, len(values) - 0.5, *axes.get_ylim())
    axes.imshow(values[None], extent=extent, aspect="auto", interpolation="nearest", zorder=1, **colours)


# -- numbers


def plot_confusion(matrix, class_names, *, width=COLUMN_WIDTH):
    """Draw a confusion matrix: counts written, shares of the true class (rows) as colour.

    Raises ValueError unless `matrix` is (K, K) of counts (rows true, columns predicted) with K class names.
    """
    matrix = _finite("matrix", matrix, {2: "(K, K)"})
    if not np.iterable(class_names):
        raise TypeError(f"class_names is {class_names!r}; allowed: one text for each of the {len(matrix)} classes.")
    names = [str(name) for name in class_names]
    if matrix.shape != (len(names), len(names)) or (matrix < 0).any() or (matrix != np.round(matrix)).any():
        raise ValueError(
            f"matrix has shape {matrix.shape} for {len(names)} class names; allowed: one row (true) and one "
            "column (predicted) per class, holding counts of 0 or more."
        )
    width = _width(width)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(width, width * 0.92), layout="constrained")
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count:.0f}", ha="center", va="center", color=colour, fontsize=7)
    slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 3 else {}
    axes.set_xticks(range(len(names)), names, **slanted)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.05, pad=0.02)
    return figure


def plot_intervals(names, estimates, intervals, xlabel, *, reference=None, width=COLUMN_WIDTH):
    """Draw one estimate per name as a dot with its interval as a line, the first name on top.

    `intervals` is (N, 2), the low and the high end; say in `xlabel` what they are ("with 95 % intervals").
    `reference` is a (value, text) pair drawn as a dashed line, such as the score of a random map.
    Raises ValueError when the lengths differ or an estimate lies outside its interval.
    """
    estimates = _finite("estimates", estimates, {1: "(N,)"}).astype(float)
    intervals = _finite("intervals", intervals, {2: "(N, 2)"})
    names = _one_each("names", names, len(estimates))
    if intervals.shape != (len(names), 2):
        raise ValueError(f"intervals has shape {intervals.shape}; allowed: {(len(names), 2)}, low and high.")
    if (intervals[:, 0] > estimates).any() or (estimates > intervals[:, 1]).any():
        raise ValueError("intervals: an estimate lies outside its interval; give low, then high.")
    xlabel, reference, width = _text("xlabel", xlabel), _reference(reference), _width(width)
    figure, axes = plt.subplots(figsize=(width, 0.24 * len(names) + 0.8), layout="constrained")
    places = np.arange(len(names))
    axes.hlines(places, *intervals.T, color=COLOURS[0], linewidth=1.6)
    axes.plot(estimates, places, "o", color=COLOURS[0], markersize=4.5)
    if reference is not None:
        axes.axvline(reference[0], color=NEUTRAL, linestyle="--", linewidth=0.9, label=reference[1])
        figure.legend(loc="outside upper right")
    axes.set_yticks(places, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    figure.supxlabel(_wrap(xlabel, width), fontsize=9)
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure


def plot_curves(curves, xlabel, ylabel, *, log="", reference=None, width=COLUMN_WIDTH):
    """Draw curves {name: (x, y)}, told apart by colour and by marker.

    `log` names the logarithmic axes: "", "x", "y" or "xy". `reference` is a (value, text) pair drawn as a
    dashed horizontal line. Raises ValueError for x and y of unequal length, or values of 0 or less on a
    logarithmic axis.
    """
    _one_of("log", log, ("", "x", "y", "xy"))
    if not isinstance(curves, dict) or not curves:
        raise TypeError(f"curves is {curves!r}; allowed: a dictionary such as {{'IG': (x, y)}}.")
    curves = {name: _curve(name, *_pair(f"curve '{name}'", curve, "(x, y)"), log) for name, curve in curves.items()}
    xlabel, ylabel, reference = _text("xlabel", xlabel), _text("ylabel", ylabel), _reference(reference)
    width = _width(width)
    figure, axes = plt.subplots(figsize=(width, width * 0.7), layout="constrained")
    for (name, points), marker in zip(curves.items(), "os^Dvx*+" * len(curves), strict=False):
        axes.plot(*points, marker=marker, label=name)
    if reference is not None:
        axes.axhline(reference[0], color=NEUTRAL, linestyle="--", linewidth=0.9, label=reference[1])
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_xscale("log" if "x" in log else "linear")
    axes.set_yscale("log" if "y" in log else "linear")
    axes.grid(color="0.9", linewidth=0.6)
    if len(curves) + (reference is not None) > 1:
        axes.legend()
    return figure


def _curve(name, x, y, log):
    """Return x and y as arrays, refused when they do not fit each other or a logarithmic axis."""
    x, y = (_finite(f"curve '{name}'", values, {1: "(N,)"}) for values in (x, y))
    if len(x) != len(y):
        raise ValueError(f"curve '{name}' has {len(x)} x and {len(y)} y values; give as many of both.")
    if ("x" in log and x.min() <= 0) or ("y" in log and y.min() <= 0):
        raise ValueError(f"curve '{name}' holds values of 0 or less; draw it without log.")
    return x, y


# -- networks

KINDS = {
    "Input": ("input", "0.8"),
    "Conv": ("convolution", COLOURS[0]),
    "Global": ("global pooling", COLOURS[2]),
    "Pooling": ("pooling", COLOURS[5]),
    "Flatten": ("flatten", COLOURS[3]),
    "Dense": ("dense", COLOURS[1]),
    "": ("other", "0.5"),
}


def plot_architecture(model, *, title=""):
    """Draw a chain of layers from the input to the classes, each by the shape of its output, PAGE_WIDTH wide.

    An output with positions is a box: height and depth are its positions (H, W) or (T,), width its channels.
    An output of K units is a bar of height K. Positions, channels and units have one scale each: within it
    lengths are proportional to numbers, and the largest number is drawn as large as the space allows.
    Raises ValueError for a model with branches, one that was never called, a free size, or outputs that are
    not (H, W, C), (T, C) or (K,).
    """
    chain, title = _chain(model), _text("title", title)
    spatial = [shape for _, _, shape in chain if len(shape) > 1] or [(1, 1)]
    units = [shape[0] for _, _, shape in chain if len(shape) == 1] or [1]
    slot, half = PAGE_WIDTH / len(chain), 0.75 if len(spatial[0]) == 3 else 0.6
    position, unit = 1.2 / max(max(shape[:-1]) for shape in spatial), 1.2 / max(units)
    channel = 0.6 * slot / max(shape[-1] for shape in spatial)
    bottom, top = -half - 0.6, half + 0.35 + 0.22 * bool(title)
    figure, axes = _inches(bottom, top)
    axes.plot([slot / 2, PAGE_WIDTH - slot / 2], [0, 0], color="0.7", linewidth=0.8, zorder=0)
    for number, (name, kind, shape) in enumerate(chain):
        depth = position * shape[1] if len(shape) == 3 else 0.0
        size = (channel * shape[-1], position * shape[0]) if len(shape) > 1 else (0.1, unit * shape[0])
        _draw_box(axes, (number + 0.5) * slot, (*size, depth), *KINDS[kind])
        text = f"{_wrap(name, slot, 15)}\n{_shape(shape)}"
        axes.text((number + 0.5) * slot, -half - 0.08, text, ha="center", va="top", fontsize=7)
    handles, names = axes.get_legend_handles_labels()
    kinds = dict(zip(names, handles, strict=True))
    place = {"loc": "upper left", "bbox_to_anchor": (0, 1 - (top - half - 0.35) / (top - bottom))}
    axes.legend(kinds.values(), kinds, ncols=len(kinds), handlelength=1, borderaxespad=0.2, **place)
    axes.set_title(title, loc="left", x=0.01, y=1 - 0.06 / (top - bottom), va="top", pad=0)
    return figure


def _inches(bottom, top):
    """Return a figure of PAGE_WIDTH and axes that fill it, one unit one inch, heights from bottom to top."""
    figure, axes = plt.subplots(figsize=(PAGE_WIDTH, top - bottom), layout="constrained")
    figure.get_layout_engine().set(w_pad=0, h_pad=0)
    axes.set(xlim=(0, PAGE_WIDTH), ylim=(bottom, top))
    axes.set_axis_off()
    return figure, axes


def _shape(shape):
    """Return an output shape as text: positions on one line, channels below them."""
    *positions, channels = shape
    return "\u00d7".join(map(str, positions)) + f"\n\u00d7{channels}" if positions else str(channels)


def _chain(model):
    """Return [(name, key of KINDS, output shape without the batch)] of a model whose layers form a chain."""
    try:
        layers = list(model.layers)
        chain = [(layer.name, layer.__class__.__name__, tuple(layer.output.shape[1:])) for layer in layers]
    except AttributeError as error:
        raise ValueError(f"model: {error}. Draw a functional or Sequential model with a fixed input shape.") from error
    if not layers:
        raise ValueError("model: it has no layers. Draw a functional or Sequential model with a fixed input shape.")
    if not chain[0][1].startswith("Input"):
        chain.insert(0, ("input", "InputLayer", tuple(model.input_shape[1:])))
    for before, layer in zip(layers, layers[1:], strict=False):
        if layer.input is not before.output:
            raise ValueError(
                f"model: layer '{layer.name}' does not take the output of '{before.name}' alone; allowed: a chain of "
                "layers. Draw the branches one by one: keras.Model(start.output, end.output)."
            )
    for name, _, shape in chain:
        if not 1 <= len(shape) <= 3 or None in shape:
            raise ValueError(
                f"model: layer '{name}' has the output shape {shape}; allowed: (H, W, C), (T, C) or (K,) of fixed "
                "sizes. Build the model with a fixed input shape."
            )
    return [(name, next(key for key in KINDS if key in kind), shape) for name, kind, shape in chain]


def _draw_box(axes, middle, size, label, colour):
    """Draw a box of (width, height, depth) in oblique projection: the side behind is shifted by depth / 4."""
    width, height, depth = size
    shift = 0.25 * depth
    left, foot = middle - (width + shift) / 2, -(height + shift) / 2
    right, head = left + width, foot + height
    style = {"edgecolor": "black", "linewidth": 0.5, "joinstyle": "round"}
    axes.add_patch(plt.Rectangle((left, foot), width, height, label=label, facecolor=colour, **style))
    upper = [(left, head), (left + shift, head + shift), (right + shift, head + shift), (right, head)]
    side = [(right, foot), (right + shift, foot + shift), (right + shift, head + shift), (right, head)]
    for corners, white in ((upper, 0.6), (side, 0.35)) if depth else ():
        light = white + (1 - white) * np.array(to_rgb(colour))
        axes.add_patch(plt.Polygon(corners, facecolor=light, **style))
