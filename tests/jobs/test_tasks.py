"""Housekeeping, called as a worker calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from api.extensions import db
from api.jobs import app as jobs
from api.jobs.tasks import forget_idempotency_keys
from tests.jobs.kept import keep, kept

if TYPE_CHECKING:
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


def test_forgetting_comes_round_every_five_minutes() -> None:
    due = {
        work.task.name.rpartition(":")[2]: work.cron for work in jobs.tasks.periodic_registry.periodic_tasks.values()
    }

    assert due["forget_idempotency_keys"] == "*/5 * * * *"


@pytest.fixture(autouse=True)
def _tasks_know_their_application(live_app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.tasks, "flask_app", live_app, raising=False)
