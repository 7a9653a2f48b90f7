"""Inputs made to excite a unit or a class.

Shared arguments (model, inputs, layer, seed) are explained in `xai_utils`. Every made input starts from a stated place
and takes steps of a stated length, so that the rise of the activation can be judged.
"""

from dataclasses import replace

import keras
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from heatproof import batches, checks
from heatproof.engine.anatomy import anatomy, find_layer
from heatproof.engine.endings import LOGITS, Channels, Energy
from heatproof.engine.query import Query
from heatproof.engine.views import View, recipe_of
from heatproof.enlarging import resize
from heatproof.problems import ArgumentValueError

LARGEST = 1e9  # of a step, a noise or a decay: what grows beyond it has no square in float32


def activation_maximization(
    model: keras.Model,
    layer: str | keras.layers.Layer,
    channels: npt.ArrayLike | None = None,
    *,
    iterations: int = 64,
    step: float = 1.0,
    noise: float = 0.1,
    blur: float = 0.0,
    jitter: int = 0,
    clip: bool = True,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs that excite single channels of a layer, by gradient ascent from noise.

    x <- x + step * g / (||g||_2 + 1e-8), g = da/dx, a = mean over space of the channel before its ReLU, `iterations`
    times; before the ReLU, because a unit that is off has no gradient behind it. x starts at the middle of the model's
    input range (0 without one) plus `noise` * standard normal numbers from `seed`, the same for every channel. Options
    that are off by default: `blur` (sigma of a Gaussian applied to x after each step), `jitter` (largest random shift
    of x before each step, in pixels). `clip` keeps x in model.input_range. A first layer is linear: without `clip` its
    channels have no best input. Returns (images (C, H, W, channels) or
    (C, T, channels), curve (C, iterations + 1) of a). Raises `ValueError` for an unknown layer or channel, and for a
    step that is not above 0. Source: Erhan et al. 2009, sec. 4.
    """
    recipe = replace(recipe_of(model), ending=LOGITS)
    call = find_layer(recipe, layer)
    channels = _channels(channels, call.shape[-1])
    view = View(replace(recipe, ending=Channels.at(call.layer)))
    start = np.repeat(_start(recipe, seed, noise), len(channels), axis=0)
    climb = _Climb(iterations, step, blur, jitter, recipe.base if checks.as_flag("clip", clip) else None, seed)
    return climb(view, start, channels)


def _channels(channels, count):
    """The checked channels of a layer that has `count`: int32 (C,)."""
    wanted = range(count) if channels is None else np.atleast_1d(checks.as_array("channels", channels)).tolist()
    if not wanted:
        allowed = f"one or more integers from 0 to {count - 1}, or None for all"
        raise ArgumentValueError("channels", "none", allowed)
    return np.array([checks.as_count("channels", each, 0, count - 1) for each in wanted], np.int32)


def class_model(
    model: keras.Model,
    targets: npt.ArrayLike,
    *,
    iterations: int = 200,
    step: float = 1.0,
    decay: float = 0.01,
    noise: float = 0.1,
    blur: float = 0.0,
    jitter: int = 0,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """The input that a class score likes best, kept small: a picture of the class and not of any example.

    Ascend S_c(x) - decay * ||x - x_0||^2 by normalised steps as in `activation_maximization`, from x_0, the middle of
    the model's input range. Plain pictures are fine grain; blur=0.5 with jitter=2 lets larger shapes form. Returns
    (images, curve of S_c). Raises `ValueError` for an unknown class, decay < 0.
    Source: Simonyan, Vedaldi, Zisserman 2014, sec. 2.
    """
    recipe = recipe_of(model)
    targets = np.atleast_1d(checks.as_array("targets", targets))
    count = max(1, targets.size)
    targets = batches.as_targets(targets, count, anatomy(recipe).classes)
    start = np.repeat(_start(recipe, seed, noise), count, axis=0)
    decay = checks.as_number("decay", decay, 0, LARGEST)
    climb = _Climb(iterations, step, blur, jitter, recipe.base, seed, decay, centre=_middle(recipe))
    return climb(model, start, targets)


def deep_dream(
    model: keras.Model,
    inputs: npt.ArrayLike,
    layer: str | keras.layers.Layer | None = None,
    *,
    iterations: int = 20,
    step: float = 0.5,
    octaves: int = 3,
) -> tuple[np.ndarray, np.ndarray]:
    """The inputs, changed so that a layer answers more strongly to whatever it sees in them.

    Ascend the mean of A^2 over channels and space, from coarse to fine: in octave o the gradient is reduced by 2^o and
    enlarged again, so that large shapes come first; each step has the length `step` * sqrt(number of values) / 100.
    The result is kept in model.input_range. Returns (images, curve of the mean of A^2, over all octaves). Raises
    `ValueError` for octaves outside 1 to 16. Source: Mordvintsev, Olah, Tyka 2015.
    """
    octaves, step = checks.as_count("octaves", octaves, 1, 16), checks.as_number("step", step, 0, LARGEST, True)
    recipe = replace(recipe_of(model), ending=LOGITS)
    view = View(replace(recipe, ending=Energy.at(find_layer(recipe, layer).layer)))
    images, curves = Query(view, inputs).inputs, []
    for octave in reversed(range(octaves)):
        climb = _Climb(iterations, step * np.sqrt(images[0].size) / 100, 0.0, 0, recipe.base, octave=octave)
        images, curve = climb(view, images, None)
        curves.append(curve)
    return images, np.concatenate(curves, axis=1)


class _Climb:
    """Gradient ascent by steps of one length."""

    def __init__(self, iterations, step, blur, jitter, bounded, seed=0, decay=0.0, centre=0.0, octave=0):
        self.iterations = checks.as_count("iterations", iterations)
        self.step = checks.as_number("step", step, 0, LARGEST, open_ends=True)
        self.blur, self.jitter = blur, jitter
        self.range = getattr(bounded, "input_range", None)
        self.random = np.random.default_rng([seed, 1])  # the shifts; the start has a stream of its own
        self.decay, self.centre, self.octave = decay, centre, octave

    def __call__(self, model, start, targets):
        start = start if self.range is None else np.clip(start, *self.range)
        longest = max(start.shape[1:-1])
        self.blur = checks.as_number("blur", self.blur, 0, longest)
        self.jitter = checks.as_count("jitter", self.jitter, 0, longest)
        query = Query(model, start, targets)
        space = tuple(range(1, start.ndim))
        x, curve, moves = query.inputs.copy(), [query.scores(query.inputs)], np.zeros(len(start), bool)
        for _ in range(self.iterations):
            shift = self.random.integers(-self.jitter, self.jitter + 1, start.ndim - 2)
            moved = np.roll(x, shift, space[:-1])
            g = np.roll(query.gradient(moved), -shift, space[:-1]) - 2 * self.decay * (x - self.centre)
            g = self._coarse(g)
            moves |= g.any(axis=space)
            x = x + self.step * g / (np.sqrt((g**2).sum(axis=space, keepdims=True)) + 1e-8)
            if self.blur:
                x = gaussian_filter(x, [0, *[self.blur] * (start.ndim - 2), 0])
            if self.range is not None:
                x = np.clip(x, *self.range)
            curve.append(query.scores(x))
        if not moves.all():
            dead = query.targets[~moves].tolist()
            checks.warn(f"no gradient at any step for {dead}: dead from this start. Cure: more noise, another seed.")
        return x.astype(np.float32), np.stack(curve, axis=1).astype(np.float32)

    def _coarse(self, g):
        if not self.octave:
            return g
        small = [max(1, side >> self.octave) for side in g.shape[1:-1]]
        bands = [resize(resize(g[..., k], small), g.shape[1:-1]) for k in range(g.shape[-1])]
        return np.stack(bands, axis=-1)


def _start(recipe, seed, noise):
    shape = recipe.shape[1:]
    if None in shape:
        given = f"one that takes inputs of any size, {recipe.shape}"
        raise ArgumentValueError("model", given, cure="build it with a fixed input shape")
    noise, seed = checks.as_number("noise", noise, 0, LARGEST), checks.as_count("seed", seed, 0)
    return (_middle(recipe) + noise * np.random.default_rng(seed).standard_normal((1, *shape))).astype(np.float32)


def _middle(recipe):
    return float(np.mean(getattr(recipe.base, "input_range", None) or (0.0, 0.0)))
