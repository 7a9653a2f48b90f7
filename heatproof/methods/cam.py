"""Class activation maps: CAM, Grad-CAM and their relatives. One float32 map per input, raw; (N, H, W) or (N, T).

Shared arguments (model, inputs, targets, layer, grid, upsample, align, score, batch_size) are explained in `xai_utils`.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.arrays import space_mean
from heatproof.engine.nests import over_inputs
from heatproof.engine.places import Place
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import LOGIT
from heatproof.engine.tokens import Grid
from heatproof.methods.finishing import CENTRES, as_enlarging, finished, over_layers
from heatproof.methods.heads import gap_head, no_gap_head


@over_inputs(needs_positions=True)
def cam(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    upsample: bool = True,
    align: str = CENTRES,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Which positions of the last feature maps the class weights add up, in a network that ends in GAP + Dense.

    M_c(p) = sum_k w_kc A_k(p), with A the maps that global average pooling (GAP) reads and w the weights of the dense
    (or 1x1 convolution) head. On the native grid (`upsample=False`) mean_p M_c(p) + b_c = S_c, the logit. Raises
    `ValueError` for any other head: use Grad-CAM there. Source: Zhou et al. 2016, eq. (1)-(2), whose score is the sum
    over p: the mean times the number of positions. Enlarged as `align` says.
    """
    upsample, align = as_enlarging(upsample, align)
    query = Query(model, inputs, targets, head=head, only=only, batch_size=batch_size)
    pooling, weights, bias = gap_head(query)
    place = Place(query, pooling, "input")
    maps = place.maps(lambda A, _, c: np.einsum("n...k,kn->n...", A, weights[:, c]))
    flat = maps.reshape(len(maps), -1)
    gap = np.abs(flat.mean(axis=1) + bias[query.targets] - query.scores())
    exact = all("16" not in layer.compute_dtype for layer in query.recipe.base.layers)
    if (gap > (1e-4 if exact else 2e-2) * (np.abs(flat).mean(axis=1) + np.abs(bias[query.targets]))).any():
        raise no_gap_head("a head that is not GAP + Dense: mean CAM + bias is not the score")
    return finished(maps, place, upsample, align)


@over_inputs(needs_positions=True)
@over_layers
def grad_cam(
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
    """Which positions of a layer's maps push the score up, each map weighted by the mean of its gradient.

    alpha_k = 1/Z sum_p dS_c/dA_k(p);  M(p) = ReLU(sum_k alpha_k A_k(p)), without the ReLU for relu=False. `layer`: name
    or layer object, by default the last that keeps space. At the layer that feeds GAP + Dense the raw map is CAM / Z.
    Enlarged as `align` says. An all-zero map draws an `XAIWarning`. Raises `ValueError` for an unknown layer or one
    without space. Source: Selvaraju et al. 2017, eq. (1)-(2).
    """
    relu, (upsample, align) = checks.as_flag("relu", relu), as_enlarging(upsample, align)
    query = Query(
        model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size
    )

    def weighted(A, gradient, _):
        alpha = space_mean(gradient)  # eq. (1)
        raw = np.einsum("n...k,nk->n...", A, alpha)  # eq. (2)
        return np.maximum(raw, 0) if relu else raw

    place = query.place(layer, grid)
    return finished(place.maps(weighted), place, upsample, align)


@over_inputs(needs_positions=True)
@over_layers
def grad_cam_plus_plus(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    layer: str | keras.layers.Layer | None = None,
    grid: Grid = None,
    upsample: bool = True,
    align: str = CENTRES,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Grad-CAM with the positive gradients weighted so that every instance of the class counts.

    With g = dS_c/dA and Y = exp(S_c):  a_k(p) = g^2 / (2 g^2 + g^3 sum_q A_k(q)),  w_k = sum_p a_k(p) ReLU(g_k(p)),
    M(p) = ReLU(sum_k w_k A_k(p)). The factor exp(S_c) is common to all maps of an input; it is left out, since it
    overflows float32 at S_c = 89. g^2 cancels in a_k(p), which is 0 where its denominator is. Enlarged as `align` says.
    Raises as `grad_cam`. Source: Chattopadhay et al. 2018, eq. (5), (10), (19).
    """
    upsample, align = as_enlarging(upsample, align)
    query = Query(
        model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size
    )

    def weighted(A, g, _):
        space = tuple(range(1, A.ndim - 1))
        below = 2 + g * A.sum(axis=space, keepdims=True)
        shares = np.divide(1, below, out=np.zeros_like(g), where=below != 0)  # eq. (19), without g^2
        weights = (shares * np.maximum(g, 0)).sum(axis=space)  # eq. (5), without exp(S_c)
        return np.maximum(np.einsum("n...k,nk->n...", A, weights), 0)

    place = query.place(layer, grid)
    return finished(place.maps(weighted), place, upsample, align)


@over_inputs(needs_positions=True)
@over_layers
def layer_cam(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    layer: str | keras.layers.Layer | None = None,
    grid: Grid = None,
    upsample: bool = True,
    align: str = CENTRES,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Every position of every map weighted by its own positive gradient, so that early layers can be used.

    M(p) = ReLU(sum_k ReLU(dS_c/dA_k(p)) A_k(p)). Enlarged as `align` says. Raises as `grad_cam`. Source: Jiang et al.
    2021, eq. (5)-(7).
    """
    upsample, align = as_enlarging(upsample, align)
    query = Query(
        model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size
    )

    def weighted(A, gradient, _):
        return np.maximum((np.maximum(gradient, 0) * A).sum(axis=-1), 0)

    place = query.place(layer, grid)
    return finished(place.maps(weighted), place, upsample, align)


@over_inputs(needs_positions=True)
@over_layers
def hires_cam(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    layer: str | keras.layers.Layer | None = None,
    grid: Grid = None,
    relu: bool = False,
    upsample: bool = True,
    align: str = CENTRES,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Every position of every map weighted by its own gradient: the layer's exact share in a linear head.

    M(p) = sum_k dS_c/dA_k(p) A_k(p), cut at 0 for relu=True. Where only GAP + Dense or Flatten + Dense follows the
    layer, the raw native map adds up to S_c - b_c. Enlarged as `align` says. Raises as `grad_cam`. Source: Draelos and
    Carin 2020, eq. (4).
    """
    relu, (upsample, align) = checks.as_flag("relu", relu), as_enlarging(upsample, align)
    query = Query(
        model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size
    )

    def weighted(A, gradient, _):
        raw = (gradient * A).sum(axis=-1)
        return np.maximum(raw, 0) if relu else raw

    place = query.place(layer, grid)
    return finished(place.maps(weighted), place, upsample, align)


@over_inputs(needs_positions=True)
@over_layers
def guided_grad_cam(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    layer: str | keras.layers.Layer | None = None,
    grid: Grid = None,
    align: str = CENTRES,
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Guided backprop where Grad-CAM is positive: the look of the one at the place of the other.

    M = guided_backprop * Grad-CAM at input resolution, in the shape of the inputs. Grad-CAM is enlarged as `align`
    says. What guided backprop does not tell of the class, this does not tell either. Raises as both. Source: Selvaraju
    et al. 2017, sec. 3.2.
    """
    options: dict[str, Any] = {"score": score, "activation": activation, "head": head, "only": only}
    options["batch_size"] = batch_size
    with checks.once():
        guided = Query(model, inputs, targets, rule="guided", **options)
        coarse = grad_cam(model, inputs, targets, layer=layer, grid=grid, align=align, **options)
        return guided.gradient().astype(np.float32) * coarse[..., None]
