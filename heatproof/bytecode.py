"""What code does, as text that every process gives alike: neither where it stands nor how it is written counts."""

import inspect
import types


def told(code: types.CodeType) -> str:
    """Return a code object as text, with those inside it."""
    parts = [told(each) if isinstance(each, types.CodeType) else _constant(each) for each in code.co_consts]
    return repr((code.co_code, code.co_names, code.co_varnames, code.co_freevars, parts))


def of_class(kind: type) -> str:
    """Return what a class itself says as text: its functions with their defaults, and constants among its attributes.

    What it inherits is left out.
    """
    own = {name: getattr(part, "__func__", getattr(part, "fget", part)) for name, part in vars(kind).items()}
    found = {name: _function(part) for name, part in own.items() if inspect.isfunction(part)}
    found |= {name: _constant(part) for name, part in own.items() if not name.startswith("__") and _is_plain(part)}
    return "".join(f"{name} {part}\n" for name, part in found.items())


def _function(function):
    """Its code, and the constants that it was given when it was made: defaults, and what it encloses."""
    given = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    given += [cell.cell_contents for cell in function.__closure__ or ()]
    return told(function.__code__) + repr([_constant(each) for each in given if _is_plain(each)])


def _is_plain(value):
    """Whether every process writes the value alike."""
    if isinstance(value, (tuple, list, frozenset)):
        return all(map(_is_plain, value))
    return isinstance(value, (bool, int, float, complex, str, bytes, type(None)))


def _constant(value):
    """A constant as text; the order of a set varies."""
    return repr(sorted(map(_constant, value)) if isinstance(value, frozenset) else value)
