"""A bar with the time left for long work, and a line for what has no parts to be counted."""

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar

from tqdm.auto import tqdm

QUIET = ContextVar("quiet", default=False)  # whether a bar is already shown around this work


def progress(iterable: Iterable, total: int | None, label: str) -> Iterable:
    """A bar with the time left for long work, on the terminal or notebook; off when XAI_PROGRESS is 0, and in a bar."""
    return tqdm(iterable, total=total, desc=label, delay=1, leave=False, disable=_is_off())


@contextlib.contextmanager
def told(label: str, patience: float = 2.0) -> Iterator[None]:
    """A line, once the work inside has taken `patience` seconds, until it is done; off where a bar would be."""
    lines: list[tqdm] = []
    show = lambda: lines.append(tqdm(desc=label, bar_format="{desc} ...", leave=False))  # noqa: E731
    timer = threading.Timer(patience, show)  # a thread: the work is one long call
    timer.daemon = True
    if not _is_off():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if timer.ident:  # it was started, and may be writing
            timer.join()
        for line in lines:
            line.close()


def _is_off():
    return QUIET.get() or os.environ.get("XAI_PROGRESS") == "0"
