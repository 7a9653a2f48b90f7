"""The walk of relevance from a score down to the inputs of a traced graph.

Relevance starts at the score with its value, and every operation on the ways to the inputs, in turn from the last to
the first, hands what arrives at its outputs to its inputs: a linear layer by the rule chosen for it, a sum in
proportion, all others as `heatproof.engine.passing` says. An operation that nothing is known of is refused.
"""

import functools
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import tensorflow as tf

from heatproof.engine import owned, passing
from heatproof.engine.arrays import as_float
from heatproof.engine.examples import Examples
from heatproof.engine.linear import AVERAGES, CONVOLUTIONS, DENSE, Diagonal, Linear, step
from heatproof.engine.parts import READING, behind
from heatproof.engine.relevance_rules import RULES, average, sums
from heatproof.engine.ways import Ways
from heatproof.problems import ArgumentValueError

COMPOSITES = {  # the first linear layer, other convolutions, other dense layers, averages and sums
    **{name: (name,) * 4 for name in RULES},
    "z_box": ("z_box", "z_plus", "z_plus", "z_plus"),
    "epsilon_plus": (None, "z_plus", "epsilon", "epsilon"),
    "epsilon_gamma_box": ("z_box", "gamma", "epsilon", "epsilon"),
    "epsilon_plus_flat": ("flat", "z_plus", "epsilon", "epsilon"),
    "epsilon_alpha2_beta1": (None, "alpha_beta", "epsilon", "epsilon"),
}


@dataclass(frozen=True)
class How:
    """What relevance is propagated by: the key of a compiled walk."""

    rules: Any = "epsilon"  # of COMPOSITES, or pairs (name of an operation, rule)
    epsilon: float = 1e-6
    gamma: float = 0.25
    alpha: float = 2.0
    beta: float = 1.0
    bias: str = "split"
    at: str | None = None  # the tensor whose relevance is asked for, by name; None for the inputs
    through: tuple | None = None  # (tensor, channels): nothing goes on but the relevance of these
    ledger: bool = False
    examples: Any = None  # of the inputs, in a walk
    low: Any = None  # the box of the inputs, in a walk
    high: Any = None

    @property
    def has_box(self):
        """Whether a layer gets the rule that asks for the bounds of the inputs."""
        named = COMPOSITES[self.rules] if isinstance(self.rules, str) else dict(self.rules).values()
        return "z_box" in named

    def rule(self, name, kind, is_first=False):
        """The rule of an operation of that name."""
        if not isinstance(self.rules, str):
            return dict(self.rules)[name]
        first, *others = COMPOSITES[self.rules]
        found = others[("convolution", "dense", "average").index(kind)]
        return first if is_first and first is not None and kind != "average" else found


class Entry(NamedTuple):
    """A row of the ledger: arrived = passed + biases + epsilon + lost, each (N,); what a rule makes is lost below 0."""

    layer: str
    rule: str
    arrived: Any
    passed: Any
    biases: Any
    epsilon: Any
    lost: Any


class Paths(Ways):
    """The ways with what the walk asks of them."""

    @functools.cached_property
    def made(self):
        """The names of the operations on the ways."""
        return {operation.name for operation in self.operations}

    @functools.cached_property
    def mixed(self):
        """The names of the tensors behind a layer with weights."""
        found: set[str] = set()
        for operation in self.operations:
            if operation.type in DENSE | CONVOLUTIONS or any(each.name in found for each in operation.inputs):
                found.update(each.name for each in operation.outputs)
        return found

    @functools.cached_property
    def layers(self):
        """{name of its operation: the `Linear` layer}."""
        linear = [each for each in self.operations if each.type in DENSE | CONVOLUTIONS | AVERAGES]
        return {each.name: Linear(each, self) for each in linear}

    def felt(self, operation):
        """The numbers of the inputs of an operation that lie on the ways."""
        return [number for number, each in enumerate(operation.inputs) if each.name in self.names]


class Owners:
    """Which layers made the operations of a pass."""

    def __init__(self, run):
        self._number = {each.name: number for number, each in enumerate(owned.operations(run.inputs.graph))}
        self._calls = sorted(run.calls, key=lambda call: len(call.made))

    def of(self, operation):
        """The layers whose calls made an operation, the innermost first."""
        number = self._number.get(operation.name, -1)
        return [call.layer for call in self._calls if number in call.made]

    def name(self, operation):
        layers = self.of(operation)
        return layers[0].name if layers else operation.name


class Walk:
    """One walk down from the tensor `end`; `rows` is the ledger."""

    def __init__(self, run, end, how):
        self.run, self.paths, self.owners = run, Paths(run.inputs, end), Owners(run)
        self.how = replace(how, examples=Examples(run.inputs))
        self.rows, self._arriving = list[Entry](), dict[str, tf.Tensor]()
        self._folded = {each.name for layer in self.paths.layers.values() for each in layer.folded}

    def down(self, relevance):
        """The relevance of the inputs, or of the tensor asked for, where the end has this one."""
        asked = self.how.at or self.run.inputs.name
        self._arriving[self.paths.end.name] = relevance
        for operation in reversed(self.paths.operations):
            self._through(operation)
            if any(each.name == asked for each in operation.outputs):
                break
            arrived = [self._arriving.get(each.name) for each in operation.outputs]
            came = [each for each in arrived if each is not None]
            if came:
                with tf.control_dependencies(came):  # what a rule computes anew waits until then, to hold less at once
                    for tensor, share in self._shared(operation, arrived):
                        self._add(tensor, share)
        return self._at(asked)

    def _at(self, name):
        """What arrives at a tensor; 0 where it is part of a gate."""
        if name not in self._arriving:
            return tf.zeros_like(as_float(self.run.inputs.graph.get_tensor_by_name(name)))
        return self._arriving[name]

    def _add(self, tensor, share):
        before = self._arriving.get(tensor.name)
        self._arriving[tensor.name] = share if before is None else before + share

    def _through(self, operation):
        """Where this operation gives what the relevance is to go through, drop all that does not."""
        name, channels = self.how.through or ("", ())
        if all(each.name != name for each in operation.outputs):
            return
        kept = self._at(name)
        mask = tf.reduce_sum(tf.one_hot(channels, kept.shape[-1], dtype=kept.dtype), axis=0)
        self._arriving = {name: kept * mask}

    def _shared(self, operation, arrived):
        """[(tensor, relevance)]: what an operation hands to its inputs."""
        felt, R = self.paths.felt(operation), arrived[0]
        reads, kind = [operation.inputs[number] for number in felt], operation.type
        if kind == "IdentityN":
            pairs = zip(operation.inputs, arrived, strict=True)
            return [(each, R) for each, R in pairs if R is not None and each.name in self.paths.names]
        if operation.name in self._folded or self._prepares(operation):
            return self._passed(reads, R)
        if operation.name in self.paths.layers:
            return self._by_rule(operation, R)
        if kind in passing.SUMS:
            return self._of_sum(operation, R)
        if kind in passing.SCALINGS:
            return self._of_product(operation, reads, R)
        if kind in passing.ACTIVATIONS | passing.ONE_OF_TWO and len(felt) == 1:
            return self._passed(reads, R)
        if kind in passing.MOVED | passing.ONE_OF_TWO:
            return self._moved(operation, felt, arrived)
        raise self._refusal(operation, "of which no rule is known")

    def _passed(self, reads, R):
        return [(each, passing.narrowed(R, each)) for each in reads]

    def _prepares(self, operation):
        """Whether it brings the inputs into the range that the network takes: one number, with fixed constants."""
        if len(self.paths.felt(operation)) != 1 or operation.outputs[0].name in self.paths.mixed:
            return False
        found = step(operation, self.paths.names)
        fixed = [each for each in operation.inputs if each.name not in self.paths.names]
        kinds = {each.type for each in behind(fixed).values()}
        return found is not None and not kinds & READING and all(each.shape.is_fully_defined() for each in fixed)

    def _by_rule(self, operation, R):
        layer = self.paths.layers[operation.name]
        if layer.weighs and layer.number is None:
            raise self._refusal(operation, "of which no rule is known")
        if not layer.is_single:
            raise self._refusal(operation, "a product of two inner tensors, as in attention")
        rule = self.how.rule(operation.name, layer.kind, layer.is_first)
        if layer.kind == "average":
            shares = average(layer, R, self.how, rule == "z_plus")
            rule = rule if rule == "z_plus" else "epsilon"
        else:
            shares = RULES[rule](layer, R, self.how)
        self._note(operation, rule, R, shares, layer.is_in_blocks)
        return [(operation.inputs[layer.place], shares.passed)]

    def _of_sum(self, operation, R):
        reads = [operation.inputs[number] for number in self.paths.felt(operation)]
        found, rule = step(operation, self.paths.names), self.how.rule(operation.name, "average")
        if found is not None:
            one, place = found
            rule = "flat" if rule == "z_box" else rule  # in both, biases have no share
            a = as_float(operation.inputs[place])
            shares = RULES[rule](Diagonal(a if one.scale is None else a * one.scale, one.shift), R, self.how)
            self._note(operation, rule, R, shares)
            return self._passed(reads, shares.passed)
        summands = [as_float(each) for each in reads]
        if operation.type == "Sub":
            summands[1] = -summands[1]
        others = [as_float(each) for each in operation.inputs if each.name not in self.paths.names]
        constant = sum(others) if others else None
        rule = "z_plus" if rule == "z_plus" else "epsilon"
        shares = sums(summands, constant, R, self.how, rule == "z_plus")
        self._note(operation, rule, R, shares)
        return [(each, passing.narrowed(R, each)) for each, R in zip(reads, shares.passed, strict=True)]

    def _of_product(self, operation, reads, R):
        if len(reads) == 1:
            return self._passed(reads, R)
        place = passing.signal(operation, self.paths.names) if operation.type == "Mul" else None
        if place is None:
            raise self._refusal(operation, "of two inner tensors, none of them a gate, as in a normalisation")
        return self._passed([operation.inputs[place]], R)

    def _moved(self, operation, felt, arrived):
        found = passing.moved(operation, arrived)
        passed = [(operation.inputs[number], found[number]) for number in felt]
        fixed = [each for each in operation.inputs if each.dtype.is_floating and each.name not in self.paths.names]
        if fixed and operation.type in passing.JOINED and self.how.ledger:
            total, zero = self.how.examples.total, self.how.examples.total(tf.zeros_like(arrived[0]))
            R, kept = total(arrived[0]), sum(total(share) for _, share in passed)
            self.rows.append(Entry(self.owners.name(operation), "constants", R, kept, R - kept, zero, zero))
        return passed

    def _note(self, operation, rule, R, shares, in_blocks=False):
        if self.how.ledger:
            total = functools.partial(self.how.examples.total, in_blocks=in_blocks)
            passed = shares.passed if isinstance(shares.passed, list) else [shares.passed]
            others = [total(tf.broadcast_to(each, tf.shape(R))) for each in shares[1:]]
            row = (total(R), sum(map(total, passed)), *others)
            self.rows.append(Entry(self.owners.name(operation), rule, *row))

    def _refusal(self, operation, why):
        given = f"one with the operation {operation.type} in {self.owners.name(operation)!r}, {why}"
        allowed = "linear layers, sums, pooling, activations of one number, gates"
        return ArgumentValueError("model", given, allowed, "xu.integrated_gradients, which needs no rules")


def relevance(run, score, classes, how, low=None, high=None):
    """The relevance of the inputs for S_c, and {(number, layer, rule): (N, 5)} of the ledger: tensors of the graph."""
    scores = run.all(score)
    start = scores * tf.one_hot(classes, scores.shape[-1], dtype=scores.dtype)
    walk = Walk(run, scores, replace(how, low=low, high=high))
    found = as_float(walk.down(start))
    return found, {(number, *row[:2]): tf.stack(row[2:], axis=1) for number, row in enumerate(walk.rows)}
