"""A function as the thing explained: the same maps as of the Keras model behind it, and what is refused."""

import keras
import numpy as np
import pytest
import shapes
import tensorflow as tf
from keras import layers
from sklearn.linear_model import LogisticRegression

import xai_utils as xu
from heatproof.engine import functions

OPTIONS = {name: shapes.OPTIONS[name] for name in ("occlusion", "rise", "lime")}
METHODS = sorted(OPTIONS)
IMAGES = shapes.PLAIN.inputs()


def ask(name, model, inputs, targets=shapes.TARGETS, **options):
    return xu.METHODS[name].function(model, inputs, targets, **{**OPTIONS[name], **options})


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "truth", [shapes.PLAIN, shapes.Truth(shapes.SIGNAL), shapes.Truth(shapes.VOLUME)], ids=["image", "signal", "volume"]
)
def test_the_map_of_a_function_is_that_of_the_formula(name, truth):
    """The network without Keras is the function; for occlusion its logits are, which are explained there."""
    predict = truth.logits if name == "occlusion" else truth.probabilities
    found = ask(name, predict, truth.inputs())
    assert shapes.distance(found, shapes.expected_once(name, truth)) < 1e-5


@pytest.mark.parametrize("name", METHODS)
def test_a_function_and_the_model_behind_it_have_one_map(name):
    model = shapes.SHAPES["functional"].model(None)
    found = ask(name, lambda x: model.predict(x, verbose=0), IMAGES, None)
    np.testing.assert_allclose(found, ask(name, model, IMAGES, None, score="probability"), atol=1e-6)


def test_a_classifier_of_scikit_learn_is_explained_behind_its_flat_features():
    """Logistic regression: one-pixel occlusion of the log-odds is w * (x - f), whatever library made them."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(60, 4, 4, 1)).astype(np.float32), draw.integers(0, 2, 60)
    classifier = LogisticRegression().fit(x.reshape(60, -1), y)

    def log_odds(batch):
        return classifier.decision_function(batch.reshape(len(batch), -1))[:, None]

    found = xu.occlusion(log_odds, x[:3], 0, patch=1, stride=1, fill=0.2)
    wanted = classifier.coef_.reshape(4, 4) * (x[:3, ..., 0] - 0.2)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_a_saved_model_is_explained_through_its_layer(tmp_path):
    model = shapes.SHAPES["functional"].model(None)
    model.export(str(tmp_path / "saved"), verbose=False)
    layer = layers.TFSMLayer(str(tmp_path / "saved"), call_endpoint="serve")
    found = xu.occlusion(layer, IMAGES, 1, **OPTIONS["occlusion"])
    wanted = xu.occlusion(model, IMAGES, 1, score="probability", **OPTIONS["occlusion"])
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    by_name = xu.occlusion(lambda x: {"output_0": model(x)}, IMAGES, 1, **OPTIONS["occlusion"])
    np.testing.assert_allclose(by_name, wanted, atol=1e-6)


def test_a_function_may_change_the_array_that_it_is_given():
    def greedy(x):
        found = shapes.PLAIN.logits(x)
        x *= 0
        return found

    wanted = ask("occlusion", shapes.PLAIN.logits, IMAGES)
    assert np.array_equal(ask("occlusion", greedy, IMAGES), wanted)


def test_a_function_of_features_may_change_the_table_that_it_is_given():
    """What is covered at 0 takes w_k x_k off, of the table as it was given; the caller's own stays too."""
    w, table = np.array([[2.0, 1.0], [-1.0, 3.0], [0.5, -2.0]]), np.array([[1.0, 2.0, 3.0], [-1.0, 4.0, 2.0]])
    given = table.copy()

    def greedy(x):
        found = x @ w
        x *= 0
        return found

    found = xu.occlusion(greedy, given, [0, 1], patch=1, stride=1, fill=0.0)
    np.testing.assert_allclose(found, table * w.T[[0, 1]], rtol=1e-6)
    assert np.array_equal(given, table)


def test_the_scores_are_those_of_the_targets_of_the_items():
    z = shapes.PLAIN.logits(IMAGES)
    options = {"score": "value", "activation": None, "head": None, "only": None, "batch_size": 2}
    asked = functions.ask(shapes.PLAIN.logits, IMAGES, [2, 0, 1], **options)
    np.testing.assert_allclose(asked.scores(), z[[0, 1, 2], [2, 0, 1]], rtol=1e-12)
    np.testing.assert_allclose(asked.scores(IMAGES[[2, 0]], [1, 2]), z[[2, 0], [0, 1]], rtol=1e-12)


def test_an_input_alone_and_in_a_batch_have_one_map_and_the_class_is_the_predicted_one():
    found = ask("lime", shapes.PLAIN.probabilities, IMAGES, None, batch_size=2)
    for item, image in enumerate(IMAGES):
        target = int(shapes.PLAIN.probabilities(image[None]).argmax())
        np.testing.assert_allclose(ask("lime", shapes.PLAIN.probabilities, image[None], target)[0], found[item], 1e-6)


def test_the_middle_of_a_function_is_that_of_the_range_that_it_states():
    def mean(x):
        return x.mean(axis=(1, 2))

    mean.input_range = (0, 1)
    x = np.full((1, 2, 2, 1), 0.75, np.float32)
    assert xu.occlusion(mean, x, 0, patch=1, stride=1) == pytest.approx((0.75 - 0.5) / 4)


@pytest.mark.parametrize(
    ("predict", "error", "words"),
    [
        (lambda x: np.zeros(len(x)), ValueError, ("(3,)", "(3, K)", "numpy.reshape")),
        (lambda x: np.zeros((1, 3)), ValueError, ("(1, 3)", "(3, K)")),
        (lambda x: np.zeros((len(x), 2, 2)), ValueError, ("(3, 2, 2)", "numpy.reshape")),
        (lambda x: np.full((len(x), 2), "cat"), TypeError, ("<U3", "numbers")),
        (lambda x: np.full((len(x), 3), np.nan), ValueError, ("NaN", "finite")),
    ],
)
def test_what_a_function_gives_is_refused_unless_it_is_a_row_of_numbers_for_each_input(predict, error, words):
    with pytest.raises(error, match="^model:") as told:
        ask("lime", predict, IMAGES)
    assert all(word in str(told.value) for word in words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"score": "logit"}, ("score:", "'value'")),
        ({"activation": "softmax"}, ("activation:", "leave it out")),
        ({"targets": 3}, ("targets:", "0 to 2")),
        ({"inputs": IMAGES[:, 0, 0, 0]}, ("inputs:", "any")),
        ({"batch_size": 0}, ("batch_size:",)),
    ],
)
def test_bad_questions_to_a_function_are_refused_by_name(options, words):
    with pytest.raises(ValueError, match="^" + words[0]) as told:
        ask("lime", shapes.PLAIN.probabilities, **{"inputs": IMAGES, **options})
    assert all(word in str(told.value) for word in words)


@pytest.mark.parametrize("name", ["saliency", "grad_cam", "integrated_gradients", "sise", "score_cam", "deconvnet"])
def test_what_needs_a_gradient_or_a_layer_says_so_of_a_function(name):
    with pytest.raises(TypeError, match="a method, of which no gradient and no layer is known.*xu.occlusion"):
        xu.METHODS[name].function(shapes.PLAIN.logits, IMAGES, 0)


def test_an_estimator_is_refused_with_the_function_that_makes_it_one():
    x = np.random.default_rng(0).normal(size=(20, 2, 2, 1)).astype(np.float32)
    model = LogisticRegression().fit(x.reshape(20, -1), np.arange(20) % 2)
    for method in (xu.lime, xu.saliency):
        with pytest.raises(TypeError, match=r"a LogisticRegression.*lambda x: model.predict_proba") as told:
            method(model, x)
    predict = eval(str(told.value).split("Cure: ")[1].split(", for")[0], {"model": model, "len": len})
    found = xu.occlusion(predict, x[:1], 1, patch=1, stride=1, fill=0.0)
    covered = x[:1].copy()
    covered[0, 0, 1] = 0
    wanted = np.diff(model.predict_proba(np.concatenate([covered, x[:1]]).reshape(2, -1))[:, 1])
    assert found[0, 0, 1] == pytest.approx(wanted[0], rel=1e-4)


def test_a_tensor_of_another_library_is_read_as_numbers():
    found = ask("rise", lambda x: tf.constant(shapes.PLAIN.probabilities(x)), IMAGES)
    assert np.array_equal(found, ask("rise", shapes.PLAIN.probabilities, IMAGES))


def test_a_layer_that_is_no_model_is_asked_as_a_function():
    dense = layers.Dense(2, use_bias=False)
    layer = keras.Sequential([layers.Flatten(), dense])
    x = np.ones((1, 2, 2, 1), np.float32)
    layer(x)
    found = xu.occlusion(layer.call, x, 1, patch=1, stride=1, fill=0.0)
    np.testing.assert_allclose(found.ravel(), dense.kernel.numpy()[:, 1], rtol=1e-4, atol=1e-6)
