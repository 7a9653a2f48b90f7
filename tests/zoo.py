"""Fourteen networks of Keras with random weights, each with a twin in float64 that ends in logits.

Nothing is downloaded. Kernels and biases are drawn from a seed. The statistics of each batch normalisation are those of
eight pictures, whole, dimmed and half covered, then moved at random, so that no layer is an identity and no signal dies
out or explodes on its way; the last layer is scaled so that no probability is 0 or 1.
"""

import contextlib
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from models import randomised

CLASSES, SEED = 10, 5
NAMES = (
    "VGG16",
    "ResNet50",
    "ResNet50V2",
    "InceptionV3",
    "InceptionResNetV2",
    "Xception",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "DenseNet121",
    "NASNetMobile",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "ConvNeXtTiny",
)
SIDES = {"InceptionV3": 128, "InceptionResNetV2": 128}  # the others 96: at least 2 x 2 positions at the end
BYTES = {"MobileNetV3Small", "EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny"}  # take values from 0 to 255
GATED = {"MobileNetV3Small"}  # each ReLU6 of it is in a hard sigmoid, which is no ReLU of the network
WITHOUT_RELU = {"EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny"}
WITHOUT_GAP = {"VGG16", "MobileNetV3Small", "ConvNeXtTiny"}  # their heads are not GAP + one dense layer


@dataclass(frozen=True)
class Subject:
    """A network in float32 and in float64, its twin in float64 without the softmax, and what it is asked about."""

    name: str
    models: dict
    twin: keras.Model
    inputs: np.ndarray
    targets: np.ndarray
    last: int  # the number of the layer that the head pools or flattens
    narrow: int  # of a layer with few channels

    def layer(self, number, dtype):
        """The name of that layer; of a model inside the model, its last layer."""
        layer = self.models[dtype].layers[number]
        return layer.layers[-1].name if hasattr(layer, "layers") else layer.name


def subject(name):
    """The network of that name with its pictures."""
    keras.utils.set_random_seed(SEED)  # before it is built: a dropout takes its seed then, and drops below
    model = seeded(built(name, "float32", "softmax"), name)
    models = {"float32": model, "float64": built(name, "float64", "softmax")}
    twin = built(name, "float64", None)
    for other in (models["float64"], twin):
        other.set_weights(model.get_weights())
    inputs, place = pictures(name, 2), last(model)
    return Subject(name, models, twin, inputs, favoured(twin, place, inputs), place, narrow(model))


def favoured(twin, place, inputs):
    """For each picture the class whose Grad-CAM has the highest peak: no map that is cut at 0 is empty."""
    inner = twin.layers[place].output
    A = keras.Model(twin.inputs, inner)(inputs.astype(np.float64), training=False)
    head, peaks = keras.Model(inner, twin.outputs[0]), []
    for label in range(CLASSES):
        with tf.GradientTape() as tape:
            tape.watch(A)
            score = head(A, training=False)[:, label]
        weights = tf.reduce_mean(tape.gradient(score, A), axis=(1, 2), keepdims=True)
        peaks.append(tf.reduce_max(tf.reduce_sum(weights * A, axis=-1), axis=(1, 2)))
    return np.argmax(peaks, axis=0)


@contextlib.contextmanager
def floats(dtype):
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(before)


def side(name):
    return SIDES.get(name, 96)


def built(name, dtype, ending):
    options = {"weights": None, "input_shape": (side(name), side(name), 3), "classes": CLASSES}
    with floats(dtype):
        return getattr(keras.applications, name)(classifier_activation=ending, **options)


def pictures(name, count, seed=SEED):
    """Noise that is blurred a little, in the range that the network takes."""
    coarse = np.random.default_rng(seed).uniform(-1, 1, (count, side(name) // 4, side(name) // 4, 3))
    fine = np.random.default_rng(seed + 1).uniform(-1, 1, (count, side(name), side(name), 3))
    values = (0.7 * coarse.repeat(4, axis=1).repeat(4, axis=2) + 0.3 * fine).astype(np.float32)
    return 127.5 * (values + 1) if name in BYTES else values


def varied(images):
    """Pictures as methods show them to a network: whole, dimmed, and with a half covered."""
    covered = images.copy()
    covered[:, : images.shape[1] // 2] = 0
    return np.concatenate([images, images / 6, images / 2, covered, images - covered])


def seeded(model, name):
    """Give each weight a value of its own, and each batch normalisation statistics near those of its inputs."""
    given = [layer for layer in model.layers if isinstance(layer, keras.layers.Normalization)]
    kept = [(layer, layer.get_weights()) for layer in given]
    randomised(model, SEED, spread=np.sqrt(2))
    for layer, weights in kept:
        layer.set_weights(weights)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    images = varied(pictures(name, 8, SEED + 2))
    model(images, training=True)
    generator = np.random.default_rng(SEED)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
        mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
        layer.moving_mean.assign(mean + 0.1 * np.sqrt(variance) * generator.normal(size=mean.shape))
        layer.moving_variance.assign(variance * generator.uniform(0.8, 1.25, mean.shape))
    return scaled_head(model, images)


def scaled_head(model, images):
    """Logits that differ by about 1: a softmax of them has neither 0 nor 1."""
    head = next(layer for layer in reversed(model.layers) if hasattr(layer, "kernel"))
    shares = np.log(np.maximum(model.predict(images, verbose=0), 1e-30))
    spread = shares.std(axis=-1).mean()
    for variable in head.weights:
        variable.assign(variable / spread)
    return model


def last(model):
    """The number of the layer that the last global pooling, or the flattening, reads; pooling before it is left out.

    Where a sum stands there, which is no layer, the number of the last model inside the model.
    """
    pooled = [layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    flat = [layer for layer in model.layers if isinstance(layer, keras.layers.Flatten)]
    source = (pooled or flat)[-1].input._keras_history.operation
    while isinstance(source, keras.layers.MaxPooling2D):
        source = source.input._keras_history.operation
    inside = [number for number, layer in enumerate(model.layers) if hasattr(layer, "layers")]
    return model.layers.index(source) if source in model.layers else inside[-1]


def narrow(model):
    """The number of the last layer with 16 to 96 channels and at least 6 x 6 positions."""
    shapes = [getattr(layer.output, "shape", ()) for layer in model.layers]
    fits = [len(shape) == 4 and shape[1] >= 6 and 16 <= shape[-1] <= 96 for shape in shapes]
    return max(number for number, fit in enumerate(fits) if fit)
