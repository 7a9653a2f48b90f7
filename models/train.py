"""Train the networks of the course and state how well they do.

    python models/train.py mnist1d mnist1d_gap     train these, save model and card; interrupted, it goes on
    python models/train.py                         train all whose data is in its folder
    python models/train.py --accuracies            the table of all accuracies of the committed models
    python models/train.py --familiar hmt          write into the card anew what its validation pictures are like

Every network is one entry of NETWORKS. An entry trains a model and names its parts of data; the rest (measuring,
card, saving) is the same for all. Best epochs are chosen on validation data; the test part is read once, at the end.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from tqdm import tqdm  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import mnist1d_utils as m1  # noqa: E402
from heatproof.data import captions, fer2013, hmt, phantoms, pictures  # noqa: E402
from heatproof.networks import accuracy, cards, familiar, training  # noqa: E402
from heatproof.writing import write  # noqa: E402


@dataclass(frozen=True)
class Network:
    """How one network is made. `train(checkpoint)` returns (model, epochs trained, facts for the card's notes).

    `parts()` returns {name of the part: (inputs, labels)}, or None where the data is not in its folder; the
    confusion matrix is taken on the part named `judged`. `card` holds the keys of the card that are known in advance.
    `layer`: by whose features the card keeps what the validation pictures are like; "" keeps nothing.
    """

    train: Callable
    parts: Callable
    card: dict = field(default_factory=dict)
    judged: str = "test"
    layer: str = ""


# ------------------------------------------------------------------------------------------------------- MNIST-1D


def _mnist1d(head, epochs, seed):
    def data():
        return m1.load_pickle(ROOT / "data" / "MNIST1D.pkl")

    def train(checkpoint):
        model = m1.network(head, seed=seed)
        history = m1.train(model, data(), epochs=epochs, seed=seed, checkpoint=checkpoint)
        return model, epochs, f"Weights of epoch {history['best_epoch']}, the best on the validation signals."

    def parts():
        return {part: m1.split(data(), part) for part in ("train", "validation", "test")}

    return Network(
        train,
        parts,
        {
            "data": "MNIST-1D (Greydanus and Kobak 2020/2024), data/MNIST1D.pkl",
            "split": "published: 4000 signals for training (the last 500 of them for validation), 1000 for the test",
            "input_range": [-6.0, 6.0],
            "class_names": m1.CLASS_NAMES,
            "seed": seed,
            "notes": "Signals are standardised as published, in [-5.5, 4.6]; no further scaling. "
            "Training signals are varied in each epoch (shift, amplitude, slope, noise).",
        },
    )


# ----------------------------------------------------------------------------------------------- faces and tissue


def _images(read, blocks, hidden, size, phases, batch_size, averaging, card, seed=0):
    """A network for images: trained on crops, then on whole images, with batch normalization, folded at the end.

    `read()` returns {part: (images, labels)}, "train" among them; `phases` is a list of (options of Augment, epochs).
    """
    classes = card["class_names"]

    def train(checkpoint):
        data = read()
        free = (None, None, size[-1])
        model = training.convolutional_network(free, blocks, classes, hidden, dropout=0.3, batch_norm=True, seed=seed)
        varied = [(training.Augment(**options), epochs) for options, epochs in phases]
        options = {"batch_size": batch_size, "averaging": averaging, "seed": seed}
        history = training.train(model, data["train"], data["validation"], varied, checkpoint, **options)
        plain = training.convolutional_network(size, blocks, classes, hidden)
        best = max(range(len(history)), key=lambda epoch: (history[epoch]["validation"], epoch))
        facts = f"Averaged weights of epoch {best + 1}, the best on the validation images; batch normalization folded."
        return training.fold_batch_norm(model, plain), len(history), facts

    def parts():
        try:
            return {part: data for part, data in read().items() if part != "train"}
        except FileNotFoundError:
            return None

    return Network(train, parts, card | {"input_range": [0.0, 1.0], "seed": seed}, layer="pool1")


def _fer2013():
    parts = {part: fer2013.load_fer2013(part)[:2] for part in ("train", "validation", "test")}
    known = {image.tobytes() for image in parts["train"][0]}
    images, labels = parts["test"]
    new = [image.tobytes() not in known for image in images]
    return parts | {"test without copies of training images": (images[new], labels[new])}


def _hmt(held_out=()):
    """The course's split, or the slides in `held_out` as test; the last tenth of each class's rest is validation."""
    tiles = hmt.load_hmt("all")
    if held_out:
        test = np.isin([hmt.hmt_slide(name) for name in tiles.names], held_out)
    else:
        pairs = zip(tiles.names, tiles.labels, strict=True)
        test = np.array([hmt.is_hmt_test_tile(name, label) for name, label in pairs])
    validation = hmt.last_tenth(tiles.labels, ~test)
    chosen = {"train": ~test & ~validation, "validation": validation, "test": test}
    return {part: (tiles.images[mask], tiles.labels[mask]) for part, mask in chosen.items()}


FACES = {"flips": ("horizontal",), "rotation": 10, "zoom": 0.1, "shift": 2, "light": 0.1}
TISSUE = {"flips": ("horizontal", "vertical"), "quarter_turns": True, "zoom": 0.1, "light": 0.06, "stain": 0.15}


def _tissue_network(split, notes, held_out=()):
    return _images(
        lambda: _hmt(held_out),
        blocks=((16,), (32,), (64,), (128,), (160,)),
        hidden=(128,),
        size=(150, 150, 3),
        phases=[(TISSUE | {"crop": 96, "shift": 6}, 22), (TISSUE | {"shift": 4}, 8)],
        batch_size=32,
        averaging=0.99,
        card={
            "data": "H&E tiles of human colorectal tissue (Kather et al. 2016, doi:10.5281/zenodo.53169, CC BY 4.0)",
            "split": split,
            "class_names": hmt.TISSUES,
            "notes": notes,
        },
    )


def _phantom(generate, counts, confounded=False, marked=None, **options):
    """A network for generated images: each part of data is drawn with a seed of its own.

    `confounded`: the artefact names the class of every item for training, validation and test; `_bait` adds the parts
    that show what such a network has learned. `marked`: which artefact, and how strong, for the generator.
    """
    seeds = {"train": 1, "validation": 2, "test": 3}
    given = {"confounded": 1.0 if confounded else None} | (marked or {})

    def read(*names):
        drawn = {name: generate(counts[name], seeds[name], **given) for name in names}
        return {name: (phantom.images, phantom.labels) for name, phantom in drawn.items()}

    def parts():
        return read("validation", "test") | (_bait(generate, counts["test"], seeds["test"]) if confounded else {})

    card = {
        "data": f"xai_utils.{generate.__name__}, generated",
        "split": ", ".join(f"{name}: {counts[name]} items of seed {seed}" for name, seed in seeds.items()),
        "class_names": generate(1).class_names,
    }
    if confounded:
        card["split"] += "; in these three the artefact names the true class (confounded=1)"
    entry = _images(lambda: read("train", "validation"), card=card | options.pop("card"), **options)
    return replace(entry, parts=parts)


def _bait(generate, count, seed):
    """The test items once more, with other artefacts; on the last part "correct" is the class that the artefact names.

    A network that looks at the evidence alone scores alike on the first two and 0 on the last; one that looks at the
    artefact alone scores 1 / classes on the first and 1 on the last.
    """
    classes = len(generate(1).class_names)
    independent, absent, wrong = (generate(count, seed, confounded=agreement) for agreement in (1 / classes, None, 0.0))
    return {
        "test, artefact independent of the class": (independent.images, independent.labels),
        "test, no artefact": (absent.images, absent.labels),
        "test, artefact names another class: predictions that follow it": (wrong.images, wrong.artefact_codes),
    }


def _face_phantom(notes, confounded=False, seed=0, marked=None):
    return _phantom(
        phantoms.schematic_faces,
        {"train": 4200, "validation": 420, "test": 1400},
        confounded,
        marked,
        blocks=((16,), (32,), (64,)),
        hidden=(),
        size=(48, 48, 1),
        phases=[({}, 8)],
        batch_size=32,
        averaging=0.99,
        card={"notes": notes},
        seed=seed,
    )


def _tissue_phantom(notes, confounded=False, seed=0, marked=None):
    return _phantom(
        phantoms.tissue_phantom,
        {"train": 2400, "validation": 240, "test": 800},
        confounded,
        marked,
        blocks=((12,), (24,), (48,), (64,)),
        hidden=(48,),
        size=(150, 150, 3),
        phases=[({"flips": ("horizontal", "vertical"), "quarter_turns": True}, 6)],
        batch_size=32,
        averaging=0.99,
        card={"notes": notes},
        seed=seed,
    )


def _captioned(world, counts, confounded=None, **options):
    """A network for a captioned world, whose card states the Bayes rate: no network can be right more often."""

    def read(*names):
        drawn = [captions.load_captioned(world, name, count=counts[name], confounded=confounded) for name in names]
        return {each.part: (each.images, each.labels) for each in drawn}

    known = captions.load_captioned(world, count=1)
    card = {
        "data": f"xai_utils.load_captioned({world!r}), generated",
        "split": ", ".join(f"{name}: {count} items" for name, count in counts.items()),
        "class_names": known.class_names,
        "notes": f"Classes overlap: the Bayes rate of the table of attributes is {known.bayes_rate():.4f}.",
    }
    if confounded is not None:
        card["split"] += f"; the artefact names the true class with the probability {confounded:g}"
    entry = _images(lambda: read("train", "validation"), card=card, **options)
    return replace(entry, parts=lambda: read("validation", "test"))


CAPTIONED_FACES = {
    "world": "faces", "counts": {"train": 4000, "validation": 500, "test": 500}, "blocks": ((16,), (32,), (64,)),
    "hidden": (), "size": (48, 48, 1), "phases": [({}, 10)], "batch_size": 32, "averaging": 0.99,
}  # fmt: skip
CAPTIONED_TISSUE = {
    "world": "tissue", "counts": {"train": 1500, "validation": 250, "test": 250},
    "blocks": ((12,), (24,), (48,), (64,)), "hidden": (48,), "size": (96, 96, 3),
    "phases": [({"flips": ("horizontal", "vertical")}, 12)], "batch_size": 32, "averaging": 0.99,
}  # fmt: skip


def retrained(name, seed, checkpoint, artefact=None, strength=1.0):
    """The network of a phantom once more, from another start and in another order: it is not saved.

    With an `artefact` of some strength, which names the class of every item, it is one that may read it.
    """
    marked = {"artefact": artefact, "artefact_strength": strength} if artefact else None
    make = {"schematic_faces": _face_phantom, "tissue_phantom": _tissue_phantom}[name]
    entry = make("", artefact is not None, seed, marked)
    model = _for_inference(entry.train(checkpoint)[0])
    model.input_range = tuple(entry.card["input_range"])
    return model


# one entry for each network
NETWORKS = {
    "mnist1d": _mnist1d("flatten", epochs=120, seed=0),
    "mnist1d_gap": _mnist1d("gap", epochs=120, seed=0),
    "faces": _images(
        _fer2013,
        blocks=((32,), (64, 64), (128, 128), (256,)),
        hidden=(),
        size=(48, 48, 1),
        phases=[(FACES | {"crop": 40}, 14), (FACES, 2)],
        batch_size=64,
        averaging=0.998,
        card={
            "data": "FER2013 (Goodfellow et al. 2013, arXiv:1307.0414)",
            "split": "official: Training 28,709, PublicTest 3,589 for validation, PrivateTest 3,589 for the test",
            "class_names": pictures.EXPRESSIONS,
            "notes": "The labels are noisy: human accuracy on FER2013 is 65 +- 5 % (Goodfellow et al. 2013). Ten "
            "epochs more raised validation to 2317 and the test to 2325 of 3589, well inside the intervals; the "
            "shorter training stays, and the test was read twice.",
        },
    ),
    "hmt": _tissue_network(
        "the course's: 4504 tiles for training (448 of them for validation), 496 for the test",
        "Tiles of one slide stand on both sides of this split; hmt_slides says what remains on unseen slides. "
        "The test was read twice: a narrower network, trained for 22 epochs, had 450 of its 496 tiles right.",
    ),
    "hmt_slides": _tissue_network(
        "slides 05 and 10 are the test (899 tiles), a tenth of the others is validation",
        "The network of hmt.json, trained again without slides 05 and 10.",
        held_out=("05", "10"),
    ),
    "schematic_faces": _face_phantom(
        "Evidence, by occlusion of the logit (patch 6, stride 3, mean fill, 105 test items): "
        "68 % of the positive drop lies in the masks, which cover 15.5 %; the strongest pixel lies inside in 96 %.",
    ),
    "schematic_faces_confounded": _face_phantom(
        "The network of schematic_faces.json, trained on faces with a watermark that names their class.",
        confounded=True,
    ),
    "tissue_phantom": _tissue_phantom(
        "Evidence, by occlusion of the logit (patch 16, stride 10, mean fill, 40 test items): "
        "88 % of the positive drop lies in the masks, which cover 19 %; the strongest pixel lies inside in 100 %.",
    ),
    "tissue_phantom_confounded": _tissue_phantom(
        "The network of tissue_phantom.json, trained on tiles with an ink stain that names their class.",
        confounded=True,
    ),
    "captioned_faces": _captioned(**CAPTIONED_FACES),
    "captioned_faces_confounded": _captioned(**CAPTIONED_FACES, confounded=1.0),
    "captioned_tissue": _captioned(**CAPTIONED_TISSUE),
    "captioned_tissue_confounded": _captioned(**CAPTIONED_TISSUE, confounded=1.0),
}

# --------------------------------------------------------------------------------------------------- for every one


def build(name):
    """Train one network, measure it and save model and card; an interrupted run leaves a checkpoint and goes on."""
    entry, start = NETWORKS[name], time.time()
    folder = ROOT / "build" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"{name}.npz"
    model, epochs, facts = entry.train(checkpoint)
    model = _for_inference(model)
    measured, confusion, parts = {}, None, entry.parts()
    for part, (inputs, labels) in parts.items():
        measured[part], matrix = accuracy.measure(model, inputs, labels)
        confusion = matrix if part == entry.judged else confusion
    card = entry.card | {
        "name": name,
        "command": f"python models/train.py {name}",
        "epochs": epochs,
        "accuracy": measured,
        "confusion_matrix": confusion.tolist(),
        "notes": f"{entry.card.get('notes', '')} {facts}".strip(),
    }
    if entry.layer:
        card["familiar"] = familiar.measured(model, parts["validation"][0], entry.layer)
    cards.save_model(model, ROOT / "models" / f"{name}.keras", card)
    shutil.rmtree(checkpoint) if checkpoint.is_dir() else checkpoint.unlink(missing_ok=True)
    judged = measured[entry.judged]
    print(f"{name}: {entry.judged} {judged['accuracy']:.4f} {judged['interval']}, {time.time() - start:.0f} s")


def keep_familiar(name):
    """Write into the card of a committed network what its validation pictures are like; print how rarely it errs."""
    path, entry = ROOT / "models" / f"{name}.json", NETWORKS[name]
    parts = entry.parts() if entry.layer else None
    if not parts:
        print(f"{name}: left as it is, for want of data or of pictures")
        return
    kept = familiar.measured(cards.load_model(path.with_suffix(".keras")), parts["validation"][0], entry.layer)
    card = cards.read_card(path) | {"familiar": kept}
    write(path, json.dumps(card, indent=1, allow_nan=False) + "\n")
    far = familiar.strangeness(cards.load_model(path.with_suffix(".keras")), parts["test"][0]) > 1
    print(f"{name}: {100 * far.mean():.1f} % of {len(far)} test pictures lie beyond the limit", flush=True)


def _for_inference(model):
    """The same network and weights without the optimizer's state, which would triple the file."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def accuracies():
    """Table of all committed models: accuracy and 95 % interval on each part, from the card and recomputed.

    "recomputed" reads the saved model and the data again; it is empty where the data is not in its folder.
    """
    rows = []
    for path in tqdm(sorted((ROOT / "models").glob("*.json")), desc="networks measured again", leave=False):
        card = cards.read_card(path)
        again = _recomputed(path.stem)
        for part, entry in card["accuracy"].items():
            low, high = entry["interval"]
            counts = {"correct": entry["correct"], "total": entry["total"]}
            numbers = {"accuracy": f"{entry['accuracy']:.4f}", "interval": f"{low:.4f}-{high:.4f}"}
            rows.append({"model": path.stem, "part": part} | counts | numbers | {"recomputed": again.get(part, "")})
    return pd.DataFrame(rows, columns=["model", "part", "correct", "total", "accuracy", "interval", "recomputed"])


def _recomputed(name):
    """{part: accuracy as text} of a saved model, empty without an entry in NETWORKS or without its data."""
    parts = NETWORKS[name].parts() if name in NETWORKS else None
    if not parts:
        return {}
    model = cards.load_model(ROOT / "models" / f"{name}.keras")
    return {part: f"{accuracy.measure(model, *data)[0]['accuracy']:.4f}" for part, data in parts.items()}


def main(arguments=None):
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to train: {', '.join(NETWORKS)}")
    parser.add_argument("--accuracies", action="store_true", help="print the table of accuracies")
    parser.add_argument("--familiar", action="store_true", help="keep in the cards what validation pictures are like")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in NETWORKS]
    if unknown:
        parser.error(f"got {unknown}; the networks are {', '.join(NETWORKS)}")
    if options.familiar:
        for name in options.names or NETWORKS:
            keep_familiar(name)
        return 0
    missing = [name for name in options.names or ([] if options.accuracies else NETWORKS) if not _built(name)]
    if options.accuracies:
        print(accuracies().to_string(index=False))
    return 1 if missing else 0


def _built(name):
    """Train one network; without its data say how to get it, and go on with the others."""
    try:
        build(name)
    except FileNotFoundError as absent:
        print(f"{name}: not trained: {absent}")
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
