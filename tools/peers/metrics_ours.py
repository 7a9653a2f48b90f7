"""Our scores of what every library is given, taken as `xu.evaluate` takes them."""

import numpy as np

import xai_utils as xu
from heatproof.methods.catalogue import METHODS
from heatproof.metrics.cases import Case, Settings
from heatproof.metrics.catalogue import METRICS
from tools.peers.metric_case import FRACTION, REGION, SAMPLES, STEPS, Given, each


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
            row=METHODS.get(name),
            attribution=attribution,
        )
