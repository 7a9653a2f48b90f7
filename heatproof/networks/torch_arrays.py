"""Arrays of a file that PyTorch wrote before its version 1.6, read without PyTorch and without running the file.

Such a file is a row of pickles (a magic number, a version, facts of the machine, the tensors, the keys of their
storages) and behind them, for each key, the number of its values as int64 and the values themselves.
"""

import math
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple

import numpy as np

from heatproof.problems import ArgumentFileError, ArgumentValueError

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
TYPES = {"DoubleStorage": "<f8", "FloatStorage": "<f4", "LongStorage": "<i8", "IntStorage": "<i4"}


class _Storage(NamedTuple):
    """Values that lie behind the pickles: how they are kept, and how many they are."""

    kind: str
    size: int


class _Tensor(NamedTuple):
    """A tensor as the stream describes it: inert values; no array is made while the pickle is read."""

    key: Any
    offset: Any
    shape: Any
    strides: Any
    learns: Any = None
    hooks: Any = None


class _Unpickler(pickle._Unpickler):  # the one in Python: the other takes gigabytes when a few bytes ask for them
    """Reads plain values, ordered dictionaries and descriptions of tensors; any other name is refused."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self.storages: dict[Any, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in TYPES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no weights need; nothing was run")

    def persistent_load(self, described: Any) -> Any:
        """The key of a storage; a view of another storage, the last entry, is refused."""
        word, kind, key, _, count, view = described
        if word != "storage" or type(count) is not int or view is not None:
            raise pickle.UnpicklingError(f"it describes a storage as {described!r}")
        if self.storages.setdefault(key, _Storage(TYPES[kind], count)) != (TYPES[kind], count):
            raise pickle.UnpicklingError(f"it describes the storage {key!r} twice")
        return key

    def load_build(self) -> None:
        """What a stream adds to a value that is made: the versions beside an ordered dictionary, left out here."""
        stack: list = vars(self)["stack"]
        stack.pop()
        if type(stack[-1]) is not OrderedDict:
            raise pickle.UnpicklingError(f"it changes a {type(stack[-1]).__name__}; nothing was run")

    dispatch: ClassVar[dict[int, Callable]] = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the state of a network, {name: array}, from a file in PyTorch's format before 1.6.

    A pickle is a program. This reader admits storages of plain numbers, `_rebuild_tensor_v2` (as an inert description)
    and `OrderedDict`, refuses every other name, and makes the arrays itself once the pickle is read.
    Raises FileNotFoundError when there is no such file, ValueError when it is damaged, cut short or hostile.
    """
    path = Path(path)
    if not path.is_file():
        raise ArgumentFileError("path", f"{path}, which is no file")
    try:
        with path.open("rb") as stream:
            return _read(stream)
    except Exception as error:  # a damaged stream fails in many ways; each means that the file cannot be used
        given = f"{path.name}, which is refused: {str(error) or type(error).__name__}"
        raise ArgumentValueError("path", given, "weights as PyTorch wrote them before 1.6", "fetch it again") from error


def _read(stream: BinaryIO) -> dict[str, np.ndarray]:
    magic, version, machine = (_Unpickler(stream).load() for _ in range(3))
    if (magic, version, machine["little_endian"]) != (MAGIC, VERSION, True):
        raise pickle.UnpicklingError("it does not begin as such a file does")
    described = _Unpickler(stream)
    tensors = described.load()
    keys = _Unpickler(stream).load()
    if sorted(keys) != sorted(described.storages):
        raise pickle.UnpicklingError("its keys are not those of its storages")
    storages = {key: _values(stream, key, described.storages[key]) for key in keys}
    if stream.read(1):
        raise pickle.UnpicklingError("it goes on behind its last array")
    return {name: _array(name, tensor, storages) for name, tensor in tensors.items()}


def _values(stream: BinaryIO, key: str, storage: _Storage) -> np.ndarray:
    """The values of one storage; no more than the file has are ever asked for."""
    count, kind = int.from_bytes(stream.read(8), "little", signed=True), np.dtype(storage.kind)
    content = stream.read(count * kind.itemsize) if count == storage.size >= 0 else b""
    if len(content) != storage.size * kind.itemsize:
        raise pickle.UnpicklingError(f"it does not hold the {storage.size} values of the storage {key!r}")
    return np.frombuffer(content, kind)


def _array(name: str, tensor: Any, storages: dict[str, np.ndarray]) -> np.ndarray:
    """The part of a storage that a tensor describes: entry (i, j) is the value offset + i strides[0] + j strides[1]."""
    if type(tensor) is not _Tensor:
        raise pickle.UnpicklingError(f"{name!r} is no tensor but a {type(tensor).__name__}")
    values, sizes = storages[tensor.key], [tensor.offset, *tensor.shape, *tensor.strides]
    whole = all(type(size) is int and size >= 0 for size in sizes) and len(tensor.shape) == len(tensor.strides)
    if not whole or max(_last(tensor) + 1, math.prod(tensor.shape)) > len(values):
        where = f"offset {tensor.offset}, shape {tensor.shape}, strides {tensor.strides}"
        raise pickle.UnpicklingError(f"the tensor {name!r} does not lie in its {len(values)} values: {where}")
    steps = [values.itemsize * stride for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, steps).copy()


def _last(tensor: _Tensor) -> int:
    """The place of the last value that a tensor reads; an empty one reads none."""
    steps = ((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    return tensor.offset + sum(steps) if math.prod(tensor.shape) else -1
