"""Argument checks: every message names the argument, what was given, what is allowed and the cure.

Nothing here computes with a model. A check raises `TypeError` for a wrong kind of thing and `ValueError`
for a wrong value; `XAIWarning` is for what is legal but probably not what was meant.
"""

import math
import sys
import warnings
from pathlib import Path

import numpy as np


class XAIWarning(UserWarning):
    """An explanation that was computed as asked but is probably not what was meant."""


def warn(message):
    """Issue an `XAIWarning` that points at the line outside this package that asked."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and Path(frame.f_code.co_filename).is_relative_to(Path(__file__).parent):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, XAIWarning, stacklevel=level + 1)


def as_inputs(inputs, shape, input_range=None):
    """Return `inputs` as a float array after checking it against the model's input shape; a copy where it must be one.

    `shape` is the model's input shape with its batch axis, `None` where any size will do. float64 stays float64;
    everything else becomes float32. Raises `TypeError` for integer, boolean or object arrays, `ValueError` for a wrong
    shape, an empty batch, NaN or infinity.
    """
    array = as_array("inputs", inputs)
    if array.dtype.kind in "uib":
        raise TypeError(
            f"inputs: got {array.dtype} values; a method needs floats in the model's own units. "
            f"Cure: inputs.astype('float32'), scaled as in training (often / 255)."
        )
    if array.dtype.kind != "f":
        raise TypeError(f"inputs: got dtype {array.dtype}; pass one float array of shape (N, ..., channels).")
    _check_shape(array, shape)
    lowest, highest = array.min(), array.max()  # NaN, where any value is
    if not max(-lowest, highest) <= np.finfo(np.float32).max:
        raise ValueError(
            "inputs: holds NaN, infinity or numbers beyond float32; every value must be finite. Cure: look at the data."
        )
    if input_range is not None:
        low, high = input_range
        slack = 1e-3 * (high - low)
        if lowest < low - slack or highest > high + slack:
            warn(
                f"inputs: values from {lowest:.3g} to {highest:.3g}, but this model was trained on "
                f"[{low:g}, {high:g}]. Cure: scale as in training, or set model.input_range."
            )
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)


def _check_shape(array, shape):
    wanted = "(N, " + ", ".join("any" if size is None else str(size) for size in shape[1:]) + ")"

    def fits(given):
        sizes = zip(shape[1:], given[1:], strict=True)
        return len(given) == len(shape) and all(size in (None, found) for size, found in sizes)

    if array.ndim == len(shape) and len(array) == 0:
        raise ValueError(f"inputs: got an empty batch of shape {array.shape}; pass at least one example, {wanted}.")
    if len(array.shape) == len(shape) and fits(array.shape):
        return
    cure = f"the model takes {wanted}"
    if array.ndim == len(shape) - 1 and fits((1, *array.shape)):
        cure = f"the batch axis is missing: pass inputs[None], shape {(1, *array.shape)}"
    elif array.ndim == len(shape) - 1 and fits((*array.shape, 1)):
        cure = f"the channel axis is missing: pass inputs[..., None], shape {(*array.shape, 1)}"
    elif array.ndim == len(shape) and fits((array.shape[0], *array.shape[2:], array.shape[1])):
        cure = f"channels come last here: pass numpy.moveaxis(inputs, 1, -1); the model takes {wanted}"
    raise ValueError(f"inputs: got shape {array.shape}; {cure}.")


def as_targets(targets, count, classes):
    """Return `targets` as `count` integers in [0, classes), or None when the prediction is to be explained."""
    if targets is None:
        return None
    array = as_array("targets", targets)
    allowed = f"a class index from 0 to {classes - 1}, one per example ({count}) or one for all, or None"
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"targets: got {array.dtype} values; allowed is {allowed}. Cure: integers, not scores or one-hot."
        )
    if array.ndim == 0:
        array = np.full(count, array)
    if array.shape != (count,):
        raise ValueError(f"targets: got shape {array.shape} for {count} inputs; allowed is {allowed}.")
    if array.size and (array.min() < 0 or array.max() >= classes):
        raise ValueError(f"targets: got indices from {array.min()} to {array.max()}; allowed is {allowed}.")
    return array.astype(np.int32)


def as_array(name, values):
    """Return `values` as an array; what makes none, and masked values, are refused by the argument's name."""
    if np.ma.is_masked(values):
        raise ValueError(
            f"{name}: got a masked array, whose hidden values would be used all the same. "
            f"Cure: {name}.filled(value), or leave these items out."
        )
    try:
        return np.asarray(values)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ValueError(f"{name}: it makes no array ({error}); pass one regular array of numbers.") from None


def as_numbers(name, values):
    """Return `values` as a float64 array; text, objects and complex numbers are refused."""
    array = as_array(name, values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: got {array.dtype} values; pass an array of real numbers.")
    return array.astype(np.float64)


def as_flag(name, value):
    """Return `value` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: got {shown(value)}; pass True or False.")
    return bool(value)


def as_count(name, value, low=1, high=None):
    """Return `value` as an int of at least `low` and at most `high`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: got {shown(value)}; pass an integer of at least {low}.")
    if value < low or (high is not None and value > high):
        raise ValueError(
            f"{name}: got {value}; pass an integer of at least {low}"
            + (f" and at most {high}." if high is not None else ".")
        )
    return int(value)


def as_number(name, value, low=-np.inf, high=np.inf, open_ends=False):
    """Return `value` as a float in [low, high], or strictly between them with `open_ends`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: got {shown(value)}; pass a number.")
    number = _as_float(value)
    inside = low < number < high if open_ends else low <= number <= high
    if not inside or not math.isfinite(number):
        edge = "strictly between" if open_ends else "from"
        raise ValueError(
            f"{name}: got {value}; pass a finite number {edge} {low:g} {'and' if open_ends else 'to'} {high:g}."
        )
    return number


def _as_float(value):
    """The number as a float; an integer that no float can hold becomes infinity."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def one_of(name, value, allowed):
    """Return `value` if it is one of the `allowed` words."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name}: got {shown(value)}; allowed: {', '.join(map(repr, allowed))}.")
    return value


def shown(value, letters=80):
    """What a message shows of a value: its first letters, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= letters else text[: letters - 3] + "..."


def as_method(method):
    if not callable(method):
        raise TypeError(f"method: got {shown(method)}; pass a function of the catalogue, such as xu.saliency.")


def as_relevance(relevance):
    if not ((relevance >= 0) & (relevance < np.inf)).all():
        raise ValueError(
            "relevance: has negative or NaN values, or infinity. Cure: reduce the attribution with xu.relevance first."
        )


def per_axis(name, value, default, limits):
    alone = as_array(name, value).ndim == 0
    values = default if value is None else [value] * len(limits) if alone else list(value)
    if len(values) != len(limits):
        raise ValueError(f"{name}: got {value!r}; pass one integer, or one for each of the {len(limits)} axes.")
    return [as_count(name, each, 1, limit) for each, limit in zip(values, limits, strict=True)]
