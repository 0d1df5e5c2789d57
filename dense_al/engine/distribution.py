"""Several processes: each observes its share of the pool, the first one decides and writes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from dense_al.registry import ConfigError

# Some steps of the first process take hours, and NCCL gives up after ten minutes.
PATIENCE = timedelta(days=30)
_patient: Any = None  # the group in which processes wait for one another; None: the usual one


@contextmanager
def processes(launcher: str) -> Iterator[None]:
    """Connects the processes that a launcher started, and disconnects them at the end.

    Args:
        launcher: `none`, `pytorch` (torchrun) or `slurm`, as mmengine names them.
    """
    if launcher == 'none':
        yield
        return
    if launcher == 'pytorch' and not torch.cuda.is_available():
        dist.init_process_group('gloo')  # mmengine's own call needs a GPU
    else:
        from mmengine.dist import init_dist

        try:
            init_dist(launcher, backend='nccl' if torch.cuda.is_available() else 'gloo')
        except KeyError as error:
            started = {'pytorch': 'torchrun', 'slurm': 'srun'}[launcher]
            raise ConfigError(
                f'Expected to be started by {started}, as `--launcher` is {launcher}, but {error} '
                'is not in the environment'
            ) from error
    global _patient
    _patient = dist.new_group(backend='gloo', timeout=PATIENCE)
    try:
        yield
        dist.barrier(_patient)  # a process that ends while another still talks to it aborts
    finally:
        _patient = None
        dist.destroy_process_group()


def world() -> tuple[int, int]:
    """Rank of this process and number of processes; (0, 1) without a launcher."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def share(samples: np.ndarray) -> np.ndarray:
    """This process's contiguous share of the samples."""
    rank, size = world()
    return np.array_split(samples, size)[rank]


def gather(part: Any) -> list[Any]:
    """The parts of all processes in the order of their ranks; [] but in the first process."""
    rank, size = world()
    if size == 1:
        return [part]
    parts: list[Any] | None = [None] * size if rank == 0 else None
    dist.gather_object(part, parts, dst=0, group=_patient)
    return parts or []


def on_main(step: Callable[[], None]) -> None:
    """Runs a step in the first process; the others wait, and raise what it raises.

    Args:
        step: Writes files; the others read them afterwards.
    """
    rank, size = world()
    outcome: Sequence[Any] = [None]
    if rank == 0:
        try:
            step()
        except Exception as error:
            if size == 1:
                raise
            outcome = [error]
    if size > 1:
        message = list(outcome)
        dist.broadcast_object_list(message, src=0, group=_patient)
        if message[0] is not None:
            raise message[0]
