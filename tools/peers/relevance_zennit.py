"""Zennit's relevance propagation on the cases by hand."""

from tools.peers import operators  # noqa: F401 - before zennit

# isort: split
import torch
from torch import nn
from zennit import composites, rules
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.layer import Sum
from zennit.types import Convolution, Linear

from tools.peers.relevance_hand import A2B1, FOLDED, GAMMA, HIGH, LOW, OPERATION, PLUS, ZERO, G
from tools.peers.relevance_torch import network

PACKAGE, TITLE = "zennit", "zennit"
OTHERS = ("Deep Taylor", "epsilon 0.1 of the size of z")
TINY = 1e-9  # its smallest epsilon


class Joined(nn.Module):
    """A sum that it has a rule for."""

    def __init__(self):
        super().__init__()
        self.sum = Sum()

    def forward(self, a, b):
        return self.sum(torch.stack([a, b], dim=-1))


def rule_of(name, case):
    options = {"stabilizer": TINY}
    return {
        ZERO: lambda: rules.Epsilon(epsilon=case.epsilon or TINY),
        PLUS: lambda: rules.ZPlus(**options),
        G: lambda: rules.Gamma(gamma=GAMMA, **options),
        A2B1: lambda: rules.AlphaBeta(alpha=2, beta=1, **options),
        "z^B": lambda: rules.ZBox(low=LOW, high=HIGH, **options),
        "flat": lambda: rules.Flat(**options),
        "w^2": lambda: rules.WSquare(**options),
    }[name]()


def explain(case):
    if case.way in OTHERS:
        return None
    model = network(case.parts, None if case.way == OPERATION else Joined)
    below, above = (rule_of(name, case) for name in case.rules)
    base = [] if case.way == "rules for layers of weights alone" else composites.layer_map_base(TINY)
    others = [(kind, rule) for kind, rule in base if kind not in (Linear, Convolution)]
    weights = (Linear, Convolution)
    canonizers = [SequentialMergeBatchNorm()] if case.way == FOLDED else []
    composite = composites.SpecialFirstLayerMapComposite(
        layer_map=[*others, (weights, above)], first_map=[(weights, below)], canonizers=canonizers
    )
    x = torch.from_numpy(case.inputs).movedim(-1, 1) if case.inputs.ndim == 3 else torch.from_numpy(case.inputs)
    with Gradient(model=model, composite=composite) as attributor:
        _, relevance = attributor(x.requires_grad_(), lambda output: output)
    return relevance.detach().numpy()
