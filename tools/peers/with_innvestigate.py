"""iNNvestigate's relevance propagation on the same network in Keras 2, with the TensorFlow of its own environment."""

import json

import innvestigate
import numpy as np
import tensorflow as tf

PACKAGE = "innvestigate"
TINY = 1e-9  # its epsilon: next to nothing
KEPT = {
    "Conv": ("filters", "kernel_size", "strides", "padding", "dilation_rate", "activation", "use_bias"),
    "MaxPooling": ("pool_size", "strides", "padding"),
    "GlobalAveragePooling": (),
    "Flatten": (),
    "Dropout": ("rate",),
    "Dense": ("units", "activation", "use_bias"),
    "Activation": ("activation",),
}
ANALYZERS = {
    "epsilon": ("lrp.epsilon", {"epsilon": TINY}),
    "alpha_1_beta_0": ("lrp.alpha_1_beta_0", {}),
    "without_biases": ("lrp.alpha_1_beta_0_IB", {}),
    "alpha_2_beta_1": ("lrp.alpha_2_beta_1", {}),
    "alpha_2_beta_1_without_biases": ("lrp.alpha_2_beta_1_IB", {}),
    "flat": ("lrp.flat", {}),
    "w_square": ("lrp.w_square", {}),
}
tf.compat.v1.disable_eager_execution()


def network(case):
    """The chain of logits.json with the weights of weights.npz."""
    description = json.loads((case.folder / "logits.json").read_text(encoding="utf-8"))["config"]["layers"]
    x = inputs = tf.keras.layers.Input(case.inputs.shape[1:])
    made = []
    for entry in description:
        kind, config = entry["class_name"], entry["config"]
        if kind == "InputLayer":
            continue
        kept = {name: config[name] for name in KEPT[kind.removesuffix("1D").removesuffix("2D")]}
        made.append(getattr(tf.keras.layers, kind)(name=config["name"], **kept))
        x = made[-1](x)
    model = tf.keras.Model(inputs, x)
    with np.load(case.folder / "weights.npz") as weights:
        for layer in made:
            layer.set_weights([weights[f"{layer.name}/{number}"] for number in range(len(layer.weights))])
    return model


def lrp(case, name):
    """One of its analyzers, of the target of each input."""
    method, options = ANALYZERS[name]
    model = case.once("Keras 2", lambda: network(case))
    tool = innvestigate.create_analyzer(method, model, neuron_selection_mode="index", **options)
    return lambda: np.concatenate(
        [tool.analyze(case.inputs[item : item + 1], int(target)) for item, target in enumerate(case.targets)]
    )


def answers(case):
    return {name: lrp(case, name)() for name in ANALYZERS}


def together(case, name):
    """All inputs in one batch."""
    method, options = ANALYZERS[name]
    model = case.once("Keras 2", lambda: network(case))
    tool = innvestigate.create_analyzer(method, model, neuron_selection_mode="index", **options)
    return lambda: tool.analyze(case.inputs, case.targets.tolist())


SAME = {"epsilon": "epsilon", "z_plus": "alpha_1_beta_0", "alpha_beta": "alpha_2_beta_1"}
METHODS = {"lrp": lambda case, _: lrp(case, "alpha_1_beta_0")}
METHODS |= {f"lrp {rule}": lambda case, _, name=name: together(case, name) for rule, name in SAME.items()}
