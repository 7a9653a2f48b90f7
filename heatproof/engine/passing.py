"""What relevance does at operations without weights of their own: it is moved, passed as it is, or refused.

An operation that only moves numbers, or takes the largest of some, hands relevance back by its transposed map. An
activation, any function of one number, passes it as it is. Of a product of two, one may be a gate, a number that says
how much of the other goes on: it counts as a constant.
"""

import tensorflow as tf

from heatproof.engine.arrays import as_float
from heatproof.engine.gates import RELUS, is_gate
from heatproof.engine.linear import created, step, transposed

MOVED = {"Reshape", "Transpose", "ExpandDims", "Squeeze", "Pad", "PadV2", "MirrorPad", "Slice", "StridedSlice", "Split"}
MOVED |= {"SplitV", "ConcatV2", "Pack", "Unpack", "GatherV2", "GatherNd", "SpaceToBatchND", "BatchToSpaceND", "Tile"}
MOVED |= {"SpaceToDepth", "DepthToSpace", "ResizeNearestNeighbor", "ReverseV2", "Roll", "BroadcastTo", "EnsureShape"}
MOVED |= {"MaxPool", "MaxPool3D", "Max", "Min", "SelectV2", "Select"}
ONE_OF_TWO = {"Maximum", "Minimum"}  # the winner's, of two tensors; of a tensor and a constant an activation
JOINED = {"ConcatV2", "Pack", "PadV2", "SelectV2", "Select"}  # with constants, whose share a bias would have
ACTIVATIONS = {"Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "Tanh", "Sigmoid", "Erf", "Erfc"}
ACTIVATIONS |= {"Exp", "Expm1", "Log", "Log1p", "Sin", "Cos", "Atan", "Sinh", "Cosh", "Asinh", "Abs", "Sqrt", "Square"}
ACTIVATIONS |= {"Pow", "Neg", "Cast", "Identity", "StopGradient", "ClipByValue", "PreventGradient", "CheckNumerics"}
SCALINGS = {"Mul", "RealDiv", "DivNoNan", "MulNoNan"}
SUMS = {"Add", "AddV2", "AddN", "Sub", "BiasAdd", "FusedBatchNormV3"}
_THROUGH = {
    "Reshape",
    "StridedSlice",
    "ExpandDims",
    "Squeeze",
    "Identity",
    "Cast",
    "Tile",
    "BroadcastTo",
    "Minimum",
    "Transpose",
}
_GATES = {"Sigmoid", "Softmax", "Erf", "Erfc"}


def moved(operation, relevance):
    """What arrives at the outputs, a list with None for nothing, by the transposed map: one for each input or None."""
    given = [as_float(each) if each.dtype.is_floating else each for each in operation.inputs]
    if any(one is not other for one, other in zip(given, operation.inputs, strict=True)):
        operation = created(operation, given)  # in half precision
    arriving = [tf.zeros_like(out) if R is None else R for out, R in zip(operation.outputs, relevance, strict=True)]
    return [None if each is None else tf.convert_to_tensor(each) for each in transposed(operation, *arriving)]


def narrowed(relevance, like):
    """Relevance in the shape of a tensor that was broadcast: summed over what it was repeated to."""
    shapes = like.shape[1:], relevance.shape[1:]
    if shapes[0].is_fully_defined() and shapes[1].is_fully_defined() and shapes[0] == shapes[1]:
        return relevance
    axes, _ = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(like), s1=tf.shape(relevance))
    return tf.reshape(tf.reduce_sum(relevance, axis=axes), tf.shape(like))


def signal(operation, names):
    """Which of two factors is not the gate: the number of the input; None where that is not to be told."""
    ranks = [_rank(each, names) for each in operation.inputs]
    return None if ranks[0] == ranks[1] else ranks.index(min(ranks))


def _rank(tensor, names):
    """2 for a tensor between 0 and 1 or -1 and 1 that a squashing function made, 1 for that of a tanh, 0 for others."""
    while True:
        operation = tensor.op
        if operation.type in _GATES or (operation.type in RELUS | {"Maximum"} and is_gate(operation)):
            return 2
        if operation.type == "Tanh":
            return 1
        found = step(operation, names)
        if found is None and operation.type not in _THROUGH:
            return 0
        tensor = operation.inputs[found[1] if found else 0]
