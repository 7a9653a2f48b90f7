"""Judge the captioners and keep the table in results/words.csv: python -m tools.words [NETWORK ...]

Every arm writes one sentence (greedily) about each test picture of its world, for the class that the network predicts.
Rows: the five arms; "explanation, wrong class", told another class than the predicted one; "reference", one of the ten
sentences of the grammar, compared with the other nine. Each mean has a 95 % interval, and a paired difference to the
description. The rows of networks that are not named stay; a network without captioners in models/captioners has none.
"""

import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd

import xai_utils as xu
from heatproof.writing import write
from tools.environment import ROOT

WORLDS = {"captioned_faces": "faces", "captioned_tissue": "tissue"}
ARMS = ("definition", "description", "explanation-label", "explanation-discriminative", "explanation")
RESULT = ROOT / "results" / "words.csv"
COLUMNS = ["world", "method", "metric", "mean", "low", "high", "difference", "difference low", "difference high"]
SHOWN = [*COLUMNS, "items", "failed"]


class Judge:
    """One world and its network: what is true of the test pictures, and every measure of a sentence about them."""

    def __init__(self, network: str) -> None:
        self.world, self.pictures = WORLDS[network], xu.load_captioned(WORLDS[network], "test")
        self.model = xu.load_model(ROOT / "models" / f"{network}.keras")
        self.features = xu.features(self.model, self.pictures.images)
        self.predicted = self.model.predict(self.pictures.images, verbose=0).argmax(axis=1)
        self.pairs = xu.counterfactuals(self.pictures, seed=0)
        self.changed = xu.features(self.model, self.pairs.images)
        *_, (_, shuffled) = xu.randomised(self.model, seed=0)
        self.shuffled = xu.features(shuffled, self.pictures.images)
        training = xu.load_captioned(self.world, "train")
        self.frequencies = xu.document_frequencies(training.sentences)
        classes = range(len(self.pictures.class_names))
        self.by_class = [
            [each for item in np.flatnonzero(self.pictures.labels == label) for each in self.pictures.sentences[item]]
            for label in classes
        ]

    def measured(self, method: str, sentences: list, labels: np.ndarray, references: list) -> pd.DataFrame:
        """CIDEr, class similarity and rank, and what the truth says, of one sentence for each picture."""
        likeness = xu.class_similarity(sentences, self.by_class, self.frequencies)
        found = {
            "cider": xu.cider(sentences, references, self.frequencies),
            "class_similarity": likeness[np.arange(len(labels)), labels],
            "class_rank": xu.class_rank(likeness, labels),
        }
        rows = [tidy(method, metric, values) for metric, values in found.items()]
        return pd.concat([*rows, xu.judge_words(self.pictures, sentences, labels=labels, method=method)])

    def of(self, arm: str, captioner) -> list:
        """The tables of one arm: its sentences, those of changed pictures, and those of the shuffled network."""
        told = [captioner.vocabulary.decode(captioner.write(each, self.predicted)) for each in self.inputs()]
        before, after, shuffled = told
        follows = xu.follows_picture(self.pictures, before, after, self.pairs._asdict()).assign(method=arm)
        kept = tidy(arm, "claims_kept_when_shuffled", xu.claims_kept(self.pictures, before, shuffled))
        distinct = list(xu.distinct_sentences(before, self.predicted).values())
        found = [self.measured(arm, before, self.predicted, self.pictures.sentences), follows, kept]
        found.append(tidy(arm, "distinct", np.array(distinct, float)))
        if arm == "explanation":
            count = len(self.pictures.class_names)
            moves = np.random.default_rng(0).integers(1, count, len(self.predicted))
            wrong = (self.predicted + moves) % count
            sentences = captioner.vocabulary.decode(captioner.write(self.features, wrong))
            found.append(self.measured(f"{arm}, wrong class", sentences, wrong, self.pictures.sentences))
        return found

    def inputs(self):
        """The features of the pictures, of the changed ones, and those that the shuffled network has."""
        return self.features, self.changed, self.shuffled

    def reference(self) -> pd.DataFrame:
        """The first sentence of each picture, compared with the others."""
        first = [each[0] for each in self.pictures.sentences]
        return self.measured("reference", first, self.pictures.labels, [each[1:] for each in self.pictures.sentences])


def tidy(method: str, metric: str, values: np.ndarray) -> pd.DataFrame:
    """Values as rows (method, metric, item, value)."""
    return pd.DataFrame({"method": method, "metric": metric, "item": np.arange(len(values)), "value": values})


def table(network: str) -> pd.DataFrame:
    """The means of one world, of all arms; empty where its captioners are not there."""
    files = {arm: ROOT / "models" / "captioners" / f"{network}_{arm.replace('-', '_')}.keras" for arm in ARMS}
    if not all(path.is_file() for path in files.values()):
        print(f"{network}: its captioners are not there; python models/train_captioners.py {network}")
        return pd.DataFrame(columns=SHOWN)
    judge = Judge(network)
    rows = [judge.reference()]
    for arm, path in files.items():
        rows += judge.of(arm, xu.load_captioner(path))
        print(f"{network}: {arm}", flush=True)
    means = xu.summarise(pd.concat(rows, ignore_index=True), against="description")
    return means.assign(world=judge.world)[SHOWN]


def main(names: Sequence[str] = ()) -> None:
    """Make the rows of some networks anew, unless named of all, and write the table after each of them."""
    for network in names or WORLDS:
        stored = pd.read_csv(RESULT) if RESULT.is_file() else pd.DataFrame(columns=SHOWN)
        stored = stored[stored["world"] != WORLDS[network]]
        found = pd.concat([each for each in (stored, table(network)) if len(each)]).sort_values("world", kind="stable")
        write(RESULT, found.to_csv(index=False, float_format="%.4g", lineterminator="\n"))


if __name__ == "__main__":
    main(sys.argv[1:])
