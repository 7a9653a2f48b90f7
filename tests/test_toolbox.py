"""The toolbox without a browser: what is written for its pages. tests/test_toolbox_pages.py opens them."""

import io
import re
import shutil
import subprocess
import tarfile
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import xai_utils as xu
from tools.toolbox import building, library, networks, sprites, units
from tools.toolbox.sources import Seen

L = keras.layers
ROWS = np.random.default_rng(0)


def chain(*layers, shape=(8, 6, 2)):
    model = keras.Sequential([keras.Input(shape), *layers])
    model.input_range, model.class_names = (0.0, 1.0), ("a", "b", "c")
    return model


END = (L.GlobalAveragePooling2D, lambda: L.Dense(3, activation="softmax", name="end"))


def ended(*layers, **options):
    return chain(*layers, *(make() for make in END), **options)


def branched():
    x = keras.Input((8, 6, 2))
    y = L.Conv2D(2, 3, padding="same", name="first")(x)
    z = L.Conv2D(2, 3, padding="same", name="beside")(x)
    out = L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(L.Add(name="sum")([y, z])))
    return keras.Model(x, out)


REFUSED = {
    "another kind of layer": (lambda: ended(L.BatchNormalization(name="norm")), "'norm', a BatchNormalization"),
    "a branch": (branched, "'beside', which reads something else"),
    "no softmax": (lambda: chain(L.Flatten(), L.Dense(3, name="end")), "ends in 'end'"),
    "two softmaxes": (lambda: ended(L.Conv2D(3, 1, activation="softmax", name="early")), "a softmax in 'early'"),
    "another activation": (lambda: ended(L.Conv2D(3, 1, activation="tanh", name="conv")), "'conv' with the activation"),
    "dilation": (lambda: ended(L.Conv2D(3, 2, dilation_rate=2, name="conv")), "'conv' with dilation (2, 2)"),
    "groups": (lambda: ended(L.Conv2D(4, 2, groups=2, name="conv")), "'conv' with 2 groups"),
    "causal": (
        lambda: chain(L.Conv1D(3, 2, padding="causal", name="conv"), shape=(8, 2)),
        "'conv' with padding 'causal'",
    ),
    "padded pooling": (lambda: ended(L.MaxPooling2D(3, padding="same", name="pool")), "'pool' with padding 'same'"),
    "overlapping pooling": (lambda: ended(L.MaxPooling2D(3, strides=2, name="pool")), "'pool' with strides (2, 2)"),
    "any size": (lambda: ended(shape=(None, None, 2)), "inputs (None, None, None, 2)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_written_exactly_is_refused_by_name(case):
    make, words = REFUSED[case]
    with pytest.raises(ValueError, match="^model: got ") as refusal:
        networks.exported(make())
    assert words in str(refusal.value)


def test_only_a_model_is_exported():
    with pytest.raises(TypeError, match="model: got str; allowed: a Keras model"):
        networks.exported("faces.keras")


def test_a_signal_is_written_as_a_picture_of_one_row():
    conv = L.Conv1D(3, 4, strides=2, name="conv")
    model = chain(conv, L.MaxPooling1D(2, name="pool"), L.Flatten(), L.Dense(3, activation="softmax"), shape=(10, 2))
    table = networks.exported(model)
    assert table["input"] == [1, 10, 2] and table["signal"]
    first, pool = table["layers"][:2]
    assert (first["shape"], first["strides"], pool["size"]) == ([1, 4, 2, 3], [1, 2], [1, 2])
    assert table["centres"] == {"conv": [[0.0, 1.0], [1.5, 2.0]], "pool": [[0.0, 1.0], [2.5, 4.0]]}


def archive(folder, content):
    with tarfile.open(folder / "x.tgz", "w:gz") as packed:
        member = tarfile.TarInfo(library.MEMBER)
        member.size = len(content)
        packed.addfile(member, io.BytesIO(content))
    return folder / "x.tgz"


def test_an_archive_with_another_hash_is_not_used(tmp_path):
    path = archive(tmp_path, b"tf")
    with pytest.raises(ValueError, match=r"x\.tgz: its hash is sha512-.* not the pinned") as refusal:
        library.unpacked(path)
    found = re.search(r"sha512-\S+(?=,)", str(refusal.value)).group()
    assert library.unpacked(path, found) == b"tf"


def test_without_npm_the_page_is_told_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert library.fetched(tmp_path) == (
        None,
        f"npm is not installed, so TensorFlow.js {library.VERSION} could not be fetched",
    )


def test_a_connection_that_fails_is_told_too(tmp_path, monkeypatch):
    def fail(*command, **options):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", fail)
    path, missing = library.fetched(tmp_path)
    assert path is None and missing.startswith("npm pack @tensorflow/tfjs@") and "failed" in missing


def test_the_maps_of_many_units_are_those_of_one():
    model = ended(
        L.Conv2D(4, 3, activation="relu", name="one"), L.MaxPooling2D(2), L.Conv2D(5, 2, activation="relu", name="two")
    )
    inputs = ROWS.uniform(size=(12, 8, 6, 2)).astype(np.float32)
    found = xu.strongest(model, "two", inputs, units.SHOWN)
    maps = units.unit_maps(model, "two", inputs, found, [3, 0])
    for unit, each in zip((3, 0), maps, strict=True):
        one = xu.unit_map(model, inputs[found.items[unit]], "two", unit, found.positions[unit])
        assert np.abs(one).max() > 0
        np.testing.assert_allclose(each, one.sum(-1), atol=1e-6)


def test_near_units_rise_and_fall_together():
    ramp = np.arange(6.0)
    answers = np.stack([ramp, 3 * ramp + 1, -ramp, np.zeros(6), ramp**2], axis=1)
    near = [row.tolist() for row in units._near(answers)]
    assert near[0] == [1, 4] and near[2] == [] and near[3] == []


def test_the_class_is_that_with_the_largest_mean():
    seen = Seen(np.zeros((4, 1)), ("a", "b"), np.array([0, 0, 1, 1]))
    assert units._class(np.array([9.0, 0.0, 5.0, 5.0]), seen) == {"class": "b"}
    assert units._class(np.zeros(4), seen) == {}


def test_a_piece_that_sticks_out_is_filled_with_zeros():
    values = np.arange(1, 10).reshape(3, 3)
    assert sprites.within(values, np.array([-1, 1]), (3, 3)).tolist() == [[0, 0, 0], [2, 3, 0], [5, 6, 0]]
    assert sprites.within(values, np.array([1, 0]), (2, 2)).tolist() == [[4, 5], [7, 8]]


def test_signed_maps_have_their_zero_in_the_middle_of_the_colours():
    table = np.array(sprites.colours("RdBu_r"))
    low, middle, high = sprites.signed(np.array([-2.0, 0.0, 1.0]))
    assert low.tolist() == table[0].tolist() and high.tolist() == table[191].tolist()
    assert np.ptp(middle) < 5  # white


def test_the_units_of_a_large_network_are_those_whose_concept_fits_best():
    known = SimpleNamespace(to_numpy=lambda: np.array([0.1, 0.4, 0.0, 0.3]))
    assert units._best({"iou": known}, 2).tolist() == [1, 3]


# ---- the pages as files


PAGES = sorted(building.PAGES.iterdir())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_names_no_address_and_is_short(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?:https?:)?//[a-z]", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL))
    assert max(map(len, text.splitlines())) <= 120
    assert path.suffix == ".css" or len(text.splitlines()) <= 300
    assert path.suffix != ".js" or text.startswith('"use strict";')


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed: apt-get install nodejs")
@pytest.mark.parametrize("path", [path for path in PAGES if path.suffix == ".js"], ids=lambda path: path.name)
def test_a_script_can_be_read(path):
    checked = subprocess.run(["node", "--check", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
