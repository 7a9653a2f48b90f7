"""Which of our metrics is compared with which of theirs, and where the definitions differ: as in comparisons.py."""

import numpy as np

from tools.peers.comparisons import Comparison
from tools.peers.metric_case import METHODS, ODD_STEPS, WHOLE

TIES = "orders equal values as its sort leaves them; ours takes the earlier position first"
FLOOR = "rounds the number of positions of a step down; ours to the nearest"
SOFT = "takes the smallest value of a map off before it divides by the largest; ours only divides"
KEPT = (
    "dims the input by the map; ours keeps the top share of the positions as they are. Given 1 at these positions and "
    "0 elsewhere, it does the same"
)


def reduced(maps):
    """Each map less its smallest value."""
    return maps - maps.min(axis=tuple(range(2, maps.ndim)), keepdims=True)


def _curve(name):
    return (
        Comparison(
            name, "metrics_xplique", name, lambda ours: ours(name, ours.given.ranks),
            step="area; values all different; steps that divide the positions",
        ),
        Comparison(
            name, "metrics_xplique", f"{name}_ties", lambda ours: ours(name, ours.given.relevance),
            step="area; maps with ties", reason=TIES, adapted_key=name,
        ),
        Comparison(
            name, "metrics_xplique", f"{name}_odd", lambda ours: ours(name, ours.given.ranks, steps=ODD_STEPS),
            step="area; steps that do not divide", reason=FLOOR, adapted_key=f"{name}_rounded",
        ),
    )  # fmt: skip


def _drop(kind):
    name = f"average_{kind}"
    return (
        Comparison(
            name, "metrics_xplique", name, lambda ours: ours(name, ours.given.relevance), step="top 15 %", reason=KEPT,
            adapted_key=f"{name}_kept",
        ),
        Comparison(
            f"{name}_soft", "metrics_xplique", name, lambda ours: ours(f"{name}_soft", ours.given.relevance),
            step="soft mask", reason=SOFT,
            adapted=lambda ours: ours(f"{name}_soft", reduced(ours.given.relevance)),
        ),
    )  # fmt: skip


COLOURS = (
    "raises an IndexError where inputs have several channels: it copies a map of one channel to each of them, and "
    "looks up the places of the copies in one channel"
)


def _road():
    return (
        Comparison(
            "road", "metrics_quantus", "road_absolute", lambda ours: ours.removed(ours.given.ranks, WHOLE),
            step="area; shares that are whole numbers of positions; its imputation alone; same draws",
            reason="adds noise of the size 0.01; ours of this share of an input's range. The weights of the neighbours "
            "are the same, at the edge as well",
            adapted_key="road_filled",
        ),
        Comparison(
            "road", "metrics_quantus", "road_right", lambda ours: ours.removed(ours.given.ranks, WHOLE),
            step="area; shares that are whole numbers of positions; the metric itself, asked for one input at a time",
            reason="the share of inputs that are still classified right, of the first batch alone (64 inputs unless "
            "told otherwise: those of later batches are computed and left out); ours is the class probability of each. "
            "The inputs that it asks about, in our score, give the second number",
            adapted_key="road_seen", absent=COLOURS,
        ),
        Comparison(
            "road", "metrics_quantus", "road_down", lambda ours: ours("road", ours.given.ranks),
            step="area; shares that are not whole numbers of positions; the inputs that it asks about, in our score",
            reason="removes the number of positions rounded down; ours rounded up",
            adapted_key="road_up", absent=COLOURS,
        ),
    )  # fmt: skip


def _later():
    return (
        Comparison(
            "entropy_rise", "metrics_quantus", "entropy_rise", lambda ours: ours.risen(),
            step="eMPRT; 100 bins; same maps",
        ),
        Comparison(
            "entropy_rise", "metrics_quantus", "entropy_rise_rule",
            lambda ours: ours.risen(int(np.sqrt(ours.given.trained[0, 0].size))),
            step="eMPRT; as many bins as the root of the number of positions; same maps",
            reason="its rules take the number of axes of a map, 2 or 3, for the number of its values: the root is 1, "
            "and its least number of bins, 10, stands in. Told the number of bins, it does the same",
            adapted_key="entropy_rise_bins",
        ),
    )  # fmt: skip


METRIC_COMPARISONS = (
    Comparison(
        "evidence_mass", "metrics_quantus", "evidence_mass", lambda ours: ours("evidence_mass", ours.given.relevance)
    ),
    Comparison(
        "pointing_game", "metrics_quantus", "pointing_game", lambda ours: ours("pointing_game", ours.given.ranks),
        step="values all different",
    ),
    Comparison(
        "pointing_game", "metrics_quantus", "pointing_game_ties", lambda ours: ours("pointing_game", ours.given.levels),
        step="ties at the top",
        reason="a hit where any of the positions that tie is evidence; ours is the share of them that is",
        adapted=lambda ours: np.ceil(ours("pointing_game", ours.given.levels)),
    ),
    Comparison(
        "rank_accuracy", "metrics_quantus", "rank_accuracy", lambda ours: ours("rank_accuracy", ours.given.ranks),
        step="values all different",
    ),
    Comparison(
        "rank_accuracy", "metrics_quantus", "rank_accuracy_ties", lambda ours: ours("rank_accuracy", ours.given.levels),
        step="ties for the last places",
        reason="orders equal values as its sort leaves them; ours lets them share the places, which is the mean over "
        "maps in which they take every place in turn",
        adapted_key="rank_accuracy_every_order",
    ),
    Comparison(
        "completeness_gap", "metrics_quantus", "completeness",
        lambda ours: ours("completeness_gap", ours.given.attribution, "integrated_gradients"),
        reason="says whether the sum equals S(x) - S(x') to the last bit; ours how far it is off. Its own difference "
        "of scores in our quotient gives the second number",
        adapted_key="completeness_gap",
    ),
    Comparison(
        "region_perturbation", "metrics_quantus", "region_perturbation", lambda ours: ours.regions(ours.given.blocks),
        step="AOPC of regions of 4, fill 0; sums all different",
    ),
    Comparison(
        "region_perturbation", "metrics_quantus", "region_perturbation_ties",
        lambda ours: ours.regions(ours.given.relevance),
        step="AOPC of regions of 4, fill 0; maps with ties", reason=TIES, adapted_key="region_perturbation",
    ),
    Comparison(
        "max_sensitivity", "metrics_quantus", "max_sensitivity",
        lambda ours: ours.explained("max_sensitivity", *METHODS), step="same perturbed inputs",
    ),
    Comparison(
        "infidelity", "metrics_quantus", "infidelity", lambda ours: ours("infidelity", ours.given.attribution),
        step="same perturbations",
        reason="E[(I.M - dS)^2] of the map as it is; ours takes the map at its best scale and divides by E[dS^2]. "
        "Their values at three scales give the parabola, hence its least value and E[dS^2]",
        adapted_key="infidelity_share",
    ),
    Comparison(
        "randomised_rank_correlation", "metrics_quantus", "rank_correlation_with_original",
        lambda ours: ours.explained("randomised_rank_correlation", *METHODS), step="same shuffled weights",
        reason="its mean over the layers counts the network as it is, with correlation 1, as another layer",
        adapted_key="rank_correlation",
    ),
    Comparison(
        "randomised_similarity", "metrics_quantus", "similarity_flat",
        lambda ours: ours.explained("randomised_similarity", *METHODS), step="same shuffled weights",
        reason="compares the rows of a map laid end to end, at the range of the two maps, and counts the network as it "
        "is; ours compares pictures, each divided by its largest magnitude, range 2",
        adapted_key="similarity",
    ),
    *_road(), *_later(),
    Comparison(
        "completeness_gap", "metrics_captum", "completeness",
        lambda ours: ours("completeness_gap", ours.given.attribution, "integrated_gradients"),
        step="convergence delta",
        reason="the signed difference itself; ours is its size as a share of |S(x) - S(x')|",
        adapted_key="completeness_gap",
    ),
    Comparison(
        "max_sensitivity", "metrics_captum", "max_sensitivity",
        lambda ours: ours.explained("max_sensitivity", *METHODS), step="same perturbed inputs",
    ),
    Comparison(
        "infidelity", "metrics_captum", "infidelity", lambda ours: ours("infidelity", ours.given.attribution),
        step="at the best scale; same perturbations",
        reason="leaves E[(b I.M - dS)^2] undivided; ours divides by E[dS^2], so that inputs can be averaged",
        adapted_key="infidelity_share",
    ),
    *_curve("deletion"), *_curve("insertion"), *_drop("drop"), *_drop("increase"),
    Comparison(
        "max_sensitivity", "metrics_xplique", "average_stability",
        lambda ours: ours.explained("max_sensitivity", "gradient_x_input"), step="same perturbed inputs",
        reason="AverageStability, the mean over the draws of ||M(x + e) - M(x)||; ours is the largest of them, divided "
        "by ||M(x)||. Asked for one draw at a time it gives each of them",
        adapted_key="max_sensitivity",
    ),
    Comparison(
        "randomised_rank_correlation", "metrics_xplique", "rank_correlation",
        lambda ours: ours.explained("randomised_rank_correlation", "gradient_x_input"), step="same shuffled weights",
    ),
)  # fmt: skip
NO_PEER = {
    "average_precision": "no library of these has it. Quantus' AUC is the area under the ROC curve, another number; "
    "ours is scikit-learn's `average_precision_score`, worked by hand in `tests/test_metrics.py`",
}
