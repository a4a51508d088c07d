"""Background jobs: tried again with patience, parked with their reason, taken up when their worker dies."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from flask.testing import FlaskCliRunner
from procrastinate.jobs import Job as QueueJob
from sqlalchemy import text

from api.extensions import db
from api.jobs import app as queue
from api.jobs import service as jobs
from tests.live import at_once, committed
from tests.rest.envelope import assert_problem
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from flask import Flask
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory

AWAY = "The mail server is away.\nPassword: canary"
MAIL = "stockroom:send_mail"
TASK = "stockroom:redeliver_webhooks"


def run(app: Flask, *arguments: str) -> str:
    result = FlaskCliRunner(app).invoke(args=["jobs", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def rows(session: Session, query: str = "SELECT * FROM procrastinate_jobs ORDER BY id") -> list[Any]:
    return list(session.execute(text(query)))


def job_of(**facts: Any) -> QueueJob:
    values = {"id": 1, "status": "doing", "queue": "default", "lock": None, "queueing_lock": None, "task_name": TASK}
    return QueueJob(**(values | facts))  # type: ignore[arg-type]  # all by name


class TestBackoff:
    def test_each_wait_is_longer_and_none_is_longer_than_an_hour_and_a_quarter(self) -> None:
        backoff = queue.Backoff(retries=9, wait=5)

        waits = [decided(backoff, attempts) for attempts in range(9)]

        for attempt, wait in enumerate(waits):
            least = min(5 ** (attempt + 1), 3600)
            assert least <= wait <= least * 1.25 + 1

    def test_what_failed_together_does_not_come_back_together(self) -> None:
        backoff = queue.Backoff(retries=9, wait=5)

        assert len({round(decided(backoff, 4)) for _ in range(20)}) > 5

    def test_after_the_last_try_it_is_parked(self) -> None:
        assert queue.Backoff(retries=3, wait=5).get_retry_decision(exception=OSError(), job=job_of(attempts=3)) is None


def decided(backoff: queue.Backoff, attempts: int) -> float:
    decision = backoff.get_retry_decision(exception=OSError(), job=job_of(attempts=attempts))
    assert decision is not None
    assert decision.retry_at is not None
    from procrastinate.utils import utcnow  # noqa: PLC0415  # what it counts from

    return (decision.retry_at - utcnow()).total_seconds() + 1


def test_a_job_that_fails_is_undone_and_its_reason_kept(live_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue.tasks, "flask_app", live_app, raising=False)
    with live_app.app_context():
        jobs.defer(db.session(), "send_mail")
        db.session.commit()
        (job,) = rows(db.session())
        db.session.rollback()

    def fail(session: Session, **_: object) -> None:
        session.execute(text("INSERT INTO webhook_results VALUES ('half done', 1)"))
        raise ConnectionError(AWAY)

    task = queue.background(retries=2)(fail)
    with pytest.raises(ConnectionError):
        task(SimpleNamespace(job=job_of(id=job.id)), to="x")

    with live_app.app_context():
        (note,) = rows(db.session(), "SELECT * FROM job_notes")
        assert (note.job_id, note.reason) == (job.id, "ConnectionError: The mail server is away.")
        assert rows(db.session(), "SELECT * FROM webhook_results") == []


@pytest.fixture
def parked(client: FlaskClient, session: Session, make: Factory) -> UUID:  # noqa: ARG001  # the client shares the transaction
    """A job that has failed for good."""
    job = jobs.start(session, "redeliver_webhooks", by=make.caller(role="manager"))
    session.execute(text("UPDATE procrastinate_jobs SET status = 'failed', attempts = 5"))
    (row,) = rows(session)
    jobs.note_failure(session, row.id, reason="OSError: away")
    session.commit()
    return job.id


class TestOverHttp:
    def test_one_sees_ones_own_and_an_administrator_everybodys(
        self, client: FlaskClient, make: Factory, session: Session
    ) -> None:
        mine, other = make.user(role="manager"), make.user(role="manager")
        job = jobs.start(session, "redeliver_webhooks", by=make.caller(user=mine, role="manager"))
        at = f"/api/v1/jobs/{job.id}"

        shown = client.get(at, headers=make.headers(user=mine)).get_json()
        assert shown | {"created_at": ""} == {
            "id": str(job.id),
            "task": "redeliver_webhooks",
            "status": "waiting",
            "attempts": 0,
            "reason": None,
            "created_at": "",
            "scheduled_at": None,
            "finished_at": None,
        }
        assert client.get("/api/v1/jobs", headers=make.headers(user=mine)).get_json()["data"] == [shown]
        assert client.get("/api/v1/jobs", headers=make.headers()).get_json()["data"] == [shown]
        assert client.get("/api/v1/jobs", headers=make.headers(user=other)).get_json()["data"] == []
        assert_problem(client.get(at, headers=make.headers(user=other)), 404, "job_not_found", None)

    def test_one_that_failed_is_tried_once_more(
        self, client: FlaskClient, make: Factory, session: Session, parked: UUID
    ) -> None:
        headers = make.headers()
        before = client.get(f"/api/v1/jobs/{parked}", headers=headers).get_json()

        again = client.post(f"/api/v1/jobs/{parked}/retry", headers=headers)
        too_often = client.post(f"/api/v1/jobs/{parked}/retry", headers=headers)

        assert (before["status"], before["reason"]) == ("failed", "OSError: away")
        assert before["finished_at"] is not None
        assert (again.status_code, again.get_json()["status"]) == (202, "waiting")
        assert_problem(too_often, 409, "job_not_failed", None)
        assert [row.status for row in rows(session)] == ["todo"]

    def test_two_who_try_it_again_at_once_start_it_once(self, live_app: Flask) -> None:
        with committed(live_app) as make:
            job = jobs.start(make.session, "redeliver_webhooks", by=make.caller(role="manager"))
            make.session.execute(text("UPDATE procrastinate_jobs SET status = 'failed'"))
            headers = make.headers()
        again = {"method": "POST", "path": f"/api/v1/jobs/{job.id}/retry", "headers": headers}

        answers = at_once(live_app, *[again] * 4)

        assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
        for answer in answers:
            if answer.status_code == 409:
                assert_problem(answer, 409, "job_not_failed", None)
                assert "The job is waiting" in answer.get_json()["error"]["message"]


class TestAtTheConsole:
    def test_the_queue_is_listed_and_one_job_explained(self, app: Flask, session: Session, parked: UUID) -> None:
        (row,) = rows(session)

        listed = run(app, "list", "--status", "failed", "--task", "redeliver_webhooks", "--json")
        shown = run(app, "show", str(row.id))

        assert "OSError: away" in listed
        assert str(row.id) in listed
        assert "deferred" in shown
        assert "OSError: away" in shown
        assert run(app, "list", "--status", "waiting", "--json").strip() == "[]", parked

    def test_a_job_is_known_by_the_id_of_the_api_too(self, app: Flask, session: Session, parked: UUID) -> None:
        (row,) = rows(session)

        assert str(row.id) in run(app, "show", str(parked), "--json")
        assert "Put 1 back" in run(app, "retry", str(parked))

    def test_one_that_waits_for_its_next_try_begins_at_once(self, app: Flask, session: Session, parked: UUID) -> None:
        later = "UPDATE procrastinate_jobs SET status = 'todo', scheduled_at = now() + interval '1 hour'"
        session.execute(text(later))
        session.commit()

        run(app, "retry", str(parked))

        assert [row.scheduled_at for row in rows(session)] == [None]

    def test_what_went_well_is_listed_only_when_asked_for(self, app: Flask, session: Session, parked: UUID) -> None:
        session.execute(text("UPDATE procrastinate_jobs SET status = 'succeeded'"))
        session.commit()

        assert run(app, "list", "--json").strip() == "[]", parked
        assert "redeliver_webhooks" in run(app, "list", "--status", "succeeded", "--json")

    def test_all_that_failed_is_tried_once_more(self, app: Flask, session: Session, parked: UUID) -> None:
        assert "Put 0 back" in run(app, "retry", "--all-failed", "--task", "send_mail")
        assert "Put 1 back" in run(app, "retry", "--all-failed")
        assert [row.status for row in rows(session)] == ["todo"], parked

    def test_a_task_may_be_called_as_the_queue_calls_it(self, app: Flask, parked: UUID) -> None:
        assert "redeliver_webhooks" in run(app, "list", "--task", TASK, "--json"), parked
        assert "Put 1 back" in run(app, "retry", "--all-failed", "--task", TASK)

    def test_of_parked_jobs_that_exclude_each_other_the_latest_is_tried_again(
        self, app: Flask, session: Session
    ) -> None:
        for _ in range(2):
            jobs.defer(session, "forget_jobs", timestamp=0)
        session.execute(text("UPDATE procrastinate_jobs SET status = 'failed', queueing_lock = 'forget_jobs'"))
        session.commit()
        first, second = rows(session)

        assert "Put 1 back" in run(app, "retry", "--all-failed")
        assert "Put 0 back" in run(app, "retry", "--all-failed")
        refused = FlaskCliRunner(app).invoke(args=["jobs", "retry", str(first.id)])

        assert [(row.id, row.status) for row in rows(session)] == [(first.id, "failed"), (second.id, "todo")]
        assert refused.exit_code == 2
        assert f"{first.id} is not needed: another" in refused.output

    def test_a_worker_has_a_connection_for_each_thing_it_does(self, app: Flask) -> None:
        result = FlaskCliRunner(app).invoke(args=["worker", "--concurrency", "64"])

        assert result.exit_code == 2
        assert "--concurrency 64 needs a DATABASE_POOL_SIZE of 66 or more; it is 8." in result.output

    def test_what_there_is_not_or_has_not_failed_is_said(self, app: Flask, session: Session, parked: UUID) -> None:
        (row,) = rows(session)
        session.execute(text("UPDATE procrastinate_jobs SET status = 'succeeded'"))
        session.commit()
        for arguments, said in (
            (["retry", str(row.id)], "The job is succeeded"),
            (["retry", "soon"], "Name a job"),
            (["retry", "4711"], "There is no such job"),
            (["show", "4711"], "There is no such job"),
            (["retry"], "Name a job"),
            (["retry", "1", "--all-failed"], "Name a job"),
        ):
            result = FlaskCliRunner(app).invoke(args=["jobs", *arguments])
            assert result.exit_code == 2, (arguments, parked)
            assert said in result.output

    def test_what_ended_long_ago_is_forgotten(self, app: Flask, session: Session, parked: UUID) -> None:
        run(app, "purge", "--older-than", "1", "--status", "failed", "--yes")
        assert len(rows(session)) == 1, parked
        session.execute(text("UPDATE procrastinate_events SET at = now() - interval '2 days'"))
        session.commit()
        run(app, "purge", "--older-than", "1", "--yes")
        assert len(rows(session)) == 1, "only what succeeded, unless told otherwise"
        run(app, "purge", "--older-than", "1", "--status", "failed", "--yes")
        assert rows(session) == rows(session, "SELECT * FROM job_notes") == []


class TestDeadWorkers:
    @pytest.fixture
    def running(self, session: Session) -> Callable[..., int]:
        """Make a job that a worker has begun."""

        def begin(*, silent_for: int, attempts: int = 0, lock: str | None = None) -> int:
            worker = session.scalar(
                text("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - :silence) RETURNING id"),
                {"silence": timedelta(seconds=silent_for)},
            )
            jobs.defer(session, "send_mail")
            (job_id,) = session.execute(
                text(
                    "UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker, attempts = :attempts,"
                    " queueing_lock = :lock WHERE id = (SELECT max(id) FROM procrastinate_jobs) RETURNING id"
                ),
                {"worker": worker, "attempts": attempts, "lock": lock},
            ).one()
            return int(job_id)

        return begin

    def test_what_a_dead_worker_left_goes_back_into_the_queue(
        self, session: Session, running: Callable[..., int]
    ) -> None:
        dead, alive = running(silent_for=61), running(silent_for=30)

        assert jobs.revive(session) == 1
        assert {row.id: row.status for row in rows(session)} == {dead: "todo", alive: "doing"}
        assert jobs.revive(session) == 0

    def test_also_when_the_dead_worker_has_been_forgotten(self, session: Session, running: Callable[..., int]) -> None:
        running(silent_for=61)
        session.execute(text("SELECT procrastinate_prune_stalled_workers_v1(30)"))

        assert jobs.revive(session) == 1
        assert [row.status for row in rows(session)] == ["todo"]

    def test_what_kills_its_workers_is_parked(self, session: Session, running: Callable[..., int]) -> None:
        job_id = running(silent_for=61)
        found = []
        for _ in range(jobs.MOST_DEATHS):
            assert jobs.revive(session) == 1
            found += [(row.status, row.attempts) for row in rows(session)]
            session.execute(text("UPDATE procrastinate_jobs SET status = 'doing' WHERE status = 'todo'"))

        assert found == [("todo", 1), ("todo", 2), ("todo", 3), ("todo", 4), ("failed", 5)]
        assert rows(session, "SELECT job_id, reason FROM job_notes") == [(job_id, jobs.DIED)]

    def test_what_has_failed_often_is_not_parked_because_a_worker_dies_once(
        self, session: Session, running: Callable[..., int]
    ) -> None:
        jobs.note_failure(session, running(silent_for=61, attempts=12), reason="OSError: away")

        jobs.revive(session)

        assert [row.status for row in rows(session)] == ["todo"]

    def test_of_those_that_exclude_each_other_the_latest_comes_back(
        self, session: Session, running: Callable[..., int]
    ) -> None:
        """Else none would, nor anything else: the database lets only one of them wait."""
        for _ in range(2):
            running(silent_for=61, lock="every minute")

        assert jobs.revive(session) == 2
        assert [row.status for row in rows(session)] == ["aborted", "todo"]

    def test_what_has_a_successor_already_does_not_come_back(
        self, session: Session, running: Callable[..., int]
    ) -> None:
        running(silent_for=61, lock="every minute")
        jobs.defer(session, "send_mail")
        session.execute(
            text(
                "UPDATE procrastinate_jobs SET queueing_lock = 'every minute'"
                " WHERE id = (SELECT max(id) FROM procrastinate_jobs)"
            )
        )

        jobs.revive(session)

        assert [row.status for row in rows(session)] == ["aborted", "todo"]


def test_a_periodic_task_is_deferred_once_however_many_workers_there_are(live_app: Flask) -> None:
    """Each worker's clock says when it is due; the database decides whose word counts."""
    minutes = (60, 120, 180)

    async def defer() -> list[int | None]:
        async with queue.queue_app(live_app).open_async() as one, queue.queue_app(live_app).open_async() as other:
            found = []
            for minute in minutes:
                job = job_of(id=None, status=None, task_kwargs={"timestamp": minute})
                found += await asyncio.gather(
                    *(
                        worker.job_manager.defer_periodic_job(job=job, periodic_id="", defer_timestamp=minute)
                        for worker in (one, other, one, other)
                    )
                )
            return found

    deferred = asyncio.run(defer())

    assert len([number for number in deferred if number is not None]) == len(minutes)
    with live_app.app_context():
        assert len(rows(db.session())) == len(minutes)


class TestBesideTheQueue:
    @pytest.fixture(autouse=True)
    def nothing_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(queue, "attendants", {})
        monkeypatch.setattr(queue, "FIRST_PAUSE_SECONDS", 0.01)

    @pytest.fixture
    def running(self, live_app: Flask) -> Iterator[Callable[[], None]]:
        """Run what is declared, as a worker does."""
        loop, stop = asyncio.new_event_loop(), asyncio.Event()
        thread = threading.Thread(target=lambda: loop.run_until_complete(queue.attend(live_app, stop)))
        yield thread.start
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        assert not thread.is_alive(), "it ends when told to"
        loop.close()

    def test_continuous_work_goes_on_at_once_while_there_is_more(self, running: Callable[[], None]) -> None:
        turns: list[int] = []

        @queue.continuous(every=3600)
        def work(session: Session) -> bool:
            turns.append(session.execute(text("SELECT 1")).scalar_one())
            return len(turns) < 5

        running()
        wait_until(lambda: len(turns) == 5, seconds=10)

    def test_a_turn_is_a_transaction(self, live_app: Flask) -> None:
        def work(session: Session) -> bool:
            session.execute(text("INSERT INTO webhook_results VALUES ('kept', 1)"))
            return False

        def fail(session: Session) -> bool:
            work(session)
            raise LookupError

        with pytest.raises(LookupError):
            queue.turn(live_app, fail)
        assert queue.turn(live_app, work) is False
        with live_app.app_context():
            assert rows(db.session(), "SELECT total FROM webhook_results") == [(1,)]

    def test_one_that_fails_disturbs_no_other_and_is_started_again(self, running: Callable[[], None]) -> None:
        begun: list[str] = []

        @queue.attendant
        async def unlucky(_: Flask, stop: asyncio.Event) -> None:
            begun.append("unlucky")
            if begun.count("unlucky") < 4:
                raise OSError
            await stop.wait()

        @queue.attendant
        async def steady(_: Flask, stop: asyncio.Event) -> None:
            begun.append("steady")
            await stop.wait()

        running()
        wait_until(lambda: begun.count("unlucky") == 4, seconds=10)
        assert begun.count("steady") == 1


def test_what_is_deferred_happens_only_with_its_cause(live_app: Flask) -> None:
    with live_app.app_context():
        jobs.defer(db.session(), "send_mail")
        db.session.rollback()
    with committed(live_app) as make:
        jobs.start(make.session, "redeliver_webhooks", by=make.caller(role="manager"))
    with live_app.app_context():
        assert [row.task_name for row in rows(db.session()) if row.task_name in {TASK, MAIL}] == [TASK]
