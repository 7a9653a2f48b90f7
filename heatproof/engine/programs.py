"""The compiled functions of a model: traced once, kept for as long as the model lives and they are asked for.

Of one model at most `MOST` answers are kept, graphs and what was read in them. What nobody asked for longest goes
first.
"""

import collections
import functools
import weakref

import tensorflow as tf

from heatproof.engine.arrays import input_dtype, shared
from heatproof.engine.randomness import restored, written
from heatproof.engine.recipe import Recipe
from heatproof.engine.settings import TRACING, settings_of
from heatproof.engine.tracing import Operator, Run

MOST = 64
_PROGRAMS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def program(recipe, name, build, *specs, layer=None, substitute=False):
    """Return the compiled function of `build(run, *tensors)`: traced once per model, `name` and `layer`.

    The function takes the inputs, what the recipe takes beside them, then one tensor for each of `specs`; with
    `substitute` the first of these stands in for the output of `layer`, and one input will do for all of its rows.
    """
    make = functools.partial(compiled_once, recipe, build, specs, layer, substitute)
    return kept(recipe, (name, layer if isinstance(layer, Operator) else layer and id(layer)), make)


def kept(recipe, name, make):
    """What `make()` gave for this model and name; a model whose settings were changed starts anew."""
    with TRACING:
        key = (name, recipe.shape, recipe.ending, recipe.rule, recipe.settings or settings_of(recipe.base))
        known = _PROGRAMS.setdefault(recipe.base, collections.OrderedDict())
        if key not in known:
            known[key] = make()
        known.move_to_end(key)
        while len(known) > MOST:
            known.popitem(last=False)
        return known[key]


def forgotten(model):
    """Let go of all that is kept for a model."""
    with TRACING:
        _PROGRAMS.pop(model, None)


def compiled_once(recipe, build, specs, layer, substitute):
    # The graph must not keep the model alive, or _PROGRAMS would never let go: it sees only weak references.
    base = weakref.ref(recipe.base)
    seen = (lambda: layer) if isinstance(layer, Operator) else layer and weakref.ref(layer)
    shape, ending, rule, others = recipe.shape, recipe.ending, recipe.rule, recipe.beside

    def function(inputs, *tensors):
        beside, tensors = tensors[: len(others)], tensors[len(others) :]
        again = Recipe(base(), shape, ending, rule)
        if substitute:
            inputs, *beside = (_in_rows(each, tensors[0]) for each in (inputs, *beside))
        run = Run(again, inputs, seen and seen(), tensors[0] if substitute else None, beside)
        return build(run, *tensors)

    inputs = tf.TensorSpec(recipe.shape, input_dtype(recipe.base))
    return Program(tf.function(function, autograph=False).get_concrete_function(inputs, *others, *specs))


def _in_rows(tensor, like):
    """One row as often as another tensor has rows; rows as they are."""
    rows = tf.concat([tf.shape(like)[:1], tf.shape(tensor)[1:]], axis=0)
    return tf.ensure_shape(tf.broadcast_to(tensor, rows), tensor.shape)


class Program:
    """A compiled function of inputs and tensors; the variables that it writes come back as they were."""

    def __init__(self, compiled):
        self.compiled, self.states = compiled, written(compiled.graph)

    def __call__(self, inputs, *tensors):
        if not self.states:
            return self.compiled(shared(inputs), *tensors)
        with restored(self.states):
            return self.compiled(shared(inputs), *tensors)
