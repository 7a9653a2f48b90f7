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
from benchmarks.plan import NETWORKS, WINDOW
from tools.environment import ROOT
from tools.parity import without_softmax

INPUTS = 64


def main(folder, networks):
    for name in networks:
        make(Path(folder) / name, *source(name), WINDOW[NETWORKS[name]])


def source(name):
    """Network and inputs; VGG-7 comes in several sizes of its input, with the same weights."""
    side = NETWORKS[name]
    if name == "mnist1d":
        return load("mnist1d"), m1.split(m1.make_dataset(), "test")[0][:INPUTS].astype("float32")
    if name == "faces":
        return load("faces"), repeated(xu.load_faces().images)
    model, tiles = load("hmt"), xu.tissue_phantom(INPUTS).images
    if side == model.input_shape[1]:
        return model, tiles
    wider = keras.models.clone_model(model, input_tensors=keras.Input((side, side, 3)))
    wider.set_weights(model.get_weights())
    return wider, np.stack([resize(tile, (side, side, 3)) for tile in tiles]).astype("float32")


def load(name):
    return xu.load_model(ROOT / "models" / f"{name}.keras")


def repeated(images):
    return np.concatenate([images] * -(-INPUTS // len(images)))[:INPUTS]


def make(folder, model, inputs, window):
    """Write the two networks and all that would else be drawn or chosen."""
    folder.mkdir(parents=True, exist_ok=True)
    layer = [layer for layer in model.layers if hasattr(layer, "kernel_size")][-1]
    tops = np.asarray(keras.Model(model.inputs[0], layer.output)(inputs[:2]))
    tops = tops.reshape(2, -1, tops.shape[-1])
    np.savez(
        folder / "inputs.npz",
        inputs=inputs,
        targets=np.asarray(model.predict(inputs, batch_size=32, verbose=0)).argmax(axis=-1).astype(np.int32),
        segments=xu.superpixels(inputs[:8]),
        relevance=xu.relevance("saliency", xu.saliency(model, inputs[:8])),
        fill=np.float32(0.5),
        window=np.array(window),
        layer=np.array(layer.name),
        varied=(np.ptp(tops, axis=1) > 0).sum(axis=1).mean(),
        size=tops.shape[-1],
    )
    model.save(folder / "model.keras")
    logits = keras.models.clone_model(model, clone_function=lambda one: without_softmax(one, model.layers[-1]))
    logits.set_weights(model.get_weights())
    logits.save(folder / "logits.keras")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
