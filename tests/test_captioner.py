"""The captioner: its losses against enumeration on four words, its decoding against all sentences there are."""

import dataclasses
import itertools
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from refusals import refused

import xai_utils as xu
from heatproof.data.captions_vocabulary import Vocabulary
from heatproof.networks import (
    captioner_decoding,
    captioner_files,
    captioner_losses,
    captioner_network,
    captioner_training,
)
from heatproof.networks.captioner import Captioner

WORDS, LENGTH = 6, 2  # padding and start; then the four that a captioner may write: end, unknown, "a", "b"
SENTENCES = [(start, *rest) for start, rest in itertools.product((2, 3, 4, 5), [(2,), (3,), (4,), (5,)])]
SENTENCES = sorted({(1, first, 0 if first == 2 else second) for first, second in SENTENCES})
EVERY = np.array(SENTENCES, np.int32)  # all thirteen: the end at once, or one of three words and one of four


def toy(arm="explanation", seed=0, scale=3.0, length=LENGTH, words=WORDS):
    """A captioning network of random weights, wide enough apart that its words are not equally likely."""
    vectors = np.random.default_rng(1).standard_normal((2, captioner_network.UNITS))
    network = captioner_network.captioning_network(arm, words, length, 3, vectors, seed)
    random = np.random.default_rng(seed)
    last = network.get_layer("next_word")
    last.set_weights([scale * random.standard_normal(weights.shape) / 4 for weights in last.get_weights()])
    return network


def given(count, label=0):
    """The same picture and class `count` times."""
    return np.tile(np.float32([[0.3, -1.0, 0.7]]), (count, 1)), np.full(count, label, np.int32)


def log_p(network, ids, label=0):
    """log p of whole sentences (N,), by the teacher-forced network."""
    logits = network([ids[:, :-1], *given(len(ids), label)])
    return captioner_network.word_log_probabilities(np.asarray(logits, np.float64), ids[:, 1:]).sum(axis=1)


def slope(network, ids, weights, label=0):
    """d/dtheta of sum weights * -log p(word), for theta the last layer's kernel and the recurrent one below it."""
    theta = [network.get_layer("next_word").kernel, network.get_layer("lstm1").cell.recurrent_kernel]
    with tf.GradientTape() as tape:
        logits = network([ids[:, :-1], *given(len(ids), label)])
        losses = keras.losses.sparse_categorical_crossentropy(np.maximum(ids[:, 1:] - 2, 0), logits, from_logits=True)
        loss = tf.reduce_sum(losses * weights.astype("float32"))
    last, below = (np.ravel(part) for part in tape.gradient(loss, theta))
    return np.concatenate([last, below[::101]])


REWARD = np.random.default_rng(5).random(len(EVERY))  # of each sentence that there is


def rewards(ids):
    places = {tuple(row): place for place, row in enumerate(EVERY.tolist())}
    return REWARD[[places[tuple(row)] for row in ids.tolist()]]


def exact(network, weight):
    """The gradient of -weight * E[R], by enumeration: sum_w p(w) R(w) d(-log p(w))."""
    expected = np.exp(log_p(network, EVERY)) * REWARD
    return slope(network, EVERY, weight * expected[:, None] * (EVERY[:, 1:] != 0))


# ---- the network


def test_the_probabilities_of_all_sentences_sum_to_one():
    for arm in captioner_network.ARMS:
        assert np.exp(log_p(toy(arm), EVERY)).sum() == pytest.approx(1, abs=1e-6)


def test_a_uniform_network_loses_the_logarithm_of_the_number_of_words():
    network = toy(scale=0.0)
    weights = captioner_losses.word_weights(EVERY)
    assert -log_p(network, EVERY[4:5])[0] == pytest.approx(2 * np.log(4), abs=1e-6)
    total = -(captioner_network.word_log_probabilities(np.zeros((13, 2, 4)), EVERY[:, 1:]) * weights).sum()
    assert total == pytest.approx((1 * 1 + 12 * 2) / 13 * np.log(4))  # one sentence of one word, twelve of two


@pytest.mark.parametrize("arm", captioner_network.ARMS)
def test_an_arm_sees_what_it_says(arm):
    network, sees = toy(arm), captioner_network.ARMS[arm]
    ids = EVERY[3:5]
    features, classes = given(2)
    here = np.asarray(network([ids[:, :-1], features, classes]))
    other_picture = np.abs(np.asarray(network([ids[:, :-1], features + 1, classes])) - here).max()
    other_class = np.abs(np.asarray(network([ids[:, :-1], features, classes + 1])) - here).max()
    assert (other_picture > 1e-3) == sees.picture and (other_class > 1e-3) == sees.label
    assert (other_picture == 0) != sees.picture and (other_class == 0) != sees.label


def test_a_word_is_judged_by_the_words_before_it_alone():
    network = toy(length=3, words=9)
    ids = np.array([[1, 4, 5, 6], [1, 4, 5, 7], [1, 4, 8, 6]], np.int32)
    logits = np.asarray(network([ids[:, :-1], *given(3)]))
    np.testing.assert_array_equal(logits[0], logits[1])  # the last word is never read
    np.testing.assert_allclose(logits[0, :2], logits[2, :2], atol=1e-7)
    assert np.abs(logits[0, 2] - logits[2, 2]).max() > 1e-3


def test_word_log_probabilities_by_hand():
    logits = np.log([[[0.5, 0.25, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]]])
    found = captioner_network.word_log_probabilities(logits + 7.0, np.array([[3, 5]]))
    np.testing.assert_allclose(found, np.log([[0.25, 0.4]]))
    assert captioner_network.word_log_probabilities(logits, np.array([[2, 0]])).tolist() == [[np.log(0.5), 0.0]]


# ---- the losses


def test_the_relevance_loss_has_the_gradient_of_differences():
    network, ids = toy(), EVERY[[0, 4, 9]]
    weights = captioner_losses.word_weights(ids)
    found = slope(network, ids, weights)
    kernel, step = network.get_layer("next_word").kernel, 1e-2
    start = kernel.numpy()
    for place in range(0, start.size, 37):
        moved = np.zeros(start.size)
        moved[place] = step
        ends = []
        for sign in (1, -1):
            kernel.assign(start + sign * moved.reshape(start.shape))
            ends.append(-log_p(network, ids).sum() / 3)
        kernel.assign(start)
        assert found[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-4)


def test_advantages_by_hand():
    found = captioner_losses.advantages([[1, 0, 0.5], [0.2, 0.2, 0.2]])
    np.testing.assert_allclose(found, [[0.75, -0.75, 0], [0, 0, 0]], atol=1e-15)
    np.testing.assert_allclose(captioner_losses.advantages([[1, 0.5]]), [[0.5, -0.5]])
    np.testing.assert_array_equal(captioner_losses.advantages([[1, 0.5]], baseline=False), [[1, 0.5]])
    np.testing.assert_array_equal(captioner_losses.advantages([[0.3]], baseline=False), [[0.3]])
    with pytest.raises(ValueError, match="one sentence for each picture.*Cure: draw more, or baseline=False"):
        captioner_losses.advantages([[1.0], [0.5]])


def test_the_gradient_of_drawn_sentences_is_that_of_the_expectation():
    """4 x 5000 sentences drawn, every number within 4.5 standard errors and their mean square near 1."""
    network, weight, groups, each = toy(), 0.7, 4, 5000
    features, classes = given(groups * each)
    steps = captioner_decoding.Steps(network)
    ids = captioner_decoding.single(steps, features, classes, LENGTH, np.random.default_rng(0))
    counts = {tuple(row): number for row, number in zip(*np.unique(ids, axis=0, return_counts=True), strict=True)}
    p = np.exp(log_p(network, EVERY))
    drawn = np.array([counts.get(tuple(row), 0) for row in EVERY]) / len(ids)
    assert (np.abs(drawn - p) < 4 * np.sqrt(p * (1 - p) / len(ids)) + 1e-9).all()
    scores = np.stack([slope(network, EVERY[k : k + 1], weight * (EVERY[k : k + 1, 1:] != 0)) for k in range(13)])
    true = exact(network, weight)
    index = {tuple(row): place for place, row in enumerate(EVERY.tolist())}
    rows = np.array([index[tuple(row)] for row in ids.tolist()])
    deviation = {}
    for baseline in (False, True):
        gained = captioner_losses.advantages(rewards(ids).reshape(each, groups), baseline).ravel()
        found = slope(network, ids, captioner_losses.word_weights(ids, weight * gained))
        # how far one sentence's part varies; with the baseline those of one picture hang together
        parts = (gained[:, None] * scores[rows]).reshape(each, groups, -1).mean(axis=1)
        error = parts.std(axis=0) / np.sqrt(each)
        np.testing.assert_allclose(found, parts.mean(axis=0), atol=1e-5)
        moved = error > 1e-9
        apart = (found - true)[moved] / error[moved]
        assert np.abs(apart).max() < 4.5 and 0.5 < np.mean(apart**2) < 2
        deviation[baseline] = np.sqrt((parts.std(axis=0) ** 2).sum())
    assert deviation[True] < 0.8 * deviation[False]


def test_the_step_takes_the_discriminative_loss_down():
    """A plain step along the helper's weights raises the exact E[R] by what its gradient says."""
    network, rate = toy(), 1e-2
    before = (np.exp(log_p(network, EVERY)) * REWARD).sum()
    direction = exact(network, 1.0)
    kernel = network.get_layer("next_word").kernel
    size = kernel.numpy().size
    kernel.assign_sub(rate * direction[:size].reshape(kernel.shape))
    after = (np.exp(log_p(network, EVERY)) * REWARD).sum()
    assert after - before == pytest.approx(rate * (direction[:size] ** 2).sum(), rel=0.05)


# ---- decoding


@pytest.mark.parametrize("arm", captioner_network.ARMS)
def test_one_word_at_a_time_is_the_whole_sentence_at_once(arm):
    network = toy(arm, length=4, words=9)
    ids = np.array([[1, 4, 8, 5, 2], [1, 3, 3, 7, 6]], np.int32)
    whole = np.asarray(network([ids[:, :-1], *given(2)]), np.float64)
    whole -= np.log(np.exp(whole).sum(axis=-1, keepdims=True))
    steps, states = captioner_decoding.Steps(network), [np.zeros((2, captioner_network.UNITS), "float32")] * 4
    for place in range(4):
        log_each, states = steps(ids[:, place], *given(2), states)
        np.testing.assert_allclose(log_each, whole[:, place], atol=1e-5)


def test_greedy_takes_the_likeliest_word_each_time_and_a_wide_beam_the_likeliest_sentence():
    for seed in range(6):
        network = toy(seed=seed)
        steps, p = captioner_decoding.Steps(network), log_p(network, EVERY)
        features, classes = given(1)
        first = np.asarray(network([np.array([[1, 0]]), features, classes]))[0, 0].argmax() + 2
        second = (
            0 if first == 2 else np.asarray(network([np.array([[1, first]]), features, classes]))[0, 1].argmax() + 2
        )
        greedy = captioner_decoding.single(steps, features, classes, LENGTH, None)
        assert greedy[0].tolist() == [1, first, second]
        wide = captioner_decoding.beam(steps, features, classes, LENGTH, 13)
        assert wide[0].tolist() == EVERY[p.argmax()].tolist()
        narrow = captioner_decoding.beam(steps, features, classes, LENGTH, 1)
        assert narrow.tolist() == greedy.tolist()


def test_a_beam_finds_the_sentence_whose_first_word_is_not_the_likeliest():
    """By hand: "a" is likelier than "b" at first, 0.5 to 0.4; "b" ends with 0.9, and "a" goes on anyhow, with 0.25."""
    p = {1: [0.1, 1e-9, 0.5, 0.4], 4: [0.25] * 4, 5: [0.9, 0.02, 0.05, 0.03]}

    def steps(words, features, classes, states):
        return np.log([p.get(int(word), [0.25] * 4) for word in words]), states

    features, classes = given(2)
    assert captioner_decoding.single(steps, features, classes, 2, None)[0].tolist()[:2] == [1, 4]
    for width in (2, 3, 20):
        assert captioner_decoding.beam(steps, features, classes, 2, width).tolist() == [[1, 5, 2]] * 2
    assert captioner_decoding.beam(steps, features, classes, 2, 1)[0].tolist()[:2] == [1, 4]


def test_each_item_of_a_batch_has_a_beam_of_its_own():
    network = toy(length=4, words=9)
    features = np.random.default_rng(3).standard_normal((5, 3)).astype("float32") * 3
    classes, steps = np.array([0, 1, 0, 1, 1], np.int32), captioner_decoding.Steps(network)
    together = captioner_decoding.beam(steps, features, classes, 4, 3)
    assert len(np.unique(together, axis=0)) > 1
    for item in range(5):
        alone = captioner_decoding.beam(steps, features[[item]], classes[[item]], 4, 3)
        assert alone[0].tolist() == together[item].tolist()


def test_nothing_follows_the_end_and_a_sentence_without_one_is_cut():
    network = toy(length=4, words=9)
    kernel, bias = network.get_layer("next_word").get_weights()
    for end, longest in ((50, 1), (-50, 4)):
        bias[0] = end
        network.get_layer("next_word").set_weights([kernel, bias])
        steps = captioner_decoding.Steps(network)
        for found in (
            captioner_decoding.single(steps, *given(3), 4, None),
            captioner_decoding.single(steps, *given(3), 4, np.random.default_rng(0)),
            captioner_decoding.beam(steps, *given(3), 4, 3),
        ):
            assert (found[:, 0] == 1).all() and ((found[:, 1:] != 0).sum(axis=1) == longest).all()
            assert (found[:, 1:] != 1).all() and ((found == 2).any(axis=1) == (end > 0)).all()


# ---- sentences with their maps


@pytest.fixture(scope="module")
def reader():
    """A classifier of random weights, and a captioner on it."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 5, 1))
    x = keras.layers.Conv2D(3, 3, activation="softplus")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
    card = {"arm": "explanation", "network": "toy", "class_names": ["left", "right"]}
    card["network_sha256"] = captioner_network.digest_of(model)
    vocabulary = Vocabulary(["a", "bright", "dark", "one", "is", "this"])
    return model, Captioner(toy(length=5, words=len(vocabulary)), vocabulary, card)


PICTURES = np.random.default_rng(7).random((3, 6, 5, 1)).astype("float32")
GIVEN = ["a bright one", "this is", "a dark one"]


def test_the_map_of_a_word_is_the_slope_of_its_log_probability(reader):
    model, writer = reader
    found = xu.explain_in_words(model, writer, PICTURES, [0, 1, 1], sentences=GIVEN)
    assert found.sentences == GIVEN and found.words == [each.split() for each in GIVEN]
    ids = writer.vocabulary.encode(GIVEN, 6)
    head = captioner_network.head_features(model)
    pictures = tf.constant(PICTURES)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(pictures)
        logits = writer.network([tf.constant(ids[:, :-1]), head(pictures), tf.constant([0, 1, 1])])
        log_p = tf.nn.log_softmax(logits)
        chosen = [
            [log_p[n, t, ids[n, t + 1] - 2] for t in range(len(words) + 1)] for n, words in enumerate(found.words)
        ]
    for n, words in enumerate(found.words):
        assert found.log_probabilities[n] == pytest.approx(sum(float(each) for each in chosen[n]), abs=1e-5)
        for t in range(len(words)):
            slope_of_word = tape.gradient(chosen[n][t], pictures)[n]
            np.testing.assert_allclose(found.maps[n][t], slope_of_word, atol=1e-6)
            assert found.word_log_probabilities[n][t] == pytest.approx(float(chosen[n][t]), abs=1e-5)
    assert max(np.abs(each).max() for each in found.maps) > 1e-3


def test_another_method_explains_the_same_number(reader):
    model, writer = reader
    found = xu.explain_in_words(model, writer, PICTURES, 0, sentences=GIVEN, method=xu.integrated_gradients)
    zero = xu.explain_in_words(model, writer, np.zeros_like(PICTURES), 0, sentences=GIVEN)
    for map_of_words, here, there in zip(
        found.maps, found.word_log_probabilities, zero.word_log_probabilities, strict=True
    ):
        np.testing.assert_allclose(map_of_words.sum(axis=(1, 2, 3)), here - there, atol=0.02 * np.abs(here).max())


@pytest.mark.parametrize("decoding", ["greedy", "beam", "sample"])
def test_sentences_are_what_the_captioner_writes_for_the_class(reader, decoding):
    model, writer = reader
    predicted = model.predict(PICTURES, verbose=0).argmax(axis=1)
    features = captioner_network.head_features(model).predict(PICTURES, verbose=0)
    ids = writer.write(features, predicted, decoding, seed=4)
    found = xu.explain_in_words(model, writer, PICTURES, decoding=decoding, seed=4)
    assert found.sentences == writer.vocabulary.decode(ids)
    np.testing.assert_allclose(found.log_probabilities, writer.log_probabilities(ids, features, predicted).sum(axis=1))
    assert [len(each) for each in found.maps] == [len(words) for words in found.words]
    other = xu.explain_in_words(model, writer, PICTURES, 1 - predicted, decoding=decoding, seed=4)
    assert np.abs(other.log_probabilities - found.log_probabilities).max() > 1e-3


def test_a_captioner_that_says_nothing_has_no_maps(reader):
    model, writer = reader
    mute = toy(length=5, words=len(writer.vocabulary))
    kernel, bias = mute.get_layer("next_word").get_weights()
    bias[0] = 50
    mute.get_layer("next_word").set_weights([kernel, bias])
    found = xu.explain_in_words(model, Captioner(mute, writer.vocabulary, writer.card), PICTURES)
    assert found.sentences == ["", "", ""] and found.words == [[], [], []]
    assert [each.shape for each in found.maps] == [(0, 6, 5, 1)] * 3


def test_the_network_that_is_asked_is_joined_and_not_one_asked_before(reader):
    model, writer = reader
    expected = xu.explain_in_words(model, writer, PICTURES, 0)
    fresh, before = Captioner(writer.network, writer.vocabulary, writer.card), keras.models.clone_model(model)
    before.set_weights(model.get_weights())
    xu.explain_in_words(before, fresh, PICTURES, 0)
    before.set_weights([0 * weights for weights in model.get_weights()])
    found = xu.explain_in_words(model, fresh, PICTURES, 0)
    for one, other in zip(found.maps, expected.maps, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)


def test_seeds_decide_what_is_drawn(reader):
    _, writer = reader
    features, classes = np.zeros((40, 3)), np.zeros(40, int)
    drawn = [writer.write(features, classes, "sample", seed=seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


def test_a_captioner_of_another_network_is_refused(reader):
    model, writer = reader
    other = keras.models.clone_model(model)
    refused(
        ValueError, ("captioner", "another network", "models/toy.keras"), xu.explain_in_words, other, writer, PICTURES
    )


# ---- on disk


def test_a_captioner_comes_back_and_what_was_changed_is_refused(reader, tmp_path):
    model, writer = reader
    card = dict.fromkeys(captioner_files.KEYS, "") | writer.card
    captioner_files.save_captioner(Captioner(writer.network, writer.vocabulary, card), tmp_path / "toy.keras")
    found = xu.load_captioner(tmp_path / "toy.keras")
    assert found.vocabulary == writer.vocabulary and found.length == 5 and found.arm == writer.arm
    told = xu.explain_in_words(model, found, PICTURES)
    again = xu.explain_in_words(model, writer, PICTURES)
    assert told.sentences == again.sentences
    np.testing.assert_array_equal(told.maps[0], again.maps[0])
    beside = tmp_path / "toy.json"
    stored = json.loads(beside.read_text())
    for change, says in (
        ({"words": stored["words"][::-1]}, "whose words are not those"),
        ({"words": [*stored["words"][:-1], "mild"]}, "whose words are not those"),
        ({"weights_sha256": "0" * 64}, "whose network is not the one of its card"),
        ({"arm": "poem"}, "one of the arms"),
        ({"extra": 1}, "['extra']"),
    ):
        beside.write_text(json.dumps(stored | change))
        refused(ValueError, ("path", says, "make models"), xu.load_captioner, tmp_path / "toy.keras")
    beside.write_text("{")
    refused(ValueError, ("path", "not valid JSON", "make models"), xu.load_captioner, tmp_path / "toy.keras")
    beside.unlink()
    refused(FileNotFoundError, ("path", "no captioner", "make models"), xu.load_captioner, tmp_path / "toy.keras")


# ---- training


def lesson():
    """Two classes that are named by their second word; the features tell the third."""
    random = np.random.default_rng(0)
    labels, bright = np.arange(128) % 2, random.integers(2, size=128)
    features = np.stack([bright, 1 - bright, np.ones(128)], axis=1).astype("float32")
    ids = np.stack([np.ones(128), 4 + labels, 6 + bright, np.full(128, 2), np.zeros(128)], axis=1).astype("int32")
    return captioner_training.Lesson(features, labels.astype("int32"), ids[:, None])


PLAN = captioner_training.Plan(epochs=30, begin=15, weight=2.0, rate=0.02)


def learned(arm, folder, plan=PLAN):
    told = lesson()
    classifier = captioner_training.sentence_classifier(8, 4, 2)
    captioner_training.learn_to_classify(classifier, told, told, PLAN, folder / "classifier.npz")
    network = captioner_network.captioning_network(arm, 8, 4, 3, np.eye(2, captioner_network.UNITS))
    history = captioner_training.learn_to_write(network, told, told, plan, folder / f"{arm}.npz", classifier)
    return network, classifier, history


def test_training_learns_the_words_that_an_arm_can_know(tmp_path):
    told = lesson()
    network, classifier, history = learned("explanation", tmp_path)
    vocabulary = Vocabulary(["left", "right", "dark", "bright"])
    card = {"arm": "explanation", "class_names": ["a", "b"]}
    ids = Captioner(network, vocabulary, card).write(told.features, told.labels)
    assert (ids == told.ids[:, 0]).mean() > 0.99
    rewards_found = captioner_training.rewards_of(classifier, ids, told.labels)
    assert rewards_found.mean() > 0.95
    wrong = captioner_training.rewards_of(classifier, ids, 1 - told.labels)
    np.testing.assert_allclose(rewards_found + wrong, 1, atol=1e-5)
    blind, _, ended = learned("description", tmp_path)
    assert history["held"][-1] > -0.05 and ended["held"][-1] == pytest.approx(-np.log(2) / 3, abs=0.05)


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path):
    (tmp_path / "cut").mkdir()
    whole, _, history = learned("explanation", tmp_path, dataclasses.replace(PLAN, epochs=10, begin=3))
    learned("explanation", tmp_path / "cut", dataclasses.replace(PLAN, epochs=5, begin=3))
    network, _, resumed = learned("explanation", tmp_path / "cut", dataclasses.replace(PLAN, epochs=10, begin=3))
    assert resumed == history
    for one, other in zip(whole.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    (tmp_path / "cut" / "explanation.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="checkpoint: got .*cannot be read.*delete it"):
        learned("explanation", tmp_path / "cut")


def test_class_vectors_are_mean_states_over_the_words_of_a_class():
    told = lesson()
    network = toy("description", length=4, words=8)
    found = captioner_training.class_vectors(network, told, 2)
    hidden = keras.Model(network.inputs, network.get_layer("lstm2").output[0])
    states = np.asarray(hidden([told.ids[:, 0, :-1], told.features, told.labels]))[:, :3]  # the fourth is padding
    means = np.stack([states[told.labels == label].mean(axis=(0, 1)) for label in (0, 1)])
    means -= means.mean(axis=0)
    np.testing.assert_allclose(found, means / means.std(axis=0), rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match=r"labels: got no sentence of the classes \[2\]"):
        captioner_training.class_vectors(network, told, 3)


def test_a_drawn_sentence_is_rewarded_for_its_own_class(tmp_path):
    """Weights of drawn words are positive where D finds the class likelier than in the other draws of the picture."""
    told = lesson()
    network, classifier, _ = learned("description", tmp_path)
    steps, items = captioner_decoding.Steps(network), np.arange(16)
    drawn, (features, labels), weights = captioner_training.draw(
        steps, classifier, told, items, 3.0, np.random.default_rng(0)
    )
    each = np.repeat(items, captioner_training.DRAWS)
    np.testing.assert_array_equal(features, told.features[each])
    np.testing.assert_array_equal(labels, told.labels[each])
    names_class = drawn[:, 1] == 4 + labels
    group = names_class.reshape(-1, captioner_training.DRAWS)
    mixed = (group.any(axis=1) & ~group.all(axis=1)).repeat(captioner_training.DRAWS)
    assert mixed.sum() > 8
    assert (weights[mixed & names_class, 0] > 0).all() and (weights[mixed & ~names_class, 0] < 0).all()
    assert np.abs(weights[mixed, 0]).max() == pytest.approx(3 / len(drawn) * 1.0, rel=0.1)  # lambda / N (1 - 0)
    assert (weights[drawn[:, 1:] == 0] == 0).all()


# ---- the committed captioners

MODELS = Path(__file__).parents[1] / "models"
COMMITTED = sorted((MODELS / "captioners").glob("*.keras"))


def test_the_committed_captioners_are_small_and_know_their_networks():
    assert sum(file.stat().st_size for file in (MODELS / "captioners").iterdir()) < 5_000_000
    arms = {path.stem for path in COMMITTED}
    for world in ("captioned_faces", "captioned_tissue"):
        assert {f"{world}_{arm.replace('-', '_')}" for arm in captioner_network.ARMS} <= arms
    for path in COMMITTED:
        found = xu.load_captioner(path)
        model = xu.load_model(MODELS / f"{found.card['network']}.keras")
        found.check(model)
        assert found.card["class_names"] == list(model.class_names) and len(found.vocabulary) < 80


def test_the_definition_says_the_same_of_every_picture_of_a_class():
    definition = xu.load_captioner(MODELS / "captioners" / "captioned_faces_definition.keras")
    features = 9 * np.random.default_rng(0).random((70, definition.network.input_shape[1][1]))
    classes = np.arange(70) % 7
    ids = definition.write(features, classes)
    assert all(len(np.unique(ids[classes == label], axis=0)) == 1 for label in range(7))
    assert len(np.unique(ids, axis=0)) == 7 == sum(definition.card["distinct"])
