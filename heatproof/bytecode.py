"""What code does, as text that every process gives alike: neither where it stands nor how it is written counts."""

import inspect
import types


def told(code: types.CodeType) -> str:
    """Return a code object as text, with those inside it."""
    parts = [told(each) if isinstance(each, types.CodeType) else _constant(each) for each in code.co_consts]
    return repr((code.co_code, code.co_names, code.co_varnames, code.co_freevars, parts))


def of_class(kind: type) -> str:
    """Return the methods of a class as text, those of the classes that it inherits from left out."""
    return "".join(f"{name} {told(part.__code__)}\n" for name, part in vars(kind).items() if inspect.isfunction(part))


def _constant(value):
    """A constant as text; the order of a set varies."""
    return repr(sorted(map(_constant, value)) if isinstance(value, frozenset) else value)
