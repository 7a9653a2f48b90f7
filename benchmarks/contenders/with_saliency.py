"""Google PAIR's saliency: input by input; it leaves gradients to its caller, here a compiled tape."""

import keras
import numpy as np
import saliency.core as pair
import tensorflow as tf

from benchmarks.contenders.case import BATCH, NOISE, doubled
from benchmarks.contenders.raw import METHODS as RAW

PACKAGE = "saliency"
BACKEND = "tensorflow"


def caller(case, at_layer=False):
    """The function that the library calls back: gradients at the input, or maps of the layer and gradients there."""
    network = case.network()
    both = keras.Model(network.inputs[0], [network.get_layer(case.layer).output, network.output])

    @tf.function(reduce_retracing=True)
    def run(x, target):
        with tf.GradientTape() as tape:
            tape.watch(x)
            layer, logits = both(x)
            score = tf.gather(logits, target, axis=1)
        return layer, tape.gradient(score, layer if at_layer else x)

    keys = ("CONVOLUTION_LAYER_VALUES", "CONVOLUTION_OUTPUT_GRADIENTS" if at_layer else "INPUT_OUTPUT_GRADIENTS")

    def call(x, call_model_args, expected_keys):
        values = zip(keys, run(tf.constant(x, tf.float32), tf.constant(call_model_args)), strict=True)
        return {key: value.numpy() for key, value in values if key in expected_keys}

    return call


def method(function, at_layer=False, **names):
    def make(case, setting):
        n, call = setting["n"], caller(case, at_layer)
        options = {key: value(setting) if callable(value) else value for key, value in names.items()}
        items = list(zip(case.inputs(n), case.targets(n).tolist(), strict=True))
        return lambda: np.stack([function(x, call, call_model_args=target, **options) for x, target in items])

    def images_only(case, setting):
        return make(case, setting) if case.is_image else None

    return images_only if at_layer else make


def amount(setting):
    return setting["amount"]


def integrated(case, x, target, steps, call):
    tool = pair.IntegratedGradients()
    return tool.GetMask(x, call, call_model_args=int(target), x_steps=int(steps), batch_size=BATCH)


def converged(case, setting):
    """The smallest steps of its rule that reach 1 %, input by input."""
    call, steps = caller(case), np.load(case.folder / "steps.npz")["all_alike"]
    items = list(zip(case.inputs(setting["n"]), case.targets(setting["n"]), steps, strict=False))
    return lambda: np.stack([integrated(case, x, target, count, call) for x, target, count in items])


def until_converged(case, setting):
    call, changes = caller(case), np.load(case.folder / "steps.npz")["changes"]
    items = list(zip(case.inputs(setting["n"]), case.targets(setting["n"]), changes, strict=False))
    return lambda: np.stack(
        [doubled(lambda k, x=x, c=c: integrated(case, x, c, k, call), change) for x, c, change in items]
    )


METHODS = RAW | {
    "saliency": method(pair.GradientSaliency().GetMask),
    "smooth_grad": method(
        pair.GradientSaliency().GetSmoothedMask, stdev_spread=NOISE, nsamples=amount, magnitude=False
    ),
    "integrated_gradients": method(pair.IntegratedGradients().GetMask, x_steps=amount, batch_size=BATCH),
    "converged": converged,
    "doubled": until_converged,
    "grad_cam": method(pair.GradCam().GetMask, at_layer=True, three_dims=False),
}
