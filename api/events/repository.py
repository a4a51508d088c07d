"""Every statement about events."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from sqlalchemy import exists, func, select, text, update

from api.core import bulk, ids
from api.core.paging import Listing
from api.core.prepared import Prepared
from api.events.models import Consumer, Event, Feed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.orm import AnyRow

AT_A_TIME = 1000
"""How many events one statement publishes."""

_ADD = Prepared("""
    INSERT INTO events (id, type, subject_id, data, actor_id, request_id)
    VALUES (:id, :type, :subject_id, CAST(:data AS jsonb), :actor_id, :request_id)
""")

TYPES = {"id": "uuid", "subject_id": "uuid", "data": "jsonb"}
_ADD_ALL = text(f"""
    INSERT INTO events (id, type, subject_id, data, actor_id, request_id)
    SELECT line.id, :type, line.subject_id, line.data, CAST(:actor_id AS uuid), CAST(:request_id AS text)
    FROM {bulk.unnest("line", TYPES)}
""")  # noqa: S608  # only names from the tables above are put into the text

_PUBLISH = text("""
    WITH pending AS MATERIALIZED (
        SELECT id, recorded_at, subject_id,
               row_number() OVER (ORDER BY number) AS place,
               row_number() OVER (PARTITION BY subject_id ORDER BY number) AS step
        FROM (SELECT * FROM events WHERE position IS NULL ORDER BY number LIMIT :at_a_time) AS oldest
    ), counted AS (
        INSERT INTO event_subjects AS subject (subject_id, sequence)
        SELECT subject_id, count(*) FROM pending GROUP BY subject_id ORDER BY subject_id
        ON CONFLICT (subject_id) DO UPDATE SET sequence = subject.sequence + excluded.sequence
        RETURNING subject_id, sequence
    ), totals AS (
        SELECT subject_id, count(*) AS steps FROM pending GROUP BY subject_id
    ), feed AS (
        UPDATE event_feed SET last = last + (SELECT count(*) FROM pending)
        RETURNING last - (SELECT count(*) FROM pending) AS before
    )
    UPDATE events AS event
    SET position = feed.before + pending.place, sequence = counted.sequence - totals.steps + pending.step
    FROM pending JOIN counted USING (subject_id) JOIN totals USING (subject_id) CROSS JOIN feed
    WHERE event.id = pending.id AND event.recorded_at = pending.recorded_at
""")

_DROP_DEFAULT = text("""
    WITH gone AS (
        DELETE FROM events_default
        WHERE recorded_at < date_trunc('month', now() - make_interval(days => :days), 'UTC') AND position <= :last
        RETURNING position
    )
    SELECT max(position) FROM gone
""")


class Ends(NamedTuple):
    """Where the feed begins and ends, and whether committed events wait for a place in it."""

    first: int
    last: int
    is_behind: bool


def add(session: Session, type_: str, subject_id: UUID, data: dict[str, Any], *, by: Caller) -> None:
    """Write down one event."""
    values = {"id": ids.new(), "type": type_, "subject_id": subject_id, "data": orjson.dumps(data).decode()}
    _ADD.later(session, values | {"actor_id": by.user_id, "request_id": by.request_id})


def add_all(session: Session, type_: str, news: Iterable[tuple[UUID, dict[str, Any]]], *, by: Caller) -> None:
    """Write down many events of one type, with one statement."""
    rows = [(ids.new(), subject_id, orjson.dumps(data).decode()) for subject_id, data in news]
    facts = {"type": type_, "actor_id": by.user_id, "request_id": by.request_id}
    session.execute(_ADD_ALL, facts | bulk.arrays("line", TYPES, rows))


def of_subject(subject_id: UUID, *, without: Sequence[str]) -> Listing:
    """List what happened to a subject in the order in which it was written."""
    query = select(Event).where(Event.subject_id == subject_id)
    if without:
        query = query.where(Event.type.not_in(without))
    return Listing(query, keys=(Event.number,))


def ends(session: Session) -> Ends:
    """Look at the feed from afar."""
    is_behind = exists().where(Event.position.is_(None))
    return Ends(*session.execute(select(Feed.first, Feed.last, is_behind)).one())


def publish(session: Session) -> int:
    """Give a place in the feed to committed events that have none, at most a thousand; tell how many.

    Places are consecutive and given in the order of `number`. Whoever publishes holds the feed's row until the commit,
    so places become visible in their order; who finds it locked leaves the work to the other. The row is locked by a
    statement before, because only a snapshot taken afterwards shows what the publisher before has done.
    """
    if session.scalar(select(Feed.last).with_for_update(skip_locked=True)) is None:
        return 0
    return session.execute(_PUBLISH, {"at_a_time": AT_A_TIME}).rowcount  # type: ignore[attr-defined,no-any-return]  # of a cursor result


def published(
    session: Session, *, after: int, until: int, types: Collection[str], subject_id: UUID | None, limit: int
) -> Sequence[Event]:
    """Read published events, in their order."""
    query = select(Event).where(Event.position > after, Event.position <= until, Event.type.in_(sorted(types)))
    if subject_id is not None:
        query = query.where(Event.subject_id == subject_id)
    return session.scalars(query.order_by(Event.position).limit(limit)).all()


def named(session: Session, event_ids: Collection[UUID]) -> Sequence[Event]:
    """Find events by id; one that is not published yet is not there."""
    query = select(Event).where(Event.id.in_(event_ids), Event.position.is_not(None))
    return session.scalars(query).all()


def since(session: Session, *, after: int, limit: int) -> Sequence[Event]:
    """Read the next published events of any type."""
    query = select(Event).where(Event.position > after).order_by(Event.position).limit(limit)
    return session.scalars(query).all()


def lock_consumer(session: Session, name: str) -> int | None:
    """Lock how far a consumer has come; None when somebody else has."""
    return session.scalar(select(Consumer.position).where(Consumer.name == name).with_for_update(skip_locked=True))


def move_consumer(session: Session, name: str, position: int) -> None:
    """Note how far a consumer has come."""
    session.execute(update(Consumer).where(Consumer.name == name).values(position=position))


def unpublished(session: Session) -> AnyRow:
    """Count committed events that have no place yet, and tell how old the oldest is, in seconds."""
    age = func.extract("epoch", func.now() - func.min(Event.recorded_at))
    return session.execute(select(func.count(), age).where(Event.position.is_(None))).one()


def consumers(session: Session) -> dict[str, int]:
    """Tell how far every consumer has come."""
    return {row.name: row.position for row in session.execute(select(Consumer.name, Consumer.position))}


def lock_feed(session: Session) -> None:
    """Let nobody else publish until this transaction ends. Whoever locks the table of events too does this before."""
    session.execute(select(Feed.last).with_for_update())


def be_brief(session: Session) -> None:
    """Give up, rather than have everybody who records an event wait behind this transaction for a lock."""
    session.execute(text("SET LOCAL lock_timeout = '2s'"))


def make_partitions(session: Session) -> None:
    """Make the partitions of the months to come."""
    session.execute(select(func.keep_event_partitions(func.now())))


def past_partitions(session: Session, *, days: int) -> Sequence[tuple[str, int]]:
    """Name partitions, oldest first, whose events are all older than so many days, with the last position of each."""
    month = func.to_char(func.timezone("UTC", func.now() - timedelta(days=days)), "YYYY_MM")
    names = session.scalars(
        text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass ORDER BY 1")
    )
    oldest_kept = f"events_{session.scalar(select(month))}"
    last = "SELECT coalesce(max(position), 0), bool_and(position IS NOT NULL) FROM {}"
    found = []
    for name in names:
        if name >= oldest_kept or name == "events_default":
            continue
        position, is_published = session.execute(text(last.format(name))).one()
        if is_published is not False:
            found.append((name, position))
    return found


def drop_partition(session: Session, name: str, *, last: int) -> None:
    """Let go of a month of events, and note where the feed begins now."""
    session.execute(text(f"DROP TABLE {name}"))
    _begin_after(session, last)


def drop_default(session: Session, *, days: int, last: int) -> None:
    """Let go of past months that nobody had made a partition for, up to a position."""
    gone = session.scalar(_DROP_DEFAULT, {"days": days, "last": last})
    if gone is not None:
        _begin_after(session, gone)


def _begin_after(session: Session, position: int) -> None:
    session.execute(update(Feed).values(first=func.greatest(Feed.first, position + 1)))
