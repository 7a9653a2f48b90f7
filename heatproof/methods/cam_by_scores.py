"""Class activation maps whose weights are scores of the network asked again, and no gradients: Score-CAM, Ablation-CAM.

Shared arguments (model, inputs, targets, layer, grid, upsample, align, score, batch_size) are explained in `xai_utils`.
"""

import functools

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.nests import over_inputs
from heatproof.engine.painting import Painting, in_graph
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import LOGIT, PROBABILITY
from heatproof.engine.stencils import enlarged_maps
from heatproof.engine.tokens import Grid
from heatproof.enlarging import enlarged, neighbours_along
from heatproof.hiding import baselines, seen_through
from heatproof.methods.finishing import CENTRES, as_enlarging, centres_of, finished, over_layers


@over_inputs(needs_positions=True)
@over_layers
def score_cam(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    layer: str | keras.layers.Layer | None = None,
    grid: Grid = None,
    weights: str = "probability",
    fill: str | npt.ArrayLike = "zero",
    upsample: bool = True,
    align: str = CENTRES,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Each map weighted by the class probability of the input seen through it: no gradient.

    H_k = the map at input resolution, scaled to [0, 1];  w_k = p_c(x * H_k + f * (1 - H_k));  M(p) = ReLU(sum_k w_k
    A_k(p)). With weights="softmax" w = softmax over k of S_c instead of p_c, the paper's other version. f = `fill`: the
    paper's is "zero", where an input that is all 0 says nothing to the network; else "mean", "blur", a number or an
    array. Constant maps, which cannot be scaled, are skipped. The H_k and M are enlarged as `align` says. One forward
    pass per map and input. Raises as `grad_cam`, and `ValueError` for other words in `weights` or `fill`. Source: Wang
    et al. 2020, eq. (3)-(8).
    """
    checks.one_of("weights", weights, ("probability", "softmax"))
    upsample, align = as_enlarging(upsample, align)
    score = PROBABILITY if weights == "probability" else LOGIT
    query = Query(
        model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size
    )
    hidden = baselines(fill, query.inputs, "fill")
    if in_graph(query):
        scores = functools.partial(_scores_in_graph, query, hidden)
    else:
        scores = functools.partial(_scores_on_host, query, seen_through(query.inputs, hidden))
    place = query.place(layer, grid)
    maps = [_score_cam_of(place, A, item, weights, scores, align) for item, A in place.activations()]
    return finished(np.stack(maps), place, upsample, align)


def _score_cam_of(place, A, item, weights, scores, align):
    flat = A.reshape(-1, A.shape[-1])
    low, high = flat.min(axis=0), flat.max(axis=0)
    varied = np.flatnonzero(high > low)
    scaled = (A[..., varied] - low[varied]) / (high[varied] - low[varied])
    grids = place.in_order(np.moveaxis(scaled, -1, 0))
    w = np.zeros(A.shape[-1])
    w[varied] = scores(item, grids, centres_of(place, align))
    if weights == "softmax" and len(varied):
        w[varied] = np.exp(w[varied] - w[varied].max())  # S_c(0) is common to all k and cancels
        w /= w.sum()
    return np.maximum(A @ w, 0)


def _scores_on_host(query, see, item, grids, centres):
    """S_c of an input seen through each of the grids, enlarged."""
    masks = enlarged(grids, query.inputs.shape[1:], centres)

    def point(item, number, out):
        see(item, masks(number), out)

    found = [value for _, _, value in query.perturbed(range(len(grids)), point, [item], "Score-CAM")]
    return np.array(found, np.float64)


def _scores_in_graph(query, hidden, item, grids, centres):
    """The same, where the enlarging is part of the graph."""
    maps = [grids.astype(np.float32), *neighbours_along(grids, query.inputs.shape[1:-1], centres)]
    codes = [np.arange(len(grids))]
    return Painting(query, enlarged_maps, query.inputs, hidden, codes, lambda _: maps, "Score-CAM").scores([item])[0]


@over_inputs(needs_positions=True)
@over_layers
def ablation_cam(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    layer: str | keras.layers.Layer | None = None,
    grid: Grid = None,
    relu: bool = True,
    upsample: bool = True,
    align: str = CENTRES,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Each map weighted by the score that is lost when the map is set to zero: no gradient.

    w_k = S_c - S_c(A_k = 0);  M(p) = ReLU(sum_k w_k A_k(p)), without the ReLU for relu=False. The paper divides w_k by
    S_c, which only scales the map, and turns it over where S_c < 0. Only what follows the layer is run again, once per
    map. Enlarged as `align` says. Raises as `grad_cam`. Source: Desai and Ramaswamy 2020, eq. (2)-(3).
    """
    relu, (upsample, align) = checks.as_flag("relu", relu), as_enlarging(upsample, align)
    query = Query(
        model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size
    )
    place, maps = query.place(layer, grid), []
    for item, A in place.activations():
        whole, *ablated = _ablated_scores(place, A, item)
        w = whole - np.array(ablated)  # eq. (2)
        raw = A @ w
        maps.append(np.maximum(raw, 0) if relu else raw)
    return finished(np.stack(maps), place, upsample, align)


def _ablated_scores(place, A, item):
    """S_c as it is, and with each map of A set to zero in turn; a chunk of copies in memory at a time."""
    maps, size = np.arange(A.shape[-1]), place.query.batch_size
    kept = np.concatenate([[maps >= 0], maps != maps[:, None]]).astype(A.dtype)
    scores = [
        place.head_scores(A * kept[start : start + size, *[None] * (A.ndim - 1)], item)
        for start in range(0, len(kept), size)
    ]
    return np.concatenate(scores)
