"""Oracles for saving, loading and measuring networks."""

import ast
import json
import math
import warnings
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from heatproof.networks import accuracy, cards

MODELS = Path(__file__).parents[1] / "models"
CARD = {
    "name": "toy",
    "data": "made here",
    "split": "none",
    "input_range": (0, 1),
    "class_names": ("left", "right"),
    "seed": 0,
    "command": "none",
    "epochs": np.int64(3),
    "accuracy": {"test": {"accuracy": 0.75, "correct": 3, "total": 4, "interval": [0.3, 0.95]}},
    "confusion_matrix": np.array([[2, 0], [1, 1]]),
    "notes": "",
}


def toy_model(units=2, activation="softmax"):
    """An untrained classifier whose outputs are those of its two input pixels."""
    inputs = keras.Input((1, 2, 1))
    dense = keras.layers.Dense(units, activation=activation, name="classes")
    model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    dense.set_weights([np.eye(2, dtype="float32")[:, :units], np.zeros(units, dtype="float32")])
    return model


PIXELS = np.array([[2, 0], [2, 1], [3, -1], [0, 4]], dtype="float32").reshape(4, 1, 2, 1)


def test_wilson_interval_is_the_published_formula():
    z, n, p = 1.959963984540054, 496, 461 / 496
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = [(p + z**2 / (2 * n) + sign * half) / (1 + z**2 / n) for sign in (-1, 1)]
    np.testing.assert_allclose(accuracy.wilson_interval(461, 496), expected, rtol=1e-9)
    low, high = accuracy.wilson_interval(0, 10)  # for p = 0: 0 and z^2 / (n + z^2)
    assert low == pytest.approx(0, abs=1e-12) and high == pytest.approx(z**2 / (10 + z**2), rel=1e-9)
    for correct, total in ((3, 2), (-1, 2), (0, 0)):
        with pytest.raises(ValueError, match="(correct|total): got .* at least"):
            accuracy.wilson_interval(correct, total)


def test_measure_counts_by_hand():
    entry, matrix = accuracy.measure(toy_model(), PIXELS, [0, 1, 0, 1])
    assert matrix.tolist() == [[2, 0], [1, 1]]
    assert (entry["correct"], entry["total"], entry["accuracy"]) == (3, 4, 0.75)
    assert entry["interval"] == pytest.approx(accuracy.wilson_interval(3, 4), abs=1e-4)
    # one sigmoid unit, weight 1 on the left pixel: class 1 where it is positive
    _, matrix = accuracy.measure(toy_model(1, "sigmoid"), PIXELS - 1, [1, 1, 0, 0])
    assert matrix.tolist() == [[1, 1], [0, 2]]
    with pytest.raises(ValueError, match="one label per input"):
        accuracy.measure(toy_model(), PIXELS, [0])


def test_model_and_card_come_back(tmp_path):
    model = toy_model()
    cards.save_model(model, tmp_path / "toy.keras", CARD)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["toy.json", "toy.keras"]
    loaded = cards.load_model(tmp_path / "toy.keras")
    np.testing.assert_array_equal(loaded(PIXELS), model(PIXELS))
    assert loaded.input_range == (0.0, 1.0) and loaded.class_names == ("left", "right")
    card = cards.read_card(tmp_path / "toy.keras")
    assert list(card) == list(cards.CARD_KEYS)
    assert (card["parameters"], card["input_shape"], card["epochs"]) == (6, [1, 2, 1], 3)
    assert card["confusion_matrix"] == [[2, 0], [1, 1]]
    assert cards.load_model(tmp_path / "toy.keras", input_range=(-1, 1)).input_range == (-1.0, 1.0)
    (tmp_path / "toy.json").unlink()
    bare = cards.load_model(tmp_path / "toy.keras")
    assert bare.input_range is None and bare.class_names is None


def test_a_saved_file_leaves_out_the_words_that_older_versions_of_keras_refuse(tmp_path):
    """What Keras writes, but for the arguments that are null and unknown before 3.15; nothing else is touched."""

    def config(path):
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))["config"]

    def without(part):
        if isinstance(part, list):
            return [without(each) for each in part]
        if not isinstance(part, dict):
            return part
        return {key: without(value) for key, value in part.items() if key not in ("input_axes", "output_axes")}

    model = toy_model()
    model.save(tmp_path / "raw.keras")
    cards.save_model(model, tmp_path / "toy.keras", CARD)
    assert "put_axes" not in json.dumps(config(tmp_path / "toy.keras"))
    assert config(tmp_path / "toy.keras") == without(config(tmp_path / "raw.keras"))


@pytest.mark.parametrize("step", ["model", "card"])
def test_a_failed_save_leaves_the_old_files(tmp_path, monkeypatch, step):
    cards.save_model(toy_model(), tmp_path / "toy.keras", CARD)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(*((keras.Model, "save") if step == "model" else (Path, "write_text")), full)
    with pytest.raises(OSError, match="No space"):
        cards.save_model(toy_model(), tmp_path / "toy.keras", CARD | {"notes": "new"})
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "change, message",
    [
        ({"seed": None, "author": "x"}, r"unknown keys \['author'\]"),
        ({"class_names": ["one"]}, r"card\['class_names'\]: got 1; allowed: 2, as in the model"),
        ({"input_shape": [2, 2, 1]}, r"card\['input_shape'\]"),
        ({"parameters": 7}, r"card\['parameters'\]: got 7; allowed: 6, as in the model"),
        ({"input_range": (1, 0)}, r"card\['input_range'\]"),
        ({"accuracy": {"test": {"accuracy": 0.5}}}, r"card\['accuracy'\]\['test'\]: got the keys"),
        ({"accuracy": {"test": CARD["accuracy"]["test"] | {"accuracy": 0.8}}}, "accuracy = correct / total"),
    ],
)
def test_a_wrong_card_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        cards.save_model(toy_model(), tmp_path / "toy.keras", CARD | change)
    incomplete = {key: value for key, value in CARD.items() if key != "seed"}
    with pytest.raises(ValueError, match=r"missing keys \['seed'\]"):
        cards.save_model(toy_model(), tmp_path / "toy.keras", incomplete)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------------- legacy files


def keras_2_file(path, functional):
    """A file as Keras 2.15 wrote it: its own config dialect, optimizer settings, weights by layer name."""
    kernel, bias = np.array([[1, -2], [0.5, 3]], dtype="float32"), np.array([0.25, -1], dtype="float32")
    shape = {"batch_input_shape": [None, 1, 2, 1], "dtype": "float32"}
    node = lambda name: [[[name, 0, 0, {}]]]  # noqa: E731
    layers = [
        {"class_name": "InputLayer", "config": shape | {"sparse": False, "ragged": False, "name": "signal"}},
        {"class_name": "Flatten", "config": {"name": "flat", "trainable": True, "dtype": "float32"}},
        {"class_name": "Dense", "config": {"name": "head", "dtype": "float32", "units": 2, "activation": "softmax"}},
    ]
    if functional:
        for layer, inbound in zip(layers, ([], node("signal"), node("flat")), strict=True):
            layer |= {"name": layer["config"]["name"], "inbound_nodes": inbound}
        ends = {"input_layers": [["signal", 0, 0]], "output_layers": [["head", 0, 0]]}
        config = {"class_name": "Functional", "config": {"name": "old", "trainable": True, "layers": layers} | ends}
    else:
        config = {"class_name": "Sequential", "config": {"name": "old", "layers": layers}}
    training = {"loss": "my_own_loss", "optimizer_config": {"class_name": "Adam", "config": {"lr": 0.1, "decay": 0.0}}}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = "2.15.0", "tensorflow"
        file.attrs["model_config"], file.attrs["training_config"] = json.dumps(config), json.dumps(training)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"signal", b"flat", b"head"]
        for name in ("signal", "flat", "head"):
            names = [b"head/kernel:0", b"head/bias:0"] if name == "head" else []
            weights.create_group(name).attrs["weight_names"] = names
        weights["head"]["head/kernel:0"], weights["head"]["head/bias:0"] = kernel, bias
    scores = PIXELS.reshape(4, 2) @ kernel + bias
    return np.exp(scores) / np.exp(scores).sum(1, keepdims=True)


@pytest.mark.parametrize("functional", [False, True])
def test_files_of_keras_2_load(tmp_path, functional):
    expected = keras_2_file(tmp_path / "old.h5", functional)
    model = cards.load_model(tmp_path / "old.h5", input_range=(0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # an array is what it takes, not a list of one array
        np.testing.assert_allclose(model(PIXELS), expected, rtol=1e-5)
    assert model.input_range == (0.0, 1.0)


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_layer_is_refused_and_its_code_not_run(tmp_path, suffix):
    ran = tmp_path / "ran"
    place = str(ran)
    inputs = keras.Input((1, 2, 1))
    code = keras.layers.Lambda(lambda x: (open(place, "w").close(), x)[1], output_shape=(1, 2, 1))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(code(inputs))))
    model.save(tmp_path / f"unsafe{suffix}")
    ran.unlink(missing_ok=True)
    with pytest.raises(ValueError, match="holds a Lambda layer.*Cure: replace the Lambda layer"):
        cards.load_model(tmp_path / f"unsafe{suffix}")
    assert not ran.exists()


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_truncated_file_is_named(tmp_path, suffix):
    path = tmp_path / f"cut{suffix}"
    toy_model().save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=f"cut{suffix}, .*cut short"):
        cards.load_model(path)


def test_other_wrong_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.keras, where no model is. Cure: 'make models'"):
        cards.load_model(tmp_path / "none.keras")
    with pytest.raises(ValueError, match="ends in '.pb'; allowed: .keras, .h5"):
        cards.load_model(tmp_path / "model.pb")
    with pytest.raises(ValueError, match="ends in '.h5'; allowed: .keras for a new model"):
        cards.save_model(toy_model(), tmp_path / "toy.h5", CARD)
    toy_model().save_weights(tmp_path / "toy.weights.h5")
    with pytest.raises(ValueError, match="holds weights alone"):
        cards.load_model(tmp_path / "toy.weights.h5")
    with pytest.raises(FileNotFoundError, match="where no card is"):
        cards.read_card(tmp_path / "none.keras")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        cards.read_card(tmp_path / "bad.json")
    toy_model().save(tmp_path / "toy.keras")
    for wrong in ((1, 0), (0, float("nan")), 3):
        with pytest.raises((TypeError, ValueError), match="input_range: got .*(low, high)"):
            cards.load_model(tmp_path / "toy.keras", input_range=wrong)


# ------------------------------------------------------------------------------------------- the committed networks


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.keras")), ids=lambda path: path.stem)
def test_committed_networks_are_small_complete_and_as_their_cards_say(path):
    model, card = cards.load_model(path), cards.read_card(path)
    assert path.stat().st_size < 5_000_000
    cards._check_card(model, card)
    judged = [entry for entry in card["accuracy"].values() if entry["total"] == int(np.sum(card["confusion_matrix"]))]
    assert int(np.trace(card["confusion_matrix"])) in [entry["correct"] for entry in judged]
    for entry in card["accuracy"].values():
        assert entry["interval"] == pytest.approx(accuracy.wilson_interval(entry["correct"], entry["total"]), abs=1e-4)
    names = {type(layer).__name__ for layer in model.layers}
    assert not names & {"Lambda", "BatchNormalization"}, "batch normalization is folded before a network is committed"


def test_every_committed_network_can_be_trained_again_and_has_its_card():
    tree = ast.parse((MODELS / "train.py").read_text(encoding="utf-8"))
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    (entries,) = [node.value for node in assigned if ast.unparse(node.targets[0]) == "NETWORKS"]
    files = [path.name for path in MODELS.iterdir() if path.suffix in (".keras", ".json")]
    assert sorted(files) == sorted(ast.literal_eval(key) + end for key in entries.keys for end in (".keras", ".json"))
