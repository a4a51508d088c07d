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

    from flask import Flask
    from sqlalchemy.orm import Session


@attendant
async def deliver_webhooks(app: Flask, stop: asyncio.Event) -> None:
    """Take messages to their endpoints, all the time."""
    await Courier(app).run(stop)


@background(retries=5)
def redeliver_webhooks(session: Session, *, endpoint_id: str, since: str, only_failed: bool) -> None:
    """Put everything since a moment on its way to an endpoint again."""
    service.put_on_its_way_again(
        session, UUID(endpoint_id), since=datetime.fromisoformat(since), only_failed=only_failed
    )


@periodic("41 3 * * *")
def forget_deliveries(session: Session) -> None:
    """Forget deliveries that ended a month ago."""
    service.purge(session)
