"""What is told in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app

from api.jobs.app import continuous, periodic
from api.notifications import service

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@continuous(every=1)
def notify(session: Session) -> bool:
    """Tell people what has happened."""
    return service.notify(session, currency=current_app.extensions["currency"])


@periodic("0 6 * * *")
def send_digests(session: Session) -> None:
    """Mail what has come up since yesterday to those who want it once a day."""
    service.send_digests(session)


@periodic("53 3 * * *")
def forget_notifications(session: Session) -> None:
    """Forget old notifications."""
    service.purge(session)
