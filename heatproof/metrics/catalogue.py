"""What the metrics make of some items of one method, and the three maps that never look at the model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from scipy.ndimage import sobel

from heatproof.engine.query import Query, scores
from heatproof.hiding import baselines
from heatproof.methods.catalogue import METHODS, relevance
from heatproof.metrics import faithfulness, localisation, randomisation, robustness

# ------------------------------------------------------------------------------------------------------- baselines


def _random(inputs, items, seed):
    """Uniform numbers in [0, 1): item i has the same whatever else is in the data set."""
    return np.stack([np.random.default_rng([seed, item]).random(inputs.shape[1:-1]) for item in items])


def _edge(inputs, items, seed):
    """The magnitude of Sobel's gradient of the mean over channels."""
    slopes = [[sobel(one, axis, mode="nearest") for axis in range(one.ndim)] for one in inputs.mean(axis=-1)]
    return np.sqrt(np.square(slopes).sum(axis=1))


def _centre(inputs, items, seed):
    """1 at the centre, 0 at the farthest position, linear in the distance."""
    shape = inputs.shape[1:-1]
    middle = (np.asarray(shape) - 1) / 2
    distance = np.sqrt(sum((axis - place) ** 2 for axis, place in zip(np.indices(shape), middle, strict=True)))
    return np.broadcast_to(1 - distance / max(distance.max(), 1), inputs.shape[:-1])


BASELINES = {"random": _random, "edge": _edge, "centre": _centre}

# ------------------------------------------------------------------------------------------------ what a metric sees


@lru_cache(maxsize=2)
def _start(fill, data, dtype, shape):
    """What stands for "nothing" in these inputs: kept, because every method of a shard's items asks for the same."""
    return baselines(fill, np.frombuffer(data, dtype).reshape(shape))


@dataclass(frozen=True)
class Settings:
    """How the metrics are taken: see `evaluate`."""

    metrics: tuple
    options: dict  # {method: {option: value}}
    fraction: float
    fill: float
    steps: int
    samples: int
    seed: int


@dataclass(frozen=True)
class Case:
    """Some items of one method: what every metric may look at."""

    model: Callable
    settings: Settings
    name: str
    items: np.ndarray  # their places in the data set
    inputs: np.ndarray
    targets: np.ndarray
    full: np.ndarray  # probability of the target on the whole input
    masks: np.ndarray | None
    attribution: np.ndarray | None = None

    def at(self, places):
        """The case of some of its items."""
        names = ("items", "inputs", "targets", "full", "masks", "attribution")
        parts = {name: getattr(self, name) for name in names}
        return replace(self, **{name: value if value is None else value[places] for name, value in parts.items()})

    @cached_property
    def relevance(self):
        return self.attribution if self.name in BASELINES else relevance(self.name, self.attribution)

    @property
    def options(self):
        return self.settings.options.get(self.name, {})

    def method(self, model, inputs, targets):
        """The map of these items by another model or at other inputs; a baseline does not look at model and class."""
        if self.name in BASELINES:
            return BASELINES[self.name](inputs, self.items, self.settings.seed)
        return METHODS[self.name].function(model, inputs, targets, **self.options)

    def explain(self):
        return self.method(self.model, self.inputs, self.targets)

    @cached_property
    def hard(self):
        """The probability on the most relevant part of each input."""
        part = faithfulness.keep_top(self.inputs, self.relevance, self.settings.fraction, self.settings.fill)
        return scores(self.model, part, self.targets)

    @cached_property
    def soft(self):
        """The probability on each input dimmed by its relevance."""
        return scores(self.model, faithfulness.soft_mask(self.inputs, self.relevance, self.settings.fill), self.targets)

    def area(self, curve, fill):
        start = _start(fill, self.inputs.tobytes(), self.inputs.dtype, self.inputs.shape)
        steps = min(self.settings.steps, self.relevance[0].size)
        found = curve(self.model, self.inputs, self.relevance, self.targets, steps=steps, fill=start)
        return faithfulness.area_under_curve(found)

    def completeness(self):
        if self.name in BASELINES or not METHODS[self.name].additive:
            raise ValueError("completeness is a property of additive methods")
        query = Query(self.model, self.inputs, self.targets, score=self.options.get("score", "logit"))
        start = baselines(self.options.get("baseline", "zero"), query.inputs)
        return faithfulness.completeness_gap(self.attribution, query.scores(), query.scores(start))

    def infidelity(self):
        draws = {"samples": 10 * self.settings.samples, "seed": self.settings.seed}
        return faithfulness.infidelity(self.model, self.inputs, self.attribution, self.targets, **draws)

    def again(self, measure, **arguments):
        """A measure that explains again: other inputs, or another network."""

        def method(model, inputs, targets, batch_size):
            return self.method(model, inputs, targets)

        return measure(method, self.model, self.inputs, self.targets, seed=self.settings.seed, **arguments)

    @cached_property
    def cascade(self):
        """Mean similarity and rank correlation over the steps of cascading randomisation."""
        _, alike, ranked = self.again(randomisation.randomisation)
        return alike.mean(axis=1), ranked.mean(axis=1)


# --------------------------------------------------------------------------------------------------------- metrics


@dataclass(frozen=True)
class Metric:
    """One row of the metrics: `measure(case)` gives a value per item."""

    measure: Callable
    better: str  # "high", "low", or "" where neither is
    needs_masks: bool = False
    quick: bool = False  # taken when no metrics are named


def _each(function, full, kept):
    """A mean over items, for every item alone."""
    return [function(full[[place]], kept[[place]]) for place in range(len(full))]


METRICS = {
    "average_drop": Metric(lambda case: _each(faithfulness.average_drop, case.full, case.hard), "low", quick=True),
    "average_increase": Metric(
        lambda case: _each(faithfulness.average_increase, case.full, case.hard), "high", quick=True
    ),
    "average_drop_soft": Metric(lambda case: _each(faithfulness.average_drop, case.full, case.soft), "low"),
    "average_increase_soft": Metric(lambda case: _each(faithfulness.average_increase, case.full, case.soft), "high"),
    "deletion": Metric(lambda case: case.area(faithfulness.deletion_curve, "mean"), "low"),
    "insertion": Metric(lambda case: case.area(faithfulness.insertion_curve, "blur"), "high"),
    "evidence_mass": Metric(lambda case: localisation.evidence_mass(case.relevance, case.masks), "high", True, True),
    "pointing_game": Metric(lambda case: localisation.pointing_game(case.relevance, case.masks), "high", True, True),
    "rank_accuracy": Metric(lambda case: localisation.rank_accuracy(case.relevance, case.masks), "high", True),
    "average_precision": Metric(lambda case: localisation.average_precision(case.relevance, case.masks), "high", True),
    "completeness_gap": Metric(lambda case: case.completeness(), "low"),
    "max_sensitivity": Metric(
        lambda case: case.again(robustness.max_sensitivity, samples=case.settings.samples), "low"
    ),
    "infidelity": Metric(lambda case: case.infidelity(), "low"),
    "randomised_similarity": Metric(lambda case: case.cascade[0], "low"),
    "randomised_rank_correlation": Metric(lambda case: case.cascade[1], "low"),
}
COSTS = ("seconds", "forwards", "backwards")
