"""Networks small enough for pencil and paper, and the relevance that the formulas give there.

A network is a tuple of parts, in order; every library builds it from them. A rule is one name, or that of the first
layer of weights and that of those above it. `by_hand` is worked from the formulas of the rules alone:

- epsilon: a w / (z + epsilon sign z), z = sum a w + b; LRP-0 is epsilon = 0
- alpha-beta: alpha (a w)+ / (sum (a w)+ + b+) - beta (a w)- / (sum (a w)- + b-); z+ is alpha = 1, beta = 0
- gamma: what pushes a neuron to the side where it is counts 1 + gamma times, its bias as well
- z^B: (a w - low w+ - high w-) / its sum; flat: 1 / n; w^2: w^2 / its sum
- activations pass; a sum is shared by its terms; a gate is a constant; the winner of a maximum takes all
"""

from dataclasses import dataclass

import numpy as np

GAMMA, LOW, HIGH = 0.5, 0.0, 3.0
ZERO, PLUS, G, A2B1 = "LRP-0", "z+", "gamma 1/2", "alpha 2, beta 1"


def dense(*rows, bias=None):
    return "dense", np.array(rows, "float32"), None if bias is None else np.array(bias, "float32")


RELU = ("activation", "relu")
TWO = (dense([1, -1], [1, 1]), RELU, dense([1], [-1]))
BIASED = (dense([1, -1], [1, 1], bias=[1, -0.5]), RELU, dense([1], [-1], bias=[-0.5]))
SKIP = (("skip", dense([1, 1], [0, 1])), dense([1], [1]))
NORM = (dense([1], [1]), ("norm", 4.0, 1.0, 1.0, 4.0), RELU, dense([1]))  # gamma, beta, mean, variance
SIGNAL = (("convolution", np.array([1, -2, 3], "float32")), ("flatten",), dense([1], [2], [3]))
SHARED = dense([1, -1], [1, 1])
NETWORKS = {
    "two layers": TWO,
    "two layers with biases": BIASED,
    "x + f(x)": SKIP,
    "a normalisation": NORM,
    "a ReLU6": (dense([4]), ("activation", "relu6"), dense([1])),
    "an ELU": (dense([1]), ("activation", "elu"), dense([1])),
    "an average pool": (("average",), ("flatten",), dense([1], [2])),
    "a maximum": (("maximum",), ("flatten",), dense([1], [2])),
    "a signal of three": SIGNAL,
    "a layer used twice": (SHARED, RELU, SHARED, RELU, dense([1], [-1])),
    "x sigmoid(x)": (("gate",), dense([1])),
    "one layer": (dense([1], [1]),),
}


@dataclass(frozen=True)
class Hand:
    """One network, one input, one rule, and the relevance by hand."""

    network: str
    x: tuple
    rule: str | tuple
    by_hand: tuple
    way: str = ""  # how a library is asked, where there are several ways
    epsilon: float = 0.0

    @property
    def key(self):
        return " | ".join(part for part in (self.network, str(self.x), self.name, self.way) if part)

    @property
    def name(self):
        return self.rule if isinstance(self.rule, str) else f"{self.rule[0]} below, {self.rule[1]} above"

    @property
    def rules(self):
        """That of the first layer, that of the others."""
        return (self.rule, self.rule) if isinstance(self.rule, str) else self.rule

    @property
    def parts(self):
        return NETWORKS[self.network]

    @property
    def inputs(self):
        """(1, features), or (1, positions, 1) where the network begins on a signal."""
        flat = np.array([self.x], "float32")
        return flat[..., None] if self.parts[0][0] in ("convolution", "average", "maximum") else flat


E2, ELU = np.exp(-2.0), float(np.exp(-1.0) - 1)
OPERATION, MODULE = "as an operation", "as a layer of the library"
APART = "ReLU as a layer of its own"
OPEN, FOLDED = "as it comes", "folded"
CASES = (
    Hand("two layers", (1, 2), ZERO, (2, 0)),
    Hand("two layers", (1, 2), ZERO, (2, 0), APART),
    Hand("two layers", (1, 2), PLUS, (2 / 3, 4 / 3)),
    Hand("two layers", (1, 2), G, (8 / 7, 6 / 7)),
    Hand("two layers", (1, 2), A2B1, (14 / 3, 4 / 3)),
    Hand("two layers", (1, 2), ("z^B", ZERO), (0.5, 1.5)),
    Hand("two layers", (1, 2), ("flat", ZERO), (1, 1)),
    Hand("two layers", (1, 2), ("w^2", ZERO), (1, 1)),
    Hand("two layers", (-1, 2), ZERO, (-2, 0)),
    Hand("two layers", (-1, 2), PLUS, (0, -2)),
    Hand("two layers", (-1, 2), PLUS, (0, -2), "Deep Taylor"),
    Hand("two layers", (-1, 2), G, (-8 / 7, -6 / 7)),
    Hand("two layers", (-1, 2), A2B1, (16 / 3, -16 / 3)),
    Hand("two layers with biases", (1, 2), ZERO, (2, 0)),
    Hand("two layers with biases", (1, 2), PLUS, (3 / 4, 3 / 2)),
    Hand("two layers with biases", (1, 2), G, (1.1, 1.2)),
    Hand("two layers with biases", (1, 2), A2B1, (4, 3)),
    Hand("two layers with biases", (1, 2), ("z^B", ZERO), (13 / 12, 29 / 12)),
    Hand("two layers with biases", (1, 2), ("flat", ZERO), (7 / 4, 7 / 4)),
    Hand("two layers with biases", (1, 2), ("w^2", ZERO), (7 / 4, 7 / 4)),
    Hand("x + f(x)", (1, 2), ZERO, (3, 4), OPERATION),
    Hand("x + f(x)", (1, 2), ZERO, (3, 4), MODULE),
    Hand("x + f(x)", (1, 2), PLUS, (3, 4), MODULE),
    Hand("x + f(x)", (1, 2), PLUS, (3, 4), "Deep Taylor"),
    Hand("a normalisation", (1, 2), ZERO, (2, 4), OPEN),
    Hand("a normalisation", (1, 2), ZERO, (2, 4), FOLDED),
    Hand("a ReLU6", (2,), ZERO, (6,)),
    Hand("an ELU", (-1,), ZERO, (ELU,)),
    Hand("an average pool", (3, 1, -1, 2), ZERO, (1.5, 0.5, -1, 2)),
    Hand("an average pool", (3, 1, -1, 2), ZERO, (1.5, 0.5, -1, 2), "rules for layers of weights alone"),
    Hand("a maximum", (3, 1, -1, 2), ZERO, (3, 0, 0, 4)),
    Hand("a signal of three", (1, 5, 2), ZERO, (0, 10, 0)),
    Hand("a signal of three", (1, 5, 2), ZERO, (0, 10, 0), "nothing said about Flatten"),
    Hand("a signal of three", (1, 5, 2), "flat", (50 / 18, 80 / 18, 50 / 18)),
    Hand("a layer used twice", (1, 2), ZERO, (0, 4)),
    Hand("x sigmoid(x)", (2,), ZERO, (2 / (1 + E2),)),
    Hand("one layer", (0.1, 0.1), ZERO, (1 / 11, 1 / 11), "epsilon 0.1 of the size of z", epsilon=0.1),
    Hand("one layer", (0.1, 0.1), ZERO, (1 / 15, 1 / 15), "epsilon 0.1 as it stands", epsilon=0.1),
)
