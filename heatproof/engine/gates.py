"""Gates: the clipped ReLU inside a hard sigmoid, which lets a way through or not and is no ReLU of the network.

A hard sigmoid is a line that is cut off at 0 and at m and stands half open at x = 0: min(max(a x + b, 0), m) with
b = m / 2. It is known by these numbers, whichever operations write it (Howard et al. 2019: relu6(x + 3) / 6).
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from heatproof.engine.owned import readers

RELUS = {"Relu", "Relu6"}
_PASSED = {"Identity", "Cast", "StopGradient"}


@dataclass(frozen=True)
class _Line:
    """y = min(slope * x + offset, cap) for the tensor x that an operation reads, with constants."""

    read: tf.Tensor
    slope: float | np.ndarray = 1.0
    offset: float | np.ndarray = 0.0
    cap: float | np.ndarray = np.inf

    def behind(self, before):
        """This line of what `before` gives, as one of what that reads; None where a falling line turns its cap."""
        capped = np.any(np.isfinite(before.cap))
        if capped and np.any(np.asarray(self.slope) <= 0):
            return None
        cap = np.minimum(self.cap, self.offset + self.slope * before.cap) if capped else self.cap
        return _Line(before.read, self.slope * before.slope, self.offset + self.slope * before.offset, cap)


def is_gate(operation):
    """Whether a ReLU, or a maximum with 0, cuts off a line a x + b that is capped at m = 2 b."""
    line = _cut_off(operation)
    if line is None:
        return False
    line = _Line(line.read, cap=np.minimum(line.cap, _cap_behind(operation.outputs[0])))
    while line is not None:
        # Half precision holds three digits of a constant.
        if np.all(line.cap > 0) and np.allclose(line.offset, line.cap / 2, rtol=1e-3, atol=0):
            return True
        before = _line(line.read.op)
        line = before and line.behind(before)
    return False


def is_idle(operation):
    """Whether a maximum with 0 follows a ReLU that was capped at a positive number, and so changes nothing."""
    if operation.type != "Maximum" or _cut_off(operation) is None:
        return False
    before = _cut_off(operation).read.op
    while before.type in _PASSED or (before.type == "Minimum" and _line(before) and np.all(_line(before).cap >= 0)):
        before = _line(before).read.op
    return before.type in RELUS


def _cut_off(operation):
    """What a ReLU or a maximum with 0 cuts off at 0, and the cap that it has by itself."""
    if operation.type in RELUS:
        return _Line(operation.inputs[0], cap=6.0 if operation.type == "Relu6" else np.inf)
    if operation.type == "Maximum":
        pairs = _with_constant(operation)
        return next((_Line(read) for read, constant, _ in pairs if not np.any(constant)), None)
    return None


def _cap_behind(tensor):
    """The constant that a minimum caps the values of `tensor` at, itself or behind rising lines; inf for none."""
    caps, waiting = [np.inf], [_Line(tensor)]  # each a tensor as a line of the first
    while waiting:
        line = waiting.pop()
        for reader in readers(line.read):
            after = _line(reader)
            if after is None or after.read is not line.read or np.any(np.asarray(after.slope) <= 0):
                continue
            if reader.type == "Minimum":
                caps.append(np.min((after.cap - line.offset) / line.slope))
            slope, offset = after.slope * line.slope, after.slope * line.offset + after.offset
            waiting.append(_Line(reader.outputs[0], slope, offset))
    return min(caps)


def _line(operation):
    """The `_Line` that an operation draws with a constant; None for all others."""
    if operation.type in _PASSED:
        return _Line(operation.inputs[0])
    if operation.type == "Neg":
        return _Line(operation.inputs[0], -1.0)
    if operation.type not in _LINES:
        return None
    return next((_LINES[operation.type](*pair) for pair in _with_constant(operation)), None)


def _with_constant(operation):
    """(what is read, the constant, whether that comes first) of an operation of two where one is a constant."""
    values = [_constant(tensor) for tensor in operation.inputs]
    if (values[0] is None) == (values[1] is None) or (operation.type == "RealDiv" and values[1] is None):
        return []
    first = values[0] is not None
    return [(operation.inputs[int(first)], values[int(not first)], first)]


def _constant(tensor):
    """The value of a tensor that is a constant, as float64; None for others."""
    while tensor.op.type in _PASSED:
        tensor = tensor.op.inputs[0]
    value = tf.get_static_value(tensor)
    return None if value is None else np.asarray(value, np.float64)


_LINES = {
    **dict.fromkeys(("Add", "AddV2"), lambda read, constant, first: _Line(read, offset=constant)),
    "Sub": lambda read, constant, first: _Line(read, -1.0, constant) if first else _Line(read, offset=-constant),
    "Mul": lambda read, constant, first: _Line(read, constant),
    "RealDiv": lambda read, constant, first: _Line(read, 1 / np.where(constant == 0, np.nan, constant)),
    "Minimum": lambda read, constant, first: _Line(read, cap=constant),
}
