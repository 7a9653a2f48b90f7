"""Mutants of the captioner: its losses, its network, its decoding, its training."""

from mutant_groups.modules import (
    CAPTIONER,
    CAPTIONER_DECODING,
    CAPTIONER_FILES,
    CAPTIONER_LOSSES,
    CAPTIONER_NETWORK,
    CAPTIONER_TRAINING,
)
from mutant_groups.mutant import group

EARNED = "rewards - (rewards.sum(axis=1, keepdims=True) - rewards) / others"
WEIGHTS = "(ids[:, 1:] != PADDING) * np.broadcast_to(gained, len(ids))[:, None] / len(ids)"
CHOSEN = "np.take_along_axis(log_p, np.maximum(words - FIRST, 0)[..., None], axis=-1)[..., 0]"
GROUPS = {
    "captioner losses": group(
        "test_captioner.py", "by_hand or uniform or relevance_loss or drawn or step_takes or sum_to_one or same_weights",
        (CAPTIONER_LOSSES, EARNED, "rewards + (rewards.sum(axis=1, keepdims=True) - rewards) / others"),
        (CAPTIONER_LOSSES, EARNED, "rewards - rewards.sum(axis=1, keepdims=True) / others"),
        (CAPTIONER_LOSSES, EARNED, "rewards - (rewards.sum(axis=1, keepdims=True) - rewards)"),
        (CAPTIONER_LOSSES, EARNED, "rewards - (rewards.sum(axis=0, keepdims=True) - rewards) / others"),
        (CAPTIONER_LOSSES, 'if not checks.as_flag("baseline", baseline):', "if baseline:"),
        (CAPTIONER_LOSSES, WEIGHTS, WEIGHTS.replace("(ids[:, 1:] != PADDING)", "np.ones(ids[:, 1:].shape)")),
        (CAPTIONER_LOSSES, WEIGHTS, WEIGHTS.replace("ids[:, 1:]", "ids[:, :-1]")),
        (CAPTIONER_LOSSES, WEIGHTS, f"-{WEIGHTS}"),
        (CAPTIONER_LOSSES, WEIGHTS, WEIGHTS.replace(" / len(ids)", "")),
        (CAPTIONER_NETWORK, CHOSEN, CHOSEN.replace("words - FIRST", "words - 1")),
        (CAPTIONER_NETWORK, "np.where(words == PADDING, 0.0, chosen)", "chosen"),
        (CAPTIONER_NETWORK, "logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))", "logits"),
        (CAPTIONER_TRAINING, "[np.arange(len(ids)), labels]", "[np.arange(len(ids)), 1 - labels]"),
        (CAPTIONER_TRAINING, "rewards.reshape(-1, DRAWS)", "rewards.reshape(DRAWS, -1).T"),
        (CAPTIONER_TRAINING, "word_weights(ids, weight * gained)", "word_weights(ids, -weight * gained)"),
        (CAPTIONER_TRAINING, "word_weights(ids, weight * gained)", "word_weights(ids, gained)"),
        (CAPTIONER_TRAINING, "np.repeat(items, DRAWS)", "np.tile(items, DRAWS)"),
        (CAPTIONER_TRAINING, "classifier.predict_on_batch(ids[:, 1:])", "classifier.predict_on_batch(ids[:, :-1])"),
    ),
    "captioner training": group(
        "test_captioner.py", "training or class_vectors or drawn",
        (CAPTIONER_TRAINING, "sentences[:, :-1], lesson.features[items]", "sentences[:, 1:], lesson.features[items]"),
        (CAPTIONER_TRAINING, "if arm.discriminates and epoch >= plan.begin:", "if False:"),
        (CAPTIONER_TRAINING, "random = np.random.default_rng([plan.seed, epoch])",
         "random = np.random.default_rng([plan.seed, len(self.history), np.random.randint(9)])"),
        (CAPTIONER_TRAINING, "read = ids[:, 1:] != PADDING", "read = ids[:, 1:] >= PADDING"),
        (CAPTIONER_TRAINING, "means = total / words[:, None]", "means = total"),
        (CAPTIONER_TRAINING, "(means - means.mean(axis=0))", "means"),
        (CAPTIONER_TRAINING, "self.history = history\n", "\n"),
        (CAPTIONER_TRAINING, "variable.assign(value)", "variable.assign(variable)"),
    ),
    "captioner decoding": group(
        "test_captioner.py", "one_word or greedy or batch_has or nothing_follows or arm_sees or words_before or seeds or "
        "gradient_of_drawn or map_of_a_word or what_the_captioner",
        (CAPTIONER_DECODING, "log_p + random.gumbel(size=log_p.shape)", "random.gumbel(size=log_p.shape)"),
        (CAPTIONER_DECODING, "log_p + random.gumbel(size=log_p.shape)", "log_p + random.random(log_p.shape)"),
        (CAPTIONER_DECODING, "[running] + FIRST", "[running] + FIRST - 1"),
        (CAPTIONER_DECODING, "running & (ids[:, place + 1] != END)", "running"),
        (CAPTIONER_DECODING, "states = [state[rows] for state in states]", "states = list(states)"),
        (CAPTIONER_DECODING, "best + width * np.arange(count)[:, None]", "best"),
        (CAPTIONER_DECODING, "total[..., None] + log_p)", "log_p)"),
        (CAPTIONER_DECODING, "kept = np.where(over, total, NEVER)", "kept = np.where(over, NEVER, NEVER)"),
        (CAPTIONER_DECODING, "np.where(over[..., None], NEVER, total", "np.where(over[..., None] & False, NEVER, total"),
        (CAPTIONER_DECODING, "total[:, 0] = 0.0", "total[:] = 0.0"),
        (CAPTIONER_DECODING, "total.argmax(axis=1)]", "total.argmin(axis=1)]"),
        (CAPTIONER_DECODING, "[features] * sees.picture + vectors", "vectors + [features] * sees.picture"),
        (CAPTIONER_DECODING, "return states[0], *states", "return states[1], *states"),
        (CAPTIONER_NETWORK, "[given[1]] * sees.picture", "[given[1]]"),
        (CAPTIONER_NETWORK, "[table(given[2])] * sees.label", "[table(given[2])]"),
    ),
    "captioner files": group(
        "test_captioner.py", "comes_back or another_network",
        (CAPTIONER, "digest_of(model) != self.card", "digest_of(model) == self.card"),
        (CAPTIONER_FILES, 'if vocabulary.digest() != card["words_sha256"]:', "if False:"),
    ),
}  # fmt: skip
