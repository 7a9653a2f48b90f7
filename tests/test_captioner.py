"""The captioner: its losses against enumeration on four words, its decoding against all sentences there are."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from heatproof.networks import captioner_decoding, captioner_losses, captioner_network

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
    weights = captioner_losses.relevance_weights(EVERY)
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
    weights = captioner_losses.relevance_weights(ids)
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
        found = slope(network, ids, captioner_losses.discriminative_weights(ids, gained, weight))
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
