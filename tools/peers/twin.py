"""A PyTorch twin of a Keras network: the same weights, channels first, for libraries that explain PyTorch."""

from collections import OrderedDict

import numpy as np
import torch
from torch import nn


class Mean(nn.Module):
    """Global average pooling: the mean over all positions, (N, C, ...) -> (N, C)."""

    def forward(self, x):
        return x.flatten(2).mean(dim=2)


class FlattenLast(nn.Module):
    """Flatten in the order of Keras, channels last: (N, C, ...) -> (N, ... * C)."""

    def forward(self, x):
        return x.movedim(1, -1).flatten(1)


def twin(model):
    """Return a `torch.nn.Sequential` that computes what `model` does, up to rounding; inputs (N, C, ...).

    Modules carry the names of the Keras layers; NAME_pad and NAME_relu stand for the padding and the activation inside
    a layer. Layers: Conv1D and 2D, MaxPooling1D and 2D, GlobalAveragePooling1D and 2D, Flatten, Dense, Dropout, ReLU,
    each with no activation or ReLU. Raises `ValueError` for any other, a softmax among them: pass the logits network.
    """
    parts = OrderedDict()
    for layer in model.layers:
        kind = type(layer).__name__.removesuffix("1D").removesuffix("2D")
        if kind not in PARTS:
            raise ValueError(f"model: layer '{layer.name}' is a {type(layer).__name__}; a twin has {sorted(PARTS)}.")
        parts.update(PARTS[kind](layer))
        activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if activation not in ("linear", "relu"):
            raise ValueError(f"model: layer '{layer.name}' ends in {activation}; a twin has no activation but ReLU.")
        if activation == "relu":
            parts[f"{layer.name}_relu"] = nn.ReLU()
    return nn.Sequential(parts).eval()


def to_torch(array):
    """Channels last, numpy -> channels first, torch."""
    return torch.from_numpy(np.moveaxis(np.asarray(array), -1, 1).copy())


def to_numpy(tensor):
    """Channels first, torch -> channels last, numpy."""
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


def _convolution(layer):
    rank = len(layer.kernel_size)
    parts = {}
    if layer.padding == "same":
        parts[f"{layer.name}_pad"] = _same_padding(layer, rank)
    kernel, *bias = layer.get_weights()
    if layer.groups != 1 or layer.padding not in ("same", "valid"):
        raise ValueError(f"model: layer '{layer.name}' has groups or padding='{layer.padding}', which no twin has.")
    made = (nn.Conv1d, nn.Conv2d)[rank - 1](
        kernel.shape[-2],
        kernel.shape[-1],
        layer.kernel_size,
        layer.strides,
        dilation=layer.dilation_rate,
        bias=bool(bias),
    )
    return parts | {layer.name: _with_weights(made, np.moveaxis(kernel, (-1, -2), (0, 1)), bias)}


def _same_padding(layer, rank):
    """Keras makes ceil(side / stride) outputs and puts the odd zero at the end."""
    pads = []
    sides = layer.input.shape[1:-1]
    for side, size, stride, gap in zip(sides, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True):
        needed = max(0, (-(-side // stride) - 1) * stride + gap * (size - 1) + 1 - side)
        pads = [needed // 2, needed - needed // 2, *pads]  # PyTorch names the last axis first
    return (nn.ZeroPad1d, nn.ZeroPad2d)[rank - 1](tuple(pads))


def _dense(layer):
    kernel, *bias = layer.get_weights()
    return {layer.name: _with_weights(nn.Linear(*kernel.shape, bias=bool(bias)), kernel.T, bias)}


def _with_weights(module, weight, bias):
    module.weight.data = torch.from_numpy(np.ascontiguousarray(weight))
    if bias:
        module.bias.data = torch.from_numpy(bias[0].copy())
    return module


def _max_pooling(layer):
    rank = len(layer.pool_size)
    if layer.padding != "valid":
        raise ValueError(f"model: layer '{layer.name}' pools with padding='{layer.padding}'; a twin pools 'valid'.")
    return {layer.name: (nn.MaxPool1d, nn.MaxPool2d)[rank - 1](layer.pool_size, layer.strides)}


PARTS = {
    "InputLayer": lambda layer: {},
    "Dropout": lambda layer: {},
    "Conv": _convolution,
    "MaxPooling": _max_pooling,
    "GlobalAveragePooling": lambda layer: {layer.name: Mean()},
    "Flatten": lambda layer: {layer.name: FlattenLast()},
    "Dense": _dense,
    "ReLU": lambda layer: {layer.name: nn.ReLU()},
}
