"""The networks of the panel: four of the course, and small ones in other shapes whose weights come from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers

import mnist1d_utils as m1
import xai_utils as xu

MODELS = Path(__file__).resolve().parents[2] / "models"
IMAGE, SIGNAL = (8, 6, 2), (12, 2)


@dataclass(frozen=True)
class Subject:
    """A network with what it is asked about."""

    name: str
    model: keras.Model
    inputs: np.ndarray
    masks: np.ndarray  # bool, (N, H, W) or (N, T)
    layer: str  # a convolution that is not the last one
    large: bool = False  # each method is asked with few samples


def subjects() -> Iterator[Subject]:
    signals, evidence = m1.split(m1.make_dataset(), "test")[0], m1.evidence_masks()[1]
    for name in ("mnist1d", "mnist1d_gap"):
        yield Subject(name, xu.load_model(MODELS / f"{name}.keras"), signals[:3], evidence[:3], "conv2")
    for name, phantom in {
        "schematic_faces": xu.schematic_faces(3, 7),
        "tissue_phantom": xu.tissue_phantom(2, 7),
    }.items():
        yield Subject(name, xu.load_model(MODELS / f"{name}.keras"), phantom.images, phantom.masks, "conv2", True)
    for builder in (residual, sequential, nested, one_unit, pointwise, doubles):
        model = with_weights(builder())
        shape, dtype = model.inputs[0].shape[1:], model.inputs[0].dtype
        inputs = np.random.default_rng(1).normal(size=(3, *shape)).astype(dtype)
        yield Subject(builder.__name__, model, inputs, inputs[..., 0] > 0, "inner")


def with_weights(model):
    """Give every weight a value of its own; gammas and variances stay positive."""
    generator = np.random.default_rng(2)
    for variable in model.weights:
        fan_in = max(1, int(np.prod(variable.shape[:-1])))
        values = generator.normal(0, 1 / np.sqrt(fan_in), variable.shape)
        if variable.path.endswith(("variance", "gamma")):
            values = generator.uniform(0.5, 1.5, variable.shape)
        variable.assign(values)
    return model


def residual():
    """A residual block with BatchNorm, a hidden layer."""
    inputs = keras.Input(IMAGE)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="inner")(inputs)
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", name="branch")(x))
    x = layers.Activation("relu", name="joined")(layers.Add(name="sum")([x, y]))
    x = layers.Dense(6, activation="relu", name="hidden")(layers.GlobalAveragePooling2D(name="mean")(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="classes")(x))


def sequential():
    """Layers in a row, with ReLU, dropout and softmax as layers of their own; valid padding and strides."""
    parts = [layers.Conv2D(4, 3, strides=2, padding="same", name="inner"), layers.ReLU(), layers.Dropout(0.5)]
    parts += [layers.Conv2D(5, 2, name="last"), layers.LeakyReLU(), layers.Flatten()]
    return keras.Sequential([keras.Input(IMAGE), *parts, layers.Dense(3, name="classes"), layers.Softmax()])


def nested():
    """A trunk inside a wrapper that ends in logits."""
    within = keras.Input(IMAGE)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="inner")(within)
    x = layers.Conv2D(5, 3, padding="same", activation="relu", name="last")(layers.AveragePooling2D(2)(x))
    inputs = keras.Input(IMAGE)
    x = layers.Flatten()(keras.Model(within, x, name="trunk")(inputs))
    return keras.Model(inputs, layers.Dense(3, name="classes")(x))


def one_unit():
    """A signal's network that ends in one sigmoid unit behind global average pooling."""
    inputs = keras.Input(SIGNAL)
    x = layers.Conv1D(4, 3, padding="same", activation="relu", name="inner")(inputs)
    x = layers.Conv1D(5, 3, dilation_rate=2, activation="relu", name="last")(layers.MaxPooling1D(2)(x))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid", name="unit")(layers.GlobalAveragePooling1D()(x)))


def pointwise():
    """A depthwise block with ReLU6 and the head of MobileNet, a convolution with kernels of one position."""
    inputs = keras.Input(IMAGE)
    x = layers.Conv2D(4, 3, padding="same", activation="relu6", name="inner")(inputs)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.Conv2D(3, 1, name="classes")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return keras.Model(inputs, layers.Softmax()(layers.Reshape((3,))(x)))


def doubles():
    """A signal's network in float64 without a ReLU."""
    options = {"padding": "same", "activation": "tanh", "dtype": "float64"}
    inputs = keras.Input(SIGNAL, dtype="float64")
    x = layers.Conv1D(5, 3, name="last", **options)(layers.Conv1D(4, 3, name="inner", **options)(inputs))
    x = layers.Flatten(dtype="float64")(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", dtype="float64", name="classes")(x))
