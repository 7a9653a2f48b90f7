"""Argument checks: every message names the argument, what was given, what is allowed and the cure.

Nothing here computes with a model. A check raises `ArgumentTypeError` for a wrong kind of thing and
`ArgumentValueError` for a wrong value; `XAIWarning` is for what is legal but probably not what was meant.
"""

import contextlib
import math
import os
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heatproof.problems import ArgumentTypeError, ArgumentValueError, ArgumentWarning, XAIWarning

RESCALE = "scale as in training, or set model.input_range"
_SAID: ContextVar[set[str] | None] = ContextVar("said", default=None)


def warn(message: str | Warning) -> None:
    """Issue an `XAIWarning` of a text, or the `ArgumentWarning` given, at the line outside this package that asked."""
    said = _SAID.get()
    if said is not None and str(message) in said:
        return
    if said is not None:
        said.add(str(message))
    level, frame = 1, sys._getframe(1)
    while frame.f_back and Path(frame.f_code.co_filename).is_relative_to(Path(__file__).parent):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, XAIWarning, stacklevel=level + 1)


@contextlib.contextmanager
def once() -> Iterator[None]:
    """Inside the block each text is said once: for a call that asks a model several questions."""
    token = _SAID.set(set() if _SAID.get() is None else _SAID.get())
    try:
        yield
    finally:
        _SAID.reset(token)


def shown(value: object, letters: int = 80) -> str:
    """What a message shows of a value: its first letters, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= letters else text[: letters - 3] + "..."


# ------------------------------------------------------------------------------------------- what a method is asked


def as_inputs(
    inputs: npt.ArrayLike,
    shape: Sequence[int | None],
    input_range: Sequence[float] | None = None,
    argument: str = "inputs",
) -> np.ndarray:
    """Return `inputs` as a float array after checking it against the model's input shape; a copy where it must be one.

    `shape` is the model's input shape with its batch axis, `None` where any size will do; `argument`: what messages
    call the inputs. float64 stays float64; everything else becomes float32. Raises `TypeError` for integer, boolean or
    object arrays, `ValueError` for a wrong shape, an empty batch, NaN or infinity.
    """
    array = as_array(argument, inputs)
    name = argument if isinstance(inputs, np.ndarray) else f"numpy.asarray({argument})"
    if array.dtype.kind != "f":
        cure = f"{name}.astype('float32'), scaled as in training (often / 255)" if array.dtype.kind in "uibO" else ""
        allowed = "one array of floats (N, ..., channels) in the model's own units"
        raise ArgumentTypeError(argument, f"{array.dtype} values", allowed, cure)
    _check_shape(array, shape, argument, name)
    lowest, highest = array.min(), array.max()  # NaN, where any value is
    if not max(-lowest, highest) <= np.finfo(np.float32).max:
        given = "NaN, infinity or numbers beyond float32"
        raise ArgumentValueError(argument, given, "finite values alone", "look at the data")
    if input_range is not None:
        low, high = input_range
        slack = 1e-3 * (high - low)
        if lowest < low - slack or highest > high + slack:
            allowed = f"[{low:g}, {high:g}], on which this model was trained"
            warn(ArgumentWarning(argument, f"values from {lowest:.3g} to {highest:.3g}", allowed, RESCALE))
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)


def _check_shape(array: np.ndarray, shape: Sequence[int | None], argument: str, name: str) -> None:
    wanted = "(N, " + ", ".join("any" if size is None else str(size) for size in shape[1:]) + ")"

    def fits(given: Sequence[int]) -> bool:
        sizes = zip(shape[1:], given[1:], strict=True)
        return len(given) == len(shape) and all(size in (None, found) for size, found in sizes)

    if array.ndim == len(shape) and len(array) == 0:
        raise ArgumentValueError(argument, f"an empty batch of shape {array.shape}", f"one example or more, {wanted}")
    if len(array.shape) == len(shape) and fits(array.shape):
        return
    cure = ""
    if array.ndim == len(shape) - 1 and fits((1, *array.shape)):
        cure = f"{name}[None], with the batch axis that is missing: {(1, *array.shape)}"
    elif array.ndim == len(shape) - 1 and fits((*array.shape, 1)):
        cure = f"{name}[..., None], with the channel axis that is missing: {(*array.shape, 1)}"
    elif array.ndim == len(shape) and fits((array.shape[0], *array.shape[2:], array.shape[1])):
        cure = f"numpy.moveaxis({argument}, 1, -1), with the channels last"
    raise ArgumentValueError(argument, f"shape {array.shape}", wanted, cure)


def as_targets(targets: npt.ArrayLike | None, count: int, classes: int) -> np.ndarray | None:
    """Return `targets` as `count` integers in [0, classes), or None when the prediction is to be explained."""
    if targets is None:
        return None
    array = as_array("targets", targets)
    allowed = f"a class index from 0 to {classes - 1}, one per example ({count}) or one for all, or None"
    if array.dtype.kind not in "iu":
        raise ArgumentTypeError("targets", f"{array.dtype} values", allowed, "integers, not scores or one-hot")
    if array.ndim == 0:
        array = np.full(count, array)
    if array.shape != (count,):
        raise ArgumentValueError("targets", f"shape {array.shape} for {count} inputs", allowed)
    if array.size and (array.min() < 0 or array.max() >= classes):
        raise ArgumentValueError("targets", f"indices from {array.min()} to {array.max()}", allowed)
    return array.astype(np.int32)


def as_method(method: object) -> None:
    """Raise `TypeError` unless `method` can be called."""
    if not callable(method):
        raise ArgumentTypeError("method", shown(method), "a function of the catalogue, such as xu.saliency")


def as_relevance(relevance: np.ndarray) -> None:
    """Raise `ValueError` unless all of an array is finite and not negative."""
    if not ((relevance >= 0) & (relevance < np.inf)).all():
        cure = "reduce the attribution with xu.relevance first"
        raise ArgumentValueError("relevance", "negative values, NaN or infinity", "finite values of 0 or more", cure)


# ----------------------------------------------------------------------------------------------------------- arrays


def as_array(name: str, values: npt.ArrayLike) -> np.ndarray:
    """Return `values` as an array; what makes none, and masked values, are refused by the argument's name."""
    if np.ma.is_masked(values):
        given = "a masked array, whose hidden values would be used all the same"
        raise ArgumentValueError(name, given, cure=f"{name}.filled(value), or leave these items out")
    try:
        return np.asarray(values)
    except (ValueError, TypeError, NotImplementedError) as error:
        given = f"what makes no array ({error})"
        raise ArgumentValueError(name, given, "one regular array of numbers") from None


def as_numbers(name: str, values: npt.ArrayLike) -> np.ndarray:
    """Return `values` as a float64 array; text, objects and complex numbers are refused."""
    array = as_array(name, values)
    if array.dtype.kind not in "biuf":
        raise ArgumentTypeError(name, f"{array.dtype} values", "an array of real numbers")
    return array.astype(np.float64)


def as_finite(name: str, values: npt.ArrayLike, ranks: Mapping[int, str] | None = None) -> np.ndarray:
    """Return `values` as a float64 array without NaN and infinity; with `ranks`, {number of axes: shape}, not empty."""
    array = as_numbers(name, values)
    if ranks is not None and array.ndim not in ranks:
        cure = "for one example keep the batch axis, inputs[:1]"
        raise ArgumentValueError(name, f"shape {array.shape}", " or ".join(ranks.values()), cure)
    if ranks is not None and array.size == 0:
        raise ArgumentValueError(name, f"an empty array of shape {array.shape}", "at least one value")
    if not np.isfinite(array).all():
        raise ArgumentValueError(name, "NaN or infinity", "finite values alone", "leave those items out")
    return array


# -------------------------------------------------------------------------------------------- numbers, words, texts


def as_flag(name: str, value: object) -> bool:
    """Return `value` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentTypeError(name, shown(value), "True or False")
    return bool(value)


def as_count(name: str, value: object, low: int = 1, high: int | None = None) -> int:
    """Return `value` as an int of at least `low` and at most `high`."""
    allowed = f"an integer of at least {low}" + ("" if high is None else f" and at most {high}")
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ArgumentTypeError(name, shown(value), allowed)
    if value < low or (high is not None and value > high):
        raise ArgumentValueError(name, f"{value}", allowed)
    return int(value)


def as_number(
    name: str, value: object, low: float = -np.inf, high: float = np.inf, open_ends: bool | str = False
) -> float:
    """Return `value` as a float in [low, high], without both ends (`open_ends` True) or without the "low" or "high"."""
    words = {False: "from {} to {}", True: "strictly between {} and {}", "low": "above {} and at most {}"}
    span = words.get(open_ends, "from {} to below {}").format(f"{low:g}", f"{high:g}")
    allowed = "a finite number" if (low, high) == (-np.inf, np.inf) else f"a finite number {span}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ArgumentTypeError(name, shown(value), allowed)
    number = _as_float(value)
    above = low < number if open_ends in (True, "low") else low <= number
    below = number < high if open_ends in (True, "high") else number <= high
    if not (above and below and math.isfinite(number)):
        raise ArgumentValueError(name, f"{value}", allowed)
    return number


def _as_float(value: Any) -> float:
    """The number as a float; an integer that no float can hold becomes infinity."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def one_of(name: str, value: Any, allowed: Collection) -> Any:
    """Return `value` if it is one of the `allowed` words or flags."""
    value = bool(value) if isinstance(value, np.bool_) else value
    if not isinstance(value, tuple({type(each) for each in allowed})) or value not in allowed:
        raise ArgumentValueError(name, shown(value), ", ".join(map(repr, allowed)))
    return value


def as_text(name: str, value: object, allowed: str = "text") -> str:
    """Return `value` if it is text."""
    if not isinstance(value, str):
        raise ArgumentTypeError(name, type(value).__name__, allowed)
    return value


def as_path(name: str, value: str | os.PathLike, kind: str = "file") -> Path:
    """Return `value` as a path; a file must have a name."""
    try:
        path = Path(value)
    except TypeError:
        raise ArgumentTypeError(name, shown(value), f"the name of a {kind}") from None
    if kind == "file" and not path.name:
        raise ArgumentValueError(name, f"the empty name {str(value)!r}", f"the name of a {kind}")
    return path


# ---------------------------------------------------------------------------------------------------------- several


def per_axis(name: str, value: Any, default: Sequence[int], limits: Sequence[int]) -> list[int]:
    """Return one integer of at least 1 for each axis, at most its limit; a single one stands for all."""
    alone = as_array(name, value).ndim == 0
    values = default if value is None else [value] * len(limits) if alone else list(value)
    if len(values) != len(limits):
        allowed = f"one integer, or one for each of the {len(limits)} axes"
        raise ArgumentValueError(name, shown(value), allowed)
    return [as_count(name, each, 1, limit) for each, limit in zip(values, limits, strict=True)]


def as_pair(name: str, value: Any, allowed: str) -> Any:
    """Return the two parts of `value`."""
    if not isinstance(value, (tuple, list, np.ndarray)) or not getattr(value, "ndim", 1) or len(value) != 2:
        raise ArgumentTypeError(name, shown(value), f"a pair, {allowed}")
    return value


def as_range(name: str, value: Any) -> tuple[float, float]:
    """Return the ends (low, high) of a range as floats, low below high."""
    ends = as_numbers(name, as_pair(name, value, "(low, high)"))
    if ends.shape != (2,) or not np.isfinite(ends).all() or not ends[0] < ends[1]:
        raise ArgumentValueError(name, shown(value), "two finite numbers (low, high), low below high")
    return float(ends[0]), float(ends[1])


def as_dictionary(name: str, value: object, allowed: str) -> dict:
    """Return `value` if it is a dictionary with at least one entry."""
    if not isinstance(value, dict) or not value:
        raise ArgumentTypeError(name, "an empty dict" if isinstance(value, dict) else type(value).__name__, allowed)
    return value


def one_each(name: str, texts: Sequence[str] | None, count: int) -> list[str]:
    """Return `texts` as a list of `count` strings; None gives empty ones."""
    allowed = f"one text for each of the {count} examples, or None"
    if texts is not None and not np.iterable(texts):
        raise ArgumentTypeError(name, shown(texts), allowed)
    texts = [""] * count if texts is None else [str(text) for text in texts]
    if len(texts) != count:
        raise ArgumentValueError(name, f"{len(texts)} entries", allowed)
    return texts
