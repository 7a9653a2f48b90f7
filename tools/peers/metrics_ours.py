"""Our scores of what every library is given, taken as `xu.evaluate` takes them."""

from dataclasses import replace

import numpy as np

import xai_utils as xu
from heatproof.methods.catalogue import METHODS as ROWS
from heatproof.metrics.cases import Case, Settings
from heatproof.metrics.catalogue import METRICS
from tools.peers.metric_case import FRACTION, METHODS, REGION, SAMPLES, STEPS, Given, each


class OurMetrics:
    """Our values of one case: `ours("deletion", maps)` is (N, number of maps)."""

    def __init__(self, case):
        self.case, self.given, self.model = case, Given.load(case.folder), case.network("model")
        self.full = xu.scores(self.model, case.inputs, case.targets, score="probability")

    def __call__(self, metric, maps, name="random", steps=STEPS):
        """Of attributions; those of "random" are their own relevance."""
        return each(lambda one: METRICS[metric].measure(self._scored(name, one, steps)), maps)

    def explained(self, metric, *methods):
        """Of methods that the metric calls itself."""
        return each(lambda name: METRICS[metric].measure(self._scored(name)), methods)

    def regions(self, maps):
        """The AOPC of regions of one side, set to zero."""
        given = self.case
        options = {"regions": REGION, "fill": "zero"}
        return each(
            lambda one: xu.aopc(xu.region_perturbation(self.model, given.inputs, one, given.targets, **options)), maps
        )

    def removed(self, maps, shares):
        """The area under the curve of ROAD for these shares."""
        given = self.case
        curve = lambda one: xu.removal_curve(self.model, given.inputs, one, given.targets, shares=shares)  # noqa: E731
        return each(lambda one: xu.area_under_curve(curve(one), (0, *shares)), maps)

    def risen(self, bins=None):
        """The rise of the entropy of METHODS, of 100 bins as the metric has it or of so many."""
        if bins is not None:
            maps = zip(self.given.trained, self.given.shuffled, strict=True)
            return np.stack([xu.entropy_rise(*pair, bins) for pair in maps], axis=1)
        cases = {name: self._scored(name) for name in METHODS}
        explained = [replace(case, attribution=case.explain()) for case in cases.values()]
        return each(METRICS["entropy_rise"].measure, explained)

    def _scored(self, name, attribution=None, steps=STEPS):
        case, given = self.case, self.given
        return Case(
            model=self.model,
            settings=Settings((), (), {}, fraction=FRACTION, fill=0.0, steps=steps, samples=SAMPLES, seed=0),
            items=np.arange(len(case.inputs)),
            inputs=case.inputs,
            targets=case.targets,
            full=self.full,
            masks=given.evidence,
            name=name,
            row=ROWS.get(name),
            attribution=attribution,
        )
