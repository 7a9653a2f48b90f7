"""Masks of an exact area: m = sigmoid(k (h - t)) of heights h, where the level t is searched for until mean m = a.

Heights are (..., P), a mask each row; areas, levels and k have an axis of one in its place.
"""

import numpy as np

FAR = 40.0  # where a sigmoid is 0 or 1
EXACT, ENOUGH = 200, 1e-13  # rounds of the search at most, and the distance from the area at which it ends
STEEPEST = 2.0**60
BETWEEN, HALF = 0.1, 0.5  # the values, and the mass of a mask, that may lie between 0.1 and 0.9


def mask_at(heights: np.ndarray, steep: np.ndarray | float, level: np.ndarray) -> np.ndarray:
    """sigmoid(k (h - t)), k = `steep`."""
    mask = level - heights
    with np.errstate(over="ignore"):  # an infinite k is as good as a large one
        mask *= steep
    np.clip(mask, -FAR, FAR, out=mask)  # squares of what lies further out would be too small for fast arithmetic
    np.exp(mask, out=mask)
    mask += 1
    return np.reciprocal(mask, out=mask)


def level_of(
    heights: np.ndarray, areas: np.ndarray, steep: np.ndarray | float, level: np.ndarray, rounds: int = EXACT
) -> np.ndarray:
    """The t at which the mean of the mask is its area: Newton's steps from `level`, halving where one goes too far.

    Ends where all areas are met, or no number lies between the two ends of what is left to search.
    """
    low = heights.min(axis=-1, keepdims=True) - FAR / steep
    high = heights.max(axis=-1, keepdims=True) + FAR / steep
    level = np.clip(level, low, high).astype(heights.dtype)
    for _ in range(rounds):
        mask = mask_at(heights, steep, level)
        mean = mask.mean(axis=-1, keepdims=True)
        if np.abs(over := mean - areas).max() < ENOUGH:
            break
        low, high = np.where(over > 0, level, low), np.where(over > 0, high, level)
        if (np.nextafter(low, high) >= high).all():
            break
        slope = steep * (mean - np.einsum("...p,...p->...", mask, mask)[..., None] / mask.shape[-1])
        further = (level + over / np.maximum(slope, 1e-30)).astype(heights.dtype)
        level = np.where((further > low) & (further < high), further, (low + high) / 2)
    return level


def hardened(heights: np.ndarray, areas: np.ndarray, steep: float) -> np.ndarray:
    """The masks, the k of each doubled until few of its values lie between 0.1 and 0.9."""
    most = np.minimum(BETWEEN, HALF * np.minimum(areas, 1 - areas))
    level = heights.mean(axis=-1, keepdims=True)
    steeps = np.full_like(level, steep)
    while True:
        level = level_of(heights, areas, steeps, level)
        mask = mask_at(heights, steeps, level)
        soft = ((mask > 0.1) & (mask < 0.9)).mean(axis=-1, keepdims=True) > most
        if not soft.any() or steeps.max() >= STEEPEST:
            return mask
        steeps = np.where(soft, 2 * steeps, steeps)


def top(heights: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Binary masks: 1 at the round(a P) of the P positions with the largest heights; of equal ones, the first."""
    counts = np.broadcast_to(np.rint(areas * heights.shape[-1]).astype(int), (*heights.shape[:-1], 1))
    least = np.empty_like(heights[..., :1])
    for row in np.ndindex(heights.shape[:-1]):
        (count,) = counts[row]
        least[row] = np.partition(heights[row], -count)[-count]
    above, equal = heights > least, heights == least
    return above | (equal & (np.cumsum(equal, axis=-1) <= counts - above.sum(axis=-1, keepdims=True)))
