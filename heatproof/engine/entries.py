"""Inputs of integers: where they become numbers that have a derivative.

Bytes are cast to floats, tokens are looked up in an embedding. What comes out there is explained in their place.
"""

import weakref
from typing import Any

import tensorflow as tf

from heatproof.engine import chunks

_LOOKED_UP = {"GatherV2", "ResourceGather"}
MEASURES = {"Shape", "ShapeN", "Size", "Rank"}


def entry(tensor):
    """The one float tensor that a graph makes of a tensor of integers; None where there is none, or several.

    On the way integers may be made of them, as Keras does for those that count from the end.
    """
    waiting, seen, found = [tensor], {tensor.name}, []
    while waiting:
        read = waiting.pop()
        for operation in (each for each in read.consumers() if each.type not in MEASURES):
            for made in (each for each in operation.outputs if each.name not in seen):
                seen.add(made.name)
                if made.dtype.is_integer:
                    waiting.append(made)
                elif made.dtype.is_floating and operation.type in {"Cast", *_LOOKED_UP}:
                    found.append(made)
    return found[0] if len(found) == 1 else None


class Entries:
    """Of a model: the shape of the entry of each of its inputs, None for floats and where there is none."""

    def __init__(self, model, specs, arrange):
        base, found = weakref.ref(model), list[Any]()

        def function(*given):
            given = [tf.identity(each) for each in given]  # an Identity of each, whatever Keras does with it
            answer: Any = base()
            answer(arrange(given), training=False)
            found[:] = [None if each.dtype.is_floating else entry(each) for each in given]
            return [each for each in found if each is not None]

        self._compiled = tf.function(function, autograph=False).get_concrete_function(*specs)
        self.shapes = tuple(None if each is None else (None, *each.shape[1:]) for each in found)

    def values(self, arrays, size):
        """{number of an input: what its entry holds, float32} for arrays of all inputs."""
        numbers = [number for number, shape in enumerate(self.shapes) if shape is not None]
        found = chunks.batched(lambda *given: self._compiled(*map(tf.constant, given)), *arrays, size=size, passes=())
        found = found if isinstance(found, list) else [found]
        return dict(zip(numbers, found, strict=True))
