"""Shipments: what an order keeps leaves its locations, in part or at once, and arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from api.core import ids
from api.locations import service as locations
from api.orders import service as orders
from api.shipments import repository
from api.shipments.errors import BeforeItLeft, DeliveredAlready, NothingToShip, ShipmentNotFound
from api.shipments.models import DELIVERED, Shipment, ShipmentLine
from api.shipments.repository import ShipmentRepository
from api.stock import service as stock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.money import Money
    from api.core.paging import Listing


class Papers(TypedDict, total=False):
    """What is written down about a shipment."""

    carrier: str | None
    tracking_number: str | None
    tracking_url: str | None
    note: str | None


def ship(
    session: Session,
    order_id: UUID,
    *,
    by: Caller,
    lines: Sequence[orders.LineChoice] | None = None,
    location_id: UUID | None = None,
    **papers: Unpack[Papers],
) -> Shipment:
    """Ship what locations keep for an order: everything, or the units named, from anywhere or from one location.

    What is not stocked goes along with the last of the goods, or when it is named.

    Raises:
        OrderNotFound: there is no such order.
        InvalidTransition: nothing of it is outstanding, or it is on hold.
        NothingToShip: no location keeps anything for it.
        LocationUnknown, LocationArchived, LocationReserved: the location named cannot be shipped from.
        NotAllocated: a line names units that no location keeps, naming every one.
        LineUnknown, ExceedsOutstanding: naming every line that is wrong.

    """
    order = orders.locked(session, order_id, by=by, to="ship")
    if location_id is not None:
        locations.ensure(session, location_id)
    goods = {line.line_no for line in order.lines if line.is_stocked}
    units = None if lines is None else orders.chosen(order, lines, lambda line: line.outstanding_quantity)
    wanted = None if units is None else {no: quantity for no, quantity in units.items() if no in goods}
    shipment_id = ids.new()
    gone = stock.ship(
        session, order.id, shipment_id=shipment_id, units=wanted, location_id=location_id, reference=order.number, by=by
    )
    shipped = _add_up(gone)
    left = sum(line.outstanding_quantity - shipped.get(line.line_no, 0) for line in order.lines if line.is_stocked)
    others = {line.line_no: line.outstanding_quantity for line in order.lines if not line.is_stocked}
    takes_all = not left and (units is None or bool(shipped))
    along = others if takes_all else {no: quantity for no, quantity in (units or {}).items() if no in others}
    along = {no: quantity for no, quantity in along.items() if quantity}
    if not (shipped or along):
        raise NothingToShip
    shipment = Shipment(id=shipment_id, order_id=order.id, created_by=by.user_id, **papers)
    items = {line.line_no: line.item_id for line in order.lines}
    rows: list[tuple[int, UUID, UUID | None, int, Money | int]] = [
        (one.line_no, one.item_id, one.location_id, one.quantity, one.value) for one in gone
    ]
    rows += [(line_no, items[line_no], None, quantity, 0) for line_no, quantity in along.items()]
    shipment.lines = [
        ShipmentLine(
            line_no=number,
            order_id=order.id,
            order_line_no=line_no,
            item_id=item_id,
            location_id=place,
            quantity=quantity,
            value=value,
        )
        for number, (line_no, item_id, place, quantity, value) in enumerate(rows, start=1)
    ]
    ShipmentRepository(session).add(shipment)
    orders.count_shipped(session, order, shipped | along)
    shipment = get(session, order.id, shipment.id, by=by)
    orders.tell(session, order, "shipped", _facts(shipment), by=by)
    return shipment


def get(session: Session, order_id: UUID, shipment_id: UUID, *, by: Caller) -> Shipment:
    """Find a shipment of an order.

    Raises:
        OrderNotFound: there is no such order, or it is somebody else's.
        ShipmentNotFound: the order has no such shipment.

    """
    orders.get(session, order_id, by=by)
    return _found(ShipmentRepository(session).of_order(order_id, shipment_id))


def of_order(session: Session, order_id: UUID, *, by: Caller) -> Listing:
    """List the shipments of an order, newest first.

    Raises:
        OrderNotFound: there is no such order, or it is somebody else's.

    """
    orders.get(session, order_id, by=by)
    return ShipmentRepository(session).listing(order_id=order_id)


def listing(session: Session, **facts: Any) -> Listing:  # noqa: ANN401  # columns and what they must be
    """List the shipments of all orders, newest first; `facts` narrow it."""
    return ShipmentRepository(session).listing(**facts)


def update(session: Session, shipment: Shipment, changes: Papers) -> Shipment:
    """Change what is written down about a shipment."""
    for name, value in changes.items():
        setattr(shipment, name, value)
    ShipmentRepository(session).touch(shipment)
    return shipment


def deliver(
    session: Session, order_id: UUID, shipment_id: UUID, *, by: Caller, delivered_at: datetime | None = None
) -> Shipment:
    """Note that a shipment has arrived.

    Raises:
        OrderNotFound, ShipmentNotFound: there is no such thing.
        DeliveredAlready: it has arrived before.
        InTheFuture, BeforeItLeft: it cannot have arrived then.

    """
    order = orders.locked(session, order_id, by=by, to="deliver")
    shipments = ShipmentRepository(session)
    shipment = _found(shipments.of_order(order_id, shipment_id, locked=True))
    if shipment.status == DELIVERED:
        raise DeliveredAlready
    moment = stock.past(session, delivered_at, at="delivered_at") or stock.clock(session)
    if moment < shipment.shipped_at:
        raise BeforeItLeft(shipped_at=shipment.shipped_at.isoformat())
    shipment.status, shipment.delivered_at = DELIVERED, moment
    shipments.touch(shipment)
    units: dict[int, int] = {}
    for line in shipment.lines:
        units[line.order_line_no] = units.get(line.order_line_no, 0) + line.quantity
    orders.count_delivered(session, order, units)
    shipment = get(session, order_id, shipment_id, by=by)
    orders.tell(session, order, "delivered", _facts(shipment) | {"delivered_at": moment.isoformat()}, by=by)
    return shipment


def pick_list(session: Session, order_id: UUID, *, by: Caller) -> dict[str, Any]:
    """Tell what lies ready for an order at which location, and what is backordered.

    Raises:
        OrderNotFound: there is no such order.

    """
    order = orders.get(session, order_id, by=by)
    lines = {line.line_no: line for line in order.lines}
    kept: dict[UUID, list[dict[str, Any]]] = {}
    for row in stock.promises(session, order.id):
        if row.line_no in lines:  # it may have been added since the order was read
            kept.setdefault(row.location_id, []).append(_picked(lines[row.line_no], row.quantity))
    places = repository.places(session, kept.keys())
    return {
        "order_id": order.id,
        "number": order.number,
        "status": order.status,
        "locations": [
            {
                "location_id": place["id"],
                "location_code": place["code"],
                "location_name": place["name"],
                "lines": kept[place["id"]],
            }
            for place in places
        ],
        "backordered": [_picked(line, line.backordered_quantity) for line in order.lines if line.backordered_quantity],
    }


def packing_slip(session: Session, order_id: UUID, shipment_id: UUID, *, by: Caller) -> dict[str, Any]:
    """Tell what stands on the slip that lies in a parcel.

    Raises:
        OrderNotFound, ShipmentNotFound: there is no such thing, or it is somebody else's.

    """
    return {
        "order": orders.get(session, order_id, by=by),
        "shipment": get(session, order_id, shipment_id, by=by),
    }


def _picked(line: Any, quantity: int) -> dict[str, Any]:  # noqa: ANN401  # a line of an order
    return {
        "line_no": line.line_no,
        "item_id": line.item_id,
        "sku": line.sku,
        "name": line.name,
        "quantity": quantity,
    }


def _add_up(gone: Sequence[stock.Gone]) -> dict[int, int]:
    units: dict[int, int] = {}
    for one in gone:
        units[one.line_no] = units.get(one.line_no, 0) + one.quantity
    return units


def _found(shipment: Shipment | None) -> Shipment:
    if shipment is None:
        raise ShipmentNotFound
    return shipment


def _facts(shipment: Shipment) -> dict[str, Any]:
    return {
        "shipment_id": str(shipment.id),
        "shipment_number": shipment.number,
        "carrier": shipment.carrier,
        "tracking_number": shipment.tracking_number,
        "lines": [
            {
                "line_no": line.order_line_no,
                "item_id": str(line.item_id),
                "sku": line.sku,
                "quantity": line.quantity,
                "location_id": str(line.location_id) if line.location_id else None,
            }
            for line in shipment.lines
        ],
    }
