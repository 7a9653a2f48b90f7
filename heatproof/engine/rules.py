"""Backward rules of ReLUs other than the chain rule."""

import tensorflow as tf

RELUS = {"Relu", "Relu6"}


@tf.RegisterGradient("XaiGuided")
def _guided_rule(operation, gradient):
    """Springenberg et al. 2015: pass where the unit is active (a ReLU6 below 6 too) and the signal is positive."""
    passed, outputs = tf.nn.relu(gradient), operation.outputs[0]
    active = (outputs > 0) & (outputs < 6) if operation.type == "Relu6" else outputs > 0
    return tf.where(active, passed, tf.zeros_like(passed))


@tf.RegisterGradient("XaiDeconvnet")
def _deconvnet_rule(operation, gradient):
    """Zeiler and Fergus 2014: pass where the gradient is positive, whatever the input was."""
    return tf.nn.relu(gradient)
