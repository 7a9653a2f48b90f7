"""One small network in every shape a Keras model can have, and the same network without Keras.

`Truth` holds the weights and computes the network in float64 with plain TensorFlow operations, eagerly; its maps are
written from the papers' formulas. `SHAPES` builds Keras models that must all compute that network.
"""

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import xai_utils as xu

IMAGE, SIGNAL, VOLUME = (8, 6, 2), (12, 2), (4, 6, 8, 2)
CLASSES, EPSILON = 3, 1e-3
OPTIONS = {
    "smooth_grad": {"samples": 3, "noise": 0.2, "seed": 7},
    "var_grad": {"samples": 3, "noise": 0.2, "seed": 7},
    "integrated_gradients": {"steps": 3, "baseline": 0.25},
    "expected_gradients": {"samples": 3, "seed": 7, "background": "uniform"},
    "lrp": {"epsilon": 0.0},
    "deep_lift": {"baseline": 0.25},
    "cam": {"upsample": False},
    "grad_cam": {"upsample": False},
    "grad_cam_plus_plus": {"upsample": False},
    "score_cam": {"upsample": False},
    "ablation_cam": {"upsample": False},
    "layer_cam": {"upsample": False},
    "hires_cam": {"upsample": False},
    "occlusion": {"patch": 3, "stride": 2, "fill": 0.3},
    "rise": {"masks": 20, "grid": 3, "p": 0.4, "seed": 7},
    "sise": {"fill": 0.25},
    "lime": {"samples": 60, "segments": 8, "seed": 7},
    "kernel_shap": {"samples": 60, "segments": 8, "seed": 7},
}
# An inner unit has no probability: these methods are asked for its value there. SISE has no such option.
OF_UNIT = {"score_cam": {"weights": "softmax"}} | dict.fromkeys(("rise", "lime", "kernel_shap"), {"score": "logit"})
TARGETS = np.array([2, 0, 1])


@tf.custom_gradient
def guided_relu(a):
    """Springenberg et al. 2015: back through a ReLU only where its input and the signal are positive."""
    return tf.nn.relu(a), lambda R: R * tf.cast(a > 0, R.dtype) * tf.cast(R > 0, R.dtype)


@tf.custom_gradient
def deconv_relu(a):
    """Zeiler and Fergus 2014: back through a ReLU only where the signal is positive."""
    return tf.nn.relu(a), lambda R: R * tf.cast(R > 0, R.dtype)


def passing(activation):
    """An activation f that passes relevance R(f) as it is: the gradient R(f) / f goes back as R(f) / a."""

    @tf.custom_gradient
    def passed(a):
        f = activation(a)
        return f, lambda gradient: gradient * f / a

    return passed


def of_classes(z, targets):
    """z (N, classes) at the class of each row."""
    return tf.reduce_sum(z * tf.one_hot(targets, z.shape[-1], dtype=z.dtype), axis=1)


class Truth:
    """conv + ReLU, max pooling, conv + ReLU, mean over space, dense.

    With `residual` also a skip and batch norms, with `flat` all positions instead of their mean, with `smooth` tanh
    instead of the ReLU.
    """

    def __init__(self, shape=IMAGE, residual=False, binary=False, flat=False, smooth=False, seed=3):
        draw = np.random.default_rng(seed).normal
        self.shape, self.residual, self.binary, self.flat = shape, residual, binary, flat
        self.activation = tf.tanh if smooth else tf.nn.relu
        self.kernel, self.space = (3,) * (len(shape) - 1), tuple(range(1, len(shape)))
        norm = np.abs(draw(1, 0.3, (2, 4, 4)))  # gamma, beta, moving mean, moving variance of two batch norms
        self.weights = {
            "conv_1": [draw(0, 0.4, (*self.kernel, 2, 4)), draw(0, 0.3, 4)],
            "conv_2": [draw(0, 0.3, (*self.kernel, 4, 4)), draw(0, 0.3, 4)],
            "norm_1": list(norm[0]),
            "norm_2": list(norm[1]),
            "head": [draw(0, 1, (4, CLASSES)), draw(0, 1, CLASSES)],
        }
        if binary:
            self.weights["head"] = [draw(0, 1, (4, 1)), draw(0, 1, 1)]
        if flat:
            positions = int(np.prod([side // 2 for side in shape[:-1]]))
            scale = 0.5 * min(1, 12 / positions)  # or the probabilities would be 0 and 1
            self.weights["head"] = [draw(0, scale, (4 * positions, CLASSES)), draw(0, 1, CLASSES)]

    def inputs(self, count=3, seed=5):
        return np.random.default_rng(seed).normal(size=(count, *self.shape)).astype(np.float32)

    @property
    def targets(self):
        return TARGETS % 2 if self.binary else TARGETS

    def give_to(self, model):
        """Set the weights of every layer that carries one of the names, however deep it lies."""
        for layer in model.layers:
            if hasattr(layer, "layers"):  # also a layer of one's own that lists those inside
                self.give_to(layer)
            elif layer.name in self.weights:
                values = zip(self.weights[layer.name], layer.weights, strict=True)
                layer.set_weights([value.reshape(variable.shape) for value, variable in values])
        return model

    # --- the network, in float64 ---

    def _convolve(self, x, name):
        kernel, bias = self.weights[name]
        order = {3: "NWC", 4: "NHWC", 5: "NDHWC"}[len(x.shape)]  # without a word Conv3D has no gradient
        return tf.nn.convolution(x, tf.constant(kernel), padding="SAME", data_format=order) + bias

    def blocks(self, x):
        """The values of each 2 x 2 ... block, along a new last axis; what is left over at the far border is cut off."""
        for axis in self.space:
            x = tf.gather(x, range(x.shape[axis] // 2 * 2), axis=axis)
        halves = [size for side in x.shape[1:-1] for size in (side // 2, 2)]
        blocks = tf.reshape(x, (len(x), *halves, x.shape[-1]))
        count = len(self.space)
        order = (0, *range(1, 2 * count, 2), 2 * count + 1, *range(2, 2 * count + 1, 2))
        blocks = tf.transpose(blocks, order)
        return tf.reshape(blocks, (*blocks.shape[: count + 2], 2**count))

    def _pool(self, x):
        """The largest of each block, the first of equals."""
        blocks = self.blocks(x)
        return tf.gather(blocks, tf.argmax(blocks, axis=-1), batch_dims=len(self.space) + 2)

    def _norm(self, x, name):
        gamma, beta, mean, variance = self.weights[name]
        return gamma * (x - mean) / np.sqrt(variance + EPSILON) + beta

    def features(self, x, relu=None):
        """A, the maps that the head reads: (N, ..., 4)."""
        return self.second(self.first(x, relu), relu)

    def first(self, x, relu=None):
        """What the first convolution and its ReLU give."""
        relu = relu or self.activation
        a = self._convolve(x, "conv_1")
        return relu(self._norm(a, "norm_1") if self.residual else a)

    def second(self, a, relu=None):
        """A, from what `first` gives."""
        relu = relu or self.activation
        if self.residual:
            return relu(a + self._norm(self._convolve(a, "conv_2"), "norm_2"))
        return relu(self._convolve(self._pool(a), "conv_2"))

    def head(self, A):
        """Logits (N, classes); one sigmoid unit z has the logits -z and z."""
        read = tf.reshape(A, (len(A), -1)) if self.flat else tf.reduce_mean(A, axis=self.space)
        z = read @ self.weights["head"][0] + self.weights["head"][1]
        return tf.concat([-z, z], axis=1) if self.binary else z

    def logits(self, x):
        return self.head(self.features(tf.constant(x, tf.float64))).numpy()

    def probabilities(self, x):
        """Softmax, or sigma(z) and 1 - sigma(z) for one sigmoid unit."""
        z = self.logits(x)
        p = 1 / (1 + np.exp(-z)) if self.binary else np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return p

    # --- maps ---

    def gradient(self, x, targets, relu=None, ending=None):
        """dS_c/dx with S_c = ending(logits)_c, the logit for None."""
        x = tf.constant(x, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(x)
            z = self.head(self.features(x, relu))
            score = of_classes(z if ending is None else ending(z), targets)
        return tape.gradient(score, x).numpy()

    def unit_gradient(self, x, channel, relu=None):
        """d mean_p A_channel(p) / dx."""
        x = tf.constant(x, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.reduce_mean(self.features(x, relu)[..., channel], axis=self.space)
        return tape.gradient(score, x).numpy()


class Difference:
    """How the difference of x and x' goes forwards through a `Truth`, by its slopes and winners (DeepLIFT)."""

    def __init__(self, truth, x, start):
        self.truth = truth
        self.x, self.start = (tf.constant(np.broadcast_to(each, x.shape), tf.float64) for each in (x, start))

    def shares(self, targets, channel=None):
        """(x - x') times the slope of what comes out: for the logit of a class, or the mean of one map."""
        way = self.x - self.start
        with tf.GradientTape() as tape:
            tape.watch(way)
            A = self._through(way)
            score = of_classes(self._head(A), targets) if channel is None else tf.reduce_mean(
                A[..., channel], axis=self.truth.space
            )  # fmt: skip
        return (way * tape.gradient(score, way)).numpy()

    def _head(self, A):
        return self.truth.head(A) - self.truth.head(tf.zeros_like(A))

    def _linear(self, function, way):
        """A sum of weights, without its bias."""
        return function(way) - function(tf.zeros_like(way))

    def _through(self, way):
        truth, here, there = self.truth, self.x, self.start
        convolve = [functools.partial(truth._convolve, name=f"conv_{k}") for k in (1, 2)]
        norm = [functools.partial(truth._norm, name=f"norm_{k}") for k in (1, 2)]
        first = (lambda a: norm[0](convolve[0](a))) if truth.residual else convolve[0]
        way, here, there = self._activated(self._linear(first, way), first(here), first(there))
        if truth.residual:
            branch = lambda a: norm[1](convolve[1](a))  # noqa: E731
            second = lambda a: a + branch(a)  # noqa: E731
        else:
            way, here, there = self._pooled(way, here, there)
            second = convolve[1]
        return self._activated(self._linear(second, way), second(here), second(there))[0]

    def _activated(self, way, a, b):
        f = self.truth.activation
        slope = (f(a) - f(b)) / np.where(np.abs(a - b) < 1e-12, np.inf, a - b)
        return way * slope, f(a), f(b)

    def _pooled(self, way, a, b):
        """The change of each maximum, paid by the place of the larger one, or by that of x if both can be."""
        ways, here, there = (self.truth.blocks(each).numpy() if k else self.truth.blocks(each)
                             for k, each in enumerate((way, a, b)))  # fmt: skip
        rise = here.max(axis=-1) - there.max(axis=-1)
        of_x, of_start = here.argmax(axis=-1), there.argmax(axis=-1)
        held = np.take_along_axis(there, of_x[..., None], axis=-1)[..., 0]
        place = np.where((rise >= 0) | (held == there.max(axis=-1)), of_x, of_start)[..., None]
        moved = np.take_along_axis(here - there, place, axis=-1)[..., 0]
        share = np.divide(rise, moved, out=np.zeros_like(rise), where=moved != 0)
        picked = tf.gather(ways, tf.constant(place[..., 0]), batch_dims=len(self.truth.space) + 2)
        return picked * share, tf.constant(here.max(axis=-1)), tf.constant(there.max(axis=-1))


def _noisy_gradients(truth, x, gradient):
    option = OPTIONS["smooth_grad"]
    space = tuple(range(1, x.ndim))
    sigma = option["noise"] * (x.max(axis=space, keepdims=True) - x.min(axis=space, keepdims=True))
    streams = [np.random.default_rng([option["seed"], k]) for k in range(option["samples"])]
    return np.stack([gradient(x + sigma * s.standard_normal(truth.shape, np.float32)) for s in streams])


def _path_integral(x, gradient):
    option = OPTIONS["integrated_gradients"]
    start, steps = option["baseline"], option["steps"]
    return (x - start) * np.mean([gradient(start + (k + 0.5) / steps * (x - start)) for k in range(steps)], axis=0)


def _expected_path(x, gradient):
    """Uniform noise between the extremes of each input; a_k in the k-th part of [0, 1]."""
    n, seed = (OPTIONS["expected_gradients"][name] for name in ("samples", "seed"))
    along = (np.arange(n) + np.random.default_rng([seed, n]).random(n)) / n
    space, total = tuple(range(1, x.ndim)), 0
    low, high = (reduce(x, axis=space, keepdims=True) for reduce in (np.min, np.max))
    for k, a in enumerate(along):
        start = low + (high - low) * np.random.default_rng([seed, k]).random(x.shape[1:], np.float32)
        total = total + (x - start) * gradient(start + a * (x - start)) / n
    return total


def _gradient_map(name, truth, x, gradient):
    """The map of a method of the gradient family, where gradient(x, relu) differentiates the score."""
    if name == "gradient_x_input":
        return x * gradient(x)
    if name == "smooth_grad":
        return _noisy_gradients(truth, x, gradient).mean(axis=0)
    if name == "var_grad":
        return _noisy_gradients(truth, x, gradient).var(axis=0)
    if name == "integrated_gradients":
        return _path_integral(x, gradient)
    if name == "expected_gradients":
        return _expected_path(x, gradient)
    if name == "lrp":  # R = a dS/da at every linear layer
        return x * gradient(x, passing(truth.activation))
    rules = {"saliency": None, "guided_backprop": guided_relu, "deconvnet": deconv_relu}
    return gradient(x, rules[name])


@dataclass(frozen=True)
class Score:
    """S_c as a function of maps or inputs: the logit of a class, its probability, or one map's mean for `channel`."""

    truth: Truth
    channel: int | None = None

    def of_maps(self, A, targets, probability=False):
        if self.channel is not None:
            return tf.reduce_mean(A[..., self.channel], axis=self.truth.space)
        z = self.truth.head(A)
        return of_classes(tf.nn.softmax(z * (1 - 0.5 * self.truth.binary)) if probability else z, targets)

    def of_inputs(self, points, target, probability):
        """S of many inputs for one target."""
        A = self.truth.features(tf.constant(np.asarray(points), tf.float64))
        return self.of_maps(A, np.full(len(points), target), probability).numpy()

    def maps_and_gradients(self, x, targets, probability=False):
        """[(A, dS/dA)] for the output of the first and of the second convolution block."""
        a = self.truth.first(tf.constant(x, tf.float64))
        with tf.GradientTape() as tape:
            tape.watch(a)
            A = self.truth.second(a)
            score = self.of_maps(A, targets, probability)
        return [(m.numpy(), g.numpy()) for m, g in zip((a, A), tape.gradient(score, (a, A)), strict=True)]


def line_weights(native, size):
    """Rows: fine positions, columns: coarse ones; centres at half-integers, linear in between, flat at the ends."""
    centres = (np.arange(size) + 0.5) * native / size - 0.5
    return np.stack([np.interp(centres, np.arange(native), row) for row in np.eye(native)], axis=1)


def enlarged(one, space):
    """A map on a coarse grid at the resolution `space`."""
    for axis, side in enumerate(space):
        one = np.moveaxis(np.tensordot(line_weights(one.shape[axis], side), one, (1, axis)), 0, axis)
    return one


def scaled(values):
    return (values - values.min()) / np.ptp(values)


def otsu(values):
    """Where `values` in [0, 1] exceed the bin of 256 that makes the variance between the two sides largest."""
    centres = (np.arange(256) + 0.5) / 256
    binned = centres[np.minimum((values * 256).astype(int), 255)]

    def between(cut):
        above = binned > cut
        return above.mean() * (1 - above.mean()) * (binned[above].mean() - binned[~above].mean()) ** 2

    return values > max(np.unique(binned)[:-1], key=between)


def _cam_family(name, truth, x, targets, score):
    A, g = score.maps_and_gradients(x, targets)[1]
    alpha = g.mean(axis=truth.space, keepdims=True)
    if name == "cam":
        weights = truth.weights["head"][0]
        weights = np.concatenate([-weights, weights], axis=1) if truth.binary else weights
        return np.stack([a @ weights[:, c] for a, c in zip(A, targets, strict=True)])
    if name == "grad_cam":
        M = alpha * A
    if name == "grad_cam_plus_plus":
        a = g**2 / (2 * g**2 + g**3 * A.sum(axis=truth.space, keepdims=True) + (g == 0))
        M = (a * np.maximum(g, 0)).sum(axis=truth.space, keepdims=True) * A
    if name == "layer_cam":
        M = np.maximum(g, 0) * A
    if name == "hires_cam":
        return (g * A).sum(axis=-1)
    if name == "ablation_cam":
        whole = score.of_maps(A, targets).numpy()
        without = [score.of_maps(A * (np.arange(4) != k), targets).numpy() for k in range(4)]
        M = A * np.expand_dims((whole - without).T, truth.space)
    if name == "score_cam":
        M = A * np.stack([_score_cam_weights(truth, *each, score) for each in zip(x, A, targets, strict=True)])
    return np.maximum(M.sum(axis=-1), 0)


def _score_cam_weights(truth, x, A, target, score):
    varied = np.ptp(A.reshape(-1, A.shape[-1]), axis=0) > 0
    seen = [x * enlarged(scaled(A[..., k]), x.shape[:-1])[..., None] for k in np.flatnonzero(varied)]
    w = np.zeros(4)
    w[varied] = score.of_inputs(seen, target, True)
    if score.channel is not None:
        w[varied] = np.exp(w[varied]) / np.exp(w[varied]).sum()
    return np.expand_dims(w, tuple(range(x.ndim - 1)))


def _occlusion(x, target, score):
    option, space = OPTIONS["occlusion"], x.shape[:-1]
    starts = [[*range(0, side - option["patch"], option["stride"]), side - option["patch"]] for side in space]
    drops, times = np.zeros(space), np.zeros(space)
    for corner in itertools.product(*starts):
        where = tuple(slice(start, start + option["patch"]) for start in corner)
        covered = x.copy()
        covered[where] = option["fill"]
        drops[where] += np.subtract(*score.of_inputs([x, covered], target, False))
        times[where] += 1
    return drops / times


def rise_masks(space, option):
    """The masks of RISE, from the order of draws: cells, then one shift per axis."""
    masks = []
    for number in range(option["masks"]):
        generator = np.random.default_rng([option["seed"], number])
        mask = (generator.random((option["grid"],) * len(space)) < option["p"]).astype(float)
        cells = [-(-side // option["grid"]) for side in space]
        whole = enlarged(mask, [(option["grid"] + 1) * cell for cell in cells])
        shifts = [generator.integers(cell) for cell in cells]
        masks.append(whole[tuple(slice(shift, shift + side) for shift, side in zip(shifts, space, strict=True))])
    return np.stack(masks)


def _rise(x, target, score):
    option = OPTIONS["rise"]
    masks = rise_masks(x.shape[:-1], option)
    values = score.of_inputs(x * masks[..., None], target, True)
    return np.tensordot(values, masks - masks.mean(axis=0), 1) / (option["masks"] * option["p"])


def _sise(truth, x, target, score):
    fill, F = OPTIONS["sise"]["fill"], None
    for A, g in score.maps_and_gradients(x[None], [target], True)[truth.residual :]:
        slopes, V = g[0].reshape(-1, g.shape[-1]).mean(axis=0), 0
        for k in np.flatnonzero((slopes > 0) & (np.ptp(A[0].reshape(-1, A.shape[-1]), axis=0) > 0)):
            m = scaled(enlarged(A[0][..., k], x.shape[:-1]))[..., None]
            V = V + score.of_inputs([x * m + fill * (1 - m)], target, True)[0] * m[..., 0]
        if np.ptp(V) > 0:
            F = scaled(V) if F is None else scaled((F + scaled(V)) * otsu(scaled(V)))
    return F


def _lime(x, target, score, labels):
    option = OPTIONS["lime"]
    count = labels.max() + 1
    z = np.random.default_rng(option["seed"]).integers(0, 2, (option["samples"], count), np.int8)
    z[0] = 1
    hidden = x.mean(axis=tuple(range(x.ndim - 1)))
    values = score.of_inputs([np.where(row[labels][..., None] == 1, x, hidden) for row in z], target, True)
    return ridge(z, values, np.exp(-((1 - np.sqrt(z.mean(axis=1))) ** 2) / 0.25**2 / 2), 1.0)[labels]


def ridge(z, values, weights, alpha):
    """beta of sum_i weights_i (values_i - b - beta.z_i)^2 + alpha |beta|^2, by its normal equations."""
    X = np.column_stack([z, np.ones(len(z))]).astype(float)
    penalty = alpha * np.diag([*np.ones(z.shape[1]), 0])
    return np.linalg.solve(X.T @ (weights[:, None] * X) + penalty, X.T @ (weights * values))[:-1]


def shap_draws(count, samples, seed):
    """None shown, all shown, and pairs: the sizes by their weight in the kernel, then by rank of random numbers."""
    generator, weight = np.random.default_rng(seed), np.array([1 / (s * (count - s)) for s in range(1, count)])
    sizes = generator.choice(np.arange(1, count), (samples - 1) // 2, p=weight / weight.sum())
    z = [np.zeros(count), np.ones(count)]
    for size, keys in zip(sizes, generator.random((len(sizes), count)), strict=True):
        shown = np.isin(np.arange(count), np.argsort(keys)[:size]).astype(float)
        z += [shown, 1 - shown]
    return np.stack(z)[:samples]


def constrained(z, values):
    """phi of sum_i (values_i - values_0 - phi.z_i)^2 under sum_k phi_k = values_1 - values_0, with a multiplier."""
    X, y, ones = z[2:], values[2:] - values[0], np.ones((z.shape[1], 1))
    system = np.block([[2 * X.T @ X, ones], [ones.T, np.zeros((1, 1))]])
    return np.linalg.solve(system, np.append(2 * X.T @ y, values[1] - values[0]))[:-1]


def shapley(count, values):
    """The definition: what segment k adds to each set S without it, by |S|! (M - |S| - 1)! / M!; S by its bits."""
    phi = np.zeros(count)
    for shown, k in itertools.product(range(2**count), range(count)):
        if not shown >> k & 1:
            phi[k] += (values[shown | 1 << k] - values[shown]) / (count * math.comb(count - 1, shown.bit_count()))
    return phi


def _kernel_shap(x, target, score, labels):
    option, count = OPTIONS["kernel_shap"], labels.max() + 1
    exact = 2**count <= option["samples"]
    every = np.arange(2**count)[:, None] >> np.arange(count) & 1
    z = every if exact else shap_draws(count, option["samples"], option["seed"])
    hidden = x.mean(axis=tuple(range(x.ndim - 1)))
    values = score.of_inputs([np.where(row[labels][..., None] == 1, x, hidden) for row in z], target, True)
    return (shapley(count, values) if exact else constrained(z, values))[labels]


def _perturbation_map(name, truth, x, targets, score):
    each = list(zip(x.astype(np.float64), targets, strict=True))
    if name == "occlusion":
        return np.stack([_occlusion(one, c, score) for one, c in each])
    if name == "rise":
        return np.stack([_rise(one, c, score) for one, c in each])
    if name == "sise":
        return np.stack([_sise(truth, one, c, score) for one, c in each])
    by_segments = {"lime": _lime, "kernel_shap": _kernel_shap}[name]
    labels = xu.superpixels(x, OPTIONS[name]["segments"])
    return np.stack([by_segments(one, c, score, own) for (one, c), own in zip(each, labels, strict=True)])


def expected(name, truth, x, targets, channel=None):
    """The map of the method `name` with its OPTIONS, computed without Keras and without the code under test.

    With `channel` that of the mean of one feature map.
    """
    score, family = Score(truth, channel), xu.METHODS[name].family

    def gradient(points, *relu):
        if channel is None:
            return truth.gradient(points, targets, *relu)
        return truth.unit_gradient(points, channel, *relu)

    if name == "guided_grad_cam":
        coarse = _cam_family("grad_cam", truth, x, targets, score)
        fine = np.stack([enlarged(one, x.shape[1:-1]) for one in coarse])
        return gradient(x, guided_relu) * fine[..., None]
    if name == "deep_lift":
        return Difference(truth, x, OPTIONS[name]["baseline"]).shares(targets, channel)
    if family == "cam":
        return _cam_family(name, truth, x, targets, score)
    if family == "perturbation":
        return _perturbation_map(name, truth, x, targets, score)
    return _gradient_map(name, truth, x, gradient)


@functools.cache
def expected_once(name, truth, channel=None):
    """`expected` for the truth's own inputs and targets (class 0 for a channel), computed once for all its shapes."""
    targets = truth.targets if channel is None else np.zeros(len(TARGETS), int)
    true = expected(name, truth, truth.inputs(), targets, channel)
    true.setflags(write=False)
    return true


def distance(found, true):
    """Sum of the absolute errors relative to the sum of the true magnitudes; the shapes must agree."""
    assert found.shape == true.shape, (found.shape, true.shape)
    return float(np.abs(found - true).sum() / np.abs(true).sum())


# --- the shapes -----------------------------------------------------------------------------------------------


def _layer(truth, name):
    return getattr(layers, f"{name}{len(truth.shape) - 1}D")


def trunk(truth, dtype=None):
    """The layers before the head, fresh ones, in order."""
    options = {"padding": "same", "activation": "relu", "dtype": dtype}
    return [
        _layer(truth, "Conv")(4, 3, name="conv_1", **options),
        _layer(truth, "MaxPooling")(2, name="pool", dtype=dtype),
        _layer(truth, "Conv")(4, 3, name="conv_2", **options),
    ]


def head(truth, ending="softmax", dtype=None):
    units = 1 if truth.binary else CLASSES
    pooling = _layer(truth, "GlobalAveragePooling")(name="gap", dtype=dtype)
    return [pooling, layers.Dense(units, activation=ending, name="head", dtype=dtype)]


def chain(steps, x):
    for step in steps:
        x = step(x)
    return x


def functional(truth, ending="softmax", shape=None, dtype=None):
    inputs = keras.Input(shape or truth.shape)
    return keras.Model(inputs, chain(trunk(truth, dtype) + head(truth, ending, dtype), inputs))


def sequential(truth):
    return keras.Sequential([keras.Input(truth.shape), *trunk(truth), *head(truth)])


def sequential_after_a_call(truth):
    model = keras.Sequential(trunk(truth) + head(truth))
    model(truth.inputs(2))
    return model


def nested_classifier(truth):
    inputs = keras.Input(truth.shape)
    return keras.Model(inputs, functional(truth)(inputs))


def nested_trunk(truth):
    inputs, inner = keras.Input(truth.shape), keras.Sequential([keras.Input(truth.shape), *trunk(truth)])
    return keras.Model(inputs, chain(head(truth), inner(inputs)))


def residual(truth):
    conv_1, _, conv_2 = trunk(truth)
    conv_1.activation = conv_2.activation = keras.activations.linear
    norm_1, norm_2 = (layers.BatchNormalization(epsilon=EPSILON, name=f"norm_{k}") for k in (1, 2))
    inputs = keras.Input(truth.shape)
    a = layers.ReLU()(norm_1(conv_1(inputs)))
    A = layers.ReLU()(layers.Add()([a, norm_2(conv_2(a))]))
    return keras.Model(inputs, chain(head(truth), A))


def pointwise_head(truth):
    inputs = keras.Input(truth.shape)
    x = layers.GlobalAveragePooling2D(keepdims=True)(chain(trunk(truth), inputs))
    x = layers.Reshape((CLASSES,))(layers.Conv2D(CLASSES, 1, name="head")(x))
    return keras.Model(inputs, layers.Activation("softmax")(x))


def flat_head(truth):
    inputs = keras.Input(truth.shape)
    last = layers.Dense(CLASSES, activation="softmax", name="head")
    return keras.Model(inputs, chain([*trunk(truth), layers.Flatten(), last], inputs))


def tokens(truth):
    """The positions of the last maps in a row, averaged over as tokens are."""
    inputs = keras.Input(truth.shape)
    *_, last = head(truth)
    steps = [*trunk(truth), layers.Reshape((-1, 4), name="tokens"), layers.GlobalAveragePooling1D(), last]
    return keras.Model(inputs, chain(steps, inputs))


def without_relu(truth):
    conv_1, pool, conv_2 = trunk(truth)
    conv_1.activation = conv_2.activation = keras.activations.tanh
    inputs = keras.Input(truth.shape)
    return keras.Model(inputs, chain([conv_1, pool, conv_2, *head(truth)], inputs))


class Subclassed(keras.Model):
    """A model that is only a `call`."""

    def __init__(self, truth):
        super().__init__()
        self.steps = trunk(truth) + head(truth)

    def call(self, inputs):
        return chain(self.steps, inputs)


def subclassed(truth):
    model = Subclassed(truth)
    model(truth.inputs(2))
    return model


@keras.saving.register_keras_serializable("shapes")
class Summed(layers.Layer):
    """norm(conv(a)) + a, the sum written as an operator in a layer of one's own."""

    def __init__(self, conv, norm):
        super().__init__()
        self.layers, self.conv, self.norm = [conv, norm], conv, norm

    def call(self, a):
        return tf.nn.relu(self.norm(self.conv(a)) + a)


def summed_by_operators(truth):
    """The same as `residual`, its second half inside a layer, its first ReLU a function."""
    conv_1, _, conv_2 = trunk(truth)
    conv_1.activation = conv_2.activation = keras.activations.linear
    norm_1, norm_2 = (layers.BatchNormalization(epsilon=EPSILON, name=f"norm_{k}") for k in (1, 2))
    inputs = keras.Input(truth.shape)
    A = Summed(conv_2, norm_2)(keras.ops.relu(norm_1(conv_1(inputs))))
    return keras.Model(inputs, chain(head(truth), A))


def fixed_batch(truth):
    """A network that takes four inputs at a time."""
    inputs = keras.Input(batch_shape=(4, *truth.shape))
    return keras.Model(inputs, chain(trunk(truth) + head(truth), inputs))


def view_inside(truth):
    """The logits of a network as a layer of another, which ends in their softmax."""
    inputs = keras.Input(truth.shape)
    inner = truth.give_to(functional(truth))
    return keras.Model(inputs, layers.Softmax()(xu.logits(inner)(inputs)))


@dataclass(frozen=True)
class Shape:
    """How to build a model, the network it must compute, and how near its maps must come."""

    build: Callable
    truth: Truth
    tolerance: float = 1e-5
    saved: bool = False
    compiled: bool = False

    def model(self, folder):
        model = self.truth.give_to(self.build(self.truth))
        if self.compiled:  # and used: Keras keeps the compiled functions as attributes of the model
            model.compile("sgd", "sparse_categorical_crossentropy")
            model.predict_on_batch(self.truth.inputs())
        if self.saved:
            model.save(folder / "saved.keras")
            model = xu.load_model(folder / "saved.keras")
        return model


PLAIN = Truth()
SHAPES = {
    "functional": Shape(functional, PLAIN),
    "logits": Shape(lambda truth: functional(truth, None), PLAIN),
    "sigmoid": Shape(lambda truth: functional(truth, "sigmoid"), Truth(binary=True)),
    "sequential": Shape(sequential, PLAIN),
    "sequential after a call": Shape(sequential_after_a_call, PLAIN),
    "saved and loaded": Shape(functional, PLAIN, saved=True),
    "nested classifier": Shape(nested_classifier, PLAIN),
    "nested trunk": Shape(nested_trunk, PLAIN, compiled=True),
    "residual and batch norm": Shape(residual, Truth(residual=True), compiled=True),
    "one dimension": Shape(functional, Truth(SIGNAL)),
    "volume": Shape(functional, Truth(VOLUME)),
    "volume, residual and batch norm": Shape(residual, Truth(VOLUME, residual=True)),
    "volume, Flatten + Dense head": Shape(flat_head, Truth(VOLUME, flat=True)),
    "1x1 convolution head": Shape(pointwise_head, PLAIN),
    "tokens": Shape(tokens, PLAIN),
    "Flatten + Dense head": Shape(flat_head, Truth(flat=True)),
    "one dimension, Flatten + Dense head": Shape(flat_head, Truth(SIGNAL, flat=True)),
    "tanh in place of ReLU": Shape(without_relu, Truth(smooth=True)),
    "subclassed": Shape(subclassed, PLAIN),
    "sides of any size": Shape(lambda truth: functional(truth, shape=(None, None, 2)), PLAIN),
    "sum written as an operator": Shape(summed_by_operators, Truth(residual=True)),
    "four inputs at a time": Shape(fixed_batch, PLAIN),
    "a view inside": Shape(view_inside, PLAIN),
    "double precision": Shape(lambda truth: functional(truth, dtype="float64"), PLAIN),
    "mixed precision": Shape(lambda truth: functional(truth, dtype="mixed_float16"), PLAIN, tolerance=1e-2),
}

# --- the acceptance grid --------------------------------------------------------------------------------------

UNITS = (
    "one dimension",
    "volume",
    "nested trunk",
    "subclassed",
)  # in these shapes the methods also explain an inner unit
WITHOUT_GAP = {
    shape: "CAM is defined for a GAP head alone: the call is refused and names `grad_cam`"
    for shape in (
        "Flatten + Dense head",
        "one dimension, Flatten + Dense head",
        "volume, Flatten + Dense head",
        "tokens",
    )
}
WITHOUT_RELU = {"tanh in place of ReLU": "the rule changes ReLUs and there is none: the call is refused"}
NOT_APPLICABLE = {
    "cam": {**WITHOUT_GAP, "inner unit": "a unit has no head of class weights: the call is refused"},
    "guided_backprop": WITHOUT_RELU,
    "deconvnet": WITHOUT_RELU,
    "guided_grad_cam": WITHOUT_RELU,
    "sise": {"inner unit": "SISE scores by the class probability, which a unit has not: the call is refused"},
}


def tolerance(name, shape):
    """The largest `distance` that a cell of the grid may have.

    VarGrad is a difference of near numbers, squared; in SISE a position can change sides of Otsu's threshold.
    """
    return SHAPES[shape].tolerance * (2 if name in ("var_grad", "sise") else 1)


ORACLES = {
    "G": "the gradient of the same network written without Keras, in float64; that gradient is itself compared with "
    "central finite differences (`test_the_gradients_of_the_oracle_are_central_differences`)",
    "R": "the backward rule written as a custom gradient of the same network without Keras, in float64",
    "F": "the formula of the paper, term by term in float64, on the maps and gradients of the same network written "
    "without Keras",
    "B": "brute force: the perturbed inputs made one by one and scored by the same network written without Keras, in "
    "float64, and the formula of the paper on these scores",
}
COMPARED = {
    "saliency": ("G", "dS_c/dx"),
    "gradient_x_input": ("G", "x times dS_c/dx"),
    "smooth_grad": ("G", "mean over the same noisy copies"),
    "var_grad": ("G", "variance over the same noisy copies"),
    "guided_backprop": ("R", "guided rule at both ReLUs"),
    "deconvnet": ("R", "deconvnet rule at both ReLUs"),
    "integrated_gradients": ("G", "midpoint sum along the same path"),
    "expected_gradients": ("G", "mean over the same draws of start and place"),
    "lrp": ("R", "LRP-0: the input times a gradient that goes through an activation f as f(a) / a"),
    "deep_lift": ("F", "the slopes of both passes, the difference carried forwards through the network without Keras"),
    "cam": ("F", "class weights times the maps before the pooling"),
    "grad_cam": ("F", "ReLU of the maps weighted by their mean gradients"),
    "grad_cam_plus_plus": ("F", "weights of eq. (5) and (19) with g^2 and g^3 as printed"),
    "score_cam": ("B", "one masked input per map"),
    "ablation_cam": ("B", "one run of the head per map set to zero"),
    "layer_cam": ("F", "maps times positive gradients"),
    "hires_cam": ("F", "maps times gradients"),
    "guided_grad_cam": ("R", "the guided rule times the formula of Grad-CAM, enlarged by interpolation matrices"),
    "occlusion": ("B", "one covered input per patch"),
    "rise": ("B", "one masked input per mask, the masks drawn again from the seed"),
    "sise": ("B", "one masked input per map, Otsu's threshold by trying all of 256"),
    "lime": ("B", "one input per draw on the same 8 segments, the ridge by its normal equations"),
    "kernel_shap": ("B", "one input per coalition of the same 8 segments, the constraint by a multiplier"),
}
