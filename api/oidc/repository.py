"""Every statement about identities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import column, select, table

from api.core.orm import Repository
from api.oidc.models import Identity

if TYPE_CHECKING:
    from api.core.orm import AnyRow

users = table("users", column("id"), column("role"), column("is_active"))
"""Read here, and only read, so that an identity and its account cost one statement on every request."""


class IdentityRepository(Repository[Identity]):
    """Identities by issuer and subject."""

    model = Identity

    def account(self, *, issuer: str, subject: str) -> AnyRow | None:
        """Find the account of an identity, and what it may do: one indexed read."""
        return self.session.execute(
            select(users.c.id, users.c.role, users.c.is_active)
            .join_from(Identity, users, Identity.user_id == users.c.id)
            .where(Identity.issuer == issuer, Identity.subject == subject)
        ).one_or_none()
