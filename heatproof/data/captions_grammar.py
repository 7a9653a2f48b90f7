"""Sentences that say what is true of a drawn picture, and the way back: which claims a sentence makes.

A topic is what a sentence can speak of, such as the mouth; it has a value in every picture, such as "round". The
grammar owns several ways to say each of them. Writer and reader use one table, so a sentence of the grammar is read
back without loss, and whatever stands in no row of the table claims nothing.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from heatproof.problems import ArgumentValueError
from heatproof.wording import words_of

Claim = tuple[str, str]  # topic, value
_ARTICLES, _NEGATIONS = ("a", "an", "the"), ("no", "not", "without")


class Topic(NamedTuple):
    """How one topic is spoken of: {value: ways} as phrases ("a round mouth") and as clauses ("the mouth is round").

    `weight` says how often annotators mention it, `plain` the value that they mention half as often.
    """

    phrases: Mapping[str, tuple[str, ...]]
    clauses: Mapping[str, tuple[str, ...]]
    weight: float = 1.0
    plain: str = ""


def topic(nouns: Sequence[str], words: Mapping[str, str], weight: float = 1.0, plain: str = "", **more: str) -> Topic:
    """A topic of nouns and adjectives: "raised brows", "the eyebrows are high".

    nouns: such as "a mouth", "brows" or, of what is not counted, "some hair"; words: {value: its adjectives, spaces
    between them}; more: {value: a further phrase}.
    """
    phrases, clauses = dict[str, tuple[str, ...]](), dict[str, tuple[str, ...]]()
    for value, adjectives in words.items():
        pairs = [(noun, adjective) for noun in nouns for adjective in adjectives.split()]
        phrases[value] = tuple(_phrase(*pair) for pair in pairs) + ((more[value],) if value in more else ())
        clauses[value] = tuple(_clause(*pair) for pair in pairs)
    return Topic(phrases, clauses, weight, plain)


def _phrase(noun, adjective):
    article, name = _parts(noun)
    if article == "a":
        return f"{'an' if adjective[0] in 'aeiou' else 'a'} {adjective} {name}"
    return f"{adjective} {name}"


def _clause(noun, adjective):
    article, name = _parts(noun)
    return f"the {name} {'is' if article else 'are'} {adjective}"


def _parts(noun):
    """ "a" or "some", or nothing in front of a plural; and the noun."""
    article, _, name = noun.rpartition(" ")
    return article, name


class Grammar:
    """Topics and openings, such as "a face with"; `write` and `claims` are each other's inverse."""

    def __init__(self, topics: Mapping[str, Topic], openings: Sequence[str]) -> None:
        self.topics, self.openings, self._table = dict(topics), tuple(openings), dict[tuple[str, ...], Claim]()
        for name, spoken in self.topics.items():
            for value in spoken.phrases:
                for text in spoken.phrases[value] + spoken.clauses[value]:
                    known = self._table.setdefault(_bare(words_of(text)), (name, value))
                    if known != (name, value):
                        raise ArgumentValueError("topics", f"{text!r} for {(name, value)} and {known}", "one meaning")
        self._longest = max(map(len, self._table))

    def write(self, truth: Mapping[str, str], random: np.random.Generator) -> str:
        """One sentence with two or three of the true claims, in any order; `truth` is {topic: value}."""
        names = list(truth)
        weights = np.array([self._weight(name, truth[name]) for name in names])
        count = min(int(random.integers(2, 4)), len(names))
        chosen = random.choice(len(names), count, replace=False, p=weights / weights.sum())
        clauses = bool(random.integers(2))
        parts = [self._one_way(names[each], truth[names[each]], clauses, random) for each in chosen]
        opening = self.openings[int(random.integers(len(self.openings)))]
        listed = ", ".join(parts[:-1]) + f" and {parts[-1]}"
        return listed if clauses else f"{opening} {listed}"

    def _weight(self, name, value):
        spoken = self.topics[name]
        return spoken.weight * (0.5 if value == spoken.plain else 1.0)

    def _one_way(self, name, value, clauses, random):
        ways = (self.topics[name].clauses if clauses else self.topics[name].phrases)[value]
        return ways[int(random.integers(len(ways)))]

    def claims(self, sentence: str) -> tuple[Claim, ...]:
        """(topic, value) of all that a sentence claims, in its order, each once.

        Read from left to right, the longest row of the table first. What no row has claims nothing; neither does what
        stands behind a negation that is not part of the row.
        """
        words, place, found = words_of(sentence), 0, dict[Claim, None]()
        while place < len(words):
            length = self._matched(words, place)
            if length and not (place and words[place - 1] in _NEGATIONS):
                found[self._table[tuple(words[place : place + length])]] = None
            place += max(length, 1)
        return tuple(found)

    def _matched(self, words, place):
        """How many words from `place` on are a row of the table, 0 for none."""
        lengths = range(min(self._longest, len(words) - place), 0, -1)
        return next((length for length in lengths if tuple(words[place : place + length]) in self._table), 0)


def _bare(words):
    """The words without an article in front."""
    return tuple(words[1:] if words[0] in _ARTICLES else words)
