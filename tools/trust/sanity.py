"""Does a map depend on the weights, and on the labels they were learned from? The whole catalogue, and two floors."""

from tools.environment import ROOT
from tools.trust import retrained
from tools.trust.hans import drawn
from tools.trust.removed import explaining
from tools.trust.runs import Run

ARMS = (("top_down", "shuffle"), ("bottom_up", "shuffle"), ("independent", "shuffle"), ("top_down", "initialiser"))
SEEDS, BATCH, ITEMS = 10, 32, {"mnist1d": 16, "schematic_faces": 8, "tissue_phantom": 4}
SMOOTH, NOISES, NOISE_SEEDS = ("saliency", "gradient_x_input", "integrated_gradients", "guided_backprop"), 50, 10
SMOOTH += ("deep_lift", "grad_cam", "layer_cam")
LABELS, EPOCHS, STEP = 10, 1000, 10  # at most EPOCHS, and a look after each STEP of them
LEARNED_ON = {"mnist1d": 300, "schematic_faces": 100, "tissue_phantom": 32}  # as many as can be learned by heart


def runs() -> list[Run]:
    """The seeds of each order, then the smooth test and shuffled labels."""
    found = []
    for kind, items in ITEMS.items():
        for seed in range(1, SEEDS + 1):
            for order, draws in ARMS:
                found.append(_run(kind, f"{order}-{draws}-{seed}", (items,), weights, order, draws, seed))
    for kind, items in ITEMS.items():
        numbers = (items, LEARNED_ON[kind], EPOCHS, STEP)
        found += [_run(kind, f"smooth-{seed}", (items, NOISES), smooth, seed) for seed in range(1, NOISE_SEEDS + 1)]
        found += [_run(kind, f"labels-{seed}", numbers, labels, seed) for seed in range(1, LABELS + 1)]
    return found


def _run(kind, name, settings, make, *words):
    return Run(f"sanity-{kind}-{name}", f"sanity_{kind}", lambda: make(kind, *words), settings)


def weights(kind: str, order: str, draws: str, seed: int):
    """The means over items, by step and measure, of `xu.parameter_test` of all methods, the edges and random numbers.

    The weights of each step go into one network that is kept, so that the graphs of a method are traced once.
    """
    import xai_utils as xu
    from heatproof.metrics.sanity import compared

    model, inputs = _asked(kind)
    steps = [(layer, copy.get_weights()) for layer, copy in xu.randomised(model, order=order, draws=draws, seed=seed)]

    def test(function, options):
        changed = ((layer, retrained.poured(kind, "shuffled", weights)) for layer, weights in steps)
        return compared(function, model, changed, inputs, None, BATCH, options)

    return _table(kind, explaining(kind, model, inputs), test, f"{order}, {draws}", seed)


def smooth(kind: str, seed: int):
    """The same of the mean map of noisy inputs (sMPRT)."""
    import xai_utils as xu

    model, inputs = _asked(kind)

    def test(function, options):
        averaged = xu.noise_averaged(function, samples=NOISES, seed=seed)
        return xu.parameter_test(averaged, model, inputs, seed=seed, **options)

    return _table(kind, SMOOTH, test, "top_down, shuffle, smooth", seed)


def labels(kind: str, seed: int):
    """`xu.data_test` of two networks that know the same inputs by heart, one with drawn labels."""
    import numpy as np

    import xai_utils as xu

    _, inputs = _asked(kind)
    x, y = learned_on(kind)
    true = retrained.poured(kind, "true", _by_heart(kind, x, y, seed).get_weights())
    shuffled = np.random.default_rng(seed).permutation(y)
    other = retrained.poured(kind, "drawn", _by_heart(kind, x, shuffled, seed).get_weights())
    learned = [_known(true, x, y), _known(other, x, shuffled)]

    def test(function, options):
        return xu.data_test(function, true, other, inputs, **options)

    found = _table(kind, explaining(kind, true, inputs), test, "labels", seed)
    return found.assign(learned=learned[0], learned_drawn=learned[1])


def _asked(kind):
    from tools import tables

    return retrained.kept_network(kind, "asked"), tables.TABLES[f"{kind}_all"].data()[0][: ITEMS[kind]]


def _table(kind, names, test, arm, seed):
    """A row for each method and step, a column for each measure, and how many items have a value."""
    import pandas as pd

    import xai_utils as xu

    functions = {name: (xu.METHODS[name].function, retrained.methods(kind)[name]) for name in names}
    functions |= {"edge": (xu.edge_map, {}), "random": (xu.random_map, {})}
    parts = []
    for name, (function, options) in functions.items():
        found = test(function, options)
        wide = found.groupby(["step", "layer", "measure"])["value"].mean().unstack("measure").reset_index()
        parts.append(wide.assign(method=name))
    return pd.concat(parts, ignore_index=True).assign(arm=arm, seed=seed)


def learned_on(kind: str):
    """The first training inputs, few enough to be learned by heart, and their labels."""
    import mnist1d_utils as m1

    if kind == "mnist1d":
        x, y = m1.split(m1.make_dataset(), "train")
        return x[: LEARNED_ON[kind]], y[: LEARNED_ON[kind]]
    phantom = drawn(kind, LEARNED_ON[kind], 1)
    return phantom.images, phantom.labels


def _by_heart(kind, x, y, seed):
    """The layers of the course's network, trained on these inputs as they are until it knows every label."""
    import keras

    import xai_utils as xu

    keras.utils.set_random_seed(seed)
    model = keras.models.clone_model(xu.load_model(ROOT / "models" / f"{kind}.keras"))
    model.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy())
    for _ in range(0, EPOCHS, STEP):
        model.fit(x, y, batch_size=32, epochs=STEP, verbose=0)
        if _known(model, x, y) == 1:
            break
    return model


def _known(model, x, y):
    """The share of the inputs that the network takes for the classes of these labels."""
    return float((model.predict(x, verbose=0).argmax(axis=1) == y).mean())
