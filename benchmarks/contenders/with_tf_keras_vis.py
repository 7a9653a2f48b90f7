"""tf-keras-vis, as its documentation calls it, but for clone=False, which it needs under Keras 3.

Its Score-CAM takes a softmax of whatever the model gives, so it gets the logits.
"""

import numpy as np
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.scorecam import Scorecam
from tf_keras_vis.utils.scores import CategoricalScore

from benchmarks.contenders.case import BATCH, NOISE
from benchmarks.contenders.raw import METHODS as RAW

PACKAGE = "tf-keras-vis"


def gradients(samples):
    def make(case, setting):
        n, tool = setting["n"], Saliency(case.network(), clone=False)
        options = {"keepdims": True, "normalize_map": False, "gradient_modifier": None}
        if samples:
            options |= {"smooth_samples": setting["amount"], "smooth_noise": NOISE}
        return lambda: np.asarray(tool(CategoricalScore(case.targets(n).tolist()), case.inputs(n), **options))

    return make


def cam(kind, **options):
    def make(case, setting):
        n, tool = setting["n"], kind(case.network(), clone=False)
        layer = {"penultimate_layer": case.layer, "seek_penultimate_conv_layer": False, "normalize_cam": False}
        return lambda: tool(CategoricalScore(case.targets(n).tolist()), case.inputs(n), **layer, **options)

    return make


METHODS = RAW | {
    "saliency": gradients(False),
    "smooth_grad": gradients(True),
    "grad_cam": cam(Gradcam),
    "score_cam": cam(Scorecam, batch_size=BATCH),
}
