"""Is a map about what the network has learned? It should change when the weights are shuffled."""

from collections.abc import Callable, Iterator

import keras
import numpy as np
import numpy.typing as npt
import scipy
import skimage

from heatproof import checks
from heatproof.engine.copies import copied
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.views import recipe_of
from heatproof.problems import ArgumentValueError

ORDERS = ("top_down", "bottom_up", "independent")
DRAWS = ("shuffle", "initialiser")


def randomised(
    model: keras.Model, *, order: str = "top_down", draws: str = "shuffle", seed: int = 0
) -> Iterator[tuple[str, keras.Model]]:
    """Yield (layer's name, copy of the model) with the weights of one layer after another made random.

    `order`: "top_down" begins with the last layer and goes on to those before it, and what is random stays random: the
    cascading randomisation of Adebayo et al. 2018, sec. 3. "bottom_up" does the same from the first layer on.
    "independent" leaves all layers but one as they were trained. `draws`: "shuffle" permutes the values of each weight
    array, so that their spread stays; "initialiser" draws each array as the layer did before training, with a seed of
    its own. It is one copy that changes from step to step: use it before you ask for the next. The model itself is not
    touched. Raises `TypeError` for a subclassed model, which Keras cannot copy; `ValueError` for a model without
    weights, or where a layer does not name the initialiser of a weight.
    """
    recipe_of(model)
    checks.one_of("order", order, ORDERS)
    checks.one_of("draws", draws, DRAWS)
    generator = np.random.default_rng(checks.as_count("seed", seed, 0))
    copy = copied(model)
    layers = [layer for layer in copy._flatten_layers() if layer.weights and not hasattr(layer, "layers")]
    if not layers:
        raise ArgumentValueError("model", "one that has no weights", "a model with weights to shuffle")
    begun = {} if draws == "shuffle" else {layer.name: _initialisers(layer) for layer in layers}
    for layer in layers if order == "bottom_up" else reversed(layers):
        trained = layer.get_weights()
        layer.set_weights(_drawn(layer, begun[layer.name], generator) if begun else _shuffled(layer, generator))
        yield layer.name, copy
        if order == "independent":
            layer.set_weights(trained)


def _shuffled(layer, generator):
    return [generator.permutation(w.ravel()).reshape(w.shape) for w in layer.get_weights()]


def _initialisers(layer):
    """What each weight of a layer began as; `recurrent_kernel` is made by `recurrent_initializer`."""
    found = []
    for weight in layer.weights:
        names = [f"{name}_initializer" for name in (weight.name, weight.name.removesuffix("_kernel"))]
        made = [getattr(layer, name, None) for name in names]
        if not any(isinstance(each, keras.initializers.Initializer) for each in made):
            given = f"'initialiser', but layer {layer.name!r} names none for its weight {weight.name!r}"
            raise ArgumentValueError("draws", given, cure="draws='shuffle'")
        found.append(next(each for each in made if isinstance(each, keras.initializers.Initializer)))
    return found


def _drawn(layer, initialisers, generator):
    """New values of each weight; a random initialiser repeats itself unless its seed is another."""
    found = []
    for weight, initialiser in zip(layer.weights, initialisers, strict=True):
        config = initialiser.get_config()
        if "seed" in config:
            initialiser = type(initialiser).from_config(config | {"seed": int(generator.integers(2**31))})
        found.append(keras.ops.convert_to_numpy(initialiser(weight.shape, dtype=weight.dtype)))
    return found


def randomisation(
    method: Callable,
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    **options: object,
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """How much of a map is left when the network's weights are shuffled, layer by layer, from the output down.

    `method`: a function of the catalogue, `options` its options; channels are summed. The class explained is that of
    the whole network. Returns (names of the layers in the order of shuffling, structural similarity (N, L), Spearman's
    correlation (N, L)) of each map with the map of the network as it is. A map that stays alike cannot speak of what
    the network has learned. Raises as `randomised` and the method do. Source: Adebayo et al. 2018, sec. 3.
    """
    checks.as_method(method)
    seed = checks.as_count("seed", seed, 0)
    query = Query(model, inputs, targets, batch_size=batch_size)

    def explain(network):
        maps = method(network, query.inputs, query.targets, batch_size=batch_size, **options)
        return maps.sum(axis=-1) if maps.ndim == query.inputs.ndim else maps

    whole, names, alike, ranked = explain(model), [], [], []
    for name, copy in randomised(model, seed=seed):
        maps = explain(copy)
        names.append(name)
        alike.append(similarity(whole, maps))
        ranked.append(rank_correlation(whole, maps))
    return names, np.stack(alike, axis=1), np.stack(ranked, axis=1)


def rank_correlation(one: npt.ArrayLike, other: npt.ArrayLike) -> np.ndarray:
    """Spearman's correlation of two arrays of maps, map by map: 1 for the same order of values, -1 for the reverse.

    `one`, `other`: (N, ...), equal shapes. NaN where a map is constant. Returns (N,). Raises `ValueError` for shapes
    that differ or NaN.
    """
    one, other = _maps("other", one, other)
    found = []
    for a, b in zip(one, other, strict=True):
        varied = np.ptp(a) > 0 and np.ptp(b) > 0
        found.append(scipy.stats.spearmanr(a.ravel(), b.ravel()).statistic if varied else np.nan)
    return np.array(found)


def similarity(one: npt.ArrayLike, other: npt.ArrayLike) -> np.ndarray:
    """Structural similarity of two arrays of maps, each divided by its largest magnitude: 1 for equal pictures.

    `one`, `other`: (N, H, W) or (N, T), equal shapes, signed or not; sum the channels of a gradient method first. The
    window has 7 positions a side, or as many as fit. Returns (N,). Raises `ValueError` for shapes that differ, NaN, or
    a side below 3. Source: Wang et al. 2004; on maps Adebayo et al. 2018.
    """
    one, other = (_unit_magnitude(maps) for maps in _maps("other", one, other))
    side = min(one.shape[1:])
    if side < 3:
        raise ArgumentValueError("one", f"shape {one.shape}", "maps with sides of 3 or more")
    window = min(7, side - 1 + side % 2)
    pairs = zip(one, other, strict=True)
    return np.array([skimage.metrics.structural_similarity(a, b, win_size=window, data_range=2.0) for a, b in pairs])


def hog_similarity(one: npt.ArrayLike, other: npt.ArrayLike) -> np.ndarray:
    """Pearson's correlation of the histograms of oriented gradients of two arrays of maps: are the outlines alike?

    `one`, `other`: (N, H, W), equal shapes; sum the channels of a gradient method first. Nine orientations in cells of
    8 x 8 positions, or of an eighth of the shorter side where a map is smaller, each normalised with its neighbours in
    blocks of 3 x 3. An orientation has no sign, so the negative of a map is as like it as the map itself. NaN where a
    map is constant. Returns (N,). Raises `ValueError` for shapes that differ, NaN, signals, or a side below 3. Source:
    Dalal and Triggs 2005; on maps Adebayo et al. 2018.
    """
    one, other = (_unit_magnitude(maps) for maps in _maps("other", one, other))
    if one.ndim != 3 or min(one.shape[1:]) < 3:
        allowed = "maps (N, H, W) with sides of 3 or more; a signal has no orientations"
        raise ArgumentValueError("one", f"shape {one.shape}", allowed)
    cell = max(1, min(8, min(one.shape[1:]) // 8))
    cells = {"pixels_per_cell": (cell, cell), "cells_per_block": (min(3, min(one.shape[1:]) // cell),) * 2}
    found = []
    for pair in zip(one, other, strict=True):
        a, b = (skimage.feature.hog(each, orientations=9, **cells) for each in pair)
        found.append(np.corrcoef(a, b)[0, 1] if np.ptp(a) > 0 and np.ptp(b) > 0 else np.nan)
    return np.array(found)


def map_entropy(maps: npt.ArrayLike, bins: int = 100) -> np.ndarray:
    """How evenly the values of each map are spread over their range: the entropy of their histogram, in nats.

    H = -sum_b p_b ln p_b, p_b the share of the positions whose value lies in the b-th of `bins` equal parts of the
    range of the map; 0 for a constant map, ln `bins` at most. `maps`: (N, ...). Returns (N,). Raises `ValueError` for
    NaN, or maps without their batch axis. Source: Hedstrom, Weber, Lapuschkin, Hohne 2024, sec. 3.
    """
    maps, bins = checks.as_finite("maps", maps), checks.as_count("bins", bins)
    if maps.ndim < 2 or not maps[:1].size:
        raise ArgumentValueError("maps", f"shape {maps.shape}", "maps with their batch axis, (N, ...)")
    return np.array([scipy.stats.entropy(np.histogram(each, bins)[0]) for each in maps])


def entropy_rise(before: npt.ArrayLike, after: npt.ArrayLike, bins: int = 100) -> np.ndarray:
    """How much more evenly a map's values are spread once the network is random, as a share of what it was before.

    (H(after) - H(before)) / H(before), H the `map_entropy`; NaN where the map before is constant. `before`, `after`:
    (N, ...). Returns (N,). Raises as `map_entropy`, and `ValueError` for shapes that differ. Source: Hedstrom, Weber,
    Lapuschkin, Hohne 2024, sec. 3 (eMPRT).
    """
    before, after = _maps("after", before, after, first="before")
    bins = checks.as_count("bins", bins)
    one, other = map_entropy(before, bins), map_entropy(after, bins)
    return np.divide(other - one, one, out=np.full(len(one), np.nan), where=one > 0)


def _unit_magnitude(maps):
    """Each map divided by its largest magnitude; an all-zero map stays zero."""
    largest = np.abs(maps).max(axis=tuple(range(1, maps.ndim)), keepdims=True)
    return np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0)


def _maps(name, one, other, first="one"):
    one, other = checks.as_finite(first, one), checks.as_finite(name, other)
    if one.ndim < 2 <= other.ndim:
        raise ArgumentValueError(first, f"shape {one.shape}", "maps with their batch axis, (N, ...)")
    if one.shape != other.shape or one.ndim < 2:
        allowed = f"(N, ...), the same for both; the first has {one.shape}"
        raise ArgumentValueError(name, f"shape {other.shape}", allowed)
    return one, other
