"""shap, by the author of KernelSHAP: it explains a function of numbers, here of which segments are shown."""

import numpy as np
import shap

PACKAGE, BACKEND = "shap", "tensorflow"
METHODS: dict = {}  # it knows no images: what it takes is mostly the caller's own loop


def kernel_shap(case):
    """All coalitions of the parts of an input, without a penalty."""
    network, count = case.network("model"), int(case.parts.max()) + 1

    def one(x, target, labels):
        def answer(rows):
            shown = np.where(rows[:, labels][..., None] == 1, x, np.float32(case.fill))
            return np.asarray(network(shown))[:, target].astype(np.float64)

        explainer = shap.KernelExplainer(answer, np.zeros((1, count)))
        return explainer.shap_values(np.ones(count), nsamples=2**count, l1_reg=False, silent=True)[labels]

    items = list(zip(case.inputs, case.targets.tolist(), case.parts, strict=True))
    return lambda: np.stack([one(*item) for item in items])


def answers(case):
    return {"kernel_shap": kernel_shap(case)()}
