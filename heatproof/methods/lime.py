"""LIME: a simple model that stands in for the network near one input.

One float32 map per input at its own resolution. Shared arguments (model, inputs, targets, score, seed, batch_size) are
explained in `xai_utils`.
"""

import keras
import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.engine.functions import Predict, ask
from heatproof.engine.nests import over_inputs
from heatproof.engine.query import BATCH_SIZE
from heatproof.engine.readings import PROBABILITY
from heatproof.methods.segments import Segmented


@over_inputs
def lime(
    model: keras.Model | Predict,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike | None = None,
    *,
    segments: int | npt.ArrayLike | None = None,
    samples: int = 1000,
    fill: str | npt.ArrayLike = "mean",
    kernel_width: float = 0.25,
    alpha: float = 1.0,
    seed: int = 0,
    score: str = PROBABILITY,
    activation: str | None = None,
    head: str | int | None = None,
    only: str | int | None = None,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """The coefficients of a linear model of the score in "is this segment visible", fitted near the input.

    Minimise sum_i pi_i (S_c(x_i) - b - beta.z_i)^2 + alpha |beta|^2 over n = `samples` draws z_i in {0, 1}^d (the first
    all 1); x_i shows the segments with z = 1 and `fill` elsewhere; pi = sqrt(exp(-D^2 / kernel_width^2)), D the cosine
    distance of z_i from all ones. M(p) = beta of the segment of p. `segments`: labels (N, H, W) or (N, T) (or of one
    input, for all), or their number; see `superpixels`. `fill`: "mean", "middle", "zero", "blur", "segment" (each
    segment's own mean), a number or an array. Raises `ValueError` for one segment, samples < 2, a width not above 0, a
    negative alpha; fewer than 5 segments draw an `XAIWarning`. Source: Ribeiro, Singh, Guestrin 2016, sec. 3.4.
    """
    from sklearn.linear_model import Ridge  # slow to import

    samples = checks.as_count("samples", samples, 2)
    kernel_width = checks.as_number("kernel_width", kernel_width, 0, open_ends=True)
    alpha, seed = checks.as_number("alpha", alpha, 0), checks.as_count("seed", seed, 0)
    query = ask(model, inputs, targets, score=score, activation=activation, head=head, only=only, batch_size=batch_size)
    segmented = Segmented(query, segments, fill)
    maps = np.empty(query.inputs.shape[:-1], np.float32)
    for item, count in enumerate(segmented.counts):
        visible = np.random.default_rng(seed).integers(0, 2, (samples, count), np.int8)
        visible[0] = 1
        values = segmented.scores(item, visible, "LIME")
        fit = Ridge(alpha).fit(visible, values, sample_weight=proximity(visible, kernel_width))
        maps[item] = fit.coef_[segmented.labels[item]]
    return maps


def proximity(visible, kernel_width):
    """pi = sqrt(exp(-D^2 / width^2)), D = 1 - sqrt(share of visible segments), the cosine distance from all ones."""
    distance = 1 - np.sqrt(np.mean(visible, axis=1))
    return np.sqrt(np.exp(-((distance / kernel_width) ** 2)))
