"""What a metric sees of some items of one method, and the three maps that never look at the model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from scipy.ndimage import sobel

from heatproof import checks
from heatproof.engine.query import Query, scores
from heatproof.engine.readings import LOGIT
from heatproof.hiding import baselines
from heatproof.methods.rows import Method, check_call, check_name
from heatproof.metrics import faithfulness, randomisation, regions, removal

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

# ------------------------------------------------------------------------------------------------------------- rows


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric: `measure(case)` gives one number per item of a `Case`, NaN where it has none.

    A case offers `model`, `inputs`, `targets`, `masks` (or None), `attribution` and `relevance` of these items, `full`
    (the probability of the target on the whole input), and `method(model, inputs, targets)`, which explains again.
    Raises `TypeError`, `ValueError` for a function that cannot be called so, and words that are not allowed.
    """

    name: str
    measure: Callable
    better: str  # "high", "low", or "" where neither is
    needs_masks: bool = False
    quick: bool = False  # taken when no metrics are named

    @property
    def work(self) -> Callable:
        return self.measure

    def __post_init__(self) -> None:
        check_name(self.name)
        check_call("measure", self.measure, "case")
        checks.one_of("better", self.better, ("high", "low", ""))


@dataclass(frozen=True)
class Settings:
    """How the metrics are taken: see `evaluate`."""

    metrics: tuple  # of rows
    costs: tuple  # of "seconds", "forwards", "backwards"
    options: dict  # {method: {option: value}}
    fraction: float
    fill: float
    steps: int
    samples: int
    seed: int
    activation: str | None = None


# ------------------------------------------------------------------------------------------------ what a metric sees


@lru_cache(maxsize=2)
def _start(fill, data, dtype, shape):
    """What stands for "nothing" in these inputs: kept, because every method of a shard's items asks for the same."""
    return baselines(fill, np.frombuffer(data, dtype).reshape(shape))


@dataclass(frozen=True)
class Case:
    """Some items of one method, or of a baseline: what every metric may look at."""

    model: Callable
    settings: Settings
    items: np.ndarray  # their places in the data set
    inputs: np.ndarray
    targets: np.ndarray
    full: np.ndarray  # probability of the target on the whole input
    masks: np.ndarray | None
    name: str = ""
    row: Method | None = None  # None for a baseline
    attribution: Any = None  # an array, once the inputs were explained

    def shards(self, rows, size):
        """The cases of `size` items and one method or baseline each; without the model, which travels apart."""
        named = [(row.name, row) for row in rows] + [(name, None) for name in BASELINES]
        parts = [self.at(slice(start, start + size)) for start in range(0, len(self.items), size)]
        return [replace(part, model=None, name=name, row=row) for part in parts for name, row in named]

    def at(self, places):
        """The case of some of its items."""
        names = ("items", "inputs", "targets", "full", "masks", "attribution")
        parts = {name: getattr(self, name) for name in names}
        taken: dict[str, Any] = {name: None if part is None else part[places] for name, part in parts.items()}
        return replace(self, **taken)

    @cached_property
    def relevance(self):
        return self.attribution if self.row is None else self.row.reduce(self.attribution)

    @property
    def options(self):
        return self.settings.options.get(self.name, {})

    def method(self, model, inputs, targets):
        """The map of these items by another model or at other inputs; a baseline does not look at model and class."""
        if self.row is None:
            return BASELINES[self.name](inputs, self.items, self.settings.seed)
        return np.asarray(self.row.function(model, inputs, targets, **self.options))

    def explain(self):
        return self.method(self.model, self.inputs, self.targets)

    @cached_property
    def hard(self):
        """The probability on the most relevant part of each input."""
        part = faithfulness.keep_top(self.inputs, self.relevance, self.settings.fraction, self.settings.fill)
        return scores(self.model, part, self.targets, activation=self.settings.activation)

    @cached_property
    def soft(self):
        """The probability on each input dimmed by its relevance."""
        part = faithfulness.soft_mask(self.inputs, self.relevance, self.settings.fill)
        return scores(self.model, part, self.targets, activation=self.settings.activation)

    def area(self, curve, fill):
        start = _start(fill, self.inputs.tobytes(), self.inputs.dtype, self.inputs.shape)
        steps = min(self.settings.steps, self.relevance[0].size)
        options = {"steps": steps, "fill": start, "activation": self.settings.activation}
        found = curve(self.model, self.inputs, self.relevance, self.targets, **options)
        return faithfulness.area_under_curve(found)

    def regions(self):
        """How far the probability falls while regions become noise, which is drawn once: many items need no more."""
        options: dict[str, Any] = {"draws": 1, "seed": self.settings.seed, "activation": self.settings.activation}
        curves = regions.region_perturbation(self.model, self.inputs, self.relevance, self.targets, **options)
        return regions.aopc(curves)

    def removal(self):
        """The area under the probability while the most relevant positions go and their neighbours fill the hole."""
        options: dict[str, Any] = {"seed": self.settings.seed, "activation": self.settings.activation}
        curves = removal.removal_curve(self.model, self.inputs, self.relevance, self.targets, **options)
        return faithfulness.area_under_curve(curves, (0, *removal.SHARES))

    def completeness(self):
        if self.row is None or not self.row.additive:
            raise ValueError("completeness is a property of additive methods")
        query = Query(
            self.model,
            self.inputs,
            self.targets,
            score=self.options.get("score", LOGIT),
            activation=self.options.get("activation"),
        )
        start = baselines(self.options.get("baseline", "zero"), query.inputs)
        return faithfulness.completeness_gap(self.attribution, query.scores(), query.scores(start))

    def infidelity(self):
        draws: dict[str, Any] = {"samples": 10 * self.settings.samples, "seed": self.settings.seed}
        return faithfulness.infidelity(self.model, self.inputs, self.attribution, self.targets, **draws)

    def again(self, measure, **arguments):
        """A measure that explains again: other inputs, or another network."""

        def method(model, inputs, targets, batch_size):
            return self.method(model, inputs, targets)

        return measure(method, self.model, self.inputs, self.targets, seed=self.settings.seed, **arguments)

    def entropy_rise(self):
        """How much more evenly a map's values are spread once every layer is shuffled."""
        *_, (_, shuffled) = randomisation.randomised(self.model, seed=self.settings.seed)
        maps = np.asarray(self.attribution), self.method(shuffled, self.inputs, self.targets)
        before, after = (found.sum(axis=-1) if found.ndim == self.inputs.ndim else found for found in maps)
        return randomisation.entropy_rise(before, after)

    @cached_property
    def cascade(self):
        """Mean similarity and rank correlation over the steps of cascading randomisation."""
        _, alike, ranked = self.again(randomisation.randomisation)
        return alike.mean(axis=1), ranked.mean(axis=1)
