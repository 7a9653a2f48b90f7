"""Where a layer looks: how far each output reaches into the layer before, and which layers are known to be local."""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from heatproof.engine.tracing import Call


def _ranks(name):
    return tuple(f"{name}{rank}D" for rank in (1, 2, 3))


MAXIMA, MEANS, PADDINGS = _ranks("MaxPooling"), _ranks("AveragePooling"), _ranks("ZeroPadding")
CONVOLUTIONS = (*_ranks("Conv"), "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
POINTWISE = ("Activation", "ReLU", "LeakyReLU", "ELU", "BatchNormalization")
GLOBAL_MEANS = _ranks("GlobalAveragePooling")
IDLE = ("Dropout", *_ranks("SpatialDropout"), "GaussianNoise", "GaussianDropout", "Identity")


def is_plain(layer, *names):
    """Whether the layer is of one of these Keras classes itself: a class derived from them may do anything."""
    return any(type(layer) is getattr(keras.layers, name) for name in names)


@dataclass(frozen=True)
class Step:
    """Layers in a row; per axis: output j reads the padded inputs j * stride, ..., j * stride + reach - 1."""

    calls: tuple[Call, ...]
    reach: np.ndarray
    stride: np.ndarray
    pads: np.ndarray  # (axes, 2): how much the first layer pads; the others do not

    def then(self, other):
        """Both as one step, or None where the other pads or overlaps, so that a cut between them saves work."""
        if other.pads.any() or (other.reach > other.stride).any():
            return None
        reach = self.reach + (other.reach - 1) * self.stride
        return Step(self.calls + other.calls, reach, self.stride * other.stride, self.pads)

    def cut(self, starts, size):
        """Where in the padded input begins what the outputs from `starts` on read, and how large it is."""
        return starts * self.stride, (size - 1) * self.stride + self.reach

    def padded(self):
        """The plain input of the first layer with its padding."""
        first = self.calls[0]
        outside = first.input.dtype.min if is_plain(first.layer, *MAXIMA) else 0
        return tf.pad(first.input, [(0, 0), *self.pads.tolist(), (0, 0)], constant_values=outside)

    def __call__(self, windows):
        """What the layers, with their weights and their own `call`, make of windows that need no padding."""
        for layer in (call.layer for call in self.calls):
            if not is_plain(layer, *PADDINGS):
                twin = object.__new__(type(layer))
                vars(twin).update(vars(layer))
                if hasattr(layer, "padding"):
                    vars(twin)["padding"] = "valid"
                windows = type(layer).call(twin, windows)
        return windows


def _step(call):
    """The step of one call, or None where its layer is not known to be local."""
    layer, sides = call.layer, np.array(call.input.shape[1:-1])
    activation = getattr(layer, "activation", None) or keras.activations.linear
    known = (
        (
            is_plain(layer, *CONVOLUTIONS, *MAXIMA, *MEANS, *PADDINGS, *POINTWISE)
            or is_plain(layer, *IDLE)
            and call.output is call.input
        )
        and getattr(layer, "data_format", "channels_last") == "channels_last"
        and getattr(layer, "axis", -1) in (-1, len(sides) + 1)
        and str(getattr(activation, "__module__", None)).startswith("keras.")
        and call.output.dtype == call.input.dtype
    )
    if not known:
        return None
    size = getattr(layer, "kernel_size", getattr(layer, "pool_size", 1))
    reach = (np.ones(len(sides), int) * size - 1) * getattr(layer, "dilation_rate", 1) + 1
    stride = np.ones(len(sides), int) * getattr(layer, "strides", 1)
    pads = _pads(layer, sides, reach, stride)
    return (
        None if is_plain(layer, *MEANS) and pads.any() else Step((call,), reach, stride, pads)
    )  # no mean over padding


def _pads(layer, sides, reach, stride):
    padding, total = getattr(layer, "padding", "valid"), 0 * sides
    if is_plain(layer, *PADDINGS):
        return np.array(padding).reshape(-1, 2)
    if padding == "causal":
        return np.stack([reach - 1, total], axis=1)
    if padding == "same":
        total = np.maximum((-(-sides // stride) - 1) * stride + reach - sides, 0)
    return np.stack([total // 2, total - total // 2], axis=1)


def trunk(seen):
    """The steps from the input to the last map through which every path to the score leads; `seen`: one trace."""
    found: list = []
    calls, at = [call for call in seen.calls if not hasattr(call.layer, "layers")], seen.inputs
    for call in calls:
        step = _step(call) if call.input is at and sum(other.layer is call.layer for other in calls) == 1 else None
        if step is None:
            break
        found, at = [*found, step], call.output
    while found and bypassed(found[-1].calls[-1].output, seen):
        found.pop()
    steps: list = []
    for step in found:
        joined = steps[-1].then(step) if steps else None
        steps = [*steps[:-1], joined] if joined else [*steps, step]
    return steps


def bypassed(last, seen):
    """Whether the score depends on the input other than through `last`."""
    met, waiting = {last.name}, [seen.logits]
    while waiting:
        tensor = waiting.pop()
        if tensor.name not in met:
            met.add(tensor.name)
            waiting += tensor.op.inputs
    return seen.inputs.name in met


# --- windows ----------------------------------------------------------------------------------------------------


def changed(steps, corners, patch):
    """Where the windows begin that hold what changes, in the input and after each step, and how large they are.

    The inputs from `low` to before `high` change the outputs from (low + left - reach) // stride + 1 to before
    (high + left - 1) // stride + 1. All windows of a step have one size: at the far border they are moved inwards.
    """
    low, high = np.asarray(corners), np.asarray(corners) + patch
    starts, sizes = [low], [np.asarray(patch)]
    for step in steps:
        sides, left = np.array(step.calls[-1].shape[1:-1]), step.pads[:, 0]
        low = np.clip((low + left - step.reach) // step.stride + 1, 0, sides)
        high = np.clip((high + left - 1) // step.stride + 1, low, sides)
        sizes.append(np.maximum((high - low).max(axis=0), 1))
        starts.append(np.minimum(low, sides - sizes[-1]))
    return np.stack(starts), np.stack(sizes)
