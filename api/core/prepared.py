"""Statements of hot requests, which psycopg sends without SQLAlchemy in between.

A statement through SQLAlchemy costs the processor two and a half times as much: it makes a context, tells events and
wraps a result. Here the text is made once, and rows come as psycopg reads them. Everything else is as it is elsewhere:
the connection and its transaction are the session's, and what goes wrong is an error of SQLAlchemy's.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, overload

import psycopg
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import psycopg as dialects
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from sqlalchemy import ClauseElement, Connection
    from sqlalchemy.orm import Session

_DIALECT = dialects.dialect()  # type: ignore[no-untyped-call]  # as declared there
_CURSOR = "cursor"
"""The entry of a connection's `info` that keeps its cursor, which knows already how values are written and read."""


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
        """Make the text once; its constants go with it each time, the other parameters are given."""
        made = (text(statement) if isinstance(statement, str) else statement).compile(dialect=_DIALECT)
        self._text, self._row = str(made), row
        self._constants = {name: value for name, value in made.params.items() if value is not None}

    def rows(self, session: Session, parameters: dict[str, Any]) -> list[Row]:
        """Read all rows."""
        return list(map(self._row, self._send(session, parameters).fetchall()))

    def first(self, session: Session, parameters: dict[str, Any]) -> Row | None:
        """Read the only row; None when there is none."""
        row = self._send(session, parameters).fetchone()
        return None if row is None else self._row(row)

    def run(self, session: Session, parameters: dict[str, Any]) -> int:
        """Send it without reading anything; tells how many rows it has changed or found."""
        return self._send(session, parameters).rowcount

    def _send(self, session: Session, parameters: dict[str, Any]) -> psycopg.Cursor[Any]:
        connection = session.connection()
        cursor = _cursor(connection)
        try:
            return cursor.execute(self._text, self._constants | parameters if self._constants else parameters)
        except psycopg.Error as error:
            raise _translated(connection, cursor, self._text, error) from error
        except Exception:
            raise
        except BaseException as end:
            connection.invalidate(end)  # the process is told to end in the middle of an answer
            raise


def _cursor(connection: Connection) -> psycopg.Cursor[Any]:
    """Take the cursor that is kept with the connection; each has one thread at a time."""
    lent = connection.connection
    if _CURSOR not in lent.info:
        lent.info[_CURSOR] = lent.cursor()
    cursor: psycopg.Cursor[Any] = lent.info[_CURSOR]
    return cursor


def _translated(
    connection: Connection, cursor: psycopg.Cursor[Any], statement: str, error: psycopg.Error
) -> BaseException:
    """Make an error of SQLAlchemy's of psycopg's, and let go of a connection that is lost, as SQLAlchemy does."""
    is_lost = cursor.connection.closed
    if is_lost:
        connection.invalidate(error)
    return DBAPIError.instance(
        statement, None, error, psycopg.Error, connection_invalidated=is_lost, dialect=connection.dialect
    )
