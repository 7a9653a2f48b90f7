"""Xplique of the Keras network itself, in batches of 32; its CAMs explain images only."""

from unittest import mock

import numpy as np
import tensorflow as tf
from sklearn.linear_model import Ridge
from xplique import attributions as attr
from xplique.attributions.gradient_statistics.gradient_statistic import GradientStatistic

from tools.peers.case import ALPHA, BATCH, NOISE, STEPS
from tools.peers.metrics_xplique import CURVES

PACKAGE, BACKEND = "xplique", "tensorflow"


# --- one method each --------------------------------------------------------------------------------------------


def method(case, kind, ending="logits", **options):
    one_hot = case.one_hot
    tool = kind(case.network(ending), **({"batch_size": BATCH} | options))
    return lambda: np.asarray(tool(case.inputs, one_hot))


def gradients(case, kind, **options):
    """A method whose map has every channel."""
    return method(case, kind, reducer=None, **options)


def path(case):
    """One explainer for each number of steps, all of one network."""
    one_hot, tools = case.one_hot, {}

    def run(item, steps):
        if steps not in tools:
            options = {"batch_size": BATCH, "reducer": None, "steps": int(steps)}
            tools[steps] = attr.IntegratedGradients(case.network(), **options)
        return np.asarray(tools[steps](case.inputs[item][None], one_hot[item][None]))[0]

    return run


def cam(case, kind):
    """Theirs averages over two axes."""
    return method(case, kind, conv_layer=case.layer) if case.is_image else None


def occlusion(case, stride):
    """A signal (T, C) is a picture (H, W) to them: the window has all of its channels."""
    patch = case.patch
    if not case.is_image:
        patch, stride = (np.append(sizes, case.inputs.shape[-1]) for sizes in (patch, stride))
    sizes = {"patch_size": tuple(patch.tolist()), "patch_stride": tuple(stride.tolist())}
    return method(case, attr.Occlusion, occlusion_value=case.fill, **sizes)


def rise(case, masks):
    return method(case, attr.Rise, "model", nb_samples=masks)


def lime(case, samples, **options):
    """Segments are handed in, input by input."""
    one_hot, segments = case.one_hot, iter(())
    tool = attr.Lime(
        case.network("model"),
        batch_size=BATCH,
        nb_samples=samples,
        map_to_interpret_space=lambda _: tf.constant(next(segments), tf.int32),
        ref_value=np.full(case.inputs.shape[-1] if case.is_image else 1, case.fill, "float32"),
        **options,
    )

    def run():
        nonlocal segments
        segments = iter(case.segments if case.is_image else case.segments[..., None])
        return np.asarray(tool(case.inputs, one_hot))

    return run


# --- what is timed ----------------------------------------------------------------------------------------------

METHODS = CURVES | {
    "saliency": lambda case, _: gradients(case, attr.Saliency),
    "smooth_grad": lambda case, samples: gradients(case, attr.SmoothGrad, nb_samples=samples, noise=NOISE),
    "integrated_gradients": lambda case, steps: gradients(case, attr.IntegratedGradients, steps=steps),
    "grad_cam": lambda case, _: cam(case, attr.GradCAM),
    "occlusion": lambda case, _: occlusion(case, case.stride),
    "rise": rise,
    "lime": lime,
}


# --- what is compared -------------------------------------------------------------------------------------------


def answers(case):
    runs = {
        "saliency_abs": gradients(case, attr.Saliency),
        "gradient_x_input": gradients(case, attr.GradientInput),
        "integrated_gradients": gradients(case, attr.IntegratedGradients, steps=STEPS),
        "guided_backprop": gradients(case, attr.GuidedBackprop),
        "deconvnet": gradients(case, attr.DeconvNet),
    }
    found = {key: run() for key, run in runs.items()} | _smoothed(case) | (_cams(case) if case.is_image else {})
    one_value = {
        "occlusion": occlusion(case, case.patch)(),
        "occlusion_overlapping": occlusion(case, case.stride)(),
        "rise": _rise(case),
        "lime": _lime(case),
    }
    return found | {key: maps[..., 0] for key, maps in one_value.items()}


def _smoothed(case):
    found, samples = {}, case.noise.shape[1]
    for key, kind in {"smooth_grad": attr.SmoothGrad, "var_grad": attr.VarGrad}.items():
        run = gradients(case, kind, nb_samples=samples, batch_size=samples)  # one input at a time
        noise = iter(case.noise)
        with mock.patch.object(GradientStatistic, "_perturb_samples", lambda x, *_, noise=noise: x + next(noise)):
            found[key] = run()
    return found


def _cams(case):
    found = {"grad_cam": cam(case, attr.GradCAM)(), "grad_cam_plus_plus": cam(case, attr.GradCAMPP)()}
    with mock.patch("tensorflow.reduce_mean", tf.reduce_sum):
        found["grad_cam_plus_plus_sums"] = cam(case, attr.GradCAMPP)()
    return {key: maps[..., 0] for key, maps in found.items()}


def _rise(case):
    masks = tf.constant(case.masks[..., None])
    with (
        mock.patch.object(attr.Rise, "_get_masks", lambda *_: masks),
        mock.patch.object(attr.Rise, "_apply_masks", lambda one, part, *_: (one[None] * part, part)),
    ):
        return rise(case, len(masks))()


def _lime(case):
    """Samples and weights are handed in; the weights come in batches, in order."""
    weights = iter(np.tile(case.proximity, len(case.inputs)))
    return lime(
        case,
        len(case.visible),
        interpretable_model=Ridge(ALPHA),
        similarity_kernel=lambda _, rows, __: tf.constant([next(weights) for _ in range(len(rows))]),
        pertub_func=lambda *_: tf.constant(case.visible, tf.int32),
    )()
