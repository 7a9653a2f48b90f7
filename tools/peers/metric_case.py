"""What every library is given to score: maps, masks, fills and all that would else be drawn at random.

It lies in metrics.npz beside the network and the inputs of a `Case`; cascade_0.keras, cascade_1.keras ... are the
network with more and more layers shuffled, before the softmax. A library's values are arrays (N, maps).
"""

from dataclasses import asdict, dataclass

import numpy as np

from tools.peers.case import load_network

STEPS, ODD_STEPS = 8, 30  # of deletion and insertion: 8 divides the positions of every network here, 30 none
SAMPLES = 10  # of max-sensitivity, and a tenth of those of infidelity
REGION = 4  # the side of a region, which divides every side here
RADIUS, NOISE, FRACTION = 0.02, 0.1, 0.15  # max-sensitivity, infidelity, the share that the drop keeps
WHOLE = tuple(np.arange(1, 8) / 8)  # removed shares that are whole numbers of positions of every network here
METHODS = ("saliency", "gradient_x_input")  # what a metric of random weights explains again


@dataclass
class Given:
    """The arrays of metrics.npz; M maps of N inputs."""

    relevance: np.ndarray  # (M, N, ...) not negative
    ranks: np.ndarray  # (M, N, ...) the same orders without ties: the earlier of two equals ranks higher
    levels: np.ndarray  # (M, N, ...) the relevance in three levels: ties at the top
    blocks: np.ndarray  # (M, N, ...) each region the rank of its sum of relevance, the largest the most relevant
    kept: np.ndarray  # (M, N, ...) 1 at the most relevant share of the positions, else 0
    evidence: np.ndarray  # (N, ...) bool
    attribution: np.ndarray  # (A, N, ..., C) signed
    mean: np.ndarray  # (N, ..., C) what deletion puts in place
    blur: np.ndarray  # (N, ..., C) what insertion starts from
    near: np.ndarray  # (samples, N, ..., C) inputs close by
    moves: np.ndarray  # (10 samples, N, ..., C) the perturbations I of infidelity
    shares: np.ndarray  # (7,) what ROAD removes
    drawn: np.ndarray  # (positions, C) standard normal, the noise of what is removed
    trained: np.ndarray  # (METHODS, N, ...) maps of the network, summed over channels
    shuffled: np.ndarray  # (METHODS, N, ...) and of the network with every layer shuffled

    @classmethod
    def load(cls, folder):
        with np.load(folder / "metrics.npz") as arrays:
            return cls(**arrays)

    def save(self, folder):
        np.savez(folder / "metrics.npz", **asdict(self))


def cascade(case):
    """The networks with more and more layers shuffled, in order, before the softmax."""
    paths = sorted(case.folder.glob("cascade_*.keras"), key=lambda path: int(path.stem.split("_")[1]))
    return [load_network(path) for path in paths]


def each(function, maps):
    """function(map of the N inputs) -> (N,) of every map: (N, M)."""
    return np.stack([np.asarray(function(one), np.float64) for one in maps], axis=1)
