"""The maps of the catalogue of a network in `tests/zoo.py`, in float64 from the formulas of the papers.

Gradients come from a tape on the twin. Another backward rule of a ReLU is a custom gradient that stands in for
TensorFlow's while the twin is called eagerly. What hides a part of a picture is made one picture at a time. Maps of a
layer are stretched over the picture: where else they can lie has tests of its own. The package is not used.
"""

import contextlib
import functools
import itertools
from unittest import mock

import keras
import numpy as np
import shapes
import tensorflow as tf
import zoo

SAMPLES = {"samples": 2, "noise": 0.1, "seed": 7}
RISE = {"masks": 24, "grid": 4, "p": 0.5, "seed": 7}
PATCH, PARTS, STEPS, THRESHOLD, CHUNK = 32, 16, 3, 0.5, 16
LIME = {"samples": 48, "seed": 7}
SHAP = {"samples": 160, "seed": 7}
LEARNED = {
    "steps": 3,
    "grid": 4,
    "jitter": 2,
    "seed": 7,
    "reference": 0.1,
    "learning_rate": 0.05,
    "area_weight": 0.1,
    "variation_weight": 10.0,
    "variation_power": 2.0,
}
LEARNED = {"steps": 2, "grid": 4, "jitter": 0, "reference": 0.1, "area_weight": 1.0, "variation_weight": 0.0}
GRADIENTS = ("saliency", "gradient_x_input", "smooth_grad", "var_grad", "guided_backprop", "deconvnet")
GRADIENTS += ("integrated_gradients", "expected_gradients")
CAMS = ("cam", "grad_cam", "grad_cam_plus_plus", "layer_cam", "hires_cam", "guided_grad_cam")
# These of the first picture alone.
HIDING = ("score_cam", "ablation_cam", "occlusion", "rise", "sise", "lime", "kernel_shap", "meaningful_perturbation")
BY_RULE = ("guided_backprop", "deconvnet", "guided_grad_cam")


def _by(rule, top):
    """A ReLU, cut at `top`, whose way back is rule(whether its input lies inside, the signal)."""

    @tf.custom_gradient
    def relu(a, name=None):
        return tf.clip_by_value(a, 0, top), lambda R: R * tf.cast(rule((a > 0) & (a < top), R > 0), R.dtype)

    return relu


def both_positive(inside, positive):
    """Springenberg et al. 2015."""
    return inside & positive


def signal_positive(inside, positive):
    """Zeiler and Fergus 2014."""
    return positive


RULES = {"guided": both_positive, "deconv": signal_positive}


def options(name, subject, dtype):
    """What the method is asked with."""
    last, narrow = (subject.layer(number, dtype) for number in (subject.last, subject.narrow))
    given = {
        "smooth_grad": SAMPLES,
        "var_grad": SAMPLES,
        "integrated_gradients": {"steps": STEPS},
        "expected_gradients": {"samples": STEPS, "seed": 7, "background": subject.inputs[::-1].astype(dtype)},
        "score_cam": {"layer": narrow},
        "occlusion": {"patch": PATCH, "stride": PATCH, "fill": "zero"},
        "rise": RISE,
        "sise": {"layers": [narrow, last], "threshold": THRESHOLD},
        "lime": {**LIME, "segments": segments(subject.inputs.shape[1])},
        "kernel_shap": {**SHAP, "segments": segments(subject.inputs.shape[1])},
        "meaningful_perturbation": LEARNED,
    }
    at_last = {"layer": last} if name in (*CAMS, "ablation_cam") and name != "cam" else {}
    stretched = {"align": "stretch"} if name in (*CAMS, "ablation_cam", "score_cam", "sise") else {}
    return given.get(name, at_last) | stretched


def segments(side):
    """Squares of 16 pixels."""
    rows = np.arange(side) // PARTS
    return rows[:, None] * (rows.max() + 1) + rows


def refuses(name, network):
    """Whether the method is not defined for the network."""
    return (name in BY_RULE and network in zoo.WITHOUT_RELU) or (name == "cam" and network in zoo.WITHOUT_GAP)


def _once(method):
    """The same method, whose answers the object keeps; a cache of the class would keep the object and its networks."""

    @functools.wraps(method)
    def kept(self, *arguments):
        key = (method.__name__, *arguments)
        if key not in self.answers:
            self.answers[key] = method(self, *arguments)
        return self.answers[key]

    return kept


class Oracle:
    """Every map of one network."""

    def __init__(self, subject):
        self.subject, self.twin, self.targets = subject, subject.twin, subject.targets
        self.x = subject.inputs.astype(np.float64)
        self.network, self.answers = subject.name, {}
        self._slope = tf.function(self._tape, autograph=False)
        self._forward = tf.function(lambda points: self.twin(points, training=False), autograph=False)

    def map(self, name):
        return getattr(self, name)()

    # --- scores and gradients ---

    def _tape(self, points, targets):
        with tf.GradientTape() as tape:
            tape.watch(points)
            score = shapes.of_classes(self.twin(points, training=False), targets)
        return tape.gradient(score, points)

    def slope(self, points):
        return self._slope(tf.constant(points), self.targets).numpy()

    @_once
    def by_rule(self, rule):
        relu, relu6 = (_by(RULES[rule], top) for top in (np.inf, 6.0))
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(tf.nn, "relu", relu))
            if self.network not in zoo.GATED:
                stack.enter_context(mock.patch.object(tf.nn, "relu6", relu6))
            return self._tape(tf.constant(self.x), self.targets).numpy()

    def score(self, points, probability=True):
        """S_c of many pictures for the first target."""
        points = np.asarray(points)
        chunks = [self._forward(tf.constant(points[k : k + CHUNK])) for k in range(0, len(points), CHUNK)]
        z = tf.concat(chunks, axis=0)
        return (tf.nn.softmax(z) if probability else z).numpy()[:, self.targets[0]]

    @_once
    def at(self, number, probability=False):
        """A and dS/dA at a layer of the twin."""
        both = keras.Model(self.twin.inputs, [self.twin.layers[number].output, self.twin.outputs[0]])

        @tf.function(autograph=False)
        def run(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                A, z = both(x, training=False)
                score = shapes.of_classes(tf.nn.softmax(z) if probability else z, self.targets)
            return A, tape.gradient(score, A)

        return tuple(tensor.numpy() for tensor in run(tf.constant(self.x)))

    # --- the gradient family ---

    def saliency(self):
        return self.slope(self.x)

    def gradient_x_input(self):
        return self.x * self.slope(self.x)

    @_once
    def _noisy(self):
        width = np.ptp(self.x, axis=(1, 2, 3), keepdims=True)
        streams = [np.random.default_rng([SAMPLES["seed"], k]) for k in range(SAMPLES["samples"])]
        noise = [stream.standard_normal(self.x.shape[1:], np.float32) for stream in streams]
        return np.stack([self.slope(self.x + SAMPLES["noise"] * width * each) for each in noise])

    def smooth_grad(self):
        return self._noisy().mean(axis=0)

    def var_grad(self):
        return self._noisy().var(axis=0)

    def guided_backprop(self):
        return self.by_rule("guided")

    def deconvnet(self):
        return self.by_rule("deconv")

    def integrated_gradients(self):
        return self.x * np.mean([self.slope(self.x * (k + 0.5) / STEPS) for k in range(STEPS)], axis=0)

    def expected_gradients(self):
        background, total = self.x[::-1], 0
        generator, along = (np.random.default_rng([7, STEPS, *more]) for more in ([1], []))
        rounds = [generator.permutation(len(background)) for _ in range(-(-STEPS // len(background)))]
        for k, (start, u) in enumerate(zip(background[np.concatenate(rounds)], along.random(STEPS), strict=False)):
            total = total + (self.x - start) * self.slope(start + (k + u) / STEPS * (self.x - start)) / STEPS
        return total

    # --- maps of a layer ---

    def _large(self, maps):
        return np.stack([shapes.enlarged(one, self.x.shape[1:-1]) for one in maps])

    def _combined(self, formula):
        A, g = self.at(self.subject.last)
        return self._large(formula(A, g).sum(axis=-1))

    def _positive(self, formula):
        A, g = self.at(self.subject.last)
        return self._large(np.maximum(formula(A, g).sum(axis=-1), 0))

    def cam(self):
        head = next(layer for layer in reversed(self.twin.layers) if hasattr(layer, "kernel"))
        weights = head.kernel.numpy().reshape(-1, zoo.CLASSES)
        return self._combined(lambda A, _: A * weights.T[self.targets][:, None, None])

    def grad_cam(self):
        return self._positive(lambda A, g: g.mean(axis=(1, 2), keepdims=True) * A)

    def grad_cam_plus_plus(self):
        def formula(A, g):
            below = 2 * g**2 + g**3 * A.sum(axis=(1, 2), keepdims=True)
            share = np.divide(g**2, below, out=np.zeros_like(g), where=below != 0)
            return (share * np.maximum(g, 0)).sum(axis=(1, 2), keepdims=True) * A

        return self._positive(formula)

    def layer_cam(self):
        return self._positive(lambda A, g: np.maximum(g, 0) * A)

    def hires_cam(self):
        return self._combined(lambda A, g: g * A)

    def guided_grad_cam(self):
        return self.by_rule("guided") * self.grad_cam()[..., None]

    # --- what hides a part ---

    def score_cam(self):
        A, x = self.at(self.subject.narrow)[0][0], self.x[0]
        varied = np.flatnonzero(np.ptp(A, axis=(0, 1)) > 0)
        masks = [shapes.enlarged(shapes.scaled(A[..., k]), x.shape[:-1]) for k in varied]
        weights = self.score([x * mask[..., None] for mask in masks])
        return self._large(np.maximum(A[..., varied] @ weights, 0)[None])

    def ablation_cam(self):
        head = keras.Model(self.twin.layers[self.subject.last].output, self.twin.outputs[0])
        A = self.at(self.subject.last)[0][0]
        kept = np.concatenate([np.ones((1, A.shape[-1])), 1 - np.eye(A.shape[-1])])
        parts = [
            head(tf.constant(A * kept[k : k + 64, None, None]), training=False).numpy() for k in range(0, len(kept), 64)
        ]
        whole, *without = np.concatenate(parts)[:, self.targets[0]]
        return self._large(np.maximum(A @ (whole - np.array(without)), 0)[None])

    def occlusion(self):
        x, drops = self.x[0], np.zeros(self.x.shape[1:-1])
        for corner in itertools.product(range(0, len(x), PATCH), repeat=2):
            where, covered = tuple(slice(start, start + PATCH) for start in corner), x.copy()
            covered[where] = 0
            drops[where] = np.subtract(*self.score([x, covered], False))
        return drops[None]

    def rise(self):
        masks = shapes.rise_masks(self.x.shape[1:-1], RISE)
        values = self.score(self.x[0] * masks[..., None])
        return np.tensordot(values, masks - masks.mean(axis=0), 1)[None] / (RISE["masks"] * RISE["p"])

    def sise(self):
        F = None
        for number in (self.subject.narrow, self.subject.last):
            (A, *_), (g, *_) = self.at(number, True)
            slopes = g.mean(axis=(0, 1))
            chosen = np.flatnonzero((slopes > THRESHOLD * max(slopes.max(), 0)) & (np.ptp(A, axis=(0, 1)) > 0))
            masks = np.stack([shapes.scaled(shapes.enlarged(A[..., k], self.x.shape[1:-1])) for k in chosen])
            V = shapes.scaled(np.tensordot(self.score(self.x[0] * masks[..., None]), masks, 1))
            F = V if F is None else shapes.scaled((F + V) * shapes.otsu(V))
        return F[None]

    def lime(self):
        labels, x = segments(self.x.shape[1]), self.x[0]
        z = np.random.default_rng(LIME["seed"]).integers(0, 2, (LIME["samples"], labels.max() + 1), np.int8)
        z[0] = 1
        values = self.score([np.where(row[labels][..., None] == 1, x, x.mean(axis=(0, 1))) for row in z])
        weights = np.exp(-((1 - np.sqrt(z.mean(axis=1))) ** 2) / 0.25**2 / 2)
        return shapes.ridge(z, values, weights, 1.0)[labels][None]

    def kernel_shap(self):
        labels, x = segments(self.x.shape[1]), self.x[0]
        z = shapes.shap_draws(labels.max() + 1, SHAP["samples"], SHAP["seed"])
        values = self.score([np.where(row[labels][..., None] == 1, x, x.mean(axis=(0, 1))) for row in z])
        return shapes.constrained(z, values)[labels][None]

    def meaningful_perturbation(self):
        def value(points):
            return tf.nn.softmax(self.twin(points, training=False))[0, self.targets[0]]

        return shapes.learned_mask(self.x[0], value, LEARNED)[None]
