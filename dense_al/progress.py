"""Bars with the time that is left."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar('T')
LOG_EVERY = 60.0  # seconds between two lines where the output goes to a file


def bar(items: Iterable[T], title: str, total: int, show: bool = True) -> Iterator[T]:
    """Passes items on and shows a bar on a terminal; in a log file a line every minute.

    Args:
        items: What is worked through.
        title: What is being done.
        total: Number of items.
        show: False for no bar.
    """
    pause = 0.1 if sys.stderr.isatty() else LOG_EVERY
    delay = 0.0 if sys.stderr.isatty() else LOG_EVERY
    hidden = not show or total == 0
    yield from tqdm(
        items, title, total, leave=False, mininterval=pause, delay=delay, disable=hidden
    )
