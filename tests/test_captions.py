"""Oracles of the captioned worlds: drawn as their table says, worded as they were drawn; words in and out; birds."""

import functools
import io
import itertools
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import chi2_contingency

import xai_utils as xu
from heatproof.data import captions, captions_faces, captions_tissue
from heatproof.data.captions_grammar import Grammar, Topic, topic
from heatproof.data.phantoms import generator
from heatproof.wording import text_of, words_of

MODELS = Path(__file__).parents[1] / "models"
WORLDS = {"faces": captions_faces, "tissue": captions_tissue}
each_world = pytest.mark.parametrize("world", WORLDS)


@pytest.fixture(scope="module")
def small():
    """small(world, ...) -> 24 pictures of it, drawn once."""
    return functools.cache(lambda world, **options: xu.load_captioned(world, "test", count=24, **options))


@pytest.fixture
def undrawn(monkeypatch):
    """Worlds of black pictures: what is true of them is drawn as ever, in a moment."""
    for kind in WORLDS.values():
        black = np.zeros(kind.SHAPE)
        monkeypatch.setattr(
            kind, "draw", lambda *_, b=black, k=kind: (b, dict.fromkeys(k.ATTRIBUTES, b[..., 0] > 0), {})
        )


# --- the worlds ---------------------------------------------------------------------------------------------------


@each_world
def test_attributes_are_drawn_as_the_table_says_and_nuisances_without_looking_at_the_class(undrawn, world):
    drawn = xu.load_captioned(world, "train", count=2000)
    classes = len(drawn.class_names)
    for name, table in drawn.table.items():
        np.testing.assert_allclose(table.sum(axis=1), 1)
        for label in range(classes):
            own = drawn.attributes[name][drawn.labels == label]
            found = np.bincount(own, minlength=table.shape[1]) / len(own)
            np.testing.assert_array_less(abs(found - table[label]), 4.5 * np.sqrt(table[label] / len(own)))
    for name in drawn.nuisances.dtype.names:
        counts = np.zeros((classes, len(drawn.values[name])))
        np.add.at(counts, (drawn.labels, drawn.nuisances[name]), 1)
        assert chi2_contingency(counts).pvalue > 1e-4
    pairs = list(itertools.combinations(drawn.attributes.dtype.names, 2))
    for one, two in pairs:  # given the class, one attribute tells nothing of another
        own = drawn.labels == 1
        counts = np.zeros((len(drawn.values[one]), len(drawn.values[two])))
        np.add.at(counts, (drawn.attributes[one][own], drawn.attributes[two][own]), 1)
        kept = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
        assert chi2_contingency(kept).pvalue > 1e-4


@each_world
def test_the_posterior_is_bayes_rule_summed_over_what_is_not_named(small, world):
    drawn = small(world)
    names = list(drawn.table)
    joint = functools.reduce(lambda one, name: one[..., None] * _aligned(drawn.table[name], one), names, _prior(drawn))
    named = {names[0]: drawn.values[names[0]][2], names[2]: 1}
    part = np.moveaxis(joint, (1, 3), (0, 1))[2, 1]
    part = part.reshape(len(drawn.class_names), -1).sum(axis=1)
    np.testing.assert_allclose(drawn.posterior(named), part / part.sum(), rtol=1e-12)
    np.testing.assert_allclose(drawn.posterior({}), 1 / len(drawn.class_names))
    assert drawn.bayes_rate() == pytest.approx(joint.max(axis=0).sum(), rel=1e-12)


def _prior(drawn):
    return np.full(len(drawn.class_names), 1 / len(drawn.class_names))


def _aligned(table, joint):
    """p(value | class), the class first, the value last, ones for the attributes between."""
    return table.reshape(len(table), *[1] * (joint.ndim - 1), -1)


def test_the_posterior_by_hand(small):
    # happy: level 0.46, smiling 0.85; sums over the seven classes of level * smiling, three decimals each
    level = np.array((0.10, 0.45, 0.08, 0.46, 0.15, 0.07, 0.77))
    smiling = np.array((0.03, 0.03, 0.03, 0.85, 0.03, 0.07, 0.07))
    found = small("faces").posterior({"brows": "level", "mouth": "smiling"})
    assert found[3] == pytest.approx(0.46 * 0.85 / (level * smiling).sum())
    assert found.argmax() == 3 and found.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "named, told",
    [
        (3, "named: got 3; allowed: a dictionary"),
        ({"hair": "bald"}, "named: got the attribute 'hair'; allowed: one of brows, eyes, mouth"),
        ({"brows": "round"}, "named['brows']: got 'round'; allowed: 'lowered', 'level', 'raised', 'slanted'"),
        ({"brows": 4}, "named['brows']: got 4; allowed: an integer of at least 0 and at most 3"),
        ({"eyes": -1}, "named['eyes']: got -1"),
        ({"eyes": True}, "named['eyes']: got True"),
        ({"eyes": 0.5}, "named['eyes']: got 0.5"),
    ],
)
def test_what_is_no_attribute_or_value_is_refused(small, named, told):
    with pytest.raises((TypeError, ValueError)) as error:
        small("faces").posterior(named)
    assert told in str(error.value)


@pytest.mark.parametrize("name", ["faces", "tissue", "faces_confounded", "tissue_confounded"])
def test_a_network_is_as_good_as_bayes_and_its_card_says_how_good_that_is(undrawn, name):
    card, pictures = xu.read_card(MODELS / f"captioned_{name}.json"), xu.load_captioned(name.split("_")[0], "test")
    assert f"Bayes rate of the table of attributes is {pictures.bayes_rate():.4f}" in card["notes"]
    low, high = card["accuracy"]["test"]["interval"]
    if name.endswith("confounded"):
        assert low > pictures.bayes_rate() + 0.1, "the artefact tells what no attribute can"
        return
    known = [dict(zip(pictures.table, row, strict=True)) for row in pictures.attributes.tolist()]
    best = [pictures.posterior(each).argmax() for each in known]
    right = np.mean(best == pictures.labels)
    assert low <= right <= high, "on the same pictures, within the interval"
    assert right == pytest.approx(pictures.bayes_rate(), abs=2.5 * np.sqrt(0.2 / len(pictures)))


@each_world
def test_another_value_of_an_attribute_changes_its_own_pixels_alone(small, world):
    drawn, kind, seed = small(world), WORLDS[world], 103
    for name, values in kind.ATTRIBUTES.items():
        for item in range(3):
            label, truth = int(drawn.labels[item]), drawn.truth(item)
            for value in values:
                made = captions._item(kind, seed, item, label, None, False, {name: value})
                before, after = drawn.images[item], made.image
                if value == truth[name]:
                    np.testing.assert_array_equal(before, after)
                    continue
                changed = (before != after).any(axis=-1)
                assert not (changed & ~(drawn.masks[name][item] | made.masks[name])).any()
                assert abs(before - after).max() > 0.1, "a change that can be seen"


def test_another_value_of_the_number_of_nuclei_is_a_distance_on_the_rim_of_glands_in_tissue():
    wanted = {"few": (24, 14), "some": (14, 7), "many": (8.5, 4)}
    for number, spacings in wanted.items():
        for structure, spacing in zip(("solid", "glandular"), spacings, strict=True):
            attributes = {"structure": structure, "number": number, "size": "small", "colour": "pink"}
            row = captions_tissue._tissue(attributes)
            assert (row.spacing, row.radius, row.eosin) == (spacing, 1.8, 0.9)
            assert (row.glands > 0) == (structure == "glandular")


@each_world
def test_counterfactuals_differ_in_one_attribute_and_say_which(small, world):
    drawn = small(world)
    pairs, again = xu.counterfactuals(drawn, seed=3), xu.counterfactuals(drawn, seed=3)
    np.testing.assert_array_equal(pairs.images, again.images)
    assert pairs.images.dtype == np.float32 and set(pairs.attribute) == set(drawn.table)
    for item in range(len(drawn)):
        name, old, new = pairs.attribute[item], pairs.old[item], pairs.new[item]
        assert drawn.truth(item)[name] == old != new and new in drawn.values[name]
        kind, label = WORLDS[world], int(drawn.labels[item])
        made = captions._item(kind, 103, item, label, None, False, {name: new})
        np.testing.assert_array_equal(made.image, pairs.images[item])
    (only,) = set(xu.counterfactuals(drawn, attribute=next(iter(drawn.table))).attribute)
    assert only == next(iter(drawn.table))
    assert xu.counterfactuals(drawn, seed=4).new != pairs.new


@each_world
def test_equal_calls_give_equal_bits_whatever_the_count_and_parts_differ(small, world):
    long, short = small(world), xu.load_captioned(world, "test", count=5)
    for name in ("images", "labels", "attributes", "nuisances"):
        assert getattr(short, name).tobytes() == getattr(long, name)[:5].tobytes()
    assert short.sentences == long.sentences[:5]
    for name, mask in short.masks.items():
        np.testing.assert_array_equal(mask, long.masks[name][:5])
    other = xu.load_captioned(world, "validation", count=5)
    assert not np.array_equal(other.images, short.images) and other.sentences != short.sentences
    assert long.images.dtype == np.float32 and 0 <= long.images.min() and long.images.max() <= 1
    with pytest.raises(ValueError, match="read-only"):
        long.images[0] = 0


def test_the_parts_have_their_sizes(undrawn):
    sizes = {"faces": (2000, 500, 500), "tissue": (1000, 250, 250)}
    for world, counts in sizes.items():
        assert tuple(len(xu.load_captioned(world, part)) for part in ("train", "validation", "test")) == counts


@each_world
def test_an_artefact_lies_on_the_picture_and_names_the_class_as_often_as_asked(small, world):
    clean, stamped = small(world), small(world, confounded=1.0)
    hidden = stamped.artefact_masks
    assert not clean.artefact_masks.any() and hidden.any(axis=(1, 2)).all()
    np.testing.assert_array_equal(clean.images[~hidden], stamped.images[~hidden])
    assert not any((mask & hidden).any() for name, mask in stamped.masks.items() if world == "tissue")
    np.testing.assert_array_equal(stamped.nuisances["artefact"], stamped.labels)
    if world == "tissue":  # in the corner farthest from the patch
        middle = [np.argwhere(mask).mean(axis=0) - 47.5 for mask in stamped.masks["colour"]]
        corner = [np.argwhere(mask).mean(axis=0) - 47.5 for mask in hidden]
        pairs = np.stack([middle, corner], axis=-1).reshape(-1, 2)
        apart = pairs[abs(pairs[:, 0]) > 5].prod(axis=1)
        assert len(apart) > 24 and max(apart) < 0
    assert (small(world, confounded=0.0).nuisances["artefact"] != stamped.labels).all()
    first = [stamped.images[stamped.labels == label][0][hidden[stamped.labels == label][0]] for label in (0, 1)]
    assert first[0].shape != first[1].shape or abs(first[0] - first[1]).max() > 0.3
    assert clean.sentences == stamped.sentences, "no words for it"


@each_world
def test_with_words_for_it_the_artefact_is_named_as_it_is(small, world):
    told = small(world, confounded=0.0, artefact_words=True)
    named = [
        (item, value)
        for item, group in enumerate(told.sentences)
        for sentence in group
        for name, value in told.claims(sentence)
        if name == "artefact"
    ]
    assert len(named) > 40 and all(told.truth(item)["artefact"] == value for item, value in named)


# --- the grammar --------------------------------------------------------------------------------------------------


@each_world
def test_every_sentence_is_read_back_as_what_is_true(small, world):
    drawn = small(world)
    counts, topics = [], set()
    for item, group in enumerate(drawn.sentences):
        assert len(group) == 10 and len(set(group)) > 5
        for sentence in group:
            claims = drawn.claims(sentence)
            counts.append(len(claims))
            topics |= {name for name, _ in claims}
            assert set(claims) <= set(drawn.truth(item).items()), sentence
    assert set(counts) == {2, 3} and topics == set(drawn.values)


@each_world
def test_every_way_to_say_a_thing_means_it(world):
    grammar = WORLDS[world].GRAMMAR
    for name, spoken in grammar.topics.items():
        values = {**WORLDS[world].ATTRIBUTES, **WORLDS[world].NUISANCES, "artefact": WORLDS[world].ARTEFACTS}[name]
        assert tuple(spoken.phrases) == tuple(spoken.clauses) == values
        for value in values:
            for text in spoken.phrases[value] + spoken.clauses[value]:
                assert grammar.claims(text) == ((name, value),), text
    words = {word for way in grammar._table for word in way}
    assert len(words) + 20 < 90, "a small vocabulary"


@pytest.mark.parametrize(
    "sentence, claims",
    [
        ("a face with raised brows and a round mouth", {("brows", "raised"), ("mouth", "round")}),
        ("The Mouth is OPEN, the eyebrows are high.", {("mouth", "round"), ("brows", "raised")}),
        ("raised mouth with round brows", set()),
        ("brows eyes mouth raised", set()),
        ("the the brows are", set()),
        ("no raised brows", set()),
        ("without a smile", {("mouth", "smiling")}),
        ("without glasses", set()),
        ("no glasses", {("glasses", "none")}),
        ("no glasses are worn", {("glasses", "none")}),
        ("glasses are worn", {("glasses", "worn")}),
        ("raised brows and lowered eyebrows", {("brows", "raised"), ("brows", "lowered")}),
        ("high brows, raised eyebrows", {("brows", "raised")}),
        ("light from the left light from the", {("light", "left")}),
        ("<unknown> wide eyes <padding>", {("eyes", "wide")}),
        ("", set()),
    ],
)
def test_free_combinations_are_read_by_hand(sentence, claims):
    found = captions_faces.GRAMMAR.claims(sentence)
    assert set(found) == claims and len(found) == len(claims)


def test_claims_come_in_the_order_of_the_sentence():
    text = "wide eyes, a striped background and slanted brows"
    assert [name for name, _ in captions_faces.GRAMMAR.claims(text)] == ["eyes", "background", "brows"]


def test_plain_values_and_light_topics_are_mentioned_less():
    words = {"plain": "dull", "odd": "bright", "rare": "faint"}
    topics = {name: topic((f"a {name}",), words, plain="plain") for name in ("ear", "chin", "cheek", "lid")}
    topics["lid"] = topics["lid"]._replace(weight=0.2)
    grammar, random = Grammar(topics, ("we see",)), np.random.default_rng(0)
    truth = {"ear": "plain", "chin": "odd", "cheek": "odd", "lid": "odd"}
    named = [name for _ in range(800) for name, _ in grammar.claims(grammar.write(truth, random))]
    counts = {name: named.count(name) for name in topics}
    assert counts["lid"] < 0.6 * counts["ear"] < 0.6 * counts["chin"]
    assert counts["chin"] == pytest.approx(counts["cheek"], rel=0.1)


def test_the_longest_row_is_read_and_none_of_its_words_again():
    ways = {"x": ("red spot",), "y": ("red spot ring",), "z": ("spot ring",)}
    grammar = Grammar({"spot": Topic(ways, dict.fromkeys(ways, ()))}, ("we see",))
    assert grammar.claims("a red spot ring") == (("spot", "y"),)
    assert grammar.claims("red spot, spot ring") == (("spot", "x"), ("spot", "z"))


def test_one_phrase_with_two_meanings_is_refused():
    both = Topic({"a": ("a spot",), "b": ("the spot",)}, {"a": (), "b": ()})
    with pytest.raises(ValueError, match="'the spot' for .*allowed: one meaning"):
        Grammar({"spot": both}, ("we see",))


def test_articles_and_numbers_of_phrases():
    made = topic(("a ear", "brows", "some hair"), {"x": "open red"})
    assert made.phrases["x"] == ("an open ear", "a red ear", "open brows", "red brows", "open hair", "red hair")
    assert made.clauses["x"][::2] == ("the ear is open", "the brows are open", "the hair is open")


# --- words as numbers ---------------------------------------------------------------------------------------------


def test_words_by_hand():
    made = xu.Vocabulary.of(["A red cat, a dog.", "the dog's red-brown ear"])
    assert made.words[4:] == (",", "a", "cat", "dog", "dog's", "ear", "red", "red-brown", "the") and len(made) == 13
    found = made.encode(["a red cat, a CAT!", "the bird"], 9)
    np.testing.assert_array_equal(found, [[1, 5, 10, 6, 4, 5, 6, 2, 0], [1, 12, 3, 2, 0, 0, 0, 0, 0]])
    assert found.dtype == np.int32
    assert made.decode(found) == ["a red cat, a cat", "the <unknown>"]
    assert made.decode([[1, 6, 2, 7, 7], [6, 0, 7, 0, 0]]) == ["cat", "cat dog"], "nothing behind the end"


@each_world
def test_sentences_go_to_numbers_and_back(small, world):
    sentences = [sentence for group in small(world).sentences for sentence in group]
    made = xu.Vocabulary.of(sentences)
    assert made.decode(made.encode(sentences, 24)) == sentences
    assert len(made) < 80


@pytest.mark.parametrize(
    "call, told",
    [
        (lambda made: made.encode("a b", 5), "sentences: got 'a b'; allowed: a list of sentences"),
        (lambda made: made.encode(["a", 3], 5), "sentences: got int; allowed: sentences as text"),
        (lambda made: made.encode(["a", "..."], 5), "sentences: got '...', which has no word"),
        (lambda made: made.encode(["a"], 2), "length: got 2; allowed: an integer of at least 3"),
        (lambda made: made.decode([1, 2]), "ids: got shape (2,)"),
        (lambda made: made.decode([[0.5]]), "ids: got shape (1, 1) of float64 values"),
        (lambda made: made.decode([[1, 6]]), "ids: got numbers from 1 to 6; allowed: 0 to 5"),
        (lambda made: made.decode([[-1, 4]]), "ids: got numbers from -1 to 4"),
        (lambda made: made.save(3), "path: got 3"),
        (lambda made: made.load(None), "path: got None"),
    ],
)
def test_wrong_sentences_and_numbers_are_refused(call, told):
    with pytest.raises((TypeError, ValueError)) as error:
        call(xu.Vocabulary(["a", "b"]))
    assert str(error.value).startswith(told)


def test_an_over_long_sentence_is_refused_with_the_length_that_works():
    made = xu.Vocabulary(["a", "b"])
    with pytest.raises(ValueError, match=r"length: got 4 for 3 words in 'a b a'.*give length=5"):
        made.encode(["a", "a b a"], 4)
    assert made.encode(["a b a"], 5).tolist() == [[1, 4, 5, 4, 2]]


def test_a_vocabulary_comes_back_from_its_file_and_a_changed_file_is_refused(tmp_path):
    made, path = xu.Vocabulary(["b", "a"]), tmp_path / "words.json"
    made.save(path)
    assert xu.Vocabulary.load(path) == made != xu.Vocabulary(["a", "b"])
    content = json.loads(path.read_text())
    for change in ({"words": ["a", "b"]}, {"words": ["b", "a", "c"]}, {"sha256": "0" * 64}):
        path.write_text(json.dumps(content | change))
        with pytest.raises(ValueError, match="not those it was saved with"):
            xu.Vocabulary.load(path)
    for text in ("", "[]", "{}", '{"words": 3, "sha256": ""}', "\x00"):
        path.write_text(text)
        with pytest.raises(ValueError, match="which is no vocabulary"):
            xu.Vocabulary.load(path)
    with pytest.raises(FileNotFoundError, match="which is no file"):
        xu.Vocabulary.load(tmp_path / "none.json")


@pytest.mark.parametrize("words", [["a", "a"], ["a b"], ["A"], [""], ["<end>"], [3], "ab", None, 5])
def test_words_that_are_none_are_refused(words):
    with pytest.raises((TypeError, ValueError), match="^words: got"):
        xu.Vocabulary(words)


def test_text_and_words_are_inverse():
    text = "we see red, green and blue"
    assert text_of(words_of(text)) == text


def test_the_streams_of_attributes_and_sentences_are_their_own():
    names = ("nuisance", "background", "evidence", "artefact", "labels", "attributes", "sentences")
    assert len({generator(0, 1, name).random() for name in names}) == len(names)


# --- birds, made in the published format --------------------------------------------------------------------------


NAMES = {
    "1": "001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg",
    "2": "001.Black_footed_Albatross/Black_Footed_Albatross_0009_34.jpg",
    "3": "002.Laysan_Albatross/Laysan_Albatross_0002_1027.jpg",
}


def birds():
    """{path: content} of the two archives: three pictures of two species."""
    made = {
        "CUB_200_2011/classes.txt": "1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n",
        "CUB_200_2011/images.txt": "".join(f"{number} {name}\n" for number, name in NAMES.items()),
        "CUB_200_2011/image_class_labels.txt": "1 1\n2 1\n3 2\n",
        "CUB_200_2011/train_test_split.txt": "1 0\n2 1\n3 1\n",
        "CUB_200_2011/README": "about",
    }
    for number, name in NAMES.items():
        stream = io.BytesIO()
        Image.new("L" if number == "3" else "RGB", (60, 40), int(number) * 30).save(stream, "JPEG", quality=95)
        made[f"CUB_200_2011/images/{name}"] = stream.getvalue()
        lines = [f"the bird {number} has {word} wings" for word in "a b c d e f g h i j".split()]
        made[f"cvpr2016_cub/text_c10/{name[:-4]}.txt"] = "\n".join(lines) + "\n"
    return made


def put(folder, files, zipped):
    for path, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        if zipped:
            with zipfile.ZipFile(folder / f"{path.split('/')[0]}.zip", "a") as archive:
                archive.writestr(path, data)
        else:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)


@pytest.mark.parametrize("zipped", [False, True])
def test_birds_are_read_as_published(tmp_path, monkeypatch, zipped):
    put(tmp_path, birds(), zipped)
    monkeypatch.setenv("XAI_DATA", str(tmp_path))
    found = xu.load_birds("train", size=32)
    assert found.names == (NAMES["2"], NAMES["3"]) and found.labels.tolist() == [0, 1]
    assert found.class_names == ("Black footed Albatross", "Laysan Albatross")
    assert found.sentences[1][0] == "the bird 3 has a wings" and found.sentences[0][9] == "the bird 2 has j wings"
    assert found.images.shape == (2, 32, 32, 3) and found.images.dtype == np.float32
    np.testing.assert_allclose(found.images[1], 90 / 255, atol=0.01)
    np.testing.assert_allclose(found.images[0], np.broadcast_to([60 / 255, 0, 0], (32, 32, 3)), atol=0.02)
    assert xu.load_birds("test", size=32).names == (NAMES["1"],)
    assert xu.load_birds("all", size=32, count=2).names == (NAMES["1"], NAMES["2"])


def test_birds_whose_species_is_spelled_otherwise_have_their_sentences(tmp_path, monkeypatch):
    files = {path.replace("text_c10/002.Laysan_Albatross/Laysan", "text_c10/002.Laysans_Albatross/Laysans"): content
             for path, content in birds().items()}  # fmt: skip
    put(tmp_path, files, False)
    monkeypatch.setenv("XAI_DATA", str(tmp_path))
    assert xu.load_birds("train", size=32).sentences[1][0] == "the bird 3 has a wings"
    twice = next(path for path in files if "Laysans" in path)
    put(tmp_path, {twice.replace("Laysans", "Laysan"): files[twice]}, False)
    with pytest.raises(ValueError, match="text_c10/002.Laysans_Albatross/.* and .* are of one picture; fetch it again"):
        xu.load_birds("train", size=32)


def test_a_picture_is_cut_to_its_middle_square(tmp_path, monkeypatch):
    files, stream = birds(), io.BytesIO()
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 20:60, 0] = 200
    Image.fromarray(picture).save(stream, "PNG")
    files[f"CUB_200_2011/images/{NAMES['1']}"] = stream.getvalue()
    put(tmp_path, files, False)
    monkeypatch.setenv("XAI_DATA", str(tmp_path))
    found = xu.load_birds("test", size=32).images[0]
    np.testing.assert_allclose(found[:, 2:-2], np.broadcast_to([200 / 255, 0, 0], (32, 28, 3)), atol=0.02)


def malformed():
    text = f"cvpr2016_cub/text_c10/{NAMES['2'][:-4]}.txt"
    ten = birds()[text]
    index = "CUB_200_2011/"
    yield f"{index}images.txt", None, "holds 0 of images.txt"
    yield f"{index}classes.txt", None, "classes.txt is missing"
    yield f"{index}classes.txt", "2 002.A\n3 003.B\n", "classes.txt does not number its 2 classes"
    yield f"{index}classes.txt", "1 001.A\none 002.B\n", "classes.txt holds 'one 002.B' in line 2"
    yield f"{index}images.txt", "1\n", "images.txt holds '1' in line 1"
    yield f"{index}images.txt", "1 a/b.jpg\n1 a/c.jpg\n", "images.txt has the number 1 twice, again in line 2"
    yield f"{index}images.txt", "1 ../b/c.jpg\n2 a/b.jpg\n3 a/c.jpg\n", "images.txt holds '../b/c.jpg'"
    yield f"{index}images.txt", "", "images.txt is empty"
    yield f"{index}images.txt", b"\xff\xfe", "images.txt is not a readable text"
    yield (
        f"{index}image_class_labels.txt",
        "1 1\n2 1\n",
        "image_class_labels.txt and images.txt differ in the picture 3",
    )
    yield f"{index}image_class_labels.txt", "1 1\n2 1\n3 7\n", "has the class '7', which classes.txt has not"
    yield f"{index}train_test_split.txt", "1 0\n2 1\n3 2\n", "train_test_split.txt holds '2' where 0 or 1"
    yield f"{index}train_test_split.txt", "1 0\n2 0\n3 0\n", "train_test_split.txt has no picture of the part 'train'"
    yield f"{index}images/{NAMES['2']}", None, "0009_34.jpg is missing"
    yield f"{index}images/{NAMES['2']}", "text", "0009_34.jpg is not a readable image"
    yield text, None, "0009_34.txt is missing"
    yield text, ten + "more\n", "has 11 lines, where 10 sentences should stand"
    yield text, ten.replace("the bird 2 has c wings", "..."), "has no word in line 3"


@pytest.mark.parametrize("path, content, told", list(malformed()), ids=lambda each: str(each)[:40])
def test_malformed_birds_are_refused(tmp_path, monkeypatch, path, content, told):
    files = birds()
    files[path] = content
    put(tmp_path, {path: content for path, content in files.items() if content is not None}, False)
    monkeypatch.setenv("XAI_DATA", str(tmp_path))
    with pytest.raises(ValueError) as error:
        xu.load_birds("train", size=32)
    assert told in str(error.value) and "fetch it again" in str(error.value)


def test_absent_birds_are_never_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("XAI_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="CUB_200_2011 is not in"):
        xu.load_birds()
    put(tmp_path, {path: text for path, text in birds().items() if path.startswith("CUB")}, False)
    with pytest.raises(FileNotFoundError, match="cvpr2016_cub is not in"):
        xu.load_birds()
