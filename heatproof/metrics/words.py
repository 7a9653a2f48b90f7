"""Sentences against references: CIDEr-D, and the likeness of a sentence to those of each class.

Words are compared in lower case and without punctuation, as the tokenizer of the published evaluation leaves them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.stats import rankdata

from heatproof import checks
from heatproof.problems import ArgumentTypeError, ArgumentValueError
from heatproof.wording import as_sentences, words_of

LONGEST = 4  # words of an n-gram
SIGMA = 6.0  # words by which lengths may differ
Gram = tuple[str, ...]


class DocumentFrequencies(NamedTuple):
    """In the references of how many pictures an n-gram occurs: `counts` of them, out of `pictures`."""

    counts: Mapping[Gram, int]
    pictures: int


def document_frequencies(references: Sequence[Sequence[str]]) -> DocumentFrequencies:
    """The document frequencies of all n-grams of 1 to 4 words; `references` are the sentences of each picture.

    Raises `TypeError`, `ValueError` for what is no list of lists of sentences.
    """
    references = as_references(references)
    counts = Counter(gram for group in references for gram in set().union(*map(_grams, group)))
    return DocumentFrequencies(counts, len(references))


def cider(
    sentences: Sequence[str],
    references: Sequence[Sequence[str]],
    frequencies: DocumentFrequencies | None = None,
) -> np.ndarray:
    """CIDEr-D of each sentence against the references of its picture, (N,) from 0 to 10.

    With c_g(s) how often the n-gram g stands in s, w_g = log M - log max(1, f_g) for f_g of M pictures whose references
    have g, and g_n(s) = (c_g(s) w_g) over the g of n words:

        CIDEr-D(s) = 10 / 4 sum_n mean_r exp(-(|s| - |r|)^2 / (2 6^2)) cos_n(s, r),
        cos_n(s, r) = min(g_n(s), g_n(r)) . g_n(r) / (|g_n(s)| |g_n(r)|)

    frequencies: those of other references, as `document_frequencies` gives them, the training sentences say; None
                 counts the references given. Of one picture alone all w are 0, so this is refused.
    raises:      TypeError, ValueError for no or empty sentences, and numbers of them that do not fit
    Source: Vedantam, Zitnick, Parikh 2015, eq. 1-6 and sec. 4.4.
    """
    sentences, references = _checked("sentences", sentences), as_references(references)
    if len(sentences) != len(references):
        given = f"{len(references)} groups for {len(sentences)} sentences"
        raise ArgumentValueError("references", given, "the references of each sentence's picture")
    space = _Space(frequencies, references)
    sizes = [len(group) for group in references]
    rows = np.repeat(np.arange(len(sentences)), sizes)
    scores = space.paired(space.count(sentences), space.count([each for group in references for each in group]), rows)
    return np.bincount(rows, scores, len(sentences)) / sizes


def class_similarity(
    sentences: Sequence[str], by_class: Sequence[Sequence[str]], frequencies: DocumentFrequencies
) -> np.ndarray:
    """CIDEr-D of each sentence against all reference sentences of each class, (N, K).

    by_class: the sentences of each of the K classes. Raises `TypeError`, `ValueError` as `cider`, and for a class
    without sentences. Source: Hendricks et al. 2016, sec. 4.
    """
    sentences, by_class = _checked("sentences", sentences), as_references(by_class, "by_class", "class")
    space = _Space(frequencies, by_class)
    counted = space.count(sentences)
    return np.stack([space.crossed(counted, space.count(group)).mean(axis=1) for group in by_class], axis=1)


def class_rank(similarities: npt.ArrayLike, labels: npt.ArrayLike) -> np.ndarray:
    """The place of the true class among all K when they are ordered by `class_similarity`, (N,): 1 is the best.

    Equal similarities share the mean of their places, so a sentence that is like no class has (K + 1) / 2. Raises
    `ValueError` for arrays that do not fit. Source: Hendricks et al. 2016, sec. 4.
    """
    similarities = checks.as_finite("similarities", similarities, {2: "(N, K)"})
    labels = as_labels("labels", labels, len(similarities), similarities.shape[1])
    return rankdata(-similarities, axis=1)[np.arange(len(labels)), labels]


def distinct_sentences(sentences: Sequence[str], labels: npt.ArrayLike) -> dict[int, int]:
    """How many different sentences each class got: {class: count}, of the classes that occur."""
    sentences = as_sentences("sentences", sentences)
    labels = as_labels("labels", labels, len(sentences))
    pairs = {(int(label), tuple(_words(sentence))) for label, sentence in zip(labels, sentences, strict=True)}
    return dict(sorted(Counter(label for label, _ in pairs).items()))


# ------------------------------------------------------------------------------------------------------ counted words


class _Counted(NamedTuple):
    """Sentences as counts of n-grams: `grams` for each n (S, G) sparse, and their numbers of words (S,)."""

    grams: list[csr_array]
    lengths: np.ndarray


class _Space:
    """The n-grams with their weights w; those that no reference has get theirs too, for the length of a vector."""

    def __init__(self, frequencies, references):
        if frequencies is None:
            frequencies = document_frequencies(references)
        if not isinstance(frequencies, DocumentFrequencies):
            allowed = "what xu.document_frequencies returns"
            raise ArgumentTypeError("frequencies", checks.shown(frequencies), allowed)
        if frequencies.pictures < 2:
            given = f"document frequencies of {frequencies.pictures} picture, by which every score is 0"
            cure = "give frequencies=xu.document_frequencies(references of the training pictures)"
            raise ArgumentValueError("frequencies", given, "two pictures or more", cure)
        self.frequencies, self.places = frequencies, [dict[Gram, int]() for _ in range(LONGEST)]

    def count(self, sentences):
        every, grams = [_words(each) for each in sentences], []
        for n, places in zip(_LENGTHS, self.places, strict=True):
            grams.append(self._sparse([Counter(_of_length(words, n)) for words in every], places))
        return _Counted(grams, np.array([len(words) for words in every]))

    def _sparse(self, counters, places):
        starts, columns, values = [0], list[int](), list[int]()
        for counter in counters:
            columns += [places.setdefault(gram, len(places)) for gram in counter]
            values += counter.values()
            starts.append(len(columns))
        return csr_array((np.array(values, float), columns, starts), shape=(len(counters), max(len(places), 1)))

    def _weights(self, places):
        seen = np.array([self.frequencies.counts.get(gram, 0) for gram in places] or [1])
        return np.log(self.frequencies.pictures) - np.log(np.maximum(seen, 1))

    def _factors(self, s, r):
        """For each n the pairs of matrices whose products sum to min(g(s), g(r)) . g(r) / (|g(s)| |g(r)|).

        min(a, b) of two counts is the number of levels that both reach.
        """
        for one, other, places in zip(s.grams, r.grams, self.places, strict=True):
            w = self._weights(places)
            one, other = (csr_array(each, shape=(each.shape[0], len(w))) for each in (one, other))
            one_scale, other_scale = (_inverse(np.sqrt((each**2) @ w**2)) for each in (one, other))
            for level in range(1, int(min(one.max(), other.max())) + 1):
                left = ((one >= level).astype(float) * one_scale[:, None]).tocsr()
                right = (other * (other >= level) * w**2 * other_scale[:, None]).tocsr()
                yield left, right

    def paired(self, s, r, rows):
        """Scores of each reference with the sentence of its row, (references,)."""
        total = np.zeros(len(rows))
        for left, right in self._factors(s, r):
            total += (left[rows] * right).sum(axis=1)
        return 10 / LONGEST * _alike(s.lengths[rows], r.lengths) * total

    def crossed(self, s, r):
        """Scores of all sentences with all references, (S, R)."""
        total = np.zeros((len(s.lengths), len(r.lengths)))
        for left, right in self._factors(s, r):
            total += (left @ right.T).toarray()
        return 10 / LONGEST * _alike(s.lengths[:, None], r.lengths) * total


_LENGTHS = range(1, LONGEST + 1)


def _inverse(lengths):
    return np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)


def _alike(one, other):
    return np.exp(-((one - other) ** 2) / (2 * SIGMA**2))


def _words(sentence):
    return [word for word in words_of(sentence) if word != ","]


def _of_length(words, n) -> Iterable[Gram]:
    """The n-grams of n words."""
    return zip(*(words[start:] for start in range(n)), strict=False)


def _grams(sentence) -> set[Gram]:
    """The different n-grams of a sentence."""
    words = _words(sentence)
    return {gram for n in _LENGTHS for gram in _of_length(words, n)}


# ------------------------------------------------------------------------------------------------------------- checks


def _checked(name, sentences):
    """Sentences of one word or more, at least one."""
    found = as_sentences(name, sentences)
    if not found:
        raise ArgumentValueError(name, "no sentence", "one or more")
    if empty := [place for place, sentence in enumerate(found) if not _words(sentence)]:
        raise ArgumentValueError(f"{name}[{empty[0]}]", f"{found[empty[0]]!r}, which has no word", "one word or more")
    return found


def as_references(references: Any, name: str = "references", of: str = "picture") -> list[list[str]]:
    """Groups of sentences, at least one group with at least one sentence each."""
    allowed = f"a list of the sentences of each {of}"
    if isinstance(references, (str, Mapping)) or not np.iterable(references):
        raise ArgumentTypeError(name, checks.shown(references), allowed)
    groups = list(references)
    if not groups:
        raise ArgumentValueError(name, "an empty list", allowed)
    return [_checked(f"{name}[{place}]", group) for place, group in enumerate(groups)]


def as_labels(name: str, labels: npt.ArrayLike, count: int, classes: int | None = None) -> np.ndarray:
    """Class indices (count,), below `classes`."""
    given = checks.as_array(name, labels)
    if given.dtype.kind not in "iu":
        raise ArgumentTypeError(name, f"{given.dtype} values", "integers, one class index for each sentence")
    if given.shape != (count,):
        raise ArgumentValueError(name, f"shape {given.shape}", f"one class index for each sentence, ({count},)")
    if count and (given.min() < 0 or (classes is not None and given.max() >= classes)):
        allowed = "0 or more" if classes is None else f"0 to {classes - 1}"
        raise ArgumentValueError(name, f"integers from {given.min()} to {given.max()}", allowed)
    return given
