"""A captioner: a network that writes a sentence about a picture, from what a classifier makes of it."""

import weakref
from dataclasses import dataclass, field

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from heatproof import checks
from heatproof.data.captions_vocabulary import END, PADDING, UNKNOWN, Vocabulary
from heatproof.networks.captioner_decoding import Steps, beam, single
from heatproof.networks.captioner_network import ARMS, FIRST, Arm, digest_of, head_features, word_log_probabilities
from heatproof.problems import ArgumentValueError
from heatproof.wording import as_sentences, words_of

DECODINGS = ("greedy", "beam", "sample")
WIDTH = 3  # of a beam


@dataclass(frozen=True, eq=False)
class Captioner:
    """A captioning network, the words that it knows, and its card: `arm`, `network`, `class_names` and more."""

    network: keras.Model
    vocabulary: Vocabulary
    card: dict
    _kept: dict = field(default_factory=dict, repr=False)

    @property
    def arm(self) -> Arm:
        """What it sees and what it was trained for."""
        return ARMS[self.card["arm"]]

    @property
    def length(self) -> int:
        """The most words that a sentence may have, its end among them."""
        return self.network.input_shape[0][1]

    def write(
        self,
        features: npt.ArrayLike,
        classes: npt.ArrayLike,
        decoding: str = "greedy",
        *,
        width: int = WIDTH,
        seed: int = 0,
    ) -> np.ndarray:
        """Write about pictures: word ids (N, T + 1) int32, start, words, end, padding; without an end if cut off.

        `features` (N, F) are what the network's head reads (`xu.features`), `classes` (N,) what the sentence is to
        speak for. "greedy" takes the likeliest word each time, "beam" keeps the `width` likeliest beginnings and
        returns the likeliest sentence found, "sample" draws each word from its probabilities, by `seed`. Raises
        `TypeError`, `ValueError` for features or classes of another kind, and an unknown decoding.
        """
        width, seed = self.check_decoding(decoding, width, seed)
        features, classes = self._checked(features, classes)
        if "steps" not in self._kept:
            self._kept["steps"] = Steps(self.network)
        steps = self._kept["steps"]
        if decoding == "beam":
            return beam(steps, features, classes, self.length, width)
        random = np.random.default_rng(seed) if decoding == "sample" else None
        return single(steps, features, classes, self.length, random)

    def check_decoding(self, decoding: str, width: int, seed: int) -> tuple[int, int]:
        """The width and the seed of a decoding; raises `TypeError`, `ValueError` for what is none."""
        checks.one_of("decoding", decoding, DECODINGS)
        return checks.as_count("width", width), checks.as_count("seed", seed, 0)

    def log_probabilities(self, ids: np.ndarray, features: npt.ArrayLike, classes: npt.ArrayLike) -> np.ndarray:
        """log p(w_t | w_<t, features, class) of the words of given sentences, (N, T) float64; 0 behind the end.

        `ids` (N, T + 1) as `write` or `encode` give them.
        """
        logits = self.network.predict_on_batch([ids[:, :-1], *self._checked(features, classes)])
        return word_log_probabilities(np.asarray(logits, np.float64), ids[:, 1:])

    def spoken(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the words of sentences (N, T + 1) are, the end not among them: (rows, places from 0 to T - 1)."""
        rows, places = np.nonzero(ids[:, 1:] > END)
        return rows, places

    def encode(self, sentences: list[str], count: int) -> np.ndarray:
        """Sentences, one for each of `count` pictures, as ids (N, T + 1); raises `ValueError` for unknown words."""
        for sentence in as_sentences("sentences", sentences):
            if (words := len(words_of(sentence))) >= self.length:
                given = f"{words} words in {checks.shown(sentence)}"
                raise ArgumentValueError("sentences", given, f"at most {self.length - 1} words, commas among them")
        ids = self.vocabulary.encode(sentences, self.length + 1)
        if len(ids) != count:
            raise ArgumentValueError("sentences", f"{len(ids)} for {count} inputs", "one for each input")
        for sentence, row in zip(sentences, ids, strict=True):
            if UNKNOWN in row:
                given = f"{checks.shown(sentence)}, in which a word is unknown"
                cure = "captioner.vocabulary.words lists all that it knows"
                raise ArgumentValueError("sentences", given, "words that the captioner knows", cure)
        return ids

    def _checked(self, features, classes):
        features = checks.as_finite("features", features, {2: "(N, features)"}).astype(np.float32)
        vectors, wide = len(self.card["class_names"]), self.network.input_shape[1][1]
        if features.shape[1] != wide:
            raise ArgumentValueError(
                "features", f"shape {features.shape}", f"(N, {wide})", "xu.features(model, inputs)"
            )
        given = checks.as_array("classes", classes)
        if given.shape != (len(features),) or given.dtype.kind not in "iu":
            given = f"shape {given.shape} of {given.dtype} values"
            raise ArgumentValueError("classes", given, f"{len(features)} integers, one for each row of features")
        if given.min() < 0 or given.max() >= vectors:
            raise ArgumentValueError("classes", f"{given.min()} to {given.max()}", f"integers from 0 to {vectors - 1}")
        return features, given.astype(np.int32)

    def check(self, model: keras.Model) -> None:
        """Raise `ValueError` unless this captioner was trained on the features of `model`."""
        if not isinstance(model, keras.Model) or digest_of(model) != self.card["network_sha256"]:
            given = "one that was trained on another network, or on this one with other weights"
            cure = f"explain models/{self.card['network']}.keras"
            raise ArgumentValueError("captioner", given, "one that was trained on the features of this model", cure)

    def features(self, model: keras.Model, inputs: np.ndarray, batch_size: int) -> np.ndarray:
        """What the head of a model reads of inputs, (N, F) float32: what this captioner was trained on."""
        return head_features(model).predict(inputs, batch_size=batch_size, verbose=0)

    def joined(self, model: keras.Model) -> keras.Model:
        """Model and captioner as one: [inputs, word ids (N, T + 1), classes (N,)] -> log p of each word, (N, T).

        An ordinary network, whose outputs any method explains: one word is one output. 0 behind the end.
        """
        known = self._kept.get("joined")
        if known is None or known[0]() is not model:
            self._kept["joined"] = known = weakref.ref(model), self._join(model)
        return known[1]

    def _join(self, model):
        ids, classes = keras.Input((self.length + 1,), dtype="int32"), keras.Input((), dtype="int32")
        inputs = keras.Input(model.input_shape[1:])
        logits = self.network([ids[:, :-1], head_features(model)(inputs), classes])
        words = ids[:, 1:]
        chosen = ops.one_hot(ops.maximum(words - FIRST, 0), logits.shape[-1]) * ops.log_softmax(logits)
        return keras.Model([inputs, ids, classes], ops.sum(chosen, axis=-1) * ops.cast(words != PADDING, "float32"))
