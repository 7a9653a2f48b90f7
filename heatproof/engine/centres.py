"""Where a layer's positions lie in the input: the field that each of them reads, followed through the operations.

The operations of the traced graph are read, not the layers: convolutions, pooling, padding, cropping and enlarging have
their numbers in them whoever wrote the block. Where paths meet, as behind a shortcut, the field of the sum holds the
fields of both, so that its centre is that of the widest: no path is chosen. A layer whose operations do not tell
is taken to spread its positions evenly over those that it was given.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from heatproof.engine.anatomy import anatomy
from heatproof.engine.programs import kept


@dataclass(frozen=True)
class Field:
    """Along one axis: position j reads the input, along its `axis`, from first + j * apart to last + j * apart."""

    axis: int
    first: float = 0.0
    last: float = 0.0
    apart: float = 1.0

    @property
    def centre(self):
        return (self.first + self.last) / 2

    def through(self, apart, low, high):
        """The field of what reads, at its own position j, these positions from j * apart + low to j * apart + high."""
        first, last = sorted((self.first + self.apart * low, self.last + self.apart * high))
        return Field(self.axis, first, last, self.apart * apart)

    def stretched(self, side, parts):
        """The field of equal `parts` of these `side` positions."""
        middle = (side / parts - 1) / 2
        return self.through(side / parts, middle, middle)

    def joined(self, other):
        """The field of what reads both, or None where their positions do not run side by side."""
        if self.axis != other.axis or not np.isclose(self.apart, other.apart):
            return None
        return Field(self.axis, min(self.first, other.first), max(self.last, other.last), self.apart)


def centres(recipe, shape):
    """{name of a tensor: (where position 0 lies in the input, how far apart two positions are) per axis}.

    Of all tensors with the axes of the inputs and known sizes, in the graph of `anatomy(recipe)`; `shape`: that of one
    input.
    """
    sized = replace(recipe, shape=(None, *shape))
    return kept(sized, "centres", lambda: _centres(anatomy(recipe), sized.shape))


def _centres(seen, shape):
    graph = _with_sizes(seen, shape)
    inputs, found = graph.get_tensor_by_name(seen.inputs.name), {}
    for name, fields in _fields(graph, inputs, seen.calls).items():
        tensor = graph.get_tensor_by_name(name)
        if _has_axes_of(inputs, tensor):
            along = (fields[axis] or _even(inputs, tensor, axis) for axis in range(1, len(shape) - 1))
            found[name] = tuple((field.centre, field.apart) for field in along)
    return found


def _with_sizes(seen, shape):
    """The graph of the trace; where it leaves sizes open, once more with those of one of these inputs."""
    graph = seen.logits.graph
    if seen.inputs.shape[1:].is_fully_defined() and not any(map(_is_open, graph.get_operations())):
        return graph
    definition, sized = graph.as_graph_def(), tf.Graph()
    for node in definition.node:
        if node.op == "ReadVariableOp":  # its shape does not stand in the definition
            node.op, size = "Placeholder", graph.get_tensor_by_name(f"{node.name}:0").shape
            node.ClearField("input")
            node.attr["shape"].shape.CopyFrom(size.as_proto())
        elif node.name == seen.inputs.op.name:
            node.attr["shape"].shape.CopyFrom(tf.TensorShape((1, *shape[1:])).as_proto())
    with sized.as_default():
        tf.graph_util.import_graph_def(definition, name="")
    return sized


def _is_open(operation):
    """Whether the size that an operation enlarges to, or reads in windows, was computed and is not known."""
    reads_parts = MOVES.get(operation.type) in (_of_windows, _of_resize)
    return reads_parts and not operation.outputs[0].shape[1:].is_fully_defined()


def _has_axes_of(inputs, tensor):
    return tensor.shape.rank == inputs.shape.rank and tensor.shape[1:-1].is_fully_defined()


def _even(inputs, tensor, axis):
    return Field(axis).stretched(inputs.shape[axis], tensor.shape[axis])


def _fields(graph, inputs, calls):
    """{name: the field of each axis, None where it has no place in the input} of all that depends on the input."""
    made: dict = {}
    found = {inputs.name: (None, *map(Field, range(1, len(inputs.shape))))}
    for call in calls:
        if not call.inner:
            made.setdefault(call.output.name, call.input)
    for operation in graph.get_operations():  # each after those that it reads
        if any(tensor.name in found for tensor in operation.inputs):
            for tensor in operation.outputs:
                fields = _read(operation, tensor, found)
                if tensor.name in made and _has_axes_of(inputs, tensor):
                    fields = _rescued(fields, graph, tensor, made[tensor.name], inputs, found)
                found[tensor.name] = fields
    return found


def _rescued(fields, graph, tensor, given, inputs, found):
    """The fields of what a layer gives; where its operations do not tell, of even parts of what it was given.

    What has one position, or comes of one, says nothing of places.
    """
    source = graph.get_tensor_by_name(given.name) if getattr(given, "name", None) in found else inputs
    source = source if _has_axes_of(inputs, source) else inputs

    def spread(axis):
        known, side, parts = found[source.name][axis], source.shape[axis], tensor.shape[axis]
        if 1 in (side, parts):
            return None
        return known.stretched(side, parts) if known else _even(inputs, tensor, axis)

    inner = range(1, len(fields) - 1)
    return (None, *(fields[axis] or spread(axis) for axis in inner), fields[-1])


# --- what operations read -----------------------------------------------------------------------------------------


def _read(operation, tensor, found):
    """The fields of one output of an operation."""
    rank = tensor.shape.rank
    if operation.type in MOVES and (moved := MOVES[operation.type](operation)) is not None:
        source, moves = moved
        fields = found.get(source.name, [None] * len(moves))
        return tuple(field and move and field.through(*move) for field, move in zip(fields, moves, strict=True))
    if operation.type in ORDERS and rank is not None:
        fields = found.get(operation.inputs[0].name, ())
        return tuple(fields[axis] if axis in range(len(fields)) else None for axis in ORDERS[operation.type](operation))
    if operation.type in LOST or rank is None:
        return (None,) * (rank or 0)
    return _beside(tensor, [each for each in operation.inputs if each.name in found and each.shape.rank == rank], found)


def _beside(tensor, sources, found):
    """Of all other operations: an output reads its own position of whatever is as long along an axis."""
    fields = []
    for axis, side in enumerate(tensor.shape):
        beside = [found[source.name][axis] for source in sources if source.shape[axis] == side]
        beside = [field for field in beside if field]
        fields.append(functools.reduce(lambda one, other: one and one.joined(other), beside) if beside else None)
    return tuple(fields)


def _windows(operation, source, large, small):
    """(axis, stride, reach, padding before the first) along the axes of space; `large` is read in `small` windows."""
    pooled = "ksize" in operation.node_def.attr
    sizes = operation.get_attr("ksize") if pooled else operation.inputs[1].shape
    last = operation.get_attr("data_format").endswith(b"C")
    axes = range(1, source.shape.rank - 1) if last else range(2, source.shape.rank)
    found, strides, padding = [], operation.get_attr("strides"), operation.get_attr("padding")
    for number, axis in enumerate(axes):
        size, sides = sizes[axis if pooled else number], (large.shape[axis], small.shape[axis])
        if None in (size, *sides):
            continue
        reach = size if pooled else (size - 1) * operation.get_attr("dilations")[axis] + 1
        left = max((sides[1] - 1) * strides[axis] + reach - sides[0], 0) // 2 if padding == b"SAME" else 0
        left = operation.get_attr("explicit_paddings")[2 * axis] if padding == b"EXPLICIT" else left
        found.append((axis, strides[axis], reach, left))
    return found


def _of_windows(operation):
    """Convolution and pooling."""
    source, moves = operation.inputs[0], [None] * operation.inputs[0].shape.rank
    for axis, stride, reach, left in _windows(operation, source, source, operation.outputs[0]):
        moves[axis] = stride, -left, reach - 1 - left
    return source, moves


def _of_transposed_windows(operation):
    """What reads the windows that it lies in: from (j + left - reach + 1) / stride to (j + left) / stride."""
    source, moves = operation.inputs[2], [None] * operation.inputs[2].shape.rank
    for axis, stride, reach, left in _windows(operation, source, operation.outputs[0], source):
        moves[axis] = 1 / stride, (left - reach + 1) / stride, left / stride
    return source, moves


def _of_padding(operation):
    pads = tf.get_static_value(operation.inputs[1])
    return None if pads is None else (operation.inputs[0], [(1, -left, -left) for left, _ in pads.tolist()])


def _of_slice(operation):
    begins = tf.get_static_value(operation.inputs[1])
    return None if begins is None else (operation.inputs[0], [(1, begin, begin) for begin in begins.tolist()])


def _of_strided_slice(operation):
    masks = (operation.get_attr(f"{name}_mask") for name in ("ellipsis", "new_axis", "shrink_axis"))
    begins, strides = (tf.get_static_value(operation.inputs[number]) for number in (1, 3))
    if any(masks) or begins is None or strides is None:
        return None
    source, moves = operation.inputs[0], []
    for axis, side in enumerate(source.shape):
        begin, stride = (int(begins[axis]), int(strides[axis])) if axis < len(begins) else (0, 1)
        if operation.get_attr("begin_mask") >> axis & 1:
            begin = 0 if stride > 0 else -1
        begin += side if begin < 0 and side is not None else 0
        moves.append((stride, begin, begin))
    return source, moves


def _of_resize(operation):
    sides = zip(operation.inputs[0].shape[1:3], operation.outputs[0].shape[1:3], strict=True)
    ratios = (side / parts if side and parts else None for side, parts in sides)
    return operation.inputs[0], [None, *(each and (each, (each - 1) / 2, (each - 1) / 2) for each in ratios), None]


def _of_blocks(operation, back=False):
    """Dilation written as smaller images: position j of the first of them lies at j * block - left."""
    blocks, ends = (tf.get_static_value(each) for each in operation.inputs[1:3])
    if blocks is None or ends is None:
        return None
    sizes = zip(blocks.tolist(), ends.tolist(), strict=True)
    moves = [(1 / size, left / size, left / size) if back else (size, -left, -left) for size, (left, _) in sizes]
    return operation.inputs[0], [None, *moves, *[None] * (operation.inputs[0].shape.rank - 1 - len(moves))]


# --- where operations put the axes --------------------------------------------------------------------------------


def _of_transposition(operation):
    order = tf.get_static_value(operation.inputs[1])
    return [-1] * operation.outputs[0].shape.rank if order is None else order.tolist()


def _of_reshaping(operation):
    """An axis stays itself where it is as long as before and as many values lie between two of its positions."""
    before = list(_with_values_behind(operation.inputs[0].shape))
    return [before.index(key) if key in before else -1 for key in _with_values_behind(operation.outputs[0].shape)]


def _with_values_behind(shape):
    sides = list(shape)
    return (
        (side, None if None in sides[axis + 1 :] else int(np.prod(sides[axis + 1 :])))
        for axis, side in enumerate(sides)
    )


def _of_reduction(operation):
    """Axes that are summed over have no positions left."""
    rank, axes = operation.inputs[0].shape.rank, tf.get_static_value(operation.inputs[1])
    gone = set(range(rank)) if axes is None else {int(axis) % rank for axis in np.ravel(axes)}
    if operation.get_attr("keep_dims"):
        return [-1 if axis in gone else axis for axis in range(rank)]
    return [axis for axis in range(rank) if axis not in gone]


MOVES: dict[str, Callable] = {
    **dict.fromkeys(("Conv2D", "Conv3D", "DepthwiseConv2dNative"), _of_windows),
    **dict.fromkeys(("MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D"), _of_windows),
    **dict.fromkeys(("Conv2DBackpropInput", "Conv3DBackpropInputV2"), _of_transposed_windows),
    **dict.fromkeys(("Pad", "PadV2", "MirrorPad"), _of_padding),
    **dict.fromkeys(("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea"), _of_resize),
    "Slice": _of_slice,
    "StridedSlice": _of_strided_slice,
    "SpaceToBatchND": _of_blocks,
    "BatchToSpaceND": functools.partial(_of_blocks, back=True),
}
ORDERS = {
    **dict.fromkeys(("Mean", "Sum", "Max", "Min", "Prod", "All", "Any"), _of_reduction),
    **dict.fromkeys(("Reshape", "ExpandDims", "Squeeze"), _of_reshaping),
    "Transpose": _of_transposition,
}
LOST = {"ReverseV2", "ReverseSequence", "GatherV2", "GatherNd", "Pack", "Unpack", "ScatterNd", "Shape"}
