"""Bad input: for every method a clear error before any compute, and nothing changed.

The model holds a layer that counts the times the network is run, so "before any compute" is measured. Every public
function other than the methods has its cases in `test_bad_arguments.py`.
"""

import inspect
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
import shapes
import tensorflow as tf
from keras import layers
from refusals import Counter, refused, told_in_fields

import xai_utils as xu
from heatproof.engine import programs, views

ROOT = Path(__file__).resolve().parents[1]
ALL = sorted(xu.METHODS)
INPUTS = shapes.PLAIN.inputs()
BROKEN = INPUTS.copy()
BROKEN[1, 2, 3, 0] = np.nan
ENDLESS = np.where(np.isnan(BROKEN), np.inf, BROKEN)


def parameters(name):
    return inspect.signature(getattr(xu, name)).parameters


def counted(*steps, shape=shapes.IMAGE):
    """A functional model that begins with a counter."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, shapes.chain([Counter(), *steps], inputs))


@pytest.fixture(scope="module")
def model():
    """Counter, conv_1, pool, conv_2, gap, head: every method can explain it."""
    return counted(*shapes.trunk(shapes.PLAIN), *shapes.head(shapes.PLAIN))


@pytest.fixture(scope="module")
def without_gap():
    return counted(*shapes.trunk(shapes.PLAIN), layers.Flatten(), layers.Dense(3, name="last"))


@pytest.fixture(scope="module")
def without_relu():
    return counted(layers.Conv2D(4, 3, activation="tanh"), *shapes.head(shapes.PLAIN))


def test_the_counter_counts(model):
    """Without this, "no pass was run" would prove nothing: every method runs the counted network."""
    for name in ALL:
        before = Counter.runs
        getattr(xu, name)(model, INPUTS[:1], **shapes.OPTIONS.get(name, {}))
        assert Counter.runs > before, name


@dataclass(frozen=True)
class Case:
    """One bad argument: what is given, what is raised, and what the message must say."""

    label: str
    exception: type
    words: tuple
    options: dict

    of: tuple = ()  # for which methods, where an option means another thing elsewhere

    @property
    def methods(self):
        return [name for name in self.of or ALL if set(self.options) <= set(parameters(name))]


def case(label, exception, *words, of=(), **options):
    return Case(label, exception, words, options, of)


PATHS, LRP = ("integrated_gradients",), ("lrp",)
ALLOWED_TARGETS = ("targets:", "0 to 2")
CASES = [
    # inputs: name, what was given, and the cure
    case("no batch axis", ValueError, "inputs:", "(8, 6, 2)", "batch axis", "inputs[None]", inputs=INPUTS[0]),
    case("channels first", ValueError, "inputs:", "(3, 2, 8, 6)", "channels last", "moveaxis",
         inputs=np.moveaxis(INPUTS, -1, 1)),
    case("wrong size", ValueError, "inputs:", "(3, 4, 6, 2)", "(N, 8, 6, 2)", inputs=INPUTS[:, :4]),
    case("sides swapped", ValueError, "inputs:", "(3, 6, 8, 2)", "(N, 8, 6, 2)", inputs=INPUTS.transpose(0, 2, 1, 3)),
    case("wrong channels", ValueError, "inputs:", "(3, 8, 6, 1)", "(N, 8, 6, 2)", inputs=INPUTS[..., :1]),
    case("a number", ValueError, "inputs:", "()", "(N, 8, 6, 2)", inputs=0.5),
    case("empty batch", ValueError, "inputs:", "empty batch", "(0, 8, 6, 2)", inputs=INPUTS[:0]),
    case("uint8", TypeError, "inputs:", "uint8", "astype('float32')", inputs=(INPUTS * 50).astype(np.uint8)),
    case("int64", TypeError, "inputs:", "int64", "astype('float32')", inputs=INPUTS.astype(np.int64)),
    case("bool", TypeError, "inputs:", "bool", "float", inputs=INPUTS > 0),
    case("object", TypeError, "inputs:", "object", "float", inputs=INPUTS.astype(object)),
    case("complex", TypeError, "inputs:", "complex", "float", inputs=INPUTS.astype(complex)),
    case("None", TypeError, "inputs:", "object", "float", inputs=None),
    case("text", TypeError, "inputs:", "<U7 values", "float", inputs="cat.png"),
    case("NaN", ValueError, "inputs:", "NaN", "finite", inputs=BROKEN),
    case("infinity", ValueError, "inputs:", "infinity", "finite", inputs=ENDLESS),
    case("beyond float32", ValueError, "inputs:", "beyond float32", "finite", inputs=INPUTS.astype(float) * 1e60),
    case("masked", ValueError, "inputs:", "masked array", "inputs.filled(value)", inputs=np.ma.masked_less(INPUTS, 0)),
    # targets
    case("too large", ValueError, *ALLOWED_TARGETS, "3", targets=[0, 1, 3]),
    case("too large for all", ValueError, *ALLOWED_TARGETS, "3", targets=3),
    case("negative", ValueError, *ALLOWED_TARGETS, "-1", targets=[0, -1, 2]),
    case("beyond int32", ValueError, *ALLOWED_TARGETS, "4294967296", targets=2**32),
    case("too few", ValueError, *ALLOWED_TARGETS, "(2,)", "3 inputs", targets=[0, 1]),
    case("too many", ValueError, *ALLOWED_TARGETS, "(4,)", "3 inputs", targets=[0, 1, 2, 0]),
    case("none at all", TypeError, *ALLOWED_TARGETS, "float64", targets=[]),
    case("two-hot", ValueError, *ALLOWED_TARGETS, "(3, 3)", targets=np.ones((3, 3), int)),
    case("scores", TypeError, *ALLOWED_TARGETS, "float64", targets=np.eye(3) / 2),
    case("a row", ValueError, *ALLOWED_TARGETS, "(1, 3)", targets=np.zeros((1, 3), int)),
    case("float", TypeError, *ALLOWED_TARGETS, "float", "integers", targets=[0.0, 1.0, 2.0]),
    case("bool", TypeError, *ALLOWED_TARGETS, "bool", "integers", targets=True),
    case("name", TypeError, *ALLOWED_TARGETS, "integers", targets="cat"),
    case("masked", ValueError, "targets:", "masked array", "leave", targets=np.ma.masked_equal([0, 1, 2], 1)),
    # options
    case("unknown", ValueError, "score:", "'softmax'", "'logit'", "'probability'", score="softmax"),
    case("None", ValueError, "score:", "None", "'logit'", score=None),
    case("unknown", ValueError, "activation:", "'tanh'", "'softmax'", "'sigmoid'", activation="tanh"),
    case("contradicted", ValueError, "activation:", "'sigmoid'", "softmax", activation="sigmoid"),
    case("of another model", ValueError, "head:", "'age'", "one output", head="age"),
    case("no name", TypeError, "head:", "2.5", "name or the number", head=2.5),
    case("of another model", ValueError, "only:", "'image'", "one input", only="image"),
    case("zero", ValueError, "batch_size:", "0", "at least 1", batch_size=0),
    case("negative", ValueError, "batch_size:", "-1", "at least 1", batch_size=-1),
    case("fraction", TypeError, "batch_size:", "1.5", "integer", batch_size=1.5),
    case("bool", TypeError, "batch_size:", "True", "integer", batch_size=True),
    case("None", TypeError, "batch_size:", "None", "integer", batch_size=None),
    case("unknown", ValueError, "layer:", "'conv9'", "conv_1", "pool", "conv_2", layer="conv9"),
    case("no name", ValueError, "layer:", "''", "conv_1", "conv_2", layer=""),
    case("number", ValueError, "layer:", "2", "conv_1", "conv_2", layer=2),
    case("pooled", ValueError, "layer:", "'gap'", "positions", "conv_1", "pool", "conv_2", layer="gap"),
    case("dense", ValueError, "layer:", "'head'", "(None, 3)", "conv_1", "pool", "conv_2", layer="head"),
    case("of no model", ValueError, "layer:", "'stray'", "conv_1", layer=layers.Conv2D(4, 3, name="stray")),
    case("zero", ValueError, "samples:", "0", "at least", samples=0),
    case("fraction", TypeError, "samples:", "2.5", "integer", samples=2.5),
    case("negative", ValueError, "noise:", "-0.1", "0", noise=-0.1),
    case("NaN", ValueError, "noise:", "nan", "finite", noise=float("nan")),
    case("infinite", ValueError, "noise:", "inf", "finite", noise=float("inf")),
    case("beyond float64", ValueError, "noise:", "999", "finite", noise=10**310 - 1),
    case("text", TypeError, "noise:", "'much'", "number", noise="much"),
    case("negative", ValueError, "seed:", "-1", "at least 0", seed=-1),
    case("None", TypeError, "seed:", "None", "integer", seed=None),
    case("fraction", TypeError, "seed:", "0.5", "integer", seed=0.5),
    case("zero", ValueError, "steps:", "0", "at least 1", steps=0),
    case("fraction", TypeError, "steps:", "3.5", "integer", steps=3.5),
    case("left open", ValueError, "steps:", "gauss-legendre", "name the steps", rule="gauss-legendre", of=PATHS),
    case("unknown", ValueError, "rule:", "'simpson'", "'midpoint'", "'gauss-legendre'", rule="simpson", of=PATHS),
    case("unknown", ValueError, "rule:", "'simpson'", "'epsilon'", "'epsilon_plus'", rule="simpson", of=LRP),
    case("no word", TypeError, "rule:", "3", "'epsilon'", "a function of a layer", rule=3, of=LRP),
    case("of nothing", TypeError, "rule:", "{}", "a function of a layer", rule={}, of=LRP),
    case("of no layer", ValueError, "rule:", "'conv9'", "conv_1", rule={"conv9": "flat"}, of=LRP),
    case("no key", TypeError, "rule:", "2.5", "a layer", rule={2.5: "flat"}, of=LRP),
    case("a composite in it", ValueError, "rule['conv_1']:", "'epsilon_plus'", "'z_plus'",
         rule={"conv_1": "epsilon_plus"}, of=LRP),
    case("a box inside", ValueError, "rule:", "'conv_2'", "first linear layer", rule={"conv_2": "z_box"}, of=LRP),
    case("negative", ValueError, "epsilon:", "-1", "from 0", epsilon=-1),
    case("NaN", ValueError, "epsilon:", "nan", "from 0", epsilon=float("nan")),
    case("negative", ValueError, "gamma:", "-0.5", "from 0", gamma=-0.5),
    case("text", TypeError, "gamma:", "'much'", "number", gamma="much"),
    case("below one", ValueError, "alpha:", "0.5", "from 1", alpha=0.5, of=LRP),
    case("NaN", ValueError, "alpha:", "nan", "finite", alpha=float("nan"), of=LRP),
    case("negative", ValueError, "beta:", "-1", "from 0", beta=-1),
    case("not alpha - 1", ValueError, "beta:", "3", "alpha=2", "beta=1", beta=3),
    case("outside", ValueError, "inputs:", "outside the box", "low", low=0, high=1, rule="z_box", of=LRP),
    case("not given", ValueError, "low:", "None", "input_range", low=None, high=9, rule="z_box", of=LRP),
    case("above high", ValueError, "high:", "-9", "low", low=9, high=-9, rule="z_box", of=LRP),
    case("wrong shape", ValueError, "high:", "(3,)", "each of 2", low=-9, high=[9, 9, 9], rule="z_box", of=LRP),
    case("unknown", ValueError, "bias:", "'half'", "'split'", "'whole'", "'none'", bias="half"),
    case("unknown", ValueError, "relevance_at:", "'conv9'", "conv_1", relevance_at="conv9"),
    case("number", TypeError, "relevance_at:", "7", "its name", relevance_at=7),
    case("no pair", TypeError, "through:", "'conv_1'", "(layer, channels)", through="conv_1"),
    case("unknown layer", ValueError, "through:", "'conv9'", "conv_1", through=("conv9", 0)),
    case("too large", ValueError, "through:", "4", "at most 3", through=("conv_1", 4)),
    case("no channel", ValueError, "through:", "[]", "one or more", through=("conv_1", [])),
    case("behind", ValueError, "through:", "'conv_1'", "relevance_at", through=("conv_1", 0), relevance_at="conv_2"),
    case("not a flag", TypeError, "ledger:", "1", "True or False", ledger=1),
    case("shares nothing out", ValueError, "score:", "'probability'", "logit", score="probability", of=LRP),
    case("zero", ValueError, "tolerance:", "0", "1", "strictly between", tolerance=0),
    case("one", ValueError, "tolerance:", "1", "strictly between", tolerance=1),
    case("NaN", ValueError, "tolerance:", "nan", "strictly between", tolerance=float("nan")),
    case("text", TypeError, "tolerance:", "'1 %'", "number", tolerance="1 %"),
    case("too few", ValueError, "max_steps:", "17", "18", max_steps=17),
    case("unknown", ValueError, "baseline:", "'black'", "'zero'", "'mean'", "'blur'", baseline="black"),
    case("wrong shape", ValueError, "baseline:", "(5, 5)", "(8, 6, 2)", "(3, 8, 6, 2)", baseline=np.zeros((5, 5))),
    case("other batch", ValueError, "baseline:", "(2, 8, 6, 2)", "(3, 8, 6, 2)", baseline=INPUTS[:2]),
    case("NaN", ValueError, "baseline:", "nan", "finite", baseline=np.full((8, 6, 2), np.nan)),
    case("None", ValueError, "baseline:", "None", "'zero'", baseline=None),
    case("bool", ValueError, "baseline:", "True", "number", baseline=True),
    case("empty list", ValueError, "baseline:", "empty list", "at least one", baseline=[]),
    case("one of a list", ValueError, "baseline:", "'black'", "'blur'", baseline=["zero", "black"]),
    case("unknown", ValueError, "background:", "'black'", "'uniform'", "'constant'", "'shuffled'", background="black"),
    case("one input", ValueError, "background:", "(8, 6, 2)", "background[None]", background=INPUTS[0]),
    case("wrong size", ValueError, "background:", "(3, 4, 6, 2)", "(N, 8, 6, 2)", background=INPUTS[:, :4]),
    case("channels first", ValueError, "background:", "(3, 2, 8, 6)", "moveaxis(background",
         background=np.moveaxis(INPUTS, -1, 1)),
    case("none at all", ValueError, "background:", "(0, 8, 6, 2)", "one example or more", background=INPUTS[:0]),
    case("a number", ValueError, "background:", "()", "(N, 8, 6, 2)", background=0.5),
    case("uint8", TypeError, "background:", "uint8", "background.astype('float32')",
         background=(INPUTS * 50).astype(np.uint8)),
    case("None", TypeError, "background:", "object", "float", background=None),
    case("NaN", ValueError, "background:", "NaN", "finite", background=BROKEN),
    case("unknown", ValueError, "fill:", "'grey'", "'zero'", "'mean'", "'blur'", fill="grey"),
    case("wrong shape", ValueError, "fill:", "(5, 5)", "(8, 6, 2)", "(3, 8, 6, 2)", fill=np.zeros((5, 5))),
    case("NaN", ValueError, "fill:", "nan", "finite", fill=float("nan")),
    case("None", ValueError, "fill:", "None", "'zero'", fill=None),
    case("unknown", ValueError, "weights:", "'logit'", "'probability'", "'softmax'", weights="logit"),
    case("larger than the input", ValueError, "patch:", "9", "at most 8", patch=9),
    case("larger than one side", ValueError, "patch:", "7", "at most 6", patch=(8, 7)),
    case("zero", ValueError, "patch:", "0", "at least 1", patch=0),
    case("fraction", TypeError, "patch:", "2.5", "integer", patch=2.5),
    case("too many axes", ValueError, "patch:", "(2, 2, 1)", "2 axes", patch=(2, 2, 1)),
    case("zero", ValueError, "stride:", "0", "at least 1", stride=0),
    case("leaves gaps", ValueError, "stride:", "4", "at most 3", patch=3, stride=4),
    case("fraction", TypeError, "stride:", "0.5", "integer", stride=0.5),
    case("not a flag", TypeError, "probability_map:", "1", "True or False", probability_map=1),
    case("one", ValueError, "masks:", "1", "at least 2", masks=1),
    case("fraction", TypeError, "masks:", "10.5", "integer", masks=10.5),
    case("zero", ValueError, "grid:", "0", "at least 1", grid=0),
    case("finer than the input", ValueError, "grid:", "7", "at most 6", grid=(7, 7)),
    case("too few axes", ValueError, "grid:", "[3]", "2 axes", grid=[3]),
    case("zero", ValueError, "p:", "0", "strictly between", p=0),
    case("one", ValueError, "p:", "1", "strictly between", p=1.0),
    case("text", TypeError, "p:", "'half'", "number", p="half"),
    case("unknown", ValueError, "layer:", "'conv9'", "conv_1", "conv_2", layers=["conv_1", "conv9"]),
    case("without space", ValueError, "layer:", "'gap'", "conv_2", layers="gap"),
    case("none", ValueError, "layers:", "got none", "one layer or more", layers=[]),
    case("negative", ValueError, "threshold:", "-0.1", "from 0 to below 1", threshold=-0.1),
    case("one", ValueError, "threshold:", "1", "below 1", threshold=1),
    case("one for all", ValueError, "segments:", "only one segment", "more", segments=np.zeros((8, 6), int)),
    case("one", ValueError, "segments:", "1", "at least 2", segments=1),
    case("text", TypeError, "segments:", "'slic'", "integer", segments="slic"),
    case("wrong shape", ValueError, "segments:", "(6, 8)", "(8, 6)", segments=np.zeros((6, 8), int)),
    case("float labels", ValueError, "segments:", "float64", "integer", segments=np.zeros((8, 6))),
    case("zero", ValueError, "kernel_width:", "0", "strictly between", kernel_width=0),
    case("negative", ValueError, "alpha:", "-1", "from 0", alpha=-1.0, of=("lime",)),
    case("NaN", ValueError, "alpha:", "nan", "finite", alpha=float("nan"), of=("lime",)),
    case("a whole array", ValueError, "layer:", "array([0., 0.])", "conv_1", "conv_2", layer=np.zeros(2)),
    case("a tensor", ValueError, "layer:", "tf.Tensor", "conv_1", "conv_2", layer=tf.zeros(2)),
    case("with a map", ValueError, "score:", "'softmax'", "'logit'", score="softmax", probability_map=True),
    case("one number", ValueError, "layer:", "7", "conv_1", "conv_2", layers=7),
    case("a whole array", ValueError, "layer:", "array([0., 0.])", "conv_1", "conv_2", layers=np.zeros((2, 2))),
    case("ragged rows", ValueError, "patch:", "inhomogeneous", "one regular array", patch=[[1], [1, 2]]),
    case("ragged rows", ValueError, "stride:", "inhomogeneous", "one regular array", stride=[[1], [1, 2]]),
    case("ragged rows", ValueError, "grid:", "inhomogeneous", "one regular array", grid=[[1], [1, 2]]),
    case("ragged rows", ValueError, "segments:", "inhomogeneous", "one regular array", segments=[[1], [1, 2]]),
    case("not a flag", TypeError, "upsample:", "'no'", "True or False", upsample="no"),
    case("None", TypeError, "upsample:", "None", "True or False", upsample=None),
    case("another word", ValueError, "align:", "'corners'", "'centres'", "'stretch'", align="corners"),
    case("not a word", ValueError, "align:", "True", "'centres'", "'stretch'", align=True),
    case("not a flag", TypeError, "relu:", "0", "True or False", relu=0),
    case("None", TypeError, "masks:", "None", "integer", masks=None),
    case("text", TypeError, "masks:", "'many'", "integer", masks="many"),
    case("NaN", ValueError, "p:", "nan", "strictly between", p=float("nan")),
    case("array", TypeError, "p:", "array(0.5)", "number", p=np.array(0.5)),
    case("NaN", ValueError, "threshold:", "nan", "finite", threshold=float("nan")),
    case("unknown", ValueError, "game:", "'hide'", "'deletion'", "'preservation'", game="hide"),
    case("unknown", ValueError, "reference:", "'grey'", "'blur'", "'constant'", "'noise'", reference="grey"),
    case("wrong shape", ValueError, "reference:", "(5, 5)", "(8, 6, 2)", reference=np.zeros((5, 5))),
    case("NaN", ValueError, "reference:", "nan", "finite", reference=float("nan")),
    case("the input itself", ValueError, "reference:", "input 0 itself", "leave that input out", reference=INPUTS),
    case("zero", ValueError, "learning_rate:", "0", "above 0", learning_rate=0),
    case("negative", ValueError, "area_weight:", "-1", "from 0", area_weight=-1),
    case("text", TypeError, "variation_weight:", "'much'", "number", variation_weight="much"),
    case("below one", ValueError, "variation_power:", "0.5", "from 1", variation_power=0.5),
    case("a whole side", ValueError, "jitter:", "6", "at most 5", jitter=6),
    case("infinite", ValueError, "kernel_width:", "inf", "finite", kernel_width=float("inf")),
    case("None", TypeError, "max_steps:", "None", "integer", max_steps=None),
]  # fmt: skip


def pairs():
    for each in CASES:
        for name in each.methods:
            yield pytest.param(name, each, id=f"{name}-{next(iter(each.options))}: {each.label}")


@pytest.mark.parametrize("name, bad", list(pairs()))
def test_a_bad_argument_is_refused_before_any_compute(name, bad, model):
    refused(bad.exception, bad.words, getattr(xu, name), model, **{"inputs": INPUTS, **bad.options})


def test_every_case_names_the_argument_what_was_given_and_what_is_allowed():
    assert [each.label for each in CASES if not each.words[0].endswith(":") or len(each.words) < 3] == []


def test_every_option_of_every_method_has_a_case():
    """A new option without a bad value here is an option that nobody checks; flags are exempt."""
    covered = {key for each in CASES for key in each.options} | {"model", "upsample", "relu"}
    assert {key: name for name in ALL for key in parameters(name) if key not in covered} == {}


@pytest.mark.parametrize("argument", ["inputs", "targets"])
def test_a_ragged_list_is_refused_by_name(argument, model):
    options = {"inputs": INPUTS, argument: [[1.0], [1.0, 2.0]]}
    refused(ValueError, (f"{argument}:", "inhomogeneous", "one regular array"), xu.saliency, model, **options)


# --- signals, and models of any size --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def signal_model():
    steps = [layers.Conv1D(4, 3, activation="relu"), *shapes.head(shapes.Truth(shapes.SIGNAL))]
    return counted(*steps, shape=(12, 1))


@pytest.fixture(scope="module")
def any_size_model():
    return counted(*shapes.trunk(shapes.PLAIN), *shapes.head(shapes.PLAIN), shape=(None, None, 2))


@pytest.mark.parametrize("name", ALL)
def test_a_missing_axis_is_told_apart(name, signal_model):
    x, method = np.zeros((3, 12, 1), np.float32), getattr(xu, name)
    for given, words in (
        (x[..., 0], ("inputs:", "(3, 12)", "inputs[..., None]")),
        (x[0], ("inputs:", "(12, 1)", "inputs[None]")),
        (np.moveaxis(x, -1, 1), ("inputs:", "(3, 1, 12)", "moveaxis")),
    ):
        refused(ValueError, words, method, signal_model, given)


@pytest.mark.parametrize("name", ALL)
def test_a_model_of_any_size_still_needs_its_channels(name, any_size_model):
    first, method = np.zeros((3, 2, 9, 9), np.float32), getattr(xu, name)
    refused(ValueError, ("inputs:", "(3, 2, 9, 9)", "moveaxis"), method, any_size_model, first)


# --- models ---------------------------------------------------------------------------------------------------


def never_called():
    return keras.Sequential(shapes.trunk(shapes.PLAIN) + shapes.head(shapes.PLAIN))


def several_outputs():
    inputs = keras.Input(shapes.IMAGE)
    x = layers.Flatten()(Counter()(inputs))
    return keras.Model(inputs, [layers.Dense(3)(x), layers.Dense(2)(x)])


def several_inputs():
    one, two = keras.Input(shapes.IMAGE), keras.Input(shapes.IMAGE)
    return keras.Model([one, two], layers.Dense(3)(layers.Flatten()(Counter()(layers.Add()([one, two])))))


def no_classes():
    return counted(*shapes.trunk(shapes.PLAIN))


class Pair(keras.Model):
    """A subclassed model with two outputs, which only a call can tell."""

    def __init__(self):
        super().__init__()
        self.counter, self.flatten, self.head = Counter(), layers.Flatten(), layers.Dense(3)

    def call(self, inputs):
        scores = self.head(self.flatten(self.counter(inputs)))
        return scores, -scores


def subclassed_pair():
    model = Pair()
    model(INPUTS)
    return model


def called(layer):
    layer(INPUTS)
    return layer


MODELS = {
    "never called": (never_called, ValueError, ("model:", "never called", "model(inputs[:1])")),
    "several outputs": (
        several_outputs,
        ValueError,
        ("model:", "list of 2", "(N, classes)", "xu.head(model, 'dense"),
    ),
    "several inputs": (several_inputs, TypeError, ("inputs:", "ndarray", "several inputs")),
    "subclassed, two outputs": (subclassed_pair, ValueError, ("model:", "tuple of 2", "(N, classes)", "xu.head")),
    "a map, not classes": (no_classes, ValueError, ("model:", "(None, 4, 3, 4)", "(N, classes)", "keras.ops.mean")),
    "None": (lambda: None, TypeError, ("model:", "NoneType", "Keras")),
    "a path": (lambda: "models/mnist1d.keras", TypeError, ("model:", "str", "Keras")),
    "a function": (lambda: tf.nn.softmax, TypeError, ("model:", "function", "Keras")),
    "a layer": (lambda: called(layers.Dense(3)), TypeError, ("model:", "Dense", "Keras")),
}


OF_FUNCTIONS = ("occlusion", "rise", "lime", "kernel_shap")


@pytest.fixture(scope="module")
def bad_models():
    return {label: build() for label, (build, _, _) in MODELS.items()}


@pytest.mark.parametrize("label", MODELS)
@pytest.mark.parametrize("name", ALL)
def test_a_model_that_cannot_be_explained_is_refused(name, label, bad_models):
    _, exception, words = MODELS[label]
    if label in ("a function", "a layer") and name in OF_FUNCTIONS:  # taken, but it gives no row for each input
        exception, words = ValueError, ("model:", "a function that gave (3, 8, 6,", "(3, K)")
    refused(exception, words, getattr(xu, name), bad_models[label], INPUTS)


@pytest.mark.parametrize("view", [xu.logits, lambda model: xu.unit(model, "conv_1", 0)], ids=["logits", "unit"])
@pytest.mark.parametrize("label", ["never called", "None"])
def test_views_refuse_the_same_models(view, label, bad_models):
    _, exception, words = MODELS[label]
    refused(exception, words, view, bad_models[label])


def test_cam_names_the_method_that_needs_no_special_head(without_gap):
    refused(ValueError, ("model:", "global average pooling", "last", "grad_cam"), xu.cam, without_gap, INPUTS)
    assert xu.grad_cam(without_gap, INPUTS).shape == (3, 8, 6)  # the cure works


@pytest.mark.parametrize("name", [name for name in ALL if xu.METHODS[name].needs == "ReLU"])
def test_a_relu_rule_without_a_relu_is_not_silently_the_gradient(name, without_relu):
    refused(ValueError, ("model:", "no ReLU", "Tanh", "saliency"), getattr(xu, name), without_relu, INPUTS)


@pytest.mark.parametrize("name", [name for name in ALL if "layer" in parameters(name)])
def test_a_layer_that_is_called_twice_is_not_guessed_at(name):
    shared = layers.Conv2D(2, 3, padding="same", activation="relu", name="shared")
    twice = counted(shared, shared, *shapes.head(shapes.PLAIN))
    refused(ValueError, ("layer:", "'shared'", "2 calls"), getattr(xu, name), twice, INPUTS, layer="shared")


def told(call):
    """What the engine tells of a model or a layer when it is already at work, in fields."""
    with pytest.raises(ValueError) as caught:
        call()
    told_in_fields(caught.value, "layer" if caught.value.argument == "layer" else "model")
    return caught.value


@pytest.mark.parametrize("layer", ["shared", "nowhere"])
def test_the_layers_offered_where_one_is_called_twice_can_be_taken(layer):
    shared = layers.Conv2D(2, 3, padding="same", activation="relu", name="shared")
    twice = counted(layers.Conv2D(2, 3, name="first"), shared, shared, *shapes.head(shapes.PLAIN))
    offered = re.findall(r"'(\w+)'", told(lambda: xu.grad_cam(twice, INPUTS, layer=layer)).allowed)
    assert "first" in offered and "shared" not in offered
    for name in offered:
        assert np.isfinite(xu.grad_cam(twice, INPUTS, 0, layer=name, relu=False)).all()


def without_space():
    inputs = keras.Input((3, 2))
    steps = [layers.Flatten(), layers.Dense(4, name="first"), layers.Dense(3, name="last")]
    return keras.Model(inputs, shapes.chain(steps, inputs))


@pytest.mark.parametrize("layer", [None, "first", "nowhere"])
def test_where_no_layer_keeps_space_the_cure_is_a_method_that_needs_none(layer):
    model = without_space()
    signals = np.random.default_rng(0).random((2, 3, 2), np.float32)
    problem = told(lambda: xu.grad_cam(model, signals, layer=layer))
    assert (problem.argument, problem.allowed) == ("layer", "")
    assert problem.cure == "a method that needs no layer, such as saliency"
    first, last = (each.kernel.numpy() for each in model.layers[2:])
    wanted = np.tile((first @ last)[:, 1], (2, 1)).reshape(signals.shape)
    np.testing.assert_allclose(xu.saliency(model, signals, 1), wanted, rtol=1e-5, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("layer", ["shared", "nowhere"])
def test_a_unit_where_no_layer_keeps_space_is_one_of_the_layers_called_once(layer):
    shared = layers.Dense(6, name="shared")
    inputs = keras.Input((3, 2))
    steps = [layers.Flatten(), shared, layers.Dense(6, name="first"), shared, layers.Dense(3, name="last")]
    model = keras.Model(inputs, shapes.chain(steps, inputs))
    offered = re.findall(r"'(\w+)'", told(lambda: xu.unit(model, layer, 0)).allowed)
    assert {"first", "last"} <= set(offered) and "shared" not in offered
    for name in offered:
        assert xu.unit(model, name, 0)(np.ones((2, 3, 2), "float32")).shape == (2, 1)


class Blocked(layers.Layer):
    """Lets values pass and no gradient."""

    def call(self, x):
        return tf.stop_gradient(x)


def test_a_layer_on_which_the_score_does_not_depend_is_told_as_the_layer():
    inputs = keras.Input(shapes.IMAGE)
    x = layers.Conv2D(2, 3, padding="same", name="through")(inputs)
    side = Blocked()(layers.Conv2D(2, 3, padding="same", name="side")(inputs))
    model = keras.Model(inputs, shapes.chain(shapes.head(shapes.PLAIN), layers.Add()([x, side])))
    problem = told(lambda: xu.grad_cam(model, INPUTS, 0, layer="side"))
    assert problem.given == "'side', on which the score does not depend"
    assert problem.allowed == "a layer on the way to the score"
    assert np.isfinite(xu.grad_cam(model, INPUTS, 0, layer="through", relu=False)).all()


def test_a_model_without_a_gradient_is_told_as_the_model():
    model = counted(Blocked(), layers.Conv2D(2, 3), *shapes.head(shapes.PLAIN))
    problem = told(lambda: xu.saliency(model, INPUTS, 0))
    assert (problem.argument, problem.allowed) == ("model", "one that is differentiable")


def test_a_layer_that_a_pass_calls_twice_is_told_with_the_number_of_calls():
    shared = layers.Conv2D(2, 3, padding="same", name="shared")
    recipe = views.recipe_of(counted(shared, shared, *shapes.head(shapes.PLAIN)))
    problem = told(lambda: programs.compiled_once(recipe, lambda run: run.call_of(shared).output, (), None, False))
    assert problem.given == "'shared', which the model calls 2 times"
    assert problem.allowed == "a layer that is called once"


def test_a_model_that_gives_no_finite_numbers_is_told_as_the_model():
    inputs = keras.Input(shapes.IMAGE)
    model = keras.Model(inputs, shapes.chain([layers.Conv2D(2, 3), *shapes.head(shapes.PLAIN)], inputs))
    model.layers[1].kernel.assign(np.full(model.layers[1].kernel.shape, np.inf))
    problem = told(lambda: xu.saliency(model, INPUTS, 0))
    assert (problem.argument, problem.given) == ("model", "one that gave NaN or infinity for finite inputs")
    model.layers[1].kernel.assign(np.ones(model.layers[1].kernel.shape))  # looked at
    assert np.isfinite(xu.saliency(model, INPUTS, 0)).all()


def test_a_layer_with_a_state_is_told_and_the_same_layer_without_one_is_explained():
    def remembering(stateful):
        inputs = keras.Input(batch_shape=(2, 4, 3))
        return keras.Model(inputs, layers.Dense(2)(layers.LSTM(3, stateful=stateful, name="memory")(inputs)))

    signals = np.random.default_rng(0).random((2, 4, 3), np.float32)
    problem = told(lambda: xu.saliency(remembering(True), signals, 0))
    assert "['memory'] keep a state" in problem.given and problem.cure == "the same layers with stateful=False"
    assert np.abs(xu.saliency(remembering(False), signals, 0)).max() > 0


UNITS = {
    "channel too large": (ValueError, ("channel:", "4", "at most 3"), ("conv_1", 4)),
    "channel negative": (ValueError, ("channel:", "-1", "at least 0"), ("conv_1", -1)),
    "channel a fraction": (TypeError, ("channel:", "0.5", "integer"), ("conv_1", 0.5)),
    "channel a bool": (TypeError, ("channel:", "True", "integer"), ("conv_1", True)),
    "unknown layer": (ValueError, ("layer:", "'conv9'", "conv_1", "conv_2"), ("conv9", 0)),
}


@pytest.mark.parametrize("label", UNITS)
def test_a_unit_that_is_not_there_is_refused(label, model):
    exception, words, arguments = UNITS[label]
    refused(exception, words, xu.unit, model, *arguments)


def test_a_unit_has_one_class_and_no_probability(model):
    view = xu.unit(model, "conv_2", 1)
    refused(ValueError, ("targets:", "0 to 0"), xu.saliency, view, INPUTS, 1)
    refused(ValueError, ("score:", "unit", "'logit'"), xu.saliency, view, INPUTS, score="probability")
    refused(ValueError, ("model:", "CAM", "grad_cam"), xu.cam, view, INPUTS)


# --- legal, but probably not meant ----------------------------------------------------------------------------


@pytest.fixture
def ranged(model):
    """The model with the input range that a card gives."""
    model.input_range = (-10.0, 10.0)
    yield model
    del model.input_range


@pytest.mark.parametrize("name", ALL)
def test_inputs_outside_the_range_of_the_card_draw_a_warning(name, ranged):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "inputs:", xu.XAIWarning)
        getattr(xu, name)(ranged, np.clip(INPUTS, -10, 10), **shapes.OPTIONS.get(name, {}))
    with pytest.warns(
        xu.XAIWarning, match=r"inputs: got values from .* to 255.*\[-10, 10\].*Cure: scale as in training"
    ):
        getattr(xu, name)(ranged, np.where(INPUTS > 1, np.float32(255), INPUTS), **shapes.OPTIONS.get(name, {}))


@pytest.mark.parametrize("name", ALL)
def test_a_warning_points_at_the_line_of_the_caller(name, ranged):
    with pytest.warns(xu.XAIWarning) as caught:
        getattr(xu, name)(ranged, INPUTS * 100, **shapes.OPTIONS.get(name, {}))
    assert {warning.filename for warning in caught if issubclass(warning.category, xu.XAIWarning)} == {__file__}


def opposed(bias=0.0):
    """Two maps that are x + bias, one after the other; class 0 has the logit -mean, class 1 +mean."""
    inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(1, 1, name="second")(layers.Conv2D(1, 1, activation="relu", name="first")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    one, none = np.ones((1, 1, 1, 1)), np.zeros(1)
    model.set_weights([one, none + bias, one, none, np.array([[-1.0, 1.0]]), np.zeros(2)])
    return model


def with_range(high):
    model = opposed()
    model.input_range = (0.0, high)
    return model


def one_network(ending):
    """A network that ends in its softmax, or the average of two such networks, which no softmax ends."""
    inputs = keras.Input((4, 4, 1))
    parts = [layers.Dense(2, activation="softmax")(layers.Flatten()(inputs)) for _ in range(2)]
    return keras.Model(inputs, layers.Average()(parts) if ending == "average" else parts[0])


def with_inner(activation):
    inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(2, 1, activation=activation)(layers.Conv2D(2, 1, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


def two_streams():
    inputs = keras.Input((4, 4, 1))
    streams = [layers.Conv2D(2, 1, activation="softplus", name=name)(inputs) for name in ("one", "two")]
    pooled = layers.Concatenate()([layers.GlobalAveragePooling2D()(stream) for stream in streams])
    return keras.Model(inputs, layers.Dense(2)(pooled))


def one_stream_beside_the_input():
    inputs = keras.Input((4, 4, 1))
    parts = [layers.Conv2D(2, 1, activation="softplus", name="one")(inputs), inputs]
    return keras.Model(
        inputs, layers.Dense(2)(layers.Concatenate()([layers.GlobalAveragePooling2D()(x) for x in parts]))
    )


class Noise(layers.Layer):
    """Adds what is drawn."""

    def __init__(self, draw):
        super().__init__(name="noise")
        self.draw = draw

    def call(self, x):
        return x + self.draw()


def unsteady(draw):
    inputs = keras.Input((4, 4, 1))
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(Noise(draw)(inputs))))


def dropping(**options):
    inputs = keras.Input((4, 4, 1))
    return keras.Model(inputs, layers.Dense(2)(layers.Dropout(0.5, name="drop")(layers.Flatten()(inputs), **options)))


def stepping(height):
    """x / 10, and a step at 0 that only the condition of a choice sees."""
    inputs = keras.Input((4, 4, 1))
    x = 0.1 * inputs + height * keras.ops.where(inputs > 0, 1 + 0 * inputs, -1 + 0 * inputs)
    return keras.Model(inputs, layers.Dense(2, kernel_initializer="ones")(layers.Flatten()(x)))


def squeezed():
    """The mean of all positions multiplies each of them."""
    inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(3, 3, padding="same", name="before")(inputs)
    gate = layers.Dense(3, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Multiply(name="gated")([x, gate]))))


def corner(ground):
    """A picture that is 1 in one corner, and the concept that lies there."""
    x = np.full((1, 4, 4, 1), ground, np.float32)
    x[0, 0, 0] = 1
    return x, xu.Concepts(x, {"place": {"corner": x[..., 0] == 1}})


HIDDEN = {"reference": 0.0, "score": "logit", "jitter": 0, "area_weight": 0.0, "variation_weight": 0.0}
LIGHT = np.random.default_rng(0).random((1, 4, 4, 1), np.float32) + 0.1
QUARTERS, EIGHTHS = (np.arange(16).reshape(4, 4) // size for size in (4, 2))
# room: (what the warning says, a call that draws it, an ordinary call)
WARNINGS = {
    "batches": (
        r"inputs: got values from .* allowed: \[0, 0.5\], .* trained. Cure: scale",
        lambda: xu.saliency(with_range(0.5), LIGHT),
        lambda: xu.saliency(with_range(2.0), LIGHT),
    ),
    "query": (
        "model: got one whose outputs are positive and sum to 1 though no softmax ends it.* Cure: explain each network",
        lambda: xu.saliency(one_network("average"), LIGHT),
        lambda: xu.saliency(one_network("softmax"), LIGHT),
    ),
    "anatomy": (
        r"layer: got None, and no single layer carries the score: \['(one|two)', '(one|two)'\] lead.* Cure: layer=\[",
        lambda: xu.grad_cam(two_streams(), LIGHT, 1, relu=False),
        lambda: xu.grad_cam(two_streams(), LIGHT, 1, layer=["one", "two"], relu=False),
    ),
    "anatomy, a way past": (
        "layer: got None, and no single layer carries the score: 'one' leads to it, .* past it. Cure: layer='one' for",
        lambda: xu.grad_cam(one_stream_beside_the_input(), LIGHT, 1, relu=False),
        lambda: xu.grad_cam(one_stream_beside_the_input(), LIGHT, 1, layer="one", relu=False),
    ),
    "comparing": (
        "model: got one that gives other numbers than its own graph.* Cure: draw with keras.random",
        lambda: xu.saliency(unsteady(lambda: np.random.default_rng().random()), LIGHT),
        lambda: xu.saliency(unsteady(lambda: 0.5), LIGHT),
    ),
    "randomness, untamed": (
        "model: got one in which 'noise' draws random numbers at inference whose state cannot be put.* Cure: draw with",
        lambda: xu.saliency(unsteady(lambda: tf.random.normal(())), LIGHT),
        lambda: xu.saliency(unsteady(lambda: tf.constant(0.5)), LIGHT),
    ),
    "randomness, overruled": (
        "model: got one with training=True written into it for 'drop'.* Cure: build it without training=True",
        lambda: xu.saliency(dropping(training=True), LIGHT),
        lambda: xu.saliency(dropping(), LIGHT),
    ),
    "readings": (
        "model: got one that ends linearly and tells.* Cure: score='value' for numbers, activation='softmax' or",
        lambda: xu.rise(opposed(), LIGHT, 1, masks=4, grid=2),
        lambda: xu.rise(opposed(), LIGHT, 1, masks=4, grid=2, score="value"),
    ),
    "views": (
        r"model: got one in which the guided rule changes 1 ReLUs but not \['Tanh'\]",
        lambda: xu.guided_backprop(with_inner("tanh"), LIGHT),
        lambda: xu.guided_backprop(with_inner("relu"), LIGHT),
    ),
    "gradients": (
        "integrated_gradients: 1 of 1 inputs did not reach tolerance 1e-09 within 18 steps. Cure: a larger max_steps",
        lambda: xu.integrated_gradients(opposed(-0.5), LIGHT, 1, tolerance=1e-9, max_steps=18),
        lambda: xu.integrated_gradients(opposed(), LIGHT, 1),
    ),
    "finishing": (
        r"map: all zero for 1 of 1 inputs \(first: 0\).* Cure: relu=False",
        lambda: xu.grad_cam(opposed(), LIGHT, 0),
        lambda: xu.grad_cam(opposed(), LIGHT, 1),
    ),
    "masks, SISE": (
        "sise: no feature map of input 0 pushes its class; the map is 0. Cure: another target",
        lambda: xu.sise(opposed(), LIGHT, 0, activation="softmax"),
        lambda: xu.sise(opposed(), LIGHT, 1, activation="softmax"),
    ),
    "segments, LIME": (
        "segments: got only 4 for an input, which makes a coarse map. Cure: segments=100",
        lambda: xu.lime(opposed(), LIGHT, segments=QUARTERS, samples=10, activation="softmax"),
        lambda: xu.lime(opposed(), LIGHT, segments=EIGHTHS, samples=10, activation="softmax"),
    ),
    "shap": (
        "samples: got 12, too few to tell 8 segments apart. Cure: samples=64 or more, or fewer segments",
        lambda: xu.kernel_shap(opposed(), LIGHT, segments=EIGHTHS, samples=12, activation="softmax"),
        lambda: xu.kernel_shap(opposed(), LIGHT, segments=EIGHTHS, samples=64, activation="softmax"),
    ),
    "synthesis": (
        r"no gradient at any step for \[0\]: dead from this start. Cure: more noise, another seed",
        lambda: xu.activation_maximization(opposed(-9.0), "second", iterations=2),
        lambda: xu.activation_maximization(opposed(9.0), "second", iterations=2),
    ),
    "deep_lift": (
        "model: got one whose map sums to .* for input 0, while its score changes by .* Cure: look for steps",
        lambda: xu.deep_lift(stepping(3.0), LIGHT, 1),
        lambda: xu.deep_lift(stepping(0.0), LIGHT, 1),
    ),
    "learned_masks": (
        "steps: got too few: the loss still falls for 1 of 1 masks.* Cure: more steps, or a larger learning_rate",
        lambda: xu.meaningful_perturbation(opposed(), LIGHT, 1, steps=20, learning_rate=0.01, **HIDDEN),
        lambda: xu.meaningful_perturbation(opposed(), LIGHT, 1, steps=100, learning_rate=0.1, **HIDDEN),
    ),
    "extremal": (
        "reference: got one that scores higher than the input for 1 of 1 inputs.* Cure: the predicted class, or",
        lambda: xu.extremal_perturbation(opposed(), LIGHT, 0, areas=(0.5,), reference=0.0, steps=2),
        lambda: xu.extremal_perturbation(opposed(), LIGHT, 1, areas=(0.5,), reference=0.0, steps=2),
    ),
    "fields": (
        "layer: got 'gated', where a gate reads all positions.* Cure: a layer in front of the gates",
        lambda: xu.patches(squeezed(), "gated", LIGHT, [0], [[1, 1]]),
        lambda: xu.patches(squeezed(), "before", LIGHT, [0], [[1, 1]]),
    ),
    "dissection": (
        "layer: got one in which 1 of 1 units have the threshold 0.* Cure: ask before the ReLU, or read their masks",
        lambda: xu.dissect(opposed(), "first", *corner(0.0), quantile=0.25, draws=0),
        lambda: xu.dissect(opposed(), "first", *corner(0.5), quantile=0.25, draws=0),
    ),
}


@pytest.mark.parametrize("room", WARNINGS)
def test_a_warning_is_drawn_where_it_is_due_and_only_there(room):
    message, doubtful, ordinary = WARNINGS[room]
    with pytest.warns(xu.XAIWarning, match=message):
        doubtful()
    with warnings.catch_warnings():
        warnings.simplefilter("error", xu.XAIWarning)
        ordinary()


def test_every_warning_has_its_two_calls():
    rooms = sorted(name.split(",")[0] for name in WARNINGS)
    source = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "heatproof").rglob("*.py")}
    calls = {name: len(re.findall(r"checks\.warn\(", text)) for name, text in source.items()}
    assert sorted(name for name, count in calls.items() for _ in range(count)) == rooms


# --- what a method cannot answer ------------------------------------------------------------------------------


def test_inputs_without_positions_are_refused_or_explained():
    inputs = keras.Input((6,))
    table = keras.Model(inputs, layers.Dense(3)(inputs))
    x = np.ones((2, 6), np.float32)
    for word in ("mean", "blur"):  # of features in different units there is neither
        with pytest.raises(ValueError, match=f"baseline: got '{word}'.*numpy.array"):
            xu.integrated_gradients(table, x, 0, baseline=word, score="value")
        for method in (xu.occlusion, xu.lime, xu.rise):
            with pytest.raises(ValueError, match=f"fill: got '{word}'.*numpy.array"):
                method(table, x, 0, fill=word, score="value")
    with pytest.raises(ValueError, match="fill: got 'middle'.*numpy.array"):
        xu.occlusion(table, x, 0, score="value")
