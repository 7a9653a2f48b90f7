"""DeepLIFT: the difference from a baseline, shared out layer by layer.

One float32 map in the shape of the inputs, raw and signed. Shared arguments (model, inputs, targets, score, batch_size)
are explained in `xai_utils`.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import LOGIT
from heatproof.engine.rescale import check_rules, multipliers
from heatproof.hiding import starts
from heatproof.problems import ArgumentWarning

CLOSES = 0.01  # what may be missing of the sum, relative to the map's L1 norm or the difference of the scores


def deep_lift(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    baseline: str | npt.ArrayLike | list = "zero",
    score: str = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The difference between the scores of x and of a baseline x', shared out by slopes between the two (rescale rule).

    M = (x - x') * m; the multipliers m compose by the chain rule, where each nonlinearity f counts with its slope
    (f(a) - f(a')) / (a - a') between the pass of x and that of x', its derivative where a = a'. The sum of M is
    S_c(x) - S_c(x') but for rounding. The paper leaves three operations open; here each keeps the sum exact. Maximum:
    the whole change goes to the position that holds the larger of the two maxima, so that its multiplier is between 0
    and 1; where either would do, to the winner in x. Product: u v - u' v' = (u - u') (v + v') / 2 + (u + u') / 2
    (v - v'). Softmax: by the slopes of its exponentials and of the logarithm of their sum. What a network holds back
    from derivatives (stop_gradient) counts too, since S_c depends on it. `baseline`: as for `integrated_gradients`; the
    maps of a list are averaged. In units of the score. Raises `TypeError`, `ValueError` for an unknown baseline and for
    a model with operations for which no rule is known (loops, sorting), and names them; gives an `XAIWarning` where the
    sum is not met, as where the network takes a step, which has no slope. Source: Shrikumar et al. 2017, sec. 3.
    """
    options: dict[str, Any] = {"score": score, "activation": activation, "head": head, "only": only}
    query = Query(model, inputs, targets, batch_size=batch_size, **options)
    check_rules(query)
    maps = [_shares(query, start) for start in starts(baseline, query)]
    return query.in_form(np.mean(maps, axis=0).astype(np.float32))


def _shares(query, start):
    """(x - x') * m from one baseline, in float64."""
    m, change = multipliers(query, start)
    shares = (query.inputs.astype(np.float64) - start) * m
    flat = shares.reshape(len(shares), -1)
    size = np.maximum(np.abs(flat).sum(axis=1), np.abs(change))
    missing = np.abs(flat.sum(axis=1) - change) > CLOSES * size
    if missing.any():
        first = int(np.flatnonzero(missing)[0])
        given = f"one whose map sums to {flat[first].sum():.3g} for input {first}, while its score changes by "
        given += f"{change[first]:.3g} from the baseline (so for {missing.sum()} of {len(flat)} inputs)"
        cure = "look for steps in the network, whose change no slope tells, or for examples that it mixes"
        checks.warn(ArgumentWarning("model", given, cure=cure))
    return shares
