"""What the library says of its arguments, in the words of the command line."""

import re

from heatproof import batches
from heatproof.problems import ArgumentProblem, sentence

# What the library calls its arguments, and what it advises: here they have the words of the command line.
OPTIONS = {name: f"--{name}" for name in ("model", "image", "out", "method", "option", "target", "layer")}
OPTIONS |= {
    "path": "--model",
    "inputs": "--image",
    "targets": "--target",
    "limits": "--range",
    "input_range": "--range",
}
CURES = {
    batches.RESCALE: "give the right --range",
    "use grad_cam, which needs no special head": "--method grad-cam, which needs no special head",
}
ASSIGNED = re.compile(r"\b([a-z_]+)=([^\s,;]+)")


def one_line(problem):
    """What is told of a problem, on one line, with the command line's words for the argument and the cure."""
    text = str(problem)
    if isinstance(problem, ArgumentProblem):
        argument = OPTIONS.get(problem.argument, f"--option {problem.argument}")
        cure = CURES.get(problem.cure) or as_typed(problem.cure, problem.argument)
        text = sentence(argument, problem.given, problem.allowed, cure)
    return " ".join(text.split())


def as_typed(cure, argument):
    """A cure in which arguments stand as Python writes them, NAME=VALUE, as one types it here."""

    def typed(assigned):
        name, value = assigned.groups()
        if name in OPTIONS:
            return f"{OPTIONS[name]} {value}"
        return f"--option {name}={value}" if name == argument else assigned[0]

    return ASSIGNED.sub(typed, cure)
