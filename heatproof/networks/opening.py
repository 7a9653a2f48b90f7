"""Model files that nobody vouches for: what is in one is looked at before Keras reads it, and no code of it is run."""

import json
import re
import zipfile
import zlib
from pathlib import Path

import h5py
import keras

from heatproof import checks
from heatproof.networks import legacy, legacy_weights
from heatproof.problems import ArgumentTypeError, ArgumentValueError

# How Keras says that it does not know a class or a function, and how a file ends that is cut short or damaged.
_UNKNOWN = re.compile(
    r"(?:Unknown (?:layer|object|activation function): |Could not (?:locate|deserialize) (?:class|function) |"
    r"Could not interpret activation function identifier: |cannot deserialize object of type )[`']?([\w>]+)",
    re.I,
)
_DAMAGE = (OSError, EOFError, UnicodeDecodeError, json.JSONDecodeError, zipfile.BadZipFile, zlib.error)


def read(path: Path, custom_objects: dict | None) -> keras.Model:
    """The model of a file, whichever Keras wrote it."""
    archive = zipfile.is_zipfile(path)
    if not archive and not h5py.is_hdf5(path):
        given = f"{path}, which is not a complete model file: it is damaged or cut short"
        raise ArgumentValueError("path", given, cure="fetch it again")
    try:
        if archive:
            _check_archive(path)
        version, config = legacy.configuration(path)
        _refuse_code(config)
        if version.startswith(("1", "2")):
            return legacy.load(path, custom_objects)
        if archive != (path.suffix == ".keras"):
            raise _misnamed(path, archive)
        model = keras.saving.load_model(path, custom_objects=custom_objects, compile=False, safe_mode=True)
        legacy_weights.finish(model)  # Keras leaves that out for HDF5
        return model
    except Exception as error:
        raise _loading_problem(path, error) from error


def _misnamed(path, archive):
    kind, suffix = ("a zip", ".keras") if archive else ("HDF5", ".h5")
    return legacy.UnreadableError(f"is {kind} and named {path.suffix}", f"rename it to {path.with_suffix(suffix).name}")


def _check_archive(path: Path) -> None:
    """Refuse a zip bomb before anything is unpacked as a whole: by the sizes it declares, and by what is there."""
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a bound
                raise ValueError(f"unpacking {part.filename} is not safe: method {part.compress_type}")
            if part.file_size > max(10_000_000, 100 * part.compress_size):
                raise ValueError(f"unpacking {part.filename} is not safe: {part.file_size:,} bytes")
        damaged = archive.testzip()  # in small pieces
    if damaged:
        raise zipfile.BadZipFile(f"{damaged} is not what the archive declares")


def _refuse_code(config):
    """Refuse a Lambda layer before Keras reads the file: a session told to trust every file overrides safe mode."""
    found = [config]
    while found:
        part = found.pop()
        if isinstance(part, dict) and part.get("class_name") in ("Lambda", "__lambda__"):
            raise ValueError("unsafe: a Lambda layer")
        found += part.values() if isinstance(part, dict) else part if isinstance(part, list) else []


def _loading_problem(path, error):
    """What a failed load means, and its cure."""
    text, allowed = " ".join(str(error).split()), ""
    unknown = _UNKNOWN.search(text)
    if isinstance(error, legacy.UnreadableError):
        given, cure = error.given, error.cure
    elif text.startswith("unpacking"):
        given, allowed = f"was not loaded: {text}", "parts that are stored, or that deflate to a hundredth at most"
        cure = "fetch it again, or save it again with model.save, which does not compress"
    elif text.startswith("unsafe"):
        given = "holds a Lambda layer, which is Python code that loading would run; it was not loaded"
        cure = "replace the Lambda layer by a built-in layer (Rescaling, Activation, ...) and save the model again"
    elif unknown:
        given = f"holds {unknown[1]!r}, a class or a function that is not one of Keras"
        cure = f"name it, load_model(path, custom_objects={{{unknown[1]!r}: ...}})"
    elif "no item named" in text:
        given, cure = f"is a zip without a Keras model in it ({text[:300]})", "pass the file that model.save wrote"
    elif isinstance(error, _DAMAGE):
        given, cure = f"is damaged or cut short ({text[:300]})", "fetch it again"
    else:
        given, cure = f"is whole, but Keras {keras.version()} cannot build its model ({text[:600]})", ""
    return ArgumentValueError("path", f"{path}, which {given}", allowed, cure)


def check_custom_objects(custom_objects) -> dict:
    """The names that a file may use, as a dictionary; raises ``TypeError`` for what is not callable."""
    allowed = "a dictionary from names to classes or functions, or None"
    if custom_objects is None:
        return {}
    if not isinstance(custom_objects, dict):
        raise ArgumentTypeError("custom_objects", checks.shown(custom_objects), allowed)
    for name, value in custom_objects.items():
        if not isinstance(name, str) or not callable(value):
            raise ArgumentTypeError("custom_objects", f"{name!r}: {checks.shown(value)}", allowed)
    return dict(custom_objects)
