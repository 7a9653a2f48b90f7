"""Mutants of what looks at a unit: kernels, activations, inputs made by ascent."""

from mutant_groups.modules import ENDINGS, PLACES, SYNTHESIS, UNITS
from mutant_groups.mutant import group

COPIED = "return np.array(weights.numpy(), np.float32)"
ENERGY = "tf.reduce_mean(A**2, axis=tuple(range(1, len(A.shape))))"
STEP = "x + self.step * g / (np.sqrt((g**2).sum(axis=space, keepdims=True)) + 1e-8)"

GROUPS = {
    "kernels and activations": group(
        "test_features.py", "kernels",
        (UNITS, COPIED, COPIED + "[::-1]"),
        (UNITS, COPIED, COPIED + ".swapaxes(-1, -2)"),
        (UNITS, "len(weights.shape) < 3", "len(weights.shape) < 2"),
        (UNITS, "Place(query, find_layer(query.recipe, layer).layer).activation()",
         "Place(query, find_layer(query.recipe, None).layer).activation()"),
        (UNITS, "Place(query, find_layer(query.recipe, layer).layer).activation()",
         "Place(query, find_layer(query.recipe, layer).layer).activation()[::-1]"),
        (PLACES, "lambda run: as_float(run.call_of(run.layer).output)",
         "lambda run: as_float(run.call_of(run.layer).input)"),
    ),
    "activation_maximization": group(
        "test_features.py", "activation_maximization",
        (SYNTHESIS, STEP, STEP.replace("x + self", "x - self")),
        (SYNTHESIS, STEP, "x + self.step * g"),
        (SYNTHESIS, STEP, STEP.replace("axis=space", "axis=(0, *space)")),
        (SYNTHESIS, STEP, STEP.replace("np.sqrt(", "(")),
        (SYNTHESIS, "for _ in range(self.iterations):", "for _ in range(self.iterations - 1):"),
        (SYNTHESIS, "np.roll(query.gradient(moved), -shift,", "np.roll(query.gradient(moved), shift,"),
        (SYNTHESIS, "np.roll(query.gradient(moved), -shift,", "np.roll(query.gradient(moved), 0 * shift,"),
        (SYNTHESIS, "x = np.clip(x, *self.range)", "x = np.clip(x, 0, self.range[1])"),
        (SYNTHESIS, "[0, *[self.blur] * (start.ndim - 2), 0])", "[0, *[self.blur] * (start.ndim - 2), 1])"),
        (SYNTHESIS, "moves |= g.any(axis=space)", "moves |= True"),
        (SYNTHESIS, "ending=Channels.at(call.layer)", "ending=Energy.at(call.layer)"),
        (SYNTHESIS, '"input_range", None) or (0.0, 0.0)', '"range", None) or (0.0, 0.0)'),
        (ENDINGS, "as_float(output.op.inputs[0] if output.op.type in RELUS else output)", "as_float(output)"),
    ),
    "class_model": group(
        "test_features.py", "class_model",
        (SYNTHESIS, "- 2 * self.decay * (x - self.centre)", "- self.decay * (x - self.centre)"),
        (SYNTHESIS, "- 2 * self.decay * (x - self.centre)", "+ 2 * self.decay * (x - self.centre)"),
        (SYNTHESIS, "- 2 * self.decay * (x - self.centre)", "- 2 * self.decay * (x - start)"),
        (SYNTHESIS, "- 2 * self.decay * (x - self.centre)", "- 2 * self.decay * x"),
        (SYNTHESIS, "return climb(model, start, targets)", "return climb(model, start, targets[::-1])"),
        (SYNTHESIS, "curve.append(query.scores(x))", "curve.append(query.scores(moved))"),
    ),
    "deep_dream": group(
        "test_features.py", "deep_dream",
        (SYNTHESIS, "in reversed(range(octaves)):", "in range(octaves):"),
        (SYNTHESIS, "side >> self.octave", "side >> (self.octave + 1)"),
        (SYNTHESIS, "step * np.sqrt(images[0].size) / 100", "step * images[0].size / 100"),
        (SYNTHESIS, "step * np.sqrt(images[0].size) / 100", "step * np.sqrt(images.size) / 100"),
        (SYNTHESIS, "images, curve = climb(view, images, None)", "_, curve = climb(view, images, None)"),
        (SYNTHESIS, "g = self._coarse(g)", "g = g"),
        (ENDINGS, ENERGY, ENERGY.replace("A**2", "A")),
        (ENDINGS, ENERGY, ENERGY.replace("mean", "sum")),
    ),
}  # fmt: skip
