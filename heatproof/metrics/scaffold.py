"""A scaffold that notices perturbed inputs, told as a warning to all who trust methods that perturb.

Occlusion, LIME, KernelSHAP and RISE ask a network about inputs that it never met. Whoever sells a network can answer
such questions by another rule than those that count.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.problems import ArgumentTypeError, ArgumentValueError


def scaffolded(
    honest: Callable, decoy: Callable, ordinary: npt.ArrayLike, perturbed: npt.ArrayLike, *, seed: int = 0
) -> Callable:
    """Return predict(inputs), which answers as `honest` where an input looks ordinary, else as `decoy`.

    f(x) = honest(x) if d(x) says ordinary, else decoy(x), with d a random forest of 100 trees that has learned to tell
    `ordinary` from `perturbed` inputs, (N, ...) and (M, ...). Both functions give (N, K); the decisions that count are
    those of `honest`, and a method that perturbs sees `decoy`. It serves to test a method, not to hide anything: a
    gradient of `honest`, or a look at inputs that were not perturbed, tells. Raises `TypeError`, `ValueError` for what
    is no function, or inputs that do not fit. Source: Slack et al. 2020, sec. 3.
    """
    from sklearn.ensemble import RandomForestClassifier  # slow to import

    for name, function in (("honest", honest), ("decoy", decoy)):
        if not callable(function):
            raise ArgumentTypeError(name, checks.shown(function), "a function of inputs that returns (N, K)")
    ordinary, perturbed = checks.as_finite("ordinary", ordinary), checks.as_finite("perturbed", perturbed)
    if ordinary.ndim < 2 or not len(ordinary):
        raise ArgumentValueError("ordinary", f"shape {ordinary.shape}", "inputs with their batch axis, (N, ...)")
    if perturbed.shape[1:] != ordinary.shape[1:] or not len(perturbed):
        allowed = f"({', '.join(['M', *map(str, ordinary.shape[1:])])}), as `ordinary`"
        raise ArgumentValueError("perturbed", f"shape {perturbed.shape}", allowed)
    seed = checks.as_count("seed", seed, 0)
    rows = np.concatenate([ordinary, perturbed]).reshape(len(ordinary) + len(perturbed), -1)
    detector = RandomForestClassifier(100, random_state=seed)
    detector.fit(rows, np.arange(len(rows)) >= len(ordinary))

    def predict(inputs):
        inputs = np.asarray(inputs)
        noticed = detector.predict(inputs.reshape(len(inputs), -1))
        return np.where(noticed[:, None], np.asarray(decoy(inputs)), np.asarray(honest(inputs)))

    return predict
