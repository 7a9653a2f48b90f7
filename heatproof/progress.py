"""A bar with the time left for long work."""

import os
from collections.abc import Iterable
from contextvars import ContextVar

from tqdm.auto import tqdm

QUIET = ContextVar("quiet", default=False)  # whether a bar is already shown around this work


def progress(iterable: Iterable, total: int | None, label: str) -> Iterable:
    """A bar with the time left for long work, on the terminal or notebook; off when XAI_PROGRESS is 0, and in a bar."""
    off = QUIET.get() or os.environ.get("XAI_PROGRESS") == "0"
    return tqdm(iterable, total=total, desc=label, delay=1, leave=False, disable=off)
