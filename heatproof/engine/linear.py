"""A linear layer as it stands in a graph: y = w x + b, whichever operations write it.

One operation is linear in what it reads: a product, a convolution, a mean. Biases, and scalings by constants such as
those of a BatchNorm, that alone read what it gives are folded into it: w' = s w, b' = s b + t. For other weights or
inputs the operation is created once more with its attributes; its transposed map is its gradient.
"""

import functools
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops

from heatproof.engine.arrays import as_float
from heatproof.engine.gates import RELUS

DENSE = {"MatMul", "BatchMatMulV2", "Einsum"}
CONVOLUTIONS = {"Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "Conv3DBackpropInputV2"}
AVERAGES = {"Mean", "Sum", "AvgPool", "AvgPool3D", "ResizeBilinear"}  # their weights are fixed and not negative
_TRANSPOSED = {"Conv2DBackpropInput", "Conv3DBackpropInputV2"}
_KEPT = {"Squeeze", "ExpandDims", "Reshape", "Identity", "Cast", "EnsureShape", "BatchToSpaceND"}
_NEVER_NEGATIVE = {"Relu", "Relu6", "Sigmoid", "Softmax", "Exp", "Softplus", "Square", "Abs"}
_AS_READ = _KEPT | {"MaxPool", "MaxPool3D", "AvgPool", "AvgPool3D", "Mean", "Sum", "Max", "Pad", "ConcatV2", "AddV2"}
_AS_READ |= {"SpaceToBatchND", "Transpose", "StridedSlice", "Slice", "Tile", "ResizeNearestNeighbor"}
_PADDED = {"Pad", "PadV2", "SpaceToBatchND", "ExpandDims", "Identity", "Cast"}
_HALVES = (tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum)


@dataclass(frozen=True)
class Step:
    """What an operation makes of one tensor with constants: scale * x + shift, None for 1 and for 0."""

    scale: tf.Tensor | None = None
    shift: tf.Tensor | None = None


def step(operation, names):
    """The `Step` that an operation is, and the number of the input that it reads; None for others.

    `names` are those of the tensors that are no constants.
    """
    felt = [each.name in names for each in operation.inputs]
    if operation.type == "Neg":
        return Step(scale=tf.constant(-1.0, as_float(operation.inputs[0]).dtype)), 0
    if operation.type == "FusedBatchNormV3" and not operation.get_attr("is_training"):
        _, gamma, beta, mean, variance = map(as_float, operation.inputs)
        scale = gamma * tf.math.rsqrt(variance + operation.get_attr("epsilon"))
        return Step(scale, beta - mean * scale), 0
    if operation.type not in ("Mul", "RealDiv", "BiasAdd", "Add", "AddV2", "Sub") or sum(felt) != 1:
        return None
    place = felt.index(True)
    constant = as_float(operation.inputs[1 - place])
    if operation.type == "Mul":
        return Step(scale=constant), place
    if operation.type == "RealDiv":
        return None if place else (Step(scale=1 / constant), place)
    if operation.type == "Sub":
        minus = tf.constant(-1.0, constant.dtype)
        return (Step(minus, constant) if place else Step(shift=-constant)), place
    return Step(shift=constant), place


def _followed(operation, ways):
    """The scale and the shift behind an operation that are folded into it, and the operations that make them."""
    tensor, scale, shift, folded = operation.outputs[0], None, None, list[tf.Operation]()
    while True:
        readers = [each for each in tensor.consumers() if each.name in ways.made]
        if len(readers) != 1:
            return scale, shift, folded
        (reader,) = readers
        found = step(reader, ways.names)
        if found is None:
            if reader.type not in _KEPT or _channels(reader.outputs[0]) != _channels(tensor):
                return scale, shift, folded
        else:
            one, _ = found
            if not _is_foldable(operation, one, tensor):
                return scale, shift, folded
            if one.scale is not None:
                scale = _vector(one.scale) * (1 if scale is None else scale)
                shift = None if shift is None else _vector(one.scale) * shift
            if one.shift is not None:
                shift = _vector(one.shift) + (0 if shift is None else shift)
            folded.append(reader)
        tensor = reader.outputs[0]


def _channels(tensor):
    return tensor.shape[-1] if tensor.shape.rank else None


def _vector(tensor):
    return tf.reshape(tensor, [-1])


def _is_foldable(operation, one, tensor):
    """Whether a step has one number for each channel, or for all, and the weights have a place for it."""
    given = [each.shape for each in (one.scale, one.shift) if each is not None]
    if not all(shape.is_fully_defined() for shape in given):
        return False
    sizes = [(shape.num_elements(), shape[-1] if shape.rank else 1) for shape in given]
    if not all(size == 1 or size == last == _channels(tensor) for size, last in sizes):
        return False
    return one.scale is None or _has_channels_last(operation)


def _has_channels_last(operation):
    """Whether the weights have an axis of the channels that come out, where `_scaled` looks for it."""
    if operation.type == "MatMul":
        return not operation.get_attr("transpose_b") and not operation.get_attr("transpose_a")
    if operation.type == "Einsum":
        read, given = operation.get_attr("equation").decode().split("->")
        return read[-1] == given[-1]
    return operation.type in CONVOLUTIONS


def _scaled(operation, weights, scale):
    """The weights times one number for each channel that comes out."""
    if operation.type in _TRANSPOSED:
        return weights * scale[:, None]
    if operation.type == "DepthwiseConv2dNative" and scale.shape[0] != 1:
        return weights * tf.reshape(scale, weights.shape[2:])
    return weights * scale


class Linear:
    """A linear layer: `x`, `w` (None for an average), `b` (0 for none) and its output `z`, all folded, in float32."""

    def __init__(self, operation, ways):
        self.operation, self.ways = operation, ways
        felt = [number for number, each in enumerate(operation.inputs) if each.name in ways.names]
        self.place, self.is_single = felt[0], len(felt) == 1
        self.weighs = operation.type not in AVERAGES
        self.is_in_blocks = operation.inputs[self.place].op.type == "SpaceToBatchND"
        others = [n for n, each in enumerate(operation.inputs) if n != self.place and each.dtype.is_floating]
        self.number: Any = others[0] if self.weighs and others else None

    @functools.cached_property
    def _behind(self):
        """The scale, the shift and the operations that are folded in."""
        return _followed(self.operation, self.ways) if self.number is not None and self.is_single else (None, None, [])

    @property
    def folded(self):
        return self._behind[2]

    @property
    def kind(self):
        """ "dense", "convolution" or "average"."""
        if not self.weighs:
            return "average"
        return "dense" if self.operation.type in DENSE else "convolution"

    @functools.cached_property
    def x(self):
        """What is read; a ReLU of what is kept anyway is taken once more, so that its output need not be kept."""
        read = self.operation.inputs[self.place]
        return as_float(created(read.op, read.op.inputs).outputs[0] if read.op.type in RELUS else read)

    @functools.cached_property
    def w(self):
        if not self.weighs:
            return None
        weights = as_float(self.operation.inputs[self.number])
        return weights if self._behind[0] is None else _scaled(self.operation, weights, self._behind[0])

    @functools.cached_property
    def b(self):
        return tf.zeros([], self.x.dtype) if self._behind[1] is None else self._behind[1]

    @functools.cached_property
    def z(self):
        """The output, with all that is folded in, read where it stands; in half precision it is computed anew."""
        output = self.operation.outputs[0]
        if as_float(output) is not output:
            return self.forward(self.x, self.w) + self.b
        chain = [self.operation, *self.folded]
        if all(one.outputs[0].name in {each.name for each in other.inputs} for one, other in pairwise(chain)):
            return chain[-1].outputs[0]  # nothing between them moves the numbers, as the blocks of a dilated layer do
        return (output if self._behind[0] is None else output * self._behind[0]) + self.b

    @functools.cached_property
    def is_positive(self):
        """Whether nothing that is read can be negative."""
        return _is_never_negative(self.operation.inputs[self.place])

    @property
    def is_first(self):
        """Whether no other layer of weights stands between it and the inputs."""
        return self.operation.inputs[self.place].name not in self.ways.mixed

    def there(self, give, far=False):
        """What is read where `give(x)` stands in place of x: before the padding, or, with `far`, at the inputs."""
        start = self.operation.inputs[self.place]
        if far:
            start = self.ways.start
        while not far and start.op.type in _PADDED and start.name != self.ways.start.name:
            start = start.op.inputs[0]
        return again(self.operation.inputs[self.place], self.ways.names, {start.name: give(as_float(start))})

    def forward(self, x, w):
        """The layer without its bias, for other inputs and weights."""
        return self._again(x, w).outputs[0]

    def back(self, relevance, w):
        """The transposed map."""
        again = self._again(self.x, w)
        again.skip_input_indices = tuple(n for n in range(len(again.inputs)) if n != self.place)
        return transposed(again, relevance)[self.place]

    def _again(self, x, w):
        given = list(self.operation.inputs)
        given[self.place] = x
        if w is not None:
            given[self.number] = w
        return created(self.operation, given)

    def parts(self, w_of_positive, w_of_negative):
        """The layer where inputs above 0 are weighed by the one, those below by the other."""
        if self.is_positive:
            return self.forward(self.x, w_of_positive)
        plus, minus = tf.nn.relu(self.x), -tf.nn.relu(-self.x)
        return self.forward(plus, w_of_positive) + self.forward(minus, w_of_negative)

    def back_parts(self, relevance, w_of_positive, w_of_negative):
        """x times the transposed map of `parts`."""
        if self.is_positive:
            return self.x * self.back(relevance, w_of_positive)
        plus, minus = tf.nn.relu(self.x), -tf.nn.relu(-self.x)
        return plus * self.back(relevance, w_of_positive) + minus * self.back(relevance, w_of_negative)


class Diagonal(Linear):
    """y = x + b, where no layer takes b in: one that reads x with the weight 1."""

    def __init__(self, x, b):
        self.x, self.b, self.z, self.w = x, b, x + b, tf.ones([], x.dtype)
        self.is_positive = self.is_in_blocks = False

    def there(self, give, far=False):
        return give(self.x)

    def forward(self, x, w):
        return x * w

    def back(self, relevance, w):
        return relevance * w


def transposed(operation, *arriving):
    """What arrives at the outputs of an operation, taken to each of its inputs by its transposed map, None for none."""
    found = ops.get_gradient_function(operation)(operation, *arriving)
    return found if isinstance(found, (list, tuple)) else [found]


def again(tensor, names, instead):
    """A tensor computed once more, with others in place of those of some names."""
    if tensor.name in instead:
        return instead[tensor.name]
    if tensor.name not in names:
        return tensor
    given = [again(each, names, instead) for each in tensor.op.inputs]
    return created(tensor.op, given).outputs[tensor.value_index]


def created(operation, given):
    """The operation once more, for other inputs, in their precision."""
    attributes = {name: operation.node_def.attr[name] for name in operation.node_def.attr}
    wide = next(each.dtype for each in given if each.dtype.is_floating)
    for name, value in attributes.items():
        if value.type in _HALVES and wide not in (tf.float16, tf.bfloat16):
            attributes[name] = tf.compat.v1.AttrValue(type=wide.as_datatype_enum)
    name = operation.name.rpartition("/")[2]
    return operation.graph.create_op(operation.type, given, None, name=name, attrs=attributes)


def _is_never_negative(tensor):
    """Whether the graph tells that no value of a tensor is below 0."""
    waiting = [tensor]
    while waiting:
        operation = waiting.pop().op
        if operation.type in _NEVER_NEGATIVE:
            continue
        if operation.type not in _AS_READ:
            return False
        waiting += [each for each in operation.inputs if each.dtype.is_floating]
    return True
