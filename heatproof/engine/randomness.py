"""Networks that stay random at inference: what draws, whose state can be put back, and what is said of the rest.

An operation that draws from a variable (a seed generator of Keras, a generator of TensorFlow) gives equal bits while
the variable holds what it held; what a graph writes is put back after every run. An operation with a state of its own,
such as that of tf.random.normal, cannot be put back: it is named in a warning. What `training=True` written into a
functional network switches on, `model.predict` overrules: so do the maps, which explain what it answers; that is said.
"""

import contextlib
import inspect
import re
import threading

import tensorflow as tf

from heatproof import checks
from heatproof.engine.bodies import Bodies, functions
from heatproof.engine.parts import READING
from heatproof.problems import ArgumentWarning

_DRAWING = {"Multinomial", "TruncatedNormal", "ParameterizedTruncatedNormal"}
_RUNS = threading.RLock()  # of graphs that write: a second one would read what the first has written


# ------------------------------------------------------------------------------------------------- states put back


def written(graph):
    """The variables that a graph writes (seeds, counters): their handles."""
    captured = [(outer, inner) for outer, inner in graph.captures if outer.dtype == tf.resource]
    bodies = Bodies(graph)
    return [outer for outer, inner in captured if any(_writes(each, bodies) for each in inner.consumers())]


def _writes(operation, bodies):
    """Whether an operation, or what runs in it (a loop, a branch), changes variables."""
    if operation.type in READING or not operation.op_def.is_stateful:
        return False
    inner = bodies.kinds(operation)
    return not inner or any("Assign" in kind or "Rng" in kind for kind in inner)


@contextlib.contextmanager
def restored(handles):
    """Put back what the variables held before."""
    if not handles or not tf.executing_eagerly():
        yield
        return
    types = [handle._handle_data.shape_and_type[0].dtype for handle in handles]
    with _RUNS:
        pairs = zip(handles, types, strict=True)
        before = [tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype) for handle, dtype in pairs]
        before = [tf.constant(value.numpy()) for value in before]
        try:
            yield
        finally:
            for handle, value in zip(handles, before, strict=True):
                tf.raw_ops.AssignVariableOp(resource=handle, value=value)


# ------------------------------------------------------------------------------------------------- what cannot be


def untamed(run):
    """The names of the layers on whose draws the answers of a `Run` depend, and whose state cannot be put back."""
    names = {call.layer.name for call in run.calls}
    bodies = Bodies(run.logits.graph)
    drawing = [operation for operation in _behind(run.logits, run.values) if _draws(operation, bodies)]
    return tuple(dict.fromkeys(_layer_of(operation.name, names) for operation in drawing))


def _behind(*tensors):
    """The operations that tensors are computed from."""
    waiting, seen = [tensor.op for tensor in tensors], {}
    while waiting:
        operation = waiting.pop()
        if operation.name not in seen:
            seen[operation.name] = operation
            waiting.extend(tensor.op for tensor in operation.inputs)
    return sorted(seen.values(), key=lambda operation: operation._id)


def _draws(operation, bodies):
    """Whether an operation, or what runs in it, draws with a state of its own."""
    if any(tensor.dtype == tf.resource for tensor in operation.inputs) and not functions(operation.node_def):
        return False  # a variable holds its state
    kinds = {operation.type} | bodies.kinds(operation)
    return any(kind in _DRAWING or kind.startswith("Random") for kind in kinds)


def _layer_of(path, names):
    """The innermost layer in the path of an operation's name, in which TensorFlow numbers what it has met before."""
    for part in reversed(path.split("/")[:-1]):
        found = [name for name in (part, re.sub(r"_\d+$", "", part)) if name in names]
        if found:
            return found[0]
    return path.split("/")[0]


def overruled(model):
    """The names of the layers that functional networks in `model` call with training=True, where that is not usual."""
    depths = [level for layer in model._flatten_layers() for level in getattr(layer, "_nodes_by_depth", {}).values()]
    calls = [(node.operation, node.arguments.kwargs.get("training")) for level in depths for node in level]
    return tuple(dict.fromkeys(layer.name for layer, training in calls if training is True and not _trains(layer)))


def _trains(layer):
    """Whether `training` is True by default, as in the layers that augment."""
    parameter = inspect.signature(layer.call).parameters.get("training")
    return parameter is not None and parameter.default is True


def warn(seen):
    """Say what is random and cannot be put back, and what is switched off, of an `Anatomy`."""
    if seen.untamed:
        drawn = f"one in which {_quoted(seen.untamed)} draws random numbers at inference"
        given = f"{drawn} whose state cannot be put back, so that equal calls give other maps"
        seeded = "draw with keras.random and a seed, seed=keras.random.SeedGenerator(0) held by the layer"
        checks.warn(ArgumentWarning("model", given, cure=f"{seeded}, or switch the layer off"))
    if seen.overruled:
        written = f"one with training=True written into it for {_quoted(seen.overruled)}"
        overrules = "model.predict overrules that, and so does this map"
        given = f"{written}; {overrules}: what is random there, or taken from the batch, is switched off"
        inside = "call the layer with training=True in the call of a layer of your own, with a seed"
        cure = f"build it without training=True; or, to explain it as model(inputs) answers, {inside}"
        checks.warn(ArgumentWarning("model", given, cure=cure))


def _quoted(names):
    return ", ".join(map(repr, names))
