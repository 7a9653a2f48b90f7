"""How far a dissection has come, kept in a folder: a run that was stopped goes on, and ends with the same bits."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from heatproof.bytecode import of_class
from heatproof.data.concepts import Concepts
from heatproof.engine.places import Place
from heatproof.engine.settings import VERSIONS
from heatproof.engine.views import recipe_of
from heatproof.inside.streams import Stream
from heatproof.problems import ArgumentValueError
from heatproof.writing import replacing

FILE = "dissection.npz"
PAUSE = 30.0  # seconds from one checkpoint to the next
LIBRARIES = {"keras", "tensorflow", "builtins"}  # whose classes VERSIONS tell apart
PACKAGE = Path(__file__).resolve().parents[1]


class Checkpoint:
    """What one dissection has counted so far, in a file that is whole or untouched; without a folder nothing is kept.

    state:   {name: array} of what was counted, `done` inputs of the pass that was going on
    asked:   {argument: text}, the question. A file of another one is refused, and says by which arguments; so are other
             inputs, as soon as they come.
    """

    def __init__(self, folder: Path | None, asked: Callable[[], dict[str, str]]) -> None:
        self.path = None if folder is None else folder / FILE
        self.state: dict[str, np.ndarray] = {}
        self.done, self.read, self.whole, self.saved = 0, "", "", time.monotonic()
        if self.path is not None:
            self.asked = asked()
            if self.path.exists():
                self._resume(self.path)

    def _resume(self, path):
        try:
            with np.load(path, allow_pickle=False) as file:
                state = dict(file)
            told = json.loads(str(state.pop("told")))
            asked, self.done, self.read, self.whole = told["asked"], *(told[key] for key in ("done", "read", "whole"))
        except Exception as error:  # a damaged archive fails in many ways
            given = f"{path}, which cannot be read ({error})"
            raise ArgumentValueError("folder", given, cure="delete that file to start anew") from error
        if others := [name for name, value in self.asked.items() if asked.get(name) != value]:
            raise self._of_another(", ".join(others))
        self.state = state

    def _of_another(self, what):
        given = f"{self.path}, of a dissection that differs in its {what}"
        return ArgumentValueError("folder", given, cure="name another folder, or delete that file to start anew")

    def answers(self, stream: Stream) -> Iterator[tuple[int, Place, np.ndarray]]:
        """The answers of a stream, without those that were counted before the checkpoint."""
        before, wanted, digest = self.done, self.read, hashlib.sha256()
        for start, place, part in stream.parts():
            inputs = place.query.inputs[part]
            end = start + len(inputs)
            if self.path is not None:
                digest.update(f"{inputs.dtype} {inputs.shape}".encode() + np.ascontiguousarray(inputs).tobytes())
                self.read = digest.hexdigest()
            if start >= before:
                yield start, place, place.activation(part)
            elif end > before or (end == before and self.read != wanted):
                raise self._of_another("inputs, or in their division into batches")
        if self.whole not in ("", self.read):
            given = "others in the second pass than in the first"
            raise self._of_another("inputs") if before else ArgumentValueError("inputs", given, "the same ones again")

    def keep(self, done: int, state: Callable[[], dict[str, np.ndarray]]) -> None:
        """Write what is counted of the first `done` inputs, unless that was done a moment ago."""
        if time.monotonic() - self.saved >= PAUSE:
            self._write(done, state)

    def end(self, done: int, state: Callable[[], dict[str, np.ndarray]]) -> None:
        """Write what a whole pass has counted; the next one begins with input `done`."""
        self.whole = self.whole or self.read
        self.done = done
        self._write(done, state)

    def _write(self, done, state):
        path = self.path
        if path is None:
            return
        told = {"asked": self.asked, "done": done, "read": self.read, "whole": self.whole}
        with replacing(path, argument="folder") as (partial,), partial.open("wb") as stream:
            np.savez(stream, told=np.array(json.dumps(told)), **state())
        self.saved = time.monotonic()


def question(model: keras.Model, layer: str, concepts: Concepts, **settings: object) -> dict[str, str]:
    """{argument: text} of all on which the counts of a dissection depend, but the inputs."""
    base, numbers = recipe_of(model).base, [concepts.names, concepts.categories, concepts.size]
    maps = [array for pair in zip(concepts.labelled.values(), concepts.maps.values(), strict=True) for array in pair]
    sources = [path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))]
    found = {"model": _digest(_plan(base), *base.get_weights()), "layer": layer, "concepts": _digest(numbers, *maps)}
    return found | {key: repr(value) for key, value in settings.items()} | {"code": _digest(VERSIONS, *sources)}


def _plan(model):
    """How a network is built, as text: its configuration, else its name, and the code of classes of its own."""
    kinds = {kind for part in model._flatten_layers() for kind in type(part).__mro__}
    own = [kind for kind in kinds if kind.__module__.partition(".")[0] not in LIBRARIES]
    code = sorted(f"{kind.__qualname__} {of_class(kind)}" for kind in own)
    try:
        return json.dumps([model.get_config(), code], sort_keys=True, default=lambda part: type(part).__name__)
    except (NotImplementedError, TypeError):
        return json.dumps([type(model).__name__, code])


def _digest(*parts: Any):
    """The SHA-256 of arrays and of other values as text."""
    digest = hashlib.sha256()
    for part in parts:
        array = part if isinstance(part, np.ndarray) else np.frombuffer(str(part).encode(), np.uint8)
        digest.update(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
