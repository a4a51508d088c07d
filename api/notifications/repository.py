"""Every statement about notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson
from sqlalchemy import (
    ARRAY,
    Boolean,
    String,
    Uuid,
    and_,
    any_,
    cast,
    column,
    delete,
    exists,
    func,
    or_,
    select,
    table,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from api.core import bulk, ids
from api.core.paging import Listing
from api.notifications.kinds import Way
from api.notifications.models import Notification, NotificationPreference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Any
    from uuid import UUID

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow

_USERS = table(
    "users", column("id", Uuid), column("email", String), column("role", String), column("is_active", Boolean)
)
"""What this domain reads of another's table, in the statement that would otherwise take one for each person."""

_TYPES = {
    "id": "uuid",
    "user_id": "uuid",
    "event_id": "uuid",
    "kind": "text",
    "title": "text",
    "text": "text",
    "subject_type": "text",
    "subject_id": "uuid",
    "data": "jsonb",
    "in_app": "bool",
    "in_digest": "bool",
}
_ADD = text(f"""
    INSERT INTO notifications ({", ".join(_TYPES)}) SELECT {", ".join(_TYPES)} FROM {bulk.unnest("n", _TYPES)}
    ON CONFLICT (event_id, user_id) DO NOTHING
""")  # noqa: S608  # only names from the table above are put into the text


class Person(NamedTuple):
    """Somebody who can be told things, and how they have chosen to be told."""

    id: UUID
    email: str | None
    role: str
    chosen: dict[str, Way]


def people(session: Session, *, user_ids: Collection[UUID], roles: Collection[str] = ()) -> dict[UUID, Person]:
    """Read these people, and all of these roles, with their choices; without those whose account is closed."""
    choice = NotificationPreference
    query = (
        select(_USERS.c.id, _USERS.c.email, _USERS.c.role, choice.kind, choice.in_app, choice.email.label("mail"))
        .outerjoin_from(_USERS, choice, choice.user_id == _USERS.c.id)
        .where(_USERS.c.is_active, or_(_USERS.c.id.in_(user_ids), _USERS.c.role.in_(roles)))
        .order_by(_USERS.c.id)
    )
    found: dict[UUID, Person] = {}
    for row in session.execute(query):
        person = found.setdefault(row.id, Person(row.id, row.email, row.role, {}))
        if row.kind is not None:
            person.chosen[row.kind] = Way(row.in_app, row.mail)
    return found


def lock_choices(session: Session, user_id: UUID) -> None:
    """Let nobody else change what somebody has chosen until this transaction ends."""
    session.execute(select(_USERS.c.id).where(_USERS.c.id == user_id).with_for_update(key_share=True))


def choose(session: Session, user_id: UUID, ways: Mapping[str, Way]) -> None:
    """Note how somebody wants to be told of kinds."""
    query = insert(NotificationPreference).values(
        [{"user_id": user_id, "kind": kind, "in_app": way.in_app, "email": way.email} for kind, way in ways.items()]
    )
    changed = {name: query.excluded[name] for name in ("in_app", "email")}
    session.execute(query.on_conflict_do_update(index_elements=["user_id", "kind"], set_=changed))


def add_all(session: Session, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write down notifications with one statement; what somebody has been told of they are not told again."""
    values = [
        [
            ids.new() if name == "id" else orjson.dumps(row[name]).decode() if name == "data" else row[name]
            for name in _TYPES
        ]
        for row in rows
    ]
    if values:
        session.execute(_ADD, bulk.arrays("n", _TYPES, values))


def _own(user_id: UUID) -> ColumnElement[bool]:
    return and_(Notification.user_id == user_id, Notification.in_app)


def listing(user_id: UUID, *, unread: bool | None, kind: str | None) -> Listing:
    """List what somebody is told in the app, newest first."""
    query = select(Notification).where(_own(user_id))
    if unread is not None:
        query = query.where(Notification.read_at.is_(None) if unread else Notification.read_at.is_not(None))
    if kind is not None:
        query = query.where(Notification.kind == kind)
    return Listing(query, keys=(Notification.id,), descending=True)


def count_unread(session: Session, user_id: UUID) -> int:
    """Count what somebody has not read."""
    query = select(func.count()).where(_own(user_id), Notification.read_at.is_(None))
    return int(session.scalar(query) or 0)


def is_own(session: Session, user_id: UUID, notification_id: UUID) -> bool:
    """Tell whether a notification is somebody's."""
    return bool(session.scalar(select(exists().where(_own(user_id), Notification.id == notification_id))))


def mark(session: Session, user_id: UUID, notification_id: UUID, *, is_read: bool) -> Notification | None:
    """Mark a notification as read, since when it first was, or as unread."""
    moment = func.coalesce(Notification.read_at, func.now()) if is_read else None
    query = update(Notification).where(_own(user_id), Notification.id == notification_id).values(read_at=moment)
    return session.scalars(query.returning(Notification), execution_options={"populate_existing": True}).one_or_none()


def mark_all(session: Session, user_id: UUID, *, until: UUID | None) -> int:
    """Mark everything as read, or what is not newer than one notification; tells how many were not."""
    query = update(Notification).where(_own(user_id), Notification.read_at.is_(None)).values(read_at=func.now())
    if until is not None:
        query = query.where(Notification.id <= until)
    return int(session.execute(query).rowcount)  # type: ignore[attr-defined]  # of a cursor result


def be_alone_at_digests(session: Session) -> bool:
    """Take the one place for whoever makes digests, until the transaction ends; False when it is taken."""
    query = select(func.pg_try_advisory_xact_lock(func.hashtextextended("notifications.digests", 0)))
    return bool(session.scalar(query))


def waiting(session: Session) -> Sequence[AnyRow]:
    """Read what waits for the next digest, oldest first."""
    told = Notification
    query = select(told.id, told.user_id, told.kind, told.title, told.text, told.data)
    return session.execute(query.where(told.in_digest).order_by(told.id)).all()


def note_mailed(session: Session, notification_ids: Sequence[UUID]) -> None:
    """Note that notifications have been in a digest; those that were for nothing else are forgotten."""
    mailed = Notification.id == any_(cast(list(notification_ids), ARRAY(Uuid)))
    session.execute(delete(Notification).where(mailed, ~Notification.in_app))
    session.execute(update(Notification).where(mailed).values(in_digest=False))


def purge(session: Session, *, read_days: int, unread_days: int) -> None:
    """Forget what is so old, and was read or was not."""
    age = func.now() - Notification.created_at
    is_old = and_(Notification.read_at.is_not(None), age > func.make_interval(0, 0, 0, read_days))
    session.execute(delete(Notification).where(or_(is_old, age > func.make_interval(0, 0, 0, unread_days))))
