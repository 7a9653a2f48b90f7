"""The trace of a model, in whose graph the questions about it are built, each compiled from what it needs.

A trace takes as long as many passes, so that a model is traced once for all that is asked of it. That holds for a
network that only computes. Where one draws, writes or loops, the order of its operations counts: there, and where a
layer's output is replaced, a question has a trace of its own.
"""

import weakref

import tensorflow as tf

from heatproof.engine.arrays import input_dtype
from heatproof.engine.owned import operations
from heatproof.engine.parts import Part, are_pure
from heatproof.engine.recipe import Recipe
from heatproof.engine.tracing import Operator, Run
from heatproof.progress import told


def _told(recipe):
    return told(f"tracing {recipe.base.name!r}, for this and all later maps")


def traced(recipe, build, specs=(), layer=None, substitute=False):
    """The TensorFlow function of `build(run, *tensors)`, of the inputs and a tensor for each of `specs`."""
    # The graph must not keep the model alive, or nothing would ever let go of it: it sees only weak references.
    base = weakref.ref(recipe.base)
    seen = (lambda: layer) if isinstance(layer, Operator) else layer and weakref.ref(layer)
    shape, ending, rule, nest = recipe.shape, recipe.ending, recipe.rule, recipe.nest
    fixed, asked = recipe.others, ending.beside

    def function(inputs, *tensors):
        beside, tensors = tensors[: len(fixed + asked)], tensors[len(fixed + asked) :]
        again = Recipe(base(), shape, ending, rule, nest)
        if substitute:
            inputs, *beside = (_in_rows(each, tensors[0]) for each in (inputs, *beside))
        run = Run(again, inputs, seen and seen(), tensors[0] if substitute else None, beside[: len(fixed)])
        return build(run.ended(ending, run.layer, beside[len(fixed) :]), *tensors)

    inputs = tf.TensorSpec(recipe.shape, input_dtype(recipe.base))
    with _told(recipe):
        return tf.function(function, autograph=False).get_concrete_function(inputs, *fixed, *asked, *specs)


def _in_rows(tensor, like):
    """One row as often as another tensor has rows; rows as they are."""
    rows = tf.concat([tf.shape(like)[:1], tf.shape(tensor)[1:]], axis=0)
    return tf.ensure_shape(tf.broadcast_to(tensor, rows), tensor.shape)


def _placeholders(specs):
    return [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in specs]


class Trace:
    """A pass of the model of a recipe, whatever it ends in, and the questions that were built behind it."""

    def __init__(self, recipe):
        self.graph, self.asked = tf.__internal__.FuncGraph("model"), 0
        with _told(recipe), self.graph.as_default():
            inputs = tf.compat.v1.placeholder(input_dtype(recipe.base), recipe.shape, "inputs")
            self.run = Run(recipe, inputs, others=_placeholders(recipe.others))
        # What is kept for a model must not keep it alive: its own call is left out.
        self.run.calls = [call for call in self.run.calls if call.layer is not recipe.base]
        self.is_pure = are_pure(operations(self.graph))

    def ended(self, ending, layer=None):
        """The `Run` that ends so, with a place in the graph for each tensor that the ending is told."""
        self.asked += 1
        with self.graph.as_default():
            return self.run.ended(ending, layer, _placeholders(ending.beside))

    def question(self, recipe, build, specs, layer):
        """The compiled function of `build(run, *tensors)`; None where that needs a trace of its own."""
        if not self.is_pure:
            return None
        run = self.ended(recipe.ending, layer)
        with _told(recipe), self.graph.as_default():
            given = _placeholders(specs)
            answer = build(run, *given)
            outputs = [tf.identity(each) for each in tf.nest.flatten(answer)]
            part = Part(self.graph, [run.inputs, *run.others, *run.beside, *given], outputs)
            return part.compiled(answer) if part.is_pure else None
