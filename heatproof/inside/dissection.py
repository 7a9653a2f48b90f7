"""Network dissection: for which nameable concept does a unit stand, and how far can that be told.

Shared arguments (model, layer, batch_size) are explained in `xai_utils`.
"""

import functools
import os
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from heatproof import checks
from heatproof.data.concepts import Concepts, has_whole_part
from heatproof.engine.query import BATCH_SIZE
from heatproof.enlarging import resize
from heatproof.inside import tallies
from heatproof.inside.checkpoints import Checkpoint, question
from heatproof.inside.search import check_sources, numbered
from heatproof.inside.streams import Inputs, Stream
from heatproof.problems import ArgumentTypeError, ArgumentValueError, ArgumentWarning


class Dissection(NamedTuple):
    """What `dissect` found of the units (channels) of a layer.

    table:      one row per unit: unit, concept and category (empty where nothing is shared), iou, ceiling, p_value,
                low, high, detector (iou above the threshold), threshold (T), share (of all pixels in its mask)
    iou:        (units, concepts) float64
    ceiling:    (units, concepts) float64, what each of these can be at most
    thresholds: (units,) float32, T
    """

    table: pd.DataFrame
    iou: np.ndarray
    ceiling: np.ndarray
    thresholds: np.ndarray


def dissect(
    model: keras.Model,
    layer: str | keras.layers.Layer | None,
    inputs: Inputs,
    concepts: Concepts,
    *,
    quantile: float = 0.005,
    threshold: float = 0.04,
    draws: int = 100,
    sources: npt.ArrayLike | None = None,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    batch_size: int = BATCH_SIZE,
) -> Dissection:
    """Compare where each unit of a layer is most active with where each concept is, over a whole data set.

    T_k is the quantile of the unit's answers at all positions of all inputs, P(a_k > T_k) = `quantile`, exactly. Its
    mask is M_k = up(A_k) > T_k, A_k being enlarged linearly to the size of the concept masks L_c, each position in
    the middle of its receptive field. IoU_k,c = sum |M_k and L_c| / sum |M_k or L_c|, both sums over the inputs that
    are labelled for the category of c. The unit is a detector of its best concept if that IoU is above `threshold`.
    Beside it: the ceiling min(p, q) / max(p, q), for a mask on a share q and a concept on a share p of the pixels
    that are counted; the share of `draws` in which the best of all concepts does as well when the inputs of each
    category exchange their labels, (1 + how often) / (1 + draws); and the interval that holds 95 % of the IoU when
    the `sources` (N,), inputs that belong together, or the inputs themselves are drawn with replacement.
    `inputs` are the pictures of `concepts` in the model's units, an array or batches that can be gone through twice:
    two passes. Memory: a batch, `quantile` of the answers, and, unless `draws` is 0, a list of the pixels of M.
    Into `folder` goes a checkpoint every half minute and at the end of each pass: the same call, or one with another
    threshold, seed or sources, goes on from there and ends with the same bits. One of another model, layer, inputs,
    concepts, quantile, batch size or code, or with draws where there were none, is refused. A T of 0 is warned of: then
    fewer than `quantile` of the answers are above it. Raises `ValueError` for masks of another size and for fewer than
    1 / `quantile` positions. Source: Bau et al. 2017, sec. 2.
    """
    quantile = checks.as_number("quantile", quantile, 0, 1, True)
    threshold, draws = checks.as_number("threshold", threshold, 0, 1), checks.as_count("draws", draws, 0)
    random, groups = np.random.default_rng(checks.as_count("seed", seed, 0)), numbered(sources)
    folder = None if folder is None else checks.as_path("folder", folder, "folder")
    stream = Stream(model, layer, inputs, batch_size)
    place = _check_concepts(concepts, stream)
    check_sources(groups, len(concepts))
    settings = {"quantile": quantile, "batch_size": stream.batch_size, "draws": draws > 0}
    kept = Checkpoint(folder, lambda: question(model, place.layer.name, concepts, **settings))
    T = _thresholds(stream, concepts, quantile, kept)
    tally, found = _tally(stream, concepts, T, kept, keep=draws > 0)
    best = tally.iou().argmax(axis=1)
    spread = np.full((3, len(T)), np.nan)
    if draws:
        observed = tally.iou().max(axis=1)
        spread[0] = (1 + (tallies.permuted(tally, found, draws, random) >= observed).sum(axis=0)) / (1 + draws)
        weights = _weights(groups, len(concepts), draws, random)
        spread[1:] = np.percentile(tallies.resampled(tally, found, best, weights), (2.5, 97.5), axis=0)
    table = _table(tally, best, spread, T, threshold)
    return Dissection(table, tally.iou(), tally.ceiling(), T)


def _check_concepts(concepts, stream):
    """Refuses what does not fit together; the layer as a place."""
    if not isinstance(concepts, Concepts):
        allowed = "an xu.Concepts, such as xu.concept_pictures(100)"
        raise ArgumentTypeError("concepts", type(concepts).__name__, allowed)
    if absent := [name for name, area in zip(concepts.names, concepts.areas, strict=True) if not area]:
        raise ArgumentValueError("concepts", f"{absent[0]!r} on no picture", "concepts that are there", "leave it out")
    stream.check_again()
    _, first = next(stream.queries())
    if first.inputs.ndim != 4:
        raise ArgumentValueError("model", f"one of inputs of shape {first.inputs.shape}", "a model of images")
    if not has_whole_part(first.inputs.shape[1:3], concepts.size):
        given = f"masks of {concepts.size} pixels for inputs of {first.inputs.shape[1:3]}"
        allowed = "the sides of the inputs, or these divided by one whole number"
        raise ArgumentValueError("concepts", given, allowed, "resize the pictures of the concepts, and their masks")
    _check_count(stream.count or len(concepts), concepts)
    return first.place(stream.layer)


def _check_count(count, concepts):
    if count != len(concepts):
        given = f"{count} inputs for {len(concepts)} pictures with concepts"
        raise ArgumentValueError("inputs", given, "the pictures of the concepts, in their order")


def _thresholds(stream, concepts, quantile, kept):
    """T (units,): the first pass."""
    if "T" in kept.state:
        return kept.state["T"]
    largest: Any = None
    if kept.state:
        largest = tallies.Largest(quantile, int(kept.state["total"]))
        largest.take(kept.state["largest"])
    done = kept.done
    for start, _, activations in kept.answers(stream):
        done, flat = start + len(activations), activations.reshape(-1, activations.shape[-1])
        if largest is None:
            total = len(concepts) * len(flat) // len(activations)
            if total * quantile < 1:
                given = f"{quantile:g}, less than one of the {total} positions"
                raise ArgumentValueError("quantile", given, f"{1 / total:.2g} or more", "more inputs")
            largest = tallies.Largest(quantile, total)
        if done > len(concepts):
            break
        largest.take(flat)
        kept.keep(done, largest.state)
    _check_count(done, concepts)
    T = largest.quantile()
    kept.end(0, lambda: {"T": T})
    return T


def _tally(stream, concepts, T, kept, keep):
    """The counts over all inputs, and the pixels of the masks if they are to be kept: the second pass."""
    tally, found = tallies.Tally(concepts, len(T)), [tallies.Hits(*np.zeros((3, 0), np.int64))]
    if "shared" in kept.state:
        tally.areas, tally.shared = kept.state["areas"], kept.state["shared"]
        found = [tallies.Hits(*kept.state["hits"])]
    state = lambda: {"T": T, "areas": tally.areas, "shared": tally.shared, "hits": np.array(_joined(found))}  # noqa: E731
    for start, place, activations in kept.answers(stream):
        enlarge = functools.partial(_enlarged, place, concepts.size)
        for part in tallies.hits(activations, T, tally.pixels, enlarge):
            part = part._replace(images=part.images + start)
            tally.add(part)
            found += [part] * keep
        kept.keep(start + len(activations), state)
    kept.end(len(concepts), state)
    return tally, _joined(found)


def _joined(parts):
    return tallies.Hits(*map(np.concatenate, zip(*parts, strict=True)))


def _enlarged(place, size, maps):
    """Maps (m, h, w) of a layer at the size of the masks, each position in the middle of what it reads."""
    centres, sides = place.centres(), place.query.inputs.shape[1:3]
    if centres is not None:
        parts = [side / whole for side, whole in zip(size, sides, strict=True)]
        pairs = zip(centres, parts, strict=True)
        centres = [((first + 0.5) * part - 0.5, apart * part) for (first, apart), part in pairs]
    return resize(place.in_order(maps), size, centres)


def _weights(groups, count, draws, random):
    """How often each input is counted in each draw, (draws, N): sources are drawn, and all of their inputs."""
    groups = np.arange(count) if groups is None else groups
    number = groups.max() + 1
    return random.multinomial(number, np.full(number, 1 / number), size=draws)[:, groups].astype(np.float64)


def _table(tally, best, spread, T, threshold):
    """One row per unit; says how many have a threshold of 0."""
    units, iou = np.arange(len(T)), tally.iou()[np.arange(len(T)), best]
    if silent := int((T == 0).sum()):
        given = f"one in which {silent} of {len(T)} units have the threshold 0"
        reason = "they are 0 nearly everywhere, so that fewer answers than asked are above it"
        cure = "ask before the ReLU, or read their masks as all that is above 0"
        checks.warn(ArgumentWarning("layer", f"{given}: {reason}", cure=cure))
    named = {"concept": tally.concepts.names, "category": tally.concepts.categories}
    columns = {"unit": units}
    columns |= {key: np.where(iou > 0, np.array(values)[best], "") for key, values in named.items()}
    columns |= {"iou": iou, "ceiling": tally.ceiling()[units, best]}
    columns |= dict(zip(("p_value", "low", "high"), spread, strict=True))
    share = tally.areas.sum(axis=0) / (len(tally.concepts) * tally.pixels)
    return pd.DataFrame(columns | {"detector": iou > threshold, "threshold": T, "share": share})
