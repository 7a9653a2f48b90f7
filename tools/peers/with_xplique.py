"""Xplique's maps of the Keras network itself: python -m tools.peers.with_xplique FOLDER..."""

import sys
from importlib.metadata import version
from unittest import mock

import numpy as np
import tensorflow as tf
from sklearn.linear_model import Ridge
from xplique import attributions as attr
from xplique.attributions.gradient_statistics.gradient_statistic import GradientStatistic

from tools.peers.case import ALPHA, STEPS, answer


def maps(case):
    found = _gradients(case) | _perturbations(case)
    return found | (_layers(case) if case.is_image else {})  # their CAMs average over two axes


def _gradients(case):
    network = case.network()
    simple = {
        "saliency_abs": attr.Saliency(network, reducer=None),
        "gradient_x_input": attr.GradientInput(network, reducer=None),
        "integrated_gradients": attr.IntegratedGradients(network, reducer=None, steps=STEPS),
        "guided_backprop": attr.GuidedBackprop(network, reducer=None),
        "deconvnet": attr.DeconvNet(network, reducer=None),
    }
    found = {key: method(case.inputs, case.one_hot) for key, method in simple.items()}
    samples = case.noise.shape[1]
    for key, kind in {"smooth_grad": attr.SmoothGrad, "var_grad": attr.VarGrad}.items():
        method = kind(network, nb_samples=samples, reducer=None, batch_size=samples)  # one input at a time
        noise = iter(case.noise)
        with mock.patch.object(GradientStatistic, "_perturb_samples", lambda x, *_, noise=noise: x + next(noise)):
            found[key] = method(case.inputs, case.one_hot)
    return found


def _layers(case):
    def of(kind):
        return kind(case.network(), conv_layer=str(case.layer))(case.inputs, case.one_hot)[..., 0]

    found = {"grad_cam": of(attr.GradCAM), "grad_cam_plus_plus": of(attr.GradCAMPP)}
    with mock.patch("tensorflow.reduce_mean", tf.reduce_sum):
        found["grad_cam_plus_plus_sums"] = of(attr.GradCAMPP)
    return found


def _perturbations(case):
    return {
        "occlusion": _occlusion(case, 1),
        "occlusion_overlapping": _occlusion(case, 2),
        "rise": _rise(case),
        "lime": _lime(case),
    }


def _occlusion(case, parts):
    """Windows a `parts`-th of the patch apart. A signal is a picture of one line to them: (T, C) is (H, W)."""
    patch, stride = case.patch, case.patch // parts
    if not case.is_image:
        patch, stride = (np.append(sizes, case.inputs.shape[-1]) for sizes in (patch, stride))
    sizes = {"patch_size": tuple(patch.tolist()), "patch_stride": tuple(stride.tolist())}
    method = attr.Occlusion(case.network(), occlusion_value=float(case.fill), **sizes)
    return method(case.inputs, case.one_hot).numpy()[..., 0]


def _rise(case):
    masks = tf.constant(case.masks[..., None])

    def apply(one, part, *_):
        return one[None] * part, part

    method = attr.Rise(case.network("model"), nb_samples=len(masks))
    with (
        mock.patch.object(attr.Rise, "_get_masks", lambda *_: masks),
        mock.patch.object(attr.Rise, "_apply_masks", apply),
    ):
        return method(case.inputs, case.one_hot).numpy()[..., 0]


def _lime(case):
    """Samples, segments and weights are handed in; they come in batches, in order."""
    segments = case.segments if case.is_image else case.segments[:, None]
    weights = iter(np.tile(case.proximity, len(case.inputs)))
    method = attr.Lime(
        case.network("model"),
        batch_size=50,
        interpretable_model=Ridge(ALPHA),
        similarity_kernel=lambda _, rows, __: tf.constant([next(weights) for _ in range(len(rows))]),
        pertub_func=lambda *_: tf.constant(case.visible, tf.int32),
        map_to_interpret_space=lambda _: tf.constant(segments, tf.int32),
        ref_value=np.full(case.inputs.shape[-1] if case.is_image else 1, case.fill, "float32"),
        nb_samples=len(case.visible),
    )
    return method(case.inputs, case.one_hot).numpy()[..., 0]


if __name__ == "__main__":
    answer("xplique", version("xplique"), maps, sys.argv[1:])
