"""One layer of Keras 2 as a layer of Keras 3: what was renamed, what is gone, what computes something else now.

A class stands in `_LAYERS`, or the caller has named it, or it is refused: no other class is ever made. Initializers,
regularizers and constraints are left out; they say how to train, not what the network computes.
"""

import inspect
import re
from typing import Any

import keras
from keras import ops

from heatproof.networks.legacy_weights import UnreadableError

_LAYERS = frozenset(
    """
    Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D
    AveragePooling2D AveragePooling3D BatchNormalization Bidirectional CategoryEncoding CenterCrop Concatenate Conv1D
    Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Cropping1D
    Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU EinsumDense Embedding Flatten GRU
    GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization Identity LSTM LSTMCell
    LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum MultiHeadAttention
    Multiply Normalization PReLU Permute RNN RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation
    RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape Resizing SeparableConv1D SeparableConv2D
    SimpleRNN SimpleRNNCell Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization
    StackedRNNCells Subtract TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D
    ZeroPadding2D ZeroPadding3D
    """.split()
)
_RENAMED_LAYERS = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "ThresholdedReLU": "ReLU",
}
_RENAMED_ARGUMENTS = {("LeakyReLU", "alpha"): "negative_slope", ("ThresholdedReLU", "theta"): "threshold"}
_MISSING_ARGUMENTS = {"GRU": {"reset_after": False}, "GRUCell": {"reset_after": False}}  # what they were before TF 2
_TRAINING = re.compile("_(initializer|regularizer|constraint)$")
_ANY = object()
# Arguments that Keras 3 has no more, with the values that change nothing; any other value is refused.
_GONE: dict[str, Any] = {
    **dict.fromkeys(("adjustment", "causal", "noise_shape", "renorm", "virtual_batch_size"), (None, False)),
    **dict.fromkeys(("batch_input_shape", "fused", "implementation", "input_dtype", "input_length", "unroll"), _ANY),
    **dict.fromkeys(("key_shape", "query_shape", "value_shape"), _ANY),
    **dict.fromkeys(("ragged", "sparse", "time_major", "input_dim"), (None, False)),
    **dict.fromkeys(("renorm_clipping", "renorm_momentum"), _ANY),
    "groups": (1,),
    "rng_type": _ANY,
    "softmax_robust_masking": (False,),
}


@keras.saving.register_keras_serializable(package="heatproof")
def hard_sigmoid(x):
    """min(1, max(0, 0.2 x + 0.5)), the hard sigmoid of Keras 2; that of Keras 3 rises by 1/6."""
    return ops.clip(ops.add(ops.multiply(x, 0.2), 0.5), 0.0, 1.0)


_ACTIVATIONS = {"hard_sigmoid": hard_sigmoid, "softmax_v2": "softmax"} | {
    name: name
    for name in "elu exponential gelu leaky_relu linear mish relu relu6 selu sigmoid silu softmax softplus softsign "
    "swish tanh".split()
}


def make(part, nested):
    """The layer of one part of the configuration; ``nested(part)`` makes the layers inside it.

    Raises ``UnreadableError`` for a class, an argument or an activation that is not known, with its name.
    """
    name, config = part["class_name"], part["config"]
    own = named(part.get("registered_name"), name, name.rpartition(">")[2])
    if own is None and _RENAMED_LAYERS.get(name, name) not in _LAYERS:
        raise UnreadableError(
            f"has a layer {config.get('name')!r} of the class {name}, which Keras 3 does not have",
            f"name the class, load_model(path, custom_objects={{{name!r}: ...}})",
        )
    try:
        layer = _of_keras(name, config, nested) if own is None else own.from_config(_of_others(config))
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError(
            f"has a layer {config.get('name')!r} of the class {name} that could not be made ({error})",
            f"name a class that takes {sorted(config)}, load_model(path, custom_objects={{{name!r}: ...}})",
        ) from error
    layer.trainable = config.get("trainable", True)
    return layer


def named(*names):
    """The first of these names that the caller has given an object for, in ``custom_objects`` or by registering it."""
    found = (keras.saving.get_registered_object(name) for name in names if name)
    return next((each for each in found if each is not None), None)


def _of_keras(name, config, nested):
    """A layer of Keras, its arguments named as Keras 3 does; an argument that is gone must have said nothing."""
    kind = getattr(keras.layers, _RENAMED_LAYERS.get(name, name))
    accepted = {*inspect.signature(kind).parameters, "name", "dtype"}
    arguments = dict(_MISSING_ARGUMENTS.get(name, {}))
    for old, value in config.items():
        key = _RENAMED_ARGUMENTS.get((name, old), old)
        if key == "trainable" or _TRAINING.search(key):
            continue
        if key in accepted:
            arguments[key] = _argument(key, value, nested)
        elif _GONE.get(key) is not _ANY and value not in _GONE.get(key, ()):
            raise UnreadableError(
                f"has a layer {config.get('name')!r} of the class {name} with {key}={value!r}, gone in Keras 3",
                f"name a class that does it, load_model(path, custom_objects={{{name!r}: ...}})",
            )
    return kind(**arguments)


def _of_others(config):
    """The arguments of a class that is not of Keras: its own as they are, those of every layer as Keras 3 has them."""
    plain = {key: value for key, value in config.items() if key != "batch_input_shape"}
    return plain | {key: _argument(key, plain[key], None) for key in ("name", "dtype") if key in plain}


def _argument(key, value, nested):
    if key in ("activation", "recurrent_activation"):
        return _activation(value, nested)
    if key == "cells":
        return [nested(cell) for cell in value]
    if key == "name":
        return layer_name(value)
    if key == "dtype":
        return policy(value)
    if isinstance(value, dict) and (value.get("type") == "ndarray" or value.get("class_name") == "__numpy__"):
        return value.get("config", value)["value"]
    if isinstance(value, dict) and "class_name" in value:
        return nested(value)  # of a wrapper, or a cell
    return value[0] if key == "axis" and isinstance(value, list) and len(value) == 1 else value


def _activation(value, nested):
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value["config"]
    if isinstance(value, dict):
        return nested(value)
    own = named(value)
    if own is None and value is not None and value not in _ACTIVATIONS:
        raise UnreadableError(
            f"uses the activation {value!r}, which is not one of Keras 2",
            f"name the function, load_model(path, custom_objects={{{value!r}: ...}})",
        )
    return own or _ACTIVATIONS.get(value)


def layer_name(name):
    """A layer's name; Keras 3 takes no slash in it."""
    return name and name.replace("/", "_")


def policy(dtype):
    """A dtype, or a policy such as mixed_float16, as its name."""
    dtype = dtype["config"]["name"] if isinstance(dtype, dict) else dtype
    return None if dtype is None or dtype.startswith("_infer") else dtype
