"""Work shared out to processes."""

import signal

import pytest

from dense_al.regions.parallel import run_all


@pytest.mark.parametrize('workers', [1, 2])
def test_every_task_is_done_once(workers):
    tasks = [(i, 2) for i in range(20)]
    found = list(run_all(pow, tasks, workers))
    assert sorted(found) == [(task, task[0] ** 2) for task in tasks]


def test_processes_leave_ctrl_c_to_the_one_that_waits():
    found = run_all(signal.getsignal, [(signal.SIGINT,), (signal.SIGINT,)], 2)
    assert {handler for _, handler in found} == {signal.SIG_IGN}
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def test_what_a_task_raises_comes_out():
    with pytest.raises(ZeroDivisionError):
        list(run_all(divmod, [(1, 1), (1, 0), (2, 1)], 2))
