"""A signal ends what runs, once, wherever it comes."""

import os
import signal
import sys
import time
import weakref

import pytest

from dense_al.interrupts import AGAIN, exit_undisturbed, interrupts

BOTH = pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])


def hit(number):
    os.kill(os.getpid(), number)


@BOTH
def test_a_signal_raises_and_what_was_there_is_restored(number):
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    before = [*map(signal.getsignal, numbers), sys.unraisablehook]
    with pytest.raises(KeyboardInterrupt), interrupts():
        hit(number)
        time.sleep(5)
    assert [*map(signal.getsignal, numbers), sys.unraisablehook] == before


@BOTH
def test_a_signal_is_not_lost_in_callbacks(number):
    class Held:
        pass

    first, second = Held(), Held()
    callbacks = [
        weakref.ref(first, lambda _: (hit(number), time.sleep(0.01))),
        weakref.ref(second, lambda _: time.sleep(0.2)),  # where it is raised once more
    ]
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interrupts():
        del first
        del second
        time.sleep(10)
    assert 1.9 * AGAIN < time.monotonic() - begun < 5 and len(callbacks) == 2


def test_other_lost_errors_are_left_to_who_prints_them():
    class Odd:
        def __del__(self):
            raise ValueError('odd')

    said = []
    sys.unraisablehook, before = said.append, sys.unraisablehook
    try:
        with interrupts():
            Odd()
    finally:
        sys.unraisablehook = before
    assert [s.exc_type for s in said] == [ValueError]


def test_a_second_sigterm_leaves_the_ending_alone():
    ended = False
    with pytest.raises(KeyboardInterrupt), interrupts():
        try:
            hit(signal.SIGTERM)
            time.sleep(5)
        finally:
            hit(signal.SIGTERM)
            time.sleep(0.1)
            ended = True
    assert ended


@pytest.mark.parametrize(('number', 'ended'), [(signal.SIGTERM, -15), (signal.SIGINT, 7)])
def test_a_forked_process_ends_as_if_there_were_no_handler(number, ended):
    with interrupts():
        child = os.fork()
        if child == 0:
            try:
                hit(number)
                time.sleep(5)
            except KeyboardInterrupt:  # what Python does at a SIGINT
                os._exit(7)
            os._exit(0)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == ended


def test_a_late_sigterm_does_not_change_the_exit_code():
    child = os.fork()
    if child == 0:
        try:
            exit_undisturbed(3)
        except SystemExit as end:
            hit(signal.SIGTERM)
            os._exit(end.code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 3
