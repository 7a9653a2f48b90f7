"""Masks that are made in the graph: the same maps as from the host, and codes of a few bytes are all that crosses."""

import gc
import os
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import models
import xai_utils as xu
from heatproof.engine import chunks, painting, stencils
from heatproof.engine.counting import counting
from heatproof.engine.query import Query
from heatproof.enlarging import neighbours_along, resize

DRAW = np.random.default_rng(4)
SHAPES = {"image": (20, 17, 2), "signal": (45, 2), "volume": (9, 8, 7, 1)}
NETWORKS = {name: models.cnn(shape) for name, shape in SHAPES.items()}
FILLS = {"zero": lambda shape: "zero", "blur": lambda shape: "blur", "array": lambda shape: DRAW.normal(size=shape)}
TARGETS = [2, 0]


def stripes(x, count=6):
    """Segments of unequal size: the positions, in their order, in turn."""
    return (np.arange(np.prod(x.shape[1:-1])) % (count + 2) % count).reshape(x.shape[1:-1])


def relevance(x):
    return np.sin(7 * x[..., 0]).round(1)  # with ties


ASKED = {
    "rise": lambda m, x, c, n=50, **o: xu.rise(m, x, c, masks=n, grid=3, score="logit", **o),
    "lime": lambda m, x, c, n=50, **o: xu.lime(m, x, c, samples=n, segments=stripes(x), **o),
    "kernel_shap": lambda m, x, c, n=50, **o: xu.kernel_shap(m, x, c, samples=n, segments=stripes(x, 13), **o),
    "occlusion": lambda m, x, c, n=3, **o: xu.occlusion(m, x, c, patch=4, stride=n, **o),
    "score_cam": lambda m, x, c, n="conv_2", **o: xu.score_cam(m, x, c, layer=n, **o),
    "sise": lambda m, x, c, **o: xu.sise(m, x, c, layers=["conv_1", "conv_2"], **o),
    "deletion": lambda m, x, c, n=20, **o: xu.deletion_curve(m, x, relevance(x), c, steps=n, **o),
    "insertion": lambda m, x, c, n=20, **o: xu.insertion_curve(m, x, relevance(x), c, steps=n, **o),
    "regions": lambda m, x, c, n=9, **o: xu.region_perturbation(m, x, relevance(x), c, regions=2, steps=n, **o),
}


def on(way, name, *given, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XAI_MASKS", way)
        return ASKED.get(name, name)(*given, **options)


def near(found, wanted):
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max() > 0


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", ASKED)
def test_maps_are_those_of_the_host(name, network, fill):
    model, x = NETWORKS[network], models.examples(SHAPES[network], 2)
    options = {"fill": FILLS[fill](SHAPES[network]), "batch_size": 7}  # the last chunk is not full
    near(on("graph", name, model, x, TARGETS, **options), on("host", name, model, x, TARGETS, **options))


@pytest.mark.parametrize("name", ASKED)
def test_a_batch_has_the_maps_of_its_items(name):
    x = models.examples(SHAPES["image"], 2)
    both = on("graph", name, NETWORKS["image"], x, TARGETS)
    for item, target in enumerate(TARGETS):
        alone = on("graph", name, NETWORKS["image"], x[[item]], target)
        np.testing.assert_allclose(both[[item]], alone, rtol=0, atol=1e-5 * np.abs(both).max())


def test_other_options():
    model, x = NETWORKS["image"], models.examples(SHAPES["image"], 2)
    for asked in (
        lambda: xu.occlusion(model, x, TARGETS, probability_map=True, patch=(5, 3), stride=(2, 3)),
        lambda: xu.score_cam(model, x, TARGETS, weights="softmax", align="stretch"),
        lambda: xu.rise(model, x, TARGETS, masks=30, grid=(20, 2), p=0.3, seed=5),
        lambda: xu.rise(model, x, TARGETS, masks=30, grid=(1, 4)),
        lambda: xu.lime(model, x, TARGETS, segments=np.stack([stripes(x), stripes(x, 9)]), fill="segment"),
    ):
        near(on("graph", asked), on("host", asked))


def test_float64_and_any_size():
    twice = models.cnn(SHAPES["image"], dtype="float64")
    anywhere = models.cnn((None, None, 2), head="gap")
    x = models.examples(SHAPES["image"], 2)
    for model, inputs in ((twice, x.astype("float64")), (anywhere, x), (anywhere, x[:, :11])):
        near(on("graph", "rise", model, inputs, TARGETS), on("host", "rise", model, inputs, TARGETS))
        near(on("graph", "lime", model, inputs, TARGETS), on("host", "lime", model, inputs, TARGETS))


def test_several_inputs_and_a_score_of_ones_own():
    image, meta = keras.Input((12, 10, 2), name="image"), keras.Input((5,), name="meta")
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(image))
    both = layers.Concatenate()([pooled, layers.Dense(4, activation="relu")(meta)])
    model = models.randomised(keras.Model([image, meta], layers.Dense(3, activation="softmax")(both)))
    x = [models.examples((12, 10, 2), 3), models.examples((5,), 3)]
    first = lambda outputs, targets: outputs[:, 0] ** 2  # noqa: E731
    for score, targets in (("probability", [2, 0, 1]), (xu.contrast(0, 1), None), (first, [1, 1, 2])):
        found, wanted = (on(way, xu.rise, model, x, targets, masks=40, score=score) for way in ("graph", "host"))
        for one, other in zip(found, wanted, strict=True):
            near(one, other)


# ---- what crosses

SMALL = (64, 48, 3)


@pytest.fixture
def crossed(monkeypatch):
    """The bytes of each array that entered the graph; whatever else a compiled function is given is there already."""
    sizes = []
    plain, make = painting.entered, painting._compiled

    def entered(array, dtype=None):
        tensor = plain(array, dtype)
        sizes.append(np.asarray(array).nbytes)
        return tensor

    def compiled(*given):
        run = make(*given)

        def checked(*tensors):
            assert all(isinstance(each, tf.Tensor) for each in tf.nest.flatten(tensors))
            return run(*tensors)

        return checked

    def on_the_host(*_):
        raise AssertionError("masks on the host")

    monkeypatch.setattr(painting, "entered", entered)
    monkeypatch.setattr(painting, "_compiled", compiled)
    monkeypatch.setattr(chunks, "pairs", on_the_host)
    return sizes


@pytest.mark.parametrize(
    "name, few, many, more",
    [
        ("rise", 64, 128, 64),
        ("lime", 64, 128, 64),
        ("kernel_shap", 16, 48, 32),
        ("occlusion", 4, 2, 31 * 23 - 16 * 12),
        ("deletion", 64, 128, 64),
        ("insertion", 64, 128, 64),
    ],
)
def test_a_mask_crosses_as_a_few_bytes(crossed, name, few, many, more):
    model, x = models.cnn(SMALL, head="gap"), models.examples(SMALL, 1)
    totals = []
    for number in (few, many):
        crossed.clear()
        on("graph", name, model, x, 0, n=number, batch_size=16)
        totals.append(sum(crossed))
    held = x.nbytes * 4  # the input, its fill and labels or ranks
    assert 0 < (totals[1] - totals[0]) / more < 100 < x.nbytes / 100
    assert totals[0] < held + few**2 * 200


def test_a_map_of_the_network_crosses_once_as_small_as_it_is(crossed):
    model, x = models.cnn(SMALL, head="gap"), models.examples(SMALL, 1)
    on("graph", "score_cam", model, x, 0)
    maps = 5 * 32 * 24 * 4
    assert sum(crossed) < 2 * x.nbytes + maps + 12 * sum(SMALL[:2]) + 5 * 8 + 100


def test_all_chunks_of_a_question_have_one_shape(crossed, monkeypatch):
    shapes, run = set(), painting.Painting._run

    def seen(self, adds, *given):
        shapes.add(tuple(tuple(each.shape) for each in tf.nest.flatten(given)))
        return run(self, adds, *given)

    monkeypatch.setattr(painting.Painting, "_run", seen)
    with counting() as passes:
        on("graph", "rise", NETWORKS["image"], models.examples(SHAPES["image"], 2), TARGETS, n=50, batch_size=16)
    assert len(shapes) == 1 and passes["forwards"] == 2 * 50 + 2
    assert (13, 3, 3) in next(iter(shapes)), "50 masks are four chunks of 13, not four of 16"


# ---- traced once, kept for the model, and no longer


@pytest.mark.parametrize("name", ASKED)
def test_nothing_is_traced_twice(monkeypatch, name):
    model, made, make = models.cnn(SHAPES["image"]), [], painting._compiled
    monkeypatch.setattr(painting, "_compiled", lambda *given: made.append(given) or make(*given))
    on("graph", name, model, models.examples(SHAPES["image"], 2), TARGETS)
    assert len(made) == 1
    on("graph", name, model, models.examples(SHAPES["image"], 1, seed=3), 1, fill="mean", batch_size=5)
    assert len(made) == 1


def test_segments_of_any_number_share_a_trace(monkeypatch):
    model, x, made, make = models.cnn(SHAPES["image"]), models.examples(SHAPES["image"], 1), [], painting._compiled
    monkeypatch.setattr(painting, "_compiled", lambda *given: made.append(given) or make(*given))
    for count in (6, 9):
        on("graph", lambda: xu.lime(model, x, 0, segments=stripes(x, count)))  # noqa: B023
    assert len(made) == 1


def test_each_stencil_has_a_trace_of_its_own():
    model, x = NETWORKS["image"], models.examples(SHAPES["image"], 1)
    query, grids = Query(model, x, 0), 3 * models.examples((4, 3), 2)
    tables = neighbours_along(grids, SHAPES["image"][:2])
    found = []
    for stencil in (stencils.enlarged_maps, stencils.unit_maps):
        asked = painting.Painting(query, stencil, x, 0 * x, [np.arange(2)], lambda _: [grids, *tables], "maps")
        found.append(asked.scores())
    fine = resize(grids, SHAPES["image"][:2])[..., None]
    low, high = (find(fine, axis=(1, 2), keepdims=True) for find in (np.min, np.max))
    for scores, mask in zip(found, (fine, (fine - low) / (high - low)), strict=True):
        near(scores[0].astype(np.float32), query.scores(x * mask, np.zeros(2, int)))


def test_what_is_kept_lets_the_model_go():
    model = models.cnn(SHAPES["image"])
    on("graph", "rise", model, models.examples(SHAPES["image"], 1), 0)
    gone = weakref.ref(model)
    del model
    keras.backend.clear_session()
    gc.collect()
    assert gone() is None


def test_other_weights_give_other_maps():
    model, x = models.cnn(SHAPES["image"]), models.examples(SHAPES["image"], 1)
    before = on("graph", "occlusion", model, x, 0)
    models.randomised(model, seed=9)
    after = on("graph", "occlusion", model, x, 0)
    near(after, on("host", "occlusion", model, x, 0))
    assert np.abs(after - before).max() > 1e-2 * np.abs(before).max()


class Noise(layers.Layer):
    """Draws at inference too, from a seed of its own."""

    def __init__(self):
        super().__init__()
        self.source = keras.random.SeedGenerator(1)

    def call(self, x):
        return x + keras.random.normal(tf.shape(x), seed=self.source)


def test_a_network_that_draws_gets_its_seeds_back():
    inputs = keras.Input((9, 2))
    drawn = layers.Dense(3)(layers.Flatten()(Noise()(inputs)))
    model, x = models.randomised(keras.Model(inputs, drawn)), models.examples((9, 2), 1)
    state = model.layers[1].source.state.numpy()
    first, again = (on("graph", "rise", model, x, 0) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(model.layers[1].source.state.numpy(), state)


@pytest.mark.parametrize("name", ["rise", "deletion"])
def test_infinite_answers_are_refused(name):
    inputs = keras.Input((9, 2))
    root = keras.ops.sqrt(layers.Dense(3)(layers.Flatten()(inputs)))
    model = models.randomised(keras.Model(inputs, root))
    model.layers[2].bias.assign([1, 1, 1])
    away = -50 * model.layers[2].kernel.numpy()[:, 0].reshape(9, 2)
    for n in (4, 9):
        with pytest.raises(ValueError, match="model: got one that gave NaN or infinity"):
            on("graph", name, model, np.full((1, 9, 2), 1e-3, np.float32), 0, n=n, fill=away)


def test_no_map_that_varies_is_a_map_of_zeros():
    model = models.cnn(SHAPES["image"])
    for layer in (model.get_layer("conv_1"), model.get_layer("conv_2")):
        layer.kernel.assign(0 * layer.kernel)
    x = models.examples(SHAPES["image"], 1)
    with pytest.warns(xu.XAIWarning, match="all zero|the map is 0"):
        assert not on("graph", "sise", model, x, 0).any()
    with pytest.warns(xu.XAIWarning, match="zero"):
        assert not on("graph", "score_cam", model, x, 0).any()


# ---- which way


@pytest.fixture
def used(monkeypatch):
    """Whether masks were made in the graph, of an occlusion of a small network."""
    ran, run = [], painting.Painting._run
    monkeypatch.setattr(painting.Painting, "_run", lambda *given: ran.append(1) or run(*given))
    monkeypatch.delenv("XAI_MASKS", raising=False)

    def ask(model=NETWORKS["image"]):
        ran.clear()
        xu.occlusion(model, models.examples(SHAPES["image"], 1), 0, patch=10)
        return bool(ran)

    return ask


def test_a_visible_gpu_makes_masks_in_the_graph_unless_told(used, monkeypatch):
    assert used() == bool(tf.config.get_visible_devices("GPU"))
    for gpus in ([], ["one"]):
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind, gpus=gpus: gpus if kind == "GPU" else [])
        for said, wanted in ((None, bool(gpus)), ("", bool(gpus)), ("graph", True), ("host", False)):
            monkeypatch.delenv("XAI_MASKS", raising=False)
            if said is not None:
                monkeypatch.setenv("XAI_MASKS", said)
            assert used() == wanted


def test_a_function_is_asked_from_the_host(used, monkeypatch):
    monkeypatch.setenv("XAI_MASKS", "graph")
    assert used() and not used(lambda inputs: NETWORKS["image"](inputs).numpy())


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("value", ["gpu", "GRAPH", "1"])
def test_another_value_is_refused(name, value):
    with pytest.raises(ValueError, match=f"XAI_MASKS: got '{value}' in the environment; allowed: 'graph' or 'host'"):
        on(value, name, NETWORKS["signal"], models.examples(SHAPES["signal"], 1), 0)
    assert os.environ.get("XAI_MASKS") != value
