"""The catalogue: every method with what tests, metrics, figures and the README need to know of it.

Adding a method is one function in its family and one row here.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from heatproof import checks
from heatproof.methods import cam, gradients, lime, masks, occlusion


@dataclass(frozen=True)
class Method:
    """One row of the catalogue."""

    function: Callable
    title: str
    family: str  # "gradients", "cam" or "perturbation"
    output: str  # "inputs": the shape of the inputs; "map": (N, H, W) or (N, T)
    signed: bool  # whether negative values mean evidence against
    relevance: str  # how sign and channels enter a ranking: "magnitude" or "positive"
    additive: bool  # whether its sum is a difference of scores (completeness)
    needs: str  # what a model must have: "", "ReLU", "GAP + Dense", "layer with positions"
    formula: str
    reference: str  # key in report/references.bib

    @property
    def name(self):
        return self.function.__name__


_ROWS = (
    Method(
        gradients.saliency, "Saliency", "gradients", "inputs", True, "magnitude", False, "",
        "dS_c/dx", "simonyan2014",
    ),
    Method(
        gradients.gradient_x_input, "Gradient x input", "gradients", "inputs", True, "positive", False, "",
        "x * dS_c/dx", "shrikumar2016",
    ),
    Method(
        gradients.smooth_grad, "SmoothGrad", "gradients", "inputs", True, "magnitude", False, "",
        "mean_k dS_c/dx (x + e_k)", "smilkov2017",
    ),
    Method(
        gradients.var_grad, "VarGrad", "gradients", "inputs", False, "magnitude", False, "",
        "var_k dS_c/dx (x + e_k)", "adebayo2018local",
    ),
    Method(
        gradients.guided_backprop, "Guided backprop", "gradients", "inputs", True, "magnitude", False, "ReLU",
        "1[a > 0] 1[R > 0] R at each ReLU", "springenberg2015",
    ),
    Method(
        gradients.deconvnet, "Deconvnet", "gradients", "inputs", True, "magnitude", False, "ReLU",
        "1[R > 0] R at each ReLU", "zeiler2014",
    ),
    Method(
        gradients.integrated_gradients, "Integrated Gradients", "gradients", "inputs", True, "positive", True, "",
        "(x - x') * int_0^1 dS_c/dx (x' + a (x - x')) da", "sundararajan2017",
    ),
    Method(
        cam.cam, "CAM", "cam", "map", True, "positive", False, "GAP + Dense",
        "sum_k w_kc A_k", "zhou2016",
    ),
    Method(
        cam.grad_cam, "Grad-CAM", "cam", "map", False, "positive", False, "layer with positions",
        "ReLU(sum_k mean_p(dS_c/dA_k) A_k)", "selvaraju2017",
    ),
    Method(
        cam.grad_cam_plus_plus, "Grad-CAM++", "cam", "map", False, "positive", False, "layer with positions",
        "ReLU(sum_k w_k A_k), w_k = sum_p a_k ReLU(dS_c/dA_k)", "chattopadhay2018",
    ),
    Method(
        cam.score_cam, "Score-CAM", "cam", "map", False, "positive", False, "layer with positions",
        "ReLU(sum_k p_c(x * H_k) A_k)", "wang2020",
    ),
    Method(
        cam.ablation_cam, "Ablation-CAM", "cam", "map", False, "positive", False, "layer with positions",
        "ReLU(sum_k (S_c - S_c(A_k = 0)) A_k)", "desai2020",
    ),
    Method(
        cam.layer_cam, "LayerCAM", "cam", "map", False, "positive", False, "layer with positions",
        "ReLU(sum_k ReLU(dS_c/dA_k) * A_k)", "jiang2021",
    ),
    Method(
        cam.hires_cam, "HiResCAM", "cam", "map", True, "positive", False, "layer with positions",
        "sum_k dS_c/dA_k * A_k", "draelos2020",
    ),
    Method(
        cam.guided_grad_cam, "Guided Grad-CAM", "cam", "inputs", True, "magnitude", False, "ReLU",
        "guided backprop * Grad-CAM", "selvaraju2017",
    ),
    Method(
        occlusion.occlusion, "Occlusion", "perturbation", "map", True, "positive", False, "",
        "mean over patches of S_c(x) - S_c(x covered)", "zeiler2014",
    ),
    Method(
        masks.rise, "RISE", "perturbation", "map", True, "positive", False, "",
        "1/(n p) sum_i p_c(x * m_i) (m_i - mean m)", "petsiuk2018",
    ),
    Method(
        masks.sise, "SISE", "perturbation", "map", False, "positive", False, "layer with positions",
        "fused blocks of sum_k p_c(x * m_k) m_k", "sattarzadeh2021",
    ),
    Method(
        lime.lime, "LIME", "perturbation", "map", True, "positive", False, "",
        "weighted ridge of p_c on visible segments", "ribeiro2016",
    ),
)  # fmt: skip

METHODS = {row.name: row for row in _ROWS}


def relevance(name, attribution):
    """Reduce an attribution of the method `name` to one non-negative number per position, for ranking and metrics.

    "magnitude": sum over channels of |M|; "positive": the positive part of the sum over channels. A map has no channels
    to sum. Returns float32 (N, H, W) or (N, T). Raises `ValueError` for an unknown name, a shape that the method does
    not give, NaN or infinity.
    """
    method = METHODS[checks.one_of("name", name, tuple(METHODS))]
    array = checks.as_numbers("attribution", attribution)
    shapes = {3: "(N, T, C)", 4: "(N, H, W, C)"} if method.output == "inputs" else {2: "(N, T)", 3: "(N, H, W)"}
    if array.ndim not in shapes:
        raise ValueError(f"attribution: got shape {array.shape}; {name} gives {' or '.join(shapes.values())}.")
    if not np.isfinite(array).all():
        raise ValueError("attribution: has NaN or infinite values; leave those items out.")
    array = array.astype(np.float32)
    if method.relevance == "magnitude":
        return np.abs(array).sum(axis=-1) if method.output == "inputs" else np.abs(array)
    return np.maximum(array.sum(axis=-1) if method.output == "inputs" else array, 0)


def options_of(name, given, seed):
    """The options of one method, with the seed where it draws; `ValueError` for an option that it does not have."""
    known = [p.name for p in inspect.signature(METHODS[name].function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    if unknown := set(given) - set(known):
        raise ValueError(f"options: {name} has no {sorted(unknown)}; its options are {known}.")
    return ({"seed": seed} if "seed" in known else {}) | given


def methods_table():
    """Return the catalogue as rows (function, title, formula, needs, reference), in order."""
    return [(row.name, row.title, row.formula, row.needs, row.reference) for row in _ROWS]
