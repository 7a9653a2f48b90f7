"""Methods agree with each other where theory says so, with tf-keras-vis, and with what the catalogue claims of them."""

import functools
import inspect
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.utils.scores import CategoricalScore

import models
import xai_utils as xu

TARGETS = np.array([2, 0, 1, 2])
FEW = {"smooth_grad": {"samples": 5}, "var_grad": {"samples": 5}, "expected_gradients": {"samples": 5}}
FEW |= {"rise": {"masks": 50}, "lime": {"samples": 50}, "kernel_shap": {"samples": 400}}
FEW |= {"meaningful_perturbation": {"steps": 5}}
# One pixel is one patch, one segment; nothing hidden but 0; no penalty; and the logit, of which the shares are.
ONE_PIXEL = {
    xu.occlusion: {"patch": 1, "stride": 1, "fill": "zero"},
    xu.lime: {"samples": 200, "fill": "zero", "alpha": 0, "score": "logit"},
    xu.kernel_shap: {"samples": 400, "fill": "zero", "score": "logit"},
}


@pytest.fixture(scope="module")
def net():
    """A network, its logits twin for tf-keras-vis, and inputs."""
    model = models.cnn()
    return model, models.cnn(ending="logits"), models.examples(model)


# --- one linear model, five agreements --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [models.IMAGE, models.SIGNAL])
def test_on_a_linear_model_gradients_are_w_and_shares_are_w_x(shape):
    """Baseline and fill 0; occlusion, LIME and KernelSHAP sum over channels, for they hide whole pixels."""
    model = models.linear(shape, ending="softmax")
    inputs, w = models.examples(model), models.linear_weights(model)[TARGETS]
    for method in (xu.saliency, xu.smooth_grad):
        np.testing.assert_allclose(method(model, inputs, TARGETS), w, rtol=1e-4, atol=1e-6)
    from_zero = functools.partial(xu.expected_gradients, background=np.zeros((1, *shape), np.float32), samples=3)
    for method in (xu.gradient_x_input, xu.integrated_gradients, from_zero):
        np.testing.assert_allclose(method(model, inputs, TARGETS), w * inputs, rtol=1e-4, atol=1e-6)
    assert np.abs(xu.var_grad(model, inputs, TARGETS)).max() < 1e-10
    pixels = np.arange(np.prod(shape[:-1])).reshape(shape[:-1])
    for method, options in ONE_PIXEL.items():
        options = options | ({"segments": pixels} if method is not xu.occlusion else {})
        shares = method(model, inputs, TARGETS, **options)
        np.testing.assert_allclose(shares, (w * inputs).sum(axis=-1), rtol=1e-3, atol=1e-5)


# --- tf-keras-vis on identical weights --------------------------------------------------------------------------


def their_saliency(model, inputs, **options):
    """Signed and per channel: their defaults take |gradient|, the maximum over channels, and scale to [0, 1]."""
    plain = {"keepdims": True, "gradient_modifier": None, "normalize_map": False}
    return np.asarray(Saliency(model, clone=False)(CategoricalScore(TARGETS.tolist()), inputs, **plain, **options))


def test_saliency_equals_tf_keras_vis(net):
    model, twin, inputs = net
    np.testing.assert_allclose(xu.saliency(model, inputs, TARGETS), their_saliency(twin, inputs), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        xu.saliency(model, inputs, TARGETS, score="probability"), their_saliency(model, inputs), rtol=1e-3, atol=1e-6
    )


def test_saliency_reduced_as_they_do_equals_their_default(net):
    model, twin, inputs = net
    theirs = Saliency(twin, clone=False)(CategoricalScore(TARGETS.tolist()), inputs)
    ours = np.abs(xu.saliency(model, inputs, TARGETS)).max(axis=-1)
    low, high = (f(ours, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    np.testing.assert_allclose((ours - low) / (high - low), theirs, rtol=1e-4, atol=1e-5)


def test_smooth_grad_agrees_with_tf_keras_vis_within_monte_carlo_error(net):
    """Their noise comes from numpy's global state, other for each item; the two means differ by their errors alone."""
    model, twin, inputs = net
    n, noise = 100, 0.2
    state = np.random.get_state()
    np.random.seed(0)
    try:
        theirs = their_saliency(twin, inputs, smooth_samples=n, smooth_noise=noise)
    finally:
        np.random.set_state(state)
    options = {"samples": n, "noise": noise, "batch_size": 500}
    ours = xu.smooth_grad(model, inputs, TARGETS, **options)
    error = np.sqrt(2 * xu.var_grad(model, inputs, TARGETS, **options) / n)
    z = (ours - theirs) / np.maximum(error, 1e-6)
    assert np.abs(z).max() < 6 and 0.6 < np.mean(z**2) < 1.6
    assert np.abs(ours - xu.saliency(model, inputs, TARGETS)).max() > 10 * error.mean(), "noise must matter here"


def test_guided_backprop_through_our_view_in_tf_keras_vis(net):
    """They have no guided backprop of their own: their saliency of our view is one."""
    model, _, inputs = net
    for rule, method in (("guided", xu.guided_backprop), ("deconvnet", xu.deconvnet)):
        theirs = their_saliency(xu.with_relu_rule(model, rule), inputs)
        np.testing.assert_allclose(method(model, inputs, TARGETS), theirs, rtol=1e-4, atol=1e-6)
        assert np.abs(theirs - xu.saliency(model, inputs, TARGETS)).max() > 1e-2


@pytest.mark.parametrize("layer", ["conv_1", "conv_2"])
@pytest.mark.filterwarnings("ignore::xai_utils.XAIWarning")
def test_grad_cam_equals_tf_keras_vis(net, layer):
    """Same layer, no search for a convolution, native grid, not normalised."""
    model, twin, inputs = net
    options = {"penultimate_layer": layer, "seek_penultimate_conv_layer": False}
    options |= {"normalize_cam": False, "expand_cam": False}
    theirs = Gradcam(twin, clone=False)(CategoricalScore(TARGETS.tolist()), inputs, **options)
    ours = xu.grad_cam(model, inputs, TARGETS, layer=layer, upsample=False)
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore::xai_utils.XAIWarning")
def test_grad_cam_upsampled_differs_from_tf_keras_vis_by_the_grid_alone(net):
    """They stretch corner to corner (scipy's zoom), we keep pixel centres: equal corners, a constant stays constant."""
    model, twin, inputs = net
    options = {"penultimate_layer": "conv_2", "seek_penultimate_conv_layer": False, "normalize_cam": False}
    theirs = np.asarray(Gradcam(twin, clone=False)(CategoricalScore(TARGETS.tolist()), inputs, **options))
    ours = xu.grad_cam(model, inputs, TARGETS, layer="conv_2")
    corners = np.ix_(range(4), [0, -1], [0, -1])
    np.testing.assert_allclose(ours[corners], theirs[corners], rtol=1e-4, atol=1e-6)
    assert np.abs(ours - theirs).max() > 1e-3


# --- what the catalogue claims ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answers():
    """Every method on one network with a GAP + Dense head and biases: inputs, scores, maps."""
    model = models.cnn(head="gap", seed=3)
    inputs = models.examples(model, 6)
    targets = np.arange(6) % 3
    maps = {name: row.function(model, inputs, targets, **FEW.get(name, {})) for name, row in xu.METHODS.items()}
    rise = xu.scores(model, inputs, targets, score="logit") - xu.scores(model, 0 * inputs, targets, score="logit")
    return inputs, rise, maps


@functools.cache
def dense_on_positions():
    """Neither ReLU, nor GAP, nor a layer with positions."""
    parts = [keras.Input(models.SIGNAL), layers.Flatten(), layers.Dense(5, activation="tanh"), layers.Dense(3)]
    return models.randomised(keras.Sequential(parts))


@pytest.mark.parametrize("name", xu.METHODS)
def test_catalogue_row_is_true_of_its_method(answers, name):
    inputs, rise, maps = answers
    row, got = xu.METHODS[name], maps[name]
    assert row.name == name and getattr(xu, name) is row.function
    rooms = {
        "gradients": ("gradients", "expected"),
        "cam": ("cam", "cam_by_scores"),
        "perturbation": ("occlusion", "masks", "lime", "shap", "learned_masks"),
    }[row.family]
    assert row.function.__module__ in [f"heatproof.methods.{room}" for room in rooms]
    assert got.dtype == np.float32 and got.shape == {"inputs": inputs.shape, "map": inputs.shape[:-1]}[row.output]
    assert (got.min() < 0) == row.signed
    adds_up = np.allclose(got.reshape(6, -1).sum(axis=1), rise, atol=0.02 * np.abs(rise).max())
    assert adds_up == row.additive
    relevance = xu.relevance(name, got)
    assert relevance.shape == inputs.shape[:-1] and relevance.min() >= 0 and relevance.max() > 0
    parameters = list(inspect.signature(row.function).parameters.values())
    assert [p.name for p in parameters[:3]] == ["model", "inputs", "targets"] and parameters[2].default is None
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[3:])


@pytest.mark.parametrize("name", xu.METHODS)
def test_catalogue_needs_are_needed_and_enough(name):
    row, model = xu.METHODS[name], dense_on_positions()
    inputs = models.examples(model, 2)
    cures = {
        "ReLU": "saliency",
        "GAP + Dense": "grad_cam",
        "layer with positions": "no layer of this model keeps space",
    }
    if row.needs:
        with pytest.raises(ValueError, match=cures[row.needs]):
            row.function(model, inputs, 0)
    else:
        wanted = {"inputs": inputs.shape, "map": inputs.shape[:-1]}[row.output]
        assert row.function(model, inputs, 0, **FEW.get(name, {})).shape == wanted


def test_catalogue_references_are_in_the_bibliography():
    text = (Path(__file__).parents[1] / "report" / "references.bib").read_text(encoding="utf-8")
    keys = set(re.findall(r"^@\w+\{([^,\s]+),", text, flags=re.MULTILINE))
    assert {row.reference for row in xu.METHODS.values()} <= keys


def test_catalogue_table_has_a_row_for_each_method():
    rows = xu.methods_table()
    assert [row[0] for row in rows] == list(xu.METHODS)
    for row in rows:
        method = xu.METHODS[row[0]]
        assert row == (method.name, method.title, method.formula, method.needs, method.reference)


def test_relevance_by_hand():
    """Two positions with channels (1, -3) and (2, -1): magnitudes 4 and 3; positive parts of the sums 0 and 1."""
    attribution = np.array([[[1.0, -3.0], [2.0, -1.0]]])
    np.testing.assert_allclose(xu.relevance("saliency", attribution), [[4, 3]])
    np.testing.assert_allclose(xu.relevance("integrated_gradients", attribution), [[0, 1]])
    np.testing.assert_allclose(xu.relevance("grad_cam", np.array([[-1.0, 2.0]])), [[0, 2]])
    with pytest.raises(ValueError, match="name: got 'gradcam'"):
        xu.relevance("gradcam", attribution)
