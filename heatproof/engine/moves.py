"""How the operations of a graph move positions: which ones of what it reads each position of an output reads.

`MOVES[type](operation)` gives (what is read, per axis: (how far apart, first, last)), or None where the numbers are no
constants; `ORDERS[type](operation)` gives which axis of what is read each axis of the output is. Behind what is `LOST`
nothing is known.
"""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf


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
LOST = {"Roll", "ReverseV2", "ReverseSequence", "GatherV2", "GatherNd", "Pack", "Unpack", "ScatterNd", "Shape"}


def is_open(operation):
    """Whether the size that an operation enlarges to, or reads in windows, was computed and is not known."""
    reads_parts = MOVES.get(operation.type) in (_of_windows, _of_resize)
    return reads_parts and not operation.outputs[0].shape[1:].is_fully_defined()
