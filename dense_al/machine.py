"""What the machine gives to this process."""

import os


def cores() -> int:
    """Cores that this process may use, at least 1."""
    if hasattr(os, 'sched_getaffinity'):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
