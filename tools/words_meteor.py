"""METEOR of the captioners' sentences, by pycocoevalcap's Java program: python -m tools.words_meteor

results/words_meteor.csv: for each arm of each world the mean over the test pictures, with a 95 % interval. There is no
METEOR of our own, and programs of that name disagree; this is METEOR 1.5 as pycocoevalcap 1.2 calls it, in English. It
runs in .venv-peers and needs Java. CIDEr of that package stands beside it, by the frequencies of the test references.
"""

import json
import sys

import pandas as pd

import xai_utils as xu
from heatproof.wording import words_of
from heatproof.writing import write
from tools.environment import ROOT
from tools.peers.environment import ensure_peers, run
from tools.words import ARMS, WORLDS, tidy

RESULT, FILE = ROOT / "results" / "words_meteor.csv", ROOT / "build" / "meteor.json"
SHOWN = ["world", "method", "metric", "mean", "low", "high", "items", "failed", "version"]


def plain(sentence: str) -> str:
    """Words in lower case with spaces between, as the package cuts them."""
    return " ".join(word for word in words_of(sentence) if word != ",")


def written(network: str) -> dict:
    """{arm: (sentences, references)} of the test pictures of a world; "reference": the first against the others."""
    pictures = xu.load_captioned(WORLDS[network], "test")
    model = xu.load_model(ROOT / "models" / f"{network}.keras")
    predicted = model.predict(pictures.images, verbose=0).argmax(axis=1)
    features = xu.features(model, pictures.images)
    references = [[plain(each) for each in group] for group in pictures.sentences]
    found = {"reference": ([group[0] for group in references], [group[1:] for group in references])}
    for arm in ARMS:
        path = ROOT / "models" / "captioners" / f"{network}_{arm.replace('-', '_')}.keras"
        captioner = xu.load_captioner(path)
        sentences = captioner.vocabulary.decode(captioner.write(features, predicted))
        found[arm] = [plain(each) for each in sentences], references
    return found


def table(python=None) -> pd.DataFrame:
    """Ask the package for each world and give the means."""
    found = []
    for network, world in WORLDS.items():
        write(FILE, json.dumps(written(network)))
        run([python or ensure_peers(), "-W", "ignore", "-m", "tools.peers.metrics_pycocoevalcap", FILE])
        answer = json.loads(FILE.read_text(encoding="utf-8"))
        rows = [tidy(arm, metric, values) for arm, its in answer["scores"].items() for metric, values in its.items()]
        means = xu.summarise(pd.concat(rows, ignore_index=True))
        found.append(means.assign(world=world, version=f"pycocoevalcap {answer['version']}")[SHOWN])
    return pd.concat(found, ignore_index=True)


def main(python=None) -> None:
    """Make the table and write it."""
    write(RESULT, table(python).to_csv(index=False, float_format="%.4g", lineterminator="\n"))


if __name__ == "__main__":
    main(*sys.argv[1:])
