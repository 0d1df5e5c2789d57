"""Several processes on this machine, told what a launcher tells them."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def torchrun(world):
    """What torchrun tells each of its processes."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        meet = {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(free.getsockname()[1])}
    meet['WORLD_SIZE'] = str(world)
    return [meet | {'RANK': str(rank), 'LOCAL_RANK': str(rank)} for rank in range(world)]


def srun(world):
    """What srun tells each of its tasks, as Slurm 22.05 did."""
    step = {'JOB_ID': os.getpid(), 'STEP_ID': 0, 'NTASKS': world, 'STEP_NODELIST': 'node[1-2]'}
    tasks = [step | {'PROCID': rank, 'LOCALID': rank} for rank in range(world)]
    return [{f'SLURM_{name}': str(value) for name, value in task.items()} for task in tasks]


def launch(code, world, told=torchrun):
    """Runs Python code in each process; returns their exit codes."""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.getenv('PYTHONPATH')])])
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': path}
    running = [
        subprocess.Popen([sys.executable, '-c', code], env=env | task) for task in told(world)
    ]
    try:
        return [process.wait(timeout=120) for process in running]
    finally:
        for process in running:
            process.kill()
