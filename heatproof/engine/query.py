"""The checked question and its answers in batches: scores, gradients, maps of a layer.

Methods are formulas over a `Query`; how a model is seen and differentiated stands in `heatproof.engine.tracing`.
"""

import itertools
from dataclasses import replace

import numpy as np
import tensorflow as tf

from heatproof import checks
from heatproof.engine.anatomy import anatomy, find_layer
from heatproof.engine.arrays import aligned, as_float, input_dtype
from heatproof.engine.programs import program
from heatproof.engine.views import recipe_of
from heatproof.progress import progress

BATCH_SIZE = 32
_CLASSES = tf.TensorSpec((None,), tf.int32)
PASSES = {"forwards": 0, "backwards": 0}  # examples that went through whole networks in this process so far
FORWARD, BOTH = ("forwards",), ("forwards", "backwards")


class Query:
    """A checked question: which model, which inputs, the score of which class.

    Built by every method from its arguments, so that all bad input is refused in one place and before any
    forward pass. `targets` are the predicted classes unless given.
    """

    def __init__(self, model, inputs, targets=None, *, score="logit", batch_size=BATCH_SIZE):
        self.recipe = recipe_of(model).noted()
        self.score = checks.one_of("score", score, ("logit", "probability"))
        self.batch_size = checks.as_count("batch_size", batch_size)
        base = self.recipe.base
        inputs = checks.as_inputs(inputs, self.recipe.shape, getattr(base, "input_range", None))
        self.inputs = np.ascontiguousarray(inputs, input_dtype(base))  # equal bits for any memory order
        self.anatomy = anatomy(self.recipe)
        if self.anatomy.kind == "unit" and score == "probability":
            raise ValueError("score: an inner unit has no probability; use score='logit'.")
        self._targets = checks.as_targets(targets, len(self.inputs), self.anatomy.classes)
        self._opened = False

    @property
    def targets(self):
        """The class of each input: as given, or the predicted one."""
        if not self._opened:
            self._opened = True
            self._doubt_logits()
        if self._targets is None:
            self._targets = self.all_scores("logit").argmax(axis=-1).astype(np.int32)
        return self._targets

    def _doubt_logits(self):
        """Outputs that no softmax made but that look like probabilities draw a warning."""
        if self.anatomy.kind != "linear":
            return
        outputs = np.asarray(self._program_of_all("logit")(self.inputs[:1]))
        if (outputs >= 0).all() and np.allclose(outputs.sum(axis=-1), 1, atol=1e-3):
            checks.warn(
                "model: its outputs are positive and sum to 1 but no softmax ends it (an average of networks?); they "
                "are taken for logits. Cure: explain each network by itself, or end the model in logits."
            )

    def batched(self, function, *arrays, passes=FORWARD, size=None):
        """Run `function` on chunks of `batch_size` (or `size`) along the first axis, join its answers, count passes."""
        count, size, joined = len(arrays[0]), size or self.batch_size, None
        for name in passes:
            PASSES[name] += count
        for start in range(0, count, size):
            part = slice(start, start + size)
            values = function(*(array[part] for array in arrays))
            values = [_finite(value) for value in (values if isinstance(values, (tuple, list)) else [values])]
            if count <= size:
                joined = values
                break
            joined = joined or [np.empty((count, *value.shape[1:]), value.dtype) for value in values]
            for whole, value in zip(joined, values, strict=True):
                whole[part] = value
            del values, value  # before the next chunk takes its memory
        return joined if len(joined) > 1 else joined[0]

    def all_scores(self, score=None):
        """The logits or probabilities of all classes, (N, classes)."""
        return self.batched(self._program_of_all(score or self.score), self.inputs)

    def _program_of_all(self, score):
        return program(self.recipe, score, lambda run: run.logits if score == "logit" else run.probabilities)

    def scores(self, inputs=None, items=None):
        """S_c of each input for its target, (N,); of other `inputs` for the targets of `items`."""
        inputs, targets = self._points(inputs, items)
        run = program(self.recipe, ("score", self.score), lambda run, c: run.score(c, self.score), _CLASSES)
        return self.batched(run, inputs, targets)

    def gradient(self, inputs=None, items=None):
        """dS_c/dx at each input, in the shape of the inputs; at other `inputs` for the targets of `items`."""
        inputs, targets = self._points(inputs, items)
        return self.batched(self._gradient_program(), inputs, targets, passes=BOTH)

    def _gradient_program(self):
        def build(run, classes):
            return run.differentiate(run.score(classes, self.score), run.inputs)

        return program(self.recipe, ("gradient", self.score), build, _CLASSES)

    def _points(self, inputs, items):
        if inputs is None:
            return self.inputs, self.targets
        return inputs, self.targets if items is None else self.targets[items]

    def gradients(self, samples, point, items=None, label="gradients"):
        """Yield (item, sample, dS_c/dx) for every pair, at what point(item, sample, out) writes into the array `out`.

        Samples come in their order, each for all items in turn; one chunk of points is in memory at a time.
        """
        return self._pairs(self.gradient, samples, point, items, label)

    def perturbed(self, samples, point, items=None, label="perturbed inputs"):
        """Yield (item, sample, S_c) for every pair, in the same way."""
        return self._pairs(self.scores, samples, point, items, label)

    def _pairs(self, function, samples, point, items, label):
        items = range(len(self.inputs)) if items is None else items
        count = len(samples) * len(items)
        pairs = ((item, sample) for sample in samples for item in items)
        points = aligned((min(self.batch_size, count), *self.inputs.shape[1:]), self.inputs.dtype)
        for _ in progress(range(0, count, self.batch_size), None, label):
            part = list(itertools.islice(pairs, self.batch_size))
            for (item, sample), out in zip(part, points, strict=False):
                point(item, sample, out)
            values = function(points[: len(part)], [item for item, _ in part])
            for (item, sample), value in zip(part, values, strict=True):
                yield item, sample, value

    def layer(self, layer=None):
        """The spatial layer of that name, or the default one; raises `ValueError` with the list of them."""
        return find_layer(self.recipe, layer, spatial=True).layer

    def block_ends(self):
        """The last layer at each resolution, from the input on: the ends of the network's blocks."""
        last, shape = {}, (None, *self.inputs.shape[1:])  # the sizes of these inputs, for a model of any size
        for call in anatomy(replace(self.recipe, shape=shape)).places:
            last[call.shape[1:-1]] = call.layer
        return list(last.values())

    def maps(self, layer, combine, inner="output"):
        """combine(A, dS_c/dA, targets) for each chunk of inputs, joined: one map per input on the layer's grid.

        A is what comes out of `layer`, or what goes into it for inner="input".
        """

        run = self._layer_program(layer, inner)

        def chunk(inputs, targets):
            activation, gradient = run(inputs, targets)
            return combine(np.asarray(activation), np.asarray(gradient), targets)

        return self.batched(chunk, self.inputs, self.targets, passes=BOTH)

    def layer_gradient(self, layer, item):
        """A and dS_c/dA of one input at `layer`, both (..., K)."""
        found = self.batched(self._layer_program(layer), self.inputs[[item]], self.targets[[item]], passes=BOTH)
        return found[0][0], found[1][0]

    def _layer_program(self, layer, inner="output"):
        def build(run, classes):
            tensor = getattr(run.call_of(run.layer), inner)
            return as_float(tensor), run.differentiate(run.score(classes, self.score), tensor)

        return program(self.recipe, ("maps", self.score, inner), build, _CLASSES, layer=layer)

    def activations(self, layer):
        """Yield (item, A) for every input, those of one chunk in memory at a time."""
        items = np.arange(len(self.inputs))
        for start in range(0, len(items), self.batch_size):
            part = items[start : start + self.batch_size]
            yield from zip(part, self.activation(layer, part), strict=True)

    def activation(self, layer, items=None):
        """A, the output of `layer`, for all inputs or for those at `items`."""
        run = program(self.recipe, "activation", lambda run: as_float(run.call_of(run.layer).output), layer=layer)
        return self.batched(run, self.inputs if items is None else self.inputs[items])

    def head_scores(self, layer, activations, item):
        """S_c of one input with each of `activations` (n, ..., K) in place of the output of `layer`.

        Only what follows the layer is computed: TensorFlow drops from the graph what the score does not need.
        """
        spec = tf.TensorSpec((None, *activations.shape[1:]), activations.dtype)
        name = ("head", self.score, str(spec.shape))

        def build(run, _, classes):
            return run.score(classes, self.score)

        run = program(self.recipe, name, build, spec, _CLASSES, layer=layer, substitute=True)

        def chunk(part):
            return run(self.inputs[[item]], part, np.full(len(part), self.targets[item], np.int32))

        return self.batched(chunk, activations, passes=())


def _finite(values):
    values = np.asarray(values)
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(values.sum()) or np.isfinite(values).all()  # a finite sum has finite parts
    if not finite:
        raise ValueError(
            "model: it gave NaN or infinity for finite inputs. Cure: look at its weights, or at float16 overflow."
        )
    return values


def scores(model, inputs, targets=None, *, score="probability", batch_size=BATCH_SIZE):
    """S_c of each input for its target class (the predicted one for None): float32 of shape (N,).

    Raises `TypeError`, `ValueError` as every method does.
    """
    query = Query(model, inputs, targets, score=score, batch_size=batch_size)
    return query.scores().astype(np.float32)
