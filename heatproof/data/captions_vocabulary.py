"""Words as numbers, and back."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.problems import ArgumentFileError, ArgumentTypeError, ArgumentValueError
from heatproof.wording import as_sentences, text_of, words_of
from heatproof.writing import write

PADDING, START, END, UNKNOWN = 0, 1, 2, 3
SPECIAL = ("<padding>", "<start>", "<end>", "<unknown>")


class Vocabulary:
    """V words by their numbers: 0 padding, 1 start, 2 end, 3 unknown, the given words from 4 on.

    Raises `TypeError`, `ValueError` for words that are none, twice there, or one of these four.
    """

    words: tuple[str, ...]

    def __init__(self, words: Iterable[str]) -> None:
        if isinstance(words, str) or not np.iterable(words):
            raise ArgumentTypeError("words", checks.shown(words), "a list of words")
        given = [checks.as_text("words", word, "words as text") for word in words]
        if odd := [word for word in given if words_of(word) != [word]]:
            raise ArgumentValueError("words", checks.shown(odd[0]), "single words in lower case, or a comma")
        if len(set(given)) < len(given):
            twice = next(word for word in given if given.count(word) > 1)
            raise ArgumentValueError("words", f"{twice!r} twice", "each word once")
        self.words = (*SPECIAL, *given)
        self._numbers = {word: number for number, word in enumerate(self.words)}

    @classmethod
    def of(cls, sentences: Iterable[str]) -> "Vocabulary":
        """All words of the sentences, in the order of the alphabet."""
        return cls(sorted({word for sentence in as_sentences("sentences", sentences) for word in words_of(sentence)}))

    def __len__(self) -> int:
        return len(self.words)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.words == other.words

    def __hash__(self) -> int:
        return hash(self.words)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} words)"

    def encode(self, sentences: Sequence[str], length: int) -> np.ndarray:
        """Sentences as numbers, (N, length) int32: start, the words, end, then padding; unknown words are 3.

        Raises `ValueError` for a sentence without words, or with more than length - 2 of them.
        """
        sentences, length = as_sentences("sentences", sentences), checks.as_count("length", length, 3)
        found = np.full((len(sentences), length), PADDING, np.int32)
        for row, sentence in zip(found, sentences, strict=True):
            words = words_of(sentence)
            if not words:
                raise ArgumentValueError("sentences", f"{sentence!r}, which has no word", "one word or more")
            if len(words) > length - 2:
                given = f"{len(words)} words in {checks.shown(sentence)}"
                cure = f"give length={len(words) + 2}, or shorten the sentence"
                raise ArgumentValueError("length", f"{length} for {given}", "all words, the start and the end", cure)
            row[: len(words) + 2] = [START, *(self._numbers.get(word, UNKNOWN) for word in words), END]
        return found

    def decode(self, ids: npt.ArrayLike) -> list[str]:
        """Numbers (N, length) as sentences: what stands before the first end, without start and padding.

        An unknown word is "<unknown>". Raises `TypeError`, `ValueError` for numbers that no word has.
        """
        given = checks.as_array("ids", ids)
        if given.ndim != 2 or given.dtype.kind not in "iu":
            raise ArgumentTypeError("ids", f"shape {given.shape} of {given.dtype} values", "integers (N, length)")
        if given.size and not (0 <= given.min() and given.max() < len(self)):
            allowed = f"0 to {len(self) - 1}, the numbers of this vocabulary"
            raise ArgumentValueError("ids", f"numbers from {given.min()} to {given.max()}", allowed)
        return [self._sentence(row.tolist()) for row in given]

    def _sentence(self, row):
        before = row[: row.index(END)] if END in row else row
        return text_of([self.words[number] for number in before if number not in (PADDING, START)])

    def digest(self) -> str:
        """A fingerprint of the words and their order."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()

    def save(self, path: str | os.PathLike) -> None:
        """Write the words and their digest as JSON."""
        content = {"words": list(self.words[len(SPECIAL) :]), "sha256": self.digest()}
        write(checks.as_path("path", path), json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Vocabulary":
        """Read what `save` wrote; a file that was changed since is refused with `ValueError`."""
        file = checks.as_path("path", path)
        if not file.is_file():
            raise ArgumentFileError("path", f"{str(file)!r}, which is no file", "a file that Vocabulary.save wrote")
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            made, digest = cls(content["words"]), content["sha256"]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise ArgumentValueError(
                "path", f"{file}, which is no vocabulary ({error})", cure="save it again"
            ) from error
        if made.digest() != digest:
            given = f"{file}, whose words are not those it was saved with"
            raise ArgumentValueError("path", given, cure="fetch the file again, or save the vocabulary again")
        return made
