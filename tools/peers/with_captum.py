"""Captum's maps, computed on the PyTorch twin: python -m tools.peers.with_captum FOLDER..."""

import os
import sys
from importlib.metadata import version
from unittest import mock

import numpy as np
import torch
from captum import attr
from captum._utils.models.linear_model import SkLearnRidge

from tools.peers.case import ALPHA, NOISE, STEPS, answer
from tools.peers.twin import Mean, to_numpy, to_torch, twin


def maps(case):
    network = twin(case.network())
    inputs, targets = to_torch(case.inputs), torch.from_numpy(case.targets)
    layer = getattr(network, f"{case.layer}_relu")
    found = {"logits": network(inputs).detach().numpy()}
    return (
        found
        | _gradients(case, network, inputs, targets)
        | _layers(case, network, inputs, targets, layer)
        | _perturbations(case, network, inputs, targets)
    )


def _gradients(case, network, inputs, targets):
    saliency, integrated = attr.Saliency(network), attr.IntegratedGradients(network)
    found = {
        "saliency": saliency.attribute(inputs, targets, abs=False),
        "saliency_abs": saliency.attribute(inputs, targets),
        "gradient_x_input": attr.InputXGradient(network).attribute(inputs, targets),
        "guided_backprop": attr.GuidedBackprop(network).attribute(inputs, targets),
        "deconvnet": attr.Deconvolution(network).attribute(inputs, targets),
    }
    for rule in ("riemann_middle", "gausslegendre", "riemann_trapezoid"):
        found[rule] = integrated.attribute(inputs, target=targets, n_steps=STEPS, method=rule)
    samples = case.noise.shape[1]
    noise = to_torch(case.noise.reshape(-1, *case.noise.shape[2:]))
    with mock.patch("torch.normal", lambda *_: noise):  # Captum draws all of it in one call, items outside
        for kind in ("smoothgrad", "vargrad"):
            tunnel = attr.NoiseTunnel(saliency)
            found[kind] = tunnel.attribute(
                inputs, nt_type=kind, nt_samples=samples, stdevs=NOISE, target=targets, abs=False
            )
    return {key: to_numpy(value) for key, value in found.items()}


def _layers(case, network, inputs, targets, layer):
    grad_cam = attr.LayerGradCam(network, layer)
    native = grad_cam.attribute(inputs, targets, relu_attributions=True)
    products = to_numpy(attr.LayerGradientXActivation(network, layer).attribute(inputs, targets))
    activation = to_numpy(attr.LayerActivation(network, layer).attribute(inputs))
    channels = torch.arange(activation.shape[-1]).reshape(1, -1, *[1] * (inputs.ndim - 2))
    losses = attr.LayerFeatureAblation(network, layer).attribute(inputs, target=targets, layer_mask=channels)
    mode = "bilinear" if case.is_image else "linear"
    guided = attr.GuidedGradCam(network, layer)
    raw = grad_cam.attribute(inputs, targets)[:, 0].detach().numpy()
    has_gap = any(isinstance(module, Mean) for module in network)
    return ({"cam": raw * raw[0].size} if has_gap else {}) | {
        "grad_cam": native[:, 0].detach().numpy(),
        "grad_cam_raw": raw,
        "grad_cam_enlarged": attr.LayerAttribution.interpolate(native, tuple(inputs.shape[2:]), mode)[:, 0].detach(),
        "guided_grad_cam": to_numpy(guided.attribute(inputs, targets)),
        "guided_grad_cam_linear": to_numpy(guided.attribute(inputs, targets, interpolate_mode=mode)),
        "hires_cam": products.sum(axis=-1),
        "layer_cam": np.maximum(products, 0).sum(axis=-1),
        "ablation_cam": np.maximum((to_numpy(losses) * activation).sum(axis=-1), 0),
    }


def _perturbations(case, network, inputs, targets):
    occlusion = attr.Occlusion(network)
    options = {"baselines": float(case.fill), "target": targets, "perturbations_per_eval": 32}

    def windows(stride):
        patch, stride = map(tuple, (case.patch.tolist(), (case.patch // stride).tolist()))
        channels = inputs.shape[1]
        found = occlusion.attribute(inputs, (channels, *patch), strides=(channels, *stride), **options)
        return to_numpy(found)[..., 0]

    return {"occlusion": windows(1), "occlusion_overlapping": windows(2), "lime": _lime(case, network, inputs)}


def _lime(case, network, inputs):
    """Their loop and their ridge regression; samples, what they hide and their weights are handed in."""
    segments = torch.from_numpy(case.segments)

    def draws(_, **__):
        for row in torch.from_numpy(case.visible).float():
            yield row[None]

    def shown(row, original, **_):
        return torch.where(row[0][segments] == 1, original, float(case.fill))

    weights = iter(())
    coefficients = []
    for item, target in enumerate(case.targets):
        weights = iter(case.proximity)
        lime = attr.LimeBase(
            lambda x: torch.softmax(network(x), dim=1),
            SkLearnRidge(alpha=ALPHA),
            lambda *_, weights=weights, **__: float(next(weights)),
            draws,
            perturb_interpretable_space=True,
            from_interp_rep_transform=shown,
            to_interp_rep_transform=None,
        )
        found = lime.attribute(
            inputs[item : item + 1], target=int(target), n_samples=len(case.visible), perturbations_per_eval=50
        )
        coefficients.append(found.numpy()[0][case.segments])
    return np.stack(coefficients)


if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "torch"  # the weights are all that is wanted of Keras
    torch.set_num_threads(1)
    answer("captum", version("captum"), maps, sys.argv[1:])
