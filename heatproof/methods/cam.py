"""Class activation maps: CAM, Grad-CAM and their relatives. One float32 map per input, raw; (N, H, W) or (N, T).

Shared arguments (model, inputs, targets, layer, upsample, score, batch_size) are explained in `xai_utils`.
"""

import keras
import numpy as np

from heatproof import checks
from heatproof.engine.arrays import space_mean
from heatproof.engine.places import Place
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import LOGIT, PROBABILITY
from heatproof.engine.views import with_relu_rule
from heatproof.enlarging import enlarged, resize
from heatproof.hiding import baselines, seen_through
from heatproof.methods.gradients import saliency
from heatproof.problems import ArgumentValueError

_POOLINGS = (keras.layers.GlobalAveragePooling1D, keras.layers.GlobalAveragePooling2D)
_PASSED = (keras.layers.Dropout, keras.layers.Flatten, keras.layers.Reshape, keras.layers.Identity)
_ENDINGS = (keras.layers.Activation, keras.layers.Softmax, *_PASSED)
_HEAD = "for CAM, global average pooling and one Dense (or 1x1 convolution) layer"
_CURE = "use grad_cam, which needs no special head"


def cam(model, inputs, targets=None, *, upsample=True, batch_size=BATCH_SIZE):
    """Which positions of the last feature maps the class weights add up, in a network that ends in GAP + Dense.

    M_c(p) = sum_k w_kc A_k(p), with A the maps that global average pooling (GAP) reads and w the weights of the dense
    (or 1x1 convolution) head. On the native grid (`upsample=False`) mean_p M_c(p) + b_c = S_c, the logit. Raises
    `ValueError` for any other head: use Grad-CAM there. Source: Zhou et al. 2016, eq. (1)-(2), whose score is the sum
    over p: the mean times the number of positions.
    """
    upsample = checks.as_flag("upsample", upsample)
    query = Query(model, inputs, targets, batch_size=batch_size)
    pooling, weights, bias = gap_head(query)
    maps = Place(query, pooling, "input").maps(lambda A, _, c: np.einsum("n...k,kn->n...", A, weights[:, c]))
    flat = maps.reshape(len(maps), -1)
    gap = np.abs(flat.mean(axis=1) + bias[query.targets] - query.scores())
    exact = all("16" not in layer.compute_dtype for layer in query.recipe.base.layers)
    if (gap > (1e-4 if exact else 2e-2) * (np.abs(flat).mean(axis=1) + np.abs(bias[query.targets]))).any():
        given = "a head that is not GAP + Dense: mean CAM + bias is not the score"
        raise ArgumentValueError("model", given, _HEAD, _CURE)
    return _finished(maps, query, upsample)


def gap_head(query):
    """Return the pooling layer, the weights (K, classes) and the bias (classes,) of a GAP + Dense head."""
    calls = [call for call in query.anatomy.calls if not hasattr(call.layer, "layers")]
    pooling, head = _ends_in_gap([call.layer for call in calls])
    ranks = [len(call.input.shape) for call in calls if call.layer is pooling]
    if query.anatomy.kind == "unit" or ranks != [query.inputs.ndim]:
        given = f"a head that ends in {[call.layer.name for call in calls[-4:]]}"
        raise ArgumentValueError("model", given, _HEAD, _CURE)
    if head is None:  # the maps are the classes: network in network, Lin et al. 2014
        return pooling, np.eye(query.anatomy.classes), np.zeros(query.anatomy.classes)
    weights = np.asarray(head.kernel.value)
    weights = weights.reshape(-1, weights.shape[-1])
    bias = np.zeros(weights.shape[-1]) if head.bias is None else np.asarray(head.bias.value)
    if weights.shape[-1] == 1 and query.score.kind != "value":  # one sigmoid unit z: class 0 has -z, class 1 has z
        weights, bias = weights * [-1, 1], bias * [-1, 1]
    return pooling, weights, bias


def _ends_in_gap(layers):
    layers = list(layers)
    while layers and isinstance(layers[-1], _ENDINGS):
        layers.pop()
    if layers and isinstance(layers[-1], _POOLINGS):
        return layers[-1], None
    head = layers.pop() if layers else None
    pointwise = isinstance(head, (keras.layers.Conv1D, keras.layers.Conv2D)) and set(head.kernel_size) == {1}
    while layers and isinstance(layers[-1], _PASSED):
        layers.pop()
    fits = (isinstance(head, keras.layers.Dense) or pointwise) and layers and isinstance(layers[-1], _POOLINGS)
    return (layers[-1], head) if fits else (None, None)


def grad_cam(
    model,
    inputs,
    targets=None,
    *,
    layer=None,
    relu=True,
    upsample=True,
    score=LOGIT,
    activation=None,
    batch_size=BATCH_SIZE,
):
    """Which positions of a layer's maps push the score up, each map weighted by the mean of its gradient.

    alpha_k = 1/Z sum_p dS_c/dA_k(p);  M(p) = ReLU(sum_k alpha_k A_k(p)), without the ReLU for relu=False. `layer`:
    name or layer object, by default the last that keeps space. At the layer that feeds GAP + Dense the raw map is
    CAM / Z. An all-zero map draws an `XAIWarning`. Raises `ValueError` for an unknown layer or one without space.
    Source: Selvaraju et al. 2017, eq. (1)-(2).
    """
    relu, upsample = checks.as_flag("relu", relu), checks.as_flag("upsample", upsample)
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)

    def weighted(A, gradient, _):
        alpha = space_mean(gradient)  # eq. (1)
        raw = np.einsum("n...k,nk->n...", A, alpha)  # eq. (2)
        return np.maximum(raw, 0) if relu else raw

    return _finished(query.place(layer).maps(weighted), query, upsample)


def grad_cam_plus_plus(
    model, inputs, targets=None, *, layer=None, upsample=True, score=LOGIT, activation=None, batch_size=BATCH_SIZE
):
    """Grad-CAM with the positive gradients weighted so that every instance of the class counts.

    With g = dS_c/dA and Y = exp(S_c):  a_k(p) = g^2 / (2 g^2 + g^3 sum_q A_k(q)),  w_k = sum_p a_k(p) ReLU(g_k(p)),
    M(p) = ReLU(sum_k w_k A_k(p)). The factor exp(S_c) is common to all maps of an input; it is left out, since it
    overflows float32 at S_c = 89. g^2 cancels in a_k(p), which is 0 where its denominator is. Raises as `grad_cam`.
    Source: Chattopadhay et al. 2018, eq. (5), (10), (19).
    """
    upsample = checks.as_flag("upsample", upsample)
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)

    def weighted(A, g, _):
        space = tuple(range(1, A.ndim - 1))
        below = 2 + g * A.sum(axis=space, keepdims=True)
        shares = np.divide(1, below, out=np.zeros_like(g), where=below != 0)  # eq. (19), without g^2
        weights = (shares * np.maximum(g, 0)).sum(axis=space)  # eq. (5), without exp(S_c)
        return np.maximum(np.einsum("n...k,nk->n...", A, weights), 0)

    return _finished(query.place(layer).maps(weighted), query, upsample)


def layer_cam(
    model, inputs, targets=None, *, layer=None, upsample=True, score=LOGIT, activation=None, batch_size=BATCH_SIZE
):
    """Every position of every map weighted by its own positive gradient, so that early layers can be used.

    M(p) = ReLU(sum_k ReLU(dS_c/dA_k(p)) A_k(p)). Raises as `grad_cam`. Source: Jiang et al. 2021, eq. (5)-(7).
    """
    upsample = checks.as_flag("upsample", upsample)
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)

    def weighted(A, gradient, _):
        return np.maximum((np.maximum(gradient, 0) * A).sum(axis=-1), 0)

    return _finished(query.place(layer).maps(weighted), query, upsample)


def hires_cam(
    model,
    inputs,
    targets=None,
    *,
    layer=None,
    relu=False,
    upsample=True,
    score=LOGIT,
    activation=None,
    batch_size=BATCH_SIZE,
):
    """Every position of every map weighted by its own gradient: the layer's exact share in a linear head.

    M(p) = sum_k dS_c/dA_k(p) A_k(p), cut at 0 for relu=True. Where only GAP + Dense or Flatten + Dense follows the
    layer, the raw native map adds up to S_c - b_c. Raises as `grad_cam`. Source: Draelos and Carin 2020, eq. (4).
    """
    relu, upsample = checks.as_flag("relu", relu), checks.as_flag("upsample", upsample)
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)

    def weighted(A, gradient, _):
        raw = (gradient * A).sum(axis=-1)
        return np.maximum(raw, 0) if relu else raw

    return _finished(query.place(layer).maps(weighted), query, upsample)


def score_cam(
    model,
    inputs,
    targets=None,
    *,
    layer=None,
    weights="probability",
    fill="zero",
    upsample=True,
    activation=None,
    batch_size=BATCH_SIZE,
):
    """Each map weighted by the class probability of the input seen through it: no gradient.

    H_k = the map at input resolution, scaled to [0, 1];  w_k = p_c(x * H_k + f * (1 - H_k));  M(p) = ReLU(sum_k w_k
    A_k(p)). With weights="softmax" w = softmax over k of S_c instead of p_c, the paper's other version. f = `fill`: the
    paper's is "zero", where an input that is all 0 says nothing to the network; else "mean", "blur", a number or an
    array. Constant maps, which cannot be scaled, are skipped. One forward pass per map and input. Raises as `grad_cam`,
    and `ValueError` for other words in `weights` or `fill`. Source: Wang et al. 2020, eq. (3)-(8).
    """
    checks.one_of("weights", weights, ("probability", "softmax"))
    upsample = checks.as_flag("upsample", upsample)
    score = PROBABILITY if weights == "probability" else LOGIT
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)
    see = seen_through(query.inputs, baselines(fill, query.inputs, "fill"))
    found = query.place(layer).activations()
    maps = [_score_cam_of(query, A, item, weights, see) for item, A in found]
    return _finished(np.stack(maps), query, upsample)


def _score_cam_of(query, A, item, weights, see):
    flat = A.reshape(-1, A.shape[-1])
    low, high = flat.min(axis=0), flat.max(axis=0)
    varied = np.flatnonzero(high > low)
    scaled = (A[..., varied] - low[varied]) / (high[varied] - low[varied])
    masks = enlarged(np.moveaxis(scaled, -1, 0), query.inputs.shape[1:])

    def point(item, number, out):
        see(item, masks(number), out)

    w = np.zeros(A.shape[-1])
    for _, number, value in query.perturbed(range(len(varied)), point, [item], "Score-CAM"):
        w[varied[number]] = value
    if weights == "softmax" and len(varied):
        w[varied] = np.exp(w[varied] - w[varied].max())  # S_c(0) is common to all k and cancels
        w /= w.sum()
    return np.maximum(A @ w, 0)


def ablation_cam(
    model,
    inputs,
    targets=None,
    *,
    layer=None,
    relu=True,
    upsample=True,
    score=LOGIT,
    activation=None,
    batch_size=BATCH_SIZE,
):
    """Each map weighted by the score that is lost when the map is set to zero: no gradient.

    w_k = S_c - S_c(A_k = 0);  M(p) = ReLU(sum_k w_k A_k(p)), without the ReLU for relu=False. The paper divides w_k by
    S_c, which only scales the map, and turns it over where S_c < 0. Only what follows the layer is run again, once per
    map. Raises as `grad_cam`. Source: Desai and Ramaswamy 2020, eq. (2)-(3).
    """
    relu, upsample = checks.as_flag("relu", relu), checks.as_flag("upsample", upsample)
    query = Query(model, inputs, targets, score=score, activation=activation, batch_size=batch_size)
    place, maps = query.place(layer), []
    for item, A in place.activations():
        whole, *ablated = _ablated_scores(place, A, item)
        w = whole - np.array(ablated)  # eq. (2)
        raw = A @ w
        maps.append(np.maximum(raw, 0) if relu else raw)
    return _finished(np.stack(maps), query, upsample)


def _ablated_scores(place, A, item):
    """S_c as it is, and with each map of A set to zero in turn; a chunk of copies in memory at a time."""
    maps, size = np.arange(A.shape[-1]), place.query.batch_size
    kept = np.concatenate([[maps >= 0], maps != maps[:, None]]).astype(A.dtype)
    scores = [
        place.head_scores(A * kept[start : start + size, *[None] * (A.ndim - 1)], item)
        for start in range(0, len(kept), size)
    ]
    return np.concatenate(scores)


def guided_grad_cam(model, inputs, targets=None, *, layer=None, score=LOGIT, activation=None, batch_size=BATCH_SIZE):
    """Guided backprop where Grad-CAM is positive: the look of the one at the place of the other.

    M = guided_backprop * Grad-CAM at input resolution, in the shape of the inputs. What guided backprop does not tell
    of the class, this does not tell either. Raises as both. Source: Selvaraju et al. 2017, sec. 3.2.
    """
    view = with_relu_rule(model, "guided")
    options = {"score": score, "activation": activation, "batch_size": batch_size}
    coarse = grad_cam(model, inputs, targets, layer=layer, **options)
    return saliency(view, inputs, targets, **options) * coarse[..., None]


def _finished(maps, query, upsample):
    """float32 maps at input resolution unless `upsample` is False; an all-zero map is not passed over in silence."""
    zero = ~maps.reshape(len(maps), -1).any(axis=1)
    if zero.any():
        checks.warn(
            f"map: all zero for {zero.sum()} of {len(maps)} inputs (first: {np.flatnonzero(zero)[0]}): nothing at this "
            f"layer pushes that score up. Cure: relu=False for the signed map, another layer, or the predicted class."
        )
    return resize(maps, query.inputs.shape[1:-1]) if upsample else maps.astype(np.float32)
