"""Cases of removal and of random weights that pencil and paper suffice for, and what ours and Quantus say of them.

`by_hand` is worked from the formulas alone:

- ROAD: a removed value is the sum of its neighbours', 1/6 of each beside it and 1/12 across corners; at the edge
  what is left of the weights is scaled to the sum 1
- MPRT: the mean over the layers made random of the rank correlation with the map of the network as it is
- eMPRT: (H after - H before) / H before, H the entropy of the histogram of a map
- random weights: drawn anew for each layer, or all values of an array shuffled
"""

from dataclasses import dataclass

import numpy as np

CENTRE = np.array([[12, 6, 0], [0, 99, 0], [0, 0, 0]], "float32")
CORNER = np.array([[99, 5, 0], [10, 15, 0], [0, 0, 0]], "float32")
LINE = np.array([4, 3, 99, 11, 2], "float32")
HALVES, EVEN = np.repeat([0.0, 1], 50), np.arange(100.0)
UP, DOWN = np.array([[1.0, 2, 3, 4]], "float32"), np.array([[4.0, 3, 2, 1]], "float32")
SIDE, SHARE, TWO = 3, 0.11, 0.22  # of a picture, and what are one and two of its nine positions


def four_inputs(channels=1):
    """Pictures of which the first two have a 1 in their first corner, and maps that mark the middle, then the last."""
    inputs, maps = np.zeros((4, SIDE, SIDE, channels), "float32"), np.zeros((4, SIDE, SIDE), "float32")
    inputs[:2, 0, 0], maps[:, 1, 1], maps[:, 2, 2] = 1, 1, 0.5
    return inputs, maps


@dataclass(frozen=True)
class Hand:
    """One case, the numbers by hand, and why a library gives others."""

    name: str
    by_hand: tuple
    reason: str = ""


CASES = (
    Hand("ROAD: the middle of (12 6 0 / 0 . 0 / 0 0 0)", (2,)),
    Hand("ROAD: the first corner of (. 5 0 / 10 15 0 / 0 0 0)", (9,)),
    Hand("ROAD: the middle of (4 3 . 11 2), a picture of one line", (7,)),
    Hand(
        "ROAD: four inputs of which two are right, in batches of two", (0.5,),
        "counts the first batch alone; the others are computed and left out",
    ),
    Hand(
        "ROAD: the same without two positions, pictures of two channels, in one batch", (0.5,),
        "copies a map of one channel to each of them and looks up the places of the copies in one channel",
    ),
    Hand(
        "MPRT, mean: a map (1 2 3 4), turned round by each of two layers", (-1,),
        "`return_average_correlation` counts the map of the network as it is, with correlation 1, as another layer",
    ),
    Hand(
        "sMPRT, mean: a map that is (1 2 3 4) whatever the network", (1,),
        "calls its own explainer, by default the gradient, whatever `explain_func` is given",
    ),
    Hand("eMPRT: from two values, 50 times each, to a hundred values", ((np.log(100) - np.log(2)) / np.log(2),)),
    Hand(
        "eMPRT: the number of bins by the root of the number of values, 400", (20,),
        "takes the number of axes of a map for the number of its values; the root is 1, and its least number stands in",
    ),
    Hand(
        "random weights: two layers alike, drawn anew: the share of weights that are equal", (0,),
        "sets the same seed before every layer, so that layers of one shape get the same weights",
    ),
    Hand(
        "random weights, TensorFlow: the last of two layers made random: the share of the first's that stays", (1,),
        "begins with a copy whose weights are all drawn anew, so that the first step of a cascade is its last",
    ),
    Hand(
        "random weights, TensorFlow: one kernel of 1 x 1 shuffled: the share of weights that stays", (0,),
        "shuffles along the first axis alone: the rows of a kernel, of which a kernel of 1 x 1 has one",
    ),
)  # fmt: skip
