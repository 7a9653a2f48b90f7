"""The networks and inputs that every contender gets, as files: python -m benchmarks.cases FOLDER NETWORK...

FOLDER/NETWORK holds model.keras (ends in probabilities), logits.keras (the same before the softmax) and inputs.npz.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from skimage.transform import resize

import mnist1d_utils as m1
import xai_utils as xu
from benchmarks.plan import SIDES, WINDOW
from tools.environment import ROOT
from tools.peers.case import Case
from tools.peers.making import last_convolution, write_case

INPUTS = 64
LAYERS = {"mobilenetv2": "out_relu"}  # what CAMs look at, where it is not the last convolution


def main(folder, networks):
    for name in networks:
        make(Path(folder) / name, *source(name), WINDOW[SIDES[name]], LAYERS.get(name))


def source(name):
    """Network and inputs; VGG-7 comes in several sizes of its input, with the same weights."""
    side = SIDES[name]
    if name == "mnist1d":
        return load("mnist1d"), m1.split(m1.make_dataset(), "test")[0][:INPUTS].astype("float32")
    if name == "efficientnet_lite0":
        return xu.imagenet_network(), repeated(xu.load_photos().images)
    if name == "faces":
        return load("faces"), repeated(xu.load_faces().images)
    model, tiles = load("hmt"), xu.tissue_phantom(INPUTS).images
    if side == model.input_shape[1]:
        return model, tiles
    tiles = np.stack([resize(tile, (side, side, 3)) for tile in tiles]).astype("float32")
    if name == "mobilenetv2":
        return of_a_seed(keras.applications.MobileNetV2), tiles
    wider = keras.models.clone_model(model, input_tensors=keras.Input((side, side, 3)))
    wider.set_weights(model.get_weights())
    return wider, tiles


def of_a_seed(build):
    """A network without downloads: every kernel drawn so that what it gives varies as much as what it is given.

    Keras' own draws make depthwise kernels so small that what is deep in the network is the same for all inputs.
    """
    model, generator = build(weights=None), np.random.default_rng(0)
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            shape = layer.kernel.shape
            reads = np.prod(shape[:-2] if isinstance(layer, keras.layers.DepthwiseConv2D) else shape[:-1])
            layer.kernel.assign(generator.normal(0, 1 / np.sqrt(reads), shape))
    return model


def load(name):
    return xu.load_model(ROOT / "models" / f"{name}.keras")


def repeated(images):
    return np.concatenate([images] * -(-INPUTS // len(images)))[:INPUTS]


def make(folder, model, inputs, window, layer=None):
    """Write the two networks and all that would else be chosen; every library draws for itself."""
    layer = model.get_layer(layer) if layer else last_convolution(model)
    tops = np.asarray(keras.Model(model.inputs[0], layer.output)(inputs[:2]))
    tops = tops.reshape(2, -1, tops.shape[-1])
    patch, stride = (np.full(inputs.ndim - 2, size) for size in window)
    case = Case(
        folder=folder,
        inputs=inputs,
        targets=np.asarray(model.predict(inputs, batch_size=32, verbose=0)).argmax(axis=-1).astype(np.int32),
        layer=layer.name,
        fill=0.5,
        patch=patch,
        stride=stride,
        segments=xu.superpixels(inputs[:8]),
        relevance=xu.relevance("saliency", xu.saliency(model, inputs[:8])),
        varied=(np.ptp(tops, axis=1) > 0).sum(axis=1).mean(),
    )
    write_case(case, model)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
