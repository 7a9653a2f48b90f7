"""Models with several inputs: which of them are explained, and how all are laid together for a pass.

One explained input is asked about as if it were alone; the others are held fixed, row by row. Several are packed into
one array (N, values), so that a method that moves them all at once, along a path or by noise, needs to know nothing.
"""

import functools
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from heatproof import batches, checks
from heatproof.engine.entries import Entries
from heatproof.problems import ArgumentTypeError, ArgumentValueError

_NESTS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_ENTRIES: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Nest:
    """The inputs of a model: their names, shapes with the batch axis, types; and the numbers of those explained."""

    names: tuple[str, ...]
    shapes: tuple[tuple, ...]
    types: tuple[str, ...]
    keyed: bool  # whether the model takes a dictionary
    explained: tuple[int, ...] = ()
    alone: bool = False  # whether it is the only input of its model, a table of features
    as_positions: bool = False  # whether features (N, F) are asked about as positions, (N, F, 1)
    entries: tuple = ()  # of inputs of integers the shape of what is explained in their place, see `engine.entries`

    @property
    def floats(self):
        """The numbers of the inputs that have a derivative, themselves or behind their entry."""
        return tuple(number for number in range(len(self.names)) if self.is_float(number) or self.entries[number])

    def is_float(self, number):
        return "float" in self.types[number]

    def _shape(self, number):
        """Of what is explained of an input."""
        return self.shapes[number] if self.is_float(number) else self.entries[number]

    @property
    def shape(self):
        """Of a batch of what is explained."""
        if len(self.explained) == 1:
            return (None, *self._shape(self.explained[0])[1:], *[1] * self.is_features)
        return None, sum(self._sizes())

    @property
    def is_features(self):
        """Whether what is explained is features, in no order, that are asked about as positions."""
        return self.as_positions and len(self.explained) == 1 and len(self._shape(self.explained[0])) == 2

    @property
    def others(self):
        """The specifications of the inputs that are held fixed, and of integers whose entry is explained."""
        return tuple(tf.TensorSpec((None, *self.shapes[each][1:]), self.types[each]) for each in self.fed)

    @property
    def fed(self):
        """The numbers of the inputs that a pass takes as they are."""
        return [each for each in range(len(self.names)) if each not in self.explained or not self.is_float(each)]

    def _sizes(self):
        return [int(np.prod(self._shape(number)[1:])) for number in self.explained]

    def parts(self, packed):
        """{number: part} of what is explained, an array or a tensor."""
        if len(self.explained) == 1:
            return {self.explained[0]: packed[..., 0] if self.is_features else packed}
        reshape, found, start = (tf if tf.is_tensor(packed) else np).reshape, {}, 0
        for number, size in zip(self.explained, self._sizes(), strict=True):
            found[number] = reshape(packed[:, start : start + size], (-1, *self._shape(number)[1:]))
            start += size
        return found

    def packed(self, parts):
        """The one array of {number: part}."""
        arrays = [parts[number] for number in self.explained]
        if len(arrays) == 1:
            return arrays[0][..., None] if self.is_features else arrays[0]
        return np.concatenate([each.reshape(len(each), -1) for each in arrays], axis=1)

    def laid(self, parts):
        """`packed`, of a list in the order of those explained."""
        return self.packed(dict(zip(self.explained, parts, strict=True)))

    def arranged(self, packed, others):
        """What the model takes."""
        parts, fed = self.parts(packed), dict(zip(self.fed, others, strict=True))
        whole = [fed[number] if number in fed else parts[number] for number in range(len(self.names))]
        if self.alone:
            return whole[0]
        return dict(zip(self.names, whole, strict=True)) if self.keyed else whole

    def only(self, name):
        """The same, where one input is explained, or all that have a derivative for None."""
        if name is None:
            if not self.floats:
                given = f"a model that makes no floats of its {self.types[0]} inputs, by a cast or an embedding"
                raise ArgumentValueError("model", given, cure="xu.occlusion(model.predict, inputs), for a function")
            return replace(self, explained=self.floats)
        known = dict(zip(self.names, range(len(self.names)), strict=True))
        if isinstance(name, bool) or not (name in known or (isinstance(name, int) and 0 <= name < len(known))):
            allowed = f"one of {list(known)}, a number from 0 to {len(known) - 1}, or None for all"
            raise ArgumentValueError("only", checks.shown(name), allowed)
        number = known.get(name, name)
        if number not in self.floats:
            given = f"{name!r}, an input of integers that no cast or embedding makes floats of"
            raise ArgumentValueError("only", given, f"one of {[self.names[each] for each in self.floats]}")
        return replace(self, explained=(number,))

    def in_form(self, inputs: Any, maps: Mapping[int, Any]) -> Any:
        """Maps in the form in which the inputs came: a dictionary or a list, with None for inputs of integers."""
        if self.alone:
            return maps[0]
        whole = [maps.get(number) for number in range(len(self.names))]
        return dict(zip(self.names, whole, strict=True)) if isinstance(inputs, Mapping) else whole


def nest_of(model: keras.Model) -> Nest | None:
    """The `Nest` of a model with several inputs, a table or integers; None of one with a single array of floats."""
    if model not in _NESTS:
        found = _nest_of(model)
        if found and not all(map(found.is_float, range(len(found.names)))):
            found = replace(found, entries=entries_of(model, found).shapes)
        _NESTS[model] = found and replace(found, entries=found.entries or (None,) * len(found.names))
    return _NESTS[model]


def entries_of(model: keras.Model, nest: Nest) -> Entries:
    """Where the integers among the inputs of a model become floats."""
    if model not in _ENTRIES:
        specs = [tf.TensorSpec((None, *shape[1:]), kind) for shape, kind in zip(nest.shapes, nest.types, strict=True)]
        alone, keyed, names = nest.alone, nest.keyed, nest.names

        def arrange(given):
            return given[0] if alone else dict(zip(names, given, strict=True)) if keyed else given

        _ENTRIES[model] = Entries(model, specs, arrange)
    return _ENTRIES[model]


def _nest_of(model):
    tensors = getattr(model, "inputs", None) or []
    if len(tensors) == 1 and (len(tensors[0].shape) == 2 or "float" not in str(tensors[0].dtype)):
        return Nest((tensors[0].name,), (tuple(tensors[0].shape),), (str(tensors[0].dtype),), False, alone=True)
    if len(tensors) < 2:
        return None
    struct = model.input
    keyed = isinstance(struct, dict)
    flat = list(struct.values()) if keyed else list(struct)
    if any(isinstance(each, (list, tuple, dict)) for each in flat):
        given = "a model that takes lists in a list"
        cure = "keras.Model([a, b, c], model([[a, b], c])) with new inputs a, b, c"
        raise ArgumentValueError("model", given, "a list or a dictionary of inputs", cure)
    names = tuple(struct) if keyed else tuple(each.name for each in flat)
    return Nest(names, tuple(tuple(each.shape) for each in flat), tuple(str(each.dtype) for each in flat), keyed)


def given(nest: Nest, inputs: Any, ranges: Any) -> list[np.ndarray]:
    """The inputs as they were given, checked, in the order of the model; of `ranges` each its own, by name."""
    if nest.alone:
        return [_checked(nest, 0, inputs, "inputs", ranges)]
    if isinstance(inputs, Mapping):
        if missing := set(nest.names) ^ set(inputs):
            told = f"the keys {list(inputs)}, which differ in {sorted(map(str, missing))}"
            raise ArgumentValueError("inputs", told, f"{list(nest.names)}")
        found = [inputs[name] for name in nest.names]
    elif isinstance(inputs, (list, tuple)):
        if len(inputs) != len(nest.names):
            raise ArgumentValueError("inputs", f"{len(inputs)} arrays", f"{len(nest.names)}: {list(nest.names)}")
        found = list(inputs)
    else:
        allowed = f"a list, or a dictionary of {list(nest.names)}"
        raise ArgumentTypeError("inputs", f"a {type(inputs).__name__}, for a model with several inputs", allowed)
    keys = nest.names if isinstance(inputs, Mapping) else range(len(found))
    known = [ranges.get(name) if isinstance(ranges, Mapping) else None for name in nest.names]
    cases = zip(keys, found, known, strict=True)
    arrays = [_checked(nest, number, each, f"inputs[{key!r}]", span) for number, (key, each, span) in enumerate(cases)]
    if len({len(each) for each in arrays}) > 1:
        told = f"{dict(zip(nest.names, map(len, arrays), strict=True))} examples"
        raise ArgumentValueError("inputs", told, "the same number of each")
    return arrays


def _checked(nest, number, array, argument, known):
    shape, kind = nest.shapes[number], nest.types[number]
    if not nest.is_float(number):
        return batches.as_integers(array, shape, kind, argument)
    return np.ascontiguousarray(batches.as_inputs(array, shape, known, argument), kind)


def over_inputs(method: Callable | None = None, *, needs_positions: bool = False) -> Callable:
    """The same method, where a model has several inputs: a map of each, the others held fixed, in their form.

    A method that `needs_positions`, as a map on a layer does, gives None for features (N, F) among them.
    """
    if method is None:
        return functools.partial(over_inputs, needs_positions=needs_positions)

    @functools.wraps(method)
    def each(model, inputs, targets=None, *, only=None, **options):
        nest = nest_of(model) if only is None and isinstance(model, keras.Model) else None
        if nest is None or nest.alone:
            return method(model, inputs, targets, only=only, **options)
        numbers = nest.only(None).explained
        if needs_positions:
            numbers = [number for number in numbers if len(nest.shapes[number]) > 2] or numbers
        with checks.once():
            maps = {number: method(model, inputs, targets, only=nest.names[number], **options) for number in numbers}
        return nest.in_form(inputs, maps)

    return each
