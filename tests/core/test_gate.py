"""The gate itself: who is let in, in which order, and who gives up."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Lock
from typing import TYPE_CHECKING

import pytest

from api.core.gate import Gate, ItemBusy
from tests.waiting import wait_until

if TYPE_CHECKING:
    from concurrent.futures import Future

KEY = "item"
LONG, NOT_AT_ALL = 30.0, 0.0
MANY = 16


def test_one_is_inside_at_a_time_and_all_are_served() -> None:
    gate, start, alone, served = Gate(), Barrier(MANY), Lock(), []

    def pass_through(number: int) -> None:
        start.wait()
        for _ in range(50):
            gate.enter(KEY, seconds=LONG)
            assert alone.acquire(blocking=False), "two were inside"
            alone.release()
            gate.leave(KEY)
        served.append(number)

    with ThreadPoolExecutor(MANY) as threads:
        list(threads.map(pass_through, range(MANY)))

    assert sorted(served) == list(range(MANY))
    gate.enter(KEY, seconds=NOT_AT_ALL)


def test_those_who_wait_are_let_in_as_they_came() -> None:
    gate, order = Gate(), []
    gate.enter(KEY, seconds=NOT_AT_ALL)

    def pass_through(number: int) -> None:
        gate.enter(KEY, seconds=LONG)
        order.append(number)
        gate.leave(KEY)

    with ThreadPoolExecutor(5) as threads:
        for number in range(5):
            threads.submit(pass_through, number)
            wait_until(partial(is_waited_at_by, gate, number + 1), seconds=10)
        gate.leave(KEY)

    assert order == [0, 1, 2, 3, 4]


def test_who_has_no_patience_left_is_refused_and_the_others_go_on_waiting() -> None:
    gate = Gate()
    gate.enter(KEY, seconds=NOT_AT_ALL)
    with ThreadPoolExecutor(1) as threads:
        patient: Future[None] = threads.submit(gate.enter, KEY, seconds=LONG)
        wait_until(partial(is_waited_at_by, gate, 1), seconds=10)
        with pytest.raises(ItemBusy) as refused:
            gate.enter(KEY, seconds=0.01)
        gate.leave(KEY)
        patient.result(timeout=10)

    assert refused.value.retry_after == 1


def test_when_the_first_gives_up_the_second_is_called() -> None:
    gate = Gate()
    gate.enter(KEY, seconds=NOT_AT_ALL)
    with ThreadPoolExecutor(2) as threads:
        first: Future[None] = threads.submit(gate.enter, KEY, seconds=0.2)
        wait_until(partial(is_waited_at_by, gate, 1), seconds=10)
        second: Future[None] = threads.submit(gate.enter, KEY, seconds=LONG)
        assert isinstance(first.exception(timeout=10), ItemBusy)
        gate.leave(KEY)
        second.result(timeout=10)


def test_other_keys_have_gates_of_their_own() -> None:
    gate = Gate()

    gate.enter(KEY, seconds=NOT_AT_ALL)
    gate.enter("another item", seconds=NOT_AT_ALL)


FORKED = """
import os
from api.core import gate

gate._gate.enter("item", seconds=0)
child = os.fork()
if not child:
    gate._gate.enter("item", seconds=0)
    os._exit(0)
_, status = os.waitpid(child, 0)
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_worker_has_a_gate_of_its_own() -> None:
    ended = subprocess.run([sys.executable, "-c", FORKED], timeout=60, check=False)

    assert ended.returncode == 0


def is_waited_at_by(gate: Gate, count: int) -> bool:
    return len(gate._queues.get(KEY, ())) == count  # noqa: SLF001  # nobody but tests needs to know how many wait
