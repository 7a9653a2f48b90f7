"""The way back to one tensor: what else its operations read, such as weights, gets no gradient.

TensorFlow's gradients of products and sums, and ours of convolutions, pass over the inputs that an operation names in
`skip_input_indices`. A tape sets that in a tf.function; tf.gradients does not, and much of what it builds is for
nothing.
"""

import contextlib

from heatproof.engine.parts import behind

_SKIPPING = {"AddV2", "Sub", "Mul", "RealDiv", "Conv2D"}


@contextlib.contextmanager
def only_towards(tensor, score):
    """Inside, gradients of `score` are those for `tensor` alone."""
    reached, marked = {(tensor.op._id, tensor.value_index)}, []
    for _, operation in sorted(behind([score]).items()):
        read = [(each.op._id, each.value_index) in reached for each in operation.inputs]
        if any(read):
            reached.update((operation._id, number) for number in range(len(operation.outputs)))
            if operation.type in _SKIPPING:
                operation.skip_input_indices = tuple(number for number, each in enumerate(read) if not each)
                marked.append(operation)
    try:
        yield
    finally:
        for operation in marked:  # another question may ask for what this one passes over
            del operation.skip_input_indices


def is_skipped(operation, number):
    """Whether nobody asks for the gradient of an input."""
    return number in (getattr(operation, "skip_input_indices", None) or ())
