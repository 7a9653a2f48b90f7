"""How a captioner writes: the likeliest word each time, a beam of the likeliest beginnings, or words drawn."""

from collections.abc import Callable

import keras
import numpy as np

from heatproof.data.captions_vocabulary import END, PADDING, START
from heatproof.networks.captioner_network import ARMS, FIRST, UNITS

NEVER = -np.inf


class Steps:
    """One word at a time: the layers of a captioning network with the states that they carry on."""

    def __init__(self, network: keras.Model) -> None:
        sees = ARMS[network.name.replace("_", "-")]
        features, classes = network.inputs[1:]
        word = keras.Input((), dtype="int32")
        states = [keras.Input((UNITS,)) for _ in range(4)]
        vectors = [network.get_layer("class_vectors")(classes)] if sees.label else []
        seen = [features] * sees.picture + vectors
        x, *first = self._answer(network.get_layer("lstm1"), network.get_layer("embedding")(word), states[:2])
        x, *second = self._answer(network.get_layer("lstm2"), keras.layers.Concatenate()([x, *seen]), states[2:])
        log_p = keras.ops.log_softmax(network.get_layer("next_word")(x))
        self.model = keras.Model([word, features, classes, *states], [log_p, *first, *second])
        self.model.jit_compile = False

    @staticmethod
    def _answer(layer, x, states):
        """What an LSTM answers to one word, and its states behind it."""
        _, *states = layer(keras.ops.expand_dims(x, 1), initial_state=states)
        return states[0], *states

    def __call__(self, words, features, classes, states):
        """log p of each following word (N, V - 2), and the states behind these words."""
        log_p, *states = self.model.predict_on_batch([words, features, classes, *states])
        return np.asarray(log_p, np.float64), states


def single(
    steps: Callable, features: np.ndarray, classes: np.ndarray, length: int, random: np.random.Generator | None
) -> np.ndarray:
    """One sentence for each item: the likeliest word each time, or with `random` a drawn one."""
    count = len(features)
    ids = np.full((count, length + 1), PADDING, np.int32)
    ids[:, 0], states, running = START, [np.zeros((count, UNITS), np.float32)] * 4, np.ones(count, bool)
    for place in range(length):
        log_p, states = steps(ids[:, place], features, classes, states)
        if random is not None:  # the largest of log p plus Gumbel noise is a draw from p
            log_p = log_p + random.gumbel(size=log_p.shape)
        ids[running, place + 1] = log_p.argmax(axis=-1)[running] + FIRST
        running = running & (ids[:, place + 1] != END)
        if not running.any():
            break
    return ids


def beam(steps: Callable, features: np.ndarray, classes: np.ndarray, length: int, width: int) -> np.ndarray:
    """The likeliest sentence among those whose every beginning was one of the `width` likeliest of its item.

    A finished sentence keeps its place in the beam with its log-probability, and takes padding from there on.
    """
    count = len(features)
    each = np.repeat(np.arange(count), width)
    ids = np.full((count, width, length + 1), PADDING, np.int32)
    ids[:, :, 0] = START
    total = np.full((count, width), NEVER)
    total[:, 0] = 0.0  # all beginnings are alike: one of them
    states = [np.zeros((count * width, UNITS), np.float32)] * 4
    for place in range(length):
        log_p, states = steps(ids[:, :, place].ravel(), features[each], classes[each], states)
        over = (ids[:, :, 1 : place + 1] == END).any(axis=-1)
        best, words, total = _likeliest(total, log_p.reshape(count, width, -1), over, width)
        ids = np.take_along_axis(ids, best[..., None], axis=1)
        ids[:, :, place + 1] = words
        rows = (best + width * np.arange(count)[:, None]).ravel()
        states = [state[rows] for state in states]
        if (words <= END).all():  # or padding: every sentence is finished
            break
    return ids[np.arange(count), total.argmax(axis=1)]


def _likeliest(total, log_p, over, width):
    """Of all beginnings one word longer the `width` likeliest: (which beginning, which word, log-probability)."""
    longer = np.where(over[..., None], NEVER, total[..., None] + log_p)
    kept = np.where(over, total, NEVER)  # a finished sentence goes on as it is
    every = np.concatenate([longer, kept[..., None]], axis=-1)
    flat = every.reshape(len(every), -1)
    order = np.argsort(-flat, axis=1, kind="stable")[:, :width]
    best, column = np.divmod(order, every.shape[-1])
    words = np.where(column == log_p.shape[-1], PADDING, column + FIRST)
    return best, words, np.take_along_axis(flat, order, axis=1)
