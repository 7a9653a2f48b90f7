"""How a model is looked at, and the key by which a change of it is noticed."""

import hashlib
import threading
import weakref
from dataclasses import dataclass, field, replace

import keras
import numpy as np
import tensorflow as tf

from heatproof.engine.endings import LOGITS
from heatproof.engine.rules import Rule

# What `compile`, `fit`, `predict` and `evaluate` leave in a model; nothing of it changes what the model computes.
_BOOKKEEPING = {"compiled", "loss", "train_function", "test_function", "predict_function"}
_BOOKKEEPING |= {"stop_training", "stop_predicting", "stop_evaluating"}
_OF_LAYERS = frozenset(vars(keras.layers.Layer()))  # what Keras itself keeps in every layer
_PLAIN = {bool, int, float, str}
TRACING = threading.RLock()


@dataclass(frozen=True)
class Recipe:
    """How a model is looked at: what it ends in, and which rule its ReLUs go back by."""

    base: keras.Model
    shape: tuple  # of one batch of inputs, None where any size will do
    ending: object = LOGITS  # what is explained: see `heatproof.engine.endings`
    rule: Rule | None = None  # how its ReLUs go back; None is the chain rule
    settings: tuple | None = field(default=None, compare=False)  # of the layers, where they were noted

    def noted(self):
        """The same, with the settings of its layers as they are now: for one question, they are not read again."""
        return replace(self, settings=settings_of(self.base))


def settings_of(model):
    """The layers and their plain attributes (activation, strides, slope, ...), as a key that keeps nothing alive."""
    found = []
    with TRACING:  # a trace in another thread watches the layers, which must not be taken for a change
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
