"""What monitoring reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from api.events import service as events
from api.jobs import service as jobs
from api.webhooks import service as webhooks
from tests.rest.envelope import assert_problem

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from sqlalchemy.orm import Session

    from tests.factories import Factory


def read(client: FlaskClient, make: Factory) -> dict[str, float]:
    answer = client.get("/metrics", headers=make.headers())
    assert answer.status_code == 200
    assert answer.mimetype == "text/plain"
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_jobs_that_wait_and_those_that_are_parked_are_counted(
    client: FlaskClient, make: Factory, session: Session
) -> None:
    jobs.defer(session, "send_mail")
    jobs.defer(session, "send_mail")
    session.execute(
        text("UPDATE procrastinate_jobs SET status = 'failed' WHERE id = (SELECT max(id) FROM procrastinate_jobs)")
    )
    session.execute(text("UPDATE procrastinate_events SET at = now() - interval '90 seconds'"))

    metrics = read(client, make)

    assert metrics["stockroom_jobs todo send_mail"] == 1
    assert metrics["stockroom_jobs failed send_mail"] == 1
    assert metrics["stockroom_job_wait_seconds send_mail"] == pytest.approx(90, abs=30)


def test_events_that_nobody_has_read_are_counted(client: FlaskClient, make: Factory, session: Session) -> None:
    make.item()
    make.item()

    session.commit()
    before = read(client, make)
    session.commit()
    events.catch_up(session)
    after = read(client, make)

    unread = before["stockroom_events_unpublished"]
    assert unread >= 2
    assert after["stockroom_events_unpublished"] < unread
    assert after["stockroom_events_total"] >= unread
    assert after["stockroom_event_lag webhooks"] >= unread


def test_deliveries_are_counted_by_how_they_end(client: FlaskClient, make: Factory, session: Session) -> None:
    endpoint = make.endpoint()
    webhooks.test(session, endpoint.id)
    session.execute(text("INSERT INTO webhook_results VALUES ('delivered', 12), ('timeout', 3)"))
    session.execute(text("UPDATE webhook_deliveries SET created_at = now() - interval '5 minutes'"))

    metrics = read(client, make)

    assert metrics["stockroom_webhook_pending"] == 1
    assert metrics["stockroom_webhook_pending_seconds"] == pytest.approx(300, abs=60)
    assert metrics["stockroom_webhook_attempts_total delivered"] == 12
    assert metrics["stockroom_webhook_attempts_total timeout"] == 3
    assert metrics["stockroom_webhook_endpoints closed"] == 1


@pytest.mark.parametrize("role", ["customer", "manager"])
def test_they_are_for_administrators(client: FlaskClient, make: Factory, role: str) -> None:
    assert_problem(client.get("/metrics", headers=make.headers(role=role)), 403, "forbidden", None)
