"""Every statement about events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from api.core import ids
from api.events.models import Event

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller


def add(session: Session, type_: str, subject_id: UUID, data: dict[str, Any], *, by: Caller) -> None:
    """Append one line to the feed."""
    values = {"id": ids.new(), "type": type_, "subject_id": subject_id, "data": data}
    session.execute(insert(Event), values | {"actor_id": by.user_id, "request_id": by.request_id})
