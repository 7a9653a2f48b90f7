"""A copy of a network that may be changed, because what a caller hands in is never touched."""

import keras

from heatproof.problems import ArgumentTypeError

TOLD = ("input_range", "class_names")  # what a card says of a network, which Keras does not copy


def copied(model, **how):
    """A copy with the same weights and card, made as `how` tells `keras.models.clone_model`."""
    try:
        copy = keras.models.clone_model(model, **how)
        copy.set_weights(model.get_weights())
    except (ValueError, TypeError, AttributeError, NotImplementedError) as error:
        given = f"{type(model).__name__}, which Keras cannot copy ({error})"
        raise ArgumentTypeError("model", given, cure="pass a functional or Sequential model") from error
    for name in TOLD:
        setattr(copy, name, getattr(model, name, None))
    return copy
