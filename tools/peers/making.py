"""The networks, inputs and draws that all libraries get, written as cases into build/parity."""

from functools import partial

import keras
import numpy as np
from keras import layers

import mnist1d_utils as m1
import xai_utils as xu
from heatproof.methods.masks import RandomMasks
from heatproof.methods.shap import coalitions
from heatproof.writing import write
from tools.environment import ROOT
from tools.peers.case import NOISE, Case

FOLDER = ROOT / "build" / "parity"
ITEMS, SAMPLES, MASKS, ROWS = 4, 20, 100, 200  # inputs; noisy copies; masks of RISE; samples of LIME
PARTS, COALITIONS, BACKGROUND, DRAWS = 8, 100, 5, 20  # segments and samples of KernelSHAP; of Expected Gradients


def networks():
    """Yield name, network and inputs: a GAP head, a Flatten head, a signal."""
    yield "faces", xu.load_model(ROOT / "models" / "faces.keras"), xu.load_faces().images
    yield "flatten", flatten_network(), np.random.default_rng(1).random((50, 20, 16, 3), np.float32)
    yield "mnist1d", xu.load_model(ROOT / "models" / "mnist1d.keras"), m1.split(m1.make_dataset(), "test")[0][:50]


def flatten_network():
    """20x16 colours: two convolutions, one with stride 2, pooling, a Flatten head; every weight from a seed."""
    inputs = keras.Input((20, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv_1")(inputs)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Conv2D(12, 3, strides=2, padding="same", activation="relu", name="conv_2")(x)
    model = keras.Model(inputs, layers.Dense(5, activation="softmax", name="scores")(layers.Flatten()(x)))
    generator = np.random.default_rng(0)
    for variable in model.weights:
        spread = 0.1 if len(variable.shape) == 1 else np.sqrt(2 / np.prod(variable.shape[:-1]))
        variable.assign(generator.normal(0, spread, variable.shape))
    return model


def make_case(name, model, inputs, folder=FOLDER):
    """Write the two networks and the arrays that all libraries get; inputs of different predicted classes first."""
    predicted = np.asarray(model(inputs)).argmax(axis=-1)
    firsts = np.unique(predicted, return_index=True)[1]
    chosen = [*firsts, *np.setdiff1d(np.arange(len(inputs)), firsts)][:ITEMS]
    background = np.delete(inputs, chosen, axis=0)[:BACKGROUND]
    inputs, space = inputs[chosen], inputs.shape[1:-1]
    patch = np.array([side // 5 if side % 5 == 0 else side // 4 for side in space])
    patch += patch % 2  # a half of it is the other stride
    segments = blocks(space, patch)
    visible = np.random.default_rng(0).integers(0, 2, (ROWS, segments.max() + 1), np.int8)
    visible[0] = 1
    masks = RandomMasks((*space, 1), [min(7, side) for side in space], 0.5, 0)
    parts = blocks(
        space, [-(-side // count) for side, count in zip(space, (4, 2) if space[1:] else (PARTS,), strict=True)]
    )
    places, along = draws(len(background))
    case = Case(
        folder=folder / name,
        inputs=inputs,
        targets=predicted[chosen],
        layer=last_convolution(model).name,
        fill=float(inputs.mean()),
        patch=patch,
        stride=patch // 2,
        segments=np.repeat(segments[None], len(inputs), axis=0),
        noise=noise(inputs),
        masks=np.stack([masks.mask(number)[..., 0] for number in range(MASKS)]),
        visible=visible,
        parts=np.repeat(parts[None], len(inputs), axis=0),
        coalitions=coalitions(PARTS, COALITIONS, 0)[0].astype(np.int8),
        background=background,
        places=places,
        along=along,
    )
    write_case(case, model)
    return case


def noise(inputs):
    """What SmoothGrad adds: the same draws for every input, NOISE of its range."""
    generators = [np.random.default_rng([0, number]) for number in range(SAMPLES)]
    drawn = np.stack([generator.standard_normal(inputs.shape[1:], np.float32) for generator in generators])
    spread = NOISE * np.ptp(inputs.reshape(len(inputs), -1), axis=1)
    return np.stack([(sigma * drawn).astype(np.float32) for sigma in spread])


def draws(count):
    """Of Expected Gradients: from which of `count` inputs each draw starts, all in turn, and how far along it is."""
    generator = np.random.default_rng([0, DRAWS, 1])
    rounds = [generator.permutation(count) for _ in range(-(-DRAWS // count))]
    return np.concatenate(rounds)[:DRAWS], (np.arange(DRAWS) + np.random.default_rng([0, DRAWS]).random(DRAWS)) / DRAWS


def last_convolution(model):
    return [layer for layer in model.layers if hasattr(layer, "kernel_size")][-1]


def write_case(case, model):
    """The arrays, the network, and the same network before its softmax, that one for Keras 2 as well."""
    case.folder.mkdir(parents=True, exist_ok=True)
    case.save()
    model.save(case.folder / "model.keras")
    logits = keras.models.clone_model(model, clone_function=partial(without_softmax, last=model.layers[-1]))
    logits.set_weights(model.get_weights())
    logits.save(case.folder / "logits.keras")
    weights = {f"{layer.name}/{i}": each for layer in logits.layers for i, each in enumerate(layer.get_weights())}
    np.savez(case.folder / "weights.npz", **weights)
    write(case.folder / "logits.json", logits.to_json())


def without_softmax(layer, last):
    config = layer.get_config() | ({"activation": "linear"} if layer is last else {})
    return type(layer).from_config(config)


def blocks(space, patch):
    """Labels of equal blocks, row by row."""
    labels = np.zeros(space, int)
    for axis, (side, size) in enumerate(zip(space, patch, strict=True)):
        along = np.arange(side) // size
        labels = labels * (along[-1] + 1) + along.reshape([-1 if axis == other else 1 for other in range(len(space))])
    return labels
