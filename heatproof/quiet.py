"""TensorFlow writes about its build and the machine to stderr: here only where TF_CPP_MIN_LOG_LEVEL asks for it."""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

LEVEL, SILENT = "TF_CPP_MIN_LOG_LEVEL", "3"  # of TensorFlow's C++ library: 0 says everything


def be_quiet() -> None:
    """Set the level before TensorFlow is imported, unless the user has; some lines of its import heed no level."""
    if os.environ.setdefault(LEVEL, SILENT) == SILENT and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _Quietly())


class _Quietly:
    """Finds TensorFlow where it is, to import it without stderr; finds nothing else."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module
            spec.loader.exec_module = _without_stderr()(execute)  # type: ignore[method-assign]
        return spec


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Within it, what any library writes to stderr is lost; errors of Python are raised as ever."""
    try:
        kept = os.dup(2)
    except OSError:  # a program without a console has no stderr
        yield
        return
    if sys.stderr:
        sys.stderr.flush()  # what was written before is not lost
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
