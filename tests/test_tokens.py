"""Layers of tokens: the map is that of the layer before its positions were laid in a row."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import xai_utils as xu

ON_LAYERS = [
    "grad_cam", "grad_cam_plus_plus", "layer_cam", "hires_cam", "guided_grad_cam", "score_cam", "ablation_cam",
]  # fmt: skip
SIDES = {"image": (12, 8, 2), "signal": (24, 2), "volume": (4, 6, 8, 1)}
GRIDS = {"image": (6, 4), "signal": (12,), "volume": (2, 3, 4)}


class ExtraToken(layers.Layer):
    """A learned token before the patches, one behind, or both."""

    def __init__(self, before=1, behind=0, **options):
        super().__init__(**options)
        self.sides = before, behind

    def build(self, shape):
        self.extra = self.add_weight(shape=(1, sum(self.sides), shape[-1]), initializer="normal")

    def call(self, tokens):
        before = self.sides[0]
        extra = tf.repeat(self.extra, tf.shape(tokens)[0], axis=0)
        return tf.concat([extra[:, :before], tokens, extra[:, before:]], axis=1)


class Gathered(layers.Layer):
    """Positions in a row, in an order that no operation tells."""

    def __init__(self, count, **options):
        super().__init__(**options)
        self.count = count

    def call(self, a):
        return tf.gather(tf.reshape(a, (-1, self.count, a.shape[-1])), range(self.count), axis=1)


def network(kind="image", before=1, behind=0, told=True, reach=2):
    """A convolution of patches and a ReLU, laid in a row with other tokens, whose patches alone are averaged."""
    keras.utils.set_random_seed(3)
    shape = SIDES[kind]
    rank, grid = len(shape) - 1, GRIDS[kind] if reach == 2 else [(side - reach) // 2 + 1 for side in shape[:-1]]
    inputs = keras.Input(shape)
    x = getattr(layers, f"Conv{rank}D")(5, reach, 2, activation="relu", name="patches")(inputs)
    if told:
        x = layers.Reshape((int(np.prod(grid)), 5))(x)
    else:
        x = Gathered(int(np.prod(grid)))(x)
    x = ExtraToken(before, behind, name="extra")(x) if before or behind else x
    x = layers.Activation("linear", name="tokens")(x)
    kept = layers.Lambda(lambda a: a[:, before : a.shape[1] - behind])(x)
    kept = layers.Reshape((*grid, 5))(kept)
    kept = getattr(layers, f"Conv{rank}D")(6, 2, activation="relu")(kept)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(kept)))


def inputs_of(kind):
    return np.random.default_rng(5).normal(size=(2, *SIDES[kind])).astype(np.float32)


@pytest.mark.parametrize("tokens", [(0, 0), (1, 0), (2, 1)], ids=str)
@pytest.mark.parametrize("kind", SIDES)
@pytest.mark.parametrize("name", ON_LAYERS)
def test_the_map_of_tokens_is_that_of_the_positions_before_they_were_laid_in_a_row(name, kind, tokens):
    model, x = network(kind, *tokens), inputs_of(kind)
    options = {"relu": False} if name in ("grad_cam", "ablation_cam") else {}
    found = getattr(xu, name)(model, x, 1, layer="tokens", **options)
    true = getattr(xu, name)(model, x, 1, layer="patches", **options)
    assert found.shape == (x.shape if name == "guided_grad_cam" else x.shape[:-1])
    assert np.abs(true).max() > 1e-6
    np.testing.assert_allclose(found, true, atol=1e-6 * np.abs(true).max(), rtol=1e-5)


@pytest.mark.parametrize("tokens", [(0, 0), (1, 1)], ids=str)
@pytest.mark.parametrize("kind", ["image", "signal"])
def test_patches_that_overlap_lie_at_their_centres(kind, tokens):
    """Of 3 in steps of 2 the first has its centre at 1: they do not divide the sides evenly."""
    model, x = network(kind, *tokens, reach=3), inputs_of(kind)
    found = xu.hires_cam(model, x, 1, layer="tokens")
    true = xu.hires_cam(model, x, 1, layer="patches")
    np.testing.assert_allclose(found, true, atol=1e-6 * np.abs(true).max(), rtol=1e-5)
    assert not np.allclose(true, xu.hires_cam(model, x, 1, layer="patches", align="stretch"), rtol=1e-2)


def others(tokens, count):
    """So many tokens of ones, of an image each."""
    return tf.ones((tf.shape(tokens)[0], count, tokens.shape[-1]))


@pytest.mark.parametrize(
    ("moved", "first"),
    [
        (lambda a: tf.pad(a, [[0, 0], [2, 1], [0, 0]]), 2),
        (lambda a: tf.pad(a, [[0, 0], [3, 1], [0, 0]])[:, 1:-1], 2),
        (lambda a: tf.concat([others(a, 1), tf.concat([others(a, 2), a], axis=1), others(a, 1)], axis=-2), 3),
        (lambda a: tf.concat([others(a, 12), a], axis=2), 0),
    ],
    ids=["padded", "cut", "joined twice", "channels joined"],
)
def test_patches_are_followed_through_what_moves_them(moved, first):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 8, 1))
    x = layers.Reshape((12, 5))(layers.Conv2D(5, 2, 2, name="patches")(inputs))
    x = layers.Lambda(moved, name="tokens")(x)
    x = layers.Lambda(lambda a: a[:, first : first + 12, -5:])(x)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.ReLU()(x))))
    x = np.random.default_rng(0).normal(size=(2, 6, 8, 1)).astype(np.float32)
    found = xu.hires_cam(model, x, 1, layer="tokens", upsample=False)
    true = xu.hires_cam(model, x, 1, layer="patches", upsample=False)
    np.testing.assert_allclose(found, true, atol=1e-6 * np.abs(true).max(), rtol=1e-5)


def of_squares(changed, flat=True):
    """16 patches (4, 4) of 16 channels, one row of them where `flat`; what they become is the layer "tokens"."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(16, 2, 2, name="patches")(inputs)
    x = layers.Lambda(changed, name="tokens")(layers.Reshape((16, 16))(x) if flat else x)
    x = layers.Lambda(lambda a: tf.reduce_sum(tf.reshape(a, (-1, 256)), 1, keepdims=True))(x)
    return keras.Model(inputs, layers.Dense(2)(x))


@pytest.mark.parametrize(
    ("changed", "flat"),
    [
        (lambda a: a[:, 1:], True),
        (lambda a: a[:, :-1], True),
        (lambda a: tf.pad(a, [[0, 0], [0, 20], [0, 0]])[:, ::2], True),
        (lambda a: tf.concat([a, a], axis=1), True),
        (lambda a: tf.transpose(a, (0, 2, 1)), True),
        (lambda a: tf.matmul(tf.eye(16, batch_shape=[1])[:, ::-1], a), True),
        (lambda a: tf.matmul(a, a, transpose_a=True), True),
        (lambda a: tf.reduce_mean(a, axis=1, keepdims=True) + tf.zeros((1, 2, 1)), True),
        (lambda a: tf.gather(a, range(8), axis=1)[..., :3], True),
        (lambda a: tf.reshape(a, (-1, 4, 16)), False),
        (lambda a: tf.reshape(a, (-1, 16, 1)), False),
        (lambda a: tf.reshape(tf.transpose(a, (0, 2, 1, 3)), (-1, 16, 16)), False),
    ],
    ids=[
        "one cut off before", "one cut off behind", "every other", "twice", "turned", "mixed", "channels by channels",
        "mean", "half of them", "each line by itself", "channels in the batch", "column by column",
    ],
)  # fmt: skip
def test_tokens_that_are_no_longer_the_patches_have_no_grid(changed, flat):
    x = np.ones((1, 8, 8, 1), np.float32)
    with pytest.raises(ValueError, match=r"layer: got 'tokens', tokens .* whose grid the network does not tell"):
        xu.grad_cam(of_squares(changed, flat), x, 0, layer="tokens")


def test_tokens_of_integers_and_those_inside_attention_are_refused():
    inputs = keras.Input((8, 8, 1))
    x = layers.Reshape((16, 4))(layers.Conv2D(4, 2, 2)(inputs))
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.Lambda(lambda a: tf.cast(a, tf.int32), name="integers")(x)
    x = layers.Lambda(lambda a: tf.cast(a, tf.float32))(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    x = np.ones((1, 8, 8, 1), np.float32)
    with pytest.raises(ValueError, match=r"layer: got 'integers', whose output is int32"):
        xu.grad_cam(model, x, 0, layer="integers")
    for inner in (model.get_layer("attention")._output_dense, model.get_layer("attention")._query_dense):
        with pytest.raises(ValueError, match=r"layer: got .*which has other axes"):
            xu.grad_cam(model, x, 0, layer=inner)


@pytest.mark.parametrize("name", ["grad_cam", "ablation_cam"])
def test_a_grid_that_the_network_does_not_tell_is_given(name):
    model, x = network(told=False), inputs_of("image")
    method = getattr(xu, name)
    with pytest.raises(ValueError, match=r"grid the network does not tell. Cure: grid=\(6, 4\), which leaves out 1"):
        method(model, x, 1, layer="tokens")
    found = method(model, x, 1, layer="tokens", grid=(6, 4), relu=False, upsample=False)
    np.testing.assert_allclose(
        found, method(model, x, 1, layer="patches", relu=False, upsample=False), rtol=1e-5, atol=1e-7
    )
    assert found.shape == (2, 6, 4)
    turned = method(model, x, 1, layer="tokens", grid=(4, 6), relu=False, upsample=False)
    np.testing.assert_allclose(turned.reshape(2, -1), found.reshape(2, -1), rtol=1e-5, atol=1e-7)


def test_the_cure_of_a_square_of_patches_works_when_it_is_taken_literally():
    inputs = keras.Input((8, 8, 1))
    x = ExtraToken(name="tokens")(Gathered(16)(layers.Conv2D(3, 2, 2)(inputs)))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 1)).astype(np.float32)
    with pytest.raises(ValueError, match=r"Cure: grid=\(4, 4\), which leaves out 1 of the tokens"):
        xu.grad_cam(model, x, 0, layer="tokens")
    assert xu.grad_cam(model, x, 0, layer="tokens", relu=False, grid=(4, 4)).shape == (1, 8, 8)
    np.testing.assert_array_equal(
        xu.grad_cam(model, x, 0, layer="tokens", relu=False, grid=(4, 4)),
        xu.grad_cam(model, x, 0, layer="tokens", relu=False, grid=4),
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"layer": "tokens", "grid": (4, 6)},
            r"grid: got \(4, 6\), but the patches of 'tokens' lie on \(6, 4\).*leave `grid` out",
        ),
        ({"grid": (6, 4)}, r"grid: got \(6, 4\) without a layer"),
        ({"layer": "tokens", "grid": (6, 4, 1)}, "grid"),
        ({"layer": "tokens", "grid": (6, 0)}, "grid"),
        ({"layer": "tokens", "grid": "6 x 4"}, "grid"),
        ({"layer": "patches", "grid": (6, 4)}, "grid"),
    ],
)
def test_another_grid_is_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        xu.grad_cam(network(), inputs_of("image"), 1, **options)


def test_more_patches_than_tokens_are_refused():
    with pytest.raises(ValueError, match=r"grid: got \(7, 7\), 49 patches, for 'tokens', which has 25 tokens"):
        xu.grad_cam(network(told=False), inputs_of("image"), 1, layer="tokens", grid=(7, 7))


def transformer(classed=True):
    """A vision transformer of two blocks whose head reads the class token, or the mean of all."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 12, 3))
    x = layers.Reshape((6, 16))(layers.Conv2D(16, 4, 4)(inputs))
    x = ExtraToken(name="with_class")(x) if classed else x
    for block in range(2):
        normed = layers.LayerNormalization(name=f"norm_{block}")(x)
        x = layers.Add()([x, layers.MultiHeadAttention(2, 8, name=f"attention_{block}")(normed, normed)])
        normed = layers.LayerNormalization()(x)
        x = layers.Add(name=f"block_{block}")([x, layers.Dense(16)(layers.Dense(32, activation="gelu")(normed))])
    x = layers.LayerNormalization()(x)
    x = layers.Lambda(lambda a: a[:, 0])(x) if classed else layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(4)(x))


@pytest.mark.parametrize("layer", ["norm_1", "block_0", "attention_0"])
@pytest.mark.parametrize("classed", [True, False])
def test_grad_cam_of_a_transformer_is_the_formula_on_its_patches(classed, layer):
    """A tape of its own; patches (2, 3), in rows."""
    model, x = transformer(classed), np.random.default_rng(2).normal(size=(3, 8, 12, 3)).astype(np.float32)
    both = keras.Model(model.inputs, [model.get_layer(layer).output, model.output])
    with tf.GradientTape() as tape:
        A, logits = both(x)
        score = logits[:, 2]
    g = tape.gradient(score, A).numpy()[:, int(classed) :]
    A = A.numpy()[:, int(classed) :]
    true = np.maximum((A * g.mean(axis=1, keepdims=True)).sum(axis=-1), 0).reshape(3, 2, 3)
    found = xu.grad_cam(model, x, 2, layer=layer, upsample=False)
    np.testing.assert_allclose(found, true, rtol=1e-4, atol=1e-6 * true.max())


def test_ablation_cam_of_a_transformer_leaves_the_class_token_as_it_is():
    """The layers behind, run on each channel of the patches set to zero."""
    model, x = transformer(), np.random.default_rng(2).normal(size=(2, 8, 12, 3)).astype(np.float32)
    middle = model.get_layer("block_0").output
    A, behind = keras.Model(model.inputs, middle)(x).numpy(), keras.Model(middle, model.output)
    true = np.zeros((2, 6))
    for channel in range(16):
        without = A.copy()
        without[:, 1:, channel] = 0
        lost = (behind(A) - behind(without)).numpy()[:, 2]
        true += lost[:, None] * A[:, 1:, channel]
    found = xu.ablation_cam(model, x, 2, layer="block_0", upsample=False, relu=False)
    np.testing.assert_allclose(found, true.reshape(2, 2, 3), rtol=1e-3, atol=1e-5 * np.abs(true).max())


def rollout_by_hand(model, x, classed, share=0.5):
    """From the scores that Keras itself gives back, layer by layer."""
    seen = keras.Model(model.inputs, [model.get_layer(f"norm_{block}").output for block in range(2)])
    count = 6 + classed
    R = np.eye(count)
    for block, normed in enumerate(seen(x)):
        _, scores = model.get_layer(f"attention_{block}")(normed, normed, return_attention_scores=True)
        B = (1 - share) * scores.numpy().mean(axis=1) + share * np.eye(count)
        R = np.einsum("nij,njk->nik", B, np.broadcast_to(R, (len(x), count, count)))
    row = R[:, 0, 1:] if classed else R.mean(axis=1)
    return row.reshape(-1, 2, 3)


@pytest.mark.parametrize("share", [0.5, 0.2])
@pytest.mark.parametrize("classed", [True, False])
def test_attention_rollout_is_the_product_of_what_keras_gives_back(classed, share):
    model, x = transformer(classed), 3 * np.random.default_rng(2).normal(size=(3, 8, 12, 3)).astype(np.float32)
    found = xu.attention_rollout(model, x, share=share, upsample=False)
    np.testing.assert_allclose(found, rollout_by_hand(model, x, classed, share), rtol=1e-5)
    alone = xu.attention_rollout(model, x[1:2], share=share, upsample=False)
    np.testing.assert_allclose(found[1:2], alone, rtol=1e-5)
    whole = xu.attention_rollout(model, x, share=share, upsample=False, reader=2)
    assert whole.shape == (3, 2, 3) and not np.allclose(whole, found)
    assert xu.attention_rollout(model, x, share=share).shape == (3, 8, 12)


def test_attention_beside_the_way_to_the_score_is_left_out():
    """A second output has attention of its own between the same tokens."""
    model, x = transformer(), 3 * np.random.default_rng(2).normal(size=(2, 8, 12, 3)).astype(np.float32)
    beside = model.get_layer("block_0").output
    beside = layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 8)(beside, beside))
    both = keras.Model(model.inputs, [layers.Dense(3)(beside), model.output])
    true = xu.attention_rollout(model, x, upsample=False)
    np.testing.assert_allclose(xu.attention_rollout(both, x, upsample=False, head=1), true, rtol=1e-5)
    assert not np.allclose(xu.attention_rollout(both, x, upsample=False, head=0), true, rtol=1e-3)


class Given(layers.Layer):
    """Attention of two tokens that is given: softmax of the logarithm of the rows (3/4, 1/4) and (1/2, 1/2)."""

    def call(self, tokens):
        logits = tf.math.log([[0.75, 0.25], [0.5, 0.5]])
        rows = tf.nn.softmax(logits + 0 * tf.reduce_sum(tokens, axis=(1, 2))[:, None, None])
        return tf.matmul(rows, tokens)


def test_attention_rollout_of_two_tokens_by_hand():
    """B = (7/8 1/8; 1/4 3/4); B B = (51/64 13/64; 26/64 38/64); the mean of its rows is (77, 51)/128."""
    inputs = keras.Input((4, 1))
    x = Given()(Given()(layers.Conv1D(3, 2, 2)(inputs)))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    x = np.ones((1, 4, 1), np.float32)
    found = xu.attention_rollout(model, x, upsample=False, grid=2)
    np.testing.assert_allclose(found, [[77 / 128, 51 / 128]], rtol=1e-6)
    np.testing.assert_allclose(xu.attention_rollout(model, x, upsample=False, grid=2, reader=1), [[26 / 64, 38 / 64]])
    np.testing.assert_allclose(
        xu.attention_rollout(model, x, upsample=False, grid=2, share=0, reader=0), [[11 / 16, 5 / 16]]
    )


def test_a_softmax_of_one_number_is_no_attention():
    """It is 1, and leaves the rows of the two tokens as they are."""
    inputs = keras.Input((4, 1))
    x = Given()(layers.Conv1D(3, 2, 2)(inputs))
    x = layers.Lambda(lambda a: a * tf.nn.softmax(tf.reduce_mean(a, axis=(1, 2), keepdims=True)))(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    found = xu.attention_rollout(model, np.ones((1, 4, 1), np.float32), upsample=False, grid=2, reader=1)
    np.testing.assert_allclose(found, [[1 / 4, 3 / 4]], rtol=1e-6)


def test_attention_within_parts_of_an_input_is_refused():
    """Windows of two tokens each, which stand for examples."""
    inputs = keras.Input((8, 1))
    x = layers.Lambda(lambda a: tf.reshape(a, (-1, 2, 3)))(layers.Conv1D(3, 2, 2)(inputs))
    x = layers.Lambda(lambda a: tf.reshape(a, (-1, 12)))(Given()(x))
    model = keras.Model(inputs, layers.Dense(2)(x))
    with pytest.raises(ValueError, match=r"whose attention \(2, 2, 2\) is that of parts of an input.*Cure: rise"):
        xu.attention_rollout(model, np.ones((1, 8, 1), np.float32), grid=2)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (lambda: network(), {}, "model: got one without attention; allowed: .*Cure: rise"),
        (transformer, {"share": 1}, "share"),
        (transformer, {"share": -0.1}, "share"),
        (transformer, {"reader": 7}, "reader"),
        (transformer, {"reader": 1.5}, "reader"),
        (transformer, {"targets": 1}, "targets: got 1; allowed: None: attention tells of no class.*grad_cam"),
        (transformer, {"grid": (3, 2)}, r"grid: got \(3, 2\), but the patches of 'attention' lie on \(2, 3\)"),
    ],
)
def test_attention_rollout_refuses(model, options, message):
    model = model()
    with pytest.raises((TypeError, ValueError), match=message):
        xu.attention_rollout(model, np.zeros((1, *model.input_shape[1:]), np.float32), **options)


def test_attention_with_one_head_keeps_the_grid_of_its_patches():
    """Inside it a row of one head, (N, tokens, 1, K), looks like positions that were laid in a row, and is none."""
    inputs = keras.Input((8, 12, 3))
    x = ExtraToken()(layers.Reshape((6, 16))(layers.Conv2D(16, 4, 4)(inputs)))
    x = layers.MultiHeadAttention(1, 8, name="attention_0")(x, x)
    model = keras.Model(inputs, layers.Dense(4)(layers.Lambda(lambda a: a[:, 0])(x)))
    x = np.random.default_rng(0).normal(size=(1, 8, 12, 3)).astype(np.float32)
    assert xu.grad_cam(model, x, 1, layer="attention_0", relu=False, upsample=False).shape == (1, 2, 3)
    assert xu.attention_rollout(model, x, upsample=False).shape == (1, 2, 3)


class Both(layers.Layer):
    """Tokens with one more before them, plus the same with one more behind."""

    def call(self, x):
        return tf.pad(x, [(0, 0), (1, 0), (0, 0)], constant_values=1.0) + tf.concat([x, tf.ones_like(x[:, :1])], 1)


class Rolled(layers.Layer):
    """Tokens that were moved on by one, round the end."""

    def call(self, x):
        return tf.roll(x, 1, axis=1)


@pytest.mark.parametrize("layer", [Both, Rolled])
def test_tokens_that_stand_elsewhere_have_no_grid(layer):
    inputs = keras.Input((8, 12, 3))
    x = layer(name="moved")(layers.Reshape((6, 16))(layers.Conv2D(16, 4, 4)(inputs)))
    model = keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling1D()(x)))
    with pytest.raises(ValueError, match="whose grid the network does not tell"):
        xu.grad_cam(model, np.ones((1, 8, 12, 3), np.float32), 1, layer="moved")
