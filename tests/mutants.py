"""Do the tests notice? Break each method in turn, one sign, factor, axis or layer at a time, and run its tests.

`python tests/mutants.py [group ...]` prints for every mutant the test that caught it. The exit code is 1 if one
survives that is not listed as equivalent (with the reason why nothing can tell it from the original), or if the tests
fail without any mutant. A mutant replaces a snippet, which must occur once, in the source of a module; the code of the
functions that differ then stands in for that of the living ones, so that every reference to them is mutated.
"""

import contextlib
import functools
import importlib
import inspect
import io
import subprocess
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROBLEM = "PROBLEM "
GRADIENTS, CAM, PERTURBATION, FEATURES, TRACING, ANATOMY, VIEWS, CORE, METRICS, REGISTRY, CHECKS = (
    f"xai.{name}"
    for name in (
        "gradients",
        "cam",
        "perturbation",
        "features",
        "tracing",
        "anatomy",
        "views",
        "core",
        "metrics",
        "registry",
        "checks",
    )
)
LOCAL, SURROGATE, MASKING = "xai.local", "xai.surrogate", "xai.masking"
FAITH, SUMMARY, SCORING, EVALUATION = "xai.faithfulness", "xai.summary", "xai.scoring", "xai.evaluation"
PHANTOMS, FACES, TISSUE = "xai.phantoms", "xai.phantom_faces", "xai.phantom_tissue"


@dataclass(frozen=True)
class Mutant:
    """One change of one module; `equivalent` says why no test can see it, if none can."""

    module: str
    old: str
    new: str
    equivalent: str = ""


def group(tests, keywords, *mutants):
    """The tests of one method (file, -k expression) and its mutants."""
    return tests, keywords, [Mutant(*mutant) for mutant in mutants]


QUERY_GRADIENT = "return self.batched(self._gradient_program(), inputs, targets, passes=BOTH)"
GRADIENT_PROGRAM = "return run.differentiate(run.score(classes, self.score), run.inputs)"
PICK = 'scores = self.logits if score == "logit" else self.probabilities'
NOISY_POINT = "np.multiply(draw(sample), sigma[item], out=out)"
NOISY_SIGMA = "noise * (query.inputs.max(axis=space) - query.inputs.min(axis=space))"
NOT_YET = "~((gap[items] <= tolerance) & (change[items] <= tolerance))"
SUM_OF_MAPS = 'np.einsum("n...k,kn->n...", A, weights[:, c]), inner="input"'
RAW = 'raw = np.einsum("n...k,nk->n...", A, alpha)'
GRAD_CUT = "A, alpha)  # eq. (2)\n        return np.maximum(raw, 0) if relu else raw"
GRAD_END = "\n\n    return _finished(query.maps(query.layer(layer), weighted"
PLUS = 'return np.maximum(np.einsum("n...k,nk->n...", A, weights), 0)'
LAYER = "return np.maximum((np.maximum(gradient, 0) * A).sum(axis=-1), 0)"
HIRES = "raw = (gradient * A).sum(axis=-1)\n        return np.maximum(raw, 0) if relu else raw"
GUIDED_PRODUCT = "score=score, batch_size=batch_size) * coarse[..., None]"
RISE_MAP = "((change - np.multiply.outer(total, mean / masks)) / (masks * p))"
COPIED = "return np.array(weights.numpy(), np.float32)"
SEEN = "see(item, masks(number), out)"
BEHIND = "np.multiply(way[item], mask, out=out)\n        if ground"
PLACES = "places = (np.arange(side + cell - 1) + 0.5) * cells / ((cells + (cell > 1)) * cell) - 0.5"
DRAWS = "np.random.default_rng(seed).integers(0, 2, (samples, own.max() + 1), np.int8)"
FUSED = "_unit_range((F + V) * (V > skimage.filters.threshold_otsu(V)))"
ENERGY = "tf.reduce_mean(A**2, axis=tuple(range(1, len(A.shape))))"
PROXIMITY = "return np.sqrt(np.exp(-((distance / kernel_width) ** 2)))"
STEP = "x + self.step * g / (np.sqrt((g**2).sum(axis=space, keepdims=True)) + 1e-8)"
GUIDED = "passed, outputs = tf.nn.relu(gradient), "
ACTIVE = 'active = (outputs > 0) & (outputs < 6) if operation.type == "Relu6" else outputs > 0'
DECONVNET = 'whatever the input was."""\n    return tf.nn.relu(gradient)'

GROUPS = {
    "saliency": group(
        "test_gradients.py", "test_saliency",
        (GRADIENTS, "np.require(query.gradient()", "np.require(-query.gradient()"),
        (GRADIENTS, "np.require(query.gradient()", "np.require(abs(query.gradient())"),
        (GRADIENTS, "np.require(query.gradient()", "np.require(query.gradient() / 2"),
        (CORE, QUERY_GRADIENT, "return self.batched(self._gradient_program(), inputs, targets[::-1])"),
        (CORE, QUERY_GRADIENT, "return self.batched(self._gradient_program(), inputs, targets)[::-1]"),
        (CORE, QUERY_GRADIENT, "return self.batched(self._gradient_program(), inputs, 0 * targets)"),
        (CORE, GRADIENT_PROGRAM, 'return run.differentiate(run.score(classes, "logit"), run.inputs)'),
        (CORE, GRADIENT_PROGRAM, 'return run.differentiate(run.score(classes, "probability"), run.inputs)'),
        (CORE, GRADIENT_PROGRAM, "return run.differentiate(tf.reduce_sum(run.logits, axis=1), run.inputs)"),
        (CORE, GRADIENT_PROGRAM,
         "return run.differentiate(tf.reduce_mean(run.score(classes, self.score)), run.inputs)"),
        (CORE, "whole[part] = value", "whole[part] = value[::-1]"),
        (CORE, 'self.all_scores("logit").argmax(axis=-1)', 'self.all_scores("logit").argmin(axis=-1)'),
        (TRACING, "outputs = recipe.base(inputs, training=False)", "outputs = recipe.base(inputs, training=True)"),
        (TRACING, "tf.concat([-scores, scores], axis=-1)", "tf.concat([scores, -scores], axis=-1)"),
        (TRACING, PICK, "scores = self.logits"),
        (TRACING, "tf.stack([rows, targets]", "tf.stack([0 * rows, targets]"),
        (TRACING, "(gradient,) = tf.gradients(score, tensor)", "(gradient,) = tf.gradients(2 * score, tensor)"),
        (TRACING, 'scores = outputs if kind == "linear" else tf.reshape(tensor.op.inputs[0], tf.shape(outputs))',
         "scores = outputs"),
    ),
    "gradient_x_input": group(
        "test_gradients.py", "test_gradient_x_input",
        (GRADIENTS, "(query.inputs * query.gradient())", "(query.inputs + query.gradient())"),
        (GRADIENTS, "(query.inputs * query.gradient())", "(-query.inputs * query.gradient())"),
        (GRADIENTS, "(query.inputs * query.gradient())", "(abs(query.inputs) * query.gradient())"),
        (GRADIENTS, "(query.inputs * query.gradient())", "(query.inputs[::-1] * query.gradient())"),
        (GRADIENTS, "(query.inputs * query.gradient())", "(query.inputs[..., ::-1] * query.gradient())"),
        (GRADIENTS, "(query.inputs * query.gradient())", "(query.inputs**2 * query.gradient())"),
        (GRADIENTS, "(query.inputs * query.gradient())", "((query.inputs - query.inputs.mean()) * query.gradient())"),
        (GRADIENTS, "(query.inputs * query.gradient())", "(query.inputs * query.gradient(0 * query.inputs))"),
    ),
    "smooth_grad": group(
        "test_gradients.py", "test_smooth_grad",
        (GRADIENTS, "return (total / samples)", "return total"),
        (GRADIENTS, "total[item] += gradient\n", "total[item] = gradient\n"),
        (GRADIENTS, "total[item] += gradient\n", "total[item] += abs(gradient)\n"),
        (GRADIENTS, "total[item] += gradient\n", "total[item - 1] += gradient\n"),
        (GRADIENTS, NOISY_SIGMA, "noise * np.ones(len(query.inputs))"),
        (GRADIENTS, NOISY_SIGMA, "noise * query.inputs.max(axis=space)"),
        (GRADIENTS, NOISY_SIGMA, "noise * query.inputs.std(axis=space)"),
        (GRADIENTS, NOISY_SIGMA, "noise * np.full(len(query.inputs), np.ptp(query.inputs))"),
        (GRADIENTS, NOISY_POINT, "np.multiply(draw(sample), sigma[item] ** 2, out=out)"),
        (GRADIENTS, NOISY_POINT, "np.multiply(abs(draw(sample)), sigma[item], out=out)"),
        (GRADIENTS, NOISY_POINT, "np.multiply(draw(0), sigma[item], out=out)"),
        (GRADIENTS, NOISY_POINT, "np.multiply(draw(sample + item), sigma[item], out=out)"),
        (GRADIENTS, "out += query.inputs[item]", "out += 0"),
        (GRADIENTS, "out += query.inputs[item]", "out += query.inputs[0]"),
        (GRADIENTS, NOISY_POINT, "np.multiply(draw(sample)[..., :1], sigma[item], out=out)"),
        (GRADIENTS, "np.random.default_rng([seed, sample])", "np.random.default_rng(sample)"),
        (GRADIENTS, "np.random.default_rng([seed, sample])", "np.random.default_rng()"),
        (GRADIENTS, "generator.standard_normal(query.inputs.shape[1:], np.float32)",
         "generator.uniform(-3**0.5, 3**0.5, query.inputs.shape[1:])"),
        (CORE, "[item for item, _ in part])", "[0 for _ in part])"),
    ),
    "var_grad": group(
        "test_gradients.py", "var_grad",
        (GRADIENTS, "return (squares / samples)", "return squares"),
        (GRADIENTS, "return (squares / samples)", "return (squares / max(samples - 1, 1))"),
        (GRADIENTS, "return (squares / samples)", "return np.sqrt(squares / samples)"),
        (GRADIENTS, "return (squares / samples)", "return (-squares / samples)"),
        (GRADIENTS, "squares[item] += change * (gradient - mean[item])", "squares[item] += change * change"),
        (GRADIENTS, "squares[item] += change * (gradient - mean[item])", "squares[item] += gradient * gradient"),
        (GRADIENTS, "mean[item] += change / (sample + 1)", "mean[item] += change / samples"),
        (GRADIENTS, "change = gradient - mean[item]", "change = gradient - mean[0]"),
        (GRADIENTS, NOISY_SIGMA, "noise * np.ones(len(query.inputs))"),
        (GRADIENTS, NOISY_POINT, "np.multiply(draw(sample + item), sigma[item], out=out)"),
    ),
    "guided_backprop": group(
        "test_gradients.py", "test_guided_backprop",
        (GRADIENTS, 'saliency(with_relu_rule(model, "guided")', 'saliency(with_relu_rule(model, "deconvnet")'),
        (GRADIENTS, 'saliency(with_relu_rule(model, "guided")', "saliency((model)"),
        (TRACING, GUIDED, "passed, outputs = gradient, "),
        (TRACING, GUIDED, "passed, outputs = tf.nn.relu(-gradient), "),
        (TRACING, GUIDED, "passed, outputs = abs(gradient), "),
        (TRACING, ACTIVE, "active = outputs >= 0"),
        (TRACING, ACTIVE, "active = outputs <= 0"),
        (TRACING, ACTIVE, "active = outputs > 0"),
        (TRACING, 'return "sigmoid" if kind == "sigmoid" else "one unit",', 'return "sigmoid",'),
        (ANATOMY, "slopes = sum(", "slopes = 0 * sum("),
        (TRACING, "dict.fromkeys(RELUS, recipe.relu_rule)", "dict.fromkeys(['Relu'], recipe.relu_rule)"),
        (VIEWS, "if found.relus == 0:", "if found.relus < 0:"),
        (VIEWS, "    if found.others:\n", "    if not found.others:\n"),
        (TRACING, "key = (name, recipe.shape, ending, recipe.relu_rule, recipe",
         "key = (name, recipe.shape, ending, recipe"),
    ),
    "deconvnet": group(
        "test_gradients.py", "deconvnet",
        (GRADIENTS, 'saliency(with_relu_rule(model, "deconvnet")', 'saliency(with_relu_rule(model, "guided")'),
        (GRADIENTS, 'saliency(with_relu_rule(model, "deconvnet")', "saliency((model)"),
        (TRACING, DECONVNET, DECONVNET.replace("tf.nn.relu(gradient)", "gradient")),
        (TRACING, DECONVNET, DECONVNET.replace("tf.nn.relu(gradient)", "-tf.nn.relu(gradient)")),
        (TRACING, DECONVNET, DECONVNET.replace("tf.nn.relu(gradient)", "abs(gradient)")),
        (TRACING, DECONVNET, DECONVNET.replace("(gradient)", "(gradient) * operation.outputs[0]")),
        (TRACING, DECONVNET, DECONVNET.replace("(gradient)", "(-gradient)")),
        (TRACING, "dict.fromkeys(RELUS, recipe.relu_rule)", "dict.fromkeys(['Relu6'], recipe.relu_rule)"),
    ),
    "integrated_gradients": group(
        "test_gradients.py", "test_integrated",
        (GRADIENTS, "return way * total", "return -way * total"),
        (GRADIENTS, "return way * total", "return query.inputs * total"),
        (GRADIENTS, "return way * total", "return total"),
        (GRADIENTS, "query.inputs - start, nodes", "query.inputs + start, nodes"),
        (GRADIENTS, "out += start[item]", "out += 0"),
        (GRADIENTS, "out += start[item]", "out += start[0]"),
        (GRADIENTS, "np.multiply(way[item], nodes[node], out=out)", "out[...] = way[item]"),
        (GRADIENTS, "total[item] += weights[node] * gradient", "total[item] += gradient"),
        (GRADIENTS, "total[item] += weights[node] * gradient", "total[item] += weights[0] * gradient"),
        (GRADIENTS, "(np.arange(steps) + 0.5) / steps", "np.arange(steps) / steps"),
        (GRADIENTS, "(np.arange(steps) + 0.5) / steps", "(np.arange(steps) + 1) / steps"),
        (GRADIENTS, "return (nodes + 1) / 2, weights / 2", "return nodes, weights / 2"),
        (GRADIENTS, "return (nodes + 1) / 2, weights / 2", "return (nodes + 1) / 2, np.full(steps, 1 / steps)"),
        (GRADIENTS, "return np.mean(maps, axis=0)", "return np.sum(maps, axis=0)"),
        (GRADIENTS, "return np.mean(maps, axis=0)", "return maps[0]"),
        (GRADIENTS, "np.s_[1::3])", "np.s_[::3])"),
        (GRADIENTS, "finer = maps / 3 + ", "finer = maps + "),
        (GRADIENTS, "maps[items] = finer[items]", "maps = finer"),
        (GRADIENTS, NOT_YET, "gap[items] > tolerance"),
        (GRADIENTS, NOT_YET, "change[items] > tolerance"),
        (GRADIENTS, NOT_YET, "(gap[items] > tolerance) & (change[items] > tolerance)"),
        (GRADIENTS, "sum(axis=space) - target) / np.maximum(np.abs(target), 1e-6)", "sum(axis=space) - target)"),
        (GRADIENTS, "target = query.scores().astype(np.float64) - query.scores(start)",
         "target = query.scores().astype(np.float64)"),
        (GRADIENTS, "while len(items) and 3 * steps <= max_steps:", "while len(items) and 3 * steps < max_steps:"),
        (MASKING, "side / 10, axis=0)", "side / 9, axis=0)"),
        (MASKING, "for axis in axes:", "for axis in axes[:1]:"),
        (MASKING, "side / 10, axis=0)", 'side / 10, axis=0, mode="nearest")'),
        (MASKING, "inputs.mean(axis=space, keepdims=True)", "inputs.mean(axis=(0, *space), keepdims=True)"),
        (MASKING, "inputs.mean(axis=space, keepdims=True)",
         "inputs.mean(axis=(*space, inputs.ndim - 1), keepdims=True)"),
        (CORE, "((item, sample) for sample in samples for item in items)",
         "((item, sample) for sample in list(samples)[1:] for item in items)"),
    ),
    "cam": group(
        "test_cam.py", "test_cam_",
        (CAM, SUM_OF_MAPS, SUM_OF_MAPS.replace("A, weights", "-A, weights")),
        (CAM, SUM_OF_MAPS, SUM_OF_MAPS.replace("weights[:, c]", "weights[:, 0 * c]")),
        (CAM, SUM_OF_MAPS, SUM_OF_MAPS.replace("weights[:, c]", "weights[:, c[::-1]]")),
        (CAM, SUM_OF_MAPS, SUM_OF_MAPS.replace("weights[:, c]", "weights[::-1, c]")),
        (CAM, SUM_OF_MAPS, SUM_OF_MAPS.replace("A, weights", "A[:, ::-1], weights")),
        (CAM, SUM_OF_MAPS, SUM_OF_MAPS.replace("A, weights", "np.maximum(A, 0), weights")),
        (CAM, "weights, bias = weights * [-1, 1], bias * [-1, 1]", "weights, bias = weights * [1, -1], bias * [1, -1]"),
        (CAM, "+ bias[query.targets] -", "- bias[query.targets] -"),
        (CAM, "+ bias[query.targets] -", "-"),
        (CAM, ".mean(axis=1) + bias", ".sum(axis=1) + bias"),
        (CAM, "if (gap > ", "if False and (gap > "),
        (CAM, "and isinstance(layers[-1], _POOLINGS)", "and layers[-1]"),
        (CAM, "set(head.kernel_size) == {1}", "set(head.kernel_size) == {3}"),
        (CAM, "while layers and isinstance(layers[-1], _PASSED):", "while layers and isinstance(layers[-1], _ENDINGS):",
         "a Softmax or Activation between GAP and Dense is then let in by its place, and refused by its score"),
        (CAM, "return _finished(maps, query, upsample)", "return _finished(np.maximum(maps, 0), query, upsample)"),
        (CAM, "return _finished(maps, query, upsample)", "return _finished(maps / maps[0].size, query, upsample)"),
        (MASKING, "np.maximum(0, 1 - np.abs(apart))", "(np.abs(apart) <= 0.5)"),
    ),
    "grad_cam": group(
        "test_cam.py", "test_grad_cam",
        (CAM, "alpha = space_mean(gradient)", "alpha = -space_mean(gradient)"),
        (CAM, "alpha = space_mean(gradient)", "alpha = space_mean(np.maximum(gradient, 0))"),
        (CAM, "alpha = space_mean(gradient)", "alpha = space_mean(gradient) * np.prod(A.shape[1:-1])"),
        (CAM, "alpha = space_mean(gradient)", "alpha = gradient.max(axis=tuple(range(1, gradient.ndim - 1)))"),
        (CAM, "alpha = space_mean(gradient)", "alpha = space_mean(gradient * A)"),
        (CAM, "alpha = space_mean(gradient)", "alpha = space_mean(gradient)[::-1]"),
        (CAM, "alpha = space_mean(gradient)", "alpha = space_mean(gradient).mean(axis=0, keepdims=True)"),
        (CAM, RAW, RAW.replace("A, alpha", "gradient, alpha")),
        (CAM, RAW, 'raw = np.einsum("n...k,n...k->n...", A, gradient)'),
        (CAM, RAW, RAW + " / A.shape[-1]"),
        (CAM, GRAD_CUT, GRAD_CUT.replace("return np.maximum(raw, 0) if relu else raw", "return raw")),
        (CAM, GRAD_CUT, GRAD_CUT.replace(" if relu else raw", "")),
        (CAM, GRAD_CUT, GRAD_CUT.replace("np.maximum(raw, 0)", "np.abs(raw)")),
        (CAM, "if zero.any():", "if zero.all():"),
        (CAM, GRAD_CUT + GRAD_END, GRAD_CUT + GRAD_END + ', "input"'),
        (CORE, "tensor = getattr(run.call_of(run.layer), inner)", 'tensor = getattr(run.call_of(run.layer), "input")'),
        (CORE, "return as_float(tensor), run.differentiate(run.score(classes, self.score), tensor)",
         'return as_float(tensor), run.differentiate(run.score(classes, "logit"), tensor)'),
        (CORE, "return self.batched(chunk, self.inputs, self.targets, passes=BOTH)",
         "return self.batched(chunk, self.inputs, self.targets[::-1], passes=BOTH)"),
        (MASKING, "(np.arange(side) + 0.5) * parts / side - 0.5", "np.linspace(0, parts - 1, side)"),
        (MASKING, "np.clip(places, 0, parts - 1)", "places"),
        (MASKING, "product(rows[0], maps)", "product(rows[0][::-1], maps)"),
        (ANATOMY, "return places[-1]", "return places[-2]"),
        (ANATOMY, "return places[-1]", "return places[0]"),
        (TRACING, "any(n != 1 for n in self.shape[1:-1])", "True"),
        (TRACING, "any(n != 1 for n in self.shape[1:-1])", "all((n or 0) > 1 for n in self.shape[1:-1])"),
        (TRACING, "axes = tuple(range(1, len(array.shape) - 1))", "axes = tuple(range(1, 2))"),
    ),
    "grad_cam_plus_plus": group(
        "test_cam.py", "plus_plus",
        (CAM, "below = 2 + g * A.sum", "below = 1 + g * A.sum"),
        (CAM, "below = 2 + g * A.sum", "below = 2 - g * A.sum"),
        (CAM, "below = 2 + g * A.sum", "below = 2 + g * A.mean"),
        (CAM, "below = 2 + g * A.sum", "below = 2 * g**2 + g**3 * A.sum"),
        (CAM, "(shares * np.maximum(g, 0)).sum(axis=space)", "(shares * g).sum(axis=space)"),
        (CAM, "(shares * np.maximum(g, 0)).sum(axis=space)", "(shares * np.maximum(g, 0)).mean(axis=space)"),
        (CAM, "(shares * np.maximum(g, 0)).sum(axis=space)", "np.maximum(g, 0).sum(axis=space)"),
        (CAM, "(shares * np.maximum(g, 0)).sum(axis=space)", "(shares * np.maximum(g, 0)).sum(axis=space)[::-1]"),
        (CAM, PLUS, PLUS.replace("np.maximum(np.einsum", "np.abs(np.einsum").replace(", 0)", ")")),
        (CAM, PLUS, PLUS.replace("np.maximum(np.einsum", "(np.einsum").replace(", 0)", ")")),
    ),
    "layer_cam": group(
        "test_cam.py", "layer_cam",
        (CAM, LAYER, LAYER.replace("np.maximum(gradient, 0)", "gradient")),
        (CAM, LAYER, LAYER.replace("np.maximum(gradient, 0)", "np.abs(gradient)")),
        (CAM, LAYER, LAYER.replace("np.maximum(gradient, 0)", "space_mean(gradient)[:, None, None]")),
        (CAM, LAYER, LAYER.replace(".sum(axis=-1), 0)", ".mean(axis=-1), 0)")),
        (CAM, LAYER, "return (np.maximum(gradient, 0) * A).sum(axis=-1)"),
        (CAM, LAYER, LAYER.replace("* A)", "* A[::-1])") + "[::-1]"),
    ),
    "hires_cam": group(
        "test_cam.py", "hires_cam",
        (CAM, HIRES, HIRES.replace("gradient * A", "np.maximum(gradient, 0) * A")),
        (CAM, HIRES, HIRES.replace("gradient * A", "-gradient * A")),
        (CAM, HIRES, HIRES.replace("sum(axis=-1)", "mean(axis=-1)")),
        (CAM, HIRES, HIRES.replace(" if relu else raw", "")),
        (CAM, HIRES, HIRES.replace("np.maximum(raw, 0) if relu else raw", "raw")),
        (CAM, HIRES, HIRES.replace("gradient * A", "gradient.mean(axis=(1,), keepdims=True) * A")),
    ),
    "score_cam": group(
        "test_cam.py", "score_cam",
        (CAM, "low, high = flat.min(axis=0), flat.max(axis=0)", "low, high = 0 * flat.min(axis=0), flat.max(axis=0)"),
        (CAM, "low, high = flat.min(axis=0), flat.max(axis=0)", "low, high = flat.min(axis=0), flat.max(axis=0) + 1"),
        (CAM, "np.flatnonzero(high > low)", "np.flatnonzero(high >= low)"),
        (CAM, SEEN, "see(item, 1 - masks(number), out)"),
        (MASKING, BEHIND, BEHIND.replace("way[item]", "way[0]")),
        (MASKING, "out += ground[item]", "out -= ground[item]"),
        (MASKING, "out += ground[item]", "pass"),
        (MASKING, "way, ground = inputs - hidden, ", "way, ground = inputs.copy(), "),
        (MASKING, "out += ground[item]", "out += ground[0]"),
        (CAM, "maps = [_score_cam_of(query, A, item", "maps = [_score_cam_of(query, A, 0"),
        (CAM, 'query.perturbed(range(len(varied)), point, [item], "Score-CAM")',
         'query.perturbed(range(len(varied)), point, [0], "Score-CAM")'),
        (CAM, "w[varied[number]] = value", "w[varied[number]] += 1 - value"),
        (CAM, 'score = "probability" if weights == "probability" else "logit"', 'score = "probability"'),
        (CAM, 'score = "probability" if weights == "probability" else "logit"', 'score = "logit"'),
        (CAM, "        w /= w.sum()\n", ""),
        (CAM, "w[varied] = np.exp(w[varied] - w[varied].max())", "w = np.exp(w - w.max())"),
    ),
    "ablation_cam": group(
        "test_cam.py", "ablation_cam",
        (CAM, "w = whole - np.array(ablated)", "w = np.array(ablated)"),
        (CAM, "w = whole - np.array(ablated)", "w = (whole - np.array(ablated)) / whole"),
        (CAM, "_ablated_scores(query, layer, A, item)\n", "_ablated_scores(query, layer, A, 0)\n"),
        (CAM, "[[maps >= 0], maps != maps[:, None]]", "[[maps >= 0], maps == maps[:, None]]"),
        (CAM, "[[maps >= 0], maps != maps[:, None]]", "[[maps >= 0], maps != maps[:, None] - 1]"),
        (CAM, "raw = A @ w\n", "raw = A @ np.maximum(w, 0)\n"),
        (CAM, "maps.append(np.maximum(raw, 0) if relu else raw)", "maps.append(raw)"),
        (CAM, "maps.append(np.maximum(raw, 0) if relu else raw)", "maps.append(np.maximum(raw, 0))"),
        (CORE, "run(self.inputs[[item]], part,", "run(0 * self.inputs[[item]], part,"),
        (CORE, "np.full(len(part), self.targets[item], np.int32)", "np.full(len(part), self.targets[0], np.int32)"),
        (CORE, "return run.score(classes, self.score)\n\n        run = program(self.recipe, name",
         'return run.score(classes, "logit")\n\n        run = program(self.recipe, name'),
    ),
    "guided_grad_cam": group(
        "test_cam.py", "guided_grad_cam",
        (CAM, GUIDED_PRODUCT, GUIDED_PRODUCT.replace("* coarse", "+ coarse")),
        (CAM, GUIDED_PRODUCT, GUIDED_PRODUCT.replace("* coarse", "* (coarse > 0)")),
        (CAM, GUIDED_PRODUCT, GUIDED_PRODUCT.replace("* coarse", "* coarse[::-1]")),
        (CAM, GUIDED_PRODUCT, GUIDED_PRODUCT.replace("score=score, ", "")),
        (CAM, "return saliency(view, inputs, targets", "return saliency(model, inputs, targets"),
        (CAM, 'view = with_relu_rule(model, "guided")', 'view = with_relu_rule(model, "deconvnet")'),
        (CAM, "coarse = grad_cam(model, inputs, targets, layer=layer,", "coarse = grad_cam(model, inputs, targets,"),
    ),
    "occlusion": group(
        "test_perturbation.py", "occlusion",
        (PERTURBATION, "whole.reshape(-1, *[1] * len(space)) - mean)", "whole.reshape(-1, *[1] * len(space)) + mean)"),
        (PERTURBATION, "mean = total / times", "mean = total"),
        (PERTURBATION, "mean = total / times", "mean = total / times.max()"),
        (PERTURBATION, "total[item][windows[window]] += value", "total[item][windows[window]] = value"),
        (PERTURBATION, "total[item][windows[window]] += value", "total[item - 1][windows[window]] += value"),
        (PERTURBATION, "= covered[item][windows[window]]", "= covered[0][windows[window]]"),
        (PERTURBATION, "= covered[item][windows[window]]", "+= covered[item][windows[window]]"),
        (PERTURBATION, "= covered[item][windows[window]]", "= covered[item][windows[window]][..., :1]"),
        (PERTURBATION, "{*range(0, side - patch + 1, stride), side - patch}", "{*range(0, side - patch + 1, stride)}"),
        (PERTURBATION, "{*range(0, side - patch + 1, stride), side - patch}",
         "{*range(0, side - patch, stride)} | {0}"),
        (PERTURBATION, "slice(start, start + patch)", "slice(start, start + patch + 1)"),
        (PERTURBATION, "max(1, round(side / 7)) for side in space", "max(1, round(side / 8)) for side in space"),
        (PERTURBATION, "max(1, round(side / 4)) for side in patch", "max(1, round(side / 2)) for side in patch"),
        (MASKING, "sum(known) / 2)", "known[0])"),
        (MASKING, "query.inputs.max(axis=axes, keepdims=True)) / 2",
         "query.inputs.max(axis=axes, keepdims=True))"),
        (MASKING, "axes = tuple(range(1, query.inputs.ndim))", "axes = tuple(range(query.inputs.ndim))"),
        (PERTURBATION, '        score = "probability"\n    query', "        pass\n    query"),
        (CORE, "return self._pairs(self.scores, samples",
         "return self._pairs(lambda x, i: self.scores(x, i)[::-1], samples"),
    ),
    "local": group(
        "test_local.py", "images or signals or occlusion or hand or more_than",
        (LOCAL, "(low + left - step.reach) // step.stride + 1", "(low + left - step.reach) // step.stride + 2"),
        (LOCAL, "(high + left - 1) // step.stride + 1", "(high + left - 1) // step.stride"),
        (LOCAL, "sides, left = np.array(step.calls[-1].shape[1:-1]), step.pads[:, 0]",
         "sides, left = np.array(step.calls[-1].shape[1:-1]), step.pads[:, 1]"),
        (LOCAL, "starts.append(np.minimum(low, sides - sizes[-1]))", "starts.append(low)"),
        (LOCAL, "return starts * self.stride,", "return starts * self.stride + 1,"),
        (LOCAL, "windows, starts[at] + step.pads[:, 0])", "windows, starts[at])"),
        (LOCAL, "covered(plain[0], first.pads[:, 0],", "covered(plain[0], first.pads[:, 1],"),
        (LOCAL, "        inner[windows[number]] = before\n", ""),
        (LOCAL, "outside = first.input.dtype.min if _is(first.layer, *MAXIMA) else 0", "outside = 0"),
        (LOCAL, "return np.stack([total // 2, total - total // 2], axis=1)",
         "return np.stack([total - total // 2, total // 2], axis=1)"),
        (LOCAL, "inside + tf.reduce_prod(sides), outside", "inside, outside"),
        (LOCAL, "(within >= 0) & (within < sizes[axis])", "(within < sizes[axis])"),
        (LOCAL, " - tf.reduce_sum(before, axes)) / np.prod(ends)", ") / np.prod(ends)"),
        (LOCAL, "[*values[:count], whole[0]]", "[*values[:count], values[0]]"),
        (LOCAL, "passes.share <= WORTH and ", ""),
        (LOCAL, " and passes.exact()", ""),
    ),
    "rise": group(
        "test_perturbation.py", "rise",
        (PERTURBATION, RISE_MAP, RISE_MAP.replace(" - np.multiply.outer(total, mean / masks)", "")),
        (PERTURBATION, RISE_MAP, RISE_MAP.replace("masks * p", "masks")),
        (PERTURBATION, RISE_MAP, RISE_MAP.replace("masks * p", "masks * (1 - p)")),
        (PERTURBATION, RISE_MAP, "-" + RISE_MAP),
        (PERTURBATION, "if item == 0:\n            sums", "if True:\n            sums"),
        (PERTURBATION, RISE_MAP, RISE_MAP.replace("mean / masks", "mean")),
        (PERTURBATION, "total[item] += value - whole[item]", "total[item] += value"),
        (PERTURBATION, "sums[start][item] += (value - whole[item]) * cells",
         "sums[start][item] += (value - whole[0]) * cells"),
        (PERTURBATION, "sums[start][item] +=", "sums[0][item] +="),
        (PERTURBATION, "np.random.PCG64([self.seed, number])", "np.random.PCG64(number)"),
        (PERTURBATION, "np.random.PCG64([self.seed, number])", "np.random.PCG64([self.seed, number % 50])"),
        (PERTURBATION, "(generator.random(self.grid) < self.p)", "(generator.random(self.grid) > self.p)"),
        (PERTURBATION, "int(generator.integers(places))", "0 * int(generator.integers(places))"),
        (PERTURBATION, PLACES, PLACES.replace("(cells + (cell > 1)) * cell", "cells * cell")),
        (PERTURBATION, PLACES, PLACES.replace("(cells + (cell > 1)) * cell", "(cells + 1) * cell")),
        (PERTURBATION, PLACES, PLACES.replace("+ 0.5) *", ") *")),
        (PERTURBATION, "cell = -(-side // cells)", "cell = side // cells"),
        (PERTURBATION, "[min(7, side) for side in space]", "[min(6, side) for side in space]"),
        (PERTURBATION, "see(item, mask(number), out)", "see(0, mask(number), out)"),
        (MASKING, "way, ground = inputs - hidden, ", "way, ground = inputs.copy(), "),
        (MASKING, "out += ground[item]", "pass"),
        (MASKING, "out += ground[item]", "out += ground[0]"),
        (CORE, "pairs = ((item, sample) for sample in samples for item in items)",
         "pairs = iter([(item, sample) for sample in samples for item in items])"),
    ),
    "sise": group(
        "test_perturbation.py", "sise",
        (PERTURBATION, "total += value * masks(number)[..., 0]", "total += masks(number)[..., 0]"),
        (PERTURBATION, "total += value", "total = value"),
        (PERTURBATION, "(slopes > threshold * slopes.max())", "(slopes < threshold * slopes.max())"),
        (PERTURBATION, "(slopes > threshold * slopes.max())", "(slopes > threshold * slopes.max() * 0 - 9)"),
        (PERTURBATION, "(slopes > threshold * slopes.max())", "(np.abs(slopes) > threshold * np.abs(slopes).max())"),
        (PERTURBATION, "(slopes > threshold * slopes.max())", "(slopes >= threshold * slopes.max())"),
        (PERTURBATION, "varied & (slopes", "(slopes", "a constant map is scaled to 0 and adds nothing"),
        (PERTURBATION, "(slopes > threshold * slopes.max())", "(slopes > 0)"),
        (PERTURBATION, "(slopes > threshold * slopes.max())", "(slopes > threshold)"),
        (PERTURBATION, FUSED, "_unit_range((F + V) * (F > skimage.filters.threshold_otsu(F)))"),
        (PERTURBATION, FUSED, "_unit_range(F * (V > skimage.filters.threshold_otsu(V)))"),
        (PERTURBATION, FUSED, "_unit_range(F + V)"),
        (PERTURBATION, FUSED, "(F + V) * (V > skimage.filters.threshold_otsu(V))"),
        (PERTURBATION, "functools.reduce(_fused, blocks)", "functools.reduce(_fused, blocks[::-1])"),
        (PERTURBATION, "[_unit_range(block) for block in blocks if", "[block for block in blocks if"),
        (PERTURBATION, "(values - values.min()) / np.ptp(values) if", "values / values.max() if"),
        (CORE, "last[call.shape[1:-1]] = call.layer", "last.setdefault(call.shape[1:-1], call.layer)"),
    ),
    "lime": group(
        "test_perturbation.py", "lime or proximity",
        (SURROGATE, "maps[item] = fit.coef_[own]", "maps[item] = -fit.coef_[own]"),
        (SURROGATE, "maps[item] = fit.coef_[own]", "maps[item] = fit.coef_[labels[0]]"),
        (SURROGATE, "Ridge(alpha).fit", "Ridge(alpha, fit_intercept=False).fit"),
        (SURROGATE, "Ridge(alpha).fit", "Ridge(2 * alpha).fit"),
        (SURROGATE, "values, sample_weight=proximity(visible, kernel_width))", "values)"),
        (SURROGATE, "where=on[sample]", "where=~on[sample]"),
        (SURROGATE, "ground = np.ascontiguousarray(hidden[item])", "ground = np.ascontiguousarray(hidden[0])"),
        (SURROGATE, "        visible[0] = 1\n", ""),
        (SURROGATE, DRAWS, DRAWS.replace("default_rng(seed)", "default_rng([seed, item])")),
        (SURROGATE, PROXIMITY, PROXIMITY.replace("np.sqrt(np.exp", "(np.exp")),
        (SURROGATE, PROXIMITY, PROXIMITY.replace("** 2", "** 1")),
        (SURROGATE, "1 - np.sqrt(np.mean(visible, axis=1))", "1 - np.mean(visible, axis=1)"),
        (SURROGATE, "image[own == label].mean(axis=0)", "image[own == label].mean()"),
        (SURROGATE, "if fewest < 5:", "if fewest < 4:"),
        (SURROGATE, "if fewest < 5:", "if fewest < 7:"),
        (SURROGATE, "if fewest < 2:", "if fewest < 1:"),
    ),
    "superpixels": group(
        "test_perturbation.py", "superpixels or pros",
        (SURROGATE, "np.arange(length) * count // length", "np.arange(length) // count"),
        (SURROGATE, "length // 5), length)", "length // 6), length)"),
        (SURROGATE, ">= 0.6 * count:", ">= 0:"),
        (SURROGATE, "100 if count is None else count, 2)", "100, 2)"),
        (SURROGATE, "start_label=0, channel_axis=-1", "start_label=1, channel_axis=-1"),
        (SURROGATE, "for factor in (1, 3, 10, 30, 100):", "for factor in (100,):"),
        (SURROGATE, "10 if image.shape[-1] == 3 else 0.1", "1000"),
        (SURROGATE, "order = np.argsort(-values", "order = np.argsort(values"),
        (SURROGATE, "strict=True) if value > 0]", "strict=True) if value >= 0]"),
        (SURROGATE, "values[last], strict=True) if value < 0]", "values[last], strict=True)]"),
        (SURROGATE, "last = order[::-1][:count]", "last = order[:count]"),
    ),
    "strangers": group(
        "test_strangers.py", "test",
        (ANATOMY, "            and not call.inner\n", ""),
        (ANATOMY, "            and len(call.shape) == len(self.inputs.shape)\n", ""),
        (ANATOMY, "or call.output.name not in ends)", ")"),
        (ANATOMY, "sum(other.layer is call.layer for other in self.calls) == 1", "True"),
        (ANATOMY, "    if stateful:\n", "    if False:\n"),
        (ANATOMY, 'inner.append("ReLU inside a loop")', "pass"),
        (TRACING, 'not type(layer).__module__.startswith("keras.")', "False"),
        (TRACING, "return tuple(map(_content, value))", "return None"),
        (TRACING, "if isinstance(value, (bool, int, float, str)):", "if False:"),
        (TRACING, "hashlib.sha256(array.tobytes()).digest()", "0"),
        (TRACING, "each._losses[:] = losses[id(each)]", "pass"),
        (TRACING, 'if kind == "softmax" and tensor.shape[-1] != outputs.shape[-1]:', "if False:"),
        (LOCAL, 'call.layer.data_format == "channels_last"', "True"),
        (CAM, "ranks != [query.inputs.ndim]", "pooling is None"),
    ),
    "kernels and activations": group(
        "test_features.py", "kernels",
        (FEATURES, COPIED, COPIED + "[::-1]"),
        (FEATURES, COPIED, COPIED + ".swapaxes(-1, -2)"),
        (FEATURES, "len(weights.shape) < 3", "len(weights.shape) < 2"),
        (FEATURES, "query.activation(find_layer(query.recipe, layer).layer)",
         "query.activation(find_layer(query.recipe, None).layer)"),
        (FEATURES, "query.activation(find_layer(query.recipe, layer).layer)",
         "query.activation(find_layer(query.recipe, layer).layer)[::-1]"),
        (CORE, "lambda run: as_float(run.call_of(run.layer).output)",
         "lambda run: as_float(run.call_of(run.layer).input)"),
    ),
    "activation_maximization": group(
        "test_features.py", "activation_maximization",
        (FEATURES, STEP, STEP.replace("x + self", "x - self")),
        (FEATURES, STEP, "x + self.step * g"),
        (FEATURES, STEP, STEP.replace("axis=space", "axis=(0, *space)")),
        (FEATURES, STEP, STEP.replace("np.sqrt(", "(")),
        (FEATURES, "for _ in range(self.iterations):", "for _ in range(self.iterations - 1):"),
        (FEATURES, "np.roll(query.gradient(moved), -shift,", "np.roll(query.gradient(moved), shift,"),
        (FEATURES, "np.roll(query.gradient(moved), -shift,", "np.roll(query.gradient(moved), 0 * shift,"),
        (FEATURES, "x = np.clip(x, *self.range)", "x = np.clip(x, 0, self.range[1])"),
        (FEATURES, "[0, *[self.blur] * (start.ndim - 2), 0])", "[0, *[self.blur] * (start.ndim - 2), 1])"),
        (FEATURES, "moves |= g.any(axis=space)", "moves |= True"),
        (FEATURES, "unit=(call.layer, None)", "unit=(call.layer, 0)"),
        (FEATURES, '"input_range", None) or (0.0, 0.0)', '"range", None) or (0.0, 0.0)'),
        (TRACING, "as_float(output.op.inputs[0] if output.op.type in RELUS else output)", "as_float(output)"),
    ),
    "class_model": group(
        "test_features.py", "class_model",
        (FEATURES, "- 2 * self.decay * (x - self.centre)", "- self.decay * (x - self.centre)"),
        (FEATURES, "- 2 * self.decay * (x - self.centre)", "+ 2 * self.decay * (x - self.centre)"),
        (FEATURES, "- 2 * self.decay * (x - self.centre)", "- 2 * self.decay * (x - start)"),
        (FEATURES, "- 2 * self.decay * (x - self.centre)", "- 2 * self.decay * x"),
        (FEATURES, "return climb(model, start, targets)", "return climb(model, start, targets[::-1])"),
        (FEATURES, "curve.append(query.scores(x))", "curve.append(query.scores(moved))"),
    ),
    "deep_dream": group(
        "test_features.py", "deep_dream",
        (FEATURES, "in reversed(range(octaves)):", "in range(octaves):"),
        (FEATURES, "side >> self.octave", "side >> (self.octave + 1)"),
        (FEATURES, "step * np.sqrt(images[0].size) / 100", "step * images[0].size / 100"),
        (FEATURES, "step * np.sqrt(images[0].size) / 100", "step * np.sqrt(images.size) / 100"),
        (FEATURES, "images, curve = climb(view, images, None)", "_, curve = climb(view, images, None)"),
        (FEATURES, "g = self._coarse(g)", "g = g"),
        (TRACING, ENERGY, ENERGY.replace("A**2", "A")),
        (TRACING, ENERGY, ENERGY.replace("mean", "sum")),
    ),
    "views": group(
        "test_views.py", "not thread or other_threads",
        (TRACING, "while tensor.op.type in _REARRANGEMENTS:", 'while tensor.op.type == "Identity":'),
        (TRACING, "if kind == \"linear\" else tf.reshape(tensor.op.inputs[0], tf.shape(outputs))", "if True else 0"),
        (TRACING, '[..., channel : channel + 1])', "[..., channel - 1 : channel + 1][..., :1])"),
        (TRACING, "key = value if type(value) in _PLAIN", "key = None if type(value) in _PLAIN"),
        (TRACING, "passed = _BOOKKEEPING if", "passed = () if"),
        (TRACING, "return weakref.ref(value)", "return id(value)"),
        (TRACING, "found.append((name, key))", "found.append((name, 0))"),
        (TRACING, "settings=_settings(self.base)", "settings=(1,)"),
        (TRACING, "if threading.get_ident() != tracer:", "if False:"),
        (VIEWS, 'name="view", dtype=input_dtype(recipe.base))\n        self.base',
         'name="view", dtype="float32")\n        self.base'),
        (CHECKS, "stacklevel=level + 1", "stacklevel=4"),
        (TRACING, 'each.__dict__.pop("call", None)', "pass"),
        (TRACING, "        if key not in known:\n", "        if True:\n"),
        (TRACING, "base, seen = weakref.ref(recipe.base), layer and weakref.ref(layer)",
         "base, seen = (lambda: recipe.base), layer and weakref.ref(layer)",
         "TensorFlow lets go of the Python function once it is traced, and of the model that it holds"),
        (TRACING, "tf.sigmoid(self.logits) if self.kind in", "tf.sigmoid(self.logits) if self.kind not in"),
        (ANATOMY, "if call.layer is not recipe.base)", "if True)"),
        (VIEWS, 'if len(getattr(model, "outputs", None) or [0]) > 1:', "if False:"),
        (CORE, "whole[part] = value", "whole[part] = value[::-1]"),
    ),
    "metrics": group(
        "test_metrics.py", "",
        (METRICS, "(relevance * mask).sum(axis=1) / total", "(relevance * ~mask).sum(axis=1) / total"),
        (METRICS, "(relevance * mask).sum(axis=1) / total", "(relevance * mask).sum(axis=1) / mask.sum(axis=1)"),
        (METRICS, "np.where(total > 0,", "np.where(True,", "0 / 0 is NaN without being asked"),
        (METRICS, "hits = (top & mask).sum(axis=1) / top.sum(axis=1)", "hits = (top & mask).any(axis=1)"),
        (METRICS, "relevance.max(axis=1, keepdims=True)", "relevance.min(axis=1, keepdims=True)"),
        (METRICS, "relevance.max(axis=1, keepdims=True)", "relevance.max()"),
        (METRICS, "np.where(relevance.any(axis=1), hits, np.nan)", "hits"),
        (METRICS, "np.argsort(-flat", "np.argsort(flat"),
        (METRICS, 'kind="stable")[:, :count]', 'kind="stable")[:, : count + 1]'),
        (METRICS, 'kind="stable")[:, :count]', 'kind="stable")[:1, :count]'),
        (METRICS, "math.ceil(round(fraction * flat.shape[1], 9))", "math.floor(fraction * flat.shape[1])"),
        (METRICS, "math.ceil(round(fraction * flat.shape[1], 9))", "math.ceil(fraction * flat.shape[1])"),
        (METRICS, "inputs.dtype.type(fill))", "inputs.dtype.type(0))"),
        (METRICS, "np.maximum(0, full - kept) / full)", "np.maximum(0, full - kept))"),
        (METRICS, "np.maximum(0, full - kept) / full)", "(full - kept) / full)"),
        (METRICS, "np.maximum(0, full - kept) / full)", "np.maximum(0, kept - full) / full)"),
        (METRICS, "np.mean(full < kept)", "np.mean(full <= kept)"),
        (METRICS, "np.mean(full < kept)", "np.mean(full > kept)"),
        (METRICS, "return np.abs(total - difference)", "return np.abs(total + difference)"),
        (METRICS, "return np.abs(total - difference)", "return (total - difference)"),
        (METRICS, "/ np.maximum(np.abs(difference), 1e-6)", ""),
    ),
    "maps compared": group(
        "test_metrics.py", "rank or precision or similarity or soft",
        (METRICS, "last = np.sort(R)[-K]", "last = np.sort(R)[-K + 1]"),
        (METRICS, "(tied & inside).sum() * (K - above.sum()) / tied.sum()", "(tied & inside).sum()"),
        (METRICS, "average_precision_score(inside, R)", "average_precision_score(~inside, R)"),
        (METRICS, "scipy.stats.spearmanr(a.ravel(), b.ravel())", "scipy.stats.spearmanr(a.ravel(), -b.ravel())"),
        (METRICS, "np.divide(maps, largest,", "np.divide(maps, 1,"),
        (METRICS, "largest = np.abs(maps)", "largest = maps"),
        (METRICS, "data_range=2.0", "data_range=1.0"),
        (METRICS, "m * inputs + (1 - m) * checks", "m * inputs + m * checks"),
    ),
    "faithfulness": group(
        "test_faithfulness.py", "",
        (FAITH, "_curve(query, query.inputs, baselines(fill", "_curve(query, 0 * query.inputs, baselines(fill"),
        (FAITH, ": counts[step]]", ": counts[step] + 1]"),
        (FAITH, "order[item, counts[max(step - 1, 0)]", "order[item, 1 + counts[max(step - 1, 0)]"),
        (FAITH, "order[item, counts[max", "order[0, counts[max"),
        (FAITH, "= after[item, changed]", "= after[0, changed]"),
        (FAITH, "np.array(before, order", "np.array(0 * before, order"),
        (FAITH, "np.argsort(-relevance", "np.argsort(relevance"),
        (FAITH, "reshape(len(relevance), -1), axis=1", "reshape(len(relevance), -1)[:, ::-1], axis=1"),
        (FAITH, "dx=1 / (curves.shape[1] - 1)", "dx=1 / curves.shape[1]"),
        (FAITH, "generator.uniform(-1, 1, x.shape[1:])", "generator.uniform(0, 1, x.shape[1:])"),
        (FAITH, "worst = np.maximum(worst,", "worst = np.minimum(worst,"),
        (FAITH, "method(model, points, query.targets, batch_size", "method(model, points, None, batch_size"),
        (FAITH, "= x[item] - perturbation", "= x[item] + perturbation"),
        (FAITH, "moved[item, sample] = whole[item] - value", "moved[item, sample] = value"),
        (FAITH, "(foretold * moved).sum(axis=1), power", "(foretold * moved).sum(axis=1), total"),
        (FAITH, "(b[:, None] * foretold - moved) ** 2", "(foretold - moved) ** 2"),
        (FAITH, "for layer in reversed(layers):", "for layer in layers:"),
        (FAITH, "for layer in reversed(layers):", "for layer in reversed(layers[1:]):"),
        (FAITH, "copy.set_weights(model.get_weights())", "copy = model"),
    ),
    "speed": group(
        "test_speed.py", "passes or graphs or aligned or other_floats or buffer or enlarged or products",
        (MASKING, "rows = np.s_[..., start : start + step, :]", "rows = np.s_[..., start : start + step - 1, :]"),
        (TRACING, "return kept(recipe, (name, layer and id(layer)), make)", "return make()"),
        (CORE, "                point(item, sample, out)", "                point(item, sample, points[0])"),
        (TRACING, "or not array.flags.carray", ""),
        (TRACING, "return tf.experimental.dlpack.from_dlpack(array.__dlpack__())", "return tf.constant(array)"),
        (MASKING, "chunk(number - number % CHUNK)", "chunk(0)"),
    ),
    "evaluation": group(
        "test_evaluation.py", "hand or linear or item_by_item or completeness or costs or finished or interrupted",
        (SCORING, "metrics.soft_mask(self.inputs, self.relevance, self.settings.fill)",
         "metrics.soft_mask(self.inputs, self.relevance, 0.0)"),
        (SCORING, "return alike.mean(axis=1), ranked.mean(axis=1)", "return alike[:, -1], ranked[:, -1]"),
        (SCORING, 'start = baselines(self.options.get("baseline", "zero"), query.inputs)', "start = 0 * query.inputs"),
        (SCORING, '{"samples": 10 * self.settings.samples,', '{"samples": self.settings.samples,'),
        (SCORING, "seed=self.settings.seed, **arguments)", "seed=0, **arguments)"),
        (CORE, "PASSES[name] += count", "PASSES[name] += 1"),
        (CORE, "self._gradient_program(), inputs, targets, passes=BOTH)", "self._gradient_program(), inputs, targets)"),
        (EVALUATION, "PASSES[name] - before[name]", "PASSES[name]"),
        (EVALUATION, "{shard.options!r} {shard.items[0]}", "{shard.items[0]}"),
        (EVALUATION, "        self.question.update(f", "        _ = (f"),
        (EVALUATION, "os.replace(partial, path)", "pass"),
        (SUMMARY, "rank - rank.mean(axis=1, keepdims=True)", "rank"),
        (SUMMARY, "np.where(there, values, 0) / (counts @ there)", "np.where(there, values, 0)",
         "without missing values every draw divides all means by the same number"),
    ),
    "registry": group(
        "test_agreement.py", "relevance",
        (REGISTRY, "return np.abs(array).sum(axis=-1) if", "return np.abs(array.sum(axis=-1)) if"),
        (REGISTRY, "return np.abs(array).sum(axis=-1) if", "return np.abs(array).max(axis=-1) if"),
        (REGISTRY, "return np.maximum(array.sum(axis=-1) if", "return np.maximum(array.max(axis=-1) if"),
        (REGISTRY, "return np.maximum(array.sum(axis=-1) if", "return np.abs(array.sum(axis=-1) if"),
        (REGISTRY, "return np.maximum(array.sum(axis=-1) if", "return np.minimum(array.sum(axis=-1) if"),
    ),
    "confounded phantoms": group(
        "test_phantoms.py", "artefact or confounded_item",
        (PHANTOMS, "return label if agrees else (label + other) % classes", "return label if agrees else other"),
        (PHANTOMS, "random.uniform() < agreement", "random.uniform() > agreement"),
        (PHANTOMS, "random.integers(1, classes)", "random.integers(0, classes)"),
        (PHANTOMS, "random.integers(1, classes)", "random.integers(1, classes - 1)"),
        (FACES, "return stamped[..., None], plate < 0.5", "return stamped[..., None], plate < -0.5"),
        (FACES, "abs(_COLUMNS - 43) - 3.5", "abs(_COLUMNS - 33) - 3.5"),
        (FACES, '"afgedc", "abc")[code]', '"afgedc", "abc")[0]'),
        (TISSUE, "cover[..., 0] > 0", "cover[..., 0] > 0.5"),
        (TISSUE, '149 - 22 if nuisance["patch_y"] < 74.5', '149 - 22 if nuisance["patch_y"] > 74.5'),
        (TISSUE, "np.array([code / len(CLASS_NAMES), 1.0, 0.9])", "np.array([0.0, 1.0, 0.9])"),
    ),
}  # fmt: skip


# --- mutating ---------------------------------------------------------------------------------------------------


def functions_in(code, prefix=()):
    """{qualified name: code object} of the functions and methods that a module's code defines."""
    found = {}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and constant.co_name != "<lambda>":
            name = (*prefix, constant.co_name)
            is_class = not constant.co_flags & inspect.CO_OPTIMIZED
            found |= functions_in(constant, name) if is_class else {name: constant}
    return found


def living_function(module, name):
    """The function object behind a qualified name: unwrapped, or the getter of a property, kept or not."""
    found = module
    for part in name:
        found = vars(found)[part]
    found = found.func if isinstance(found, functools.cached_property) else found
    return inspect.unwrap(found.fget if isinstance(found, property) else found)


@functools.cache
def source_of(path):
    """The text of a module as it was first read: an edit while the mutants run must not mix with what was imported."""
    return Path(path).read_text(encoding="utf-8")


def forget():
    """Forget all graphs and all answers that functions keep."""
    from xai import tracing

    tracing._PROGRAMS.clear()
    for module in [module for name, module in sys.modules.items() if name.startswith("xai.")]:
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


@contextlib.contextmanager
def applied(mutant):
    """Let the changed functions run in place of the living ones, and forget what was made, before and after."""
    module = importlib.import_module(mutant.module)
    source = source_of(module.__file__)
    if source.count(mutant.old) != 1:
        raise LookupError(f"{mutant.module}: {mutant.old!r} occurs {source.count(mutant.old)} times; must be once.")
    mutated = source.replace(mutant.old, mutant.new)
    before, after = (functions_in(compile(text, module.__file__, "exec")) for text in (source, mutated))
    changed = [name for name in before if before[name] != after[name]]
    if not changed:
        raise LookupError(f"{mutant.module}: {mutant.old!r} changes no function.")
    functions = [living_function(module, name) for name in changed]
    forget()
    try:
        for name, function in zip(changed, functions, strict=True):
            function.__code__ = after[name]
        yield
    finally:
        for name, function in zip(changed, functions, strict=True):
            function.__code__ = before[name]
        forget()


# --- testing ----------------------------------------------------------------------------------------------------


class FirstFailure:
    """A pytest plugin: leaves out tests that are expected to fail, remembers the first that does.

    `seconds` of each test, filled by the first run, lets quick tests go first in the next.
    """

    def __init__(self, seconds):
        self.test, self.seconds, self.known, self.count = None, seconds, dict(seconds), 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if not item.get_closest_marker("xfail")]
        items.sort(key=lambda item: self.known.get(item.nodeid, 0))
        self.count = len(items)

    def pytest_runtest_logreport(self, report):
        if report.failed and self.test is None:
            self.test = report.nodeid.split("::")[-1]
        if report.nodeid not in self.known:
            self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0) + report.duration


def first_failure(tests, keywords, seconds):
    """The name of the first failing test, or None; raises if pytest found no test."""
    watcher, output = FirstFailure(seconds), io.StringIO()
    options = ["-o", "addopts=", "-p", "no:cacheprovider", "-x", "-q", "--tb=no", "-k", keywords]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = pytest.main([*options, f"--rootdir={ROOT}", str(ROOT / "tests" / tests)], plugins=[watcher])
    if code not in (0, 1) or watcher.count == 0:
        raise RuntimeError(f"pytest ended with {code}:\n{output.getvalue()[-2000:]}")
    return watcher.test


def check(name):
    """Run one group; return its problems, one line each."""
    tests, keywords, mutants = GROUPS[name]
    seconds = {}
    failed = first_failure(tests, keywords, seconds)
    if failed:
        return [f"{name}: {failed} fails without any mutant"]
    problems = []
    for mutant in mutants:
        try:
            with applied(mutant):
                caught = first_failure(tests, keywords, seconds)
        except LookupError as stale:
            problems.append(f"{name}: {stale}")
            continue
        verdict = f"caught by {caught}" if caught else "SURVIVED"
        if mutant.equivalent:
            verdict = f"equivalent: {mutant.equivalent}" if not caught else f"LISTED AS EQUIVALENT, but {verdict}"
        old, new = (" ".join(text.split())[:70] for text in (mutant.old, mutant.new))
        print(f"{name}: {old}  ->  {new}\n    {verdict}", flush=True)
        if bool(caught) == bool(mutant.equivalent):
            problems.append(f"{name}: {old}  ->  {new}: {verdict}")
    return problems


def listen(command):
    """Run a command, print its lines as they come, and return those that report a problem."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        problems = []
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith(PROBLEM):
                problems.append(line.strip())
    if process.returncode and not problems:
        problems = [f"{PROBLEM}{' '.join(command[3:])}: the process ended with exit code {process.returncode}"]
    return problems


def in_two_processes(names):
    """Share the groups out by their number of mutants; return the problems of both processes."""
    shares = [[], []]
    for name in sorted(names, key=lambda name: -len(GROUPS[name][2])):
        min(shares, key=lambda share: sum(len(GROUPS[each][2]) for each in share)).append(name)
    commands = [[sys.executable, __file__, "--here", *share] for share in shares if share]
    with ThreadPoolExecutor() as pool:
        return [problem for found in pool.map(listen, commands) for problem in found]


def main(arguments):
    names = [name for name in arguments if name != "--here"] or list(GROUPS)
    unknown = sorted(set(names) - set(GROUPS))
    if unknown:
        sys.exit(f"unknown: {unknown}; the groups are {list(GROUPS)}")
    if "--here" in arguments:
        sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
        import conftest  # noqa: F401  (its settings come before TensorFlow is imported)

        problems = [problem for name in names for problem in check(name)]
        print(*(f"{PROBLEM}{problem}" for problem in problems), sep="\n", flush=True)
        return len(problems)
    start = time.monotonic()
    problems = in_two_processes(names)
    count = sum(len(GROUPS[name][2]) for name in names)
    print(*problems, sep="\n")
    print(
        f"{count} mutants, {time.monotonic() - start:.0f} s: "
        + ("problems, see above" if problems else "none survives")
    )
    return len(problems)


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))
