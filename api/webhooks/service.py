"""Webhooks: what happened, sent to the URLs of those who subscribed.

They are made from the feed of events: every event of a type that an endpoint wants becomes one delivery to it, in the
transaction that notes how far the feed has been read. A delivery is repeated until it succeeds or has been tried often
enough; each time it carries the same `webhook-id`, the event's id.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import urlsplit

import orjson
import structlog

from api.audit import service as audit
from api.core import ids
from api.core.caller import Caller
from api.core.scopes import ROLES, SCOPES
from api.core.vault import UnsealableError
from api.events import service as events
from api.jobs import service as jobs
from api.webhooks import guard, repository, signing
from api.webhooks.errors import (
    DeliveryNotFound,
    EndpointInactive,
    EndpointNotFound,
    EndpointOutOfReach,
    RotationUnderWay,
    TypeNotForOwner,
    UrlNotAllowed,
    UrlUnresolvable,
)
from api.webhooks.models import CANCELLED, FAILED, PENDING, WebhookDelivery, WebhookEndpoint
from api.webhooks.repository import WebhookRepository
from api.webhooks.schedule import MOST_ATTEMPTS, Health, Result, next_wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from ipaddress import IPv4Network, IPv6Network
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow
    from api.core.paging import Listing
    from api.core.vault import Vault
    from api.jobs.service import Job
    from api.webhooks.models import WebhookAttempt

log = structlog.get_logger(__name__)

TEST_TYPE = "webhook.test"
EXPIRED, UNWANTED, LOST = "event_expired", "not_wanted", "worker_lost"
"""Why a delivery is not sent: the feed has let the event go; the endpoint no longer gets such events, or its owner may
no longer see them; or it has been begun often enough by workers that have died over it."""

OVERLAP = timedelta(days=1)
"""How long messages are signed with the secret before the present one, too."""

LEASE = timedelta(seconds=30)
"""After this time a delivery that a worker took and said no more of is taken again; above any deadline for sending."""

KEPT_DAYS = 30
STRETCH = 5_000
"""How many positions of the feed are put on their way again with one statement."""


class EndpointChanges(TypedDict, total=False):
    """What can be changed about an endpoint."""

    url: str
    description: str | None
    types: list[str]
    headers: dict[str, str]
    max_in_flight: int
    is_active: bool


@dataclass(frozen=True, slots=True)
class Means:
    """What the installation provides: its secrets, and networks that may be reached although they are not public."""

    vault: Vault
    allowed: tuple[IPv4Network | IPv6Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Secret:
    """What messages are signed with, and until when also with the one before."""

    secret: str
    previous: str | None
    previous_until: datetime | None


@dataclass(frozen=True, slots=True)
class State:
    """How an endpoint has been doing, and what is on its way to it."""

    failures: int
    failing_since: datetime | None
    resume_at: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    pending: int
    in_flight: int
    oldest_pending_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How deliveries are doing altogether, for the metrics. Ages are in seconds."""

    pending: int
    oldest_pending: float
    results: dict[str, int]
    endpoints: dict[str, int]
    """How many are `closed`, as they should be, `open` after failures, or `disabled`."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """A delivery with all attempts."""

    delivery: WebhookDelivery
    attempts: Sequence[WebhookAttempt]


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery, ready to be sent and signed."""

    delivery_id: UUID
    endpoint_id: UUID
    event_id: UUID
    number: int
    url: str
    headers: dict[str, str]
    secrets: tuple[str, ...]
    body: bytes


def create(
    session: Session,
    *,
    url: str,
    means: Means,
    by: Caller,
    types: Sequence[str] = (),
    description: str | None = None,
    headers: dict[str, str] | None = None,
    max_in_flight: int = 4,
) -> WebhookEndpoint:
    """Add an endpoint; without `types` it gets every event that its owner may see.

    Raises:
        UrlNotAllowed, UrlUnresolvable: the URL must not be called, or cannot.
        EventTypeUnknown, EventTypeForbidden: there are no such events for the caller.

    """
    events.choose(types, scopes=by.scopes)
    _check_url(url, means)
    endpoint = WebhookEndpoint(
        url=url,
        description=description,
        types=sorted(set(types)),
        max_in_flight=max_in_flight,
        created_by=by.user_id,
        scopes=sorted(by.scopes),
        starts_after=events.present(session),
    )
    _seal(endpoint, headers or {}, means)
    WebhookRepository(session).add(endpoint)
    audit.record(session, "webhook_endpoint.created", by=by, subject_id=endpoint.id, host=_host(url))
    return endpoint


def get(session: Session, endpoint_id: UUID) -> WebhookEndpoint:
    """Find an endpoint.

    Raises:
        EndpointNotFound: there is none.

    """
    endpoint = WebhookRepository(session).get(endpoint_id)
    if endpoint is None:
        raise EndpointNotFound
    return endpoint


def listing(session: Session) -> Listing:
    """List endpoints, oldest first."""
    return WebhookRepository(session).listing()


def update(session: Session, endpoint: WebhookEndpoint, changes: EndpointChanges, *, means: Means, by: Caller) -> None:
    """Change an endpoint; one that is switched on again begins with a clean slate.

    Raises:
        EndpointOutOfReach: it gets what the caller may not see.
        TypeNotForOwner: its owner could not see such events.
        UrlNotAllowed, UrlUnresolvable, EventTypeUnknown, EventTypeForbidden: as with `create`.

    """
    _check_reach(endpoint, by)
    if "types" in changes:
        chosen = events.choose(changes["types"], scopes=by.scopes) if changes["types"] else set()
        if beyond := sorted(chosen - events.expand((), scopes=frozenset(endpoint.scopes))):
            raise TypeNotForOwner(name=beyond[0])
        changes["types"] = sorted(set(changes["types"]))
    if "url" in changes:
        _check_url(changes["url"], means)
    if "headers" in changes:
        _seal(endpoint, changes["headers"], means)
    for name in changes.keys() - {"headers", "is_active"}:
        setattr(endpoint, name, changes[name])  # type: ignore[literal-required]  # all are keys
    if "is_active" in changes:
        _switch(session, endpoint, is_on=changes["is_active"])
    WebhookRepository(session).save()
    audit.record(session, "webhook_endpoint.updated", by=by, subject_id=endpoint.id, changed=sorted(changes))


def delete(session: Session, endpoint: WebhookEndpoint, *, by: Caller) -> None:
    """Remove an endpoint; a worker sweeps away what was on its way to it."""
    WebhookRepository(session).delete(endpoint)
    jobs.defer(session, "sweep_deliveries", endpoint_id=str(endpoint.id))
    audit.record(session, "webhook_endpoint.deleted", by=by, subject_id=endpoint.id, host=_host(endpoint.url))


def secret(session: Session, endpoint_id: UUID, *, means: Means, by: Caller) -> Secret:
    """Show what messages to an endpoint are signed with.

    Raises:
        EndpointNotFound: there is none.
        EndpointOutOfReach: it gets what the caller may not see.

    """
    endpoint = get(session, endpoint_id)
    _check_reach(endpoint, by)
    audit.record(session, "webhook_secret.read", by=by, subject_id=endpoint.id)
    now = WebhookRepository(session).now()
    current, *former = _secrets(endpoint, endpoint.id, means.vault, now=now)
    return Secret(current, former[0] if former else None, endpoint.previous_until if former else None)


def rotate(session: Session, endpoint_id: UUID, *, by: Caller, keep_previous: bool = True) -> WebhookEndpoint:
    """Give an endpoint another secret; for a day, messages are signed with the one before too, unless it is to go.

    Raises:
        EndpointNotFound: there is none.
        EndpointOutOfReach: it gets what the caller may not see.
        RotationUnderWay: two secrets are in use, and a third would end the first before its time.

    """
    endpoint = get(session, endpoint_id)
    _check_reach(endpoint, by)
    now = WebhookRepository(session).now()
    if keep_previous and endpoint.previous_until and endpoint.previous_until > now:
        raise RotationUnderWay(until=endpoint.previous_until.isoformat(timespec="seconds").replace("+00:00", "Z"))
    endpoint.generation += 1
    endpoint.rotated_at, endpoint.previous_until = now, now + OVERLAP if keep_previous else None
    WebhookRepository(session).save()
    audit.record(session, "webhook_secret.rotated", by=by, subject_id=endpoint.id, keep_previous=keep_previous)
    return endpoint


def state(session: Session, endpoint_id: UUID) -> State:
    """Tell how an endpoint has been doing.

    Raises:
        EndpointNotFound: there is none.

    """
    endpoint = get(session, endpoint_id)
    count, oldest, in_flight = WebhookRepository(session).pending(endpoint_id)
    return State(
        failures=endpoint.failures,
        failing_since=endpoint.failing_since,
        resume_at=endpoint.resume_at,
        last_success_at=endpoint.last_success_at,
        last_failure_at=endpoint.last_failure_at,
        pending=count,
        in_flight=in_flight,
        oldest_pending_at=oldest,
    )


def deliveries(
    session: Session, endpoint_id: UUID, *, status: str | None = None, event_type: str | None = None
) -> Listing:
    """List deliveries to an endpoint, newest first.

    Raises:
        EndpointNotFound: there is none.

    """
    get(session, endpoint_id)
    return WebhookRepository(session).deliveries(endpoint_id, status=status, event_type=event_type)


def delivery(session: Session, endpoint_id: UUID, delivery_id: UUID) -> Attempted:
    """Find a delivery with its attempts.

    Raises:
        DeliveryNotFound: the endpoint has none of this id.

    """
    webhooks = WebhookRepository(session)
    found = webhooks.delivery(endpoint_id, delivery_id)
    if found is None:
        raise DeliveryNotFound
    return Attempted(found, webhooks.attempts(delivery_id))


def test(session: Session, endpoint_id: UUID) -> WebhookDelivery:
    """Send an endpoint an event of type `webhook.test`, which is in no feed; a pause is cut short.

    Raises:
        EndpointNotFound: there is none.
        EndpointInactive: it is switched off.

    """
    _active(session, endpoint_id)
    repository.wake(session, endpoint_id)
    return WebhookRepository(session).add_one(endpoint_id, event_id=ids.new(), event_type=TEST_TYPE)


def redeliver(session: Session, endpoint_id: UUID, delivery_id: UUID, *, by: Caller) -> WebhookDelivery:
    """Send a delivery once more, whatever became of it; neither it nor a paused endpoint need wait any longer.

    Raises:
        EndpointNotFound, DeliveryNotFound: there is none.
        EndpointOutOfReach: the endpoint gets what the caller may not see.
        EndpointInactive: it is switched off.

    """
    _check_reach(_active(session, endpoint_id), by)
    repository.wake(session, endpoint_id)  # endpoints are locked before deliveries, here as everywhere
    webhooks = WebhookRepository(session)
    found = webhooks.delivery(endpoint_id, delivery_id, locked=True)
    if found is None:
        raise DeliveryNotFound
    if found.claimed_until is None:
        found.status, found.attempts, found.due_at, found.finished_at = PENDING, 0, webhooks.now(), None
        webhooks.save()
    return found


def redeliver_since(
    session: Session, endpoint_id: UUID, *, since: datetime, by: Caller, only_failed: bool = False
) -> Job:
    """Have everything that was recorded since a moment sent to an endpoint once more, in the background.

    Raises:
        EndpointNotFound: there is none.
        EndpointOutOfReach: it gets what the caller may not see.
        EndpointInactive: it is switched off.

    """
    _check_reach(_active(session, endpoint_id), by)
    return jobs.start(
        session,
        "redeliver_webhooks",
        by=by,
        endpoint_id=str(endpoint_id),
        since=since.isoformat(),
        only_failed=only_failed,
    )


def put_on_its_way_again(session: Session, endpoint_id: UUID, *, since: datetime, only_failed: bool) -> Iterator[int]:
    """Put every event recorded since a moment on its way to an endpoint; tell how many, stretch by stretch.

    After each the transaction is to end, for the endpoint is locked: it gets nothing meanwhile.
    """
    last = events.present(session)
    yield 0
    after = repository.position_before(session, since)
    for start in range(last if after is None else after, last, STRETCH):
        endpoint = repository.lock_subscriber(session, endpoint_id)
        if endpoint is None:
            return
        stretch, wanted = {"after": start, "until": min(last, start + STRETCH)}, _wanted(endpoint)
        yield repository.add_again(session, endpoint_id, **stretch, types=wanted, only_failed=only_failed)


def fan_out(session: Session) -> bool:
    """Make deliveries of the next events of the feed; tells whether there were any."""
    taken = events.take(session, "webhooks")
    if not taken:
        return False
    wanted = [(row.id, row.starts_after, _wanted(row)) for row in repository.subscribers(session)]
    lines = [
        (endpoint_id, event.id, event.type, event.position)
        for event in taken
        for endpoint_id, starts_after, types in wanted
        if event.type in types and (event.position or 0) > starts_after
    ]
    if lines:
        repository.add(session, lines)
    return True


def claim(session: Session, *, room: int, means: Means) -> list[Message]:
    """Take up to `room` deliveries that are due and make messages of them; what is not to be sent is given up."""
    taken = repository.claim(session, room=room, lease=LEASE)
    if not taken:
        return []
    known = events.named(session, [row.event_id for row in taken if row.event_type != TEST_TYPE])
    wanted = {row.endpoint_id: _wanted(row) | {TEST_TYPE} for row in taken}
    unsent: dict[str, list[UUID]] = defaultdict(list)
    bodies = {}
    for row in taken:
        if row.attempts > MOST_ATTEMPTS:
            unsent[LOST].append(row.id)
        elif row.event_type not in wanted[row.endpoint_id]:
            unsent[UNWANTED].append(row.id)
        elif row.event_type == TEST_TYPE:
            bodies[row.id] = _test_body(row)
        elif row.event_id in known:
            bodies[row.id] = _body(known[row.event_id])
        else:
            unsent[EXPIRED].append(row.id)
    for reason, delivery_ids in unsent.items():
        repository.give_up(session, delivery_ids, status=FAILED if reason == LOST else CANCELLED, error=reason)
    now = WebhookRepository(session).now()
    return [
        Message(
            delivery_id=row.id,
            endpoint_id=row.endpoint_id,
            event_id=row.event_id,
            number=row.attempts,
            url=row.url,
            headers=_unseal(row.headers, means),
            secrets=_secrets(row, row.endpoint_id, means.vault, now=now),
            body=bodies[row.id],
        )
        for row in taken
        if row.id in bodies
    ]


def settle(session: Session, results: Sequence[Result]) -> None:
    """Write down what came of attempts, and what follows for deliveries and endpoints."""
    by_endpoint: dict[Any, list[Result]] = defaultdict(list)
    for one in results:
        by_endpoint[one.endpoint_id].append(one)
    for row in repository.lock_health(session, by_endpoint):
        health = Health(row.failures, row.failing_since, row.resume_at, row.last_success_at, row.last_failure_at)
        for one in by_endpoint[row.id]:
            health.note(one, now=row.now)
        if not row.is_active:
            health.disabled_reason = None
        _log_turn(row, health)
        repository.write_health(session, row.id, health)
        if health.disabled_reason:
            data = {
                "host": _host(row.url),
                "reason": health.disabled_reason,
                "created_by": str(row.created_by) if row.created_by else None,
            }
            events.record(session, "webhook_endpoint.disabled", row.id, data, by=Caller.system())
    waits = {one.delivery_id: None if one.is_success else next_wait(one.number, one.retry_after) for one in results}
    repository.settle(session, results, waits)
    repository.tally(session, Counter("delivered" if one.is_success else one.error or "unknown" for one in results))


def standing(session: Session) -> Standing:
    """Tell how much is on its way, and how attempts have ended so far."""
    pending, age = repository.depth(session)
    return Standing(pending, float(age or 0), repository.tallies(session), repository.circuits(session))


def purge(session: Session) -> Iterator[int]:
    """Forget deliveries that ended a month ago, and those to endpoints that are gone; tell how many, batch by batch."""
    while some := repository.purge(session, days=KEPT_DAYS):
        yield some
    for endpoint_id in repository.deserted(session):
        yield from sweep(session, endpoint_id)


def sweep(session: Session, endpoint_id: UUID) -> Iterator[int]:
    """Forget the deliveries to an endpoint that is gone; tell how many, batch by batch."""
    while some := repository.sweep(session, endpoint_id):
        yield some


def _log_turn(before: AnyRow, health: Health) -> None:
    """Tell operators when an endpoint is paused, well again, or switched off; not each attempt."""
    facts = {"endpoint": str(before.id), "failures": health.failures}
    if health.disabled_reason:
        log.warning("webhook_endpoint_disabled", reason=health.disabled_reason, **facts)
    elif health.resume_at and health.resume_at != before.resume_at:
        log.warning("webhook_endpoint_paused", until=health.resume_at.isoformat(), **facts)
    elif before.resume_at and health.resume_at is None:
        log.info("webhook_endpoint_resumed", **facts)


def _check_url(url: str, means: Means) -> None:
    try:
        guard.check(url, means.allowed)
    except guard.NotAllowed as error:
        raise UrlNotAllowed(reason=str(error)) from None
    except guard.Unresolvable as error:
        raise UrlUnresolvable(reason=str(error)) from None


def _check_reach(endpoint: WebhookEndpoint, by: Caller) -> None:
    got = events.expand(endpoint.types, scopes=frozenset(endpoint.scopes))
    if hidden := sorted(got - events.expand((), scopes=by.scopes)):
        raise EndpointOutOfReach(name=hidden[0])


def _host(url: str) -> str:
    """Name where a URL leads, without what may be a secret in its path or query."""
    return urlsplit(url).hostname or "?"


def _active(session: Session, endpoint_id: UUID) -> WebhookEndpoint:
    endpoint = get(session, endpoint_id)
    if not endpoint.is_active:
        raise EndpointInactive
    return endpoint


def _switch(session: Session, endpoint: WebhookEndpoint, *, is_on: bool) -> None:
    if is_on == endpoint.is_active:
        return
    endpoint.is_active = is_on
    if is_on:
        endpoint.starts_after = events.present(session)
        endpoint.disabled_at = endpoint.disabled_reason = None
        endpoint.failures, endpoint.failing_since, endpoint.resume_at = 0, None, None
    else:
        endpoint.disabled_at, endpoint.disabled_reason = WebhookRepository(session).now(), "by_hand"


def _seal(endpoint: WebhookEndpoint, headers: dict[str, str], means: Means) -> None:
    endpoint.header_names = sorted(headers)
    endpoint.headers = means.vault.encrypt(orjson.dumps(headers)) if headers else None


def _unseal(sealed: bytes | None, means: Means) -> dict[str, str]:
    if sealed is None:
        return {}
    try:
        headers: dict[str, str] = orjson.loads(means.vault.decrypt(sealed))
    except UnsealableError:
        log.warning("webhook_headers_unreadable", reason="They were encrypted with another key; set them again.")
        return {}
    return headers


def _secrets(endpoint: WebhookEndpoint | AnyRow, endpoint_id: UUID, vault: Vault, *, now: datetime) -> tuple[str, ...]:
    """Derive the secrets an endpoint's messages are signed with, the present one first."""
    generations = [endpoint.generation]
    if endpoint.previous_until is not None and endpoint.previous_until > now:
        generations.append(endpoint.generation - 1)
    return tuple(signing.as_secret(vault.derive("webhook", endpoint_id, generation)) for generation in generations)


def _wanted(row: AnyRow) -> frozenset[str]:
    """Find the types an endpoint gets: those it names, as far as whoever made it may (still) see them."""
    scopes = frozenset(row.scopes)
    if row.created_by is not None:
        if not row.is_active:
            return frozenset()
        scopes &= ROLES[row.role]
    return events.expand(row.types, scopes=scopes & frozenset(SCOPES))


def _body(event: events.Event) -> bytes:
    told = events.as_json(event)
    return orjson.dumps({"type": told["type"], "timestamp": told["occurred_at"], **told})


def _test_body(row: AnyRow) -> bytes:
    moment = row.created_at.isoformat().replace("+00:00", "Z")
    said = {"message": "This endpoint is reached, and its signature can be verified."}
    return orjson.dumps({"type": TEST_TYPE, "timestamp": moment, "id": str(row.event_id), "data": said})
