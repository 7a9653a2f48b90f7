"""Captum's scores, of the PyTorch twin."""

import numpy as np
import torch
from captum import attr, metrics

from tools.peers.metric_case import SAMPLES, Given, each
from tools.peers.twin import to_torch, twin

PACKAGE, BACKEND = "captum", "torch"


def answers(case):
    torch.set_num_threads(1)
    given = Given.load(case.folder)
    network, inputs, targets = twin(case.network()), to_torch(case.inputs), torch.from_numpy(case.targets)
    return _completeness(given, network, inputs, targets) | {
        "max_sensitivity": _max_sensitivity(given, network, inputs, targets),
        **_infidelity(given, network, inputs, targets),
    }


def _completeness(given, network, inputs, targets):
    method = attr.IntegratedGradients(network)

    def gap(maps):
        return method.compute_convergence_delta(to_torch(maps), torch.zeros_like(inputs), inputs, target=targets)

    signed = each(gap, given.attribution)
    rows = range(len(inputs))
    with torch.no_grad():
        change = (network(inputs) - network(torch.zeros_like(inputs)))[rows, targets].numpy()
    return {"completeness": signed, "completeness_gap": np.abs(signed / change[:, None])}


def _items_outside(arrays):
    """(samples, N, ..., C) -> (N * samples, C, ...): the order in which they repeat the inputs."""
    arrays = np.moveaxis(arrays, 1, 0)
    return to_torch(arrays.reshape(-1, *arrays.shape[2:]).astype(np.float32))


def _max_sensitivity(given, network, inputs, targets):
    saliency, product = attr.Saliency(network), attr.InputXGradient(network)
    methods = (
        lambda x, target: saliency.attribute(x, target, abs=False),
        lambda x, target: product.attribute(x, target),
    )
    near = _items_outside(given.near)
    options = {"perturb_func": lambda _: near, "n_perturb_samples": SAMPLES, "target": targets}
    return each(lambda method: metrics.sensitivity_max(method, inputs, **options).detach(), methods)


def _infidelity(given, network, inputs, targets):
    moves = _items_outside(given.moves)
    samples = len(given.moves)

    def score(maps, normalize=True):
        perturbed = (moves, inputs.repeat_interleave(samples, dim=0) - moves)
        arguments = {"target": targets, "n_perturb_samples": samples, "normalize": normalize}
        return metrics.infidelity(network, lambda _: perturbed, inputs, to_torch(maps), **arguments)

    found = each(score, given.attribution)
    power = np.asarray(score(np.zeros_like(given.attribution[0]), normalize=False))  # of a map that foretells nothing
    return {"infidelity": found, "infidelity_share": found / power[:, None]}
