"""The housekeeping every installation needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.jobs import service
from api.jobs.app import periodic
from api.rest import idempotency

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@periodic("*/5 * * * *")
def forget_idempotency_keys(session: Session) -> None:
    """Forget answers kept for longer than 24 hours."""
    idempotency.purge(session)


@periodic("* * * * *")
def revive_jobs(session: Session) -> None:
    """Take up again what dead workers have left."""
    service.revive(session)


@periodic("11 4 * * *")
def forget_jobs(session: Session) -> None:
    """Forget jobs that ended long ago."""
    service.purge_old(session)
