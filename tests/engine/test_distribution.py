"""Two processes ask what one process asks."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

START = """
import sys
sys.path.insert(0, {folder!r})
from dense_al.engine.distribution import on_main, processes, share
with processes('pytorch' if {world} > 1 else 'none'):
"""
RUN = """
    from test_learner import learner
    learner({work_dir!r}, score={score!r}).run()
"""
FAIL = """
    def fail(): raise ValueError('stop')
    try: on_main(fail)
    except ValueError: sys.exit(9)
"""


def launch(code, world, **values):
    """Exit codes of the processes."""
    folder = str(Path(__file__).parent)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': port}
    command = [sys.executable, '-c', (START + code).format(folder=folder, world=world, **values)]
    running = [
        subprocess.Popen(command, env={**env, 'RANK': str(rank), 'WORLD_SIZE': str(world)})
        for rank in range(world)
    ]
    return [process.wait(timeout=120) for process in running]


@pytest.mark.parametrize('score', ['Entropy', 'Random'])
def test_two_processes_give_the_same_run(tmp_path, score):
    from test_learner import record

    for world in (1, 2):
        work_dir = str(tmp_path / f'{world}')
        assert launch(RUN, world, work_dir=work_dir, score=score) == [0] * world
    assert record(tmp_path / '1') == record(tmp_path / '2')


def test_a_failure_of_the_first_process_ends_all():
    assert launch(FAIL, 2) == [9, 9]
