"""What a pass ends in: the numbers that are explained, each kind an object with one method.

`ending.of(run, outputs)` gives (kind, scores): the scores (N, n) as a tensor of the graph under construction. An ending
holds its layer weakly, so that it can be part of a key that keeps no model alive.
"""

import weakref
from dataclasses import dataclass

import tensorflow as tf

from heatproof.engine.arrays import as_float, space_mean
from heatproof.engine.gates import RELUS
from heatproof.engine.tracing import Operator
from heatproof.problems import ArgumentValueError

_SQUASHINGS = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
_REARRANGEMENTS = {"Identity", "Cast", "Reshape", "Squeeze"}
_SEALED = {"PartitionedCall", "StatefulPartitionedCall"}


@dataclass(frozen=True)
class Logits:
    """What the model gives, before its softmax or sigmoid; one unit z gives -z and z."""

    layer = None

    def of(self, run, outputs):
        if not tf.is_tensor(outputs) or outputs.shape.rank != 2:
            raise _no_classifier(run, outputs)
        tensor = outputs
        while tensor.op.type in _REARRANGEMENTS:
            tensor = tensor.op.inputs[0]
        if tensor.op.type in _SEALED:
            given = "a model that ends in a function loaded from a SavedModel, which hides its softmax"
            raise ArgumentValueError("model", given, cure="load the Keras model itself (.keras)")
        kind = _SQUASHINGS.get(tensor.op.type, "linear")
        if kind == "softmax" and tensor.shape[-1] != outputs.shape[-1]:
            raise _several_classifiers(run, tensor, outputs)
        scores = outputs if kind == "linear" else tf.reshape(tensor.op.inputs[0], tf.shape(outputs))
        scores = as_float(tf.ensure_shape(scores, outputs.shape))
        if outputs.shape[-1] == 1:
            return "sigmoid" if kind == "sigmoid" else "one unit", tf.concat([-scores, scores], axis=-1)
        return kind, scores


def _no_classifier(run, outputs):
    """The refusal of outputs that are not (N, classes), with the code that makes a classifier of them."""
    shape, allowed = tuple(run.inputs.shape[1:]), "one output of shape (N, classes)"
    if not tf.is_tensor(outputs):
        given = f"a model whose output is a {type(outputs).__name__} of {len(tf.nest.flatten(outputs))}"
        scores = "keras.tree.flatten(model(x))[0]"
    else:
        given = f"a model whose output is {tuple(outputs.shape)}"
        scores = f"keras.ops.mean(model(x), axis={tuple(range(1, outputs.shape.rank - 1))})"
        if outputs.shape.rank < 2:
            scores = "keras.ops.reshape(model(x), (-1, 1))"
    return ArgumentValueError("model", given, allowed, f"x = keras.Input({shape}); model = keras.Model(x, {scores})")


def _several_classifiers(run, softmax, outputs):
    """The refusal of a softmax over groups, with the code that takes the first group by itself."""
    given = f"a model that ends in a softmax over {softmax.shape[-1]} of its {outputs.shape[-1]} outputs"
    logits = softmax.op.inputs[0]
    while logits.op.type in _REARRANGEMENTS and logits.shape.rank != 2:
        logits = logits.op.inputs[0]
    names = [call.layer.name for call in run.calls if call.output is logits]
    group = f"model.get_layer({names[0]!r}).output[:, :{softmax.shape[-1]}]" if names else "the logits of one group"
    cure = f"one group by itself, keras.Model(model.inputs, keras.layers.Softmax()({group}))"
    return ArgumentValueError("model", given, "one classifier", cure)


@dataclass(frozen=True)
class _OfLayer:
    """An ending inside the network, at the output of one layer or operation; an operation is a name and is kept."""

    reference: weakref.ref | Operator

    @classmethod
    def at(cls, layer, *more):
        return cls(layer if isinstance(layer, Operator) else weakref.ref(layer), *more)

    @property
    def layer(self):
        if isinstance(self.reference, Operator):
            return self.reference
        return self.reference()

    def scores(self, output):
        """What the layer gave as scores (N, n)."""
        raise NotImplementedError

    def of(self, run, outputs):
        return "unit", self.scores(run.call_of(self.layer).output)


@dataclass(frozen=True)
class Unit(_OfLayer):
    """The mean activation of one channel over space."""

    channel: int

    def scores(self, output):
        return space_mean(as_float(output)[..., self.channel : self.channel + 1])


class Channels(_OfLayer):
    """The mean of every channel before its ReLU: a unit that is off still has a gradient there."""

    def scores(self, output):
        return space_mean(as_float(output.op.inputs[0] if output.op.type in RELUS else output))


class Energy(_OfLayer):
    """The mean of A^2 over channels and space."""

    def scores(self, output):
        A = as_float(output)
        return tf.reduce_mean(A**2, axis=tuple(range(1, len(A.shape))))[:, None]


LOGITS = Logits()
