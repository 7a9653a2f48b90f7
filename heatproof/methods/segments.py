"""Segments: the pieces that LIME and KernelSHAP show and hide, and what the network answers then.

Shared arguments (segments, fill) are explained in `lime`.
"""

import numpy as np
import numpy.typing as npt
import skimage

from heatproof import checks
from heatproof.engine.functions import Asked
from heatproof.engine.painting import Painting, in_graph
from heatproof.engine.query import Query
from heatproof.engine.stencils import shown_segments
from heatproof.hiding import fills
from heatproof.problems import ArgumentTypeError, ArgumentValueError, ArgumentWarning


class Segmented:
    """The inputs of a query, cut into segments with the `labels` 0, 1, ..., each of which a `fill` can hide."""

    def __init__(self, query: Query | Asked, segments: int | npt.ArrayLike | None, fill: str | npt.ArrayLike) -> None:
        alone = segments is None and query.is_features  # each feature is a segment of its own
        self.labels = _labels(np.arange(query.inputs.shape[1]) if alone else segments, query.inputs)
        self.query = query
        by_segment = isinstance(fill, str) and fill == "segment"
        self.hidden = _segment_means(query.inputs, self.labels) if by_segment else fills(fill, query)

    @property
    def counts(self) -> list[int]:
        """The number of segments of each input."""
        return [int(own.max()) + 1 for own in self.labels]

    def scores(self, item: int, visible: np.ndarray, label: str) -> np.ndarray:
        """S_c of one input for each row of `visible` (rows, segments), which says what is shown: float64 (rows,)."""
        inputs, own = self.query.inputs, self.labels[item]
        places, on = np.stack([own] * inputs.shape[-1], axis=-1), visible.astype(bool)
        ground = np.ascontiguousarray(self.hidden[item])

        def show(item, row, out):
            out[...] = ground
            np.copyto(out, inputs[item], where=on[row].take(places))

        if in_graph(self.query):
            own = own.astype(np.int64)
            painting = Painting(self.query, shown_segments, inputs, self.hidden, [on], lambda _: [own], label)
            return painting.scores([item])[0]
        found = [value for _, _, value in self.query.perturbed(range(len(on)), show, [item], label)]
        return np.array(found, np.float64)


def superpixels(inputs: npt.ArrayLike, count: int | None = None) -> np.ndarray:
    """Return segment labels 0, 1, ... for each input: SLIC superpixels of images and volumes, stretches of signals.

    `count`: how many are wanted, by default 100 for images and volumes, and a fifth of the samples, 5 to 10, for
    signals; SLIC comes close to it. Where colours are so rough that fewer than 60 % come out, the pieces are made more
    compact. The range of an image's values does not matter: SLIC scales it to [0, 1]. Returns ints (N, H, W), (N, T) or
    (N, D, H, W). Raises `ValueError` for count < 2. Source: Achanta et al. 2012.
    """
    inputs = checks.as_finite("inputs", inputs, {3: "(N, T, C)", 4: "(N, H, W, C)", 5: "(N, D, H, W, C)"})
    if set(inputs.shape[1:-1]) == {1}:
        cure = "a method that reads channels, such as gradient_x_input"
        raise ArgumentValueError("inputs", "one position, which has no parts", cure=cure)
    length = inputs.shape[1]
    if inputs.ndim == 3:
        count = checks.as_count("count", min(10, max(5, length // 5), length) if count is None else count, 2, length)
        return np.broadcast_to(np.arange(length) * count // length, inputs.shape[:2]).copy()
    count = checks.as_count("count", 100 if count is None else count, 2)
    return np.stack([_slic(image.astype(float), count) for image in inputs])


def _slic(image, count):
    compactness = 10 if image.shape[-1] == 3 else 0.1  # CIELAB, in which colours are compared, runs to 100
    for factor in (1, 3, 10, 30, 100):
        labels = skimage.segmentation.slic(image, count, compactness * factor, start_label=0, channel_axis=-1)
        if labels.max() + 1 >= 0.6 * count:
            break
    return labels


def _labels(segments, inputs):
    if segments is None or checks.as_array("segments", segments).ndim == 0:
        labels = superpixels(inputs, None if segments is None else checks.as_count("segments", segments, 2))
    else:
        labels = np.asarray(segments)
        if labels.dtype.kind not in "iu" or labels.shape not in (inputs.shape[:-1], inputs.shape[1:-1]):
            allowed = f"integer labels {inputs.shape[:-1]} or {inputs.shape[1:-1]}, or their number"
            raise ArgumentValueError("segments", f"{labels.dtype} of shape {labels.shape}", allowed)
        labels = np.broadcast_to(labels, inputs.shape[:-1])
    labels = np.stack([np.unique(own, return_inverse=True)[1].reshape(own.shape) for own in labels])
    fewest = min(own.max() + 1 for own in labels)
    if fewest < 2:
        given = "only one segment for an input, so that nothing can be hidden"
        raise ArgumentValueError("segments", given, cure="more segments")
    if fewest < 5:
        given = f"only {fewest} for an input, which makes a coarse map"
        checks.warn(ArgumentWarning("segments", given, cure="segments=100, or your own"))
    return labels


def _segment_means(inputs, labels):
    means = np.empty_like(inputs)
    for image, own, mean in zip(inputs, labels, means, strict=True):
        for label in range(own.max() + 1):
            mean[own == label] = image[own == label].mean(axis=0)
    return means


def pros_and_cons(
    attribution: npt.ArrayLike, segments: npt.ArrayLike, count: int | None = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Return the boolean masks of the `count` segments that speak most for the class, and most against it.

    `attribution` and `segments` of one input, in one shape; only segments above 0 are pros, only below 0 cons. Raises
    `ValueError` for shapes that differ.
    """
    count = checks.as_count("count", count)
    attribution, segments = checks.as_finite("attribution", attribution), checks.as_array("segments", segments)
    if segments.dtype.kind not in "iu" or not segments.ndim:
        raise ArgumentTypeError("segments", f"{segments.dtype} of shape {segments.shape}", "integer labels")
    if attribution.shape != segments.shape:
        raise ArgumentValueError("segments", f"shape {segments.shape}", f"{attribution.shape}, as the attribution")
    labels = np.unique(segments)
    values = np.array([attribution[segments == label].mean() for label in labels])
    order = np.argsort(-values, kind="stable")
    pros = [label for label, value in zip(labels[order[:count]], values[order[:count]], strict=True) if value > 0]
    last = order[::-1][:count]
    cons = [label for label, value in zip(labels[last], values[last], strict=True) if value < 0]
    return np.isin(segments, pros), np.isin(segments, cons)
