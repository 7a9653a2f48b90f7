"""What one trace tells of a model without running it: calls, ending, activations, and where maps can lie."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from heatproof import checks
from heatproof.engine.programs import compiled_once, kept
from heatproof.engine.rules import RELUS
from heatproof.problems import ArgumentValueError

OTHER_ACTIVATIONS = {"LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "Tanh", "Sigmoid", "Erf", "Erfc", "Maximum"}


@dataclass(frozen=True)
class Anatomy:
    """What one trace tells of a model without running it."""

    calls: tuple
    classes: int
    outputs: int  # of the model as they are: one for the two classes of one unit
    kind: str
    relus: int
    others: frozenset
    inputs: tf.Tensor
    logits: tf.Tensor

    @property
    def places(self):
        """The calls that a map can be drawn on: positions along the axes of the input, of a layer that is called once.

        A model inside the model counts where it ends in an operation of its own, and not in its last layer.
        """
        ends = {call.output.name for call in self.calls if not hasattr(call.layer, "layers")}
        return [
            call
            for call in self.calls
            if call.spatial
            and not call.inner
            and len(call.shape) == len(self.inputs.shape)
            and (not hasattr(call.layer, "layers") or call.output.name not in ends)
            and sum(other.layer is call.layer for other in self.calls) == 1
        ]


def anatomy(recipe):
    """What one trace of the model in a scratch graph tells: layers, shapes, ending, activations."""
    return kept(recipe, "anatomy", lambda: _anatomy(recipe))


def _anatomy(recipe):
    stateful = [layer.name for layer in recipe.base._flatten_layers() if getattr(layer, "stateful", False)]
    if stateful:
        raise ValueError(
            f"model: {stateful} keep a state from call to call, so that an answer depends on what was asked before. "
            "Cure: the same layers with stateful=False."
        )
    found = []

    def build(run):
        _check_channels(run)
        kinds = [operation.type for operation in run.logits.graph.get_operations()]
        inner = [kind for kind in kinds if kind in OTHER_ACTIVATIONS]
        if run.kind == "sigmoid" and "Sigmoid" in inner:
            inner.remove("Sigmoid")  # the one that ends the model
        relus = sum(kind in RELUS for kind in kinds)
        if any(node.op in RELUS for each in run.logits.graph.as_graph_def().library.function for node in each.node_def):
            inner.append("ReLU inside a loop")  # a recurrent layer, say: there no rule reaches it
        slopes = sum(isinstance(call.layer, keras.layers.PReLU) for call in run.calls)
        if slopes:  # one is written with two ReLUs, and no rule is defined for it
            relus, inner = relus - 2 * slopes, [*inner, "PReLU"]
        # The model itself is left out: what is kept for a model must not keep it alive.
        calls = tuple(call for call in run.calls if call.layer is not recipe.base)
        found.append(
            Anatomy(
                calls,
                run.logits.shape[-1],
                run.values.shape[-1],
                run.kind,
                relus,
                frozenset(inner),
                run.inputs,
                run.logits,
            )
        )
        return run.logits

    compiled_once(recipe, build, (), None, False)
    return found[0]


def _check_channels(run):
    """Refuse images without an axis of channels: their width would be taken for channels of a signal."""
    shape, read = run.inputs.shape, [run.inputs]
    while any(operation.type in ("Identity", "Cast") for operation in read[-1].consumers()):
        read.append(next(each for each in read[-1].consumers() if each.type in ("Identity", "Cast")).outputs[0])
    made = [each.outputs[0].shape for each in read[-1].consumers() if each.type in ("Reshape", "ExpandDims")]
    if shape.rank == 3 and any(other.rank == 4 and tuple(other[1:]) == (*shape[1:], 1) for other in made):
        size = (*shape[1:], 1)
        cure = (
            f"x = keras.Input({size}); model = keras.Model(x, model(keras.ops.squeeze(x, -1))); "
            "inputs = numpy.asarray(inputs)[..., None]"
        )
        given = f"a model that takes images {tuple(shape[1:])} without an axis of channels"
        raise ArgumentValueError("model", given, "images (N, H, W, C)", cure)


def find_layer(recipe, layer=None, spatial=False):
    """Return the `Call` of a layer given by name or object; None means the last one that still has space.

    Raises `ValueError`, listing the spatial layers, for an unknown or ambiguous name or, with `spatial`, for a
    layer whose output has no positions left.
    """
    seen = anatomy(recipe)
    calls = seen.calls
    if recipe.ending.layer is not None:  # what comes after the unit has no part in it
        last = max(place for place, call in enumerate(calls) if call.layer is recipe.ending.layer)
        calls = calls[: last + 1]
    places = [call for call in seen.places if any(call is other for other in calls)]
    names = [call.layer.name for call in places]
    if layer is None:
        if not places:
            raise ValueError(
                "layer: no layer of this model keeps space, so there is no map to make. "
                "Cure: a method that needs no layer, such as saliency."
            )
        return places[-1]
    found = [call for call in calls if call.layer is layer or (isinstance(layer, str) and call.layer.name == layer)]
    label = checks.shown(layer if isinstance(layer, str) else getattr(layer, "name", layer))
    if not found:
        raise ValueError(f"layer: {label} is not in the model; its spatial layers are {names}.")
    if len(found) > 1:
        given, allowed = (
            f"{label}, which stands for {len(found)} calls",
            f"a layer that is called once, such as {names}",
        )
        raise ArgumentValueError("layer", given, allowed)
    if spatial and not found[0].spatial:
        raise ValueError(f"layer: {label} has no positions left (shape {found[0].shape}); choose one of {names}.")
    if spatial and (found[0].inner or len(found[0].shape) != len(seen.inputs.shape)):
        raise ValueError(
            f"layer: {label} has other axes (shape {found[0].shape}) than the input {seen.inputs.shape}, so its "
            f"positions are no places in the input; choose one of {names}."
        )
    return found[0]
