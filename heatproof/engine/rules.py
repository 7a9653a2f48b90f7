"""Backward rules of ReLUs other than the chain rule, each an object with one method.

`rule.back(operation, gradient)` gives what goes back through an operation of a graph. TensorFlow looks a rule up by its
name, which is registered once per process; after a reload of this room the new rules count.
"""

import contextlib
from dataclasses import dataclass

import tensorflow as tf

from heatproof.engine.gates import RELUS, is_gate

_RULES: dict[str, "Rule"] = {}


@dataclass(frozen=True)
class Rule:
    """How a signal goes back through each ReLU."""

    @property
    def name(self):
        return f"Heatproof{type(self).__name__}"

    def overrides(self):
        """{type of operation: name of the rule}, as a graph takes it."""
        return dict.fromkeys(RELUS, self.name)


class Guided(Rule):
    """Springenberg et al. 2015: pass where the unit is active (a ReLU6 below 6 too) and the signal is positive."""

    def back(self, operation, gradient):
        passed = tf.nn.relu(gradient)
        return tf.where(_is_active(operation), passed, tf.zeros_like(passed))


class Deconvnet(Rule):
    """Zeiler and Fergus 2014: pass where the gradient is positive, whatever the input was."""

    def back(self, operation, gradient):
        return tf.nn.relu(gradient)


def _is_active(operation):
    """Where a ReLU passes its input on: above 0, and below 6 for a ReLU6."""
    outputs = operation.outputs[0]
    return (outputs > 0) & (outputs < 6) if operation.type == "Relu6" else outputs > 0


def _back(rule, operation, gradient):
    """By the rule; through a gate by the chain rule."""
    if not is_gate(operation):
        return rule.back(operation, gradient)
    return tf.where(_is_active(operation), gradient, tf.zeros_like(gradient))


def registered(rule):
    """Make a rule known to TensorFlow by its name; return it."""
    _RULES[rule.name] = rule
    with contextlib.suppress(KeyError):  # the name is known already, and looks its rule up in _RULES
        tf.RegisterGradient(rule.name)(lambda operation, gradient: _back(_RULES[rule.name], operation, gradient))
    return rule


RULES = {"guided": registered(Guided()), "deconvnet": registered(Deconvnet())}
