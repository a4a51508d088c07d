"""What happens to webhooks in the background."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from api.jobs.app import attendant, background, periodic
from api.webhooks import service
from api.webhooks.courier import Courier

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from flask import Flask
    from sqlalchemy.orm import Session


@attendant
async def deliver_webhooks(app: Flask, stop: asyncio.Event) -> None:
    """Take messages to their endpoints, all the time."""
    await Courier(app).run(stop)


@background(retries=5)
def redeliver_webhooks(session: Session, *, endpoint_id: str, since: str, only_failed: bool) -> Iterator[int]:
    """Put everything since a moment on its way to an endpoint again."""
    moment = datetime.fromisoformat(since)
    return service.put_on_its_way_again(session, UUID(endpoint_id), since=moment, only_failed=only_failed)


@background(retries=5)
def sweep_deliveries(session: Session, *, endpoint_id: str) -> Iterator[int]:
    """Forget the deliveries to an endpoint that has been deleted."""
    return service.sweep(session, UUID(endpoint_id))


@periodic("41 3 * * *")
def forget_deliveries(session: Session) -> Iterator[int]:
    """Forget deliveries that ended a month ago."""
    return service.purge(session)
