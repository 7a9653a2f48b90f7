"""The ways from the input to the score in a traced graph: what lies on them, and through which tensors all lead.

A tensor carries the score where every way leads through it: swept in the order of the graph, it is then the only one
that has been made and is still to be read. No way leads through what has no derivative: a shape that is read, an index,
a comparison.
"""

import functools

import tensorflow as tf

from heatproof.engine import owned
from heatproof.engine.bodies import Bodies

HEAVY = {"Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2", "Einsum"}
HEAVY |= {"Conv2DBackpropInput", "Conv3DBackpropInputV2", "CudnnRNN", "CudnnRNNV2", "CudnnRNNV3"}
PADDINGS = {"Pad", "PadV2", "MirrorPad"}
SHRINKING = {"MaxPool", "AvgPool", "MaxPoolV2", "MaxPool3D", "AvgPool3D"} | PADDINGS
SHAPES = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}  # tell how large a tensor is, not what is in it
_PASSED = {"Identity", "Cast"}
_REARRANGED = {"Squeeze", "ExpandDims"}  # how Keras makes an image of a signal, and a signal of it again


class Ways:
    """What lies on the ways from the tensor `start` to the tensor `end`."""

    def __init__(self, start, end):
        self.start, self.end = start, end

    @functools.cached_property
    def operations(self):
        """The operations on the ways, in the order of the graph."""
        back, waiting = dict[int, tf.Operation](), [self.end.op]
        while waiting:
            operation = waiting.pop()
            if operation._id not in back:
                back[operation._id] = operation
                waiting += [tensor.op for tensor in operation.inputs if is_felt(tensor)]
        order, reached = [], {self.start.name}
        for operation in (back[number] for number in sorted(back)):
            felt = [tensor.name for tensor in operation.outputs if is_felt(tensor)]
            if felt and any(tensor.name in reached for tensor in operation.inputs):
                reached.update(felt)
                order.append(operation)
        return order

    @functools.cached_property
    def names(self):
        """The names of all tensors on the ways."""
        felt = {tensor.name for operation in self.operations for tensor in operation.outputs if is_felt(tensor)}
        return felt | {self.start.name}

    @functools.cached_property
    def narrow(self):
        """The names of the tensors through which every way leads, in order."""
        readers: dict[str, set[str]] = {}
        for operation in self.operations:
            for tensor in operation.inputs:
                if tensor.name in self.names:
                    readers.setdefault(tensor.name, set()).add(operation.name)
        open_ones, found = {self.start.name: set(readers.get(self.start.name, ()))}, []
        for operation in self.operations:
            for tensor in operation.inputs:
                if tensor.name in open_ones:
                    open_ones[tensor.name].discard(operation.name)
                    if not open_ones[tensor.name]:
                        del open_ones[tensor.name]
            made = [tensor.name for tensor in operation.outputs if tensor.name in readers]
            open_ones |= {name: set(readers[name]) for name in made}
            if len(open_ones) == 1 and len(made) == 1:
                found += made
        return found

    def leading_to(self, names):
        """The names of the tensors on the ways from which an operation, or several in a row, lead to one of these."""
        found: set[str] = set()
        for operation in reversed(self.operations):
            if any(tensor.name in names or tensor.name in found for tensor in operation.outputs if is_felt(tensor)):
                found.update(tensor.name for tensor in operation.inputs if tensor.name in self.names)
        return found

    def all_lead_through(self, names):
        """Whether every way leads through one of these tensors."""
        open_ones = {self.start.name} - names
        for operation in self.operations:
            if any(tensor.name in open_ones for tensor in operation.inputs):
                open_ones |= {tensor.name for tensor in operation.outputs if is_felt(tensor)} - names
        return self.end.name not in open_ones

    @functools.cached_property
    def _heavy(self):
        """Which operations convolve or multiply, themselves or in what runs in them: a loop, a branch, a function."""
        bodies = Bodies(self.end.graph)
        return [not HEAVY.isdisjoint({operation.type} | bodies.kinds(operation)) for operation in self.operations]

    @property
    def is_heavy(self):
        """Whether a convolution or a product lies on the ways."""
        return any(self._heavy)

    @functools.cached_property
    def first_heavy(self):
        """Where, in the order of the operations, the network begins: its first convolution or product."""
        return self._heavy.index(True) if self.is_heavy else 0

    @property
    def last_heavy(self):
        """Where the last convolution or product stands: that of the head, if the network is a classifier."""
        return len(self._heavy) - 1 - self._heavy[::-1].index(True)

    def position(self, tensor):
        """Where an operation stands in their order."""
        return self._positions.get(tensor.op.name, -1)

    @functools.cached_property
    def _positions(self):
        return {operation.name: place for place, operation in enumerate(self.operations)}


def is_felt(tensor):
    """Whether a small change of what it was made of can change a tensor a little: it is not whole numbers or a size."""
    return not (tensor.dtype.is_bool or tensor.dtype.is_integer or tensor.op.type in SHAPES)


def made_by(tensor, kinds):
    """Whether the values of a tensor come straight from an operation of one of these types."""
    operation = tensor.op
    while operation.type in _PASSED | _REARRANGED:
        operation = operation.inputs[0].op
    return operation.type in kinds


def is_flattened(tensor):
    """Whether what reads a tensor lays its positions side by side."""
    readers = [operation for operation in owned.readers(tensor) if operation.type not in _PASSED]
    return any(operation.type == "Reshape" and operation.outputs[0].shape.rank == 2 for operation in readers)
