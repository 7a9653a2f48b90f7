"""The page's part on relevance propagation and learned masks: what was asked beside what was measured."""

import numpy as np

from benchmarks.markdown import table
from benchmarks.relevance import AREAS, GRADIENT, RULES, TITLES, ruled
from benchmarks.statistics import ratio

ASKED = {"epsilon": 1.6, "alpha_beta": 3.5, "gamma": 5.0}  # times our own gradient; of z_plus nothing is asked
BESIDE = {"innvestigate": 1.0, "zennit": 0.5}  # ours in their time, at most
MEMORY, EFFICIENT = 2.0, 0.85
NETWORKS = {
    "vgg7_150": "VGG-7, 150 px",
    "efficientnet_lite0": "EfficientNet-Lite0, 224 px",
    "faces": "Faces, 48 px",
}
METHODS = {"meaningful_perturbation": "meaningful perturbation", "extremal_perturbation": "extremal perturbation"}
TEXT = """## Relevance propagation and learned masks

`python -m benchmarks --relevance` measures this alone, in about {minutes:.0f} minutes. {date}, {processor}, {cores}
cores; processes that waited for a core before: {load}. {versions}. Ratios are medians of the ratios of the rounds, in
brackets their 95 % bootstrap interval, as above; what is compared was timed in the same rounds.

**Rules.** Times our own gradient (`xu.saliency`) of the same inputs, both compiled before; then ours / theirs with the
same rule, zennit on the PyTorch twin, iNNvestigate, which has no gamma, on the Keras 2 network. Asked: epsilon at most
1.6, alpha-beta 3.5, gamma 5; in at most the time of iNNvestigate and half of zennit's. Memory: the peak over the
gradient's, each in a process of its own, at most 2.

"""
MASKED = """
**Learned masks.** Efficiency: the time of the passes that the steps need, raw, divided by the whole time; asked:
{efficient}. Seconds for all inputs.

"""
BESIDE_TORCHRAY = """
**Extremal perturbation beside TorchRay's**, {network}, {n} inputs, {steps} steps for both, which hide by fading to 0.
TorchRay's cells and their width are scaled from 224 px to the picture. It asks for areas and holds them softly; ours is
then asked for the areas that TorchRay's masks have on the picture.
Score: (S_c(m x) - S_c(0)) / |S_c(x) - S_c(0)|, S_c the logit. Means over the inputs; of {pairs} masks ours
scores at least as high for {higher}. Time, ours / theirs: {times:.2f}.

"""


def section(results):
    """The part, or nothing where it was not measured."""
    found = results.get("relevance")
    if not found:
        return ""
    rows = found["rows"]
    versions = ", ".join(f"{TITLES[name]} {text}" for name, text in found["versions"].items() if name != "ours")
    about = {"minutes": found["minutes"], "date": found["date"], "load": found["load"], "versions": versions}
    text = TEXT.format(**about, **{of: found["machine"][of] for of in ("processor", "cores")})
    text += rules_table(rows) + MASKED.format(efficient=EFFICIENT) + masks_table(rows)
    return text + torchray_table([row for row in rows if row["part"] == "torchray"])


def select(rows, part, network, method, contender="ours"):
    """The one row of that kind, or None."""
    wanted = {"part": part, "network": network, "method": method, "contender": contender}
    return next((row for row in rows if wanted.items() <= row.items()), None)


def rules_table(rows):
    networks = dict.fromkeys(row["network"] for row in rows if row["part"] == "rules")
    lines = [rule_line(rows, network, rule) for network in networks for rule in RULES]
    return table(
        ("network", "rule", "N", "times the gradient", "ours / iNNvestigate", "ours / zennit", "memory"), lines
    )


def rule_line(rows, network, rule):
    """One rule of one network; what misses what was asked is bold."""
    method = ruled(rule)
    ours, gradient = (select(rows, "rules", network, name) for name in (method, GRADIENT))
    times = judged(ratio(ours["seconds"], gradient["seconds"]), ASKED.get(rule))
    beside, own = [], select(rows, "peers", network, method)
    for peer, most in BESIDE.items():
        other = select(rows, "peers", network, method, peer)
        beside.append(judged(ratio(own["seconds"], other["seconds"]), most) if other else "-")
    bytes_of = [select(rows, "memory", network, name)["bytes"] for name in (method, GRADIENT)]
    memory = marked(f"{bytes_of[0] / bytes_of[1]:.2f}", bytes_of[0] <= MEMORY * bytes_of[1]) if all(bytes_of) else "-"
    return NETWORKS[network], rule, ours["n"], times, *beside, memory


def judged(found, most):
    value, low, high = found
    return marked(f"{value:.2f} [{low:.2f}, {high:.2f}]", most is None or value <= most)


def marked(text, met):
    return text if met else f"**{text}**"


def masks_table(rows):
    lines = []
    for ours in (row for row in rows if row["part"] == "masks" and row["contender"] == "ours"):
        raw = select(rows, "masks", ours["network"], ours["method"], "floor")["seconds"]
        value, low, high = ratio(raw, ours["seconds"])
        share = marked(f"{value:.2f} [{low:.2f}, {high:.2f}]", value >= EFFICIENT)
        times = (f"{np.median(each):.3g}" for each in (ours["seconds"], raw))
        lines.append((NETWORKS[ours["network"]], METHODS[ours["method"]], ours["n"], ours["steps"], *times, share))
    return table(("network", "method", "N", "steps", "ours", "raw passes", "efficiency"), lines)


def torchray_table(rows):
    """By the area asked of TorchRay: the areas of both, and the scores."""
    theirs, ours = rows
    shares, areas = ({row["contender"]: np.array(row[of]) for row in rows} for of in ("shares", "areas"))
    about = {"network": NETWORKS[theirs["network"]], "n": theirs["n"], "steps": theirs["steps"]}
    about |= {"pairs": shares["ours"].size, "higher": int((shares["ours"] >= shares["torchray"]).sum())}
    text = BESIDE_TORCHRAY.format(**about, times=ratio(ours["seconds"], theirs["seconds"])[0])
    columns = [each[name].mean(axis=0) for each in (areas, shares) for name in ("torchray", "ours")]
    lines = [(area, *(f"{value:.3f}" for value in line)) for area, *line in zip(AREAS, *columns, strict=True)]
    head = ("area asked of TorchRay", "area, TorchRay", "area, ours", "score, TorchRay", "score, ours")
    return text + table(head, lines)
