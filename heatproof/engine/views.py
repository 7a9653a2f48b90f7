"""Views of a model that share its weights: its logits, one inner unit, another backward rule of its ReLUs.

A view is a Keras model, so that other libraries can use it; the methods here read its recipe and trace its base.
"""

from dataclasses import replace

import keras
import tensorflow as tf

from heatproof import checks
from heatproof.engine.anatomy import anatomy, find_layer
from heatproof.engine.arrays import input_dtype
from heatproof.engine.endings import LOGITS, Logits, Unit
from heatproof.engine.layout import check_layout
from heatproof.engine.nests import nest_of
from heatproof.engine.programs import forgotten, kept, whole
from heatproof.engine.recipe import Recipe
from heatproof.engine.rules import RULES
from heatproof.engine.tracing import Run
from heatproof.problems import ArgumentTypeError, ArgumentValueError, ArgumentWarning


class _Body(keras.layers.Layer):
    """The layer inside a view: the base model's weights, the recipe's ending and backward rule."""

    def __init__(self, recipe):
        super().__init__(name="view", dtype=input_dtype(recipe.base))
        self.base = recipe.base
        self.recipe = recipe.unasked()

    def call(self, inputs):
        inputs, *others = self._in_order(inputs)
        if tf.executing_eagerly():
            # In a trace of its own: who takes a view for a model may want its gradients from a tape.
            return kept(self.recipe, "logits", lambda: whole(self.recipe, lambda run: run.logits))(inputs, *others)
        run = Run(self.recipe, inputs, others=others)  # part of a larger graph, in which nothing is sealed
        return run.ended(self.recipe.ending).logits

    def _in_order(self, inputs):
        """What a pass takes: of several inputs none is explained, all are fed as they are."""
        nest = self.recipe.nest
        if nest is None:
            return [tf.cast(inputs, input_dtype(self.base))]
        given = [inputs[name] for name in nest.names] if nest.keyed else [inputs] if nest.alone else inputs
        given = [tf.cast(each, kind) for each, kind in zip(given, nest.types, strict=True)]
        return [tf.zeros((tf.shape(given[0])[0], 0)), *given]

    def compute_output_spec(self, inputs):
        """As the one trace tells: Keras would trace the model once more."""
        logits = anatomy(self.recipe).logits
        return keras.KerasTensor((tf.nest.flatten(inputs)[0].shape[0], *logits.shape[1:]), logits.dtype.name)


class View(keras.Model):
    """A Keras model that shares the weights of another one; made by `logits`, `unit` and `with_relu_rule`."""

    def __init__(self, recipe):
        nest = recipe.nest
        if nest is None:
            inputs = keras.Input(recipe.shape[1:], dtype=input_dtype(recipe.base))
        else:
            names = zip(nest.shapes, nest.types, nest.names, strict=True)
            inputs = [keras.Input(shape[1:], dtype=kind, name=name) for shape, kind, name in names]
            inputs = dict(zip(nest.names, inputs, strict=True)) if nest.keyed else inputs[0] if nest.alone else inputs
        super().__init__(inputs, _Body(recipe)(inputs), name="view")
        self.recipe = recipe

    def get_config(self):
        """A view is no file: it has no weights of its own."""
        given = "a view, which shares the weights of another model and is no file of its own"
        raise ArgumentTypeError("model", given, cure="save that model, and make the view of it again after loading")


def recipe_of(model):
    """Return the recipe of a model or view; refuses what cannot be explained, with the cure."""
    if isinstance(model, View):
        return model.recipe
    _check_model(model)
    if nest := nest_of(model):
        return Recipe(model, (), nest=nest)
    shape = _input_shape(model)
    if len(shape) < 3:
        allowed = "signals (N, T, C) or images (N, H, W, C)"
        raise ArgumentValueError("model", f"a model that takes inputs of shape {shape}", allowed)
    return Recipe(model, shape)


def _check_model(model):
    """Refuse what is no built model of one float input and one output."""
    if not isinstance(model, keras.Model):
        raise _no_model(model)
    if not model.built:
        given = "a model that was never called, so it has no weights"
        raise ArgumentValueError("model", given, cure="call it once, model(inputs[:1])")
    check_layout(model)


def _no_model(model):
    """The refusal of what is no Keras model; a function can be explained by what needs no gradient."""
    allowed = "a Keras 3 model (keras.Model, keras.Sequential)"
    if callable(model):
        given = f"a {type(model).__name__}, of which no gradient and no layer is known"
        return ArgumentTypeError("model", given, allowed, "xu.occlusion, xu.rise or xu.lime, which need none")
    cure = "lambda x: model.predict_proba(x.reshape(len(x), -1)), for xu.occlusion, xu.rise or xu.lime"
    return ArgumentTypeError("model", f"a {type(model).__name__}", allowed, cure * hasattr(model, "predict_proba"))


def _input_shape(model):
    """The shape of one batch; for a subclassed model, which does not keep it, that of the call that built it."""
    tensors = getattr(model, "inputs", None)
    if tensors:
        return (None, *tensors[0].shape[1:])
    shape = (model.get_build_config() or {}).get("input_shape")
    if not shape or not isinstance(shape[-1], int):
        cure = "x = keras.Input(shape); model = keras.Model(x, model(x))"
        raise ArgumentValueError("model", "a model that does not tell its input shape", cure=cure)
    return (None, *shape[1:])


def forget(model: keras.Model) -> None:
    """Let go of every graph that is kept for a model (or the model of a view): its next map is traced anew.

    Needed only for a change that nothing tells. What is noticed by itself, when the next question is asked:

    =========================================================================  =====================================
    what was changed                                                           how it is noticed
    =========================================================================  =====================================
    the value of a weight or a variable                                        read at every pass
    an attribute of a layer: number, text, array, list, dictionary, function   read with every question
    a layer, a variable or a seed generator, put in the place of another       read with every question
    private attributes, objects and slots of a layer or model of your own      read with every question
    code of your own: functions, their defaults, closures and globals;         read with every question
    values of your own classes and modules that it names
    what your code asks an installed package, a file, a C object or            compared: one input goes through the
    numpy.random for                                                           model and through its graph
    anything inside Keras, TensorFlow or another installed package, and        not noticed: call `forget`
    private attributes of their layers
    =========================================================================  =====================================

    Raises `TypeError`, `ValueError` for what is not a model that can be explained.
    """
    forgotten(recipe_of(model).base)


def head(model: keras.Model, head: str | int) -> keras.Model:
    """Return a view of one output of a model with several, by its name or its number, so that every method explains it.

    Shares weights and ends before the softmax or sigmoid of that output. Raises `ValueError` for an unknown output.
    """
    recipe = recipe_of(model)
    if head is None:
        raise ArgumentTypeError("head", "None", "the name or the number of an output")
    recipe = headed(recipe, head)
    anatomy(recipe.explaining(None))  # an unknown name is refused now
    return View(recipe)


def headed(recipe, head):
    """The recipe of one output of several; of the only one for None."""
    if head is None:
        return recipe
    if not isinstance(head, (str, int)) or isinstance(head, bool):
        raise ArgumentTypeError("head", checks.shown(head), "the name or the number of an output")
    if recipe.ending != LOGITS:
        raise ArgumentValueError("head", f"{head!r}, of a view, which has one output", cure="pass the model itself")
    return replace(recipe, ending=Logits(head))


def logits(model: keras.Model) -> keras.Model:
    """Return a view of `model` that ends before its softmax or sigmoid and shares its weights.

    Output (N, classes). A sigmoid (or linear) model with one unit z gets two classes: -z for class 0, z for class 1.
    The model itself is not changed. Raises `TypeError`, `ValueError` for what is not a built model with one output.
    """
    recipe = recipe_of(model)
    if recipe.ending.layer is not None:
        given = "a view of one inner unit, which has no logits"
        raise ArgumentValueError("model", given, cure="pass the model itself")
    return View(recipe)


def unit(model: keras.Model, layer: str | keras.layers.Layer, channel: int) -> keras.Model:
    """Return a view of `model` that ends in one inner unit's mean activation, so that every method explains it.

    S(x) = mean over space of A_channel(x), the output of `layer` (name or layer object); output shape (N, 1).
    Raises `ValueError` for an unknown layer or a channel it does not have.
    """
    recipe = replace(recipe_of(model), ending=LOGITS)
    call = find_layer(recipe, layer)
    channel = checks.as_count("channel", channel, 0, call.shape[-1] - 1)
    return View(replace(recipe, ending=Unit.at(call.layer, channel)))


def with_relu_rule(model: keras.Model, rule: str) -> keras.Model:
    """Return a view of the logits whose ReLUs go back by `rule`: "guided" or "deconvnet".

    Shares weights; only gradients differ. Raises `ValueError` if the model has no ReLU that can be overridden.
    """
    recipe = replace(recipe_of(model), rule=RULES[checks.one_of("rule", rule, tuple(RULES))])
    check_relus(anatomy(recipe), rule)
    return View(recipe)


def check_relus(found, rule):
    """Refuse a network without a ReLU for the rule; warn of other activations, which it does not change."""
    if found.relus == 0:
        given = f"one that has no ReLU or ReLU6, so that the {rule} rule would silently be the plain gradient"
        others = f"its other activations: {sorted(found.others) or 'none'}"
        raise ArgumentValueError("model", f"{given}; {others}", cure="use saliency")
    if found.others:
        given = f"one in which the {rule} rule changes {found.relus} ReLUs but not {sorted(found.others)}"
        checks.warn(ArgumentWarning("model", given))
