"""Who is who at an identity provider."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from api.core.orm import Base, Timestamped


class Identity(Timestamped, Base):
    """The account of a subject of an issuer. Nothing else links the two, and least of all an address.

    `role_told_at` is the `iat` (seconds since 1970) of the token that told the present role.
    """

    __tablename__ = "identities"
    __table_args__ = (Index("ix_identities_user_id", "user_id"),)

    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    role_told_at: Mapped[int] = mapped_column(BigInteger)
