"""Relevance propagation and learned masks beside gradients and other libraries: python -m benchmarks --relevance.

Rules are multiples of our own gradient; the passes that learned masks need are a share of their time; TorchRay's
extremal perturbation is given the area that its mask really has. Contenders are asked in turn, round by round, so that
a ratio outlasts a machine whose speed changes.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks import machine
from benchmarks.driver import checked, interleaved
from benchmarks.plan import Setting
from tools.peers.environment import MASKS, RELEVANCE

RULES = ("epsilon", "z_plus", "gamma", "alpha_beta")
GRADIENT = "saliency"
AREAS = (0.05, 0.1, 0.2, 0.4)
CONTENDERS = ("ours", "zennit", "innvestigate", "torchray")
TITLES = {"ours": "ours"} | RELEVANCE | MASKS


@dataclass(frozen=True)
class Rules:
    """A network on which rules are timed: n inputs for ours alone, `few` beside the `peers`, and rounds of each."""

    network: str
    n: int
    rounds: int
    few: int
    peers: tuple
    turns: int = 3


@dataclass(frozen=True)
class Masks:
    """Masks learned in `steps` on n inputs; `blends` go through the network together."""

    network: str
    method: str
    n: int
    steps: int
    blends: int
    rounds: int = 3

    @property
    def forwards(self):
        """Passes of all blends forward alone: the losses before, late and after; trials as binary masks, and scores."""
        return 3 if self.method == "meaningful_perturbation" else self.steps // 20 + 4


@dataclass(frozen=True)
class Plan:
    """All that is measured; `steps` and `inputs` of TorchRay's part."""

    rules: tuple
    masks: tuple
    steps: int
    inputs: int
    network: str = "faces"


WHOLE = Plan(
    rules=(
        Rules("vgg7_150", 32, 5, 8, ("zennit", "innvestigate")),
        Rules("efficientnet_lite0", 32, 3, 2, ("zennit",)),
    ),
    masks=(
        Masks("vgg7_150", "meaningful_perturbation", 8, 30, 8),
        Masks("vgg7_150", "extremal_perturbation", 2, 60, 8),
    ),
    steps=800,
    inputs=2,
)
QUICK = Plan(
    rules=(Rules("faces", 2, 2, 2, ("zennit", "innvestigate"), 2),),
    masks=(Masks("faces", "extremal_perturbation", 1, 2, 4, 2),),
    steps=4,
    inputs=1,
)


def networks(plan):
    """The cases that are needed."""
    return list(dict.fromkeys([*(one.network for one in (*plan.rules, *plan.masks)), plan.network]))


def measure(plan, team, command, folder, say):
    """Rows of all parts; `team`: contenders by name, `command(name)` starts one more of a kind."""
    started, load = time.monotonic(), round(os.getloadavg()[0], 1)
    rows = []
    for one in plan.rules:
        rows += rules(one, team)
        say(f"rules on {one.network}, {minutes(started)}")
    for one in plan.masks:
        rows += masks(one, team)
        say(f"{one.method} on {one.network}, {minutes(started)}")
    rows += beside_torchray(plan, team, folder)
    say(f"TorchRay, {minutes(started)}")
    for contender in team.values():
        contender.close()
    wanted = [(one.network, method, one.n) for one in plan.rules for method in (GRADIENT, *map(ruled, RULES))]
    with ThreadPoolExecutor(2) as pool:
        rows += list(pool.map(lambda asked: memory(command("ours"), *asked), wanted))
    say(f"peak memory, {minutes(started)}")
    return {"load": load, "machine": machine.describe(), "date": time.strftime("%Y-%m-%d"), "rows": rows}


def minutes(started):
    return f"{(time.monotonic() - started) / 60:.1f} min"


def ruled(rule):
    """The name of a rule among a contender's methods."""
    return f"lrp {rule}"


# --- parts ------------------------------------------------------------------------------------------------------------


def rules(one, team):
    """Seconds per input: our gradient and rules at n inputs, then ours beside the libraries that have the rule."""
    methods = (GRADIENT, *map(ruled, RULES))
    rows = timed(team, one.network, one.n, [("ours", method) for method in methods], one.rounds, "rules")
    for method in methods[1:]:
        asked = [(name, method) for name in ("ours", *one.peers)]
        rows += timed(team, one.network, one.few, asked, one.turns, "peers")
    return rows


def timed(team, network, n, asked, rounds, part, amount=0, repeats=1):
    """A row for each (contender, method) that exists: one value of seconds per input and round."""
    ready = []
    for name, method in asked:
        key = f"{network} {method} {n} {amount}"
        order = asdict(Setting(network, method, n, amount))
        if not checked(team[name].ask("prepare", key=key, setting=order)).get("absent"):
            ready.append((name, method, {"key": key, "repeats": repeats}))
    seconds = interleaved([(team[name], order) for name, _, order in ready], rounds)
    return [
        {"part": part, "network": network, "n": n, "method": method, "contender": name}
        | {"seconds": [float(f"{one / n:.5g}") for one in row]}
        for (name, method, _), row in zip(ready, seconds, strict=True)
    ]


def masks(one, team):
    """Seconds of the whole method, and of the passes that it needs, raw, in the same rounds."""
    orders = [(one.method, one.n, one.steps, 1), ("gradient", one.blends, 0, 5), ("forward", one.blends, 0, 5)]
    asked = []
    for method, n, amount, repeats in orders:
        key, setting = f"masks {method} {n}", asdict(Setting(one.network, method, n, amount))
        checked(team["ours"].ask("prepare", key=key, setting=setting))
        asked.append((team["ours"], {"key": key, "repeats": repeats}))
    whole, gradient, forward = (np.array(each) for each in interleaved(asked, one.rounds))
    about = {"part": "masks", "network": one.network, "n": one.n, "method": one.method, "steps": one.steps}
    raw = one.steps * gradient + one.forwards * forward
    kinds = {"ours": whole, "floor": raw}
    return [about | {"contender": name, "seconds": [float(f"{s:.5g}") for s in each]} for name, each in kinds.items()]


def beside_torchray(plan, team, folder):
    """TorchRay's masks, ours of the same areas, what both score, and seconds of both, each for all inputs."""
    home, setting = folder / plan.network, Setting(plan.network, "extremal", plan.inputs, plan.steps)
    order, found = asdict(setting), {}
    for name in ("torchray", "ours"):  # ours reads the areas of TorchRay's masks
        path = str(home / f"extremal-{name}.npy")
        checked(team[name].ask("prepare", key="extremal", setting=order, maps=path))
    path = home / "extremal-shares.npy"
    checked(team["ours"].ask("prepare", key="shares", setting=order | {"method": "extremal shares"}, maps=str(path)))
    seconds = interleaved([(team[name], {"key": "extremal"}) for name in ("torchray", "ours")], 1)
    for name, times, shares in zip(("torchray", "ours"), seconds, np.load(path), strict=True):
        masks = np.load(home / f"extremal-{name}.npy")
        found[name] = {"seconds": times, "shares": _rounded(shares), "areas": _rounded(masks.mean(axis=(2, 3)))}
    about = {"part": "torchray", "network": plan.network, "n": plan.inputs, "method": "extremal", "steps": plan.steps}
    return [about | {"contender": name} | one for name, one in found.items()]


def _rounded(values):
    return np.round(np.asarray(values, float), 4).tolist()


def memory(command, network, method, n):
    """The peak of a process that runs the method once, as `benchmarks.machine.memory` takes it."""
    (found,) = machine.memory(command, Setting(network, method, n, 0, "memory"), "ours")
    return {
        "part": "memory",
        "network": network,
        "n": n,
        "method": method,
        "contender": "ours",
        "bytes": found["bytes"],
    }
