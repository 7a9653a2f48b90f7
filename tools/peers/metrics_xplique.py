"""Xplique's scores of the Keras network itself."""

from functools import partial
from unittest import mock

import numpy as np
import tensorflow as tf
from xplique import metrics
from xplique.attributions import GradientInput

from tools.peers.case import BATCH
from tools.peers.metric_case import ODD_STEPS, SAMPLES, STEPS, Given, cascade, each

PACKAGE, BACKEND = "xplique", "tensorflow"


def curve(case, kind, maps, **options):
    """The area under the deletion or insertion curve of these maps."""
    metric = kind(case.network("model"), case.inputs, case.one_hot, **options)
    return lambda: np.asarray(metric(maps))


CURVES = {
    "deletion": lambda case, steps: curve(case, metrics.Deletion, case.relevance, batch_size=BATCH, steps=steps),
    "insertion": lambda case, steps: curve(case, metrics.Insertion, case.relevance, batch_size=BATCH, steps=steps),
}


def answers(case):
    given, one_hot = Given.load(case.folder), case.one_hot
    return (
        _curves(case, given)
        | _drops(case, given, one_hot)
        | _stability(case, given, one_hot)
        | _randomisation(case, one_hot)
    )


def _curves(case, given):
    def area(kind, start, maps, steps):
        options = {"baseline_mode": lambda _: start.copy(), "steps": steps, "batch_size": None}
        with mock.patch("xplique.metrics.fidelity.np.mean", _mean):
            return curve(case, kind, maps, **options)()

    found = {}
    for name, kind, start in (
        ("deletion", metrics.Deletion, given.mean),
        ("insertion", metrics.Insertion, given.blur),
    ):
        area_of = partial(area, kind, start)
        found[name] = each(lambda maps, area=area_of: area(maps, STEPS), given.ranks)
        found[f"{name}_ties"] = each(lambda maps, area=area_of: area(maps, STEPS), given.relevance)
        found[f"{name}_odd"] = each(lambda maps, area=area_of: area(maps, ODD_STEPS), given.ranks)
        with mock.patch("xplique.metrics.fidelity.np.linspace", _rounded):
            found[f"{name}_rounded"] = each(lambda maps, area=area_of: area(maps, ODD_STEPS), given.ranks)
    return found


def _mean(values):
    """Their mean over the steps, (steps, N), without the one over the inputs, (N,)."""
    values = np.asarray(values)
    return values if values.ndim == 1 else values.sum(axis=0) / len(values)


def _rounded(low, high, count, dtype=int, line=np.linspace):
    return np.round(line(low, high, count)).astype(dtype)


def _drops(case, given, one_hot):
    network, found = case.network("model"), {}
    for name, kind in {"drop": metrics.AverageDropMetric, "increase": metrics.AverageIncreaseMetric}.items():
        metric = kind(network, case.inputs, one_hot)

        def percent(maps, metric=metric):
            return 100 * metric.detailed_evaluate(case.inputs, one_hot, maps)

        found[f"average_{name}"] = each(percent, given.relevance)
        found[f"average_{name}_kept"] = each(percent, given.kept.astype(np.float32))
    return found


def _stability(case, given, one_hot):
    """AverageStability of gradient x input; with one draw its mean is the largest."""
    network = case.network()
    explainer = GradientInput(network, reducer=None)

    def score(item, draws):
        one = slice(item, item + 1)
        metric = metrics.AverageStability(network, case.inputs[one], one_hot[one], nb_samples=len(draws))
        metric.noisy_masks = tf.constant(draws)
        return metric.evaluate(explainer)

    moves = np.moveaxis(given.near - case.inputs, 1, 0)
    sizes = np.linalg.norm(np.asarray(explainer(case.inputs, one_hot)).reshape(len(case.inputs), -1), axis=1)
    largest = [max(score(item, draws[[k]]) for k in range(SAMPLES)) for item, draws in enumerate(moves)]
    return {
        "average_stability": np.array([[score(item, draws)] for item, draws in enumerate(moves)]),
        "max_sensitivity": (np.array(largest) / sizes)[:, None],
    }


def _randomisation(case, one_hot):
    """Spearman's correlation of gradient x input with the network as it is, the mean over the shuffled ones."""
    explainer = GradientInput(case.network(), reducer=None)
    found = []
    for shuffled in cascade(case):
        strategy = mock.Mock(randomize=lambda model, source=shuffled: model.set_weights(source.get_weights()))
        metric = metrics.ModelRandomizationMetric(explainer.model, case.inputs, one_hot, strategy)
        found.append(metric._batch_evaluate(tf.constant(case.inputs), tf.constant(one_hot), explainer))  # per input
    return {"rank_correlation": np.mean(found, axis=0)[:, None]}
