"""Every statement about logins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import column, func, select, table, update

from api.auth.models import AuthSession
from api.core.orm import Repository

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from api.core.orm import AnyRow

users = table("users", column("id"), column("role"), column("is_active"))
"""Read here, and only read, so that caller and login cost one statement on every request."""

_LIVE_CALLER = (
    select(users.c.id, users.c.role)
    .join_from(users, AuthSession.__table__, AuthSession.user_id == users.c.id)
    .where(users.c.is_active, AuthSession.ended_at.is_(None), AuthSession.expires_at > func.now())
)


class SessionRepository(Repository[AuthSession]):
    """Logins by id."""

    model = AuthSession

    def live_caller(self, *, user_id: UUID, session_id: UUID) -> AnyRow | None:
        """Find the user behind a login that is still good: one indexed read."""
        query = _LIVE_CALLER.where(AuthSession.id == session_id, users.c.id == user_id)
        return self.session.execute(query).one_or_none()

    def rotate(self, session_id: UUID, *, old: bytes, new: bytes) -> UUID | None:
        """Put a new refresh hash in the place of the present one; tells the user, or None when `old` is not it."""
        return self.session.scalar(
            update(AuthSession)
            .where(AuthSession.id == session_id, AuthSession.refresh_hash == old)
            .where(AuthSession.ended_at.is_(None), AuthSession.expires_at > func.now())
            .values(refresh_hash=new, previous_hash=old)
            .returning(AuthSession.user_id)
        )

    def was_exchanged(self, session_id: UUID, *, digest: bytes) -> bool:
        """Tell whether a refresh hash is the one before the present."""
        return self.exists(
            select(AuthSession.id).where(AuthSession.id == session_id, AuthSession.previous_hash == digest)
        )

    def end(self, session_id: UUID) -> None:
        """End a login; its tokens are refused from the next request on."""
        self.session.execute(
            update(AuthSession)
            .where(AuthSession.id == session_id, AuthSession.ended_at.is_(None))
            .values(ended_at=func.now())
        )

    def expiry(self, seconds: int) -> datetime:
        """Tell the moment `seconds` from now, by the database's clock."""
        return self.session.execute(select(func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds))).scalar_one()
