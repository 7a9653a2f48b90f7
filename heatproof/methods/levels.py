"""Masks of an exact area: m = sigmoid(k (h - t)) of heights h, where the level t is searched for until mean m = a.

Heights are (n, K, ...), levels and areas have an axis of one in place of each axis of positions.
"""

import numpy as np

FAR = 40.0  # where a sigmoid is 0 or 1
EXACT = 100  # rounds of the search that leave nothing but rounding
STEEPEST = 2.0**60
BETWEEN, HALF = 0.1, 0.5  # the values, and the mass of a mask, that may lie between 0.1 and 0.9


def mask_at(heights: np.ndarray, steep: np.ndarray | float, level: np.ndarray) -> np.ndarray:
    """sigmoid(k (h - t)), k = `steep`."""
    return 1 / (1 + np.exp(np.clip(steep * (level - heights), -FAR, FAR)))


def level_of(
    heights: np.ndarray, areas: np.ndarray, steep: np.ndarray | float, level: np.ndarray, rounds: int = EXACT
) -> np.ndarray:
    """The t at which the mean of the mask is its area, by Newton's steps from `level`; halving where one leaves."""
    axes = tuple(range(2, heights.ndim))
    low = heights.min(axes, keepdims=True) - FAR / steep
    high = heights.max(axes, keepdims=True) + FAR / steep
    level = np.clip(level, low, high)
    for _ in range(rounds):
        mask = mask_at(heights, steep, level)
        over = mask.mean(axes, keepdims=True) - areas
        low, high = np.where(over > 0, level, low), np.where(over > 0, high, level)
        slope = steep * (mask * (1 - mask)).mean(axes, keepdims=True)
        further = level + over / np.maximum(slope, 1e-30)
        level = np.where((further > low) & (further < high), further, (low + high) / 2)
    return level


def hardened(heights: np.ndarray, areas: np.ndarray, steep: float) -> np.ndarray:
    """The masks (float64) at a k that is doubled for each until little of it lies between 0.1 and 0.9."""
    axes = tuple(range(2, heights.ndim))
    most = np.minimum(BETWEEN, HALF * np.minimum(areas, 1 - areas))
    steeps, level = np.full((*heights.shape[:2], *areas.shape[2:]), steep), heights.mean(axes, keepdims=True)
    while True:
        level = level_of(heights, areas, steeps, level)
        mask = mask_at(heights, steeps, level)
        soft = ((mask > 0.1) & (mask < 0.9)).mean(axes, keepdims=True) > most
        if not soft.any() or steeps.max() >= STEEPEST:
            return mask
        steeps = np.where(soft, 2 * steeps, steeps)


def top(heights: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Masks of 0 and 1: 1 at the round(a P) of the P positions with the largest heights, the first ones of equals."""
    flat = heights.reshape(*heights.shape[:2], -1)
    places = np.argsort(-flat, axis=-1, kind="stable").argsort(axis=-1, kind="stable")
    return (places < np.rint(areas.reshape(1, -1, 1) * flat.shape[-1])).reshape(heights.shape)
