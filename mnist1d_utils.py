"""MNIST-1D: the data with its evidence masks, a safe reader, the networks and their training.

MNIST-1D (Greydanus and Kobak 2020/2024, "Scaling down deep learning with MNIST-1D", ICML 2024) draws each of
ten digits as a template of 12 numbers and hides it in a signal of 40 samples: the template is padded, dilated,
scaled, shifted, surrounded by correlated noise, covered with white noise, sheared and resampled.
The generator knows where the template went, so the data carries the true answer to "where is the evidence?".

    data = make_dataset()                       # or load_pickle("data/MNIST1D.pkl")
    train_mask, test_mask = evidence_masks(data)
    model = network("flatten")
    history = train(model, data)
    x, y = split(data, "test")                  # (1000, 40, 1) float32 and (1000,) int64

A data set is a dictionary with the published keys x (4000, 40), y (4000,), x_test (1000, 40), y_test (1000,),
t (40,) and templates. Nothing here knows of explanations.
"""

from heatproof.data.mnist1d import CLASS_NAMES, evidence_masks, make_dataset, split, templates
from heatproof.data.mnist1d_pickle import load_pickle, write_pickle
from heatproof.networks.mnist1d import augment, network, train

__all__ = [
    "CLASS_NAMES",
    "augment",
    "evidence_masks",
    "load_pickle",
    "make_dataset",
    "network",
    "split",
    "templates",
    "train",
    "write_pickle",
]
