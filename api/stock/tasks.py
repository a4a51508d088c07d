"""What happens to stock in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.core.caller import Caller
from api.jobs.app import periodic
from api.stock import service

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@periodic("17 1 * * *")
def close_days(session: Session) -> None:
    """Keep the sums that valuations of the past begin with."""
    service.close_days(session)


@periodic("*/5 * * * *")
def serve_backorders(session: Session) -> None:
    """Serve those who wait and were missed when something came."""
    service.serve_backorders(session, by=Caller.system())
