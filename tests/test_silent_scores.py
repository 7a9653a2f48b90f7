"""Networks that are no softmax classifiers: numbers as they are, and several labels at once.

A linear network S = w.x + b and its closed forms; otherwise float64 tapes of our own.
"""

import keras
import numpy as np
import pytest
import tapes
from keras import layers

import xai_utils as xu
from models import randomised

SIGNAL, POSITIONS = (10, 1), 10
SIGNALS = np.random.default_rng(0).normal(1, 1, (2, *SIGNAL)).astype(np.float32)
FAST = {  # few samples: equal seeds make the comparison exact
    "smooth_grad": {"samples": 3},
    "var_grad": {"samples": 3},
    "integrated_gradients": {"steps": 4},
    "rise": {"masks": 40},
    "lime": {"samples": 60, "segments": 16},
    "expected_gradients": {"samples": 4},
    "kernel_shap": {"samples": 120, "segments": 10},
    "meaningful_perturbation": {"steps": 10, "learning_rate": 1.0, "reference": 0.0},
}
BOTH_READINGS = ("value", "activation", "softmax", "sigmoid")


def linear(outputs=1, offset=0.0, end=None):
    """S_k = w_k.x + b_k with `offset` in every b_k."""
    inputs = keras.Input(SIGNAL)
    model = randomised(keras.Model(inputs, layers.Dense(outputs, end, name="head")(layers.Flatten()(inputs))), 1)
    kernel, bias = model.get_layer("head").get_weights()
    model.get_layer("head").set_weights([kernel, bias + offset])
    return model


def convolutional(outputs=1, end=None, shape=(8, 8, 2)):
    inputs = keras.Input(shape)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(inputs)
    x = layers.Conv2D(3, 3, padding="same", name="last")(x)
    return randomised(keras.Model(inputs, layers.Dense(outputs, end)(layers.Flatten()(x))), 2)


IMAGES = np.random.default_rng(1).normal(size=(2, 8, 8, 2)).astype(np.float32)


def compiled(model, loss):
    model.compile("sgd", loss)
    return model


def w_times_x(model, index=0):
    return model.get_layer("head").get_weights()[0][:, index] * SIGNALS[..., 0]


# --- the number itself ------------------------------------------------------------------------------------------------


def test_every_method_with_a_score_and_every_one_by_probability_takes_the_activation():
    """Score-CAM and SISE score by a probability without a `score=`; what a warning names must be there to be given."""
    assert tapes.accepting("activation") == [name for name in xu.METHODS if name != "cam"]


@pytest.mark.parametrize("outputs, index", [(1, 0), (3, 2), (3, 0)])
def test_the_value_is_the_output(outputs, index):
    model = linear(outputs, offset=40)
    found = tapes.silent(xu.scores, model, SIGNALS, index, score="value")
    np.testing.assert_allclose(found, model.predict(SIGNALS, verbose=0)[:, index], rtol=1e-6)


def test_one_output_is_its_own_target_and_has_no_other():
    model = compiled(linear(offset=-40), "mse")
    found = tapes.silent(xu.saliency, model, SIGNALS, score="value")
    tapes.close(found, np.broadcast_to(model.get_layer("head").get_weights()[0], SIGNALS.shape), 1e-6)
    with pytest.raises(ValueError, match="^targets"):
        xu.saliency(model, SIGNALS, 1, score="value")


@pytest.mark.parametrize("name", tapes.accepting("score"))
def test_every_method_explains_the_value_of_a_named_output(name):
    """The logit of a class, where no softmax follows, is the output as it is: on that oracle stand other tests."""
    method, options = xu.METHODS[name].function, FAST.get(name, {})
    found = tapes.silent(method, convolutional(3), IMAGES, 1, score="value", **options)
    np.testing.assert_array_equal(found, tapes.heard(method, convolutional(3), IMAGES, 1, score="logit", **options)[0])
    assert np.abs(found).max() > 0


@pytest.mark.parametrize("end, score", [("softmax", tapes.output(1)), ("sigmoid", tapes.output(1))])
def test_the_value_of_a_squashed_output_is_behind_the_squashing(end, score):
    model = convolutional(3, end)
    wanted = tapes.gradient(tapes.in_float64(model), IMAGES, score)
    tapes.close(tapes.silent(xu.saliency, model, IMAGES, 1, score="value"), wanted)


# --- what the loss tells

LOSSES = ["mse", "mae", "mean_squared_error", "huber", "log_cosh", keras.losses.MeanAbsoluteError()]
LOSSES += [["mse"], keras.losses.Huber(delta=2.0)]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: getattr(loss, "name", str(loss)))


@each_loss
def test_lime_of_a_regression_is_w_x(loss):
    """Every position a segment, nothing behind it and no penalty: beta = w x (as for any linear score)."""
    model = compiled(linear(3, offset=100), loss)
    segments = np.arange(POSITIONS)
    found = tapes.silent(xu.lime, model, SIGNALS, 2, segments=segments, samples=80, fill="zero", alpha=1e-7)
    tapes.close(found, w_times_x(model, 2), 1e-3)


@pytest.mark.parametrize("outputs, index", [(1, 0), (1, None), (3, 1)])
@pytest.mark.parametrize("offset", [0, 100, -100])
def test_rise_of_a_regression_is_in_proportion_to_w_x(outputs, index, offset):
    """Cells of one position, each seen with p: E M(l) = Cov(S(m), m(l)) / p = (1 - p) w_l x_l.

    The variance of one mask's share is at most |w x|^2 p (1 - p) / p^2 and so each mean lies within 5 of its errors.
    """
    model, masks, p = compiled(linear(outputs, offset), "mse"), 3000, 0.5
    found = tapes.silent(xu.rise, model, SIGNALS, index, masks=masks, grid=POSITIONS, p=p)
    true = w_times_x(model, index or 0)
    error = np.linalg.norm(true, axis=1, keepdims=True) * np.sqrt((1 - p) / p / masks)
    assert (np.abs(found - (1 - p) * true) < 5 * error).all()
    assert (np.abs(true).max(axis=1) * (1 - p) > 10 * error[:, 0]).all()  # so that a map of 0 would not pass


def test_score_cam_weighs_by_the_number_itself():
    """The layer is as large as the input, so that no map is enlarged: w_k = S(x * H_k), by predict."""
    model = compiled(convolutional(2), "mae")
    A, _ = tapes.at(model, "conv", IMAGES, tapes.output(1))
    low, high = A.min(axis=(1, 2), keepdims=True), A.max(axis=(1, 2), keepdims=True)
    masks, twin = (A - low) / (high - low), tapes.in_float64(model)
    weights = [
        [twin((x * H[..., k : k + 1])[None])[0, 1] for k in range(4)] for x, H in zip(IMAGES, masks, strict=True)
    ]
    wanted = np.maximum(np.einsum("nhwk,nk->nhw", A, np.array(weights)), 0)
    found = tapes.silent(xu.score_cam, model, IMAGES, 1, layer="conv")
    tapes.close(found, wanted)


def test_sise_weighs_by_the_number_itself():
    """One block as large as the input: V = sum_k S(x * m_k) m_k over the maps of positive mean slope, in [0, 1]."""
    model = compiled(convolutional(2), "mse")
    A, g = tapes.at(model, "conv", IMAGES, tapes.output(0))
    twin, wanted = tapes.in_float64(model), []
    for x, maps, slopes in zip(IMAGES, A, g.mean(axis=(1, 2)), strict=True):
        masks = [(m - m.min()) / np.ptp(m) for m in np.moveaxis(maps[..., slopes > 0], -1, 0)]
        V = sum(float(twin(x[None] * m[..., None])[0, 0]) * m for m in masks)
        wanted.append((V - V.min()) / np.ptp(V))
    tapes.close(tapes.silent(xu.sise, model, IMAGES, 0, layers=["conv"]), np.array(wanted))


@each_loss
def test_one_negative_number_is_not_turned_over(loss):
    model = compiled(linear(offset=-100), loss)
    wanted = np.broadcast_to(model.get_layer("head").get_weights()[0], SIGNALS.shape)
    tapes.close(tapes.silent(xu.saliency, model, SIGNALS), wanted, 1e-6)


def test_the_default_score_of_a_regression_is_what_it_predicts():
    model = compiled(linear(3, offset=-7), "mse")
    np.testing.assert_allclose(
        tapes.silent(xu.scores, model, SIGNALS, 1), model.predict(SIGNALS, verbose=0)[:, 1], rtol=1e-5
    )


def test_deletion_follows_the_number_itself():
    model = compiled(linear(1, offset=-7), "mse")
    curve = tapes.silent(xu.deletion_curve, model, SIGNALS, np.ones(SIGNALS.shape[:-1]), fill="zero", steps=2)
    ends = model.predict(np.concatenate([SIGNALS, 0 * SIGNALS]), verbose=0).reshape(2, -1).T
    np.testing.assert_allclose(np.asarray(curve)[:, [0, -1]], ends, rtol=1e-5)


def test_a_softmax_that_was_trained_by_squares_is_still_a_classifier():
    model = convolutional(3, "softmax")
    wanted = xu.rise(model, IMAGES, 1, masks=40)
    np.testing.assert_array_equal(tapes.silent(xu.rise, compiled(model, "mse"), IMAGES, 1, masks=40), wanted)
    assert (np.abs(tapes.silent(xu.scores, model, IMAGES, 1) - model.predict(IMAGES, verbose=0)[:, 1]) < 1e-6).all()


def test_of_several_numbers_none_is_the_predicted_one():
    with pytest.raises(ValueError, match="^targets: got None.*targets=0 to 2"):
        xu.saliency(compiled(linear(3), "mse"), SIGNALS)


def test_the_map_of_a_number_adds_up_to_it():
    """GAP + one Dense unit, a negative number: mean CAM + b = S, not -S."""
    inputs = keras.Input((8, 8, 2))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(inputs))
    model = compiled(randomised(keras.Model(inputs, layers.Dense(1, name="head")(x)), 3), "mse")
    kernel, bias = model.get_layer("head").get_weights()
    model.get_layer("head").set_weights([kernel, bias - 9])
    found = tapes.silent(xu.cam, model, IMAGES, upsample=False).mean(axis=(1, 2)) + bias - 9
    np.testing.assert_allclose(found, model.predict(IMAGES, verbose=0)[:, 0], rtol=1e-5)


def test_what_is_asked_for_is_not_overruled_by_the_loss():
    """The logits of one unit are -z and z, also where the loss is one of numbers: a user may mean it."""
    model = compiled(linear(), "mse")
    w = np.broadcast_to(model.get_layer("head").get_weights()[0], SIGNALS.shape)
    tapes.close(tapes.silent(xu.saliency, model, SIGNALS, 0, score="logit"), -w, 1e-6)
    tapes.close(tapes.silent(xu.saliency, model, SIGNALS, 1, score="logit"), w, 1e-6)


# --- where nothing tells ----------------------------------------------------------------------------------------------

BY_PROBABILITY = ("rise", "lime", "kernel_shap", "score_cam", "sise", "meaningful_perturbation")


def names_both_readings(texts):
    assert len(texts) == 1
    assert [word for word in BOTH_READINGS if word not in texts[0]] == [], texts


@pytest.mark.parametrize("name", BY_PROBABILITY)
def test_a_linear_end_that_nothing_explains_draws_one_warning(name):
    """The numbers stay those of a classifier's logits, which `score` or `activation` then says without a warning."""
    method, options, model = xu.METHODS[name].function, FAST.get(name, {}), convolutional(3)
    found, texts = tapes.heard(method, model, IMAGES, 1, **options)
    names_both_readings(texts)
    np.testing.assert_array_equal(found, tapes.silent(method, model, IMAGES, 1, activation="softmax", **options))


@pytest.mark.parametrize("name", ["saliency", "grad_cam", "rise"])
def test_one_linear_unit_that_nothing_explains_draws_one_warning(name):
    method, options = xu.METHODS[name].function, FAST.get(name, {})
    model = convolutional(1)
    found, texts = tapes.heard(method, model, IMAGES, **options)
    names_both_readings(texts)
    np.testing.assert_array_equal(found, tapes.silent(method, model, IMAGES, activation="sigmoid", **options))


def test_a_loss_of_ones_own_tells_nothing():
    model = compiled(convolutional(3), lambda true, found: keras.ops.mean((true - found) ** 2))
    names_both_readings(tapes.heard(xu.rise, model, IMAGES, 1, masks=40)[1])


def mean_squared_error(true, found):
    """No loss of Keras, whatever its name."""
    return keras.ops.mean(keras.ops.abs(true - found))


@pytest.mark.parametrize("loss", [mean_squared_error, keras.losses.CategoricalCrossentropy(), "binary_crossentropy"])
def test_a_loss_that_does_not_fit_the_end_tells_nothing(loss):
    """A stranger's function under a known name; crossentropies of probabilities, which a linear end does not give."""
    names_both_readings(tapes.heard(xu.rise, compiled(convolutional(3), loss), IMAGES, 1, masks=40)[1])


def test_several_logits_need_no_probability_and_no_warning():
    wanted = tapes.gradient(tapes.in_float64(convolutional(3)), IMAGES, tapes.output(1))
    tapes.close(tapes.silent(xu.saliency, convolutional(3), IMAGES, 1), wanted)


def test_a_regression_from_a_file_is_known_or_asked_about(tmp_path):
    """Loading leaves the loss behind; then one of the two must speak."""
    compiled(linear(1, offset=-100), "mse").save(tmp_path / "age.keras")
    model = xu.load_model(tmp_path / "age.keras")
    found, texts = tapes.heard(xu.saliency, model, SIGNALS)
    if texts:
        names_both_readings(texts)
    else:
        tapes.close(found, np.broadcast_to(model.get_layer("head").get_weights()[0], SIGNALS.shape), 1e-6)


# --- several labels at once -------------------------------------------------------------------------------------------

SQUASHED = {"sigmoid": tapes.sigmoid_of(1), "softmax": tapes.softmax_of(1)}
CROSSENTROPIES = {
    "sigmoid": [
        keras.losses.BinaryCrossentropy(from_logits=True),
        keras.losses.BinaryFocalCrossentropy(from_logits=True),
    ],
    "softmax": [
        keras.losses.CategoricalCrossentropy(from_logits=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ],
}


@pytest.mark.parametrize("activation", SQUASHED)
def test_the_user_says_how_logits_become_probabilities(activation):
    model = convolutional(3)
    wanted = tapes.gradient(tapes.in_float64(model), IMAGES, SQUASHED[activation])
    tapes.close(tapes.silent(xu.saliency, model, IMAGES, 1, score="probability", activation=activation), wanted)
    logit = tapes.gradient(tapes.in_float64(model), IMAGES, tapes.output(1))
    tapes.close(tapes.silent(xu.saliency, model, IMAGES, 1, activation=activation), logit)


@pytest.mark.parametrize("activation, loss", [(name, loss) for name, found in CROSSENTROPIES.items() for loss in found])
def test_the_loss_says_how_logits_become_probabilities(activation, loss):
    model = compiled(convolutional(3), loss)
    wanted = tapes.gradient(tapes.in_float64(model), IMAGES, SQUASHED[activation])
    tapes.close(tapes.silent(xu.saliency, model, IMAGES, 1, score="probability"), wanted)
    found = tapes.silent(xu.rise, model, IMAGES, 1, masks=40)
    np.testing.assert_array_equal(found, tapes.silent(xu.rise, model, IMAGES, 1, masks=40, activation=activation))


@pytest.mark.parametrize("name", BY_PROBABILITY)
def test_the_labels_of_a_sigmoid_do_not_share_one_probability(name):
    """With the sigmoid the map of one label is that of the network that has this label alone, class 1 of one unit."""
    whole, method, options = convolutional(3), xu.METHODS[name].function, FAST.get(name, {})
    alone = keras.Model(whole.inputs, layers.Dense(1, "sigmoid", name="alone")(whole.layers[-2].output))
    kernel, bias = whole.layers[-1].get_weights()
    alone.get_layer("alone").set_weights([kernel[:, 1:2], bias[1:2]])
    found = tapes.silent(method, whole, IMAGES, 1, activation="sigmoid", **options)
    tapes.close(found, tapes.silent(method, alone, IMAGES, 1, **options))


def test_a_sigmoid_at_the_end_is_one_probability_per_label():
    model = convolutional(3, "sigmoid")
    wanted = tapes.gradient(tapes.in_float64(model), IMAGES, tapes.output(1))
    tapes.close(tapes.silent(xu.saliency, model, IMAGES, 1, score="probability"), wanted)
    tapes.close(tapes.silent(xu.saliency, model, IMAGES, 1, score="probability", activation="sigmoid"), wanted)


@pytest.mark.parametrize("end, said", [("softmax", "sigmoid"), ("sigmoid", "softmax"), (None, "tanh")])
def test_an_activation_that_the_model_contradicts_is_refused(end, said):
    with pytest.raises(ValueError, match="^activation") as caught:
        xu.rise(convolutional(3, end), IMAGES, 1, masks=40, activation=said)
    assert end is None or end in str(caught.value)


def test_a_loss_that_the_activation_contradicts_is_told_or_gives_way():
    model = compiled(convolutional(3), CROSSENTROPIES["sigmoid"][0])
    try:
        found, _ = tapes.heard(xu.saliency, model, IMAGES, 1, score="probability", activation="softmax")
    except ValueError as error:
        assert str(error).startswith("activation") and "sigmoid" in str(error)
    else:
        tapes.close(found, tapes.gradient(tapes.in_float64(model), IMAGES, SQUASHED["softmax"]))
