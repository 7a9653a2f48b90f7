"""Attention rollout: which patches the tokens of a transformer have looked at, from the attention of all its layers."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine import tokens
from heatproof.engine.nests import over_inputs
from heatproof.engine.query import BATCH_SIZE, Query
from heatproof.methods.finishing import CENTRES, as_enlarging, finished
from heatproof.problems import ArgumentValueError


@over_inputs(needs_positions=True)
def attention_rollout(
    model: keras.Model,
    inputs: npt.ArrayLike,
    targets: None = None,
    *,
    share: float = 0.5,
    reader: int | None = None,
    grid: tokens.Grid = None,
    upsample: bool = True,
    align: str = CENTRES,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """How much of what a token holds at the end came from each patch, if attention alone moved it: of no class.

    R = B_L ... B_2 B_1 with B_l = (1 - s) mean_h A_lh + s I, where A_lh (tokens, tokens) is the attention of head h in
    layer l, its rows summing to 1, and s = `share` what the shortcut carries past it. The map is the row of the token
    number `reader` of R, at the patches; None reads the class token where there is one, or else the mean of all rows.
    Values in [0, 1], float32 (N, H, W) or (N, T); on the native grid they sum to 1 with those of the tokens that are no
    patch. `grid`, `upsample`, `align`: as of a layer. What values, weights and the head make of it is left out. Raises
    `ValueError` for a model without attention between equal tokens, for `targets` other than None, share outside [0,
    1). Source: Abnar and Zuidema 2020, eq. (1)-(2).
    """
    share = checks.as_number("share", share, 0, 1, open_ends="high")
    upsample, align = as_enlarging(upsample, align)
    if targets is not None:
        raise ArgumentValueError("targets", checks.shown(targets), "None: attention tells of no class", "grad_cam")
    query = Query(model, inputs, 0, head=head, only=only, batch_size=batch_size)
    place, count = tokens.attended(query, grid)
    reader = _as_reader(reader, place.row, count)

    def rolled(*given: Any) -> np.ndarray:
        rollout = np.eye(count)
        for attention in map(np.asarray, tokens.attention(query)(*given)):
            if len(attention) != len(given[0]):
                raise tokens.no_attention(f"one whose attention {attention.shape} is that of parts of an input")
            heads = attention.reshape(len(attention), -1, count, count).mean(axis=1)
            rollout = ((1 - share) * heads + share * np.eye(count)) @ rollout
        return rollout.mean(axis=1) if reader is None else rollout[:, reader]

    rows = query.batched(rolled, query.inputs, *query.told())
    return finished(place.laid(rows[..., None])[..., 0], place, upsample, align)


def _as_reader(reader, row, count):
    if reader is None:
        return 0 if row.first else None
    return checks.as_count("reader", reader, 0, count - 1)
