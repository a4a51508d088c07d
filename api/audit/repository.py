"""Every statement about the security log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from api.audit.models import AuditEntry
from api.core import ids
from api.core.orm import Repository
from api.core.paging import Listing

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


class AuditRepository(Repository[AuditEntry]):
    """The log, newest first."""

    model = AuditEntry

    def append(self, **facts: Any) -> None:  # noqa: ANN401  # the columns of the table
        """Write one line."""
        self.session.execute(insert(AuditEntry), {"id": ids.new(), **facts})

    def listing(
        self,
        *,
        action: str | None,
        outcome: str | None,
        actor_id: UUID | None,
        subject_id: UUID | None,
        since: datetime | None,
        until: datetime | None,
    ) -> Listing:
        """List lines that match all that is given; of the action, the beginning."""
        query = select(AuditEntry)
        if action is not None:
            query = query.where(AuditEntry.action.startswith(action, autoescape=True))
        for column, value in (
            (AuditEntry.outcome, outcome),
            (AuditEntry.actor_id, actor_id),
            (AuditEntry.subject_id, subject_id),
        ):
            if value is not None:
                query = query.where(column == value)
        if since is not None:
            query = query.where(AuditEntry.occurred_at >= since)
        if until is not None:
            query = query.where(AuditEntry.occurred_at < until)
        return Listing(query, keys=(AuditEntry.id,), descending=True)
