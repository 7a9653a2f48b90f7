"""A truth about the network and not about the data: what it loses when the generator draws a part of a face anew."""

from tools.trust import retrained
from tools.trust.hans import drawn
from tools.trust.removed import IGNORANT, explaining, marks
from tools.trust.runs import Run

KIND, ITEMS, PARTS, TRAININGS = "schematic_faces", 84, ("brow", "eye", "mouth"), 8


def runs() -> list[Run]:
    """A run for each training."""
    return [
        Run(f"redrawn-{training}", "redrawn", lambda training=training: redrawn(training), (ITEMS,))
        for training in range(1, TRAININGS + 1)
    ]


def redrawn(training: int):
    """Do maps rank brows, eyes and mouth as the network's score does, when one of them is drawn as in a neutral face?

    A row for each method, and for maps that know no network, random numbers, edges and a map that is the same
    everywhere: the means over the faces that are not neutral of Spearman's correlation, over the three parts, of the
    relevance where a part changes with the fall of the class logit; how often the part with the most relevance is the
    one whose change costs most (`first`); the means of the falls. A face whose map is 0 on all parts is left out of the
    correlation and counts as not first.
    """
    import numpy as np
    import pandas as pd

    import xai_utils as xu

    model = retrained.poured(KIND, "redrawn", retrained.phantoms(KIND, training).get_weights())
    faces = drawn(KIND, ITEMS, 3)
    moved = faces.class_names.index("neutral") != faces.labels
    images, labels = faces.images[moved], faces.labels[moved]
    others = [drawn(KIND, ITEMS, 3, neutral=[part]).images[moved] for part in PARTS]
    regions = np.stack([(other != images).any(axis=-1) for other in others], axis=-1)
    logits = [xu.scores(model, each, labels, score="logit") for each in (images, *others)]
    falls = logits[0][:, None] - np.stack(logits[1:], axis=-1)
    rows = []
    for name in (*explaining(KIND, model, images), *IGNORANT, "even"):
        R = marks(KIND, name, model, images, labels)
        parts = (R[..., None] * regions).sum(axis=(1, 2))
        first = float(((parts.argmax(axis=1) == falls.argmax(axis=1)) & parts.any(axis=1)).mean())
        rows.append([training, name, np.nanmean(xu.rank_correlation(parts, falls)), first, *falls.mean(axis=0)])
    return pd.DataFrame(rows, columns=["training", "method", "correlation", "first", *PARTS])
