"""An explanation in words: a sentence about a picture, how likely the captioner finds it, and for each word a map.

Shared arguments (model, inputs, targets, batch_size) are explained in `xai_utils`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.methods.gradients import saliency
from heatproof.problems import ArgumentTypeError


class InWords(NamedTuple):
    """Sentences about N inputs, and where each of their words comes from.

    sentences:           N texts
    log_probabilities:   (N,) float64, log p of each sentence, its end included
    words:               N lists of the words, without the end
    word_log_probabilities: N arrays (T_n,), log p of each of these words behind those before it
    maps:                N arrays (T_n, ...), of each word a map as `method` gives it
    """

    sentences: list[str]
    log_probabilities: np.ndarray
    words: list[list[str]]
    word_log_probabilities: list[np.ndarray]
    maps: list[np.ndarray]


def explain_in_words(
    model: keras.Model,
    captioner: Any,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    sentences: Sequence[str] | None = None,
    method: Callable = saliency,
    decoding: str = "greedy",
    width: int = 3,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
) -> InWords:
    """Say in a sentence why a picture is what the network calls it, and show where each word of it comes from.

    w_t ~ p(w_t | w_<t, f(x), c), with f(x) what the network's head reads and c its class (`targets`); the map of word
    t explains the number log p(w_t | w_<t, f(x), c) as a function of x, through captioner and network. What is
    explained is the sentence, not the decision: the network decided without it. `captioner` is what
    `xu.load_captioner` gives, trained on this very model; `sentences` are explained in place of its own. `method`, of
    the gradient, CAM or perturbation families, is called with the two as one network. `decoding`, `width`, `seed` as
    in `captioner.write`. Raises `ValueError` for a captioner of another network, and for sentences that are empty, too
    long, or of unknown words. Source: Hendricks et al. 2016; the maps: Simonyan et al. 2014, asked of a word.
    """
    if not all(hasattr(captioner, name) for name in ("check", "write", "joined", "vocabulary")):
        raise ArgumentTypeError("captioner", checks.shown(captioner), "what xu.load_captioner gives")
    checks.as_method(method)
    captioner.check_decoding(decoding, width, seed)
    query = Query(model, inputs, targets, batch_size=batch_size)
    captioner.check(model)
    ids = None if sentences is None else captioner.encode(sentences, len(query.inputs))
    classes = query.targets.astype(np.int32)
    features = captioner.features(model, query.inputs, batch_size)
    if ids is None:
        ids = captioner.write(features, classes, decoding, width=width, seed=seed)
    log_p = captioner.log_probabilities(ids, features, classes)
    rows, places = captioner.spoken(ids)
    given = [query.inputs[rows], ids[rows], classes[rows]]
    maps = np.zeros((0, *query.inputs.shape[1:]), np.float32)  # of sentences without a word
    if len(rows):
        maps = method(captioner.joined(model), given, places, score="value", only=0, batch_size=batch_size)
    counts = np.bincount(rows, minlength=len(ids))
    cuts = np.cumsum(counts)[:-1]
    spoken = [captioner.vocabulary.words[number] for number in ids[:, 1:][rows, places]]
    return InWords(
        captioner.vocabulary.decode(ids),
        log_p.sum(axis=1),
        [spoken[stop - count : stop] for stop, count in zip(np.cumsum(counts), counts, strict=True)],
        np.split(log_p[rows, places], cuts),
        np.split(maps, cuts),
    )
