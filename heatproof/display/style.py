"""What all figures share: sizes, colours, the one style, and the checks of what is to be drawn.

Messages name the argument, what was given, and what is allowed; nothing is drawn before all is checked.
"""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import cycler

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


# -- checks


def one_of(name, given, allowed):
    """Return `given` if it is one of the allowed words or flags."""
    given = bool(given) if isinstance(given, np.bool_) else given
    if not isinstance(given, tuple({type(each) for each in allowed})) or given not in allowed:
        raise ValueError(f"{name} is {given!r}; allowed: {', '.join(map(repr, allowed))}.")
    return given


def within(name, given, low, high, kinds=(int, float, np.integer, np.floating)):
    """Return `given` if it is one number in [low, high]."""
    if isinstance(given, (bool, np.bool_)) or not isinstance(given, kinds) or not low <= given <= high:
        kind = "one number" if float in kinds else "one integer"
        raise ValueError(f"{name} is {given!r}; allowed: {kind} from {low:g} to {high:g}.")
    return given


def as_text(name, given):
    """Return `given` if it is text."""
    if not isinstance(given, str):
        raise TypeError(f"{name} is of type {type(given).__name__}; allowed: text.")
    return given


def as_width(given):
    return within("width", given, 1, 100)


def as_columns(given):
    return within("columns", given, 1, 1000, (int, np.integer))


def as_pair(name, given, allowed):
    """Return the two parts of `given`."""
    if not isinstance(given, (tuple, list, np.ndarray)) or len(given) != 2:
        raise TypeError(f"{name} is {given!r}; allowed: a pair, {allowed}, or None.")
    return given


def as_reference(given):
    """Return a (value, text) pair of a number and a text, or None."""
    if given is None:
        return None
    value, text = as_pair("reference", given, "(value, text)")
    return within("reference value", value, -np.finfo(float).max, np.finfo(float).max), as_text("reference text", text)


def as_range(given):
    """Return the ends of an input range, low below high, or None."""
    if given is None:
        return None
    ends = as_finite("input_range", as_pair("input_range", given, "(low, high)"), {1: "(low, high)"})
    if not ends[0] < ends[1]:
        raise ValueError(f"input_range is {given!r}; allowed: (low, high) with low below high, or None.")
    return ends


def as_array(name, values):
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


def as_finite(name, values, ranks):
    """Return `values` as an array, refused unless finite, not empty and of one of the ranks {rank: shape}."""
    values = as_array(name, values)
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


def one_each(name, texts, count):
    """Return `texts` as a list of `count` strings; None gives empty ones."""
    if texts is not None and not np.iterable(texts):
        raise TypeError(f"{name} is {texts!r}; allowed: one text for each of the {count} examples, or None.")
    texts = [""] * count if texts is None else [str(text) for text in texts]
    if len(texts) != count:
        raise ValueError(f"{name} has {len(texts)} entries; allowed: one for each of the {count} examples.")
    return texts


def wrap(text, inches, letters=13):
    """Return `text` with lines broken to fit a width, at a number of letters per inch."""
    return "\n".join(textwrap.fill(line, max(int(inches * letters), 8)) for line in text.splitlines())
