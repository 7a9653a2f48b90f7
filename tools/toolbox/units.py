"""What Browse shows of the units of one layer: numbers for the page, and pictures."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

import xai_utils as xu
from tools.toolbox.data import rounded
from tools.toolbox.sources import Seen

SHOWN, NEAR, ITERATIONS, TOGETHER = 9, 4, 32, 16


class Units(NamedTuple):
    """Units of a layer.

    tables:  one per unit, for the page
    windows: one per unit, what its strongest answers read
    maps:    (units, SHOWN, ...) what in the inputs made these answers, summed over the channels
    items:   (units, SHOWN), which inputs
    made:    (units, ...), the inputs made to excite the units
    """

    tables: list[dict[str, Any]]
    windows: list["Windows"]
    maps: np.ndarray
    items: np.ndarray
    made: np.ndarray


class Windows(NamedTuple):
    """What SHOWN positions of a unit read: pieces (SHOWN, h, w, C) of inputs, which begin at corners (SHOWN, axes)."""

    pieces: np.ndarray
    corners: np.ndarray


def looked_at(model: keras.Model, layer: str, seen: Seen, concepts: Any, count: int | None = None) -> Units:
    """The units of a layer, all or the `count` whose concept fits best.

    Of each: the strongest answers and what in the input made them (deconvnet), the input made to excite it, the
    concept, the class to which it answers most, and the units of the layer whose answers go with its own: the largest
    correlation of the strongest answers to each input.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xu.XAIWarning)  # units that are silent are said to be so on their pages
        found = xu.strongest(model, layer, seen.inputs, SHOWN, sources=seen.sources)
        known = None if concepts is None else xu.dissect(model, layer, concepts.images, concepts, draws=0).table
        units = np.arange(len(found.values)) if count is None else _best(known, count)
        size = float(np.sqrt(seen.inputs[0].size))  # a step of one length would hardly move a large picture
        options = {"blur": 0.5, "jitter": 1, "step": size / 48} if seen.inputs.ndim == 4 else {}
        made, _ = xu.activation_maximization(model, layer, units, iterations=ITERATIONS, **options)
        windows = _windows(model, layer, seen.inputs, found.items[units], found.positions[units])
        maps = unit_maps(model, layer, seen.inputs, found, units)
    answers = _answers(model, layer, seen.inputs)
    near = _near(answers[:, units])
    tables = []
    for unit, others in zip(units.tolist(), near, strict=True):
        table = {"unit": unit, "values": rounded(found.values[unit], 3), "near": units[others].tolist()}
        table |= {} if known is None else _concept(known.iloc[unit])
        tables.append(table | _class(answers[:, unit], seen))
    return Units(tables, windows, maps, found.items[units], made)


def _best(known, count):
    return np.sort(np.argsort(-known["iou"].to_numpy(), kind="stable")[:count])


def _concept(row):
    told = {"concept": row["concept"], "category": row["category"], "iou": rounded(row["iou"], 3)}
    return told | {"ceiling": rounded(row["ceiling"], 3), "silent": bool(row["threshold"] == 0)}


def _class(answers, seen):
    """The class whose inputs have the largest mean answer; none where the unit is silent or nothing is labelled."""
    if seen.labels is None or not answers.any():
        return {}
    means = [answers[seen.labels == label].mean() for label in range(len(seen.class_names))]
    return {"class": seen.class_names[int(np.argmax(means))]}


def _answers(model, layer, inputs):
    """The strongest answer of each unit to each input, (N, units)."""
    parts = np.split(inputs, range(64, len(inputs), 64))
    return np.concatenate([_largest(model, layer, part) for part in parts])


def _largest(model, layer, part):
    A = xu.activations(model, part, layer)
    return A.max(axis=tuple(range(1, A.ndim - 1)))


def _near(answers):
    """For each unit (column) the NEAR others with the largest correlation; none for a unit that never changes."""
    centred = answers - answers.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    centred = centred / np.where(length > 0, length, 1)
    alike = centred.T @ centred
    np.fill_diagonal(alike, -np.inf)
    order = np.argsort(-alike, axis=1, kind="stable")[:, :NEAR]
    return [row[alike[unit, row] > 0] for unit, row in enumerate(order)]


def _windows(model, layer, inputs, items, positions):
    """What the positions read, one `Windows` per unit; the whole inputs where that is larger than they are."""
    first = xu.patches(model, layer, inputs, items[0], positions[0])
    if max(first.images.shape[1:-1]) >= max(inputs.shape[1:-1]):
        return [Windows(inputs[row], np.zeros_like(first.corners)) for row in items]
    cut = xu.patches(model, layer, inputs, items, positions)
    return [Windows(*pair) for pair in zip(cut.images, cut.corners, strict=True)]


def unit_maps(model: keras.Model, layer: str, inputs: np.ndarray, found: Any, units: Sequence[int]) -> np.ndarray:
    """`xu.unit_map` of the strongest answers of many units, (units, SHOWN, ...): one network whose outputs are all
    answers of the layer, so that TensorFlow plans it once and not once for each unit."""
    output = model.get_layer(layer).output
    flat = keras.Model(model.inputs, keras.layers.Flatten(name="answers")(output))
    flat.input_range = model.input_range
    sides = (*output.shape[1:-1], output.shape[-1])
    maps = []
    for start in range(0, len(units), TOGETHER):
        part = np.asarray(units[start : start + TOGETHER])
        items, positions = found.items[part], found.positions[part]
        channels = np.broadcast_to(part[:, None], items.shape)
        targets = np.ravel_multi_index((*np.moveaxis(positions, -1, 0), channels), sides)
        deconvolved = xu.deconvnet(flat, inputs[items.reshape(-1)], targets.reshape(-1))
        maps.append(deconvolved.sum(axis=-1).reshape(*items.shape, *inputs.shape[1:-1]))
    return np.concatenate(maps)
