"""Numbers for monitoring, read from the database when somebody asks, so that every process tells the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from api.events import service as events
from api.jobs import service as jobs
from api.webhooks import service as webhooks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric
    from sqlalchemy.orm import Session

CIRCUITS = ("closed", "open", "disabled")


def collect(session: Session) -> Iterator[Metric]:
    """Read everything there is to tell; ages are in seconds, as Prometheus asks for base units."""
    yield from _of_jobs(session)
    yield from _of_events(session)
    yield from _of_webhooks(session)


def _of_jobs(session: Session) -> Iterator[Metric]:
    counts = GaugeMetricFamily(
        "stockroom_jobs",
        "Background jobs that wait (todo), run (doing) or are parked (failed)",
        labels=["task", "status"],
    )
    ages = GaugeMetricFamily(
        "stockroom_job_wait_seconds", "For how long the oldest job could have run", labels=["task"]
    )
    for row in jobs.depth(session):
        task = row.task.removeprefix(f"{jobs.NAMESPACE}:")
        counts.add_metric([task, row.status], row.jobs)
        if row.status == "todo":
            ages.add_metric([task], max(0.0, row.seconds or 0.0))
    yield counts
    yield ages


def _of_events(session: Session) -> Iterator[Metric]:
    standing = events.standing(session)
    yield CounterMetricFamily("stockroom_events", "Events in the feed since the beginning", value=standing.last)
    yield GaugeMetricFamily(
        "stockroom_events_unpublished", "Committed events nobody has asked for yet", value=standing.unpublished
    )
    yield GaugeMetricFamily(
        "stockroom_events_unpublished_seconds", "Age of the oldest of them", value=standing.oldest_unpublished
    )
    lags = GaugeMetricFamily("stockroom_event_lag", "Events that a consumer has not read yet", labels=["consumer"])
    for name, lag in sorted(standing.lags.items()):
        lags.add_metric([name], lag)
    yield lags


def _of_webhooks(session: Session) -> Iterator[Metric]:
    standing = webhooks.standing(session)
    yield GaugeMetricFamily("stockroom_webhook_pending", "Deliveries on their way", value=standing.pending)
    yield GaugeMetricFamily(
        "stockroom_webhook_pending_seconds", "Age of the oldest event not delivered", value=standing.oldest_pending
    )
    results = CounterMetricFamily("stockroom_webhook_attempts", "Attempts by how they ended", labels=["result"])
    for result, total in sorted(standing.results.items()):
        results.add_metric([result], total)
    yield results
    endpoints = GaugeMetricFamily("stockroom_webhook_endpoints", "Endpoints by circuit", labels=["circuit"])
    for circuit in CIRCUITS:
        endpoints.add_metric([circuit], standing.endpoints.get(circuit, 0))
    yield endpoints
