"""Building and training the small convolutional networks.

A network is trained with batch normalization and random changes of its images, then folded into plain convolutions:
the form that is committed and explained.
"""

import json
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from heatproof.networks.accuracy import measure
from heatproof.problems import ArgumentValueError
from heatproof.writing import replacing

# --------------------------------------------------------------------------------------------------- networks


def convolutional_network(input_shape, blocks, class_names, hidden=(), dropout=0.0, batch_norm=False, seed=0):
    """Blocks of 3x3 convolutions with ReLU, max pooling between the blocks, global average pooling, dense head.

    ``input_shape`` is (H, W, C), with None for a free size; ``blocks`` holds the channels of each convolution, such
    as ((32,), (64, 64)); ``hidden`` the units of hidden dense layers. With ``batch_norm`` each convolution is followed
    by batch normalization instead of a bias: the form for training, see ``fold_batch_norm`` (Ioffe and Szegedy 2015).
    """
    inputs = x = keras.Input(input_shape, name="image")
    number = 0
    for position, widths in enumerate(blocks, start=1):
        for place, width in enumerate(widths, start=1):
            number += 1
            pool = place == len(widths) and position < len(blocks)
            x = _convolution(x, width, number, f"pool{position}" if pool else None, batch_norm, seed)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    for position, units in enumerate(hidden, start=1):
        start = keras.initializers.HeNormal(seed=1000 * seed + 100 + position)
        x = layers.Dense(units, activation="relu", kernel_initializer=start, name=f"hidden{position}")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    start = keras.initializers.GlorotUniform(seed=1000 * seed + 200)
    outputs = layers.Dense(len(class_names), activation="softmax", kernel_initializer=start, name="classes")(x)
    return keras.Model(inputs, outputs)


def _convolution(x, width, number, pool, batch_norm, seed):
    start = keras.initializers.HeNormal(seed=1000 * seed + number)
    options = {"padding": "same", "kernel_initializer": start, "name": f"conv{number}"}
    pooled = layers.MaxPooling2D(name=pool) if pool else lambda x: x
    if not batch_norm:
        return pooled(layers.Conv2D(width, 3, activation="relu", **options)(x))
    x = pooled(layers.Conv2D(width, 3, use_bias=False, **options)(x))
    positive = keras.constraints.NonNeg()
    x = layers.BatchNormalization(momentum=0.95, gamma_constraint=positive, name=f"norm{number}")(x)
    return layers.ReLU(name=f"relu{number}")(x)


def fold_batch_norm(trained, plain):
    """Copy the weights of ``trained`` into ``plain``, the same network with biases instead of batch normalization.

    At test time gamma (w * x - mean) / s + beta with s = sqrt(variance + epsilon) is again a convolution:
    kernel w gamma / s, bias beta - mean gamma / s. While training, the pooling comes before the normalization, which
    takes a third of the time off; with gamma >= 0 both it and the ReLU keep the order of numbers, so that the
    maximum may be taken before or after them. Both networks come from ``convolutional_network``.
    """
    for layer in plain.layers:
        twin: Any = trained.get_layer(layer.name) if layer.weights else None
        if isinstance(layer, layers.Conv2D):
            norm = trained.get_layer(layer.name.replace("conv", "norm"))
            gamma, beta, mean, variance = norm.get_weights()
            scale = gamma / np.sqrt(variance + norm.epsilon)
            layer.set_weights([twin.get_weights()[0] * scale, beta - mean * scale])
        elif layer.weights:
            layer.set_weights(twin.get_weights())
    return plain


# --------------------------------------------------------------------------------------------------- training


class Augment(layers.Layer):
    """Random changes that keep the class, drawn anew for each image; for training only.

    ``flips``: axes to mirror, of "horizontal" and "vertical"; ``quarter_turns``: rotate by 0, 90, 180 or 270 degrees;
    ``rotation``: up to so many degrees; ``zoom``: scale by up to this fraction; ``shift``: up to so many pixels;
    ``crop``: side of the square cut out (None: the whole image); ``light``: contrast factor and offset of brightness;
    ``stain``: factor and offset of the amounts of haematoxylin, eosin and residual, in optical density
    (Ruifrok and Johnston 2001; Tellez et al. 2018). All draws are uniform. Values stay in [0, 1].
    """

    STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], dtype="float32")

    def __init__(
        self, flips=(), quarter_turns=False, rotation=0.0, zoom=0.0, shift=0.0, crop=None, light=0.0, stain=0.0
    ):
        super().__init__()
        self.flips, self.quarter_turns, self.rotation = flips, quarter_turns, rotation
        self.zoom, self.shift, self.crop, self.light, self.stain = zoom, shift, crop, light, stain
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, images):
        images = self._move(self._cut(images))
        if self.stain:
            images = self._restain(images)
        if self.light:
            shape = (images.shape[0], 1, 1, 1)
            factor, offset = 1 + self._uniform(shape, self.light), self._uniform(shape, self.light)
            images = 0.5 + factor * (images - 0.5) + offset
        return ops.clip(images, 0.0, 1.0)

    def _cut(self, images):
        """A square at a random place, the same for the whole batch; elsewhere in the next."""
        count, size, _, channels = images.shape
        if not self.crop or self.crop == size:
            return images
        corner = keras.random.randint((2,), 0, size - self.crop + 1, seed=self.seed_generator)
        return ops.slice(images, (0, corner[0], corner[1], 0), (count, self.crop, self.crop, channels))

    def _uniform(self, shape, bound):
        return keras.random.uniform(shape, -bound, bound, seed=self.seed_generator)

    def _sign(self, count, flipped):
        return ops.sign(self._uniform((count,), 1.0)) if flipped else ops.ones((count,))

    def _move(self, images):
        """Flip, rotate, zoom and shift in one affine map about the centre (so that pixels are resampled once)."""
        count, size = images.shape[0], images.shape[1]
        angle = self._uniform((count,), self.rotation * np.pi / 180)
        if self.quarter_turns:
            angle += ops.floor(self._uniform((count,), 2.0)) * (np.pi / 2)
        scale = 1 + self._uniform((count,), self.zoom)
        across = self._sign(count, "horizontal" in self.flips)
        down = self._sign(count, "vertical" in self.flips)
        a, b = ops.cos(angle) * scale * across, -ops.sin(angle) * scale * down
        c, d = ops.sin(angle) * scale * across, ops.cos(angle) * scale * down
        centre = (size - 1) / 2
        right = centre * (1 - a - b) + self._uniform((count,), self.shift)
        below = centre * (1 - c - d) + self._uniform((count,), self.shift)
        zero = ops.zeros((count,))
        matrix = ops.stack([a, b, right, c, d, below, zero, zero], axis=1)
        return ops.image.affine_transform(images, matrix, interpolation="bilinear", fill_mode="reflect")

    def _restain(self, images):
        """Optical density D = -log x is a sum of stains, D = amounts @ STAINS: change the amounts, mix again."""
        shape = (images.shape[0], 1, 1, 3)
        unmix = np.linalg.inv(self.STAINS / np.linalg.norm(self.STAINS, axis=1, keepdims=True))
        amounts = -ops.log(ops.maximum(images, 1 / 255)) @ unmix
        amounts = amounts * (1 + self._uniform(shape, self.stain)) + self._uniform(shape, self.stain / 4)
        return ops.exp(-amounts @ np.linalg.inv(unmix))


def train(
    network,
    training,
    validation,
    phases,
    checkpoint,
    *,
    batch_size=64,
    learning_rate=2e-3,
    weight_decay=1e-3,
    smoothing=0.1,
    averaging=0.998,
    seed=0,
):
    """Train ``network`` in place and leave it with the averaged weights of its best epoch on ``validation``.

    Cross entropy with label smoothing (Szegedy et al. 2016), AdamW (Loshchilov and Hutter 2019) with a short warm-up
    and a cosine schedule, exponential average of the weights. ``training`` and ``validation`` are (images in [0, 1],
    labels); ``phases`` is a list of (Augment, epochs). Each epoch is written to the file ``checkpoint`` (.npz): a run
    that was stopped resumes where it was. Returns the history, one dictionary an epoch.

    Raises ``ValueError`` for a checkpoint that is damaged or of another network.
    """
    images, labels = training
    epochs, steps = sum(count for _, count in phases), len(images) // batch_size
    rate = keras.optimizers.schedules.CosineDecay(
        learning_rate / 20, (epochs - 1) * steps, warmup_target=learning_rate, warmup_steps=steps, alpha=0.001
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(network.trainable_variables)
    state = _Progress(network, optimizer, Path(checkpoint))
    targets = np.eye(network.output_shape[-1], dtype="float32")[labels]
    for augment, epoch, fresh in _schedule(phases, len(state.history)):
        if fresh:
            trainer = keras.Sequential([keras.Input(images.shape[1:], batch_size=batch_size), augment, network])
            trainer.compile(optimizer, keras.losses.CategoricalCrossentropy(label_smoothing=smoothing))
        _reseed(trainer, seed, epoch)
        order, start, losses = np.random.default_rng([seed, epoch]).permutation(len(images)), time.time(), []
        for step in range(steps):
            batch = np.sort(order[step * batch_size : (step + 1) * batch_size])
            losses.append(float(trainer.train_on_batch(images[batch], targets[batch])))
            state.average(averaging)
        state.end_epoch(validation, float(np.mean(losses)), time.time() - start)
    network.set_weights(state.best)
    return state.history


def _schedule(phases, done):
    """(augment, epoch, whether the trainer must be made) for each epoch that is still to do."""
    epoch = 0
    for augment, count in phases:
        for place in range(count):
            if epoch >= done:
                yield augment, epoch, place == 0 or epoch == done
            epoch += 1


def _reseed(model, seed, epoch):
    """Random layers draw from a state that depends on seed and epoch alone, so a resumed run draws the same."""
    for number, layer in enumerate(model._flatten_layers()):
        if hasattr(layer, "seed_generator"):
            layer.seed_generator.state.assign([1000 * seed + number, 100_000 * epoch])


class _Progress:
    """What a run needs to resume: weights, their average, the best average, the optimizer's state, the history."""

    def __init__(self, network, optimizer, path):
        self.network, self.optimizer, self.path, self.history = network, optimizer, path, []
        self.averaged = self.best = network.get_weights()
        if path.is_file():
            self._resume()

    def _groups(self):
        groups = {"weights": self.network.get_weights(), "averaged": self.averaged, "best": self.best}
        return groups | {"optimizer": [np.asarray(variable) for variable in self.optimizer.variables]}

    def _resume(self):
        """Take up the run that the file holds, whole or not at all."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                stored = dict(file)
            history = json.loads(str(stored["history"]))
            found = {name: [stored[f"{name}{k}"] for k in range(len(own))] for name, own in self._groups().items()}
        except Exception as error:  # a damaged archive fails in many ways
            given = f"{self.path}, which cannot be read ({error})"
            raise ArgumentValueError("checkpoint", given, cure="delete it to start anew") from error
        if any([*map(np.shape, own)] != [*map(np.shape, found[name])] for name, own in self._groups().items()):
            given = f"{self.path}, which is of another network"
            raise ArgumentValueError("checkpoint", given, cure="delete it to start anew")
        self.history, self.averaged, self.best = history, found["averaged"], found["best"]
        self.network.set_weights(found["weights"])
        for variable, value in zip(self.optimizer.variables, found["optimizer"], strict=True):
            variable.assign(value)

    def average(self, decay):
        """averaged <- d averaged + (1 - d) weights, with d growing from 0.1 to ``decay`` over the first steps."""
        step = int(self.optimizer.iterations)
        keep = min(decay, (1 + step) / (10 + step))
        self.averaged = [
            keep * old + (1 - keep) * new for old, new in zip(self.averaged, self.network.get_weights(), strict=True)
        ]

    def end_epoch(self, validation, loss, seconds):
        weights = self.network.get_weights()
        self.network.set_weights(self.averaged)
        accuracy = measure(self.network, *validation)[0]["accuracy"]
        self.network.set_weights(weights)
        if accuracy >= max([entry["validation"] for entry in self.history], default=0.0):
            self.best = self.averaged
        self.history.append({"loss": round(loss, 4), "validation": accuracy, "seconds": round(seconds)})
        print(f"epoch {len(self.history)}: {self.history[-1]}", flush=True)
        arrays = {f"{name}{k}": value for name, values in self._groups().items() for k, value in enumerate(values)}
        with replacing(self.path) as (partial,), partial.open("wb") as stream:  # savez adds .npz to other names
            np.savez(stream, history=json.dumps(self.history), **arrays)
