"""Mutants of the ranks over trainings."""

from mutant_groups.modules import RANK_SPREAD
from mutant_groups.mutant import group

GROUPS = {
    "rank spread": group(
        "test_rank_spread.py", "",
        (RANK_SPREAD, '{"high": -1, "low": 1}', '{"high": 1, "low": -1}'),
        (RANK_SPREAD, "minlength=items)", "minlength=items) * 0 + 1"),
        (RANK_SPREAD, "values[generator.integers(trainings, size=trainings)]", "values"),
        (RANK_SPREAD, "[2.5, 97.5]", "[50, 50]"),
        (RANK_SPREAD, "np.inf) / np.sqrt(2)", "np.inf)"),
        (RANK_SPREAD, "(6 * trainings)", "(6 * items)"),
        (RANK_SPREAD, "count * (count + 1)", "count * (count - 1)"),
        (RANK_SPREAD, "ddof=1", "ddof=0"),
        (RANK_SPREAD, " / (there @ weights)", ""),
        (RANK_SPREAD, ".all(axis=1)\n    methods", ".any(axis=1)\n    methods"),
        (RANK_SPREAD, "if part.duplicated(COLUMNS[:4]).any():", "if False:"),
        (RANK_SPREAD, 'getattr(METRICS.get(metric), "better", "") if better is None', '"high" if better is None'),
    ),
}  # fmt: skip
