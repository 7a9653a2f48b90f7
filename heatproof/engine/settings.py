"""What a model computes with, read as a key: as long as two keys are equal, its kept graphs stand.

Of every layer: its plain attributes, arrays, containers and objects of one's own, the variables and seeds that it
holds, and its functions. Of a function of one's own: its code, its defaults, what its closure holds, and the globals
that it names. Of a class of one's own: its functions, and the plain values that they do not write themselves. Code of
installed packages is taken as it is. What cannot be read in this way is named in `unknown`, so that it can be compared.
"""

import collections
import dis
import functools
import hashlib
import sys
import sysconfig
import threading
import types
import weakref
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

TRACING = threading.RLock()
VERSIONS = tuple(library.__version__ for library in (keras, tf, np))
LARGEST = 10_000  # values read of one model; what lies beyond is unknown
_DEEPEST = 60
_OF_LAYERS = frozenset(vars(keras.layers.Layer()))  # what Keras itself keeps in every layer
# ... and in every model, with what `compile`, `fit`, `predict` and `evaluate` leave there: none of it changes outputs.
_OF_MODELS = frozenset(vars(keras.Model())) | {"optimizer", "history", "_compile_config", "_compiled_trainable_state"}
_OF_MODELS |= {"stop_training", "stop_predicting", "stop_evaluating", "_eval_epoch_iterator"}
_PLAIN = {bool, int, float, complex, str, bytes, type(None), type(...)}
_TRUSTED = {"keras", "tensorflow", "numpy", "math", "functools", "itertools", "typing", "builtins", "abc", "enum"}
_TRUSTED |= {__name__.split(".")[0]}  # a view inside a model: its code would lead into graphs kept for others
_TRUSTED |= {"collections", "dataclasses", "logging", "operator", "_operator", "re", "threading", "_thread", "warnings"}
_NOT_OF_CALLS = {"__init__", "build", "get_config", "from_config"}
_INSTALLED = ("<frozen", *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class Settings(NamedTuple):
    """The key, and what of the model's code no key can be made of."""

    key: tuple
    unknown: tuple


class Same(weakref.ref):
    """A key for one living object: an id would be given again to a new one."""

    __slots__ = ("number",)

    def __init__(self, value):
        super().__init__(value)  # type: ignore[call-arg]  # its stub has __new__ alone
        self.number = id(value)

    def __hash__(self):
        return self.number

    def __eq__(self, other):
        return isinstance(other, Same) and self() is not None and self() is other()


def settings_of(model):
    """What the layers of a model compute with, as `Settings` that keep nothing alive."""
    reading = _Reading()
    with TRACING:  # a trace in another thread watches the layers, which must not be taken for a change
        key = tuple(reading.of(layer) for layer in model._flatten_layers())
    return Settings(key, tuple(sorted(reading.unknown)))


class _Reading:
    """One reading of a model: what is met again is named by its number."""

    def __init__(self):
        self.seen, self.unknown, self.depth, self.readers = {}, set(), 0, {}

    def of(self, value):
        """A key for any value."""
        kind = type(value)
        if kind in _PLAIN:
            return value
        if id(value) in self.seen:
            return "seen", self.seen[id(value)][0]
        self.seen[id(value)] = len(self.seen), value  # held, so that no other is given its id meanwhile
        if len(self.seen) > LARGEST or self.depth > _DEEPEST:
            return self._opaque(value, "more than can be read")
        self.depth += 1
        try:
            if kind not in self.readers:
                self.readers[kind] = _reader(value)
            return self.readers[kind](self, value)
        finally:
            self.depth -= 1

    def _opaque(self, value, name):
        self.unknown.add(name)
        return _same(value)

    def _sequence(self, values):
        return type(values).__name__, *map(self.of, values)

    def _mapping(self, values):
        return tuple((str(name), self.of(part)) for name, part in list(values.items()))

    def _array(self, value):
        if tf.is_tensor(value) and not hasattr(value, "numpy"):
            return _same(value)
        if getattr(value, "dtype", None) in (tf.resource, tf.variant):
            return self._opaque(value, "a TensorFlow handle")
        array = np.asarray(value)  # what is not a weight stands in the graph as a constant
        if array.dtype == object:
            return array.shape, self._sequence(array.ravel().tolist())  # its bytes are addresses
        return array.shape, str(array.dtype), hashlib.sha256(array.tobytes()).digest()

    def _variable(self, variable):
        variable = getattr(variable, "_value", variable)  # TensorFlow's, inside that of Keras
        return getattr(variable, "_unique_id", None) or _same(variable)

    def _seed(self, generator):
        return self._variable(generator.state)

    def _layer(self, layer):
        kept = (*layer._trainable_variables, *layer._non_trainable_variables)
        found = [_same(layer), *map(self._variable, kept), *map(self._seed, layer._seed_generators)]
        found.append(getattr(layer._dtype_policy, "name", None))
        passed = _OF_MODELS if isinstance(layer, keras.Model) else _OF_LAYERS
        private = not type(layer).__module__.startswith("keras.")
        for name, value in list(vars(layer).items()):
            if name not in passed and (private or name[0] != "_"):
                found.append((name, value if type(value) in _PLAIN else self.of(value)))
        if private:
            found.extend(self.of(each) for each in type(layer).__mro__ if _own_class(each))
        return tuple(found)

    def _class(self, value):
        """Its functions, and the values that they read but do not write: a counter is no setting."""
        if not _own_class(value):
            return self._foreign(value)
        parts = [(name, getattr(each, "fget", None) or getattr(each, "__func__", each)) for name, each in _own(value)]
        functions = [part for _, part in parts if isinstance(part, types.FunctionType) and not _installed(part)]
        written = set().union(*(_names(function.__code__).written for function in functions))
        plain = [(name, part) for name, part in parts if name not in written and isinstance(part, _VALUES)]
        return _same(value), *map(self.of, functions), *((name, self.of(part)) for name, part in plain)

    def _function(self, function):
        if _installed(function):
            return self._foreign(function)
        names, known = _names(function.__code__), function.__globals__
        self.unknown.update({"open"} & {*names.globals})
        modules = [known[name] for name in names.globals if isinstance(known.get(name), types.ModuleType)]
        named = [known[name] for name in names.globals if name in known]
        given = (function.__defaults__, function.__kwdefaults__, vars(function))
        parts = (*given, *map(_held, function.__closure__ or ()), *named)
        return function.__code__, *map(self.of, parts), *(self._module(each, names.attributes) for each in modules)

    def _module(self, module, names):
        """The attributes that a function names, of a module of one's own."""
        root = module.__name__.split(".")[0]
        if root == "numpy" and "random" in (*names, *module.__name__.split(".")):
            self.unknown.add("numpy.random")
        elif root not in _TRUSTED and _of_packages(getattr(module, "__file__", None)):
            self.unknown.add(module.__name__)
        elif root not in _TRUSTED:
            return tuple((name, self.of(vars(module)[name])) for name in names if name in vars(module))
        return None

    def _foreign(self, value):
        """A function or class that others wrote."""
        return _same(value) if _trusted(value) else self._opaque(value, f"{value.__module__}.{value.__qualname__}")

    def _bound(self, method):
        return self.of(method.__func__), self.of(method.__self__)

    def _partial(self, value):
        return tuple(map(self.of, (value.func, value.args, value.keywords)))

    def _object(self, value):
        kind = type(value)
        slots = [name for each in kind.__mro__ for name in _slots(each) if hasattr(value, name)]
        if not slots and not hasattr(value, "__dict__"):
            return self._opaque(value, kind.__name__)
        found = {name: getattr(value, name) for name in slots} | getattr(value, "__dict__", {})
        return self.of(kind), self._mapping(found)


_VALUES = (bool, int, float, str, list, tuple, dict, np.ndarray, tf.Variable)
_READERS = (  # by the kind of a value, the first that fits
    ((bool, int, float, str, bytes), lambda self, value: value),
    (keras.layers.Layer, _Reading._layer),
    ((keras.Variable, tf.Variable), _Reading._variable),
    (keras.random.SeedGenerator, _Reading._seed),
    ((np.ndarray, np.generic, tf.Tensor), _Reading._array),
    ((list, tuple, set, frozenset, collections.deque), _Reading._sequence),
    ((dict, types.MappingProxyType), _Reading._mapping),
    (types.ModuleType, lambda self, value: value.__name__),
    (type, _Reading._class),
    (types.FunctionType, _Reading._function),
    (types.BuiltinFunctionType, _Reading._foreign),
    (types.MethodType, _Reading._bound),
    (functools.partial, _Reading._partial),
)


def _reader(value):
    """How values of this kind are read."""
    known = [read for kinds, read in _READERS if isinstance(value, kinds)]
    name = type(value).__module__
    if not known and _trusted(type(value)) and name != "builtins" and not name.startswith("numpy.random"):
        known = [(lambda self, value: _same(value)) if callable(value) else (lambda self, value: None)]
    return known[0] if known else _Reading._object


class _Names(NamedTuple):
    globals: tuple
    attributes: tuple
    written: tuple


@functools.lru_cache(maxsize=10_000)
def _names(code):
    """What a function's code, and the functions in it, read as globals, read as attributes, and write as attributes."""
    steps = list(dis.get_instructions(code))
    inner = [_names(part) for part in code.co_consts if isinstance(part, types.CodeType)]
    found = []
    for field, operations in enumerate((("LOAD_GLOBAL", "LOAD_NAME"), ("LOAD_ATTR", "LOAD_METHOD"), ("STORE_ATTR",))):
        names = [step.argval for step in steps if step.opname in operations]
        found.append(tuple(dict.fromkeys([*names, *(name for each in inner for name in each[field])])))
    return _Names(*found)


def _same(value):
    try:
        return Same(value)
    except TypeError:
        return id(value)


def _held(cell):
    """What a closure's cell holds; nothing, before it is filled."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _own(kind):
    """What a class itself says: its functions but for those that are not called for an answer, and its values."""
    functions = (types.FunctionType, staticmethod, classmethod, property)
    named = [(name, value) for name, value in vars(kind).items() if name not in _NOT_OF_CALLS]
    return [(name, value) for name, value in named if name[:2] != "__" or isinstance(value, functions)]


def _slots(kind):
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else slots


def _trusted(value):
    """Whether a class or a function is one of Keras, TensorFlow or NumPy."""
    return (getattr(value, "__module__", None) or "").split(".")[0] in _TRUSTED


@functools.lru_cache(maxsize=10_000)
def _of_packages(filename):
    """Whether a file belongs to an installed package, as all that has no file does."""
    return filename is None or filename.startswith(_INSTALLED) or "site-packages" in filename


def _own_class(value):
    module = sys.modules.get(value.__module__)
    filename = getattr(module, "__file__", None) if module and value.__module__ != "__main__" else ""
    return not (_trusted(value) or _of_packages(filename))


def _installed(function):
    return _of_packages(function.__code__.co_filename)
