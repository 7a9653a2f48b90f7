"""Occlusion: how much the score falls when a patch is covered."""

import functools
import itertools
from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.functions import Predict, ask
from heatproof.engine.nests import over_inputs
from heatproof.engine.painting import Painting, in_graph
from heatproof.engine.query import BATCH_SIZE
from heatproof.engine.readings import LOGIT, PROBABILITY, WORDS
from heatproof.engine.stencils import within_windows
from heatproof.engine.windows import covered_scores
from heatproof.hiding import fills


@over_inputs
def occlusion(
    model: keras.Model | Predict,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    patch: int | Sequence[int] | None = None,
    stride: int | Sequence[int] | None = None,
    fill: str | npt.ArrayLike = "middle",
    probability_map: bool = False,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """How much the score falls when a patch is covered.

    M(p) = mean over the patches that contain p of S_c(x) - S_c(x with the patch set to `fill`). With
    `probability_map` M(p) is the mean of the class probability under these patches: the map that the paper shows, low
    where the evidence is. `patch`, `stride`: samples or pixels, one number or one per axis; by default a seventh of
    each side and a quarter of the patch. The last patch touches the border. `fill`: "middle" of model.input_range (of
    each input's own range where the model has none), "zero", "mean", "blur", a number or an array. Raises `ValueError`
    for a patch larger than the input, a stride below 1 or larger than the patch, an unknown fill. Source: Zeiler and
    Fergus 2014, sec. 4.2.
    """
    if checks.as_flag("probability_map", probability_map):
        checks.one_of("score", score, WORDS)
        score = PROBABILITY
    query = ask(model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size)
    space = query.inputs.shape[1:-1]
    patch = checks.per_axis("patch", patch, [max(1, round(side / query.cells(side, 7))) for side in space], space)
    stride = checks.per_axis("stride", stride, [max(1, round(side / 4)) for side in patch], patch)
    covered = fills(fill, query)
    windows = list(itertools.product(*map(_windows, space, patch, stride)))
    mean, whole = (_means_in_graph if in_graph(query) else _means_on_host)(query, windows, covered)
    return (mean if probability_map else whole.reshape(-1, *[1] * len(space)) - mean).astype(np.float32)


def _means_in_graph(query, windows, covered):
    """The mean score over the patches that contain each position, and the score of each input."""
    corners = np.array([[side.start for side in window] for window in windows])
    size, whole = np.array([side.stop - side.start for side in windows[0]]), query.scores().astype(np.float64)
    painting = Painting(query, within_windows, covered, query.inputs, [corners], lambda _: [size], "occlusion")
    change, _, times = painting.sums(whole)
    return whole.reshape(-1, *[1] * len(size)) + change / times, whole


def _means_on_host(query, windows, covered):
    """The same: from the changed part of each layer where the network allows, from whole passes where not."""
    space = query.inputs.shape[1:-1]

    def cover(item, window, out):
        out[...] = query.inputs[item]
        if window < len(windows):
            out[windows[window]] = covered[item][windows[window]]

    total, times, whole = np.zeros(query.inputs.shape[:-1]), np.zeros(space), np.zeros(len(query.inputs))
    for window in windows:
        times[window] += 1
    whole_passes = functools.partial(query.perturbed, range(len(windows) + 1), cover, label="occlusion")
    for item, window, value in covered_scores(query, windows, covered, "occlusion") or whole_passes():
        if window < len(windows):
            total[item][windows[window]] += value
        else:  # the last one covers nothing
            whole[item] = value
    return total / times, whole


def _windows(side, patch, stride):
    starts = sorted({*range(0, side - patch + 1, stride), side - patch})
    return [slice(start, start + patch) for start in starts]
