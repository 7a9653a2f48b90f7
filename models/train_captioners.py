"""Train the captioners of the course: five for each captioned network.

    python models/train_captioners.py captioned_faces   train these, save them with cards; interrupted, it goes on
    python models/train_captioners.py                   train all

Each network in NETWORKS is one that `models/train.py` made. The five arms are those of Hendricks et al. 2016.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from heatproof.data import captions  # noqa: E402
from heatproof.networks import captioner_files, captioner_making, captioner_network, cards  # noqa: E402
from heatproof.networks.captioner_training import Plan  # noqa: E402

# Of each network the world that it is asked about, how it is confounded and whether sentences have words for that,
# and the arms that are trained.
SHORT = Plan(epochs=20, begin=20)
NETWORKS = {
    "captioned_faces": ("faces", {}, tuple(captioner_network.ARMS), Plan()),
    "captioned_tissue": ("tissue", {}, tuple(captioner_network.ARMS), Plan()),
    "captioned_faces_confounded": ("faces", {"confounded": 1.0}, ("description",), SHORT),
    "captioned_faces_confounded_words": ("faces", {"confounded": 1.0, "artefact_words": True}, ("description",), SHORT),
}


def build(name):
    """Train the captioners of one network and save them; what is done is kept until the last of them is saved."""
    world, options, arms, plan = NETWORKS[name]
    start, folder = time.time(), ROOT / "build" / "checkpoints" / f"captioners_{name}"
    network = name.removesuffix("_words")  # one network; its sentences with and without words for the artefact
    model = cards.load_model(ROOT / "models" / f"{network}.keras")
    pictures = {part: captions.load_captioned(world, part, **options) for part in ("train", "validation")}
    making = captioner_making.Making(model, network, pictures, folder, plan)
    classifier, history = making.classifier()
    print(f"{name}: {len(making.vocabulary)} words, sentence classifier {history['held'][-1]:.3f}, {_since(start)}")
    vectors = making.vectors(classifier)
    for arm in arms:
        found = making.captioner(arm, vectors, classifier, history["held"][-1])
        found.card["name"] = found.card["name"].replace(network, name)
        found.card["command"] = f"python models/train_captioners.py {name}"
        captioner_files.save_captioner(found, ROOT / "models" / "captioners" / f"{found.card['name']}.keras")
        told = f"held log p a word {found.card['held_log_p']:.3f}, different sentences {found.card['distinct']}"
        print(f"{found.card['name']}: {told}, {_since(start)}", flush=True)
    shutil.rmtree(folder)


def _since(start):
    return f"{time.time() - start:.0f} s"


def main(arguments=None):
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"whose captioners: {', '.join(NETWORKS)}")
    names = parser.parse_args(arguments).names or list(NETWORKS)
    unknown = [name for name in names if name not in NETWORKS]
    if unknown:
        parser.error(f"unknown network {unknown[0]}; there are: {', '.join(NETWORKS)}")
    for name in names:
        build(name)


if __name__ == "__main__":
    main()
