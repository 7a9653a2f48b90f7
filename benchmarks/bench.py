"""A run over the plan: raw passes of a network, then one setting after the other, as rows of what was measured."""

from dataclasses import asdict

import numpy as np

from benchmarks.contenders.converging import RULES
from benchmarks.driver import FEWEST, SHORTEST, checked, failure, interleaved, repeats_for, rounds_for
from benchmarks.plan import METHODS, NETWORKS, PEERS, WINDOW
from benchmarks.statistics import agreement, departure, floor
from tools.peers.case import times_covered

# A library that takes TWICE the fastest and LONG seconds more is measured by its first run alone. One that takes SLOWER
# times the fastest library, or BEATEN times ours and more than the fastest library, is not asked for the same samples
# of more inputs or pixels: whether it is beaten is known then.
TWICE, LONG, SLOWER, BEATEN = 2.0, 5.0, 1.3, 1.5
LASTING = 1.0  # seconds that raw passes take at most in a round
BATCHES = (1, 8, 32, 64)
RAW = ("forward", "gradient")
PATH = ("converged", "doubled")


class Bench:
    """The contenders' processes, the folder of their files, and what is known of raw passes and of slow peers."""

    def __init__(self, team, folder):
        self.team, self.folder = team, folder
        self.best, self.slow, self.raw_calls = {}, {}, {}

    # --- raw passes -----------------------------------------------------------------------------------------------

    def raw(self, network, batches=BATCHES, rounds=3):
        """Rows of the raw passes at several batch sizes; the fastest is the floor of the network."""
        rows = []
        for method in RAW:
            asked = [self.raw_call(network, method, n) for n in batches]
            seconds = interleaved(asked, rounds)
            rows += [
                row(network, method, n, "floor", np.divide(one, n)) for n, one in zip(batches, seconds, strict=True)
            ]
            self.knows(rows[-len(batches) :])
        return rows

    def knows(self, rows):
        """Keep the fastest batch size of each kind of pass."""
        for one in rows:
            kind = (one["network"], one["method"])
            best = min((other for other in rows if kind == (other["network"], other["method"])), key=middle)
            self.best[kind] = best["n"]

    def raw_call(self, network, method, n, lasting=SHORTEST):
        """What to ask of our process for raw passes, which it keeps ready: as many as take `lasting` seconds."""
        ours, key = self.team["ours"], f"raw {network} {method} {n}"
        if key not in self.raw_calls:
            setting = {"network": network, "method": method, "n": n, "amount": 0}
            checked(ours.ask("prepare", key=key, setting=setting))
            self.raw_calls[key] = checked(ours.ask("time", key=key))["seconds"]
        return ours, {"key": key, "repeats": repeats_for(self.raw_calls[key], lasting)}

    # --- one setting ----------------------------------------------------------------------------------------------

    def measure(self, setting):
        """Rows of one setting: the floor, and every contender that has the method."""
        if setting.method in PATH:
            self.reference(setting)
        firsts = self.prepare(setting)
        rows = {name: self.judged(setting, name, answer) for name, answer in firsts.items()}
        for name in self.too_slow(firsts):
            rows[name] |= {"seconds": [firsts[name]["seconds"] / setting.n], "note": "its first run alone"}
        alive = [name for name, one in rows.items() if not one["seconds"] and "error" not in firsts[name]]
        seconds, needed = self.time(setting, rows, alive, firsts)
        for name in alive:
            rows[name]["seconds"] = [one / setting.n for one in seconds[name]]
        for name in firsts:
            self.team[name].ask("forget", key=setting.key)
        if setting.amount and setting.n > 1:
            self.slow.setdefault((family(setting), setting.method), set()).update(slower(rows))
        return [needed, *rows.values()]

    def reference(self, setting):
        """Our process computes converged maps, and the steps that each rule needs for one, into steps.npz."""
        order = asdict(setting) | {"method": "nodes needed"}
        if "nodes needed" not in self.raw_calls:
            self.raw_calls["nodes needed"] = checked(self.team["ours"].ask("prepare", key="nodes", setting=order))

    def prepare(self, setting):
        """The first run of everyone: it compiles, and its maps are compared. Long settings did so with fewer inputs."""
        known = self.slow.get((family(setting), setting.method), set())
        warm, answers = not (setting.n >= 32 and setting.amount), {}
        for name in setting.contenders:
            if name in self.team and name not in known:
                order = {"key": setting.key, "setting": asdict(setting), "warm": warm, "maps": self.maps(name)}
                answer = self.team[name].ask("prepare", **order)
                if not answer.get("absent"):
                    answers[name] = answer
        checked(answers["ours"])
        return answers

    def maps(self, name):
        return str(self.folder / f"maps-{name}.npy")

    def judged(self, setting, name, answer):
        """The row of a contender so far: its maps compared with ours."""
        found = row(setting.network, setting.method, setting.n, name, [], setting.amount, setting.purpose)
        if "error" in answer:
            return found | {"note": failure(answer)}
        if "seconds" not in answer:
            return found
        maps = np.load(self.maps(name))
        if setting.method in PATH:
            with np.load(self.folder / setting.network / "steps.npz") as steps:
                found["gap"], found["distance"] = departure(maps, steps["references"], steps["changes"])
                if setting.method == "converged" and name in RULES:
                    found["steps"] = ", ".join(map(str, steps[RULES[name]]))
        if name != "ours":
            ours = adapted(np.load(self.maps("ours")), setting, name)
            found["difference"], found["correlation"] = agreement(ours, maps)
            if not found["correlation"] >= METHODS[setting.method].alike:
                found["note"] = "another map"
        return found

    def too_slow(self, firsts):
        """Contenders that took long, and much longer than the fastest of the other libraries."""
        seconds = {name: one["seconds"] for name, one in firsts.items() if "seconds" in one and name != "ours"}
        fastest = min((one for name, one in seconds.items() if name in PEERS), default=np.inf)
        return [name for name, one in seconds.items() if one > TWICE * fastest + LONG]

    def time(self, setting, rows, alive, firsts):
        """Seconds of every round by name, and the row of the floor: raw passes, asked in the same rounds."""
        once = {name: self.seconds(setting, name, firsts[name].get("seconds", LONG)) for name in alive}
        asked = {name: (self.team[name], {"key": setting.key, "repeats": repeats_for(once[name])}) for name in alive}
        passes = METHODS[setting.method].passes(setting.amount, self.varied(setting.network))
        kind = "gradient" if passes[1] else "forward"
        raw = kind, self.best[setting.network, kind]
        # A machine may be faster for a moment than for long: raw passes take as long as the method, up to a limit.
        asked[raw] = self.raw_call(setting.network, *raw, min(once["ours"], LASTING))
        found = dict(zip(asked, interleaved(list(asked.values()), min(FEWEST, setting.rounds)), strict=True))
        near = ["ours", raw, *may_be_fastest(rows, found)]
        one_round = sum(max(np.median(found[name]) * asked[name][1]["repeats"], SHORTEST) for name in near)
        further = interleaved([asked[name] for name in near], rounds_for(one_round, setting.rounds - FEWEST))
        for name, more in zip(near, further, strict=True):
            found[name] += more
        needed = floor(*passes, np.divide(found.pop(raw), raw[1]))
        whole = row(setting.network, setting.method, setting.n, "floor", needed, setting.amount, setting.purpose)
        return found, whole | {"forwards": passes[0], "backwards": passes[1]}

    def seconds(self, setting, name, first):
        """How long a contender takes whose first run took so many seconds: without compiling, unless that is long."""
        return first if first >= LONG else checked(self.team[name].ask("time", key=setting.key))["seconds"]

    def varied(self, network):
        """How many maps of the layer are not constant, on average."""
        with np.load(self.folder / network / "inputs.npz") as arrays:
            return float(arrays["varied"])


def adapted(maps, setting, name):
    """Our maps with the one step done as that library does it: |M|; the sum over windows in place of the mean."""
    if (setting.method, name) == ("saliency", "xplique"):
        return np.abs(maps)
    if (setting.method, name) == ("occlusion", "xplique"):
        sizes = ((size,) * (maps.ndim - 1) for size in WINDOW[NETWORKS[setting.network]])
        return maps * times_covered(maps.shape[1:], *sizes)
    return maps


def family(setting):
    """The same network in all sizes of its input."""
    return setting.network.split("_")[0]


def slower(rows):
    """Names of the libraries whose median is well above the fastest library's, or above that and far above ours."""
    medians = {name: middle(one) for name, one in rows.items() if name in PEERS and one["seconds"]}
    fastest, ours = min(medians.values(), default=0), middle(rows["ours"])
    return {name for name, one in medians.items() if one > SLOWER * fastest or one > max(fastest, BEATEN * ours)}


def same_output(one):
    """Whether its map is close enough to ours to be compared."""
    return one.get("note") != "another map"


def may_be_fastest(rows, found):
    """Names of the libraries with the same output that took, so far, little longer than the fastest of them."""
    usual = {name: np.median(found[name]) for name in PEERS if name in found and same_output(rows[name])}
    return [name for name in usual if usual[name] <= SLOWER * min(usual.values())]


def row(network, method, n, contender, seconds, amount=0, purpose="table"):
    """What is kept of one contender at one setting; seconds per input, one for each round."""
    seconds = [float(f"{one:.5g}") for one in seconds]
    names = {"purpose": purpose, "network": network, "method": method, "n": n, "amount": amount}
    return names | {"contender": contender, "seconds": seconds}


def middle(one):
    return np.median(one["seconds"])
