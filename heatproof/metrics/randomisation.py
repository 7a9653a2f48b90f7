"""Is a map about what the network has learned? It should change when the weights are shuffled."""

from collections.abc import Callable, Iterator

import keras
import numpy as np
import numpy.typing as npt
import scipy
import skimage

from heatproof import checks
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.views import recipe_of
from heatproof.problems import ArgumentTypeError, ArgumentValueError


def randomised(model: keras.Model, *, seed: int = 0) -> Iterator[tuple[str, keras.Model]]:
    """Yield (layer's name, copy of the model) with more and more layers' weights shuffled, from the output down.

    First the last layer's weights are shuffled, then also those of the layer before, and so on: the "cascading
    randomisation" of Adebayo et al. 2018, sec. 3, with a permutation of each weight array in place of new draws, so
    that the spread of the weights stays. It is one copy that changes from step to step: use it before you ask for the
    next. The model itself is not touched. Raises `TypeError` for a subclassed model, which Keras cannot
    copy; `ValueError` for a model without weights.
    """
    recipe_of(model)
    generator = np.random.default_rng(checks.as_count("seed", seed, 0))
    try:
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
    except (ValueError, TypeError, NotImplementedError) as error:
        given = f"{type(model).__name__}, which Keras cannot copy ({error})"
        raise ArgumentTypeError("model", given, cure="pass a functional or Sequential model") from error
    copy.input_range = getattr(model, "input_range", None)
    layers = [layer for layer in copy._flatten_layers() if layer.weights and not hasattr(layer, "layers")]
    if not layers:
        raise ArgumentValueError("model", "one that has no weights", "a model with weights to shuffle")
    for layer in reversed(layers):
        layer.set_weights([generator.permutation(w.ravel()).reshape(w.shape) for w in layer.get_weights()])
        yield layer.name, copy


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


def _unit_magnitude(maps):
    """Each map divided by its largest magnitude; an all-zero map stays zero."""
    largest = np.abs(maps).max(axis=tuple(range(1, maps.ndim)), keepdims=True)
    return np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0)


def _maps(name, one, other):
    one, other = checks.as_finite("one", one), checks.as_finite(name, other)
    if one.ndim < 2 <= other.ndim:
        raise ArgumentValueError("one", f"shape {one.shape}", "maps with their batch axis, (N, ...)")
    if one.shape != other.shape or one.ndim < 2:
        allowed = f"(N, ...), the same for both; the first has {one.shape}"
        raise ArgumentValueError(name, f"shape {other.shape}", allowed)
    return one, other
