"""A batch as it is at hand: what is explained, from arrays, tensors, lists or pictures, and the classes asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from heatproof import checks
from heatproof.problems import ArgumentTypeError, ArgumentValueError, ArgumentWarning

RESCALE = "scale as in training, or set model.input_range"


def as_inputs(
    inputs: npt.ArrayLike,
    shape: Sequence[int | None],
    input_range: Sequence[float] | None = None,
    argument: str = "inputs",
) -> np.ndarray:
    """Return `inputs` as a float array after checking it against the model's input shape; a copy where it must be one.

    `shape` is the model's input shape with its batch axis, `None` where any size will do. float64 stays float64;
    everything else becomes float32. Raises `TypeError` for integer, boolean or object arrays, `ValueError` for a wrong
    shape, an empty batch, NaN or infinity.
    """
    name = argument if isinstance(inputs, np.ndarray) else f"numpy.asarray({argument})"
    if hasattr(inputs, "as_numpy_iterator"):
        cure = "batch by batch: for x, y in dataset.as_numpy_iterator(): maps = xu.saliency(model, x, y)"
        raise ArgumentTypeError(argument, f"a {type(inputs).__name__} of tf.data", "one batch of it", cure)
    array = checks.as_array(argument, _as_pixels(inputs, shape, input_range))
    if array.dtype == np.uint8 and input_range is not None and tuple(input_range) == (0, 255):
        array = array.astype(np.float32)  # as they are in the model's own units
    if array.dtype.kind != "f":
        cure = f"{name}.astype('float32'), scaled as in training (often / 255)" if array.dtype.kind in "uibO" else ""
        allowed = "one array of floats (N, ..., channels) in the model's own units"
        raise ArgumentTypeError(argument, f"{array.dtype} values", allowed, cure)
    _check_shape(array, shape, name, argument)
    lowest, highest = array.min(), array.max()  # NaN, where any value is
    if not max(-lowest, highest) <= np.finfo(np.float32).max:
        given = "NaN, infinity or numbers beyond float32"
        raise ArgumentValueError(argument, given, "finite values alone", "look at the data")
    if input_range is not None:
        low, high = input_range
        slack = 1e-3 * (high - low)
        if lowest < low - slack or highest > high + slack:
            allowed = f"[{low:g}, {high:g}], on which this model was trained"
            checks.warn(ArgumentWarning(argument, f"values from {lowest:.3g} to {highest:.3g}", allowed, RESCALE))
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)


def as_integers(array: npt.ArrayLike, shape: Sequence[int | None], kind: str, argument: str) -> np.ndarray:
    """Return an input of integers, such as tokens, in the type that the model takes."""
    found = checks.as_array(argument, _as_pixels(array, shape, (0, 255)) if kind == "uint8" else array)
    if kind == "uint8" and found.dtype.kind == "f" and not isinstance(array, np.ndarray):
        found = np.rint(found).astype(kind)  # pictures, as bytes again
    if found.dtype.kind not in "iub":
        wanted, cure = f"integers, {kind} as the model takes", f"numpy.rint({argument}).astype({kind!r})"
        raise ArgumentTypeError(argument, f"{found.dtype} values", wanted, cure)
    _check_shape(found, shape, argument, argument)
    return found.astype(kind)


def _wanted(shape: Sequence[int | None]) -> str:
    return "(N, " + ", ".join("any" if size is None else str(size) for size in shape[1:]) + ")"


def _fits(given: Sequence[int], shape: Sequence[int | None]) -> bool:
    return len(given) == len(shape) and all(size in (None, found) for size, found in zip(shape, given, strict=True))


def _check_shape(array: np.ndarray, shape: Sequence[int | None], name: str, argument: str) -> None:
    wanted = _wanted(shape)

    def fits(given: Sequence[int]) -> bool:
        return _fits(given[1:], shape[1:])

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
    array = checks.as_array("targets", targets)
    allowed = f"a class index from 0 to {classes - 1}, one per example ({count}) or one for all, or None"
    if array.shape == (count, classes) and _is_one_hot(array):
        array = array.argmax(axis=1)
    if array.dtype.kind not in "iu":
        raise ArgumentTypeError("targets", f"{array.dtype} values", allowed, "integers, not scores")
    if array.shape == (count, 1):
        array = array[:, 0]
    if array.ndim == 0:
        array = np.full(count, array)
    if array.shape != (count,):
        raise ArgumentValueError("targets", f"shape {array.shape} for {count} inputs", allowed)
    if array.size and (array.min() < 0 or array.max() >= classes):
        raise ArgumentValueError("targets", f"indices from {array.min()} to {array.max()}", allowed)
    return array.astype(np.int32)


def _is_one_hot(array: np.ndarray) -> bool:
    return array.dtype.kind in "biuf" and bool(((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all())


# ---------------------------------------------------------------------------------------------------------- pictures


def _as_pixels(inputs: Any, shape: Sequence[int | None], input_range: Sequence[float] | None) -> Any:
    """PIL images, one or a list, as floats in the model's own units; anything else as it came."""
    images = [inputs] if isinstance(inputs, Image.Image) else inputs
    if not isinstance(images, (list, tuple)) or not images or not isinstance(images[0], Image.Image):
        return inputs
    if len(shape) != 4 or shape[-1] not in (1, 3):
        raise ArgumentValueError("inputs", "PIL images", f"arrays of shape {_wanted(shape)}, as the model takes")
    if input_range is None:
        given = "PIL images, for a model that does not say in which units it takes pixels of 0 to 255"
        cure = "model.input_range = (0, 1), or what black and white are to it"
        raise ArgumentValueError("inputs", given, cure=cure)
    mode = "L" if shape[-1] == 1 else "RGB"
    pixels = [np.asarray(_plain(image).convert(mode), np.float32) for image in images]
    if len({each.shape for each in pixels}) > 1 or not _fits(pixels[0].shape[:2], shape[1:3]):
        given = f"PIL images of width and height {sorted({image.size for image in images})}"
        size = tuple(reversed(shape[1:3]))
        cure = "" if None in size else f"image.resize({size})"
        raise ArgumentValueError("inputs", given, "one size, that of the model" if cure else "one size", cure)
    low, high = input_range
    stacked = np.stack(pixels).reshape(len(pixels), *pixels[0].shape[:2], shape[-1])
    return (low + (high - low) * (stacked / 255)).astype(np.float32)


def _plain(image: Any) -> Image.Image:
    """The image, refused where its values would be lost on the way to 8 bits and an opaque ground."""
    if not isinstance(image, Image.Image):
        raise ArgumentTypeError("inputs", f"a {type(image).__name__} among PIL images", "PIL images alone")
    if image.mode.startswith(("I", "F")):
        raise ArgumentValueError("inputs", f"a PIL image of mode {image.mode!r}", "8 bits a channel", "an array of it")
    if image.has_transparency_data and np.min(image.convert("RGBA").getchannel("A").getextrema()) < 255:
        raise ArgumentValueError("inputs", "a PIL image that is transparent in places", cure="put it on a plain ground")
    return image
