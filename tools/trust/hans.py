"""Clever Hans: what maps tell of networks that read an artefact, beside a clean twin on the same pictures."""

from tools.trust import retrained
from tools.trust.removed import explaining, marks
from tools.trust.runs import Run

ARTEFACTS = {"schematic_faces": ("digit", "border", "blur"), "tissue_phantom": ("ink", "border", "blur", "cast")}
STRENGTHS, TRAININGS = (0.25, 0.5, 1.0), 3
PICTURES, MAPS, ARMS = {"schematic_faces": 60, "tissue_phantom": 40}, (1, 5, 20), ("known", "unknown", "either side")
CLUSTERED, HALF = "schematic_faces", 35
CLUSTERS = (("digit", 0.25), ("digit", 0.5), ("digit", 1.0), ("border", 1.0), ("blur", 1.0))


def runs() -> list[Run]:
    """A network for each artefact, strength and training; then what clusters of maps tell."""
    found = []
    for kind, artefacts in ARTEFACTS.items():
        for training in range(1, TRAININGS + 1):
            for artefact in artefacts:
                for strength in STRENGTHS:
                    words = (kind, artefact, strength, training)
                    name = "-".join(map(str, ("hans", *words)))
                    settings = (PICTURES[kind], MAPS, ARMS)
                    found.append(Run(name, f"hans_{kind}", lambda words=words: detected(*words), settings))
    return found + [
        Run(f"clusters-{artefact}-{strength}", "clusters", lambda words=(artefact, strength): clusters(*words), (HALF,))
        for artefact, strength in CLUSTERS
    ]


def drawn(kind: str, count: int, seed: int, **options):
    """Phantoms of a kind."""
    import xai_utils as xu

    return getattr(xu, kind)(count, seed, **options)


def detected(kind: str, artefact: str, strength: float, training: int):
    """How often maps raise an alarm: a row for each method, arm and number of maps.

    mass, evidence: the mean shares of the relevance on the artefact and on the true evidence, of the network that was
    trained where the artefact names the class, and of its twin. A map that is 0 everywhere warns of nothing: it has the
    density 1. `follows`: of pictures whose artefact names another class, how many the network takes for that class.
    """
    import numpy as np
    import pandas as pd

    import xai_utils as xu

    marked = {"artefact": artefact, "artefact_strength": strength}
    cheat = retrained.phantoms(kind, training, artefact=artefact, strength=strength)
    suspect = retrained.poured(kind, "suspect", cheat.get_weights())
    twin = retrained.poured(kind, "twin", retrained.phantoms(kind, training).get_weights())
    count = PICTURES[kind]
    test, validation = (drawn(kind, count, seed, confounded=1.0, **marked) for seed in (3, 2))
    wrong = drawn(kind, 200, 4, confounded=0.0, **marked)
    follows = float((suspect.predict(wrong.images, verbose=0).argmax(axis=1) == wrong.artefact_codes).mean())
    head, rows = [kind, artefact, strength, training, follows], []
    for name in explaining(kind, twin, test.images):
        parts = ((suspect, test), (twin, test), (twin, validation))
        maps = [marks(kind, name, model, part.images, part.labels) for model, part in parts]
        masks = [part.artefact_masks for _, part in parts]
        shares = [np.nanmean(xu.evidence_mass(R, masks[0])) for R in maps[:2]]
        shares += [np.nanmean(xu.evidence_mass(R, test.masks)) for R in maps[:2]]
        everywhere = masks[0].all()  # as a blur is: its place tells nothing
        for arm in [each for each in ARMS if each != "known" or not everywhere]:
            told, statistic = (densities(maps, masks), np.mean) if arm == "known" else (maps, concentrated)
            found = xu.detection(*told, maps=MAPS, statistic=statistic, two_sided=arm == "either side", resamples=500)
            for each in found.to_dict("records"):
                numbers = [each[key] for key in ("maps", "groups", "auc", "power", "false_alarms")]
                rows.append([*head, name, *shares, arm, *numbers])
    columns = ["data", "artefact", "strength", "training", "follows", "method", "mass", "mass_twin", "evidence"]
    columns += ["evidence_twin", "arm", "maps", "groups", "auc", "power", "false_alarms"]
    return pd.DataFrame(rows, columns=columns)


def densities(maps, masks):
    """The relevance on the artefact, in multiples of that of an even map, for each map."""
    import numpy as np

    import xai_utils as xu

    return [np.nan_to_num(xu.evidence_density(R, mask), nan=1.0) for R, mask in zip(maps, masks, strict=True)]


def concentrated(maps):
    """`xu.concentration`, 0 for maps that are 0 everywhere."""
    import numpy as np

    import xai_utils as xu

    return np.nan_to_num(xu.concentration(maps))


def clusters(artefact: str, strength: float, kind: str = CLUSTERED):
    """Do clusters of maps part the pictures with an artefact from those without, for a network that may read it?

    Half of the pictures bear the artefact, which names their class. Rand's index, corrected for chance: 1 if the
    clusters are the two halves, 0 if they know nothing of them.
    """
    import numpy as np
    import pandas as pd
    from sklearn.metrics import adjusted_rand_score

    import xai_utils as xu

    marked = {"artefact": artefact, "artefact_strength": strength}
    with_it, without = drawn(kind, HALF, 5, confounded=1.0, **marked), drawn(kind, HALF, 6)
    images = np.concatenate([with_it.images, without.images])
    labels, bears = np.concatenate([with_it.labels, without.labels]), np.arange(2 * HALF) < HALF
    rows = []
    for network, trained in {"confounded": {"artefact": artefact, "strength": strength}, "clean": {}}.items():
        model = retrained.poured(kind, "clustered", retrained.phantoms(kind, 1, **trained).get_weights())
        for name in explaining(kind, model, images):
            R = marks(kind, name, model, images, labels)
            there = R.reshape(len(R), -1).any(axis=1)
            for count in (None, 2):
                found = xu.spectral_clusters(R[there], count=count)
                index = adjusted_rand_score(bears[there], found.labels)
                asked = "gap" if count is None else count
                rows.append([kind, artefact, strength, network, name, asked, found.labels.max() + 1, index])
    columns = ["data", "artefact", "strength", "network", "method", "asked", "clusters", "rand_index"]
    return pd.DataFrame(rows, columns=columns)
