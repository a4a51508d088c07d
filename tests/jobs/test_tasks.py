"""Housekeeping, called as a worker calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from api.extensions import db
from api.jobs import app as jobs
from api.jobs import service
from api.jobs.tasks import forget_idempotency_keys, forget_jobs
from tests.jobs.kept import keep, kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from sqlalchemy.orm import Session


def test_answers_are_forgotten_after_a_day_and_not_before(live_app: Flask, database_url: str) -> None:
    keep(database_url, old="24 hours 1 second", older="1 year", young="23 hours 59 minutes", new="0 seconds")

    forget_idempotency_keys(timestamp=0)

    assert kept(database_url) == {"young", "new"}, live_app


def test_work_that_fails_is_undone(live_app: Flask, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(database_url, old="1 year")

    def fail(session: Session) -> int:
        session.connection().exec_driver_sql("DELETE FROM idempotency_keys")
        raise LookupError

    monkeypatch.setattr("api.rest.idempotency.purge", fail)

    with pytest.raises(LookupError):
        forget_idempotency_keys(timestamp=0)

    assert kept(database_url) == {"old"}
    with live_app.app_context():
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a QueuePool counts


def test_jobs_are_forgotten_a_week_after_they_went_well_and_three_months_after_they_failed(
    live_app: Flask,
) -> None:
    ages = {
        "succeeded": (6, 8),
        "cancelled": (6, 8),
        "aborted": (6, 8),
        "failed": (89, 91),
        "todo": (400,),
        "doing": (400,),
    }
    with live_app.app_context():
        session = db.session()
        for status, days in ages.items():
            for age in days:
                service.defer(session, f"{status}_{age}")
                (job_id,) = session.execute(text("SELECT max(id) FROM procrastinate_jobs")).one()
                service.note_failure(session, job_id, reason="away")
                session.execute(
                    text("INSERT INTO procrastinate_periodic_defers (task_name, job_id) VALUES ('x', :id)"),
                    {"id": job_id},
                )
                session.execute(
                    text("UPDATE procrastinate_jobs SET status = :status WHERE id = :id"),
                    {"status": status, "id": job_id},
                )
                session.execute(
                    text("UPDATE procrastinate_events SET at = now() - make_interval(days => :age) WHERE job_id = :id"),
                    {"age": age, "id": job_id},
                )
        session.commit()

    forget_jobs(timestamp=0)

    with live_app.app_context():
        left = db.session.scalars(
            text("SELECT task_name FROM procrastinate_jobs JOIN job_notes ON job_id = id ORDER BY id")
        )
        assert [name.removeprefix("stockroom:") for name in left] == [
            "succeeded_6",
            "cancelled_6",
            "aborted_6",
            "failed_89",
            "todo_400",
            "doing_400",
        ]
        assert db.session.scalar(text("SELECT count(*) FROM job_notes")) == 6


def test_forgetting_comes_round_every_five_minutes() -> None:
    due = {
        work.task.name.rpartition(":")[2]: work.cron for work in jobs.tasks.periodic_registry.periodic_tasks.values()
    }

    assert due["forget_idempotency_keys"] == "*/5 * * * *"


def test_what_work_has_done_before_it_yielded_stays_done(
    live_app: Flask, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(database_url, old="1 year", older="2 years")

    def fail_halfway(session: Session) -> Iterator[None]:
        session.execute(text("DELETE FROM idempotency_keys WHERE key = 'old'"))
        yield
        session.execute(text("DELETE FROM idempotency_keys"))
        raise LookupError

    work = jobs.background(retries=0)(fail_halfway)
    monkeypatch.delitem(jobs.tasks.tasks, service.full("fail_halfway"))

    with pytest.raises(LookupError):
        work()

    assert kept(database_url) == {"older"}, live_app


@pytest.fixture(autouse=True)
def _tasks_know_their_application(live_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.tasks, "flask_app", live_app, raising=False)
