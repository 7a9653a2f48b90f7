"""The committed tables: of which network and data, by which methods and metrics, with which settings.

What the rule of `xu.tune` chooses on validation parts stands in NETWORK_tuning.csv.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from heatproof.metrics.knobs import KNOBS
from tools.sets import TUNED_ON, hmt, mnist1d, schematic_faces, tissue_phantom, validation

METHODS = ("grad_cam", "integrated_gradients", "saliency", "gradient_x_input", "smooth_grad", "guided_backprop")
STEPS = 18
OPTIONS = {"integrated_gradients": {"steps": STEPS, "baseline": 1.0}, "smooth_grad": {"samples": 10}}
STARTS = {"black": 0.0, "mean": "mean"}  # other baselines of Integrated Gradients than white
SETTINGS = {"methods": METHODS, "options": OPTIONS, "starts": STARTS, "fraction": 0.15, "fill": 0.0, "seed": 0}

# The large tables: all methods, one fill (the mean of all items), and the mean of an item where a method hides a part.
MANY = (*METHODS, "grad_cam_plus_plus", "layer_cam", "hires_cam", "score_cam", "ablation_cam", "guided_grad_cam")
MANY += ("var_grad", "deconvnet", "occlusion", "rise", "sise", "lime")
QUICK = ("average_drop", "average_increase", "average_drop_soft", "deletion", "insertion")
TRUTH = ("evidence_mass", "pointing_game", "rank_accuracy", "average_precision")
COST = ("seconds", "forwards", "backwards")
STABILITY = (
    "max_sensitivity",
    "infidelity",
    "randomised_similarity",
    "randomised_rank_correlation",
    "completeness_gap",
)
HIDING = {
    "score_cam": {"fill": "mean"},
    "rise": {"masks": 300, "fill": "mean"},
    "sise": {"fill": "mean"},
}
SAMPLED = {"smooth_grad": {"samples": 10}, "var_grad": {"samples": 10}}


def large(occlusion, lime, start, steps):
    """The settings of a large table; `start`: the baseline of Integrated Gradients."""
    options = SAMPLED | HIDING | {"occlusion": occlusion, "lime": lime}
    options |= {"integrated_gradients": {"steps": STEPS, "baseline": start}}
    return {
        "methods": MANY,
        "options": options,
        "fraction": 0.15,
        "fill": "grey",
        "steps": steps,
        "samples": 4,
        "seed": 0,
    }


IMAGES = large(
    {"patch": 30, "stride": 15, "fill": "mean"}, {"samples": 200, "segments": 60, "fill": "mean"}, "mean", 10
)
FACES = large({"fill": "mean"}, {"samples": 300, "fill": "mean"}, "mean", 20)
FACES |= {"methods": ("cam", *MANY)}
SIGNALS = large({"fill": "mean"}, {"samples": 300, "fill": "mean"}, "zero", 20)


@dataclass(frozen=True)
class Scored:
    """A network, its data, and how the methods are called; `own` names the further fields that are settings too."""

    own: ClassVar[tuple] = ()
    network: str
    data: Callable
    note: str  # what the data are
    settings: dict


@dataclass(frozen=True)
class Table(Scored):
    """One row per method, metric and item; other baselines and other fills on some of the items."""

    own: ClassVar[tuple] = ("others_on_every",)
    others_on_every: int = 1  # the items for other baselines and other fills: every n-th
    fills: tuple = ("white", "grey")  # the other fills


@dataclass(frozen=True)
class LargeTable(Scored):
    """All methods and many metrics, one row per method and item; in shards that are kept until the table is done."""

    own: ClassVar[tuple] = ("metrics", "items")
    metrics: tuple
    items: int | None = None  # the first of the data, None for all
    every: int = 1  # of these every n-th


@dataclass(frozen=True)
class MemoryTable(Scored):
    """The peak memory of each method on the first items, each in a process of its own; one row per method."""

    own: ClassVar[tuple] = ("items",)
    items: int = 32


HMT_NOTE = "H&E tiles, test part (Kather et al. 2016, doi:10.5281/zenodo.53169, CC BY 4.0)"
TISSUE_NOTE = "xai_utils.tissue_phantom({}, seed=3), generated"
TISSUE = ("tissue_phantom", functools.partial(tissue_phantom, 500), TISSUE_NOTE.format(500), IMAGES)
DRAWN = ("schematic_faces", schematic_faces, "xai_utils.schematic_faces(500, seed=3), generated", FACES)
SIGNAL = ("mnist1d", mnist1d, "mnist1d_utils.make_dataset(), test part, generated", SIGNALS)
TILES = ("hmt", hmt, HMT_NOTE, IMAGES)
BUDGET = SAMPLED | {"rise": {"masks": 300}, "integrated_gradients": {"steps": STEPS}}
TUNING = {
    "mnist1d": {"lime": {"samples": 300}},
    "schematic_faces": {"lime": {"samples": 300}},
    "tissue_phantom": {"lime": {"samples": 200}},
    "hmt": {"lime": {"samples": 200}},
}


@dataclass(frozen=True)
class TuningTable(Scored):
    """What `xu.tune` tries of every method on validation items of a network; one row per setting."""

    own: ClassVar[tuple] = ("items",)
    items: int = TUNED_ON


def tuning(network, methods=MANY):
    """The tuning of all methods for a network; what stays as it is are the numbers of samples: equal passes."""
    settings = {"methods": methods, "options": BUDGET | TUNING[network], "steps": 20, "seed": 0}
    note = f"{TUNED_ON} items of the validation part, spread over it"
    settings["knobs"] = {name: [*KNOBS[name]] for name in methods if name in KNOBS}
    return TuningTable(network, lambda: (validation(network), None), note, settings)


TABLES = {
    "mnist1d_tuning": tuning("mnist1d"),
    "schematic_faces_tuning": tuning("schematic_faces"),
    "tissue_phantom_tuning": tuning("tissue_phantom"),
    "hmt_tuning": tuning("hmt"),
    "tissue_phantom": Table("tissue_phantom", tissue_phantom, TISSUE_NOTE.format(100), SETTINGS),
    "hmt": Table("hmt", hmt, HMT_NOTE, SETTINGS, others_on_every=4),
    "mnist1d_all": LargeTable(*SIGNAL, (*QUICK, *TRUTH, *COST)),
    "schematic_faces_all": LargeTable(*DRAWN, (*QUICK, *TRUTH, *COST)),
    "tissue_phantom_all": LargeTable(*TISSUE, (*QUICK, *TRUTH, *COST)),
    "hmt_all": LargeTable(*TILES, (*QUICK, *COST)),
    "mnist1d_stability": LargeTable(*SIGNAL, STABILITY, 40),
    "schematic_faces_stability": LargeTable(*DRAWN, STABILITY, 40),
    "tissue_phantom_stability": LargeTable(*TISSUE, STABILITY, 40),
    "hmt_stability": LargeTable(*TILES, STABILITY, 480, every=12),
    "tissue_phantom_memory": MemoryTable(*TISSUE),
}
