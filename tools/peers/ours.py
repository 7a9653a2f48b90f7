"""Our maps of a case, and what becomes of them when one step is done as another library does it."""

from functools import cached_property

import keras
import numpy as np
import tensorflow as tf

import xai_utils as xu
from heatproof.engine.query import Query
from tools.peers.case import ALPHA, KERNEL_WIDTH, NOISE, times_covered


class Ours:
    """Our maps of one case: `ours("saliency")` calls `xu.saliency`; every map is computed once."""

    def __init__(self, case):
        self.case, self.model = case, case.network("model")
        self.found = {}

    def __call__(self, method, **options):
        key = (method, *sorted(options.items()))
        if key not in self.found:
            case = self.case
            self.found[key] = getattr(xu, method)(self.model, case.inputs, case.targets, **options)
        return self.found[key]

    @cached_property
    def logits(self):
        return np.stack(
            [xu.scores(self.model, self.case.inputs, c, score="logit") for c in range(self.case.one_hot.shape[1])], 1
        )

    def cam(self, method, **options):
        """On the layer's own grid unless told otherwise; enlarged by the plain stretch, as the others do."""
        return self(method, layer=self.case.layer, **({"upsample": False, "align": "stretch"} | options))

    def smooth(self, method):
        return self(method, samples=self.case.noise.shape[1], noise=NOISE)

    def occlusion(self, parts, patch=None):
        patch = self.case.patch if patch is None else patch
        options = {"patch": tuple(patch.tolist()), "stride": tuple(np.maximum(patch // parts, 1).tolist())}
        return self("occlusion", fill=self.case.fill, **options)

    def lime(self, fill):
        case = self.case
        options = {"samples": len(case.visible), "alpha": ALPHA, "kernel_width": KERNEL_WIDTH, "fill": fill}
        return xu.lime(self.model, case.inputs, case.targets, segments=case.segments, **options)

    def kernel_shap(self, samples):
        case = self.case
        options = {"segments": case.parts, "samples": samples, "fill": case.fill}
        return xu.kernel_shap(self.model, case.inputs, case.targets, **options)

    def lrp(self, rule, **options):
        """Without epsilon; the box of z^B is the range of the inputs."""
        low, high = self.case.box
        return self("lrp", rule=rule, epsilon=0, **({"low": low, "high": high} | options))

    def expected(self, precision="float32"):
        """With every layer and every number in this precision."""
        network = keras.models.model_from_json(self.model.to_json().replace("float32", precision))
        network.set_weights(self.model.get_weights())
        inputs, background = (one.astype(precision) for one in (self.case.inputs, self.case.background))
        options = {"background": background, "samples": len(self.case.places)}
        return xu.expected_gradients(network, inputs, self.case.targets, **options)

    def integrated(self, nodes, weights):
        """Integrated Gradients from 0 by another rule: x * sum_k w_k dS_c/dx (a_k x)."""
        case = self.case
        gradients = [xu.saliency(self.model, (a * case.inputs).astype("float32"), case.targets) for a in nodes]
        return case.inputs * np.tensordot(weights, gradients, 1)


# --- their ways -------------------------------------------------------------------------------------------------


def summed(maps):
    """One value per position of a map in the shape of the inputs."""
    return maps.sum(axis=-1)


def shown(maps):
    """|M|, the largest channel, scaled to [0, 1]."""
    maps = np.abs(maps).max(axis=-1)
    axes = tuple(range(1, maps.ndim))
    low, high = maps.min(axis=axes, keepdims=True), maps.max(axis=axes, keepdims=True)
    return (maps - low) / (high - low)


def parts_of_weights(ours, rule):
    """Relevance as Captum has it: whole biases and, in the first layer, the parts of the weights for those of products.

    Behind a ReLU both are one, and so are they where no input is negative: then no more than the biases differ.
    """
    case, whole = ours.case, ours.lrp(rule, bias="whole")
    if case.inputs.min() >= 0:
        return whole
    layer = case.network().layers[0 if case.network().layers[0].weights else 1]
    R = ours.lrp(rule, bias="whole", relevance_at=layer.name).reshape(len(whole), -1)
    side = int(np.prod(case.inputs.shape[1:]))
    units = np.concatenate([np.zeros((1, side)), np.eye(side)]).reshape(-1, *case.inputs.shape[1:])
    plain = keras.Sequential([keras.Input(case.inputs.shape[1:]), type(layer).from_config(linear(layer))])
    plain.set_weights(layer.get_weights())
    found = plain.predict(units).reshape(side + 1, -1)
    b, W = found[0], found[1:] - found[0]
    W = np.maximum(W, 0) if rule == "z_plus" else W + 0.25 * np.maximum(W, 0)
    x = case.inputs.reshape(len(whole), -1)
    return (x * (R / (x @ W + b) @ W.T)).reshape(whole.shape)


def linear(layer):
    return layer.get_config() | {"activation": None, "name": "linear"}


def bicubic(maps, ours):
    return tf.image.resize(maps[..., None], ours.case.inputs.shape[1:-1], "bicubic").numpy()[..., 0]


def trapezoid(n):
    """n nodes from 0 to 1."""
    weights = np.full(n, 1 / (n - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, n), weights


def all_nodes_alike(n):
    """n nodes from 0 to 1, the ends with full weight."""
    return np.linspace(0, 1, n), np.full(n, 1 / n)


def grad_cam_plus_plus_of_the_program(ours):
    """a_k(p) divided by their sum over p, and the factor exp(S_c) kept, as in the authors' program."""
    case = ours.case
    query = Query(ours.model, case.inputs, case.targets)

    def combine(A, g, _):
        space = tuple(range(1, A.ndim - 1))
        shares = np.where(g != 0, 1 / (2 + g * A.sum(axis=space, keepdims=True)), 0)
        total = shares.sum(axis=space, keepdims=True)
        weights = (shares / np.where(total == 0, 1, total) * np.maximum(g, 0)).sum(axis=space)
        return np.maximum(np.einsum("n...k,nk->n...", A, weights), 0)

    factor = np.exp(xu.scores(ours.model, case.inputs, case.targets, score="logit"))
    return query.place(case.layer).maps(combine) * factor.reshape(-1, *[1] * (case.inputs.ndim - 2))


def overlapping_sum(ours, parts, patch=None):
    patch = ours.case.patch if patch is None else patch
    times = times_covered(ours.case.inputs.shape[1:-1], patch, np.maximum(patch // parts, 1))
    return ours.occlusion(parts, patch) * times


def half(ours):
    """The side of PAIR's window, which is a square and moves by one."""
    side = ours.case.inputs.shape[1] // 2
    return np.full(ours.case.inputs.ndim - 2, side)


def rise(ours):
    return ours("rise", masks=len(ours.case.masks))


def rise_as_a_mean(ours):
    """sum S m / sum m = p M / mean m + mean S."""
    case = ours.case
    seen = [xu.scores(ours.model, x * case.masks[..., None], c) for x, c in zip(case.inputs, case.targets, strict=True)]
    mean = np.mean(seen, axis=1).reshape(-1, *[1] * (case.inputs.ndim - 2))
    return 0.5 * rise(ours) / case.masks.mean(axis=0) + mean
