"""lime, images only; it calls a compiled function of the network in batches of 32."""

import numpy as np
import tensorflow as tf
from lime.lime_image import LimeImageExplainer
from sklearn.linear_model import Ridge

from tools.peers.case import ALPHA, BATCH, KERNEL_WIDTH

PACKAGE = "lime"


class Draws(np.random.RandomState):
    """A generator that hands out the samples of the case."""

    def __init__(self, visible):
        super().__init__(0)
        self.visible = visible

    def randint(self, low, high=None, size=None, dtype=int):
        return super().randint(low, high) if size is None else self.visible.ravel().copy()


def lime(case, samples, draws=0, **options):
    """Segments are handed in; `draws` is a seed or a generator."""
    if not case.is_image:
        return None
    model, grey = case.network("model"), case.inputs.shape[-1] == 1
    network = tf.function(lambda x: model(x, training=False), reduce_retracing=True)

    def probabilities(images):
        return network(images[..., :1] if grey else images).numpy()

    def explain(x, target, segments):
        explainer = LimeImageExplainer(KERNEL_WIDTH, feature_selection="none", random_state=draws)
        found = explainer.explain_instance(
            np.repeat(x, 3, axis=-1) if grey else x,
            probabilities,
            labels=[target],
            top_labels=None,
            num_samples=samples,
            batch_size=BATCH,
            segmentation_fn=lambda _: segments,
            **options,
        )
        return np.array([value for _, value in sorted(found.local_exp[target])])[segments]

    items = list(zip(case.inputs, case.targets.tolist(), case.segments, strict=True))
    return lambda: np.stack([explain(*item) for item in items])


METHODS = {"lime": lambda case, samples: lime(case, samples, hide_color=case.fill)}


def answers(case):
    if not case.is_image:
        return {}
    samples, draws = len(case.visible), Draws(case.visible)
    return {
        "lime": lime(case, samples, draws, model_regressor=Ridge(ALPHA), hide_color=case.fill)(),
        "lime_default": lime(case, samples, draws)(),
    }
