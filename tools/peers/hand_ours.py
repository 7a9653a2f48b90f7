"""Our answers to the cases of tools/peers/metric_hand.py, in their order."""

import keras
import numpy as np

import xai_utils as xu
from tools.peers.metric_hand import CENTRE, CORNER, DOWN, EVEN, HALVES, LINE, SHARE, SIDE, TWO, UP, four_inputs

SEED = 4  # of a shuffle that leaves none of 64 weights in its place


def filled(values, place):
    x, relevance = np.array(values)[None, ..., None], np.zeros((1, *values.shape))
    relevance[(0, *place)] = 1
    return xu.remove_top(x, relevance, SHARE, noise=0)[(0, *place)]


def right(channels, share):
    """The mean probability of class 1, which is 1 or 0, without what is marked most."""
    inputs, maps = four_inputs(channels)
    model = keras.Sequential([keras.Input(inputs.shape[1:]), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    weights = np.zeros((SIDE * SIDE * channels, 2))
    weights[0, 1] = 200
    model.layers[-1].set_weights([weights, np.array([0, -100])])
    return xu.removal_curve(model, inputs, maps, 1, shares=(share,), noise=0)[:, 1].mean()


def two_layers():
    layers = keras.layers.Flatten(), keras.layers.Dense(4), keras.layers.Dense(4, "softmax")
    return keras.Sequential([keras.Input((4, 1)), *layers])


def mean_correlation(changed, smooth=False):
    """Of a method that gives (1 2 3 4) for the network as it is and another map for any other."""
    model = two_layers()
    known = [weight.copy() for weight in model.get_weights()]

    def method(network, inputs, targets=None, **_):
        found = UP if all(map(np.array_equal, network.get_weights(), known)) else changed
        return found[..., None]  # a signal of one channel

    method = xu.noise_averaged(method, samples=3) if smooth else method
    return xu.randomisation(method, model, np.ones((1, 4, 1), "float32"), 0)[2].mean()


def equal_layers():
    *_, (_, copy) = xu.randomised(two_layers(), draws="initialiser")
    first, second = (layer.get_weights()[0] for layer in copy.layers[1:])
    return (first == second).mean()


def kernel_that_stays(layers, order):
    """The share of weights of the first of these convolutions that are as they were, after the first step."""
    parts = [keras.layers.Conv2D(8, 1, use_bias=False) for _ in range(layers)]
    model = keras.Sequential([keras.Input((3, 3, 8)), *parts])
    kernel = np.arange(64.0).reshape(1, 1, 8, 8)
    model.set_weights(layers * [kernel])
    _, copy = next(xu.randomised(model, order=order, seed=SEED))
    return (copy.get_weights()[0] == kernel).mean()


def answers():
    """A number for each case; None where ours has no such option."""
    found = [
        filled(CENTRE, (1, 1)),
        filled(CORNER, (0, 0)),
        filled(LINE, (2,)),
        right(1, SHARE),
        right(2, TWO),
        mean_correlation(DOWN),
        mean_correlation(UP, smooth=True),
        xu.entropy_rise(HALVES[None], EVEN[None]),
        None,
        equal_layers(),
        kernel_that_stays(2, "top_down"),
        kernel_that_stays(1, "independent"),
    ]
    return [None if each is None else float(np.ravel(each)[0]) for each in found]
