"""The two losses of a captioner, as weights of the words of sentences.

Both have gradients of the form sum_nt u_nt d(-log p(w_t | w_<t)): a cross-entropy whose words are weighted. For the
relevance loss the sentences are the references and u = 1 / N; for the discriminative loss they are the captioner's own
and u is its reward. So one step of descent takes both at once, and nothing here differentiates.
"""

import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.data.captions_vocabulary import PADDING
from heatproof.problems import ArgumentValueError


def relevance_weights(ids: np.ndarray) -> np.ndarray:
    """Weights of the relevance loss L_R = -1/N sum_n sum_t log p(w_t | w_<t, I, C): 1/N for a word, 0 for padding.

    `ids` (N, T + 1) as a vocabulary encodes them; the weights (N, T) belong to the words behind the start. The paper
    prints L_R without its minus. Source: Hendricks et al. 2016, eq. (1).
    """
    return (ids[:, 1:] != PADDING) / len(ids)


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


def discriminative_weights(ids: np.ndarray, gained: np.ndarray, weight: float) -> np.ndarray:
    """Weights of the discriminative loss -lambda E[R_D]: lambda a_n / N for each word of a sentence, 0 for padding.

    -lambda dE[R]/dtheta = lambda / N sum_n a_n sum_t d(-log p(w_t | w_<t))/dtheta over N sentences drawn from p, with
    their `advantages` a (N,). Source: Hendricks et al. 2016, eq. (2) to (5); Williams 1992.
    """
    return weight * gained[:, None] * relevance_weights(ids)
