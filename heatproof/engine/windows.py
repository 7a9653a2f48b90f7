"""Covering a patch changes only what looks at it: scores of covered inputs from the changed part of each layer.

The trunk of a network is its first layers, as long as each reads the one before and looks at a small neighbourhood
only: convolution, pooling, zero padding, and what acts on each position alone. Its maps of the plain input are computed
once. For each covered patch, step by step, only a window that holds all changed positions is computed anew. What
surrounds the changes is read from the plain map, which is padded as the layer pads; no layer pads a window by itself,
so borders are exact. What follows the trunk reads the plain last map with the last window pasted in.
"""

import functools
from dataclasses import replace

import numpy as np
import tensorflow as tf

from heatproof.engine.anatomy import anatomy
from heatproof.engine.arrays import aligned, shared
from heatproof.engine.programs import kept, program
from heatproof.engine.receptive import GLOBAL_MEANS, bypassed, changed, is_plain, trunk
from heatproof.progress import progress

WORTH = 1 / 3  # windows are used where they hold at most this share of the values of whole passes
TOLERANCE = 1e-4  # of the largest value of the last map


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
        """Values (positions x channels) that the steps read for one patch, as a fraction of those of a whole pass."""
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
        means = [call for call in self.seen.calls if call.input is last and is_plain(call.layer, *GLOBAL_MEANS)]
        means = [call for call in means if call.layer.data_format == "channels_last"]
        return means[0] if means and not bypassed(means[0].output, self.seen) else None

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
        return self.query.batched(run, self.query.inputs[[item]], *self.query.told([item]), self.query.targets[[item]])

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
        return self.chain(self.query.inputs[:1], *self.query.told([0]), *places, parts, *plain[1:])

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
        return self.head(self.query.inputs[:1], *self.query.told([item]), maps, classes.astype(np.int32))

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
    local trunk, for a function, or where the windows hold more than `WORTH` of the values of whole passes. `windows`:
    slices, all of one size.
    """
    if query.recipe is None:  # a function, which is looked into nowhere
        return None
    passes = _Passes(query, windows)
    return passes.pairs(fills, label) if passes.steps and passes.share <= WORTH and passes.exact() else None
