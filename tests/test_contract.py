"""The contract of a method, for every row of METHODS and every shape a model can have."""

import gc
import inspect
import json
import random
import weakref

import keras
import numpy as np
import pytest
import shapes
import tensorflow as tf
from shapes import NOT_APPLICABLE, OF_UNIT, OPTIONS, SHAPES, TARGETS, UNITS, Truth, distance, expected, expected_once

import xai_utils as xu

ALL = sorted(xu.METHODS)
# Where the defaults are asked for, but not their number.
FEWER = {"rise": {"masks": 200}, "lime": {"samples": 200}, "kernel_shap": {"samples": 250}}
FEWER |= {"meaningful_perturbation": {"steps": 5}}


def has(argument):
    return [name for name in ALL if argument in inspect.signature(getattr(xu, name)).parameters]


def explain(name, model, inputs, targets=None, **options):
    return getattr(xu, name)(model, inputs, targets, **{**OPTIONS.get(name, {}), **options})


def agree(found, true, tolerance=1e-6):
    np.testing.assert_allclose(found, true, rtol=0, atol=tolerance * np.abs(true).max(), strict=True)


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The model of a shape, built once."""
    folder, kept = tmp_path_factory.mktemp("models"), {}

    def get(name):
        if name not in kept:
            kept[name] = SHAPES[name].model(folder)
        return kept[name]

    return get


@pytest.fixture
def model(built):
    return built("functional")


@pytest.fixture
def inputs():
    return shapes.PLAIN.inputs()


# --- what the maps are ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ALL)
def test_every_shape_of_one_network_has_the_map_of_the_formula(name, shape, built):
    truth = SHAPES[shape].truth
    x = truth.inputs()
    if shape in NOT_APPLICABLE.get(name, {}):
        with pytest.raises(ValueError, match="grad_cam|ReLU"):
            explain(name, built(shape), x, truth.targets)
        return
    found = explain(name, built(shape), x, truth.targets)
    true = expected_once(name, truth)
    assert found.dtype == np.float32 and np.isfinite(found).all()
    assert np.abs(true).max() > 1e-3, "an empty map would prove nothing"
    assert distance(found, true) <= shapes.tolerance(name, shape)


@pytest.mark.parametrize("shape", ["functional", "sigmoid", "residual and batch norm", "one dimension",
                                   "Flatten + Dense head", "tanh in place of ReLU"])  # fmt: skip
def test_the_gradients_of_the_oracle_are_central_differences(shape):
    """(S(x + h e) - S(x - h e)) / 2h in float64, of inputs and of maps: what the grid rests on."""
    truth, h = SHAPES[shape].truth, 1e-6
    x, targets, rows = truth.inputs().astype(np.float64), truth.targets, np.arange(3)

    def differences(function, at, places):
        steps = [h * np.reshape(np.arange(at[0].size) == place, at.shape[1:]) for place in places]
        return np.stack([(function(at + step) - function(at - step)) / (2 * h) for step in steps], axis=-1)

    places = np.random.default_rng(0).permutation(x[0].size)[:12]
    found = differences(lambda points: truth.logits(points)[rows, targets], x, places)
    np.testing.assert_allclose(found, truth.gradient(x, targets).reshape(3, -1)[:, places], rtol=1e-5, atol=1e-8)
    score = shapes.Score(truth)
    later = (lambda a: truth.second(tf.constant(a))), (lambda A: A)
    for (A, g), rest in zip(score.maps_and_gradients(x, targets), later, strict=True):
        places = np.random.default_rng(1).permutation(A[0].size)[:24]
        found = differences(lambda a, rest=rest: score.of_maps(rest(a), targets).numpy(), A, places)
        smooth = np.abs(A.reshape(3, -1)[:, places]) > 10 * h  # where ReLU gave 0, a pool above has a kink
        assert smooth.sum() >= 12
        np.testing.assert_allclose(found[smooth], g.reshape(3, -1)[:, places][smooth], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_one_network_has_its_logits_and_probabilities(shape, built):
    truth, tolerance = SHAPES[shape].truth, SHAPES[shape].tolerance
    x, classes = truth.inputs(), truth.targets
    assert distance(xu.logits(built(shape)).predict_on_batch(x), truth.logits(x)) <= tolerance
    for score, true in (("logit", truth.logits(x)), ("probability", truth.probabilities(x))):
        assert distance(xu.scores(built(shape), x, classes, score=score), true[np.arange(3), classes]) <= tolerance


@pytest.mark.parametrize("shape", ["functional", "sigmoid", "1x1 convolution head"])
def test_the_probability_is_explained_when_asked_for(shape, built):
    truth = SHAPES[shape].truth
    x = truth.inputs()
    true = truth.gradient(x, truth.targets, ending=tf.sigmoid if truth.binary else tf.nn.softmax)
    assert distance(xu.saliency(built(shape), x, truth.targets, score="probability"), true) <= 1e-5


@pytest.mark.parametrize("name", ALL)
def test_the_catalogue_tells_the_shape_and_the_sign(name, built):
    row = xu.METHODS[name]
    for shape in ("functional", "one dimension"):
        x = SHAPES[shape].truth.inputs(8)
        found = getattr(xu, name)(built(shape), x, **FEWER.get(name, {}))
        assert found.shape == (x.shape if row.output == "inputs" else x.shape[:-1])
        assert (found < 0).any() == row.signed


@pytest.mark.parametrize("name", has("upsample"))
@pytest.mark.parametrize("shape", ["functional", "one dimension"])
def test_upsampling_is_linear_interpolation_between_pixel_centres(name, shape, built):
    x = SHAPES[shape].truth.inputs()
    true = explain(name, built(shape), x, TARGETS)
    for axis in range(1, true.ndim):
        centres = (np.arange(x.shape[axis]) + 0.5) / 2 - 0.5  # of the fine grid, on the coarse one (pooling by 2)
        coarse = np.arange(true.shape[axis])
        true = np.apply_along_axis(lambda line, at=centres, grid=coarse: np.interp(at, grid, line), axis, true)
    agree(explain(name, built(shape), x, TARGETS, upsample=True), true.astype(np.float32))


@pytest.mark.parametrize("shape", UNITS)
@pytest.mark.parametrize("name", ALL)
def test_every_method_explains_an_inner_unit(name, shape, built):
    truth = SHAPES[shape].truth
    x, view = truth.inputs(), xu.unit(built(shape), "conv_2", 1)
    if "inner unit" in NOT_APPLICABLE.get(name, {}):
        with pytest.raises(ValueError, match="grad_cam|probability"):
            explain(name, view, x)
        return
    found = explain(name, view, x, **OF_UNIT.get(name, {}))
    assert distance(found, expected_once(name, truth, channel=1)) <= 1e-5


def test_grad_cam_of_an_early_unit_takes_a_layer_before_it(model, inputs):
    early = xu.unit(model, "conv_1", 1)
    agree(xu.grad_cam(early, inputs, upsample=False), xu.grad_cam(early, inputs, layer="conv_1", upsample=False))


def test_methods_of_a_view_of_the_logits_are_those_of_the_model(model, inputs):
    view = xu.logits(model)
    for name in ALL:
        np.testing.assert_array_equal(explain(name, view, inputs, TARGETS), explain(name, model, inputs, TARGETS))


# --- arguments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_no_target_is_the_predicted_class_and_one_target_serves_all(name, model, inputs):
    predicted = shapes.PLAIN.logits(inputs).argmax(axis=1)
    np.testing.assert_array_equal(explain(name, model, inputs), explain(name, model, inputs, predicted))
    for one in (1, np.int64(1), np.uint8(1)):
        np.testing.assert_array_equal(explain(name, model, inputs, one), explain(name, model, inputs, [1, 1, 1]))


@pytest.mark.parametrize("name", ALL)
def test_what_is_like_a_float_array_is_taken_as_one(name, model, inputs):
    true = explain(name, model, inputs, TARGETS)
    for same in (tf.constant(inputs), inputs.tolist(), inputs.astype(np.float64), np.asfortranarray(inputs)):
        np.testing.assert_array_equal(explain(name, model, same, TARGETS), true)


@pytest.mark.parametrize("name", ALL)
def test_an_input_has_the_same_map_alone_in_a_batch_and_in_any_order(name, model, inputs):
    together, order = explain(name, model, inputs, TARGETS), np.array([2, 0, 1])
    alone = [explain(name, model, inputs[k : k + 1], TARGETS[k : k + 1]) for k in range(3)]
    agree(np.concatenate(alone), together)
    agree(explain(name, model, inputs[order], TARGETS[order]), together[order])


@pytest.mark.parametrize("name", ALL)
def test_the_batch_size_is_speed_and_not_the_answer(name, model, inputs):
    true = explain(name, model, inputs, TARGETS)
    for size in (1, 2, 1000):
        agree(explain(name, model, inputs, TARGETS, batch_size=size), true)


def test_adaptive_integrated_gradients_refines_each_input_on_its_own(model):
    x = shapes.PLAIN.inputs(6) * np.array([0.1, 3, 1, 10, 0.5, 2], np.float32)[:, None, None, None]
    together = xu.integrated_gradients(model, x, 1, batch_size=4)
    agree(np.concatenate([xu.integrated_gradients(model, x[k : k + 1], 1) for k in range(6)]), together)
    logits = shapes.PLAIN.logits(x)[:, 1] - shapes.PLAIN.logits(np.zeros_like(x))[:, 1]
    np.testing.assert_allclose(together.sum(axis=(1, 2, 3)), logits, rtol=0.011)


@pytest.fixture(scope="module")
def newcomer():
    """A model of this file's own, to be traced anew, given other weights, and trained."""
    return trainable(SHAPES["functional"].model(None))


def trainable(model):
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


# --- randomness -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", has("seed"))
def test_another_seed_gives_other_noise(name, model, inputs):
    assert distance(explain(name, model, inputs, seed=8), explain(name, model, inputs)) > 1e-3


def _drawn_after(work, seed):
    """What every global generator, set to a seed, gives next after `work`."""
    keras.utils.set_random_seed(seed)
    tf.random.set_global_generator(tf.random.Generator.from_seed(seed))
    work()
    return [
        random.random(),
        np.random.random(),
        float(tf.random.uniform(())),
        float(tf.random.get_global_generator().uniform(())),
        float(keras.random.uniform(())),
    ]


@pytest.fixture(scope="module")
def untouched():
    """What the global generators give when nothing was asked: with one seed, and with another."""
    drawn = [_drawn_after(lambda: None, seed) for seed in (11, 2)]
    assert all(one != other for one, other in zip(*drawn, strict=True))
    return drawn


@pytest.mark.parametrize("name", ALL)
def test_equal_arguments_give_equal_bits_and_leave_the_global_random_state(name, newcomer, inputs, untouched):
    """The first call traces and the second does not, under another global seed."""
    maps = []
    for seed, drawn in zip((11, 2), untouched, strict=True):
        assert _drawn_after(lambda: maps.append(explain(name, newcomer, inputs, TARGETS)), seed) == drawn
    np.testing.assert_array_equal(*maps)


# --- the caller's things --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_the_inputs_and_targets_come_back_as_they_were(name, model, inputs):
    targets = TARGETS.copy()
    found = getattr(xu, name)(model, inputs, targets, **FEWER.get(name, {}))
    found += 1  # the answer is the caller's own: writable, and no window onto the inputs
    np.testing.assert_array_equal(inputs, shapes.PLAIN.inputs())
    np.testing.assert_array_equal(targets, TARGETS)
    inputs.setflags(write=False)
    agree(getattr(xu, name)(model, inputs, targets, **FEWER.get(name, {})), found - 1, 1e-5)


def _portrait(model, x):
    """All that a method could have changed in a model."""
    watched = [model, *model.layers, *(inner for layer in model.layers for inner in getattr(layer, "layers", []))]
    return {
        "weights": [value.tobytes() for value in model.get_weights()],
        "prediction": model.predict_on_batch(x).tobytes(),
        "configuration": json.dumps(model.get_config(), default=str),
        "trainable": [layer.trainable for layer in watched],
        "own attributes": [sorted(vars(layer)) for layer in watched],
        "activations": [id(getattr(layer, "activation", None)) for layer in watched],
        "optimizer": int(model.optimizer.iterations),
        "losses": len(model.losses),
    }


@pytest.mark.parametrize("shape", ["residual and batch norm", "nested trunk"])
@pytest.mark.parametrize("name", ALL)
def test_the_model_comes_back_untouched(name, shape, built):
    model, x = built(shape), SHAPES[shape].truth.inputs()
    before = _portrait(model, x)
    explain(name, model, x)
    assert _portrait(model, x) == before


@pytest.mark.parametrize("shape", ["functional", "residual and batch norm", "nested trunk"])
def test_a_model_can_be_saved_after_being_explained(shape, built, tmp_path):
    model, x = built(shape), SHAPES[shape].truth.inputs()
    for name in ALL:
        explain(name, model, x)
    model.save(tmp_path / "after.keras")
    np.testing.assert_array_equal(xu.load_model(tmp_path / "after.keras")(x), model(x))


def test_maps_follow_the_weights_when_they_change(newcomer, inputs):
    explain("saliency", newcomer, inputs, TARGETS)
    truth = Truth(seed=21)
    truth.give_to(newcomer)
    for name in ALL:
        assert distance(explain(name, newcomer, inputs, TARGETS), expected(name, truth, inputs, TARGETS)) <= 1e-5, name


def test_a_model_trains_after_being_explained_as_if_it_had_not_been(newcomer, inputs):
    losses = []
    for twin, names in ((newcomer, ALL), (trainable(SHAPES["functional"].model(None)), [])):
        shapes.PLAIN.give_to(twin)
        for _ in range(3):
            [explain(name, twin, inputs) for name in names]
            losses.append(twin.train_on_batch(inputs, TARGETS))
    assert losses[:3] == losses[3:] and losses[2] < losses[0]


def test_an_explained_model_can_be_forgotten(inputs):
    def explained():
        fresh = SHAPES["functional"].model(None)
        for name in {row.needs: row.name for row in xu.METHODS.values()}.values():  # one of each kind
            explain(name, fresh, inputs)
        explain("saliency", xu.unit(fresh, "conv_2", 0), inputs)
        return weakref.ref(fresh)

    gone = explained()
    gc.collect()
    assert gone() is None


@pytest.fixture(scope="module")
def eager_model():
    """A model that is traced for the first time while functions run eagerly."""
    return SHAPES["functional"].model(None)


@pytest.mark.parametrize("name", ALL)
def test_eager_mode_gives_the_same_map_as_graph_mode(name, model, eager_model, inputs):
    tf.config.run_functions_eagerly(True)
    try:
        found = explain(name, eager_model, inputs, TARGETS)
        assert tf.config.functions_run_eagerly()
    finally:
        tf.config.run_functions_eagerly(False)
    agree(found, explain(name, model, inputs, TARGETS))


# --- models that hide what they compute -----------------------------------------------------------------------


class Compiled(keras.Model):
    """A classifier whose `call` is a graph of its own."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    @tf.function
    def call(self, inputs):
        return self.inner(inputs)


def _right_or_refused(model, x):
    """The saliency of the logits is right, or the answer is an error or a warning, but never silently wrong."""
    try:
        with pytest.warns(xu.XAIWarning):
            xu.saliency(model, x, TARGETS)
    except (ValueError, TypeError):
        return True
    except pytest.fail.Exception:
        return distance(xu.saliency(model, x, TARGETS), expected_once("saliency", shapes.PLAIN)) <= 1e-5
    return True


def test_a_call_that_is_a_tf_function_is_not_explained_wrongly(inputs):
    model = Compiled(SHAPES["functional"].model(None))
    model(inputs)
    assert _right_or_refused(model, inputs)


def test_averaged_probabilities_are_not_explained_as_logits(inputs):
    both = [SHAPES["functional"].model(None) for _ in range(2)]
    outer = keras.Input(shapes.IMAGE)
    model = keras.Model(outer, keras.layers.Average()([one(outer) for one in both]))
    assert _right_or_refused(model, inputs)


class ByKeyword(keras.Model):
    """A classifier that passes its tensors by keyword."""

    def __init__(self):
        super().__init__()
        self.conv, self.gap, self.head = shapes.trunk(shapes.PLAIN)[0], *shapes.head(shapes.PLAIN)

    def call(self, inputs):
        return self.head(inputs=self.gap(inputs=self.conv(inputs=inputs)))


def test_cam_reads_a_pooling_layer_that_is_called_by_keyword(inputs):
    model = ByKeyword()
    model(inputs)
    native = xu.cam(model, inputs, TARGETS, upsample=False)
    logits = xu.logits(model)(inputs).numpy()[np.arange(3), TARGETS]
    np.testing.assert_allclose(native.mean(axis=(1, 2)) + np.asarray(model.head.bias)[TARGETS], logits, rtol=1e-4)


def test_the_guided_rule_reaches_a_relu_inside_a_function(inputs):
    class Hidden(keras.layers.Layer):
        @tf.function
        def call(self, x):
            return tf.nn.relu(x)

    outer = keras.Input(shapes.IMAGE)
    conv_1, _, conv_2 = shapes.trunk(shapes.PLAIN)
    conv_2.activation = keras.activations.linear
    head = shapes.head(shapes.PLAIN)
    hidden = keras.Model(outer, shapes.chain([conv_1, conv_2, Hidden(), *head], outer))
    plain = keras.Model(outer, shapes.chain([conv_1, conv_2, keras.layers.ReLU(), *head], outer))
    found, expected = (xu.guided_backprop(model, inputs, TARGETS) for model in (hidden, plain))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert not np.allclose(found, xu.saliency(hidden, inputs, TARGETS))


@pytest.mark.parametrize("name", ["guided_backprop"])
def test_a_saturated_relu6_stops_the_guided_signal_as_it_stops_the_gradient(name):
    outer, one = keras.Input((2, 1)), {"use_bias": False, "kernel_initializer": "ones"}
    flat = keras.layers.Flatten()(keras.layers.ReLU(max_value=6)(outer))
    model = keras.Model(outer, keras.layers.Dense(1, **one)(flat))
    found = getattr(xu, name)(model, np.array([[[3.0], [9.0]]], np.float32), 1)
    np.testing.assert_array_equal(found.ravel(), [1, 0])


@pytest.mark.parametrize("name", ["saliency", "integrated_gradients"])
def test_a_map_of_nan_is_not_passed_over_in_silence(name, inputs):
    broken = SHAPES["functional"].model(None)
    kernel, bias = broken.get_layer("head").get_weights()
    broken.get_layer("head").set_weights([kernel * np.nan, bias])
    with pytest.raises(ValueError, match="NaN"):
        getattr(xu, name)(broken, inputs, 0)
