"""tf-keras-vis' maps of the Keras network that ends in logits: python -m tools.peers.with_tf_keras_vis FOLDER..."""

import sys
from importlib.metadata import version
from unittest import mock

import numpy as np
import tensorflow as tf
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
from tf_keras_vis.layercam import Layercam
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.scorecam import Scorecam
from tf_keras_vis.utils.scores import CategoricalScore

from tools.peers.case import NOISE, answer

SIGNED = {"keepdims": True, "gradient_modifier": None, "normalize_map": False}


def by_centres(maps, factors, **_):
    """Linear enlargement with pixel centres at half-integers, in place of corner to corner."""
    size = [round(side * factor) for side, factor in zip(maps.shape, factors, strict=True)]
    channels = len(size) == 4
    size = size[1:-1] if channels else size[1:]
    grid = np.asarray(maps) if channels else np.asarray(maps)[..., None]
    enlarged = tf.image.resize(grid, size).numpy()
    return enlarged if channels else enlarged[..., 0]


def maps(case):
    network, score = case.network(), CategoricalScore(case.targets.tolist())

    def of(kind, **options):
        return kind(network, clone=False)(score, case.inputs, **options)

    def cam(kind, **options):
        options = {"seek_penultimate_conv_layer": False, "normalize_cam": False, "expand_cam": False} | options
        return of(kind, penultimate_layer=str(case.layer), **options)

    noise = np.moveaxis(case.noise, 1, 0)
    with mock.patch("numpy.random.normal", lambda *_: noise):
        smooth = of(Saliency, smooth_samples=len(noise), smooth_noise=NOISE, **SIGNED)
    found = {
        "saliency": of(Saliency, **SIGNED),
        "saliency_default": of(Saliency),
        "smooth_grad": smooth,
        "grad_cam": cam(Gradcam),
        "grad_cam_enlarged": cam(Gradcam, expand_cam=True),
        "grad_cam_plus_plus": cam(GradcamPlusPlus),
        "layer_cam": cam(Layercam),
        "score_cam": cam(Scorecam),
    }
    if case.is_image:
        with mock.patch("tf_keras_vis.gradcam.zoom", by_centres):
            found["grad_cam_by_centres"] = cam(Gradcam, expand_cam=True)
        with mock.patch("tf_keras_vis.scorecam.zoom", by_centres):
            found["score_cam_by_centres"] = cam(Scorecam)
    with mock.patch("tf_keras_vis.scorecam.K.softmax", lambda scores: scores):
        found["score_cam_logit"] = cam(Scorecam)
    return found


if __name__ == "__main__":
    answer("tf_keras_vis", version("tf-keras-vis"), maps, sys.argv[1:])
