"""What windows would save in occlusion beyond chains: python -m benchmarks.windows prints the table.

Covering a patch changes, in each layer, the positions that look at it: a window that grows by kernels and shrinks by
strides. A chain of layers is computed on these windows alone (`heatproof.engine.windows`). Here they are followed
through any graph, without computing them, and the multiply-adds inside are counted; of whole passes over those bounds
what windows could save. Copying and small batches are left out. So is what a multiply-add takes, which differs between
layers. Where paths meet, the window holds those of both; what takes a mean over space, and the gates made of it, change
everything behind them.
"""

import itertools
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from benchmarks.markdown import table
from heatproof.engine.moves import MOVES, ORDERS

SIDE, PATCH, STRIDE = 224, 32, 8  # occlusion's defaults: a seventh of the side, a quarter of the patch
KINDS = ("windows", "alike")  # of their own size; of one size for all patches
WORTH = 2  # how many times fewer multiply-adds would be worth a second way of computing
READING = {"Conv2D", "Conv3D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D", "Pad", "PadV2"}
BESIDE = {
    *("Identity", "IdentityN", "Cast", "StopGradient", "BiasAdd", "FusedBatchNormV3", "ConcatV2", "Softmax"),
    *("AddV2", "Sub", "Mul", "RealDiv", "SquaredDifference", "Maximum", "Minimum", "Neg", "Sqrt", "Rsqrt", "Square"),
    *("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Tanh", "Softplus", "Exp", "Erf"),
}
WHOLE = {"MatMul", "Shape", "StridedSlice", "Pack"}  # dense layers, and what computes their shapes


@dataclass(frozen=True)
class Layer:
    """An operation that multiplies and adds: sides of its output, multiply-adds, and the share that windows hold."""

    name: str
    sides: tuple
    whole: int
    share: float  # of its output's positions, on average over the patches
    largest: float  # the same where all windows have the size of the largest, so that they fit into one batch


# --- windows ----------------------------------------------------------------------------------------------------------


def layers(model, patch=PATCH, stride=STRIDE):
    """The `Layer`s of a Keras model, in the order of its graph."""
    graph, inputs = traced(model)
    space = [patches_along(side, patch, stride) for side in inputs.shape[1:-1]]
    found = followed(graph, inputs, list(itertools.product(*space)))
    made = [operation for operation in graph.get_operations() if operation.type in COSTS]
    return [_layer(operation, found) for operation in made if operation.outputs[0].name in found]


def patches_along(side, patch, stride):
    """Where the patches of occlusion lie along an axis: the last one touches the border."""
    return [slice(start, start + patch) for start in sorted({*range(0, side - patch + 1, stride), side - patch})]


def traced(model):
    """The graph of one pass of one input, and the input in it."""
    spec = tf.TensorSpec((1, *model.input_shape[1:]), model.inputs[0].dtype)
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec).graph
    return graph, graph.inputs[0]


def followed(graph, inputs, windows):
    """{name of a tensor that depends on the input: array (axes, 2, windows) of where its changes begin and end}."""
    ends = np.array([[(side.start, side.stop) for side in window] for window in windows]).transpose(1, 2, 0)
    found = {inputs.name: _everything(inputs, len(windows))}
    found[inputs.name][1:-1] = ends
    for operation in graph.get_operations():  # each after those that it reads
        if any(tensor.name in found for tensor in operation.inputs):
            for tensor in operation.outputs:
                found[tensor.name] = _changed(operation, tensor, found, len(windows))
    return found


def _everything(tensor, count):
    sides = np.array([side or 1 for side in tensor.shape], int)
    return np.stack([np.zeros((len(sides), count), int), np.repeat(sides[:, None], count, axis=1)], axis=1)


def _changed(operation, tensor, found, count):
    everything = _everything(tensor, count)
    if operation.type in READING:
        return _read(operation, tensor, found, everything)
    if operation.type in ORDERS:
        before, order = found[operation.inputs[0].name], ORDERS[operation.type](operation)
        return np.stack([everything[at] if old < 0 else before[old] for at, old in enumerate(order)])
    if operation.type in WHOLE or operation.type == "ConcatV2" and not _along_channels(operation, tensor):
        return everything
    if operation.type not in BESIDE:
        raise ValueError(f"{operation.name}: what a {operation.type} reads is not known here.")
    sources = operation.inputs if operation.type != "IdentityN" else [operation.inputs[tensor.value_index]]
    parts = [_beside(one, tensor, found, everything) for one in sources if one.name in found]
    if not parts:  # a constant that is handed through
        return everything
    parts = np.stack(parts)
    return np.stack([parts[:, :, 0].min(axis=0), parts[:, :, 1].max(axis=0)], axis=1)


def _read(operation, tensor, found, everything):
    """Position j reads from j * apart + low to j * apart + high: which of them meet the window of what is read."""
    source, moves = MOVES[operation.type](operation)
    changed = everything.copy()
    for axis, move in enumerate(moves):
        if move and 0 < axis < len(moves) - 1:
            (apart, low, high), (begin, end) = move, found[source.name][axis]
            first, last = -(-(begin - high) // apart), (end - 1 - low) // apart
            begin = np.clip(first, 0, tensor.shape[axis])
            changed[axis] = begin, np.clip(last + 1, begin, tensor.shape[axis])
    return changed


def _along_channels(operation, tensor):
    return tf.get_static_value(operation.inputs[-1]) in (-1, tensor.shape.rank - 1)


def _beside(source, tensor, found, everything):
    """Each position reads its own; of what has one position alone along an axis all read that."""
    if source.shape.rank != tensor.shape.rank:
        return everything
    same = [one == other for one, other in zip(source.shape, tensor.shape, strict=True)]
    return np.where(np.reshape(same, (-1, 1, 1)), found[source.name], everything)


# --- multiply-adds ----------------------------------------------------------------------------------------------------


def _of_convolution(operation):
    return np.prod(operation.outputs[0].shape[1:]) * np.prod(operation.inputs[1].shape[:-1])


def _of_depthwise(operation):
    return np.prod(operation.outputs[0].shape[1:]) * np.prod(operation.inputs[1].shape[:-2])


def _of_dense(operation):
    return np.prod(operation.inputs[1].shape)


COSTS = {
    **dict.fromkeys(("Conv2D", "Conv3D"), _of_convolution),
    "DepthwiseConv2dNative": _of_depthwise,
    "MatMul": _of_dense,
}


def _layer(operation, found):
    output = operation.outputs[0]
    changed, sides = found[output.name], tuple(output.shape[1:-1])
    sizes, positions = changed[1:-1, 1] - changed[1:-1, 0], np.prod(sides, dtype=int)
    shares = sizes.prod(axis=0).mean() / positions, sizes.max(axis=1).prod() / positions
    return Layer(operation.name, sides, int(COSTS[operation.type](operation)), *shares)


# --- networks ---------------------------------------------------------------------------------------------------------


def without_gates(model):
    """The same network without squeeze and excitation."""

    def call(layer, *given, **options):
        return given[0][0] if layer.name.endswith("_se_excite") else layer(*given, **options)

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def networks():
    """Title and network; its weights play no part."""
    of = keras.applications
    yield "MobileNetV2", of.MobileNetV2(weights=None)
    yield "ResNet50", of.ResNet50(weights=None)
    yield "EfficientNetB0", of.EfficientNetB0(weights=None)
    yield "EfficientNetB0 without its gates", without_gates(of.EfficientNetB0(weights=None))


def measure():
    """Rows of every network and of its stages: the layers whose outputs have one size."""
    return [row for title, model in networks() for row in rows(title, layers(model))]


def rows(title, found):
    """The network as a whole, then its stages from fine to coarse; multiply-adds, whole and inside windows."""
    stages = sorted({layer.sides for layer in found}, key=lambda sides: (len(sides), sides), reverse=True)
    kinds = [("all", found), *(("x".join(map(str, s)) or "1", [n for n in found if n.sides == s]) for s in stages)]
    return [
        {
            "network": title,
            "stage": stage,
            "whole": sum(one.whole for one in group),
            "windows": round(sum(one.whole * one.share for one in group)),
            "alike": round(sum(one.whole * one.largest for one in group)),
        }
        for stage, group in kinds
    ]


def bound(row, windows="windows"):
    """How many times fewer multiply-adds windows need, at most; "alike": windows of one size for all patches."""
    return row["whole"] / row[windows]


SECTION = """## Windows beyond chains

`python -m benchmarks --windows` counts this alone; nothing is timed. Covering a patch changes in each layer only the
positions that look at it. On chains of layers occlusion computes these windows alone; here they are followed through
whole graphs, without computing them. {side} px, patch {patch}, stride {stride}, as occlusion has them by default.
Multiply-adds of convolutions and dense layers in millions, for one pass; those inside the windows, on average over all
patches; whole / windows bounds what windows could save. Copying and small batches are left out, and so is that early
layers take longer for a multiply-add than late ones. *One size*: where every patch has the largest window, so that
windows fit into one batch. Squeeze and excitation takes a mean over space and changes everything behind it.
EfficientNet-Lite0, which is not among the networks here, is EfficientNetB0 without these gates and with other
activations, which do not count.

At least {worth} times fewer with windows of their own size: {own}. With windows of one size: {alike}.

"""


def section(results):
    """The page's part: whole multiply-adds and those inside windows, by network and stage."""
    kept = results.get("windows", ())
    if not kept:
        return ""
    named = {name: ", ".join(row["network"] for row in kept if worthy(row, name)) or "none" for name in KINDS}
    text = SECTION.format(
        side=SIDE, patch=PATCH, stride=STRIDE, worth=WORTH, own=named["windows"], alike=named["alike"]
    )
    return text + table(("network", "stage", "whole", "windows", "whole / windows", "one size"), map(cells, kept))


def cells(row):
    counts = (f"{row[name] / 1e6:.4g}" for name in ("whole", "windows"))
    return row["network"], row["stage"], *counts, *(f"{bound(row, name):.2f}" for name in KINDS)


def worthy(row, name):
    return row["stage"] == "all" and bound(row, name) >= WORTH


def main():
    print(section({"windows": measure()}))


if __name__ == "__main__":
    main()
