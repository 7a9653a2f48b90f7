"""Quantus' removal without retraining (ROAD) and its later test of random weights (eMPRT), on given draws and maps."""

from unittest import mock

import numpy as np
import quantus
import torch
from quantus.functions.perturb_func import noisy_linear_imputation
from quantus.helpers.model.pytorch_model import PyTorchModel

from tools.peers.metric_case import WHOLE, cascade, each
from tools.peers.twin import twin

RANDN = "numpy.random.randn"


class Road:
    """Removal of one case; `picture` gives signals a second axis, which `network` takes."""

    def __init__(self, case, given, picture, network, options):
        self.given, self.network, self.options = given, network, options
        self.inputs, self.targets = picture(case.inputs), case.targets
        self.positions = int(np.prod(case.inputs.shape[1:-1]))

    def answers(self):
        """Areas under their curves, of the maps without ties."""
        ranks, up = self.given.ranks, np.ceil(np.round(self.given.shares * self.positions, 9)) / self.positions
        found = {
            "road_absolute": each(lambda maps: self.alone(maps, lambda x: 1.0), ranks),
            "road_filled": each(lambda maps: self.alone(maps, np.ptp), ranks),
        }
        if self.inputs.shape[1] > 1:  # an IndexError: see the comparison
            return found
        return found | {
            "road_right": each(lambda maps: self.asked(maps, WHOLE, WHOLE, seen=False), ranks),
            "road_seen": each(lambda maps: self.asked(maps, WHOLE, WHOLE), ranks),
            "road_down": each(lambda maps: self.asked(maps, self.given.shares, self.given.shares), ranks),
            "road_up": each(lambda maps: self.asked(maps, self.given.shares, up + 1e-9), ranks),
        }

    def alone(self, maps, width):
        """Their imputation where ours removes, in our score; `width` of an input: the unit of the noise."""
        found = []
        for x, target, R in zip(self.inputs, self.targets, maps, strict=True):
            order = np.argsort(-R.ravel(), kind="stable")
            points = [self.imputed(x, order[: round(share * self.positions)], width(x)) for share in WHOLE]
            found.append(area(self.probability([x, *points], target), WHOLE))
        return found

    def asked(self, maps, shares, removed, seen=True):
        """The metric itself, one input at a time: its right answers, or our score of the inputs that it has seen."""
        found = []
        for x, target, R in zip(self.inputs, self.targets, maps, strict=True):
            points = []

            def perturb(arr, indices, noise, points=points):
                points.append(self.imputed(arr, indices, np.ptp(arr), noise))
                return points[-1]

            judge = quantus.ROAD(percentages=[100 * share for share in removed], perturb_func=perturb, **self.options)
            asked = {"x_batch": x[None], "y_batch": np.array([target]), "a_batch": R.reshape(1, 1, *x.shape[1:])}
            right = judge(self.network, channel_first=True, **asked)
            heights = self.probability([x, *points], target) if seen else [1.0, *right.values()]
            found.append(area(heights, shares))
        return found

    def imputed(self, x, indices, width, noise=0.01):
        """The input without these positions; each gets the draws that ours gives it."""
        with mock.patch(RANDN, lambda *_: width * self.given.drawn[indices].T):
            return noisy_linear_imputation(arr=x, indices=indices, noise=noise)

    def probability(self, points, target):
        with torch.no_grad():
            found = self.network(torch.tensor(np.stack(points), dtype=torch.float32)).softmax(dim=1)
        return found[:, target].numpy().astype(float)


def area(heights, shares):
    return float(np.trapezoid(heights, (0, *shares)) / shares[-1])


def entropy(case, given, first, network, options):
    """The rise of the entropy of the maps that are given, with all weights as they are and all of them shuffled."""
    shuffled = twin(cascade(case)[-1])

    def score(place, **bins):
        def explain(model, inputs, targets, **_):
            return (given.shuffled if model is shuffled else given.trained)[place][:, None]

        metric = quantus.EfficientMPRT(complexity_func_kwargs=bins, skip_layers=False, **options)
        arguments = {"x_batch": first(case.inputs), "y_batch": case.targets, "channel_first": True}
        with mock.patch.object(PyTorchModel, "get_random_layer_generator", lambda *_, **__: iter([("all", shuffled)])):
            return metric(network, explain_func=explain, **arguments)

    places, root = range(len(given.trained)), int(np.sqrt(given.trained[0, 0].size))
    return {
        "entropy_rise": each(score, places),
        "entropy_rise_rule": each(lambda place: score(place, rule="Square Root"), places),
        "entropy_rise_bins": each(lambda place: score(place, n_bins=root), places),
    }
