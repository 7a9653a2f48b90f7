"""A network that writes a sentence about a picture: two stacked LSTMs, and the five ways to tell it what to say.

A *captioner* reads numbers, not pictures: the features that a frozen classifier has of a picture, and a vector that
stands for a class. Which of the two it sees is its *arm*.
"""

import hashlib
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from heatproof import checks
from heatproof.data.captions_vocabulary import PADDING
from heatproof.problems import ArgumentValueError

UNITS = 64  # of each LSTM, of an embedding and so of a class vector
FIRST = 2  # the first id that a captioner may write: neither padding nor the start


@dataclass(frozen=True)
class Arm:
    """What a captioner sees and what it is trained for."""

    picture: bool
    label: bool
    discriminates: bool


ARMS = {
    "definition": Arm(picture=False, label=True, discriminates=False),
    "description": Arm(picture=True, label=False, discriminates=False),
    "explanation-label": Arm(picture=True, label=True, discriminates=False),
    "explanation-discriminative": Arm(picture=True, label=False, discriminates=True),
    "explanation": Arm(picture=True, label=True, discriminates=True),
}


def captioning_network(
    arm: str, words: int, length: int, features: int, vectors: np.ndarray, seed: int = 0
) -> keras.Model:
    """Build the network of an arm: (word ids (N, T), features (N, F), classes (N,)) -> logits (N, T, V - 2).

    h_t = LSTM(E w_t), g_t = LSTM([h_t, f, c]), z_t = W g_t + b: the first LSTM sees the words so far, the second one
    its answer, the features f and the vector c of the class; an arm that does not see one of the two takes the input
    and leaves it alone. Logit k is of the word k + 2: what follows is never padding nor the start. `vectors` (K, D)
    are the class vectors, which are not trained. Sources: Donahue et al. 2015; Hendricks et al. 2016, sec. 3.1.
    """
    sees = ARMS[checks.one_of("arm", arm, ARMS)]
    start = (keras.initializers.GlorotUniform(seed=100 * seed + number) for number in range(6))
    given = (
        keras.Input((length,), dtype="int32", name="words"),
        keras.Input((features,), name="features"),
        keras.Input((), dtype="int32", name="classes"),
    )
    table = layers.Embedding(*vectors.shape, trainable=False, name="class_vectors")
    told = [given[1]] * sees.picture + [table(given[2])] * sees.label
    x = layers.Embedding(words, UNITS, embeddings_initializer=next(start), name="embedding")(given[0])
    for number in (1, 2):
        options = {"kernel_initializer": next(start), "recurrent_initializer": next(start), "name": f"lstm{number}"}
        x, *_ = layers.LSTM(UNITS, return_sequences=True, return_state=True, **options)(x)
        if number == 1:
            x = layers.Concatenate(name="told")([x, *(layers.RepeatVector(length)(each) for each in told)])
    outputs = layers.Dense(words - FIRST, kernel_initializer=next(start), name="next_word")(x)
    table.build(())
    table.set_weights([np.asarray(vectors, np.float32)])
    return keras.Model(given, outputs, name=arm.replace("-", "_"))


def head_features(model: keras.Model) -> keras.Model:
    """The part of a classifier before its head: what the last dense layer reads, (N, F), by the same weights.

    Raises `ValueError` for a model without such a layer, with several inputs, or of no fixed graph (subclassed).
    """
    heads = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
    if not heads or len(getattr(model, "inputs", None) or ()) != 1:
        given = "one without a dense layer of its own" if not heads else "one without exactly one input"
        raise ArgumentValueError("model", given, "a functional or sequential classifier that ends in a dense layer")
    return keras.Model(model.inputs, heads[-1].input)


def word_log_probabilities(logits: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Log-probability (N, T) of each of the `words` (N, T) by logits (N, T, V - 2) of what follows; 0 for padding."""
    logits = logits - logits.max(axis=-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    chosen = np.take_along_axis(log_p, np.maximum(words - FIRST, 0)[..., None], axis=-1)[..., 0]
    return np.where(words == PADDING, 0.0, chosen)


def digest_of(model: keras.Model) -> str:
    """The SHA-256 of the weights of a network, by which a captioner knows the one that it was trained on."""
    content = hashlib.sha256()
    for weights in model.get_weights():
        content.update(str(weights.shape).encode())
        content.update(np.ascontiguousarray(weights, np.float32).tobytes())
    return content.hexdigest()
