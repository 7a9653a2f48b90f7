"""What a pass ends in: the numbers that are explained, each kind an object with one method.

`ending.of(run, outputs)` gives (kind, scores): the scores (N, n) as a tensor of the graph under construction. An ending
holds its layer weakly, so that it can be part of a key that keeps no model alive.
"""

import weakref
from dataclasses import dataclass

import tensorflow as tf

from heatproof.engine.arrays import as_float, space_mean
from heatproof.engine.rules import RELUS

_SQUASHINGS = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
_REARRANGEMENTS = {"Identity", "Cast", "Reshape", "Squeeze"}
_SEALED = {"PartitionedCall", "StatefulPartitionedCall"}


@dataclass(frozen=True)
class Logits:
    """What the model gives, before its softmax or sigmoid; one unit z gives -z and z."""

    layer = None

    def of(self, run, outputs):
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
        scores = as_float(tf.ensure_shape(scores, outputs.shape))
        if outputs.shape[-1] == 1:
            return "sigmoid" if kind == "sigmoid" else "one unit", tf.concat([-scores, scores], axis=-1)
        return kind, scores


@dataclass(frozen=True)
class _OfLayer:
    """An ending inside the network, at the output of one layer."""

    reference: weakref.ref

    @classmethod
    def at(cls, layer, *more):
        return cls(weakref.ref(layer), *more)

    @property
    def layer(self):
        return self.reference()

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
