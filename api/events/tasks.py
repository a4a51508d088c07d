"""What happens to the feed in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app

from api.events import service
from api.jobs.app import periodic

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@periodic("23 2 * * *")
def keep_event_partitions(session: Session) -> None:
    """Make room for the months to come, and let go of months that need not be kept."""
    service.keep_partitions(session, days=current_app.extensions["stockroom"].event_retention_days)
