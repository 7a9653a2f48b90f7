"""What a map marks is taken out: before a new training (ROAR), and without one (ROAD)."""

import functools

from tools.environment import ROOT
from tools.trust import retrained
from tools.trust.runs import Run

ROAR_METHODS = ("saliency", "gradient_x_input", "integrated_gradients", "smooth_grad", "var_grad", "grad_cam")
ROAR_METHODS += ("occlusion", "lrp")
IGNORANT, NOTHING = ("random", "edge"), "nothing"
SHARES, ROAR_TRAININGS, EPOCHS = (0.1, 0.3, 0.5), 5, 12
ROAD_ITEMS = {"mnist1d": 200, "schematic_faces": 60}


def runs() -> list[Run]:
    """ROAR of the signals as they are, then by method and share; ROAD of two kinds of data."""
    arms = [(NOTHING, 0.0), *((method, share) for method in (*IGNORANT, *ROAR_METHODS) for share in SHARES)]
    numbers = (ROAR_TRAININGS, EPOCHS)
    found = [Run(f"roar-{arm[0]}-{arm[1]}", "roar", functools.partial(roar, *arm), numbers) for arm in arms]
    return found + [
        Run(f"road-{kind}", "road", lambda kind=kind: road(kind), (count,)) for kind, count in ROAD_ITEMS.items()
    ]


def roar(method: str, share: float, trainings: int = ROAR_TRAININGS, epochs: int = EPOCHS, data=None):
    """The accuracies of networks that were trained and are tested on signals without what a method marks.

    The maps are those of the committed network for the class that it predicts, so that no label leaks into the holes;
    the mean of the training signals stands in them. Of a share of 0 nothing is removed.
    """
    import numpy as np
    import pandas as pd

    import mnist1d_utils as m1
    import xai_utils as xu

    data, model = m1.make_dataset() if data is None else data, xu.load_model(ROOT / "models" / "mnist1d.keras")
    mean, left, rows = float(m1.split(data, "train")[0].mean()), dict(data), []
    for name in ("x", "x_test") if share else ():
        x = np.asarray(data[name], np.float32)[..., None]
        left[name] = xu.remove_top(x, marks("mnist1d", method, model, x), share, fill=mean)[..., 0]
    x, labels = m1.split(left, "test")
    for training in range(1, trainings + 1):
        again = m1.network("flatten", seed=training)
        m1.train(again, left, epochs=epochs, seed=training)
        rows.append([method, share, training, float((again.predict(x, verbose=0).argmax(axis=1) == labels).mean())])
    return pd.DataFrame(rows, columns=["method", "share", "training", "accuracy"])


def marks(kind: str, method: str, model, x, targets=None):
    """The relevance by a method of the catalogue as the rule sets it, or a map that knows no network.

    Those are random numbers, the edges, and "even", a map that is the same everywhere.
    """
    import numpy as np

    import xai_utils as xu

    if method == "random":
        return np.random.default_rng(0).random(x.shape[:-1])
    if method == "edge":
        return xu.edge_map(model, x)
    if method == "even":
        return np.ones(x.shape[:-1])
    row = xu.METHODS[method]
    return row.reduce(np.asarray(row.function(model, x, targets, **retrained.methods(kind)[method])))


def road(kind: str):
    """The mean over items of the class probability as ROAD removes positions, most relevant first and least first."""
    import pandas as pd

    import xai_utils as xu
    from heatproof.metrics.removal import SHARES as REMOVED
    from tools import tables

    model = xu.load_model(ROOT / "models" / f"{kind}.keras")
    inputs = tables.TABLES[f"{kind}_all"].data()[0][: ROAD_ITEMS[kind]]
    rows = []
    for method in (*explaining(kind, model, inputs), *IGNORANT):
        R = marks(kind, method, model, inputs)
        for order in ("most", "least"):
            curve = xu.removal_curve(model, inputs, R, order=order)
            for share, values in zip((0.0, *REMOVED), curve.T, strict=True):
                error = values.std(ddof=1) / len(values) ** 0.5
                rows.append([kind, method, order, share, values.mean(), error])
    return pd.DataFrame(rows, columns=["data", "method", "order", "share", "probability", "error"])


def explaining(kind: str, model, inputs) -> list[str]:
    """The methods of the tables that can explain this network; CAM, for one, needs a dense layer after a pooling."""
    import xai_utils as xu
    from heatproof.problems import ArgumentValueError

    found = []
    for name, options in retrained.methods(kind).items():
        try:
            xu.METHODS[name].function(model, inputs[:1], **options)
        except ArgumentValueError:
            continue
        found.append(name)
    return found
