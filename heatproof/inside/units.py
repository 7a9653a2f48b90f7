"""What the network itself holds: its kernels and its activations.

Shared arguments (model, inputs, layer) are explained in `xai_utils`.
"""

import keras
import numpy as np
import numpy.typing as npt

from heatproof.engine.anatomy import find_layer
from heatproof.engine.places import Place
from heatproof.engine.query import Query
from heatproof.engine.views import recipe_of
from heatproof.problems import ArgumentValueError


def kernels(model: keras.Model, layer: str | keras.layers.Layer) -> np.ndarray:
    """Return the kernels of a convolution: (h, w, channels in, channels out) or (t, channels in, channels out).

    A copy in float32, as stored. Raises `ValueError` for a layer without kernels.
    """
    found = find_layer(recipe_of(model), layer).layer
    weights = getattr(found, "kernel", None)
    if weights is None or len(weights.shape) < 3:
        raise ArgumentValueError(
            "layer", f"{found.name!r}, which is no convolution and has no kernels", "a convolution"
        )
    return np.array(weights.numpy(), np.float32)


def activations(
    model: keras.Model, inputs: npt.ArrayLike, layer: str | keras.layers.Layer | None = None, *, batch_size: int = 32
) -> np.ndarray:
    """Return what a layer answers to the inputs, A = layer(x): (N, h, w, K) or (N, t, K), float32.

    Raises `ValueError` for an unknown layer.
    """
    query = Query(model, inputs, batch_size=batch_size)
    return Place(query, find_layer(query.recipe, layer).layer).activation().astype(np.float32)
