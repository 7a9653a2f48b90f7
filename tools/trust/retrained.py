"""The methods scored on networks that were trained again and again: "A before B" of a method, not of one network."""

import functools
from collections.abc import Callable
from pathlib import Path

from tools.environment import ROOT
from tools.trust import runs as kept
from tools.trust.runs import Run

TRAININGS = {"mnist1d": 8, "schematic_faces": 8, "tissue_phantom": 8}
METRICS = ("average_drop", "average_increase", "deletion", "insertion", "evidence_mass", "rank_accuracy")
ITEMS, EPOCHS = {"mnist1d": 100, "schematic_faces": 60, "tissue_phantom": 30}, 120


def runs() -> list[Run]:
    """The trainings of each kind of data."""
    return [
        Run(
            f"{kind}-{seed}",
            f"{kind}_retrained",
            lambda kind=kind, seed=seed: scored(kind, network, seed),
            (METRICS, ITEMS[kind], EPOCHS),
        )
        for kind, count in TRAININGS.items()
        for seed in range(1, count + 1)
    ]


def methods(kind: str) -> dict[str, dict]:
    """{name: options} of the methods of the tables, each as the rule of chapter 07 sets it for that data."""
    from tools import tables

    settings = tables.TABLES[f"{kind}_all"].settings
    names = dict.fromkeys(name.removesuffix(tables.TUNED) for name in settings["methods"])
    options = settings["options"]
    return {name: options.get(f"{name}{tables.TUNED}", options.get(name, {})) for name in names}


def scored(kind: str, train: Callable, seed: int, items: int | None = None):
    """The rows of one network: method, training, item and a column for each metric."""
    import xai_utils as xu
    from tools import tables

    table, chosen = tables.TABLES[f"{kind}_all"], methods(kind)
    inputs, masks = table.data()
    items = ITEMS[kind] if items is None else items
    question = {name: value for name, value in table.settings.items() if name not in ("methods", "options")}
    question |= {"fill": float(inputs.mean()), "metrics": METRICS, "methods": tuple(chosen)}
    question["options"] = {name: options for name, options in chosen.items() if options}
    frame = xu.evaluate(
        poured(kind, "scored", train(kind, seed).get_weights()), inputs[:items], masks=masks[:items], **question
    )
    wide = frame.pivot(index=["method", "item"], columns="metric", values="value")[list(METRICS)].reset_index()
    return wide.assign(training=seed)


def network(kind: str, seed: int):
    """A network as models/train.py makes it, from another start."""
    return signals(seed) if kind == "mnist1d" else phantoms(kind, seed)


def poured(kind: str, role: str, weights):
    """The network of a kind that is kept for a role, with other weights: its graphs are traced once for all runs."""
    kept_network(kind, role).set_weights(weights)
    return kept_network(kind, role)


@functools.cache
def kept_network(kind: str, role: str):
    """The committed network of a kind, loaded once for each role that it plays."""
    import xai_utils as xu

    return xu.load_model(ROOT / "models" / f"{kind}.keras")


def signals(seed: int):
    """The network of mnist1d.keras, from another start."""
    import mnist1d_utils as m1

    model = m1.network("flatten", seed=seed)
    m1.train(model, m1.make_dataset(), epochs=EPOCHS, seed=seed, checkpoint=checkpoint(f"mnist1d-{seed}"))
    model.input_range = (-6.0, 6.0)
    return model


def phantoms(kind: str, seed: int, **confounded):
    """The network of a phantom, as models/train.py makes it, from another start, with an artefact or without."""
    import sys

    sys.path.insert(0, str(ROOT / "models"))
    import train

    name = "-".join(map(str, (kind, *confounded.values(), seed)))
    return train.retrained(kind, seed, checkpoint(name), **confounded)


def checkpoint(name: str) -> Path:
    """Where the training of a network is kept from epoch to epoch."""
    folder = kept.FOLDER / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.npz"
