"""Where the positions of a layer lie: read from the graph, found again in which inputs a tape says that they read."""

import keras
import numpy as np
import pytest
import tapes
import tensorflow as tf
from keras import layers, ops

import xai_utils as xu
from heatproof.engine import centres
from models import randomised

ROWS, COLUMNS = 34, 3


class Strange(layers.Layer):
    """A block of a stranger: bare operations, in which no layer of Keras tells what is read."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(5, 1, shape[-1], 3))

    def call(self, x):
        read = tf.nn.conv2d(tf.pad(x, [(0, 0), (4, 1), (0, 0), (0, 0)]), self.kernel, [1, 3, 1, 1], "VALID")
        return tf.tanh(read)[:, 1:] * 2.0


class Explicit(Strange):
    """Paddings that are written into the convolution."""

    def call(self, x):
        return tf.nn.conv2d(x, self.kernel, [1, 3, 1, 1], [[0, 0], [1, 4], [0, 0], [0, 0]])


class Blocks(layers.Layer):
    """Every fourth row, beginning three before the first, beside each other as images; cut together one row later."""

    def call(self, x):
        parts = tf.space_to_batch(x, [4, 1], [[3, 3], [0, 0]])  # 40 rows
        return tf.batch_to_space(parts[:, 1:] + 2 * parts[:, :-1], [4, 1], [[1, 0], [0, 0]])


class Sealed(layers.Layer):
    """Operations that tell nothing: each position is made of two."""

    def call(self, x):
        pairs = tf.numpy_function(lambda x: x[:, ::2] + x[:, 1::2], [x], x.dtype)
        return tf.ensure_shape(pairs, self.compute_output_shape(x.shape))

    def compute_output_shape(self, shape):
        return (shape[0], shape[1] // 2, *shape[2:])


def conv(kernel, stride=1, **options):
    options = {"padding": "same", "activation": "tanh", **options}
    return layers.Conv2D(4, (kernel, 1), strides=(stride, 1), **options)


def transposed(kernel, stride, padding):
    return layers.Conv2DTranspose(3, (kernel, 1), strides=(stride, 1), padding=padding)


def shortcut(x):
    """He et al. 2016: two convolutions beside one of 1 x 1, all that halve the grid with "same"."""
    beside = conv(1, 2, activation=None)(x)
    return layers.Activation("tanh")(conv(3, activation=None)(conv(3, 2)(x)) + beside)


def branches(x):
    return layers.Concatenate()([conv(1)(x), conv(5)(x), layers.AveragePooling2D((3, 1), 1, "same")(x)])


def cut_and_put_back(x):
    return ops.concatenate(ops.split(conv(3, 2)(x), 2, axis=-1)[::-1], axis=-1)


def turned_and_back(x):
    turn = layers.Permute((2, 1, 3))
    return layers.Permute((2, 1, 3))(layers.Activation("tanh")(turn(conv(3, 2)(x))))


def cut_while_turned(x):
    return ops.transpose(ops.transpose(conv(3, 2)(x), (0, 2, 1, 3))[:, :, 1::2], (0, 2, 1, 3))


def as_a_signal(x):
    """An axis more and back: what the one-dimensional layers of Keras do inside."""
    return ops.squeeze(ops.expand_dims(conv(3, 2)(x), axis=1), axis=1)


def dilated(layer, x, padding="valid"):
    return layer(kernel_size=(3, 1), dilation_rate=(4, 1), padding=padding)(x)


def separable(**options):
    return layers.SeparableConv2D(4, **options)


READ = {  # network, where position 0 lies along the rows, how far apart two positions are
    "shortcut": (shortcut, 1, 2),  # 3 x 3 with stride 2 reads 0, 1, 2, and what follows -2 to 4; beside it 0 alone
    "branches": (branches, 0, 1),
    "branches that lie aside": (lambda x: layers.Concatenate()([conv(2)(x), conv(4)(x)]), 0.5, 1),
    "transposed, same": (lambda x: transposed(3, 2, "same")(conv(3, 2)(x)), 0, 1),  # reads (j - 2) / 2 to j / 2
    "transposed, valid": (lambda x: transposed(3, 2, "valid")(conv(3, 2)(x)), 0, 1),
    "transposed, not strided": (lambda x: transposed(5, 1, "valid")(x), -2, 1),  # reads j - 4 to j
    "depthwise, dilated": (lambda x: dilated(layers.DepthwiseConv2D, x), 4, 1),
    "separable, dilated": (lambda x: dilated(separable, conv(3, 2)(x), "same"), 1, 2),
    "grouped": (lambda x: conv(3, 2, groups=2)(conv(4, 1, padding="valid")(x)), 1.5, 2),
    "a stranger's block": (lambda x: Strange()(conv(3, 2)(x)), 3, 6),  # 1 + 2 (3 (j + 1) - 2)
    "explicit": (lambda x: Explicit()(x), 1, 3),
    "sliced": (lambda x: conv(3)(x)[:, 3:-2:4], 3, 4),
    "backwards": (lambda x: conv(3)(x)[:, ::-1], 33, -1),
    "cut and put back": (cut_and_put_back, 1, 2),
    "turned and back": (turned_and_back, 1, 2),
    "cut while turned": (cut_while_turned, 3, 4),
    "as a signal": (as_a_signal, 1, 2),
    "blocks": (lambda x: Blocks()(x), 0, 1),  # the block at j reads j and j + 4, less 3 of padding, plus 1 that is cut
}


def network(build, rows=ROWS):
    inputs = keras.Input((rows, COLUMNS, 2))
    x = layers.Activation("linear", name="place")(build(inputs))
    return randomised(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))), 3)


def examples(rows=ROWS):
    return np.random.default_rng(2).normal(size=(2, rows, COLUMNS, 2)).astype(np.float32)


def found(model, inputs):
    return xu.Query(model, inputs, 1).place("place").centres()


@pytest.mark.parametrize("name", READ)
def test_the_centres_of_many_networks_are_those_of_what_a_tape_says_is_read(name):
    """The middle between the first and the last row that is read, of the positions that read the most: whole."""
    build, first, apart = READ[name]
    model, x = network(build), examples()
    place = keras.Model(model.inputs, model.get_layer("place").output)
    parts = range(place.output_shape[1])
    slopes = [tapes.gradient(place, x, lambda A, j=j: tf.reduce_sum(A[:, j, 0], axis=-1), tf.float32) for j in parts]
    read = [np.flatnonzero(slope.any(axis=(0, 2, 3))) for slope in slopes]
    whole = [j for j in parts if len(read[j]) == max(map(len, read))]
    assert [(read[j][0] + read[j][-1]) / 2 for j in whole] == [first + j * apart for j in whole]
    assert found(model, x) == ((first, apart), (0, 1))


def gated(x):
    """Hu et al. 2018: each map times a number made of the means of all."""
    x = conv(3, 2)(x)
    gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return layers.Multiply()([x, gate])


def normed(x):
    x = layers.GroupNormalization(2)(layers.LayerNormalization()(layers.BatchNormalization()(conv(4, 4)(x))))
    return layers.Dense(5, activation="gelu")(x)


def pooled_and_spread_again(x):
    """Chen et al. 2017: beside the maps their means, at all positions."""
    x = conv(3, 2)(x)
    means = conv(1)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return layers.Concatenate()([layers.UpSampling2D((17, 3), interpolation="bilinear")(means), x])


def less_one(x):
    return x - x[:, 4:5]


def attentive(x):
    patches = layers.Conv2D(4, (8, 1), strides=(8, 1))(x)
    return patches + layers.MultiHeadAttention(2, 2, attention_axes=(1, 2))(patches, patches)


def attentive_inside(x):
    """Behind rows that are lost at both ends: what the last product in the layer reads has other axes."""
    x = conv(5, padding="valid")(x)
    return layers.MultiHeadAttention(2, 2, attention_axes=(1, 2))(x, x)


def tokens(x):
    """Patches as a row of tokens and back."""
    patches = layers.Conv2D(4, (4, 1), strides=(4, 1))(x)
    return layers.Reshape(patches.shape[1:])(layers.Dense(4)(layers.Reshape((-1, 4))(patches)))


def halved(x):
    """Resized to a size that is computed from what is resized."""
    half = layers.Lambda(lambda x: tf.image.resize(x, tf.shape(x)[1:3] // [2, 1]), output_shape=(17, 3, 2))
    return conv(3, padding="valid")(half(x))


def doubled(x):
    """Resized to a size that no graph tells: only the layer says that its rows are even parts."""

    def double(x):
        sides = tf.numpy_function(lambda sides: sides * np.int32([2, 1]), [tf.shape(x)[1:3]], tf.int32)
        return tf.ensure_shape(tf.image.resize(x, tf.ensure_shape(sides, (2,))), (None, 60, 3, 4))

    return layers.Lambda(double, output_shape=(60, 3, 4))(conv(5, padding="valid")(x))


def mismatched(x):
    """A sum of maps that do not run side by side: 16 positions 2 apart, and 16 that are 1 apart."""
    return layers.Add()([conv(2, 2, padding="valid")(x), conv(3, padding="valid")(x)[:, :16]])


SPREAD = {  # network, rows, where position 0 lies, how far apart two are: of what a position reads this is the middle
    "gated": (gated, 34, 1, 2),
    "normed": (normed, 34, 0.5, 4),  # nine windows of 4: one row of padding before, one behind
    "pooled and spread again": (pooled_and_spread_again, 33, 0, 2),
    "less one of its rows": (lambda x: less_one(conv(3, 2)(x)), 34, 1, 2),
    "attentive": (attentive, 34, 3.5, 8),
    "attentive inside": (attentive_inside, 34, 2, 1),
    "recurrent in rows": (lambda x: layers.TimeDistributed(layers.Dense(4))(conv(3, 2)(x)), 34, 1, 2),
    "enlarged": (lambda x: layers.UpSampling2D((2, 1))(conv(2, 2)(x)), 34, 0, 1),
    "enlarged linearly": (lambda x: layers.UpSampling2D((2, 1), interpolation="bilinear")(conv(2, 2)(x)), 34, 0, 1),
    "resized to half": (halved, 34, 2.5, 2),
    "resized to a size untold": (doubled, 34, 1.75, 0.5),  # 30 rows from 2 on, halved
    "resized": (lambda x: conv(3, padding="valid")(layers.Resizing(17, 3)(x)), 34, 2.5, 2),
    "sealed": (lambda x: Sealed()(conv(5, padding="valid")(x)), 34, 2.5, 2),  # 30 rows from 2 on, two by two
    "sealed, then known": (lambda x: conv(3, padding="valid")(Sealed()(x)), 34, 2.5, 2),
    "tokens": (tokens, 32, 1.5, 4),  # even parts of the whole
    "mismatched": (mismatched, 32, 0.5, 2),  # even parts of the whole
}


@pytest.mark.parametrize("name", SPREAD)
def test_what_reads_everything_or_does_not_tell_lies_where_its_input_lies(name):
    build, rows, first, apart = SPREAD[name]
    assert found(network(build, rows), examples(rows)) == ((first, apart), (0, 1))


@pytest.mark.parametrize("rows", [33, 34])
def test_a_model_of_any_size_has_the_centres_of_the_size_of_these_inputs(rows):
    """Padding by "same" begins one row before an odd side and not before an even one."""

    class Any(keras.Model):
        def __init__(self):
            super().__init__()
            self.steps = [conv(3, 2, name="place"), layers.GlobalAveragePooling2D(), layers.Dense(3)]

        def call(self, x):
            for step in self.steps:
                x = step(x)
            return x

    inputs = x = keras.Input((None, None, 2))
    for step in Any().steps:
        x = step(x)
    subclassed = Any()
    subclassed(examples(rows))
    for model in (keras.Model(inputs, x), subclassed):
        assert found(model, examples(rows)) == ((float(rows % 2 == 0), 2), (0, 1))


def test_a_margin_in_a_model_of_any_size_that_has_no_windows_moves_what_lies_behind_it():
    inputs = keras.Input((None, None, 2))
    x = layers.Activation("tanh", name="place")(layers.ZeroPadding2D(((2, 0), (0, 0)))(inputs))
    model = randomised(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))), 3)
    assert found(model, examples()) == ((-2, 1), (0, 1))


def test_the_graph_is_read_once_per_model(monkeypatch):
    model, read = network(shortcut), []
    monkeypatch.setattr(centres, "_centres", lambda *given, plain=centres._centres: read.append(given) or plain(*given))
    xu.grad_cam(model, examples(), 1, layer="place", relu=False)
    xu.grad_cam(model, examples()[:1], 0, layer="place", relu=False)
    assert len(read) == 1
