"""How a gradient map moves with the input: second derivatives, which ReLUs do not have and soft ones do."""

import keras
import numpy as np
import tensorflow as tf

from heatproof.engine.copies import copied
from heatproof.engine.counting import BOTH
from heatproof.engine.places import CLASSES
from heatproof.engine.programs import program
from heatproof.engine.readings import Score
from heatproof.problems import ArgumentValueError

LOGITS = Score("logit")


def soft_copy(model, beta):
    """A copy with the same weights whose ReLUs are softplus(beta x) / beta."""
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


def shares(gradient):
    """The share of each position in the magnitudes of a gradient, summed over the channels."""
    maps = tf.reduce_sum(tf.abs(gradient), axis=-1)
    return maps / tf.reduce_sum(maps, axis=tuple(range(1, maps.shape.rank)), keepdims=True)


def distance(shares, goal):
    """|s - g|^2 / |g|^2 of each map and its goal, (N,)."""
    axes = tuple(range(1, goal.ndim if isinstance(goal, np.ndarray) else goal.shape.rank))
    return tf.reduce_sum((shares - goal) ** 2, axis=axes) / tf.reduce_sum(goal**2, axis=axes)


def slope(query, inputs, items, goal, keep):
    """d/dx of distance(map, goal) + keep |z(x) - z|^2 / |z|^2, z the logits at the query's own inputs."""
    goals = tf.TensorSpec((None, *goal.shape[1:]), tf.float32)
    logits = query.all_scores(LOGITS)

    def build(run, classes, goal, logits):
        found = shares(run.differentiate(run.score(classes, LOGITS), run.inputs))
        moved = tf.reduce_sum((run.logits - logits) ** 2, axis=1) / tf.reduce_sum(logits**2, axis=1)
        return run.differentiate(distance(found, goal) + keep * moved, run.inputs)

    specs = (CLASSES, goals, tf.TensorSpec((None, logits.shape[1]), tf.float32))
    function = program(query.recipe, ("forging", float(keep), goal.shape[1:]), build, *specs)
    answers = (inputs, *query.told(items), query.classes_of(items), goal[items], logits[items])
    return query.batched(function, *answers, passes=BOTH)
