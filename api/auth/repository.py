"""Every statement about logins."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Integer, Uuid, bindparam, case, column, func, literal_column, or_, select, table, update

from api.auth.models import AuthSession
from api.core.orm import Repository
from api.core.paging import Listing
from api.core.prepared import Prepared

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import ColumnElement

    from api.core.orm import AnyRow

users = table("users", column("id"), column("email"), column("role"), column("is_active"), column("logins_since"))
"""Read here, and only read, so that caller and login cost one statement on every request."""

_logins = AuthSession.__table__
IS_LIVE = (_logins.c.ended_at.is_(None), _logins.c.expires_at > func.now())


class LiveCaller(NamedTuple):
    """The user behind a login, and whether they have shown credentials of late."""

    id: UUID
    role: str
    is_fresh: bool


class SessionRepository(Repository[AuthSession]):
    """Logins by id."""

    model = AuthSession

    def live_caller(self, *, user_id: UUID, session_id: UUID, fresh_seconds: int) -> LiveCaller | None:
        """Find the user behind a login that is still good: one indexed read."""
        facts = {"user_id": user_id, "session_id": session_id, "fresh_seconds": fresh_seconds}
        return _LIVE_CALLER.first(self.session, facts)

    def seed(self, session_id: UUID) -> bytes | None:
        """Tell what the refresh tokens of a login are made from."""
        return self.session.scalar(select(AuthSession.refresh_seed).where(AuthSession.id == session_id))

    def advance(self, session_id: UUID, *, generation: int, grace_seconds: int, idle_seconds: int) -> AnyRow | None:
        """Go on to the next generation of refresh tokens, once for each generation.

        Whoever comes with the generation just before, within the grace, is told the same next one: the answer may have
        been lost, or several tabs may have asked at once. Tells user and generation, or None when neither holds.
        """
        is_newest = AuthSession.generation == generation
        is_repeated = (AuthSession.generation == generation + 1) & (AuthSession.rotated_at > _ago(grace_seconds))
        return self.session.execute(
            update(AuthSession)
            .where(AuthSession.id == session_id, *IS_LIVE, AuthSession.rotated_at > _ago(idle_seconds))
            .where(or_(is_newest, is_repeated))
            .values(
                generation=generation + 1,
                rotated_at=case((is_newest, func.clock_timestamp()), else_=AuthSession.rotated_at),
            )
            .returning(AuthSession.user_id, AuthSession.generation)
        ).one_or_none()

    def was_exchanged(self, session_id: UUID, *, generation: int) -> bool:
        """Tell whether a login that is still good has gone past a generation."""
        return self.exists(
            select(AuthSession.id).where(AuthSession.id == session_id, AuthSession.generation > generation, *IS_LIVE)
        )

    def confirm(self, session_id: UUID) -> None:
        """Note that the owner has shown credentials just now."""
        self.session.execute(
            update(AuthSession).where(AuthSession.id == session_id).values(authenticated_at=func.now())
        )

    def end(
        self, *, reason: str, session_id: UUID | None = None, user_id: UUID | None = None, but: UUID | None = None
    ) -> list[UUID]:
        """End one login, or all of a user but one; their tokens are refused from the next request on."""
        which: list[ColumnElement[bool]] = [AuthSession.ended_at.is_(None)]
        if session_id is not None:
            which.append(AuthSession.id == session_id)
        if user_id is not None:
            which.append(AuthSession.user_id == user_id)
        if but is not None:
            which.append(AuthSession.id != but)
        return list(
            self.session.scalars(
                update(AuthSession)
                .where(*which)
                .values(ended_at=func.now(), end_reason=reason)
                .returning(AuthSession.id)
                .execution_options(synchronize_session=False)
            )
        )

    def live_owner(self, session_id: UUID) -> UUID | None:
        """Tell whose a login is that has not ended."""
        return self.session.scalar(select(AuthSession.user_id).where(AuthSession.id == session_id, *IS_LIVE))

    def has_come_from(self, *, email: str, network: str) -> bool:
        """Tell whether an account has logged in from a network within the last 90 days."""
        return self.exists(
            select(AuthSession.id)
            .join_from(AuthSession, users, AuthSession.user_id == users.c.id)
            .where(
                users.c.email == email,
                AuthSession.created_at > _ago(90 * 86_400),
                AuthSession.network == network,
            )
        )

    def listing(self, user_id: UUID | None, *, owner: UUID | None) -> Listing:
        """List logins that are still good, the newest first: those of `user_id` that are also `owner`'s."""
        query = select(AuthSession).where(*IS_LIVE)
        for whose in (user_id, owner):
            if whose is not None:
                query = query.where(AuthSession.user_id == whose)
        return Listing(query, keys=(AuthSession.id,), descending=True)

    def expiry(self, seconds: int) -> datetime:
        """Tell the moment `seconds` from now, by the database's clock."""
        return self.session.execute(select(func.now() + _interval(seconds))).scalar_one()


def _interval(seconds: int | ColumnElement[int]) -> ColumnElement[object]:
    return func.make_interval(*[literal_column("0")] * 6, seconds)


def _ago(seconds: int | ColumnElement[int]) -> ColumnElement[datetime]:
    return func.now() - _interval(seconds)


_LIVE_CALLER = Prepared(
    select(
        users.c.id,
        users.c.role,
        (_logins.c.authenticated_at > _ago(bindparam("fresh_seconds", type_=Integer))).label("is_fresh"),
    )
    .join_from(users, _logins, _logins.c.user_id == users.c.id)
    .where(users.c.is_active, *IS_LIVE)
    .where(or_(users.c.logins_since.is_(None), _logins.c.created_at > users.c.logins_since))
    .where(_logins.c.id == bindparam("session_id", type_=Uuid), users.c.id == bindparam("user_id", type_=Uuid)),
    LiveCaller._make,
)
"""Built once, and of tables, not of entities: it is sent with every request of every caller."""
