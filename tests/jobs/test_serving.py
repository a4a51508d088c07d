"""A worker's life from within: what it was given it finishes, what it loses it finds again."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import text
from structlog import DropEvent
from structlog.testing import capture_logs

from api.extensions import db
from api.jobs import app as queue
from api.jobs import service as jobs
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from sqlalchemy.orm import Session

HOUSEKEEPING, MAIL = "forget_idempotency_keys", "send_mail"
LETTER = {"template": "invite", "to": "canary@example.com", "facts": {"link": "canary"}}


class Shop:
    """A database as an operator sees it."""

    def __init__(self, database_url: str) -> None:
        self.conninfo = database_url.replace("+psycopg", "")

    def ask(self, statement: str, *facts: object) -> list[Any]:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            cursor = connection.execute(statement, facts)
            return cursor.fetchall() if cursor.description else []

    def jobs(self, task: str) -> list[Any]:
        return self.ask(
            "SELECT status::text, attempts, reason FROM procrastinate_jobs LEFT JOIN job_notes ON job_id = id"
            " WHERE task_name = %s ORDER BY id",
            f"stockroom:{task}",
        )

    def statuses(self, task: str) -> list[str]:
        return [status for status, *_ in self.jobs(task)]


@pytest.fixture
def shop(database_url: str) -> Shop:
    return Shop(database_url)


@pytest.fixture(autouse=True)
def alone(live_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """No attendants but the test's own, no work but what is enqueued, and no long pauses."""
    monkeypatch.setattr(queue, "attendants", {})
    monkeypatch.setattr(queue, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(queue.tasks.periodic_registry, "periodic_tasks", {})
    monkeypatch.setattr(queue.tasks, "flask_app", live_app, raising=False)


@contextmanager
def serving(app: Flask) -> Iterator[Callable[[], None]]:
    """Be a worker meanwhile; gives what tells it to stop."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    def tell() -> None:
        loop.call_soon_threadsafe(stop.set)

    def serve() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(queue.serve(app, stop, concurrency=2))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield tell
    finally:
        if thread.is_alive():
            tell()
        thread.join(20)
    assert not thread.is_alive(), "it ends when told to"


def enqueue(app: Flask, task: str, **facts: object) -> None:
    with app.app_context():
        jobs.defer(db.session(), task, **facts)
        db.session.commit()


def test_told_to_stop_it_finishes_its_job_and_its_attendants_end_meanwhile(
    live_app: Flask, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end, attendant_ended = threading.Event(), threading.Event(), threading.Event()

    def purge(_: Session) -> None:
        begun.set()
        assert may_end.wait(20)

    @queue.attendant
    async def attend(_: Flask, stop: asyncio.Event) -> None:
        await stop.wait()
        attendant_ended.set()

    monkeypatch.setattr("api.rest.idempotency.purge", purge)
    enqueue(live_app, HOUSEKEEPING, timestamp=0)
    with serving(live_app) as stop:
        assert begun.wait(20)
        stop()
        assert attendant_ended.wait(20), "nobody waits for the job but the queue"
        may_end.set()

    assert shop.statuses(HOUSEKEEPING) == ["succeeded"]
    assert shop.ask("SELECT FROM procrastinate_workers") == []


FETCH = "procrastinate_fetch_job_v2"


@pytest.mark.parametrize(
    ("harm", "cure"),
    [
        ("DELETE FROM procrastinate_workers", "SELECT"),
        (f"ALTER FUNCTION {FETCH} RENAME TO gone", f"ALTER FUNCTION gone RENAME TO {FETCH}"),
    ],
    ids=["taken for dead", "a failing database"],
)
def test_a_worker_that_cannot_go_on_begins_anew(live_app: Flask, shop: Shop, harm: str, cure: str) -> None:
    def workers() -> list[Any]:
        return shop.ask("SELECT id FROM procrastinate_workers")

    with serving(live_app):
        enqueue(live_app, HOUSEKEEPING, timestamp=0)
        wait_until(lambda: shop.statuses(HOUSEKEEPING) == ["succeeded"], seconds=20)
        (first,) = workers()
        shop.ask(harm)
        enqueue(live_app, HOUSEKEEPING, timestamp=1)
        wait_until(lambda: workers() not in ([], [first]), seconds=20)
        shop.ask(cure)
        wait_until(lambda: shop.statuses(HOUSEKEEPING) == ["succeeded"] * 2, seconds=20)


def test_one_that_is_told_to_stop_while_it_begins_just_ends(live_app: Flask, shop: Shop) -> None:
    with serving(live_app) as stop:
        stop()

    assert shop.ask("SELECT FROM procrastinate_workers") == []


def test_a_worker_that_is_restarted_does_not_repeat_what_was_due(
    live_app: Flask, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue.tasks.periodic_registry, "periodic_tasks", {})
    queue.tasks.periodic(cron="* * * * *")(queue.tasks.tasks["stockroom:revive_jobs"])
    for times in (1, 2):
        with serving(live_app):
            wait_until(lambda: "succeeded" in shop.statuses("revive_jobs"), seconds=20)
            enqueue(live_app, HOUSEKEEPING, timestamp=times)
            wait_until(lambda: shop.statuses(HOUSEKEEPING) == ["succeeded"] * times, seconds=20)  # noqa: B023  # at once

    due = shop.ask("SELECT args ->> 'timestamp' FROM procrastinate_jobs WHERE task_name = 'stockroom:revive_jobs'")
    assert len(due) == len(set(due))


def test_an_attendant_that_just_ends_is_started_again(live_app: Flask) -> None:
    begun: list[int] = []
    is_back = threading.Event()

    @queue.attendant
    async def forgetful(_: Flask, stop: asyncio.Event) -> None:
        begun.append(1)
        if len(begun) == 3:
            is_back.set()
            await stop.wait()

    with serving(live_app):
        assert is_back.wait(20)


def test_attendants_do_not_wait_for_each_others_threads(live_app: Flask) -> None:
    """Python's own pool has as few as five threads."""
    many = 40
    together = threading.Barrier(many)
    met = threading.Event()

    def work(_: Session) -> bool:
        together.wait(20)
        met.set()
        return False

    for number in range(many):
        work.__name__ = f"work_{number}"
        queue.continuous(every=3600)(work)

    with serving(live_app):
        assert met.wait(20)


def drop_what_is_no_warning(_: object, level: str, entry: Any) -> Any:
    if level in {"debug", "info"}:
        raise DropEvent
    return entry


class TestTheReason:
    @pytest.fixture(autouse=True)
    def away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            message = "The mail server is away."
            raise ConnectionError(message)

        monkeypatch.setattr("api.mail.letters.write", fail)
        monkeypatch.setattr("api.rest.idempotency.purge", fail)

    @pytest.fixture
    def told(self) -> Iterator[list[Any]]:
        """What is logged, as warning or worse."""
        with capture_logs(processors=[drop_what_is_no_warning]) as entries:
            yield entries

    def test_a_failure_that_is_tried_again_is_one_line_of_log(
        self, live_app: Flask, shop: Shop, told: list[Any]
    ) -> None:
        enqueue(live_app, MAIL, **LETTER)
        with serving(live_app):
            wait_until(lambda: shop.jobs(MAIL)[0][:2] == ("todo", 1), seconds=20)

        (line,) = told
        assert shop.jobs(MAIL) == [("todo", 1, "ConnectionError: The mail server is away.")]
        assert line["event"] == "job_failed"
        assert (line["attempt"], line["reason"]) == (1, "ConnectionError: The mail server is away.")
        assert "exc_info" not in line
        assert "canary" not in str(line)
        ((due,),) = shop.ask("SELECT scheduled_at > now() FROM procrastinate_jobs")
        assert due

    def test_the_last_failure_parks_it_and_is_told_with_its_traceback_but_not_its_arguments(
        self, live_app: Flask, shop: Shop, told: list[Any]
    ) -> None:
        enqueue(live_app, MAIL, **LETTER)
        shop.ask("UPDATE procrastinate_jobs SET attempts = 30")
        with serving(live_app):
            wait_until(lambda: shop.statuses(MAIL) == ["failed"], seconds=20)

        (line,) = told
        assert shop.jobs(MAIL) == [("failed", 31, "ConnectionError: The mail server is away.")]
        assert line["event"] == "job_parked"
        assert isinstance(line["exc_info"], ConnectionError)
        assert "canary" not in str(line)

    def test_a_periodic_task_that_fails_has_one_too(self, live_app: Flask, shop: Shop) -> None:
        enqueue(live_app, HOUSEKEEPING, timestamp=0)
        with serving(live_app):
            wait_until(lambda: shop.statuses(HOUSEKEEPING) == ["failed"], seconds=20)

        assert shop.jobs(HOUSEKEEPING) == [("failed", 1, "ConnectionError: The mail server is away.")]

    def test_one_that_cannot_be_written_down_does_not_hide_the_failure(
        self, live_app: Flask, shop: Shop, told: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(session: Session, *_: object, **__: object) -> None:
            session.execute(text("SELECT 1 FROM nowhere"))

        monkeypatch.setattr(jobs, "note_failure", fail)
        enqueue(live_app, MAIL, **LETTER)
        with serving(live_app):
            wait_until(lambda: shop.jobs(MAIL) == [("todo", 1, None)], seconds=20)

        assert [line["event"] for line in told] == ["job_failed", "job_reason_lost"]

    @pytest.mark.parametrize(
        ("message", "reason"),
        [
            ("one\ntwo", "OSError: one"),
            ("  \r\n one \r two", "OSError: one"),
            ("a\0b", "OSError: a\ufffdb"),
            ("\ud800", "OSError: ?"),
            ("", "OSError"),
            ("x" * 600, f"OSError: {'x' * 491}"),
        ],
        ids=["lines", "other lines", "null", "half a character", "nothing", "much"],
    )
    def test_it_is_one_line_that_the_database_can_keep(self, message: str, reason: str) -> None:
        assert jobs.reason_of(OSError(message)) == reason
