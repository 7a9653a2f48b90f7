"""Whether the kept graph of a model still answers as the model does, asked where its code cannot be read as a key.

One input goes through the model itself and through its graph. This costs a pass, and sees only what changes that answer
by more than rounding; it is done where `Settings.unknown` names something, and nowhere else.
"""

import numpy as np
import tensorflow as tf

from heatproof import checks
from heatproof.engine.anatomy import anatomy
from heatproof.engine.programs import forgotten, program
from heatproof.engine.randomness import restored
from heatproof.engine.tracing import unchanged_losses
from heatproof.problems import ArgumentWarning

TOLERANCE = 1e-4  # of the largest output
COARSER = {"float16": 2**-5, "bfloat16": 2**-2}  # 32 steps of the type


def compare(recipe, inputs, beside=()):
    """Forget the graphs of a model that does not answer as they do; warn where a new graph does not either."""
    if not recipe.settings.unknown or anatomy(recipe).untamed or _agrees(recipe, inputs, beside):
        return
    forgotten(recipe.base)
    if not _agrees(recipe, inputs, beside):
        moment = "one that gives other numbers than its own graph, so that the map is that of one moment"
        read = f"its code reads {', '.join(recipe.settings.unknown)}: a random number drawn in Python, say, or a file"
        cure = "draw with keras.random and a seed; hold what it reads in a variable or an attribute of the layer"
        checks.warn(ArgumentWarning("model", f"{moment}; {read}", cure=cure))


def _agrees(recipe, inputs, beside):
    graph = program(recipe, "outputs", lambda run: run.outputs)
    with restored(graph.states), unchanged_losses(recipe.base):
        first = recipe.arranged(tf.constant(inputs[:1]), [tf.constant(each[:1]) for each in beside])
        true = recipe.base(first, training=False)
    answers = true, graph(inputs[:1], *(each[:1] for each in beside))
    true, found = (_comparable(each, anatomy(recipe).kind) for each in answers)
    if true.shape != found.shape:
        return False
    tolerance = max(COARSER.get(layer.compute_dtype, TOLERANCE) for layer in recipe.base._flatten_layers())
    return np.abs(true - found).max() <= tolerance * np.abs(true).max()


def _comparable(outputs, kind):
    """The outputs in float64; of a softmax the logarithm, in which no class is drowned by the largest."""
    flat = [tf.reshape(tf.cast(each, tf.float64), (-1,)) for each in tf.nest.flatten(outputs)]
    values = tf.concat(flat, axis=0).numpy()
    return np.log(np.maximum(values, 1e-30)) if kind == "softmax" else values
