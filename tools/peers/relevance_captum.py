"""Captum's relevance propagation on the cases by hand."""

import torch
from captum.attr import LRP
from captum.attr._utils.custom_modules import Addition_Module
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule
from torch import nn

from tools.peers.relevance_hand import FOLDED, GAMMA, OPERATION, PLUS, ZERO, G
from tools.peers.relevance_torch import network

PACKAGE, TITLE = "captum", "Captum"
OTHERS = ("Deep Taylor", "rules for layers of weights alone", "epsilon 0.1 of the size of z", FOLDED)
TINY = 1e-9


def explain(case):
    rules = {
        ZERO: lambda: EpsilonRule(epsilon=case.epsilon or TINY),
        PLUS: Alpha1_Beta0_Rule,
        G: lambda: GammaRule(gamma=GAMMA),
    }
    if case.way in OTHERS or not set(case.rules) <= set(rules):
        return None
    model = network(case.parts, None if case.way == OPERATION else Addition_Module)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d):
            module.rule = rules[case.rules[1]]()
        elif isinstance(module, nn.Flatten | nn.AvgPool1d | nn.MaxPool1d) and case.way != "nothing said about Flatten":
            module.rule = EpsilonRule(epsilon=TINY)
    x = torch.from_numpy(case.inputs).movedim(-1, 1) if case.inputs.ndim == 3 else torch.from_numpy(case.inputs)
    return LRP(model).attribute(x.requires_grad_(), target=0).detach().numpy()
