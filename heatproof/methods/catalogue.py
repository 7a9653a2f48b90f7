"""The catalogue: every method with what tests, metrics, figures and the README need to know of it.

Adding a method is one function in its family and one row here; the fields of a row stand in `heatproof.methods.rows`.
"""

import numpy as np
import numpy.typing as npt

from heatproof.methods import (
    cam,
    cam_by_scores,
    deep_lift,
    expected,
    gradients,
    lime,
    masks,
    occlusion,
    propagation,
    shap,
)
from heatproof.methods.rows import Method, chosen

_ROWS = (
    Method(
        function=gradients.saliency, title="Saliency", family="gradients", output="inputs",
        relevance="magnitude",
        formula="dS_c/dx", reference="simonyan2014",
    ),
    Method(
        function=gradients.gradient_x_input, title="Gradient x input", family="gradients", output="inputs",
        formula="x * dS_c/dx", reference="shrikumar2016",
    ),
    Method(
        function=gradients.smooth_grad, title="SmoothGrad", family="gradients", output="inputs",
        relevance="magnitude",
        formula="mean_k dS_c/dx (x + e_k)", reference="smilkov2017",
    ),
    Method(
        function=gradients.var_grad, title="VarGrad", family="gradients", output="inputs",
        signed=False, relevance="magnitude",
        formula="var_k dS_c/dx (x + e_k)", reference="adebayo2018local",
    ),
    Method(
        function=gradients.guided_backprop, title="Guided backprop", family="gradients", output="inputs",
        relevance="magnitude", needs="ReLU",
        formula="1[a > 0] 1[R > 0] R at each ReLU", reference="springenberg2015",
    ),
    Method(
        function=gradients.deconvnet, title="Deconvnet", family="gradients", output="inputs",
        relevance="magnitude", needs="ReLU",
        formula="1[R > 0] R at each ReLU", reference="zeiler2014",
    ),
    Method(
        function=gradients.integrated_gradients, title="Integrated Gradients", family="gradients", output="inputs",
        additive=True,
        formula="(x - x') * int_0^1 dS_c/dx (x' + a (x - x')) da", reference="sundararajan2017",
    ),
    Method(
        function=expected.expected_gradients, title="Expected Gradients", family="gradients", output="inputs",
        formula="mean_k (x - x'_k) * dS_c/dx (x'_k + a_k (x - x'_k))", reference="erion2021",
    ),
    Method(
        function=propagation.lrp, title="LRP", family="relevance", output="inputs",
        formula="R_j = sum_k x_j w_jk / (z_k + e sign z_k) R_k, layer by layer", reference="bach2015",
    ),
    Method(
        function=cam.cam, title="CAM", family="cam", output="map",
        needs="GAP + Dense",
        formula="sum_k w_kc A_k", reference="zhou2016",
    ),
    Method(
        function=cam.grad_cam, title="Grad-CAM", family="cam", output="map",
        signed=False, needs="layer with positions",
        formula="ReLU(sum_k mean_p(dS_c/dA_k) A_k)", reference="selvaraju2017",
    ),
    Method(
        function=cam.grad_cam_plus_plus, title="Grad-CAM++", family="cam", output="map",
        signed=False, needs="layer with positions",
        formula="ReLU(sum_k w_k A_k), w_k = sum_p a_k ReLU(dS_c/dA_k)", reference="chattopadhay2018",
    ),
    Method(
        function=cam_by_scores.score_cam, title="Score-CAM", family="cam", output="map",
        signed=False, needs="layer with positions",
        formula="ReLU(sum_k p_c(x * H_k) A_k)", reference="wang2020",
    ),
    Method(
        function=cam_by_scores.ablation_cam, title="Ablation-CAM", family="cam", output="map",
        signed=False, needs="layer with positions",
        formula="ReLU(sum_k (S_c - S_c(A_k = 0)) A_k)", reference="desai2020",
    ),
    Method(
        function=cam.layer_cam, title="LayerCAM", family="cam", output="map",
        signed=False, needs="layer with positions",
        formula="ReLU(sum_k ReLU(dS_c/dA_k) * A_k)", reference="jiang2021",
    ),
    Method(
        function=cam.hires_cam, title="HiResCAM", family="cam", output="map",
        needs="layer with positions",
        formula="sum_k dS_c/dA_k * A_k", reference="draelos2020",
    ),
    Method(
        function=cam.guided_grad_cam, title="Guided Grad-CAM", family="cam", output="inputs",
        relevance="magnitude", needs="ReLU",
        formula="guided backprop * Grad-CAM", reference="selvaraju2017",
    ),
    Method(
        function=deep_lift.deep_lift, title="DeepLIFT", family="relevance", output="inputs",
        additive=True,
        formula="(x - x') * m, m = (f(a) - f(a')) / (a - a') at each nonlinearity", reference="shrikumar2017",
    ),
    Method(
        function=occlusion.occlusion, title="Occlusion", family="perturbation", output="map",
        formula="mean over patches of S_c(x) - S_c(x covered)", reference="zeiler2014",
    ),
    Method(
        function=masks.rise, title="RISE", family="perturbation", output="map",
        formula="1/(n p) sum_i p_c(x * m_i) (m_i - mean m)", reference="petsiuk2018",
    ),
    Method(
        function=masks.sise, title="SISE", family="perturbation", output="map",
        signed=False, needs="layer with positions",
        formula="fused blocks of sum_k p_c(x * m_k) m_k", reference="sattarzadeh2021",
    ),
    Method(
        function=lime.lime, title="LIME", family="perturbation", output="map",
        formula="weighted ridge of p_c on visible segments", reference="ribeiro2016",
    ),
    Method(
        function=shap.kernel_shap, title="KernelSHAP", family="perturbation", output="map",
        formula="Shapley values of p_c on visible segments", reference="lundberg2017",
    ),
)  # fmt: skip

METHODS = {row.name: row for row in _ROWS}


def relevance(name: str, attribution: npt.ArrayLike) -> np.ndarray:
    """Reduce an attribution of the method `name` to one non-negative number per position, for ranking and metrics.

    "magnitude": sum over channels of |M|; "positive": the positive part of the sum over channels. A map has no channels
    to sum. `name`: of METHODS, or a row of your own. Returns float32 (N, H, W) or (N, T). Raises `ValueError` for an
    unknown name, a shape that the method does not give, NaN or infinity.
    """
    (row,) = chosen("name", [name], METHODS, Method)
    return row.reduce(attribution)


def methods_table() -> list[tuple]:
    """Return the catalogue as rows (function, title, formula, needs, reference), in order."""
    return [(row.name, row.title, row.formula, row.needs, row.reference) for row in _ROWS]
