"""How often a network is right, with its interval."""

import keras
import numpy as np
from scipy.stats import binomtest

from heatproof import checks
from heatproof.problems import ArgumentValueError


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson 1927, J. Am. Stat. Assoc. 22:209).

    With p = correct / total and z = 1.96: (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).
    Raises ``ValueError`` unless 0 <= correct <= total and total >= 1.
    """
    total = checks.as_count("total", total)
    correct = checks.as_count("correct", correct, 0, total)
    interval = binomtest(correct, total).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def measure(
    model: keras.Model, inputs: np.ndarray, labels: np.ndarray, batch_size: int = 64
) -> tuple[dict, np.ndarray]:
    """Accuracy of a classifier: the card's entry for one part of the data, and the confusion matrix.

    Returns ``({accuracy, correct, total, interval}, matrix)``; ``matrix[t, p]`` counts the items of true class t
    that were predicted as class p. Raises ``ValueError`` when there is not one label per input.
    """
    from sklearn.metrics import confusion_matrix  # slow to import

    labels = np.asarray(labels)
    if labels.shape != (len(inputs),):
        raise ArgumentValueError("labels", f"shape {labels.shape}", f"one label per input, ({len(inputs)},)")
    outputs = np.asarray(model.predict(inputs, batch_size=batch_size, verbose=0))
    binary = outputs.shape[-1] == 1
    predicted = (outputs[:, 0] > 0.5).astype(int) if binary else outputs.argmax(-1)
    matrix = confusion_matrix(labels, predicted, labels=range(2 if binary else outputs.shape[-1]))
    correct, total = int(np.trace(matrix)), int(matrix.sum())
    interval = [round(bound, 4) for bound in wilson_interval(correct, total)]
    entry = {"accuracy": round(correct / total, 4), "correct": correct, "total": total, "interval": interval}
    return entry, matrix
