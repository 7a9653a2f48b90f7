"""Tokens: the positions of patches laid in a row, with tokens before or behind them that stand for no place.

A vision transformer cuts a picture into patches with a convolution and lays them in a row, (N, rows * columns, K). A
class token may be set before them. The graph tells where: a reshaping lays positions in a row, a concatenation moves
them, a slice takes some off. What the graph does not tell, `grid` says.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from heatproof import checks
from heatproof.engine import centres
from heatproof.engine.anatomy import anatomy, find_layer
from heatproof.engine.arrays import as_float
from heatproof.engine.entries import MEASURES
from heatproof.engine.moves import LOST, MOVES
from heatproof.engine.owned import operations
from heatproof.engine.places import Place
from heatproof.engine.programs import kept, program
from heatproof.problems import ArgumentValueError

Grid = int | Sequence[int] | None  # of patches: rows and columns, or as many numbers as the inputs have axes of space

_MIXING = LOST | {"Transpose", "Einsum", "Reshape", "ExpandDims", "Squeeze"}  # these may put tokens elsewhere
_TURNING = {"Roll", "ReverseV2", "ReverseSequence"}
_PRODUCTS = {"BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"}


@dataclass(frozen=True)
class Row:
    """Which of the tokens are patches: from `first` on, the positions of a grid of these `sides`."""

    sides: tuple
    first: int
    centres: tuple | None = None

    @property
    def length(self):
        return int(np.prod(self.sides))


class Tokens(Place):
    """A layer of tokens as a place: its patches, on their grid. What stands for no place is left as it is."""

    def __init__(self, query, layer, row):
        super().__init__(query, layer)
        self.row = row

    def _grid(self):
        return centres.Grid(tuple(range(1, len(self.row.sides) + 1)), self.row.centres) if self.row.centres else None

    def laid(self, tensor):
        return self.listed(tensor).reshape(len(tensor), *self.row.sides, tensor.shape[-1])

    def listed(self, tensor):
        return tensor[:, self.row.first : self.row.first + self.row.length]

    def head_scores(self, activations, item):
        whole = np.repeat(self._tensor([item]), len(activations), axis=0)
        patches = activations.reshape(len(whole), self.row.length, whole.shape[-1])
        whole[:, self.row.first : self.row.first + self.row.length] = patches
        return super().head_scores(whole, item)


def place_of(query, layer=None, grid=None):
    """The layer of that name or the default one as a place: one of tokens on the `grid` of their patches."""
    space = query.inputs.shape[1:-1]
    sides = None if grid is None else tuple(checks.per_axis("grid", grid, (), space))
    if sides and layer is None:
        cure = "layer= the name of the layer of tokens, or leave `grid` out"
        raise ArgumentValueError("grid", f"{sides} without a layer", cure=cure)
    known = rows(query.recipe, query.inputs.shape[1:])
    are_tokens = functools.partial(_are_tokens, known, sides)
    call = find_layer(query.recipe, layer, spatial=True, moved=query.moved, taken=are_tokens)
    if not are_tokens(call):
        if sides:
            given = f"{sides} for {call.layer.name!r}, whose positions {call.shape[1:-1]} lie on a grid as they are"
            raise ArgumentValueError("grid", given, cure="leave `grid` out")
        return Place(query, call.layer)
    row = known.get(call.output.name)
    return Tokens(query, call.layer, _as_told(call.layer.name, call.shape[1], sides, row))


def _are_tokens(known, sides, call):
    """Whether a call gives tokens whose grid is known, or, where it is told, may be such."""
    in_a_row = len(call.shape) == 3 and call.output.dtype.is_floating and not call.inner
    return in_a_row and (sides is not None or call.output.name in known)


def _as_told(name, count, sides, row):
    """The `Row` that `grid` tells, of so many tokens: what they are more than patches stands before them."""
    if sides is None or row is not None and row.sides == sides:
        return row
    if row is not None:
        given = f"{sides}, but the patches of {name!r} lie on {row.sides}"
        raise ArgumentValueError("grid", given, cure="leave `grid` out")
    patches = int(np.prod(sides))
    if count is None or count < patches:
        given = f"{sides}, {patches} patches, for {name!r}, which has {count} tokens"
        raise ArgumentValueError("grid", given, "the rows and columns of the patches")
    return Row(sides, count - patches)


def rows(recipe, shape):
    """{name of a tensor: its `Row`} of all tokens whose grid the graph tells; `shape`: that of one input."""
    key = replace(recipe, shape=(None, *shape))
    return kept(key, "tokens", lambda: _rows(anatomy(recipe), centres.grids(recipe, shape), key.shape))


def _rows(seen, known, shape):
    graph, found = centres.sized(seen, shape), dict[str, Row]()
    told = _told(graph, seen.inputs.name)
    known = {name: grid for name, grid in known.items() if name in told}
    turned = {number for number, each in enumerate(operations(seen.inputs.graph)) if each.type in _TURNING}
    made = {call.output.name: call.input for call in seen.calls if not call.inner and turned.isdisjoint(call.made)}
    for operation in operations(graph):  # each after those that it reads
        for tensor in operation.outputs:
            if tensor.shape.rank == 3:
                row = _row(operation, tensor, found, known) or _of_layer(tensor, made, found)
                if row is not None:
                    found[tensor.name] = row
    return found


def _told(graph, name):
    """The names of all that the values of a tensor have a part in, and not its shape alone."""
    told = {name}
    for operation in operations(graph):
        if operation.type not in MEASURES and any(each.name in told for each in operation.inputs):
            told.update(each.name for each in operation.outputs)
    return told


def _row(operation, tensor, found, known):
    """Where the patches stand in what one operation gives; None where that is not known."""
    if operation.type == "Reshape":
        return _laid(operation.inputs[0], tensor, known)
    if operation.type == "ConcatV2":
        return _joined(operation, found, known)
    read = [each for each in operation.inputs if each.name in found]
    if not read or operation.type in _MIXING:
        return None
    row = found[read[0].name]
    if any(found[each.name] != row for each in read):  # which of them stands where is not known
        return None
    if operation.type in MOVES:
        return _cut(operation, tensor, row)
    if operation.type in _PRODUCTS and (read[0] is not operation.inputs[0] or operation.get_attr("adj_x")):
        return None
    return row if tensor.shape[1] == read[0].shape[1] else None


def _laid(source, tensor, known):
    """Positions in a row, the last axis of space first; in their own order and channels apart."""
    grid, sides = known.get(source.name), tuple(source.shape[1:-1])
    if grid is None or not grid.told or source.shape.rank < 4 or grid.order != tuple(range(1, len(sides) + 1)):
        return None
    kept_apart = tensor.shape[1] == np.prod(sides) and tensor.shape[2] == source.shape[-1]
    return Row(sides, 0, grid.centres) if kept_apart else None


def _joined(operation, found, known):
    """One row of patches with tokens before and behind that say nothing of the input."""
    *parts, axis = operation.inputs
    if tf.get_static_value(axis) not in (1, -2):
        return None
    patches = [number for number, part in enumerate(parts) if part.name in found or part.name in known]
    lengths = [part.shape[1] for part in parts]
    if len(patches) != 1 or None in lengths:
        return None
    part, before = parts[patches[0]], sum(lengths[: patches[0]])
    row = found.get(part.name) or Row((lengths[patches[0]],), 0, known[part.name].centres)
    return replace(row, first=row.first + before)


def _cut(operation, tensor, row):
    """What a slice along the tokens leaves; None where it takes some patches off or leaves some out."""
    moves = MOVES[operation.type](operation)
    if moves is None or moves[1][1] is None or moves[1][1][0] != 1:
        return None
    first = row.first - moves[1][1][1]
    return replace(row, first=first) if first >= 0 and first + row.length <= tensor.shape[1] else None


def _of_layer(tensor, made, found):
    """The same tokens where a layer gives as many as it was given; as many channels as tokens could be either."""
    given = made.get(tensor.name)
    row = found.get(getattr(given, "name", None))
    return row if row and tensor.shape[1] == given.shape[1] != tensor.shape[2] else None


# --- attention ----------------------------------------------------------------------------------------------------


def attention(query):
    """The compiled function that gives the attention of each layer, (N, tokens, tokens) or (N, heads, ...)."""
    return program(query.recipe, "attention", lambda run: [as_float(each) for each in _attention(query.anatomy, run)])


def _attention(seen, run):
    """Every softmax over the tokens for each of them that lies on the way to the score."""
    on_the_way = {operation.name for operation in seen.ways.operations}
    made = [each for each in operations(run.inputs.graph) if each.type == "Softmax" and each.name in on_the_way]
    weights = [each.outputs[0] for each in made]
    return [each for each in weights if each.shape.rank in (3, 4) and each.shape[-1] == each.shape[-2] not in (None, 1)]


def attended(query, grid=None):
    """The tokens that attend to each other, as a place, and how many there are."""
    space = query.inputs.shape[1:-1]
    sides = None if grid is None else tuple(checks.per_axis("grid", grid, (), space))
    shapes = [tuple(each.shape) for each in _attention(query.anatomy, query.anatomy)]
    if len({shape[-1] for shape in shapes}) != 1:
        raise no_attention(f"one with attention {shapes}" if shapes else "one without attention")
    count = shapes[0][-1]
    graph, known = query.anatomy.logits.graph, rows(query.recipe, query.inputs.shape[1:])
    found = {row for name, row in known.items() if graph.get_tensor_by_name(name).shape[1] == count}
    row = found.pop() if len(found) == 1 else None
    if row is None and sides is None:
        given = f"None, but where the {count} tokens lie in the input the network does not tell"
        raise ArgumentValueError("grid", given, cure=f"grid= the {len(space)} sides of the grid of patches")
    return Tokens(query, None, _as_told("attention", count, sides, row)), count


def no_attention(given):
    """The refusal of a model whose attention cannot be followed from layer to layer."""
    return ArgumentValueError("model", given, "one whose attention is between the same tokens in all layers", "rise")
