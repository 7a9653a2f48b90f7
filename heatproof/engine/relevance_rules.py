"""The rules of layer-wise relevance propagation: how what arrives at a layer is shared out among what it read.

z_jk = x_j w_jk, z_k = sum_j z_jk + b_k. Each rule gives what goes to the inputs, R_j, and what does not: the shares of
the biases, of epsilon, and what the rule itself makes or loses, neuron by neuron, so that all of it adds up to R_k.
"Positive" and "negative" are the parts of the products z_jk, whichever sign x_j has.
"""

from typing import NamedTuple

import tensorflow as tf

divide = tf.math.divide_no_nan  # 0 / 0 is 0: a neuron that gives nothing passes nothing on


class Shares(NamedTuple):
    """What a rule does with what arrives at each neuron; the first is in the shape of the inputs."""

    passed: tf.Tensor
    biases: tf.Tensor
    epsilon: tf.Tensor
    lost: tf.Tensor  # by the rule; negative where it makes relevance


def parts(tensor):
    """(what is above 0, what is below 0) of a tensor."""
    return tf.nn.relu(tensor), -tf.nn.relu(-tensor)


def of_bias(b, how):
    """What stands for the bias in the denominators of the positive and of the negative part."""
    return {"split": parts(b), "whole": (b, b), "none": (tf.zeros_like(b),) * 2}[how.bias]


def _kept(b, how):
    return tf.zeros_like(b) if how.bias == "none" else b


def stabiliser(z, how, in_blocks=False):
    """epsilon times the root mean square of z in each example, with the sign of what it is to be added to."""
    if how.epsilon == 0:
        return tf.zeros([], z.dtype)
    return how.epsilon * tf.sqrt(how.examples.mean(z * z, in_blocks))


def signed(size, d):
    """The stabiliser with the sign of d; sign(0) = +1."""
    return tf.where(d < 0, -size, size)


def epsilon(layer, R, how):
    """R_j = sum_k z_jk / (z_k + e sign z_k) R_k, e = epsilon * rms(z) (Bach et al. 2015)."""
    b = _kept(layer.b, how)
    d = layer.z if how.bias != "none" else layer.z - layer.b
    e = signed(stabiliser(layer.z, how, layer.is_in_blocks), d)
    s = divide(R, d + e)
    return Shares(layer.x * layer.back(s, layer.w), b * s, e * s, _unshared(R, d + e))


def alpha_beta(layer, R, how, alpha=None, beta=None):
    """R_j = sum_k (alpha z_jk+ / (sum_j z_jk+ + b_k+) - beta z_jk- / (sum_j z_jk- + b_k-)) R_k (Bach et al. 2015)."""
    alpha, beta = (how.alpha, how.beta) if alpha is None else (alpha, beta)
    (up, down), (b_up, b_down) = parts(layer.w), of_bias(layer.b, how)
    d = layer.parts(up, down) + b_up
    s = divide(alpha * R, d)
    passed, biases = layer.back_parts(s, up, down), b_up * s
    lost = R - alpha * (R - _unshared(R, d))
    if beta:
        d = layer.parts(down, up) + b_down
        s = divide(beta * R, d)
        passed, biases = passed - layer.back_parts(s, down, up), biases - b_down * s
        lost += beta * (R - _unshared(R, d))
    return Shares(passed, biases, tf.zeros_like(R), lost)


def z_plus(layer, R, how):
    """R_j = sum_k z_jk+ / (sum_j z_jk+ + b_k+) R_k (Montavon et al. 2017)."""
    return alpha_beta(layer, R, how, 1.0, 0.0)


def gamma(layer, R, how):
    """As LRP-0 with z_jk + gamma z_jk+ where z_k > 0 and z_jk + gamma z_jk- where z_k < 0 (Montavon et al. 2019)."""
    up, down = (layer.w + how.gamma * part for part in parts(layer.w))
    b = _kept(layer.b, how)
    b_up, b_down = (b + how.gamma * part for part in parts(b)) if how.bias == "split" else (b, b)
    is_up = (layer.z if how.bias != "none" else layer.z - layer.b) >= 0
    b = tf.where(is_up, b_up, b_down)
    d = tf.where(is_up, layer.parts(up, down), layer.parts(down, up)) + b
    s = divide(R, d)
    s_up = tf.where(is_up, s, tf.zeros_like(s))
    passed = layer.back_parts(s_up, up, down) + layer.back_parts(s - s_up, down, up)
    return Shares(passed, b * s, tf.zeros_like(R), _unshared(R, d))


def w_square(layer, R, how):
    """R_j = sum_k w_jk^2 / sum_j w_jk^2 R_k, over the inputs that are there: padding is none of them."""
    return _by_weights(layer, R, layer.w**2)


def flat(layer, R, how):
    """R_j = sum_k R_k / n_k, n_k the number of inputs that neuron k reads; padding is none of them."""
    return _by_weights(layer, R, tf.ones_like(layer.w))


def _by_weights(layer, R, w):
    there = layer.there(tf.ones_like)
    d = layer.forward(there, w)
    passed = there * layer.back(divide(R, d), w)
    return Shares(passed, tf.zeros_like(R), tf.zeros_like(R), _unshared(R, d))


def z_box(layer, R, how):
    """R_j = sum_k (z_jk - l_j w_jk+ - h_j w_jk-) / sum_j (...) R_k, for x in [l, h]; biases cancel."""
    up, down = parts(layer.w)
    ends = [layer.there(lambda x, end=end: tf.broadcast_to(end, tf.shape(x)), far=True) for end in (how.low, how.high)]
    low, high = tf.minimum(*ends), tf.maximum(*ends)
    d = layer.z - layer.b - layer.forward(low, up) - layer.forward(high, down)
    s = divide(R, d)
    passed = layer.x * layer.back(s, layer.w) - low * layer.back(s, up) - high * layer.back(s, down)
    return Shares(passed, tf.zeros_like(R), tf.zeros_like(R), _unshared(R, d))


def average(layer, R, how, positive):
    """In proportion x_j / sum x_j, by the positive parts alone under "z_plus", otherwise as "epsilon"."""
    if not positive:
        return epsilon(layer, R, how)
    x = tf.nn.relu(layer.x)
    d = layer.forward(x, None)
    return Shares(x * layer.back(divide(R, d), None), tf.zeros_like(R), tf.zeros_like(R), _unshared(R, d))


def sums(summands, constant, R, how, positive):
    """The shares of a sum: those of its summands, a list, and of a constant."""
    b = tf.zeros_like(R) if constant is None or how.bias == "none" else constant
    size = stabiliser(sum(summands) + (0 if constant is None else constant), how)
    if positive:
        summands = [tf.nn.relu(each) for each in summands]
        b, size = of_bias(b, how)[0], tf.zeros_like(R)
    d = sum(summands) + b
    e = signed(size, d)
    s = divide(R, d + e)
    return Shares([each * s for each in summands], b * s, e * s, _unshared(R, d + e))


def _unshared(R, d):
    """What arrives at a neuron without anything to share it out by."""
    return tf.where(d == 0, R, tf.zeros_like(R))


RULES = {
    "epsilon": epsilon,
    "z_plus": z_plus,
    "gamma": gamma,
    "alpha_beta": alpha_beta,
    "flat": flat,
    "w_square": w_square,
    "z_box": z_box,
}
