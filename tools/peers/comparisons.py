"""Which of our maps is compared with which of theirs, and where the definitions differ.

`ours` is our map with our definition. Where theirs differs, `reason` says how, and `adapted` (our map with that one
step done their way) or `adapted_key` (theirs with that step done our way) is compared as well.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tools.peers.case import STEPS
from tools.peers.ours import (
    all_nodes_alike,
    bicubic,
    grad_cam_plus_plus_of_the_program,
    half,
    overlapping_sum,
    rise,
    rise_as_a_mean,
    shown,
    summed,
    trapezoid,
)

IMAGES_ONLY = "its CAMs average over two axes, so signals are beyond it"
SQUARE_ONLY = "its window is a square, so signals are beyond it"
IMAGES_REPLACED = "its enlargement was replaced, for the comparison, on images only"
CORNERS = 'enlarges the map corner to corner; ours, asked for align="stretch", keeps pixel centres'


@dataclass(frozen=True)
class Comparison:
    """One method of one library."""

    method: str
    peer: str
    key: str  # name of their map
    ours: Callable
    reason: str = ""
    adapted: Callable | None = None
    adapted_key: str = ""
    absent: str = ""  # why a network has no such map
    step: str = ""  # which option of a method is meant, where it has several


MIDPOINT = {"steps": STEPS}
COMPARISONS = (
    Comparison("saliency", "tf_keras_vis", "saliency", lambda ours: ours("saliency")),
    Comparison(
        "saliency", "tf_keras_vis", "saliency_default", lambda ours: summed(ours("saliency")), step="its defaults",
        reason="takes |gradient|, the largest channel, and scales each map to [0, 1]; ours is signed, per channel, raw",
        adapted=lambda ours: shown(ours("saliency")),
    ),
    Comparison(
        "smooth_grad", "tf_keras_vis", "smooth_grad", lambda ours: ours.smooth("smooth_grad"), step="same noise"
    ),
    Comparison("grad_cam", "tf_keras_vis", "grad_cam", lambda ours: ours.cam("grad_cam"), step="native grid"),
    Comparison(
        "grad_cam", "tf_keras_vis", "grad_cam_enlarged", lambda ours: ours.cam("grad_cam", upsample=True),
        step="enlarged", reason=CORNERS, adapted_key="grad_cam_by_centres",
        absent=IMAGES_REPLACED,
    ),
    Comparison(
        "grad_cam_plus_plus", "tf_keras_vis", "grad_cam_plus_plus", lambda ours: ours.cam("grad_cam_plus_plus"),
        step="native grid",
        reason="divides the weights a_k(p) of a map by their sum and keeps the factor exp(S_c), as the authors' "
        "program does; ours follows the paper's equations, without the common factor",
        adapted=grad_cam_plus_plus_of_the_program,
    ),
    Comparison("layer_cam", "tf_keras_vis", "layer_cam", lambda ours: ours.cam("layer_cam"), step="native grid"),
    Comparison(
        "score_cam", "tf_keras_vis", "score_cam", lambda ours: ours.cam("score_cam"), step="native grid",
        reason=CORNERS + ". It applies a softmax to whatever the model gives, so it is asked of the logits",
        adapted_key="score_cam_by_centres",
        absent=IMAGES_REPLACED,
    ),
    Comparison(
        "lime", "lime", "lime", lambda ours: ours.lime(ours.case.fill),
        step="one fill; same segments and samples", absent="explains images only",
    ),
    Comparison(
        "lime", "lime", "lime_default", lambda ours: ours.lime("mean"), step="default fill; same segments and samples",
        reason="hides a segment by the segment's own mean; ours by the mean of the input (option fill='segment')",
        adapted=lambda ours: ours.lime("segment"), absent="explains images only",
    ),
    Comparison("logits", "captum", "logits", lambda ours: ours.logits, step="the PyTorch twin itself"),
    Comparison("saliency", "captum", "saliency", lambda ours: ours("saliency")),
    Comparison(
        "saliency", "captum", "saliency_abs", lambda ours: ours("saliency"), step="its defaults",
        reason="takes |gradient|; ours is signed", adapted=lambda ours: np.abs(ours("saliency")),
    ),
    Comparison("gradient_x_input", "captum", "gradient_x_input", lambda ours: ours("gradient_x_input")),
    Comparison("smooth_grad", "captum", "smoothgrad", lambda ours: ours.smooth("smooth_grad"), step="same noise"),
    Comparison("var_grad", "captum", "vargrad", lambda ours: ours.smooth("var_grad"), step="same noise"),
    Comparison("guided_backprop", "captum", "guided_backprop", lambda ours: ours("guided_backprop")),
    Comparison("deconvnet", "captum", "deconvnet", lambda ours: ours("deconvnet")),
    Comparison(
        "integrated_gradients", "captum", "riemann_middle", lambda ours: ours("integrated_gradients", **MIDPOINT),
        step="midpoints",
    ),
    Comparison(
        "integrated_gradients", "captum", "gausslegendre",
        lambda ours: ours("integrated_gradients", rule="gauss-legendre", **MIDPOINT), step="Gauss-Legendre",
    ),
    Comparison(
        "integrated_gradients", "captum", "riemann_trapezoid", lambda ours: ours("integrated_gradients", **MIDPOINT),
        step="trapezoids",
        reason="n nodes from 0 to 1 with weights 1/n, half at the ends, which sum to (n - 1)/n; ours has midpoints",
        adapted=lambda ours: ours.integrated(*trapezoid(STEPS)) * (STEPS - 1) / STEPS,
    ),
    Comparison(
        "cam", "captum", "cam", lambda ours: ours("cam", upsample=False), step="its Grad-CAM without ReLU, times Z",
        absent="CAM needs a head of GAP + Dense",
    ),
    Comparison("grad_cam", "captum", "grad_cam", lambda ours: ours.cam("grad_cam"), step="native grid"),
    Comparison(
        "grad_cam", "captum", "grad_cam_raw", lambda ours: ours.cam("grad_cam", relu=False), step="without ReLU"
    ),
    Comparison(
        "grad_cam", "captum", "grad_cam_enlarged", lambda ours: ours.cam("grad_cam", upsample=True), step="enlarged"
    ),
    Comparison(
        "guided_grad_cam", "captum", "guided_grad_cam",
        lambda ours: ours("guided_backprop") * ours.cam("grad_cam", upsample=True)[..., None],
        reason="enlarges Grad-CAM by repetition unless told otherwise; ours linearly",
        adapted_key="guided_grad_cam_linear",
    ),
    Comparison("hires_cam", "captum", "hires_cam", lambda ours: ours.cam("hires_cam"), step="native grid"),
    Comparison("layer_cam", "captum", "layer_cam", lambda ours: ours.cam("layer_cam"), step="native grid"),
    Comparison("ablation_cam", "captum", "ablation_cam", lambda ours: ours.cam("ablation_cam"), step="native grid"),
    Comparison("occlusion", "captum", "occlusion", lambda ours: ours.occlusion(1), step="windows side by side"),
    Comparison("occlusion", "captum", "occlusion_overlapping", lambda ours: ours.occlusion(2), step="windows overlap"),
    Comparison(
        "lime", "captum", "lime", lambda ours: ours.lime(ours.case.fill), step="same segments, samples, kernel"
    ),
    Comparison(
        "expected_gradients", "captum", "gradient_shap", lambda ours: ours.expected(),
        step="its GradientShap, same draws",
        reason="no definition differs; where a point of the way lies on the kink of a ReLU, rounding decides whether "
        "the unit is open. The second number is that of both sides in double precision",
        adapted=lambda ours: ours.expected("float64"), adapted_key="gradient_shap_float64",
    ),
    Comparison(
        "kernel_shap", "captum", "kernel_shap", lambda ours: ours.kernel_shap(len(ours.case.coalitions)),
        step="same segments and samples",
    ),
    Comparison(
        "kernel_shap", "shap", "kernel_shap", lambda ours: ours.kernel_shap(2**8),
        step="all 256 coalitions of 8 segments",
    ),
    Comparison(
        "saliency", "xplique", "saliency_abs", lambda ours: ours("saliency"), reason="takes |gradient|; ours is signed",
        adapted=lambda ours: np.abs(ours("saliency")),
    ),
    Comparison("gradient_x_input", "xplique", "gradient_x_input", lambda ours: ours("gradient_x_input")),
    Comparison("smooth_grad", "xplique", "smooth_grad", lambda ours: ours.smooth("smooth_grad"), step="same noise"),
    Comparison(
        "var_grad", "xplique", "var_grad", lambda ours: ours.smooth("var_grad"), step="same noise",
        reason="divides by n - 1; ours by n, as the paper's variance over the drawn copies",
        adapted=lambda ours: ours.smooth("var_grad") * (n := ours.case.noise.shape[1]) / (n - 1),
    ),
    Comparison("guided_backprop", "xplique", "guided_backprop", lambda ours: ours("guided_backprop")),
    Comparison("deconvnet", "xplique", "deconvnet", lambda ours: ours("deconvnet")),
    Comparison(
        "integrated_gradients", "xplique", "integrated_gradients",
        lambda ours: ours("integrated_gradients", **MIDPOINT),
        reason="the trapezoidal rule; ours has midpoints and Gauss-Legendre",
        adapted=lambda ours: ours.integrated(*trapezoid(STEPS)),
    ),
    Comparison(
        "grad_cam", "xplique", "grad_cam", lambda ours: ours.cam("grad_cam", upsample=True), step="enlarged",
        reason="enlarges the map bicubically, which undershoots 0; ours linearly",
        adapted=lambda ours: bicubic(ours.cam("grad_cam"), ours), absent=IMAGES_ONLY,
    ),
    Comparison(
        "grad_cam_plus_plus", "xplique", "grad_cam_plus_plus",
        lambda ours: ours.cam("grad_cam_plus_plus", upsample=True), step="enlarged",
        reason="takes means over positions where the paper's equations (5) and (19) have sums, and enlarges "
        "bicubically",
        adapted=lambda ours: bicubic(ours.cam("grad_cam_plus_plus"), ours), adapted_key="grad_cam_plus_plus_sums",
        absent=IMAGES_ONLY,
    ),
    Comparison("occlusion", "xplique", "occlusion", lambda ours: ours.occlusion(1), step="windows side by side"),
    Comparison(
        "occlusion", "xplique", "occlusion_overlapping", lambda ours: ours.occlusion(2), step="windows overlap",
        reason="adds up the windows over a position; ours is their mean",
        adapted=lambda ours: overlapping_sum(ours, 2),
    ),
    Comparison(
        "rise", "xplique", "rise", rise, step="same masks",
        reason="sum S m / sum m; ours takes the mean of the masks off, so that a constant model gives 0: theirs is "
        "p M / mean m + mean S",
        adapted=rise_as_a_mean,
    ),
    Comparison(
        "lime", "xplique", "lime", lambda ours: ours.lime(ours.case.fill), step="same segments, samples, kernel"
    ),
    Comparison("saliency", "saliency", "saliency", lambda ours: ours("saliency")),
    Comparison("smooth_grad", "saliency", "smooth_grad", lambda ours: ours.smooth("smooth_grad"), step="same noise"),
    Comparison(
        "smooth_grad", "saliency", "smooth_grad_squared", lambda ours: ours.smooth("smooth_grad"),
        step="its defaults, same noise",
        reason="the mean square of the gradients: VarGrad plus the square of SmoothGrad",
        adapted=lambda ours: ours.smooth("var_grad") + ours.smooth("smooth_grad") ** 2,
    ),
    Comparison(
        "integrated_gradients", "saliency", "integrated_gradients",
        lambda ours: ours("integrated_gradients", **MIDPOINT),
        reason="the mean over n nodes from 0 to 1, both ends with full weight; ours has midpoints",
        adapted=lambda ours: ours.integrated(*all_nodes_alike(STEPS)),
    ),
    Comparison(
        "grad_cam", "saliency", "grad_cam", lambda ours: ours.cam("grad_cam"), step="native grid", absent=IMAGES_ONLY
    ),
    Comparison(
        "grad_cam", "saliency", "grad_cam_enlarged", lambda ours: ours.cam("grad_cam", upsample=True), step="enlarged",
        reason="divides the map by its largest value before enlarging it",
        adapted=lambda ours: ours.cam("grad_cam", upsample=True)
        / ours.cam("grad_cam").max(axis=(1, 2), keepdims=True),
        absent=IMAGES_ONLY,
    ),
    Comparison(
        "occlusion", "saliency", "occlusion", lambda ours: ours.occlusion(10**6, half(ours)), step="windows one apart",
        reason="adds up the windows over a position; ours is their mean",
        adapted=lambda ours: overlapping_sum(ours, 10**6, half(ours)), absent=SQUARE_ONLY,
    ),
)  # fmt: skip
