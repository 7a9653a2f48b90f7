"""MNIST-1D in its published pickle, read without executing anything that the file holds, and written."""

import os
import pickle
from typing import Any

import numpy as np

from heatproof.checks import as_path
from heatproof.data.mnist1d import LENGTH, check_keys, check_signals, check_templates, make_dataset, numbers
from heatproof.problems import ArgumentFileError, ArgumentProblem, ArgumentValueError
from heatproof.writing import replacing

REPAIR = "write_pickle(path) makes a good one"


class _Array:
    """A numpy array as the stream describes it: two inert values; nothing of numpy runs while the file is read."""

    __slots__ = ("arguments", "state")

    def __init__(self, *arguments: Any) -> None:
        self.arguments: Any = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Buffer(_Array):
    """An array as pickle protocol 5 describes it: (bytes, data type, shape, order)."""

    __slots__ = ()


class _DataType(_Array):
    """A data type: arguments ("f8", ...), state (version, byte order, ...)."""

    __slots__ = ()


_ADMITTED = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DataType,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Buffer for core in ("core", "_core")},
}


class _Unpickler(pickle._Unpickler):  # the one in Python: the other takes gigabytes when a few bytes ask for them
    """Reads plain containers; the few names that arrays need become inert descriptions; any other is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data set needs; nothing was run")
        return _ADMITTED[module, name]


def _array(described: _Array) -> np.ndarray:
    """Build the array that was described; raises when it is not of plain numbers."""
    order: Any  # as the stream names it
    if isinstance(described, _Buffer):
        content, kind, shape, order = described.arguments
    else:
        _, shape, kind, fortran, content = described.state
        order = "F" if fortran else "C"
    code = kind.arguments[0]
    if code not in ("f4", "f8", "i4", "i8"):
        raise ValueError(f"it holds an array of type {code!r}; admitted are f4, f8, i4, i8")
    stored = np.dtype((">" if kind.state and kind.state[1] == ">" else "<") + code)
    return np.frombuffer(content, stored).reshape(shape, order=order).astype(code, order="C")


def _materialise(value: Any) -> Any:
    if isinstance(value, _Array):
        return _array(value)
    return {key: _materialise(item) for key, item in value.items()} if isinstance(value, dict) else value


def load_pickle(path: str | os.PathLike) -> dict:
    """Read a data set with the published keys from a pickle without executing anything that the file holds.

    A pickle is a program. This reader admits only the names that a numpy array needs (numpy 1 and 2, protocols 3
    to 5), turns them into inert descriptions, builds the arrays itself, and refuses every other name.
    Returns a dictionary with x (N, 40), x_test (M, 40), y (N,), y_test (M,), t (40,) and templates.
    Raises FileNotFoundError when there is no such file, ValueError when it is damaged, hostile or something else.
    """
    path = as_path("path", path)
    if not path.is_file():
        raise ArgumentFileError("path", f"{str(path)!r}, which is no file", cure="write_pickle(path) makes it")
    try:
        with path.open("rb") as stream:
            data = _materialise(_Unpickler(stream).load())
    except Exception as error:  # a damaged stream fails in many ways; each means that the file cannot be used
        given = f"{path.name}, which is refused: {str(error) or type(error).__name__}"
        raise ArgumentValueError("path", given, cure=REPAIR) from error
    try:
        _check_published("data", data)
    except ArgumentProblem as problem:
        given = f"{path.name}, a file with {problem.given}"
        raise ArgumentValueError("path", given, problem.allowed, REPAIR) from None
    return data


def _check_published(name: str, data: dict) -> None:
    check_keys(name, data, ("t", "templates", "x", "x_test", "y", "y_test"))
    for part in ("", "_test"):
        check_signals(name, data, part)
    if numbers(data["t"]).shape != (LENGTH,):
        raise ArgumentValueError(name, f"t of shape {numbers(data['t']).shape}", f"({LENGTH},)")
    check_templates(f"{name}['templates']", data["templates"])


def write_pickle(path: str | os.PathLike, data: dict | None = None) -> None:
    """Write a data set with the published keys, the same bytes each time; `data` None is the published data set.

    Only the published keys are written: shares of evidence come from the generator. Raises ValueError for other data.
    """
    path, data = as_path("path", path), make_dataset() if data is None else data
    _check_published("data", data)
    content = {key: data[key] for key in ("x", "x_test", "y", "y_test", "t")}
    content["templates"] = {key: np.asarray(data["templates"][key]) for key in ("x", "t", "y")}
    with replacing(path) as (partial,), partial.open("wb") as stream:
        pickle.dump(content, stream, protocol=4)
