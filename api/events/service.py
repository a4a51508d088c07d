"""How news travels: a domain records what happened, others read the feed.

The feed is complete and in order. An event is written in the transaction of its cause, without a place. Once it is
committed, whoever reads the feed next gives it the next free `position`, without gaps; so a reader that remembers the
last position it has seen never misses an event, however many commit at the same moment, or late.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from api.core.apart import apart
from api.events import models, repository
from api.events.catalogue import CATALOGUE, EventType, matching, visible
from api.events.errors import EventNotFound, EventsExpired, EventTypeForbidden, EventTypeUnknown, PositionUnknown

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.paging import Listing
    from api.core.waiting import WaitingRoom

Event = models.Event

WINDOW = 10_000
"""How many positions one request looks through at most for events of the types it wants."""

PUBLISHES_FOR_SECONDS = 1.0
"""How long a reader publishes before it looks at what there is; the next one goes on."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the feed has come, for the metrics. Ages are in seconds."""

    last: int
    unpublished: int
    oldest_unpublished: float
    lags: dict[str, int]
    """How many events each consumer is behind."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the feed, and where to go on: `next_after` lies behind everything that was looked at."""

    data: Sequence[Event]
    next_after: int
    has_more: bool


def record(session: Session, type_: str, subject_id: UUID, data: dict[str, Any], *, by: Caller) -> None:
    """Say what happened, in the transaction in which it happened; a rolled-back change leaves no event.

    `type_` is one of the catalogue, and `data` what its schema says.
    """
    repository.add(session, CATALOGUE[type_].name, subject_id, data, by=by)


def record_all(session: Session, type_: str, news: Sequence[tuple[UUID, dict[str, Any]]], *, by: Caller) -> None:
    """Say the same of many subjects, each with data of its own, in one statement."""
    if news:
        repository.add_all(session, CATALOGUE[type_].name, news, by=by)


def of_subject(session: Session, subject_id: UUID, *, without: Sequence[str] = ()) -> Listing:  # noqa: ARG001  # as all lists
    """List what happened to a subject, oldest first, without events of some types."""
    return repository.of_subject(subject_id, without=without)


def as_json(event: Event) -> dict[str, Any]:
    """Write an event as the feed shows it, for those who pass it on."""
    return {
        "id": str(event.id),
        "type": event.type,
        "position": event.position,
        "subject_type": event.subject_type,
        "subject_id": str(event.subject_id),
        "sequence": event.sequence,
        "occurred_at": event.occurred_at.isoformat().replace("+00:00", "Z"),
        "actor_id": str(event.actor_id) if event.actor_id else None,
        "request_id": event.request_id,
        "data": event.data,
    }


def openapi_webhooks() -> dict[str, Any]:
    """Describe what webhooks carry, type by type, for the `webhooks` of an OpenAPI 3.1 document."""
    return {one.name: {"post": _operation(one)} for one in CATALOGUE.values()}


def _operation(one: EventType) -> dict[str, Any]:
    told = {
        "type": {"const": one.name},
        "timestamp": {"type": "string", "format": "date-time", "description": "The same as `occurred_at`."},
        "data": one.schema,
    }
    headers = {
        "webhook-id": "The event's id; the same at each repetition.",
        "webhook-timestamp": "When this attempt was made, in seconds since 1970.",
        "webhook-signature": "One signature for each valid secret, as Standard Webhooks say.",
    }
    parameters = [
        {"name": name, "in": "header", "required": True, "description": says, "schema": {"type": "string"}}
        for name, says in headers.items()
    ]
    schema = {"allOf": [{"$ref": "#/components/schemas/Event"}, {"type": "object", "properties": told}]}
    return {
        "summary": one.says,
        "description": f"Subject: {one.subject}. Needs {' and '.join(f'`{scope}`' for scope in one.scopes)}.",
        "tags": ["webhooks"],
        "parameters": parameters,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {"2XX": {"description": "Taken. Anything else is tried again."}},
    }


def types(*, by: Caller) -> list[EventType]:
    """List the types of events the caller may see."""
    seen = visible(by.scopes)
    return [one for one in CATALOGUE.values() if one.name in seen]


def get(session: Session, event_id: UUID, *, by: Caller) -> Event:
    """Find a published event.

    Raises:
        EventNotFound: there is none, or the caller may not see it.

    """
    catch_up(session)
    found = repository.named(session, [event_id])
    if not found or found[0].type not in visible(by.scopes):
        raise EventNotFound
    return found[0]


def choose(patterns: Collection[str] | None, *, scopes: frozenset[str]) -> frozenset[str]:
    """Find the types that names and beginnings stand for; without any, all that may be seen with these scopes.

    Raises:
        EventTypeUnknown: a pattern stands for none.
        EventTypeForbidden: a type is named that may not be seen.

    """
    seen = visible(scopes)
    if not patterns:
        return seen
    found, unknown = matching(list(patterns))
    if unknown:
        raise EventTypeUnknown(name=ascii(unknown[0]))
    if hidden := sorted(found - seen):
        raise EventTypeForbidden(name=hidden[0], scopes=" and ".join(CATALOGUE[hidden[0]].scopes))
    return frozenset(found)


def expand(patterns: Collection[str], *, scopes: frozenset[str]) -> frozenset[str]:
    """Find the types that names and beginnings stand for, as far as they may be seen; without any, all that may be."""
    seen = visible(scopes)
    return seen & matching(list(patterns))[0] if patterns else seen


def read(
    session: Session,
    *,
    by: Caller,
    after: int | None = None,
    types: Collection[str] | None = None,
    subject_id: UUID | None = None,
    limit: int = 100,
) -> Slice:
    """Read what follows a position: without one, from the first event that is kept.

    Raises:
        EventsExpired: some of it is no longer kept.
        PositionUnknown: the feed does not reach so far.
        EventTypeUnknown, EventTypeForbidden: there are no such events for the caller.

    """
    wanted = choose(types, scopes=by.scopes)
    ends = catch_up(session)
    before = ends.first - 1
    start = before if after is None else after
    if start < before:
        raise EventsExpired(first=ends.first, after=start, before=before)
    if start > ends.last:
        raise PositionUnknown(last=ends.last, after=start)
    until = ends.last if subject_id else min(ends.last, start + WINDOW)
    found = repository.published(session, after=start, until=until, types=wanted, subject_id=subject_id, limit=limit)
    is_full = len(found) == limit
    reached = max(start, (found[-1].position or 0) if is_full else until)
    return Slice(found, reached, reached < ends.last or ends.is_behind)


def follow(
    session: Session,
    *,
    by: Caller,
    room: WaitingRoom,
    wait: float = 0,
    after: int | None = None,
    types: Collection[str] | None = None,
    subject_id: UUID | None = None,
    limit: int = 100,
) -> Slice:
    """Read what follows a position; when that is nothing, wait for it, holding no database connection.

    Waits and looks for at most `wait` seconds, and not at all when the room has no free seat.

    Raises: what `read` raises.
    """
    found = read(session, by=by, after=after, types=types, subject_id=subject_id, limit=limit)
    if found.data or not wait:
        return found
    with room.seat(wait) as is_over:
        while not found.data:
            session.rollback()  # gives the connection back
            if is_over(pause=not found.has_more):
                break
            found = read(session, by=by, after=found.next_after, types=types, subject_id=subject_id, limit=limit)
    return found


def catch_up(session: Session) -> repository.Ends:
    """Give committed events their places in the feed, in transactions of their own; tell where the feed ends.

    After a second it leaves the rest to the next reader: then `is_behind` is set.
    """
    ends = repository.ends(session)
    if not ends.is_behind:
        return ends
    until, is_full = monotonic() + PUBLISHES_FOR_SECONDS, True
    while is_full and monotonic() < until:
        with apart(session) as own:
            is_full = repository.publish(own) == repository.AT_A_TIME
    return repository.ends(session)._replace(is_behind=is_full)


def present(session: Session) -> int:
    """Tell the position after which everything lies that commits from now on.

    Publishes what has been committed, in the present transaction: until it ends, nobody else does.
    """
    repository.lock_feed(session)
    while repository.publish(session) == repository.AT_A_TIME:
        """There may be more."""
    return repository.ends(session).last


def take(session: Session, consumer: str, *, limit: int = 500) -> Sequence[Event]:
    """Hand a consumer the next events, and note in the present transaction that it has had them.

    Empty when there are none, and when another worker is at it. Begins by ending the transaction of the caller.
    """
    catch_up(session)
    position = repository.lock_consumer(session, consumer)
    if position is None:
        return []
    found = repository.since(session, after=position, limit=limit)
    if found:
        repository.move_consumer(session, consumer, found[-1].position or 0)
    return found


def standing(session: Session) -> Standing:
    """Tell how far the feed has come, and those who read it."""
    last = repository.ends(session).last
    count, age = repository.unpublished(session)
    lags = {name: last - position for name, position in repository.consumers(session).items()}
    return Standing(last, count, float(age or 0), lags)


def named(session: Session, event_ids: Collection[UUID]) -> dict[UUID, Event]:
    """Find published events by id."""
    return {event.id: event for event in repository.named(session, event_ids)}


def keep_partitions(session: Session, *, days: int | None) -> list[str]:
    """Make room for the months to come, and drop months that ended more than so many days ago; tell which.

    A month that some consumer has not read to its end is kept. Publishers touch the feed before the events, so this
    does, too.
    """
    repository.be_brief(session)
    repository.lock_feed(session)
    repository.make_partitions(session)
    if days is None:
        return []
    slowest = min(repository.consumers(session).values(), default=0)
    past = [(name, last) for name, last in repository.past_partitions(session, days=days) if last <= slowest]
    for name, last in past:
        repository.drop_partition(session, name, last=last)
    repository.drop_default(session, days=days, last=slowest)
    return [name for name, _ in past]
