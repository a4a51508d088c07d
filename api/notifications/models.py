"""What people are told, and how they want to be told."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, false, func, true
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from api.core.orm import Base, Identified


class Notification(Identified, Base):
    """One thing told to one person. Without `in_app` it only waits for the next digest."""

    __tablename__ = "notifications"
    __table_args__ = (
        Index("uq_notifications_event_id_user_id", "event_id", "user_id", unique=True),
        Index("ix_notifications_user_id", "user_id", "id"),
        Index("ix_notifications_unread", "user_id", postgresql_where=sql("in_app AND read_at IS NULL")),
        Index("ix_notifications_digest", "user_id", "kind", postgresql_where=sql("in_digest")),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    event_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(String(40))
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(String(2000))
    subject_type: Mapped[str] = mapped_column(String(40))
    subject_id: Mapped[UUID]
    data: Mapped[dict[str, Any]]
    in_app: Mapped[bool] = mapped_column(default=True, server_default=true())
    in_digest: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    read_at: Mapped[datetime | None]


class NotificationPreference(Base):
    """How one person wants to be told of one kind of thing, where that is not the default."""

    __tablename__ = "notification_preferences"
    __table_args__ = (CheckConstraint("email IN ('none', 'each', 'daily')", name="email_known"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40), primary_key=True)
    in_app: Mapped[bool]
    email: Mapped[str] = mapped_column(String(10))
