"""What is waiting for somebody to read a mail."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from api.core.orm import Base, Identified, Timestamped


class AccountTicket(Identified, Timestamped, Base):
    """Something that the reader of a mail may do once, until it expires.

    The token in the mail is not stored: it is made from `id` and the installation's own secret.
    """

    __tablename__ = "account_tickets"
    __table_args__ = (
        CheckConstraint(
            "purpose IN ('sign_up', 'invitation', 'password_reset', 'email_change', 'email_verification')",
            name="purpose_known",
        ),
        Index("ix_account_tickets_user_id", "user_id"),
        Index("ix_account_tickets_email", "email"),
        Index("ix_account_tickets_expires_at", "expires_at"),
    )

    purpose: Mapped[str] = mapped_column(String(20))
    email: Mapped[str] = mapped_column(String(254))
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str | None] = mapped_column(String(200))
    role: Mapped[str | None] = mapped_column(String(20))
    invited_by: Mapped[UUID | None]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
