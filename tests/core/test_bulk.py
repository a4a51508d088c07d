"""Arrays on their way to PostgreSQL: what is sent is what arrives."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import Text, any_, literal, select, text

from api.core import bulk

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MOMENT = datetime(2026, 5, 17, 9, 30, 0, 123456, tzinfo=UTC)
TRICKY = [
    "",
    "NULL",
    "null",
    "a,b",
    "{}",
    "{a}",
    '"',
    '\\"',
    "\\",
    "a b",
    " ",
    "'",
    "\n\t\r",
    "é",
    "😀",
    "%s",
    ":x",
    "(1,2)",
]
VALUES: dict[str, list[Any]] = {
    "text": [None, *TRICKY],
    "uuid": [UUID(int=0), None, UUID(int=2**128 - 1)],
    "int2": [0, -1, None, 32767],
    "int4": [0, -1, None, 2**31 - 1],
    "int8": [0, -1, None, 2**63 - 1],
    "numeric": [Decimal("0.0001"), None, Decimal("-12.50"), Decimal("1E+3"), Decimal("99999999999999.9999")],
    "bool": [True, None, False],
    "date": [date(2026, 5, 17), None, date(1900, 1, 1)],
    "timestamptz": [MOMENT, None, MOMENT.astimezone(timezone(timedelta(hours=-5, minutes=-30)))],
    "interval": [timedelta(microseconds=1), None, timedelta(days=400, seconds=-1)],
    "bytea": [b"", b"\\x00", None, bytes(range(256))],
}


@pytest.mark.parametrize("kind", VALUES)
def test_every_value_arrives_as_it_is(session: Session, kind: str) -> None:
    types = {"value": kind}
    query = text(f"SELECT value FROM {bulk.unnest('sent', types)}")  # noqa: S608  # of our own making

    rows = session.execute(query, bulk.arrays("sent", types, [(value,) for value in VALUES[kind]]))

    assert list(rows.scalars()) == VALUES[kind]


def test_json_arrives_as_it_is(session: Session) -> None:
    types = {"value": "jsonb"}
    query = text(f"SELECT value FROM {bulk.unnest('sent', types)}")  # noqa: S608  # the same
    sent = ['{"a": "\\"{},\\\\ NULL"}', "[1, null]", '"NULL"']

    rows = session.execute(query, bulk.arrays("sent", types, [(one,) for one in [*sent, None]]))

    assert list(rows.scalars()) == [{"a": '"{},\\ NULL'}, [1, None], "NULL", None]


def test_no_rows_are_no_rows(session: Session) -> None:
    types = {"name": "text", "quantity": "int4"}
    query = text(f"SELECT * FROM {bulk.unnest('sent', types)}")  # noqa: S608  # the same

    assert session.execute(query, bulk.arrays("sent", types, [])).all() == []


@pytest.mark.parametrize("value", TRICKY)
def test_what_is_looked_for_among_given_values_is_found_only_there(session: Session, value: str) -> None:
    query = select(literal(value, Text) == any_(bulk.given("among", Text())))
    others = [other for other in TRICKY if other != value]

    assert session.scalar(query, {"among": bulk.array("text", TRICKY)}) is True
    assert session.scalar(query, {"among": bulk.array("text", others)}) is False
