"""What code answers a question: the sources that it runs through, the code as it is loaded, the libraries' versions.

A source is any file of ours, or of a visitor, that import statements reach from a function's own; it counts as text,
line ends left out of account. Other libraries count with their versions.
"""

import ast
import dataclasses
import functools
import hashlib
import importlib
import sys
import sysconfig
import types
from pathlib import Path

import joblib
import numpy as np

from heatproof.bytecode import told

ROOT = Path(__file__).resolve().parents[2]
OURS = {"heatproof", "xai_utils", "mnist1d_utils"}
INSTALLED = {"site-packages", "dist-packages"}
LIBRARIES = ("tensorflow", "keras", "numpy", "scipy", "skimage", "sklearn")

# --------------------------------------------------------------------------------------------------------- sources


def closure_of(module: str, root: Path = ROOT) -> dict[str, Path]:
    """Return {name: file} of `module` and of all that it imports, and these import, of ours or a visitor's.

    Import statements are read, not executed, wherever they stand in a file. A visitor's files lie in the folder `root`,
    in the checkout beside the package, or in any folder that Python searches and that holds no libraries; ours import
    none of them. Where `root` holds installed libraries, the package of `module` alone counts. Empty where `root` has
    no such module.
    """
    own, elsewhere = _top(module), () if _holds_libraries(root) else (root, *_folders_of_visitors())
    found, waiting = {}, [module]
    while waiting:
        name = waiting.pop()
        places = (root, ROOT) if _top(name) in OURS else (root,) if _top(name) == own else elsewhere
        path = None if name in found else _file_of(name, places)
        if path is not None:
            found[name] = path
            named = _imported(name, path, path.stat().st_mtime_ns)
            waiting += [other for other in named if _top(name) not in OURS or _top(other) in OURS]
            package = name.rpartition(".")[0]  # an import runs the packages above a module
            waiting += [package] if package else []
    return found


def _top(name):
    return name.split(".")[0]


def _folders_of_visitors():
    """The folders in which an import finds what was not installed: the checkout, then those that Python searches."""
    searched = [Path(entry).resolve() for entry in sys.path if Path(entry).is_dir()]
    return [folder for folder in dict.fromkeys([ROOT, *searched]) if not _holds_libraries(folder)]


def _holds_libraries(folder):
    """Whether a folder is where libraries are installed, or Python's own."""
    own = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
    inside = INSTALLED & set(folder.parts) or any(folder.is_relative_to(each) for each in own)
    return bool(inside) or any(folder.glob("*.dist-info"))


def _file_of(name, places):
    """The source of a module in the first of the folders that has it; None where there is none, as for a library."""
    stems = [place.joinpath(*name.split(".")) for place in places]
    files = [path for stem in stems for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py")]
    return next((path for path in files if path.is_file()), None)


@functools.cache
def _imported(name, path, changed):
    """The modules that a source names; of `from a import b` both a and a.b."""
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            whole = ".".join([*start, *filter(None, [node.module])])
            names |= {whole, *(f"{whole}.{alias.name}" for alias in node.names)} - {""}
    return sorted(names)


@functools.cache
def _text(path, changed):
    return path.read_bytes().replace(b"\r\n", b"\n")


def sources(closure: dict[str, Path]) -> str:
    """Return the SHA-256 of the texts of a closure and of the versions of the libraries that compute in it."""
    whole, named = hashlib.sha256(), {"tensorflow", "keras", "numpy"}
    for name, path in sorted(closure.items()):
        changed = path.stat().st_mtime_ns
        text = _text(path, changed)
        whole.update(f"{name} {len(text)}\n".encode() + text)
        named |= {other.split(".")[0] for other in _imported(name, path, changed)}
    for library in LIBRARIES:
        if library in named:
            whole.update(f"{library} {importlib.import_module(library).__version__}\n".encode())
    return whole.hexdigest()


def _closure_at(name):
    """The closure of a loaded module; None for a library's, {} where there is no file (a notebook, a prompt)."""
    if name and name.split(".")[0] in OURS:
        return closure_of(name)
    file = getattr(sys.modules.get(name), "__file__", None)
    if not file or not Path(file).is_file():
        return None if name in sys.builtin_module_names else {}
    path, parts = Path(file).resolve(), name.split(".")
    if INSTALLED & set(path.parts) or path.is_relative_to(Path(sysconfig.get_path("stdlib")).resolve()):
        return None
    if name == "__main__":
        return closure_of(path.stem, path.parent)
    return closure_of(name, path.parents[len(parts) - (path.stem != "__init__")])


# ---------------------------------------------------------------------------------------------------- code as loaded

_WRAPPERS = (staticmethod, classmethod, property, functools.cached_property, type(_text))


def _names(code):
    """The names that a code object and those inside it look up."""
    inner = [_names(each) for each in code.co_consts if isinstance(each, types.CodeType)]
    return set(code.co_names).union(*inner)


def _codes(value, module):
    """The code of a function, of what it wraps, of the methods of a class of this module; nothing for other values."""
    if isinstance(value, type):
        return (
            [word for part in vars(value).values() for word in _codes(part, "")] if value.__module__ == module else []
        )
    found = [told(value.__code__)] if isinstance(value, types.FunctionType) else []
    if isinstance(value, (*_WRAPPERS, types.FunctionType)):
        inner = [getattr(value, name, None) for name in ("__wrapped__", "__func__", "fget", "func")]
        found += [word for part in inner for word in _codes(part, module)]
    return found


def _loaded(name):
    """The code that is bound in a module now, which may be another than that of its file."""
    bound = sorted(vars(sys.modules[name]).items()) if name in sys.modules else []
    return "".join(f"{key} {word}\n" for key, value in bound for word in _codes(value, name))


# ----------------------------------------------------------------------------------------------- values of any kind


def _plain(value):
    """A value as text that every process gives alike."""
    if isinstance(value, frozenset):
        return repr(sorted(map(_plain, value)))
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, tuple, type(...))):
        return repr(value)
    try:
        return joblib.hash(value)
    except Exception:  # what cannot be pickled
        return repr(value)


class Digest:
    """A SHA-256 of values of any kind; a function counts with all the code that it may run."""

    def __init__(self):
        self.whole, self._seen = hashlib.sha256(), {}

    def copy(self):
        other = Digest()
        other.whole, other._seen = self.whole.copy(), dict(self._seen)
        return other

    def hexdigest(self):
        return self.whole.hexdigest()

    def word(self, text):
        self.whole.update(f"{len(text)} {text}\n".encode())

    def add(self, *values):
        """Take in values, one after the other; returns the digest."""
        self.word(str(len(values)))
        for value in values:
            self._add(value)
        return self

    def _add(self, value):
        if isinstance(value, types.ModuleType):
            self.module(value.__name__)
        elif isinstance(value, (list, tuple)):
            self.add(*value)
        elif isinstance(value, dict):
            self.add(*sorted(value.items(), key=lambda item: str(item[0])))
        elif not isinstance(value, type) and self._instance(value):
            pass
        elif not callable(value):
            self.word(f"{type(value).__name__} {_plain(value)}")
        elif id(value) not in self._seen:
            self._seen[id(value)] = value  # kept alive: an id may be given again
            self._function(value)

    def _instance(self, value):
        """Take in an array, a tensor, a row or settings, a network or a layer; whether it was one of these."""
        if isinstance(value, (np.ndarray, np.generic)) or hasattr(value, "numpy"):
            array = np.asarray(value)
            self.word(f"{array.dtype} {array.shape}")
            self.whole.update(np.ascontiguousarray(array).tobytes() if array.dtype != object else repr(value).encode())
        elif dataclasses.is_dataclass(value):
            self.add(type(value), {field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
        elif hasattr(value, "get_weights"):
            self.add(value.name, *value.get_weights())
        else:
            return False
        return True

    def _function(self, function):
        """The code, what it closes over, and the modules that it can reach."""
        if isinstance(function, functools.partial):
            self.add(function.func, function.args, function.keywords)
        elif isinstance(function, types.MethodType):
            self.add(function.__func__, function.__self__)
        elif isinstance(function, types.FunctionType):
            cells = [_content(cell) for cell in function.__closure__ or ()]
            self.word(told(function.__code__))
            self.add(function.__defaults__, function.__kwdefaults__, *cells)
            used = {name: function.__globals__.get(name) for name in _names(function.__code__)}
            self.module(function.__module__, used)
        elif isinstance(function, type):
            self.word(function.__qualname__)
            self.module(function.__module__, {name: part for name, part in vars(function).items() if callable(part)})
        else:
            self.add(type(function), getattr(function, "__wrapped__", None), getattr(function, "__dict__", {}))
            self.word(str(getattr(function, "__name__", "")))

    def module(self, name, used=None):
        """The files that a module reaches, and the code bound in them; where there is no file, what is `used` of it."""
        closure = _closure_at(name)
        if closure is None:
            self.word(f"{name} {getattr(sys.modules.get(name.split('.')[0]), '__version__', '')}")
        elif closure:
            for word in (sources(closure), *(_loaded(each) for each in sorted(closure))):
                self.word(word)
        else:
            self.add(used or {})


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None
