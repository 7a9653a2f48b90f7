"""What a pass ends in: the numbers that are explained, each kind an object with one method.

`ending.of(run, outputs)` gives (kind, scores, values): the scores (N, n) and the numbers that the model gives, as
tensors of the graph under construction. What an ending is told beside the inputs stands in `run.beside`, as the
specifications of its own `beside` say. An ending holds its layer weakly, so that it can be part of a key that keeps no
model alive.
"""

import abc
import weakref
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from heatproof import checks
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

    head: str | int | None = None  # which output, by its name or number, of a model with several
    layer, beside = None, ()

    def of(self, run, outputs):
        outputs = outputs if self.head is None else chosen(run, outputs, self.head)
        if not tf.is_tensor(outputs) or outputs.shape.rank < 2:
            raise no_classifier(run.inputs, outputs, run.output_names)
        kind, scores = before_squashing(outputs)
        if outputs.shape.rank > 2:
            return "dense", scores, as_float(outputs)
        if kind == "softmax" and squashed(outputs).shape[-1] != outputs.shape[-1]:
            raise _several_classifiers(run, squashed(outputs), outputs)
        scores = as_float(scores)
        if outputs.shape[-1] == 1:
            kind, scores = "sigmoid" if kind == "sigmoid" else "one unit", tf.concat([-scores, scores], axis=-1)
        return kind, scores, as_float(outputs)


def squashed(outputs):
    """The tensor behind which only its shape and type were changed: what a softmax or sigmoid gave, if one ends it."""
    tensor = outputs
    while tensor.op.type in _REARRANGEMENTS:
        tensor = tensor.op.inputs[0]
    if tensor.op.type in _SEALED:
        given = "a model that ends in a function loaded from a SavedModel, which hides its softmax"
        raise ArgumentValueError("model", given, cure="load the Keras model itself (.keras)")
    return tensor


def before_squashing(outputs):
    """The kind of the ending, "softmax", "sigmoid" or "linear", and the logits, in the shape of the outputs."""
    tensor = squashed(outputs)
    kind = _SQUASHINGS.get(tensor.op.type, "linear")
    scores = outputs if kind == "linear" else tf.reshape(tensor.op.inputs[0], tf.shape(outputs))
    return kind, tf.ensure_shape(scores, outputs.shape)


def chosen(run, outputs, head):
    """The output of that name or number; the only one for None."""
    if tf.is_tensor(outputs):
        if head in (None, 0, -1):
            return outputs
        raise ArgumentValueError("head", checks.shown(head), "None, for a model with one output")
    of_names = isinstance(outputs, dict)
    names = list(outputs) if of_names else run.output_names
    flat = list(outputs.values()) if of_names else tf.nest.flatten(outputs)
    if isinstance(head, str) and head in names:
        return flat[names.index(head)]
    if isinstance(head, int) and -len(flat) <= head < len(flat):
        return flat[head]
    allowed = f"one of {names} or a number from 0 to {len(flat) - 1}"
    raise ArgumentValueError("head", checks.shown(head), allowed)


def no_classifier(inputs, outputs, names=()):
    """The refusal of outputs that are not (N, classes), with the code that makes a classifier of them."""
    shape, allowed = tuple(inputs.shape[1:]), "one output of shape (N, classes)"
    if not tf.is_tensor(outputs):
        given = f"a model whose output is a {type(outputs).__name__} of {len(tf.nest.flatten(outputs))}"
        name = next(iter([*(outputs if isinstance(outputs, dict) else names), 0]))
        return ArgumentValueError("model", given, allowed, f"one of them, xu.head(model, {name!r})")
    given, region = f"a model whose output is {tuple(outputs.shape)}", ""
    scores = "keras.ops.reshape(model(x), (-1, 1))"
    if outputs.shape.rank > 2:
        scores = f"keras.ops.mean(model(x), axis={tuple(range(1, outputs.shape.rank - 1))})"
        region = "score=xu.region(mask), a class over a region; or "
    cure = f"{region}x = keras.Input({shape}); model = keras.Model(x, {scores})"
    return ArgumentValueError("model", given, allowed, cure)


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
class _OfLayer(abc.ABC):
    """An ending inside the network, at the output of one layer or operation; an operation is a name and is kept."""

    reference: weakref.ref | Operator
    beside = ()

    @classmethod
    def at(cls, layer, *more):
        return cls(layer if isinstance(layer, Operator) else weakref.ref(layer), *more)

    @property
    def layer(self):
        if isinstance(self.reference, Operator):
            return self.reference
        return self.reference()

    @abc.abstractmethod
    def scores(self, output):
        """What the layer gave as scores (N, n)."""

    def of(self, run, outputs):
        scores = self.scores(run.call_of(self.layer).output)
        return "unit", scores, scores


@dataclass(frozen=True)
class Unit(_OfLayer):
    """The mean activation of one channel over space."""

    channel: int

    def scores(self, output):
        return space_mean(as_float(output)[..., self.channel : self.channel + 1])


@dataclass(frozen=True)
class Positions(_OfLayer):
    """Every position of one channel as a score of its own, row by row."""

    channel: int

    def scores(self, output):
        A = as_float(output)[..., self.channel]
        return tf.reshape(A, (-1, int(np.prod(A.shape[1:]))))


class Channels(_OfLayer):
    """The mean of every channel before its ReLU: a unit that is off still has a gradient there."""

    def scores(self, output):
        return space_mean(as_float(output.op.inputs[0] if output.op.type in RELUS else output))


class Energy(_OfLayer):
    """The mean of A^2 over channels and space."""

    def scores(self, output):
        A = as_float(output)
        return tf.reduce_mean(A**2, axis=tuple(range(1, len(A.shape))))[:, None]


@dataclass(frozen=True)
class Open:
    """The ending of a pass that is traced before anything is asked."""

    layer, beside = None, ()

    def of(self, run, outputs):
        return None, None, None


LOGITS, OPEN = Logits(), Open()
