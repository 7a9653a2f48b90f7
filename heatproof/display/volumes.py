"""Figures of volumes and video: slices along an axis, the strongest in the middle, and a projection."""

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.display import plots, scales, style
from heatproof.problems import ArgumentValueError


def plot_volume(
    volume: npt.ArrayLike,
    maps: dict,
    *,
    axis: int = 0,
    slices: int = 5,
    channels: str = "sum",
    signed: bool | None = None,
    percentile: float = 99.5,
    input_range: tuple[float, float] | None = (0, 1),
    width: float = style.PAGE_WIDTH,
) -> plt.Figure:
    """Draw slices of one volume (D, H, W[, C]) or video, and below them those of its attribution maps.

    `maps` is {title: attribution of this volume}, (D, H, W[, C]); each row is divided by its own limit. `axis`: the one
    that is cut, 0 to 2. The slice in the middle is the one on which the maps, each divided by its sum of magnitudes,
    have most; the others lie as far apart as the volume allows. The last column is the projection along the axis: the
    mean of the volume, and of a map the value of largest magnitude. Raises `ValueError` for maps that do not fit, an
    even number of slices, an axis that is not there.
    """
    volume = checks.as_finite("volume", volume, {3: "(D, H, W)", 4: "(D, H, W, C)"})
    volume = volume[..., None] if volume.ndim == 3 else volume
    axis, width = checks.as_count("axis", axis, 0, 2), style.as_width(width)
    if not checks.as_count("slices", slices, 1) % 2:
        raise ArgumentValueError("slices", f"{slices}", "an odd number, so that one is in the middle")
    checks.as_dictionary("maps", maps, "a dictionary such as {'Grad-CAM': map}")
    alone = {name: _of_volume(name, values, volume.shape[:3])[None] for name, values in maps.items()}
    alone, signed = scales.prepare(alone, (1, *volume.shape[:3]), channels, signed, "map", percentile)
    _, alone = scales.scale_of(alone, "map", percentile)
    cut = {name: np.moveaxis(values[0], axis, 0) for name, values in alone.items()}
    whole = np.moveaxis(volume, axis, 0)
    shown = _places(_strength(cut.values()), slices)
    screen = plots.to_screen(np.concatenate([whole, whole.mean(axis=0, keepdims=True)]), input_range)
    titles = ["" if place is None else f"slice {place}" for place in shown] + ["projection"]
    caption = scales.statement(signed, channels, "map", percentile, f"Cut along axis {axis}.")
    rows: list[tuple[str, np.ndarray, dict]] = [("input", screen, {})]
    rows += [(name, _with_projection(values), scales.colours(1.0, signed)) for name, values in cut.items()]
    figure, axes, titles = plots.panels(len(rows), slices + 1, width, screen.shape[1:3], titles, 1, caption, bar=0.8)
    for number, (name, pictures, colours) in enumerate(rows):
        cells = [each for each in zip(axes[number], [*shown, -1], titles, strict=True) if each[1] is not None]
        for panel, place, title in cells:
            plots.show(panel, pictures[place], title if number == 0 else "", **colours)
        cells[0][0].set_ylabel(style.wrap(name, 1.2), fontsize=8)
    scales.colour_bar(figure, axes[1:].flat, 1.0, signed, percentile)
    return figure


def _of_volume(name, values, shape):
    values = checks.as_numbers(f"maps[{name!r}]", values)
    if values.shape[:3] != shape or values.ndim > 4:
        raise ArgumentValueError(f"maps[{name!r}]", f"shape {values.shape}", f"{shape}, or channels behind these axes")
    return values


def _strength(maps):
    """How much the maps have on each slice, each map counted alike."""
    strengths = [np.abs(values).sum(axis=(1, 2)) for values in maps]
    return np.sum([strength / max(strength.sum(), np.finfo(float).tiny) for strength in strengths], axis=0)


def _places(strength, slices):
    """The numbers of the slices to draw, the strongest in the middle; None beyond the ends."""
    middle, half, last = int(strength.argmax()), slices // 2, len(strength) - 1
    step = max(1, min(middle, last - middle) // half) if half else 1
    places = [middle + step * (number - half) for number in range(slices)]
    return [place if 0 <= place <= last else None for place in places]


def _with_projection(values):
    """A map, and behind its last slice the value of largest magnitude along the axis."""
    strongest = np.abs(values).argmax(axis=0)[None]
    return np.concatenate([values, np.take_along_axis(values, strongest, axis=0)])
