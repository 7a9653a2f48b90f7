"""What is measured: methods, networks, numbers of inputs, and the passes that each method cannot do without."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tools.peers import environment

PEERS = tuple(environment.TITLES)  # libraries; "plain" is our own naive loop
CONTENDERS = ("ours", *PEERS, "plain")
TITLES = {"ours": "ours", **environment.TITLES, "plain": "plain loop", "floor": "raw passes"}
SAMPLED = ("smooth_grad", "integrated_gradients")
STEPS = 50  # of deletion and insertion


@dataclass(frozen=True)
class Method:
    """`passes(amount, maps)`: forwards and backwards per input; `maps` is the number of maps of the layer that vary.

    `alike` is the least correlation of another library's map with ours for which both count as the same output: low
    where the rules differ, -1 where each draws at random for itself (docs/parity.md compares those, with equal draws).
    """

    title: str
    passes: Callable
    alike: float
    contenders: tuple


def _gradients(amount, maps):
    return amount or 1, amount or 1


def _once(amount, maps):
    """What follows the layer costs next to nothing, forwards as backwards."""
    return 1, 0


def _samples(amount, maps):
    return amount, 0


def _samples_and_whole(amount, maps):
    return amount + 1, 0


def _maps_and_whole(amount, maps):
    return maps + 1, 0


def _unknown(amount, maps):
    """As many as convergence takes."""
    return 0, 0


ALL = ("ours", "tf_keras_vis", "xplique", "saliency", "captum")
INTEGRATED = ("ours", "xplique", "saliency", "captum")
METHODS = {
    "saliency": Method("saliency", _gradients, 0.99, ALL),
    "smooth_grad": Method("SmoothGrad", _gradients, -1, ALL),
    "integrated_gradients": Method("Integrated Gradients", _gradients, 0.5, INTEGRATED),
    "converged": Method("Integrated Gradients to 1 %", _unknown, 0.95, INTEGRATED),
    "doubled": Method("Integrated Gradients, doubled", _unknown, 0.95, INTEGRATED),
    "grad_cam": Method("Grad-CAM", _once, 0.9, ALL),
    "score_cam": Method("Score-CAM", _maps_and_whole, 0.9, ("ours", "tf_keras_vis")),
    "ablation_cam": Method("Ablation-CAM", _once, 0.95, ("ours", "captum", "plain")),
    "occlusion": Method("occlusion", _samples_and_whole, 0.95, ("ours", "xplique", "captum", "plain")),
    "rise": Method("RISE", _samples, -1, ("ours", "xplique")),
    "lime": Method("LIME", _samples, -1, ("ours", "lime", "xplique")),
    "deletion": Method("deletion curve", _samples_and_whole, 0.95, ("ours", "xplique")),
    "insertion": Method("insertion curve", _samples_and_whole, 0.95, ("ours", "xplique")),
}


@dataclass(frozen=True)
class Setting:
    """A method on a network, n inputs, `amount` of its samples, steps, masks or windows, at most `rounds` rounds.

    `purpose`: "table", "scaling" (the figure) or "memory". `only`: these contenders of all that have the method.
    """

    network: str
    method: str
    n: int
    amount: int = 0
    purpose: str = "table"
    only: tuple = CONTENDERS
    rounds: int = 40

    @property
    def key(self):
        return f"{self.purpose} {self.network} {self.method} n={self.n} amount={self.amount}"

    @property
    def contenders(self):
        return [name for name in METHODS[self.method].contenders if name in self.only]

    @property
    def work(self):
        """How long it may take, roughly, in any unit: for the estimate of the time left."""
        forwards, backwards = METHODS[self.method].passes(self.amount, 160)
        side = NETWORKS[self.network]
        size = side / 40000 if self.network == "mnist1d" else (side / 150) ** 2
        passes = 500 if self.method in ("converged", "doubled") else forwards + 2 * backwards
        return self.n * passes * size * min(3, len(self.contenders)) + 600


NETWORKS = {
    "vgg7_150": 150,
    "vgg7_224": 224,
    "mobilenetv2": 224,
    "faces": 48,
    "mnist1d": 40,
    "vgg7_75": 75,
    "vgg7_300": 300,
}
SIDES = NETWORKS | {"efficientnet_lite0": 224}  # for relevance propagation alone
BATCHES = {"mobilenetv2": (1, 8, 32)}  # of raw passes, where 64 inputs would need many gigabytes
SCALING = ("vgg7_75", "vgg7_300")  # for the figure alone
WINDOW = {224: (32, 16), 150: (30, 15), 48: (16, 8), 40: (8, 4), 75: (15, 5), 300: (30, 15)}  # patch, stride


def windows(network):
    """How many windows occlusion has: they fit without a rest."""
    side = NETWORKS[network]
    patch, stride = WINDOW[side]
    return ((side - patch) // stride + 1) ** (1 if network == "mnist1d" else 2)


def table(network, counts, samples=50, masks=1000):
    """The settings of one network in the order of the page."""
    for method, amount in (
        ("saliency", 0),
        ("grad_cam", 0),
        ("smooth_grad", samples),
        ("integrated_gradients", samples),
    ):
        yield from (Setting(network, method, n, amount) for n in counts)
    yield Setting(network, "score_cam", 2)
    yield Setting(network, "occlusion", 2, windows(network))
    yield Setting(network, "ablation_cam", 2)
    yield from (Setting(network, method, 2, STEPS) for method in ("deletion", "insertion"))
    yield from (Setting(network, method, 2, masks) for method in ("rise", "lime"))


def scaling(counts=(1, 2, 4, 8, 16, 32), steps=(8, 32, 128), masks=(50, 200, 800), sides=(75, 150, 224, 300)):
    """What the figure shows: inputs, steps, masks, sides."""
    of = {"purpose": "scaling", "rounds": 3, "only": ("ours", "xplique")}
    yield from (Setting("vgg7_150", "saliency", n, **of) for n in counts)
    yield from (Setting("vgg7_150", "integrated_gradients", 2, amount, **of) for amount in steps)
    yield from (Setting("vgg7_150", "rise", 1, amount, **of) for amount in masks)
    yield from (Setting(f"vgg7_{side}", "saliency", 8, **of) for side in sides)


def small(network):
    """Networks so small that dispatch dominates: a few methods, for the record."""
    for method, amount in (("saliency", 0), ("grad_cam", 0), ("integrated_gradients", 50)):
        yield from (Setting(network, method, n, amount, rounds=9) for n in (1, 32))
    yield Setting(network, "occlusion", 2, windows(network), rounds=9)
    yield Setting(network, "rise", 2, 1000, rounds=9)


def deep(network="mobilenetv2", counts=(1, 32), few=(1, 4), samples=50, masks=500):
    """A network as it is used, 52 convolutions deep."""
    yield from (Setting(network, method, n) for method in ("saliency", "grad_cam") for n in counts)
    yield from (Setting(network, method, n, samples) for method in SAMPLED for n in few)
    yield from (Setting(network, method, 1, masks) for method in ("rise", "lime"))


def plan():
    """Every timed setting, in order: what the goals need first, so that a run that is cut short lacks the least."""
    for one in table("vgg7_150", (1, 8, 32)):  # no goal looks at 8 inputs; one round of many samples says who is slow
        yield replace(one, rounds=1 if one.method in SAMPLED else 3) if one.n == 8 else one
    yield Setting("vgg7_150", "converged", 2, rounds=2)
    yield Setting("vgg7_150", "doubled", 2, only=("ours", "xplique", "saliency"), rounds=2)
    big = table("vgg7_224", (1, 8, 32))
    big = [replace(one, n=min(one.n, largest("vgg7_224", one.method))) for one in big]
    big = [replace(one, rounds=3) if one.n == 8 else one for one in big]
    big = sorted(dict.fromkeys(big), key=lambda one: one.method in (*SAMPLED, "rise", "lime"))
    short = [one for one in big if one.method not in (*SAMPLED, "rise", "lime")]
    yield from short
    yield from scaling()
    yield from big[len(short) :]
    yield from deep()
    yield from (one for network in ("faces", "mnist1d") for one in small(network))


def largest(network, method):
    """The number of inputs that the goals look at: fewer at 224 px where each takes many passes, in the same chunks."""
    if method in SAMPLED:
        return 4 if NETWORKS[network] == 224 else 32
    if method in ("rise", "lime"):
        return 1 if NETWORKS[network] == 224 else 2
    return 32 if method in ("saliency", "grad_cam") else 2


def quick():
    """The same path in a minute or two: its numbers mean nothing."""
    settings = [*table("vgg7_150", (2,), 4, 20), *(one for one in small("mnist1d") if one.n == 1 or one.amount == 9)]
    settings += [Setting("vgg7_150", "converged", 2), *deep(counts=(1, 2), few=(1,), samples=4, masks=20)]
    for one in (*settings, *scaling((1, 2), (4, 8), (16, 32), (75, 150))):
        yield replace(one, rounds=2)


def memory():
    """Settings whose peak memory is taken, each in a process of its own."""
    for method, n, amount in (
        ("smooth_grad", 2, 50),
        ("integrated_gradients", 2, 50),
        ("score_cam", 1, 0),
        ("occlusion", 1, windows("vgg7_150")),
        ("rise", 1, 500),
        ("lime", 1, 500),
    ):
        yield Setting("vgg7_150", method, n, amount, "memory", ("ours", "tf_keras_vis", "lime", "xplique", "captum"))
    for method, n, amount in (*FLAT, ("saliency", 4, 0)):
        yield Setting("vgg7_150", method, n, amount, "memory", ("ours",))


def quick_memory():
    yield Setting("vgg7_150", "saliency", 2, 0, "memory", ("ours", "captum"))


# Pairs that must need the same memory beyond inputs and outputs. Saliency of 4 inputs needs less than either: its only
# chunk is smaller.
FLAT = (
    ("rise", 1, 500),
    ("rise", 1, 8000),
    ("integrated_gradients", 2, 16),
    ("integrated_gradients", 2, 512),
    ("saliency", 32, 0),
    ("saliency", 64, 0),
)
