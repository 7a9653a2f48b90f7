"""Oracles of kernels, activations, activation maximisation, class models and dreams: closed forms, hand-made nets."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy.ndimage import gaussian_filter

import models
import xai_utils as xu
from heatproof.enlarging import resize

SHAPES = [models.IMAGE, models.SIGNAL]


@pytest.fixture(scope="module", params=SHAPES, ids=["image", "signal"])
def net(request):
    return models.cnn(request.param)


def convolved(x, kernel, bias):
    """Cross-correlation with zeros around it ("same"), one position at a time."""
    size = kernel.shape[:-2]
    padded = np.pad(x, [(0, 0), *((side // 2, side // 2) for side in size), (0, 0)])
    out = np.zeros((*x.shape[:-1], kernel.shape[-1]))
    for place in np.ndindex(*x.shape[1:-1]):
        window = padded[(slice(None), *(slice(at, at + side) for at, side in zip(place, size, strict=True)))]
        out[(slice(None), *place)] = np.tensordot(window, kernel, kernel.ndim - 1)
    return out + bias


# --- kernels and activations ------------------------------------------------------------------------------------


def test_kernels_and_activations_are_those_of_a_manual_convolution(net):
    x, first = models.examples(net), net.get_layer("conv_1")
    kernel = xu.kernels(net, "conv_1")
    assert kernel.dtype == np.float32 and kernel.shape == tuple(first.kernel.shape)
    np.testing.assert_array_equal(xu.kernels(net, first), kernel)
    wanted = np.maximum(convolved(x.astype(float), kernel, first.bias.numpy()), 0)
    got = xu.activations(net, x, "conv_1", batch_size=3)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    pooled = wanted.reshape(4, *sum(((side // 2, 2) for side in x.shape[1:-1]), ()), 4)
    pooled = pooled.max(axis=tuple(range(2, pooled.ndim - 1, 2)))
    np.testing.assert_allclose(xu.activations(net, x, "pool"), pooled, rtol=1e-4, atol=1e-5)
    last = np.maximum(convolved(pooled, xu.kernels(net, "conv_2"), net.get_layer("conv_2").bias.numpy()), 0)
    np.testing.assert_allclose(xu.activations(net, x), last, rtol=1e-4, atol=1e-5, err_msg="None is conv_2")


def test_kernels_are_a_copy():
    model = models.cnn()
    before = model.get_layer("conv_1").kernel.numpy()
    xu.kernels(model, "conv_1")[:] = 7
    np.testing.assert_array_equal(model.get_layer("conv_1").kernel.numpy(), before)


def test_kernels_refuse_a_layer_without_any():
    for name in ("pool", "scores"):
        with pytest.raises(ValueError, match=f"layer: got '{name}', which is no convolution and has no kernels"):
            xu.kernels(models.cnn(), name)
    with pytest.raises(ValueError, match="layer: got 'conv_9', which is not in the model; allowed: .*conv_1"):
        xu.activations(models.cnn(), models.examples(models.IMAGE), "conv_9")


# --- activation maximisation ------------------------------------------------------------------------------------


def filters(shape=(6, 5, 2), activation="relu", bias=0.0, input_range=None):
    """Three 3x3 filters; the mean over space of each is linear in x, with the gradient `filter_gradients`."""
    inputs = keras.Input(shape)
    x = layers.Conv2D(3, 3, padding="same", activation=activation, name="filters")(inputs)
    model = models.randomised(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    kernel, _ = model.get_layer("filters").get_weights()
    model.get_layer("filters").set_weights([kernel, np.full(3, bias)])
    if input_range:
        model.input_range = input_range
    return model


def filter_gradients(model):
    """d mean(a_k) / dx: each pixel's response to a unit there, (3, H, W, C)."""
    shape, kernel = model.inputs[0].shape[1:], model.get_layer("filters").kernel.numpy()
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    return convolved(units, kernel, 0).mean(axis=(1, 2)).T.reshape(3, *shape)


@pytest.mark.parametrize("bias", [0.0, -5.0])
def test_activation_maximization_of_a_linear_filter_rises_by_step_times_norm_of_g(bias):
    """After 64 steps: 64 * step * ||g||, and x - x_0 = 64 * step * g / ||g||; a bias of -5 switches the ReLU off."""
    model, step = filters(bias=bias), 0.05
    g = filter_gradients(model)
    norm = np.sqrt((g**2).sum(axis=(1, 2, 3)))
    images, curve = xu.activation_maximization(model, "filters", step=step, seed=3)
    assert images.dtype == curve.dtype == np.float32 and images.shape == (3, 6, 5, 2) and curve.shape == (3, 65)
    start = 0.1 * np.random.default_rng(3).standard_normal((6, 5, 2))
    np.testing.assert_allclose(curve[:, 0], (g * start).sum(axis=(1, 2, 3)) + bias, rtol=1e-4, atol=1e-5)
    rise = step * norm[:, None] * np.arange(65)
    np.testing.assert_allclose(curve - curve[:, :1], rise, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(curve[:, -1] - curve[:, 0], 64 * step * norm, rtol=1e-3)
    np.testing.assert_allclose(images, start + 64 * step * g / norm[:, None, None, None], rtol=1e-3, atol=1e-4)


def test_activation_maximization_takes_channels_in_any_order_and_one_alone():
    model = filters()
    images, curve = xu.activation_maximization(model, "filters", iterations=4)
    for chosen in ([2, 0], 1, [1]):
        some, rise = xu.activation_maximization(model, "filters", chosen, iterations=4)
        np.testing.assert_allclose(some, images[np.atleast_1d(chosen)], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(rise, curve[np.atleast_1d(chosen)], rtol=1e-5, atol=1e-6)
    assert np.abs(images[0] - images[1]).max() > 1e-2


def test_activation_maximization_starts_at_the_middle_of_the_range_and_stays_in_it():
    model = filters(input_range=(2.0, 6.0))
    images, curve = xu.activation_maximization(model, "filters", noise=0.0, iterations=1, step=0.5)
    g = filter_gradients(model)
    norm = np.sqrt((g**2).sum(axis=(1, 2, 3), keepdims=True))
    np.testing.assert_allclose(images, 4 + 0.5 * g / norm, rtol=1e-4)
    np.testing.assert_allclose(curve[:, 0], 4 * g.sum(axis=(1, 2, 3)), rtol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images, _ = xu.activation_maximization(model, "filters", noise=3.0, step=5.0, iterations=20)
    assert images.min() == 2 and images.max() == 6
    np.testing.assert_allclose(images[g > 0.05 * norm], 6)  # 20 steps of 5 go 5 units and more there, from 2 at least
    free, _ = xu.activation_maximization(model, "filters", noise=0.0, step=5.0, iterations=20, clip=False)
    assert free.max() > 10


def test_activation_maximization_says_which_unit_is_dead():
    """Channel 1 sees only a map that is off; the others see one that is on."""
    inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(2, 1, activation="relu", name="first")(inputs)
    x = layers.Conv2D(3, 1, activation="relu", name="second")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    first = [np.ones((1, 1, 1, 2)), np.array([9.0, -9])]
    second = [np.array([[1.0, 0, 2], [0, 3, 0]]).reshape(1, 1, 2, 3), np.zeros(3)]
    model.set_weights([*first, *second, *model.layers[-1].get_weights()])
    with pytest.warns(xu.XAIWarning, match=r"no gradient at any step for \[1\]: dead.*another seed"):
        images, curve = xu.activation_maximization(model, "second", iterations=3)
    assert (np.diff(curve[1]) == 0).all() and (np.diff(curve[[0, 2]]) > 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xu.activation_maximization(model, "second", [2, 0], iterations=3)


def test_activation_maximization_seed_is_the_start_and_leaves_the_global_state_alone():
    model = filters()
    np.random.seed(5)
    expected = np.random.RandomState(5).random()
    one, again, other = (
        xu.activation_maximization(model, "filters", 0, iterations=2, jitter=1, seed=seed)[0] for seed in (1, 1, 2)
    )
    assert np.random.random() == expected
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1


def test_activation_maximization_blurs_after_each_step():
    model = filters()
    start = 0.1 * np.random.default_rng(0).standard_normal((1, 6, 5, 2)).astype("float32")
    g = filter_gradients(model)[:1]
    wanted = gaussian_filter(start + 0.3 * g / np.linalg.norm(g), [0, 0.8, 0.8, 0])
    got, _ = xu.activation_maximization(model, "filters", 0, iterations=1, step=0.3, blur=0.8)
    np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-5)


def test_activation_maximization_jitter_shifts_the_picture_and_shifts_the_gradient_back():
    """S = x in the middle: under shifts by at most 1 the gradient lands on its neighbours and nowhere else."""
    inputs = keras.Input((5, 5, 1))
    model = keras.Model(inputs, layers.Dense(1, use_bias=False)(layers.Flatten()(inputs)))
    weights = np.zeros((5, 5))
    weights[2, 2] = 1
    model.set_weights([weights.reshape(25, 1)])
    images, _ = xu.class_model(model, 1, iterations=60, step=1.0, decay=0, noise=0.0, jitter=1)
    hit = images[0, ..., 0]
    assert (hit[1:4, 1:4] > 0).all() and hit.sum() == pytest.approx(60, rel=1e-4)
    hit[1:4, 1:4] = 0
    assert not hit.any()


def test_activation_maximization_with_jitter_follows_the_written_loop(net):
    """x <- x + step g / ||g||: g is taken at x moved by (s, t) around the borders, and moved back by as much."""
    pooled = keras.Model(net.inputs, net.get_layer("pool").output)
    kernel, bias = net.get_layer("conv_2").weights
    seed, step, shape = 4, 0.7, net.inputs[0].shape[1:]
    x = 0.1 * np.random.default_rng(seed).standard_normal(shape).astype("float32")
    shifts = np.random.default_rng([seed, 1])
    for _ in range(3):
        shift = shifts.integers(-2, 3, len(shape) - 1)
        at = np.ix_(*[(np.arange(side) - s) % side for side, s in zip(shape, shift, strict=False)])
        with tf.GradientTape() as tape:
            moved = tf.constant(x[at][None])
            tape.watch(moved)
            a = tf.nn.convolution(pooled(moved), tf.convert_to_tensor(kernel), padding="SAME") + bias
            mean = tf.reduce_mean(a[..., 1])
        g = np.empty(shape, np.float32)
        g[at] = tape.gradient(mean, moved)[0].numpy()
        x = x + step * g / np.linalg.norm(g)
    got, _ = xu.activation_maximization(net, "conv_2", 1, iterations=3, step=step, jitter=2, seed=seed)
    np.testing.assert_allclose(got[0], x, rtol=1e-3, atol=1e-5)


BAD = {
    "channel": (ValueError, "channels: got 3; allowed: an integer of at least 0 and at most 2", {"channels": [0, 3]}),
    "fraction": (TypeError, "channels: got 0.5", {"channels": 0.5}),
    "iterations": (ValueError, "iterations: got 0", {"iterations": 0}),
    "step": (ValueError, "step: got 0", {"step": 0}),
    "noise": (ValueError, "noise: got -1", {"noise": -1}),
    "blur": (ValueError, "blur: got -1", {"blur": -1}),
    "jitter": (ValueError, "jitter: got -1", {"jitter": -1}),
    "clip": (TypeError, "clip: got 1", {"clip": 1}),
    "seed": (TypeError, "seed: got None", {"seed": None}),
    "layer": (ValueError, "layer: got 'conv_9', which is not in the model", {"layer": "conv_9"}),
}


@pytest.mark.parametrize("exception, message, options", BAD.values(), ids=BAD)
def test_activation_maximization_refuses_bad_arguments(exception, message, options):
    with pytest.raises(exception, match=message):
        xu.activation_maximization(**{"model": filters(), "layer": "filters", **options})


def test_activation_maximization_refuses_a_model_of_any_size():
    inputs = keras.Input((None, None, 1))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3, name="conv")(inputs))
    with pytest.raises(ValueError, match="model: got one that takes inputs of any size.*fixed input shape"):
        xu.activation_maximization(keras.Model(inputs, layers.Dense(2)(x)), "conv")


# --- class model ------------------------------------------------------------------------------------------------


def ascent(w, start, centre, iterations, step, decay):
    """x <- x + step g / ||g||, g = w - 2 decay (x - centre), in float64."""
    x, xs = start.astype(float), [start.astype(float)]
    for _ in range(iterations):
        g = w - 2 * decay * (x - centre)
        x = x + step * g / np.linalg.norm(g)
        xs.append(x)
    return xs


@pytest.mark.parametrize("shape", SHAPES)
def test_class_model_of_a_linear_model_follows_the_closed_form(shape):
    """S_c - decay ||x - x_0||^2 with x_0 the middle of the range, not the noisy start."""
    model = models.linear(shape, ending="softmax")
    model.input_range = (-50.0, 54.0)
    w, bias = models.linear_weights(model), model.layers[-1].bias.numpy()
    images, curve = xu.class_model(model, [2, 0], iterations=12, step=0.3, decay=0.4, noise=0.8, seed=6)
    start = 2 + 0.8 * np.random.default_rng(6).standard_normal(shape)
    for n, c in enumerate((2, 0)):
        xs = ascent(w[c], start, 2.0, 12, 0.3, 0.4)
        np.testing.assert_allclose(images[n], xs[-1], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(curve[n], [(w[c] * x).sum() + bias[c] for x in xs], rtol=1e-3, atol=1e-3)


def test_class_model_comes_to_rest_at_w_over_twice_the_decay():
    """The maximum of w.x - decay ||x||^2 is x = w / (2 decay); steps of length 0.01 stop within 0.01 of it."""
    model = models.linear((4, 2))
    w = models.linear_weights(model)[1]
    images, _ = xu.class_model(model, 1, iterations=300, step=0.01, decay=2.0, noise=0.0)
    assert np.linalg.norm(images[0] - w / 4) < 0.012 < np.linalg.norm(w / 4)


def test_class_model_is_of_the_class_that_was_asked_for():
    model = models.cnn(ending="softmax")
    images, curve = xu.class_model(model, [0, 1, 2], iterations=30, step=0.5)
    assert (curve[:, -1] > curve[:, 0]).all()
    np.testing.assert_array_equal(model.predict(images, verbose=0).argmax(axis=1), [0, 1, 2])
    logits = models.cnn(ending="logits")(images).numpy()[range(3), range(3)]
    np.testing.assert_allclose(curve[:, -1], logits, rtol=1e-4)


def test_class_model_refuses_bad_arguments():
    model = models.linear()
    for exception, message, options in (
        (ValueError, "targets: got indices from 3 to 3; allowed: a class index from 0 to 2", {"targets": 3}),
        (TypeError, "targets: got float64", {"targets": [0.5]}),
        (ValueError, "decay: got -1", {"targets": 0, "decay": -1}),
        (ValueError, "step: got 0", {"targets": 0, "step": 0.0}),
    ):
        with pytest.raises(exception, match=message):
            xu.class_model(model, **options)


# --- deep dream -------------------------------------------------------------------------------------------------


def energy_and_gradient(model, layer, x):
    """mean A^2 over space and channels, for one input, and its gradient by GradientTape."""
    split = keras.Model(model.inputs, model.get_layer(layer).output)
    with tf.GradientTape() as tape:
        x = tf.constant(x[None])
        tape.watch(x)
        energy = tf.reduce_mean(split(x) ** 2)
    return float(energy), tape.gradient(energy, x)[0].numpy()


@pytest.mark.parametrize("octaves", [1, 2])
def test_deep_dream_of_one_step_an_octave_is_written_out(net, octaves):
    """Steps of length 0.5 sqrt(values) / 100; in octave 1 the gradient is seen at half the resolution."""
    inputs = models.examples(net, 2)
    images, curve = xu.deep_dream(net, inputs, "conv_1", iterations=1, octaves=octaves)
    assert curve.shape == (2, 2 * octaves)
    for n, x in enumerate(inputs):
        length, energies = 0.5 * np.sqrt(x.size) / 100, []
        for octave in reversed(range(octaves)):
            energy, g = energy_and_gradient(net, "conv_1", x)
            if octave:
                bands = np.moveaxis(g, -1, 0)
                small = resize(bands, [side // 2 for side in x.shape[:-1]])
                g = np.moveaxis(resize(small, x.shape[:-1]), 0, -1)
            x = x + length * g / np.linalg.norm(g)
            energies += [energy, energy_and_gradient(net, "conv_1", x)[0]]
        np.testing.assert_allclose(images[n], x, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(curve[n], energies, rtol=1e-3)


def test_deep_dream_raises_its_objective_and_stays_in_range(net):
    inputs = np.clip(0.2 * models.examples(net, 2), -0.5, 0.5)
    net.input_range = (-0.5, 0.5)
    try:
        images, curve = xu.deep_dream(net, inputs, iterations=8, step=5.0)
    finally:
        del net.input_range
    assert (curve[:, -1] > 1.2 * curve[:, 0]).all()
    assert images.min() == -0.5 and images.max() == 0.5
    for x, n in zip(images, range(2), strict=True):
        assert curve[n, -1] == pytest.approx(energy_and_gradient(net, "conv_2", x)[0], rel=1e-4)


def test_deep_dream_leaves_the_inputs_alone_and_refuses_bad_arguments():
    model, x = models.cnn(), models.examples(models.IMAGE, 2)
    before = x.copy()
    xu.deep_dream(model, x, iterations=1, octaves=1)
    np.testing.assert_array_equal(x, before)
    for exception, message, options in (
        (ValueError, "octaves: got 0", {"octaves": 0}),
        (ValueError, "step: got 0", {"step": 0}),
        (TypeError, "step: got 'far'", {"step": "far"}),
        (ValueError, "layer: got 'conv_9'", {"layer": "conv_9"}),
    ):
        with pytest.raises(exception, match=message):
            xu.deep_dream(model, x, **options)
