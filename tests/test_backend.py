"""Another backend of Keras is named when the package is imported, before anything fails; each cure is followed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(code, **environment):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("KERAS_")}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": "Agg"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=clean | quiet | environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("code", ["import xai_utils", "import mnist1d_utils", "import heatproof.checks"])
@pytest.mark.parametrize("name", ["jax", "torch", "openvino", "numpy"])
def test_a_backend_in_the_environment_is_refused_in_one_sentence(code, name):
    done = run(code, KERAS_BACKEND=name)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and last.startswith("ImportError: heatproof explains networks on TensorFlow")
    assert f"KERAS_BACKEND sets Keras to the backend '{name}'" in last and "KERAS_BACKEND=tensorflow" in last


def test_a_backend_in_the_settings_of_keras_is_named_with_its_file(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    refused = run("import xai_utils", KERAS_HOME=str(tmp_path))
    assert f"{tmp_path / 'keras.json'} sets Keras to the backend 'jax'" in refused.stderr
    cured = run("import heatproof.checks", KERAS_HOME=str(tmp_path), KERAS_BACKEND="tensorflow")
    assert cured.returncode == 0, cured.stderr


@pytest.mark.parametrize("content", [None, "", "[]", '{"floatx": "float32"}', '{"backend": "tensorflow"}'])
def test_settings_that_say_nothing_else_are_no_obstacle(content, tmp_path):
    if content is not None:
        (tmp_path / "keras.json").write_text(content)
    assert run("import heatproof.checks", KERAS_HOME=str(tmp_path)).returncode == 0


def test_the_cure_of_a_notebook_works():
    code = "import os; os.environ['KERAS_BACKEND'] = 'tensorflow'; import xai_utils; import keras; "
    done = run(code + "print(keras.config.backend())", KERAS_BACKEND="jax")
    assert done.returncode == 0 and done.stdout.strip() == "tensorflow", done.stderr


def test_a_keras_that_runs_on_another_backend_is_seen():
    code = "import sys, types; sys.modules['keras'] = types.SimpleNamespace(config=types.SimpleNamespace("
    done = run(code + "backend=lambda: 'torch')); import heatproof.checks")
    assert "a keras that is already imported sets Keras to the backend 'torch'" in done.stderr


# ---- the lines of TensorFlow


@pytest.mark.parametrize("code", ["import xai_utils", "import mnist1d_utils", "import heatproof, keras"])
def test_importing_the_library_writes_nothing_of_tensorflow(code):
    silent = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    environ = {key: value for key, value in os.environ.items() if key not in silent}
    code += (
        "; import os, sys; print(os.environ['TF_CPP_MIN_LOG_LEVEL'], 'tensorflow' in sys.modules); os.write(2, b'x')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 True\n", "x")  # behind it stderr is there again


def test_the_level_of_the_user_stays_and_shows_the_lines():
    done = run("import os, xai_utils; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])", TF_CPP_MIN_LOG_LEVEL="0")
    assert done.returncode == 0 and done.stdout == "0\n" and "CPU" in done.stderr, done.stderr
