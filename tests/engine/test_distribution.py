"""Two processes ask what one process asks."""

import os
from pathlib import Path

import pytest
from processes import launch, srun

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

PATIENT = """
import datetime, functools, os, pathlib, sys, time
import torch.distributed as dist
short = datetime.timedelta(seconds=4)
dist.init_process_group = functools.partial(dist.init_process_group, timeout=short)
sys.path.insert(0, {folder!r})
from dense_al.engine.distribution import gather, on_main, processes, world
ready = pathlib.Path({ready!r})  # the limit also holds for how long they wait for each other
(ready / os.environ['RANK']).touch()
while len(list(ready.iterdir())) < 2: time.sleep(0.01)
with processes('pytorch'):
    on_main(lambda: time.sleep(8))
    if world()[0] == 1: time.sleep(8)
    assert gather(world()[0]) == ([0, 1] if world()[0] == 0 else [])
"""
EMPTY = """
    import numpy as np
    from test_learner import learner
    run = learner({work_dir!r}, initial=np.arange(8))
    try: run.run()
    except ValueError as error: sys.exit(9 if 'left to ask, but got none' in str(error) else 1)
"""
TASK = """
import os, sys
from dense_al.engine.distribution import gather, processes, world
with processes('slurm'):
    rank, size = world()
    assert (size, os.environ['LOCAL_RANK'], os.environ['RANK']) == (2, str(rank), str(rank))
    assert gather(rank) == ([0, 1] if rank == 0 else [])
sys.exit(10 + rank)
"""


def run(code, world, start=START, **values):
    """Exit codes of processes that run code with these values."""
    folder = str(Path(__file__).parent)
    return launch((start + code).format(folder=folder, world=world, **values), world)


@pytest.mark.parametrize('score', ['Entropy', 'Random'])
def test_two_processes_give_the_same_run(tmp_path, score):
    from test_learner import record

    for world in (1, 2):
        work_dir = str(tmp_path / f'{world}')
        assert run(RUN, world, work_dir=work_dir, score=score) == [0] * world
    assert record(tmp_path / '1') == record(tmp_path / '2')


def test_tasks_of_slurm_find_one_another(tmp_path, monkeypatch):
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\n[ "$*" = "show hostnames node[1-2]" ] && echo 127.0.0.1 node2')
    scontrol.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    assert launch(TASK, 2, srun) == [10, 11]


def test_a_failure_of_the_first_process_ends_all():
    assert run(FAIL, 2) == [9, 9]


def test_processes_wait_longer_than_the_time_limit_of_their_group(tmp_path):
    assert run(PATIENT, 2, start='', ready=str(tmp_path)) == [0, 0]


def test_all_processes_learn_that_nothing_is_left(tmp_path):
    assert run(EMPTY, 2, work_dir=str(tmp_path)) == [9, 9]
