"""How a model is seen through: the graphs traced in it.

A question about a model is traced once into a TensorFlow graph, with every layer's `call` watched while the trace
lasts. In that graph the softmax is an operation with an input, so the logits are simply that input; an inner layer's
activation is the tensor that its `call` returned; a ReLU's backward rule is looked up by name and can be another one.
The user's model is read, never edited, whether it is functional, Sequential, nested or subclassed. Graphs are kept
for as long as the model lives and are shared by all later calls. This room alone differentiates.
"""

import contextlib
import functools
import hashlib
import threading
import weakref
from dataclasses import dataclass, field, replace

import keras
import numpy as np
import tensorflow as tf

RELUS = {"Relu", "Relu6"}
_SQUASHINGS = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
_REARRANGEMENTS = {"Identity", "Cast", "Reshape", "Squeeze"}
_SEALED = {"PartitionedCall", "StatefulPartitionedCall"}
# What `compile`, `fit`, `predict` and `evaluate` leave in a model; nothing of it changes what the model computes.
_BOOKKEEPING = {"compiled", "loss", "train_function", "test_function", "predict_function"}
_BOOKKEEPING |= {"stop_training", "stop_predicting", "stop_evaluating"}
_OF_LAYERS = frozenset(vars(keras.layers.Layer()))  # what Keras itself keeps in every layer
_PLAIN = {bool, int, float, str}
_PROGRAMS = weakref.WeakKeyDictionary()
_TRACING = threading.RLock()


@tf.RegisterGradient("XaiGuided")
def _guided_rule(operation, gradient):
    """Springenberg et al. 2015: pass where the unit is active (a ReLU6 below 6 too) and the signal is positive."""
    passed, outputs = tf.nn.relu(gradient), operation.outputs[0]
    active = (outputs > 0) & (outputs < 6) if operation.type == "Relu6" else outputs > 0
    return tf.where(active, passed, tf.zeros_like(passed))


@tf.RegisterGradient("XaiDeconvnet")
def _deconvnet_rule(operation, gradient):
    """Zeiler and Fergus 2014: pass where the gradient is positive, whatever the input was."""
    return tf.nn.relu(gradient)


@dataclass(frozen=True)
class Recipe:
    """How a model is looked at: which inner unit ends it (or its logits), and which rule its ReLUs go back by."""

    base: keras.Model
    shape: tuple  # of one batch of inputs, None where any size will do
    unit: tuple | None = None  # (layer, channel); (layer, None): all channels, before ReLU; (layer, "energy")
    relu_rule: str | None = None  # "XaiGuided" or "XaiDeconvnet"
    settings: tuple | None = field(default=None, compare=False)  # of the layers, where they were noted

    def noted(self):
        """The same, with the settings of its layers as they are now: for one question, they are not read again."""
        return replace(self, settings=_settings(self.base))


def input_dtype(model):
    """Return "float64" for a float64 model, otherwise "float32"."""
    tensors = getattr(model, "inputs", None)
    return "float64" if tensors and tensors[0].dtype == "float64" else "float32"


@dataclass(frozen=True)
class Call:
    """One layer's call in a trace: what went in, what came out (symbolic), and the shape that came out."""

    layer: keras.layers.Layer
    input: tf.Tensor
    output: tf.Tensor
    inner: bool = False  # inside a layer of Keras itself, such as attention, which arranges its axes as it likes

    @property
    def shape(self):
        return tuple(self.output.shape)

    @property
    def spatial(self):
        """Whether the output still has positions: more than one, or an unknown number."""
        return len(self.shape) >= 3 and any(n != 1 for n in self.shape[1:-1])


@contextlib.contextmanager
def _watched(model, calls, layer=None, substitute=None):
    """Record every layer's call below `model`; return `substitute` in place of the output of `layer`.

    Calls from other threads, which may be using the model, are left alone.
    """
    tracer, open_layers = threading.get_ident(), []

    def watch(watched):
        original = watched.call
        closed = type(watched).__module__.startswith("keras.") and not isinstance(watched, keras.Model)

        def call(*arguments, **options):
            if threading.get_ident() != tracer:
                return original(*arguments, **options)
            replaced = substitute is not None and watched is layer
            inner = any(open_layers)
            open_layers.append(closed)
            try:
                output = tf.cast(substitute, watched.compute_dtype) if replaced else original(*arguments, **options)
            finally:
                open_layers.pop()
            if tf.is_tensor(output):
                given = (*arguments, *options.values())
                calls.append(Call(watched, given[0] if given else None, output, inner))
            return output

        return call

    layers = list({id(each): each for each in model._flatten_layers()}.values())
    before = {id(each): each.__dict__.get("call") for each in layers}
    losses = {id(each): list(each._losses) for each in layers}
    try:
        for each in layers:
            object.__setattr__(each, "call", watch(each))
        yield
    finally:
        for each in layers:
            each.__dict__.pop("call", None)
            each._losses[:] = losses[id(each)]  # what the trace adds is no number
            if before[id(each)] is not None:
                object.__setattr__(each, "call", before[id(each)])


@contextlib.contextmanager
def _open_functions():
    """A tf.function inside the model is traced into the same graph: sealed, it would hide its softmax and ReLUs.

    The switch holds for the whole process, so that another thread's functions run eagerly for the moment of a trace.
    """
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


class Run:
    """One symbolic pass through the model in the graph under construction."""

    def __init__(self, recipe, inputs, layer=None, substitute=None):
        self.inputs, self.layer, self.calls = inputs, layer, []
        graph = tf.compat.v1.get_default_graph()
        rules = dict.fromkeys(RELUS, recipe.relu_rule) if recipe.relu_rule else {}
        with _watched(recipe.base, self.calls, layer, substitute), graph.gradient_override_map(rules):
            with _open_functions():
                outputs = recipe.base(inputs, training=False)
        self.kind, self.logits = self._ending(recipe, outputs)

    def _ending(self, recipe, outputs):
        if recipe.unit:
            layer, channel = recipe.unit
            if channel == "energy":
                A = as_float(self.call_of(layer).output)
                return "unit", tf.reduce_mean(A**2, axis=tuple(range(1, len(A.shape))))[:, None]
            if channel is not None:
                return "unit", space_mean(as_float(self.call_of(layer).output)[..., channel : channel + 1])
            return "unit", space_mean(self._before_relu(layer))
        if not tf.is_tensor(outputs) or outputs.shape.rank != 2:
            raise ValueError(
                f"model: its output is {getattr(outputs, 'shape', type(outputs).__name__)}; a classifier ends in one "
                f"output of shape (N, classes). Cure: keras.Model(model.inputs, model.outputs[k]), or pool over space."
            )
        tensor = outputs
        while tensor.op.type in _REARRANGEMENTS:
            tensor = tensor.op.inputs[0]
        if tensor.op.type in _SEALED:
            raise ValueError(
                "model: it ends in a function loaded from a SavedModel, which hides its softmax. "
                "Cure: load the Keras model itself (.keras)."
            )
        kind = _SQUASHINGS.get(tensor.op.type, "linear")
        if kind == "softmax" and tensor.shape[-1] != outputs.shape[-1]:
            raise ValueError(
                f"model: it ends in a softmax over {tensor.shape[-1]} of its {outputs.shape[-1]} outputs, so it is "
                f"several classifiers in one. Cure: one of them, keras.Model(model.inputs, the scores of one group)."
            )
        scores = outputs if kind == "linear" else tf.reshape(tensor.op.inputs[0], tf.shape(outputs))
        scores = tf.ensure_shape(scores, outputs.shape)
        scores = as_float(scores)
        if outputs.shape[-1] == 1:
            return "sigmoid" if kind == "sigmoid" else "one unit", tf.concat([-scores, scores], axis=-1)
        return kind, scores

    def _before_relu(self, layer):
        """The layer's output before its ReLU, where it ends in one: a unit that is off still has a gradient there."""
        output = self.call_of(layer).output
        return as_float(output.op.inputs[0] if output.op.type in RELUS else output)

    @property
    def probabilities(self):
        return tf.sigmoid(self.logits) if self.kind in ("sigmoid", "one unit") else tf.nn.softmax(self.logits)

    def score(self, targets, score):
        """S_c for each example: the logit or the probability of its target class."""
        scores = self.logits if score == "logit" else self.probabilities
        rows = tf.range(tf.shape(targets)[0])  # with tf.gather the gradient takes longer to trace
        return tf.gather_nd(scores, tf.stack([rows, targets], axis=1))

    def call_of(self, layer):
        """The layer's only call in this pass."""
        found = [call for call in self.calls if call.layer is layer]
        if len(found) != 1:
            raise ValueError(f"layer {layer.name!r}: the model calls it {len(found)} times; name one called once.")
        return found[0]

    def differentiate(self, score, tensor):
        """d(score)/d(tensor), summed over nothing: each example's score depends on that example alone."""
        (gradient,) = tf.gradients(score, tensor)
        if gradient is None:
            cure = "name a layer on the way to the score" if self.layer else "the model must be differentiable"
            raise ValueError(f"{'layer' if self.layer else 'model'}: the score does not depend on it; {cure}.")
        return as_float(gradient)


def program(recipe, name, build, *specs, layer=None, substitute=False):
    """Return the compiled function of `build(run, *tensors)`: traced once per model, `name` and `layer`.

    The function takes the inputs, then one tensor for each of `specs`; with `substitute` the first of these
    stands in for the output of `layer`, and one input will do for all of its rows.
    """
    make = functools.partial(compiled_once, recipe, build, specs, layer, substitute)
    return kept(recipe, (name, layer and id(layer)), make)


def kept(recipe, name, make):
    """What `make()` gave for this model and name; a model whose layers or activations were changed starts anew."""
    ending = recipe.unit and (id(recipe.unit[0]), recipe.unit[1])
    with _TRACING:
        key = (name, recipe.shape, ending, recipe.relu_rule, recipe.settings or _settings(recipe.base))
        known = _PROGRAMS.setdefault(recipe.base, {})
        if key not in known:
            known[key] = make()
        return known[key]


def _settings(model):
    """The layers and their plain attributes (activation, strides, slope, ...), as a key that keeps nothing alive."""
    found = []
    with _TRACING:  # a trace in another thread watches the layers, which must not be taken for a change
        for layer in model._flatten_layers():
            found.append(id(layer))
            passed = _BOOKKEEPING if isinstance(layer, keras.Model) else _OF_LAYERS
            private = not isinstance(layer, keras.Model) and not type(layer).__module__.startswith("keras.")
            for name, value in vars(layer).items():
                if name not in passed and (private or name[0] != "_"):
                    key = value if type(value) in _PLAIN else _content(value)
                    if key is not None:
                        found.append((name, key))
    return tuple(found)


def _content(value):
    """A key for a plain value, an array or a container of these; a reference to a function; None for anything else."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(map(_content, value))
    if isinstance(value, dict):
        return tuple((str(name), _content(part)) for name, part in value.items())
    if isinstance(value, (np.ndarray, np.generic)) or isinstance(value, tf.Tensor) and hasattr(value, "numpy"):
        array = np.asarray(value)  # what is not a weight stands in the graph as a constant
        return array.shape, str(array.dtype), hashlib.sha256(array.tobytes()).digest()
    if not callable(value):
        return None
    try:  # a dead reference equals no other, unlike an id, which a new function may be given again
        return weakref.ref(value)
    except TypeError:
        return id(value)


def compiled_once(recipe, build, specs, layer, substitute):
    # The graph must not keep the model alive, or _PROGRAMS would never let go: it sees only weak references.
    base, seen = weakref.ref(recipe.base), layer and weakref.ref(layer)
    unit_layer = recipe.unit and weakref.ref(recipe.unit[0])
    channel, relu_rule, shape = recipe.unit and recipe.unit[1], recipe.relu_rule, recipe.shape

    def function(inputs, *tensors):
        again = Recipe(base(), shape, unit_layer and (unit_layer(), channel), relu_rule)
        if substitute:
            rows = tf.concat([tf.shape(tensors[0])[:1], tf.shape(inputs)[1:]], axis=0)
            inputs = tf.ensure_shape(tf.broadcast_to(inputs, rows), inputs.shape)
        run = Run(again, inputs, seen and seen(), tensors[0] if substitute else None)
        return build(run, *tensors)

    inputs = tf.TensorSpec(recipe.shape, input_dtype(recipe.base))
    compiled = tf.function(function, autograph=False).get_concrete_function(inputs, *specs)
    return lambda inputs, *tensors: compiled(shared(inputs), *tensors)


def aligned(shape, dtype):
    """An empty array that begins where TensorFlow wants its tensors to begin: at a multiple of 64 bytes."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.empty(size + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + size].view(dtype).reshape(shape)


def shared(array):
    """The tensor that reads an `aligned` array, or a part of its rows, where it lies; other floats in such a copy.

    TensorFlow's own copy takes twice as long.
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not array.size:
        return array
    if array.ctypes.data % 64 or not array.flags.carray:
        given, array = array, aligned(array.shape, array.dtype)
        array[...] = given
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def as_float(tensor):
    """float64 stays; float16 of mixed precision and the rest become float32."""
    return tensor if tensor.dtype == tf.float64 else tf.cast(tensor, tf.float32)


def space_mean(array):
    """Mean over the spatial axes of (N, ..., K): shape (N, K)."""
    axes = tuple(range(1, len(array.shape) - 1))
    return array.mean(axis=axes) if isinstance(array, np.ndarray) else tf.reduce_mean(array, axis=axes)
