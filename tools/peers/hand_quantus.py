"""Quantus' answers to the cases by hand: python -m tools.peers.hand_quantus FILE writes FILE, JSON.

What it raises is its answer as well.
"""

from tools.peers import operators  # noqa: F401 - Quantus imports zennit

# isort: split
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import quantus
import torch
from quantus.functions.perturb_func import noisy_linear_imputation
from quantus.helpers.model.pytorch_model import PyTorchModel
from torch import nn

from tools.peers.metric_hand import CENTRE, CORNER, DOWN, EVEN, HALVES, LINE, SHARE, SIDE, TWO, UP, four_inputs

OPTIONS = {"abs": False, "normalise": False, "disable_warnings": True}


def filled(values, place):
    x = np.atleast_2d(values)[None]
    where = np.array([np.ravel_multi_index(place, x.shape[1:])])
    return noisy_linear_imputation(arr=np.array(x), indices=where, noise=0)[(0, *place)]


def right(channels, batch_size, share):
    """The share of right answers without what is marked most."""
    inputs, maps = four_inputs(channels)
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE * channels, 2))
    with torch.no_grad():
        network[1].weight.zero_()
        network[1].weight[1, 0] = 200
        network[1].bias.copy_(torch.tensor([0.0, -100]))
    metric = quantus.ROAD(percentages=[100 * share + 1], noise=0, **OPTIONS)
    asked = {"x_batch": np.moveaxis(inputs, -1, 1), "y_batch": np.ones(4, int), "a_batch": maps[:, None]}
    return next(iter(metric(network.eval(), channel_first=True, batch_size=batch_size, **asked).values()))


def two_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).eval()


def mean_correlation(kind, changed, **options):
    """Of a function that gives (1 2 3 4) for the network as it is and another map for any other."""
    network = two_layers()
    known = [weight.detach().clone() for weight in network.parameters()]

    def explain(model, inputs, targets, **_):
        same = all(torch.equal(a, b) for a, b in zip(model.parameters(), known, strict=True))
        return np.repeat(UP if same else changed, len(inputs), axis=0)

    np.random.seed(0)
    metric = kind(return_average_correlation=True, **options, **OPTIONS)
    return metric(network, np.ones((1, 4), "float32"), np.zeros(1, int), channel_first=True, explain_func=explain)[0]


def entropy_rise():
    before, after = (quantus.functions.complexity_func.discrete_entropy(each, each) for each in (HALVES, EVEN))
    return (after - before) / before


def bins():
    metric = quantus.EfficientMPRT(complexity_func_kwargs={"rule": "Square Root"}, **OPTIONS)
    metric.find_n_bins(np.random.default_rng(0).random((2, 1, 20, 20)))
    return metric.complexity_func_kwargs["n_bins"]


def equal_layers():
    *_, (_, drawn) = PyTorchModel(two_layers(), channel_first=True).get_random_layer_generator()
    return (drawn[0].weight == drawn[1].weight).float().mean().item()


def kernel_that_stays(layers, order):
    """The share of weights of the first of these convolutions that are as they were, after the first step."""
    import keras
    from quantus.helpers.model.tf_model import TensorFlowModel

    parts = [keras.layers.Conv2D(8, 1, use_bias=False) for _ in range(layers)]
    model = keras.Sequential([keras.Input((3, 3, 8)), *parts])
    kernel = np.arange(64.0).reshape(1, 1, 8, 8)
    model.set_weights(layers * [kernel])
    _, drawn = next(iter(TensorFlowModel(model, channel_first=False).get_random_layer_generator(order=order)))
    return (np.asarray(drawn.get_weights()[0]) == kernel).mean()


QUESTIONS = (
    lambda: filled(CENTRE, (1, 1)),
    lambda: filled(CORNER, (0, 0)),
    lambda: filled(LINE[None], (0, 2)),
    lambda: right(1, 2, SHARE),
    lambda: right(2, 4, TWO),
    lambda: mean_correlation(quantus.MPRT, DOWN),
    lambda: mean_correlation(quantus.SmoothMPRT, UP, nr_samples=3),
    entropy_rise,
    bins,
    equal_layers,
    lambda: kernel_that_stays(2, "top_down"),
    lambda: kernel_that_stays(1, "independent"),
)


def answer(question):
    """A number, or how the library refuses."""
    try:
        return float(np.ravel(question())[0])
    except Exception as error:  # noqa: BLE001 - whatever a library raises is what its user sees
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def main(file):
    found = {"version": version("quantus"), "answers": [answer(question) for question in QUESTIONS]}
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"  quantus {found['version']}: {len(QUESTIONS)} cases by hand", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
