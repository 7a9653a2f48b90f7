"""Is a sentence true? Measures for a captioned world, where every claim can be checked against the generator.

A claim is a topic with a value, such as brows: raised. A topic is an attribute, which depends on the class by the
table p(value | class), or a nuisance, which does not. Each measure gives one number per sentence, NaN where it has
none; `judge_words` collects them in a table for `summarise`, which gives their means with intervals.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from heatproof import checks
from heatproof.metrics.words import as_labels
from heatproof.problems import ArgumentTypeError, ArgumentValueError
from heatproof.wording import as_sentences

Claim = tuple[str, str]


class World(Protocol):
    """What the measures ask of a captioned world; `xu.load_captioned` gives one."""

    @property
    def labels(self) -> np.ndarray: ...
    @property
    def table(self) -> dict[str, np.ndarray]: ...
    @property
    def values(self) -> dict[str, tuple[str, ...]]: ...
    def __len__(self) -> int: ...
    def truth(self, item: int) -> dict[str, str]: ...
    def claims(self, sentence: str) -> tuple[Claim, ...]: ...
    def posterior(self, named: Mapping[str, str | int]) -> np.ndarray: ...


def judge_words(
    captioned: World,
    sentences: Sequence[str],
    *,
    items: npt.ArrayLike | None = None,
    labels: npt.ArrayLike | None = None,
    method: str = "sentence",
) -> pd.DataFrame:
    """Judge sentences by what is true of their pictures: a table (method, metric, item, value) for `summarise`.

    With the claims A of a sentence about attributes and B about nuisances, the picture's truth and its class c:

    truth:               share of A and B that is true of the picture
    attribute_truth:     share of A that is true
    definition:          share of A that belongs to the class: p(v | c) > mean_c' p(v | c')
    relevance:           p(c | A), exact, by the table; 1 / K where A is empty
    true_relevance:      p(c | the true part of A)
    decisive:            sum of max(0, log p(v | c) - log mean_c' p(v | c')) over the true part of A, as a share of the
                         same sum over all attributes of the picture: how much of what decides is mentioned
    nuisances:           share of A and B that is B
    hallucination:       share of A that is false of the picture and belongs to the class
    artefact:            1 where the artefact of a confounded set is mentioned, else 0
    claims:              how many there are

    Shares of nothing are NaN. An attribute with two different values in one sentence tells nothing of the class.

    items:  (N,) the pictures of the sentences, their places in `captioned`; None: all of them in order
    labels: (N,) the classes that the sentences were to explain; None: the true ones
    method: the name of what wrote them, for the table
    raises: TypeError, ValueError for numbers that do not fit
    """
    sentences, items, labels = _checked(captioned, sentences, items, labels)
    checks.as_text("method", method)
    rows = []
    for place, (sentence, item, label) in enumerate(zip(sentences, items, labels, strict=True)):
        found = _measures(captioned, captioned.claims(sentence), captioned.truth(int(item)), int(label))
        rows += [(method, metric, place, float(value)) for metric, value in found.items()]
    return pd.DataFrame(rows, columns=["method", "metric", "item", "value"])


def _measures(captioned, claims, truth, label):
    evidence = Evidence(captioned, label)
    attributes = [claim for claim in claims if claim[0] in captioned.table]
    true = [claim for claim in attributes if truth[claim[0]] == claim[1]]
    defining = [claim for claim in attributes if evidence.belongs(claim)]
    return {
        "truth": _share(sum(truth.get(topic) == value for topic, value in claims), claims),
        "attribute_truth": _share(len(true), attributes),
        "definition": _share(len(defining), attributes),
        "relevance": captioned.posterior(named(attributes))[label],
        "true_relevance": captioned.posterior(dict(true))[label],
        "decisive": evidence.share(true, [claim for claim in truth.items() if claim[0] in captioned.table]),
        "nuisances": _share(len(claims) - len(attributes), claims),
        "hallucination": _share(sum(claim not in true for claim in defining), attributes),
        "artefact": any(topic == "artefact" for topic, _ in claims),
        "claims": len(claims),
    }


def _share(count, every):
    return count / len(every) if every else np.nan


def named(claims: Sequence[Claim]) -> dict[str, str]:
    """{attribute: value} of claims; an attribute with two values is left out."""
    topics = [topic for topic, _ in claims]
    return {topic: value for topic, value in claims if topics.count(topic) == 1}


class Evidence:
    """What a claim about an attribute says for a class: w = log p(v | c) - log mean_c' p(v | c')."""

    def __init__(self, captioned: World, label: int) -> None:
        self.captioned, self.label = captioned, label

    def weight(self, claim: Claim) -> float:
        topic, value = claim
        column = self.captioned.table[topic][:, self.captioned.values[topic].index(value)]
        return float(np.log(column[self.label]) - np.log(column.mean()))

    def belongs(self, claim: Claim) -> bool:
        return self.weight(claim) > 0

    def share(self, part: Sequence[Claim], whole: Sequence[Claim]) -> float:
        """The positive weights of a part, as a share of those of the whole; NaN where nothing speaks for the class."""
        total = sum(max(0.0, self.weight(claim)) for claim in whole)
        return sum(max(0.0, self.weight(claim)) for claim in part) / total if total else np.nan


_FOLLOWS = ("changes", "persists")


def follows_picture(
    captioned: World, before: Sequence[str], after: Sequence[str], pairs: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Does the sentence follow the picture when one attribute is changed? A table (method, metric, item, value).

    mentions:  1 where the sentence of the picture as it was speaks of the attribute, else 0
    changes:   of these, 1 where it names the old value before and the new one after, and no other
    persists:  of these, 1 where the old value, now false, is named after
    keeps:     share of the claims about other topics that are the same in both: |before and after| / |before or after|

    `before` and `after` are sentences of the pictures as they were and as they became; `pairs` has "attribute", "old"
    and "new", a text for each, as `counterfactuals` gives them. Raises `TypeError`, `ValueError` for numbers of
    sentences that differ.
    """
    before, after = _both(captioned, before, after)
    columns = [_column(pairs, name, len(before)) for name in ("attribute", "old", "new")]
    rows = []
    for place, (one, two, topic, old, new) in enumerate(zip(before, after, *columns, strict=True)):
        claims = [set(captioned.claims(sentence)) for sentence in (one, two)]
        said = [{value for name, value in each if name == topic} for each in claims]
        mentions, changes = bool(said[0]), said == [{old}, {new}]
        others = [{claim for claim in each if claim[0] != topic} for each in claims]
        found = {"mentions": mentions, "keeps": overlap(*others)}
        found |= {"changes": changes, "persists": old in said[1]} if mentions else dict.fromkeys(_FOLLOWS, np.nan)
        rows += [("sentence", metric, place, float(value)) for metric, value in found.items()]
    return pd.DataFrame(rows, columns=["method", "metric", "item", "value"])


def overlap(one: set, other: set) -> float:
    """|one and other| / |one or other|, NaN for two empty sets."""
    return len(one & other) / len(one | other) if one | other else np.nan


def claims_kept(captioned: World, before: Sequence[str], after: Sequence[str]) -> np.ndarray:
    """Share of claims that two sentences have in common, (N,): |A and B| / |A or B|, NaN where neither claims anything.

    For what was written before and after a network's weights were shuffled: sentences that do not change do not
    depend on the network. Raises `TypeError`, `ValueError` for numbers of sentences that differ.
    """
    before, after = _both(captioned, before, after)
    pairs = zip(before, after, strict=True)
    return np.array([overlap(set(captioned.claims(one)), set(captioned.claims(two))) for one, two in pairs])


# ------------------------------------------------------------------------------------------------------------- checks


def _check_world(captioned):
    if not all(hasattr(captioned, name) for name in ("claims", "truth", "posterior", "table")):
        given = type(captioned).__name__
        raise ArgumentTypeError("captioned", given, "a captioned world, as xu.load_captioned gives it")


def _checked(captioned, sentences, items, labels):
    _check_world(captioned)
    sentences = as_sentences("sentences", sentences)
    if items is None:
        if len(sentences) != len(captioned):
            given = f"{len(sentences)} sentences for {len(captioned)} pictures"
            cure = "give items=, the places of the pictures"
            raise ArgumentValueError("sentences", given, "one sentence for each picture", cure)
        items = np.arange(len(captioned))
    items = as_labels("items", items, len(sentences), len(captioned))
    classes = len(next(iter(captioned.table.values())))
    labels = captioned.labels[items] if labels is None else as_labels("labels", labels, len(sentences), classes)
    return sentences, items, labels


def _both(captioned, before, after):
    _check_world(captioned)
    before, after = as_sentences("before", before), as_sentences("after", after)
    if len(before) != len(after):
        raise ArgumentValueError("after", f"{len(after)} sentences for {len(before)} before", "as many as before")
    return before, after


def _column(pairs, name, count):
    found = pairs.get(name) if isinstance(pairs, Mapping) else getattr(pairs, name, None)
    if found is None or len(found) != count:
        allowed = f"{name!r} with one text for each of the {count} pairs, as xu.counterfactuals gives them"
        raise ArgumentValueError("pairs", "none" if found is None else f"{len(found)} of {name!r}", allowed)
    return list(found)
