"""Scores of one's own: a contrast, a class over a region, a function of the outputs, one head of several.

The oracle is a twin: a network whose one output is that score, explained by its value. Its maps have oracles of their
own (`tests/test_contract.py`); gradients are compared with a plain tape as well.
"""

import gc
import weakref

import keras
import numpy as np
import pytest
import shapes
import tensorflow as tf
from keras import layers

import xai_utils as xu
from heatproof.problems import XAIWarning

X = shapes.PLAIN.inputs()
SCORED = [name for name in xu.METHODS if name not in ("cam", "score_cam", "sise")]  # those have no argument `score`
MASKS = np.zeros((3, 8, 6), np.float32)
MASKS[0, 2:5, 1:4], MASKS[1, :3, 3:], MASKS[2] = 1, 0.5, 1


def asked(name, model, inputs, targets, **options):
    return xu.METHODS[name].function(model, inputs, targets, **{**shapes.OPTIONS.get(name, {}), **options})


def near(found, true):
    assert np.abs(true).max() > 1e-6, "an empty map would prove nothing"
    assert shapes.distance(found, true) < 1e-5


@pytest.fixture(scope="module")
def classifier():
    return shapes.SHAPES["functional"].model(None)


# ---- contrast


def contrasted(model, a, b):
    """The same network with one output, z_a - z_b."""
    weights, bias = model.get_layer("head").get_weights()
    twin = keras.models.clone_model(keras.Model(model.inputs, model.get_layer("gap").output))
    twin.set_weights(keras.Model(model.inputs, model.get_layer("gap").output).get_weights())
    head = layers.Dense(1)
    twin = keras.Model(twin.inputs, head(twin.output))
    head.set_weights([weights[:, [a]] - weights[:, [b]], bias[[a]] - bias[[b]]])
    return twin


@pytest.mark.parametrize("name", SCORED)
def test_a_contrast_is_the_difference_of_two_logits(name, classifier):
    found = asked(name, classifier, X, None, score=xu.contrast(2, 0))
    near(found, asked(name, contrasted(classifier, 2, 0), X, 0, score="value"))


def test_a_contrast_of_one_unit_is_twice_its_logit():
    model = shapes.SHAPES["sigmoid"].model(None)
    near(xu.saliency(model, X, score=xu.contrast(1, 0)), 2 * xu.saliency(model, X, 1))


# ---- regions


class OverRegion(layers.Layer):
    """sum_p m(p) z_c(p)."""

    def __init__(self, mask, target):
        super().__init__()
        self.mask, self.target = mask, target

    def call(self, z):
        return tf.reduce_sum(z[..., self.target] * self.mask, axis=(1, 2))[:, None]


@pytest.fixture(scope="module")
def dense():
    """A dense prediction and its logits: two convolutions, classes at every position."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input(shapes.IMAGE)
    a = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv_1")(inputs)
    z = layers.Conv2D(3, 1, name="classes")(a)
    return keras.Model(inputs, layers.Softmax()(z)), keras.Model(inputs, z)


@pytest.mark.parametrize("name", SCORED)
def test_a_region_is_the_sum_of_the_logits_of_the_class_over_it(name, dense):
    """Each item has a region and a class of its own; the twin has one number."""
    model, logits = dense
    options = {"layer": "conv_1"} if xu.METHODS[name].family == "cam" else {}
    found = asked(name, model, X, [2, 0, 1], score=xu.region(MASKS, each=True), **options)
    twins = [OverRegion(mask, target)(logits.output) for mask, target in zip(MASKS, [2, 0, 1], strict=True)]
    twins = [keras.Model(logits.inputs, twin) for twin in twins]
    near(
        found, np.concatenate([asked(name, twin, X[[i]], 0, score="value", **options) for i, twin in enumerate(twins)])
    )


def test_one_region_serves_all_inputs_and_the_map_is_that_of_a_tape(dense):
    model, logits = dense
    found = xu.saliency(model, X, 1, score=xu.region(MASKS[0]))
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(logits(x)[..., 1] * MASKS[0], axis=(1, 2))
    near(found, tape.gradient(total, x).numpy())
    np.testing.assert_allclose(xu.scores(model, X, 1, score=xu.region(MASKS[0])), total, rtol=1e-5)


def test_a_region_of_a_sigmoid_map_has_two_classes():
    inputs = keras.Input(shapes.IMAGE)
    model = keras.Model(inputs, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(inputs))
    one, zero = (xu.saliency(model, X, target, score=xu.region(MASKS[0])) for target in (1, 0))
    near(one, -zero)
    assert xu.scores(model, X, 1, score=xu.region(MASKS[0]))[0] != 0


# ---- functions


def entropy(outputs, targets):
    return -tf.reduce_sum(outputs * tf.math.log(outputs), axis=-1)


def probability(outputs, targets):
    return tf.gather(outputs, targets, batch_dims=1)


OF_NUMBERS = [name for name in SCORED if name != "lrp"]  # which shares no softmax out, and says so


class Entropy(layers.Layer):
    def call(self, p):
        return entropy(p, None)[:, None]


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_a_function_of_the_outputs_is_explained(name, classifier):
    twin = keras.Model(classifier.inputs, Entropy()(classifier.output))
    found = asked(name, classifier, X, None, score=entropy)
    near(found, asked(name, twin, X, 0, score="value"))


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_a_function_is_told_the_targets_of_the_items(name, classifier):
    options = {"score": "probability"}
    near(asked(name, classifier, X, [2, 0, 1], score=probability), asked(name, classifier, X, [2, 0, 1], **options))


def test_a_function_of_two_heads_is_a_tape_s(two_heads):
    def score(outputs, targets):
        return outputs["class"][:, 0] * outputs["age"][:, 0]

    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = two_heads(x)
        total = outputs["class"][:, 0] * outputs["age"][:, 0]
    near(xu.saliency(two_heads, X, score=score), tape.gradient(total, x).numpy())


def test_a_hundred_calls_with_one_object_are_one_trace(classifier):
    traced = []

    def counted(outputs, targets):
        traced.append(1)
        return outputs[:, 0]

    xu.saliency(classifier, X, score=counted)
    first = len(traced)
    for _ in range(100):
        xu.saliency(classifier, X, score=counted)
    assert len(traced) == first


def test_a_bound_method_is_one_object(classifier):
    class Mine:
        traced = 0

        def score(self, outputs, targets):
            self.traced += 1
            return outputs[:, 1]

    mine = Mine()
    near(xu.saliency(classifier, X, score=mine.score), xu.saliency(classifier, X, 1, score="probability"))
    first = mine.traced
    xu.saliency(classifier, X, score=mine.score)
    assert mine.traced == first


def test_a_function_that_is_written_anew_for_every_call_draws_a_hint(classifier):
    def call():
        return xu.saliency(classifier, X, score=lambda outputs, targets: outputs[:, 0])

    call()
    with pytest.warns(XAIWarning, match="score: got a function that was written anew.*pass the same object"):
        call()


def test_a_function_that_holds_the_model_keeps_it_not_alive():
    model = shapes.SHAPES["functional"].model(None)

    def score(outputs, targets):
        return outputs[:, 0] + 0 * len(model.layers)

    xu.saliency(model, X, score=score)
    watched = weakref.ref(model)
    del score
    model = None
    gc.collect()
    assert watched() is None


# ---- heads


@pytest.fixture(scope="module")
def two_heads():
    keras.utils.set_random_seed(4)
    inputs = keras.Input(shapes.IMAGE)
    a = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv_1")(inputs)
    b = layers.Conv2D(4, 3, padding="same", activation="relu", name="beside")(a)
    kind = layers.Dense(3, activation="softmax", name="class")(layers.GlobalAveragePooling2D()(a))
    age = layers.Dense(1, name="age")(layers.GlobalAveragePooling2D()(b))
    return keras.Model(inputs, {"class": kind, "age": age})


@pytest.mark.parametrize("name", xu.METHODS)
def test_a_head_is_explained_as_the_model_rebuilt_for_it(name, two_heads):
    rebuilt = keras.Model(two_heads.inputs, two_heads.output["class"])
    for head in ("class", 0):
        near(asked(name, xu.head(two_heads, head), X, [2, 0, 1]), asked(name, rebuilt, X, [2, 0, 1]))


def test_the_layer_of_a_head_is_the_last_on_the_way_to_it(two_heads):
    rebuilt = keras.Model(two_heads.inputs, two_heads.output["age"])
    near(xu.hires_cam(xu.head(two_heads, "age"), X, 0, score="value"), xu.hires_cam(rebuilt, X, 0, score="value"))
    with pytest.raises(ValueError, match="layer"):
        xu.grad_cam(xu.head(two_heads, "class"), X, 0, layer="beside")


def test_heads_in_a_list_have_the_names_of_their_layers(two_heads):
    model = keras.Model(two_heads.inputs, [two_heads.output["class"], two_heads.output["age"]])
    found = [xu.saliency(xu.head(model, head), X, 0, score="value") for head in ("class", 0, -2, "age", 1)]
    near(found[0], found[1]), near(found[0], found[2]), near(found[3], found[4])
    near(found[0], xu.saliency(xu.head(two_heads, "class"), X, 0, score="value"))


def test_a_contrast_and_a_region_are_of_the_head_that_is_chosen(two_heads, dense):
    near(
        xu.saliency(xu.head(two_heads, "class"), X, score=xu.contrast(2, 0)),
        xu.saliency(xu.head(two_heads, "class"), X, 2) - xu.saliency(xu.head(two_heads, "class"), X, 0),
    )
    model = keras.Model(dense[0].inputs, [layers.Flatten()(dense[0].output), dense[0].output])
    near(
        xu.saliency(xu.head(model, 1), X, 2, score=xu.region(MASKS[0])),
        xu.saliency(dense[0], X, 2, score=xu.region(MASKS[0])),
    )


# ---- what is refused


@pytest.mark.parametrize(
    ("score", "targets", "words"),
    [
        (xu.contrast(2, 0), [0, 1, 2], ("targets:", "leave them out")),
        (xu.contrast(3, 0), None, ("score:", "3 and 0", "from 0 to 2")),
        (xu.region(MASKS[0]), None, ("targets:", "every position", "targets=0")),
        (xu.region(MASKS[0]), 0, ("score:", "(8, 6)", "(None, 3)")),
        (xu.region(MASKS[:2], each=True), 0, ("score:", "2 regions for 3 inputs")),
        (lambda outputs, targets: outputs, None, ("score:", "(None, 3)", "(N,)")),
        (lambda outputs, targets: tf.reduce_mean(outputs), None, ("score:", "()", "(N,)")),
        (lambda outputs, targets: 3, None, ("score:", "int", "(N,)")),
        (int, None, ("score:", "int", "'logit'")),
        (None, None, ("score:", "None", "'logit'")),
    ],
)
def test_a_score_that_fits_not_is_refused_by_name(classifier, score, targets, words):
    with pytest.raises((TypeError, ValueError), match="^" + words[0]) as told:
        xu.saliency(classifier, X, targets, score=score)
    assert all(word in str(told.value) for word in words), told.value


def test_a_region_on_another_grid_and_a_class_that_is_not_there_are_refused(dense):
    with pytest.raises(ValueError, match=r"score: got a region of shape \(4, 3\)"):
        xu.saliency(dense[0], X, 0, score=xu.region(np.ones((4, 3))))
    with pytest.raises(ValueError, match="targets: got indices from 3 to 3; allowed: a class index from 0 to 2"):
        xu.saliency(dense[0], X, 3, score=xu.region(MASKS[0]))


def test_a_unit_has_a_score_already_and_a_score_of_one_s_own_no_activation(classifier):
    with pytest.raises(ValueError, match="model: got a view of one inner unit"):
        xu.saliency(xu.unit(classifier, "conv_1", 0), X, score=entropy)
    with pytest.raises(ValueError, match="activation:.*leave it out"):
        xu.saliency(classifier, X, score=entropy, activation="softmax")


@pytest.mark.parametrize("mask", [np.zeros((2, 2)), -np.ones((2, 2)), np.nan * np.ones(2), 3, [[1, 1], [0, 0]]])
def test_masks_that_choose_nothing_are_refused(mask):
    with pytest.raises(ValueError, match="^mask:"):
        xu.region(mask, each=np.ndim(mask) == 2 and np.max(mask) == 1)


@pytest.mark.parametrize("head", ["colour", 2, -3])
def test_an_unknown_head_is_refused_with_the_names(two_heads, head):
    with pytest.raises(ValueError, match=r"head: got .*one of \['class', 'age'\] or a number from 0 to 1"):
        xu.head(two_heads, head)


def test_several_outputs_are_refused_with_a_cure_that_works(two_heads):
    with pytest.raises(ValueError, match=r"model: .*a dict of 2.*Cure: one of them, (xu.head\(model, '\w+'\))") as told:
        xu.saliency(two_heads, X)
    cured = eval(str(told.value).split("of them, ")[1].rstrip("."), {"model": two_heads, "xu": xu})
    assert xu.saliency(cured, X, 0, score="value").shape == X.shape
