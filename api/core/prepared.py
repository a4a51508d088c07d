"""Statements of hot requests, which are sent past SQLAlchemy and psycopg's cursors (see `core.wire`).

The text is made once, and rows come as psycopg reads them. Everything else is as it is elsewhere: connection and
transaction are the session's, and what goes wrong is an error of SQLAlchemy's. Two things cost no round trip of their
own: BEGIN, and a statement whose answer nobody needs yet (`later`). It is sent with the next one, or with COMMIT.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, overload

import psycopg
from sqlalchemy import Engine, event, text
from sqlalchemy.dialects.postgresql import psycopg as dialects
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.sql.visitors import cloned_traverse

from api.core.orm import ONLY_READS
from api.core.wire import BEGIN, COMMIT, Statement, Task, Wire

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, ClauseElement, Connection
    from sqlalchemy.pool import PoolProxiedConnection

    from api.core.wire import Answer, Then

_DIALECT = dialects.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # as declared there

type Rows[Row] = Callable[[Iterable[Any]], Row]
"""What makes a row of its values."""


@cache
def named(names: tuple[str, ...]) -> Rows[Any]:
    """Make rows whose values are found by name: seven times as fast as in a row of SQLAlchemy's."""
    row: Any = namedtuple("Row", names)  # type: ignore[misc]  # noqa: PYI024  # the names are those of a query
    make: Rows[Any] = row._make
    return make


class Prepared[Row]:
    """A statement with named parameters, and what its rows are made into."""

    @overload
    def __init__(self: Prepared[tuple[Any, ...]], statement: ClauseElement | str) -> None: ...

    @overload
    def __init__(self, statement: ClauseElement | str, row: Rows[Row]) -> None: ...

    def __init__(self, statement: ClauseElement | str, row: Rows[Any] = tuple) -> None:
        """Make the text once. Constants are written into it: PostgreSQL would make plans for some of their values."""
        clause = text(statement) if isinstance(statement, str) else statement
        made: Any = cloned_traverse(clause, {}, {"bindparam": _write_constant}).compile(
            dialect=_DIALECT, compile_kwargs={"render_postcompile": True}
        )
        self._names: list[str] = made.positiontup or []
        self._statement, self._row = Statement(str(made), len(self._names)), row

    def rows(self, session: Session, parameters: dict[str, Any]) -> list[Row]:
        """Read all rows."""
        return self._send(session, parameters, self._rows)

    def first(self, session: Session, parameters: dict[str, Any]) -> Row | None:
        """Read the first row; None when there is none."""
        rows = self.rows(session, parameters)
        return rows[0] if rows else None

    def run(self, session: Session, parameters: dict[str, Any]) -> int:
        """Send it without reading anything; tells how many rows it has changed or found."""
        return self._send(session, parameters, _count)

    def later(self, session: Session, parameters: dict[str, Any], then: Then | None = None) -> None:
        """Send it with the next statement of the transaction, whatever that is, or with COMMIT.

        What fails, or what `then` raises when it sees the rows, is raised there. COMMIT waits for what `then` says.
        """
        if session.info.get(ONLY_READS):
            message = "what a GET reads is read at once, and it writes nothing"
            raise RuntimeError(message)
        _wire(session.connection().connection).waiting.append(self._task(parameters, then))

    def _send[Found](self, session: Session, parameters: dict[str, Any], read: Callable[[Answer], Found]) -> Found:
        """Send it, and read the answer while the connection is still ours."""
        task = self._task(parameters)
        if session.info.get(ONLY_READS) and not session.in_transaction():
            engine = session.get_bind()
            if isinstance(engine, Engine):
                return _alone(engine, task, read)
        return read(_together(session.connection(), task))

    def _rows(self, answer: Answer) -> list[Row]:
        return answer.rows(self._row)

    def _task(self, parameters: dict[str, Any], then: Then | None = None) -> Task:
        return Task(self._statement, [parameters[name] for name in self._names], then)


def _write_constant(parameter: BindParameter[Any]) -> None:
    """Tell the compiler what to write where a value is known."""
    parameter.literal_execute = parameter.value is not None
    parameter.required = False


def settle(session: Session) -> None:
    """Send what was to be sent later; after a failure nothing is."""
    if session.is_active and session.in_transaction():
        _settle(session.connection())


def _wire(lent: PoolProxiedConnection) -> Wire:
    return Wire.of(lent.driver_connection)  # type: ignore[arg-type]  # psycopg's


def _alone[Found](engine: Engine, task: Task, read: Callable[[Answer], Found]) -> Found:
    """Read something on a connection that is lent for this one statement, without a transaction."""
    try:
        lent = engine.pool.connect()
    except psycopg.Error as error:
        raise _translated(engine, task, error, is_lost=False) from error
    try:
        return read(_wire(lent).send([task]))
    except psycopg.Error as error:
        is_lost = _wire(lent).is_lost
        if is_lost:
            lent.invalidate(error)
        raise _translated(engine, task, error, is_lost=is_lost) from error
    except Exception:
        raise
    except BaseException as end:
        lent.invalidate(end)  # the process is told to end in the middle of an answer
        raise
    finally:
        lent.close()


def _count(answer: Answer) -> int:
    return answer.count


def _together(connection: Connection, *tasks: Task) -> Answer:
    """Send statements in the transaction of a connection, after those that wait, in one round trip."""
    wire = _wire(connection.connection)
    waiting, wire.waiting = wire.waiting, []
    batch = (*((BEGIN,) if wire.begins else ()), *waiting, *tasks)
    try:
        return wire.send(batch)
    except psycopg.Error as error:
        is_lost = wire.is_lost
        if is_lost:
            connection.invalidate(error)
        raise _translated(connection.engine, batch[-1], error, is_lost=is_lost) from error
    except Exception:
        raise
    except BaseException as end:
        connection.invalidate(end)  # the process is told to end in the middle of an answer
        raise


def _settle(connection: Connection) -> None:
    if not connection.invalidated and _wire(connection.connection).waiting:
        _together(connection)


@event.listens_for(Engine, "before_cursor_execute")
def _before_another(connection: Connection, *_: object) -> None:
    """Keep statements in their order, whoever sends them."""
    _settle(connection)


@event.listens_for(Session, "before_commit")
def _before_release(session: Session) -> None:
    """Send what waits while its savepoint can still be rolled back."""
    if session.in_nested_transaction():
        settle(session)


@event.listens_for(Engine, "commit")
def _commit(connection: Connection) -> None:
    """Send COMMIT with what waits; psycopg finds then that there is nothing left to commit."""
    if connection.invalidated:
        return
    wire = _wire(connection.connection)
    if any(task.then is not None for task in wire.waiting):
        _together(connection)
    if wire.waiting or not wire.is_idle:
        _together(connection, COMMIT)


@event.listens_for(Engine, "rollback")
def _rollback(connection: Connection) -> None:
    if not connection.invalidated:
        _wire(connection.connection).rollback()


@event.listens_for(Engine, "rollback_savepoint")
def _rollback_to(connection: Connection, *_: object) -> None:
    """Drop what waits: whatever was there before the savepoint has been sent before it."""
    if not connection.invalidated:
        _wire(connection.connection).waiting.clear()


def _translated(engine: Engine, task: Task, error: psycopg.Error, *, is_lost: bool) -> BaseException:
    """Make an error of SQLAlchemy's of psycopg's; a lost connection has been let go of, as SQLAlchemy does."""
    return DBAPIError.instance(
        task.statement.text, None, error, psycopg.Error, connection_invalidated=is_lost, dialect=engine.dialect
    )
