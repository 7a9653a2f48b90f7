"""The metrics: one row each; the fields of a row, and what it may look at, stand in `heatproof.metrics.cases`."""

from heatproof.metrics import faithfulness, localisation, robustness
from heatproof.metrics.cases import Metric


def _each(function, full, kept):
    """A mean over items, for every item alone."""
    return [function(full[[place]], kept[[place]]) for place in range(len(full))]


_ROWS = (
    Metric(
        name="average_drop",
        measure=lambda case: _each(faithfulness.average_drop, case.full, case.hard),
        better="low",
        quick=True,
    ),
    Metric(
        name="average_increase",
        measure=lambda case: _each(faithfulness.average_increase, case.full, case.hard),
        better="high",
        quick=True,
    ),
    Metric(
        name="average_drop_soft",
        measure=lambda case: _each(faithfulness.average_drop, case.full, case.soft),
        better="low",
    ),
    Metric(
        name="average_increase_soft",
        measure=lambda case: _each(faithfulness.average_increase, case.full, case.soft),
        better="high",
    ),
    Metric(
        name="deletion",
        measure=lambda case: case.area(faithfulness.deletion_curve, "mean"),
        better="low",
    ),
    Metric(
        name="insertion",
        measure=lambda case: case.area(faithfulness.insertion_curve, "blur"),
        better="high",
    ),
    Metric(
        name="region_perturbation",
        measure=lambda case: case.regions(),
        better="high",
    ),
    Metric(
        name="road",
        measure=lambda case: case.removal(),
        better="low",
    ),
    Metric(
        name="evidence_mass",
        measure=lambda case: localisation.evidence_mass(case.relevance, case.masks),
        better="high",
        needs_masks=True,
        quick=True,
    ),
    Metric(
        name="pointing_game",
        measure=lambda case: localisation.pointing_game(case.relevance, case.masks),
        better="high",
        needs_masks=True,
        quick=True,
    ),
    Metric(
        name="rank_accuracy",
        measure=lambda case: localisation.rank_accuracy(case.relevance, case.masks),
        better="high",
        needs_masks=True,
    ),
    Metric(
        name="average_precision",
        measure=lambda case: localisation.average_precision(case.relevance, case.masks),
        better="high",
        needs_masks=True,
    ),
    Metric(
        name="completeness_gap",
        measure=lambda case: case.completeness(),
        better="low",
    ),
    Metric(
        name="max_sensitivity",
        measure=lambda case: case.again(robustness.max_sensitivity, samples=case.settings.samples),
        better="low",
    ),
    Metric(
        name="infidelity",
        measure=lambda case: case.infidelity(),
        better="low",
    ),
    Metric(
        name="randomised_similarity",
        measure=lambda case: case.cascade[0],
        better="low",
    ),
    Metric(
        name="randomised_rank_correlation",
        measure=lambda case: case.cascade[1],
        better="low",
    ),
    Metric(
        name="entropy_rise",
        measure=lambda case: case.entropy_rise(),
        better="high",
    ),
)

METRICS = {row.name: row for row in _ROWS}
COSTS = ("seconds", "forwards", "backwards")
