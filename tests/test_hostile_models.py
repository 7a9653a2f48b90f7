"""Model files that are damaged or that carry code: refused, and none of their code is run.

Every trap writes a file when it goes off. The first test springs the trap on purpose, so the others can fail.
"""

import base64
import json
import marshal
import pickle
import sys
import zipfile
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest
from keras import layers

import xai_utils as xu


def weights():
    draw = np.random.default_rng(0).normal
    return draw(size=(4, 2)), draw(size=2)


def network(*between):
    inputs = x = keras.Input((4,))
    for layer in between:
        x = layer(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="head")(x))
    model.get_layer("head").set_weights(weights())
    return model


def probabilities(x):
    kernel, bias = weights()
    z = np.exp(x @ kernel + bias)
    return z / z.sum(axis=1, keepdims=True)


@pytest.fixture
def trap(tmp_path):
    """A function that writes a file when it is called, and whether that has happened."""
    flag = tmp_path / "sprung"
    code = f"lambda x: (__import__('pathlib').Path({str(flag)!r}).touch(), x)[1]"

    class Pickled:
        def __reduce__(self):
            return eval, (f"({code})(0)",)

    def rearmed():
        flag.unlink(missing_ok=True)

    return SimpleNamespace(function=eval(code), pickled=Pickled(), sprung=flag.exists, rearm=rearmed, flag=flag)


def with_lambda(trap, path):
    network(layers.Lambda(trap.function)).save(path)
    trap.rearm()  # building the model called the function
    return path


def edited(path, change):
    """Rewrite the configuration inside a .keras file: `change` gets the list of its layers."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config["config"]["layers"])
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def keras_2_file(path, *between):
    """A file in the layout that Keras 2 wrote: `batch_input_shape`, plain dtypes, weights by name."""
    start = {"batch_input_shape": [None, 4], "dtype": "float32", "sparse": False, "ragged": False, "name": "input_1"}
    dense = {
        "name": "head",
        "trainable": True,
        "dtype": "float32",
        "units": 2,
        "activation": "softmax",
        "use_bias": True,
    }
    steps = [
        {"class_name": "InputLayer", "config": start},
        *between,
        {"class_name": "Dense", "config": dense},
    ]
    config = {"class_name": "Sequential", "config": {"name": "sequential", "layers": steps}}
    names = [step["config"]["name"] for step in steps[1:]]
    with h5py.File(path, "w") as file:
        file.attrs.update(keras_version="2.9.0", backend="tensorflow", model_config=json.dumps(config))
        stored = file.create_group("model_weights")
        stored.attrs.update(keras_version="2.9.0", backend="tensorflow", layer_names=[n.encode() for n in names])
        for name in names:
            keys = [b"head/kernel:0", b"head/bias:0"] if name == "head" else []
            group = stored.create_group(name)
            group.attrs["weight_names"] = keys
            for key, value in zip(keys, weights(), strict=bool(keys)):
                group[key.decode()] = value.astype(np.float32)
    return path


def keras_2_lambda(trap):
    code = base64.b64encode(marshal.dumps(trap.function.__code__)).decode()
    config = {"name": "lambda", "trainable": True, "dtype": "float32", "function": [code, None, None]}
    config |= {"function_type": "lambda", "module": "__main__", "output_shape": None, "arguments": {}}
    return {"class_name": "Lambda", "config": config}


def refused(trap, path, *words, error=ValueError):
    with pytest.raises(error) as caught:
        xu.load_model(path)
    message = str(caught.value)
    assert message.startswith("path:") and path.name in message
    assert [word for word in words if word not in message] == [], message
    assert not trap.sprung(), "code from the file was run"


# --- files that carry code ------------------------------------------------------------------------------------


def test_the_trap_goes_off_when_a_file_is_trusted(trap, tmp_path):
    keras.saving.load_model(with_lambda(trap, tmp_path / "model.keras"), safe_mode=False)
    assert trap.sprung()
    trap.rearm()
    pickle.loads(pickle.dumps(trap.pickled))
    assert trap.sprung()


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_layer_is_refused_and_not_run(suffix, trap, tmp_path):
    refused(trap, with_lambda(trap, tmp_path / f"model{suffix}"), "Lambda", "built-in layer")


def test_a_lambda_layer_of_keras_2_is_refused_and_not_run(trap, tmp_path):
    refused(trap, keras_2_file(tmp_path / "old.h5", keras_2_lambda(trap)), "Lambda", "built-in layer")


def test_a_lambda_layer_inside_a_nested_model_is_refused_and_not_run(trap, tmp_path):
    inner = network(layers.Lambda(trap.function))
    outer = keras.Input((4,))
    keras.Model(outer, inner(outer)).save(tmp_path / "nested.keras")
    trap.rearm()
    refused(trap, tmp_path / "nested.keras", "Lambda")


@pytest.fixture
def trusting_session():
    """A session in which some other cell told Keras to trust every file."""
    keras.config.enable_unsafe_deserialization()
    yield
    keras.src.saving.serialization_lib.global_state.set_global_attribute("safe_mode_saving", None)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_layer_is_refused_even_where_keras_was_told_to_trust(suffix, trap, tmp_path, trusting_session):
    refused(trap, with_lambda(trap, tmp_path / f"model{suffix}"), "Lambda")


def test_a_layer_of_a_foreign_module_is_refused_and_the_module_not_imported(trap, tmp_path, monkeypatch):
    (tmp_path / "foreign_trap.py").write_text(f"open({str(trap.flag)!r}, 'w').close()\nclass Trap: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "model.keras"
    network(layers.ReLU(name="first")).save(path)

    def change(steps):
        steps[1] |= {"module": "foreign_trap", "class_name": "Trap", "registered_name": None}

    refused(trap, edited(path, change))
    assert "foreign_trap" not in sys.modules


@pytest.mark.parametrize("module, function", [("os", "getcwd"), ("builtins", "exec"), ("keras.utils", "get_file")])
def test_an_activation_that_is_no_activation_is_refused(module, function, trap, tmp_path):
    path = tmp_path / "model.keras"
    network().save(path)

    def change(steps):
        called = {"module": module, "class_name": "function", "config": function, "registered_name": function}
        steps[-1]["config"]["activation"] = called

    refused(trap, edited(path, change))


def test_a_file_cannot_switch_the_safe_mode_off(trap, tmp_path):
    path = tmp_path / "model.keras"
    network(layers.ReLU(name="first")).save(path)
    switch = {"module": "keras.config", "class_name": "function", "config": "enable_unsafe_deserialization"}

    def change(steps):
        function = switch | {"registered_name": "enable_unsafe_deserialization"}
        lambda_config = {"name": "first", "function": function, "arguments": {}}
        steps[1] |= {"module": "keras.layers", "class_name": "Lambda", "config": lambda_config}

    refused(trap, edited(path, change))
    assert keras.src.saving.serialization_lib.in_safe_mode() is not False


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.pkl", "model.keras.pkl"])
def test_a_pickle_under_any_name_is_refused_and_not_read(name, trap, tmp_path):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(trap.pickled))
    refused(trap, path)


def test_weights_that_another_file_holds_are_not_read(trap, tmp_path):
    """HDF5 can keep an array in another file of the reader's disk; a model must not carry that away."""
    secret, weights_file = tmp_path / "secret.bin", tmp_path / "weights.h5"
    secret.write_bytes(np.full((4, 2), 7, np.float32).tobytes())
    path = tmp_path / "model.keras"
    network().save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    weights_file.write_bytes(parts["model.weights.h5"])
    with h5py.File(weights_file, "a") as file:
        found = []
        file.visititems(lambda name, node: found.append(name) if getattr(node, "shape", 0) == (4, 2) else None)
        del file[found[0]]
        file.create_dataset(found[0], (4, 2), np.float32, external=[(str(secret), 0, 32)])
    parts["model.weights.h5"] = weights_file.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    refused(trap, path)


# --- files that are damaged, or no models ---------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_file_cut_short_is_refused(suffix, share, trap, tmp_path):
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"part{suffix}"
    network().save(whole)
    content = whole.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(trap, path, "damaged", "cut short")


@pytest.mark.parametrize("missing", ["config.json", "model.weights.h5"])
def test_an_archive_that_lacks_a_part_is_refused(missing, trap, tmp_path):
    whole, path = tmp_path / "whole.keras", tmp_path / "part.keras"
    network().save(whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if name != missing:
                target.writestr(name, source.read(name))
    refused(trap, path)


@pytest.mark.parametrize("suffix", ["", ".json", ".pb", ".onnx", ".pt", ".zip", ".KERAS.txt"])
def test_a_wrong_suffix_is_refused_with_the_right_ones(suffix, trap, tmp_path):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"anything")
    refused(trap, path, ".keras", ".h5")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_missing_file_is_told_as_missing(suffix, trap, tmp_path):
    refused(trap, tmp_path / f"nowhere{suffix}", "where no model is", error=FileNotFoundError)


def test_a_folder_is_no_model(trap, tmp_path):
    (tmp_path / "model.keras").mkdir()
    refused(trap, tmp_path / "model.keras", error=(FileNotFoundError, ValueError))


def test_weights_alone_are_refused_with_the_cure(trap, tmp_path):
    network().save_weights(tmp_path / "model.weights.h5")
    refused(trap, tmp_path / "model.weights.h5", "weights alone", "load_weights")


# --- files that are good --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["new.keras", "new.h5", "keras_2.h5"])
def test_a_good_file_computes_what_was_saved(name, tmp_path):
    path = tmp_path / name
    keras_2_file(path) if name == "keras_2.h5" else network().save(path)
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(xu.load_model(path).predict(x, verbose=0), probabilities(x), rtol=1e-5)
