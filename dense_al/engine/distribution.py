"""Several processes: each observes its share of the pool, the first one decides and writes."""

import os
import subprocess
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
_STARTERS = {  # by launcher: what starts the processes, and what it tells them
    'pytorch': ('torchrun', ['RANK', 'LOCAL_RANK', 'WORLD_SIZE']),
    'slurm': ('srun', ['SLURM_PROCID', 'SLURM_LOCALID', 'SLURM_NTASKS', 'SLURM_STEP_NODELIST']),
}
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
    starter, names = _STARTERS[launcher]
    if missing := [name for name in names if name not in os.environ]:
        raise ConfigError(
            f'Expected to be started by {starter}, as `--launcher` is {launcher}, but '
            f'{", ".join(missing)} is not in the environment'
        )
    if launcher == 'slurm':
        _take_ranks_of_slurm()
    if torch.cuda.is_available():
        from mmengine.dist import init_dist

        init_dist('pytorch', backend='nccl')
    else:
        dist.init_process_group('gloo')  # mmengine's own call needs a GPU
    global _patient
    _patient = dist.new_group(backend='gloo', timeout=PATIENCE)
    try:
        yield
        dist.barrier(_patient)  # a process that ends while another still talks to it aborts
    finally:
        _patient = None
        dist.destroy_process_group()


def _take_ranks_of_slurm() -> None:
    """Puts what `srun` tells a task into the variables of `torchrun`.

    mmengine's own way needs a GPU, takes one port for all jobs of a node, and a task that is shown
    its own GPU alone (`--gpus-per-task=1`) has no GPU of its local rank.
    """
    env = os.environ
    nodes = subprocess.run(
        ['scontrol', 'show', 'hostnames', env['SLURM_STEP_NODELIST']],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    local, gpus = int(env['SLURM_LOCALID']), torch.cuda.device_count()
    port = 20000 + (7 * int(env['SLURM_JOB_ID']) + int(env['SLURM_STEP_ID'])) % 10000
    env.update(
        RANK=env['SLURM_PROCID'],
        WORLD_SIZE=env['SLURM_NTASKS'],
        LOCAL_RANK=str(local % gpus if gpus else local),
    )
    env.setdefault('MASTER_ADDR', nodes[0])
    env.setdefault('MASTER_PORT', str(port))


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
