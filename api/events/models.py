"""The feed of what happened."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from api.core import ids
from api.core.orm import Base


class Event(Base):
    """One thing that happened, written in the transaction in which it happened."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_subject", "subject_id", "position"),)

    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    id: Mapped[UUID] = mapped_column(default=ids.new, unique=True)
    type: Mapped[str] = mapped_column(String(80))
    subject_id: Mapped[UUID]
    occurred_at: Mapped[datetime] = mapped_column(server_default=func.now())
    actor_id: Mapped[UUID | None]
    request_id: Mapped[str | None] = mapped_column(String(128))
    data: Mapped[dict[str, Any]]
