"""pycocoevalcap's scores of sentences: python -m tools.peers.metrics_pycocoevalcap FILE reads and answers in FILE.

METEOR is its Java program (METEOR 1.5 of Denkowski and Lavie, English); without Java there is none.
"""

import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor

PACKAGE = "pycocoevalcap"


def answers(sentences, references):
    """{metric: one score for each sentence}; words are cut at spaces."""
    known = dict(enumerate(references))
    said = {number: [sentence] for number, sentence in enumerate(sentences)}
    scorers = {"cider": Cider()} | ({"meteor": Meteor()} if shutil.which("java") else {})
    return {name: [float(score) for score in scorer.compute_score(known, said)[1]] for name, scorer in scorers.items()}


def main(file):
    path = Path(file)
    cases = json.loads(path.read_text(encoding="utf-8"))
    found = {name: answers(*case) for name, case in cases.items()}
    path.write_text(json.dumps({"version": version(PACKAGE), "scores": found}), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
