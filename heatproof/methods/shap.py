"""KernelSHAP: the Shapley values of segments, from a weighted least-squares fit over coalitions of them.

One float32 map per input at its own resolution. Shared arguments (model, inputs, targets, score, seed, batch_size) are
explained in `xai_utils`; segments and fill in `lime`, whose twin this is.
"""

import math

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.functions import Predict, ask
from heatproof.engine.nests import over_inputs
from heatproof.engine.query import BATCH_SIZE
from heatproof.engine.readings import PROBABILITY
from heatproof.methods.segments import Segmented
from heatproof.problems import ArgumentWarning


@over_inputs
def kernel_shap(
    model: keras.Model | Predict,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    segments: int | npt.ArrayLike | None = None,
    samples: int = 1000,
    fill: str | npt.ArrayLike = "mean",
    seed: int = 0,
    score: str = PROBABILITY,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The Shapley value of each segment: what it adds to the score, averaged over all orders of showing the segments.

    Minimise sum_z pi(z) (S_c(x_z) - S_c(x_0) - phi.z)^2 over phi with sum_k phi_k = S_c(x) - S_c(x_0), so that this sum
    is exact; x_z shows the segments with z = 1 and `fill` elsewhere, x_0 none; of M segments, with |z| shown,
    pi(z) = (M - 1) / (C(M, |z|) |z| (M - |z|)). M(p) = phi of the segment of p, in units of the score. All 2^M
    coalitions z are taken where they are no more than `samples`, and phi is exact. Otherwise x_0, x, and draws: each z
    is followed by its complement, so that what both have in common cancels; |z| is drawn by the whole weight of its
    size, and z among all of that size, so that draws come as often as pi says and count alike in the sum. They are the
    same for every input with M segments. Segments that too few draws do not tell apart share evenly, and an
    `XAIWarning` says so. `segments`, `fill`: as in `lime`. Raises `ValueError` for one segment or samples < 4. Source:
    Lundberg and Lee 2017, Theorem 2; Covert and Lee 2021 (complements).
    """
    samples, seed = checks.as_count("samples", samples, 4), checks.as_count("seed", seed, 0)
    query = ask(model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size)
    segmented = Segmented(query, segments, fill)
    drawn = {count: coalitions(count, samples, seed) for count in sorted(set(segmented.counts))}
    _doubt(drawn, samples)
    maps = np.empty(query.inputs.shape[:-1], np.float32)
    for item, count in enumerate(segmented.counts):
        visible, weights = drawn[count]
        values = segmented.scores(item, visible, "KernelSHAP")
        maps[item] = shapley_values(visible, weights, values)[segmented.labels[item]]
    return maps


def coalitions(count: int, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of `count` segments are shown: bools (rows, count), none first, all last; and pi of the rows between."""
    if 2**count <= samples:
        visible = np.arange(2**count)[:, None] >> np.arange(count) & 1 == 1
        sizes = visible[1:-1].sum(axis=1)
        return visible, np.array([(count - 1) / (math.comb(count, s) * s * (count - s)) for s in sizes.tolist()])
    generator, sizes = np.random.default_rng(seed), np.arange(1, count)
    weight = 1 / (sizes * (count - sizes))
    pairs = -(-(samples - 2) // 2)
    shown = generator.choice(sizes, pairs, p=weight / weight.sum())
    half = generator.random((pairs, count)).argsort(axis=1).argsort(axis=1) < shown[:, None]
    both = np.stack([half, ~half], axis=1).reshape(-1, count)[: samples - 2]
    return np.concatenate([np.zeros((1, count), bool), both, np.ones((1, count), bool)]), np.ones(samples - 2)


def shapley_values(visible: np.ndarray, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """phi (segments,) in float64 from the scores of the coalitions, in the order of `coalitions`.

    phi is the even share of S(x) - S(x_0) and what departs from it, which sums to 0: the shortest solution of the
    least squares over rows from which their own mean is taken.
    """
    even = (values[-1] - values[0]) / visible.shape[1]
    root, rows = np.sqrt(weights), _centred(visible)
    rest = values[1:-1] - values[0] - even * visible[1:-1].sum(axis=1)
    return even + np.linalg.lstsq(root[:, None] * rows, root * rest)[0]


def _centred(visible):
    inner = visible[1:-1].astype(float)
    return inner - inner.mean(axis=1, keepdims=True)


def _doubt(drawn, samples):
    """A warning where the coalitions do not tell all segments apart."""
    alike = [count for count, (visible, _) in drawn.items() if np.linalg.matrix_rank(_centred(visible)) < count - 1]
    if alike:
        given, enough = f"{samples}, too few to tell {max(alike)} segments apart", min(2 ** max(alike), 8 * max(alike))
        checks.warn(ArgumentWarning("samples", given, cure=f"samples={enough} or more, or fewer segments"))
