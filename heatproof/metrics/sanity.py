"""Sanity checks: does a map depend on what the network has learned, and on the labels it has learned from?

A map that stays as it was when the weights are random (`parameter_test`), or when the network was trained on shuffled
labels (`data_test`), cannot tell what was learned. How alike is alike? Two floors say it: the edges of the input, which
look at no network, and numbers drawn anew for every network.
"""

import zlib
from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from heatproof import checks
from heatproof.engine.query import BATCH_SIZE, Query, scores
from heatproof.engine.readings import PROBABILITY
from heatproof.metrics import randomisation
from heatproof.metrics.cases import BASELINES
from heatproof.problems import ArgumentTypeError, ArgumentValueError

COLUMNS = ["step", "layer", "item", "measure", "value"]


def parameter_test(
    method: Callable,
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    order: str = "top_down",
    draws: str = "shuffle",
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    **options: object,
) -> pd.DataFrame:
    """How much of a map is left while a network's weights are made random, and how much of the network is left.

    `method`: a function of the catalogue, `options` its options; channels are summed. `order`, `draws`: as in
    `randomised`. Returns a table with a row for each step, item and measure, columns step (0: the network as it is),
    layer (the one made random last), item, measure, value:

    rank_correlation, similarity    with the map of step 0: Spearman's, and the structural similarity
    ..._of_magnitudes               the same of the maps without their signs, which can only tell less
    hog_similarity                  of the outlines, for maps (N, H, W)
    entropy_rise                    against step 0: see `entropy_rise`
    score                           the probability of the class that is explained, or the number that a model predicts

    The class explained is that of the network as it is. Where `score` stays, the function is not broken yet, and a map
    that stays says nothing against the method. Raises as `randomised` and the method do. Source: Adebayo et al. 2018,
    sec. 3; entropy: Hedstrom, Weber, Lapuschkin, Hohne 2024.
    """
    checks.as_method(method)
    checks.one_of("order", order, randomisation.ORDERS)
    checks.one_of("draws", draws, randomisation.DRAWS)
    seed = checks.as_count("seed", seed, 0)
    changed = randomisation.randomised(model, order=order, draws=draws, seed=seed)
    return compared(method, model, changed, inputs, targets, batch_size, options)


def data_test(
    method: Callable,
    model: keras.Model,
    other: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    batch_size: int = BATCH_SIZE,
    **options: object,
) -> pd.DataFrame:
    """How alike the maps of two networks are: of `model`, and of one trained on the same inputs with shuffled labels.

    Returns the table of `parameter_test` with the steps 0 (`model`) and 1 (`other`). A map that is the same for both
    does not depend on the relation of inputs and labels. Raises `TypeError`, `ValueError` for an `other` that is no
    model or takes other inputs or classes, and as the method does. Source: Adebayo et al. 2018, sec. 4.
    """
    checks.as_method(method)
    if not isinstance(other, keras.Model):
        raise ArgumentTypeError("other", checks.shown(other), "a Keras model with the inputs and classes of `model`")
    if isinstance(model, keras.Model):
        theirs, ours = ((each.input_shape[1:], each.output_shape[1:]) for each in (other, model))
        if theirs != ours:
            given, allowed = ("inputs {}, outputs {}".format(*shapes) for shapes in (theirs, ours))
            raise ArgumentValueError("other", given, f"{allowed}, as `model`")
    return compared(method, model, [(other.name, other)], inputs, targets, batch_size, options)


def compared(method, model, changed, inputs, targets, batch_size, options):
    """The table of a network and of what it is changed to, {(layer, network)}."""
    with checks.once():
        activation = options.get("activation")
        query = Query(model, inputs, targets, score=PROBABILITY, activation=activation, batch_size=batch_size)
        reading = {"score": query.score.kind, "batch_size": batch_size}
        reading |= {"activation": query.score.activation} if query.score.kind == "probability" else {}
        whole, rows = None, []
        for step, (layer, network) in enumerate(_first(model, changed)):
            maps = np.asarray(method(network, query.inputs, query.targets, batch_size=batch_size, **options))
            maps = maps.sum(axis=-1) if maps.ndim == query.inputs.ndim else maps
            whole = maps if whole is None else whole
            measured = _likeness(whole, maps)
            measured["score"] = scores(network, query.inputs, query.targets, **reading)
            for measure, values in measured.items():
                rows += [(step, layer, item, measure, float(value)) for item, value in enumerate(values)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _first(model, changed):
    yield "", model
    yield from changed


def _likeness(whole, maps):
    found: dict[str, np.ndarray] = {}
    for name in ("rank_correlation", "similarity"):
        measure = getattr(randomisation, name)
        found |= {name: measure(whole, maps), f"{name}_of_magnitudes": measure(np.abs(whole), np.abs(maps))}
    if whole.ndim == 3:
        found["hog_similarity"] = randomisation.hog_similarity(whole, maps)
    return found | {"entropy_rise": randomisation.entropy_rise(whole, maps)}


def noise_averaged(method: Callable, *, samples: int = 50, noise: float = 0.2, seed: int = 0) -> Callable:
    """A method whose map is the mean of a method's maps of noisy inputs: less noise in what is compared.

    M(x) = 1/n sum_k m(x + e_k), e_k ~ N(0, sigma^2), sigma = `noise` * (max x - min x) of each input, n = `samples`;
    the same noise serves every input, and the class is that of x. `parameter_test` of it is the smooth test (sMPRT) of
    the source. Returns a function of (model, inputs, targets) and the options of `method`. Raises `TypeError`,
    `ValueError` for samples < 1 or noise < 0. Source: Hedstrom, Weber, Lapuschkin, Hohne 2024, sec. 3.
    """
    checks.as_method(method)
    samples, noise = checks.as_count("samples", samples), checks.as_number("noise", noise, 0)
    seed = checks.as_count("seed", seed, 0)

    def averaged(model, inputs, targets=None, *, batch_size=BATCH_SIZE, **options):
        with checks.once():
            query = Query(model, inputs, targets, batch_size=batch_size)
            x, axes = query.inputs, tuple(range(1, query.inputs.ndim))
            width = noise * (x.max(axis=axes, keepdims=True) - x.min(axis=axes, keepdims=True))
            generator, total = np.random.default_rng(seed), np.zeros(1)
            for _ in range(samples):
                near = (x + width * generator.standard_normal(x.shape[1:])).astype(x.dtype)
                total = total + np.asarray(method(model, near, query.targets, batch_size=batch_size, **options), float)
        return (total / samples).astype(np.float32)

    return averaged


def edge_map(
    model: keras.Model, inputs: npt.ArrayLike, targets: npt.ArrayLike | None = None, *, batch_size: int = BATCH_SIZE
) -> np.ndarray:
    """The edges of each input: a map that looks at no network, and so stays whatever happens to it.

    The magnitude of Sobel's gradient of the mean over channels, (N, H, W) or (N, T). It stands where the methods stand,
    with their arguments. Raises as they do.
    """
    query = Query(model, inputs, targets, batch_size=batch_size)
    return BASELINES["edge"](query.inputs, (), 0).astype(np.float32)


def random_map(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Numbers drawn from N(0, 1) anew for every network and every input: a map of which nothing ever stays.

    Equal weights, inputs and `seed` give equal numbers. (N, H, W) or (N, T). Raises as the methods do.
    """
    query, seed = Query(model, inputs, targets, batch_size=batch_size), checks.as_count("seed", seed, 0)
    weights = zlib.crc32(b"".join(weight.tobytes() for weight in model.get_weights()))
    found = [
        np.random.default_rng([seed, weights, zlib.crc32(one.tobytes())]).standard_normal(one.shape[:-1])
        for one in query.inputs
    ]
    return np.stack(found).astype(np.float32)
