"""Orders, from the promise to what becomes of it: one call places one, reserves its stock and is safe to repeat."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from api.events import service as events
from api.orders import changing, drafts, errors, models, placing, repository, states
from api.orders.errors import OrderNotFound
from api.orders.repository import OrderRepository
from api.stock import service as stock

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.paging import Listing

Order = models.Order
Line = drafts.Line
Placed = drafts.Placed
Currency = drafts.Currency
Charge = drafts.Charge
assemble = drafts.assemble

LineRequest = placing.LineRequest
OrderRequest = placing.OrderRequest
place = placing.place
place_many = placing.place_many

LineChoice = changing.LineChoice
OrderChanges = changing.OrderChanges
get = changing.get
locked = changing.locked
chosen = changing.chosen
edit = changing.edit
cancel = changing.cancel
hold = changing.hold
resume = changing.resume
count_shipped = changing.count_shipped
count_delivered = changing.count_delivered
count_returned = changing.count_returned
count_paid = changing.count_paid
tell = changing.tell

ExceedsOutstanding = errors.ExceedsOutstanding
Excess = errors.Excess
InvalidTransition = errors.InvalidTransition
TRANSITIONS = states.TRANSITIONS

STAFF_ONLY = ("order.held", "order.resumed")
"""What a customer is not told: that an order is looked into, and why."""


def listing(session: Session, *, by: Caller, customer_id: UUID | None = None, **facts: Any) -> Listing:  # noqa: ANN401  # columns and what they must be
    """List orders, newest first: one's own, or everybody's for those who may see them; `facts` narrow it."""
    if not by.may("orders:all"):
        facts["customer_id"] = by.user_id
        if customer_id is not None and customer_id != by.user_id:
            facts["id"] = None
    elif customer_id is not None:
        facts["customer_id"] = customer_id
    return OrderRepository(session).listing(**facts)


def named(session: Session, name: str) -> UUID:
    """Find the id of the order that people name by its number, as in SO-001001, or by its id.

    Raises:
        OrderNotFound: there is none.

    """
    match = re.fullmatch(r"SO-([0-9]{1,18})", name.strip().upper(), re.ASCII)
    try:
        found = OrderRepository(session).id_of(int(match[1])) if match else UUID(name)
    except ValueError:
        found = None
    if found is None:
        raise OrderNotFound
    return found


def timeline(session: Session, order_id: UUID, *, by: Caller) -> Listing:
    """List everything that happened to an order, oldest first.

    Raises:
        OrderNotFound: there is none, or it is somebody else's.

    """
    get(session, order_id, by=by)
    hidden = () if by.may("orders:all") else STAFF_ONLY
    return events.of_subject(session, order_id, without=hidden)


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom an order is for, and the number they know it by."""

    number: str
    customer_id: UUID | None
    email: str | None


def addressees(session: Session, order_ids: Collection[UUID]) -> dict[UUID, Addressee]:
    """Tell whom orders are for."""
    return {
        row.id: Addressee(models.number_of(row.sequence_number), row.customer_id, row.email)
        for row in repository.addressees(session, order_ids)
    }


def names_of_lines(session: Session, lines: Collection[tuple[UUID, int]]) -> dict[tuple[UUID, int], dict[str, str]]:
    """Tell what the lines of orders, by their numbers, are about: SKU and name."""
    return {
        (row.order_id, row.line_no): {"sku": row.sku, "name": row.name}
        for row in repository.names_of_lines(session, lines)
    }


def import_placed(session: Session, orders: Sequence[Placed], *, by: Caller, location_id: UUID) -> None:
    """Place orders of the past at their own date and price: the checks of a live order, no events.

    Raises:
        InsufficientStock: one of them cannot be served; none is placed.

    """
    stock.reserve_all(session, [replace(order, location_id=location_id).promise() for order in orders], by=by)
    repository.insert(session, orders)


@dataclass(frozen=True, slots=True)
class Cancellation:
    """So many units of one order line, cancelled at a moment of the past."""

    order_id: UUID
    line_no: int
    quantity: int
    occurred_at: datetime


def import_cancelled(
    session: Session, cancellations: Sequence[Cancellation], *, currency: Currency, by: Caller
) -> None:
    """Cancel units of orders of the past, which have no charges, and give back their stock; no events.

    An order of which nothing is left becomes cancelled. Each order line may occur once.
    """
    owners: dict[UUID, dict[int, int]] = {}
    for one in cancellations:
        owners.setdefault(one.order_id, {})[one.line_no] = one.quantity
    moments = {one.order_id: one.occurred_at for one in cancellations}
    stock.release_all(session, owners, by=by, occurred_at=moments)
    units = [(one.order_id, one.line_no, one.quantity) for one in cancellations]
    repository.cancel_units(session, units, moments, places=currency.places)
