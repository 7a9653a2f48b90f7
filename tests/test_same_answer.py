"""The same answer everywhere: every method on two committed networks, here and in new processes with other settings.

Each setting is one process that explains two signals and one drawn face with all methods, as this process does.
What one process can show of sameness (alone or in a batch, order, eager or graph, the model untouched) is tested for
images in tests/test_contract.py; here it is tested for signals.
"""

import json
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import processes
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
    "expected_gradients": {"samples": 4},
    "kernel_shap": {"samples": 250, "segments": 20},
    "meaningful_perturbation": {"steps": 5},
}
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
HERE = int(os.environ.get("TF_NUM_INTRAOP_THREADS") or CORES)  # threads of this process


def threads(count):
    return {"TF_NUM_INTRAOP_THREADS": str(count), "TF_NUM_INTEROP_THREADS": str(count)}


SETTINGS = {  # name: variables of the process
    "more threads": threads(max(2, HERE)),
    "one thread": threads(1),
    "AVX2": threads(max(2, HERE)) | {"ONEDNN_MAX_CPU_ISA": "AVX2"},
}
AS_HERE = "more threads" if HERE > 1 else "one thread"


def cases():
    """{name: (network, inputs)}: an image network and a signal network that every method can explain."""
    signals = m1.split(m1.make_dataset(count=20), "test")[0][:2].astype(np.float32)
    return {
        "faces": (xu.load_model(ROOT / "models/schematic_faces.keras"), xu.schematic_faces(1, seed=3).images[:1]),
        "signals": (xu.load_model(ROOT / "models/mnist1d_gap.keras"), signals),
    }


def explain(name, model, inputs, targets=None):
    return getattr(xu, name)(model, inputs, targets, **SMALL.get(name, {}))


def explain_all(networks=None):
    """The maps of all methods on all cases."""
    networks = networks or cases()
    return {f"{case} {name}": explain(name, *networks[case]) for case in networks for name in METHODS}


METHODS = sorted(xu.METHODS)
GRADIENTS = [name for name in METHODS if xu.METHODS[name].family == "gradients"]
ALL = [f"{case} {name}" for case in ("faces", "signals") for name in METHODS]


@pytest.fixture(scope="module")
def maps():
    """The maps of all methods from a new process under every setting, two processes at a time."""
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda setting: processes.ask(explain_all, **SETTINGS[setting]), SETTINGS)
        return dict(zip(SETTINGS, found, strict=True))


@pytest.fixture(scope="module")
def networks():
    return cases()


@pytest.fixture(scope="module")
def here(networks):
    """The maps of all methods from this process, whatever it did before."""
    return explain_all(networks)


def largest_difference(found, true):
    return np.abs(found - true).max() / np.abs(true).max()


# ---- in new processes


def test_the_processes_explained_everything(maps, here):
    for found in (*maps.values(), here):
        assert sorted(found) == sorted(ALL)
        assert all(np.isfinite(each).all() and np.abs(each).max() > 0 for each in found.values())


@pytest.mark.parametrize("name", ALL)
def test_a_new_process_gives_equal_bits(name, maps, here):
    np.testing.assert_array_equal(maps[AS_HERE][name], here[name])


@pytest.mark.parametrize("name", ALL)
def test_one_thread_gives_the_map_of_more(name, maps):
    assert largest_difference(maps["one thread"][name], maps["more threads"][name]) <= 1e-5


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="AVX2 is an instruction set of x86-64")
@pytest.mark.parametrize("name", ALL)
def test_an_older_instruction_set_gives_the_same_map(name, maps):
    """By sums: a ReLU or a max pooling that switches at one point of a path moves the pixels of one receptive field."""
    assert distance(maps["AVX2"][name], maps["more threads"][name]) <= 1e-4


# ---- in one process


@pytest.fixture(scope="module")
def in_float64(networks):
    """The same networks with every weight and operation in float64, and their inputs."""
    twins = {}
    for case, (model, inputs) in networks.items():
        twin = keras.models.model_from_json(model.to_json().replace("float32", "float64"))
        twin.set_weights(model.get_weights())
        twin.input_range = model.input_range
        twins[case] = twin, inputs.astype(np.float64)
    return twins


@pytest.mark.parametrize("case", ["faces", "signals"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_float32_gives_the_map_of_float64(name, case, in_float64, here):
    true = explain(name, *in_float64[case])
    assert largest_difference(here[f"{case} {name}"], true) <= 1e-4


@pytest.mark.parametrize("name", METHODS)
def test_a_signal_has_the_same_map_alone_and_in_any_order(name, networks, here):
    model, inputs = networks["signals"]
    together, swapped = here[f"signals {name}"], explain(name, model, inputs[::-1])[::-1]
    alone = explain(name, model, inputs[1:])
    assert largest_difference(swapped, together) <= 1e-6
    assert largest_difference(alone[0], together[1]) <= 1e-6


@pytest.mark.parametrize("name", METHODS)
def test_eager_mode_gives_the_map_of_a_signal_in_graph_mode(name, networks, here):
    model, inputs = networks["signals"]
    tf.config.run_functions_eagerly(True)
    try:
        found = explain(name, model, inputs)
    finally:
        tf.config.run_functions_eagerly(False)
    assert largest_difference(found, here[f"signals {name}"]) <= 1e-5


def test_a_network_explained_twice_by_every_method_is_the_same_bit_for_bit(networks):
    model, inputs = networks["signals"]

    def portrait():
        weights = [value.tobytes() for value in model.get_weights()]
        return weights, json.dumps(model.get_config(), default=str), model.predict(inputs, verbose=0).tobytes()

    before = portrait()
    for name in METHODS * 2:
        explain(name, model, inputs)
    assert portrait() == before
