"""Our relevance propagation on the cases by hand."""

import keras
import numpy as np
from keras import layers

import xai_utils as xu
from tools.peers.relevance_hand import A2B1, GAMMA, HIGH, LOW, PLUS, ZERO, G

PACKAGE, TITLE = "keras", "ours"
RULES = {
    ZERO: "epsilon",
    PLUS: "z_plus",
    G: "gamma",
    A2B1: "alpha_beta",
    "z^B": "z_box",
    "flat": "flat",
    "w^2": "w_square",
}
OTHERS = ("Deep Taylor", "rules for layers of weights alone", "epsilon 0.1 as it stands")


def explain(case):
    if case.way in OTHERS:
        return None
    model, names = network(case.parts, case.inputs.shape[1:])
    below, above = (RULES[rule] for rule in case.rules)
    options = {"gamma": GAMMA, "low": LOW, "high": HIGH, "epsilon": case.epsilon, "score": "value"}
    rule = below if below == above else {names[0]: below} | dict.fromkeys(names[1:], above)
    return xu.lrp(model, case.inputs, 0, rule=rule, **options)[0]


def network(parts, shape):
    """The Keras network of these parts, and the names of its layers of weights."""
    made = {}
    inputs = keras.Input(shape)
    x = inputs
    for part in parts:
        x = stage(part, x, made)
    return keras.Model(inputs, x), list(dict.fromkeys(layer.name for layer in made.values()))


def stage(part, x, made):
    """The tensor after one part; `made` holds the layers of weights by their parts, so that one comes back."""
    kind, *given = part
    if kind == "dense":
        return weighted(part, layers.Dense(given[0].shape[1], use_bias=given[1] is not None), x, made)
    if kind == "convolution":
        return weighted(part, layers.Conv1D(1, 3, padding="same", use_bias=False), x, made)
    if kind == "skip":
        return layers.Add()([x, stage(given[0], x, made)])
    if kind == "gate":
        return layers.Multiply()([x, layers.Activation("sigmoid")(x)])
    if kind == "norm":
        return normalised(x, *given)
    simple = {
        "flatten": layers.Flatten,
        "average": lambda: layers.AveragePooling1D(2),
        "maximum": lambda: layers.MaxPooling1D(2),
        "activation": lambda: layers.Activation(given[0]),
    }
    return simple[kind]()(x)


def weighted(part, layer, x, made):
    layer = made.setdefault(id(part), layer)
    found = layer(x)
    kernel, *bias = (each for each in part[1:] if each is not None)
    layer.set_weights([kernel.reshape(layer.kernel.shape), *bias])
    return found


def normalised(x, gamma, beta, mean, variance):
    layer = layers.BatchNormalization(epsilon=0)
    found = layer(x)
    layer.set_weights([np.full(x.shape[-1], value) for value in (gamma, beta, mean, variance)])
    return found
