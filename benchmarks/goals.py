"""The goals, each beside what was measured: met, missed, or not measured."""

from dataclasses import dataclass

import numpy as np

from benchmarks.bench import same_output
from benchmarks.plan import FLAT, METHODS, PEERS, TITLES, largest
from benchmarks.statistics import efficiency, ratio

EFFICIENT, CURVES, NOT_SLOWER = 0.90, 0.85, 1.05
CONVERGED, OCCLUSION, ABLATION, IMPORT = 3, 15, 10, 0.3
APART = 1e-4
REACHED = 0.0101  # 1 %, and what rounding in other libraries adds
FLAT_WITHIN = 0.10  # of the smaller of the two, and 32 MiB, that two peaks may differ by to count as the same
VGG7, DEEP = ("vgg7_150", "vgg7_224"), "mobilenetv2"


@dataclass(frozen=True)
class Goal:
    """One row of the table: what is wanted, what was found, whether it is met (None: not measured), and the floor."""

    what: str
    wanted: str
    measured: str
    met: bool | None
    floor: str = ""


def select(results, network, method, n=None, purpose="table"):
    """contender -> row at one setting; the smallest n where several are and none is named."""
    rows = [row for row in results["rows"] if (row["network"], row["method"]) == (network, method)]
    rows = [row for row in rows if row["purpose"] == purpose and (n is None or row["n"] == n)]
    return {row["contender"]: row for row in rows if row["n"] == min(other["n"] for other in rows)}


def compared(found):
    """The rows of libraries whose maps are the same output."""
    return [found[name] for name in PEERS if name in found and found[name]["seconds"] and same_output(found[name])]


def fastest_peer(found):
    """The row of the fastest library, or None."""
    return min(compared(found), key=lambda row: np.median(row["seconds"]), default=None)


def verdicts(results):
    """All goals in the order of the page."""
    goals = []
    for network in VGG7:
        goals += efficient_and_fastest(results, network, PERTURBATIONS)
        goals += [efficient(results, network, method, 2, CURVES) for method in ("deletion", "insertion")]
    goals += efficient_and_fastest(results, DEEP, ("rise", "lime"))
    goals += [converged(results, told) for told in ("doubled", "converged")]
    goals.append(times_faster(results, "vgg7_224", "occlusion", OCCLUSION, PEERS, apart=True))
    goals += [times_faster(results, network, "ablation_cam", ABLATION, ("plain",)) for network in VGG7]
    goals += [flat(results, *pair) for pair in zip(FLAT[::2], FLAT[1::2], strict=True)]
    return [*goals, imported(results)]


def efficient_and_fastest(results, network, perturbations):
    """The goals of gradients and of perturbations on one network."""
    goals = []
    for method in GRADIENTS:
        n = largest(network, method)
        goals.append(efficient(results, network, method, n, EFFICIENT))
        goals += [not_slower(results, network, method, count) for count in (1, n)]
    for method in perturbations:
        n = largest(network, method)
        goals += [efficient(results, network, method, n, EFFICIENT), not_slower(results, network, method, n)]
    return goals


GRADIENTS = ("saliency", "smooth_grad", "integrated_gradients", "grad_cam")
PERTURBATIONS = ("score_cam", "rise", "lime")


def label(network, method, n, found):
    amount = found["ours"]["amount"] if "ours" in found else 0
    shown = f"-{amount}" if amount and method in ("smooth_grad", "integrated_gradients", "rise", "lime") else ""
    where = "MobileNetV2" if network == DEEP else f"{network.replace('vgg7_', '')} px"
    return f"{METHODS[method].title}{shown}, {where}, N = {n}"


def efficient(results, network, method, n, least):
    found = select(results, network, method, n)
    what, wanted = label(network, method, n, found), f"efficiency >= {least:.2f}"
    if not timed(found, "ours", "floor"):
        return Goal(what, wanted, "", None)
    value, low, high = efficiency(found["floor"]["seconds"], found["ours"]["seconds"])
    return Goal(what, wanted, f"{value:.3f} [{low:.2f}, {high:.2f}]", value >= least, seconds_of(found["floor"]))


def not_slower(results, network, method, n):
    found = select(results, network, method, n)
    what, wanted = label(network, method, n, found), f"no peer faster: upper end <= {NOT_SLOWER}"
    peer = fastest_peer(found)
    if peer is None or not timed(found, "ours"):
        return Goal(what, wanted, "", None)
    value, low, high = ratio(found["ours"]["seconds"], peer["seconds"])
    measured = f"{value:.2f} [{low:.2f}, {high:.3f}] of {TITLES[peer['contender']]}"
    return Goal(what, wanted, measured, high <= NOT_SLOWER, seconds_of(found["floor"]))


def times_faster(results, network, method, least, others, apart=False):
    found = select(results, network, method)
    n = found["ours"]["n"] if "ours" in found else 2
    what = f"{label(network, method, n, found)}, beside {'the best peer' if others == PEERS else 'the plain loop'}"
    wanted = f">= {least}x faster" + (f", <= {APART:g} apart" if apart else "")
    rows = [found[name] for name in others if timed(found, name)]
    if not rows or not timed(found, "ours"):
        return Goal(what, wanted, "", None)
    best = min(rows, key=lambda row: np.median(row["seconds"]))
    value, low, high = ratio(best["seconds"], found["ours"]["seconds"])
    measured, met = f"{value:.1f}x [{low:.1f}, {high:.1f}] {TITLES[best['contender']]}", value >= least
    if apart:  # from those whose map is the mean over the windows, as ours is
        differences = [found[name]["difference"] for name in ("captum", "plain") if "difference" in found.get(name, {})]
        measured += f"; {max(differences):.0e} apart" if differences else ""
        met = met and bool(differences) and max(differences) <= APART
    return Goal(what, wanted, measured, met, f"{seconds_of(found['floor'])} in whole passes")


def converged(results, method="doubled"):
    """Only those count whose map is within 1 % of the converged one; "doubled": nobody tells them how many steps."""
    found = select(results, "vgg7_150", method)
    told = "peers double their steps" if method == "doubled" else "peers are told their steps"
    what = f"Integrated Gradients, gap and change <= 1 %, 150 px, N = {found['ours']['n'] if 'ours' in found else 2}, "
    what += told
    wanted = f">= {CONVERGED}x faster than the best peer that reaches it"
    rows = [found[name] for name in PEERS if timed(found, name)]
    rows = [row for row in rows if max(row["gap"], row["distance"]) <= REACHED]
    if not rows or not timed(found, "ours"):
        return Goal(what, wanted, "", None)
    best = min(rows, key=lambda row: np.median(row["seconds"]))
    value, low, high = ratio(best["seconds"], found["ours"]["seconds"])
    gap, distance = found["ours"]["gap"], found["ours"]["distance"]
    measured = f"{value:.2f}x [{low:.2f}, {high:.2f}] {TITLES[best['contender']]}"
    measured += f"; ours: gap {gap:.2%}, from converged {distance:.2%}"
    reached = max(gap, distance) <= REACHED
    return Goal(what, wanted, measured, value >= CONVERGED and reached, "the steps of each: see below")


def flat(results, few, many):
    rows = [row for row in results["rows"] if row["purpose"] == "memory" and row["contender"] == "ours"]
    peaks = {(row["method"], row["n"], row["amount"]): row["bytes"] for row in rows}
    sizes = [peaks[kind] for kind in (few, many) if peaks.get(kind) is not None]
    which = "N = {} and {}" if few[1] != many[1] else "{} and {}"
    numbers = (few[1], many[1]) if few[1] != many[1] else (few[2], many[2])
    what = f"peak memory of {METHODS[few[0]].title}, {which.format(*numbers)}"
    if len(sizes) < 2:
        return Goal(what, "the same", "", None)
    same = abs(sizes[0] - sizes[1]) <= max(FLAT_WITHIN * min(sizes), 2**25)
    return Goal(what, "the same", " and ".join(f"{size / 2**20:.0f} MiB" for size in sizes), same)


def imported(results):
    seconds = results["imports"]
    own = float(np.median(seconds["xai_utils"]))
    floor = f"TensorFlow alone {np.median(seconds['tensorflow']):.2f} s"
    return Goal("import xai_utils beyond import tensorflow", f"<= {IMPORT} s", f"{own:.2f} s", own <= IMPORT, floor)


def timed(found, *names):
    return all(found.get(name, {}).get("seconds") for name in names)


def seconds_of(row):
    return f"{np.median(row['seconds']):.3g} s"
