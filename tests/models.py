"""Tiny networks for the tests, with every weight drawn from a seed: biases and batch statistics are not trivial.

The same builder with the same seed and another `ending` gives the same weights, so a network that ends in logits is
an independent twin of one that ends in softmax.
"""

import keras
import numpy as np
from keras import layers

IMAGE, SIGNAL = (8, 6, 2), (12, 2)
ENDINGS = {"softmax": "softmax", "logits": None, "sigmoid": "sigmoid"}


def randomised(model, seed=0, spread=1.0):
    """Give every weight of `model` a value of its own; variances stay positive. Returns the model."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        fan_in = max(1, int(np.prod(variable.shape[:-1])))
        values = generator.normal(0, spread / np.sqrt(fan_in), variable.shape)
        if variable.path.endswith("variance"):
            values = generator.uniform(0.5, 2, variable.shape)
        elif variable.path.endswith("gamma"):
            values = generator.uniform(0.5, 1.5, variable.shape)
        elif len(variable.shape) == 1:
            values = generator.normal(0, 0.3, variable.shape)
        variable.assign(values)
    return model


def examples(model_or_shape, count=4, seed=1):
    """Standard normal inputs for a model, or for the shape of one input; float64 for a float64 model."""
    shape, dtype = model_or_shape, "float32"
    if isinstance(model_or_shape, keras.Model):
        shape, dtype = model_or_shape.inputs[0].shape[1:], model_or_shape.inputs[0].dtype
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(dtype)


def linear(shape=IMAGE, classes=3, ending="logits", seed=0):
    """S_c = sum(w_c x) + b_c. Its weights in the shape of an input: `linear_weights`."""
    inputs = keras.Input(shape)
    outputs = layers.Dense(classes, activation=ENDINGS[ending])(layers.Flatten()(inputs))
    return randomised(keras.Model(inputs, outputs), seed)


def linear_weights(model):
    """w of `linear`, (classes, *shape)."""
    kernel = np.asarray(model.layers[-1].kernel)
    return kernel.T.reshape(-1, *model.inputs[0].shape[1:])


def cnn(
    shape=IMAGE,
    classes=3,
    *,
    activation="relu",
    pooling="max",
    head="flatten",
    ending="softmax",
    use_bias=True,
    normalise=False,
    dropout=False,
    dtype=None,
    seed=0,
):
    """Convolution, pooling, convolution, head; 1-D for a signal shape, 2-D for an image shape.

    Heads: "flatten" and "gap" (one Dense), "hidden" (GAP, Dense with the activation, Dense), "pointwise" (GAP with
    kept axes, 1x1 convolution, Reshape). Layers are named conv_1, pool, conv_2.
    """
    rank = len(shape) - 1
    of_rank = lambda name: getattr(layers, f"{name}{rank}D")  # noqa: E731
    options = {"dtype": dtype, "use_bias": use_bias}
    inputs = keras.Input(shape, dtype=dtype)
    x = of_rank("Conv")(4, 3, padding="same", activation=activation, name="conv_1", **options)(inputs)
    if normalise:
        x = layers.BatchNormalization(dtype=dtype, name="norm")(x)
    x = of_rank("MaxPooling" if pooling == "max" else "AveragePooling")(2, name="pool", dtype=dtype)(x)
    x = of_rank("Conv")(5, 3, padding="same", activation=activation, name="conv_2", **options)(x)
    if dropout:
        x = layers.Dropout(0.5, dtype=dtype)(x)
    if head == "flatten":
        x = layers.Flatten(dtype=dtype)(x)
    else:
        x = of_rank("GlobalAveragePooling")(keepdims=head == "pointwise", name="gap", dtype=dtype)(x)
    if head == "hidden":
        x = layers.Dense(6, activation=activation, **options)(x)
    last = ENDINGS[ending]
    if head == "pointwise":
        x = of_rank("Conv")(classes, 1, name="scores", **options)(x)
        outputs = layers.Activation(last or "linear", dtype=dtype)(layers.Reshape((classes,), dtype=dtype)(x))
    else:
        outputs = layers.Dense(classes, activation=last, name="scores", **options)(x)
    return randomised(keras.Model(inputs, outputs), seed)


def sequential(shape=IMAGE, classes=3, ending="softmax", seed=0):
    """A Sequential network with separate ReLU and Softmax layers."""
    parts = [
        keras.Input(shape),
        layers.Conv2D(4, 3, padding="same", name="conv_1"),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(classes),
    ]
    return randomised(keras.Sequential(parts + ([layers.Softmax()] if ending == "softmax" else [])), seed)


def nested(shape=IMAGE, classes=3, ending="softmax", seed=0):
    """A convolutional sub-model inside a wrapper."""
    inner = keras.Input(shape)
    trunk = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv_1")(inner)
    trunk = layers.Conv2D(5, 3, padding="same", activation="relu", name="conv_2")(layers.MaxPooling2D(2)(trunk))
    inputs = keras.Input(shape)
    x = keras.Model(inner, trunk, name="trunk")(inputs)
    outputs = layers.Dense(classes, activation=ENDINGS[ending])(layers.Flatten()(x))
    return randomised(keras.Model(inputs, outputs), seed)


def residual(shape=IMAGE, classes=3, ending="softmax", seed=0):
    """One residual block with BatchNorm, then GAP, a hidden layer and the scores."""
    inputs = keras.Input(shape)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv_1")(inputs)
    y = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, padding="same", name="conv_2")(x))
    x = layers.Activation("relu", name="joined")(layers.Add(name="add")([x, y]))
    x = layers.Dense(6, activation="relu")(layers.GlobalAveragePooling2D(name="gap")(x))
    return randomised(keras.Model(inputs, layers.Dense(classes, activation=ENDINGS[ending])(x)), seed)


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    """A subclassed network whose ReLU is `keras.ops.relu` and whose softmax is `keras.ops.softmax`."""

    def __init__(self, classes=3, ending="softmax", **options):
        super().__init__(**options)
        self.classes, self.ending = classes, ending
        self.conv = layers.Conv2D(4, 3, padding="same", name="conv_1")
        self.flatten = layers.Flatten()
        self.dense = layers.Dense(classes)

    def call(self, inputs):
        x = self.dense(self.flatten(keras.ops.relu(self.conv(inputs))))
        return keras.ops.softmax(x) if self.ending == "softmax" else x

    def get_config(self):
        return {"classes": self.classes, "ending": self.ending}


def subclassed(shape=IMAGE, classes=3, ending="softmax", seed=0):
    """`Subclassed`, built by one call on zeros."""
    model = Subclassed(classes, ending)
    model(np.zeros((1, *shape), "float32"))
    return randomised(model, seed)


def power(exponent, shape=(3, 2), dtype=None):
    """S_0 = sum(x ** exponent) and S_1 = -S_0, with multiplications alone."""
    inputs = keras.Input(shape, dtype=dtype)
    x = inputs if exponent == 1 else layers.Multiply(dtype=dtype)([inputs] * exponent)
    model = keras.Model(inputs, layers.Dense(2, use_bias=False, dtype=dtype)(layers.Flatten(dtype=dtype)(x)))
    model.layers[-1].set_weights([np.tile([1.0, -1.0], (int(np.prod(shape)), 1))])
    return model


def conv(name, filters=4, activation="relu", **options):
    """A convolution of 3 x 3 that keeps the size."""
    return layers.Conv2D(filters, 3, padding="same", activation=activation, name=name, **options)


def headed(inputs, x, seed=1, flat=False):
    """The model of three logits that reads x by GAP, or by all positions."""
    x = layers.Flatten()(x) if flat else layers.GlobalAveragePooling2D()(x)
    return randomised(keras.Model(inputs, layers.Dense(3, name="head")(x)), seed)
