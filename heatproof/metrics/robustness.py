"""Does a map stay when the input hardly changes?"""

from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.query import BATCH_SIZE, Query


def max_sensitivity(
    method: Callable,
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    radius: float = 0.02,
    samples: int = 10,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    **options: object,
) -> np.ndarray:
    """How much a map changes, at most, when the input hardly does.

    max_k ||M(x + e_k) - M(x)|| / ||M(x)||, e_k uniform in [-r, r] at every value, r = `radius` * (max x - min x) per
    channel: Yeh et al. 2019, def. 3, estimated from `samples` draws, so a lower bound. `method`: a function of the
    catalogue, `options` its options. The class explained is that of x. Returns (N,), NaN where M(x) is 0 everywhere.
    Raises as the method does, and `ValueError` for radius <= 0.
    """
    checks.as_method(method)
    samples, seed = checks.as_count("samples", samples), checks.as_count("seed", seed, 0)
    radius = checks.as_number("radius", radius, 0, open_ends=True)
    with checks.once():
        query = Query(model, inputs, targets, batch_size=batch_size)
        x, space = query.inputs, tuple(range(1, query.inputs.ndim - 1))
        width = radius * (x.max(axis=space, keepdims=True) - x.min(axis=space, keepdims=True))

        def explain(points):
            maps = method(model, points, query.targets, batch_size=batch_size, **options)
            return np.asarray(maps, np.float64).reshape(len(maps), -1)

        before, generator, worst = explain(x), np.random.default_rng(seed), np.zeros(len(x))
        for _ in range(samples):
            change = explain((x + width * generator.uniform(-1, 1, x.shape[1:])).astype(x.dtype)) - before
            worst = np.maximum(worst, np.linalg.norm(change, axis=1))
    size = np.linalg.norm(before, axis=1)
    return np.divide(worst, size, out=np.full(len(x), np.nan), where=size > 0)
