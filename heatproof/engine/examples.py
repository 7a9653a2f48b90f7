"""Which numbers of a tensor inside a network belong to which example.

The examples lie along the first axis whose length is not fixed. An example may take a run of places there, where its
positions were laid in a row behind it, or, `in_blocks`, every N-th, where a dilated convolution cut it into blocks.
"""

import tensorflow as tf


class Examples:
    """The examples of a batch of inputs."""

    def __init__(self, inputs):
        count = tf.shape(inputs)[0]
        self._runs, self._blocks = tf.stack([count, -1]), tf.stack([-1, count])

    def total(self, tensor, in_blocks=False):
        """The sum over each example, (N,)."""
        return self._reduced(tensor, in_blocks, tf.reduce_sum)[0]

    def mean(self, tensor, in_blocks=False):
        """The mean over each example, in a shape that broadcasts against the tensor."""
        means, rows, places = self._reduced(tensor, in_blocks, tf.reduce_mean)
        means = means + tf.zeros_like(rows) if in_blocks else means[:, None] + tf.zeros_like(rows)
        return tf.reshape(means, tf.shape(places))

    def _reduced(self, tensor, in_blocks, reduce):
        """One number for each example; for each place along their axis, in rows of examples or blocks; as they lay."""
        shape = tensor.shape.as_list()
        axis = shape.index(None) if None in shape else 0
        places = reduce(tensor, axis=[other for other in range(len(shape)) if other != axis], keepdims=True)
        rows = tf.reshape(places, self._blocks if in_blocks else self._runs)
        return reduce(rows, axis=0 if in_blocks else 1), rows, places
