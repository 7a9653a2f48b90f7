"""How many examples went through whole networks, counted for whoever asks.

A count belongs to the `with` block that opened it and to its thread: two threads that ask at once count right.
"""

import contextlib
from contextvars import ContextVar

FORWARD, BOTH = ("forwards",), ("forwards", "backwards")
_OPEN: ContextVar[tuple[dict[str, int], ...]] = ContextVar("open", default=())


@contextlib.contextmanager
def counting():
    """Count the passes inside the block: {"forwards": examples, "backwards": examples}."""
    passes = dict.fromkeys(BOTH, 0)
    token = _OPEN.set((*_OPEN.get(), passes))
    try:
        yield passes
    finally:
        _OPEN.reset(token)


def count(names, examples):
    """Add to every open count."""
    for passes in _OPEN.get():
        for name in names:
            passes[name] += examples
