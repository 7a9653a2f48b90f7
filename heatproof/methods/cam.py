"""Class activation maps: CAM, Grad-CAM and their relatives. One float32 map per input, raw; (N, H, W) or (N, T).

Shared arguments (model, inputs, targets, layer, upsample, align, score, batch_size) are explained in `xai_utils`.
"""

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.arrays import space_mean
from heatproof.engine.places import Place
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import LOGIT, PROBABILITY
from heatproof.engine.views import with_relu_rule
from heatproof.enlarging import enlarged, resize
from heatproof.hiding import baselines, seen_through
from heatproof.methods.gradients import saliency
from heatproof.methods.heads import gap_head, no_gap_head
from heatproof.methods.summing import over_layers

CENTRES, STRETCH = "centres", "stretch"  # the words of `align`


def cam(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    upsample: bool = True,
    align: str = CENTRES,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Which positions of the last feature maps the class weights add up, in a network that ends in GAP + Dense.

    M_c(p) = sum_k w_kc A_k(p), with A the maps that global average pooling (GAP) reads and w the weights of the dense
    (or 1x1 convolution) head. On the native grid (`upsample=False`) mean_p M_c(p) + b_c = S_c, the logit. Raises
    `ValueError` for any other head: use Grad-CAM there. Source: Zhou et al. 2016, eq. (1)-(2), whose score is the sum
    over p: the mean times the number of positions. Enlarged as `align` says.
    """
    upsample, align = _as_enlarging(upsample, align)
    query = Query(model, inputs, targets, batch_size=batch_size)
    pooling, weights, bias = gap_head(query)
    place = Place(query, pooling, "input")
    maps = place.maps(lambda A, _, c: np.einsum("n...k,kn->n...", A, weights[:, c]))
    flat = maps.reshape(len(maps), -1)
    gap = np.abs(flat.mean(axis=1) + bias[query.targets] - query.scores())
    exact = all("16" not in layer.compute_dtype for layer in query.recipe.base.layers)
    if (gap > (1e-4 if exact else 2e-2) * (np.abs(flat).mean(axis=1) + np.abs(bias[query.targets]))).any():
        raise no_gap_head("a head that is not GAP + Dense: mean CAM + bias is not the score")
    return _finished(maps, place, upsample, align)


@over_layers
def grad_cam(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    layer: str | keras.layers.Layer | None = None,
    relu: bool = True,
    upsample: bool = True,
    align: str = CENTRES,
    score: str = LOGIT,
    activation: str | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Which positions of a layer's maps push the score up, each map weighted by the mean of its gradient.

    alpha_k = 1/Z sum_p dS_c/dA_k(p);  M(p) = ReLU(sum_k alpha_k A_k(p)), without the ReLU for relu=False. `layer`: name
    or layer object, by default the last that keeps space. At the layer that feeds GAP + Dense the raw map is CAM / Z.
    Enlarged as `align` says. An all-zero map draws an `XAIWarning`. Raises `ValueError` for an unknown layer or one
    without space. Source: Selvaraju et al. 2017, eq. (1)-(2).
    """
    relu, (upsample, align) = checks.as_flag("relu", relu), _as_enlarging(upsample, align)
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)

    def weighted(A, gradient, _):
        alpha = space_mean(gradient)  # eq. (1)
        raw = np.einsum("n...k,nk->n...", A, alpha)  # eq. (2)
        return np.maximum(raw, 0) if relu else raw

    place = query.place(layer)
    return _finished(place.maps(weighted), place, upsample, align)


@over_layers
def grad_cam_plus_plus(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    layer: str | keras.layers.Layer | None = None,
    upsample: bool = True,
    align: str = CENTRES,
    score: str = LOGIT,
    activation: str | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Grad-CAM with the positive gradients weighted so that every instance of the class counts.

    With g = dS_c/dA and Y = exp(S_c):  a_k(p) = g^2 / (2 g^2 + g^3 sum_q A_k(q)),  w_k = sum_p a_k(p) ReLU(g_k(p)),
    M(p) = ReLU(sum_k w_k A_k(p)). The factor exp(S_c) is common to all maps of an input; it is left out, since it
    overflows float32 at S_c = 89. g^2 cancels in a_k(p), which is 0 where its denominator is. Enlarged as `align` says.
    Raises as `grad_cam`. Source: Chattopadhay et al. 2018, eq. (5), (10), (19).
    """
    upsample, align = _as_enlarging(upsample, align)
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)

    def weighted(A, g, _):
        space = tuple(range(1, A.ndim - 1))
        below = 2 + g * A.sum(axis=space, keepdims=True)
        shares = np.divide(1, below, out=np.zeros_like(g), where=below != 0)  # eq. (19), without g^2
        weights = (shares * np.maximum(g, 0)).sum(axis=space)  # eq. (5), without exp(S_c)
        return np.maximum(np.einsum("n...k,nk->n...", A, weights), 0)

    place = query.place(layer)
    return _finished(place.maps(weighted), place, upsample, align)


@over_layers
def layer_cam(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    layer: str | keras.layers.Layer | None = None,
    upsample: bool = True,
    align: str = CENTRES,
    score: str = LOGIT,
    activation: str | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Every position of every map weighted by its own positive gradient, so that early layers can be used.

    M(p) = ReLU(sum_k ReLU(dS_c/dA_k(p)) A_k(p)). Enlarged as `align` says. Raises as `grad_cam`. Source: Jiang et al.
    2021, eq. (5)-(7).
    """
    upsample, align = _as_enlarging(upsample, align)
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)

    def weighted(A, gradient, _):
        return np.maximum((np.maximum(gradient, 0) * A).sum(axis=-1), 0)

    place = query.place(layer)
    return _finished(place.maps(weighted), place, upsample, align)


@over_layers
def hires_cam(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    layer: str | keras.layers.Layer | None = None,
    relu: bool = False,
    upsample: bool = True,
    align: str = CENTRES,
    score: str = LOGIT,
    activation: str | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Every position of every map weighted by its own gradient: the layer's exact share in a linear head.

    M(p) = sum_k dS_c/dA_k(p) A_k(p), cut at 0 for relu=True. Where only GAP + Dense or Flatten + Dense follows the
    layer, the raw native map adds up to S_c - b_c. Enlarged as `align` says. Raises as `grad_cam`. Source: Draelos and
    Carin 2020, eq. (4).
    """
    relu, (upsample, align) = checks.as_flag("relu", relu), _as_enlarging(upsample, align)
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)

    def weighted(A, gradient, _):
        raw = (gradient * A).sum(axis=-1)
        return np.maximum(raw, 0) if relu else raw

    place = query.place(layer)
    return _finished(place.maps(weighted), place, upsample, align)


@over_layers
def score_cam(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    layer: str | keras.layers.Layer | None = None,
    weights: str = "probability",
    fill: str | npt.ArrayLike = "zero",
    upsample: bool = True,
    align: str = CENTRES,
    activation: str | None = None,
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
    upsample, align = _as_enlarging(upsample, align)
    score = PROBABILITY if weights == "probability" else LOGIT
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)
    see = seen_through(query.inputs, baselines(fill, query.inputs, "fill"))
    place = query.place(layer)
    maps = [_score_cam_of(place, A, item, weights, see, align) for item, A in place.activations()]
    return _finished(np.stack(maps), place, upsample, align)


def _score_cam_of(place, A, item, weights, see, align):
    query, flat = place.query, A.reshape(-1, A.shape[-1])
    low, high = flat.min(axis=0), flat.max(axis=0)
    varied = np.flatnonzero(high > low)
    scaled = (A[..., varied] - low[varied]) / (high[varied] - low[varied])
    masks = enlarged(np.moveaxis(scaled, -1, 0), query.inputs.shape[1:], _centres(place, align))

    def point(item, number, out):
        see(item, masks(number), out)

    w = np.zeros(A.shape[-1])
    for _, number, value in query.perturbed(range(len(varied)), point, [item], "Score-CAM"):
        w[varied[number]] = value
    if weights == "softmax" and len(varied):
        w[varied] = np.exp(w[varied] - w[varied].max())  # S_c(0) is common to all k and cancels
        w /= w.sum()
    return np.maximum(A @ w, 0)


@over_layers
def ablation_cam(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    layer: str | keras.layers.Layer | None = None,
    relu: bool = True,
    upsample: bool = True,
    align: str = CENTRES,
    score: str = LOGIT,
    activation: str | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Each map weighted by the score that is lost when the map is set to zero: no gradient.

    w_k = S_c - S_c(A_k = 0);  M(p) = ReLU(sum_k w_k A_k(p)), without the ReLU for relu=False. The paper divides w_k by
    S_c, which only scales the map, and turns it over where S_c < 0. Only what follows the layer is run again, once per
    map. Enlarged as `align` says. Raises as `grad_cam`. Source: Desai and Ramaswamy 2020, eq. (2)-(3).
    """
    relu, (upsample, align) = checks.as_flag("relu", relu), _as_enlarging(upsample, align)
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)
    place, maps = query.place(layer), []
    for item, A in place.activations():
        whole, *ablated = _ablated_scores(place, A, item)
        w = whole - np.array(ablated)  # eq. (2)
        raw = A @ w
        maps.append(np.maximum(raw, 0) if relu else raw)
    return _finished(np.stack(maps), place, upsample, align)


def _ablated_scores(place, A, item):
    """S_c as it is, and with each map of A set to zero in turn; a chunk of copies in memory at a time."""
    maps, size = np.arange(A.shape[-1]), place.query.batch_size
    kept = np.concatenate([[maps >= 0], maps != maps[:, None]]).astype(A.dtype)
    scores = [
        place.head_scores(A * kept[start : start + size, *[None] * (A.ndim - 1)], item)
        for start in range(0, len(kept), size)
    ]
    return np.concatenate(scores)


@over_layers
def guided_grad_cam(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    layer: str | keras.layers.Layer | None = None,
    score: str = LOGIT,
    activation: str | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Guided backprop where Grad-CAM is positive: the look of the one at the place of the other.

    M = guided_backprop * Grad-CAM at input resolution (align="centres"), in the shape of the inputs. What guided
    backprop does not tell of the class, this does not tell either. Raises as both. Source: Selvaraju et al. 2017, sec.
    3.2.
    """
    view = with_relu_rule(model, "guided")
    options = {"score": score, "activation": activation, "batch_size": batch_size}
    coarse = grad_cam(model, inputs, targets, layer=layer, **options)
    return saliency(view, inputs, targets, **options) * coarse[..., None]


def _finished(maps, place, upsample, align):
    """float32 maps at input resolution unless `upsample` is False; an all-zero map is not passed over in silence."""
    zero = ~maps.reshape(len(maps), -1).any(axis=1)
    if zero.any():
        checks.warn(
            f"map: all zero for {zero.sum()} of {len(maps)} inputs (first: {np.flatnonzero(zero)[0]}): nothing at this "
            f"layer pushes that score up. Cure: relu=False for the signed map, another layer, or the predicted class."
        )
    if not upsample:
        return maps.astype(np.float32)
    return resize(maps, place.query.inputs.shape[1:-1], _centres(place, align))


def _as_enlarging(upsample, align):
    return checks.as_flag("upsample", upsample), checks.one_of("align", align, (CENTRES, STRETCH))


def _centres(place, align):
    """Where the positions of the maps lie in the input; None for the plain stretch."""
    return place.centres() if align == CENTRES else None
