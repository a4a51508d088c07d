"""People who use the installation."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from api.core.orm import Base, Identified, Timestamped, Versioned


class User(Identified, Versioned, Timestamped, Base):
    """An account.

    `email` is kept in canonical form. It is absent where an identity provider tells none, or one that another account
    has; `password_hash`, which is argon2id, is absent where somebody else knows the password. Logins and API keys
    from before `logins_since`, when the account was closed, stay over when it is opened again.
    """

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("email"),
        CheckConstraint("role IN ('customer', 'clerk', 'manager', 'admin')", name="role_known"),
    )

    email: Mapped[str | None] = mapped_column(String(254))
    name: Mapped[str] = mapped_column(String(200))
    password_hash: Mapped[str | None]
    role: Mapped[str] = mapped_column(String(20))
    is_active: Mapped[bool] = mapped_column(default=True, server_default="true")
    email_verified_at: Mapped[datetime | None]
    password_changed_at: Mapped[datetime | None]
    logins_since: Mapped[datetime | None]
