"""Types: every public name says what it takes and gives, and a type checker finds wrong calls in a reader's file."""

import inspect
import os
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import mnist1d_utils
import xai_utils
from tools import __main__ as targets

ROOT = Path(__file__).resolve().parent.parent


def written(part) -> typing.Callable | None:
    """The function behind an attribute of a class if it is written in the package; None for what Python makes."""
    function = getattr(part, "fget", None) or getattr(part, "func", None) or getattr(part, "__func__", part)
    own = inspect.isfunction(function) and Path(function.__code__.co_filename).is_relative_to(ROOT / "heatproof")
    return function if own else None


def public() -> dict[str, typing.Callable]:
    """The functions of both faces; of a class `__init__` and what has a public name."""
    found = {}
    for face in (xai_utils, mnist1d_utils):
        for name in face.__all__:
            value = getattr(face, name)
            if inspect.isclass(value) and not issubclass(value, Exception):
                found[f"{name}.__init__"] = value.__init__
                parts = {key: written(part) for key, part in vars(value).items() if not key.startswith("_")}
                found |= {f"{name}.{key}": function for key, function in parts.items() if function}
            elif inspect.isfunction(value):
                found[name] = value
    return found


PUBLIC = public()


def silent(function: typing.Callable) -> set[str]:
    """The parameters, and "return", of which a function does not say what they are."""
    asked = {name for name in inspect.signature(function).parameters if name not in ("self", "cls")} | {"return"}
    return asked - set(typing.get_type_hints(function))


def test_the_functions_and_the_methods_of_the_faces_are_found():
    assert {"saliency", "grad_cam", "Query.__init__", "Query.targets", "Method.reduce", "Metric.work"} <= set(PUBLIC)
    assert {"train", "augment"} <= set(PUBLIC)


def test_what_a_function_does_not_say_is_found():
    def half(model: int, inputs, *more: int, batch_size=3):
        return model

    assert silent(half) == {"inputs", "batch_size", "return"}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_function_says_what_it_takes_and_gives(name):
    assert not silent(PUBLIC[name])


READER = """\
import keras
import numpy as np

import xai_utils as xu


def look(model: keras.Model, images: np.ndarray) -> None:
    maps: np.ndarray = xu.saliency(model, images, [3], score="logit", batch_size=8)
    xu.saliency(model, images, batch_size="8")  # arg-type
    xu.saliency(model, images, layer="conv3")  # call-arg
    text: str = xu.saliency(model, images)  # assignment
    xu.saliency(model)  # call-arg
    xu.Query(model, maps, score=3)  # arg-type
    xu.evaluate(model, images, methods=("saliency", 3))  # arg-type
"""


@pytest.mark.slow
def test_a_type_checker_finds_the_wrong_calls_of_a_reader_and_no_other(tmp_path):
    script = tmp_path / "reader.py"
    script.write_text(READER, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(script)]
    environ = {**os.environ, "MYPYPATH": str(ROOT)}
    told = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True).stdout
    found = re.findall(r"reader\.py:(\d+): error: .*\[([a-z-]+)\]$", told, re.MULTILINE)
    lines = enumerate(READER.splitlines(), start=1)
    wanted = [(str(number), line.partition("  # ")[2]) for number, line in lines if "  # " in line]
    assert found == wanted, told


@pytest.mark.parametrize(("failing", "count"), [(None, 3), ("check", 1), ("format", 2), ("mypy", 3)])
def test_lint_asks_ruff_twice_and_the_type_checker_until_one_finds_something(failing, count, monkeypatch):
    asked = []
    monkeypatch.setattr(targets, "python", lambda *words: asked.append(words) or int(failing in words))
    assert targets.INSIDE["lint"]() == int(failing is not None)
    assert len(asked) == count
    assert failing is not None or asked[-1] == ("-m", "mypy")
