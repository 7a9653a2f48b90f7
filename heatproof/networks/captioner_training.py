"""How captioners learn: their sentences, the classifier that rewards, class vectors, and the training itself."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers

from heatproof.data.captions_vocabulary import PADDING
from heatproof.networks.captioner_decoding import Steps, single
from heatproof.networks.captioner_losses import advantages, word_weights
from heatproof.networks.captioner_network import ARMS, FIRST, UNITS, word_log_probabilities
from heatproof.problems import ArgumentValueError
from heatproof.writing import replacing

BATCH = 64  # references of a step
SAMPLED, DRAWS = 16, 4  # pictures of a step that the captioner writes about, and its sentences for each


@dataclass(frozen=True)
class Lesson:
    """What a captioner learns from: `features` (N, F), `labels` (N,), the ids (N, S, T + 1) of S sentences each."""

    features: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def pick(self, random: np.random.Generator) -> np.ndarray:
        """One sentence for each picture, (N, T + 1)."""
        return self.ids[np.arange(len(self.ids)), random.integers(self.ids.shape[1], size=len(self.ids))]


@dataclass(frozen=True)
class Plan:
    """How long and how: the discriminative loss has the weight `weight` from epoch `begin` on."""

    epochs: int = 40
    begin: int = 20
    weight: float = 4.0
    rate: float = 3e-3
    seed: int = 0


# ------------------------------------------------------------------------------------------------ what is rewarded


def sentence_classifier(words: int, length: int, classes: int, seed: int = 0) -> keras.Model:
    """Build D: the words behind the start (N, T) -> p(class | sentence), by one LSTM; padding is not read.

    Source: Hendricks et al. 2016, sec. 3.2.
    """
    start = (keras.initializers.GlorotUniform(seed=200 * seed + number) for number in range(4))
    inputs = keras.Input((length,), dtype="int32", name="words")
    x = layers.Embedding(words, UNITS, mask_zero=True, embeddings_initializer=next(start))(inputs)
    x = layers.LSTM(UNITS, kernel_initializer=next(start), recurrent_initializer=next(start))(x)
    x = layers.Dropout(0.3, seed=seed)(x)
    outputs = layers.Dense(classes, activation="softmax", kernel_initializer=next(start))(x)
    return keras.Model(inputs, outputs, name="sentence_classifier")


def rewards_of(classifier: keras.Model, ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """R_D = p_D(class | sentence) of each sentence (N, T + 1), by the classifier as it answers, without dropout."""
    return np.asarray(classifier.predict_on_batch(ids[:, 1:]), np.float64)[np.arange(len(ids)), labels]


def class_vectors(network: keras.Model, lesson: Lesson, classes: int) -> np.ndarray:
    """The mean hidden state of a captioner over all words of the sentences of each class, (K, D), standardised.

    Over the classes each number has mean 0 and standard deviation 1: raw, the means of two classes hardly differ.
    Raises `ValueError` for a class without sentences. Source: Hendricks et al. 2016, sec. 3.1.
    """
    absent = sorted(set(range(classes)) - set(np.asarray(lesson.labels).tolist()))
    if absent:
        given = f"no sentence of the classes {absent}"
        raise ArgumentValueError("labels", given, f"one or more of each class from 0 to {classes - 1}")
    hidden = keras.Model(network.inputs, network.get_layer("lstm2").output[0])
    total, words = np.zeros((classes, UNITS)), np.zeros(classes)
    for ids in np.moveaxis(lesson.ids, 1, 0):
        states = hidden.predict([ids[:, :-1], lesson.features, lesson.labels], batch_size=256, verbose=0)
        read = ids[:, 1:] != PADDING
        np.add.at(total, lesson.labels, (states * read[..., None]).sum(axis=1))
        np.add.at(words, lesson.labels, read.sum(axis=1))
    means = total / words[:, None]
    return (means - means.mean(axis=0)) / np.maximum(means.std(axis=0), 1e-6)


# -------------------------------------------------------------------------------------------------------- training


def learn_to_classify(classifier: keras.Model, lesson: Lesson, held: Lesson, plan: Plan, checkpoint: Path) -> dict:
    """Train D on the references; returns its history, with the accuracy on the held sentences after each epoch."""

    def step(items, sentences, random, epoch):
        return float(classifier.train_on_batch(sentences[:, 1:], lesson.labels[items]))

    def judge():
        found = classifier.predict(held.ids[:, 0, 1:], batch_size=256, verbose=0).argmax(axis=1)
        return float(np.mean(found == held.labels))

    classifier.compile(keras.optimizers.Adam(plan.rate), "sparse_categorical_crossentropy", jit_compile=False)
    return _Run(classifier, checkpoint).through(lesson, plan, step, judge)


def learn_to_write(
    network: keras.Model, lesson: Lesson, held: Lesson, plan: Plan, checkpoint: Path, classifier: keras.Model
) -> dict:
    """Train a captioning network in place by L_R - lambda E[R_D]; returns its history, the held log p a word among it.

    A step takes a reference for each picture of its batch and, for an arm with the discriminative loss, the sentences
    that the captioner itself draws for some of them. Raises `ValueError` for a checkpoint of another network.
    """
    arm, steps = ARMS[network.name.replace("_", "-")], Steps(network)

    def step(items, sentences, random, epoch):
        batch = [sentences[:, :-1], lesson.features[items], lesson.labels[items]]
        words, weights = sentences[:, 1:], word_weights(sentences)
        if arm.discriminates and epoch >= plan.begin:
            drawn, given, earned = draw(steps, classifier, lesson, items[:SAMPLED], plan.weight, random)
            batch = [np.concatenate(pair) for pair in zip(batch, [drawn[:, :-1], *given], strict=True)]
            words, weights = np.concatenate([words, drawn[:, 1:]]), np.concatenate([weights, earned])
        return float(network.train_on_batch(batch, np.maximum(words - FIRST, 0), weights))

    def judge():
        ids = held.ids[:, 0]
        logits = network.predict([ids[:, :-1], held.features, held.labels], batch_size=256, verbose=0)
        log_p = word_log_probabilities(logits.astype(np.float64), ids[:, 1:])
        return float(log_p.sum() / (ids[:, 1:] != PADDING).sum())

    prepare(network, plan)
    return _Run(network, checkpoint).through(lesson, plan, step, judge)


def prepare(network: keras.Model, plan: Plan) -> None:
    """Compile a captioning network: Adam, and the sum of weighted cross-entropies."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    network.compile(keras.optimizers.Adam(plan.rate, clipnorm=1.0), loss, jit_compile=False)


def draw(
    steps: Steps,
    classifier: keras.Model,
    lesson: Lesson,
    items: np.ndarray,
    weight: float,
    random: np.random.Generator,
) -> tuple:
    """Sentences that the captioner draws for some pictures: ids, (features, classes), weights of their words."""
    each = np.repeat(items, DRAWS)
    features, labels = lesson.features[each], lesson.labels[each]
    ids = single(steps, features, labels, lesson.ids.shape[-1] - 1, random)
    rewards = rewards_of(classifier, ids, labels)
    gained = advantages(rewards.reshape(-1, DRAWS)).ravel()
    return ids, (features, labels), word_weights(ids, weight * gained)


class _Run:
    """A training under way, written to a file after every few epochs, from which it goes on."""

    EVERY = 5

    def __init__(self, network: keras.Model, path: Path) -> None:
        self.network, self.path = network, Path(path)
        self.history: dict[str, list[float]] = {"loss": [], "held": []}
        network.optimizer.build(network.trainable_variables)
        if self.path.is_file():
            self._resume()

    def _arrays(self):
        return [*self.network.get_weights(), *map(np.asarray, self.network.optimizer.variables)]

    def _resume(self):
        try:
            with np.load(self.path, allow_pickle=False) as file:
                found = [file[f"a{number}"] for number in range(len(self._arrays()))]
                history = json.loads(str(file["history"]))
        except Exception as error:  # a damaged archive fails in many ways
            given = f"{self.path}, which cannot be read ({error})"
            raise ArgumentValueError("checkpoint", given, cure="delete it to start anew") from error
        if [*map(np.shape, found)] != [*map(np.shape, self._arrays())]:
            given = f"{self.path}, which is of another network"
            raise ArgumentValueError("checkpoint", given, cure="delete it to start anew")
        weights = len(self.network.get_weights())
        self.network.set_weights(found[:weights])
        for variable, value in zip(self.network.optimizer.variables, found[weights:], strict=True):
            variable.assign(value)
        self.history = history

    def through(self, lesson: Lesson, plan: Plan, step: Callable, judge: Callable) -> dict:
        """All epochs that are left: the order, the sentences and the draws of each follow from its number alone."""
        for epoch in range(len(self.history["loss"]), plan.epochs):
            random = np.random.default_rng([plan.seed, epoch])
            order, sentences, losses = random.permutation(len(lesson.labels)), lesson.pick(random), []
            for place in range(0, len(order) - BATCH + 1, BATCH):
                items = order[place : place + BATCH]
                losses.append(step(items, sentences[items], random, epoch))
            self.history["loss"].append(round(float(np.mean(losses)), 4))
            self.history["held"].append(round(judge(), 4))
            if (epoch + 1) % self.EVERY == 0 or epoch + 1 == plan.epochs:
                self._save()
                print(
                    f"{self.network.name}, epoch {epoch + 1}: {losses[-1]:.3f}, {self.history['held'][-1]}", flush=True
                )
        return self.history

    def _save(self):
        arrays = {f"a{number}": array for number, array in enumerate(self._arrays())}
        with replacing(self.path) as (partial,), partial.open("wb") as stream:
            np.savez(stream, history=json.dumps(self.history), **arrays)
