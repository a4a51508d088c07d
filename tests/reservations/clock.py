"""What time does to reservations, without waiting for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

_MOMENT = text("SELECT clock_timestamp()")
_OVER = text("UPDATE reservations SET expires_at = :moment WHERE id = :id")
_KEPT = text("UPDATE allocations SET expires_at = :moment WHERE owner_id = :id")
_OLDER = text("UPDATE reservations SET created_at = created_at - :by * interval '1 second' WHERE id = :id")


def end(session: Session, *reservation_ids: UUID) -> datetime:
    """Let the time of reservations be over by now; tells at which moment, and writes nothing else."""
    moment: datetime = session.execute(_MOMENT).scalar_one()
    for one in reservation_ids:
        session.execute(_OVER, {"id": one, "moment": moment})
        session.execute(_KEPT, {"id": one, "moment": moment})
    return moment


def grow_old(session: Session, reservation_id: UUID, *, seconds: int) -> None:
    """Let a reservation have been made so long ago."""
    session.execute(_OLDER, {"id": reservation_id, "by": seconds})
