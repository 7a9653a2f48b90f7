"""A layer of a query's network as a place for maps: what comes out there, and what the score makes of it."""

from dataclasses import replace

import numpy as np
import tensorflow as tf

from heatproof.engine.arrays import as_float
from heatproof.engine.centres import grids
from heatproof.engine.counting import BOTH
from heatproof.engine.programs import program

CLASSES = tf.TensorSpec((None,), tf.int32)


class Place:
    """The output of one layer, or its input for side="input"."""

    def __init__(self, query, layer, side="output"):
        self.query, self.layer, self.side = query, layer, side

    def centres(self):
        """Per axis of the input: where position 0 lies, and how far apart two are; None where that is not known."""
        grid = self._grid()
        return grid and grid.centres

    def told(self):
        """The `Grid` of its positions with what each of them reads; None where the operations do not tell it."""
        grid = self._grid()
        return grid if grid and grid.fields and all(field.told for field in grid.fields) else None

    def in_order(self, maps):
        """Maps (n, ...) on the layer's grid with their axes in the order of the input's."""
        grid = self._grid()
        return np.transpose(maps, (0, *grid.order)) if grid else maps

    def turned(self, maps):
        """Maps (n, ...) with their axes in the order of the input's on the layer's grid: the reverse of `in_order`."""
        grid = self._grid()
        return np.transpose(maps, np.argsort((0, *grid.order))) if grid else maps

    def listed(self, tensor):
        """A tensor of the layer in a graph as (n, positions, K)."""
        return tf.reshape(tensor, (tf.shape(tensor)[0], -1, tensor.shape[-1]))

    def _grid(self):
        seen = self.query.anatomy
        call = next(call for call in (*seen.calls, *seen.places) if call.layer == self.layer)
        return grids(self.query.recipe, self.query.inputs.shape[1:]).get(getattr(call, self.side).name)

    def maps(self, combine):
        """combine(A, dS_c/dA, targets) for each chunk of inputs, joined: one map per input on the layer's grid."""
        run = self._program()

        def chunk(*given):
            activation, gradient = map(self.laid, map(np.asarray, run(*given)))
            return combine(activation, gradient, given[-1])

        return self.query.batched(chunk, self.query.inputs, *self.query.told(), self.query.targets, passes=BOTH)

    def gradient(self, item):
        """A and dS_c/dA of one input, both (..., K)."""
        query = self.query
        given = query.inputs[[item]], *query.told([item]), query.targets[[item]]
        found = query.batched(self._program(), *given, passes=BOTH)
        return self.laid(found[0])[0], self.laid(found[1])[0]

    def _program(self):
        score, side = self.query.score, self.side

        def build(run, classes):
            tensor = getattr(run.call_of(run.layer), side)
            return as_float(tensor), run.differentiate(run.score(classes, score), tensor)

        return program(self.query.recipe, ("maps", score, side), build, CLASSES, layer=self.layer)

    def laid(self, tensor):
        """What the layer gives, by its places: as it is."""
        return tensor

    def activation(self, items=None):
        """A, the output of the layer, for all inputs or for those at `items`."""
        return self.laid(self._tensor(items))

    def _tensor(self, items):
        query = self.query
        run = program(query.recipe, "activation", lambda run: as_float(run.call_of(run.layer).output), layer=self.layer)
        return query.batched(run, query.inputs if items is None else query.inputs[items], *query.told(items))

    def activations(self):
        """Yield (item, A) for every input, those of one chunk in memory at a time."""
        items = np.arange(len(self.query.inputs))
        for start in range(0, len(items), self.query.batch_size):
            part = items[start : start + self.query.batch_size]
            yield from zip(part, self.activation(part), strict=True)

    def head_scores(self, activations, item):
        """S_c of one input with each of `activations` (n, ..., K) in place of the output of the layer.

        Only what follows the layer is computed: TensorFlow drops from the graph what the score does not need.
        """
        query, score = self.query, self.query.score
        spec = tf.TensorSpec((None, *activations.shape[1:]), activations.dtype)

        def build(run, _, classes):
            return run.score(classes, score)

        name = ("head", score, str(spec.shape))
        run = program(query.recipe, name, build, spec, CLASSES, layer=self.layer, substitute=True)

        def chunk(part):
            classes = np.full(len(part), query.targets[item], np.int32)
            return run(query.inputs[[item]], *query.told([item]), part, classes)

        return query.batched(chunk, activations, passes=())


def block_ends(query):
    """The last place of each resolution that every way to the score of a query leads through."""
    seen = replace(query.anatomy, moved=query.moved)
    calls = seen.carriers or seen.places
    last = {size: call for size, call in zip(_sizes(query, calls), calls, strict=True) if set(size) != {1}}
    return [Place(query, call.layer) for call in last.values()]


def _sizes(query, calls):
    """How many positions come out along each axis; of a model of any size as one of these inputs tells."""
    sizes = [call.shape[1:-1] for call in calls]
    if all(None not in size for size in sizes):
        return sizes
    layers = [call.layer for call in calls]

    def build(run):
        return [tf.shape(run.call_of(layer).output)[1:-1] for layer in layers]

    found = program(query.recipe, "sizes", build)(query.inputs[:1], *query.told([0]))
    return [tuple(size.numpy().tolist()) for size in found]
