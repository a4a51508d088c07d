"""Every statement about webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, String, Uuid, case, column, delete, func, insert, select, table, text, update

from api.core import bulk, ids
from api.core.orm import Repository
from api.core.paging import Listing
from api.webhooks.models import DELIVERED, FAILED, PENDING, WebhookAttempt, WebhookDelivery, WebhookEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow
    from api.webhooks.schedule import Health, Result

_USERS = table("users", column("id", Uuid), column("role", String), column("is_active", Boolean))
_EVENTS = table("events", column("position"), column("recorded_at"))
"""What this domain reads of others' tables."""

_ADDED = {"id": "uuid", "endpoint_id": "uuid", "event_id": "uuid", "event_type": "text", "position": "int8"}
_ADD = f"""
    INSERT INTO webhook_deliveries AS delivery (id, endpoint_id, event_id, event_type, position)
    SELECT id, endpoint_id, event_id, event_type, position FROM {bulk.unnest("line", _ADDED)}
"""  # noqa: S608  # only names from the table above are put into the text
_ADD_NEW = text(_ADD + "ON CONFLICT (endpoint_id, event_id) DO NOTHING")

_AGAIN = """
    INSERT INTO webhook_deliveries AS delivery (id, endpoint_id, event_id, event_type, position)
    SELECT gen_random_uuid(), :endpoint_id, id, type, position FROM events
    WHERE position > :after AND position <= :until AND type = ANY(CAST(:types AS text[]))
    ORDER BY position
    ON CONFLICT (endpoint_id, event_id) DO UPDATE
    SET status = 'pending', attempts = 0, due_at = now(), finished_at = NULL
    WHERE delivery.status <> 'pending' AND (NOT :only_failed OR delivery.status <> 'delivered')
"""

_AWAKE = text("""
    SELECT id FROM webhook_endpoints AS endpoint
    WHERE is_active AND (resume_at IS NULL OR resume_at <= now()) AND EXISTS (
        SELECT FROM webhook_deliveries
        WHERE endpoint_id = endpoint.id AND status = 'pending' AND due_at <= now()
    )
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
""")
# Who has failed last gets one at a time. In turn, one of each endpoint: many to one do not crowd out few to others.
_CLAIM = text("""
    WITH due AS (
        SELECT chosen.id FROM webhook_endpoints AS awake CROSS JOIN LATERAL (
            SELECT id, due_at, position FROM webhook_deliveries
            WHERE endpoint_id = awake.id AND status = 'pending' AND due_at <= now()
            ORDER BY due_at, position
            LIMIT greatest(0, CASE WHEN awake.failures > 0 THEN 1 ELSE awake.max_in_flight END - (
                SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = awake.id AND claimed_until > now()
            ))
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS chosen
        WHERE awake.id = ANY(:endpoint_ids)
        ORDER BY row_number() OVER (PARTITION BY awake.id ORDER BY chosen.due_at, chosen.position),
                 chosen.due_at, chosen.position
        LIMIT :room
    )
    UPDATE webhook_deliveries AS delivery
    SET attempts = attempts + 1, claimed_until = now() + :lease, due_at = now() + :lease
    FROM due, webhook_endpoints AS endpoint LEFT JOIN users ON users.id = endpoint.created_by
    WHERE delivery.id = due.id AND endpoint.id = delivery.endpoint_id
    RETURNING delivery.id, delivery.endpoint_id, delivery.event_id, delivery.event_type, delivery.attempts,
              delivery.created_at, endpoint.url, endpoint.headers, endpoint.generation, endpoint.previous_until,
              endpoint.types, endpoint.scopes, endpoint.created_by, users.role, users.is_active
""")

_SETTLED = {
    "id": "uuid",
    "number": "int4",
    "outcome": "text",
    "wait": "interval",
    "status": "int2",
    "error": "text",
}
_SETTLE = text(f"""
    UPDATE webhook_deliveries AS delivery
    SET status = line.outcome, claimed_until = NULL, last_status = line.status, last_error = line.error,
        due_at = now() + coalesce(line.wait, interval '0'),
        finished_at = CASE WHEN line.outcome = 'pending' THEN NULL ELSE now() END
    FROM {bulk.unnest("line", _SETTLED)}
    WHERE delivery.id = line.id AND delivery.status = 'pending'
    AND (delivery.attempts = line.number OR line.outcome = 'delivered')
""")  # noqa: S608  # the same

_TALLY = text("""
    INSERT INTO webhook_results AS known (result, total)
    SELECT * FROM unnest(CAST(:results AS text[]), CAST(:totals AS int8[]))
    ON CONFLICT (result) DO UPDATE SET total = known.total + excluded.total
""")

_DEPTH = text("""
    SELECT count(*) AS pending, extract(epoch FROM now() - min(delivery.created_at))::float AS oldest_seconds
    FROM webhook_deliveries AS delivery JOIN webhook_endpoints AS endpoint ON endpoint.id = delivery.endpoint_id
    WHERE delivery.status = 'pending' AND endpoint.is_active
""")


_DESERTED = text("""
    WITH RECURSIVE known AS (
        (SELECT endpoint_id FROM webhook_deliveries ORDER BY endpoint_id LIMIT 1)
        UNION ALL
        SELECT (SELECT endpoint_id FROM webhook_deliveries WHERE endpoint_id > known.endpoint_id
                ORDER BY endpoint_id LIMIT 1)
        FROM known WHERE known.endpoint_id IS NOT NULL
    )
    SELECT endpoint_id FROM known
    WHERE endpoint_id IS NOT NULL AND NOT EXISTS (SELECT FROM webhook_endpoints WHERE id = endpoint_id)
""")

FORGETS_AT_ONCE = 5_000


class WebhookRepository(Repository[WebhookEndpoint]):
    """Endpoints and what is on its way to them."""

    model = WebhookEndpoint

    def listing(self) -> Listing:
        """List endpoints, oldest first."""
        return Listing(select(WebhookEndpoint), keys=(WebhookEndpoint.id,))

    def save(self) -> None:
        """Send changes at once."""
        self.session.flush()

    def delete(self, endpoint: WebhookEndpoint) -> None:
        """Remove an endpoint; its deliveries are swept away by others."""
        self.session.delete(endpoint)
        self.session.flush()

    def deliveries(self, endpoint_id: UUID, *, status: str | None, event_type: str | None) -> Listing:
        """List deliveries, newest first."""
        query = select(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint_id)
        if status is not None:
            query = query.where(WebhookDelivery.status == status)
        if event_type is not None:
            query = query.where(WebhookDelivery.event_type == event_type)
        return Listing(query, keys=(WebhookDelivery.created_at, WebhookDelivery.id), descending=True)

    def delivery(self, endpoint_id: UUID, delivery_id: UUID, *, locked: bool = False) -> WebhookDelivery | None:
        """Find a delivery of an endpoint."""
        query = select(WebhookDelivery).where(
            WebhookDelivery.id == delivery_id, WebhookDelivery.endpoint_id == endpoint_id
        )
        return self.one(query.with_for_update() if locked else query)  # type: ignore[arg-type,return-value]  # another model of the same house

    def attempts(self, delivery_id: UUID) -> Sequence[WebhookAttempt]:
        """Read the attempts of a delivery, in order."""
        query = select(WebhookAttempt).where(WebhookAttempt.delivery_id == delivery_id).order_by(WebhookAttempt.id)
        return self.session.scalars(query).all()

    def add_one(self, endpoint_id: UUID, *, event_id: UUID, event_type: str) -> WebhookDelivery:
        """Put one delivery on its way."""
        delivery = WebhookDelivery(endpoint_id=endpoint_id, event_id=event_id, event_type=event_type)
        self.session.add(delivery)
        self.session.flush()
        return delivery

    def pending(self, endpoint_id: UUID) -> AnyRow:
        """Count what is on its way to an endpoint, and tell since when the oldest has been."""
        in_flight = func.count().filter(WebhookDelivery.claimed_until > func.now())
        query = select(func.count(), func.min(WebhookDelivery.created_at), in_flight).where(
            WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.status == PENDING
        )
        return self.session.execute(query).one()


def subscribers(session: Session) -> Sequence[AnyRow]:
    """Read the endpoints that are switched on, with the roles of those who made them."""
    return session.execute(_subscribers().where(WebhookEndpoint.is_active)).all()


def lock_subscriber(session: Session, endpoint_id: UUID) -> AnyRow | None:
    """Read the same of one endpoint, and keep workers from its deliveries until this transaction ends."""
    query = _subscribers().where(WebhookEndpoint.id == endpoint_id)
    return session.execute(query.with_for_update(of=WebhookEndpoint, key_share=True)).one_or_none()


def _subscribers() -> Select[Any]:
    return select(
        WebhookEndpoint.id,
        WebhookEndpoint.types,
        WebhookEndpoint.scopes,
        WebhookEndpoint.starts_after,
        WebhookEndpoint.created_by,
        _USERS.c.role,
        _USERS.c.is_active,
    ).outerjoin(_USERS, _USERS.c.id == WebhookEndpoint.created_by)


def add(session: Session, lines: Iterable[tuple[UUID, UUID, str, int | None]]) -> None:
    """Put deliveries on their way: endpoint, event, its type and position; one that is there already is left alone."""
    rows = [(ids.new(), *line) for line in lines]
    session.execute(_ADD_NEW, bulk.arrays("line", _ADDED, rows))


def add_again(
    session: Session, endpoint_id: UUID, *, after: int, until: int, types: Iterable[str], only_failed: bool
) -> int:
    """Put a stretch of the feed on its way to an endpoint, whatever became of it before; tell how many."""
    facts = {"endpoint_id": endpoint_id, "after": after, "until": until, "types": sorted(types)}
    return session.execute(text(_AGAIN), facts | {"only_failed": only_failed}).rowcount  # type: ignore[attr-defined,no-any-return]  # of a cursor result


def position_before(session: Session, moment: datetime) -> int | None:
    """Find the position before the first event that was recorded at a moment or later."""
    first = select(func.min(_EVENTS.c.position)).where(_EVENTS.c.recorded_at >= moment)
    found = session.scalar(first)
    return None if found is None else found - 1


def claim(session: Session, *, room: int, lease: timedelta) -> Sequence[AnyRow]:
    """Take what is due, within what each endpoint bears at a time; after the lease, others may take it again.

    What each endpoint is sent already is counted with a snapshot from after it was locked, so that no two workers
    count at the same moment.
    """
    endpoint_ids = session.scalars(_AWAKE).all()
    if not endpoint_ids:
        return []
    return session.execute(_CLAIM, {"endpoint_ids": endpoint_ids, "room": room, "lease": lease}).all()


def give_up(session: Session, delivery_ids: Iterable[UUID], *, status: str, error: str) -> None:
    """End deliveries that are not to be sent."""
    query = update(WebhookDelivery).where(WebhookDelivery.id.in_(delivery_ids))
    ended = {"status": status, "claimed_until": None, "last_error": error, "finished_at": func.now()}
    session.execute(query.values(ended))


def wake(session: Session, endpoint_id: UUID) -> None:
    """Let a paused endpoint have an attempt now; whether the pause is over, that will tell."""
    table_ = WebhookEndpoint.__table__
    paused = update(table_).where(table_.c.id == endpoint_id, table_.c.resume_at > func.now())  # type: ignore[arg-type]  # a Table, which mypy takes for any FROM
    session.execute(paused.values(resume_at=func.now()))


def lock_health(session: Session, endpoint_ids: Iterable[UUID]) -> Sequence[AnyRow]:
    """Read how endpoints have been doing, and let nobody else write it meanwhile."""
    query = select(
        WebhookEndpoint.id,
        WebhookEndpoint.url,
        WebhookEndpoint.created_by,
        WebhookEndpoint.is_active,
        WebhookEndpoint.failures,
        WebhookEndpoint.failing_since,
        WebhookEndpoint.resume_at,
        WebhookEndpoint.last_success_at,
        WebhookEndpoint.last_failure_at,
        func.now().label("now"),
    ).where(WebhookEndpoint.id.in_(sorted(endpoint_ids)))
    return session.execute(query.order_by(WebhookEndpoint.id).with_for_update(key_share=True)).all()


def write_health(session: Session, endpoint_id: UUID, health: Health) -> None:
    """Write down how an endpoint has been doing, and switch it off if it is to be; only that is a change of it."""
    values: dict[str, Any] = {
        "failures": health.failures,
        "failing_since": health.failing_since,
        "resume_at": health.resume_at,
        "last_success_at": health.last_success_at,
        "last_failure_at": health.last_failure_at,
    }
    if health.disabled_reason:
        values |= {"is_active": False, "disabled_at": func.now(), "disabled_reason": health.disabled_reason}
        values |= {"version": WebhookEndpoint.version + 1, "updated_at": func.now()}
    table_ = WebhookEndpoint.__table__
    session.execute(update(table_).where(table_.c.id == endpoint_id).values(values))  # type: ignore[arg-type]  # a Table, which mypy takes for any FROM


def settle(session: Session, results: Sequence[Result], waits: Mapping[object, timedelta | None]) -> None:
    """Write down attempts and what follows for their deliveries; a late failure changes nothing any more."""
    lines = []
    for one in results:
        wait = waits[one.delivery_id]
        outcome = DELIVERED if one.is_success else FAILED if wait is None else PENDING
        lines.append((one.delivery_id, one.number, outcome, wait, one.status, one.error))
    session.execute(_SETTLE, bulk.arrays("line", _SETTLED, lines))
    there = select(WebhookDelivery.id).where(WebhookDelivery.id.in_(waits)).order_by(WebhookDelivery.id)
    known = set(session.scalars(there.with_for_update(read=True, key_share=True)))
    attempts = [
        {
            "id": ids.new(),
            "delivery_id": one.delivery_id,
            "number": one.number,
            "started_at": one.started_at,
            "duration_ms": one.duration_ms,
            "status": one.status,
            "error": one.error,
            "detail": one.detail,
            "excerpt": one.excerpt,
        }
        for one in results
        if one.delivery_id in known
    ]
    if attempts:
        session.execute(insert(WebhookAttempt), attempts)


def tally(session: Session, results: Mapping[str, int]) -> None:
    """Add to the counts of the metrics."""
    rows = sorted(results.items())
    facts = {"results": [name for name, _ in rows], "totals": [total for _, total in rows]}
    session.execute(_TALLY, facts)


def tallies(session: Session) -> dict[str, int]:
    """Tell how often attempts have ended in each way."""
    return {row.result: row.total for row in session.execute(text("SELECT result, total FROM webhook_results"))}


def depth(session: Session) -> AnyRow:
    """Count what is on its way to endpoints that are switched on, and tell how old the oldest is, in seconds."""
    return session.execute(_DEPTH).one()


def circuits(session: Session) -> dict[str, int]:
    """Count endpoints by what is done with them: `closed` circuits deliver, `open` ones wait, `disabled` are off."""
    is_off, is_open = WebhookEndpoint.is_active.is_(False), WebhookEndpoint.resume_at.is_not(None)
    state = case((is_off, "disabled"), (is_open, "open"), else_="closed")
    rows = session.execute(select(state.label("state"), func.count().label("endpoints")).group_by(state))
    return {row.state: row.endpoints for row in rows}


def purge(session: Session, *, days: int) -> int:
    """Forget some of the deliveries that ended so long ago; tell how many."""
    old = select(WebhookDelivery.id).where(WebhookDelivery.finished_at < func.now() - func.make_interval(0, 0, 0, days))
    return _forget(session, old)


def sweep(session: Session, endpoint_id: UUID) -> int:
    """Forget some of the deliveries to an endpoint that is gone; tell how many."""
    return _forget(session, select(WebhookDelivery.id).where(WebhookDelivery.endpoint_id == endpoint_id))


def deserted(session: Session) -> Sequence[UUID]:
    """Name the endpoints that are gone and of which there are deliveries all the same."""
    return session.scalars(_DESERTED).all()


def _forget(session: Session, chosen: Select[Any]) -> int:
    some = chosen.limit(FORGETS_AT_ONCE).with_for_update(skip_locked=True)
    query = delete(WebhookDelivery).where(WebhookDelivery.id.in_(some.scalar_subquery()))
    return session.execute(query.execution_options(synchronize_session=False)).rowcount  # type: ignore[attr-defined,no-any-return]  # of a cursor result
