"""Oracles of the judges of words: CIDEr-D by hand, by its definition and by pycocoevalcap; truth by hand."""

import collections
import functools
import itertools
import math

import numpy as np
import pandas as pd
import pytest

import xai_utils as xu
from heatproof.data.captions_faces import GRAMMAR
from tools import words_confounded, words_meteor
from tools.words import ARMS, WORLDS

# --- CIDEr-D ------------------------------------------------------------------------------------------------------

PAIR = [["red cat"], ["blue dog"]]  # every n-gram in one of two pictures: all weights are log 2, and cancel


@pytest.mark.parametrize(
    "sentence, score",
    [
        ("red cat", 2.5 * (1 + 1)),
        ("Red, cat!", 2.5 * (1 + 1)),
        ("red dog", 2.5 * 0.5),
        ("blue dog", 0),
        # counts (1, 2) against (1, 1), clipped to (1, 1): 2 / (sqrt 5 sqrt 2); "red cat" of two pairs: 1 / sqrt 2
        ("red cat cat", 2.5 * (2 / math.sqrt(10) + 1 / math.sqrt(2)) * math.exp(-1 / 72)),
        ("cat", 2.5 / math.sqrt(2) * math.exp(-1 / 72)),
        ("bird", 0),
    ],
)
def test_cider_by_hand(sentence, score):
    assert xu.cider([sentence, "blue dog"], PAIR) == pytest.approx([score, 5], abs=1e-12)


def test_counts_above_one_are_clipped_at_the_lower_one():
    # g(s) = (3, 1) and g(r) = (2, 1) of "a", "b": (2 * 2 + 1) / (sqrt 10 sqrt 5) of single words
    references = [["a a b"], ["x y z"]]
    # pairs: s has "a a" twice and "a b", r has each once: (1 + 1) / (sqrt 5 sqrt 2); triples: "a a b" of two
    wanted = 5 / math.sqrt(50) + 2 / math.sqrt(10) + 1 / math.sqrt(2)
    assert xu.cider(["a a a b", "x"], references)[0] == pytest.approx(2.5 * wanted * math.exp(-1 / 72))


def test_references_are_averaged_and_frequencies_weigh():
    references = [["red cat", "old cat"], ["blue cat", "blue dog"], ["dog"]]
    frequencies = xu.document_frequencies(references)
    assert frequencies.pictures == 3 and frequencies.counts["cat",] == 2 == frequencies.counts["dog",]
    assert (
        frequencies.counts["blue",] == 1 == frequencies.counts["red", "cat"]
        and ("cat", "red") not in frequencies.counts
    )
    rare, common = math.log(3), math.log(3 / 2)
    alike = common**2 / (rare**2 + common**2)  # "red cat" with "old cat"
    assert xu.cider(["red cat"] * 3, references)[0] == pytest.approx(2.5 * (2 + alike) / 2)
    everywhere = xu.document_frequencies([["red cat"], ["red cat", "blue dog"]])
    assert xu.cider(["red cat", "dog"], PAIR, everywhere)[0] == 0, "what stands everywhere weighs nothing"
    training = xu.document_frequencies([["red"], ["cat"], ["sky"], ["sky"]])
    alone = xu.cider(["red cat"], [["red cat"]], training)
    assert alone == pytest.approx([5]), "one picture, by the frequencies of others"


def by_definition(sentence, references, frequencies):
    """CIDEr-D in dictionaries, as the paper writes it."""
    total = 0.0
    for n in range(1, 5):
        for reference in references:
            s, r = (_weighed(each.split(), n, frequencies) for each in (sentence, reference))
            lengths = [math.sqrt(sum(value**2 for value in each.values())) for each in (s, r)]
            product = sum(min(s[gram], r[gram]) * r[gram] for gram in s if gram in r)
            apart = len(sentence.split()) - len(reference.split())
            if all(lengths):
                total += math.exp(-(apart**2) / 72) * product / math.prod(lengths)
    return 10 * total / 4 / len(references)


def _weighed(words, n, frequencies):
    counts = collections.Counter(tuple(words[start : start + n]) for start in range(len(words) - n + 1))
    return {
        gram: count * (math.log(frequencies.pictures) - math.log(max(1, frequencies.counts.get(gram, 0))))
        for gram, count in counts.items()
    }


def made_sentences(count, random, longest=9):
    return [" ".join(random.choice(list("abcdefg"), random.integers(1, longest))) for _ in range(count)]


def test_cider_is_its_definition_on_random_sentences():
    random = np.random.default_rng(0)
    references = [made_sentences(random.integers(1, 5), random) for _ in range(40)]
    sentences = made_sentences(40, random)
    for frequencies in (xu.document_frequencies(references), xu.document_frequencies(references[:9])):
        wanted = [by_definition(*pair, frequencies) for pair in zip(sentences, references, strict=True)]
        np.testing.assert_allclose(xu.cider(sentences, references, frequencies), wanted, atol=1e-12)
    np.testing.assert_array_equal(
        xu.cider(sentences, references), xu.cider(sentences, references, xu.document_frequencies(references))
    )


def test_one_picture_with_its_own_frequencies_is_refused_with_a_cure_that_works():
    with pytest.raises(ValueError, match="by which every score is 0.*document_frequencies"):
        xu.cider(["a b"], [["a b"]])
    assert xu.cider(["a b"], [["a b"]], xu.document_frequencies([["a"], ["b"]]))[0] > 0


def test_class_similarity_is_the_mean_over_the_sentences_of_the_class():
    random = np.random.default_rng(1)
    by_class = [made_sentences(count, random) for count in (3, 7, 5)]
    sentences, frequencies = (
        made_sentences(6, random),
        xu.document_frequencies([made_sentences(4, random)] * 3 + by_class),
    )
    found = xu.class_similarity(sentences, by_class, frequencies)
    wanted = [[xu.cider([each], [group], frequencies)[0] for group in by_class] for each in sentences]
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert found.shape == (6, 3)


def test_class_rank_by_hand():
    similarities = [[0.1, 0.9, 0.5], [0.1, 0.9, 0.5], [0.2, 0.2, 0.1], [0, 0, 0]]
    np.testing.assert_array_equal(xu.class_rank(similarities, [1, 0, 1, 2]), [1, 3, 1.5, 2])


def test_distinct_sentences_by_hand():
    sentences = ["a b", "A, b", "a c", "a b", "d"]
    assert xu.distinct_sentences(sentences, [0, 0, 0, 2, 2]) == {0: 2, 2: 2}


# --- truth --------------------------------------------------------------------------------------------------------


@functools.cache
def faces():
    return xu.load_captioned("faces", "test", count=30)


@functools.cache
def confounded():
    return xu.load_captioned("faces", "test", count=14, confounded=1.0, artefact_words=True)


def judged(captioned, sentence, item, label=None):
    labels = None if label is None else [label]
    table = xu.judge_words(captioned, [sentence], items=[item], labels=labels)
    return dict(zip(table["metric"], table["value"], strict=True))


def item_with(**wanted):
    """The first face with these values."""
    found = (item for item in range(len(faces())) if wanted.items() <= faces().truth(item).items())
    return next(found)


def test_a_sentence_is_judged_by_hand():
    item = item_with(brows="raised", mouth="round")
    truth, label = faces().truth(item), int(faces().labels[item])
    glasses = "glasses" if truth["glasses"] == "none" else "no glasses"  # false
    found = judged(faces(), f"raised brows, a smile and {glasses}", item, label=5)  # surprise
    raised, mouth = faces().table["brows"][:, 2], faces().table["mouth"]
    assert found["truth"] == pytest.approx(1 / 3) and found["attribute_truth"] == 0.5
    assert found["nuisances"] == pytest.approx(1 / 3) and found["claims"] == 3 and found["artefact"] == 0
    # of surprise: raised 0.80 against a mean of 0.21, smiling 0.07 against a mean of 0.16
    assert found["definition"] == 0.5 and found["hallucination"] == 0
    both = raised * mouth[:, 0]
    assert found["relevance"] == pytest.approx(both[5] / both.sum())
    assert found["true_relevance"] == pytest.approx(raised[5] / raised.sum())
    eyes = faces().table["eyes"][:, ("narrow", "calm", "wide").index(truth["eyes"])]
    weights = [math.log(column[5] / column.mean()) for column in (raised, eyes, mouth[:, 3])]
    assert found["decisive"] == pytest.approx(weights[0] / sum(max(0, each) for each in weights))
    assert judged(faces(), "raised brows", item) == judged(faces(), "raised brows", item, label)


def test_what_is_false_of_the_picture_and_belongs_to_the_told_class_is_hallucinated():
    item = item_with(brows="raised")
    found = judged(faces(), "lowered brows and raised brows", item, label=0)  # angry: lowered
    assert found["hallucination"] == 0.5 and found["definition"] == 0.5 and found["attribute_truth"] == 0.5
    assert found["relevance"] == pytest.approx(1 / 7), "two values of one attribute tell nothing"
    lowered = faces().table["brows"][:, 0]
    alone = judged(faces(), "lowered brows", item, label=0)
    assert alone["hallucination"] == 1 and alone["relevance"] == pytest.approx(lowered[0] / lowered.sum())
    assert alone["true_relevance"] == pytest.approx(1 / 7) and alone["decisive"] == 0


def test_a_sentence_that_claims_nothing_has_no_shares():
    found = judged(faces(), "we see", 0)
    assert found["claims"] == 0 and found["relevance"] == pytest.approx(1 / 7)
    for name in ("truth", "attribute_truth", "definition", "nuisances", "hallucination"):
        assert math.isnan(found[name])


def test_references_are_true_and_those_of_other_pictures_are_not():
    own = [group[0] for group in faces().sentences]
    table = xu.judge_words(faces(), own, method="own")
    assert set(table["method"]) == {"own"} and len(table) == 10 * len(own)
    assert (table.loc[table["metric"] == "truth", "value"] == 1).all()
    assert (table.loc[table["metric"] == "hallucination", "value"].dropna() == 0).all()
    summary = xu.summarise(xu.judge_words(faces(), own[1:] + own[:1]), resamples=200).set_index("metric")
    assert summary.loc["truth", "high"] < 0.8 and summary.loc["truth", "low"] < summary.loc["truth", "mean"]
    everything = [", ".join(_all(faces().truth(item))) for item in range(len(faces()))]
    whole = xu.judge_words(faces(), everything).pivot(index="item", columns="metric", values="value")
    assert (whole["truth"] == 1).all() and (whole["decisive"].dropna() == 1).all() and (whole["claims"] == 7).all()
    exact = [faces().posterior({name: faces().truth(item)[name] for name in faces().table}) for item in range(30)]
    np.testing.assert_allclose(
        whole["relevance"], [row[label] for row, label in zip(exact, faces().labels, strict=True)]
    )


def _all(truth):
    """One phrase for each thing that is true."""
    return [GRAMMAR.topics[name].phrases[value][0] for name, value in truth.items()]


def test_who_admits_the_artefact():
    digits = "one two three four five six seven".split()
    label = int(confounded().labels[0])
    assert judged(confounded(), f"the number {digits[label]} is printed", 0)["artefact"] == 1
    smiles = confounded().truth(0)["mouth"] == "smiling"
    assert judged(confounded(), f"the number {digits[label]} and a smile", 0)["truth"] == (1 + smiles) / 2
    assert judged(confounded(), f"the number {digits[label - 1]}", 0)["truth"] == 0
    assert judged(confounded(), "raised brows", 0)["artefact"] == 0


def test_following_the_picture_by_hand():
    pairs = {"attribute": ["brows"] * 6, "old": ["raised"] * 6, "new": ["level"] * 6}
    before = ["raised brows and wide eyes"] * 4 + ["wide eyes and glasses", "lowered brows"]
    after = [
        "the brows are level and the eyes are wide",
        "raised brows and wide eyes",
        "narrow eyes and level brows",
        "wide eyes and glasses",
        "wide eyes and curly hair",
        "level brows",
    ]
    table = xu.follows_picture(faces(), before, after, pairs).pivot(index="item", columns="metric", values="value")
    np.testing.assert_array_equal(table["mentions"], [1, 1, 1, 1, 0, 1])
    np.testing.assert_array_equal(table["changes"], [1, 0, 1, 0, np.nan, 0])
    np.testing.assert_array_equal(table["persists"], [0, 1, 0, 0, np.nan, 0])
    np.testing.assert_allclose(table["keeps"], [1, 1, 0, 0.5, 1 / 3, np.nan])


def test_a_writer_who_looks_follows_and_one_who_does_not_persists():
    pairs = xu.counterfactuals(faces(), seed=1)
    truths = [faces().truth(item) for item in range(len(faces()))]
    before = [", ".join(_all(truth)) for truth in truths]
    changed = [truth | {name: new} for truth, name, new in zip(truths, pairs.attribute, pairs.new, strict=True)]
    after = [", ".join(_all(truth)) for truth in changed]
    looks = xu.summarise(xu.follows_picture(faces(), before, after, pairs), resamples=9).set_index("metric")["mean"]
    assert looks.to_dict() == {"mentions": 1, "keeps": 1, "changes": 1, "persists": 0}
    blind = xu.summarise(xu.follows_picture(faces(), before, before, pairs), resamples=9).set_index("metric")["mean"]
    assert blind.to_dict() == {"mentions": 1, "keeps": 1, "changes": 0, "persists": 1}


def test_claims_kept_by_hand():
    before = ["raised brows and wide eyes", "raised brows", "we see", "glasses and a smile"]
    after = ["the eyes are staring and the brows are high", "level brows", "", "a smile"]
    np.testing.assert_array_equal(xu.claims_kept(faces(), before, after), [1, 0, np.nan, 0.5])


# --- the committed table of the confounded network ----------------------------------------------------------------


def test_naming_the_printed_digit_by_hand():
    digits = "one two three four five six seven".split()
    printed = [digits[confounded().nuisances["artefact"][item]] for item in range(4)]
    sentences = [
        f"the number {printed[0]} is printed",
        "raised brows",
        f"we see the number {digits[digits.index(printed[2]) - 1]}",
        f"the number {printed[3]}, the number {digits[digits.index(printed[3]) - 1]}",
    ]
    np.testing.assert_array_equal(words_confounded.digits(confounded(), sentences), [1, np.nan, 0, 0])


def test_the_digit_decides_and_only_who_has_a_word_for_it_says_so():
    table = pd.read_csv(words_confounded.RESULT).set_index(["method", "metric"])
    assert set(table.index.unique("method")) == {"network", *words_confounded.CAPTIONERS}
    assert (table["items"] == 500).all()
    assert table.loc[("network", "predicts the digit"), "low"] > 0.99
    assert table.loc[("without words for it", "artefact"), "mean"] == 0
    assert table.loc[("with words for it", "artefact"), "low"] > 0.9
    valued = table.dropna()
    assert ((valued["low"] <= valued["mean"]) & (valued["mean"] <= valued["high"])).all()


def test_meteor_names_its_program_and_has_every_arm():
    table = pd.read_csv(words_meteor.RESULT)
    assert set(table["metric"]) == {"meteor", "cider"} and set(table["version"]) == {"pycocoevalcap 1.2"}
    wanted = set(itertools.product(WORLDS.values(), (*ARMS, "reference"), ("meteor", "cider")))
    assert set(table[["world", "method", "metric"]].itertuples(index=False, name=None)) == wanted
    assert ((table["low"] < table["mean"]) & (table["mean"] < table["high"]) & (table["failed"] == 0)).all()
