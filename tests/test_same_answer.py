"""The same answer everywhere: every method on two committed networks, in new processes with other settings.

Each setting is one process that explains two signals and one drawn face with all methods (this file, run as a script).
What one process can show of sameness (alone or in a batch, order, eager or graph, the model untouched) is tested for
images in tests/test_contract.py; here it is tested for signals.
"""

import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from shapes import distance

import mnist1d_utils as m1
import xai_utils as xu

ROOT = Path(__file__).resolve().parent.parent
SMALL = {  # less work than the defaults, so that the processes are quick
    "smooth_grad": {"samples": 4},
    "var_grad": {"samples": 4},
    "occlusion": {"patch": 6, "stride": 3},
    "rise": {"masks": 60},
    "lime": {"samples": 120},
}
SETTINGS = {  # name: variables of the process
    "two threads": {"TF_NUM_INTRAOP_THREADS": "2", "TF_NUM_INTEROP_THREADS": "2", "PYTHONHASHSEED": "1"},
    "again": {"TF_NUM_INTRAOP_THREADS": "2", "TF_NUM_INTEROP_THREADS": "2", "PYTHONHASHSEED": "2"},
    "one thread": {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"},
    "AVX2": {"TF_NUM_INTRAOP_THREADS": "2", "TF_NUM_INTEROP_THREADS": "2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
}


def cases():
    """{name: (network, inputs)}: an image network and a signal network that every method can explain."""
    signals = m1.split(m1.make_dataset(count=20), "test")[0][:2].astype(np.float32)
    return {
        "faces": (xu.load_model(ROOT / "models/schematic_faces.keras"), xu.schematic_faces(1, seed=3).images[:1]),
        "signals": (xu.load_model(ROOT / "models/mnist1d_gap.keras"), signals),
    }


def explain_all(path):
    """Write the maps of all methods on all cases into one .npz."""
    maps = {}
    for case, (model, inputs) in cases().items():
        for name in xu.METHODS:
            maps[f"{case} {name}"] = getattr(xu, name)(model, inputs, **SMALL.get(name, {}))
    np.savez(path, **maps)


METHODS = sorted(xu.METHODS)
GRADIENTS = [name for name in METHODS if xu.METHODS[name].family == "gradients"]
ALL = [f"{case} {name}" for case in ("faces", "signals") for name in METHODS]


def run(setting, folder):
    """The maps of all methods from a new process with a setting."""
    path = folder / f"{setting}.npz"
    environ = {**os.environ, **SETTINGS[setting], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, __file__, str(path)], env=environ, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(path) as found:
        return dict(found)


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """The maps of all methods under every setting; the processes run two at a time."""
    folder = tmp_path_factory.mktemp("maps")
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(SETTINGS, pool.map(lambda setting: run(setting, folder), SETTINGS), strict=True))


@pytest.fixture(scope="module")
def networks():
    return cases()


def explain(name, model, inputs, targets=None):
    return getattr(xu, name)(model, inputs, targets, **SMALL.get(name, {}))


def largest_difference(found, true):
    return np.abs(found - true).max() / np.abs(true).max()


# ---- in new processes


def test_the_processes_explained_everything(maps):
    for found in maps.values():
        assert sorted(found) == sorted(ALL)
        assert all(np.isfinite(each).all() and np.abs(each).max() > 0 for each in found.values())


@pytest.mark.parametrize("name", ALL)
def test_a_new_process_gives_equal_bits(name, maps):
    np.testing.assert_array_equal(maps["again"][name], maps["two threads"][name])


@pytest.mark.parametrize("name", ALL)
def test_one_thread_gives_the_map_of_two(name, maps):
    assert largest_difference(maps["one thread"][name], maps["two threads"][name]) <= 1e-5


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="AVX2 is an instruction set of x86-64")
@pytest.mark.parametrize("name", ALL)
def test_an_older_instruction_set_gives_the_same_map(name, maps):
    """By sums: a ReLU or a max pooling that switches at one point of a path moves the pixels of one receptive field."""
    assert distance(maps["AVX2"][name], maps["two threads"][name]) <= 1e-4


# ---- in one process


@pytest.fixture(scope="module")
def in_float64(networks):
    """The same networks with every weight and operation in float64, and their inputs."""
    twins = {}
    for case, (model, inputs) in networks.items():
        twin = keras.models.model_from_json(model.to_json().replace("float32", "float64"))
        twin.set_weights(model.get_weights())
        twins[case] = twin, inputs.astype(np.float64)
    return twins


@pytest.mark.parametrize("case", ["faces", "signals"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_float32_gives_the_map_of_float64(name, case, in_float64, maps):
    true = explain(name, *in_float64[case])
    assert largest_difference(maps["two threads"][f"{case} {name}"], true) <= 1e-4


@pytest.mark.parametrize("name", METHODS)
def test_a_signal_has_the_same_map_alone_and_in_any_order(name, networks):
    model, inputs = networks["signals"]
    together, swapped = explain(name, model, inputs), explain(name, model, inputs[::-1])[::-1]
    alone = explain(name, model, inputs[1:])
    assert largest_difference(swapped, together) <= 1e-6
    assert largest_difference(alone[0], together[1]) <= 1e-6


@pytest.mark.parametrize("name", METHODS)
def test_eager_mode_gives_the_map_of_a_signal_in_graph_mode(name, networks, maps):
    model, inputs = networks["signals"]
    tf.config.run_functions_eagerly(True)
    try:
        found = explain(name, model, inputs)
    finally:
        tf.config.run_functions_eagerly(False)
    assert largest_difference(found, maps["two threads"][f"signals {name}"]) <= 1e-5


def test_a_network_explained_twice_by_every_method_is_the_same_bit_for_bit(networks):
    model, inputs = networks["signals"]

    def portrait():
        weights = [value.tobytes() for value in model.get_weights()]
        return weights, json.dumps(model.get_config(), default=str), model.predict(inputs, verbose=0).tobytes()

    before = portrait()
    for name in METHODS * 2:
        explain(name, model, inputs)
    assert portrait() == before


if __name__ == "__main__":
    explain_all(sys.argv[1])
