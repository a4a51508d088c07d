"""Every statement about API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import column, func, or_, select, table, update

from api.api_keys.models import ApiKey
from api.core.orm import Repository
from api.core.paging import Listing

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import ColumnElement

    from api.core.orm import AnyRow

STALE_SECONDS = 60

users = table("users", column("id"), column("role"), column("is_active"), column("logins_since"))
"""Read here, and only read, so that a key and its owner cost one statement on every request."""

IS_LIVE = (ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()))


class ApiKeyRepository(Repository[ApiKey]):
    """API keys by id, prefix and owner."""

    model = ApiKey

    def live(self, prefix: str) -> AnyRow | None:
        """Find a key that is still good, with what its owner is now: one indexed read."""
        return self.session.execute(
            select(
                ApiKey.id,
                ApiKey.secret_hash,
                ApiKey.scopes,
                users.c.id.label("user_id"),
                users.c.role,
                _is_stale().label("is_stale"),
            )
            .join_from(ApiKey, users, ApiKey.user_id == users.c.id)
            .where(ApiKey.prefix == prefix, users.c.is_active, *IS_LIVE)
            .where(or_(users.c.logins_since.is_(None), ApiKey.created_at > users.c.logins_since))
        ).one_or_none()

    def touch(self, key_id: UUID) -> None:
        """Note that a key is in use, unless that has just been noted or the row is busy: waits for nobody."""
        which = select(ApiKey.id).where(ApiKey.id == key_id, _is_stale()).with_for_update(skip_locked=True)
        self.session.execute(
            update(ApiKey)
            .where(ApiKey.id.in_(which))
            .values(last_used_at=func.now(), updated_at=ApiKey.updated_at)
            .execution_options(synchronize_session=False)
        )

    def lock_owner(self, user_id: UUID) -> str | None:
        """Tell the role of an active account, and let nobody else count or change its keys, or its role, meanwhile."""
        query = select(users.c.role).where(users.c.id == user_id, users.c.is_active).with_for_update(key_share=True)
        return self.session.scalar(query)

    def lock(self, key_id: UUID) -> ApiKey | None:
        """Find a key as it is now, and let nobody else change it until the transaction ends."""
        return self.one(
            select(ApiKey).where(ApiKey.id == key_id).with_for_update().execution_options(populate_existing=True)
        )

    def is_live(self, key_id: UUID) -> bool:
        """Tell whether a key has neither been revoked nor expired."""
        return self.exists(select(ApiKey.id).where(ApiKey.id == key_id, *IS_LIVE))

    def is_replaced(self, key_id: UUID) -> bool:
        """Tell whether a key has been rotated."""
        return self.exists(select(ApiKey.id).where(ApiKey.replaces_id == key_id))

    def count_live(self, user_id: UUID) -> int:
        """Count the keys of an account that are still good."""
        return self.session.execute(select(func.count()).where(ApiKey.user_id == user_id, *IS_LIVE)).scalar_one()

    def end(self, key: ApiKey, *, seconds: int) -> None:
        """Let a key expire in so many seconds, or when it would anyway if that is sooner."""
        key.expires_at = self.session.execute(select(func.least(key.expires_at, _from_now(seconds)))).scalar_one()
        self.session.flush()

    def revoke(self, key: ApiKey) -> None:
        """End a key now."""
        key.revoked_at = self.session.execute(select(func.now())).scalar_one()
        self.session.flush()

    def expiry(self, *, days: int) -> datetime:
        """Tell the moment so many days from now, by the database's clock."""
        return self.session.execute(select(_from_now(days * 86_400))).scalar_one()

    def listing(self, user_id: UUID | None, *, owner: UUID | None) -> Listing:
        """List keys, those that are over included, the newest first: those that are `user_id`'s and `owner`'s."""
        query = select(ApiKey)
        for whose in (user_id, owner):
            if whose is not None:
                query = query.where(ApiKey.user_id == whose)
        return Listing(query, keys=(ApiKey.id,), descending=True)


def _is_stale() -> ColumnElement[bool]:
    return or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < _from_now(-STALE_SECONDS))


def _from_now(seconds: int) -> ColumnElement[datetime]:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
