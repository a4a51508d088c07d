"""The security log: written in the transaction of what it tells, read by administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.audit.repository import AuditRepository
from api.core.apart import apart

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.paging import Listing

DONE, REFUSED = "done", "refused"


def record(
    session: Session,
    action: str,
    *,
    by: Caller,
    actor_id: UUID | None = None,
    subject_id: UUID | None = None,
    outcome: str = DONE,
    **facts: object,
) -> None:
    """Write down what was done, in the transaction in which it was done.

    `action` is `thing.past_participle`, as in `password.changed`. `actor_id` names who acted where the caller cannot,
    as at a login. `facts` must be representable in JSON and hold no secrets.
    """
    AuditRepository(session).append(
        action=action,
        outcome=outcome,
        actor_id=actor_id or by.user_id,
        role=by.role,
        session_id=by.session_id,
        api_key_id=by.api_key_id,
        subject_id=subject_id,
        address=by.address,
        agent=by.agent,
        request_id=by.request_id,
        facts=facts,
    )


def record_refusal(
    session: Session, action: str, *, by: Caller, subject_id: UUID | None = None, **facts: object
) -> None:
    """Write down what was refused, in a transaction of its own, which the refusal does not roll back."""
    with apart(session) as own:
        record(own, action, by=by, subject_id=subject_id, outcome=REFUSED, **facts)  # type: ignore[arg-type]  # facts are no parameters


def listing(
    session: Session,
    *,
    action: str | None = None,
    outcome: str | None = None,
    actor_id: UUID | None = None,
    subject_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Listing:
    """List the log, newest first."""
    return AuditRepository(session).listing(
        action=action, outcome=outcome, actor_id=actor_id, subject_id=subject_id, since=since, until=until
    )
