"""One at a time per hot item: who wants rows that somebody in this process has locked waits here, not in PostgreSQL.

Rows are kept right by their locks alone. But each transaction that ends wakes up everybody who waits for its row there,
and lets any of them go first. At the gate one thread is woken, the one that has waited longest; a thread that comes
by just when nobody is inside need not wait for it to wake up.
"""

from __future__ import annotations

import os
import time
from collections import deque
from threading import Event, Lock
from typing import TYPE_CHECKING

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from api.core.errors import Busy

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable
    from uuid import UUID

    from sqlalchemy.orm import SessionTransaction

PATIENCE = "gate_seconds"
"""The option of an engine that says how long its sessions wait at the gate; without it they do not stop there."""

_HELD = "gate"


class ItemBusy(Busy):
    """So many buy the same item that the turn of this request did not come in time; nothing was changed."""

    code = "item_busy"
    message = "Very many are after one of these items at this moment; nothing was changed. Try again shortly."


class Gate:
    """Lets one thread inside for each key, and the others wait in the order in which they came."""

    def __init__(self) -> None:
        """Begin with nobody inside."""
        self._mutex = Lock()
        self._inside: set[Hashable] = set()
        self._queues: dict[Hashable, deque[Event]] = {}

    def enter(self, key: Hashable, *, seconds: float) -> None:
        """Go inside, after so many seconds at the most.

        Raises:
            ItemBusy: the turn did not come.

        """
        call = Event()
        with self._mutex:
            if key not in self._inside:
                self._inside.add(key)
                return
            self._queues.setdefault(key, deque()).append(call)
        until = time.monotonic() + seconds
        while not self._follow(key, call, is_called=call.wait(max(0.0, until - time.monotonic()))):
            """Somebody who came by was faster; this thread stays the first of those who wait."""

    def leave(self, key: Hashable) -> None:
        """Go out, and call whoever has waited longest."""
        with self._mutex:
            self._inside.discard(key)
            if queue := self._queues.get(key):
                queue[0].set()

    def _follow(self, key: Hashable, call: Event, *, is_called: bool) -> bool:
        with self._mutex:
            is_free, queue = key not in self._inside, self._queues[key]
            if not is_free and is_called:
                call.clear()
                return False
            queue.remove(call)
            if not queue:
                del self._queues[key]
            if not is_free:
                raise ItemBusy
            self._inside.add(key)
            return True


_gate = Gate()


def enter(session: Session, keys: Collection[UUID]) -> None:
    """Wait for the turn at each key, in their order; the end of the transaction goes out again, whatever ends it.

    Call it before the first row is locked: whoever waits here must not be waited for. So one that is inside does not
    stop again, and neither do sessions that share one connection, because they share its locks.

    Raises:
        ItemBusy: the turn did not come in time.

    """
    bind = session.get_bind()
    seconds = bind.get_execution_options().get(PATIENCE)
    if seconds is None or _HELD in session.info or not isinstance(bind, Engine):
        return
    session.connection()  # whoever is inside must not wait for a connection that somebody outside has
    held = session.info[_HELD] = []
    for key in sorted(keys):
        _gate.enter(key, seconds=seconds)
        held.append(key)


@event.listens_for(Session, "after_transaction_end")
def _go_out(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        for key in session.info.pop(_HELD, ()):
            _gate.leave(key)


def _begin_anew() -> None:
    """Give a forked process a gate of its own: the threads that were inside stayed behind."""
    global _gate  # noqa: PLW0603  # one for each process
    _gate = Gate()


os.register_at_fork(after_in_child=_begin_anew)
