"""The two losses of a captioner, as weights of the words of sentences.

Both have gradients of the form sum_nt u_nt d(-log p(w_t | w_<t)): a cross-entropy whose words are weighted. For the
relevance loss the sentences are the references and u = 1 / N; for the discriminative loss they are the captioner's own
and u is its reward. So one step of descent takes both at once, and nothing here differentiates.
"""

import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.data.captions_vocabulary import PADDING
from heatproof.problems import ArgumentTypeError, ArgumentValueError


def advantages(rewards: npt.ArrayLike, baseline: bool = True) -> np.ndarray:
    """What each drawn sentence earned beyond the others that were drawn for its picture, (G, M) float64.

    a_gm = R_gm - 1/(M - 1) sum_(k != m) R_gk, or R_gm without the `baseline`. What is taken off does not depend on the
    sentence itself, so that the mean of a d(log p) stays the gradient of E[R]; it varies less. `rewards` (G, M) are
    those of M sentences for each of G pictures. Raises `ValueError` for other shapes, or a baseline of M = 1.
    Source: Williams 1992.
    """
    rewards = checks.as_finite("rewards", rewards, {2: "(pictures, sentences)"})
    if not checks.as_flag("baseline", baseline):
        return rewards
    others = rewards.shape[1] - 1
    if not others:
        given = "one sentence for each picture, which has no others to be compared with"
        raise ArgumentValueError("rewards", given, "two or more", "draw more, or baseline=False")
    return rewards - (rewards.sum(axis=1, keepdims=True) - rewards) / others


def word_weights(ids: npt.ArrayLike, gained: npt.ArrayLike = 1.0) -> np.ndarray:
    """Weights u of the words of N sentences, (N, T) float64: a_n / N for a word, 0 for the padding behind the end.

    sum_nt u_nt (-log p(w_t | w_<t, I, C)) is, for references and `gained` a_n = 1, the relevance loss
    L_R = -1/N sum_n sum_t log p(w_t | w_<t, I, C), which the paper prints without its minus; for sentences drawn from p
    and a_n = lambda R_n, or lambda times their `advantages`, its gradient is that of the discriminative loss,
    d(-lambda E[R]) = lambda E[R d(-log p(w))]. `ids` (N, T + 1) are as a vocabulary encodes them: the start, then the
    words that are weighted. Raises `TypeError`, `ValueError` for other ids, and for gains that do not fit.
    Source: Hendricks et al. 2016, sec. 3; Williams 1992.
    """
    ids, gained = checks.as_array("ids", ids), checks.as_finite("gained", gained)
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or not ids.size:
        raise ArgumentTypeError("ids", f"shape {ids.shape} of {ids.dtype} values", "integers (N, T + 1)")
    if gained.shape not in ((), (len(ids),)):
        raise ArgumentValueError("gained", f"shape {gained.shape}", f"one number, or ({len(ids)},)")
    return (ids[:, 1:] != PADDING) * np.broadcast_to(gained, len(ids))[:, None] / len(ids)
