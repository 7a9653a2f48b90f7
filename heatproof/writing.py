"""Files that are whole or untouched."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path


@contextlib.contextmanager
def replacing(*paths):
    """Temporary paths to write to; at the end of the block they replace ``paths``, all or none.

    After an error or an interruption ``paths`` are as they were and nothing else is left. An ``OSError`` (no room, no
    right to write) is raised again with the path and the cure.
    """
    try:
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=paths[0].parent, prefix=".saving-") as folder:
            partial = [Path(folder) / path.name for path in paths]
            yield partial
            _exchange(partial, paths, Path(folder))
    except OSError as error:
        message = f"path: {paths[0]} could not be written ({error.strerror or error}); what was there is unchanged: "
        message += "make room, or name another folder"
        raise OSError(*([error.errno] if error.errno else []), message) from error


def _exchange(partial, paths, folder):
    """Replace each of ``paths``; a failure between two of them puts all of them back."""
    kept = {path: shutil.copy2(path, folder / f"kept-{path.name}") for path in paths if path.exists()}
    try:
        for new, path in zip(partial, paths, strict=True):
            os.replace(new, path)
    except BaseException:
        for path in paths:
            os.replace(kept[path], path) if path in kept else path.unlink(missing_ok=True)
        raise


def write_whole(path, fill):
    """Write a file through a temporary neighbour, so that it is either whole or absent."""
    path = Path(path)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
            partial = Path(folder) / path.name
            with partial.open("wb") as stream:
                fill(stream)
            os.replace(partial, path)
    except OSError as error:
        message = f"path: {path} could not be written ({error.strerror or error}); what was there is unchanged: "
        message += "make room, or name another folder"
        raise OSError(*([error.errno] if error.errno else []), message) from error
