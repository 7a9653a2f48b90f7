"""How a model is seen through: the graphs traced in it.

A model is traced once into a TensorFlow graph, with every layer's `call` watched while the trace lasts; what is asked
of it is built behind that (`heatproof.engine.traces`). In that graph the softmax is an operation with an input, so the
logits are simply that input; an inner layer's activation is the tensor that its `call` returned; a ReLU's backward rule
is looked up by name and can be another one. The user's model is read, never edited, whether it is functional,
Sequential, nested or subclassed. Graphs are kept for as long as the model lives and are shared by all later calls. This
room alone differentiates.
"""

import contextlib
import copy
import threading
from dataclasses import dataclass

import keras
import tensorflow as tf

from heatproof.engine import grouped, owned
from heatproof.engine.arrays import as_float
from heatproof.engine.entries import entry
from heatproof.engine.towards import only_towards
from heatproof.problems import ArgumentValueError


@dataclass(frozen=True)
class Call:
    """One layer's call in a trace: what went in, what came out (symbolic), and the shape that came out."""

    layer: keras.layers.Layer
    input: tf.Tensor
    output: tf.Tensor
    inner: bool = False  # inside a layer of Keras itself, such as attention, which arranges its axes as it likes
    made: range = range(0)  # the operations of the graph that the call made, by number

    @property
    def shape(self):
        return tuple(self.output.shape)

    @property
    def spatial(self):
        """Whether the output still has positions: more than one, or an unknown number."""
        return len(self.shape) >= 3 and any(n != 1 for n in self.shape[1:-1])


@dataclass(frozen=True)
class Operator:
    """What stands for a layer where a sum or a product was written as an operator: the operation of that name."""

    name: str


def _parts(model):
    """The layers below a model, and the operations between them where it is functional: what is called in a pass."""
    parts = {id(each): each for each in model._flatten_layers()}
    for each in list(parts.values()):
        parts |= {id(part): part for part in getattr(each, "_operations", ())}
    return list(parts.values())


@contextlib.contextmanager
def _watched(model, calls, layer=None, substitute=None):
    """Record every layer's call below `model`; return `substitute` in place of the output of `layer`.

    Calls from other threads, which may be using the model, are left alone.
    """
    open_layers: list = []
    tracer = threading.get_ident()

    def watch(watched, name):
        original = getattr(watched, name)
        closed = type(watched).__module__.startswith("keras.") and not isinstance(watched, keras.Model)
        graph = tf.compat.v1.get_default_graph()

        def call(*arguments, **options):
            if threading.get_ident() != tracer:
                return original(*arguments, **options)
            replaced = substitute is not None and watched is layer
            inner, first = any(open_layers), graph.version
            open_layers.append(closed)
            try:
                output = _in_place(substitute, watched) if replaced else original(*arguments, **options)
            finally:
                open_layers.pop()
            if tf.is_tensor(output):
                given = (*arguments, *options.values())
                made = range(first, graph.version)
                calls.append(Call(watched, given[0] if given else None, output, inner, made))
            return output

        return call

    parts = [(each, name) for each in _parts(model) for name in ("call", "quantized_call") if hasattr(each, name)]
    before = [vars(each).get(name) for each, name in parts]
    try:
        for each, name in parts:
            object.__setattr__(each, name, watch(each, name))
        with unchanged_losses(model):
            yield
    finally:
        for (each, name), own in zip(parts, before, strict=True):
            vars(each).pop(name, None)
            if own is not None:
                object.__setattr__(each, name, own)


def _in_place(substitute, part):
    """The substitute in the type of what it stands for."""
    return tf.cast(substitute, getattr(part, "compute_dtype", None) or substitute.dtype)


@contextlib.contextmanager
def unchanged_losses(model):
    """What a pass of ours adds to the losses of the layers is taken out again."""
    losses = [(each._losses, list(each._losses)) for each in model._flatten_layers()]
    try:
        yield
    finally:
        for now, before in losses:
            now[:] = before


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

    kind: str  # these three as soon as it is `ended`: of the ending; the scores; the outputs as numbers
    logits: tf.Tensor
    values: tf.Tensor

    def __init__(self, recipe, inputs, layer=None, substitute=None, others=()):
        self.inputs, self.layer, self.instead, self.others, self.beside = inputs, layer, None, others, ()
        self.output_names = list(getattr(recipe.base, "output_names", ()))
        self.calls: list = []
        graph = tf.compat.v1.get_default_graph()
        entering = recipe.entering(inputs, others)  # first, for whoever reads the graph in its order
        rules = grouped.OVERRIDES | (recipe.rule.overrides() if recipe.rule else {})
        with _watched(recipe.base, self.calls, layer, substitute), graph.gradient_override_map(rules):
            with _open_functions():
                self.outputs = recipe.base(recipe.arranged(inputs, others), training=False)  # as model.predict asks
        for fed, part in entering:
            self._rewire(entry(fed), part)
        if isinstance(layer, Operator) and substitute is not None:
            replaced = self.call_of(layer).output
            self._rewire(replaced, substitute)
            self.instead = tf.cast(substitute, replaced.dtype)
        self.own = owned.close(graph)  # how many operations are the model's: more follow for the score

    def ended(self, ending, layer=None, beside=()):
        """This pass and what it ends in, for a question about `layer`; `beside` is what the ending is told."""
        run = copy.copy(self)
        run.layer, run.beside = layer, beside
        run.kind, run.logits, run.values = ending.of(run, run.outputs)
        return run

    def all(self, score):
        """The scores of all classes or outputs, (N, n), as the `Score` says."""
        if score.kind == "probability":
            return tf.sigmoid(self.logits) if score.activation == "sigmoid" else tf.nn.softmax(self.logits)
        return self.logits if score.kind == "logit" else self.values

    def score(self, targets, score):
        """S_c for each example: that of its target."""
        rows = tf.range(tf.shape(targets)[0])  # with tf.gather the gradient takes longer to trace
        return tf.gather_nd(self.all(score), tf.stack([rows, targets], axis=1))

    @staticmethod
    def _rewire(tensor, substitute):
        """Let all that reads the tensor read the substitute."""
        for operation in tensor.consumers():
            for place, read in enumerate(operation.inputs):
                if read is tensor:
                    operation._update_input(place, tf.cast(substitute, tensor.dtype))

    def call_of(self, layer):
        """The layer's only call in this pass."""
        if isinstance(layer, Operator):
            output = self.inputs.graph.get_operation_by_name(layer.name).outputs[0]
            replaced = self.instead is not None and layer == self.layer
            return Call(layer, output.op.inputs[0], self.instead if replaced else output)
        found = [call for call in self.calls if call.layer is layer]
        if len(found) != 1:
            given = f"{layer.name!r}, which the model calls {len(found)} times"
            raise ArgumentValueError("layer", given, "a layer that is called once")
        return found[0]

    def differentiate(self, score, tensor, back=only_towards):
        """d(score)/d(tensor), summed over nothing: each example's score depends on that example alone.

        `back(tensor, score)` is the context that says how the operations go back.
        """
        with back(tensor, score):
            (gradient,) = tf.gradients(score, tensor)
        if gradient is None:
            raise self._unreached()
        return as_float(gradient)

    def _unreached(self):
        """What is told where no gradient comes back: a layer beside the way to the score, or a step without slope."""
        if self.layer is None:
            given = "one whose score does not depend on its inputs through operations that have a gradient"
            return ArgumentValueError("model", given, "one that is differentiable")
        given = f"{self.layer.name!r}, on which the score does not depend"
        return ArgumentValueError("layer", given, "a layer on the way to the score")
