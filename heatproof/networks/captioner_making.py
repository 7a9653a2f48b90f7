"""From a world of captioned pictures and a classifier to its five captioners, one after the other; interrupted, on."""

from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np

from heatproof.data.captions import Captioned
from heatproof.data.captions_vocabulary import Vocabulary
from heatproof.networks.captioner import Captioner
from heatproof.networks.captioner_network import UNITS, captioning_network, digest_of, head_features
from heatproof.networks.captioner_training import (
    Lesson,
    Plan,
    class_vectors,
    learn_to_classify,
    learn_to_write,
    sentence_classifier,
)
from heatproof.problems import ArgumentValueError
from heatproof.wording import words_of


def lesson_of(model: keras.Model, pictures: Captioned, vocabulary: Vocabulary, length: int) -> Lesson:
    """What a captioner learns from: the features that `model` has of pictures, and their sentences as numbers.

    Raises `ValueError` for pictures of another size than the model takes.
    """
    if model.input_shape[1:] != pictures.images.shape[1:]:
        given = f"pictures of shape {pictures.images.shape[1:]}"
        raise ArgumentValueError("pictures", given, f"{model.input_shape[1:]}, which the model takes")
    features = head_features(model).predict(pictures.images, batch_size=128, verbose=0)
    ids = [vocabulary.encode(sentences, length + 1) for sentences in pictures.sentences]
    return Lesson(features, pictures.labels.astype(np.int32), np.stack(ids))


class Making:
    """The five captioners of a world and a network; `folder` keeps what an interrupted run has done."""

    def __init__(self, model: keras.Model, name: str, pictures: dict[str, Captioned], folder: Path, plan: Plan) -> None:
        self.model, self.name, self.folder, self.plan = model, name, folder, plan
        self.pictures = pictures["train"]
        sentences = [sentence for each in self.pictures.sentences for sentence in each]
        self.vocabulary = Vocabulary.of(sentences)
        self.length = max(len(words_of(each)) for part in pictures.values() for s in part.sentences for each in s) + 1
        self.lesson, self.held = (
            lesson_of(model, pictures[part], self.vocabulary, self.length) for part in ("train", "validation")
        )
        self.classes = len(self.pictures.class_names)
        folder.mkdir(parents=True, exist_ok=True)

    def classifier(self) -> tuple[keras.Model, dict]:
        """D, which rewards, and its history."""
        found = sentence_classifier(len(self.vocabulary), self.length, self.classes, self.plan.seed)
        plan = Plan(epochs=max(1, self.plan.epochs // 2), rate=self.plan.rate, seed=self.plan.seed)
        return found, learn_to_classify(found, self.lesson, self.held, plan, self.folder / "classifier.npz")

    def network(self, arm: str, vectors: np.ndarray) -> keras.Model:
        """The untrained network of an arm."""
        features = self.lesson.features.shape[1]
        return captioning_network(arm, len(self.vocabulary), self.length, features, vectors, self.plan.seed)

    def trained(self, arm: str, vectors: np.ndarray, classifier: keras.Model) -> tuple[keras.Model, dict]:
        """The network of an arm and its history; it comes back without its optimizer, which would triple the file."""
        network = self.network(arm, vectors)
        file = self.folder / f"{arm}.npz"
        history = learn_to_write(network, self.lesson, self.held, self.plan, file, classifier)
        plain = self.network(arm, vectors)
        plain.set_weights(network.get_weights())
        return plain, history

    def vectors(self, classifier: keras.Model) -> np.ndarray:
        """The class vectors (K, D): of the captioner that sees the picture alone, as in the paper."""
        description, _ = self.trained("description", np.zeros((self.classes, UNITS)), classifier)
        return class_vectors(description, self.lesson, self.classes)

    def captioner(self, arm: str, vectors: np.ndarray, classifier: keras.Model, judged: float) -> Captioner:
        """A trained captioner of an arm with its card."""
        network, history = self.trained(arm, vectors, classifier)
        card = {
            "name": f"{self.name}_{arm}".replace("-", "_"),
            "arm": arm,
            "world": self.pictures.world,
            "network": self.name,
            "network_sha256": digest_of(self.model),
            "class_names": list(self.pictures.class_names),
            "sentences": f"{len(self.pictures)} pictures of the part {self.pictures.part!r}, ten sentences each",
            "plan": asdict(self.plan),
            "command": f"python models/train_captioners.py {self.name}",
            "held_log_p": history["held"][-1],
            "notes": f"The sentence classifier that rewards is right on {judged:.3f} of the held references.",
        }
        return self.told(Captioner(network, self.vocabulary, card))

    def told(self, captioner: Captioner) -> Captioner:
        """The captioner with the number of its different sentences about the held pictures of each class."""
        ids = captioner.write(self.held.features, self.held.labels)
        counts = [len(np.unique(ids[self.held.labels == label], axis=0)) for label in range(self.classes)]
        return Captioner(captioner.network, captioner.vocabulary, captioner.card | {"distinct": counts})
