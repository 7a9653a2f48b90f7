"""What a mutant is, and a group of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One change of one module; `equivalent` says why no test can see it, if none can."""

    module: str
    old: str
    new: str
    equivalent: str = ""


@dataclass(frozen=True)
class Group:
    """The tests of one method (a file and an expression of pytest's -k) and its mutants."""

    tests: str
    keywords: str
    mutants: tuple[Mutant, ...]


def group(tests, keywords, *mutants):
    return Group(tests, keywords, tuple(Mutant(*mutant) for mutant in mutants))
