"""Xplique, in batches of 32; its CAMs and LIME explain images only."""

import numpy as np
import tensorflow as tf
from xplique import attributions as attr
from xplique.metrics import Deletion, Insertion

from benchmarks.contenders.case import BATCH, NOISE, STEPS, doubled
from benchmarks.contenders.raw import METHODS as RAW

PACKAGE = "xplique"
BACKEND = "tensorflow"


def method(kind, ending="logits", images_only=False, **names):
    def make(case, setting):
        if images_only and not case.is_image:
            return None
        n, one_hot = setting["n"], case.one_hot(setting["n"])
        options = {key: value(case, setting) if callable(value) else value for key, value in names.items()}
        tool = kind(case.network(ending), batch_size=BATCH, **options)
        return lambda: np.asarray(tool(case.inputs(n), one_hot))

    return make


def amount(_, setting):
    return setting["amount"]


def window(which):
    """A signal (T, C) is a picture (H, W) to them: the window has all of its channels."""

    def of(case, _):
        sizes = case.window[which]
        return sizes if case.is_image else (*sizes, case.inputs(1).shape[-1])

    return of


def lime(case, setting):
    if not case.is_image:
        return None
    n, one_hot, channels = setting["n"], case.one_hot(setting["n"]), case.inputs(1).shape[-1]
    segments = iter(())
    tool = attr.Lime(
        case.network("model"),
        batch_size=BATCH,
        nb_samples=setting["amount"],
        map_to_interpret_space=lambda _: tf.constant(next(segments), tf.int32),
        ref_value=np.full(channels, case.fill, "float32"),
    )

    def maps():
        nonlocal segments
        segments = iter(case.arrays["segments"][:n])
        return np.asarray(tool(case.inputs(n), one_hot))

    return maps


def integrated(case, n=1):
    """Integrated Gradients of one input; one explainer for each number of steps, all of one network."""
    tools = {}

    def run(x, one_hot, steps):
        if steps not in tools:
            tools[steps] = attr.IntegratedGradients(case.network(), batch_size=BATCH, reducer=None, steps=int(steps))
        return np.asarray(tools[steps](x[None], one_hot[None]))[0]

    return run


def converged(case, setting):
    """The smallest steps of its rule that reach 1 %, input by input."""
    n, run = setting["n"], integrated(case)
    items = list(zip(case.inputs(n), case.one_hot(n), np.load(case.folder / "steps.npz")["trapezoid"], strict=False))
    return lambda: np.stack([run(*item) for item in items])


def until_converged(case, setting):
    n, run = setting["n"], integrated(case)
    items = list(zip(case.inputs(n), case.one_hot(n), np.load(case.folder / "steps.npz")["changes"], strict=False))
    return lambda: np.stack([doubled(lambda k, x=x, c=c: run(x, c, k), change) for x, c, change in items])


def curve(kind):
    def make(case, setting):
        if not case.is_image:
            return None
        n = setting["n"]
        metric = kind(case.network("model"), case.inputs(n), case.one_hot(n), batch_size=BATCH, steps=STEPS)
        return lambda: np.asarray(metric(case.arrays["relevance"][:n]))

    return make


METHODS = RAW | {
    "saliency": method(attr.Saliency, reducer=None),
    "smooth_grad": method(attr.SmoothGrad, reducer=None, nb_samples=amount, noise=NOISE),
    "integrated_gradients": method(attr.IntegratedGradients, reducer=None, steps=amount),
    "converged": converged,
    "doubled": until_converged,
    "grad_cam": method(attr.GradCAM, images_only=True, conv_layer=lambda case, _: case.layer),
    "occlusion": method(
        attr.Occlusion, patch_size=window(0), patch_stride=window(1), occlusion_value=lambda case, _: case.fill
    ),
    "rise": method(attr.Rise, "model", nb_samples=amount),
    "lime": lime,
    "deletion": curve(Deletion),
    "insertion": curve(Insertion),
}
