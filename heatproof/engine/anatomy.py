"""What one trace tells of a model without running it: calls, ending, activations, and where maps can lie."""

import functools
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf

from heatproof import checks
from heatproof.engine.gates import RELUS, is_gate, is_idle
from heatproof.engine.owned import operations, readers
from heatproof.engine.programs import kept, trace_of
from heatproof.engine.randomness import overruled, untamed
from heatproof.engine.tracing import Call, Operator
from heatproof.engine.ways import PADDINGS, SHRINKING, Ways, is_flattened, made_by
from heatproof.problems import ArgumentValueError, ArgumentWarning

NO_LAYER = "a method that needs no layer, such as saliency"
PASSED = {"Identity", "Cast"}
OTHER_ACTIVATIONS = {"LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "Tanh", "Sigmoid", "Erf", "Erfc", "Maximum"}


@dataclass(frozen=True)
class Anatomy:
    """What one trace tells of a model without running it."""

    calls: tuple
    kind: str
    relus: int
    others: frozenset
    inputs: tf.Tensor
    logits: tf.Tensor
    values: tf.Tensor  # the outputs as they are: one for the two classes of one unit
    own: int  # how many operations of the graph are the model's, and not the ending's
    untamed: tuple  # names of layers that draw random numbers with a state that cannot be put back
    overruled: tuple  # names of layers that are called with training=True
    moved: frozenset = frozenset()  # names of tensors whose positions lie where the input has its channels

    @property
    def classes(self):
        return self.logits.shape[-1]

    @property
    def outputs(self):
        """How many numbers the model gives."""
        return self.values.shape[-1]

    @functools.cached_property
    def ways(self):
        """From the input to the score."""
        return Ways(self.inputs, self.logits)

    @functools.cached_property
    def places(self):
        """The calls that a map can be drawn on, in order: positions along the axes of the input, and one call alone.

        A model inside the model counts where it ends in an operation of its own, and not in its last layer. A sum or a
        product that no layer made counts as a call of its operator. What does not reach the score is no place.
        """
        ends = {call.output.name for call in self.calls if not hasattr(call.layer, "layers")}
        found = [
            call
            for call in self.calls
            if self._has_place(call)
            and not call.inner
            and call.output.name in self.ways.names
            and (not hasattr(call.layer, "layers") or call.output.name not in ends)
            and sum(other.layer is call.layer for other in self.calls) == 1
        ]
        found += [call for call in self._operators() if call.output.name not in ends]
        return sorted(found, key=lambda call: self.ways.position(call.output))

    def _has_place(self, call):
        rank = call.output.shape.rank  # None where an operation does not tell
        stands = rank == self.inputs.shape.rank and call.output.name not in self.moved
        return stands and call.spatial and call.output.dtype.is_floating

    def _operators(self):
        """The operations on the way to the score that stand in no layer of Keras, as calls."""
        number = {operation.name: place for place, operation in enumerate(operations(self.logits.graph))}
        inside = [call.made for call in self.calls if _is_closed(call.layer)]
        free = [each for each in self.ways.operations if each.name in number and each.type not in PASSED]
        free = [each for each in free if not any(number[each.name] in made for made in inside)]
        calls = [Call(Operator(each.name), each.inputs[0], each.outputs[0]) for each in free]
        return [call for call in calls if self._has_place(call)]

    @property
    def carriers(self):
        """The places through which every way to the score leads, from the first convolution on, padding left out."""
        narrow, ways = set(self.ways.narrow), self.ways
        return [
            call
            for call in self.places
            if call.output.name in narrow
            and ways.position(call.output) >= ways.first_heavy
            and not made_by(call.output, PADDINGS)
        ]

    @property
    def ends(self):
        """The places from which no other place is reached: one for each stream that leads to the score."""
        before = self.ways.leading_to({call.output.name for call in self.places})
        return [call for call in self.places if call.output.name not in before]

    def streams_behind(self, carrier):
        """The ends that carry the score together where it divides behind its last carrier; pooling alone is none."""
        ends = self.ends
        divided = len(ends) > 1 and self.ways.all_lead_through({call.output.name for call in ends})
        return ends if divided and any(Ways(carrier.output, call.output).is_heavy for call in ends) else []


def _is_closed(part):
    return type(part).__module__.startswith("keras.") and not isinstance(part, keras.Model)


def anatomy(recipe):
    """What one trace of the model in a scratch graph tells: layers, shapes, ending, activations."""
    return kept(recipe, "anatomy", lambda: _anatomy(recipe))


def _anatomy(recipe):
    stateful = [layer.name for layer in recipe.base._flatten_layers() if getattr(layer, "stateful", False)]
    if stateful:
        given = f"one whose layers {stateful} keep a state from call to call"
        reason = "so that an answer depends on what was asked before"
        raise ArgumentValueError("model", f"{given}, {reason}", cure="the same layers with stateful=False")
    run = trace_of(recipe).ended(recipe.ending)
    _check_channels(run)
    relus, others = _activations(run)
    ends, random = (run.logits, run.values), (untamed(run), overruled(recipe.base))
    return Anatomy(tuple(run.calls), run.kind, relus, others, run.inputs, *ends, run.own, *random)


def _activations(run):
    """How many ReLUs are those of a network, and the names of its other activations."""
    made = operations(run.inputs.graph)
    kinds = [operation.type for operation in made]
    inner = [kind for kind in kinds if kind in OTHER_ACTIVATIONS]
    for _ in _clipped(run, kinds):
        inner.remove("Maximum")
    if run.kind == "sigmoid" and "Sigmoid" in inner:
        inner.remove("Sigmoid")  # the one that ends the model
    relus = sum(each.type in RELUS and not is_gate(each) for each in made)
    if any(node.op in RELUS for each in run.inputs.graph.as_graph_def().library.function for node in each.node_def):
        inner.append("ReLU inside a loop")  # a recurrent layer, say: there no rule reaches it
    slopes = sum(isinstance(call.layer, keras.layers.PReLU) for call in run.calls)
    if slopes:  # one is written with two ReLUs, and no rule is defined for it
        relus, inner = relus - 2 * slopes, [*inner, "PReLU"]
    return relus, frozenset(inner)


def _clipped(run, kinds):
    """The numbers of each Maximum that is no activation: a gate's, a capped ReLU's, or a normalising layer's own."""
    made = operations(run.inputs.graph)
    for number in (number for number, kind in enumerate(kinds) if kind == "Maximum"):
        if is_gate(made[number]) or is_idle(made[number]):
            yield number
            continue
        around = [call for call in run.calls if number in call.made]
        inmost = min(around, key=lambda call: len(call.made), default=None)
        if inmost and "Normalization" in type(inmost.layer).__name__ and _is_closed(inmost.layer):
            yield number


def _check_channels(run):
    """Refuse images without an axis of channels: their width would be taken for channels of a signal."""
    shape, read = run.inputs.shape, [run.inputs]
    while passed := [each for each in readers(read[-1]) if each.type in ("Identity", "Cast")]:
        read.append(passed[0].outputs[0])
    made = [each.outputs[0].shape for each in readers(read[-1]) if each.type in ("Reshape", "ExpandDims")]
    if shape.rank == 3 and any(other.rank == 4 and tuple(other[1:]) == (*shape[1:], 1) for other in made):
        size = (*shape[1:], 1)
        cure = (
            f"x = keras.Input({size}); model = keras.Model(x, model(keras.ops.squeeze(x, -1))); "
            "inputs = numpy.asarray(inputs)[..., None]"
        )
        given = f"a model that takes images {tuple(shape[1:])} without an axis of channels"
        raise ArgumentValueError("model", given, "images (N, H, W, C)", cure)


def find_layer(recipe, layer=None, spatial=False, moved=frozenset(), taken=None):
    """Return the `Call` of a layer given by name or object; None means the last one that still has space.

    Raises `ValueError`, listing the spatial layers, for an unknown or ambiguous name or, with `spatial`, for a
    layer whose output has no positions left, or has them in one of the tensors that were `moved`; `taken(call)` says
    which calls are taken all the same.
    """
    seen = replace(anatomy(recipe), moved=moved) if moved else anatomy(recipe)
    calls = seen.calls
    if recipe.ending.layer is not None:  # what comes after the unit has no part in it
        calls = _up_to(recipe.ending.layer, calls)
    places = seen.places  # on the ways to the score, so none behind the unit
    if layer is None:
        return _default(seen, places)
    known = [*calls, *(call for call in places if isinstance(call.layer, Operator))]
    found = [call for call in known if call.layer is layer or (isinstance(layer, str) and call.layer.name == layer)]
    offered = places or ([] if spatial else known)
    label = checks.shown(layer if isinstance(layer, str) else getattr(layer, "name", layer))
    if not found:
        raise _other_layer(f"{label}, which is not in the model", offered, "one of" if spatial else "one such as")
    if len(found) > 1:
        raise _other_layer(f"{label}, which stands for {len(found)} calls", offered, "one called once, such as")
    if taken is not None and taken(found[0]):
        return found[0]
    if spatial and not found[0].spatial:
        raise _other_layer(f"{label}, which has no positions left (shape {found[0].shape})", offered)
    if spatial and not found[0].output.dtype.is_floating:
        given = f"{label}, whose output is {found[0].output.dtype.name}, of which nothing is a derivative"
        raise _other_layer(given, offered)
    if spatial and not found[0].inner and len(found[0].shape) == 3 < len(seen.inputs.shape):
        raise _no_grid(found[0], seen)
    if spatial and (found[0].inner or len(found[0].shape) != len(seen.inputs.shape)):
        axes = f"other axes (shape {found[0].shape}) than the input {seen.inputs.shape}"
        raise _other_layer(f"{label}, which has {axes}, so that its positions are no places in the input", offered)
    if spatial and found[0].output.name in moved:
        given = (
            f"{label}, whose positions lie along its last axis (shape {found[0].shape}), where channels should stand"
        )
        raise _other_layer(given, offered)
    return found[0]


def _no_grid(call, seen):
    """The refusal of tokens of which nothing tells the grid; the cure names that of square patches, if there is one."""
    count, space = call.shape[1], seen.inputs.shape[1:-1].as_list()
    given = f"{call.layer.name!r}, tokens {call.shape} whose grid the network does not tell"
    for left in range(8 if count and None not in space else 0):
        per_patch = (np.prod(space) / max(count - left, 1)) ** (1 / len(space))
        sides = tuple(round(side / per_patch) for side in space)
        if np.allclose(np.array(sides) * per_patch, space):
            cure = f"grid={sides}" + (f", which leaves out {left} of the tokens" if left else "")
            cure += ", where the patches lie row by row"
            return ArgumentValueError("layer", given, cure=cure)
    return ArgumentValueError("layer", given, cure=f"grid= the {len(space)} sides of the grid of patches")


def _other_layer(given, calls, allowed="one of"):
    """The refusal of a layer: it names those that can be taken in its place, or says what needs none."""
    names = [call.layer.name for call in calls]
    once = [name for name in names if names.count(name) == 1]
    return ArgumentValueError("layer", given, f"{allowed} {once}" if once else "", "" if once else NO_LAYER)


def _up_to(part, calls):
    """The calls that a unit at this layer or operation may read: none that gives something later."""
    end = next((call.output.op for call in reversed(calls) if call.layer is part), None)
    if not calls:
        return calls
    number = {each.name: place for place, each in enumerate(calls[0].output.graph.get_operations())}
    last = number[end.name if end is not None else part.name]
    return tuple(call for call in calls if number[call.output.op.name] <= last)


def _default(seen, places):
    """The last place that carries the whole score; pooling and padding behind the last convolution shrink or pad it."""
    if not places:
        raise ArgumentValueError("layer", "None, and no layer of this model keeps space", cure=NO_LAYER)
    carriers = [call for call in seen.carriers if any(call is other for other in places)]
    while len(carriers) > 1 and is_flattened(carriers[-1].output) and made_by(carriers[-1].output, SHRINKING):
        last = carriers.pop()
        if not is_flattened(carriers[-1].output):
            return _before(carriers, last)
    streams = seen.streams_behind(carriers[-1]) if carriers else seen.ends
    if carriers and not streams:
        return carriers[-1]
    _warn_of_ways(seen, streams)
    return places[-1]


def _warn_of_ways(seen, streams):
    """Say which ends lead to the score side by side, and whether a way leads past them all."""
    names = [call.layer.name for call in streams]
    past = not seen.ways.all_lead_through({call.output.name for call in streams})
    given = "None, and no single layer carries the score"
    if len(names) > 1:
        beside = "; the input also leads there past them" if past else ""
        left_out = ", which leave out that way," if past else ","
        cure = f"layer={names} for the sum of their maps{left_out} or one of them"
        checks.warn(ArgumentWarning("layer", f"{given}: {names} lead to it side by side{beside}", cure=cure))
    elif past:
        cure = f"layer={names[0]!r} for the share of that layer alone, or {NO_LAYER}"
        ways = f"{names[0]!r} leads to it, and the input also leads there past it"
        checks.warn(ArgumentWarning("layer", f"{given}: {ways}", cure=cure))


def _before(carriers, pooled):
    """The last carrier before the pooling or padding `pooled` that is none itself."""
    return next((call for call in reversed(carriers) if not made_by(call.output, SHRINKING)), pooled)
