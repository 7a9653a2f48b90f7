"""The compiled functions of a model: traced once, kept for as long as the model lives and they are asked for.

Of one model at most `MOST` answers are kept, graphs and what was read in them. What nobody asked for longest goes
first.
"""

import collections
import functools
import weakref
from dataclasses import replace

from heatproof.engine.arrays import shared
from heatproof.engine.endings import OPEN
from heatproof.engine.randomness import restored, written
from heatproof.engine.settings import TRACING, settings_of
from heatproof.engine.traces import Trace, traced
from heatproof.engine.tracing import Operator

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
        key = (name, recipe.shape, recipe.nest, recipe.ending, recipe.rule)
        key = (*key, recipe.settings or settings_of(recipe.base))
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


def trace_of(recipe):
    """The `Trace` of a model whatever it ends in, with room for one more question."""
    traces = kept(replace(recipe, ending=OPEN), "trace", list)
    if not traces or traces[0].asked >= MOST:  # what was let go of stays in the graph
        traces[:] = [Trace(replace(recipe, ending=OPEN))]
    return traces[0]


def compiled_once(recipe, build, specs, layer, substitute):
    """The compiled function of a question: a part of the one graph of the model, or of a graph of its own."""
    part = None if substitute else trace_of(recipe).question(recipe, build, specs, layer)
    return Program(part) if part else whole(recipe, build, specs, layer, substitute)


def whole(recipe, build, specs=(), layer=None, substitute=False):
    """The compiled function of a question in a trace of its own; a tape can differentiate it."""
    compiled = traced(recipe, build, specs, layer, substitute)
    return Program(compiled, written(compiled.graph))


class Program:
    """A compiled function of inputs and tensors; the variables that it writes come back as they were."""

    def __init__(self, compiled, states=()):
        self.compiled, self.states = compiled, states

    def __call__(self, inputs, *tensors):
        if not self.states:
            return self.compiled(shared(inputs), *tensors)
        with restored(self.states):
            return self.compiled(shared(inputs), *tensors)
