"""A method and what metrics, figures and tables need to know of it: one row, of the catalogue or of a visitor."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from heatproof import checks
from heatproof.problems import ArgumentTypeError, ArgumentValueError


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method: `function(model, inputs, targets, **options)` gives one attribution per input.

    `xu.evaluate(model, inputs, methods=("grad_cam", xu.Method(function=mine, output="map")))` scores it beside others.
    Raises `TypeError`, `ValueError` for a function that cannot be called so, and words that are not allowed.
    """

    function: Callable
    output: str  # "inputs": the shape of the inputs; "map": (N, H, W) or (N, T)
    name: str = ""  # that of the function, unless given
    title: str = ""
    family: str = ""  # "gradients", "relevance", "cam" or "perturbation"
    signed: bool = True  # whether negative values mean evidence against
    relevance: str = "positive"  # how sign and channels enter a ranking: "magnitude" or "positive"
    additive: bool = False  # whether its sum is a difference of scores (completeness)
    needs: str = ""  # what a model must have: "", "ReLU", "GAP + Dense", "layer with positions"
    formula: str = ""
    reference: str = ""  # key in report/references.bib

    @property
    def work(self) -> Callable:
        return self.function

    def __post_init__(self) -> None:
        check_call("function", self.function, "model", "inputs", "targets")
        object.__setattr__(self, "name", self.name or getattr(self.function, "__name__", ""))
        check_name(self.name)
        checks.one_of("output", self.output, ("inputs", "map"))
        checks.one_of("relevance", self.relevance, ("magnitude", "positive"))

    def reduce(self, attribution: npt.ArrayLike) -> np.ndarray:
        """One non-negative number per position, as `relevance` says."""
        array = checks.as_finite("attribution", attribution)
        shapes = {3: "(N, T, C)", 4: "(N, H, W, C)"} if self.output == "inputs" else {2: "(N, T)", 3: "(N, H, W)"}
        if array.ndim not in shapes:
            allowed = f"{' or '.join(shapes.values())}, as {self.name} gives"
            raise ArgumentValueError("attribution", f"shape {array.shape}", allowed)
        array = array.astype(np.float32)
        if self.relevance == "magnitude":
            return np.abs(array).sum(axis=-1) if self.output == "inputs" else np.abs(array)
        return np.maximum(array.sum(axis=-1) if self.output == "inputs" else array, 0)

    def options(self, given: dict, **shared: object) -> dict:
        """The options `given`, and those of `shared` that it has; `ValueError` for one that it does not have."""
        asked = list(inspect.signature(self.function).parameters.values())
        known = [one.name for one in asked[3:] if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
        known += [one.name for one in asked[:3] if one.kind is one.KEYWORD_ONLY]
        unknown = set(given) - set(known)
        if unknown and not any(one.kind is one.VAR_KEYWORD for one in asked):
            raise ArgumentValueError("options", f"{sorted(unknown)} for {self.name}", f"its options {known}")
        if missing := sorted(set(_needed(self.function)) - {*shared, *given}):
            raise ArgumentValueError("options", f"nothing for {missing} of {self.name}", cure="pass a value for each")
        return {name: value for name, value in shared.items() if name in known} | given


def _needed(function):
    """The options without a default."""
    asked = inspect.signature(function).parameters.values()
    return [one.name for one in asked if one.kind is one.KEYWORD_ONLY and one.default is one.empty]


def check_call(argument, function, *given):
    """`TypeError` for what cannot be called with these arguments by position, whatever its options."""
    allowed = f"a function that is called as {argument}({', '.join(given)})"
    if not callable(function):
        raise ArgumentTypeError(argument, checks.shown(function), allowed)
    try:
        inspect.signature(function).bind(*given, **dict.fromkeys(_needed(function)))
    except (TypeError, ValueError) as error:
        given = f"{checks.shown(function)}, which does not fit ({error})"
        raise ArgumentTypeError(argument, given, allowed) from None


def check_name(name):
    """`TypeError`, `ValueError` for what no table and no file can be named after."""
    allowed = "letters, digits and underscores that start with a letter, such as 'my_row'"
    if not isinstance(name, str):
        raise ArgumentTypeError("name", checks.shown(name), f"text of {allowed}")
    if not name.isidentifier():
        raise ArgumentValueError("name", checks.shown(name), allowed)


def listed(argument, given, kind):
    """The names and rows of a tuple; `TypeError` for one alone: `kind` is the class of a row."""
    allowed = "a tuple of names or rows"
    if isinstance(given, str):
        raise ArgumentTypeError(argument, f"the text {given!r}", allowed, f"({given!r},)")
    if isinstance(given, kind):
        raise ArgumentTypeError(argument, f"the row {given.name} alone", allowed, f"({given.name},)")
    if not np.iterable(given):
        raise ArgumentTypeError(argument, checks.shown(given), allowed)
    return list(given)


def chosen(argument, given, known, kind, reserved=(), also=()):
    """The rows of a list of names and rows, each once: `known` has those of the catalogue, by their names.

    Raises `ValueError` for an unknown name (the message lists what `known` has, and `also`), and for a row under a name
    that stands for something else in a table.
    """
    rows: dict[str, Any] = {}
    for one in given:
        row = one if isinstance(one, kind) else known[checks.one_of(argument, one, (*known, *also))]
        _check_free(argument, row, rows.get(row.name, row), known.get(row.name), reserved)
        rows[row.name] = row
    return list(rows.values())


def _check_free(argument, row, same, standing, reserved):
    if row.name in reserved:
        given = f"a row named {row.name!r}, which tables keep for themselves"
        raise ArgumentValueError(argument, given, cure="rename it")
    if row != same:
        raise ArgumentValueError(argument, f"two rows named {row.name!r}", cure="give one of them another name")
    if standing is not None and row.work is not standing.work:
        given = f"a row named {row.name!r} with another function than the one of that name in the catalogue"
        raise ArgumentValueError(argument, given, cure=f"name it otherwise, name='my_{row.name}'")


def options_of(given, rows, **shared):
    """{method: {option: value}} of all methods, with those of `shared`, such as the seed, that a method has."""
    given = {} if given is None else given
    if not isinstance(given, dict) or not all(isinstance(own, dict) for own in given.values()):
        raise ArgumentTypeError("options", checks.shown(given), "{method: {option: value}}, or None")
    if unused := set(given) - {row.name for row in rows}:
        asked = [row.name for row in rows]
        allowed = f"options for the methods asked for, {asked}"
        raise ArgumentValueError("options", f"options for {sorted(unused)}", allowed)
    return {row.name: row.options(given.get(row.name, {}), **shared) for row in rows}
