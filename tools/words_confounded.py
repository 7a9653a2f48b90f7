"""Does a sentence admit what decided? results/words_confounded.csv: python -m tools.words_confounded

The network of models/captioned_faces_confounded.keras was trained on faces with a printed digit that names the class.
Here the digit names another class than the face, so the prediction tells which of the two decides. Two captioners
describe what this network sees: one learned sentences that have no word for the digit, one sentences that do.
"""

import numpy as np
import pandas as pd

import xai_utils as xu
from heatproof.writing import write
from tools.environment import ROOT

NETWORK = "captioned_faces_confounded"
CAPTIONERS = {"without words for it": NETWORK, "with words for it": f"{NETWORK}_words"}
RESULT = ROOT / "results" / "words_confounded.csv"
SHOWN = ["method", "metric", "mean", "low", "high", "items", "failed"]
JUDGED = ("artefact", "truth", "attribute_truth", "relevance")


def table() -> pd.DataFrame:
    """The means, with 95 % intervals over the pictures."""
    pictures = xu.load_captioned("faces", "test", confounded=0.0)
    model = xu.load_model(ROOT / "models" / f"{NETWORK}.keras")
    predicted = model.predict(pictures.images, verbose=0).argmax(axis=1)
    rows = [tidy("network", "predicts the digit", predicted == pictures.nuisances["artefact"])]
    rows += [tidy("network", "predicts the face", predicted == pictures.labels)]
    features = xu.features(model, pictures.images)
    for method, name in CAPTIONERS.items():
        captioner = xu.load_captioner(ROOT / "models" / "captioners" / f"{name}_description.keras")
        sentences = captioner.vocabulary.decode(captioner.write(features, predicted))
        judged = xu.judge_words(pictures, sentences, labels=predicted, method=method)
        rows += [judged[judged["metric"].isin(JUDGED)], tidy(method, "digit_truth", digits(pictures, sentences))]
    return xu.summarise(pd.concat(rows, ignore_index=True))[SHOWN]


def digits(pictures, sentences) -> list:
    """1 where a sentence names the digit that is printed, 0 where another, NaN where none."""
    found = []
    for item, sentence in enumerate(sentences):
        said = {value for topic, value in pictures.claims(sentence) if topic == "artefact"}
        found.append(float(said == {pictures.truth(item)["artefact"]}) if said else np.nan)
    return found


def tidy(method, metric, values) -> pd.DataFrame:
    """Values as rows (method, metric, item, value)."""
    values = np.asarray(values, float)
    return pd.DataFrame({"method": method, "metric": metric, "item": np.arange(len(values)), "value": values})


def main() -> None:
    """Make the table and write it."""
    write(RESULT, table().to_csv(index=False, float_format="%.4g", lineterminator="\n"))


if __name__ == "__main__":
    main()
