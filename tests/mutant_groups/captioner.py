"""Mutants of the captioner: its losses, its decoding, its training, and the maps of its words."""

from mutant_groups.modules import (
    CAPTIONER,
    CAPTIONER_DECODING,
    CAPTIONER_FILES,
    CAPTIONER_LOSSES,
    CAPTIONER_NETWORK,
    CAPTIONER_TRAINING,
    IN_WORDS,
)
from mutant_groups.mutant import group

SHARED = "(rewards.sum(axis=1, keepdims=True) - rewards) / others"
GROUPS = {
    "losses of the captioner": group(
        "test_captioner.py", "drawn or by_hand or uniform or differences or rewarded or class_vectors or training_learns",
        (CAPTIONER_LOSSES, f"return rewards - {SHARED}", f"return rewards + {SHARED}"),
        (CAPTIONER_LOSSES, f"return rewards - {SHARED}", f"return {SHARED} - rewards"),
        (CAPTIONER_LOSSES, SHARED, "rewards.mean(axis=1, keepdims=True)"),
        (CAPTIONER_LOSSES, SHARED, "rewards.sum(axis=1, keepdims=True) / others"),
        (CAPTIONER_LOSSES, "(ids[:, 1:] != PADDING) *", "(ids[:, 1:] == ids[:, 1:]) *"),
        (CAPTIONER_LOSSES, "(ids[:, 1:] != PADDING) *", "(ids[:, :-1] != PADDING) *"),
        (CAPTIONER_LOSSES, "[:, None] / len(ids)", "[:, None]"),
        (CAPTIONER_NETWORK, "np.where(words == PADDING, 0.0, chosen)", "chosen"),
        (CAPTIONER_NETWORK, "np.maximum(words - FIRST, 0)", "np.maximum(words - FIRST - 1, 0)"),
        (CAPTIONER_TRAINING, "np.arange(len(ids)), labels]", "np.arange(len(ids)), labels - 1]"),
        (CAPTIONER_TRAINING, "batch = [sentences[:, :-1], lesson", "batch = [sentences[:, 1:], lesson"),
        (CAPTIONER_TRAINING, "word_weights(ids, weight * gained)", "word_weights(ids, gained)"),
        (CAPTIONER_TRAINING, "word_weights(ids, weight * gained)", "word_weights(ids, -weight * gained)"),
        (CAPTIONER_TRAINING, "rewards.reshape(-1, DRAWS)", "rewards.reshape(DRAWS, -1).T"),
        (CAPTIONER_TRAINING, "read = ids[:, 1:] != PADDING", "read = ids[:, 1:] == ids[:, 1:]"),
    ),
    "decoding of the captioner": group(
        "test_captioner.py", "greedy or beam or follows or one_word or drawn",
        (CAPTIONER_DECODING, "log_p.argmax(axis=-1)[running] + FIRST", "log_p.argmin(axis=-1)[running] + FIRST"),
        (CAPTIONER_DECODING, "log_p.argmax(axis=-1)[running] + FIRST", "log_p.argmax(axis=-1)[running] + 3"),
        (CAPTIONER_DECODING, "running = running & (ids[:, place + 1] != END)", "running = running & True"),
        (CAPTIONER_DECODING, "log_p + random.gumbel(size=log_p.shape)", "log_p + random.normal(size=log_p.shape)"),
        (CAPTIONER_DECODING, "total[:, 0] = 0.0", "total[:] = 0.0"),
        (CAPTIONER_DECODING, "np.where(over[..., None], NEVER, total[..., None] + log_p)", "np.where(over[..., None], NEVER, log_p)"),
        (CAPTIONER_DECODING, "kept = np.where(over, total, NEVER)", "kept = np.where(over, NEVER, NEVER)"),
        (CAPTIONER_DECODING, "np.argsort(-flat, axis=1", "np.argsort(flat, axis=1"),
        (CAPTIONER_DECODING, "rows = (best + width * np.arange(count)[:, None]).ravel()", "rows = best.ravel()"),
        (CAPTIONER_DECODING, "total.argmax(axis=1)]", "total.argmin(axis=1)]"),
    ),
    "words and their maps": group(
        "test_captioner.py", "map or method or comes_back or sentences_are or refused or joined",
        (CAPTIONER, "ids[:, 1:] > END", "ids[:, 1:] >= END"),
        (CAPTIONER, "self.network([ids[:, :-1], head", "self.network([ids[:, 1:], head"),
        (CAPTIONER, "ops.maximum(words - FIRST, 0)", "ops.maximum(words - FIRST - 1, 0)"),
        (CAPTIONER, "digest_of(model) != self.card", "digest_of(model) == self.card"),
        (CAPTIONER, "known is None or known[0]() is not model", "known is None"),
        (CAPTIONER_FILES, "vocabulary.digest() != card", "vocabulary.digest() == card"),
        (CAPTIONER_FILES, 'digest_of(network) != card["weights_sha256"]', "False"),
        (IN_WORDS, "[query.inputs[rows], ids[rows], classes[rows]]", "[query.inputs[rows], ids[rows], classes[rows * 0]]"),
        (IN_WORDS, "log_p.sum(axis=1),", "log_p.mean(axis=1),"),
        (IN_WORDS, "classes, decoding, width=width, seed=seed)", "classes, decoding, width=width)"),
    ),
}  # fmt: skip
