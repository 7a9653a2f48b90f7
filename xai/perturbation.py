"""The perturbation family: occlusion, RISE, SISE, LIME. One float32 map per input at its own resolution.

Each changes the input and watches the score; none needs a gradient, except SISE to choose its maps. Shared arguments
(model, inputs, targets, score, seed, batch_size) are explained in `xai_utils`.
"""

import functools
import itertools

import numpy as np
import skimage

from xai import checks, local
from xai.core import BATCH_SIZE, Query, baselines, enlarged, interpolation, over_channels, seen_through

# --- occlusion --------------------------------------------------------------------------------------------------


def occlusion(
    model,
    inputs,
    targets=None,
    *,
    patch=None,
    stride=None,
    fill="middle",
    probability_map=False,
    score="logit",
    batch_size=BATCH_SIZE,
):
    """How much the score falls when a patch is covered.

    M(p) = mean over the patches that contain p of S_c(x) - S_c(x with the patch set to `fill`). With
    `probability_map` M(p) is the mean of the class probability under these patches: the map that the paper shows, low
    where the evidence is. `patch`, `stride`: samples or pixels, one number or one per axis; by default a seventh of
    each side and a quarter of the patch. The last patch touches the border. `fill`: "middle" of model.input_range (of
    each input's own range where the model has none), "zero", "mean", "blur", a number or an array. Raises `ValueError`
    for a patch larger than the input, a stride below 1 or larger than the patch, an unknown fill. Source: Zeiler and
    Fergus 2014, sec. 4.2.
    """
    checks.one_of("score", score, ("logit", "probability"))
    if checks.as_flag("probability_map", probability_map):
        score = "probability"
    query = Query(model, inputs, targets, score=score, batch_size=batch_size)
    space = query.inputs.shape[1:-1]
    patch = _per_axis("patch", patch, [max(1, round(side / 7)) for side in space], space)
    stride = _per_axis("stride", stride, [max(1, round(side / 4)) for side in patch], patch)
    covered = _fills(fill, query)
    windows = list(itertools.product(*map(_windows, space, patch, stride)))

    def cover(item, window, out):
        out[...] = query.inputs[item]
        if window < len(windows):
            out[windows[window]] = covered[item][windows[window]]

    total, times, whole = np.zeros(query.inputs.shape[:-1]), np.zeros(space), np.zeros(len(query.inputs))
    for window in windows:
        times[window] += 1
    # The same scores: from the changed part of each layer where the network allows, from whole passes where not.
    whole_passes = functools.partial(query.perturbed, range(len(windows) + 1), cover, label="occlusion")
    for item, window, value in local.covered_scores(query, windows, covered, "occlusion") or whole_passes():
        if window < len(windows):
            total[item][windows[window]] += value
        else:  # the last one covers nothing
            whole[item] = value
    mean = total / times
    return (mean if probability_map else whole.reshape(-1, *[1] * len(space)) - mean).astype(np.float32)


def _per_axis(name, value, default, limits):
    alone = checks.as_array(name, value).ndim == 0
    values = default if value is None else [value] * len(limits) if alone else list(value)
    if len(values) != len(limits):
        raise ValueError(f"{name}: got {value!r}; pass one integer, or one for each of the {len(limits)} axes.")
    return [checks.as_count(name, each, 1, limit) for each, limit in zip(values, limits, strict=True)]


def _windows(side, patch, stride):
    starts = sorted({*range(0, side - patch + 1, stride), side - patch})
    return [slice(start, start + patch) for start in starts]


def _fills(fill, query):
    """The values that hide: in the shape of the inputs."""
    axes = tuple(range(1, query.inputs.ndim))
    middle = (query.inputs.min(axis=axes, keepdims=True) + query.inputs.max(axis=axes, keepdims=True)) / 2
    known = getattr(query.recipe.base, "input_range", None)
    return baselines(fill, query.inputs, "fill", middle if known is None else sum(known) / 2)


# --- RISE -------------------------------------------------------------------------------------------------------


def rise(
    model,
    inputs,
    targets=None,
    *,
    masks=2000,
    grid=None,
    p=0.5,
    fill="zero",
    seed=0,
    score="probability",
    batch_size=BATCH_SIZE,
):
    """How the score depends, on average, on seeing a position, over random smooth masks.

    M(l) = 1/(n p) sum_i S_c(x * m_i + f * (1 - m_i)) (m_i(l) - mean m(l)), with n = `masks`. Each m_i is a grid of
    `grid` cells per axis (one number or one per axis, by default 7, or the side where that is less), kept with
    probability `p`, enlarged linearly and shifted at random. The paper's map lacks the
    mean of the masks, which only adds noise: with it a constant model has the map 0, and on a linear model M is in
    proportion to w * (x - f) summed over cells. The masks are the same for all inputs and are drawn as they are needed.
    Raises `ValueError` for masks < 2, grid < 1 or above the side, p outside (0, 1), an unknown fill. Source: Petsiuk,
    Das, Saenko 2018, eq. (6).
    """
    masks = checks.as_count("masks", masks, 2)
    p = checks.as_number("p", p, 0, 1, open_ends=True)
    seed = checks.as_count("seed", seed, 0)
    query = Query(model, inputs, targets, score=score, batch_size=batch_size)
    space = query.inputs.shape[1:-1]
    grid = _per_axis("grid", grid, [min(7, side) for side in space], space)
    hidden = _fills(fill, query)

    @functools.lru_cache(maxsize=query.batch_size)
    def mask(number):
        return random_mask(space, grid, p, np.random.default_rng([seed, number]))

    def point(item, number, out):
        seen_through(mask(number), query.inputs[item], hidden[item], out)

    change, sums, mean = np.zeros(query.inputs.shape[:-1]), np.zeros(len(query.inputs)), np.zeros(space)
    whole = query.scores().astype(np.float64)
    for item, number, value in query.perturbed(range(masks), point, label="RISE"):
        change[item] += (value - whole[item]) * mask(number)
        sums[item] += value - whole[item]
        if item == 0:
            mean += mask(number)
    mean /= masks
    # The score of the whole input is taken off everywhere: it does not change the sum, and keeps it exact.
    return ((change - sums.reshape(-1, *[1] * len(space)) * mean) / (masks * p)).astype(np.float32)


def random_mask(space, grid, p, generator):
    """One mask in [0, 1] of shape `space`: a random grid of 0 and 1, enlarged linearly, cut out at a random place.

    Cells of one position are not enlarged: each is a position of its own.
    """
    mask = (generator.random(grid) < p).astype(np.float32)
    for side, cells in zip(space, grid, strict=True):  # one axis after the other: the first goes last
        cell = -(-side // cells)
        places = (np.arange(side) + generator.integers(cell) + 0.5) * cells / ((cells + (cell > 1)) * cell) - 0.5
        mask = mask.T @ interpolation(side, cells, places).T
    return mask


# --- SISE -------------------------------------------------------------------------------------------------------


def sise(model, inputs, targets=None, *, layers=None, threshold=0.0, fill="zero", batch_size=BATCH_SIZE):
    """The network's own feature maps as masks, scored by the class probability, fused from the first block to the last.

    Per block: keep the maps whose mean gradient exceeds `threshold` times the largest one (and 0); scale each to
    [0, 1] at input resolution, m_k; V = sum_k p_c(x * m_k + f * (1 - m_k)) m_k, scaled to [0, 1]. From the first block
    to the last, with F = V of the first: F <- (F + V) * 1[V > Otsu threshold of V], scaled to [0, 1]. `layers`: names
    or layers, by default the last one at each resolution. Constant maps are left out; a block of which none is left is
    passed over, and a map for which no block is left is 0 and draws an `XAIWarning`. Values in [0, 1]. Raises
    `ValueError` for unknown layers or a threshold outside [0, 1). Source: Sattarzadeh et al. 2021, sec. 3.
    """
    threshold = checks.as_number("threshold", threshold, 0, 1)
    if threshold == 1:
        raise ValueError("threshold: got 1, which no map exceeds; pass a number from 0 to below 1.")
    query = Query(model, inputs, targets, score="probability", batch_size=batch_size)
    one = isinstance(layers, str) or hasattr(layers, "name") or not np.iterable(layers)
    named = [layers] if one else list(layers)
    layers = query.block_ends() if layers is None else [query.layer(layer) for layer in named]
    if not layers:
        raise ValueError("layers: no layer of this model keeps space, or none is named, so there is no map to make.")
    hidden = _fills(fill, query)
    maps = np.zeros(query.inputs.shape[:-1], np.float32)
    for item in range(len(query.inputs)):
        blocks = [_block_map(query, layer, item, threshold, hidden) for layer in layers]
        blocks = [_unit_range(block) for block in blocks if np.ptp(block) > 0]
        if blocks:
            maps[item] = functools.reduce(_fused, blocks)
        else:
            checks.warn(f"sise: no feature map of input {item} pushes its class; the map is 0. Cure: another target.")
    return maps


def _block_map(query, layer, item, threshold, hidden):
    """V: the chosen maps of one layer, each weighted by the probability of the class seen through it."""
    A, gradient = query.layer_gradient(layer, item)
    slopes = gradient.reshape(-1, gradient.shape[-1]).mean(axis=0)
    varied = np.ptp(A.reshape(-1, A.shape[-1]), axis=0) > 0
    chosen = np.flatnonzero(varied & (slopes > threshold * slopes.max()))  # none where all slopes are negative
    coarse = enlarged(np.moveaxis(A[..., chosen], -1, 0), query.inputs.shape[1:-1])
    masks = functools.lru_cache(query.batch_size)(lambda number: _unit_range(coarse(number)))

    def point(item, number, out):
        seen_through(masks(number), query.inputs[item], hidden[item], out)

    total = np.zeros(query.inputs.shape[1:-1])
    for _, number, value in query.perturbed(range(len(chosen)), point, [item], "SISE"):
        total += value * masks(number)
    return total


def _unit_range(values):
    return (values - values.min()) / np.ptp(values) if np.ptp(values) > 0 else np.zeros_like(values)


def _fused(F, V):
    """(F + V) where V is above its Otsu threshold, scaled to [0, 1]."""
    return _unit_range((F + V) * (V > skimage.filters.threshold_otsu(V)))


# --- LIME -------------------------------------------------------------------------------------------------------


def lime(
    model,
    inputs,
    targets=None,
    *,
    segments=None,
    samples=1000,
    fill="mean",
    kernel_width=0.25,
    alpha=1.0,
    seed=0,
    score="probability",
    batch_size=BATCH_SIZE,
):
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
    query = Query(model, inputs, targets, score=score, batch_size=batch_size)
    labels = _labels(segments, query.inputs)
    by_segment = isinstance(fill, str) and fill == "segment"
    hidden = _segment_means(query.inputs, labels) if by_segment else _fills(fill, query)
    maps = np.empty(query.inputs.shape[:-1], np.float32)
    for item, own in enumerate(labels):
        visible = np.random.default_rng(seed).integers(0, 2, (samples, own.max() + 1), np.int8)
        visible[0] = 1
        places, on = over_channels(own, query.inputs.shape[-1]), visible.astype(bool)

        def show(item, sample, out, places=places, on=on):
            out[...] = hidden[item]
            np.copyto(out, query.inputs[item], where=on[sample].take(places))

        values = [value for _, _, value in query.perturbed(range(samples), show, [item], "LIME")]
        fit = Ridge(alpha).fit(visible, values, sample_weight=proximity(visible, kernel_width))
        maps[item] = fit.coef_[own]
    return maps


def proximity(visible, kernel_width):
    """pi = sqrt(exp(-D^2 / width^2)), D = 1 - sqrt(share of visible segments), the cosine distance from all ones."""
    distance = 1 - np.sqrt(np.mean(visible, axis=1))
    return np.sqrt(np.exp(-((distance / kernel_width) ** 2)))


def superpixels(inputs, count=None):
    """Return segment labels 0, 1, ... for each input: SLIC superpixels of images, equal stretches of signals.

    `count`: how many are wanted, by default 100 for images and a fifth of the samples, 5 to 10, for signals; SLIC
    comes close to it. Where colours are so rough that fewer than 60 % come out, the pieces are made more compact. The
    range of an image's values does not matter: SLIC scales it to [0, 1]. Returns ints (N, H, W) or (N, T). Raises
    `ValueError` for count < 2. Source: Achanta et al. 2012.
    """
    inputs = checks.as_numbers("inputs", inputs)
    if inputs.ndim not in (3, 4) or inputs.size == 0 or not np.isfinite(inputs).all():
        raise ValueError(f"inputs: got shape {inputs.shape}; pass finite inputs (N, H, W, C) or (N, T, C).")
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
            raise ValueError(
                f"segments: got {labels.dtype} of shape {labels.shape}; pass integer labels {inputs.shape[:-1]} "
                f"or {inputs.shape[1:-1]}, or their number."
            )
        labels = np.broadcast_to(labels, inputs.shape[:-1])
    labels = np.stack([np.unique(own, return_inverse=True)[1].reshape(own.shape) for own in labels])
    fewest = min(own.max() + 1 for own in labels)
    if fewest < 2:
        raise ValueError("segments: an input has only one segment, so nothing can be hidden. Cure: more segments.")
    if fewest < 5:
        checks.warn(f"segments: an input has only {fewest}; the map will be coarse. Cure: segments=100, or your own.")
    return labels


def _segment_means(inputs, labels):
    means = np.empty_like(inputs)
    for image, own, mean in zip(inputs, labels, means, strict=True):
        for label in range(own.max() + 1):
            mean[own == label] = image[own == label].mean(axis=0)
    return means


def pros_and_cons(attribution, segments, count=5):
    """Return the boolean masks of the `count` segments that speak most for the class, and most against it.

    `attribution` and `segments` of one input, in one shape; only segments above 0 are pros, only below 0 cons. Raises
    `ValueError` for shapes that differ.
    """
    count = checks.as_count("count", count)
    attribution, segments = checks.as_numbers("attribution", attribution), checks.as_array("segments", segments)
    if not np.isfinite(attribution).all():
        raise ValueError("attribution: has NaN or infinite values; look at the map first.")
    if segments.dtype.kind not in "iu" or not segments.ndim:
        raise TypeError(f"segments: got {segments.dtype} of shape {segments.shape}; pass integer labels.")
    if attribution.shape != segments.shape:
        raise ValueError(f"segments: got shape {segments.shape}; the attribution has {attribution.shape}.")
    labels = np.unique(segments)
    values = np.array([attribution[segments == label].mean() for label in labels])
    order = np.argsort(-values, kind="stable")
    pros = [label for label, value in zip(labels[order[:count]], values[order[:count]], strict=True) if value > 0]
    last = order[::-1][:count]
    cons = [label for label, value in zip(labels[last], values[last], strict=True) if value < 0]
    return np.isin(segments, pros), np.isin(segments, cons)
