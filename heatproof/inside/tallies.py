"""Counting where units and concepts meet: the pixels of a unit are few, so they are listed, and looked up in maps."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from heatproof.data.concepts import Concepts

TOGETHER = 2**23  # pixels of maps that are enlarged together


class Largest:
    """For each unit its largest answers, from which a quantile near the top is read exactly."""

    def __init__(self, quantile: float, total: int) -> None:
        self.total = total
        self.place = (total - 1) * (1 - quantile)  # of the quantile among the sorted answers
        self.before = min(int(self.place), max(total - 2, 0))
        self.most, self.pending, self.rows = total - self.before, list[np.ndarray](), 0

    def take(self, answers: np.ndarray) -> None:
        """Add answers (places, units)."""
        self.pending.append(answers)
        self.rows += len(answers)
        if self.rows > 2 * self.most + len(answers):
            self._reduce()

    def _reduce(self):
        rows = -np.concatenate(self.pending).T  # many answers of 0 slow the other end of a partition down
        if rows.shape[1] > self.most:
            rows = np.partition(rows, self.most - 1, axis=1)[:, : self.most]
        self.pending, self.rows = [-rows.T], rows.shape[1]

    def state(self) -> dict[str, np.ndarray]:
        """What is to be kept, to go on from here."""
        self._reduce()
        return {"largest": self.pending[0], "total": np.array(self.total)}

    def quantile(self) -> np.ndarray:
        """T of each unit, by linear interpolation between two neighbouring answers, as numpy.quantile does."""
        self._reduce()
        low, high = np.sort(self.pending[0], axis=0)[:2].astype(np.float64)
        return (low + (high - low) * (self.place - self.before)).astype(np.float32)


class Hits(NamedTuple):
    """The pixels of the masks of units, one entry each: which image, which unit, which pixel of the mask."""

    images: np.ndarray
    units: np.ndarray
    pixels: np.ndarray


def hits(
    activations: np.ndarray, thresholds: np.ndarray, pixels: int, enlarge: Callable[[np.ndarray], np.ndarray]
) -> Iterator[Hits]:
    """M_k = up(A_k) > T_k of activations (n, h, w, K), a chunk of maps at a time.

    `enlarge` makes of maps (m, h, w) those of the masks, of so many `pixels`, by linear interpolation. No value between
    positions is above all of them, so that maps whose maximum is not above T are passed over.
    """
    images, units = np.nonzero(activations.max(axis=(1, 2)) > thresholds)
    step = max(1, TOGETHER // pixels)
    for start in range(0, len(images), step):
        item, unit = images[start : start + step], units[start : start + step]
        above = enlarge(activations[item, :, :, unit]) > thresholds[unit, None, None]
        which, places = np.divmod(np.flatnonzero(above), pixels)
        yield Hits(item[which], unit[which], places)


class Tally:
    """How many pixels units and concepts have, and share, on the images where the concept's category is labelled."""

    def __init__(self, concepts: Concepts, units: int) -> None:
        self.concepts, self.units = concepts, units
        self.flat = {category: maps.reshape(-1) for category, maps in concepts.maps.items()}
        self.pixels = int(np.prod(concepts.size))
        self.areas = np.zeros((len(concepts), units), np.int64)  # of each unit on each image
        self.shared = np.zeros((units, len(concepts.names)), np.int64)
        self.of = {name: np.array(concepts.categories) == name for name in self.flat}

    def add(self, found: Hits) -> None:
        """Count the pixels of some masks."""
        if not len(found.images):
            return
        first, last = found.images.min(), found.images.max() + 1
        places = (found.images - first) * self.units + found.units
        counts = np.bincount(places, minlength=(last - first) * self.units)
        self.areas[first:last] += counts.reshape(last - first, self.units)
        for category in self.flat:
            self.shared += self.meetings(category, found.images, found)

    def codes(self, category: str, images: np.ndarray, pixels: np.ndarray) -> Iterator[np.ndarray]:
        """What the maps of a category hold at pixels of images, layer by layer: 1 + the number of a concept, or 0."""
        layers = self.concepts.maps[category].shape[1]
        for layer in range(layers):
            yield np.take(self.flat[category], (images * layers + layer) * self.pixels + pixels)

    def meetings(self, category: str, images: np.ndarray, found: Hits) -> np.ndarray:
        """|M and L| (units, concepts) over all of the hits, whose masks are laid on these `images`."""
        wide = len(self.concepts.names) + 1
        together = np.zeros(self.units * wide, np.int64)
        for codes in self.codes(category, images, found.pixels):
            met = np.flatnonzero(codes)
            together += np.bincount(found.units[met] * wide + codes[met], minlength=together.size)
        return together.reshape(self.units, wide)[:, 1:]

    def unit_areas(self) -> np.ndarray:
        """|M| (units, concepts) over the images where the category of the concept is labelled."""
        within = {category: self.areas[self.concepts.labelled[category]].sum(axis=0) for category in self.flat}
        return np.stack([within[category] for category in self.concepts.categories], axis=1)

    def iou(self, shared: np.ndarray | None = None) -> np.ndarray:
        """|M and L| / |M or L| (units, concepts); with other counts of what they share, the masks being the same."""
        shared = self.shared if shared is None else shared
        return shared / (self.unit_areas() + self.concepts.areas - shared)

    def ceiling(self) -> np.ndarray:
        """min(p, q) / max(p, q): what IoU can be at most, for shares p and q of the pixels that are counted."""
        areas = self.unit_areas()
        return np.minimum(areas, self.concepts.areas) / np.maximum(areas, self.concepts.areas)


def permuted(tally: Tally, found: Hits, draws: int, random: np.random.Generator) -> np.ndarray:
    """The largest IoU over all concepts (draws, units) when the images of each category change their masks."""
    best = np.zeros((draws, tally.units))
    kept = {category: Hits(*(each[known[found.images]] for each in found)) for category, known in _known(tally)}
    for draw in range(draws):
        shared = np.zeros_like(tally.shared)
        for category, known in _known(tally):
            other, own = np.arange(len(known)), np.flatnonzero(known)
            other[own] = random.permutation(own)
            shared += tally.meetings(category, other[kept[category].images], kept[category])
        best[draw] = tally.iou(shared).max(axis=1)
    return best


def _known(tally):
    return tally.concepts.labelled.items()


def resampled(tally: Tally, found: Hits, best: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """IoU of each unit with its `best` concept (draws, units), the images being counted `weights` (draws, N) times."""
    shared, labels = np.zeros((2, len(tally.concepts), tally.units))
    counted = np.zeros_like(shared)
    for category, known in _known(tally):
        units = tally.of[category][best]
        chosen = units[found.units]
        images, of, pixels = (each[chosen] for each in found)
        for codes in tally.codes(category, images, pixels):
            met = codes == best[of] + 1
            shared += np.bincount(images[met] * tally.units + of[met], minlength=shared.size).reshape(shared.shape)
        maps = tally.concepts.maps[category]
        for number in np.unique(best[units]):
            labels[:, best == number] = (maps == number + 1).sum(axis=(1, 2, 3))[:, None]
        counted[:, units] = known[:, None]
    union = weights @ (counted * tally.areas + labels - shared)
    return np.divide(weights @ shared, union, out=np.zeros_like(union), where=union > 0)
