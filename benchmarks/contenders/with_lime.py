"""lime, images only; it calls a compiled function of the network in batches of 32."""

import numpy as np
import tensorflow as tf
from lime.lime_image import LimeImageExplainer

from benchmarks.contenders.case import BATCH
from benchmarks.contenders.raw import METHODS as RAW

PACKAGE = "lime"


def lime(case, setting):
    if not case.is_image:
        return None
    model, n = case.network("model"), setting["n"]
    run = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    grey = case.inputs(1).shape[-1] == 1

    def probabilities(images):
        return run(images[..., :1] if grey else images).numpy()

    def explain(x, target, segments):
        found = LimeImageExplainer(feature_selection="none", random_state=0).explain_instance(
            np.repeat(x, 3, axis=-1) if grey else x,
            probabilities,
            labels=[target],
            top_labels=None,
            num_samples=setting["amount"],
            batch_size=BATCH,
            hide_color=case.fill,
            segmentation_fn=lambda _: segments,
        )
        return np.array([value for _, value in sorted(found.local_exp[target])])[segments]

    items = zip(case.inputs(n), case.targets(n).tolist(), case.arrays["segments"][:n], strict=True)
    items = list(items)
    return lambda: np.stack([explain(*item) for item in items])


METHODS = RAW | {"lime": lime}
