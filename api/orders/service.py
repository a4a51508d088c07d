"""Orders: one call places one, reserves its stock and is safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from api.events import service as events
from api.items import service as items
from api.locations import service as locations
from api.orders import drafts, repository
from api.orders.errors import (
    InvalidTransition,
    ItemArchived,
    ItemUnknown,
    OrderNotFound,
    PriceNotAllowed,
)
from api.orders.models import CANCELLED, PLACED
from api.orders.repository import OrderRepository
from api.stock import service as stock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.errors import DomainError
    from api.core.money import Money
    from api.core.paging import Listing
    from api.items.service import ItemFacts
    from api.orders.models import Order


class LineRequest(TypedDict, total=False):
    """One line as it is asked for: an item by id or by SKU, and a quantity."""

    item_id: UUID
    sku: str
    quantity: int
    unit_price: Money


Line = drafts.Line
Placed = drafts.Placed
Currency = drafts.Currency
assemble = drafts.assemble


def place(
    session: Session,
    *,
    lines: Sequence[LineRequest],
    currency: Currency,
    by: Caller,
    location_id: UUID | None = None,
    reference: str | None = None,
    note: str | None = None,
    details: Mapping[str, str] | None = None,
) -> Placed:
    """Place an order and reserve its stock, all or nothing.

    A customer's order is their own; whoever may act on everybody's orders places for a guest.

    Raises:
        ItemUnknown, ItemArchived: naming every such line.
        PriceNotAllowed: the caller gave a price and may not.
        LocationUnknown, LocationArchived, LocationReserved, LocationDoesNotSell: the location named cannot serve it.
        InsufficientStock: naming every item that is short.

    """
    if any("unit_price" in line for line in lines) and not by.may("orders:price"):
        raise PriceNotAllowed(at=_first_price(lines))
    order = assemble(
        _resolve(session, lines),
        currency=currency,
        customer_id=None if by.may("orders:all") else by.user_id,
        reference=reference,
        note=note,
        details=details or {},
    )
    if location_id is not None:
        locations.ensure(session, location_id, sells=True)
    stock.reserve(session, order.promise(), by=by, location_id=location_id)
    repository.insert(session, [order])
    events.record(session, "order.placed", order.id, _facts(order), by=by)
    return order


def get(session: Session, order_id: UUID, *, by: Caller) -> Order:
    """Find an order with its lines.

    Raises:
        OrderNotFound: there is none, or it is somebody else's.

    """
    return _owned(OrderRepository(session).with_lines(order_id), by)


def listing(
    session: Session,
    *,
    by: Caller,
    status: str | None = None,
    reference: str | None = None,
    placed_from: datetime | None = None,
    placed_before: datetime | None = None,
) -> Listing:
    """List orders, newest first: one's own, or everybody's for those who may see them."""
    return OrderRepository(session).listing(
        customer_id=None if by.may("orders:all") else by.user_id,
        status=status,
        reference=reference,
        placed_from=placed_from,
        placed_before=placed_before,
    )


def cancel(session: Session, order_id: UUID, *, by: Caller, reason: str | None = None) -> Order:
    """Cancel an order and give back all the stock it holds.

    Raises:
        OrderNotFound: there is none, or it is somebody else's.
        InvalidTransition: it is cancelled already.

    """
    order = _owned(OrderRepository(session).with_lines(order_id, locked=True), by)
    if order.status != PLACED:
        raise InvalidTransition(status=order.status, wanted=CANCELLED)
    stock.release(session, order.id, by=by)
    OrderRepository(session).mark_cancelled(order, reason=reason)
    events.record(session, "order.cancelled", order.id, {"number": order.number, "reason": reason}, by=by)
    return order


def import_placed(session: Session, orders: Sequence[Placed], *, by: Caller, location_id: UUID) -> None:
    """Place orders of the past at their own date and price: the checks of a live order, no events.

    Raises:
        InsufficientStock: one of them cannot be served; none is placed.

    """
    stock.reserve_all(session, [order.promise() for order in orders], by=by, location_id=location_id)
    repository.insert(session, orders)


@dataclass(frozen=True, slots=True)
class Cancellation:
    """So many units of one order line, cancelled at a moment of the past."""

    order_id: UUID
    line_no: int
    quantity: int
    occurred_at: datetime


def import_cancelled(session: Session, cancellations: Sequence[Cancellation], *, by: Caller) -> None:
    """Cancel units of orders of the past and give back their stock; no events.

    An order of which nothing is left becomes cancelled. Each order line may occur once.
    """
    owners: dict[UUID, dict[int, int]] = {}
    for one in cancellations:
        owners.setdefault(one.order_id, {})[one.line_no] = one.quantity
    moments = {one.order_id: one.occurred_at for one in cancellations}
    stock.release_all(session, owners, by=by, occurred_at=moments)
    repository.cancel_units(session, [(one.order_id, one.line_no, one.quantity) for one in cancellations], moments)


def _owned(order: Order | None, by: Caller) -> Order:
    if order is None or not (by.may("orders:all") or order.customer_id == by.user_id):
        raise OrderNotFound
    return order


def _first_price(lines: Sequence[LineRequest]) -> str:
    return f"lines.{next(number for number, line in enumerate(lines) if 'unit_price' in line)}.unit_price"


def _resolve(session: Session, lines: Sequence[LineRequest]) -> list[Line]:
    wanted_ids = {line["item_id"] for line in lines if "item_id" in line}
    wanted_skus = {line["sku"].lower() for line in lines if "sku" in line}
    known = items.facts(session, ids=wanted_ids, skus=wanted_skus)
    refusals: list[DomainError] = []
    resolved = []
    for number, line in enumerate(lines):
        key, name = (line["item_id"], "item_id") if "item_id" in line else (line["sku"].lower(), "sku")
        item = known.get(key)
        if item is None:
            refusals.append(ItemUnknown(at=f"lines.{number}.{name}", name=line.get(name)))
        elif item.archived_at is not None:
            refusals.append(ItemArchived(at=f"lines.{number}.{name}", name=item.sku))
        else:
            resolved.append(_line(number + 1, item, line))
    if refusals:
        head = refusals[0]
        head.problems = tuple(refusal.problem for refusal in refusals)
        raise head
    return resolved


def _line(line_no: int, item: ItemFacts, line: LineRequest) -> Line:
    price = line.get("unit_price", item.unit_price)
    return Line(line_no, item.id, item.sku, item.name, line["quantity"], price, item.is_stocked)


def _facts(order: Placed) -> dict[str, Any]:
    return {
        "number": order.number,
        "customer_id": str(order.customer_id) if order.customer_id else None,
        "currency": order.currency,
        "total": str(order.total),
        "lines": [{"item_id": str(line.item_id), "sku": line.sku, "quantity": line.quantity} for line in order.lines],
    }
