"""Google PAIR's saliency, input by input; it leaves gradients to its caller, here a compiled tape."""

from unittest import mock

import keras
import numpy as np
import saliency.core as pair
import tensorflow as tf

from tools.peers.case import BATCH, NOISE, STEPS

PACKAGE, BACKEND = "saliency", "tensorflow"
LAYER, OUTPUT = "CONVOLUTION_LAYER_VALUES", "OUTPUT_LAYER_VALUES"
INPUT_GRADIENTS, LAYER_GRADIENTS = "INPUT_OUTPUT_GRADIENTS", "CONVOLUTION_OUTPUT_GRADIENTS"


def caller(case, wanted):
    """The function that the library calls back: maps of the layer, and the score or its gradients."""
    network = case.network()
    both = keras.Model(network.inputs[0], [network.get_layer(case.layer).output, network.output])

    @tf.function(reduce_retracing=True)
    def run(x, target):
        with tf.GradientTape() as tape:
            tape.watch(x)
            layer, logits = both(x)
            score = tf.gather(logits, target, axis=1)
        if wanted == OUTPUT:
            return layer, score
        return layer, tape.gradient(score, layer if wanted == LAYER_GRADIENTS else x)

    def call(x, call_model_args, expected_keys):
        values = zip((LAYER, wanted), run(tf.constant(x, tf.float32), tf.constant(call_model_args)), strict=True)
        return {key: value.numpy() for key, value in values if key in expected_keys}

    return call


# --- one method each --------------------------------------------------------------------------------------------


def method(case, function, wanted=INPUT_GRADIENTS, **options):
    call = caller(case, wanted)
    items = list(zip(case.inputs, case.targets.tolist(), strict=True))
    return lambda: np.stack([function(x, call, call_model_args=target, **options) for x, target in items])


def saliency(case):
    return method(case, pair.GradientSaliency().GetMask)


def smooth_grad(case, samples, magnitude=False):
    options = {"stdev_spread": NOISE, "nsamples": samples, "magnitude": magnitude}
    return method(case, pair.GradientSaliency().GetSmoothedMask, **options)


def integrated_gradients(case, steps):
    return method(case, pair.IntegratedGradients().GetMask, x_steps=steps, batch_size=BATCH)


def path(case):
    call = caller(case, INPUT_GRADIENTS)

    def run(item, steps):
        tool, options = pair.IntegratedGradients(), {"x_steps": int(steps), "batch_size": BATCH}
        return tool.GetMask(case.inputs[item], call, call_model_args=int(case.targets[item]), **options)

    return run


def grad_cam(case, **options):
    """Theirs averages over two axes: images only."""
    return method(case, pair.GradCam().GetMask, LAYER_GRADIENTS, three_dims=False, **options) if case.is_image else None


def occlusion(case):
    """Their window is a square, half as wide as the input, and moves by one: images only."""
    options = {"size": case.inputs.shape[1] // 2, "value": case.fill}
    return method(case, pair.Occlusion().GetMask, OUTPUT, **options) if case.is_image else None


# --- what is timed ----------------------------------------------------------------------------------------------

METHODS = {
    "saliency": lambda case, _: saliency(case),
    "smooth_grad": smooth_grad,
    "integrated_gradients": integrated_gradients,
    "grad_cam": lambda case, _: grad_cam(case),
}


# --- what is compared -------------------------------------------------------------------------------------------


def answers(case):
    found = {
        "saliency": saliency(case)(),
        "smooth_grad": _smoothed(case, False),
        "smooth_grad_squared": _smoothed(case, True),
        "integrated_gradients": integrated_gradients(case, STEPS)(),
    }
    if not case.is_image:
        return found
    return found | {
        "grad_cam": grad_cam(case, should_resize=False)(),
        "grad_cam_enlarged": grad_cam(case)(),
        "occlusion": occlusion(case)()[..., 0],
    }


def _smoothed(case, magnitude):
    noise = iter(case.noise.reshape(-1, *case.noise.shape[2:]))
    run = smooth_grad(case, case.noise.shape[1], magnitude)
    with mock.patch("numpy.random.normal", lambda *_: next(noise)):
        return run()
