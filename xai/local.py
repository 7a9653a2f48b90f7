"""Covering a patch changes only what looks at it: scores of covered inputs from the changed part of each layer.

The trunk of a network is its first layers, as long as each reads the one before and looks at a small neighbourhood
only: convolution, pooling, zero padding, and what acts on each position alone. Its maps of the plain input are computed
once. For each covered patch, step by step, only a window that holds all changed positions is computed anew. What
surrounds the changes is read from the plain map, which is padded as the layer pads; no layer pads a window by itself,
so borders are exact. What follows the trunk reads the plain last map with the last window pasted in.
"""

import functools
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf

from xai.anatomy import anatomy
from xai.core import progress
from xai.tracing import Call, aligned, kept, program, shared

WORTH = 1 / 3  # windows are used where they hold at most this share of the values of whole passes
TOLERANCE = 1e-4  # of the largest value of the last map

MAXIMA, MEANS = ("MaxPooling1D", "MaxPooling2D"), ("AveragePooling1D", "AveragePooling2D")
CONVOLUTIONS = ("Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
PADDINGS = ("ZeroPadding1D", "ZeroPadding2D")
POINTWISE = ("Activation", "ReLU", "LeakyReLU", "ELU", "BatchNormalization")
GLOBAL_MEANS = ("GlobalAveragePooling1D", "GlobalAveragePooling2D")
IDLE = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "Identity")


def _is(layer, *names):
    """Whether the layer is of one of these Keras classes itself: a class derived from them may do anything."""
    return any(type(layer) is getattr(keras.layers, name) for name in names)


# --- the trunk --------------------------------------------------------------------------------------------------


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
        outside = first.input.dtype.min if _is(first.layer, *MAXIMA) else 0
        return tf.pad(first.input, [(0, 0), *self.pads.tolist(), (0, 0)], constant_values=outside)

    def __call__(self, windows):
        """What the layers, with their weights and their own `call`, make of windows that need no padding."""
        for layer in (call.layer for call in self.calls):
            if not _is(layer, *PADDINGS):
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
            _is(layer, *CONVOLUTIONS, *MAXIMA, *MEANS, *PADDINGS, *POINTWISE)
            or _is(layer, *IDLE)
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
    return None if _is(layer, *MEANS) and pads.any() else Step((call,), reach, stride, pads)  # no mean over padding


def _pads(layer, sides, reach, stride):
    padding, total = getattr(layer, "padding", "valid"), 0 * sides
    if _is(layer, *PADDINGS):
        return np.array(padding).reshape(-1, 2)
    if padding == "causal":
        return np.stack([reach - 1, total], axis=1)
    if padding == "same":
        total = np.maximum((-(-sides // stride) - 1) * stride + reach - sides, 0)
    return np.stack([total // 2, total - total // 2], axis=1)


def trunk(seen):
    """The steps from the input to the last map through which every path to the score leads; `seen`: one trace."""
    calls, found, at = [call for call in seen.calls if not hasattr(call.layer, "layers")], [], seen.inputs
    for call in calls:
        step = _step(call) if call.input is at and sum(other.layer is call.layer for other in calls) == 1 else None
        if step is None:
            break
        found, at = [*found, step], call.output
    while found and _bypassed(found[-1].calls[-1].output, seen):
        found.pop()
    steps = []
    for step in found:
        joined = steps[-1].then(step) if steps else None
        steps = [*steps[:-1], joined] if joined else [*steps, step]
    return steps


def _bypassed(last, seen):
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


def covered(plain, left, numbers, windows, fill, starts, size):
    """Parts of the padded input from `starts` on, each with one of the `windows` set to the values of `fill`."""
    around, parts = plain[0].copy(), aligned((len(numbers), *size, plain.shape[-1]), plain.dtype)
    inner = around[tuple(slice(first, first + side) for first, side in zip(left, fill.shape, strict=False))]
    for part, number, low in zip(parts, numbers, starts[numbers], strict=True):
        before = inner[windows[number]].copy()
        inner[windows[number]] = fill[windows[number]]
        part[...] = around[tuple(map(slice, low, low + size))]
        inner[windows[number]] = before
    return shared(parts)


def read(plain, starts, size, windows=None, origins=None):
    """Parts of one `plain` map from `starts` on, all of one size; where `windows` that begin at `origins` lie, those.

    One look-up of positions, which are numbered through the plain map and on through the windows.
    """
    if windows is None:
        windows, origins = plain[:, :0], starts
    sides, sizes, inside = tf.shape(plain)[1:-1], tf.shape(windows)[1:-1], tf.range(tf.shape(starts)[0])
    outside, changes = 0 * inside, inside >= 0
    for axis in range(starts.shape[1]):
        place = tf.reshape(starts[:, axis, None] + tf.range(size[axis]), (-1, *[1] * axis, size[axis]))
        within = place - tf.reshape(origins[:, axis], (-1, *[1] * (axis + 1)))
        outside = outside[..., None] * sides[axis] + place
        inside = inside[..., None] * sizes[axis] + within
        changes = changes[..., None] & ((within >= 0) & (within < sizes[axis]))
    values = tf.concat([tf.reshape(values, (-1, plain.shape[-1])) for values in (plain, windows)], axis=0)
    return tf.gather(values, tf.where(changes, inside + tf.reduce_prod(sides), outside))


class _Passes:
    """The trunk on windows of one query's inputs, and the rest of the network behind it."""

    def __init__(self, query, windows):
        self.query, self.windows = query, windows
        self.recipe = replace(query.recipe, shape=(None, *query.inputs.shape[1:]))
        self.seen = anatomy(self.recipe)
        self.steps = trunk(self.seen)
        corners = [[side.start for side in window] for window in windows]
        self.starts, self.sizes = changed(self.steps, corners, [side.stop - side.start for side in windows[0]])

    @functools.cached_property
    def share(self):
        """Values (positions x channels) that the steps read for one patch, in parts of those of a whole pass."""
        of_trunk = {id(call) for step in self.steps for call in step.calls}
        others = [call for call in self.seen.calls if id(call) not in of_trunk and not hasattr(call.layer, "layers")]
        behind = sum(np.prod(call.shape[1:]) for call in others if call.spatial)
        behind += 0 if self.mean else np.prod(self.steps[-1].calls[-1].shape[1:])
        whole = sum(np.prod(step.calls[0].input.shape[1:]) for step in self.steps)
        boxes = [step.cut(0, size)[1] for step, size in zip(self.steps, self.sizes[1:], strict=True)]
        cut = sum(np.prod(box) * step.calls[0].input.shape[-1] for step, box in zip(self.steps, boxes, strict=True))
        return (cut + behind) / (whole + behind)

    @functools.cached_property
    def mean(self):
        """The call that takes the mean of the last map over space, where all that follows reads only that."""
        last = self.steps[-1].calls[-1].output
        means = [call for call in self.seen.calls if call.input is last and _is(call.layer, *GLOBAL_MEANS)]
        means = [call for call in means if call.layer.data_format == "channels_last"]
        return means[0] if means and not _bypassed(means[0].output, self.seen) else None

    @functools.cached_property
    def head(self):
        """The compiled S_c of what stands in for the last map, or for its mean."""
        score, call = self.query.score, self.mean or self.steps[-1].calls[-1]
        specs = tf.TensorSpec(call.shape, call.output.dtype), tf.TensorSpec((None,), tf.int32)
        build = lambda run, _, classes: run.score(classes, score)  # noqa: E731
        return program(self.recipe, ("head", score), build, *specs, layer=call.layer, substitute=True)

    def plain(self, item):
        """S_c of one whole input, the padded input of each step, and the last map."""

        def build(run, classes):
            steps = trunk(run)
            return [run.score(classes, score), *(step.padded() for step in steps), steps[-1].calls[-1].output]

        score = self.query.score
        run = program(self.recipe, ("plain maps", score), build, tf.TensorSpec((None,), tf.int32))
        return self.query.batched(run, self.query.inputs[[item]], self.query.targets[[item]])

    @functools.cached_property
    def chain(self):
        """The compiled function of parts of covered inputs: the last windows, what was there, what the head reads."""
        mean, ends = self.mean and self.mean.shape[1:], self.steps[-1].calls[-1].shape[1:-1]
        maps = [*(step.calls[0].input for step in self.steps), self.steps[-1].calls[-1].output]
        specs = [tf.TensorSpec((None, *[None] * len(ends), x.shape[-1]), x.dtype) for x in maps]
        places = tf.TensorSpec((len(maps), None, len(ends)), tf.int32), tf.TensorSpec((len(maps), len(ends)), tf.int32)

        def build(run, starts, sizes, windows, *plain):
            first, *steps = trunk(run)
            windows = first(windows)
            for at, step in enumerate(steps, 1):
                low, size = step.cut(starts[at + 1], sizes[at + 1])
                windows = step(read(plain[at - 1], low, size, windows, starts[at] + step.pads[:, 0]))
            before = read(plain[-1], starts[-1], sizes[-1])
            if mean is None:
                return windows, before, read(plain[-1], 0 * starts[-1], ends, windows, starts[-1])
            axes = tuple(range(1, len(ends) + 1))  # the mean of the plain map and what the windows change in it
            change = (tf.reduce_sum(windows, axes) - tf.reduce_sum(before, axes)) / np.prod(ends)
            return windows, before, tf.reshape(tf.reduce_mean(plain[-1], axes) + change, (-1, *mean))

        return program(self.recipe, "windows", build, *places, *specs)

    def run(self, plain, fill, numbers):
        """The `chain` on one input, given by its `plain` maps, with each of the patches `numbers` covered."""
        first = self.steps[0]
        box = first.cut(self.starts[1], self.sizes[1])
        parts = covered(plain[0], first.pads[:, 0], numbers, self.windows, fill, *box)
        places = self.starts[:, numbers].astype(np.int32), self.sizes.astype(np.int32)
        return self.chain(self.query.inputs[:1], *places, parts, *plain[1:])

    def exact(self):
        """Whether windows that cover nothing change nothing, asked once per model: a layer may do more than it says."""
        return kept(self.recipe, "windows are exact", self._exact)

    def _exact(self):
        _, *plain = self.plain(0)
        windows, before, _ = self.run(plain, self.query.inputs[0], [0, len(self.windows) // 2, len(self.windows) - 1])
        return np.abs(windows - before).max() <= TOLERANCE * np.abs(plain[-1]).max()

    def scores(self, item, plain, fills, numbers):
        """S_c of the item with each of the patches `numbers` covered."""
        maps, classes = self.run(plain, fills[item], numbers)[-1], np.full(len(numbers), self.query.targets[item])
        return self.head(self.query.inputs[:1], maps, classes.astype(np.int32))

    def pairs(self, fills, label):
        """Yield (item, number of the window, score); chunks of one size, for which the libraries prepare once."""
        count, most = len(self.windows), max(1, int(self.query.batch_size / self.share))  # `batch_size` whole passes
        size = -(-count // -(-count // most))
        numbers = np.minimum(np.arange(-(-count // size) * size), count - 1)
        for item in progress(range(len(self.query.inputs)), None, label):
            whole, *plain = self.plain(item)
            chunk = functools.partial(self.scores, item, plain, fills)
            values = self.query.batched(chunk, numbers, passes=(), size=size)
            yield from ((item, number, value) for number, value in enumerate([*values[:count], whole[0]]))


def covered_scores(query, windows, fills, label):
    """Yield (item, window, S_c of the item with that window set to `fills`) for every pair, one chunk at a time.

    The last one of each item, numbered as one more window, is S_c of the item itself. None where the network has no
    local trunk, or where the windows hold more than `WORTH` of the values of whole passes. `windows`: slices, all of
    one size.
    """
    passes = _Passes(query, windows)
    return passes.pairs(fills, label) if passes.steps and passes.share <= WORTH and passes.exact() else None
