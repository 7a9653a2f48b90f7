"""iNNvestigate's relevance propagation on the cases by hand, with the TensorFlow of its own environment."""

import innvestigate
import numpy as np
import tensorflow as tf

from tools.peers.relevance_hand import A2B1, APART, FOLDED, HIGH, LOW, OPERATION, PLUS, ZERO

PACKAGE, TITLE = "innvestigate", "iNNvestigate"
OTHERS = ("rules for layers of weights alone", "epsilon 0.1 of the size of z", FOLDED, OPERATION)
TINY = 1e-7
layers = tf.keras.layers
tf.compat.v1.disable_eager_execution()


def explain(case):
    method = analysis(case)
    if method is None or case.way in OTHERS:
        return None
    name, options = method
    model = network(case.parts, case.inputs.shape[1:], case.way == APART)
    analyzer = innvestigate.create_analyzer(name, model, **options)
    return np.asarray(analyzer.analyze(case.inputs))


def analysis(case):
    """The name of its analyzer and its options."""
    if case.way == "Deep Taylor":
        return "deep_taylor", {}
    below, above = case.rules
    first = {"z^B": "Bounded", "flat": "Flat", "w^2": "WSquare"}
    if below != above:
        options = {"low": LOW, "high": HIGH} if below == "z^B" else {}
        return below_of(first[below], options)
    return {
        ZERO: ("lrp.epsilon", {"epsilon": case.epsilon or TINY}),
        PLUS: ("lrp.alpha_1_beta_0", {}),
        A2B1: ("lrp.alpha_2_beta_1", {}),
        "flat": ("lrp.flat", {}),
    }.get(above)


def below_of(first, options):
    return "lrp.z", {"input_layer_rule": (options["low"], options["high"]) if options else first}


def network(parts, shape, apart=False):
    """The network of these parts; an activation is inside the layer of weights before it unless it is to be `apart`."""
    made, inputs = {}, layers.Input(shape)
    x = inputs
    for before, part, after in zip((("",), *parts), parts, (*parts[1:], ("",)), strict=False):
        if part[0] != "activation" or before[0] != "dense" or apart:
            x = stage(part, x, made, after[1] if after[0] == "activation" and not apart else None, apart)
    return tf.keras.Model(inputs, x)


def stage(part, x, made, activation=None, apart=False):
    """The tensor after one part; `activation` goes inside a dense layer."""
    kind, *given = part
    if kind == "dense":
        inside = tf.nn.relu6 if activation == "relu6" else activation
        layer = layers.Dense(given[0].shape[1], activation=inside, use_bias=given[1] is not None)
        return weighted(part, layer, x, made)
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
        "activation": lambda: layers.ReLU() if apart else layers.Activation(given[0]),
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
