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


class Scaled(nn.Module):
    """What a Rescaling layer does, with numbers for all channels."""

    def __init__(self, scale, offset):
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, x):
        return x * self.scale + self.offset


class Sum(nn.Module):
    """What an Add layer does."""

    def forward(self, *terms):
        return sum(terms[1:], terms[0])


class Graph(nn.Module):
    """Stages by the names of their layers, in order, and the names of those that each reads; none: the input."""

    def __init__(self, stages, reads):
        super().__init__()
        self.reads = reads
        for stage in stages.values():
            for name, module in stage.items():
                self.add_module(name, module)
        self.stages = {layer: list(stage) for layer, stage in stages.items()}

    def forward(self, x):
        given = {}
        for layer, names in self.stages.items():
            values = [given[name] for name in self.reads[layer]] or [x]
            for name in names:
                values = [getattr(self, name)(*values)]
            given[layer] = values[0]
        return given[layer]


def twin(model):
    """Return a `torch.nn.Module` that computes what `model` does, up to rounding; inputs (N, C, ...).

    A `Sequential` where each layer reads the one before, else a `Graph`. Modules carry the names of the Keras layers;
    NAME_pad and NAME_relu stand for the padding and the activation inside a layer. Layers: those of `PARTS`, each with
    no activation or ReLU. Raises `ValueError` for any other, a softmax among them: pass the logits network.
    """
    stages = {layer.name: _stage(layer) for layer in model.layers}
    reads = {layer.name: _reads(layer) for layer in model.layers}
    names = list(stages)
    if all(reads[name] == [before] for before, name in zip(names, names[1:], strict=False)):
        return nn.Sequential(OrderedDict(part for stage in stages.values() for part in stage.items())).eval()
    return Graph(stages, reads).eval()


def layer_of(case, network):
    """The ReLU inside the layer, or the layer itself where that is one."""
    return getattr(network, f"{case.layer}_relu", None) or getattr(network, case.layer)


def padded_inside(network):
    """The same twin with even padding done by its convolutions: for rules that must not count it as inputs."""
    for name, module in list(network.named_children()):
        if is_padded(module) and module.padding[::2] == module.padding[1::2]:
            getattr(network, name.removesuffix("_pad")).padding = module.padding[::-2]
            setattr(network, name, nn.Identity())
    return network


def is_padded(network):
    """Is there a layer of padding?"""
    return any(isinstance(module, nn.ZeroPad1d | nn.ZeroPad2d) for module in network.modules())


def _stage(layer):
    """The modules of one layer by their names, in order."""
    kind = type(layer).__name__.removesuffix("1D").removesuffix("2D")
    if kind not in PARTS:
        raise ValueError(f"model: layer '{layer.name}' is a {type(layer).__name__}; a twin has {sorted(PARTS)}.")
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    if activation not in ("linear", "relu"):
        raise ValueError(f"model: layer '{layer.name}' ends in {activation}; a twin has no activation but ReLU.")
    return PARTS[kind](layer) | ({f"{layer.name}_relu": nn.ReLU()} if activation == "relu" else {})


def _reads(layer):
    """The names of the layers whose outputs this one reads."""
    if type(layer).__name__ == "InputLayer":
        return []
    inputs = layer.input if isinstance(layer.input, list) else [layer.input]
    return [tensor._keras_history.operation.name for tensor in inputs]


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


def _depthwise(layer):
    """One kernel for each channel."""
    kernel, *bias = layer.get_weights()
    channels = kernel.shape[-2]
    if layer.depth_multiplier != 1 or len(layer.kernel_size) != 2:
        raise ValueError(f"model: layer '{layer.name}' has several kernels for a channel, or no two axes of space.")
    parts = {f"{layer.name}_pad": _same_padding(layer, 2)} if layer.padding == "same" else {}
    options = {"dilation": layer.dilation_rate, "bias": bool(bias), "groups": channels}
    made = nn.Conv2d(channels, channels, layer.kernel_size, layer.strides, **options)
    return parts | {layer.name: _with_weights(made, np.moveaxis(kernel, (-2, -1), (0, 1)), bias)}


def _normalisation(layer):
    """With the statistics that it has learned; scale and shift are 1 and 0 where it has none."""
    made = nn.BatchNorm2d(layer.moving_mean.shape[0], eps=layer.epsilon)
    values = dict(zip((each.name for each in layer.weights), layer.get_weights(), strict=True))
    names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    for name, value in values.items():
        getattr(made, names[name]).data = torch.from_numpy(value.copy())
    return {layer.name: made}


def _zeros(layer):
    (top, bottom), (left, right) = layer.padding
    return {layer.name: nn.ZeroPad2d((left, right, top, bottom))}


def _relu(layer):
    if layer.max_value not in (None, 6) or layer.negative_slope or layer.threshold:
        raise ValueError(f"model: layer '{layer.name}' is another ReLU than the plain one and that up to 6.")
    return {layer.name: nn.ReLU() if layer.max_value is None else nn.ReLU6()}


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
    "ReLU": _relu,
    "DepthwiseConv": _depthwise,
    "BatchNormalization": _normalisation,
    "ZeroPadding": _zeros,
    "Rescaling": lambda layer: {layer.name: Scaled(layer.scale, layer.offset)},
    "Add": lambda layer: {layer.name: Sum()},
}
