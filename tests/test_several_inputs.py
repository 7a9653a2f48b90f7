"""Models with several inputs: maps in the form of the inputs, one with the others held fixed, all along one path."""

import keras
import numpy as np
import pytest
import shapes
import tensorflow as tf
from keras import layers

import xai_utils as xu

DRAW = np.random.default_rng(0)
IMAGE, META = (DRAW.normal(size=shape).astype(np.float32) for shape in ((3, 8, 6, 2), (3, 5)))
TARGETS = [2, 0, 1]
GRADIENTS = [name for name, row in xu.METHODS.items() if row.family in ("gradients", "relevance")]
PERTURBATIONS = ["occlusion", "rise", "lime", "kernel_shap"]
ON_LAYERS = [name for name, row in xu.METHODS.items() if name not in (*GRADIENTS, *PERTURBATIONS, "cam")]
OF_SEGMENTS = {"segments": None, "fill": {"image": "mean", "meta": "zero"}}
WIDER = {
    "expected_gradients": {"background": {"image": "uniform", "meta": META[::-1]}},
    "lime": OF_SEGMENTS,
    "kernel_shap": OF_SEGMENTS,
    "occlusion": {"patch": None, "stride": None},
    "rise": {"grid": None},
}


def asked(name, model, inputs, targets=TARGETS, **options):
    given = {**shapes.OPTIONS.get(name, {}), **WIDER.get(name, {}), **options}
    return xu.METHODS[name].function(model, inputs, targets, **given)


def of_one(name, place):
    """Of the options that each input has by its name those of one: features have no mean and no range of their own."""
    own = {option: given for option, given in WIDER.get(name, {}).items() if isinstance(given, dict)}
    return {option: given[("image", "meta")[place]] for option, given in own.items()}


def near(found, true, most=1e-5):
    assert np.abs(true).max() > 1e-6, "an empty map would prove nothing"
    assert shapes.distance(found, true) < most


@pytest.fixture(scope="module")
def parts():
    keras.utils.set_random_seed(1)
    image, meta = keras.Input((8, 6, 2), name="image"), keras.Input((5,), name="meta")
    a = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv_1")(image)
    a = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv_2")(layers.MaxPooling2D(2)(a))
    both = layers.Concatenate()([layers.GlobalAveragePooling2D()(a), layers.Dense(4, activation="relu")(meta)])
    mixed = layers.Dense(8, activation="relu")(both)
    return image, meta, layers.Dense(3, activation="softmax", name="head")(mixed)


@pytest.fixture(scope="module")
def model(parts):
    return keras.Model([parts[0], parts[1]], parts[2])


@pytest.fixture(scope="module")
def keyed(parts):
    """Its names are not in the order of the alphabet, in which Keras takes a list for a dictionary."""
    return keras.Model({"meta": parts[1], "image": parts[0]}, parts[2])


class Fixed(keras.Model):
    """The model as a function of one input; the other one has the values of one item."""

    def __init__(self, model, place, value):
        super().__init__()
        self.model, self.place, self.value = model, place, value

    def call(self, x):
        other = tf.repeat(self.value[None], tf.shape(x)[0], axis=0)
        return self.model([x, other] if self.place == 0 else [other, x])


def fixed(model, place, item):
    """A model of one input, in which the other input of that item is a constant."""
    twin = Fixed(model, place, (META, IMAGE)[place][item])
    x = keras.Input((IMAGE, META)[place].shape[1:])
    return keras.Model(x, twin(x))


@pytest.mark.parametrize("name", [*GRADIENTS, *ON_LAYERS, *PERTURBATIONS])
def test_one_input_is_explained_with_the_others_held_fixed_at_its_own_item(name, model):
    if name in ("deconvnet", "guided_backprop", *GRADIENTS, *PERTURBATIONS):
        places = (0, 1)
    else:
        places = (0,)  # features have no layer with positions
    for place in places:
        found = asked(name, model, [IMAGE, META], only=("image", "meta")[place])
        alone = [(IMAGE, META)[place][[item]] for item in range(3)]
        true = [asked(name, fixed(model, place, i), alone[i], TARGETS[i], **of_one(name, place)) for i in range(3)]
        near(found, np.concatenate(true))


@pytest.mark.parametrize("name", [*ON_LAYERS, *PERTURBATIONS])
def test_maps_come_in_the_form_of_the_inputs(name, model, keyed):
    one = {
        only: asked(name, model, [IMAGE, META], only=only) for only in ("image", *["meta"] * (name in PERTURBATIONS))
    }
    found = asked(name, model, (IMAGE, META))
    assert isinstance(found, list) and np.array_equal(found[0], one["image"])
    found = asked(name, keyed, {"image": IMAGE, "meta": META})
    assert list(found) == ["meta", "image"]
    np.testing.assert_allclose(found["image"], one["image"], atol=1e-6)
    assert found["meta"] is None if "meta" not in one else np.allclose(found["meta"], one["meta"], atol=1e-6)


def tape(model, image, meta):
    a, b = tf.constant(image), tf.constant(meta)
    with tf.GradientTape() as record:
        record.watch([a, b])
        z = tf.math.log(model([a, b]))
        z -= tf.reduce_mean(z, axis=1, keepdims=True)  # the logits up to what all share
        score = tf.gather(z, TARGETS, batch_dims=1)
    return [each.numpy() for each in record.gradient(score, [a, b])]


def contrasted(model, name, **options):
    """The map of z_c - mean z, whose gradient the tape of the probabilities knows too."""

    def score(outputs, targets):
        z = tf.math.log(outputs)
        return tf.gather(z - tf.reduce_mean(z, axis=1, keepdims=True), targets, batch_dims=1)

    return asked(name, model, [IMAGE, META], score=score, **options)


def test_the_gradient_of_both_is_that_of_a_tape(model):
    for found, true in zip(contrasted(model, "saliency"), tape(model, IMAGE, META), strict=True):
        near(found, true)


def test_integrated_gradients_move_all_inputs_along_one_path_and_their_sums_are_complete_together(model):
    found = asked("integrated_gradients", model, [IMAGE, META], baseline="zero", steps=300)
    total = sum(each.reshape(3, -1).sum(axis=1) for each in found)
    scores = [xu.scores(model, [a * IMAGE, a * META], TARGETS, score="logit") for a in (1, 0)]
    np.testing.assert_allclose(total, scores[0] - scores[1], rtol=1e-3, atol=1e-4)
    alone = [asked("integrated_gradients", model, [IMAGE, META], only=only, steps=300, baseline="zero")
             for only in ("image", "meta")]  # fmt: skip
    assert np.abs(sum(each.reshape(3, -1).sum(axis=1) for each in alone) - total).max() > 1e-3  # another path


def test_a_path_of_three_steps_by_hand(model):
    found = contrasted(model, "integrated_gradients", baseline={"image": 0.25, "meta": "zero"}, steps=3)
    start = np.full_like(IMAGE, 0.25), np.zeros_like(META)
    points = [[s + (k + 0.5) / 3 * (x - s) for x, s in zip((IMAGE, META), start, strict=True)] for k in range(3)]
    gradients = [tape(model, *point) for point in points]
    for number, (x, s) in enumerate(zip((IMAGE, META), start, strict=True)):
        near(found[number], (x - s) * np.mean([each[number] for each in gradients], axis=0))


@pytest.mark.parametrize("name", ["smooth_grad", "var_grad"])
def test_noise_is_laid_over_all_inputs_each_by_its_own_range(name, model):
    option = shapes.OPTIONS[name]
    gradients = []
    for sample in range(option["samples"]):
        noise = np.random.default_rng([option["seed"], sample]).standard_normal(96 + 5, np.float32)
        sigma = [option["noise"] * np.ptp(x.reshape(3, -1), axis=1) for x in (IMAGE, META)]
        image = IMAGE + sigma[0].reshape(3, 1, 1, 1) * noise[:96].reshape(8, 6, 2)
        gradients.append(tape(model, image, META + sigma[1][:, None] * noise[96:]))
    for number, found in enumerate(contrasted(model, name)):
        samples = np.stack([each[number] for each in gradients]).astype(np.float64)
        near(found, samples.mean(axis=0) if name == "smooth_grad" else samples.var(axis=0), 5e-5)


def test_an_item_alone_and_in_a_batch_have_one_map_and_the_class_is_the_predicted_one(model):
    whole = asked("integrated_gradients", model, [IMAGE, META], None, batch_size=2)
    predicted = model([IMAGE, META]).numpy().argmax(axis=1)
    for item in range(3):
        alone = asked("integrated_gradients", model, [IMAGE[[item]], META[[item]]], int(predicted[item]))
        for one, every in zip(alone, whole, strict=True):
            np.testing.assert_allclose(one[0], every[item], rtol=1e-4, atol=1e-6)


def test_views_of_a_model_with_several_inputs_are_explained_too(model, keyed):
    view = xu.unit(keyed, "conv_1", 1)
    inner = keras.Model(model.inputs, keras.ops.mean(model.get_layer("conv_1").output[..., 1:2], axis=(1, 2)))
    found = xu.saliency(view, {"image": IMAGE, "meta": META}, 0, only="image")
    near(found, xu.saliency(inner, [IMAGE, META], 0, score="value", only="image"))
    np.testing.assert_allclose(view({"image": IMAGE, "meta": META}), inner([IMAGE, META]), rtol=1e-5)
    near(
        xu.saliency(xu.logits(model), [IMAGE, META], TARGETS, only="meta"),
        xu.saliency(model, [IMAGE, META], TARGETS, only="meta"),
    )


# ---- tables


@pytest.fixture(scope="module")
def table():
    """S = w . x on five features."""
    dense = layers.Dense(2)
    model = keras.Sequential([keras.Input((5,)), dense])
    dense.set_weights([np.arange(10, dtype=np.float32).reshape(5, 2) - 4, np.ones(2, np.float32)])
    return model


def test_the_features_of_a_table_are_explained_one_by_one(table):
    """A linear model: gradient w, and w * (x - f) for all that hide: each feature is a part of its own."""
    w = (np.arange(10, dtype=np.float32).reshape(5, 2) - 4)[:, 1]
    options = {"score": "value"}
    near(xu.saliency(table, META, 1, **options), np.tile(w, (3, 1)))
    near(xu.integrated_gradients(table, META, 1, **options), w * META)
    near(xu.occlusion(table, META, 1, fill="zero", **options), w * META)
    near(xu.lime(table, META, 1, fill="zero", alpha=1e-9, samples=64, **options), w * META, 1e-4)
    function = xu.occlusion(lambda x: x @ w[:, None], META, 0, fill="zero")
    near(function, w * META)
    mask = xu.rise(table, META, 1, masks=4000, **options)
    assert np.corrcoef(mask.ravel(), (w * META).ravel())[0, 1] > 0.95


def of_twelve():
    """S = w . x on twelve features, more than there are cells along an axis of positions."""
    dense = layers.Dense(2)
    model = keras.Sequential([keras.Input((12,)), dense])
    dense.set_weights([np.arange(24, dtype=np.float32).reshape(12, 2) - 9, np.ones(2, np.float32)])
    return model


@pytest.mark.parametrize(
    "asked_as", [lambda model: model, lambda model: model.predict_on_batch], ids=["model", "function"]
)
def test_many_features_are_covered_one_by_one(asked_as):
    model, x = of_twelve(), DRAW.normal(size=(3, 12)).astype(np.float32)
    found = xu.occlusion(asked_as(model), x, [1, 0, 1], fill="zero")
    near(found, x * model.get_weights()[0].T[[1, 0, 1]])


# ---- what is refused


@pytest.mark.parametrize("word", ["mean", "blur"])
def test_features_have_neither_a_mean_nor_a_blur(word):
    """Each would be its own mean, and the map 0."""
    with pytest.raises(ValueError, match=f"baseline: got '{word}'"):
        xu.integrated_gradients(of_twelve(), np.ones((1, 12), np.float32), 0, baseline=word)


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        (IMAGE, TypeError, ("inputs:", "ndarray", "several inputs", "['image', 'meta']")),
        ([IMAGE], ValueError, ("inputs:", "1 arrays", "2")),
        ({"image": IMAGE}, ValueError, ("inputs:", "['image']", "'meta'")),
        ({"image": IMAGE, "meta": META, "age": META}, ValueError, ("inputs:", "'age'")),
        ([META, IMAGE], ValueError, ("inputs[0]:", "(3, 5)", "(N, 8, 6, 2)")),
        ([IMAGE, META[:2]], ValueError, ("inputs:", "'image': 3", "'meta': 2")),
        ([IMAGE, META.astype(int)], TypeError, ("inputs[1]:", "int64", "inputs[1].astype('float32')")),
        ({"image": IMAGE, "meta": META * np.nan}, ValueError, ("inputs['meta']:", "NaN")),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_name(model, inputs, error, words):
    for method in (xu.saliency, xu.grad_cam, xu.lime):
        with pytest.raises(error) as told:
            method(model, inputs, TARGETS)
        assert str(told.value).startswith(words[0]) and all(word in str(told.value) for word in words), told.value


@pytest.mark.parametrize("only", ["age", 2, -1, True])
def test_an_unknown_input_is_refused_with_the_names(model, only):
    with pytest.raises(ValueError, match=r"only: got .*one of \['image', 'meta'\]"):
        xu.saliency(model, [IMAGE, META], TARGETS, only=only)


def test_only_is_refused_for_a_model_with_one_input():
    with pytest.raises(ValueError, match="only: got 'image', but the model has one input"):
        xu.saliency(shapes.SHAPES["functional"].model(None), IMAGE, TARGETS, only="image")


def test_a_baseline_or_fill_by_name_is_one_for_each(model):
    with pytest.raises(ValueError, match="fill: got a dictionary with the keys .'image'., which lacks 'meta'"):
        xu.occlusion(model, [IMAGE, META], TARGETS, fill={"image": 0.0})
    with pytest.raises(ValueError, match="baseline: got a dictionary with the keys .'image'., which lacks 'meta'"):
        xu.integrated_gradients(model, [IMAGE, META], TARGETS, baseline={"image": 0.0})
