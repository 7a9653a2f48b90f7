"""LIME: a simple model that stands in for the network near one input, and the superpixels that it speaks of.

One float32 map per input at its own resolution. Shared arguments (model, inputs, targets, score, seed, batch_size) are
explained in `xai_utils`.
"""

import keras
import numpy as np
import numpy.typing as npt
import skimage

from heatproof import checks
from heatproof.engine.functions import Predict, ask
from heatproof.engine.nests import over_inputs
from heatproof.engine.query import BATCH_SIZE
from heatproof.engine.readings import PROBABILITY
from heatproof.hiding import fills
from heatproof.problems import ArgumentTypeError, ArgumentValueError, ArgumentWarning


@over_inputs
def lime(
    model: keras.Model | Predict,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    segments: int | npt.ArrayLike | None = None,
    samples: int = 1000,
    fill: str | npt.ArrayLike = "mean",
    kernel_width: float = 0.25,
    alpha: float = 1.0,
    seed: int = 0,
    score: str = PROBABILITY,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The coefficients of a linear model of the score in "is this segment visible", fitted near the input.

    Minimise sum_i pi_i (S_c(x_i) - b - beta.z_i)^2 + alpha |beta|^2 over n = `samples` draws z_i in {0, 1}^d (the first
    all 1); x_i shows the segments with z = 1 and `fill` elsewhere; pi = sqrt(exp(-D^2 / kernel_width^2)), D the cosine
    distance of z_i from all ones. M(p) = beta of the segment of p. `segments`: labels (N, H, W) or (N, T) (or of one
    input, for all), or their number; see `superpixels`. `fill`: "mean", "middle", "zero", "blur", "segment" (each
    segment's own mean), a number or an array. Raises `ValueError` for one segment, samples < 2, a width not above 0, a
    negative alpha; fewer than 5 segments draw an `XAIWarning`. Source: Ribeiro, Singh, Guestrin 2016, sec. 3.4.
    """
    from sklearn.linear_model import Ridge  # slow to import

    samples = checks.as_count("samples", samples, 2)
    kernel_width = checks.as_number("kernel_width", kernel_width, 0, open_ends=True)
    alpha, seed = checks.as_number("alpha", alpha, 0), checks.as_count("seed", seed, 0)
    query = ask(model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size)
    features = segments is None and query.inputs.ndim == 3 and query.cells(query.inputs.shape[1], 1) > 1
    labels = _labels(np.arange(query.inputs.shape[1]) if features else segments, query.inputs)
    by_segment = isinstance(fill, str) and fill == "segment"
    hidden = _segment_means(query.inputs, labels) if by_segment else fills(fill, query)
    maps = np.empty(query.inputs.shape[:-1], np.float32)
    for item, own in enumerate(labels):
        visible = np.random.default_rng(seed).integers(0, 2, (samples, own.max() + 1), np.int8)
        visible[0] = 1
        places, on = np.stack([own] * query.inputs.shape[-1], axis=-1), visible.astype(bool)
        ground = np.ascontiguousarray(hidden[item])

        def show(item, sample, out, places=places, on=on, ground=ground):
            out[...] = ground
            np.copyto(out, query.inputs[item], where=on[sample].take(places))

        values = [value for _, _, value in query.perturbed(range(samples), show, [item], "LIME")]
        fit = Ridge(alpha).fit(visible, values, sample_weight=proximity(visible, kernel_width))
        maps[item] = fit.coef_[own]
    return maps


def proximity(visible, kernel_width):
    """pi = sqrt(exp(-D^2 / width^2)), D = 1 - sqrt(share of visible segments), the cosine distance from all ones."""
    distance = 1 - np.sqrt(np.mean(visible, axis=1))
    return np.sqrt(np.exp(-((distance / kernel_width) ** 2)))


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
