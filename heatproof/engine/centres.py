"""Where a layer's positions lie in the input: the field that each of them reads, followed through the operations.

The operations of the traced graph are read, not the layers: convolutions, pooling, padding, cropping and enlarging have
their numbers in them whoever wrote the block. Where paths meet, as behind a shortcut, the field of the sum holds the
fields of both, so that its centre is that of the widest: no path is chosen. A layer whose operations do not tell
is taken to spread its positions evenly over those that it was given.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from heatproof.engine.anatomy import anatomy
from heatproof.engine.moves import LOST, MOVES, ORDERS, is_open
from heatproof.engine.owned import operations
from heatproof.engine.programs import kept


@dataclass(frozen=True)
class Field:
    """Along one axis: position j reads the input, along its `axis`, from first + j * apart to last + j * apart."""

    axis: int
    first: float = 0.0
    last: float = 0.0
    apart: float = 1.0
    told: bool = True  # by the operations; else taken to be one of even parts
    gated: bool = False  # multiplied by, say, what was made of all positions, which is not counted

    @property
    def centre(self):
        return (self.first + self.last) / 2

    def through(self, apart, low, high):
        """The field of what reads, at its own position j, these positions from j * apart + low to j * apart + high."""
        first, last = sorted((self.first + self.apart * low, self.last + self.apart * high))
        return replace(self, first=first, last=last, apart=self.apart * apart)

    def stretched(self, side, parts):
        """The field of equal `parts` of these `side` positions."""
        middle = (side / parts - 1) / 2
        return replace(self.through(side / parts, middle, middle), told=False)

    def joined(self, other):
        """The field of what reads both, or None where their positions do not run side by side."""
        if self.axis != other.axis or not np.isclose(self.apart, other.apart):
            return None
        first, last = min(self.first, other.first), max(self.last, other.last)
        return Field(self.axis, first, last, self.apart, self.told and other.told, self.gated or other.gated)


@dataclass(frozen=True)
class Grid:
    """For each axis of space of the input: which axis of a tensor stands for it, and where its positions lie there.

    `centres`: (where position 0 lies, how far apart two positions are). Without a field an axis stands for its own.
    """

    order: tuple
    centres: tuple
    told: bool = True  # by the operations; else some axis is taken to hold even parts
    fields: tuple[Field, ...] = ()  # what the centres are the middles of
    sides: tuple = ()  # how many positions the tensor has along its own axes


def moved(recipe, shape):
    """The names of the tensors whose positions lie along their last axis, where channels stand in the input."""
    return frozenset(name for name, grid in grids(recipe, shape).items() if len(shape) in grid.order)


def grids(recipe, shape):
    """{name of a tensor: its `Grid`} of all with the rank of the inputs and known sizes in `anatomy(recipe)`.

    `shape`: that of one input.
    """
    sized = replace(recipe, shape=(None, *shape))
    return kept(sized, "centres", lambda: _centres(anatomy(recipe), sized.shape))


def _centres(seen, shape):
    graph = sized(seen, shape)
    inputs, found = graph.get_tensor_by_name(seen.inputs.name), {}
    for name, fields in _fields(graph, inputs, seen.calls).items():
        tensor = graph.get_tensor_by_name(name)
        if _has_axes_of(inputs, tensor):
            found[name] = _grid(inputs, tensor, fields)
    return found


def _grid(inputs, tensor, fields):
    """The `Grid` of a tensor with these fields; an axis without one holds even parts of the input's."""
    order, along, told = _order(fields), [], True
    for axis, stands in enumerate(order, start=1):
        field = fields[stands]
        known = field is not None and field.axis == axis
        along.append(field if known else _even(inputs, tensor, axis, stands))
        told = told and known
    middles = tuple((field.centre, field.apart) for field in along)
    return Grid(order, middles, told, tuple(along), tuple(tensor.shape[1:-1]))


def _order(fields):
    """For each axis of the input's space the one that stands for it.

    The axis whose field tells so, at its own place where there are two; else the one at its own place; else one that
    is left.
    """
    space, told = range(1, len(fields) - 1), {}
    for axis, field in enumerate(fields):
        if field and (field.axis not in told or field.axis == axis):
            told[field.axis] = axis
    free = [axis for axis in space if axis not in told.values()]
    told |= {axis: axis for axis in free if axis not in told}
    left = iter(axis for axis in free if axis not in told.values())
    return tuple(told[axis] if axis in told else next(left) for axis in space)


def sized(seen, shape):
    """The graph of the trace; where it leaves sizes open, once more with those of one of these inputs."""
    graph = seen.logits.graph
    if seen.inputs.shape[1:].is_fully_defined() and not any(map(is_open, operations(graph))):
        return graph
    definition, known = graph.as_graph_def(), tf.Graph()
    del definition.node[seen.own :]
    for node in definition.node:
        if node.op == "ReadVariableOp":  # its shape does not stand in the definition
            node.op, size = "Placeholder", graph.get_tensor_by_name(f"{node.name}:0").shape
            node.ClearField("input")
            node.attr["shape"].shape.CopyFrom(size.as_proto())
        elif node.name == seen.inputs.op.name:
            node.attr["shape"].shape.CopyFrom(tf.TensorShape((1, *shape[1:])).as_proto())
    with known.as_default():
        tf.graph_util.import_graph_def(definition, name="")
    return known


def _has_axes_of(inputs, tensor):
    known = tensor.shape.rank == inputs.shape.rank and tensor.shape[1:-1].is_fully_defined()
    return known and 0 not in tensor.shape[1:-1]


def _even(inputs, tensor, axis, stands):
    return Field(axis).stretched(inputs.shape[axis], tensor.shape[stands])


def _fields(graph, inputs, calls):
    """{name: the field of each axis, None where it has no place in the input} of all that depends on the input."""
    made: dict = {}
    found = {inputs.name: (None, *map(Field, range(1, len(inputs.shape))))}
    for call in calls:
        if not call.inner:
            made.setdefault(call.output.name, call.input)
    for operation in operations(graph):  # each after those that it reads
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
    taken = {field.axis for field in fields if field}

    def spread(axis):
        known, side, parts = found[source.name][axis], source.shape[axis], tensor.shape[axis]
        if 1 in (side, parts) or (known.axis if known else axis) in taken:
            return None
        return known.stretched(side, parts) if known else _even(inputs, tensor, axis, axis)

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
        field = functools.reduce(lambda one, other: one and one.joined(other), beside) if beside else None
        gated = 0 < axis < tensor.shape.rank - 1 and any(source.shape[axis] == 1 != side for source in sources)
        fields.append(replace(field, gated=field.gated or gated) if field else None)
    return tuple(fields)
