"""Reservations: stock is kept for somebody for a while. They lapse by the database's clock, not by anybody's doing.

Whose time is over keeps nothing from that moment on: readers see its units as available, whoever would be refused takes
them, and once a minute the rest is written down (see `lapse`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from api.core import ids
from api.events import service as events
from api.jobs import service as jobs
from api.locations import service as locations
from api.reservations.errors import (
    CustomerUnknown,
    ExpiryTooEarly,
    FieldNotAllowed,
    ItemArchived,
    KeptTooLong,
    ReservationEnded,
    ReservationLimitReached,
    ReservationNotFound,
)
from api.reservations.models import HELD, LAPSED, ORDERED, RELEASED, Reservation, ReservationLine
from api.reservations.repository import ReservationRepository
from api.stock import service as stock
from api.users import service as users

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.paging import Listing

LONGEST = timedelta(days=30)
MOST_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Terms:
    """How much one customer may keep at once, and how locations are chosen."""

    units: int
    reservations: int
    policy: str = stock.DEFAULT_POLICY


class Papers(TypedDict, total=False):
    """What is written down about a reservation."""

    reference: str
    note: str


def create(
    session: Session,
    *,
    lines: Sequence[stock.Line],
    ttl_seconds: int,
    terms: Terms,
    by: Caller,
    location_id: UUID | None = None,
    customer_id: UUID | None = None,
    **papers: Unpack[Papers],
) -> Reservation:
    """Keep stock for so many seconds, all or nothing.

    What customers reserve is their own, and counts against the cap; others reserve for the customer they name, or a
    guest.

    Raises:
        InsufficientStock: naming every item that is short.
        ReservationLimitReached: the customer would keep too much.
        CustomerUnknown, FieldNotAllowed: there is no such customer, or it is not for the caller to name one.
        ItemUnknown, ItemNotStocked, ItemArchived, RepeatedItem: naming every such line.
        LocationUnknown, LocationArchived, LocationReserved, LocationDoesNotSell: the location named cannot serve it.

    """
    reservations = ReservationRepository(session)
    owner_id = _owner(session, customer_id, by)
    known = stock.resolve(session, lines)
    _check_sold(known)
    if location_id is not None:
        locations.ensure(session, location_id, sells=True)
    if not by.may("orders:all") and owner_id is not None:
        _check_cap(reservations, owner_id, sum(one.quantity for one in known), terms)
    expires_at = stock.clock(session) + timedelta(seconds=ttl_seconds)
    reservation = Reservation(
        id=ids.new(),
        customer_id=owner_id,
        **papers,
        created_by=by.user_id,
        expires_at=expires_at,
        lines=[ReservationLine(line_no=one.number + 1, item_id=one.item.id, quantity=one.quantity) for one in known],
    )
    demands = [stock.Demand(one.number + 1, one.item.id, one.quantity, sku=one.item.sku) for one in known]
    promise = stock.Promise(
        reservation.id, demands, expires_at=expires_at, location_id=location_id, policy=terms.policy
    )
    stock.reserve(session, promise, by=by)
    reservations.add(reservation)
    told = [{"item_id": str(one.item.id), "sku": one.item.sku, "quantity": one.quantity} for one in known]
    _tell(session, reservation, "created", by=by, lines=told)
    return get(session, reservation.id, by=by)


def get(session: Session, reservation_id: UUID, *, by: Caller) -> Reservation:
    """Find a reservation with its lines.

    Raises:
        ReservationNotFound: there is none, or it is somebody else's.

    """
    return _owned(ReservationRepository(session).with_lines(reservation_id), by)


def listing(session: Session, *, by: Caller, customer_id: UUID | None = None, **facts: Any) -> Listing:  # noqa: ANN401  # columns and what they must be
    """List reservations, newest first: one's own, or everybody's for those who may see them."""
    if not by.may("orders:all"):
        facts["customer_id"] = by.user_id
        if customer_id not in {None, by.user_id}:
            facts["id"] = None
    elif customer_id is not None:
        facts["customer_id"] = customer_id
    return ReservationRepository(session).listing(**facts)


def extend(session: Session, reservation_id: UUID, *, ttl_seconds: int, by: Caller) -> Reservation:
    """Keep what is kept for so many seconds from now.

    Raises:
        ReservationNotFound: there is none, or it is somebody else's.
        ReservationEnded: it keeps nothing any more.
        ExpiryTooEarly: it is kept longer already.
        KeptTooLong: it would last longer than any reservation does.

    """
    reservation = _held(session, reservation_id, by=by)
    expires_at = stock.clock(session) + timedelta(seconds=ttl_seconds)
    if expires_at < reservation.expires_at:
        raise ExpiryTooEarly(expires_at=reservation.expires_at.isoformat())
    if expires_at > reservation.created_at + LONGEST:
        raise KeptTooLong(days=LONGEST.days)
    stock.extend(session, reservation.id, expires_at)
    _ensure_in_time(session, reservation)
    reservation.expires_at = expires_at
    ReservationRepository(session).touch(reservation)
    _tell(session, reservation, "extended", by=by)
    return get(session, reservation.id, by=by)


def release(session: Session, reservation_id: UUID, *, by: Caller) -> Reservation:
    """Give back what is kept.

    Raises:
        ReservationNotFound: there is none, or it is somebody else's.
        ReservationEnded: it keeps nothing any more.

    """
    reservation = _held(session, reservation_id, by=by)
    stock.release(session, reservation.id, by=by)
    _ensure_in_time(session, reservation)
    _end(session, reservation, RELEASED)
    _tell(session, reservation, "released", by=by)
    return get(session, reservation.id, by=by)


def take(session: Session, reservation_id: UUID, *, order_id: UUID, by: Caller) -> Reservation:
    """Make what is kept an order's, line by line; the reservation ends with that.

    Raises:
        ReservationNotFound: there is none, or it is somebody else's.
        ReservationEnded: it keeps nothing any more.

    """
    reservation = _held(session, reservation_id, by=by)
    stock.hand_over(session, reservation.id, order_id)
    _ensure_in_time(session, reservation)
    _end(session, reservation, ORDERED, order_id=order_id)
    _tell(session, reservation, "ordered", by=by, order_id=str(order_id))
    return reservation


def lapse(session: Session, *, by: Caller, at_most: int = MOST_AT_ONCE) -> int:
    """Write down which reservations have lapsed, each at the moment its time was over; tells how many.

    Several may do this at once, for nobody waits for a reservation that somebody else works on. Where there are more
    than `at_most`, the rest is done in a transaction that follows.
    """
    reservations = ReservationRepository(session)
    over = reservations.over(at_most=at_most)
    if not over:
        return 0
    moments = {row.id: row.expires_at for row in over}
    stock.release_all(session, dict.fromkeys(moments), by=by, occurred_at=moments, reason=stock.LAPSED)
    reservations.mark_lapsed(list(moments))
    news = [(one, {"expires_at": moment.isoformat()}) for one, moment in moments.items()]
    events.record_all(session, "reservation.lapsed", news, by=by)
    if len(over) == at_most:
        jobs.defer(session, "lapse_more_reservations")
    return len(over)


def _owner(session: Session, customer_id: UUID | None, by: Caller) -> UUID | None:
    if by.may("orders:all"):
        if customer_id is not None and not users.exists(session, customer_id):
            raise CustomerUnknown
        return customer_id
    if customer_id is not None:
        raise FieldNotAllowed(at="customer_id", name="customer_id", scope="orders:all")
    return by.user_id


def _check_sold(known: Sequence[Any]) -> None:
    refusals = [
        ItemArchived(at=f"lines.{one.number}.item_id", name=one.item.sku)
        for one in known
        if one.item.archived_at is not None
    ]
    if refusals:
        refusals[0].problems = tuple(refusal.problem for refusal in refusals)
        raise refusals[0]


def _check_cap(reservations: ReservationRepository, customer_id: UUID, units: int, terms: Terms) -> None:
    """Make sure that a customer does not keep too much, also when several requests come at once."""
    reservations.wait_for_turn(customer_id)
    held, open_ = reservations.kept_by(customer_id)
    if open_ >= terms.reservations:
        raise ReservationLimitReached.of("reservations", held=open_, requested=1, allowed=terms.reservations)
    if held + units > terms.units:
        raise ReservationLimitReached.of("units", held=held, requested=units, allowed=terms.units)


def _owned(reservation: Reservation | None, by: Caller) -> Reservation:
    if reservation is None or not (by.may("orders:all") or reservation.customer_id == by.user_id):
        raise ReservationNotFound
    return reservation


def _held(session: Session, reservation_id: UUID, *, by: Caller) -> Reservation:
    """Lock a reservation that keeps something."""
    reservation = _owned(ReservationRepository(session).with_lines(reservation_id, locked=True), by)
    if reservation.status_now != HELD:
        raise ReservationEnded(status=reservation.status_now)
    return reservation


def _ensure_in_time(session: Session, reservation: Reservation) -> None:
    """Look at the clock once everything it keeps is locked: before its time is over nobody else can have taken it."""
    if stock.clock(session) >= reservation.expires_at:
        raise ReservationEnded(status=LAPSED)


def _end(session: Session, reservation: Reservation, status: str, *, order_id: UUID | None = None) -> None:
    reservations = ReservationRepository(session)
    reservation.status, reservation.order_id, reservation.ended_at = status, order_id, stock.clock(session)
    reservations.touch(reservation)


def _tell(session: Session, reservation: Reservation, what: str, *, by: Caller, **facts: object) -> None:
    data = {"expires_at": reservation.expires_at.isoformat(), "reference": reservation.reference, **facts}
    events.record(session, f"reservation.{what}", reservation.id, data, by=by)
