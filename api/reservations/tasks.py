"""What happens to reservations in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.core.caller import Caller
from api.jobs.app import background, periodic
from api.reservations import service

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@periodic("* * * * *")
def lapse_reservations(session: Session) -> None:
    """Write down which reservations have lapsed, so that the ledger tells it too."""
    service.lapse(session, by=Caller.system())


@background(retries=5)
def lapse_more_reservations(session: Session) -> None:
    """Go on where so many have lapsed at once that one transaction would hold too many locks."""
    service.lapse(session, by=Caller.system())
