"""Networks whose channels come first: refused by the methods, and turned into their twin with the channels last."""

import keras
import numpy as np

from heatproof.problems import ArgumentTypeError, ArgumentValueError

_CURE = "model = xu.channels_last(model); inputs = numpy.moveaxis(numpy.asarray(inputs), 1, -1)"
TOLERANCE = 1e-4  # of the largest output, between a network and its twin


def is_first(model: keras.Model) -> bool:
    """Whether a convolution or a pooling of windows reads its channels from the second axis."""
    windows = [each for each in model._flatten_layers() if hasattr(each, "kernel_size") or hasattr(each, "pool_size")]
    return any(getattr(layer, "data_format", None) == "channels_first" for layer in windows)


def check_layout(model: keras.Model) -> None:
    """Refuse a model whose channels come first: the axes of its maps would be taken for others."""
    if is_first(model):
        given = "a model whose channels come first (data_format='channels_first')"
        raise ArgumentValueError("model", given, "one whose channels come last", _CURE)


def channels_last(model: keras.Model) -> keras.Model:
    """Return the twin of a model whose channels come first that takes and keeps them last, with copies of its weights.

    twin(moveaxis(x, 1, -1)) = model(x): the layers are built again with data_format="channels_last", and what names
    axis 1 names the last one. The model itself is not changed; one whose channels come last comes back as it is. Raises
    `TypeError` for what is no functional or Sequential model, `ValueError` where the twin answers otherwise.
    """
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ArgumentTypeError("model", f"a {type(model).__name__}", "a functional or Sequential Keras model")
    if not is_first(model):
        return model
    shape = model.inputs[0].shape
    inputs = keras.Input((*shape[2:], shape[1]), dtype=model.inputs[0].dtype)
    try:
        twin = keras.models.clone_model(model, input_tensors=inputs, clone_function=_turned)
        twin.set_weights(model.get_weights())
        sample = np.random.default_rng(0).random((2, *(size or 32 for size in shape[1:]))).astype("float32")
        answers = np.asarray(twin(np.moveaxis(sample, 1, -1))), np.asarray(model(sample))
        equal = answers[0].shape == answers[1].shape
        equal = equal and np.abs(answers[0] - answers[1]).max() <= TOLERANCE * max(np.abs(answers[1]).max(), 1)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise _cannot(error) from error
    if not equal:
        raise _cannot("the twin gives other numbers")
    twin.input_range = getattr(model, "input_range", None)
    return twin


def _turned(layer):
    """The layer with its channels last."""
    config = layer.get_config()
    if "data_format" in config:
        config["data_format"] = "channels_last"
    if config.get("axis") in (1, [1]) and len(layer.output.shape) > 2:
        config["axis"] = -1
    return type(layer).from_config(config)


def _cannot(reason):
    given = f"a model that could not be turned: {reason}"
    return ArgumentValueError(
        "model", given, cure="build it with the channels last and copy the weights, layer by layer"
    )
