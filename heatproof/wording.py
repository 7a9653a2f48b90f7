"""Sentences as words, and back."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from heatproof import checks
from heatproof.problems import ArgumentTypeError

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|,")


def words_of(sentence: str) -> list[str]:
    """The words of a sentence in lower case, a comma as a word; other punctuation is left out."""
    return _WORD.findall(checks.as_text("sentence", sentence).lower())


def text_of(words: Sequence[str]) -> str:
    """Words as a sentence, a comma close behind its word."""
    return " ".join(words).replace(" ,", ",")


def as_sentences(name: str, sentences: Any) -> list[str]:
    """Sentences as a list; one alone, and what is no text, is refused."""
    if isinstance(sentences, str) or not np.iterable(sentences):
        raise ArgumentTypeError(name, checks.shown(sentences), "a list of sentences")
    return [checks.as_text(name, sentence, "sentences as text") for sentence in sentences]
