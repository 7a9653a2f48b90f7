"""zennit-crp, relevance that flows through one channel of a layer, on the twin of zennit."""

import numpy as np
import torch
from crp.attribution import CondAttribution

from tools.peers.twin import to_numpy
from tools.peers.with_zennit import composite, layer_of, parts, rule

PACKAGE, BACKEND = "zennit-crp", "torch"
CHANNELS = (0, 3)


def through(case, channel):
    """What flows through one channel of the layer that the CAM family looks at."""
    network, x, targets = parts(case)
    tool, name = CondAttribution(network), layer_of(case, network)

    def one(item):
        conditions = [{name: [channel], "y": [int(targets[item])]}]
        point = x[item : item + 1].clone().requires_grad_()
        tool(point, conditions, composite(rule("z_plus"), rule("z_plus")))
        return to_numpy(point.grad)

    return lambda: np.concatenate([one(item) for item in range(len(x))])


def answers(case):
    torch.set_num_threads(1)
    return {f"through_{channel}": through(case, channel)() for channel in CHANNELS}
