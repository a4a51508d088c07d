"""Placing orders: one, many together, or one out of a reservation. Each is all or nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from api.core import ids
from api.core.errors import DomainError
from api.core.outcomes import Outcome, refusal
from api.events import service as events
from api.items import service as items
from api.locations import service as locations
from api.orders import drafts, repository
from api.orders.errors import CustomerUnknown, FieldNotAllowed, ItemArchived, ItemUnknown, PriceNotAllowed
from api.orders.models import ON_HOLD, PLACED
from api.reservations import service as reservations
from api.stock import service as stock
from api.users import service as users

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.money import Money
    from api.items.service import ItemFacts
    from api.orders.drafts import Currency, Line, Placed

type Facts = Mapping[UUID | str, ItemFacts]

RESERVED_FOR: Mapping[str, str] = {
    "customer_id": "orders:all",
    "hold_reason": "orders:fulfil",
    "allocation_policy": "orders:fulfil",
    "discounts": "orders:price",
    "taxes": "orders:price",
}
"""What takes a permission beyond that of placing an order."""


class LineRequest(TypedDict, total=False):
    """One line as it is asked for: an item by id or by SKU, and a quantity."""

    item_id: UUID
    sku: str
    quantity: int
    unit_price: Money


class OrderRequest(TypedDict, total=False):
    """What can be said about a new order."""

    lines: Sequence[LineRequest]
    reservation_id: UUID
    location_id: UUID
    allocation_policy: str
    allow_backorders: bool
    customer_id: UUID
    email: str
    shipping_address: Mapping[str, str]
    billing_address: Mapping[str, str]
    discounts: Sequence[drafts.Charge]
    taxes: Sequence[drafts.Charge]
    reference: str
    note: str
    details: Mapping[str, str]
    hold_reason: str


def place(
    session: Session, request: OrderRequest, *, currency: Currency, policy: str = stock.DEFAULT_POLICY, by: Caller
) -> Placed:
    """Place an order and reserve its stock, all or nothing.

    Raises:
        ItemUnknown, ItemArchived: naming every such line.
        PriceNotAllowed, FieldNotAllowed: the caller decided what is not theirs to decide.
        CustomerUnknown: there is no such customer.
        DiscountTooLarge, AmountTooLarge: the totals are impossible.
        LocationUnknown, LocationArchived, LocationReserved, LocationDoesNotSell: the location named cannot serve it.
        ReservationNotFound, ReservationEnded: the reservation named cannot become an order.
        InsufficientStock: naming every item that is short and may not be backordered.

    """
    check_allowed(request, by)
    if "reservation_id" in request:
        order = _redeem(session, request, currency=currency, by=by)
    else:
        known = known_items(session, request["lines"])
        order = _draft(session, request, known, currency=currency, by=by)
        waiting = stock.reserve(session, order.promise(policy=policy), by=by)
        _mark_waiting(session, [order], {order.id: waiting})
    repository.insert(session, [order])
    events.record(session, "order.placed", order.id, facts(order), by=by)
    return order


def place_many(
    session: Session,
    requests: Sequence[tuple[int, OrderRequest]],
    *,
    currency: Currency,
    policy: str = stock.DEFAULT_POLICY,
    by: Caller,
) -> list[Outcome]:
    """Place several orders, one after the other, each all or nothing; tells what became of each.

    The levels of all of them are locked together, in key order, so that such batches block nobody for good.
    """
    known = known_items(session, [line for _, request in requests for line in request["lines"]])
    orders: dict[int, Placed] = {}
    promises: list[stock.Promise] = []
    outcomes: list[Outcome] = []
    for line, request in requests:
        try:
            check_allowed(request, by)
            order = _draft(session, request, known, currency=currency, by=by)
        except DomainError as refused:
            outcomes.append(_refused(line, request, refused))
        else:
            orders[line] = order
            promises.append(order.promise(policy=policy))
    waiting, short = stock.reserve_each(session, promises, by=by)
    outcomes += [
        _refused(line, request, short[orders[line].id])
        for line, request in requests
        if line in orders and orders[line].id in short
    ]
    served = {line: order for line, order in orders.items() if order.id not in short}
    _mark_waiting(session, served.values(), waiting)
    if served:
        repository.insert(session, list(served.values()))
    events.record_all(session, "order.placed", [(order.id, facts(order)) for order in served.values()], by=by)
    return outcomes + [Outcome(line, "placed", _told(order)) for line, order in served.items()]


def facts(order: Placed) -> dict[str, Any]:
    """Tell what an event says about a new order."""
    return {
        "number": order.number,
        "status": order.status,
        "customer_id": str(order.customer_id) if order.customer_id else None,
        "currency": order.currency,
        "total": str(order.total),
        "lines": [
            {
                "line_no": line.line_no,
                "item_id": str(line.item_id),
                "sku": line.sku,
                "quantity": line.quantity,
                "backordered_quantity": line.backordered_quantity,
            }
            for line in order.lines
        ],
    }


def resolve(lines: Mapping[int, LineRequest], known: Facts, *, first_no: int = 1) -> list[Line]:
    """Turn lines that are asked for, by their place, into lines of an order, at the catalogue's price or that given.

    Raises:
        ItemUnknown, ItemArchived: naming every such line.

    """
    refusals: list[DomainError] = []
    resolved: list[Line] = []
    for number, line in lines.items():
        key, name = (line["item_id"], "item_id") if "item_id" in line else (line["sku"].lower(), "sku")
        item = known.get(key)
        if item is None:
            refusals.append(ItemUnknown(at=f"lines.{number}.{name}", name=line.get(name)))
        elif item.archived_at is not None:
            refusals.append(ItemArchived(at=f"lines.{number}.{name}", name=item.sku))
        else:
            price = line.get("unit_price", item.unit_price)
            resolved.append(line_of(first_no + len(resolved), item, line["quantity"], price))
    if refusals:
        head = refusals[0]
        head.problems = tuple(refusal.problem for refusal in refusals)
        raise head
    return resolved


def line_of(line_no: int, item: ItemFacts, quantity: int, unit_price: Money) -> Line:
    """Make a line with what the catalogue says about its item."""
    return drafts.Line(
        line_no,
        item.id,
        item.sku,
        item.name,
        quantity,
        unit_price,
        item.is_stocked,
        item.is_stocked and item.may_wait,
        item.lead_time_days,
    )


def known_items(session: Session, lines: Iterable[LineRequest]) -> Facts:
    """Read what the catalogue knows about the items of lines, with one statement."""
    lines = list(lines)
    wanted_ids = {line["item_id"] for line in lines if "item_id" in line}
    wanted_skus = {line["sku"].lower() for line in lines if "sku" in line}
    return items.facts(session, ids=wanted_ids, skus=wanted_skus)


def check_allowed(request: Mapping[str, Any], by: Caller) -> None:
    """Make sure that whoever asks may decide what they decide.

    Raises:
        FieldNotAllowed, PriceNotAllowed: they may not.

    """
    for name, scope in RESERVED_FOR.items():
        if name in request and not by.may(scope):
            raise FieldNotAllowed(at=name, name=name, scope=scope)
    if not by.may("orders:price"):
        for number, line in enumerate(request.get("lines", ())):
            if "unit_price" in line:
                raise PriceNotAllowed(at=f"lines.{number}.unit_price")


def _draft(session: Session, request: OrderRequest, known: Facts, *, currency: Currency, by: Caller) -> Placed:
    lines = resolve(dict(enumerate(request["lines"])), known)
    if not request.get("allow_backorders", True):
        for line in lines:
            line.may_wait = False
    location_id = request.get("location_id")
    if location_id is not None:
        locations.ensure(session, location_id, sells=True)
    return _assemble(session, lines, request, currency=currency, by=by)


def _assemble(
    session: Session,
    lines: Sequence[Line],
    request: OrderRequest,
    *,
    currency: Currency,
    by: Caller,
    **known: Any,  # noqa: ANN401  # fields of Placed
) -> Placed:
    """Put an order together. A customer's order is their own; others place for the customer they name, or a guest."""
    customer_id = request.get("customer_id") if by.may("orders:all") else by.user_id
    if customer_id is not None and customer_id != by.user_id and not users.exists(session, customer_id):
        raise CustomerUnknown
    whose = {"customer_id": customer_id} | known
    said = {name: request[name] for name in _COPIED if name in request}  # type: ignore[literal-required]  # all are keys
    status = ON_HOLD if "hold_reason" in request else PLACED
    return drafts.assemble(lines, currency=currency, created_by=by.user_id, status=status, **whose, **said)


_COPIED = (
    "email",
    "shipping_address",
    "billing_address",
    "discounts",
    "taxes",
    "reference",
    "note",
    "details",
    "hold_reason",
    "location_id",
    "allocation_policy",
    "allow_backorders",
)


def _redeem(session: Session, request: OrderRequest, *, currency: Currency, by: Caller) -> Placed:
    """Make an order of what a reservation keeps, at the prices of now."""
    order_id = ids.new()
    held = reservations.take(session, request["reservation_id"], order_id=order_id, by=by)
    known = items.facts_by_id(session, [line.item_id for line in held.lines])
    lines = [
        line_of(one.line_no, known[one.item_id], one.quantity, known[one.item_id].unit_price) for one in held.lines
    ]
    whose = {} if "customer_id" in request else {"customer_id": held.customer_id}
    return _assemble(session, lines, request, currency=currency, by=by, id=order_id, reservation_id=held.id, **whose)


def _mark_waiting(session: Session, orders: Iterable[Placed], waiting: Mapping[UUID, Mapping[int, int]]) -> None:
    """Note what is backordered, and until when it is promised."""
    if not any(waiting.values()):
        return
    today = stock.clock(session).date()
    for order in orders:
        for line in order.lines:
            line.backordered_quantity = waiting.get(order.id, {}).get(line.line_no, 0)
            if line.backordered_quantity:
                line.promised_on = promised_on(today, line.lead_time_days)


def promised_on(today: date, lead_time_days: int | None) -> date | None:
    """Tell by when a backorder is promised; None where nobody knows."""
    return None if lead_time_days is None else today + timedelta(days=lead_time_days)


def _refused(line: int, request: OrderRequest, error: DomainError) -> Outcome:
    return refusal(line, *error.problems, reference=request.get("reference"))


def _told(order: Placed) -> dict[str, Any]:
    return {"reference": order.reference, "id": order.id, "number": order.number, "status": order.status}
