"""What stands for nothing in an input, what shows a part of it, and how coarse maps are enlarged."""

import functools
import numbers
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.ndimage import gaussian_filter1d

from heatproof import checks
from heatproof.problems import ArgumentValueError


def baselines(
    choice: str | npt.ArrayLike, inputs: np.ndarray, name: str = "baseline", middle: npt.ArrayLike | None = None
) -> np.ndarray:
    """Return the values x' that stand for "nothing" in each input, in the shape of `inputs`.

    `choice`: "zero", "mean" (of each input's channels), "blur" (of each input, sigma a tenth of its sides), a finite
    number, an array in the shape of one input or of all, or of shape (C,), a value for each channel; and "middle" where
    the method says which value that is. Raises `ValueError` for anything else, naming the argument `name`; a list of
    numbers is refused, because it could mean channels or several baselines.
    """
    space = tuple(range(1, inputs.ndim - 1))
    words = ("zero", *(() if middle is None else ("middle",)), "mean", "blur")
    if isinstance(choice, str):
        if checks.one_of(name, choice, words) in ("mean", "blur") and not space:
            raise _of_features(name, choice)
        if choice == "blur":
            return _blurred(inputs, space)
        value = inputs.mean(axis=space, keepdims=True) if choice == "mean" else {"zero": 0, "middle": middle}[choice]
        return np.broadcast_to(np.asarray(value, inputs.dtype), inputs.shape)
    not_numbers_alone(name, choice, inputs.shape[-1])
    array = checks.as_array(name, choice)
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        allowed = f"{', '.join(map(repr, words))}, a finite number or an array of them"
        raise ArgumentValueError(name, checks.shown(choice), allowed)
    if array.ndim and array.shape not in (inputs.shape, inputs.shape[1:], inputs.shape[-1:]):
        allowed = f"{inputs.shape[1:]}, {inputs.shape} or {inputs.shape[-1:]}, a value for each channel"
        raise ArgumentValueError(name, f"shape {array.shape}", allowed)
    return np.broadcast_to(array.astype(inputs.dtype), inputs.shape)


def not_numbers_alone(name: str, choice: object, channels: int) -> None:
    """Refuse a list of bare numbers, which could mean a value for each channel or several values in turn."""
    if isinstance(choice, (list, tuple)) and choice and all(isinstance(each, numbers.Real) for each in choice):
        cure = f"numpy.array({list(choice)}) for a value in each of the {channels} channels"
        if name == "baseline":
            cure += f"; [numpy.array(value) for value in {list(choice)}] for the mean of several maps"
        raise ArgumentValueError(name, f"a list of numbers, {checks.shown(choice)}, which could mean both", cure=cure)


def starts(choice, query) -> list[np.ndarray]:
    """x' in the shape of the inputs of a query, one for each baseline of a list; several inputs may name their own."""
    not_numbers_alone("baseline", choice, query.inputs.shape[-1])
    choices = choice if isinstance(choice, list) else [choice]
    if not choices:
        raise ArgumentValueError("baseline", "an empty list", "at least one baseline")
    return [query.each(lambda part, name: baselines(by_name("baseline", one, name), part)) for one in choices]  # noqa: B023


def by_name(argument, choice, name):
    """What is meant for the input of that name, where a dictionary gives each of several its own."""
    if not isinstance(choice, dict):
        return choice
    if name not in choice:
        given = f"a dictionary with the keys {list(choice)}, which lacks {name!r}"
        raise ArgumentValueError(argument, given, "one for each of several inputs, by name")
    return choice[name]


def _of_features(name, choice):
    """The refusal of a mean over features, each of which has a unit of its own."""
    given = f"{choice!r} for features (N, F), each in a unit of its own"
    cure = "numpy.array of F values, such as x_train.mean(axis=0)"
    return ArgumentValueError(name, given, "'zero', a number or an array", cure)


def fills(choice: str | npt.ArrayLike, query) -> np.ndarray:
    """The values that hide: in the shape of the inputs."""
    axes = tuple(range(1, query.inputs.ndim))
    middle = (query.inputs.min(axis=axes, keepdims=True) + query.inputs.max(axis=axes, keepdims=True)) / 2
    choice = by_name("fill", choice, query.name)
    if query.is_features:
        if isinstance(choice, str) and choice == "middle":
            raise _of_features("fill", choice)
        return baselines(choice, query.inputs[..., 0], "fill")[..., None]
    known = query.input_range
    return baselines(choice, query.inputs, "fill", middle if known is None else sum(known) / 2)


def _blurred(inputs: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Each of the `axes` blurred with a sigma of a tenth of its side, the values mirrored at the borders.

    The filter is linear: a product with its matrix is quick.
    """
    for axis in axes:
        lines, side = np.moveaxis(inputs, axis, 1), inputs.shape[axis]
        matrix = _blur_matrix(side, inputs.dtype)
        blurred = tf.matmul(matrix, lines.reshape(len(lines), side, -1)).numpy()
        inputs = np.ascontiguousarray(np.moveaxis(blurred.reshape(lines.shape), 1, axis))
    return inputs


@functools.lru_cache(maxsize=8)
def _blur_matrix(side: int, dtype: np.dtype) -> np.ndarray:
    """What the filter makes of the unit vectors."""
    return gaussian_filter1d(np.eye(side, dtype=dtype), side / 10, axis=0)


def seen_through(inputs: np.ndarray, hidden: np.ndarray) -> Callable[[int, np.ndarray, np.ndarray], None]:
    """see(item, m, out) writes f + m * (x - f) into `out`: an input x seen through the mask m, f where it is 0.

    `hidden` holds f, in the shape of the inputs; m has the shape of one: whole arrays multiply faster than masks with
    a last axis of one.
    """
    way, ground = inputs - hidden, np.ascontiguousarray(hidden) if hidden.any() else None

    def see(item: int, mask: np.ndarray, out: np.ndarray) -> None:
        np.multiply(way[item], mask, out=out)
        if ground is not None:
            out += ground[item]

    return see
