"""The head that CAM needs: global average pooling (GAP) and one dense layer."""

import keras
import numpy as np

from heatproof.engine.owned import operations
from heatproof.engine.ways import Ways
from heatproof.problems import ArgumentValueError

_POOLINGS = tuple(getattr(keras.layers, f"GlobalAveragePooling{rank}D") for rank in (1, 2, 3))
_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_PASSED = (keras.layers.Dropout, keras.layers.Flatten, keras.layers.Reshape, keras.layers.Identity)
_ENDINGS = (keras.layers.Activation, keras.layers.Softmax, *_PASSED)
_HEAD = "for CAM, global average pooling and one Dense (or 1x1 convolution) layer"
_CURE = "use grad_cam, which needs no special head"


def gap_head(query):
    """Return the pooling layer, the weights (K, classes) and the bias (classes,) of a GAP + Dense head."""
    on_the_way = {operation.name for operation in Ways(query.anatomy.inputs, query.anatomy.values).operations}
    made = enumerate(operations(query.anatomy.inputs.graph))
    read = {number for number, operation in made if operation.name in on_the_way}  # and not by another output alone
    calls = [call for call in query.anatomy.calls if not read.isdisjoint(call.made)]
    called = {id(call.layer) for call in calls}
    calls = [call for call in calls if called.isdisjoint(map(id, _inside(call.layer)))]
    pooling, head = _ends_in_gap([call.layer for call in calls])
    pooled = [call.input for call in calls if call.layer is pooling]
    in_place = [len(x.shape) == query.inputs.ndim and x.name not in query.moved for x in pooled]
    if query.anatomy.kind == "unit" or in_place != [True]:
        raise no_gap_head(f"a head that ends in {[call.layer.name for call in calls[-4:]]}")
    if head is None:  # the maps are the classes: network in network, Lin et al. 2014
        return pooling, np.eye(query.anatomy.classes), np.zeros(query.anatomy.classes)
    weights = np.asarray(head.kernel.value)
    weights = weights.reshape(-1, weights.shape[-1])
    bias = np.zeros(weights.shape[-1]) if head.bias is None else np.asarray(head.bias.value)
    if weights.shape[-1] == 1 and query.score.kind != "value":  # one sigmoid unit z: class 0 has -z, class 1 has z
        weights, bias = weights * [-1, 1], bias * [-1, 1]
    return pooling, weights, bias


def _inside(layer):
    """The layers that a layer calls for itself: a model inside, a block or a head of one's own; an operation, none."""
    return layer._flatten_layers(include_self=False) if isinstance(layer, keras.layers.Layer) else ()


def _ends_in_gap(layers):
    layers = list(layers)
    while layers and isinstance(layers[-1], _ENDINGS):
        layers.pop()
    if layers and isinstance(layers[-1], _POOLINGS):
        return layers[-1], None
    head = layers.pop() if layers else None
    pointwise = isinstance(head, _CONVOLUTIONS) and set(head.kernel_size) == {1}
    while layers and isinstance(layers[-1], _PASSED):
        layers.pop()
    fits = (isinstance(head, keras.layers.Dense) or pointwise) and layers and isinstance(layers[-1], _POOLINGS)
    return (layers[-1], head) if fits else (None, None)


def no_gap_head(given):
    """The refusal of a model with another head."""
    return ArgumentValueError("model", given, _HEAD, _CURE)
