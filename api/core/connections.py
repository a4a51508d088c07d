"""How connections to PostgreSQL are kept and read.

They are looked at before they are lent, without a round trip for each loan. A server that ends a connection says so on
its socket; an idle one has nothing else to say. So a look at the socket finds what a restart has cut, and only a
connection that has lain for a while is asked, because a network may have forgotten it without a word. A proxy between
keeps its socket open when the server behind it goes; then the first statement fails, and the answer is 503.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, overload

import psycopg
from sqlalchemy import QueuePool, event
from sqlalchemy.exc import InvalidatePoolError

from api.core.wire import Wire

if TYPE_CHECKING:
    from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

ASKED_AFTER_SECONDS = 10.0
_LAID_DOWN, _SOCKET = "laid_down_at", "socket"
_FORGETS = (b"ROLLBACK", b"DROP", b"ALTER", b"DISCARD", b"DEALLOCATE")


class LeanCursor(psycopg.Cursor[Any]):
    """A cursor that describes its columns when it is asked for them.

    SQLAlchemy looks after every statement whether there are any, and at each of them only the first time.
    """

    def execute(self, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401  # whatever psycopg's takes
        """Send a statement. After some, psycopg has PostgreSQL forget what was prepared, that of the wire included."""
        super().execute(*args, **kwargs)
        if self.pgresult is not None and (self.pgresult.command_status or b"").startswith(_FORGETS):
            Wire.of(self.connection).forget()
        return self

    @property
    def description(self) -> Sequence[psycopg.Column] | None:  # type: ignore[override]  # a list there
        """The columns of the present result; None when it has no rows."""
        result = self.pgresult
        has_rows = result is not None and (result.nfields or result.status == psycopg.pq.ExecStatus.TUPLES_OK)
        return Columns(self, result.nfields) if result is not None and has_rows else None


class Columns(Sequence[psycopg.Column]):
    """The columns of a cursor's present result."""

    def __init__(self, cursor: LeanCursor, number: int) -> None:
        """Describe none of them yet."""
        self._cursor, self._number = cursor, number

    def __len__(self) -> int:
        """Count them."""
        return self._number

    @overload
    def __getitem__(self, index: int) -> psycopg.Column: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[psycopg.Column]: ...

    def __getitem__(self, index: int | slice) -> psycopg.Column | Sequence[psycopg.Column]:
        """Describe one, or some."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._number))]
        if not -self._number <= index < self._number:
            raise IndexError(index)
        return psycopg.Column(self._cursor, index % self._number)


class WatchedPool(QueuePool):
    """A pool that lends only connections that are alive."""


@event.listens_for(WatchedPool, "checkin")
def _lay_down(_: psycopg.Connection | None, record: ConnectionPoolEntry) -> None:
    record.info[_LAID_DOWN] = time.monotonic()


@event.listens_for(WatchedPool, "reset")
def _clear(connection: psycopg.Connection, *_: object) -> None:
    """End what somebody has left under way; psycopg would have all prepared statements forgotten then."""
    if not connection.closed:
        Wire.of(connection).rollback()


@event.listens_for(WatchedPool, "checkout")
def _look_at(connection: psycopg.Connection, record: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
    """Have the pool open new connections when this one has ended: the others are no younger."""
    rest = time.monotonic() - record.info.get(_LAID_DOWN, time.monotonic())
    if (rest > ASKED_AFTER_SECONDS or _has_news(connection, record)) and not _answers(connection):
        raise InvalidatePoolError


def _has_news(connection: psycopg.Connection, record: ConnectionPoolEntry) -> bool:
    if connection.closed:
        return True
    socket = record.info.get(_SOCKET)
    if socket is None:
        socket = record.info[_SOCKET] = select.poll()
        socket.register(connection.fileno(), select.POLLIN)
    return bool(socket.poll(0))


def _answers(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("")
        Wire.of(connection).rollback()
    except psycopg.Error:
        return False
    return True
