"""Class activation maps: CAM and Grad-CAM. One float32 map per input, raw; (N, H, W) or (N, T).

Shared arguments (model, inputs, targets, layer, upsample, score, batch_size) are explained in `xai_utils`.
"""

import keras
import numpy as np

from xai import checks
from xai.core import BATCH_SIZE, Query, resize
from xai.views import space_mean

_POOLINGS = (keras.layers.GlobalAveragePooling1D, keras.layers.GlobalAveragePooling2D)
_PASSED = (keras.layers.Dropout, keras.layers.Flatten, keras.layers.Reshape, keras.layers.Identity)
_ENDINGS = (keras.layers.Activation, keras.layers.Softmax, *_PASSED)


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
    maps = query.maps(pooling, lambda A, _, c: np.einsum("n...k,kn->n...", A, weights[:, c]), inner="input")
    flat = maps.reshape(len(maps), -1)
    gap = np.abs(flat.mean(axis=1) + bias[query.targets] - query.scores())
    exact = all(layer.compute_dtype == layer.variable_dtype for layer in query.recipe.base.layers)
    if (gap > (1e-4 if exact else 2e-2) * (np.abs(flat).mean(axis=1) + np.abs(bias[query.targets]))).any():
        raise ValueError("model: mean CAM + bias is not the score, so its head is not GAP + Dense. Cure: use grad_cam.")
    return _finished(maps, query, upsample)


def gap_head(query):
    """Return the pooling layer, the weights (K, classes) and the bias (classes,) of a GAP + Dense head."""
    calls = [call for call in query.anatomy.calls if not hasattr(call.layer, "layers")]
    pooling, head = _ends_in_gap([call.layer for call in calls])
    if query.anatomy.kind == "unit" or pooling is None:
        raise ValueError(
            f"model: CAM needs a head of global average pooling and one Dense (or 1x1 convolution) layer; this one "
            f"ends in {[call.layer.name for call in calls[-4:]]}. Cure: use grad_cam, which needs no special head."
        )
    weights = np.asarray(head.kernel.value)
    weights = weights.reshape(-1, weights.shape[-1])
    bias = np.zeros(weights.shape[-1]) if head.bias is None else np.asarray(head.bias.value)
    if weights.shape[-1] == 1:  # one sigmoid unit z: class 0 has -z, class 1 has z
        weights, bias = weights * [-1, 1], bias * [-1, 1]
    return pooling, weights, bias


def _ends_in_gap(layers):
    layers = list(layers)
    while layers and isinstance(layers[-1], _ENDINGS):
        layers.pop()
    head = layers.pop() if layers else None
    pointwise = isinstance(head, (keras.layers.Conv1D, keras.layers.Conv2D)) and set(head.kernel_size) == {1}
    while layers and isinstance(layers[-1], _PASSED):
        layers.pop()
    fits = (isinstance(head, keras.layers.Dense) or pointwise) and layers and isinstance(layers[-1], _POOLINGS)
    return (layers[-1], head) if fits else (None, None)


def grad_cam(
    model, inputs, targets=None, *, layer=None, relu=True, upsample=True, score="logit", batch_size=BATCH_SIZE
):
    """Which positions of a layer's maps push the score up, each map weighted by the mean of its gradient.

    alpha_k = 1/Z sum_p dS_c/dA_k(p);  M(p) = ReLU(sum_k alpha_k A_k(p)), without the ReLU for relu=False. `layer`:
    name or layer object, by default the last that keeps space. At the layer that feeds GAP + Dense the raw map is
    CAM / Z. An all-zero map draws an `XAIWarning`. Raises `ValueError` for an unknown layer or one without space.
    Source: Selvaraju et al. 2017, eq. (1)-(2).
    """
    relu, upsample = checks.as_flag("relu", relu), checks.as_flag("upsample", upsample)
    query = Query(model, inputs, targets, score=score, batch_size=batch_size)

    def weighted(A, gradient, _):
        alpha = space_mean(gradient)  # eq. (1)
        raw = np.einsum("n...k,nk->n...", A, alpha)  # eq. (2)
        return np.maximum(raw, 0) if relu else raw

    return _finished(query.maps(query.layer(layer), weighted), query, upsample)


def _finished(maps, query, upsample):
    """float32 maps at input resolution unless `upsample` is False; an all-zero map is not passed over in silence."""
    zero = ~maps.reshape(len(maps), -1).any(axis=1)
    if zero.any():
        checks.warn(
            f"map: all zero for {zero.sum()} of {len(maps)} inputs (first: {np.flatnonzero(zero)[0]}): nothing at this "
            f"layer pushes that score up. Cure: relu=False for the signed map, another layer, or the predicted class."
        )
    return resize(maps, query.inputs.shape[1:-1]) if upsample else maps.astype(np.float32)
