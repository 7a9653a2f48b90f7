"""The naive loops that a shortcut of ours saves: whole passes in batches of 32, nothing shared between them."""

import itertools

import keras
import numpy as np
import tensorflow as tf

from tools.peers.case import BATCH


def occlusion(case, _):
    """The mean loss of score over the patches that contain a position."""
    model, sizes, steps = case.network(), case.patch.tolist(), case.stride.tolist()
    run = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    space = case.inputs.shape[1:-1]
    starts = [range(0, side - size + 1, step) for side, size, step in zip(space, sizes, steps, strict=True)]
    windows = [
        tuple(slice(start, start + size) for start, size in zip(corner, sizes, strict=True))
        for corner in itertools.product(*starts)
    ]

    def covered(x, window):
        points = x.copy()
        points[window] = case.fill
        return points

    def explain(x, target):
        whole = run(x[None])[0, target].numpy()
        total, times = np.zeros(space), np.zeros(space)
        for start in range(0, len(windows), BATCH):
            part = windows[start : start + BATCH]
            scores = run(np.stack([covered(x, window) for window in part])).numpy()[:, target]
            for window, score in zip(part, scores, strict=True):
                total[window] += whole - score
                times[window] += 1
        return total / np.maximum(times, 1)

    return lambda: np.stack([explain(*pair) for pair in zip(case.inputs, case.targets, strict=True)])


def ablation_cam(case, _):
    """The whole network again for every map of the layer, with that map set to 0."""
    model = case.network()
    activation = model.get_layer(case.layer).output
    below, above = keras.Model(model.inputs[0], activation), keras.Model(activation, model.output)
    channels, ones = activation.shape[-1], (1,) * (len(activation.shape) - 2)
    run = tf.function(lambda x, kept: above(below(x) * kept), reduce_retracing=True)
    see = tf.function(lambda x: below(x))

    def explain(x, target):
        A = see(x[None])[0].numpy()
        lost = []
        for start in range(0, channels, BATCH):
            kept = 1 - np.eye(channels, dtype="float32")[start : start + BATCH]
            copies = np.repeat(x[None], len(kept), axis=0)
            lost.append(-run(copies, kept.reshape(len(kept), *ones, channels)).numpy()[:, target])
        whole = model(x[None])[0, target].numpy()
        return np.maximum(A @ (whole + np.concatenate(lost)), 0)

    def maps():
        found = np.stack([explain(*pair) for pair in zip(case.inputs, case.targets, strict=True)])
        grid = found[..., None] if case.is_image else found[..., None, None]
        size = (*case.inputs.shape[1:-1], 1)[:2]
        return tf.image.resize(grid, size).numpy().reshape(len(found), *case.inputs.shape[1:-1])

    return maps


METHODS = {"occlusion": occlusion, "ablation_cam": ablation_cam}
