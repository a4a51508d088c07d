"""Many rows with one statement: arrays that are unnested on the server, or COPY where there are thousands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from psycopg import Connection
    from sqlalchemy.orm import Session

COPIED_FROM = 2_000
"""From so many rows on COPY is worth it; it costs a tenth of parameters."""

type Types = Mapping[str, str]
"""PostgreSQL's type of each column, by the names psycopg knows them under."""


def unnest(prefix: str, types: Types) -> str:
    """Write a FROM item that turns the parameters of `arrays` into rows, named `prefix`."""
    parameters = ", ".join(f"CAST(:{prefix}_{name} AS {kind}[])" for name, kind in types.items())
    return f"unnest({parameters}) AS {prefix} ({', '.join(types)})"


def arrays(prefix: str, types: Types, rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """Turn rows, each in the order of `types`, into the parameters `unnest` reads."""
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in types]
    return {f"{prefix}_{name}": column for name, column in zip(types, columns, strict=True)}


def copy_in(session: Session, table: str, types: Types, rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows, each in the order of `types`, through COPY in the session's transaction."""
    connection: Connection = session.connection().connection.driver_connection  # type: ignore[assignment]  # psycopg's
    into = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)")
    columns = sql.SQL(", ").join(map(sql.Identifier, types))
    with connection.cursor() as cursor, cursor.copy(into.format(sql.Identifier(table), columns)) as copy:
        copy.set_types(list(types.values()))
        for row in rows:
            copy.write_row(row)
