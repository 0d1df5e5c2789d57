"""SIGTERM and Ctrl-C end a command by one `KeyboardInterrupt`, which is not lost."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

AGAIN = 0.05  # seconds


@contextmanager
def interrupts() -> Iterator[None]:
    """Within it the first SIGTERM or SIGINT raises a `KeyboardInterrupt`, whatever runs.

    Python raises it in the middle of what runs. In a finaliser or in the callback of a weak
    reference, of which training has many, it only prints the error and goes on, so that the signal
    is lost; here it is raised once more, shortly after. Later SIGTERMs do not disturb the ending,
    a second Ctrl-C does. Processes forked by a framework end as if there were no handler.
    """
    owner = os.getpid()
    print_error = sys.unraisablehook

    def end(number: int, frame: Any) -> None:
        if os.getpid() != owner:
            signal.signal(number, before[number])
            os.kill(os.getpid(), number)
            return
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt

    def lost(error: Any) -> None:
        if error.exc_type is KeyboardInterrupt and os.getpid() == owner:
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
            print_error(error)

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    before: dict[int, Any] = {number: signal.signal(number, end) for number in numbers}
    sys.unraisablehook = lost
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = print_error
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_undisturbed(code: int) -> NoReturn:
    """Ends the process with a code that a late SIGTERM does not change.

    Taking down torch lasts a second or two, in which a batch system may end its time.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(code)
