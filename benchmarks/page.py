"""results.json -> results.md. The file holds what was measured; medians, intervals and verdicts are computed here."""

import json

import numpy as np

from benchmarks import goals, inside, relevance_page, windows
from benchmarks.markdown import table
from benchmarks.plan import METHODS, TITLES
from benchmarks.statistics import efficiency, ratio

HEAD = """# Benchmark: our methods beside other libraries

Written by `make bench` (`python -m benchmarks`) from `benchmarks/results.json`; do not edit.

{date}. {processor}, {cores} cores, {memory}, {system}; Python {python}, TensorFlow {tensorflow}, Keras {keras}.
Versions: {versions}.
Processes that waited for a core before the run began: {load} on average of a minute.

Every contender is a process of its own. All of them live through the run; they are asked in turn, round by round, and
only one computes at a time. Times are medians over rounds, in seconds per input. A ratio is the median of the ratios of
the rounds, for the machine may take half as long a minute later; brackets hold its 95 % bootstrap interval over rounds.
After three rounds of all, ours, raw passes and the fastest libraries get further ones, as long as these stay within
seconds. What a user builds once (explainers, compiled functions) is built before, and the first call does not count.
Inputs, weights, classes, layer, segments and windows are the same for all. PAIR saliency, Xplique and Captum run in the
environment of `requirements-peers.txt`, Captum on a PyTorch twin of the same weights.

*Raw passes* are plain calls of a compiled function of the network in our process, at the batch size that is fastest,
timed in the same rounds and for as long as the method takes, up to a second. *Efficiency* is the time of the needed
passes, raw, divided by the time measured. Needed are one forward and backward pass for a gradient; one forward pass for
each mask, sample, window, step or map that varies; for Grad-CAM and Ablation-CAM one forward pass, since what follows
the layer costs next to nothing. Efficiency above 1 means that whole passes were saved.
"""
NAMES = {
    "vgg7_150": "VGG-7, 150 px (models/hmt.keras)",
    "vgg7_224": "VGG-7, 224 px (the same weights)",
    "mobilenetv2": "MobileNetV2, 224 px (weights from a seed)",
    "faces": "Faces, 48 px (models/faces.keras)",
    "mnist1d": "Signals, 40 samples (models/mnist1d.keras)",
}
WORDS = {True: "met", False: "**missed**", None: "not measured"}


def as_text(results):
    """One row of the measurements per line."""
    head = {key: value for key, value in results.items() if key != "rows"}
    rows = ",\n".join(json.dumps(row) for row in results["rows"])
    return json.dumps(head, indent=1)[:-2] + ',\n "rows": [\n' + rows + "\n]}\n"


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def render(results):
    """The page."""
    versions = ", ".join(f"{TITLES[name]} {text}" for name, text in results["versions"].items() if name != "plain")
    parts = [
        HEAD.format(date=results["date"], load=results["load"], versions=versions, **results["machine"]),
        goal_table(results),
    ]
    parts += [network_table(results, network) for network in NAMES]
    parts += [converged_table(results), raw_table(results), memory_table(results), import_text(results)]
    parts += [first_table(results), relevance_page.section(results), windows.section(results), inside.section(results)]
    parts += [FIGURE if has_scaling(results) else "", differences(results)]
    if results["left_out"]:
        parts.append("Not measured, because the time was up: " + ", ".join(results["left_out"]) + ".\n")
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def has_scaling(results):
    """Whether anything of the figure was measured."""
    return any(row["purpose"] == "scaling" for row in results["rows"])


FIGURE = """## Scaling

![Seconds per input over inputs, steps, masks and side of the image](scaling.png)
"""


def goal_table(results):
    found = goals.verdicts(results)
    rows = [(goal.what, goal.wanted, goal.measured or "-", WORDS[goal.met], goal.floor or "-") for goal in found]
    met, missed, none = (sum(goal.met is verdict for goal in found) for verdict in (True, False, None))
    text = f"## Goals\n\n{met} met, {missed} missed, {none} not measured. "
    text += "The floor is what the needed passes take raw, per input.\n\n"
    return text + table(("goal", "wanted", "measured", "", "floor"), rows)


def network_table(results, network):
    """Every method at every number of inputs: ours, the floor, the fastest other library, and the others."""
    rows = []
    kinds = [(row["method"], row["n"]) for row in results["rows"] if row["network"] == network]
    for method, n in dict.fromkeys(kinds):
        found = goals.select(results, network, method, n)
        if method in goals.GRADIENTS + goals.PERTURBATIONS + OTHERS and goals.timed(found, "ours", "floor"):
            rows.append(network_row(found, method, n))
    if not rows:
        return ""
    head = ("method", "N", "rounds", "ours", "raw passes", "efficiency", "ours / fastest peer", "the others")
    return f"## {NAMES[network]}\n\nSeconds per input.{apart(results, network)}\n\n" + table(head, rows)


def apart(results, network):
    """When a network was measured that was measured alone."""
    alone = results.get("alone", {}).get(network)
    if not alone:
        return ""
    text = " Measured alone (`python -m benchmarks --only {}`), {}, {}, {} cores; processes that waited before: {}."
    return text.format(network, alone["date"], *(alone["machine"][of] for of in ("processor", "cores")), alone["load"])


OTHERS = ("occlusion", "ablation_cam", "deletion", "insertion")


def network_row(found, method, n):
    ours, needed, peer = found["ours"], found["floor"], goals.fastest_peer(found)
    amount = f"-{ours['amount']}" if ours["amount"] else ""
    others = [row for name, row in found.items() if name not in ("ours", "floor") and row["seconds"]]
    others = sorted(others, key=lambda row: np.median(row["seconds"]))
    return (
        METHODS[method].title + amount,
        n,
        len(ours["seconds"]),
        seconds(ours),
        seconds(needed),
        bracket(*efficiency(needed["seconds"], ours["seconds"])),
        f"{bracket(*ratio(ours['seconds'], peer['seconds']))} {TITLES[peer['contender']]}" if peer else "-",
        ", ".join(f"{TITLES[row['contender']]} {seconds(row)}{mark(row)}" for row in others) or "-",
    )


def mark(row):
    """* its first run alone; ** another map, so it is not compared."""
    return {"its first run alone": "\\*", "another map": "\\*\\*"}.get(row.get("note"), "")


def seconds(row):
    return f"{np.median(row['seconds']):.3g}"


def bracket(value, low, high):
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def converged_table(results):
    parts = []
    for method, text in CONVERGED.items():
        found = goals.select(results, "vgg7_150", method)
        rows = [
            (TITLES[name], seconds(row), row.get("steps", "-"), f"{row['gap']:.2%}", f"{row['distance']:.2%}")
            for name, row in found.items()
            if row["seconds"] and "gap" in row and name != "floor"
        ]
        parts += [text, table(("", "seconds per input", "steps", "gap", "from converged"), rows)] if rows else []
    return "\n".join(["## Integrated Gradients to a converged map\n", *parts]) if parts else ""


CONVERGED = {
    "converged": """Gap: |sum of the map - change of the score| / |change of the score|. From converged: L1 distance
from the map of 1441 nodes, relative; the worst input. Ours refines until both are within 1 % by its own estimate. The
others are told, for each input, the smallest number of steps of their rule for which both are: trapezoids for Xplique,
midpoints for Captum, all nodes alike for PAIR saliency. These numbers are among the divisors of 1440, plus one for
rules that have a node at each end; where even 720 do not suffice, 720 are taken.
""",
    "doubled": """Without being told, a user of the others doubles the steps from 8 until gap and change are within 1 %,
and pays for all of them:
""",
}


def raw_table(results):
    """Milliseconds of raw passes at each batch size."""
    raw = [row for row in results["rows"] if row["method"] in ("forward", "gradient")]
    batches = sorted({row["n"] for row in raw})
    rows = []
    for network, method in dict.fromkeys((row["network"], row["method"]) for row in raw):
        of = {row["n"]: row for row in raw if (row["network"], row["method"]) == (network, method)}
        cells = [f"{1000 * np.median(of[n]['seconds']):.3g}" if n in of else "-" for n in batches]
        rows.append((network, {"forward": "forward", "gradient": "forward and backward"}[method], *cells))
    head = ("network", "pass", *(f"batch {n}" for n in batches))
    return "## Raw passes\n\nMilliseconds per input.\n\n" + table(head, rows)


def memory_table(results):
    """Peak memory of each method on VGG-7 at 150 px, one process each."""
    rows = [row for row in results["rows"] if row["purpose"] == "memory"]
    names = [name for name in TITLES if any(row["contender"] == name for row in rows)]
    lines = []
    for method, n, amount in dict.fromkeys((row["method"], row["n"], row["amount"]) for row in rows):
        of = {row["contender"]: row for row in rows if (row["method"], row["n"], row["amount"]) == (method, n, amount)}
        cells = [
            f"{of[name]['bytes'] / 2**20:.0f}" if of.get(name, {}).get("bytes") is not None else "-" for name in names
        ]
        lines.append((METHODS[method].title + (f"-{amount}" if amount else ""), n, *cells))
    if not lines:
        return ""
    ours = max(row["bytes"] for row in rows if row["contender"] == "ours" and row["bytes"] is not None)
    text = (
        "## Peak memory\n\nVGG-7 at 150 px, MiB: the peak of the resident memory of a process that runs the method "
        "once, less the peak\nafter import, loading and one forward pass of one input, less the maps. "
        f"The largest of ours: {ours / 2**20:.0f} MiB.\n\n"
    )
    return text + table(("method", "N", *(TITLES[name] for name in names)), lines)


def import_text(results):
    found = {name: np.median(values) for name, values in results["imports"].items()}
    return (
        f"## Import\n\nMedian of {len(results['imports']['xai_utils'])} fresh processes: TensorFlow "
        f"{found['tensorflow']:.2f} s, then xai_utils {found['xai_utils']:.2f} s.\n"
    )


FIRST = """## The first map

`python -m benchmarks --first` measures this alone. One input of 224 px, weights drawn at random; seconds from the call
to the map, medians of {processes} fresh processes for each cell (in brackets: the least and the most), in turn; then
those of the second call. Imports and the building of the network come before. The tape runs operation by operation,
`tf.function` compiles the same gradient: both have the bare gradient, of the inputs or of the layer of Grad-CAM. {load}
processes waited for a core before, on average of a minute.

"""
WAYS = {"ours": "ours", "tape": "eager tape", "function": "tf.function", "tf_keras_vis": "tf-keras-vis"}


def first_table(results):
    """The first map in a fresh process, and the second."""
    rows = {(row["network"], row["method"], row["contender"]): row for row in results.get("first", {}).get("rows", ())}
    if not rows:
        return ""
    lines = []
    for network, method in dict.fromkeys(kind[:2] for kind in rows):
        of = [rows[network, method, name] for name in WAYS]
        cells = [f"{bracket(np.median(row['first']), min(row['first']), max(row['first']))}" for row in of]
        lines.append((network, METHODS[method].title, *cells, *(f"{np.median(row['second']):.2f}" for row in of)))
    text = FIRST.format(processes=len(of[0]["first"]), load=results["first"]["load"])
    return text + table(("network", "method", *WAYS.values(), *(f"{name}, second" for name in WAYS.values())), lines)


def differences(results):
    """How far apart the maps are, and why a number is marked."""
    rows = [row for row in results["rows"] if row["purpose"] == "table" and "difference" in row]
    lines, seen = [], {}
    for row in rows:
        seen.setdefault((row["method"], row["contender"]), []).append(row)
    for (method, name), group in seen.items():
        apart, alike = max(row["difference"] for row in group), min(row["correlation"] for row in group)
        lines.append(
            (METHODS[method].title, TITLES[name], f"{apart:.1e}", f"{alike:.3f}", REASONS.get((method, name), ""))
        )
    failed = [row for row in results["rows"] if row.get("note", "").startswith("failed")]
    notes = [f"- {METHODS[row['method']].title}, {TITLES[row['contender']]}: {row['note']}" for row in failed]
    return "\n".join([AGREEMENT, table(("method", "library", "apart", "correlation", "why"), lines), *notes])


AGREEMENT = """## The same outputs

Compared before timing. Apart: max |ours - theirs| / max |theirs|; correlation: Pearson's; each the worst of all inputs
and networks. Methods that draw at random have other draws here; with the same draws they agree (`docs/parity.md`).
\\* took much longer than the fastest library, so its first run, with its compilation, is its only one.
\\*\\* another map: the correlation is below what the method allows, and the library is not compared.
"""
SUM = "adds up the windows over a position; ours is their mean"
CORNERS = 'enlarges the map corner to corner; ours, asked for align="stretch", keeps pixel centres'
REASONS = {
    ("smooth_grad", "xplique"): "other draws",
    ("smooth_grad", "saliency"): "other draws",
    ("smooth_grad", "captum"): "other draws",
    ("smooth_grad", "tf_keras_vis"): "other draws",
    ("rise", "xplique"): "other masks; not centred",
    ("lime", "xplique"): "other samples and kernel",
    ("lime", "lime"): "other samples",
    ("saliency", "xplique"): "takes the magnitude",
    ("integrated_gradients", "xplique"): "trapezoids; ours has midpoints",
    ("integrated_gradients", "saliency"): "all nodes alike; ours has midpoints",
    ("occlusion", "xplique"): SUM,
    ("grad_cam", "tf_keras_vis"): CORNERS,
    ("grad_cam", "xplique"): "enlarges bicubically",
    ("grad_cam", "saliency"): "divides by the largest value; corner to corner",
    ("score_cam", "tf_keras_vis"): CORNERS,
}
