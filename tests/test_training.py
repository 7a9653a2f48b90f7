"""Oracles for building, folding, varying and training the small networks."""

import keras
import numpy as np
import pytest

from heatproof.networks import training

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((4, 12, 12, 3)).astype("float32")


def test_folding_keeps_the_function():
    options = {"blocks": ((4,), (5, 6)), "class_names": "abc", "hidden": (7,)}
    trained = training.convolutional_network((None, None, 3), batch_norm=True, dropout=0.5, **options)
    for layer in trained.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([RANDOM.uniform(0.5, 2, weight.shape) for weight in layer.get_weights()])
    plain = training.fold_batch_norm(trained, training.convolutional_network((12, 12, 3), **options))
    np.testing.assert_allclose(plain(IMAGES), trained(IMAGES, training=False), atol=1e-6)
    assert [layer.name for layer in plain.layers if "conv" in layer.name] == ["conv1", "conv2", "conv3"]
    assert plain.get_layer("conv3").output.shape == (None, 6, 6, 6)


def changed(**options):
    """The images after thirty draws, (30, 4, H, W, C)."""
    augment = training.Augment(**options)
    return np.stack([augment(IMAGES) for _ in range(30)])


def test_no_options_change_nothing():
    np.testing.assert_allclose(changed()[:2], [IMAGES, IMAGES], atol=1e-6)


@pytest.mark.parametrize(
    "options, allowed",
    [
        ({"flips": ("horizontal",)}, [IMAGES, IMAGES[:, :, ::-1]]),
        ({"flips": ("vertical",)}, [IMAGES, IMAGES[:, ::-1]]),
        ({"quarter_turns": True}, [np.rot90(IMAGES, turns, (1, 2)) for turns in range(4)]),
    ],
)
def test_exact_moves_are_drawn_and_nothing_else(options, allowed):
    distance = np.abs(changed(**options)[None] - np.array(allowed)[:, None]).max(axis=(3, 4, 5))
    assert distance.min(axis=0).max() < 1e-4  # each draw is one of the allowed images
    assert (distance < 1e-4).any(axis=(1, 2)).all()  # each allowed image is drawn


def test_crops_are_cut_from_the_image():
    crop = changed(crop=5)[0, 0]
    windows = np.lib.stride_tricks.sliding_window_view(IMAGES[0], (5, 5), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    assert np.abs(windows - crop).max(axis=(2, 3, 4)).min() < 1e-5


def test_rotation_of_a_blob_moves_it_along_its_circle():
    grid = np.arange(41) - 20
    blob = np.exp(-((grid[:, None]) ** 2 + (grid[None] - 12) ** 2) / 8)[None, ..., None].astype("float32")
    augment = training.Augment(rotation=30)
    places = []
    for _ in range(60):
        image = np.asarray(augment(blob))[0, ..., 0]
        places.append([(image * grid[:, None]).sum() / image.sum(), (image * grid).sum() / image.sum()])
    angles = np.degrees(np.arctan2(*np.array(places).T))
    np.testing.assert_allclose(np.hypot(*np.array(places).T), 12, atol=0.2)
    assert angles.min() > -30.5 and angles.max() < 30.5 and np.ptp(angles) > 30


def test_stain_jitter_keeps_white_whiter_than_tissue_and_small_amounts_change_little():
    augment = training.Augment(stain=0.0)
    np.testing.assert_allclose(augment._restain(np.maximum(IMAGES, 1 / 255)), np.maximum(IMAGES, 1 / 255), atol=1e-5)
    varied = changed(stain=0.15, light=0.05)
    assert 0 <= varied.min() and varied.max() <= 1
    assert 0.005 < np.abs(varied - IMAGES).mean() < 0.15


# -------------------------------------------------------------------------------------------------------- training


def bars(count, seed):
    """Upright or lying bars at random places in noise: two classes that a small network separates."""
    random = np.random.default_rng(seed)
    images, labels = random.uniform(0, 0.4, (count, 12, 12, 1)), random.integers(0, 2, count)
    for image, label, place in zip(images, labels, random.integers(2, 10, count), strict=True):
        image[(slice(2, 10), place) if label else (place, slice(2, 10))] += 0.5
    return images.astype("float32"), labels


def run(checkpoint):
    """Two epochs of 20 steps, the first on crops."""
    network = training.convolutional_network((None, None, 1), ((6,), (8,)), "ab", dropout=0.1, batch_norm=True)
    options = {"flips": ("horizontal", "vertical"), "shift": 1}
    phases = [(training.Augment(crop=10, **options), 1), (training.Augment(**options), 1)]
    settings = {"batch_size": 32, "learning_rate": 0.03, "averaging": 0.8}
    return network, training.train(network, bars(640, 1), bars(100, 2), phases, checkpoint, **settings)


@pytest.mark.slow
def test_training_learns_and_a_stopped_run_resumes_exactly(tmp_path, monkeypatch):
    network, history = run(tmp_path / "whole.npz")
    assert len(history) == 2 and max(entry["validation"] for entry in history) > 0.9
    average, steps = training._Progress.average, []

    def stop_in_the_second_epoch(self, decay):
        steps.append(1)
        if len(steps) == 30:
            raise KeyboardInterrupt
        average(self, decay)

    monkeypatch.setattr(training._Progress, "average", stop_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped.npz")
    resumed, again = run(tmp_path / "stopped.npz")
    assert len(steps) == 30 + 20  # the second epoch anew, the first one not
    assert [entry["validation"] for entry in again] == [entry["validation"] for entry in history]
    for one, other in zip(network.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
