"""Runs one function over many arguments in processes of one thread each."""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any

import threadpoolctl

_QUEUED_PER_WORKER = 4


def run_all(
    function: Callable[..., Any], tasks: Sequence[tuple], workers: int
) -> Iterator[tuple[tuple, Any]]:
    """Calls `function` with each tuple of arguments.

    Args:
        function: Defined at the top of a module, as are its arguments' types.
        tasks: Arguments of each call.
        workers: Spawned processes; 0 or 1 to call here, one after the other.

    Yields:
        The arguments and what came back, in the order of completion.

    Raises:
        Exception: What a call raised; calls that have not begun are dropped.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        for task in tasks:
            yield task, function(*task)
        return
    pool = ProcessPoolExecutor(workers, get_context('spawn'), _one_thread)
    try:
        waiting: dict[Future, tuple] = {}
        for task in tasks:
            waiting[pool.submit(function, *task)] = task
            if len(waiting) >= workers * _QUEUED_PER_WORKER:
                yield from _done(waiting)
        while waiting:
            yield from _done(waiting)
    finally:
        pool.shutdown(cancel_futures=True)


def _done(waiting: dict[Future, tuple]) -> Iterator[tuple[tuple, Any]]:
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        yield waiting.pop(future), future.result()


def _one_thread() -> None:
    # Ctrl-C reaches every process of a terminal; the one that waits for these ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpoolctl.threadpool_limits(1)
    try:
        import cv2
    except ImportError:
        return
    cv2.setNumThreads(1)
