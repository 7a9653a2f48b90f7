"""Layer-wise relevance propagation: the score, shared out layer by layer among what each layer read.

Shared arguments (model, inputs, targets, score, head, only, batch_size) are explained in `xai_utils`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.engine.readings import LOGIT
from heatproof.engine.relevance import How
from heatproof.engine.relevance_query import RelevanceQuery
from heatproof.problems import ArgumentValueError

Rule = str | Mapping[keras.layers.Layer | str | Callable, str]


def lrp(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    rule: Rule = "epsilon",
    epsilon: float = 1e-6,
    gamma: float = 0.25,
    alpha: float = 2.0,
    beta: float = 1.0,
    low: npt.ArrayLike | None = None,
    high: npt.ArrayLike | None = None,
    bias: str = "split",
    relevance_at: str | keras.layers.Layer | None = None,
    through: tuple | None = None,
    ledger: bool = False,
    score: Any = LOGIT,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> Any:
    """How much of the score each input value carried, shared out layer by layer among what each layer read.

    With z_jk = x_j w_jk and z_k = sum_j z_jk + b_k, R starts at the score with its value S_c, and the relevance R_k of
    each neuron goes to what it read. `rule`:

    ==============  ===============================================================================================
    "epsilon"       R_j = sum_k z_jk / (z_k + e sign z_k) R_k, e = `epsilon` * the root mean square of the layer's z
                    in the example; epsilon=0 is LRP-0: x * dS_c/dx in a network of ReLUs
    "z_plus"        the positive parts of the products alone: z_jk+ / (sum_j z_jk+ + b_k+)
    "gamma"         z_jk + `gamma` z_jk+ where z_k > 0, z_jk + `gamma` z_jk- where z_k < 0
    "alpha_beta"    `alpha` times the share of the positive parts minus `beta` times that of the negative ones
    "flat"          in equal parts; padding has none
    "w_square"      in proportion to w_jk^2
    "z_box"         z_jk - `low` w_jk+ - `high` w_jk- in the first linear layer, z_plus in all others (deep Taylor)
    ==============  ===============================================================================================

    or a composite: "epsilon_plus" (epsilon in dense layers, z_plus in convolutions), "epsilon_plus_flat" (the same,
    flat in the first linear layer), "epsilon_gamma_box" (epsilon, gamma, z_box), "epsilon_alpha2_beta1" (epsilon in
    dense layers, alpha_beta in convolutions); or a mapping from a layer, a layer's name or a function of a layer to
    a rule: the first key that fits counts, a layer or name to which earlier keys leave nothing is refused, and
    layers that none fits get "epsilon". A separable convolution counts as two layers, depthwise and pointwise, so
    the relevance between them is shared out too. A BatchNorm or a scaling by constants is folded into a linear
    layer that nothing else reads; any other is a layer of its own. Sums and averages share in proportion, under
    "z_plus" by the positive parts; the largest value of a pool takes all; an activation passes relevance on
    unchanged, as does a rescaling of the inputs by fixed constants; a gate counts as a constant.

    `bias`: each bias takes a share, in the part of its own sign ("split") or with its whole value in every denominator
    ("whole"), or takes none ("none"). `low`, `high`: the box of the inputs, a number or one for each channel, by
    default `model.input_range`. `relevance_at`: the layer whose output gets the relevance, in its shape, in place of
    the inputs. `through`=(layer, channels): only what flows through these channels of that layer's output. `ledger`:
    return the map and a list of rows (layer, rule, arrived, passed, biases, epsilon, lost), numbers (N,), from the
    score down: arrived = passed + biases + epsilon + lost; `lost` is below 0 where a rule makes relevance. S_c is the
    sum of the map and of all biases, epsilon and lost in the rows. Returns float32 in the shape of the inputs.

    Raises `ValueError` for operations without a rule (attention, normalisation over the inputs), for
    alpha - beta != 1, inputs outside the box, and score="probability". Source: Bach et al. 2015; Montavon et al. 2019.
    """
    numbers = _checked_numbers(epsilon, gamma, alpha, beta)
    bias, ledger = checks.one_of("bias", bias, ("split", "whole", "none")), checks.as_flag("ledger", ledger)
    query = Query(
        model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size
    )
    if query.score.kind == "probability":
        given = "'probability', whose softmax shares nothing out"
        raise ArgumentValueError(
            "score", given, cure="score='logit', or xu.contrast(a, b) for one class against another"
        )
    asked = RelevanceQuery(query)
    at = None if relevance_at is None else asked.tensor("relevance_at", relevance_at)
    how = How(asked.rules(rule), *numbers, bias, None if at is None else at.name, asked.through(through, at), ledger)
    maps, rows = asked.answers(how, asked.box(low, high, how.has_box))
    maps = maps.astype(np.float32) if relevance_at is not None else query.in_form(maps.astype(np.float32))
    return (maps, rows) if ledger else maps


def _checked_numbers(epsilon, gamma, alpha, beta) -> tuple[float, float, float, float]:
    epsilon, gamma = checks.as_number("epsilon", epsilon, 0), checks.as_number("gamma", gamma, 0)
    alpha, beta = checks.as_number("alpha", alpha, 1), checks.as_number("beta", beta, 0)
    if abs(alpha - beta - 1) > 1e-9:
        given = f"{beta:g} beside alpha={alpha:g}"
        raise ArgumentValueError("beta", given, "alpha - beta = 1", f"beta={alpha - 1:g}")
    return epsilon, gamma, alpha, beta
