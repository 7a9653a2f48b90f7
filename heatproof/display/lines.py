"""Lines drawn over a panel: the border of a mask, and the contour of the picture below a map."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter

SMOOTH = 1 / 60  # of the longer side: the width of the blur before contours are drawn
LEVELS = (25, 50, 75)  # percentiles of the brightness


def outline(axes: plt.Axes, mask: np.ndarray | None) -> None:
    """Draw the border of a mask along the edges of its pixels: black on white, so it shows on any colour."""
    if mask is None or not mask.any():
        return
    height, width = mask.shape
    grid = np.arange(-1, width + 1), np.arange(-1, height + 1), np.pad(mask, 1).astype(float)
    for colour, line in (("white", 2.2), ("black", 1.0)):
        axes.contour(*grid, levels=[0.5], colors=colour, linewidths=line)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def contour(axes: plt.Axes, image: np.ndarray) -> None:
    """Draw where an image (H, W) or (H, W, C), grey and a little blurred, is as bright as its quartiles."""
    grey = image if image.ndim == 2 else image.mean(axis=-1)
    smooth = gaussian_filter(np.asarray(grey, float), SMOOTH * max(grey.shape), mode="nearest")
    levels = np.unique(np.percentile(smooth, LEVELS))
    levels = levels[(levels > smooth.min()) & (levels < smooth.max())]
    if len(levels):
        axes.contour(smooth, levels=levels, colors="black", linewidths=0.5, alpha=0.6)
        height, width = grey.shape
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
