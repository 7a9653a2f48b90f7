"""Medians over rounds, ratios with bootstrap intervals, the floor that raw passes set, agreement of maps."""

import numpy as np

DRAWS, LEVEL = 2000, 0.95


def ratio(above, below, *, draws=DRAWS, seed=0):
    """The median of the rounds' ratios with a 95 % bootstrap interval over rounds: (ratio, low, high).

    Two series of one length are paired: each round asked both, one after the other, on the same state of the machine,
    which may take half as long a minute later. Of two lengths it is median(above) / median(below), drawn apart. Raises
    `ValueError` for an empty series. Source: Efron 1979.
    """
    above, below = np.asarray(above, float), np.asarray(below, float)
    if not above.size or not below.size:
        raise ValueError("ratio: a series without rounds; pass at least one second each.")
    if above.size == below.size:
        above, below = above / below, np.ones(1)
    generator = np.random.default_rng(seed)
    medians = [
        np.median(series[generator.integers(0, series.size, (draws, series.size))], axis=1) for series in (above, below)
    ]
    low, high = np.quantile(medians[0] / medians[1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(np.median(above) / np.median(below)), float(low), float(high)


def floor(forwards, backwards, raw):
    """Seconds that the needed passes take raw, round by round: their number times one of them.

    `raw`: seconds per input of each round, of forward and backward passes together where a method needs both, of
    forward passes alone where it needs no others. Raises `ValueError` for a method that needs some of each.
    """
    if backwards not in (0, forwards):
        raise ValueError(f"backwards: got {backwards} with {forwards} forwards; each needs its own, or none does.")
    return forwards * np.asarray(raw, float)


def efficiency(needed, measured):
    """floor / measured with its interval: 1 where a method takes no longer than its passes."""
    return ratio(needed, measured)


def agreement(ours, theirs):
    """(largest |ours - theirs| / largest |theirs|, Pearson's correlation), each the worst of the inputs.

    Channels are summed where only one of the two has them; a number alone has no correlation, which counts as 1.
    """
    ours, theirs = (np.atleast_1d(np.asarray(maps, np.float64)) for maps in (ours, theirs))
    if ours.shape != theirs.shape:
        fewest = min(ours.ndim, theirs.ndim - (theirs.shape[-1] == 1))
        ours, theirs = (maps.sum(axis=-1) if maps.ndim > fewest else maps for maps in (ours, theirs))
    ours, theirs = (maps.reshape(len(maps), -1) for maps in (ours, theirs))
    apart = np.abs(ours - theirs).max(axis=1) / np.maximum(np.abs(theirs).max(axis=1), 1e-30)
    if ours.shape[1] == 1:
        return float(apart.max()), 1.0
    centred = [maps - maps.mean(axis=1, keepdims=True) for maps in (ours, theirs)]
    sizes = np.maximum(np.prod([np.linalg.norm(maps, axis=1) for maps in centred], axis=0), 1e-30)
    return float(apart.max()), float(((centred[0] * centred[1]).sum(axis=1) / sizes).min())


def departure(maps, references, changes):
    """How far maps of Integrated Gradients are from converged: (largest gap, largest relative L1 distance)."""
    maps, references = (np.asarray(each, np.float64).reshape(len(references), -1) for each in (maps, references))
    gaps = np.abs(maps.sum(axis=1) - changes) / np.abs(changes)
    distances = np.abs(maps - references).sum(axis=1) / np.abs(references).sum(axis=1)
    return float(gaps.max()), float(distances.max())
