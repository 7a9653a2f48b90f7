"""Quantus' scores, of the PyTorch twin where a network is asked."""

from tools.peers import operators  # noqa: F401 - Quantus imports zennit

# isort: split
from functools import partial
from unittest import mock

import numpy as np
import quantus
import skimage.metrics
import torch
from captum import attr
from quantus.helpers.model.pytorch_model import PyTorchModel

from tools.peers import trust_quantus
from tools.peers.metric_case import REGION, SAMPLES, Given, cascade, each
from tools.peers.twin import twin

PACKAGE, BACKEND = "quantus", "torch"
OPTIONS = {"abs": False, "normalise": False, "disable_warnings": True}
REGIONS = {"region_perturbation": "blocks", "region_perturbation_ties": "relevance"}
METHODS = {"saliency": lambda network: attr.Saliency(network), "gradient_x_input": attr.InputXGradient}


def answers(case):
    torch.set_num_threads(1)
    given = Given.load(case.folder)
    network = twin(case.network())
    return (
        _localisation(case, given)
        | _completeness(case, given, network)
        | {"max_sensitivity": _max_sensitivity(case, given, network)}
        | _regions(case, given, network)
        | _infidelity(case, given, network)
        | _randomisation(case, network)
        | trust_quantus.Road(case, given, partial(_picture, case), _of_pictures(case, network), OPTIONS).answers()
        | trust_quantus.entropy(case, given, first, network, OPTIONS)
    )


def first(arrays):
    """Channels last -> channels first."""
    return np.ascontiguousarray(np.moveaxis(arrays, -1, 1))


def _localisation(case, given):
    def score(kind, maps, items=slice(None)):
        x, mask = first(case.inputs)[items], given.evidence[items][:, None]
        if len(maps) != len(x):
            x, mask = (np.repeat(array, len(maps), axis=0) for array in (x, mask))
        arguments = {"x_batch": x, "y_batch": np.zeros(len(x), int), "a_batch": maps[:, None], "s_batch": mask}
        return np.array(kind(**OPTIONS)(model=None, channel_first=True, **arguments), float)

    def every_order(maps):
        """The mean over maps in which the values that tie for the last places take every place in turn."""
        found = []
        for item, R in enumerate(maps):
            turned = list(_turns(R, given.evidence[item].sum()))
            found.append(score(quantus.RelevanceRankAccuracy, np.stack(turned), slice(item, item + 1)).mean())
        return found

    return {
        "evidence_mass": each(lambda maps: score(quantus.RelevanceMassAccuracy, maps), given.relevance),
        "pointing_game": each(lambda maps: score(quantus.PointingGame, maps), given.ranks),
        "pointing_game_ties": each(lambda maps: score(quantus.PointingGame, maps), given.levels),
        "rank_accuracy": each(lambda maps: score(quantus.RelevanceRankAccuracy, maps), given.ranks),
        "rank_accuracy_ties": each(lambda maps: score(quantus.RelevanceRankAccuracy, maps), given.levels),
        "rank_accuracy_every_order": each(every_order, given.levels),
    }


def _turns(R, count):
    """R, whose levels are 1 apart, with its tied values around place `count` spread in every rotation."""
    tied = np.nonzero(np.sort(R.ravel())[-count] == R)
    size = len(tied[0])
    for shift in range(size):
        turned = R.astype(float)
        turned[tied] += np.roll(np.arange(size), shift) / (2 * size)
        yield turned


def _completeness(case, given, network):
    def score(maps, change=None):
        metric = quantus.Completeness(perturb_baseline=0.0, output_func=change, **OPTIONS)
        return metric(network, first(case.inputs), case.targets, a_batch=first(maps), channel_first=True)

    def gap(maps):
        """Their difference of scores in our quotient."""
        seen = []
        score(maps, lambda difference: seen.append(difference) or difference)
        return np.abs(maps.reshape(len(maps), -1).sum(axis=1, dtype=np.float64) - seen[0]) / np.abs(seen[0])

    return {"completeness": each(score, given.attribution), "completeness_gap": each(gap, given.attribution)}


def _explain(method, summed=False):
    """What they call to explain a network; channels first."""

    def explain(model, inputs, targets, **_):
        options = {"abs": False} if method == "saliency" else {}
        x = torch.tensor(np.asarray(inputs), dtype=torch.float32)
        found = METHODS[method](model).attribute(x, torch.as_tensor(targets), **options).detach().numpy()
        return found.sum(axis=1, keepdims=True) if summed else found

    return explain


def _max_sensitivity(case, given, network):
    def score(method):
        near = iter(given.near)
        metric = quantus.MaxSensitivity(
            nr_samples=SAMPLES, perturb_func=lambda arr, **_: first(next(near)).reshape(arr.shape), **OPTIONS
        )
        return metric(network, first(case.inputs), case.targets, channel_first=True, explain_func=_explain(method))

    return each(score, METHODS)


def _regions(case, given, network):
    def score(maps):
        """AOPC: their drops, and that of nothing replaced."""
        metric = quantus.RegionPerturbation(patch_size=REGION, perturb_baseline=0.0, **OPTIONS)
        drops = metric(network, first(case.inputs), case.targets, a_batch=maps[:, None], channel_first=True)
        return [sum(one) / (len(one) + 1) for one in drops]

    return {name: each(score, getattr(given, maps)) for name, maps in REGIONS.items()}


class Line(torch.nn.Module):
    """A network of signals that takes pictures of one line, (N, C, 1, T)."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x[:, :, 0])


def _picture(case, arrays):
    """Channels first, and signals as pictures of one line."""
    arrays = first(arrays)
    return arrays if case.is_image else arrays[:, :, None]


def _of_pictures(case, network):
    return (network if case.is_image else Line(network)).eval()


def _infidelity(case, given, network):
    picture = partial(_picture, case)

    def score(maps):
        moves = iter(given.moves)
        metric = quantus.Infidelity(
            perturb_patch_sizes=[1],
            n_perturb_samples=1,
            perturb_func=lambda arr, **_: picture(case.inputs - next(moves)).reshape(arr.shape),
            **OPTIONS,
        )
        arguments = {"x_batch": picture(case.inputs), "y_batch": case.targets, "a_batch": picture(maps)}
        blocks = "quantus.metrics.faithfulness.infidelity.utils.get_block_indices"
        with mock.patch(blocks, lambda *_: range(len(given.moves))):  # one perturbation for each "block"
            return metric(_of_pictures(case, network), channel_first=True, **arguments)

    def share(maps):
        """Q(s) = A s^2 - 2 B s + C of the map times s: its least value (C - B^2 / A) by its value without a map (C)."""
        scales = np.array([-1, 1, 2])
        a, b, c = np.linalg.solve(np.vander(scales, 3), [score(np.float32(s) * maps) for s in scales])
        return 1 - b**2 / (4 * a * c)

    return {"infidelity": each(score, given.attribution), "infidelity_share": each(share, given.attribution)}


def _randomisation(case, network):
    shuffled = [twin(model) for model in cascade(case)]
    space = case.inputs.shape[1:-1]

    def score(method, similarity, mean):
        metric = quantus.MPRT(similarity_func=similarity, return_average_correlation=mean, **OPTIONS)
        arguments = {"x_batch": first(case.inputs), "y_batch": case.targets, "channel_first": True}
        networks = [(str(step), model) for step, model in enumerate(shuffled)]
        with mock.patch.object(PyTorchModel, "get_random_layer_generator", lambda *_, **__: iter(networks)):
            found = metric(network, explain_func=_explain(method, summed=True), **arguments)
        return found if mean else np.mean([found[name] for name, _ in networks], axis=0)

    def in_our_units(a, b, batched):
        """Their structural similarity of pictures, each divided by its largest magnitude; data range 2."""
        a, b = ((maps / np.abs(maps).max(axis=1, keepdims=True)).reshape(-1, *space) for maps in (a, b))
        original = skimage.metrics.structural_similarity
        with mock.patch(
            "skimage.metrics.structural_similarity",
            lambda im1, im2, win_size, data_range: original(im1, im2, win_size=win_size, data_range=2.0),
        ):
            return np.array(quantus.ssim(a, b, batched))

    def as_it_stands(a, b, batched):
        return np.array(quantus.ssim(a, b, batched))

    return {
        "rank_correlation_with_original": each(lambda m: score(m, quantus.correlation_spearman, True), METHODS),
        "rank_correlation": each(lambda m: score(m, quantus.correlation_spearman, False), METHODS),
        "similarity_flat": each(lambda m: score(m, as_it_stands, True), METHODS),
        "similarity": each(lambda m: score(m, in_our_units, False), METHODS),
    }
