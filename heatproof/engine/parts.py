"""A part of a graph as a compiled function: the operations that some tensors need, and no others.

A graph in which many questions about a model are built holds each of them once, and the model once. TensorFlow makes a
function of any of its operations, but offers that only for whole graphs, so that this room stands in for one.
"""

import functools
import types

import tensorflow as tf
from tensorflow.python.eager.polymorphic_function import atomic_function
from tensorflow.python.framework.ops import uid

from heatproof.engine.bodies import can_run

READING = {"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp"}


class Part:
    """What `outputs` need of a graph, as a function of the tensors `given`."""

    control_outputs, _output_names, name = (), None, "part"
    function_captures = types.SimpleNamespace(control=(), capture_types={})

    def __init__(self, graph, given, outputs):
        self.graph, self.outputs = graph, outputs
        needed = behind(outputs)
        captured = [(outer, inner) for outer, inner in graph.captures if inner.op._id in needed]
        self.inputs = [*given, *(inner for _, inner in captured)]
        self.captured = [outer for outer, _ in captured]
        fed = {tensor.op._id for tensor in self.inputs}
        self._operations = [needed[number] for number in sorted(needed) if number not in fed]

    def __getattr__(self, name):
        return getattr(self.graph, name)

    def get_operations(self):
        """As TensorFlow asks a graph for its operations."""
        return self._operations

    @property
    def is_pure(self):
        """Whether its answers depend on what is given and on what variables hold, and on nothing else."""
        return are_pure(self._operations) and not any(each.type == "Placeholder" for each in self._operations)

    def compiled(self, answer):
        """The function of the tensors that are given, with tensors in the structure of `answer`."""
        function = atomic_function.from_func_graph(f"__inference_part_{uid()}", self, {})
        types = [tensor.dtype for tensor in self.inputs[: len(self.inputs) - len(self.captured)]]
        return functools.partial(_call, function, types, self.captured, tf.nest.map_structure(lambda _: 0, answer))


def _call(function, types, captured, structure, *tensors):
    given = [tf.convert_to_tensor(tensor, kind) for tensor, kind in zip(tensors, types, strict=True)]
    return tf.nest.pack_sequence_as(structure, function.call_flat(*given, *captured))


def behind(outputs):
    """{number: operation} of all that tensors are computed from."""
    waiting, needed = [tensor.op for tensor in outputs], {}
    while waiting:
        operation = waiting.pop()
        if operation._id not in needed:
            needed[operation._id] = operation
            waiting += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
    return needed


def are_pure(operations):
    """Whether operations neither write nor draw nor run others, so that it does not matter in which order they run."""
    kinds = {operation.type: operation.op_def for operation in operations}
    runs = any(map(can_run, kinds.values()))
    return not runs and not any(each.is_stateful and kind not in READING for kind, each in kinds.items())
