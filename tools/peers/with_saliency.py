"""The maps of Google PAIR's saliency: python -m tools.peers.with_saliency FOLDER...

The library leaves gradients to its caller; here TensorFlow's tape takes them of the Keras network.
"""

import sys
from importlib.metadata import version
from unittest import mock

import keras
import numpy as np
import saliency.core as pair
import tensorflow as tf

from tools.peers.case import NOISE, STEPS, answer


def caller(case):
    """The function that the library calls back."""
    network = case.network()
    both = keras.Model(network.inputs, [network.get_layer(str(case.layer)).output, network.output])

    @tf.function(reduce_retracing=True)
    def run(x, target):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            layer, logits = both(x)
            score = tf.gather(logits, target, axis=1)
        return layer, score, tape.gradient(score, x), tape.gradient(score, layer)

    def call(x, call_model_args, expected_keys):
        values = run(tf.constant(x, tf.float32), call_model_args)
        names = ("CONVOLUTION_LAYER_VALUES", "OUTPUT_LAYER_VALUES")
        names += ("INPUT_OUTPUT_GRADIENTS", "CONVOLUTION_OUTPUT_GRADIENTS")
        return {name: value.numpy() for name, value in zip(names, values, strict=True) if name in expected_keys}

    return call


def maps(case):
    call = caller(case)

    def each(method, **options):
        pairs = zip(case.inputs, case.targets, strict=True)
        return np.stack([method(x, call, call_model_args=int(target), **options) for x, target in pairs])

    def smoothed(magnitude):
        noise = iter(case.noise.reshape(-1, *case.noise.shape[2:]))
        options = {"stdev_spread": NOISE, "nsamples": case.noise.shape[1], "magnitude": magnitude}
        with mock.patch("numpy.random.normal", lambda *_: next(noise)):
            return each(pair.GradientSaliency().GetSmoothedMask, **options)

    found = {
        "saliency": each(pair.GradientSaliency().GetMask),
        "smooth_grad": smoothed(False),
        "smooth_grad_squared": smoothed(True),
        "integrated_gradients": each(pair.IntegratedGradients().GetMask, x_steps=STEPS, batch_size=STEPS + 1),
    }
    if not case.is_image:  # their Grad-CAM averages over two axes, their window is a square
        return found
    grad_cam, side = pair.GradCam().GetMask, case.inputs.shape[1] // 2
    return found | {
        "grad_cam": each(grad_cam, three_dims=False, should_resize=False),
        "grad_cam_enlarged": each(grad_cam, three_dims=False),
        "occlusion": each(pair.Occlusion().GetMask, size=side, value=float(case.fill))[..., 0],
    }


if __name__ == "__main__":
    answer("saliency", version("saliency"), maps, sys.argv[1:])
