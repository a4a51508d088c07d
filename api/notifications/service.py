"""Telling people what concerns them, as they want to be told.

Events are taken from the feed, and what comes of them, rows and mails, is written in the transaction that takes them:
so everybody is told once of each, whatever breaks down in between.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict
from uuid import UUID

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from api.events import service as events
from api.mail import service as mail
from api.notifications import repository, wording
from api.notifications.errors import NotificationNotFound
from api.notifications.kinds import BY_EVENT, CUSTOMER, DAILY, EACH, KINDS, LOW_STOCK, WEBHOOK_DISABLED, Way, roles_for
from api.orders import service as orders
from api.stock import service as stock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.orm import AnyRow
    from api.core.paging import Listing
    from api.events.service import Event
    from api.notifications.models import Notification
    from api.notifications.repository import Person
    from api.notifications.wording import News

log = structlog.get_logger(__name__)

CONSUMER = "notifications"
AT_A_TIME = 500
"""How many events are taken in one transaction."""

READ_DAYS, UNREAD_DAYS = 90, 400
"""How long notifications are kept that were read, or were not."""

AWAY = (OperationalError, InterfaceError)
"""What goes wrong when the database is away or busy, and not because of what it was given."""

LISTED = 200
"""How much a digest lists at most; of the rest it tells how much there is."""


class Choice(TypedDict, total=False):
    """What somebody wants to have otherwise about a kind."""

    in_app: bool
    email: str


@dataclass(frozen=True, slots=True)
class Preferences:
    """How somebody is told of each kind that concerns them."""

    ways: Mapping[str, Way]

    @property
    def tag(self) -> str:
        """What tells these preferences from others."""
        return hashlib.sha256(repr(sorted(self.ways.items())).encode()).hexdigest()[:16]

    def shown(self) -> dict[str, dict[str, Any]]:
        """Write them by kind."""
        return {kind: {"says": KINDS[kind].says, **way._asdict()} for kind, way in self.ways.items()}


def notify(session: Session, *, currency: orders.Currency) -> bool:
    """Tell people of the next events; tells whether there may be more."""
    taken = events.take(session, CONSUMER, limit=AT_A_TIME)
    if concerning := [event for event in taken if event.type in BY_EVENT]:
        _tell_all(session, concerning, currency=currency)
    return len(taken) == AT_A_TIME


def listing(session: Session, *, by: Caller, unread: bool | None = None, kind: str | None = None) -> Listing:  # noqa: ARG001  # as all lists
    """List what the caller is told in the app, newest first."""
    return repository.listing(by.own_id, unread=unread, kind=kind)


def count_unread(session: Session, *, by: Caller) -> int:
    """Count what the caller has not read."""
    return repository.count_unread(session, by.own_id)


def mark(session: Session, notification_id: UUID, *, is_read: bool, by: Caller) -> Notification:
    """Mark one of the caller's notifications as read or unread.

    Raises:
        NotificationNotFound: there is none, or it is somebody else's.

    """
    found = repository.mark(session, by.own_id, notification_id, is_read=is_read)
    if found is None:
        raise NotificationNotFound
    return found


def mark_all(session: Session, *, by: Caller, until: UUID | None = None) -> int:
    """Mark everything of the caller's as read, or what is not newer than one notification; tells how many were not.

    Raises:
        NotificationNotFound: that one does not exist, or is somebody else's.

    """
    if until is not None and not repository.is_own(session, by.own_id, until):
        raise NotificationNotFound(at="until")
    return repository.mark_all(session, by.own_id, until=until)


def preferences(session: Session, *, by: Caller, locked: bool = False) -> Preferences:
    """Tell how the caller is told of each kind for people of their role, and of those they have chosen about before."""
    if locked:
        repository.lock_choices(session, by.own_id)
    person = repository.people(session, user_ids=[by.own_id])[by.own_id]
    shown = [kind for kind in KINDS.values() if kind.concerns(person.role) or kind.name in person.chosen]
    return Preferences({kind.name: _way(person, kind.name) for kind in shown})


def choose(session: Session, changes: Mapping[str, Choice], *, by: Caller) -> Preferences:
    """Note how the caller wants to be told of some kinds; whoever changes preferences has locked them before."""
    person = repository.people(session, user_ids=[by.own_id])[by.own_id]
    ways = {kind: _way(person, kind)._replace(**choice) for kind, choice in changes.items()}
    repository.choose(session, person.id, ways)
    return preferences(session, by=by)


def send_digests(session: Session) -> int:
    """Mail everybody who wants that what has come up since their last digest; tells how many mails there are.

    Of low stock only what is low still. Where nothing is left to be said, there is no mail. While somebody else makes
    digests, does nothing.
    """
    if not repository.be_alone_at_digests(session):
        return 0
    waiting: dict[UUID, list[AnyRow]] = defaultdict(list)
    for row in repository.waiting(session):
        waiting[row.user_id].append(row)
    people = repository.people(session, user_ids=waiting)
    sent = 0
    for user_id, person in people.items():
        sent += _send_digest(session, person, waiting[user_id]) if person.email else 0
    repository.note_mailed(session, [row.id for rows in waiting.values() for row in rows])
    return sent


def purge(session: Session) -> None:
    """Forget what was read three months ago, or has not been for longer than a year."""
    repository.purge(session, read_days=READ_DAYS, unread_days=UNREAD_DAYS)


def _tell_all(session: Session, concerning: Sequence[Event], *, currency: orders.Currency) -> None:
    """Tell of events together; if that fails, one by one, for an event that defies it must not silence the others."""
    if not _is_told(session, concerning, currency=currency):
        for event in concerning:
            _is_told(session, [event], currency=currency)


def _is_told(session: Session, concerning: Sequence[Event], *, currency: orders.Currency) -> bool:
    try:
        with session.begin_nested():
            _tell(session, concerning, currency=currency)
    except AWAY:
        raise
    except Exception:
        log.exception("events_not_told", events=[f"{event.type} {event.id}" for event in concerning])
        return False
    return True


def _tell(session: Session, concerning: Sequence[Event], *, currency: orders.Currency) -> None:
    known = wording.Known(
        currency=currency,
        orders=orders.addressees(session, wording.order_ids(concerning)),
        lines=orders.names_of_lines(session, wording.lines_of(concerning)),
        levels=stock.words(session, wording.levels_of(concerning)),
    )
    news = [one for event in concerning if (one := wording.write(event, known))]
    people = repository.people(
        session,
        user_ids={user_id for one in news if (user_id := _named(one))},
        roles=roles_for({one.kind.name for one in news}),
    )
    rows, levels = [], defaultdict[str, dict[tuple[str, str], dict[str, Any]]](dict)
    for one in news:
        for person in _audience(one, people):
            way, is_own_act = _way(person, one.kind.name), person.id == one.event.actor_id
            address = person.email or (one.addressee.email if one.addressee else None)
            in_app, in_digest = way.in_app and not is_own_act, way.email == DAILY and person.email is not None
            if in_app or in_digest:
                rows.append(_row(one, person, in_app=in_app, in_digest=in_digest))
            if way.email != EACH or address is None:
                continue
            if one.kind.name == LOW_STOCK:
                levels[address][one.facts["item_id"], one.facts["location_id"]] = one.facts
            else:
                mail.send(session, one.kind.name, to=address, is_guest=False, **one.facts)
        if one.addressee and one.addressee.customer_id is None and one.addressee.email:
            mail.send(session, one.kind.name, to=one.addressee.email, is_guest=True, **one.facts)
    for address, low in levels.items():
        mail.send(session, LOW_STOCK, to=address, kind=LOW_STOCK, is_guest=False, levels=list(low.values()))
    repository.add_all(session, rows)


def _row(one: News, person: Person, *, in_app: bool, in_digest: bool) -> dict[str, Any]:
    return {
        "user_id": person.id,
        "event_id": one.event.id,
        "kind": one.kind.name,
        "title": one.title,
        "text": one.text,
        "subject_type": one.event.subject_type,
        "subject_id": one.event.subject_id,
        "data": one.data,
        "in_app": in_app,
        "in_digest": in_digest,
    }


def _named(one: News) -> UUID | None:
    """Tell who is told because of who they are to the thing, not because of their role."""
    if one.addressee:
        return one.addressee.customer_id
    creator = one.event.data.get("created_by") if one.kind.name == WEBHOOK_DISABLED else None
    return UUID(creator) if creator else None


def _audience(one: News, people: Mapping[UUID, Person]) -> list[Person]:
    user_id = _named(one)
    named = people.get(user_id) if user_id else None
    if one.kind.audience == CUSTOMER:
        return [named] if named else []
    return [person for person in people.values() if person is named or one.kind.concerns(person.role)]


def _way(person: Person, kind: str) -> Way:
    return person.chosen.get(kind) or KINDS[kind].way(person.role)


def _send_digest(session: Session, person: Person, rows: Sequence[AnyRow]) -> bool:
    wanted = [row for row in rows if _way(person, row.kind).email == DAILY]
    keys = [(UUID(row.data["item_id"]), UUID(row.data["location_id"])) for row in wanted if row.kind == LOW_STOCK]
    levels = [
        row._asdict() | {"suggested": wording.suggestion(row.available, row.reorder_point, row.reorder_quantity)}
        for row in (stock.low_among(session, keys) if keys else ())
    ]
    others = [{"title": row.title, "text": row.text} for row in wanted if row.kind != LOW_STOCK]
    if not levels and not others:
        return False
    kinds = sorted({row.kind for row in wanted if row.kind != LOW_STOCK or levels})
    told = {"levels": levels[:LISTED], "others": others[:LISTED]}
    mail.send(
        session,
        "digest",
        to=str(person.email),
        kinds=kinds,
        total=len(levels) + len(others),
        more=len(levels) + len(others) - len(told["levels"]) - len(told["others"]),
        **told,
    )
    return True
