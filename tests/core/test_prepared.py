"""Statements that psycopg sends itself are in the session's transaction, and fail as SQLAlchemy's do."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest
from sqlalchemy import Integer, bindparam, literal, select, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, PendingRollbackError

from api import create_app
from api.core.orm import ONLY_READS
from api.core.prepared import Prepared
from api.core.retry import ASK_FOR_ANOTHER_TRY, sqlstate
from api.core.wire import BEGIN, COMMIT, MOST_PREPARED, Answer
from api.extensions import db
from tests.conftest import disposing
from tests.statements import batches, watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from sqlalchemy.orm import Session

    from api.config import Settings


class Sum(NamedTuple):
    """A number and its double."""

    number: int
    twice: int


NUMBERS = Prepared("SELECT n, 2 * n FROM generate_series(1, :most) AS n", Sum._make)
BACKEND = Prepared("SELECT pg_backend_pid()")
PLACE_TELLING = Prepared("""
    INSERT INTO locations (id, code, name) VALUES (gen_random_uuid(), :code, 'A place') RETURNING code
""")
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


def test_what_may_wait_goes_with_the_next_statement_in_one_round_trip(own: Session) -> None:
    seen: list[Any] = []
    with batches() as trips:
        PLACE.later(own, {"code": "A"})
        PLACE_TELLING.later(own, {"code": "B"}, seen.append)
        assert (trips, seen) == ([], [])
        NUMBERS.rows(own, {"most": 1})

    assert [len(trip) for trip in trips] == [4]
    assert trips[0][0] is BEGIN
    assert seen == [[("B",)]]
    assert codes(own) == ["A", "B"]


def test_what_waits_is_sent_before_a_statement_of_sqlalchemys(own: Session) -> None:
    PLACE.later(own, {"code": "A"})

    assert codes(own) == ["A"]


def test_what_waits_is_committed_in_the_round_trip_of_the_commit(own: Session) -> None:
    with batches() as trips:
        PLACE.later(own, {"code": "A"})
        own.commit()

    assert [len(trip) for trip in trips] == [3]
    assert trips[0][-1] is COMMIT
    assert codes(own) == ["A"]


def test_nothing_is_committed_before_what_waits_has_been_looked_at(own: Session) -> None:
    def refuse(_: object) -> None:
        raise LookupError

    PLACE_TELLING.later(own, {"code": "A"}, refuse)
    with pytest.raises(LookupError):
        own.commit()
    own.rollback()

    assert codes(own) == []


def test_what_waits_is_undone_with_the_rest(own: Session) -> None:
    PLACE.later(own, {"code": "A"})
    own.rollback()
    own.commit()

    assert codes(own) == []


def test_what_waits_fails_in_its_turn_and_nothing_after_it_happens(own: Session) -> None:
    for code in ("A", "A", "B"):
        PLACE.later(own, {"code": code})
    with pytest.raises(IntegrityError):
        NUMBERS.rows(own, {"most": 1})
    own.rollback()

    assert codes(own) == []


def test_a_savepoint_holds_what_waits_in_it(own: Session) -> None:
    PLACE.later(own, {"code": "A"})
    savepoint = own.begin_nested()
    for code in ("B", "A"):
        PLACE.later(own, {"code": code})
    with pytest.raises(IntegrityError):
        savepoint.commit()
    savepoint.rollback()

    assert codes(own) == ["A"]


def test_where_nothing_is_written_nothing_may_wait(own: Session) -> None:
    own.info[ONLY_READS] = True

    with pytest.raises(RuntimeError):
        PLACE.later(own, {"code": "A"})


def test_a_read_needs_no_transaction_and_keeps_no_connection(own: Session) -> None:
    own.info[ONLY_READS] = True
    with batches() as trips:
        NUMBERS.rows(own, {"most": 1})

    assert [len(trip) for trip in trips] == [1]
    assert not own.in_transaction()
    assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # of a QueuePool


@pytest.mark.parametrize("forgetting", ["ROLLBACK TO SAVEPOINT here", "DISCARD PLANS", "DEALLOCATE ALL"])
def test_statements_are_prepared_anew_when_postgresql_has_forgotten_them(own: Session, forgetting: str) -> None:
    NUMBERS.rows(own, {"most": 1})
    own.execute(text("SAVEPOINT here"))
    for _ in range(8):  # psycopg prepares it, and so has a reason to have all forgotten
        own.execute(text("SELECT 1"))
    own.execute(text(forgetting))

    assert NUMBERS.rows(own, {"most": 1}) == [Sum(1, 2)]


def test_a_rollback_forgets_no_statements(own: Session) -> None:
    NUMBERS.rows(own, {"most": 1})
    for _ in range(8):
        own.execute(text("SELECT 1"))
    before = prepared(own)
    own.rollback()

    assert prepared(own) == before


def test_an_answer_is_read_before_the_connection_is_given_back(own: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    lent: list[int] = []
    really_read = Answer.rows

    def read(answer: Answer, *args: Any) -> list[Any]:
        lent.append(db.engine.pool.checkedout())  # type: ignore[attr-defined]  # of a QueuePool
        return really_read(answer, *args)

    monkeypatch.setattr(Answer, "rows", read)
    own.info[ONLY_READS] = True

    assert NUMBERS.rows(own, {"most": 1}) == [Sum(1, 2)]
    assert lent == [1]


def test_a_database_that_cannot_be_reached_is_an_error_of_sqlalchemys(make_settings: Callable[..., Settings]) -> None:
    with disposing(create_app(make_settings("postgresql://nobody@127.0.0.1:9/nothing"))) as app, app.app_context():
        session = db.session()
        session.info[ONLY_READS] = True
        with pytest.raises(OperationalError):
            NUMBERS.rows(session, {"most": 1})


def test_a_connection_recovers_from_a_migration_that_changes_what_a_statement_returns(
    own: Session, database_url: str
) -> None:
    read = Prepared("SELECT code FROM locations")
    own.info[ONLY_READS] = True
    read.rows(own, {})
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute("ALTER TABLE locations ALTER code TYPE varchar(100)")

    with pytest.raises(DBAPIError) as caught:
        read.rows(own, {})

    assert sqlstate(caught.value) in ASK_FOR_ANOTHER_TRY
    assert read.rows(own, {}) == []


def test_a_connection_keeps_so_many_statements_and_no_more(own: Session) -> None:
    for number in range(MOST_PREPARED + 20):
        Prepared(f"SELECT {number}").rows(own, {})

    assert len(prepared(own)) == MOST_PREPARED


def test_what_waits_in_a_savepoint_goes_with_it(own: Session) -> None:
    PLACE.later(own, {"code": "A"})
    savepoint = own.begin_nested()
    for code in ("B", "B"):
        PLACE.later(own, {"code": code})
    savepoint.rollback()

    assert codes(own) == ["A"]


def test_texts_that_postgresql_cannot_hold_are_refused(session: Session) -> None:
    with pytest.raises(DataError):
        PLACE.run(session, {"code": "\x00"})


def codes(session: Session) -> list[str]:
    return list(session.scalars(text("SELECT code FROM locations ORDER BY code")))


def prepared(session: Session) -> set[str]:
    return set(session.scalars(text("SELECT name FROM pg_prepared_statements WHERE name LIKE 'stockroom%'")))


def test_constants_are_written_into_the_text(session: Session) -> None:
    constants = Prepared(select(bindparam("n", type_=Integer) * literal(2), literal("it's %")).limit(1))
    sent: list[Any] = []

    with watched(lambda _, statement, values: sent.append((statement.count("$"), values))):
        assert constants.first(session, {"n": 4}) == (8, "it's %")
    assert sent[-1] == (1, [4])
