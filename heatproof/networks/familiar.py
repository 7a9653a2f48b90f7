"""Is a picture of the kind that a network knows? How far it lies from the network's own, as its card keeps them."""

from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from heatproof import batches, checks
from heatproof.problems import ArgumentTypeError, ArgumentValueError

KEYS = ("layer", "share", "limit", "mean", "precision")


@dataclass(frozen=True, eq=False)
class Familiar:
    """What is kept of a network's own pictures: the mean of their features and how these vary.

    layer:     the name of the layer whose channels, averaged over positions, are the features (K,)
    share:     of the validation pictures that lie within the limit
    limit:     the distance that this share keeps
    mean:      (K,), precision: (K, K), the inverse covariance
    """

    layer: str
    share: float
    limit: float
    mean: np.ndarray
    precision: np.ndarray


def strangeness(model: keras.Model, inputs: npt.ArrayLike, *, batch_size: int = 32) -> np.ndarray:
    """How far each input lies from the pictures that a network knows: above 1 it is farther than 99 % of them.

    s(x) = d(x) / t with d(x)^2 = (f(x) - m)^T C^(-1) (f(x) - m). f are the channels of an early layer averaged over
    positions; m and C their mean and covariance over the validation pictures, t the distance that 99 % of these keep.
    The card of the network holds all of them. Returns (N,). Below 1 says little: a picture may be like the network's
    own in colour and texture and still show something else. Raises `TypeError`, `ValueError` for a model without such
    a card, and for inputs that do not fit. Source: Lee et al. 2018, sec. 2.1, with one Gaussian for all classes.
    """
    if not isinstance(model, keras.Model):
        raise ArgumentTypeError("model", type(model).__name__, "a Keras model")
    familiar = getattr(model, "familiar", None)
    if familiar is None:
        given, cure = "one that keeps nothing of its own pictures", "load it by xu.load_model, beside a card that does"
        raise ArgumentValueError("model", given, cure=cure)
    batch_size = checks.as_count("batch_size", batch_size)
    inputs = batches.as_inputs(inputs, model.input_shape, model.input_range)
    return (_distance(features(model, inputs, familiar.layer, batch_size), familiar) / familiar.limit).astype(
        np.float32
    )


def measured(model: keras.Model, inputs: np.ndarray, layer: str, share: float = 0.99) -> dict:
    """What a card keeps of a network's own pictures, the validation part, rounded to six digits."""
    found = features(model, inputs, layer).astype(np.float64)
    covariance = np.cov(found.T)
    ridge = 1e-6 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    precision = np.linalg.inv(covariance + ridge)
    apart = _distance(found, Familiar(layer, share, 1.0, found.mean(axis=0), precision))
    kept = {"layer": layer, "share": share, "limit": float(np.quantile(apart, share))}
    return kept | {"mean": _rounded(found.mean(axis=0)), "precision": _rounded(precision)}


def of_card(kept: object) -> Familiar:
    """What a card holds under "familiar", as arrays; raises `ValueError` for anything else than `measured` gives."""
    allowed = f"a dictionary with the keys {list(KEYS)}, mean (K,), precision (K, K) positive definite, limit above 0"
    if not isinstance(kept, dict) or sorted(kept) != sorted(KEYS) or not isinstance(kept["layer"], str):
        raise ArgumentValueError("card['familiar']", checks.shown(kept), allowed)
    try:
        share, limit, mean, precision = (np.asarray(kept[key], np.float64) for key in KEYS[1:])
    except (TypeError, ValueError):
        raise ArgumentValueError("card['familiar']", "lists that are no arrays of numbers", allowed) from None
    shapes = share.shape, limit.shape, precision.shape
    finite = all(np.isfinite(each).all() for each in (share, limit, mean, precision))
    fits = shapes == ((), (), 2 * mean.shape) and mean.ndim == 1 and finite and 0 < share <= 1 and limit > 0
    if not fits or np.linalg.eigvalsh(precision).min() <= 0:
        raise ArgumentValueError("card['familiar']", f"a precision of shape {precision.shape}, limit {limit}", allowed)
    return Familiar(kept["layer"], float(share), float(limit), mean, precision)


def fitting(model: keras.Model, kept: object) -> Familiar:
    """As `of_card`, for the network that the card lies beside; raises `ValueError` where the layer is another one."""
    found = of_card(kept)
    sizes = {layer.name: layer.output.shape[-1] for layer in model.layers if hasattr(layer, "output")}
    if sizes.get(found.layer) != len(found.mean):
        given = f"means of {len(found.mean)} channels of {found.layer!r}"
        allowed = f"those of a layer of this network: {sizes}"
        raise ArgumentValueError("card['familiar']", given, allowed, "'make models' writes it again")
    return found


def features(model: keras.Model, inputs: np.ndarray, layer: str, batch_size: int = 32) -> np.ndarray:
    """The channels of a layer averaged over positions, (N, K)."""
    output = model.get_layer(layer).output
    means = keras.ops.mean(output, axis=tuple(range(1, len(output.shape) - 1)))
    entries = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    network, starts = keras.Model(entries, means), range(0, len(inputs), batch_size)
    found = [network(inputs[start : start + batch_size], training=False) for start in starts]
    return np.concatenate([keras.ops.convert_to_numpy(each) for each in found])


def _distance(found, familiar):
    apart = found - familiar.mean
    return np.sqrt(np.einsum("nk,kl,nl->n", apart, familiar.precision, apart))


def _rounded(values):
    return np.vectorize(lambda value: float(f"{value:.6g}"))(values).tolist()
