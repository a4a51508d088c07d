"""Where a request's transaction ends, and what becomes of it when the database fails."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from decimal import Decimal
from threading import Barrier
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import structlog
from flask import request
from sqlalchemy import select, text
from structlog.testing import capture_logs
from werkzeug.exceptions import BadGateway

from api import create_app
from api.core.caller import Caller
from api.core.wire import COMMIT, Wire
from api.extensions import db
from api.items import service as items
from api.items.errors import SkuTaken
from api.items.models import Item
from api.locations.models import Location
from api.rest.smorest import Blueprint
from tests.conftest import disposing
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flask import Flask
    from flask.testing import FlaskClient

    from api.config import Settings
    from api.core.wire import Answer, Task
    from api.embedded import Postgres

APPEND_TO_NAME = text("UPDATE items SET name = name || :text WHERE sku = :sku")
PROBE = "/api/v1/probe"
ITEM = {"sku": "NEW", "name": "New", "unit_price": "1.00"}


def test_what_a_view_does_is_committed_when_it_answers(live_app: Flask) -> None:
    client = probe(live_app, lambda: add_item("A"))

    assert client.post(PROBE).status_code == 204
    assert stored(live_app) == ["A"]


def test_what_a_view_did_is_undone_when_it_refuses(live_app: Flask) -> None:
    def view() -> None:
        add_item("A")
        raise SkuTaken(sku="A")

    assert_problem(probe(live_app, view).post(PROBE), 409, "sku_taken", "sku")
    assert stored(live_app) == []


def test_what_a_view_did_is_undone_when_it_crashes(live_app: Flask) -> None:
    def view() -> None:
        add_item("A")
        _ = 1 / 0

    assert_problem(probe(live_app, view).post(PROBE), 500, "internal_error", None)
    assert stored(live_app) == []


def test_what_the_database_refuses_at_the_very_end_is_refused(live_app: Flask) -> None:
    def view() -> None:
        for name in "AB":
            db.session.add(Item(sku="A", name=name, unit_price=Decimal(1)))

    assert_problem(probe(live_app, view).post(PROBE), 409, "sku_taken", "sku")
    assert stored(live_app) == []


def test_two_requests_that_deadlock_are_both_answered(live_app: Flask) -> None:
    with committed(live_app) as make:
        make.item(sku="A")
        make.item(sku="B")
    meet, attempts = Barrier(2, timeout=20), Counter[str]()

    def view() -> None:
        order = request.headers["X-Order"]
        attempts[order] += 1
        for number, sku in enumerate(order):
            db.session.execute(APPEND_TO_NAME, {"text": order, "sku": sku})
            if number == 0 and attempts[order] == 1:
                meet.wait()

    probe(live_app, view)

    answers = at_once(
        live_app, *({"path": PROBE, "method": "POST", "headers": {"X-Order": order}} for order in ("AB", "BA"))
    )

    assert [answer.status_code for answer in answers] == [204, 204]
    assert attempts.total() == 3
    with live_app.app_context():
        names = list(db.session.scalars(select(Item.name)))
    assert [sorted(name.removeprefix("Something")) for name in names] == [sorted("ABBA")] * 2


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_transaction_that_must_be_repeated_is(live_app: Flask, sqlstate: str) -> None:
    attempts = []

    def view() -> None:
        attempts.append(1)
        add_item("A")
        if len(attempts) < 3:
            fail_with(sqlstate)

    assert probe(live_app, view).post(PROBE).status_code == 204
    assert stored(live_app) == ["A"]
    assert len(attempts) == 3


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_transaction_is_repeated_three_times_at_most(live_app: Flask, sqlstate: str) -> None:
    attempts = []

    def view() -> None:
        attempts.append(1)
        add_item("A")
        fail_with(sqlstate)

    response = probe(live_app, view).post(PROBE)

    assert_problem(response, 503, "busy", None)
    assert response.headers["Retry-After"] == "1"
    assert len(attempts) == 3
    assert stored(live_app) == []


@pytest.mark.parametrize(
    ("sqlstate", "status", "code", "retry_after"),
    [
        ("08006", 503, "database_unavailable", "2"),
        ("22003", 422, "out_of_range", None),
        ("22021", 422, "invalid_character", None),
        ("22P05", 422, "invalid_character", None),
        ("23503", 409, "reference_conflict", None),
        ("23505", 409, "already_exists", None),
        ("23514", 409, "constraint_violated", None),
        ("25006", 503, "read_only", "10"),
        ("25P03", 503, "busy", "1"),
        ("53100", 503, "storage_full", "60"),
        ("53200", 503, "busy", "1"),
        ("53300", 503, "busy", "1"),
        ("55P03", 503, "busy", "1"),
        ("57014", 503, "busy", "1"),
        ("57P01", 503, "database_unavailable", "2"),
        ("57P02", 503, "database_unavailable", "2"),
        ("57P03", 503, "database_unavailable", "2"),
        ("22012", 500, "internal_error", None),
        ("42P01", 500, "internal_error", None),
        ("XX000", 500, "internal_error", None),
    ],
)
def test_what_the_database_says_is_told_in_our_words(
    bare_app: Flask, sqlstate: str, status: int, code: str, retry_after: str | None
) -> None:
    attempts = []

    def view() -> None:
        attempts.append(1)
        fail_with(sqlstate)

    response = probe(bare_app, view).post(PROBE)

    assert_problem(response, status, code, None)
    assert response.headers.get("Retry-After") == retry_after
    assert "canary" not in response.text
    assert len(attempts) == 1


def test_a_statement_that_takes_too_long_is_cut_off_and_the_next_is_not(start: Callable[..., Flask]) -> None:
    app = start(database_statement_timeout_ms=100, database_pool_size=1)
    seconds = iter([20, 0])
    client = probe(app, lambda: db.session.execute(text(f"SELECT pg_sleep({next(seconds)})")))

    began = monotonic()
    slow = client.post(PROBE)
    quick = client.post(PROBE)

    assert_problem(slow, 503, "busy")
    assert quick.status_code == 204
    assert monotonic() - began < 5


def test_a_change_does_not_wait_for_a_lock_for_ever(start: Callable[..., Flask]) -> None:
    app = start(database_lock_timeout_ms=100)
    with committed(app) as make:
        item_id, headers = make.item().id, make.headers() | {"If-Match": '"1"'}
    with app.app_context(), db.engine.begin() as other:
        other.execute(select(Item.id).where(Item.id == item_id).with_for_update())

        response = app.test_client().patch(f"/api/v1/items/{item_id}", json={"name": "New"}, headers=headers)

    assert_problem(response, 503, "busy", None)


def test_a_transaction_that_does_nothing_for_too_long_is_ended(start: Callable[..., Flask], database_url: str) -> None:
    app = start(database_idle_timeout_ms=100)

    def view() -> None:
        pid = own_pid()
        wait_until(lambda: not is_connected(database_url, pid), seconds=10)
        own_pid()

    assert_problem(probe(app, view).post(PROBE), 503, "busy", None)
    assert app.test_client().get("/ready").status_code in {200, 503}


def test_a_request_does_not_wait_for_a_connection_for_ever(start: Callable[..., Flask]) -> None:
    app = start(database_pool_size=1, database_pool_timeout_seconds=0.1)
    client = probe(app, own_pid)

    with app.app_context(), db.engine.connect():
        crowded = client.post(PROBE)
    free = client.post(PROBE)

    assert_problem(crowded, 503, "busy", None)
    assert free.status_code == 204


def test_a_connection_lost_before_the_end_changes_nothing(live_app: Flask, database_url: str) -> None:
    def view() -> None:
        add_item("A")
        terminate(database_url, own_pid())
        add_item("B")

    response = probe(live_app, view).post(PROBE)

    assert_problem(response, 503, "database_unavailable", None)
    assert stored(live_app) == []


def test_a_connection_lost_at_the_end_of_a_change_leaves_its_outcome_unknown(
    live_app: Flask, database_url: str
) -> None:
    attempts = []

    def view() -> None:
        attempts.append(1)
        add_item("A")
        terminate(database_url, own_pid())

    response = probe(live_app, view).post(PROBE)

    assert_problem(response, 503, "outcome_unknown", None)
    assert len(attempts) == 1


def test_a_connection_lost_in_the_middle_of_a_read_is_no_riddle(live_app: Flask, database_url: str) -> None:
    def view() -> None:
        terminate(database_url, own_pid())
        db.session.execute(text("SELECT 1"))

    response = probe(live_app, view).get(PROBE)

    assert_problem(response, 503, "database_unavailable", None)


def test_a_connection_lost_at_the_end_of_a_read_spoils_neither_this_answer_nor_the_next(
    live_app: Flask, database_url: str
) -> None:
    pids = []

    def view() -> None:
        pids.append(own_pid())
        terminate(database_url, pids[0])

    client = probe(live_app, view)

    assert [client.get(PROBE).status_code for _ in range(2)] == [204, 204]
    assert pids[0] != pids[1]


def test_a_read_that_changes_something_is_refused_rather_than_forgotten(live_app: Flask) -> None:
    def view() -> None:
        db.session.add(Location(code="A", name="A", kind="warehouse"))

    client = probe(live_app, view)

    assert_problem(client.get(PROBE), 500, "internal_error", None)
    assert client.post(PROBE).status_code == 204


def test_a_read_asks_for_no_transaction_and_a_change_does(live_app: Flask) -> None:
    states = []

    def view() -> None:
        db.session.execute(text("SELECT 1"))
        driver = db.session.connection().connection.driver_connection
        states.append(driver.info.transaction_status.name)  # type: ignore[union-attr]  # psycopg's

    client = probe(live_app, view)
    for method in (client.get, client.post, client.get):
        method(PROBE)

    assert states == ["IDLE", "INTRANS", "IDLE"]


@pytest.mark.parametrize("commits", [True, False])
def test_a_repetition_with_its_key_resolves_an_unknown_outcome(
    live_app: Flask, database_url: str, *, commits: bool
) -> None:
    with committed(live_app) as make:
        headers = make.headers() | {"Idempotency-Key": "k1"}
    with live_app.app_context(), commit_cut_once(database_url, after_committing=commits):
        first = live_app.test_client().post("/api/v1/items", json=ITEM, headers=headers)
    second = live_app.test_client().post("/api/v1/items", json=ITEM, headers=headers)

    assert_problem(first, 503, "outcome_unknown", None)
    assert second.status_code == 201
    assert second.headers.get("Idempotency-Replayed") == ("true" if commits else None)
    assert stored(live_app) == ["NEW"]


def test_connections_that_died_in_the_pool_are_replaced_unnoticed(live_app: Flask, database_url: str) -> None:
    pids: list[int] = []
    client = probe(live_app, lambda: pids.append(own_pid()))
    client.post(PROBE)

    terminate(database_url, pids[0])

    assert client.post(PROBE).status_code == 204
    assert pids[0] != pids[1]


def test_a_database_that_is_away_is_said_to_be_away(make_settings: Callable[..., Settings]) -> None:
    with disposing(create_app(make_settings("postgresql+psycopg://nobody@127.0.0.1:1/nowhere"))) as app:
        response = probe(app, own_pid).post(PROBE)

        assert_problem(response, 503, "database_unavailable", None)
        assert response.headers["Retry-After"] == "2"
        assert app.test_client().get("/health").status_code == 200


def test_a_crash_tells_the_caller_nothing_and_the_log_everything(live_app: Flask, logged: list[dict[str, Any]]) -> None:
    def view() -> None:
        message = "a canary that only the log may see"
        raise RuntimeError(message)

    response = probe(live_app, view).post(PROBE, headers={"X-Request-ID": "find-me"})

    assert_problem(response, 500, "internal_error", None)
    assert response.get_json()["error"]["request_id"] == "find-me"
    assert "canary" not in response.text
    (entry,) = [entry for entry in logged if entry["event"] == "unexpected_error"]
    assert (entry["path"], entry["request_id"]) == (PROBE, "find-me")
    assert "canary" in str(entry["exc_info"])


def test_a_crash_that_ends_in_http_terms_is_a_crash_all_the_same(bare_app: Flask) -> None:
    def view() -> None:
        raise BadGateway(description="a canary")

    response = probe(bare_app, view).post(PROBE)

    assert_problem(response, 500, "internal_error", None)
    assert "canary" not in response.text


@pytest.fixture
def live_app(start: Callable[..., Flask]) -> Flask:
    """An application of this test's own, for a view is added to it."""
    return start()


def probe(app: Flask, view: Callable[[], object]) -> FlaskClient:
    """Mount a view of the test's own, as any route is mounted."""

    def wrapped() -> None:
        """Probe"""  # an OpenAPI summary
        view()

    blp = Blueprint("probe", __name__, url_prefix="/probe", description="For one test.")
    blp.route("", methods=["GET", "POST"])(blp.public(blp.response(204)(wrapped)))
    app.extensions["openapi"].mount(blp)
    return app.test_client()


def add_item(sku: str) -> None:
    items.create(db.session(), sku=sku, name="New", unit_price=Decimal(1), by=Caller.system())


def stored(app: Flask) -> list[str]:
    with app.app_context():
        return list(db.session.scalars(select(Item.sku).order_by(Item.sku)))


def fail_with(sqlstate: str) -> None:
    db.session.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'a canary' USING ERRCODE = '{sqlstate}'; END $$"))


def own_pid() -> int:
    return int(db.session.scalar(text("SELECT pg_backend_pid()")))


def is_connected(database_url: str, pid: int) -> bool:
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as other:
        return other.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() is not None


def terminate(database_url: str, pid: int) -> None:
    """Cut a connection, and wait until the server has noticed."""
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def test_a_commit_that_postgresql_wants_again_is_made_with_all_that_came_before(live_app: Flask) -> None:
    attempts: list[int] = []

    def view() -> None:
        attempts.append(1)
        add_item("A")

    with commit_refused_once():
        response = probe(live_app, view).post(PROBE)

    assert (response.status_code, len(attempts)) == (204, 2)
    assert stored(live_app) == ["A"]


@contextmanager
def commit_refused_once() -> Iterator[None]:
    """Answer the first COMMIT as PostgreSQL does when somebody else's change came between."""
    really_send, refused = Wire.send, list[Wire]()

    def send(wire: Wire, tasks: Sequence[Task]) -> Answer:
        if tasks[-1] is COMMIT and not refused:
            refused.append(wire)
            raise psycopg.errors.SerializationFailure
        return really_send(wire, tasks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wire, "send", send)
        yield


@contextmanager
def commit_cut_once(database_url: str, *, after_committing: bool) -> Iterator[None]:
    """Cut the connection at the first COMMIT: before it is carried out, or after that but before it is answered."""
    really_send, cut = Wire.send, list[Wire]()

    def send(wire: Wire, tasks: Sequence[Task]) -> Answer:
        if tasks[-1] is not COMMIT or cut:
            return really_send(wire, tasks)
        cut.append(wire)
        if after_committing:
            really_send(wire, tasks)
        terminate(database_url, wire.connection.info.backend_pid)
        return really_send(wire, [COMMIT])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wire, "send", send)
        yield


@pytest.fixture
def bare_app(postgres: Postgres, make_settings: Callable[..., Settings]) -> Iterator[Flask]:
    """An application on a database without tables, for views that need none."""
    with disposing(create_app(make_settings(postgres.url("postgres")))) as app:
        yield app


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """What is logged, before it is put into words."""
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as entries:
        yield entries  # type: ignore[misc]  # dictionaries that may be changed
