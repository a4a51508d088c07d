"""Seeing the statements that are sent, whether SQLAlchemy sends them or psycopg does itself."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from api.core.connections import LeanCursor
from api.core.wire import BEGIN, COMMIT, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from api.core.wire import Answer, Task

    type Sender = LeanCursor | Wire
    type Look = Callable[[Sender, str, Any], None]


@contextmanager
def watched(look: Look) -> Iterator[None]:
    """Show each statement and its parameters before it is sent; what `look` raises is raised in its place."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("execute", "executemany"):
            patch.setattr(LeanCursor, name, _shown(getattr(LeanCursor, name), look))
        patch.setattr(Wire, "send", _shown_on_wire(Wire.send, look))
        yield


@contextmanager
def counted() -> Iterator[list[str]]:
    """Collect the statements that are sent, but for the savepoints of the test itself."""
    sent: list[str] = []

    def note(_: Sender, statement: str, __: object) -> None:
        if "SAVEPOINT" not in statement:
            sent.append(statement)

    with watched(note):
        yield sent


@contextmanager
def batches() -> Iterator[list[Sequence[Task]]]:
    """Collect what each round trip of a wire carries."""
    trips: list[Sequence[Task]] = []
    really_send = Wire.send

    def send(wire: Wire, tasks: Sequence[Task]) -> Answer:
        trips.append(tasks)
        return really_send(wire, tasks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wire, "send", send)
        yield trips


def explained(sender: Sender, statement: str, parameters: Any, *, options: str = "ANALYZE, FORMAT JSON") -> Any:
    """Have PostgreSQL tell how it carries a statement out, on the connection that was to send it."""
    kind = psycopg.RawCursor if isinstance(sender, Wire) else psycopg.Cursor
    with kind(sender.connection) as other:
        other.execute(f"EXPLAIN ({options}) {statement}".encode(), parameters)
        ((plans,),) = other.fetchall()
        return plans[0]["Plan"]


def _shown(send: Callable[..., Any], look: Look) -> Callable[..., Any]:
    def shown(cursor: LeanCursor, statement: str, parameters: Any = None, **options: Any) -> Any:
        if statement:  # an empty one asks whether the connection is alive
            look(cursor, statement, parameters)
        return send(cursor, statement, parameters, **options)

    return shown


def _shown_on_wire(send: Callable[[Wire, Sequence[Task]], Answer], look: Look) -> Callable[..., Answer]:
    def shown(wire: Wire, tasks: Sequence[Task]) -> Answer:
        for task in tasks:
            if task is not BEGIN and task is not COMMIT:
                look(wire, task.statement.text, task.values)
        return send(wire, tasks)

    return shown
