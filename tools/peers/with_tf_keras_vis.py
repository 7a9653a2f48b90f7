"""tf-keras-vis, as its documentation calls it, but for clone=False, which it needs under Keras 3.

Its Score-CAM takes a softmax of whatever the model gives, so it gets the logits.
"""

from unittest import mock

import numpy as np
import tensorflow as tf
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
from tf_keras_vis.layercam import Layercam
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.scorecam import Scorecam
from tf_keras_vis.utils.scores import CategoricalScore

from tools.peers.case import BATCH, NOISE

PACKAGE = "tf-keras-vis"
SIGNED = {"keepdims": True, "normalize_map": False, "gradient_modifier": None}


# --- one method each --------------------------------------------------------------------------------------------


def method(case, kind, **options):
    tool = kind(case.network(), clone=False)
    return lambda: np.asarray(tool(CategoricalScore(case.targets.tolist()), case.inputs, **options))


def saliency(case, **options):
    return method(case, Saliency, **options)


def smooth_grad(case, samples):
    return saliency(case, smooth_samples=samples, smooth_noise=NOISE, **SIGNED)


def cam(case, kind, **options):
    """On the grid of the inputs unless `expand_cam` is False."""
    layer = {"penultimate_layer": case.layer, "seek_penultimate_conv_layer": False, "normalize_cam": False}
    return method(case, kind, **layer, **options)


# --- what is timed ----------------------------------------------------------------------------------------------

METHODS = {
    "saliency": lambda case, _: saliency(case, **SIGNED),
    "smooth_grad": smooth_grad,
    "grad_cam": lambda case, _: cam(case, Gradcam),
    "score_cam": lambda case, _: cam(case, Scorecam, batch_size=BATCH),
}


# --- what is compared -------------------------------------------------------------------------------------------


def answers(case):
    native = {"expand_cam": False}
    found = {
        "saliency": saliency(case, **SIGNED)(),
        "saliency_default": saliency(case)(),
        "smooth_grad": _smoothed(case),
        "grad_cam": cam(case, Gradcam, **native)(),
        "grad_cam_enlarged": cam(case, Gradcam)(),
        "grad_cam_plus_plus": cam(case, GradcamPlusPlus, **native)(),
        "layer_cam": cam(case, Layercam, **native)(),
        "score_cam": cam(case, Scorecam, **native)(),
    }
    if case.is_image:
        with mock.patch("tf_keras_vis.gradcam.zoom", by_centres):
            found["grad_cam_by_centres"] = cam(case, Gradcam)()
        with mock.patch("tf_keras_vis.scorecam.zoom", by_centres):
            found["score_cam_by_centres"] = cam(case, Scorecam, **native)()
    with mock.patch("tf_keras_vis.scorecam.K.softmax", lambda scores: scores):
        found["score_cam_logit"] = cam(case, Scorecam, **native)()
    return found


def _smoothed(case):
    noise = np.moveaxis(case.noise, 1, 0)
    with mock.patch("numpy.random.normal", lambda *_: noise):
        return smooth_grad(case, len(noise))()


def by_centres(maps, factors, **_):
    """Linear enlargement with pixel centres at half-integers, in place of corner to corner."""
    size = [round(side * factor) for side, factor in zip(maps.shape, factors, strict=True)]
    channels = len(size) == 4
    size = size[1:-1] if channels else size[1:]
    grid = np.asarray(maps) if channels else np.asarray(maps)[..., None]
    enlarged = tf.image.resize(grid, size).numpy()
    return enlarged if channels else enlarged[..., 0]
