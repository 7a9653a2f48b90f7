"""Files that are whole or untouched: the one place that writes them.

Standard library alone: the tools use it before anything is installed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(
    *paths: str | os.PathLike, argument: str = "path", cure: str = "make room, or name another folder"
) -> Iterator[list[Path]]:
    """Temporary paths to write to; at the end of the block they replace ``paths``, all or none.

    ``paths`` have names of their own in one folder, which is made where it is missing. After an error or an
    interruption they are as they were and nothing else is left. An ``OSError`` (no room, no right to write) is raised
    again with the path and the cure, beginning with ``argument``, the name under which the caller took the path.
    """
    paths = [Path(path) for path in paths]
    try:
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=paths[0].parent, prefix=".saving-") as folder:
            yield [Path(folder, path.name) for path in paths]
            _exchange(paths, Path(folder))
    except OSError as error:
        message = f"{argument}: {paths[0]} could not be written ({error.strerror or error}); "
        message += f"what was there is unchanged. Cure: {cure}."
        raise OSError(*([error.errno] if error.errno else []), message) from error


def _exchange(paths: list[Path], folder: Path) -> None:
    """Replace each of ``paths`` by its namesake in ``folder``; a failure between two of them puts all of them back."""
    several = paths if len(paths) > 1 else []  # one alone is replaced in one step
    kept = {path: shutil.copy2(path, folder / f"kept-{path.name}") for path in several if path.exists()}
    try:
        for path in paths:
            os.replace(folder / path.name, path)
    except BaseException:
        for path in several:
            os.replace(kept[path], path) if path in kept else path.unlink(missing_ok=True)
        raise


def write(path: str | os.PathLike, content: str | bytes, **told: str) -> None:
    """Write bytes, or text as UTF-8 with its line ends as they are, whole or not at all; ``told`` as in `replacing`."""
    with replacing(path, **told) as (partial,):
        partial.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
