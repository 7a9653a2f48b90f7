"""The classifiers of MNIST-1D and their training."""

import math
import os
from pathlib import Path

import keras
import numpy as np
from tqdm.auto import tqdm

from heatproof import checks
from heatproof.data.mnist1d import LARGEST_SEED, LENGTH, split
from heatproof.problems import ArgumentTypeError, ArgumentValueError
from heatproof.writing import replacing

WIDTHS = (32, 48, 64)  # channels of conv1, conv2, conv3
BATCH = 50


def network(head: str = "flatten", seed: int = 0) -> keras.Model:
    """Build the classifier: three Conv1D with ReLU (conv1, conv2, conv3), a head, Dense(10) softmax "probabilities".

    `head` "flatten" keeps the place of a feature (conv3: 10 positions); "gap" averages over time, so that CAM
    applies (conv3: 20 positions). Weights are drawn from `seed` alone: He normal, Glorot uniform in the last layer.
    Raises ValueError for another head, TypeError or ValueError for another seed.
    """
    checks.one_of("head", head, ("flatten", "gap"))
    seed = checks.as_count("seed", seed, 0, LARGEST_SEED)
    strides = (2, 2, 1) if head == "flatten" else (1, 2, 1)
    start = [keras.initializers.HeNormal(seed=10 * seed + i) for i in range(3)]
    last = keras.initializers.GlorotUniform(seed=10 * seed + 3)
    inputs = keras.Input((LENGTH, 1), name="signal")
    x = inputs
    for i, stride in enumerate(strides):
        options = {"strides": stride, "padding": "same", "activation": "relu", "kernel_initializer": start[i]}
        x = keras.layers.Conv1D(WIDTHS[i], 5, name=f"conv{i + 1}", **options)(x)
    if head == "flatten":
        x = keras.layers.Flatten(name="flatten")(x)
    else:
        x = keras.layers.GlobalAveragePooling1D(name="gap")(x)
    outputs = keras.layers.Dense(10, activation="softmax", kernel_initializer=last, name="probabilities")(x)
    return keras.Model(inputs, outputs, name=f"mnist1d_{head}")


def augment(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Vary signals (N, 40, 1) in ways that keep the digit, each like a step of the generator; float32.

    x' = (1 + a) roll(x, k) + b u + n with k in -5 ... 5 samples, a in [-0.2, 0.2], slope b in [-1, 1] along
    u = -0.5 ... 0.5, white noise n of standard deviation 0.05, in standardised units; `random` is a numpy Generator.
    """
    if np.shape(x)[1:] != (LENGTH, 1):
        raise ArgumentValueError("x", f"shape {np.shape(x)}", f"(N, {LENGTH}, 1)")
    if not isinstance(random, np.random.Generator):
        cure = "numpy.random.default_rng(0)"
        raise ArgumentTypeError("random", checks.shown(random), "a Generator of numpy", cure)
    count = len(x)
    places = (np.arange(LENGTH) - random.integers(-5, 6, (count, 1))) % LENGTH
    varied = np.take_along_axis(x[..., 0], places, axis=1) * (1 + random.uniform(-0.2, 0.2, (count, 1)))
    varied += random.uniform(-1, 1, (count, 1)) * np.linspace(-0.5, 0.5, LENGTH)
    varied += 0.05 * random.standard_normal((count, LENGTH))
    return varied[..., None].astype("float32")


def train(
    model: keras.Model,
    data: dict,
    *,
    epochs: int = 40,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
    progress: bool | None = None,
) -> dict:
    """Train the model in place on split "train"; it ends with the weights of the epoch best on "validation".

    AdamW with weight decay 0.001, rate falling from 0.005 to 0 along a cosine (Loshchilov and Hutter 2017/2019),
    batches of 50, cross-entropy, new variations (`augment`) in each epoch. Best is the highest validation accuracy,
    at a tie the lowest loss. The test part is never read. Order and variations follow from `seed` and the number of
    the epoch alone; no global random state is touched; equal seeds give equal weights on one machine.
    `checkpoint`: a file (.npz) written after each epoch; a run that finds it goes on from there and ends with the
    same weights as one that was never interrupted. `progress`: show a bar; None asks XAI_PROGRESS ("0" hides it).
    Returns a dictionary: loss, accuracy (varied signals), validation_loss, validation_accuracy, each a list with one
    number per epoch, and best_epoch, counted from 1.
    Raises ValueError for a model or data of other shapes, epochs below 1, and a checkpoint of another run, TypeError
    for epochs or a seed that are no integers.
    """
    x, y = split(data, "train")
    _check_training(model, checkpoint)
    epochs, seed = checks.as_count("epochs", epochs), checks.as_count("seed", seed, 0, LARGEST_SEED)
    steps = math.ceil(len(x) / BATCH)
    rate = keras.optimizers.schedules.CosineDecay(0.005, epochs * steps)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.001)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    run = _Run(model, checkpoint, f"{model.name} {model.count_params()} weights, {epochs} epochs, seed {seed}")
    hidden = os.environ.get("XAI_PROGRESS") == "0" if progress is None else not progress
    with tqdm(total=epochs, initial=run.epoch, desc=model.name, unit="epoch", disable=hidden) as bar:
        while run.epoch < epochs:
            random = np.random.default_rng((seed, run.epoch))
            order = random.permutation(len(x))
            fit = model.fit(augment(x[order], random), y[order], batch_size=BATCH, shuffle=False, verbose=0)
            run.record(fit.history, *split(data, "validation"))
            bar.set_postfix(validation=f"{run.history['validation_accuracy'][-1]:.3f}")
            bar.update()
    model.set_weights(run.best)
    return run.history | {"best_epoch": run.best_epoch}


def _check_training(model: keras.Model, checkpoint: str | os.PathLike | None) -> None:
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if shapes != ((None, LENGTH, 1), (None, 10)):
        given = f"one that maps {shapes[0]} to {shapes[1]}"
        raise ArgumentValueError("model", given, f"a map of (None, {LENGTH}, 1) to (None, 10)")
    path = None if checkpoint is None else checks.as_path("checkpoint", checkpoint)
    if path is not None and (path.suffix != ".npz" or not path.parent.is_dir()):
        raise ArgumentValueError("checkpoint", f"{str(checkpoint)!r}", "a name in .npz in a folder that exists")


class _Run:
    """A training under way: its history, the best weights so far, and the file from which it can be resumed."""

    def __init__(self, model: keras.Model, path: str | os.PathLike | None, label: str) -> None:
        self.model, self.path, self.label = model, path, label
        self.history: dict[str, list[float]] = {
            key: [] for key in ("loss", "accuracy", "validation_loss", "validation_accuracy")
        }
        self.best: list[np.ndarray] = []
        model.optimizer.build(model.trainable_variables)
        if path is not None and Path(path).exists():
            self._resume(path)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history["loss"])

    @property
    def best_epoch(self) -> int:
        """Counted from 1: highest validation accuracy, then lowest validation loss, then earliest."""
        accuracy, loss = self.history["validation_accuracy"], self.history["validation_loss"]
        return 1 + min(range(self.epoch), key=lambda i: (-accuracy[i], loss[i]))

    def record(self, fitted: dict, x: np.ndarray, y: np.ndarray) -> None:
        """Add one epoch: what fitting reported, and how the model does on the validation signals."""
        probabilities = self.model.predict_on_batch(x)
        loss = -np.log(np.maximum(probabilities[np.arange(len(y)), y], 1e-7)).mean()
        accuracy = (probabilities.argmax(axis=1) == y).mean()
        values = fitted["loss"][0], fitted["accuracy"][0], loss, accuracy
        for column, value in zip(self.history.values(), values, strict=True):
            column.append(float(value))
        if self.best_epoch == self.epoch:
            self.best = self.model.get_weights()
        if self.path is not None:
            with replacing(self.path) as (partial,):
                np.savez(partial, **self._state())

    def _state(self) -> dict:
        state = {"label": self.label, "history": list(self.history.values())}
        variables = [variable.numpy() for variable in self.model.optimizer.variables]
        for name, arrays in {"weights": self.model.get_weights(), "best": self.best, "optimizer": variables}.items():
            state.update({f"{name}{i}": array for i, array in enumerate(arrays)})
        return state

    def _resume(self, path: str | os.PathLike) -> None:
        try:
            with np.load(path, allow_pickle=False) as file:
                state = dict(file)
        except Exception as error:  # a damaged archive fails in many ways
            given = f"{self.path}, which cannot be read ({error})"
            raise ArgumentValueError("checkpoint", given, cure="delete it to start anew") from error
        if str(state.get("label")) != self.label:
            given = f"{self.path}, which is of '{state.get('label')}', not of '{self.label}'"
            raise ArgumentValueError("checkpoint", given, cure="delete it to start anew")
        count = len(self.model.get_weights())
        self.model.set_weights([state[f"weights{i}"] for i in range(count)])
        self.best = [state[f"best{i}"] for i in range(count)]
        for i, variable in enumerate(self.model.optimizer.variables):
            variable.assign(state[f"optimizer{i}"])
        self.history = dict(zip(self.history, state["history"].tolist(), strict=True))
