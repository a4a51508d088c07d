"""Seeing the statements that are sent, whether SQLAlchemy sends them or psycopg does itself."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from api.core.connections import LeanCursor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    type Look = Callable[[LeanCursor, str, Any], None]


@contextmanager
def watched(look: Look) -> Iterator[None]:
    """Show each statement and its parameters before it is sent; what `look` raises is raised in its place."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("execute", "executemany"):
            patch.setattr(LeanCursor, name, _shown(getattr(LeanCursor, name), look))
        yield


@contextmanager
def counted() -> Iterator[list[str]]:
    """Collect the statements that are sent, but for the savepoints of the test itself."""
    sent: list[str] = []

    def note(_: LeanCursor, statement: str, __: object) -> None:
        if "SAVEPOINT" not in statement:
            sent.append(statement)

    with watched(note):
        yield sent


def _shown(send: Callable[..., Any], look: Look) -> Callable[..., Any]:
    def shown(cursor: LeanCursor, statement: str, parameters: Any = None, **options: Any) -> Any:
        if statement:  # an empty one asks whether the connection is alive
            look(cursor, statement, parameters)
        return send(cursor, statement, parameters, **options)

    return shown
