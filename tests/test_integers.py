"""Inputs of integers: bytes are explained in float behind their cast, tokens at the output of their embedding."""

import keras
import numpy as np
import pytest
import shapes
import tensorflow as tf
from keras import layers
from PIL import Image

import xai_utils as xu

DRAW = np.random.default_rng(0)
BYTES = DRAW.integers(0, 256, (3, 8, 6, 2), dtype=np.uint8)
TOKENS = DRAW.integers(0, 11, (3, 12))
TARGETS = [2, 0, 1]
EVERY = [name for name in xu.METHODS if name != "cam"]


def near(found, true):
    assert np.abs(true).max() > 1e-9, "an empty map would prove nothing"
    assert shapes.distance(found, true) < 1e-5


def asked(name, model, inputs, **options):
    return xu.METHODS[name].function(model, inputs, TARGETS, **{**shapes.OPTIONS.get(name, {}), **options})


def behind(kind):
    """The small network of the grid behind a scaling to [0, 1], for bytes or for floats."""
    inner = shapes.SHAPES["functional"].model(None)
    x = keras.Input(shapes.IMAGE, dtype=kind)
    return keras.Model(x, inner(layers.Rescaling(1 / 255)(x)))


@pytest.fixture(scope="module")
def of_bytes():
    return behind("uint8")


@pytest.fixture(scope="module")
def of_floats():
    return behind("float32")


@pytest.mark.parametrize("name", EVERY)
def test_bytes_are_explained_as_the_floats_behind_their_cast(name, of_bytes, of_floats):
    """The same network with float inputs: nothing is rounded on a path or by noise."""
    of_floats.input_range = (0, 255)
    near(asked(name, of_bytes, BYTES), asked(name, of_floats, BYTES.astype(np.float32)))


def test_the_predicted_class_of_bytes_is_that_of_the_model(of_bytes):
    wanted = of_bytes(BYTES).numpy().argmax(axis=1)
    found = xu.saliency(of_bytes, BYTES)
    assert np.array_equal(found, xu.saliency(of_bytes, BYTES, wanted))


def test_pictures_and_a_view_are_taken_too():
    dense = layers.Dense(2)
    model = keras.Sequential([keras.Input((2, 2, 3), dtype="uint8"), layers.Rescaling(1.0), layers.Flatten(), dense])
    w = DRAW.normal(size=(12, 2)).astype(np.float32)
    dense.set_weights([w, np.zeros(2)])
    picture = DRAW.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    near(
        xu.gradient_x_input(model, Image.fromarray(picture), 1, score="value"),
        (w[:, 1] * picture.ravel()).reshape(1, 2, 2, 3),
    )
    near(xu.saliency(xu.logits(model), picture[None], 1, score="value"), w[:, 1].reshape(1, 2, 2, 3))
    np.testing.assert_allclose(xu.logits(model)(picture[None]), picture.reshape(1, -1) @ w, rtol=1e-5)


@pytest.fixture(scope="module")
def of_tokens():
    keras.utils.set_random_seed(6)
    tokens = keras.Input((12,), dtype="int32")
    embedded = layers.Embedding(11, 2, keras.initializers.RandomNormal(stddev=1, seed=1), name="embedding")(tokens)
    inner = shapes.Truth(shapes.SIGNAL)
    return keras.Model(tokens, inner.give_to(shapes.functional(inner))(embedded)), inner


@pytest.mark.parametrize("name", EVERY)
def test_tokens_are_explained_at_their_embedding(name, of_tokens):
    """The network behind the embedding, asked with what the embedding gives."""
    model, truth = of_tokens
    inner = truth.give_to(shapes.functional(truth))
    values = model.get_layer("embedding")(TOKENS).numpy()
    near(asked(name, model, TOKENS), asked(name, inner, values))


def test_the_gradient_of_tokens_is_that_of_a_tape(of_tokens):
    model, truth = of_tokens
    values = model.get_layer("embedding")(TOKENS).numpy()
    near(xu.saliency(model, TOKENS, TARGETS), truth.gradient(values, np.array(TARGETS)))


def test_a_new_embedding_gives_new_values(of_tokens):
    model, _ = of_tokens
    table = model.get_layer("embedding").embeddings
    before, old = xu.gradient_x_input(model, TOKENS, TARGETS), table.numpy()
    table.assign(2 * old)
    changed = xu.gradient_x_input(model, TOKENS, TARGETS)
    table.assign(old)
    assert not np.allclose(before, changed) and np.array_equal(before, xu.gradient_x_input(model, TOKENS, TARGETS))


def test_tokens_beside_an_image_have_a_map_each():
    keras.utils.set_random_seed(3)
    tokens, image = keras.Input((4,), dtype="int32", name="tokens"), keras.Input((8, 6, 2), name="image")
    embedded = layers.Embedding(9, 4, name="embedding")(tokens)
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(image))
    both = layers.Multiply()([layers.GlobalAveragePooling1D()(embedded), pooled])
    model = keras.Model([tokens, image], layers.Dense(3)(both))
    words, x = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 1, 1]]), DRAW.normal(size=(3, 8, 6, 2)).astype(np.float32)
    found = xu.saliency(model, [words, x], TARGETS, activation="softmax")
    behind = keras.Model([embedded, image], model.output)
    given = [tf.constant(model.get_layer("embedding")(words)), tf.constant(x)]
    with tf.GradientTape() as record:
        record.watch(given)
        score = tf.gather(behind(given), TARGETS, batch_dims=1)
    for one, true in zip(found, record.gradient(score, given), strict=True):
        near(one, true.numpy())


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        (TOKENS + 0.5, TypeError, ("inputs:", "float64", "integers, int32")),
        (TOKENS[:, :5], ValueError, ("inputs:", "(3, 5)", "(N, 12)")),
        (TOKENS[:0], ValueError, ("inputs:", "empty batch")),
    ],
)
def test_tokens_that_do_not_fit_are_refused(of_tokens, inputs, error, words):
    with pytest.raises(error) as told:
        xu.saliency(of_tokens[0], inputs, TARGETS)
    assert str(told.value).startswith(words[0]) and all(word in str(told.value) for word in words), told.value


def test_integers_that_become_no_floats_are_refused():
    tokens = keras.Input((4,), dtype="int32")
    model = keras.Model(tokens, layers.CategoryEncoding(5, output_mode="count")(tokens))
    words = np.array([[1, 2, 3, 4], [0, 0, 1, 1]])
    with pytest.raises(ValueError, match="model: got (a model that makes no floats|one whose score does not depend)"):
        xu.saliency(model, words, 0)


def test_what_is_kept_of_such_a_model_does_not_keep_it_alive():
    import gc
    import weakref

    model = behind("uint8")
    xu.integrated_gradients(model, BYTES, TARGETS, steps=2)
    watched = weakref.ref(model)
    del model
    gc.collect()
    assert watched() is None
