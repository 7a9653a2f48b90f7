"""Expected Gradients: Integrated Gradients from every input of a background at once, by chance.

One float32 map in the shape of the inputs, raw and signed. Shared arguments (model, inputs, targets, score, seed,
batch_size) are explained in `xai_utils`.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from heatproof import batches, checks
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import LOGIT
from heatproof.hiding import by_name
from heatproof.problems import ArgumentValueError

WORDS = ("shuffled", "uniform", "constant")


def expected_gradients(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    background: str | npt.ArrayLike = "shuffled",
    samples: int = 100,
    seed: int = 0,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Integrated Gradients, averaged over a background of inputs x' in place of one baseline.

    M = mean_k (x - x'_k) * dS_c/dx (x'_k + a_k (x - x'_k)) over n = `samples` draws. Its sum tends to S_c(x) minus the
    mean of S_c over the background. `background`: float inputs (K, H, W, C) or (K, T, C) of the kind that the model was
    trained on, each drawn equally often where K divides n: then M = w * (x - mean x') of a linear model. Without data,
    a word: "shuffled" (the positions of the input in random order: no value that the input does not have, and no range
    to be known), "uniform" (each value by itself, uniform in model.input_range, or in the input's own range where the
    model has none) or "constant" (one such value for the whole input). a_k: uniform in the k-th of n equal parts of
    [0, 1]. The draws are the same for all inputs. In units of the score; 0 for an input that is all of its background.
    Raises `TypeError`, `ValueError` for a background that `inputs` could not be, an unknown word, samples < 1. Source:
    Erion et al. 2021; "uniform": Sturmfels, Lundberg, Lee 2020.
    """
    samples, seed = checks.as_count("samples", samples), checks.as_count("seed", seed, 0)
    options: dict[str, Any] = {"score": score, "activation": activation, "head": head, "only": only}
    query = Query(model, inputs, targets, batch_size=batch_size, **options)
    generator = np.random.default_rng([seed, samples])  # beside those of the single draws, [seed, 0] to [seed, n - 1]
    alphas = ((np.arange(samples) + generator.random(samples)) / samples).tolist()  # Python's floats keep float32
    start = _start(background, query, samples, seed)
    total = np.zeros(query.inputs.shape, np.float64)

    def point(item, sample, out):
        nothing = start(item, sample)
        np.subtract(query.inputs[item], nothing, out=out)
        out *= alphas[sample]
        out += nothing

    for item, sample, gradient in query.gradients(range(samples), point, label="Expected Gradients"):
        total[item] += (query.inputs[item] - start(item, sample)) * gradient
    return query.in_form((total / samples).astype(np.float32))


def _start(background, query, samples, seed) -> Callable[[int, int], np.ndarray]:
    """start(item, sample), the x' of a draw; of several inputs those of each, of one draw of the background."""
    several = len(query.parts()) > 1
    starts = []
    for name, part in query.parts():
        own = by_name("background", background, name)
        known = None if several else query.input_range
        starts.append((_by_word if isinstance(own, str) else _of_set)(own, part, known, samples, seed))
    if not several:
        return starts[0]
    return lambda item, sample: np.concatenate([start(item, sample).ravel() for start in starts])


def _of_set(background, inputs, known, samples, seed) -> Callable[[int, int], np.ndarray]:
    """start(item, sample): the whole set in random order, then again in another."""
    chosen = batches.as_inputs(background, (None, *inputs.shape[1:]), known, "background")
    chosen, generator = chosen.astype(inputs.dtype, copy=False), np.random.default_rng([seed, samples, 1])
    order = np.concatenate([generator.permutation(len(chosen)) for _ in range(-(-samples // len(chosen)))])
    return lambda item, sample: chosen[order[sample]]


def _by_word(word, inputs, known, samples, seed) -> Callable[[int, int], np.ndarray]:
    """start(item, sample) without data."""
    checks.one_of("background", word, WORDS)
    shape = inputs.shape[1:]
    if len(shape) == 1:
        given = f"{word!r} for features (N, F), which have no positions and each a unit of its own"
        raise ArgumentValueError("background", given, cure="an array of features (K, F), such as those of training")
    places = int(np.prod(shape[:-1]))
    low, high = _range(inputs, known)

    @functools.lru_cache(64)  # for the draws of a chunk, which are asked for twice
    def drawn(sample):
        generator = np.random.default_rng([seed, sample])
        if word == "shuffled":
            return generator.permutation(places)
        return generator.random((1,) * len(shape) if word == "constant" else shape, np.float32)

    def start(item, sample):
        if word == "shuffled":
            return inputs[item].reshape(places, -1)[drawn(sample)].reshape(shape)
        return np.broadcast_to(low[item] + (high[item] - low[item]) * drawn(sample), shape)

    return start


def _range(inputs, known):
    """The lowest and the highest value that each input may have."""
    if known is None:
        axes = tuple(range(1, inputs.ndim))
        return inputs.min(axis=axes), inputs.max(axis=axes)
    return np.repeat(np.array(known, inputs.dtype)[:, None], len(inputs), axis=1)
