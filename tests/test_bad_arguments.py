"""Bad input for every public function that is not a method: each argument, each kind of wrong value.

`ARGUMENTS` says of which kind each argument is, `KINDS` what is wrong for that kind; a test fails for an argument
without a row. The methods themselves stand in `test_bad_input.py`, files and zips in `test_hostile_files.py`.
"""

import inspect
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import shapes
import tensorflow as tf
from refusals import Counter, refused

import mnist1d_utils as m1
import xai_utils as xu

NAN, INF = float("nan"), float("inf")
X = shapes.PLAIN.inputs()
MAP = np.abs(X).sum(axis=-1)
MASK = MAP > 2
PLATES = np.concatenate([MAP, MAP[:, ::-1], MAP[:, :, ::-1], MAP[:, ::-1, ::-1]])
LABELS = np.arange(48).reshape(8, 6) // 8
GREY = np.clip(X[..., :1], 0, 1)
FIGURE = plt.Figure()
TABLE = pd.DataFrame(
    [(name, metric, item, item + len(name)) for name in ("a", "bc", "def") for metric in "mn" for item in range(3)],
    columns=["method", "metric", "item", "value"],
)
SIGNALS = {"x": np.ones((520, 40)), "y": np.arange(520) % 10, "x_test": np.ones((10, 40)), "y_test": np.arange(10)}
RANDOM = np.random.default_rng(0)
LINEAR = keras.Sequential([keras.Input(shapes.IMAGE), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])
PHOTOS = xu.load_photos(16, ["cat", "coffee"])
CARD = {
    "name": "n",
    "data": "d",
    "split": "s",
    "input_range": [0, 1],
    "class_names": ["a", "b", "c"],
    "seed": 0,
    "command": "c",
    "epochs": 1,
    "accuracy": {},
    "confusion_matrix": [],
    "notes": "",
}


def with_one(array, value):
    """The array with one wrong value in it."""
    array = np.array(array, float)
    array.flat[0] = value
    return array


def whole(low):
    """Wrong integers of at least `low`: (value, exception, what the message says of it, what is allowed)."""
    wrong = [(low - 1, ValueError, str(low - 1), f"at least {low}"), (2.5, TypeError, "2.5", "integer")]
    return wrong + [(each, TypeError, repr(each), "integer") for each in (True, None, "many", np.array(3), [3], INF)]


def number(*outside, allowed="finite"):
    """Wrong numbers: those outside, those that are no number."""
    wrong = [(each, ValueError, str(each), allowed) for each in (*outside, NAN, INF)]
    return wrong + [(each, TypeError, repr(each), "number") for each in ("much", None, True, 1j, np.array(0.5))]


def word(*allowed):
    return [(each, ValueError, repr(each), *allowed) for each in ("nonsense", None, 3, np.zeros(2))]


def numbers(good):
    """Wrong arrays of numbers; `good` is a right one."""
    return [
        ("text", TypeError, "<U4", "numbers"),
        (None, TypeError, "object", "numbers"),
        (good.astype(complex), TypeError, "complex128", "numbers"),
        (good.astype(object), TypeError, "object", "numbers"),
        ([[1], [1, 2]], ValueError, "inhomogeneous", "regular array"),
        (np.ma.masked_array(good, good == good.flat[0]), ValueError, "masked array", "leave"),
        (good.ravel()[:3], ValueError, "(3,)", ""),
        (good[:0], ValueError, "(0, ", "") if good.ndim > 1 else (0.5, ValueError, "()", ""),
    ]


def finite(good):
    """As `numbers`, and NaN and infinity are wrong too."""
    return numbers(good) + [(with_one(good, each), ValueError, "NaN", "") for each in (NAN, INF)]


COUNT, SEED = whole(1), whole(0)
POSITIVE = number(0, -1, allowed="strictly between")
FROM_ZERO = number(-1, allowed="from 0")
FLAG = [(each, (TypeError, ValueError), repr(each), "True", "False") for each in (1, None, "yes", np.zeros(2))]
INPUTS = [
    (X[0], ValueError, "(8, 6, 2)", "inputs[None]"),
    (X[:0], ValueError, "empty batch", "(N, 8, 6, 2)"),
    (np.moveaxis(X, -1, 1), ValueError, "(3, 2, 8, 6)", "moveaxis"),
    (with_one(X, NAN), ValueError, "NaN", "finite"),
    (with_one(X, INF), ValueError, "infinity", "finite"),
    (X.astype(int), TypeError, "int64", "float"),
    (X.astype(object), TypeError, "object", "float"),
    (None, TypeError, "object", "float"),
    (np.ma.masked_less(X, 0), ValueError, "masked array", "filled"),
]
NAMED_INPUTS = {
    name: [(value, kind, given, cure.replace("inputs", name)) for value, kind, given, cure in INPUTS]
    for name in ("queries", "gallery")
}
POINTS = [(with_one(X, each), ValueError, "NaN", "finite") for each in (NAN, INF)] + [
    (X.astype(int), TypeError, "int64", "float"),
    (X.astype(object), TypeError, "object", "float"),
    ([[1.0], [1.0, 2.0]], ValueError, "inhomogeneous", "regular array"),
]
TARGETS = [
    (3, ValueError, "3", "0 to 2"),
    (-1, ValueError, "-1", "0 to 2"),
    (0.5, TypeError, "float64", "integers"),
    (True, TypeError, "bool", "integers"),
    ("cat", TypeError, "<U3", "integers"),
    ([[0], [1, 2]], ValueError, "inhomogeneous", "regular array"),
]
MODEL = [(each, TypeError, type(each).__name__, "Keras") for each in (None, "models/mnist1d.keras", np.argmax, 3)]
LAYER = [
    ("conv9", ValueError, "'conv9'", "conv_1", "conv_2"),
    ("", ValueError, "''", "conv_1", "conv_2"),
    (7, ValueError, "7", "conv_1", "conv_2"),
    (np.zeros(2), ValueError, "array([0., 0.])", "conv_1", "conv_2"),
    (tf.zeros(2), ValueError, "tf.Tensor", "conv_1", "conv_2"),
]
SCORE = word("'logit'", "'probability'", "'value'")
ACTIVATION = [each for each in word("'softmax'", "'sigmoid'") if each[0] is not None]
ACTIVATION += [("sigmoid", ValueError, "'sigmoid'", "softmax")]
FILL = [
    ("grey", ValueError, "'grey'", "'zero'", "'mean'", "'blur'"),
    (NAN, ValueError, "nan", "finite"),
    (None, ValueError, "None", "'zero'"),
    (np.zeros((5, 5)), ValueError, "(5, 5)", "(8, 6, 2)"),
]
FUNCTION = [(each, TypeError, repr(each), "xu.saliency") for each in (None, "saliency", 3)]
NAMED = [(3, TypeError, "3", "letters"), ("a b", ValueError, "'a b'", "letters")]
FRAME = [(each, TypeError, type(each).__name__, "DataFrame") for each in (None, "table.csv", X, {})] + [
    (TABLE[["method", "item"]], ValueError, "['metric', 'value']", "xu.evaluate"),
    (pd.concat([TABLE, TABLE]), ValueError, "two rows", "one run"),
]
NAMES = [(each, TypeError, repr(each), "tuple of names") for each in ("saliency", None, 3)]
PATH = [(each, TypeError, repr(each), "name of a file") for each in (None, 3, 2.5, True)] + [
    ("", ValueError, "", "name of a file"),
    ("model.pb", ValueError, "'.pb'", ".keras"),
]
ROWS = Path(__file__).parents[1] / "results" / "hmt_all.csv"
ROWS_PATH = PATH[:-2] + [
    ("", ValueError, "", "name of a file"),
    ("none.csv", FileNotFoundError, "none.csv", "make evaluation"),
    (ROWS.with_name("tissue_phantom_memory.csv"), ValueError, "tissue_phantom_memory.csv", "results/hmt_"),
]
SUMMARY = xu.summarise(TABLE, resamples=10)
SUMMARIES = FRAME[:4] + [(SUMMARY.drop(columns="low"), ValueError, "['low']", "xu.summarise")]
WIDTH = [(each, ValueError, repr(each), "1 to 100") for each in (0, -1, NAN, INF)]
WIDTH += [(each, TypeError, repr(each), "1 to 100") for each in ("wide", None, True, [3])]
COLUMNS = [(each, ValueError, repr(each), "integer", "at most 1000") for each in (0, -1, 1001)]
COLUMNS += [(each, TypeError, repr(each), "integer") for each in (2.5, "all", True, [3])]
TEXT = [(each, TypeError, type(each).__name__, "text") for each in (None, 3, b"x", ["a"])]
REFERENCE = [(each, TypeError, repr(each), "(value, text)") for each in (3, "a", (1,), (1, "a", "b"), {})] + [
    ((NAN, "a"), ValueError, "nan", "number"),
    (("a", "a"), TypeError, "'a'", "number"),
    ((1, 2), TypeError, "int", "text"),
]
RANGE = [(each, TypeError, repr(each), "(low, high)") for each in (1, "", (1,), (0, 1, 2), True)] + [
    ((1, 0), ValueError, "(1, 0)", "low below high"),
    ((0, NAN), ValueError, "nan", "finite"),
    ((0, "a"), TypeError, "<U", "numbers"),
]
EACH = [(3, TypeError, "3", "one text for each"), (["a"], ValueError, "1 entries", "one text for each")]
CLASSES = [(each, TypeError, repr(each), "one text for each") for each in (3, None)]
DICTIONARY = [(each, TypeError, type(each).__name__, "dictionary") for each in ([1], "a", 3)]
PART = [(each, ValueError, repr(each), "'train'", "'test'") for each in ("valid", None, 3, np.zeros(2))]
MASKS = [
    (MASK[:, :4], ValueError, "(3, 4, 6)", "(3, 8, 6)"),
    ([[1], [1, 2]], ValueError, "inhomogeneous", "regular array"),
]
BOOLEAN = [*MASKS, (MAP, ValueError, "float", "bool"), (None, ValueError, "object", "bool")]
SHOWN = numbers(GREY)[:-2] + [(GREY[0, 0], ValueError, "(6, 1)", "[:1]"), (GREY[:0], ValueError, "empty", "at least")]
TINY_SEED = [*SEED, (2**32, ValueError, str(2**32), "at most 4294967295")]
NOISE = number(-1, allowed="finite number from 0")
TEMPLATES = [(each, ValueError, "", "shapes") for each in ([], {}, {"x": [[1], [1, 2]]}, "a")] + [
    ({**m1.templates(), "t": np.full(12, NAN)}, ValueError, "", "finite")
]
DATA = [(each, TypeError, type(each).__name__, "dictionary") for each in (3, "a", X)]
DATA += [({}, ValueError, "keys []", "dictionary"), ({"x": SIGNALS["x"]}, ValueError, "keys ['x']", "dictionary")]
FILE = [(each, TypeError, repr(each), "name of a file") for each in (None, 3, True)]

CONCEPTS = xu.Concepts(X, {"part": {"a": MASK, "b": ~MASK}})
ROWS_OF_FEATURES, CODES = RANDOM.normal(size=(12, 4)), np.arange(12) % 3
SOURCES = [
    (3, ValueError, "shape ()", "one name or integer"),
    ([0, 1], ValueError, "2 for 3 inputs", "one for each input"),
    ([0.5, 1, 2], ValueError, "float64", "one name or integer"),
    ([[1], [1, 2]], ValueError, "inhomogeneous", "regular array"),
]
OPEN_CATEGORIES = [
    ({"z": [True] * 3}, ValueError, "'z'", "['part']"),
    (3, TypeError, "int", "{category:"),
    ({}, TypeError, "empty dict", "{category:"),
    ({"part": [1, 1, 1]}, ValueError, "int64", "(3,) of bool"),
    ({"part": [False] * 3}, ValueError, "no labelled picture", "leave the category out"),
]
NAMED_MASKS = [(each, TypeError, type(each).__name__, "{category:") for each in (None, 3, "a", [MASK])] + [
    ({}, TypeError, "empty dict", "{category:"),
    ({"part": {}}, TypeError, "empty dict", "{name:"),
    ({"part": MASK}, TypeError, "ndarray", "{name:"),
    ({"part": {3: MASK}}, TypeError, "int", "text"),
    ({"part": {"a": MAP}}, ValueError, "float", "bool"),
    ({"part": {"a": MASK[:, :4]}}, ValueError, "(3, 4, 6)", "(3, 8, 6)"),
    ({"part": {"a": MASK & False}}, ValueError, "on no picture", "leave the concept out"),
]
FEATURES = finite(ROWS_OF_FEATURES) + [(ROWS_OF_FEATURES[:4], ValueError, "(4, 4)", "5 rows")]
ONE_EACH = [
    (3, ValueError, "()", "(12,)"),
    (CODES[1:], ValueError, "(11,)", "(12,)"),
    (CODES / 2, TypeError, "float64", "integer"),
    ([[1], [1, 2]], ValueError, "inhomogeneous", "regular array"),
]
WHOLE_PLACES = [
    (0.5, TypeError, "float64", "integers"),
    ("a", TypeError, "<U1", "integers"),
    ([[1], [1, 2]], ValueError, "inhomogeneous", "regular array"),
]

MAPPED = {"model": MODEL, "inputs": INPUTS, "targets": TARGETS, "batch_size": COUNT}
ASKED = MAPPED | {"score": SCORE, "activation": ACTIVATION}
HEAD = [(each, ValueError, repr(each), "one output") for each in ("age", 1)]
HEAD += [(each, TypeError, repr(each), "name or the number") for each in (2.5, True, [0])]
ONLY = [(each, ValueError, repr(each), "one input", "leave it out") for each in ("image", 0, [0])]
SHARE = number(0, -0.1, 1.1, allowed="above 0 and at most 1")
STEPS = [*(each for each in COUNT if each[0] is not None), (49, ValueError, "49", "at most 48")]
CLIMB = {
    "model": MODEL,
    "iterations": COUNT,
    "step": number(0, -1, 1e30),
    "noise": number(-1, 1e30),
    "seed": SEED,
    "blur": number(-1, 9, 1e12),
    "jitter": whole(0) + [(9, ValueError, "9", "at most 8")],
}
TRUTH = {
    "relevance": finite(MAP)[:-3] + [(with_one(MAP, each), ValueError, "relevance", "Cure") for each in (NAN, INF, -1)],
    "mask": BOOLEAN,
}
MAPS = {"one": [*finite(MAP)[:7], *finite(MAP)[-2:]], "other": finite(MAP)}
PROBABILITIES = {
    name: numbers(np.array([0.5, 0.6]))[:-2]
    + [
        (0.5, ValueError, "()", "one probability"),
        ([0.5, NAN], ValueError, "", ""),
        ([0.5, 1.5], ValueError, "outside", "0 to 1"),
    ]
    for name in ("full", "kept")
}
SCORES = numbers(np.ones(3))[:-2] + [
    (1.0, ValueError, "()", "one finite score"),
    ([1, 2, NAN], ValueError, "", "finite"),
]
GENERATED = {
    "count": COUNT,
    "seed": SEED,
    "confounded": [each for each in number(-0.1, 1.1) if each[0] is not None],
    "labels": [
        (0, ValueError, "()", "(2,)"),
        ([0, 9], ValueError, "9", "between 0 and"),
        ([0.5, 1], TypeError, "float64", "integers"),
        ([[1], [1, 2]], ValueError, "inhomogeneous", "regular array"),
    ],
    "fixed": [(each, TypeError, "", "maps names") for each in (3, "", [], np.zeros(2))]
    + [({"beard": 1}, ValueError, "'beard'", "known")],
}
RANDOMISED = {
    "order": word("'top_down'", "'bottom_up'", "'independent'"),
    "draws": word("'shuffle'", "'initialiser'"),
    "seed": SEED,
}
MARKED = {
    "artefact": [(each, ValueError, repr(each), "'border', 'blur'") for each in ("stamp", 3, np.zeros(2))],
    "artefact_strength": number(0, -0.5, 1.1, allowed="above 0 and at most 1"),
}
DRAWN = {"labels": EACH, "masks": [*MASKS, (MAP, ValueError, "values", "threshold")], "width": WIDTH}
SCALED = {
    "channels": word("'sum'", "'magnitude'"),
    "scale": word("'row'", "'map'"),
    "overlay": FLAG,
    "percentile": number(0, -1, 101, allowed="above 0 and at most 100"),
    "signed": [(each, ValueError, repr(each), "True", "False") for each in (1, "yes", np.zeros(2))],
}


def called(*words):
    """Wrong functions, and the call that is wanted."""
    wrong = [(each, TypeError, repr(each), *words) for each in (None, "saliency", 3)]
    return [*wrong, (lambda: 0, TypeError, "does not fit", *words)]


# function -> (right arguments, {argument: what is wrong for it})


def attentive():
    """A network of patches of 2 pixels, 4 times 3 of them, that attend to each other."""
    inputs = keras.Input(shapes.IMAGE)
    x = keras.layers.Reshape((12, 4))(keras.layers.Conv2D(4, 2, 2)(inputs))
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.MultiHeadAttention(1, 4)(x, x))
    return keras.Model(inputs, keras.layers.Dense(3)(x))


FACES = xu.load_captioned("faces", "test", count=2)
SAID = ["raised brows", "a smile"]
SENTENCES = [(each, TypeError, repr(each), "a list of sentences") for each in ("a smile", None, 3)] + [
    (["a smile", 3], TypeError, "int", "text"),
]
WORDED = [*SENTENCES, ([], ValueError, "no sentence", "one or more"), (["a", "..."], ValueError, "'...'", "no word")]
GROUPS = [(each, TypeError, repr(each), "a list of the sentences") for each in ("a smile", None, 3, {})] + [
    ([], ValueError, "empty list", "a list of the sentences"),
    ([["a"], "b"], TypeError, "'b'", "a list of sentences"),
    ([["a"], []], ValueError, "no sentence", "one or more"),
    ([["a"], [" "]], ValueError, "' '", "no word"),
    ([["a"], [None]], TypeError, "NoneType", "text"),
]
FREQUENCIES = [(each, TypeError, repr(each), "xu.document_frequencies") for each in (3, {}, "a")] + [
    (xu.document_frequencies([["a"]]), ValueError, "of 1 picture", "frequencies=xu.document_frequencies"),
]
WORLD = [(each, TypeError, type(each).__name__, "xu.load_captioned") for each in (None, "faces", X)]
SENTENCE_LABELS = [
    (3, ValueError, "()", "(2,)"),
    ([0], ValueError, "(1,)", "(2,)"),
    ([0, 0.5], TypeError, "float64", "integers"),
    ([0, -1], ValueError, "-1", "0"),
    ([0, 7], ValueError, "7", "0 to"),
    ([[1], [1, 2]], ValueError, "inhomogeneous", "regular array"),
]
NETWORKS = Path(__file__).parents[1] / "models"
CAPTIONED = xu.load_model(NETWORKS / "captioned_faces.keras")
CAPTIONER = xu.load_captioner(NETWORKS / "captioners" / "captioned_faces_explanation.keras")
ONE_FACE = FACES.images[:1]
CHANGES = {"attribute": ["brows"] * 2, "old": ["level"] * 2, "new": ["raised"] * 2}
NO_FACES = [
    (ONE_FACE[0], ValueError, "(48, 48, 1)", "inputs[None]"),
    (ONE_FACE[:0], ValueError, "empty batch", "(N, 48, 48, 1)"),
    (ONE_FACE[:, ::2, ::2], ValueError, "(1, 24, 24, 1)", "(N, 48, 48, 1)"),
    (with_one(ONE_FACE, NAN), ValueError, "NaN", "finite"),
    (None, TypeError, "object", "float"),
]
ARGUMENTS = {
    "strangeness": (
        {"model": CAPTIONED, "inputs": ONE_FACE},
        {
            "model": [*MODEL, (attentive(), ValueError, "nothing of its own", "xu.load_model")],
            "inputs": NO_FACES,
            "batch_size": COUNT,
        },
    ),
    "explain_in_words": (
        {"model": CAPTIONED, "captioner": CAPTIONER, "inputs": ONE_FACE},
        {
            "model": MODEL,
            "captioner": [(each, TypeError, repr(each), "xu.load_captioner") for each in (None, 3, "explanation")],
            "inputs": NO_FACES,
            "targets": [
                (7, ValueError, "7", "0 to 6"),
                (-1, ValueError, "-1", "0 to 6"),
                (0.5, TypeError, "float64", "integers"),
                ([0, 1], ValueError, "2", "1"),
            ],
            "sentences": [each for each in SENTENCES if each[0] is not None]
            + [
                ([""], ValueError, "''", "one word or more"),
                (["a smile", "a smile"], ValueError, "2 for 1 inputs", "one for each"),
                (["a purple mouth"], ValueError, "'a purple mouth'", "captioner.vocabulary.words"),
                (["a smile " * 30], ValueError, "60 words", "at most 16 words"),
            ],
            "method": [(each, TypeError, repr(each), "xu.saliency") for each in (None, 3, "saliency")],
            "decoding": word("'greedy'", "'beam'", "'sample'"),
            "width": COUNT,
            "seed": SEED,
            "batch_size": COUNT,
        },
    ),
    "load_captioner": (
        {"path": NETWORKS / "captioners" / "captioned_faces_explanation.keras"},
        {"path": [*PATH, ("none.keras", FileNotFoundError, "none.keras", "make models")]},
    ),
    "advantages": (
        {"rewards": np.eye(2)},
        {
            "rewards": finite(np.eye(2)) + [([[1.0]], ValueError, "one sentence", "baseline=False")],
            "baseline": FLAG,
        },
    ),
    "word_weights": (
        {"ids": [[1, 4, 2, 0]]},
        {
            "ids": [(each, TypeError, "()", "(N, T + 1)") for each in (3, None, "a smile")]
            + [([[1.0]], TypeError, "float64", "integers"), ([], TypeError, "(0,)", "(N, T + 1)")],
            "gained": [
                (None, TypeError, "object", "numbers"),
                ([1, 2], ValueError, "(2,)", "(1,)"),
                (NAN, ValueError, "NaN", "finite"),
            ],
        },
    ),
    "load_captioned": (
        {},
        {
            "world": word("'faces'", "'tissue'"),
            "part": [(each, ValueError, repr(each), "'train'", "'test'") for each in ("all", None, 3, np.zeros(2))],
            "count": [each for each in COUNT if each[0] is not None],
            "confounded": GENERATED["confounded"],
            "artefact_words": [*FLAG, (True, ValueError, "without an artefact", "confounded=1.0")],
        },
    ),
    "counterfactuals": (
        {"captioned": FACES},
        {
            "captioned": WORLD,
            "seed": SEED,
            "attribute": [(each, ValueError, repr(each), "'brows'") for each in ("hair", 3, np.zeros(2))],
        },
    ),
    "load_birds": (
        {},
        {
            "part": [(each, ValueError, repr(each), "'train'", "'test'") for each in ("val", None, 3, np.zeros(2))],
            "size": [*whole(32), (513, ValueError, "513", "at most 512")],
            "count": [each for each in COUNT if each[0] is not None],
        },
    ),
    "Vocabulary": (
        {"words": ["a", "b"]},
        {
            "words": [(each, TypeError, repr(each), "a list of words") for each in ("ab", None, 3)]
            + [
                (["a", 3], TypeError, "int", "text"),
                (["a b"], ValueError, "'a b'", "single words"),
                (["A"], ValueError, "'A'", "lower case"),
                ([""], ValueError, "''", "single words"),
                (["a", "a"], ValueError, "'a' twice", "once"),
            ]
        },
    ),
    "document_frequencies": ({"references": [["a"]]}, {"references": GROUPS}),
    "cider": (
        {"sentences": SAID, "references": [["a"], ["b"]]},
        {
            "sentences": WORDED,
            "references": [*GROUPS, ([["a"]], ValueError, "1 groups for 2 sentences", "picture")],
            "frequencies": FREQUENCIES,
        },
    ),
    "class_similarity": (
        {"sentences": SAID, "by_class": [["a"], ["b"]], "frequencies": xu.document_frequencies([["a"], ["b"]])},
        {"sentences": WORDED, "by_class": GROUPS, "frequencies": FREQUENCIES},
    ),
    "class_rank": (
        {"similarities": np.eye(2), "labels": [0, 1]},
        {"similarities": finite(np.eye(2))[:7] + finite(np.eye(2))[-2:], "labels": SENTENCE_LABELS},
    ),
    "distinct_sentences": (
        {"sentences": SAID, "labels": [0, 1]},
        {"sentences": SENTENCES, "labels": [each for each in SENTENCE_LABELS if each[0] != [0, 7]]},
    ),
    "judge_words": (
        {"captioned": FACES, "sentences": SAID},
        {
            "captioned": WORLD,
            "sentences": [*SENTENCES, (["a"], ValueError, "1 sentences for 2", "give items=")],
            "items": [*SENTENCE_LABELS, ([0, 2], ValueError, "2", "0 to 1")],
            "labels": SENTENCE_LABELS,
            "method": TEXT,
        },
    ),
    "follows_picture": (
        {"captioned": FACES, "before": SAID, "after": SAID, "pairs": CHANGES},
        {
            "captioned": WORLD,
            "before": SENTENCES,
            "after": [*SENTENCES, (["a"], ValueError, "1 sentences for 2", "as many")],
            "pairs": [(each, ValueError, "none", "xu.counterfactuals") for each in (None, 3, {})]
            + [({**CHANGES, "old": ["level"]}, ValueError, "1 of 'old'", "one text for each of the 2")],
        },
    ),
    "claims_kept": (
        {"captioned": FACES, "before": SAID, "after": SAID},
        {
            "captioned": WORLD,
            "before": SENTENCES,
            "after": [*SENTENCES, (["a"], ValueError, "1 sentences for 2", "as many")],
        },
    ),
    "attention_rollout": (
        {"inputs": X, "model": attentive()},
        {
            "model": MODEL,
            "inputs": INPUTS,
            "targets": [(each, ValueError, shown, "None", "grad_cam") for each, shown in ((1, "1"), ([0, 1, 2], "[0"))],
            "share": number(-0.1, 1, 1.5, allowed="from 0"),
            "reader": [each for each in whole(0) if each[0] is not None] + [(12, ValueError, "12", "at most 11")],
            "grid": [
                ((3, 4), ValueError, "(3, 4)", "leave `grid` out"),
                ((6, 4), ValueError, "6", "leave `grid` out"),
                (0, ValueError, "0", "at least 1"),
                ([[1], [1, 2]], ValueError, "inhomogeneous", "regular"),
            ],
            "upsample": FLAG,
            "align": word("'centres'", "'stretch'"),
            "head": HEAD,
            "only": ONLY,
            "batch_size": COUNT,
        },
    ),
    "extremal_perturbation": (
        {"inputs": X, "steps": 1, "targets": 0},
        {
            **ASKED,
            "areas": [
                *numbers(np.array([[0.1, 0.2]]))[:4],
                (0.5, ValueError, "0.5", "one share or more"),
                ((), ValueError, "()", "above 0 and below 1"),
                ((0.0, 0.5), ValueError, "0.0", "above 0"),
                ((0.5, 1.0), ValueError, "1.0", "below 1"),
                ((0.5, NAN), ValueError, "nan", "above 0"),
                ((1e-3,), ValueError, "0.001", "at least one of 48 positions"),
            ],
            "game": word("'preservation'", "'deletion'"),
            "reference": [
                ("grey", ValueError, "'grey'", "'blur'", "'constant'", "'noise'"),
                (NAN, ValueError, "nan", "finite"),
                (np.zeros((5, 5)), ValueError, "(5, 5)", "(8, 6, 2)"),
                (X, ValueError, "input 0 itself", "another reference"),
            ],
            "grid": [
                (0, ValueError, "0", "at least 1"),
                ((7, 7), ValueError, "7", "at most 6"),
                ([3], ValueError, "[3]", "2 axes"),
                (2.5, TypeError, "2.5", "integer"),
            ],
            "steps": COUNT,
            "seed": SEED,
            "head": HEAD,
            "only": ONLY,
        },
    ),
    "scores": ({"inputs": X}, ASKED | {"head": HEAD}),
    "Query": (
        {"inputs": X},
        {
            **ASKED,
            "rule": [each for each in word("'guided'") if each[0] is not None],
            "head": HEAD,
            "only": ONLY,
            "as_positions": FLAG,
        },
    ),
    "Method": (
        {"function": xu.saliency, "output": "inputs"},
        {
            "function": called("function(model, inputs, targets)"),
            "name": NAMED,
            "output": word("'inputs'", "'map'"),
            "relevance": word("'magnitude'", "'positive'"),
        },
    ),
    "Metric": (
        {"name": "total", "measure": len, "better": "high"},
        {
            "name": [*NAMED, (None, TypeError, "None", "letters"), ("", ValueError, "''", "letters")],
            "measure": called("measure(case)"),
            "better": word("'high'", "'low'", "''"),
        },
    ),
    "kernels": (
        {"layer": "conv_1"},
        {"model": MODEL, "layer": [*LAYER, ("pool", ValueError, "'pool'", "no convolution")]},
    ),
    "activations": ({"inputs": X}, {"model": MODEL, "inputs": INPUTS, "layer": LAYER, "batch_size": COUNT}),
    "unit_map": (
        {"inputs": X, "layer": "conv_1", "channel": 0},
        {
            "model": MODEL,
            "inputs": INPUTS,
            "layer": LAYER,
            "channel": [*whole(0), (4, ValueError, "4", "at most 3")],
            "position": [
                *WHOLE_PLACES,
                (3, ValueError, "shape ()", "2 integers"),
                ([8, 0], ValueError, "0 to 8", "(8, 6)"),
                ([-1, 0], ValueError, "-1 to 0", "(8, 6)"),
                ([[0, 0]] * 2, ValueError, "2", "3"),
            ],
            "rule": word("'guided'", "'deconvnet'", "'gradient'"),
            "batch_size": COUNT,
        },
    ),
    "strongest": (
        {"layer": "conv_1", "inputs": X, "k": 2},
        {
            "model": MODEL,
            "layer": LAYER,
            "inputs": [*INPUTS, ({"a": X}, TypeError, "object", "float")],
            "k": [*COUNT, (4, ValueError, "4", "at most 3")],
            "sources": SOURCES,
            "per_source": COUNT,
            "batch_size": COUNT,
        },
    ),
    "patches": (
        {"layer": "conv_1", "inputs": X, "items": [0, 2], "positions": [[0, 0], [7, 5]]},
        {
            "model": MODEL,
            "layer": LAYER,
            "inputs": INPUTS,
            "items": [
                *WHOLE_PLACES,
                ([], TypeError, "float64", "integers"),
                ([0, 3], ValueError, "0 to 3", "0 to 2"),
                ([-1, 0], ValueError, "-1 to 0", "0 to 2"),
            ],
            "positions": [
                *WHOLE_PLACES,
                ([0, 0], ValueError, "(2,)", "(2, 2)"),
                ([[0, 0], [8, 5]], ValueError, "0 to 8", "(8, 6)"),
                ([[0, 0], [-1, 5]], ValueError, "-1 to 5", "(8, 6)"),
            ],
        },
    ),
    "features": (
        {"inputs": X},
        {"model": MODEL, "inputs": INPUTS, "layer": LAYER, "batch_size": COUNT},
    ),
    "neighbours": (
        {"queries": X, "gallery": X, "k": 2},
        {
            "model": MODEL,
            "queries": NAMED_INPUTS["queries"],
            "gallery": NAMED_INPUTS["gallery"],
            "k": [*COUNT, (4, ValueError, "4", "at most 3")],
            "layer": LAYER,
            "metric": word("'cosine'", "'euclidean'"),
            "batch_size": COUNT,
        },
    ),
    "knn_accuracy": (
        {"features": ROWS_OF_FEATURES, "labels": CODES},
        {
            "features": FEATURES,
            "labels": [*ONE_EACH, (None, TypeError, "object", "one name or integer")],
            "k": [*COUNT, (12, ValueError, "12", "at most 11")],
        },
    ),
    "layer_map": (
        {"features": ROWS_OF_FEATURES, "labels": CODES, "method": "pca"},
        {
            "features": FEATURES,
            "labels": ONE_EACH,
            "method": word("'pca'", "'t-sne'"),
            "k": [*COUNT, (6, ValueError, "6", "at most 5")],
            "perplexity": [each for each in number(0.5, 4, 12) if each[0] is not None],
            "start": word("'pca'", "'random'"),
            "seed": TINY_SEED,
        },
    ),
    "Concepts": (
        {"images": X, "masks": {"part": {"a": MASK}}},
        {
            "images": finite(X),
            "masks": NAMED_MASKS,
            "labelled": OPEN_CATEGORIES,
            "one_label": [
                ("part", TypeError, "'part'", "['part']"),
                (3, TypeError, "3", "['part']"),
                (("z",), ValueError, "'z'", "['part']"),
            ],
        },
    ),
    "colour_masks": (
        {"images": np.clip(np.repeat(GREY, 3, axis=-1), 0, 1)},
        {
            "images": [
                *finite(np.repeat(GREY, 3, axis=-1)),
                (GREY, ValueError, "(3, 8, 6, 1)", "(N, H, W, 3)"),
                (np.full((1, 2, 2, 3), 7.0), ValueError, "from 7 to 7", "[0, 1]"),
            ]
        },
    ),
    "concept_pictures": (
        {"count": 1, "size": 16},
        {"count": COUNT, "seed": SEED, "size": [*whole(16), (513, ValueError, "513", "at most 512")]},
    ),
    "dissect": (
        {"layer": "conv_1", "inputs": X, "concepts": CONCEPTS, "quantile": 0.1, "draws": 2},
        {
            "model": MODEL,
            "layer": LAYER,
            "inputs": [*INPUTS, (X[:2], ValueError, "2 inputs for 3", "in their order")],
            "concepts": [(each, TypeError, type(each).__name__, "xu.Concepts") for each in (None, {}, MASK)],
            "quantile": number(0, 1, -1, allowed="strictly between"),
            "threshold": number(-0.1, 1.1),
            "draws": whole(0),
            "sources": SOURCES,
            "seed": SEED,
            "folder": [(each, TypeError, repr(each), "name of a folder") for each in (3, True)],
            "batch_size": COUNT,
        },
    ),
    "ablated": (
        {"layer": "conv_1", "channels": [0, 3]},
        {
            "model": MODEL,
            "layer": LAYER,
            "channels": [
                ([4], ValueError, "from 4 to 4", "0 to 3"),
                ([-1, 2], ValueError, "from -1 to 2", "0 to 3"),
                (2, ValueError, "shape ()", "in a list"),
                ([0.5], TypeError, "float64", "integers"),
                ([True], TypeError, "bool", "integers"),
                ([[1], [1, 2]], ValueError, "", "regular"),
            ],
        },
    ),
    "activation_maximization": (
        {"layer": "conv_1", "iterations": 1},
        {
            **CLIMB,
            "layer": LAYER,
            "clip": FLAG[:3],
            "channels": [
                (4, ValueError, "4", "at most 3"),
                (-1, ValueError, "-1", "at least 0"),
                ([], ValueError, "none", "0 to 3"),
                (0.5, TypeError, "0.5", "integer"),
                (True, TypeError, "True", "integer"),
                ([[1], [1, 2]], ValueError, "", "regular"),
            ],
        },
    ),
    "class_model": (
        {"targets": 0, "iterations": 1},
        {**CLIMB, "targets": [*TARGETS, ([], TypeError, "float64", "0 to 2")], "decay": number(-1, 1e30)},
    ),
    "deep_dream": (
        {"inputs": X, "iterations": 1, "octaves": 1},
        {
            "model": MODEL,
            "inputs": INPUTS,
            "layer": LAYER,
            "iterations": COUNT,
            "step": number(0, -1, 1e30),
            "octaves": [*COUNT, (10**12, ValueError, "1000000000000", "at most 16")],
        },
    ),
    "deletion_curve": (
        {"inputs": X, "relevance": MAP},
        {**ASKED, "relevance": finite(MAP), "steps": STEPS, "fill": FILL},
    ),
    "insertion_curve": (
        {"inputs": X, "relevance": MAP},
        {**ASKED, "relevance": finite(MAP), "steps": STEPS, "fill": FILL},
    ),
    "region_perturbation": (
        {"inputs": X, "relevance": MAP, "steps": 2, "draws": 1},
        {
            **ASKED,
            "relevance": finite(MAP),
            "regions": [
                *(each for each in COUNT if each[0] is not None and each[0] != [3] and not isinstance(each[0], str)),
                (7, ValueError, "7", "at most 6"),
                ((2, 2, 2), ValueError, "(2, 2, 2)", "2 axes"),
            ],
            "steps": STEPS,
            "fill": [("grey", ValueError, "'grey'", "'uniform'"), *FILL[1:]],
            "draws": COUNT,
            "order": [(each, ValueError, repr(each), "'most', 'least'") for each in ("random", None, 1)],
            "seed": SEED,
        },
    ),
    "aopc": (
        {},
        {"curves": finite(np.ones((2, 4)))[:-3] + [(np.full((2, 3), NAN), ValueError, "NaN", "leave")]},
    ),
    "area_under_curve": (
        {"curves": np.ones((2, 4))},
        {
            "curves": finite(np.ones((2, 4)))[:-3] + [(np.full((2, 3), NAN), ValueError, "NaN", "leave")],
            "at": [
                *(wrong for wrong in finite(np.arange(4.0)) if wrong[0] is not None),
                *((each, ValueError, str(each), "rise") for each in ([0.0, 0.5, 0.5, 1.0], [1.0, 0.5, 0.2, 0.0])),
            ],
        },
    ),
    "max_sensitivity": (
        {"method": xu.saliency, "inputs": X},
        {**MAPPED, "method": FUNCTION, "radius": POSITIVE, "samples": COUNT, "seed": SEED},
    ),
    "infidelity": (
        {"inputs": X, "attribution": X},
        {**ASKED, "attribution": finite(X), "noise": POSITIVE, "samples": whole(2), "seed": SEED},
    ),
    "randomisation": ({"method": xu.saliency, "inputs": X}, {**MAPPED, "method": FUNCTION, "seed": SEED}),
    "randomised": ({}, {"model": MODEL, **RANDOMISED}),
    "parameter_test": ({"method": xu.saliency, "inputs": X}, {**MAPPED, "method": FUNCTION, **RANDOMISED}),
    "data_test": (
        {"method": xu.saliency, "inputs": X, "other": LINEAR},
        {
            **MAPPED,
            "method": FUNCTION,
            "other": [
                (None, TypeError, "None", "a Keras model"),
                (len, TypeError, "len", "a Keras model"),
                (keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), ValueError, "(4,)", "(8, 6, 2)"),
            ],
        },
    ),
    "noise_averaged": (
        {"method": xu.saliency},
        {"method": FUNCTION, "samples": COUNT, "noise": FROM_ZERO, "seed": SEED},
    ),
    "edge_map": ({"inputs": X}, {name: MAPPED[name] for name in ("model", "inputs", "targets", "batch_size")}),
    "random_map": (
        {"inputs": X},
        {**{name: MAPPED[name] for name in ("model", "inputs", "targets", "batch_size")}, "seed": SEED},
    ),
    "tune": (
        {"inputs": X, "method": "saliency"},
        {
            "model": MODEL,
            "inputs": INPUTS,
            "method": [("gradcam", ValueError, "'gradcam'", "'grad_cam'"), (3, ValueError, "3", "'grad_cam'")],
            "targets": TARGETS,
            "knobs": [
                (3, TypeError, "3", "{option: values}"),
                ({"score": "logit"}, TypeError, "'logit' for score", "tuple"),
                ({"score": range(7)}, ValueError, "7 values", "1 to 6"),
                ({"tone": (1,)}, ValueError, "['tone']", "score"),
            ],
            "options": [(3, TypeError, "3", "{option: value}"), ({"p": 1}, ValueError, "['p']", "score")],
            "steps": COUNT,
            "seed": SEED,
            "activation": ACTIVATION,
            "folder": [(each, TypeError, repr(each), "name of a folder") for each in (3, True)],
        },
    ),
    "evaluate": (
        {"inputs": X},
        {
            "model": MODEL,
            "inputs": INPUTS,
            "targets": TARGETS,
            "methods": [*NAMES, (("gradcam",), ValueError, "'gradcam'", "'grad_cam'")],
            "metrics": [
                *(each for each in NAMES if each[0] is not None),
                (("speed",), ValueError, "'speed'", "'deletion'"),
                ((), ValueError, "none", "deletion"),
            ],
            "masks": BOOLEAN[:-1],
            "options": [(each, TypeError, repr(each), "{method:") for each in (3, "a", [], {"grad_cam": 3})]
            + [
                ({"rise": {}}, ValueError, "['rise']", "grad_cam"),
                ({"grad_cam": {"p": 1}}, ValueError, "['p']", "relu"),
            ],
            "fraction": SHARE,
            "fill": number(),
            "steps": COUNT,
            "samples": COUNT,
            "seed": SEED,
            "activation": ACTIVATION,
            "folder": [(each, TypeError, repr(each), "name of a folder") for each in (3, True)],
        },
    ),
    "summarise": (
        {"frame": TABLE},
        {
            "frame": FRAME,
            "resamples": COUNT,
            "seed": SEED,
            "against": [(each, ValueError, repr(each), "'bc'") for each in ("z", 3)],
        },
    ),
    "read_scores": ({"path": ROWS}, {"path": ROWS_PATH, "settings": word("'tuned'", "'paper'")}),
    "read_choices": ({"path": ROWS.with_name("hmt_tuning.csv")}, {"path": ROWS_PATH}),
    "read_options": ({"path": ROWS.with_name("hmt_tuning.csv")}, {"path": ROWS_PATH}),
    "rank_spread": (
        {"frame": pd.concat([TABLE.assign(training=k) for k in (0, 1)]), "metric": "m", "better": "high"},
        {
            "frame": [each for each in FRAME if not isinstance(each[0], pd.DataFrame)]
            + [(TABLE, ValueError, "['training']", "method")],
            "metric": word("'m'", "'n'"),
            "better": [(each, ValueError, repr(each), "'high', 'low'") for each in ("up", 3, "")],
            "resamples": COUNT,
            "seed": SEED,
        },
    ),
    "rank_agreement": (
        {"frame": TABLE, "one": "m", "other": "n"},
        {"frame": FRAME, "one": word("'m'", "'n'"), "other": word("'m'", "'n'"), "resamples": COUNT, "seed": SEED},
    ),
    **dict.fromkeys(
        ("evidence_mass", "evidence_density", "pointing_game", "rank_accuracy", "average_precision"),
        ({"relevance": MAP, "mask": MASK}, TRUTH),
    ),
    **dict.fromkeys(("rank_correlation", "similarity", "hog_similarity"), ({"one": MAP, "other": MAP}, MAPS)),
    "concentration": ({"relevance": MAP}, {"relevance": TRUTH["relevance"]}),
    "detection": (
        {"suspect": np.arange(30.0), "clean": np.arange(30.0), "validation": np.arange(30.0)},
        {
            "suspect": finite(np.ones(30))[:6] + finite(np.ones(30))[8:],
            "clean": finite(np.ones(30)),
            "validation": finite(np.ones(30))[:6] + finite(np.ones(30))[7:],
            "maps": [
                *((each, TypeError, repr(each), "(1, 5, 20)") for each in (5, None, "5", ())),
                ((0,), ValueError, "0", "at least 1"),
                ((31,), ValueError, "31", "at most 30"),
                ((2.5,), TypeError, "2.5", "integer"),
            ],
            "false_alarms": number(0, 1, -0.1, allowed="strictly between 0 and 1"),
            "statistic": [(each, TypeError, repr(each), "numpy.mean") for each in (None, "mean", 3)],
            "two_sided": FLAG,
            "resamples": COUNT,
            "seed": SEED,
        },
    ),
    "spectral_clusters": (
        {"relevance": PLATES, "neighbours": 2, "most": 3},
        {
            "relevance": TRUTH["relevance"],
            "count": [each for each in COUNT if each[0] is not None] + [(12, ValueError, "12", "at most 11")],
            "neighbours": [*COUNT, (12, ValueError, "12", "at most 11")],
            "side": COUNT,
            "most": [*COUNT, (12, ValueError, "12", "at most 11")],
            "seed": SEED,
        },
    ),
    "remove_top": (
        {"inputs": X, "relevance": MAP},
        {
            "inputs": POINTS,
            "relevance": finite(MAP),
            "share": number(0, 1, -0.1, allowed="strictly between 0 and 1"),
            "order": word("'most'", "'least'"),
            "fill": [("grey", ValueError, "'grey'", "'zero'"), *FILL[1:]],
            "noise": FROM_ZERO,
            "seed": SEED,
        },
    ),
    "removal_curve": (
        {"inputs": X, "relevance": MAP, "shares": (0.5,)},
        {
            **ASKED,
            "relevance": finite(MAP),
            "shares": [
                *((each, TypeError, repr(each), "a list of shares") for each in (0.5, None, "0.5", ())),
                ((0.5, 0.5), ValueError, "[0.5, 0.5]", "rise"),
                *(([each], *wrong) for each, *wrong in number(0, 1, allowed="strictly between 0 and 1")),
            ],
            "order": word("'most'", "'least'"),
            "noise": FROM_ZERO,
            "seed": SEED,
        },
    ),
    "softened": ({}, {"model": MODEL, "beta": POSITIVE}),
    "forged": (
        {"inputs": X, "goal": MAP, "steps": 1},
        {
            **MAPPED,
            "goal": finite(MAP),
            "method": word("'saliency', 'gradient_x_input', 'integrated_gradients', 'grad_cam'"),
            "baseline": [("mean", ValueError, "'mean' for 'saliency'", "", "integrated_gradients")],
            "layer": [("conv", ValueError, "'conv' for 'saliency'", "", "grad_cam")],
            "limit": SHARE,
            "steps": COUNT,
            "beta": POSITIVE,
            "keep": FROM_ZERO,
        },
    ),
    "scaffolded": (
        {"honest": len, "decoy": len, "ordinary": X, "perturbed": X},
        {
            **{
                name: [(each, TypeError, repr(each), "a function") for each in (None, 3)]
                for name in ("honest", "decoy")
            },
            "ordinary": finite(X)[:6] + finite(X)[7:],
            "perturbed": finite(X),
            "seed": SEED,
        },
    ),
    "map_entropy": ({"maps": MAP}, {"maps": finite(MAP), "bins": COUNT}),
    "entropy_rise": ({"before": MAP, "after": MAP}, {"before": MAPS["one"], "after": MAPS["other"], "bins": COUNT}),
    "keep_top": (
        {"inputs": X, "relevance": MAP},
        {"inputs": POINTS, "relevance": finite(MAP), "fraction": SHARE, "fill": number()},
    ),
    "soft_mask": (
        {"inputs": X, "relevance": MAP},
        {"inputs": POINTS, "relevance": TRUTH["relevance"], "fill": number()},
    ),
    **dict.fromkeys(("average_drop", "average_increase"), ({"full": [0.5, 0.6], "kept": [0.5, 0.6]}, PROBABILITIES)),
    "completeness_gap": (
        {"attribution": X, "score": np.ones(3), "baseline_score": np.zeros(3)},
        {"attribution": numbers(X)[:-1], "score": SCORES, "baseline_score": SCORES},
    ),
    "load_model": (
        {"path": Path(__file__).parents[1] / "models" / "mnist1d.keras"},
        {
            "path": PATH,
            "input_range": [each for each in RANGE if each[0] is not None],
            "custom_objects": [
                (3, TypeError, "3", "a dictionary"),
                ({"Mine": "a text"}, TypeError, "'Mine'", "classes or functions"),
                ({3: len}, TypeError, "3", "a dictionary"),
            ],
        },
    ),
    "read_card": ({}, {"path": [*PATH[:-1], ("none.json", FileNotFoundError, "none.json", "make models")]}),
    "save_model": (
        {"path": "new.keras", "card": CARD},
        {
            "model": MODEL,
            "path": [*PATH, ("old.h5", ValueError, "'.h5'", ".keras")],
            "card": [
                (None, TypeError, "NoneType", "keys"),
                ({}, ValueError, "missing", "keys"),
                ({**CARD, "class_names": "ab"}, ValueError, "2", "3"),
            ],
        },
    ),
    "wilson_interval": (
        {"correct": 1, "total": 2},
        {
            name: [(each, TypeError, repr(each), "integer") for each in (0.5, None, "a", True, NAN)]
            + [(-1, ValueError, "-1", "at least")]
            for name in ("correct", "total")
        },
    ),
    "pros_and_cons": (
        {"attribution": MAP[0], "segments": LABELS},
        {
            "attribution": finite(MAP[0])[:-4] + finite(MAP[0])[-2:],
            "segments": [
                (LABELS.T, ValueError, "(6, 8)", "(8, 6)"),
                (LABELS / 2, TypeError, "float64", "integer"),
                ([[1], [1, 2]], ValueError, "", "regular"),
            ],
            "count": COUNT,
        },
    ),
    "superpixels": (
        {"inputs": X},
        {
            "inputs": [
                *numbers(X),
                (with_one(X, NAN), ValueError, "NaN", "finite"),
                (X[:, :1, :1], ValueError, "one position", "no parts"),
            ],
            "count": [each for each in whole(2) if each[0] is not None],
        },
    ),
    "schematic_faces": (
        {"count": 2, "confounded": 1.0},
        GENERATED
        | MARKED
        | {
            "neutral": [
                *[(each, TypeError, "", "a list of parts") for each in ("mouth", 3, None)],
                (["nose"], ValueError, "'nose'", "'brow', 'eye', 'mouth'"),
                ([2], ValueError, "2", "'brow', 'eye', 'mouth'"),
            ],
        },
    ),
    "tissue_phantom": ({"count": 2, "confounded": 1.0}, GENERATED | MARKED),
    "face_parts": ({"count": 2}, GENERATED),
    "tissue_parts": ({"count": 2}, GENERATED),
    "load_photos": (
        {"size": 8},
        {
            "size": [*whole(1), (-1, ValueError, "-1", "at least 1")],
            "names": [
                ("cat", TypeError, "'cat'", "a list of names", "coffee"),
                (3, TypeError, "3", "a list of names"),
                ([], ValueError, "[]", "coffee"),
                (["cat", "dog"], ValueError, "['dog']", "coffee"),
                (["cat", None], ValueError, "[None]", "coffee"),
                (["cat", "cat"], ValueError, "['cat', 'cat']", "at most once"),
            ],
        },
    ),
    "crops": (
        {"photos": PHOTOS, "count": 2, "size": 8},
        {
            "photos": [(each, TypeError, type(each).__name__, "xu.load_photos()") for each in (None, "cat", X)],
            "count": COUNT,
            "size": COUNT,
            "seed": SEED,
            "scales": [
                *((each, TypeError, repr(each), "a list of shares") for each in (None, 0.5, "0.5", [], np.ones(2))),
                *(([each], *wrong) for each, *wrong in number(0, -0.5, 1.1, allowed="above 0 and at most 1")),
            ],
        },
    ),
    "load_fer2013": ({}, {"part": PART}),
    "load_hmt": ({}, {"part": PART}),
    "load_broden": (
        {},
        {
            "size": [(each, ValueError, repr(each), "224, 227, 384") for each in (100, None, "224", np.zeros(2))],
            "part": [(each, ValueError, repr(each), "'train'", "'val'") for each in ("test", None, 3, np.zeros(2))],
            "count": [each for each in COUNT if each[0] is not None],
        },
    ),
    "relevance": (
        {"name": "saliency", "attribution": X},
        {
            "name": word("'saliency'", "'grad_cam'"),
            "attribution": [*finite(X)[:-3], *finite(X)[-2:], (MAP[0], ValueError, "(8, 6)", "(N, H, W, C)")],
        },
    ),
    "forget": ({}, {"model": MODEL}),
    "logits": ({}, {"model": MODEL}),
    "channels_last": ({}, {"model": MODEL}),
    "unit": (
        {"layer": "conv_1", "channel": 0},
        {"model": MODEL, "layer": LAYER, "channel": [*whole(0), (4, ValueError, "4", "at most 3")]},
    ),
    "head": (
        {"head": 0},
        {
            "model": MODEL,
            "head": [
                (1, ValueError, "1", "None, for a model with one output"),
                *((each, TypeError, repr(each), "name or the number") for each in (None, 2.5, True, [0])),
            ],
        },
    ),
    "contrast": ({"a": 2, "b": 0}, {"a": whole(0), "b": [*whole(0), (2, ValueError, "2", "another class than a")]}),
    "region": (
        {"mask": MASK[0]},
        {
            "mask": [
                *numbers(MASK[0].astype(float))[:6],
                *finite(MASK[0].astype(float))[-2:],
                (-MASK[0].astype(float), ValueError, "negative", "0 or more"),
            ],
            "each": FLAG,
        },
    ),
    "plot_volume": (
        {"volume": GREY[..., 0], "maps": {"a": MAP}},
        {
            "volume": numbers(GREY)[:-2] + [(GREY[0, 0], ValueError, "(6, 1)", "(D, H, W)")],
            "maps": [*DICTIONARY, *(({"a": each}, kind, *words) for each, kind, *words in finite(MAP)[:-3])],
            "axis": [*whole(0), (3, ValueError, "3", "at most 2")],
            "slices": [*COUNT, (4, ValueError, "4", "odd")],
            **{name: SCALED[name] for name in ("channels", "percentile", "signed")},
            "input_range": RANGE,
            "width": WIDTH,
        },
    ),
    "with_relu_rule": ({"rule": "guided"}, {"model": MODEL, "rule": word("'guided'", "'deconvnet'")}),
    "plot_images": ({"images": GREY}, {"images": SHOWN, **DRAWN, "columns": COLUMNS, "input_range": RANGE}),
    "plot_attributions": (
        {"images": GREY, "maps": {"a": MAP}},
        {
            "images": SHOWN,
            **DRAWN,
            **SCALED,
            "contour": FLAG,
            "columns": COLUMNS,
            "input_range": RANGE,
            "maps": [
                *DICTIONARY,
                ({}, TypeError, "empty dict", "dictionary"),
                *(({"a": each}, kind, *words) for each, kind, *words in finite(MAP)[:-3]),
            ],
        },
    ),
    "plot_signals": (
        {"signals": X[:, :, 0], "maps": {"a": MAP[:, :, 0]}},
        {
            "signals": SHOWN[:-2],
            **DRAWN,
            "masks": [*MASKS[1:], (MASK, ValueError, "(3, 8, 6)", "(3, 8)")],
            **SCALED,
            "maps": DICTIONARY,
        },
    ),
    "plot_confusion": (
        {"matrix": np.eye(2), "class_names": "ab"},
        {"matrix": finite(np.eye(2)), "class_names": CLASSES, "width": WIDTH},
    ),
    "plot_intervals": (
        {"names": "ab", "estimates": [1, 2], "intervals": [[1, 1], [2, 2]], "xlabel": ""},
        {
            "names": EACH,
            "estimates": numbers(np.ones(2))[:5] + [([1, NAN], ValueError, "NaN", "finite")],
            "intervals": finite(np.ones((2, 2))),
            "xlabel": TEXT,
            "reference": REFERENCE,
            "width": WIDTH,
        },
    ),
    "plot_scores": (
        {"summary": SUMMARY, "metrics": {"m": "score"}},
        {
            "summary": SUMMARIES,
            "metrics": [
                *DICTIONARY,
                ({}, TypeError, "empty dict", "{metric: label}"),
                ({"k": "score"}, ValueError, "'k'", "'m'"),
                ({"m": 3}, TypeError, "int", "text"),
            ],
            "beside": SUMMARIES[1:],
            "references": [*DICTIONARY, *(({"m": each}, *wrong) for each, *wrong in REFERENCE)],
            "width": WIDTH,
        },
    ),
    "plot_curves": (
        {"curves": {"a": ([1, 2], [1, 2])}, "xlabel": "", "ylabel": ""},
        {
            "curves": [
                *DICTIONARY,
                (None, TypeError, "NoneType", "dictionary"),
                ({}, TypeError, "empty dict", "dictionary"),
            ],
            "xlabel": TEXT,
            "ylabel": TEXT,
            "log": word("'x'", "'xy'"),
            "reference": REFERENCE,
            "width": WIDTH,
        },
    ),
    "plot_architecture": (
        {},
        {
            "model": [
                (each, ValueError, "", "functional or Sequential") for each in (None, "a", 3, keras.Sequential())
            ],
            "title": TEXT,
        },
    ),
    "describe": (
        {"figure": FIGURE, "alt": "a"},
        {
            "figure": [(each, TypeError, type(each).__name__, "matplotlib figure") for each in (None, "a", np.argmax)],
            "alt": [*TEXT, (" ", ValueError, "empty", "sentences")],
        },
    ),
    "save_figure": (
        {"figure": FIGURE, "name": "a", "alt": "a"},
        {
            "figure": [(each, TypeError, type(each).__name__, "matplotlib figure") for each in (None, "a", np.argmax)],
            "photograph": FLAG,
            "name": [*TEXT, ("../a", ValueError, "'../a'", "hyphens")],
            "alt": [*TEXT, (" ", ValueError, "empty", "sentences")],
        },
    ),
    "save_value": (
        {"name": "a", "value": 1, "text": "1"},
        {
            "name": [*TEXT, ("a b", ValueError, "'a b'", "hyphens")],
            "text": [*TEXT, ("2", ValueError, "'2'", "value")],
            "value": [
                (NAN, ValueError, "nan", "finite"),
                ("1", ValueError, "", "finite"),
                (None, TypeError, "NoneType", "number"),
                ([1], TypeError, "list", "number"),
            ],
        },
    ),
    "save_table": (
        {"name": "a", "frame": TABLE},
        {
            "name": TEXT,
            "frame": [*FRAME[:4], (TABLE[:0], ValueError, "(0, 4)", "at least one row")],
            "formats": DICTIONARY,
            "headers": DICTIONARY,
        },
    ),
    "m1.make_dataset": (
        {"count": 10},
        {
            "seed": TINY_SEED,
            "count": [*whole(10), (55, ValueError, "55", "multiple of 10")],
            **dict.fromkeys(("correlated_noise", "white_noise", "shear"), NOISE),
            "glyphs": TEMPLATES,
        },
    ),
    "m1.evidence_masks": (
        {"data": m1.make_dataset(count=10)},
        {
            "data": DATA,
            "threshold": number(0, -1, 1.1, allowed="above 0 and at most 1"),
        },
    ),
    "m1.load_pickle": ({}, {"path": [*FILE, ("absent.pkl", FileNotFoundError, "absent.pkl", "write_pickle")]}),
    "m1.write_pickle": (
        {"path": "new.pkl", "data": m1.make_dataset(count=10)},
        {"path": FILE, "data": DATA[:-1]},
    ),
    "m1.split": (
        {"data": SIGNALS, "part": "test"},
        {
            "data": [
                *DATA[:-1],
                ({**SIGNALS, "x_test": [[1], [1, 2]]}, ValueError, "(0,)", "(N, 40)"),
                ({**SIGNALS, "x_test": np.full((10, 40), NAN)}, ValueError, "", "finite"),
            ],
            "part": word("'train'", "'validation'", "'test'"),
        },
    ),
    "m1.network": ({}, {"head": word("'flatten'", "'gap'"), "seed": TINY_SEED}),
    "m1.augment": (
        {"x": np.zeros((2, 40, 1)), "random": RANDOM},
        {
            "x": [(np.zeros((2, 40)), ValueError, "(2, 40)", "(N, 40, 1)")],
            "random": [(each, TypeError, repr(each), "Generator") for each in (None, 0, "a")],
        },
    ),
    "m1.train": (
        {
            "model": keras.Sequential([keras.Input((40, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]),
            "data": SIGNALS,
        },
        {
            "model": [(each, ValueError, "None", "(None, 40, 1)") for each in (None, "a")],
            "data": DATA[:-1],
            "seed": TINY_SEED,
            "epochs": COUNT,
            "checkpoint": [
                (3, TypeError, "3", "name of a file"),
                ("run.txt", ValueError, "run.txt", ".npz"),
                ("absent/run.npz", ValueError, "absent", "folder"),
            ],
        },
    ),
}
FREE = {
    "no arguments": {"use_style", "methods_table", "load_faces", "imagenet_network", "m1.templates"},
    "names, no functions": {"METHODS", "METRICS", "XAIWarning"},
    "refuses as evaluate does: test_memory.py": {"peak_memory"},
    "passed on to the method": {
        "max_sensitivity.options",
        "randomisation.options",
        *(f"{name}_test.options" for name in ("parameter", "data")),
    },
    "asked for its truth alone": {"m1.train.progress", "Metric.needs_masks", "Metric.quick"},
    "told as it is": {f"Method.{name}" for name in ("title", "family", "needs", "formula", "reference")},
    "flags of a row": {"Method.signed", "Method.additive"},
}
EXEMPT = set().union(*FREE.values())


def function(name):
    """The public function of that name; what yields is asked for its first answer."""
    found = getattr(m1, name[3:]) if name.startswith("m1.") else getattr(xu, name)
    return (lambda **options: next(found(**options))) if name == "randomised" else found


def public():
    """The names of all public functions other than the methods."""
    of_m1 = [f"m1.{name}" for name in m1.__all__ if inspect.isfunction(getattr(m1, name))]
    return {*xu.__all__, *of_m1} - {*xu.METHODS} - EXEMPT


def test_every_argument_of_every_public_function_has_its_wrong_values():
    assert set(ARGUMENTS) == public()
    for name, (_, wrong) in ARGUMENTS.items():
        known = inspect.signature(getattr(m1, name[3:]) if name.startswith("m1.") else getattr(xu, name)).parameters
        assert set(known) == set(wrong) | {each for each in known if f"{name}.{each}" in EXEMPT}, name


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input(shapes.IMAGE)
    return keras.Model(
        inputs, shapes.chain([Counter(), *shapes.trunk(shapes.PLAIN), *shapes.head(shapes.PLAIN)], inputs)
    )


def cases():
    for name, (_, wrong) in ARGUMENTS.items():
        for argument, values in wrong.items():
            for place, value in enumerate(values):
                yield pytest.param(name, argument, value, id=f"{name}-{argument}-{place}")


def check(name, argument, wrong, model):
    """One wrong value is refused; the message starts with the argument's name."""
    value, exception, *words = wrong
    right, known = ARGUMENTS[name]
    asked = {"model": model} if "model" in known and "model" not in right else {}
    open_figures = plt.get_fignums()
    refused(exception, (argument, *words), function(name), **{**asked, **right, argument: value})
    assert plt.get_fignums() == open_figures


@pytest.mark.parametrize("name, argument, wrong", list(cases()))
def test_a_bad_argument_is_refused(name, argument, wrong, model):
    check(name, argument, wrong, model)


@pytest.mark.parametrize("name", [name for name in ARGUMENTS if not name.startswith(("load_", "read_", "m1.train"))])
def test_the_right_arguments_are_taken(name, model, tmp_path, monkeypatch):
    """Without this the cases above could be refused for another reason."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XAI_REPORT_DIR", str(tmp_path))
    right, wrong = ARGUMENTS[name]
    needed = {"aopc": {"curves": np.ones((2, 4))}, "m1.load_pickle": {"path": tmp_path / "data.pkl"}}
    if name == "m1.load_pickle":
        m1.write_pickle(tmp_path / "data.pkl", m1.make_dataset(count=10))
    asked = {"model": model} if "model" in wrong and "model" not in right else {}
    function(name)(**asked, **right, **needed.get(name, {}))
    plt.close("all")
