"""How the difference of two inputs goes back through one operation: multipliers in place of derivatives.

In a pass of pairs the first half of the rows are inputs x, the second half what each is compared with, x'. A rule
`rule(operation, carriers, gradient)` takes the multipliers of what an operation f gives and returns those of what it
reads (None for what is no carrier of the difference), so that sum m_in (a - a') = sum m_out (f(a) - f(a')). They stand
in the first half; the second is 0. Source: Shrikumar, Greenside, Kundaje 2017.
"""

import tensorflow as tf

from heatproof.engine.extremes import at_winners, derivative, is_lowest, to_winners

_EPSILON = {tf.float64: 2.0**-52, tf.float32: 2.0**-23, tf.float16: 2.0**-10, tf.bfloat16: 2.0**-7}
_NEAR = 8  # roundings of a value: below that, a difference says nothing of a slope


def _pair(tensor):
    """The rows of x and those of x'."""
    rows = tf.shape(tensor)[0] // 2
    return tensor[:rows], tensor[rows:]


def _pairs(operation, carriers):
    """The inputs of an operation for x and for x': those that carry the difference divided, others as they are."""
    pairs = [_pair(each) if number in carriers else (each, each) for number, each in enumerate(operation.inputs)]
    return [list(each) for each in zip(*pairs, strict=True)]


def _placed(operation, multipliers):
    """{number of an input: multipliers of x} as the gradients of an operation: zeros for x', None for others."""
    whole = {number: tf.concat([each, tf.zeros_like(each)], axis=0) for number, each in multipliers.items()}
    return [whole.get(number) for number in range(len(operation.inputs))]


def _summed_to(values, like):
    """Summed over the axes along which an operation repeated its input `like`."""
    if values.shape[1:].is_fully_defined() and values.shape[1:] == like.shape[1:]:
        return values
    axes, _ = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(like), s1=tf.shape(values))
    return tf.reshape(tf.reduce_sum(values, axes), tf.shape(like))


def passed(operation, carriers, *gradients):
    """What comes out is what goes in, whatever derivative somebody gave it."""
    return list(gradients)


def slope(operation, carriers, gradient):
    """The rescale rule: one input pays for the change. m = (f(a) - f(a')) / (a - a'), the derivative where a = a'.

    Where both are equal but for roundings, it is the mean of the derivatives at both.
    """
    (number,) = carriers
    (a, b), (y, z), (signal, _) = map(_pair, (operation.inputs[number], operation.outputs[0], gradient))
    near = tf.abs(a - b) <= _NEAR * _EPSILON[a.dtype] * (tf.abs(a) + tf.abs(b))
    both = tf.concat([signal, signal], axis=0)
    derivatives = _pair(derivative(operation, both, operation.inputs, operation.outputs)[number])
    change = _summed_to(signal * (y - z), a)
    m = tf.where(near, sum(derivatives) / 2, change / tf.where(near, tf.ones_like(a), a - b))
    return _placed(operation, {number: m})


def midpoint(operation, carriers, gradient):
    """Products: u v - u' v' = (u - u') (v + v') / 2 + (u + u') / 2 (v - v'), the chain rule half-way between both."""
    middle = [(a + b) / 2 for a, b in zip(*_pairs(operation, carriers), strict=True)]
    found = derivative(operation, _pair(gradient)[0], middle)
    return _placed(operation, {number: found[number] for number in carriers})


def quotient(operation, carriers, gradient):
    """u / v as the product of u and 1 / v, and 1 / v - 1 / v' = -(v - v') / (v v')."""
    (u, v), (other_u, other_v) = _pairs(operation, carriers)
    signal, _ = _pair(gradient)
    of_u = signal * (1 / v + 1 / other_v) / 2
    of_v = -signal * (u + other_u) / (2 * v * other_v)
    return _placed(operation, {0: _summed_to(of_u, u), 1: _summed_to(of_v, v)})


def winner(operation, carriers, gradient):
    """One value pays for the change of a maximum: that of the larger one. m = (max a - max a') / (a_j - a'_j).

    Where the maximum rises from x' to x, j wins in x, else in x' (in x too, where both can be). So m is between 0 and
    1, and nothing is divided by a change that is smaller than that of the maximum. Of a minimum, the smaller one's.
    """
    here, there = _pairs(operation, carriers)
    (y, z), (signal, _) = map(_pair, (operation.outputs[0], gradient))
    change = signal * (y - z)
    rises = y <= z if is_lowest(operation) else y >= z
    of_x = rises | (at_winners(operation, here, y, there) == z)
    zeros = tf.zeros_like(change)
    paid = to_winners(operation, tf.where(of_x, change, zeros), here, y)
    more = to_winners(operation, tf.where(of_x, zeros, change), there, z)
    slopes = to_winners(operation, signal, here, y)
    multipliers = {}
    for number in carriers:
        way = here[number] - there[number]
        stays = way == 0
        moved = (paid[number] + more[number]) / tf.where(stays, tf.ones_like(way), way)
        multipliers[number] = tf.where(stays, slopes[number], moved)
    return _placed(operation, multipliers)


def choice(operation, carriers, gradient):
    """A choice between two by a condition that the inputs may turn: where it turns, one of both pays for the change.

    That is what x chooses, or the other one where the former did not move.
    """
    (holds, held), (y, z), (signal, _) = map(_pair, (operation.inputs[0], operation.outputs[0], gradient))
    here, there = _pairs(operation, carriers)
    stays = {number: here[number] == there[number] if number in carriers else tf.ones_like(holds) for number in (1, 2)}
    multipliers = {}
    for number in carriers:
        chosen = holds if number == 1 else ~holds
        pays = (chosen | stays[3 - number]) & ~stays[number]
        way = tf.where(pays, here[number] - there[number], tf.ones_like(y))
        turned = tf.where(pays, signal * (y - z) / way, tf.zeros_like(y))
        same = tf.where(chosen, signal, tf.zeros_like(y))
        multipliers[number] = _summed_to(tf.where(holds == held, same, turned), here[number])
    return _placed(operation, multipliers)


def softmax(operation, carriers, gradient):
    """p = exp(log p), where log p_j = a_j - L and L = log sum_j exp(a_j): each exponential and logarithm by its slope.

    With c(u, u') = (exp u - exp u') / (u - u'): p_i - p'_i = c(log p_i, log p'_i) (a_i - a'_i - (L - L')), and
    L - L' = sum_j c(a_j, a'_j) / c(L, L') (a_j - a'_j). Nothing overflows.
    """
    (a, b), (signal, _) = map(_pair, (operation.inputs[0], gradient))
    total, other = (tf.reduce_logsumexp(each, axis=-1, keepdims=True) for each in (a, b))
    if operation.type == "Softmax":
        signal *= _exponential(a - total, b - other)
    weights = tf.exp(tf.maximum(a, b) - tf.maximum(total, other)) * _bend(a - b) / _bend(total - other)
    return _placed(operation, {0: signal - weights * tf.reduce_sum(signal, axis=-1, keepdims=True)})


def _exponential(u, v):
    """c(u, v) = (exp u - exp v) / (u - v); exp u where both are equal."""
    return tf.exp(tf.maximum(u, v)) * _bend(u - v)


def _bend(way):
    """(1 - exp(-d)) / d for d = |way|; 1 where it is 0."""
    d = tf.abs(way)
    flat = d == 0
    return tf.where(flat, tf.ones_like(d), -tf.math.expm1(-d) / tf.where(flat, tf.ones_like(d), d))
