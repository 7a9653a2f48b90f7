"""Attributions as they are scaled for the eye: channels reduced, limits, colours, and what is said of them."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from heatproof import checks
from heatproof.display import style
from heatproof.problems import ArgumentValueError


def as_masks(masks: npt.ArrayLike | None, shape: tuple[int, ...]) -> np.ndarray | list[None]:
    """Return `masks` as booleans of `shape`, or one None per example."""
    if masks is None:
        return [None] * shape[0]
    masks = checks.as_numbers("masks", masks)
    if masks.shape != shape:
        raise ArgumentValueError("masks", f"shape {masks.shape}", f"{shape}, one mask for each input")
    if not np.isin(masks, (0, 1)).all():
        cure = "state a threshold, such as masks > 0.5"
        raise ArgumentValueError("masks", "values other than 0 and 1", "True and False", cure)
    return masks.astype(bool)


def reduce_channels(name: str, values: npt.ArrayLike, shape: tuple[int, ...], channels: str) -> np.ndarray:
    """Return an attribution (N, ...) or (N, ..., C) of inputs of `shape` without its channel axis."""
    ranks = {len(shape): f"{shape}", len(shape) + 1: f"{shape} with a last axis for channels"}
    values = checks.as_finite(f"maps[{name!r}]", values, ranks)
    if values.shape[: len(shape)] != shape:
        raise ArgumentValueError(f"maps[{name!r}]", f"shape {values.shape}", " or ".join(ranks.values()))
    values = values.reshape(*shape, -1)
    if channels == "sum":
        return values.sum(-1)
    return np.linalg.norm(values, axis=-1) if channels == "magnitude" else np.abs(values).max(-1)


def prepare(
    maps: dict[str, npt.ArrayLike],
    shape: tuple[int, ...],
    channels: str,
    signed: bool | None,
    scale: str,
    percentile: float,
) -> tuple[dict[str, np.ndarray], bool]:
    """Check the shared arguments; return the reduced maps and whether they are signed."""
    checks.one_of("channels", channels, ("sum", "magnitude", "maximum"))
    checks.one_of("scale", scale, ("row", "map"))
    signed = checks.one_of("signed", signed, (None, True, False))
    checks.as_number("percentile", percentile, 0, 100, open_ends="low")
    checks.as_dictionary("maps", maps, "a dictionary such as {'CAM': maps}")
    signed = channels == "sum" if signed is None else signed
    reduced = {name: reduce_channels(name, values, shape, channels) for name, values in maps.items()}
    negative = [name for name, values in reduced.items() if values.min() < 0]
    if negative and not signed:
        raise ArgumentValueError("signed", f"{signed} for negative values in {negative}", cure="signed=True")
    return reduced, signed


def limit(values: np.ndarray, percentile: float) -> float:
    """Return the end of the colour scale: a percentile of |value|, never 0."""
    values = np.abs(values)
    return float(np.percentile(values, percentile) or values.max() or 1.0)


def scale_of(
    maps: dict[str, np.ndarray], scale: str, percentile: float, by_method: bool = False
) -> tuple[list[float], dict[str, np.ndarray]]:
    """Return the limit of every row and the maps to draw, divided by their own limits when scale is "map".

    A row holds all maps of one example, or, `by_method`, one method's maps of all examples.
    """
    stack = np.stack(list(maps.values()))
    rows = stack if by_method else stack.swapaxes(0, 1)
    if scale == "row":
        return [limit(row, percentile) for row in rows], maps
    divided = {name: np.stack([one / limit(one, percentile) for one in maps[name]]) for name in maps}
    return [1.0] * len(rows), divided


def colours(limit: float, signed: bool) -> dict:
    """Return the colours and the norm of a map: diverging on [-limit, limit], or sequential on [0, limit]."""
    low, name = (-limit, "RdBu_r") if signed else (0.0, "viridis")
    return {"cmap": name, "norm": Normalize(low, limit)}


def statement(signed: bool, channels: str, scale: str, percentile: float, *more: str, one: str = "row") -> str:
    """Return the sentences under a figure that say how its maps were scaled; `one`: what has a limit of its own."""
    size = "largest |value|" if percentile == 100 else f"{percentile:g}th percentile of |value|"
    clip = "" if percentile == 100 else ", values beyond it clipped"
    lines = ["Red: positive, blue: negative."] if signed else []
    if channels != "sum":
        kind = {"magnitude": "Euclidean norm", "maximum": "largest absolute value"}[channels]
        lines.append(f"Values: {kind} over the channels.")
    if scale == "row":
        lines.append(f"Limit of each {one}: its {size}{clip}.")
    else:
        lines.append(f"Each map divided by its own {size}{clip}.")
    return " ".join([*lines, *more])


def number(value: float) -> str:
    """Return a tick's number with two digits and a real minus sign."""
    return f"{value:.2g}".replace("-", "\N{MINUS SIGN}")


def caption(figure: Figure, text: str) -> None:
    """Write the statement under a figure, wrapped to its width."""
    figure.supxlabel(style.wrap(text, figure.get_figwidth(), 16), fontsize=8, x=0.01, ha="left", color="0.25")


def colour_bar(figure: Figure, axes: Iterable, limit: float, signed: bool, percentile: float) -> None:
    """Draw one colour bar for `axes`, with pointed ends where values may have been clipped."""
    ends = "neither" if percentile == 100 else "both" if signed else "max"
    ticks = [-limit, 0, limit] if signed else [0, limit]
    panels = list(axes)
    rows = len({panel.get_subplotspec().rowspan.start for panel in panels})
    mapped = ScalarMappable(**colours(limit, signed))
    bar = figure.colorbar(mapped, ax=panels, extend=ends, aspect=15 * rows, pad=0.01, fraction=0.05)
    bar.set_ticks(ticks, labels=list(map(number, ticks)))
    bar.outline.set_linewidth(0.4)
