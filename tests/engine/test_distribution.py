"""Two processes ask what one process asks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
sys.path.insert(0, {folder!r})
import torch.distributed as dist
if {world} > 1:
    dist.init_process_group('gloo')
from test_learner import learner
learner(sys.argv[1], score={score!r}).run()
"""


@pytest.mark.parametrize('score', ['Entropy', 'Random'])
def test_two_processes_give_the_same_run(tmp_path, score):
    from test_learner import record

    folder = str(Path(__file__).parent)
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'MASTER_ADDR': '127.0.0.1'}
    for world in (1, 2):
        code = CODE.format(folder=folder, world=world, score=score)
        processes = [
            subprocess.Popen(
                [sys.executable, '-c', code, str(tmp_path / f'{world}')],
                env={**env, 'RANK': str(r), 'WORLD_SIZE': str(world), 'MASTER_PORT': '29631'},
            )
            for r in range(world)
        ]
        assert [p.wait(timeout=120) for p in processes] == [0] * world
    one, two = record(tmp_path / '1'), record(tmp_path / '2')
    assert one == two


def test_a_failure_of_the_first_process_ends_all(tmp_path):
    folder = str(Path(__file__).parent)
    code = CODE.format(folder=folder, world=2, score='Entropy').replace(
        '.run()', '.run() if False else None\n'
    )
    code += (
        'from dense_al.engine.distribution import on_main\n'
        'def fail(): raise ValueError("stop")\n'
        'try: on_main(fail)\n'
        'except ValueError: raise SystemExit(9)\n'
    )
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'MASTER_ADDR': '127.0.0.1', 'WORLD_SIZE': '2'}
    processes = [
        subprocess.Popen(
            [sys.executable, '-c', code, str(tmp_path)],
            env={**env, 'RANK': str(r), 'MASTER_PORT': '29632'},
        )
        for r in range(2)
    ]
    assert [p.wait(timeout=120) for p in processes] == [9, 9]
