"""The committed tables: of which network and data, by which methods and metrics, with which settings.

What the rule of `xu.tune` chooses on validation parts stands in NETWORK_tuning.csv.
"""

import csv
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from heatproof.metrics.committed import TUNED
from heatproof.metrics.knobs import FEW_SEGMENTS, KNOBS, LARGEST, named, patch_at
from tools.environment import ROOT
from tools.sets import TUNED_ON, hmt, mnist1d, schematic_faces, tissue_phantom, validation

STEPS = 18
MANY = ("grad_cam", "integrated_gradients", "saliency", "gradient_x_input", "smooth_grad", "guided_backprop")
MANY += ("grad_cam_plus_plus", "layer_cam", "hires_cam", "score_cam", "ablation_cam", "guided_grad_cam")
MANY += ("var_grad", "deconvnet", "occlusion", "rise", "sise", "lime", "expected_gradients", "kernel_shap")
MANY += ("lrp", "deep_lift")
QUICK = ("average_drop", "average_increase", "average_drop_soft", "deletion", "insertion")
TRUTH = ("evidence_mass", "pointing_game", "rank_accuracy", "average_precision")
COST = ("seconds", "forwards", "backwards")
RADIUS, BOXED = 0.02, ("epsilon_gamma_box", "z_box")  # of the noise of max_sensitivity; rules that need a box
STABILITY = (
    "max_sensitivity",
    "infidelity",
    "randomised_similarity",
    "randomised_rank_correlation",
    "completeness_gap",
)
SAMPLED = {"smooth_grad": {"samples": 10}, "var_grad": {"samples": 10}}
ON_WAYS = {"integrated_gradients": {"steps": STEPS}, "expected_gradients": {"samples": STEPS}}
BUDGET = SAMPLED | ON_WAYS | {"rise": {"masks": 300}}  # equal passes for all settings
SIZES = {"mnist1d": 1000, "schematic_faces": 500, "tissue_phantom": 500, "hmt": 496}  # items of the tables of all
SPACE = {"mnist1d": (40,), "schematic_faces": (48, 48), "tissue_phantom": (150, 150), "hmt": (150, 150)}


def paper(network):
    """The options of the methods as their papers set them, or our default where a paper is silent."""
    samples = {"samples": 200 if network in ("tissue_phantom", "hmt") else 300}
    few = samples | ({"segments": FEW_SEGMENTS} if SPACE[network][1:] else {})
    return BUDGET | {"lime": samples, "kernel_shap": few, "occlusion": patch_at(7, SPACE[network])}


def tuned(network):
    """{METHOD_tuned: options} of the methods for which the rule chose other settings than the paper's."""
    with (ROOT / "results" / f"{network}_tuning.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    firsts = {(row["method"], row["knob"]): row["value"] for row in rows[::-1]}
    chosen = [row for row in rows if row["chosen"] == "True"]
    turned = {row["method"] for row in chosen if row["value"] != firsts[row["method"], row["knob"]]}
    return {f"{row['method']}{TUNED}": json.loads(row["options"]) for row in chosen if row["method"] in turned}


def large(network, steps, methods=MANY):
    """The settings of a large table: every method as its paper sets it, and as the rule does where that differs."""
    own = {name: options for name, options in tuned(network).items() if name.removesuffix(TUNED) in methods}
    return {
        "methods": (*methods, *own),
        "options": paper(network) | own,
        "fraction": 0.15,
        "fill": "grey",
        "steps": steps,
        "samples": 4,
        "seed": 0,
    }


def with_room(settings):
    """The same for inputs that noise may push out of [0, 1]: a box that is wider by the noise of max_sensitivity."""
    room = {"low": -RADIUS, "high": 1 + RADIUS}
    options = settings["options"].items()
    return settings | {"options": {name: one | room if one.get("rule") in BOXED else one for name, one in options}}


@dataclass(frozen=True)
class Scored:
    """A network, its data, and how the methods are called; `own` names the further fields that are settings too."""

    own: ClassVar[tuple] = ()
    network: str
    data: Callable
    note: str  # what the data are
    settings: dict


@dataclass(frozen=True)
class LargeTable(Scored):
    """All methods and many metrics, one row per method and item; in shards that are kept until the table is done."""

    own: ClassVar[tuple] = ("metrics", "items")
    metrics: tuple
    items: int | None = None  # the first of the data, None for all
    every: int = 1  # of these every n-th

    @property
    def count(self):
        """The number of items."""
        return (self.items or SIZES[self.network]) // self.every


@dataclass(frozen=True)
class MemoryTable(Scored):
    """The peak memory of each method on the first items, each in a process of its own; one row per method."""

    own: ClassVar[tuple] = ("items",)
    items: int = 32

    @property
    def count(self):
        """The number of items."""
        return self.items


HMT_NOTE = "H&E tiles, test part (Kather et al. 2016, doi:10.5281/zenodo.53169, CC BY 4.0)"
FACES_NOTE = "xai_utils.schematic_faces(500, seed=3), generated"
TISSUE_NOTE = "xai_utils.tissue_phantom({}, seed=3), generated"


@dataclass(frozen=True)
class TuningTable(Scored):
    """What `xu.tune` tries of every method on validation items of a network; one row per setting."""

    own: ClassVar[tuple] = ("items",)
    items: int = TUNED_ON

    @property
    def count(self):
        """The number of items, each of them for at most so many settings."""
        return self.items * LARGEST


def tuning(network, methods=MANY):
    """The tuning of all methods for a network; what stays as it is are the numbers of samples: equal passes."""
    options = {name: given for name, given in paper(network).items() if name != "occlusion"}  # whose patch is a knob
    settings = {"methods": methods, "options": options, "steps": 20, "seed": 0}
    note = f"{TUNED_ON} items of the validation part, spread over it"
    settings["knobs"] = {name: named(name) for name in methods if name in KNOBS}
    return TuningTable(network, lambda: (validation(network), None), note, settings)


def declared() -> dict[str, Scored]:
    """All tables, the large ones with what the rule chose last."""
    tissue = functools.partial(tissue_phantom, 500)
    tissue = ("tissue_phantom", tissue, TISSUE_NOTE.format(500), large("tissue_phantom", 10))
    drawn = ("schematic_faces", schematic_faces, FACES_NOTE, large("schematic_faces", 20, ("cam", *MANY)))
    signal = ("mnist1d", mnist1d, "mnist1d_utils.make_dataset(), test part, generated", large("mnist1d", 20))
    tiles = ("hmt", hmt, HMT_NOTE, large("hmt", 10))
    as_papers = {"methods": MANY, "options": paper("tissue_phantom")}  # memory does not depend on what the rule turns
    return {
        "mnist1d_tuning": tuning("mnist1d"),
        "schematic_faces_tuning": tuning("schematic_faces"),
        "tissue_phantom_tuning": tuning("tissue_phantom"),
        "hmt_tuning": tuning("hmt"),
        "mnist1d_all": LargeTable(*signal, (*QUICK, *TRUTH, *COST)),
        "schematic_faces_all": LargeTable(*drawn, (*QUICK, *TRUTH, *COST)),
        "tissue_phantom_all": LargeTable(*tissue, (*QUICK, *TRUTH, *COST)),
        "hmt_all": LargeTable(*tiles, (*QUICK, *COST)),
        "mnist1d_stability": LargeTable(*signal, STABILITY, 40),
        "schematic_faces_stability": LargeTable(*drawn[:3], with_room(drawn[3]), STABILITY, 40),
        "tissue_phantom_stability": LargeTable(*tissue[:3], with_room(tissue[3]), STABILITY, 40),
        "hmt_stability": LargeTable(*tiles[:3], with_room(tiles[3]), STABILITY, 480, every=12),
        "tissue_phantom_memory": MemoryTable(*tissue[:3], tissue[3] | as_papers),
    }


TABLES = declared()


def chosen_anew(name: str) -> None:
    """A tuning was made: the tables that follow take what it chose."""
    if isinstance(TABLES[name], TuningTable):
        TABLES.update({each: table for each, table in declared().items() if each in TABLES})
