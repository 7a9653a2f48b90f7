"""Captum on a PyTorch twin of the network (twin.py)."""

from copy import deepcopy
from unittest import mock

import numpy as np
import torch
from captum import attr
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule
from torch import nn

from tools.peers.case import ALPHA, BATCH, NOISE, STEPS
from tools.peers.twin import FlattenLast, Mean, layer_of, to_numpy, to_torch, twin

PACKAGE, BACKEND = "captum", "torch"
TINY = 1e-9  # the epsilon of relevance propagation: next to nothing


def parts(case):
    """The twin, the inputs (N, C, ...) and their classes as tensors."""
    network = case.once("twin", lambda: twin(case.network()))
    return network, to_torch(case.inputs), torch.from_numpy(case.targets.astype("int64"))


def placed(maps, case, upsample):
    """(N, 1, ...) on the layer's grid -> (N, ...), there or on the grid of the inputs."""
    if upsample:
        mode = "bilinear" if case.is_image else "linear"
        maps = attr.LayerAttribution.interpolate(maps, case.inputs.shape[1:-1], mode)
    return maps.detach().numpy()[:, 0]


# --- one method each --------------------------------------------------------------------------------------------


def forward(case):
    network, x, _ = parts(case)

    def run():
        with torch.no_grad():
            return network(x).numpy()

    return run


def gradient(case):
    network, x, targets = parts(case)

    def run():
        point = x.clone().requires_grad_()
        return to_numpy(torch.autograd.grad(network(point).gather(1, targets[:, None]).sum(), point)[0])

    return run


def of_inputs(case, kind, *arguments, **options):
    """A method whose map has the shape of the inputs."""
    network, x, targets = parts(case)
    tool = kind(network, *arguments)
    return lambda: to_numpy(tool.attribute(x, target=targets, **options))


def saliency(case, **options):
    return of_inputs(case, attr.Saliency, **options)


def integrated_gradients(case, steps, rule="riemann_middle", **options):
    return of_inputs(case, attr.IntegratedGradients, n_steps=steps, method=rule, **options)


def path(case):
    network = parts(case)[0]
    tool = attr.IntegratedGradients(network)
    options = {"method": "riemann_middle", "internal_batch_size": BATCH}

    def run(item, steps):
        x, target = to_torch(case.inputs[item][None]), int(case.targets[item])
        return to_numpy(tool.attribute(x, target=target, n_steps=int(steps), **options))[0]

    return run


def smooth_grad(case, samples, kind="smoothgrad", **options):
    network, x, targets = parts(case)
    tool = attr.NoiseTunnel(attr.Saliency(network))
    options |= {"nt_type": kind, "nt_samples": samples, "stdevs": NOISE, "abs": False}
    return lambda: to_numpy(tool.attribute(x, target=targets, **options))


def grad_cam(case, relu=True, upsample=True):
    network, x, targets = parts(case)
    tool = attr.LayerGradCam(network, layer_of(case, network))
    return lambda: placed(tool.attribute(x, targets, relu_attributions=relu), case, upsample)


def ablation_cam(case, upsample=True):
    """Its layer ablation, one map of the layer at a time, in batches of 32, input by input; then the weighted sum."""
    network, x, targets = parts(case)
    layer = layer_of(case, network)
    ablation, activation = attr.LayerFeatureAblation(network, layer), attr.LayerActivation(network, layer)
    channels = case.network().get_layer(case.layer).output.shape[-1]
    options = {
        "layer_mask": torch.arange(channels).reshape(1, -1, *[1] * (x.ndim - 2)),
        "perturbations_per_eval": BATCH,
    }

    def one(x, target):
        lost = ablation.attribute(x, target=target, **options)
        return (lost * activation.attribute(x)).sum(dim=1, keepdim=True).clamp(min=0)

    def run():
        with torch.no_grad():
            maps = torch.cat([one(x[[item]], int(target)) for item, target in enumerate(targets)])
            return placed(maps, case, upsample)

    return run


def occlusion(case, stride):
    network, x, targets = parts(case)
    tool, channels = attr.Occlusion(network), x.shape[1]
    patch, stride = case.patch.tolist(), stride.tolist()
    options = {"baselines": case.fill, "perturbations_per_eval": max(1, BATCH // len(x))}

    def run():
        with torch.no_grad():
            windows = {"sliding_window_shapes": (channels, *patch), "strides": (channels, *stride)}
            return to_numpy(tool.attribute(x, target=targets, **windows, **options))[..., 0]

    return run


def lime(case):
    """Their loop and their ridge regression; samples, what they hide and their weights are handed in."""
    network, x, targets = parts(case)

    def draws(_, **__):
        for row in torch.from_numpy(case.visible).float():
            yield row[None]

    def one(item):
        segments, weights = torch.from_numpy(case.segments[item]), iter(case.proximity)
        tool = attr.LimeBase(
            lambda x: torch.softmax(network(x), dim=1),
            SkLearnRidge(alpha=ALPHA),
            lambda *_, **__: float(next(weights)),
            draws,
            perturb_interpretable_space=True,
            from_interp_rep_transform=lambda row, x, **_: torch.where(row[0][segments] == 1, x, case.fill),
            to_interp_rep_transform=None,
        )
        options = {"n_samples": len(case.visible), "perturbations_per_eval": 50}
        return tool.attribute(x[item : item + 1], target=int(targets[item]), **options).numpy()[0][case.segments[item]]

    return lambda: np.stack([one(item) for item in range(len(x))])


def gradient_shap(case, precision=torch.float32):
    """Its draws are handed in: it asks numpy once for the starts and once for the places, items outside."""
    network, x, targets = parts(case)
    network, x, background = (deepcopy(one).to(precision) for one in (network, x, to_torch(case.background)))
    tool, count = attr.GradientShap(network), len(x)
    choice = mock.patch("numpy.random.choice", lambda *_, **__: np.tile(case.places, count))
    uniform = mock.patch("numpy.random.uniform", lambda *_, **__: np.tile(case.along, count))

    def run():
        with choice, uniform:
            found = tool.attribute(x, background, n_samples=len(case.places), target=targets)
        return to_numpy(found)

    return run


def kernel_shap(case):
    """Its loop, weights and regression; which segments are shown is handed in, the two sure coalitions first."""
    network, x, targets = parts(case)
    rows = np.concatenate([case.coalitions[[0, -1]], case.coalitions[1:-1]])

    def draws(*_, **__):
        for row in torch.from_numpy(rows).long():
            yield row[None]

    def one(item):
        tool = attr.KernelShap(lambda x: torch.softmax(network(x), dim=1))
        tool.perturb_func = draws
        options = {"n_samples": len(rows), "perturbations_per_eval": 50, "baselines": case.fill}
        mask = torch.from_numpy(case.parts[item])[None, None]
        found = tool.attribute(x[item : item + 1], target=int(targets[item]), feature_mask=mask, **options)
        return to_numpy(found)[0, ..., 0]

    return lambda: np.stack([one(item) for item in range(len(x))])


def lrp(case, rule, precision=torch.float32):
    """`rule()` makes the rule of each layer of weights; averages, padding and flattening share in proportion."""
    network, x, targets = parts(case)
    network, x = deepcopy(network).to(precision), x.to(precision)
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            module.rule = rule()
        elif isinstance(module, Mean | FlattenLast | nn.ZeroPad1d | nn.ZeroPad2d | nn.MaxPool1d | nn.MaxPool2d):
            module.rule = EpsilonRule(epsilon=TINY)
    tool = attr.LRP(network)
    return lambda: to_numpy(tool.attribute(x.clone().requires_grad_(), target=targets))


def deep_lift(case, baseline):
    return of_inputs(case, attr.DeepLift, baselines=baseline)


# --- what is timed ----------------------------------------------------------------------------------------------

METHODS = {
    "forward": lambda case, _: forward(case),
    "gradient": lambda case, _: gradient(case),
    "saliency": lambda case, _: saliency(case, abs=False),
    "smooth_grad": lambda case, samples: smooth_grad(
        case, samples, nt_samples_batch_size=max(1, BATCH // len(case.inputs))
    ),
    "integrated_gradients": lambda case, steps: integrated_gradients(
        case, steps, internal_batch_size=max(BATCH, len(case.inputs))
    ),
    "grad_cam": lambda case, _: grad_cam(case),
    "ablation_cam": lambda case, _: ablation_cam(case),
    "occlusion": lambda case, _: occlusion(case, case.stride),
}


# --- what is compared -------------------------------------------------------------------------------------------


def answers(case):
    torch.set_num_threads(1)
    runs = {
        "logits": forward(case),
        "saliency": saliency(case, abs=False),
        "saliency_abs": saliency(case),
        "gradient_x_input": of_inputs(case, attr.InputXGradient),
        "guided_backprop": of_inputs(case, attr.GuidedBackprop),
        "deconvnet": of_inputs(case, attr.Deconvolution),
        "occlusion": occlusion(case, case.patch),
        "occlusion_overlapping": occlusion(case, case.stride),
        "lime": lime(case),
        "kernel_shap": kernel_shap(case),
        "gradient_shap": gradient_shap(case),
        "gradient_shap_float64": gradient_shap(case, torch.float64),
    }
    runs |= {
        "lrp_epsilon": lrp(case, lambda: EpsilonRule(epsilon=TINY)),
        "lrp_z_plus": lrp(case, Alpha1_Beta0_Rule),
        "lrp_gamma": lrp(case, lambda: GammaRule(gamma=0.25)),
        "lrp_gamma_float64": lrp(case, lambda: GammaRule(gamma=0.25), torch.float64),
        "deep_lift": deep_lift(case, 0.0),
    }
    for rule in ("riemann_middle", "gausslegendre", "riemann_trapezoid"):
        runs[rule] = integrated_gradients(case, STEPS, rule)
    return {key: run() for key, run in runs.items()} | _smoothed(case) | _layers(case)


def _smoothed(case):
    noise = to_torch(case.noise.reshape(-1, *case.noise.shape[2:]))
    with mock.patch("torch.normal", lambda *_: noise):  # Captum draws all of it in one call, items outside
        return {kind: smooth_grad(case, case.noise.shape[1], kind)() for kind in ("smoothgrad", "vargrad")}


def _layers(case):
    network, x, targets = parts(case)
    layer = layer_of(case, network)
    products = to_numpy(attr.LayerGradientXActivation(network, layer).attribute(x, targets))
    raw = grad_cam(case, relu=False, upsample=False)()
    mode = "bilinear" if case.is_image else "linear"
    has_gap = any(isinstance(module, Mean) for module in network.modules())
    return ({"cam": raw * raw[0].size} if has_gap else {}) | {
        "grad_cam": grad_cam(case, upsample=False)(),
        "grad_cam_raw": raw,
        "grad_cam_enlarged": grad_cam(case)(),
        "guided_grad_cam": of_inputs(case, attr.GuidedGradCam, layer)(),
        "guided_grad_cam_linear": of_inputs(case, attr.GuidedGradCam, layer, interpolate_mode=mode)(),
        "hires_cam": products.sum(axis=-1),
        "layer_cam": np.maximum(products, 0).sum(axis=-1),
        "ablation_cam": ablation_cam(case, upsample=False)(),
    }
