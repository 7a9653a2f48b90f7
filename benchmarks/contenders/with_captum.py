"""Captum on a PyTorch twin of the network (tools/peers/twin.py), in batches of 32 on all cores."""

from functools import lru_cache

import numpy as np
import torch
from captum import attr

from benchmarks.contenders.case import BATCH, NOISE, doubled
from tools.peers.twin import to_numpy, to_torch, twin

PACKAGE = "captum"
BACKEND = "torch"


@lru_cache(maxsize=2)
def parts(case, n):
    network = twin(case.network())
    return network, to_torch(case.inputs(n)), torch.from_numpy(case.targets(n).astype("int64"))


def forward(case, setting):
    network, x, _ = parts(case, setting["n"])

    def run():
        with torch.no_grad():
            return network(x).numpy()

    return run


def gradient(case, setting):
    network, x, targets = parts(case, setting["n"])

    def run():
        point = x.clone().requires_grad_()
        return to_numpy(torch.autograd.grad(network(point).gather(1, targets[:, None]).sum(), point)[0])

    return run


def smooth_grad(case, setting):
    network, x, targets = parts(case, setting["n"])
    tunnel, samples = attr.NoiseTunnel(attr.Saliency(network)), setting["amount"]
    options = {"nt_type": "smoothgrad", "nt_samples": samples, "stdevs": NOISE, "abs": False}
    together = max(1, BATCH // setting["n"])
    return lambda: to_numpy(tunnel.attribute(x, target=targets, nt_samples_batch_size=together, **options))


def integrated_gradients(case, setting):
    network, x, targets = parts(case, setting["n"])
    tool, options = attr.IntegratedGradients(network), {"n_steps": setting["amount"], "method": "riemann_middle"}
    return lambda: to_numpy(tool.attribute(x, target=targets, internal_batch_size=max(BATCH, len(x)), **options))


def of_one(case):
    tool = attr.IntegratedGradients(parts(case, 1)[0])

    def run(x, target, steps):
        options = {"n_steps": int(steps), "method": "riemann_middle", "internal_batch_size": BATCH}
        return to_numpy(tool.attribute(to_torch(x[None]), target=int(target), **options))[0]

    return run


def converged(case, setting):
    """The smallest steps of the midpoint rule that reach 1 %, input by input."""
    n, run, steps = setting["n"], of_one(case), np.load(case.folder / "steps.npz")["midpoint"]
    items = list(zip(case.inputs(n), case.targets(n), steps, strict=False))
    return lambda: np.stack([run(*item) for item in items])


def until_converged(case, setting):
    n, run, changes = setting["n"], of_one(case), np.load(case.folder / "steps.npz")["changes"]
    items = list(zip(case.inputs(n), case.targets(n), changes, strict=False))
    return lambda: np.stack([doubled(lambda k, x=x, c=c: run(x, c, k), change) for x, c, change in items])


def saliency(case, setting):
    network, x, targets = parts(case, setting["n"])
    tool = attr.Saliency(network)
    return lambda: to_numpy(tool.attribute(x, targets, abs=False))


def enlarged(maps, case):
    mode = "bilinear" if case.is_image else "linear"
    return attr.LayerAttribution.interpolate(maps, case.inputs(1).shape[1:-1], mode).detach().numpy()[:, 0]


def grad_cam(case, setting):
    network, x, targets = parts(case, setting["n"])
    tool = attr.LayerGradCam(network, getattr(network, f"{case.layer}_relu"))
    return lambda: enlarged(tool.attribute(x, targets, relu_attributions=True), case)


def ablation_cam(case, setting):
    """Its layer ablation, one map of the layer at a time, in batches of 32, input by input; then the weighted sum."""
    network, x, targets = parts(case, setting["n"])
    layer = getattr(network, f"{case.layer}_relu")
    ablation, activation = attr.LayerFeatureAblation(network, layer), attr.LayerActivation(network, layer)
    channels = torch.arange(int(case.arrays["size"])).reshape(1, -1, *[1] * (x.ndim - 2))
    options = {"layer_mask": channels, "perturbations_per_eval": BATCH}

    def one(x, target):
        lost = ablation.attribute(x, target=target, **options)
        return (lost * activation.attribute(x)).sum(dim=1, keepdim=True).clamp(min=0)

    def maps():
        with torch.no_grad():
            return enlarged(torch.cat([one(x[[item]], int(target)) for item, target in enumerate(targets)]), case)

    return maps


def occlusion(case, setting):
    network, x, targets = parts(case, setting["n"])
    tool, channels, (patch, stride) = attr.Occlusion(network), x.shape[1], case.window
    options = {"baselines": case.fill, "perturbations_per_eval": BATCH // len(x)}

    def maps():
        with torch.no_grad():
            windows = {"sliding_window_shapes": (channels, *patch), "strides": (channels, *stride)}
            return to_numpy(tool.attribute(x, target=targets, **windows, **options))[..., 0]

    return maps


METHODS = {
    "forward": forward,
    "gradient": gradient,
    "saliency": saliency,
    "smooth_grad": smooth_grad,
    "integrated_gradients": integrated_gradients,
    "converged": converged,
    "doubled": until_converged,
    "grad_cam": grad_cam,
    "ablation_cam": ablation_cam,
    "occlusion": occlusion,
}
