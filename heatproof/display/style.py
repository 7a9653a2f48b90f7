"""What all figures share: sizes, colours and the one style."""

import textwrap
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.rcsetup import cycler

from heatproof import checks

PAGE_WIDTH, COLUMN_WIDTH = 7.0, 3.4
FOR, AGAINST, NEUTRAL = "#b2182b", "#2166ac", "#4d4d4d"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito 2008
STYLE: dict[Any, Any] = {
    "figure.dpi": 150,
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


def use_style() -> None:
    """Set the one figure style for the session: fonts of 8 and 9 points, colours safe for the colour-blind.

    The set-up cell calls it once, so that figures drawn here and figures drawn by hand in a notebook look
    alike.
    """
    plt.rcParams.update(STYLE)


def as_width(width: float) -> float:
    """Return the checked width of a figure, in inches."""
    return checks.as_number("width", width, 1, 100)


def wrap(text: str, inches: float, letters: int = 13) -> str:
    """Return `text` with lines broken to fit a width, at a number of letters per inch."""
    return "\n".join(textwrap.fill(line, max(int(inches * letters), 8)) for line in text.splitlines())
