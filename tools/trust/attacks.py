"""Fragile and forged maps, and a scaffold that notices perturbed inputs: on the drawn faces, told as a defence."""

import functools

from tools.environment import ROOT
from tools.trust import retrained
from tools.trust.hans import drawn
from tools.trust.removed import explaining, marks
from tools.trust.runs import Run

KIND, ITEMS, LIMIT, STEPS, BETA = "schematic_faces", 21, 0.02, 100, 10.0
ATTACKED, GOALS = ("saliency", "gradient_x_input", "integrated_gradients", "grad_cam"), ("another's", "elsewhere")
PERTURBING = ("occlusion", "lime", "kernel_shap", "rise")


def runs() -> list[Run]:
    """One run for each map that a forger moves and each goal, one for the scaffold."""
    found = []
    for attacked in ATTACKED:
        for goal in GOALS:
            settings = (ITEMS, LIMIT, STEPS, BETA)
            make = functools.partial(forged, goal, attacked)
            found.append(Run(f"forged-{attacked}-{goal}", "forged", make, settings))
    return [*found, Run("scaffold", "scaffold", scaffold, (ITEMS,))]


def forged(goal: str, attacked: str):
    """How far maps move when a picture is changed by at most 2 % of its range, without another class.

    The goal is the map of another face by the attacked method, or what the face's own map leaves out. correlation:
    Spearman's, of a map with that of the picture as it was; noise: the same for noise of the same size; towards: with
    the goal, after, and before. Explained are the network, and its copy with soft ReLUs.
    """
    import numpy as np
    import pandas as pd

    import xai_utils as xu

    model = xu.load_model(ROOT / "models" / f"{KIND}.keras")
    phantom = drawn(KIND, ITEMS, 3)
    x, y = phantom.images, phantom.labels
    own = marks(KIND, attacked, model, x, y)
    aim = np.roll(own, 1, axis=0) if goal == "another's" else own.max(axis=(1, 2), keepdims=True) - own
    chosen = {key: value for key, value in retrained.methods(KIND)[attacked].items() if key == "baseline"}
    moved = xu.forged(model, x, aim, y, method=attacked, limit=LIMIT, steps=STEPS, beta=BETA, **chosen)
    noise = LIMIT * np.random.default_rng(0).choice([-1, 1], x.shape).astype(np.float32)
    noisy = np.clip(x + noise * np.ptp(x, axis=(1, 2, 3), keepdims=True), 0, 1)
    kept = (model.predict(moved, verbose=0).argmax(1) == model.predict(x, verbose=0).argmax(1)).mean()
    rows = []
    for network, net in {"as it is": model, "soft": xu.softened(model, BETA)}.items():
        for name in explaining(KIND, net, x):
            if network == "soft" and xu.METHODS[name].family == "perturbation":
                continue
            before, after, beside = (marks(KIND, name, net, each, y) for each in (x, moved, noisy))
            pairs = (before, after), (before, beside), (after, aim), (before, aim)
            numbers = [np.nanmean(xu.rank_correlation(a, b)) for a, b in pairs]
            rows.append([attacked, goal, network, name, kept, np.abs(moved - x).max(), *numbers])
    columns = ["attacked", "goal", "network", "method", "kept", "largest_change"]
    return pd.DataFrame(rows, columns=[*columns, "correlation", "noise", "towards", "before"])


def scaffold():
    """The digit's share of maps that perturb, for a network that reads it, bare and behind a scaffold.

    The scaffold answers as the network that reads the digit where an input looks like a face, and as its clean twin
    where it looks perturbed. Its detector has learned from other faces, with patches and segments hidden.
    agrees, follows: of faces whose digit names a wrong class, the share that it answers as the network that reads the
    digit, and the share that it takes for the class of the digit.
    """
    import numpy as np
    import pandas as pd

    import xai_utils as xu

    cheat, clean = (xu.load_model(ROOT / "models" / f"{name}.keras") for name in (f"{KIND}_confounded", KIND))
    teaching, faces = (drawn(KIND, count, seed, confounded=1.0) for count, seed in ((700, 1), (ITEMS, 3)))
    honest, decoy = (lambda inputs, net=net: net.predict(inputs, verbose=0) for net in (cheat, clean))
    hidden = _hidden(teaching.images)
    built = xu.scaffolded(honest, decoy, teaching.images, hidden)
    wrong = drawn(KIND, 200, 4, confounded=0.0)  # where the two networks answer differently
    agrees, follows = (
        float((built(wrong.images).argmax(1) == own).mean())
        for own in (honest(wrong.images).argmax(1), wrong.artefact_codes)
    )
    rows = []
    for network, explained in {"bare": honest, "scaffolded": built}.items():
        for name in PERTURBING:
            R = marks(KIND, name, explained, faces.images, faces.labels)
            mass = [np.nanmean(xu.evidence_mass(R, mask)) for mask in (faces.artefact_masks, faces.masks)]
            rows.append([network, name, *mass, agrees, follows])
    return pd.DataFrame(rows, columns=["network", "method", "mass", "evidence", "agrees", "follows"])


def _hidden(images):
    """Each picture four times with a quarter, a half or a single patch of 6 x 6 cells set to the mean grey."""
    import numpy as np

    generator, found = np.random.default_rng(0), []
    for share in (0.03, 0.25, 0.5, 0.75):
        cells = generator.random((len(images), 8, 8, 1)) < share
        hide = cells.repeat(images.shape[1] // 8, axis=1).repeat(images.shape[2] // 8, axis=2)
        found.append(np.where(hide, images.mean(), images))
    return np.concatenate(found).astype(np.float32)
