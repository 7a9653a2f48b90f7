"""The networks by hand in PyTorch, channels first."""

import torch
from torch import nn


class Skip(nn.Module):
    """x + f(x): as an operation, or through a module that adds."""

    def __init__(self, inner, joined=None):
        super().__init__()
        self.inner, self.joined = inner, joined

    def forward(self, x):
        return x + self.inner(x) if self.joined is None else self.joined(x, self.inner(x))


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.sigmoid = nn.Sigmoid()

    def forward(self, x):
        return x * self.sigmoid(x)


def network(parts, joined=None):
    """The module of these parts; `joined()` makes what adds, if the library has a module for it."""
    made = {}
    return nn.Sequential(*(made.setdefault(id(part), stage(part, joined)) for part in parts)).eval()


def stage(part, joined):
    kind, *given = part
    if kind == "dense":
        return weighted(nn.Linear(*given[0].shape, bias=given[1] is not None), given[0].T, given[1])
    if kind == "convolution":
        return weighted(nn.Conv1d(1, 1, 3, padding=1, bias=False), given[0].reshape(1, 1, 3), None)
    if kind == "skip":
        return Skip(stage(given[0], joined), joined and joined())
    if kind == "norm":
        return normalised(*given)
    simple = {
        "flatten": nn.Flatten,
        "average": lambda: nn.AvgPool1d(2),
        "maximum": lambda: nn.MaxPool1d(2),
        "gate": Gate,
        "activation": lambda: {"relu": nn.ReLU, "relu6": nn.ReLU6, "elu": nn.ELU}[given[0]](),
    }
    return simple[kind]()


def weighted(module, weight, bias):
    module.weight.data = torch.from_numpy(weight.copy())
    if bias is not None:
        module.bias.data = torch.from_numpy(bias.copy())
    return module


def normalised(gamma, beta, mean, variance):
    """Of one feature; the smallest epsilon that PyTorch takes."""
    module = nn.BatchNorm1d(1, eps=1e-12)
    values = {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": variance}
    for name, value in values.items():
        getattr(module, name).data = torch.tensor([value])
    return module
