"""lime's maps, images only: python -m tools.peers.with_lime FOLDER..."""

import sys
from importlib.metadata import version

import numpy as np
from lime.lime_image import LimeImageExplainer
from sklearn.linear_model import Ridge

from tools.peers.case import ALPHA, KERNEL_WIDTH, answer


class Draws(np.random.RandomState):
    """A generator that hands out the samples of the case."""

    def __init__(self, visible):
        super().__init__(0)
        self.visible = visible

    def randint(self, low, high=None, size=None, dtype=int):
        return super().randint(low, high) if size is None else self.visible.ravel().copy()


def maps(case):
    if not case.is_image:
        return {}
    network, grey = case.network("model"), case.inputs.shape[-1] == 1

    def probabilities(images):
        return network.predict(images[..., :1] if grey else images, verbose=0)

    def of(**options):
        coefficients = []
        for x, target in zip(case.inputs, case.targets, strict=True):
            explainer = LimeImageExplainer(KERNEL_WIDTH, feature_selection="none", random_state=Draws(case.visible))
            found = explainer.explain_instance(
                np.repeat(x, 3, axis=-1).astype(float) if grey else x.astype(float),
                probabilities,
                labels=[target],
                top_labels=None,
                num_samples=len(case.visible),
                batch_size=50,
                segmentation_fn=lambda _: case.segments,
                **options,
            )
            values = np.array([value for _, value in sorted(found.local_exp[target])])
            coefficients.append(values[case.segments])
        return np.stack(coefficients)

    return {
        "lime": of(model_regressor=Ridge(ALPHA), hide_color=float(case.fill)),
        "lime_default": of(),
    }


if __name__ == "__main__":
    answer("lime", version("lime"), maps, sys.argv[1:])
