"""How far a picture lies from those that a network knows: worked by hand, on its own pictures, on photographs."""

import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import mahalanobis

import xai_utils as xu
from heatproof import __main__ as command
from heatproof.networks import familiar
from tools.environment import ROOT

MODELS = ROOT / "models"
KEPT = sorted(path.stem for path in MODELS.glob("*.json") if "familiar" in xu.read_card(path))


def identity():
    """A network of pictures of 2 x 2 pixels whose layer "pool1" gives the two channels as they are."""
    layer = keras.layers.Conv2D(2, 1, use_bias=False, name="pool1")
    pooled = keras.layers.GlobalAveragePooling2D()
    model = keras.Sequential([keras.Input((2, 2, 2)), layer, pooled, keras.layers.Dense(3)])
    layer.set_weights([np.eye(2).reshape(1, 1, 2, 2)])
    model.input_range = (-9, 9)
    return model


def test_the_distance_by_hand_counts_each_direction_by_its_precision():
    """d^2 = 4 (2 - 1)^2 + 2 * 1 (2 - 1)(3 - 1) + 3 (3 - 1)^2 = 20 for channels of the means 2 and 3; the limit is 2."""
    model = identity()
    model.familiar = familiar.Familiar("pool1", 0.99, 2.0, np.array([1.0, 1.0]), np.array([[4.0, 1.0], [1.0, 3.0]]))
    picture = np.stack([np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([[0.0, 6.0], [3.0, 3.0]])], axis=-1)
    inputs = np.stack([picture, np.ones((2, 2, 2))]).astype(np.float32)
    np.testing.assert_allclose(xu.strangeness(model, inputs), [np.sqrt(20) / 2, 0], rtol=1e-6)
    np.testing.assert_allclose(xu.strangeness(model, inputs, batch_size=1), [np.sqrt(20) / 2, 0], rtol=1e-6)


def test_what_is_kept_is_mean_inverse_covariance_and_the_distance_that_the_share_keeps():
    model, numbers = identity(), np.random.default_rng(0)
    means = numbers.normal(size=(200, 2)) @ np.array([[1.0, 0.0], [0.7, 0.2]])
    inputs = np.broadcast_to(means[:, None, None], (200, 2, 2, 2)).astype(np.float32)
    kept = familiar.measured(model, inputs, "pool1", share=0.95)
    precision = np.linalg.inv(np.cov(means.T))
    apart = np.array([mahalanobis(each, means.mean(axis=0), precision) for each in means])
    assert kept["limit"] == pytest.approx(np.quantile(apart, 0.95), rel=1e-3)
    model.familiar = familiar.of_card(kept)
    found = xu.strangeness(model, inputs)
    np.testing.assert_allclose(found, apart / kept["limit"], rtol=1e-3)
    assert (found > 1).sum() == 10


@pytest.mark.parametrize("layer", ["pool9", "conv3"])
def test_a_card_of_a_layer_that_the_network_has_not_is_refused(layer, tmp_path):
    card = xu.read_card(MODELS / "captioned_faces.json")
    shutil.copy(MODELS / "captioned_faces.keras", tmp_path / "net.keras")
    (tmp_path / "net.json").write_text(json.dumps(card | {"familiar": card["familiar"] | {"layer": layer}}))
    with pytest.raises(ValueError, match=rf"card\['familiar'\].*channels of '{layer}'"):
        xu.load_model(tmp_path / "net.keras")


@pytest.mark.parametrize("spoil", [
    lambda kept: kept | {"limit": 0.0},
    lambda kept: kept | {"limit": "far"},
    lambda kept: kept | {"mean": kept["mean"][1:]},
    lambda kept: kept | {"precision": kept["mean"]},
    lambda kept: kept | {"layer": 3},
    lambda kept: kept | {"precision": [[-each for each in row] for row in kept["precision"]]},
    lambda kept: kept | {"mean": [float("nan")] * len(kept["mean"])},
    lambda kept: {"limit": 1.0},
    lambda kept: [1.0],
])  # fmt: skip
def test_a_card_that_keeps_something_else_is_refused(spoil, tmp_path):
    card = xu.read_card(MODELS / "captioned_faces.json")
    shutil.copy(MODELS / "captioned_faces.keras", tmp_path / "net.keras")
    (tmp_path / "net.json").write_text(json.dumps(card | {"familiar": spoil(card["familiar"])}))
    for read in (xu.read_card, xu.load_model):
        with pytest.raises(ValueError, match=r"net\.json with card\['familiar'\]"):
            read(tmp_path / "net.keras")


def test_the_cards_of_tissue_and_of_faces_keep_what_these_are_like():
    assert {"tissue_phantom", "schematic_faces", "captioned_faces"} <= set(KEPT)


@pytest.mark.parametrize("name", KEPT)
def test_what_a_card_keeps_is_a_covariance_and_a_distance(name):
    kept, card = xu.load_model(MODELS / f"{name}.keras").familiar, xu.read_card(MODELS / f"{name}.json")
    assert kept.layer == "pool1" and kept.share == 0.99
    np.testing.assert_allclose(kept.precision, kept.precision.T, rtol=1e-5)
    assert np.linalg.eigvalsh(kept.precision).min() > 0 and card["familiar"]["limit"] == kept.limit


def photographs(size, grey):
    images = [Image.fromarray(np.round(255 * each).astype(np.uint8)) for each in xu.load_photos().images]
    pixels = [np.asarray(each.convert("L" if grey else "RGB").resize((size, size))) for each in images]
    return np.stack(pixels).reshape(len(pixels), size, size, -1) / np.float32(255)


@pytest.mark.parametrize(("name", "own", "size"), [
    ("tissue_phantom", lambda: xu.tissue_phantom(200, 3).images, 150),
    ("schematic_faces", lambda: xu.schematic_faces(700, 3).images, 48),
])  # fmt: skip
def test_a_networks_own_test_pictures_are_seldom_far_and_photographs_are(name, own, size):
    model = xu.load_model(MODELS / f"{name}.keras")
    assert (xu.strangeness(model, own()) > 1).mean() <= 0.02
    far = xu.strangeness(model, photographs(size, grey=size == 48)) > 1
    assert far.mean() > 0.8
    assert far[0] or name == "schematic_faces"  # the cat: grey and small it is no stranger than a drawing


def test_the_command_line_says_so_in_one_line_where_a_card_does(tmp_path, capsys):
    """For a tile of the network's kind nothing; nothing for a network without a card."""
    cat, tile = xu.load_photos(names=["cat"]).images[0], xu.tissue_phantom(1, seed=3).images[0]
    for name, image in (("cat", cat), ("tile", tile)):
        Image.fromarray(np.round(255 * image).astype(np.uint8)).save(tmp_path / f"{name}.png")
    shutil.copy(MODELS / "tissue_phantom.keras", tmp_path / "bare.keras")
    told = {}
    for model, name, more in (
        (MODELS / "tissue_phantom.keras", "cat", ()),
        (MODELS / "tissue_phantom.keras", "tile", ()),
        (tmp_path / "bare.keras", "cat", ("--range", "0", "1")),
    ):
        options = ["explain", "--model", str(model), "--image", str(tmp_path / f"{name}.png"), "--method", "saliency"]
        assert command.main([*options, "--out", str(tmp_path / "why.png"), *more]) == 0
        told[model.stem, name] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("unlike:")]
    assert [len(lines) for lines in told.values()] == [1, 0, 0]
    factor = float(told["tissue_phantom", "cat"][0].split()[1])
    assert factor > 2
