"""Mutants of forged maps."""

from mutant_groups.modules import COPIES, FORGED, FORGING, SCAFFOLD
from mutant_groups.mutant import group

GROUPS = {
    "forging": group(
        "test_forging.py", "",
        (FORGING, "keras.ops.softplus(beta * x) / beta", "keras.ops.softplus(beta * x)"),
        (FORGING, "keras.ops.softplus(beta * x) / beta", "keras.ops.softplus(x) / beta"),
        (COPIES, "copy.set_weights(model.get_weights())", "pass"),
        (FORGING, "if not found:", "if False:"),
        (FORGING, "tf.reduce_sum(tf.abs(gradient), axis=-1)", "tf.reduce_sum(gradient, axis=-1)"),
        (FORGING, "(shares - goal) ** 2, axis=axes)", "(shares + goal) ** 2, axis=axes)"),
        (FORGING, " / tf.reduce_sum(goal**2, axis=axes)", ""),
        (FORGING, "(run.logits - logits) ** 2", "(run.logits) ** 2"),
        (FORGING, " / tf.reduce_sum(logits**2, axis=1)", ""),
        (FORGING, "keep * moved", "moved"),
        (FORGED, "point - radius / 10 * np.sign", "point + radius / 10 * np.sign"),
        (FORGED, "np.clip(point, x - radius, x + radius)", "point"),
        (FORGED, "np.minimum(low, x), np.maximum(high, x)", "-np.inf, np.inf"),
        (FORGED, "query.input_range or (x.min", "(x.min"),
        (FORGED, "better = (now < nearest) &", "better ="),
        (FORGED, "nearest[better] = point[better], now[better]", "nearest[better] = point[better], nearest[better]"),
        (FORGED, "limit * np.ptp(x, axis=axes, keepdims=True)", "limit * np.ptp(x)"),
        (FORGED, "(goal / totals)", "goal"),
    ),
    "scaffold": group(
        "test_scaffold.py", "",
        (SCAFFOLD, "np.asarray(decoy(inputs)), np.asarray(honest(inputs))", "np.asarray(honest(inputs)), np.asarray(decoy(inputs))"),
        (SCAFFOLD, "noticed[:, None]", "noticed[:1, None]"),
        (SCAFFOLD, ">= len(ordinary)", ">= len(perturbed)"),
        (SCAFFOLD, "np.concatenate([ordinary, perturbed])", "np.concatenate([perturbed, ordinary])"),
        (SCAFFOLD, "if perturbed.shape[1:] != ordinary.shape[1:] or", "if"),
    ),
}  # fmt: skip
