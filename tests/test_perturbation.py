"""Oracles of occlusion, RISE, SISE, LIME and KernelSHAP: naive loops, closed forms, definitions, the lime package."""

import itertools
import math
import tracemalloc
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from lime.lime_image import LimeImageExplainer
from scipy.ndimage import gaussian_filter
from shapes import enlarged, line_weights, otsu, scaled
from skimage import data
from sklearn.linear_model import Ridge

import models
import xai_utils as xu
from heatproof.engine.query import Query
from heatproof.methods import lime, masks, segments, shap

TARGETS = np.array([2, 0, 1, 2])
SHAPES = [models.IMAGE, models.SIGNAL]


@pytest.fixture(scope="module", params=SHAPES, ids=["image", "signal"])
def net(request):
    """A ReLU network that ends in softmax, its twin that ends in logits, and inputs."""
    model = models.cnn(request.param)
    return model, models.cnn(request.param, ending="logits"), models.examples(model)


@pytest.fixture(scope="module", params=SHAPES, ids=["image", "signal"])
def linear(request):
    """A linear model, inputs, and w of each input's target."""
    model = models.linear(request.param, ending="softmax")
    return model, models.examples(model), models.linear_weights(model)[TARGETS]


@pytest.fixture(scope="module", params=SHAPES, ids=["image", "signal"])
def constant(request):
    """A model that answers the same to every input."""
    model = models.linear(request.param, ending="softmax")
    model.layers[-1].set_weights([0 * model.layers[-1].kernel.numpy(), np.array([0.3, -1.2, 0.7])])
    return model, models.examples(model)


def close(got, wanted, tolerance=1e-5):
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * np.abs(wanted).max(), strict=False)
    assert got.shape == wanted.shape and np.abs(wanted).max() > 1e-6


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def corners(space, patch, stride):
    """The first position of every patch: each stride, and one that touches the border."""
    starts = []
    for side, size, step in zip(space, patch, stride, strict=True):
        starts.append([at for at in range(side - size + 1) if at % step == 0 or at == side - size])
    return list(itertools.product(*starts))


def average_over_patches(space, patch, stride, value_of):
    """mean over the patches that contain p of value_of(patch), with value_of given the patch as slices."""
    total, times = np.zeros(space), np.zeros(space)
    for corner in corners(space, patch, stride):
        where = tuple(slice(at, at + size) for at, size in zip(corner, patch, strict=True))
        total[where] += value_of(where)
        times[where] += 1
    return total / times


# --- occlusion --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_occlusion_equals_the_naive_loop(net, score):
    model, twin, inputs = net
    rank = inputs.ndim - 2
    patch, stride = [3, 2][:rank], [2, 2][:rank]

    def drop(x, c, where):
        covered = x.copy()
        covered[where] = 0.7
        z = twin(np.stack([x, covered])).numpy()
        return np.subtract(*(z if score == "logit" else softmax(z))[:, c])

    wanted = np.stack([
        average_over_patches(x.shape[:-1], patch, stride, lambda where, x=x, c=c: drop(x, c, where))
        for x, c in zip(inputs, TARGETS, strict=True)
    ])  # fmt: skip
    got = xu.occlusion(model, inputs, TARGETS, patch=patch, stride=stride, fill=0.7, score=score, batch_size=5)
    close(got, wanted, 1e-5 if score == "logit" else 1e-4)


@pytest.mark.parametrize("patch, stride", [((3, 2), (2, 1)), ((8, 6), (1, 1)), ((1, 1), (1, 1)), ((3, 4), (3, 3))])
def test_occlusion_of_a_linear_model_is_w_times_what_the_patch_changes(patch, stride):
    """sum over the patch of w (x - fill), averaged over the patches that cover a position."""
    model = models.linear(ending="softmax")
    inputs, w = models.examples(model), models.linear_weights(model)[TARGETS]
    shares = (w * (inputs - 0.4)).sum(axis=-1)
    wanted = [average_over_patches((8, 6), patch, stride, lambda where, s=s: s[where].sum()) for s in shares]
    close(xu.occlusion(model, inputs, TARGETS, patch=patch, stride=stride, fill=0.4), np.stack(wanted), 1e-4)


def test_occlusion_takes_one_number_for_all_axes():
    model, x = models.linear(), models.examples(models.IMAGE)
    np.testing.assert_array_equal(
        xu.occlusion(model, x, 0, patch=3, stride=2), xu.occlusion(model, x, 0, patch=(3, 3), stride=[2, 2])
    )


def test_occlusion_by_hand_with_a_last_patch_that_touches_the_border():
    """S = x_1 + 10 x_2 + 100 x_3 + 1000 x_4 + 10000 x_5 at x = 1, patches of 2 at 1-2, 3-4 and, last, 4-5.

    The drops are 11, 1100 and 11000; sample 4 lies in two patches, so it has their mean 6050.
    """
    inputs = keras.Input((5, 1))
    model = keras.Model(inputs, layers.Dense(2, use_bias=False)(layers.Flatten()(inputs)))
    model.set_weights([np.outer(10.0 ** np.arange(5), [1, -1])])
    got = xu.occlusion(model, np.ones((1, 5, 1), "float32"), 0, patch=2, stride=2, fill="zero")
    np.testing.assert_allclose(got, [[11, 11, 1100, 6050, 11000]], rtol=1e-5)
    got = xu.occlusion(model, np.ones((1, 5, 1), "float32"), 1, patch=2, stride=2, fill="zero")
    np.testing.assert_allclose(got, [[-11, -11, -1100, -6050, -11000]], rtol=1e-5)


def test_occlusion_probability_map_is_the_mean_probability_under_the_patches(net):
    model, twin, inputs = net
    rank = inputs.ndim - 2

    def probability(x, c, where):
        covered = x.copy()
        covered[where] = 0
        return softmax(twin(covered[None]).numpy())[0, c]

    wanted = np.stack([
        average_over_patches(x.shape[:-1], [3] * rank, [2] * rank, lambda where, x=x, c=c: probability(x, c, where))
        for x, c in zip(inputs, TARGETS, strict=True)
    ])  # fmt: skip
    options = {"patch": 3, "stride": 2, "fill": "zero"}
    close(xu.occlusion(model, inputs, TARGETS, probability_map=True, **options), wanted)
    drops = xu.occlusion(model, inputs, TARGETS, score="probability", **options)
    whole = softmax(twin(inputs).numpy())[range(4), TARGETS].reshape(-1, *[1] * rank)
    np.testing.assert_allclose(whole - drops, wanted, rtol=1e-4, atol=1e-6)


def _blurred(x):
    return np.stack([gaussian_filter(one, [*(side / 10 for side in one.shape[:-1]), 0]) for one in x])


def _middles(x):
    return np.stack([np.full_like(one, (one.min() + one.max()) / 2) for one in x])


PATTERN = np.linspace(-1, 2, 96).reshape(models.IMAGE)
PATTERNS = np.stack([k * PATTERN for k in range(4)])
FILLS = {
    "zero": ("zero", np.zeros_like),
    "mean of each channel": ("mean", lambda x: np.stack([np.ones_like(one) * one.mean(axis=(0, 1)) for one in x])),
    "blur": ("blur", _blurred),
    "middle of each input": ("middle", _middles),
    "a number": (-1.5, lambda x: np.full_like(x, -1.5)),
    "an array for all": (PATTERN, lambda x: np.ones_like(x) * PATTERN),
    "an array for each": (PATTERNS, lambda x: PATTERNS),
}


@pytest.mark.parametrize("word, values", FILLS.values(), ids=FILLS)
def test_occlusion_fills_with_what_the_word_says(word, values):
    model = models.linear(ending="softmax")
    inputs, w = models.examples(model), models.linear_weights(model)[TARGETS]
    wanted = (w * (inputs - values(inputs))).sum(axis=-1)
    close(xu.occlusion(model, inputs, TARGETS, patch=1, stride=1, fill=word), wanted, 1e-4)


def test_occlusion_fills_with_the_middle_of_the_models_range_where_it_has_one():
    model = models.linear(ending="softmax")
    inputs, w = models.examples(model), models.linear_weights(model)[TARGETS]
    model.input_range = (-6.0, 10.0)
    close(xu.occlusion(model, inputs, TARGETS, patch=1, stride=1), (w * (inputs - 2)).sum(axis=-1), 1e-4)


def test_occlusion_of_a_constant_model_is_zero(constant):
    model, inputs = constant
    assert not xu.occlusion(model, inputs, 0).any()
    assert not xu.occlusion(model, inputs, 0, score="probability").any()


@pytest.mark.parametrize("side, patch, stride", [(40, 6, 2), (48, 7, 2), (150, 21, 5), (224, 32, 8)])
def test_occlusion_default_patch_and_stride_follow_the_side(side, patch, stride):
    """A seventh of the side and a quarter of the patch."""
    model, x = models.linear((side, 1)), models.examples((side, 1), 1)
    w = models.linear_weights(model)[0]
    shares = (w * x[0]).sum(axis=-1)
    wanted = average_over_patches((side,), (patch,), (stride,), lambda where: shares[where].sum())
    close(xu.occlusion(model, x, 0, fill="zero")[0], wanted, 1e-4)


def test_occlusion_default_patch_is_a_seventh_of_each_side():
    model, x = models.linear((28, 14, 1)), models.examples((28, 14, 1), 1)
    by_hand = xu.occlusion(model, x, 0, patch=(4, 2), stride=(1, 1))
    np.testing.assert_array_equal(xu.occlusion(model, x, 0), by_hand)


# --- RISE -------------------------------------------------------------------------------------------------------


def mean_square_of_masks(space, grid):
    """E over shifts of W W^T per axis, with W the weights that make a mask of its cells: cov(m) = p (1 - p) E."""
    axes = []
    for side, cells in zip(space, grid, strict=True):
        cell = -(-side // cells)
        W = line_weights(cells, (cells + 1) * cell)
        axes.append(np.mean([W[s : s + side] @ W[s : s + side].T for s in range(cell)], axis=0))
    return axes[0] if len(axes) == 1 else np.kron(*axes)


def test_rise_of_a_constant_model_is_exactly_zero(constant):
    model, inputs = constant
    assert not xu.rise(model, inputs, 0, masks=50, grid=3).any()
    assert not xu.rise(model, inputs, masks=50, grid=3, score="logit").any()


def test_rise_of_a_linear_model_is_the_closed_form_within_monte_carlo_error(linear):
    """E M(l) = (1 - p) sum_q w_q (x_q - f) E[sum of squared weights](q, l), over 20 seeds; (n - 1) / n for the mean."""
    model, inputs, w = linear
    space, p, n, f = inputs.shape[1:-1], 0.3, 200, 0.6
    shares = (w * (inputs - f)).sum(axis=-1)
    E = mean_square_of_masks(space, [4] * len(space))
    wanted = (1 - p) * (n - 1) / n * (shares.reshape(4, -1) @ E).reshape(shares.shape)
    options = {"masks": n, "grid": 4, "p": p, "fill": f, "score": "logit", "batch_size": 800}
    maps = np.stack([xu.rise(model, inputs, TARGETS, seed=seed, **options) for seed in range(20)])
    z = (maps.mean(axis=0) - wanted) / (maps.std(axis=0, ddof=1) / np.sqrt(20))
    assert np.abs(z).max() < 6 and 0.3 < np.mean(z**2) < 2.5
    assert np.abs(wanted).max() > 3 * (maps.std(axis=0) / np.sqrt(20)).mean(), "the map must stand out of its error"


def random_masks(space, grid, p, seed, count):
    """The first masks of RISE, (count, *space)."""
    drawn = masks.RandomMasks((*space, 1), grid, p, seed)
    return np.stack([drawn.mask(number)[..., 0] for number in range(count)])


def test_rise_with_whole_cells_is_in_proportion_to_the_sum_over_each_cell(monkeypatch):
    """Masks without slopes and shifts: M(cell) = (1 - p) sum over the cell of w (x - f)."""

    def canvas(side, cells):
        return np.repeat(np.eye(cells, dtype=np.float32), side // cells, axis=0)

    monkeypatch.setattr(masks.RandomMasks, "_canvas", staticmethod(canvas))
    model = models.linear(ending="softmax")
    inputs, w = models.examples(model), models.linear_weights(model)[TARGETS]
    sums = (w * inputs).sum(axis=-1).reshape(4, 4, 2, 3, 2).sum(axis=(2, 4))
    got = xu.rise(model, inputs, TARGETS, masks=4000, grid=(4, 3), score="logit", batch_size=2000)
    got = got.reshape(4, 4, 2, 3, 2)
    np.testing.assert_allclose(got, got[:, :, :1, :, :1] * np.ones((1, 1, 2, 1, 2)), atol=1e-5)
    error = np.abs(got[:, :, 0, :, 0] - 0.5 * sums).max()
    assert error < 6 * 0.5 * np.linalg.norm(sums.reshape(4, -1), axis=1).max() / np.sqrt(4000)
    assert error < 0.25 * np.abs(0.5 * sums).max()


def test_rise_cells_of_one_position_are_independent_positions():
    """One cell per sample: M(t) = (1 - p) w_t x_t, and the masks are 0 or 1."""
    model = models.linear((6, 1), ending="softmax")
    inputs = models.examples(model)
    shares = (models.linear_weights(model)[TARGETS] * inputs).sum(axis=-1)
    mask = random_masks((6, 4), (6, 2), 0.5, 1, 1)[0]
    assert {0.0, 1.0} >= set(mask[:, 0]) | set(mask[:, -1])
    got = xu.rise(model, inputs, TARGETS, masks=4000, grid=6, score="logit", batch_size=2000)
    error = np.abs(got - 0.5 * shares).max()
    assert error < 6 * 0.5 * np.linalg.norm(shares, axis=1).max() / np.sqrt(4000)
    assert error < 0.25 * np.abs(0.5 * shares).max()


def test_rise_error_falls_with_the_root_of_the_number_of_masks():
    model = models.linear(models.SIGNAL, ending="softmax")
    inputs = models.examples(model, 1)
    options = {"grid": 4, "score": "logit", "batch_size": 1000}

    def error(masks):
        maps = np.stack([xu.rise(model, inputs, 0, masks=masks, seed=seed, **options) for seed in range(20)])
        return np.sqrt(maps.var(axis=0, ddof=1).mean())

    assert error(40) / error(640) == pytest.approx(4, rel=0.3)


def test_rise_of_a_network_is_its_formula(net):
    """sum_i p_c(x * m_i) (m_i - mean m) / (n p), with the masks drawn here; the same for every input."""
    model, twin, inputs = net
    space = inputs.shape[1:-1]
    grid = (3, 2)[: len(space)]
    masks = random_masks(space, grid, 0.4, 5, 30)
    wanted, fills = [], np.ones_like(inputs) * np.linspace(-1, 1, 4).reshape(-1, *[1] * (inputs.ndim - 1))
    for x, c, fill in zip(inputs, TARGETS, fills, strict=True):
        m = masks[..., None]
        values = softmax(twin(x * m + fill * (1 - m)).numpy())[:, c].astype(np.float64)
        wanted.append(np.tensordot(values, masks - masks.mean(axis=0), 1) / (30 * 0.4))
    options = {"masks": 30, "grid": grid, "p": 0.4, "seed": 5, "batch_size": 7}
    close(xu.rise(model, inputs, TARGETS, fill=fills, **options), np.stack(wanted), 1e-4)
    close(xu.rise(model, inputs[2:3], TARGETS[2:3], fill=fills[2], **options), np.stack(wanted)[2:3], 1e-4)


@pytest.mark.parametrize("space, grid", [((40,), (7,)), ((48, 48), (7, 7)), ((12, 30), (12, 4)), ((9,), (1,))])
def test_rise_masks_lie_in_the_unit_interval_with_mean_p_everywhere(space, grid):
    masks = random_masks(space, grid, 0.3, 0, 2000)
    assert masks.dtype == np.float32 and masks.shape == (2000, *space) and masks.min() >= 0 and masks.max() <= 1 + 1e-6
    error = np.sqrt(0.3 * 0.7 / 2000)  # of a cell; between cells it is smaller
    assert np.abs(masks.mean(axis=0) - 0.3).max() < 5 * error
    if grid[0] > 1:
        assert masks.std(axis=0).min() > 0.15, "every position must be switched"


def test_rise_default_grid_is_7_or_the_side():
    model, x = models.linear((9, 5, 1)), models.examples((9, 5, 1), 2)
    np.testing.assert_array_equal(xu.rise(model, x, 0, masks=20), xu.rise(model, x, 0, masks=20, grid=(7, 5)))


def test_rise_masks_are_streamed():
    """Peak allocation does not grow with the number of masks: 600 more would be 1.4 MB at 24 x 24."""
    model, x = models.linear((24, 24, 1), ending="softmax"), models.examples((24, 24, 1), 1)

    def peak(masks):
        tracemalloc.start()
        xu.rise(model, x, 0, masks=masks)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    xu.rise(model, x, 0, masks=2)
    few, many = peak(200), peak(800)
    assert many - few < 1e5, (few, many)


def test_rise_numbers_its_masks_as_it_needs_them():
    """The first chunk is computed when no more than its pairs of input and mask were named."""
    model, x, named = models.linear(), models.examples(models.IMAGE, 2), []

    class Numbers:
        def __len__(self):
            return 1000

        def __iter__(self):
            for number in range(1000):
                named.append(number)
                yield number

    pairs = Query(model, x, 0, batch_size=8).perturbed(Numbers(), lambda item, _, out: np.copyto(out, x[item]))
    assert next(pairs)[:2] == (0, 0) and named == [0, 1, 2, 3]


# --- SISE -------------------------------------------------------------------------------------------------------


V1, V2 = np.array([1.0, -0.7, 0.4]), np.array([[0.9, -0.5], [0.3, 1.1], [-0.8, 0.6]])
HEAD, BIAS = np.array([[1.5, -0.5], [-1.0, 2.0]]), np.array([0.1, -0.2])


@pytest.fixture(scope="module")
def two_blocks():
    """1x1 convolutions V1 (8x8) and, after mean pooling by 2, V2 (4x4), no ReLU; GAP, HEAD, softmax."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(3, 1, use_bias=False, name="fine")(inputs)
    x = layers.AveragePooling2D(2, name="half")(x)
    x = layers.Conv2D(2, 1, use_bias=False, name="coarse")(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    model.set_weights([V1.reshape(1, 1, 1, 3), V2.reshape(1, 1, 3, 2), HEAD, BIAS])
    return model


def _probability(x, c):
    """Of the net above: only mean(x) matters."""
    z = x.mean() * V1 @ V2 @ HEAD + BIAS
    return np.exp(z[c]) / np.exp(z).sum()


def _block(x, A, slopes, c, threshold, fill):
    V = np.zeros(x.shape)
    for k in np.flatnonzero((slopes > 0) & (slopes > threshold * slopes.max())):
        m = scaled(enlarged(A[..., k], x.shape))
        V += _probability(x * m + fill * (1 - m), c) * m
    return V


@pytest.mark.parametrize("threshold, fill", [(0.0, 0.0), (0.6, 0.5)])
@pytest.mark.parametrize("target", [0, 1])
def test_sise_of_a_hand_made_net_of_two_blocks(two_blocks, target, threshold, fill):
    """dp_c/dA_k has one sign over space: p_c (v_kc - sum_j p_j v_kj), v = HEAD for the second block, V2 HEAD before."""
    x = np.random.default_rng(4).random((8, 8))
    half = x.reshape(4, 2, 4, 2).mean(axis=(1, 3))
    p = np.array([_probability(x, 0), _probability(x, 1)])
    blocks = []
    for A, v in ((x[..., None] * V1, V2 @ HEAD), ((half[..., None] * V1) @ V2, HEAD)):
        blocks.append(scaled(_block(x, A, v[:, target] - v @ p, target, threshold, fill)))
    wanted = scaled((blocks[0] + blocks[1]) * otsu(blocks[1]))
    got = xu.sise(two_blocks, x[None, ..., None].astype("float32"), target, threshold=threshold, fill=fill)
    close(got[0], wanted, 1e-4)
    assert got.min() == 0 and got.max() == 1 and len(np.unique(wanted)) > 10
    first = xu.sise(
        two_blocks, x[None, ..., None].astype("float32"), target, layers=["fine"], threshold=threshold, fill=fill
    )
    close(first[0], blocks[0], 1e-4)


def test_sise_threshold_leaves_out_the_weaker_maps(two_blocks):
    """For class 1 the slopes of `fine` are (0.3.., ..): with a threshold near 1 only the strongest map is left."""
    x = np.random.default_rng(4).random((8, 8)).astype("float32")
    got = xu.sise(two_blocks, x[None, ..., None], 1, layers=["fine"], threshold=0.999)
    v = V2 @ HEAD
    k = np.argmax(v[:, 1] - v[:, 0])
    close(got[0], scaled(x * V1[k]), 1e-4)


def test_sise_takes_layers_by_name_by_object_or_one_alone(two_blocks):
    x = models.examples((8, 8, 1), 2)
    wanted = xu.sise(two_blocks, x, 0)
    for same in (["fine", "coarse"], [two_blocks.get_layer("fine"), "coarse"]):
        np.testing.assert_array_equal(xu.sise(two_blocks, x, 0, layers=same), wanted)
    one = xu.sise(two_blocks, x, 0, layers=["fine"])
    np.testing.assert_array_equal(xu.sise(two_blocks, x, 0, layers="fine"), one)
    assert np.abs(one - wanted).max() > 1e-3


def test_sise_values_lie_in_the_unit_interval(net):
    model, _, inputs = net
    got = xu.sise(model, inputs, TARGETS)
    space = tuple(range(1, got.ndim))
    np.testing.assert_array_equal(got.min(axis=space), 0)
    np.testing.assert_array_equal(got.max(axis=space), 1)


def dead_or_against(bias, head):
    inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(2, 1, activation="relu", name="maps")(inputs)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    model.set_weights([np.ones((1, 1, 1, 2)), np.array(bias), np.array(head), np.zeros(2)])
    return model


def test_sise_leaves_out_constant_maps():
    """The second map is off everywhere, the first is x: the answer is x, scaled."""
    model, x = dead_or_against([0.0, -99], [[1.0, -1], [1, -1]]), np.random.default_rng(0).random((1, 4, 4, 1), "f")
    close(xu.sise(model, x, 0)[0], scaled(x[0, ..., 0]))


def test_sise_leaves_out_maps_without_influence():
    """The second map is ReLU(0.5 - x) and the head does not read it (its slope is 0): the answer is x, scaled."""
    model, x = dead_or_against([0.0, 1.0], [[1.0, -1], [0, 0]]), np.random.default_rng(0).random((1, 4, 4, 1), "f")
    model.get_layer("maps").set_weights([np.array([1.0, -1]).reshape(1, 1, 1, 2), np.array([0.0, 0.5])])
    close(xu.sise(model, x, 0)[0], scaled(x[0, ..., 0]))


@pytest.mark.parametrize("threshold", [0.0, 0.9])
def test_sise_warns_when_no_map_is_left(threshold):
    """For class 1 both slopes are negative: whatever the threshold, neither map speaks for it."""
    model, x = dead_or_against([0.0, 0.5], [[1.0, -1], [2, -1]]), np.random.default_rng(0).random((2, 4, 4, 1), "f")
    with pytest.warns(xu.XAIWarning, match="sise: no feature map of input 1 pushes its class.*another target"):
        got = xu.sise(model, x, [0, 1], threshold=threshold)
    assert got[0].max() == 1 and not got[1].any()


# --- LIME -------------------------------------------------------------------------------------------------------


def labels_for(shape):
    """Six segments with labels that are neither sorted nor without gaps."""
    stripes = np.arange(shape[0]) * 6 // shape[0]
    stripes = np.array([7, 2, 40, 3, 11, 5])[stripes]
    return stripes if len(shape) == 2 else np.broadcast_to(stripes[:, None], shape[:2]).copy()


def sums_over(labels, values):
    """Each position gets the sum of `values` over its segment."""
    wanted = np.zeros(labels.shape)
    for label in np.unique(labels):
        wanted[labels == label] = values[labels == label].sum()
    return wanted


@pytest.mark.parametrize("fill", [0.4, "mean", "segment"])
def test_lime_of_a_linear_model_without_penalty_is_the_segment_sums(linear, fill):
    model, inputs, w = linear
    labels = labels_for(inputs.shape[1:])
    hidden = np.full_like(inputs, 0.4)
    if fill == "mean":
        hidden = np.ones_like(inputs) * inputs.mean(axis=tuple(range(1, inputs.ndim - 1)), keepdims=True)
    if fill == "segment":
        for label in np.unique(labels):
            hidden[:, labels == label] = inputs[:, labels == label].mean(axis=1, keepdims=True)
    wanted = np.stack([sums_over(labels, s) for s in (w * (inputs - hidden)).sum(axis=-1)])
    got = xu.lime(model, inputs, TARGETS, segments=labels, samples=80, fill=fill, alpha=0, score="logit")
    close(got, wanted, 1e-4)


def test_lime_takes_labels_for_each_input():
    model = models.linear(ending="softmax")
    inputs, w = models.examples(model), models.linear_weights(model)[TARGETS]
    labels = np.stack([labels_for(models.IMAGE), labels_for(models.IMAGE)[::-1]] * 2)
    labels[1, :, 3:] += 100
    wanted = [sums_over(own, s) for own, s in zip(labels, (w * inputs).sum(axis=-1), strict=True)]
    options = {"samples": 200, "fill": "zero", "alpha": 0, "score": "logit"}
    close(xu.lime(model, inputs, TARGETS, segments=labels, **options), np.stack(wanted), 1e-4)


class FedDraws(np.random.RandomState):
    """Gives the lime package our draws."""

    def __init__(self, draws):
        super().__init__(0)
        self.draws = draws

    def randint(self, low, high=None, size=None, **_):
        return super().randint(low, high) if size is None else self.draws.astype(int).ravel()


@pytest.mark.parametrize("alpha, width", [(1.0, 0.25), (0.01, 0.25), (5.0, 0.6)])
def test_lime_equals_the_lime_package(alpha, width):
    """The same segments, draws, kernel and ridge; their default hides a segment behind its own mean."""
    model = models.cnn((8, 6, 3))
    inputs, labels, samples, seed = models.examples(model), labels_for((8, 6, 3)), 70, 3
    draws = np.random.default_rng(seed).integers(0, 2, (samples, 6), np.int8)
    draws[0] = 1
    order = np.unique(labels, return_inverse=True)[1].reshape(8, 6)
    explainer = LimeImageExplainer(kernel_width=width, feature_selection="none", random_state=FedDraws(draws))
    theirs = []
    for x, c in zip(inputs, TARGETS, strict=True):
        found = explainer.explain_instance(
            x.astype(np.float64),
            lambda batch: model(batch).numpy(),
            labels=[c],
            top_labels=None,
            num_samples=samples,
            segmentation_fn=lambda _: order,
            model_regressor=Ridge(alpha),
        )
        theirs.append(np.array([value for _, value in sorted(found.local_exp[c])])[order])
    options = {"samples": samples, "seed": seed, "alpha": alpha, "kernel_width": width, "fill": "segment"}
    got = xu.lime(model, inputs, TARGETS, segments=labels, **options)
    np.testing.assert_allclose(got, np.stack(theirs), rtol=0, atol=1e-6)
    assert np.abs(got).max() > 1e-2


def test_lime_ridge_by_hand():
    """Two draws: (1, 1) with S = 3 and pi = 1, and z with S(z). alpha = 0 and d = 2 would be open; alpha closes it.

    For z = (1, 0): share 1/2, D = 1 - sqrt(1/2), pi = exp(-D^2 / (2 width^2)). Weighted means are taken off, and with
    u = pi / (1 + pi) the sums over draws are u (dz)^2 and u dz dS, so beta_2 = u dS / (u + alpha), beta_1 = 0.
    """
    seed = next(s for s in range(99) if np.random.default_rng(s).integers(0, 2, (2, 2), np.int8)[1].tolist() == [1, 0])
    inputs = keras.Input((2, 1))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inputs)))
    model.set_weights([np.array([[1.0, 0], [2, 0]]), np.zeros(2)])
    width, alpha = 0.5, 0.3
    pi = np.exp(-((1 - np.sqrt(0.5)) ** 2) / (2 * width**2))
    u = pi / (1 + pi)
    options = {"samples": 2, "seed": seed, "kernel_width": width, "alpha": alpha, "fill": "zero", "score": "logit"}
    with pytest.warns(xu.XAIWarning, match="segments: got only 2 for an input"):
        got = xu.lime(model, np.ones((1, 2, 1), "float32"), 0, segments=np.array([0, 1]), **options)
    np.testing.assert_allclose(got, [[0, u * 2 / (u + alpha)]], rtol=1e-5, atol=1e-7)


def test_proximity_is_the_kernel_of_the_cosine_distance():
    """1/4 of the segments: distance 1 - 1/2, and sqrt(exp(-(0.5 / 0.25)^2)) = exp(-2); none: 1, exp(-8); all: 1."""
    visible = np.array([[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    np.testing.assert_allclose(lime.proximity(visible, 0.25), np.exp([-2, -8, 0]), rtol=1e-12)


def test_lime_refuses_one_segment_and_warns_of_few():
    model, x = models.linear(), models.examples(models.IMAGE, 2)
    with pytest.raises(ValueError, match="segments: .*only one segment.*more segments"):
        xu.lime(model, x, 0, segments=np.zeros((8, 6), int))
    with pytest.warns(xu.XAIWarning, match="segments: got only 4 for an input.*coarse"):
        xu.lime(model, x, 0, segments=np.arange(48).reshape(8, 6) // 12, samples=10, score="value")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xu.lime(model, x, 0, segments=np.arange(48).reshape(8, 6) // 8, samples=10, score="value")


def test_lime_uses_superpixels_unless_told():
    model, x = models.linear((40, 1)), models.examples((40, 1), 2)
    by_hand = xu.lime(model, x, 0, segments=np.arange(40) // 5, samples=30)
    np.testing.assert_array_equal(xu.lime(model, x, 0, samples=30), by_hand)
    ten = xu.lime(model, x, 0, segments=np.arange(40) // 4, samples=30)
    np.testing.assert_array_equal(xu.lime(model, x, 0, samples=30, segments=10), ten)


# --- KernelSHAP -------------------------------------------------------------------------------------------------


def over_subsets(value, count):
    """phi_k = sum over subsets without k of |s|! (M - |s| - 1)! / M! (v(s and k) - v(s)): the definition."""
    phi, factorial = np.zeros(count), math.factorial
    for k in range(count):
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for subset in itertools.combinations(sorted({*range(count)} - {k}), size):
                phi[k] += weight * (value({*subset, k}) - value({*subset}))
    return phi


def over_orders(value, count):
    """What each adds when the segments are shown one after the other, averaged over all orders."""
    phi = np.zeros(count)
    for order in itertools.permutations(range(count)):
        for place, k in enumerate(order):
            phi[k] += value({*order[: place + 1]}) - value({*order[:place]})
    return phi / math.factorial(count)


def stored(visible, values):
    """value(segments) of what a network answered to each row of `visible`."""
    found = {tuple(np.flatnonzero(row)): float(value) for row, value in zip(visible, values, strict=True)}
    return lambda shown: found[tuple(sorted(shown))]


@pytest.mark.parametrize("count, definition", [(2, over_orders), (3, over_orders), (6, over_orders), (8, over_subsets)])
def test_kernel_shap_of_all_coalitions_is_the_shapley_value_to_1e_9(net, count, definition):
    """From the same stored answers, in float64: by the fit, and by the definition."""
    model, _, inputs = net
    labels = np.arange(np.prod(inputs.shape[1:-1])).reshape(inputs.shape[1:-1]) * count // inputs[0, ..., 0].size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xu.XAIWarning)  # of few segments
        cut = segments.Segmented(Query(model, inputs, TARGETS, score="probability"), labels, "mean")
        got = xu.kernel_shap(model, inputs, TARGETS, segments=labels)
    visible, weights = shap.coalitions(count, 2**count, seed=0)
    assert len(visible) == 2**count == len({tuple(row) for row in visible})
    for item in range(2):
        values = cut.scores(item, visible, "")
        wanted = definition(stored(visible, values), count)
        found = shap.shapley_values(visible, weights, values)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)
        assert np.abs(wanted).max() > 1e-3 and abs(found.sum() - (values[-1] - values[0])) < 1e-14
        np.testing.assert_allclose(got[item], wanted[labels], rtol=0, atol=1e-7)


def test_kernel_shap_of_a_random_game_is_the_shapley_value():
    """Values without any structure, which a network has."""
    visible, weights = shap.coalitions(8, 256, seed=0)
    values = np.random.default_rng(0).normal(size=256)
    wanted = over_subsets(stored(visible, values), 8)
    np.testing.assert_allclose(shap.shapley_values(visible, weights, values), wanted, rtol=0, atol=1e-12)


def test_kernel_shap_by_hand():
    """S = x_1 x_2 at (3, 4), fill 0: neither adds anything alone, so that each gets half of 12."""
    inputs = keras.Input((2, 1))
    flat = layers.Flatten()(inputs)
    ways = [layers.Dense(1, use_bias=False)(flat) for _ in range(2)]
    model = keras.Model(inputs, layers.Dense(2, use_bias=False)(layers.Multiply()(ways)))
    model.set_weights([np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]]), np.array([[1.0, -1.0]])])
    with pytest.warns(xu.XAIWarning, match="segments: got only 2 for an input"):
        got = xu.kernel_shap(
            model, np.array([[[3], [4.0]]], "f"), 0, segments=[0, 1], fill="zero", score="logit", samples=4
        )
    np.testing.assert_allclose(got, [[6, 6]], rtol=1e-6)


@pytest.mark.parametrize("samples", [30, 31, 1000], ids=["drawn", "drawn, odd", "all"])
@pytest.mark.parametrize("fill", [0.4, "mean", "segment"])
def test_kernel_shap_of_a_linear_model_is_the_segment_sums(linear, fill, samples):
    model, inputs, w = linear
    labels = labels_for(inputs.shape[1:])
    hidden = np.full_like(inputs, 0.4)
    if fill == "mean":
        hidden = np.ones_like(inputs) * inputs.mean(axis=tuple(range(1, inputs.ndim - 1)), keepdims=True)
    if fill == "segment":
        for label in np.unique(labels):
            hidden[:, labels == label] = inputs[:, labels == label].mean(axis=1, keepdims=True)
    wanted = np.stack([sums_over(labels, s) for s in (w * (inputs - hidden)).sum(axis=-1)])
    got = xu.kernel_shap(model, inputs, TARGETS, segments=labels, samples=samples, fill=fill, score="logit")
    close(got, wanted, 1e-5)


@pytest.mark.filterwarnings("ignore::xai_utils.XAIWarning")  # of too few draws
@pytest.mark.parametrize("samples", [4, 5, 20, 41, 200])
def test_kernel_shap_sums_to_what_is_gained_from_all_hidden_however_few_the_draws(net, samples):
    model, _, inputs = net
    labels = np.arange(np.prod(inputs.shape[1:-1])).reshape(inputs.shape[1:-1]) * 12 // inputs[0, ..., 0].size
    got = xu.kernel_shap(model, inputs, TARGETS, segments=labels, samples=samples, fill=0.25)
    firsts = np.unique(labels, return_index=True)[1]
    gained = xu.scores(model, inputs, TARGETS) - xu.scores(model, np.full_like(inputs, 0.25), TARGETS)
    np.testing.assert_allclose(got.reshape(4, -1)[:, firsts].sum(axis=1), gained, rtol=0, atol=1e-6)
    assert np.abs(gained).max() > 0.05


def test_kernel_shap_gives_nothing_to_a_segment_that_changes_nothing_and_alike_to_alikes(net):
    model, _, inputs = net
    inputs = inputs.copy()
    labels = np.arange(np.prod(inputs.shape[1:-1])).reshape(inputs.shape[1:-1]) * 6 // inputs[0, ..., 0].size
    inputs[:, labels == 2] = 0.5
    got = xu.kernel_shap(model, inputs, TARGETS, segments=labels, fill=0.5)
    assert np.abs(got[:, labels == 2]).max() < 1e-6 < 1e-3 < np.abs(got).max()
    visible, weights = shap.coalitions(6, 64, seed=0)
    values = np.minimum(visible[:, :2].sum(axis=1), 1) + 0.0  # the first or the second is enough
    np.testing.assert_allclose(shap.shapley_values(visible, weights, values), [0.5, 0.5, 0, 0, 0, 0], atol=1e-12)


def test_kernel_shap_draws_tend_to_all_coalitions_with_the_root_of_their_number():
    """Over 40 seeds: no bias beyond the error of the mean, and half the spread with four times the draws."""
    game = np.random.default_rng(1)
    pairs, single = np.triu(game.normal(size=(10, 10)), 1), game.normal(size=10)
    threes = game.normal(size=(10, 10, 10))

    def value(z):
        z = z.astype(float)
        return z @ single + np.einsum("ni,ij,nj->n", z, pairs, z) + np.einsum("ni,nj,nk,ijk->n", z, z, z, threes) / 10

    visible, weights = shap.coalitions(10, 1024, seed=0)
    exact = shap.shapley_values(visible, weights, value(visible))
    spread = {}
    for samples in (200, 800):
        found = []
        for seed in range(40):
            visible, weights = shap.coalitions(10, samples, seed)
            found.append(shap.shapley_values(visible, weights, value(visible)))
        z = (np.mean(found, axis=0) - exact) / (np.std(found, axis=0, ddof=1) / np.sqrt(40))
        assert np.abs(z).max() < 4.5
        spread[samples] = np.sqrt(np.var(found, axis=0).mean())
    assert spread[200] / spread[800] == pytest.approx(2, rel=0.3) and spread[200] > 0.05


@pytest.mark.parametrize("samples", [200, 201])
def test_kernel_shap_draws_pairs_with_the_sizes_of_the_kernel(samples):
    """Each draw is followed by its complement, but that of the last where the number is odd."""
    visible, weights = shap.coalitions(9, samples, seed=3)
    assert visible.shape == (samples, 9) and not visible[0].any() and visible[-1].all()
    np.testing.assert_array_equal(weights, np.ones(samples - 2))
    drawn = visible[1:-1]
    np.testing.assert_array_equal(drawn[0 : samples - 3 : 2][:99], ~drawn[1 : samples - 2 : 2])
    np.testing.assert_array_equal(visible, shap.coalitions(9, samples, seed=3)[0])
    assert (visible != shap.coalitions(9, samples, seed=4)[0]).any()
    many = shap.coalitions(17, 40_002, seed=0)[0][1:-1]
    weight = np.array([1 / (s * (17 - s)) for s in range(1, 17)])
    found = np.bincount(many.sum(axis=1), minlength=17)[1:] / len(many)
    wanted = weight / weight.sum()
    assert np.abs(found - wanted).max() < 5 * np.sqrt(wanted.max() / 20_000)
    np.testing.assert_allclose(many.mean(axis=0), 0.5, atol=1e-12)  # each is shown in one of each pair
    triples = many[many.sum(axis=1) == 3]
    together = (triples[:, :, None] & triples[:, None, :]).mean(axis=0)[~np.eye(17, dtype=bool)]
    np.testing.assert_allclose(together, 3 * 2 / (17 * 16), atol=6 * np.sqrt(3 * 2 / (17 * 16) / len(triples)))


def test_kernel_shap_shares_evenly_what_the_draws_do_not_tell_apart_and_warns():
    """One pair: the segments of one side have one value, those of the other side another."""
    model, x = models.cnn(), models.examples(models.IMAGE, 1)
    labels = np.arange(48).reshape(8, 6) // 8
    with pytest.warns(xu.XAIWarning, match="samples: got 4, too few to tell 6 segments apart.*samples=48 or more"):
        got = xu.kernel_shap(model, x, 0, segments=labels, samples=4, score="logit")
    side = shap.coalitions(6, 4, seed=0)[0][1]
    values = got[0].ravel()[::8]
    for one in (side, ~side):
        assert np.ptp(values[one]) < 1e-6
    assert abs(values[side][0] - values[~side][0]) > 1e-3


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7, 10, 25, 100])
def test_kernel_shap_cures_too_few_draws_by_the_number_that_it_names(count):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(20):
            enough = min(2**count, 8 * count)
            shap._doubt({count: shap.coalitions(count, enough, seed)}, enough)


def test_kernel_shap_warns_where_one_pair_is_missing():
    """Four pairs tell five of six segments apart at most; five are just enough here."""
    with pytest.warns(xu.XAIWarning, match="samples: got 10, too few to tell 6 segments apart"):
        shap._doubt({6: shap.coalitions(6, 10, 0)}, 10)
    seed = next(s for s in range(99) if np.linalg.matrix_rank(shap._centred(shap.coalitions(6, 12, s)[0])) == 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shap._doubt({6: shap.coalitions(6, 12, seed)}, 12)


def test_kernel_shap_uses_superpixels_unless_told_and_as_many_draws_for_each_number_of_them():
    """Inputs of other numbers of segments; each has the map that it has alone."""
    model, x = models.linear((40, 1), ending="softmax"), models.examples((40, 1), 2)
    by_hand = xu.kernel_shap(model, x, 0, segments=np.arange(40) // 5)
    np.testing.assert_array_equal(xu.kernel_shap(model, x, 0), by_hand)
    labels = np.stack([np.arange(40) // 5, np.arange(40) // 4])
    both = xu.kernel_shap(model, x, 0, segments=labels, samples=300)
    for item in range(2):
        alone = xu.kernel_shap(model, x[item : item + 1], 0, segments=labels[item], samples=300)
        np.testing.assert_allclose(both[item], alone[0], rtol=0, atol=1e-6)


# --- superpixels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length, count", [(40, 8), (12, 5), (400, 10), (3, 3)])
def test_superpixels_of_a_signal_are_equal_stretches(length, count):
    labels = xu.superpixels(np.zeros((2, length, 1), "float32"))
    sizes = np.bincount(labels[0])
    assert len(sizes) == count and np.ptp(sizes) <= 1 and (np.diff(labels[0]) >= 0).all()
    np.testing.assert_array_equal(labels[0], labels[1])


def pictures(side, channels):
    """The astronaut's face, smooth noise, and plain noise, in [0, 1]."""
    face = data.astronaut()[:224, 112:336] / 255
    face = tf.image.resize(face, (side, side), antialias=True).numpy()
    noise = np.random.default_rng(0).random((2, side, side, 3))
    noise[0] = gaussian_filter(noise[0], (side / 20, side / 20, 0))
    return np.concatenate([face[None], noise])[..., :channels].astype("float32")


@pytest.mark.parametrize("side, channels", [(28, 1), (48, 1), (48, 3), (150, 3), (224, 3)])
def test_superpixels_of_images_are_about_a_hundred_connected_pieces(side, channels):
    images = pictures(side, channels)
    for labels, again in zip(xu.superpixels(images), xu.superpixels(images * 200 - 7), strict=True):
        sizes = np.bincount(labels.ravel())
        assert 60 <= len(sizes) <= 110 and sizes.min() > 0 and labels.shape == (side, side)
        assert sizes.max() < 0.12 * labels.size, "one piece must not swallow the image"
        assert (labels == again).mean() > 0.99, "the range of the values must not matter"


def test_superpixels_count_is_followed():
    for count in (20, 50, 200):
        labels = xu.superpixels(pictures(150, 3)[:1], count)
        assert 0.6 * count <= labels.max() + 1 <= 1.3 * count


def test_superpixels_follow_an_edge():
    """Left half dark, right half bright, the edge not on the regular grid: no piece crosses it."""
    image = np.zeros((1, 48, 48, 1), "float32")
    image[:, :, 21:] = 1
    labels = xu.superpixels(image)[0]
    assert not set(labels[:, :21].ravel()) & set(labels[:, 21:].ravel())


def test_pros_and_cons_by_hand():
    """Segments 4, 9, 1, 6, 3 with the values 3, -2, 1, 0, -5."""
    segments = np.array([[4, 4, 9], [1, 6, 3]])
    attribution = np.array([[3.0, 3, -2], [1, 0, -5]])
    pros, cons = xu.pros_and_cons(attribution, segments, 1)
    np.testing.assert_array_equal(pros, [[True, True, False], [False, False, False]])
    np.testing.assert_array_equal(cons, [[False, False, False], [False, False, True]])
    pros, cons = xu.pros_and_cons(attribution, segments, 4)  # 0 is neither
    np.testing.assert_array_equal(pros, [[True, True, False], [True, False, False]])
    np.testing.assert_array_equal(cons, [[False, False, True], [False, False, True]])
    with pytest.raises(ValueError, match=r"segments: got shape \(3,\)"):
        xu.pros_and_cons(attribution, segments[0])
