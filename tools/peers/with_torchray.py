"""TorchRay's extremal perturbation on a PyTorch twin of the network (twin.py)."""

import numpy as np
import torch
from torchray.attribution import extremal_perturbation as room

from tools.peers.twin import to_torch, twin

PACKAGE, BACKEND = "torchray", "torch"
AREAS = (0.05, 0.1, 0.2, 0.4)
STEP, SIGMA, SIDE = 7, 21, 224  # its cells and their width, by default, and the side that they are made for


def extremal(case, steps):
    """The masks (N, areas, H, W) that keep the logit; hidden is faded to 0. It takes one picture a call."""
    network, inputs = case.once("twin", lambda: twin(case.network())), to_torch(case.inputs)
    share = min(case.inputs.shape[1:-1]) / SIDE
    sizes = {"step": max(1, round(STEP * share)), "sigma": SIGMA * share}

    def one(x, target):
        return room.extremal_perturbation(
            network, x[None], int(target), list(AREAS), room.FADE_PERTURBATION, max_iter=steps, **sizes
        )[0]

    def run():
        torch.manual_seed(0)
        return np.stack([one(x, target)[:, 0].numpy() for x, target in zip(inputs, case.targets, strict=True)])

    return run


METHODS = {"extremal": extremal}
