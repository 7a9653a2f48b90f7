"""Model files that nobody vouches for: what is in one is looked at before Keras reads it, and no code of it is run."""

import json
import re
import zipfile
import zlib

import h5py
import keras

from heatproof.networks import legacy, legacy_weights

# How Keras says that it does not know a class or a function, and how a file ends that is cut short or damaged.
_UNKNOWN = re.compile(
    r"(?:Unknown (?:layer|object|activation function): |Could not (?:locate|deserialize) (?:class|function) |"
    r"Could not interpret activation function identifier: |cannot deserialize object of type )[`']?([\w>]+)",
    re.I,
)
_DAMAGE = (OSError, EOFError, UnicodeDecodeError, json.JSONDecodeError, zipfile.BadZipFile, zlib.error)


def read(path, custom_objects):
    """The model of a file, whichever Keras wrote it."""
    archive = zipfile.is_zipfile(path)
    if not archive and not h5py.is_hdf5(path):
        raise ValueError(f"path: {path} is not a complete model file; it is damaged or cut short: fetch it again")
    try:
        if archive:
            _check_archive(path)
        version, config = legacy.configuration(path)
        _refuse_code(config)
        if version.startswith(("1", "2")):
            return legacy.load(path, custom_objects)
        if archive != (path.suffix == ".keras"):
            raise legacy.UnreadableError(f"is named {path.suffix}: rename it to {'.keras' if archive else '.h5'}")
        model = keras.saving.load_model(path, custom_objects=custom_objects, compile=False, safe_mode=True)
        legacy_weights.finish(model)  # Keras leaves that out for HDF5
        return model
    except Exception as error:
        raise ValueError(f"path: {path} {_loading_problem(error)}") from error


def _check_archive(path):
    """Refuse a zip bomb before anything is unpacked as a whole: by the sizes it declares, and by what is there."""
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a bound
                raise ValueError(f"unpacking {part.filename} is not safe: method {part.compress_type}")
            if part.file_size > max(10_000_000, 100 * part.compress_size):
                raise ValueError(f"unpacking {part.filename} is not safe: {part.file_size:,} bytes")
        damaged = archive.testzip()  # in small pieces
    if damaged:
        raise ValueError(f"{damaged} is not what the archive declares")


def _refuse_code(config):
    """Refuse a Lambda layer before Keras reads the file: a session told to trust every file overrides safe mode."""
    found = [config]
    while found:
        part = found.pop()
        if isinstance(part, dict) and part.get("class_name") in ("Lambda", "__lambda__"):
            raise ValueError("unsafe: a Lambda layer")
        found += part.values() if isinstance(part, dict) else part if isinstance(part, list) else []


def _loading_problem(error):
    """What a failed load means, and its cure."""
    text = " ".join(str(error).split())
    if isinstance(error, legacy.UnreadableError):
        return text
    if text.startswith("unpacking"):
        return (
            f"was not loaded: {text}. Allowed are parts that are stored, or that deflate to a hundredth at most; "
            "fetch it again, or save it again with model.save, which does not compress"
        )
    if text.startswith("unsafe"):
        return (
            "holds a Lambda layer, which is Python code that loading would run; it was not loaded. Replace the "
            "Lambda layer by a built-in layer (Rescaling, Activation, ...) and save the model again"
        )
    if unknown := _UNKNOWN.search(text):
        name = unknown[1]
        return (
            f"holds {name!r}, a class or a function that is not one of Keras: name it, load_model(path, "
            f"custom_objects={{{name!r}: ...}})"
        )
    if isinstance(error, _DAMAGE) or "no item named" in text:
        return f"is damaged or cut short: fetch it again. The reader says: {text[:300]}"
    return f"is whole, and Keras {keras.version()} cannot build the model in it. Keras says: {text[:600]}"


def check_custom_objects(custom_objects):
    """The names that a file may use, as a dictionary; raises ``TypeError`` for what is not callable."""
    if custom_objects is None:
        return {}
    if not isinstance(custom_objects, dict):
        raise TypeError(f"custom_objects: got {custom_objects!r}; pass a dictionary from names to classes or functions")
    for name, value in custom_objects.items():
        if not isinstance(name, str) or not callable(value):
            raise TypeError(f"custom_objects: got {name!r}: {value!r}; pass names with classes or functions")
    return dict(custom_objects)
