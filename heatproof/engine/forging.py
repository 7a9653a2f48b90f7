"""How a map moves with the input: second derivatives, which ReLUs do not have and soft ones do."""

import keras
import numpy as np
import tensorflow as tf

from heatproof.engine.arrays import as_float
from heatproof.engine.copies import copied
from heatproof.engine.counting import BOTH
from heatproof.engine.places import CLASSES
from heatproof.engine.programs import program
from heatproof.engine.readings import Score
from heatproof.enlarging import Enlarging
from heatproof.problems import ArgumentValueError

LOGITS = Score("logit")
METHODS = ("saliency", "gradient_x_input", "integrated_gradients", "grad_cam")
PATH = 8  # the points of integrated gradients, the last of them the input


def soft_copy(model, beta):
    """A copy with the same weights whose ReLUs are softplus(beta x) / beta."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.ReLU) and _is_bent(layer):
            given = f"one whose ReLU {layer.name!r} has a limit, a slope or a threshold"
            raise ArgumentValueError("model", given, "a network of plain ReLUs")
    found = []

    def soft(x):
        return keras.ops.softplus(beta * x) / beta

    def softer(layer):
        if isinstance(layer, keras.layers.ReLU):
            found.append(layer.name)
            return keras.layers.Activation(soft, name=layer.name)
        copy = type(layer).from_config(layer.get_config())
        if getattr(layer, "activation", None) is keras.activations.relu:
            found.append(layer.name)
            copy.activation = soft
        return copy

    copy = copied(model, clone_function=softer)
    if not found:
        raise ArgumentValueError("model", "one without a ReLU to make soft", "a network with layers of ReLUs")
    return copy


def _is_bent(relu):
    return relu.max_value is not None or relu.negative_slope or relu.threshold


class Maps:
    """The maps of a query's inputs by one of `METHODS`, as shares of their sums, and how these move with the input."""

    def __init__(self, query, method, start, layer=None):
        """`start`: the baselines of integrated gradients, zeros for the others, in the shape of the inputs."""
        self.query, self.method, self.start = query, method, start.astype(np.float32)
        self.place = query.place(layer) if method == "grad_cam" else None
        self.ways = np.arange(1, PATH + 1) / PATH if method == "integrated_gradients" else np.ones(1)

    def goal(self, goal):
        """Maps (N, ...) as shares (N, positions) at the positions of the method's maps, which may be a layer's."""
        if self.place:
            sides = self.place.in_order(self.place.activation([0])[..., 0]).shape[1:]
            goal = self.place.turned(Enlarging(sides, goal.shape[1:], dtype=np.float64).back(goal))
        flat = goal.reshape(len(goal), -1)
        return (flat / flat.sum(axis=1, keepdims=True)).astype(np.float32)

    def distances(self, points, goal):
        """D = |s - g|^2 / |g|^2 of the shares s at each of `points` and its goal g, (N,); infinity for zeros."""

        def build(run, classes, start, goal):
            shares = self._shares(run, classes, start)
            return _distance(shares, goal), tf.reduce_sum(shares, axis=1)

        found, totals = self._asked("distances", build, points, goal)
        return np.where(totals > 0, found, np.inf)

    def slope(self, points, goal, keep, logits):
        """d/dx of D + keep |z(x) - z|^2 / |z|^2, z the `logits`."""

        def build(run, classes, start, goal, logits):
            now = self._by_input(tf.cast(run.logits, tf.float32))[:, -1, 0]
            moved = tf.reduce_sum((now - logits) ** 2, axis=1) / tf.reduce_sum(logits**2, axis=1)
            loss = _distance(self._shares(run, classes, start), goal) + keep * moved
            slopes = run.differentiate(loss, run.inputs)
            along = tf.reshape(slopes, tf.concat([[-1, len(self.ways)], tf.shape(slopes)[1:]], axis=0))
            return tf.tensordot(tf.constant(self.ways, slopes.dtype), along, [[0], [1]])

        return self._asked(("slope", float(keep)), build, points, goal, logits)

    def _asked(self, name, build, points, *arrays):
        """What the program `build` makes of the inputs, each with the points that lead from its start to it."""
        query, count = self.query, len(self.ways)
        specs = [tf.TensorSpec((None, *each.shape[1:]), tf.float32) for each in (self.start, *arrays)]
        layer, told = self.place and self.place.layer, (*query.told(), query.classes_of())
        function = program(query.recipe, ("forging", self.method, name), build, CLASSES, *specs, layer=layer)

        def chunk(points, start, *rest):
            ways = self.ways.reshape(-1, *[1] * (points.ndim - 1))
            path = (start[:, None] + ways * (points - start)[:, None]).reshape(-1, *points.shape[1:])
            beside = [each.repeat(count, axis=0) for each in rest[: len(told)]]
            return function(path.astype(points.dtype), *beside, start, *rest[len(told) :])

        size = max(1, query.batch_size // count)
        return query.batched(chunk, points, self.start, *told, *arrays, passes=BOTH, size=size)

    def _shares(self, run, classes, start):
        """The map of each input, (N, positions), over its sum; 0 everywhere where the map is."""
        score = run.score(classes, LOGITS)
        if self.place:
            A = as_float(run.call_of(run.layer).output)
            A, gradient = (tf.cast(self.place.listed(each), tf.float32) for each in (A, run.differentiate(score, A)))
            maps = tf.nn.relu(tf.reduce_sum(A * tf.reduce_mean(gradient, axis=1, keepdims=True), axis=-1))
        else:
            maps = tf.reduce_mean(self._by_input(run.differentiate(score, run.inputs)), axis=1)
            if self.method == "saliency":
                maps = tf.reduce_sum(tf.abs(maps), axis=-1)
            else:  # the mean of the points lies on the way from the start to x; shares do not see how far
                way = tf.reduce_mean(self._by_input(run.inputs), axis=1) - self._by_input(start, 1)[:, 0]
                maps = tf.nn.relu(tf.reduce_sum(way * maps, axis=-1))
        return tf.math.divide_no_nan(maps, tf.reduce_sum(maps, axis=1, keepdims=True))

    def _by_input(self, tensor, count=None):
        """A tensor of points as (N, points, positions, channels), float32."""
        tensor, count = tf.cast(tensor, tf.float32), count or len(self.ways)
        positions = tf.reduce_prod(tf.shape(tensor)[1:-1])
        return tf.reshape(tensor, (-1, count, positions, tensor.shape[-1]))


def _distance(shares, goal):
    return tf.reduce_sum((shares - goal) ** 2, axis=1) / tf.reduce_sum(goal**2, axis=1)
