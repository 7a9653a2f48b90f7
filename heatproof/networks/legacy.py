"""Networks that Keras 2 wrote (HDF5, and the first zip archives), rebuilt in Keras 3 without running code of the file.

The configuration is read as data: which layers there are (`legacy_layers`), what they are called with, here, which
plain functions of TensorFlow stand between them (`legacy_operations`), and which weights they hold (`legacy_weights`).
"""

import json
import zipfile

import h5py
import keras

from heatproof.networks import legacy_operations, legacy_weights
from heatproof.networks.legacy_layers import layer_name, make, named, policy
from heatproof.networks.legacy_weights import UnreadableError

_MODELS = ("Functional", "Model", "Network")
_FUNCTIONS = ("TFOpLambda", "SlicingOpLambda")
_CONSTANT = "_CONSTANT_VALUE"


def configuration(path):
    """The version of Keras that wrote a model file, as a text, and the configuration in it, a dictionary."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(archive.read("metadata.json")) if "metadata.json" in archive.namelist() else {}
            return metadata.get("keras_version", "3"), json.loads(archive.read("config.json"))
    with h5py.File(path) as file:
        if "model_config" not in file.attrs:
            raise UnreadableError("holds weights alone", "build the model in code, then call model.load_weights(path)")
        version = file.attrs.get("keras_version", "1")
        return version.decode() if isinstance(version, bytes) else version, json.loads(file.attrs["model_config"])


def load(path, custom_objects):
    """Build the network of a file that Keras 2 wrote, with its weights; uncompiled.

    ``custom_objects`` maps names to layer classes, to activations and to functions of TensorFlow (``"tf.sort"``).
    Raises ``UnreadableError`` for what is not known, naming it, and ``OSError`` for a damaged file.
    """
    version, part = configuration(path)
    if version.startswith("1"):
        raise UnreadableError(f"was written by Keras {version}", "load it in Keras 2.2 and save it again")
    reader = _Reader()
    with keras.saving.custom_object_scope(custom_objects):
        model = reader.layer(part)
    if not getattr(model, "inputs", None):
        raise UnreadableError(
            "does not hold the shape of its inputs",
            "build the model in code, call it once, then call model.load_weights(path)",
        )
    legacy_weights.fill(model, reader.inside, path)
    return model


class _Reader:
    """Builds models from a configuration of Keras 2; ``inside`` notes of each model how its parts were stored."""

    def __init__(self):
        self.inside = {}

    def layer(self, part):
        """The layer, or the model, of one part of the configuration."""
        own = named(part.get("registered_name"), part["class_name"])
        if "input_layers" in part["config"] and (own or part["class_name"] in _MODELS):
            return self._functional(part["config"], own or keras.Model)
        if own is None and part["class_name"] == "Sequential":
            own = keras.Sequential
        if isinstance(own, type) and issubclass(own, keras.Sequential):
            return self._sequential(part, own)
        return make(part, self.layer)

    def _sequential(self, part, kind):
        """A Sequential; before Keras 2.2.3 its configuration was the list of its layers."""
        config = part["config"] if isinstance(part["config"], dict) else {"layers": part["config"]}
        steps = [step for step in config["layers"] if step["class_name"] != "InputLayer"]
        start = [_input(step["config"]) for step in config["layers"] if step["class_name"] == "InputLayer"]
        layers = [self.layer(step) for step in steps]
        if not start and (shape := _first_shape(part)):
            start = [keras.Input(batch_shape=shape)]
        model = kind(start + layers, name=layer_name(config.get("name")))
        return self._noted(model, config, zip(layers, steps, strict=True))

    def _functional(self, config, kind):
        """A graph of layers: each call is made as soon as what goes into it is there."""
        steps = {step["name"]: step for step in config["layers"]}
        inputs = {name: step for name, step in steps.items() if step["class_name"] == "InputLayer"}
        tensors = {(name, 0): [_input(step["config"])] for name, step in inputs.items()}
        layers = {name: self.layer(step) for name, step in steps.items() if _holds_layer(step)}
        waiting = []  # calls: name of the layer, number (0 of a model is its call on its own inputs), what goes in
        for name, step in steps.items():
            first = int(id(layers.get(name)) in self.inside)
            waiting += [(name, number, node) for number, node in enumerate(step["inbound_nodes"], start=first)]
        while waiting:
            later = []
            for name, number, node in waiting:
                if _needs(node, steps) <= tensors.keys():
                    outputs = _called(steps[name], layers.get(name), node, tensors)
                    tensors[name, number] = keras.tree.flatten(outputs)
                else:
                    later.append((name, number, node))
            if len(later) == len(waiting):
                raise UnreadableError(f"holds a graph in which nothing reaches the layer {later[0][0]!r}")
            waiting = later
        ends = [_single(_filled(config[key], tensors)) for key in ("input_layers", "output_layers")]
        model = kind(*ends, name=layer_name(config.get("name")))
        return self._noted(model, config, ((layer, steps[name]) for name, layer in layers.items()))

    def _noted(self, model, config, parts):
        stored = [legacy_weights.Stored(layer, step) for layer, step in parts]
        self.inside[id(model)] = legacy_weights.Inside(stored, config.get("trainable", True))
        return model


def _input(config):
    """The symbolic tensor of an input layer."""
    if config.get("ragged"):
        raise UnreadableError(f"has the ragged input {config['name']!r}, which Keras 3 does not have", "pad its rows")
    shape = config["batch_input_shape"]
    return keras.Input(batch_shape=shape, dtype=policy(config.get("dtype")), name=layer_name(config["name"]))


def _first_shape(part):
    """The shape of a Sequential's inputs where no input layer says it: its first layer does, or its first call."""
    while True:
        config = part["config"]
        steps = config.get("layers") if isinstance(config, dict) else config
        known = config if isinstance(config, dict) else {}
        shape = known.get("batch_input_shape") or known.get("build_input_shape")
        shape = shape or (part.get("build_config") or {}).get("input_shape")
        if shape or not steps:
            return shape
        part = steps[0]


def _holds_layer(step):
    return step["class_name"] not in (*_FUNCTIONS, "InputLayer")


def _called(step, layer, node, tensors):
    """What a layer, or a function of TensorFlow, makes of its inputs."""
    leaf = node
    while not _is_reference(leaf):
        leaf = next(iter(leaf.values())) if isinstance(leaf, dict) else leaf[0]
    options = leaf[3] if len(leaf) == 4 else {}
    options = {key: _filled(value, tensors) for key, value in options.items() if value is not None}
    inputs = _filled(node, tensors)
    if layer is None:
        return _applied(step, inputs, options)
    inputs = _single(inputs)
    if isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional)) and isinstance(inputs, list):
        inputs, options = inputs[0], options | {"initial_state": inputs[1:]}
    return layer(inputs, **options)


def _applied(step, inputs, options):
    symbol = f"tf.{step['config']['function']}"
    cure = f"name a function of keras.ops that does it, load_model(path, custom_objects={{{symbol!r}: ...}})"
    function = named(symbol) or legacy_operations.PLAIN_OPERATIONS.get(step["config"]["function"])
    if function is None:
        raise UnreadableError(f"calls {symbol} in the layer {step['name']!r}, no plain function that is read", cure)
    try:
        return legacy_operations.apply(function, layer_name(step["name"]), inputs, options)
    except Exception as error:
        told = f"calls {symbol} in the layer {step['name']!r} with {options}, which could not be done"
        raise UnreadableError(f"{told} ({error})", cure) from error


def _is_reference(value):
    """Whether it is [name of a layer, number of its call, number of the output], perhaps with options."""
    return isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str) and isinstance(value[1], int)


def _needs(value, steps):
    """The calls, (name of a layer, number), whose outputs go into a call."""
    if _is_reference(value) and (value[0] in steps or value[0] == _CONSTANT):
        own = set() if value[0] == _CONSTANT else {(value[0], value[1])}
        return own.union(*(_needs(each, steps) for each in (value[3].values() if len(value) == 4 else ())))
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*(_needs(part, steps) for part in parts))


def _filled(value, tensors):
    """The same structure with tensors in the place of references."""
    if _is_reference(value) and value[0] == _CONSTANT:
        return value[2]
    if _is_reference(value) and (value[0], value[1]) in tensors:
        return tensors[value[0], value[1]][value[2]]
    if isinstance(value, dict):
        return {key: _filled(each, tensors) for key, each in value.items()}
    return [_filled(each, tensors) for each in value] if isinstance(value, list) else value


def _single(value):
    return value[0] if isinstance(value, list) and len(value) == 1 else value
