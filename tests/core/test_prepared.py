"""Statements that psycopg sends itself are in the session's transaction, and fail as SQLAlchemy's do."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import pytest
from sqlalchemy import Integer, bindparam, literal, select, text
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, PendingRollbackError

from api.core.prepared import Prepared
from api.extensions import db
from tests.statements import watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from sqlalchemy.orm import Session


class Sum(NamedTuple):
    """A number and its double."""

    number: int
    twice: int


NUMBERS = Prepared("SELECT n, 2 * n FROM generate_series(1, :most) AS n", Sum._make)
BACKEND = Prepared("SELECT pg_backend_pid()")
PLACE = Prepared("INSERT INTO locations (id, code, name) VALUES (gen_random_uuid(), :code, 'A place')")


@pytest.fixture
def own(live_app: Flask) -> Iterator[Session]:
    """A session whose connection may be lost."""
    with live_app.app_context():
        yield db.session()


def test_rows_are_made_into_what_was_named(session: Session) -> None:
    assert NUMBERS.rows(session, {"most": 2}) == [Sum(1, 2), Sum(2, 4)]
    assert NUMBERS.first(session, {"most": 1}) == Sum(1, 2)
    assert NUMBERS.first(session, {"most": 0}) is None
    assert NUMBERS.run(session, {"most": 3}) == 3
    assert Prepared(select(bindparam("n", type_=Integer))).rows(session, {"n": 5}) == [(5,)]


def test_they_are_in_the_transaction_of_the_session(own: Session) -> None:
    assert PLACE.run(own, {"code": "HERE"}) == 1
    assert own.scalar(text("SELECT count(*) FROM locations")) == 1

    own.rollback()

    assert own.scalar(text("SELECT count(*) FROM locations")) == 0


def test_a_refusal_is_an_error_of_sqlalchemys_without_what_was_sent(session: Session) -> None:
    PLACE.run(session, {"code": "HERE"})

    with pytest.raises(IntegrityError) as caught, session.begin_nested():
        PLACE.run(session, {"code": "HERE"})

    assert isinstance(caught.value.orig, psycopg.errors.UniqueViolation)
    assert not caught.value.connection_invalidated
    assert "parameters" not in str(caught.value)
    with pytest.raises(DataError), session.begin_nested():
        NUMBERS.rows(session, {"most": "many"})


def test_a_connection_that_is_lost_is_let_go_of(own: Session) -> None:
    ((lost,),) = BACKEND.rows(own, {})
    with db.engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": lost})

    with pytest.raises(OperationalError) as caught:
        BACKEND.rows(own, {})
    with pytest.raises(PendingRollbackError):
        BACKEND.rows(own, {})
    own.rollback()

    assert caught.value.connection_invalidated
    assert BACKEND.rows(own, {}) != [(lost,)]


def test_nobody_uses_a_connection_on_which_an_answer_is_still_to_come(own: Session) -> None:
    ((broken,),) = BACKEND.rows(own, {})

    def end(*_: object) -> None:
        raise SystemExit

    with suppress(SystemExit), watched(end):
        BACKEND.rows(own, {})
    own.rollback()

    assert BACKEND.rows(own, {}) != [(broken,)]


def test_constants_go_along(session: Session) -> None:
    double = Prepared(select(bindparam("n", type_=Integer) * literal(2)))

    assert double.first(session, {"n": 4}) == (8,)
