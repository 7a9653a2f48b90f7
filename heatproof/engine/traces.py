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
    shape, ending, rule = recipe.shape, recipe.ending, recipe.rule

    def function(inputs, *tensors):
        again = Recipe(base(), shape, ending, rule)
        if substitute:
            rows = tf.concat([tf.shape(tensors[0])[:1], tf.shape(inputs)[1:]], axis=0)
            inputs = tf.ensure_shape(tf.broadcast_to(inputs, rows), inputs.shape)
        run = Run(again, inputs, seen and seen(), tensors[0] if substitute else None)
        return build(run.ended(ending, run.layer), *tensors)

    inputs = tf.TensorSpec(recipe.shape, input_dtype(recipe.base))
    with _told(recipe):
        return tf.function(function, autograph=False).get_concrete_function(inputs, *specs)


class Trace:
    """A pass of the model of a recipe, whatever it ends in, and the questions that were built behind it."""

    def __init__(self, recipe):
        self.graph, self.asked = tf.__internal__.FuncGraph("model"), 0
        with _told(recipe), self.graph.as_default():
            inputs = tf.compat.v1.placeholder(input_dtype(recipe.base), recipe.shape, "inputs")
            self.run = Run(recipe, inputs)
        # What is kept for a model must not keep it alive: its own call is left out.
        self.run.calls = [call for call in self.run.calls if call.layer is not recipe.base]
        self.is_pure = are_pure(operations(self.graph))

    def ended(self, ending, layer=None):
        """The `Run` that ends so."""
        self.asked += 1
        with self.graph.as_default():
            return self.run.ended(ending, layer)

    def question(self, recipe, build, specs, layer):
        """The compiled function of `build(run, *tensors)`; None where that needs a trace of its own."""
        if not self.is_pure:
            return None
        run = self.ended(recipe.ending, layer)
        with _told(recipe), self.graph.as_default():
            given = [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in specs]
            answer = build(run, *given)
            outputs = [tf.identity(each) for each in tf.nest.flatten(answer)]
            part = Part(self.graph, [run.inputs, *given], outputs)
            return part.compiled(answer) if part.is_pure else None
