"""What is told of an argument that cannot be taken: its name, what was given, what is allowed, and the cure.

Every refusal of an argument is raised as one of these classes, so that a caller (the command line, say) reads fields
and parses no sentence. They are still the `ValueError`, `TypeError` or `FileNotFoundError` that anyone expects.
"""


def sentence(argument: str, given: str = "", allowed: str = "", cure: str = "") -> str:
    """The one grammar: "argument: got GIVEN; allowed: ALLOWED. Cure: CURE."; what is empty is left out."""
    facts = [f"got {given}"] * bool(given) + [f"allowed: {allowed}"] * bool(allowed)
    return f"{argument}: {'; '.join(facts)}." + f" Cure: {cure}." * bool(cure)


class ArgumentProblem(Exception):
    """An argument that cannot be taken, told in four texts; `str` gives their `sentence`.

    `argument` is its name, or the entry that is meant, such as maps['CAM']; `given`, `allowed` and `cure` have no full
    stop at the end and may be empty. A problem can be copied and pickled: it comes back whole from another process.
    """

    def __init__(self, argument: str, given: str = "", allowed: str = "", cure: str = "") -> None:
        super().__init__(sentence(argument, given, allowed, cure))
        self.argument, self.given, self.allowed, self.cure = argument, given, allowed, cure

    def __reduce__(self) -> tuple:
        return type(self), (self.argument, self.given, self.allowed, self.cure), vars(self)


class ArgumentValueError(ArgumentProblem, ValueError):
    """An argument of the right kind with a wrong value."""


class ArgumentTypeError(ArgumentProblem, TypeError):
    """An argument of the wrong kind."""


class ArgumentFileError(ArgumentProblem, FileNotFoundError):
    """An argument that names a file that is not there."""


class XAIWarning(UserWarning):
    """An explanation that was computed as asked but is probably not what was meant."""


class ArgumentWarning(ArgumentProblem, XAIWarning):
    """An argument that was taken but is probably not what was meant."""
