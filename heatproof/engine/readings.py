"""How a model's numbers are read: as logits, as probabilities, or as what they are.

A model that ends in a softmax or a sigmoid tells. One that ends linearly may be a classifier or may predict numbers (an
age, a temperature): then the loss it was compiled with tells, or the user. Where nobody does, a warning names both
readings.
"""

from dataclasses import dataclass

import keras

from heatproof import checks
from heatproof.engine.endings import no_classifier
from heatproof.problems import ArgumentValueError, ArgumentWarning

WORDS, ACTIVATIONS = ("logit", "probability", "value"), ("softmax", "sigmoid")
# Losses of numbers, and those that say from_logits=True, by the names of Keras' functions.
_OF_NUMBERS = {"mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error"}
_OF_NUMBERS |= {"mean_squared_logarithmic_error", "huber", "log_cosh"}
_OF_LOGITS = {"binary_crossentropy": "sigmoid", "binary_focal_crossentropy": "sigmoid"}
_OF_LOGITS |= {"categorical_crossentropy": "softmax", "sparse_categorical_crossentropy": "softmax"}
_OF_LOGITS |= {"categorical_focal_crossentropy": "softmax"}


class Default(str):
    """A word that nobody asked for: it gives way to what the model tells."""


LOGIT, PROBABILITY = Default("logit"), Default("probability")


@dataclass(frozen=True)
class Score:
    """What S_c is: the logit, the probability or the number itself, and how logits become probabilities."""

    kind: str
    activation: str = "softmax"


def reading(model, seen, score, activation):
    """The `Score` that is meant by the arguments, for a model of which one trace told what is `seen`."""
    if seen.kind == "own":
        return Score("logit")
    word = checks.one_of("score", score, WORDS)
    if seen.kind == "dense":
        raise no_classifier(seen.inputs, seen.values)
    if activation is not None:
        checks.one_of("activation", activation, ACTIVATIONS)
        _check_activation(seen, activation)
    if seen.kind == "unit":
        if word == "probability":
            raise ArgumentValueError("score", "'probability' of an inner unit, which has none", cure="score='logit'")
        return Score("logit")
    ends = {"softmax": "softmax", "sigmoid": "sigmoid", "one unit": "sigmoid"}.get(seen.kind)
    if word == "value" or seen.kind in ACTIVATIONS:
        return Score(str(word), ends or activation or "softmax")
    numbers, told = _told_by_loss(model)
    if activation is None and isinstance(score, Default) and numbers:
        return Score("value")
    if activation is None and told is None and (word == "probability" or isinstance(score, Default) and ends):
        _warn_of_both(seen)
    return Score(str(word), activation or ends or told or "softmax")


def _check_activation(seen, activation):
    if seen.kind == "unit":
        given = f"{activation!r} for an inner unit, which has no probability"
        raise ArgumentValueError("activation", given, cure="leave it out")
    ends = {"one unit": "sigmoid"}.get(seen.kind, seen.kind)
    if ends in ACTIVATIONS and activation != ends:
        how = f"ends in a {ends}" if seen.kind in ACTIVATIONS else "has one unit, whose probability is a sigmoid"
        given = f"{activation!r}, but the model {how}"
        raise ArgumentValueError("activation", given, cure=f"activation={ends!r}, or None")


def _told_by_loss(model):
    """Whether the loss is one of numbers, and the activation that it stands for; (False, None) where it tells nothing.

    Of a loss of one's own, and of several losses, nothing is known.
    """
    loss = getattr(model, "loss", None) if getattr(model, "compiled", False) else None
    if isinstance(loss, (list, tuple)) and len(loss) == 1:
        (loss,) = loss
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            return False, None
    function = getattr(loss, "fn", loss)
    if not str(getattr(function, "__module__", "")).startswith("keras."):
        return False, None
    name = getattr(function, "__name__", "")
    return name in _OF_NUMBERS, _OF_LOGITS.get(name) if getattr(loss, "from_logits", False) else None


def _warn_of_both(seen):
    asked, taken = "activation='softmax' or activation='sigmoid'", "as logits of a softmax"
    if seen.kind == "one unit":
        asked, taken = "activation='sigmoid' (a softmax of one is always 1)", "as the logit z of class 1, -z of class 0"
    linear = "one that ends linearly and tells nowhere whether its outputs are numbers to be explained as they are"
    given = f"{linear} or logits of classes; they are read {taken}"
    checks.warn(ArgumentWarning("model", given, cure=f"score='value' for numbers, {asked} for logits"))
