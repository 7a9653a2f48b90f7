"""zennit-crp, relevance that flows through one channel of a layer, on the twin of zennit."""

from tools.peers import operators  # noqa: F401 - before zennit

# isort: split
import numpy as np
import torch
from crp.attribution import CondAttribution

from tools.peers.twin import layer_of, to_numpy
from tools.peers.with_zennit import composite, parts, rule

PACKAGE, BACKEND = "zennit-crp", "torch"
CHANNELS = (0, 3)


def through(case, channel):
    """What flows through one channel of the layer that the CAM family looks at."""
    network, x, targets = parts(case)
    layer = layer_of(case, network)
    tool, name = CondAttribution(network), next(name for name, each in network.named_modules() if each is layer)

    def one(item):
        conditions = [{name: [channel], "y": [int(targets[item])]}]
        point = x[item : item + 1].clone().requires_grad_()
        tool(point, conditions, composite(rule("z_plus"), rule("z_plus")))
        return to_numpy(point.grad)

    return lambda: np.concatenate([one(item) for item in range(len(x))])


def answers(case):
    torch.set_num_threads(1)
    return {f"through_{channel}": through(case, channel)() for channel in CHANNELS}
