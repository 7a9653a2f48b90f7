"""A question of relevance: which rule each layer gets, which tensors of the graph are meant, and the answer."""

import functools
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from heatproof import checks
from heatproof.engine.anatomy import anatomy, find_layer
from heatproof.engine.counting import BOTH
from heatproof.engine.passing import SUMS
from heatproof.engine.places import CLASSES
from heatproof.engine.programs import program
from heatproof.engine.relevance import COMPOSITES, Entry, Owners, Paths, relevance
from heatproof.engine.relevance_rules import RULES
from heatproof.hiding import by_name
from heatproof.problems import ArgumentTypeError, ArgumentValueError

_KEYS = "a layer, its name or a function of a layer"


class RelevanceQuery:
    """A query with what its trace tells of the ways from its inputs to its score."""

    def __init__(self, query):
        self.query, self.anatomy = query, anatomy(query.recipe)
        seen = self.anatomy
        self.inputs, self.calls = seen.inputs, seen.calls
        self.paths = Paths(seen.inputs, seen.values if query.score.kind == "value" else seen.logits)
        self.owners = Owners(self)

    def rules(self, rule):
        """The key of `How.rules`: the word, or for a mapping the rule of every operation that has one."""
        if isinstance(rule, str):
            return checks.one_of("rule", rule, tuple(COMPOSITES))
        if not isinstance(rule, Mapping) or not rule:
            allowed = f"one of {', '.join(map(repr, COMPOSITES))}, or {{{_KEYS}: rule}}"
            raise ArgumentTypeError("rule", checks.shown(rule), allowed)
        for key, name in rule.items():
            checks.one_of(f"rule[{_label(key)}]", name, tuple(RULES))
            if not (isinstance(key, (str, keras.layers.Layer)) or callable(key)):
                raise ArgumentTypeError("rule", f"the key {checks.shown(key)}", _KEYS)
        found, keys, ahead = [], list(rule), dict[int, int]()  # of each key that fits, the first one that is ahead
        for operation in self.paths.operations:
            layers = self.owners.of(operation)
            meant = [number for number, key in enumerate(keys) if _is_meant(key, layers)]
            if meant and _has_rule(operation, self.paths):
                ahead |= {number: meant[0] for number in meant if ahead.get(number) != number}
            name = rule[keys[meant[0]]] if meant else "epsilon"
            self._check_box(operation, name)
            found.append((operation.name, name))
        self._check_used(keys, ahead)
        return tuple(found)

    def _check_box(self, operation, name):
        layer = self.paths.layers.get(operation.name)
        if name == "z_box" and layer is not None and layer.weighs and not layer.is_first:
            given = f"'z_box' for {self.owners.name(operation)!r}, whose inputs have no known bounds"
            raise ArgumentValueError("rule", given, "z_box in the first linear layer", "z_plus or gamma there")

    def _check_used(self, keys, ahead):
        """Refuses a layer or a name that fits nothing, and one whose layers all have their rule from a key ahead."""
        for number, key in enumerate(keys):
            if ahead.get(number) == number or not isinstance(key, (str, keras.layers.Layer)):
                continue
            if number not in ahead:
                names = [self.owners.name(each) for each in self.paths.operations if _has_rule(each, self.paths)]
                allowed = f"layers that share relevance out: {list(dict.fromkeys(names))}"
                raise ArgumentValueError("rule", f"the key {_label(key)}", allowed)
            first = _label(keys[ahead[number]])
            given = f"the key {_label(key)} behind {first}, the first key that fits, which leaves nothing to it"
            raise ArgumentValueError("rule", given, cure=f"put {_label(key)} before {first}, or leave it out")

    def tensor(self, argument, layer):
        """The output of a layer that relevance comes through, as a tensor of the trace."""
        if not isinstance(layer, (str, keras.layers.Layer)):
            raise ArgumentTypeError(argument, checks.shown(layer), "a layer or its name")
        try:
            output = find_layer(self.query.recipe, layer).output
        except ArgumentValueError as error:
            raise ArgumentValueError(argument, error.given, error.allowed, error.cure) from None
        if output.name not in self.paths.names:
            given = f"{_label(layer)}, on which the score does not depend"
            raise ArgumentValueError(argument, given, "a layer on the way to the score")
        return output

    def through(self, pair, at=None):
        """(name of the tensor, channels) of the argument `through`."""
        if pair is None:
            return None
        allowed = "(layer, channels), with a number or a list of numbers"
        layer, channels = checks.as_pair("through", pair, allowed)
        output = self.tensor("through", layer)
        if at is not None and self.paths.position(output) < self.paths.position(at):
            raise ArgumentValueError(
                "through", f"{_label(layer)}, which comes before relevance_at", "a layer behind it"
            )
        channels = np.atleast_1d(checks.as_array("through", channels)).tolist()
        found = tuple(sorted(checks.as_count("through", each, 0, output.shape[-1] - 1) for each in channels))
        if not found or len(set(found)) < len(found):
            raise ArgumentValueError("through", f"the channels {checks.shown(pair[1])}", "one or more, each once")
        return output.name, found

    def box(self, low, high, is_used):
        """[l, h] in the shape of the inputs, given or the range that the model states; nothing where no rule asks."""
        both = enumerate((low, high))
        given = [functools.partial(self._end, number, end) for number, end in both if is_used or end is not None]
        ends = [self.query.each(one) for one in given]
        if len(ends) == 2 and not (ends[0] < ends[1]).all():
            wrong = f"{checks.shown(high)}, which is not above low everywhere"
            raise ArgumentValueError("high", wrong, f"values above low, {checks.shown(low)}")
        inputs = self.query.inputs
        if is_used and ((inputs < ends[0]).any() or (inputs > ends[1]).any()):
            wrong = f"values from {inputs.min():g} to {inputs.max():g}, outside the box"
            raise ArgumentValueError("inputs", wrong, "values from low to high", "wider bounds low and high")
        return ends if is_used else []

    def answers(self, how, box=()):
        """The maps of all inputs, and the rows of the ledger."""
        query, names = self.query, list[tuple]()

        def build(run, *given):
            *box, classes = given
            return relevance(run, query.score, classes, how, *box)

        specs = [tf.TensorSpec((None, *end.shape[1:]), end.dtype) for end in box]
        asked = program(query.recipe, ("relevance", query.score, how), build, *specs, CLASSES)

        def chunk(*given):
            found, rows = asked(*given)
            names[:] = rows
            return [found, *rows.values()]

        found = query.batched(chunk, query.inputs, *query.told(), *box, query.targets, passes=BOTH)
        maps, *rows = found if names else [found]
        entries = zip(names, rows, strict=True)
        return maps, [Entry(layer, rule, *np.moveaxis(row, 1, 0)) for (_, layer, rule), row in entries]

    def _end(self, number, end, part, name):
        """One end of the box for one input."""
        argument = ("low", "high")[number]
        stated: Any = getattr(self.query.recipe.base, "input_range", None)
        stated = stated.get(name) if isinstance(stated, dict) else self.query.input_range
        end = by_name(argument, end, name)
        if end is None and stated is None:
            given = "None, but the model states no input_range"
            raise ArgumentValueError(argument, given, cure=f"{argument}= the bound of the inputs in the model's units")
        array = checks.as_finite(argument, stated[number] if end is None else end)
        if array.shape not in ((), part.shape[-1:]):
            raise ArgumentValueError(argument, f"shape {array.shape}", f"a number, or one for each of {part.shape[-1]}")
        return array.astype(part.dtype)


def _label(key):
    return checks.shown(key if isinstance(key, str) else getattr(key, "name", key))


def _is_meant(key, layers):
    """Whether a key names one of the layers around an operation, or is true of the innermost."""
    if isinstance(key, str):
        return any(layer.name == key for layer in layers)
    if isinstance(key, keras.layers.Layer):
        return any(layer is key for layer in layers)
    return bool(layers) and bool(key(layers[0]))


def _has_rule(operation, paths):
    return operation.name in paths.layers or operation.type in SUMS
