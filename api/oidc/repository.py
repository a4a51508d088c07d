"""Every statement about identities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import column, select, table, update

from api.core.orm import Repository
from api.oidc.models import Identity

if TYPE_CHECKING:
    from uuid import UUID

    from api.core.orm import AnyRow

users = table("users", column("id"), column("role"), column("is_active"))
"""Read here, and only read, so that an identity and its account cost one statement on every request."""


class IdentityRepository(Repository[Identity]):
    """Identities by issuer and subject."""

    model = Identity

    def account(self, *, issuer: str, subject: str) -> AnyRow | None:
        """Find the account of an identity, and what it may do: one indexed read."""
        return self.session.execute(
            select(users.c.id, users.c.role, users.c.is_active, Identity.role_told_at)
            .join_from(Identity, users, Identity.user_id == users.c.id)
            .where(Identity.issuer == issuer, Identity.subject == subject)
        ).one_or_none()

    def note_role(self, user_id: UUID, *, told_at: int) -> None:
        """Note when the token was issued that tells a new role."""
        self.session.execute(update(Identity).where(Identity.user_id == user_id).values(role_told_at=told_at))

    def has_any(self, user_id: UUID) -> bool:
        """Tell whether an account has an identity somewhere."""
        return self.exists(select(Identity.user_id).where(Identity.user_id == user_id))
