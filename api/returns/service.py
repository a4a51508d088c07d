"""Returns: units of an order that have left come back, to be sold again, to quarantine, or to nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.core import money
from api.locations import service as locations
from api.orders import service as orders
from api.returns.errors import (
    ExceedsShipped,
    NotAQuarantine,
    NothingToReturn,
    QuarantineUnknown,
    RefundTooLarge,
    ReturnEnded,
    ReturnNotFound,
)
from api.returns.models import CANCELLED, RECEIVED, REQUESTED, Return, ReturnLine
from api.returns.repository import ReturnRepository
from api.stock import service as stock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.money import Money
    from api.core.orm import AnyRow
    from api.core.paging import Listing

RESELLABLE, DAMAGED, QUARANTINE = CONDITIONS = ("resellable", "damaged", "quarantine")


class ReceivedLine(orders.LineChoice, total=False):
    """Units that have come back, and in what condition."""

    condition: str


def request(
    session: Session,
    order_id: UUID,
    *,
    by: Caller,
    lines: Sequence[orders.LineChoice] | None = None,
    reason: str | None = None,
    note: str | None = None,
) -> Return:
    """Ask for units of an order to come back: everything that was shipped, or the units named.

    Raises:
        OrderNotFound: there is none, or it is somebody else's.
        InvalidTransition: nothing of it has been shipped.
        NothingToReturn: everything that was shipped has come back or is asked to.
        LineUnknown, ExceedsShipped: naming every line that is wrong.

    """
    order = orders.locked(session, order_id, by=by, to="return")
    returns = ReturnRepository(session)
    expected = returns.expected(order.id)
    units = orders.chosen(
        order,
        lines,
        lambda line: line.shipped_quantity - line.returned_quantity - expected.get(line.line_no, 0),
        ExceedsShipped.of,
    )
    if not units:
        raise NothingToReturn
    items = {line.line_no: line.item_id for line in order.lines}
    return_ = Return(order_id=order.id, reason=reason, note=note, created_by=by.user_id)
    return_.lines = [
        ReturnLine(line_no=line_no, order_id=order.id, item_id=items[line_no], quantity=quantity)
        for line_no, quantity in sorted(units.items())
    ]
    returns.add(return_)
    return_ = get(session, order.id, return_.id, by=by)
    orders.tell(session, order, "return_requested", _facts(return_), by=by)
    return return_


def get(session: Session, order_id: UUID, return_id: UUID, *, by: Caller) -> Return:
    """Find a return of an order.

    Raises:
        OrderNotFound: there is no such order, or it is somebody else's.
        ReturnNotFound: the order has no such return.

    """
    orders.get(session, order_id, by=by)
    return _found(ReturnRepository(session).of_order(order_id, return_id))


def of_order(session: Session, order_id: UUID, *, by: Caller) -> Listing:
    """List the returns of an order, newest first.

    Raises:
        OrderNotFound: there is no such order, or it is somebody else's.

    """
    orders.get(session, order_id, by=by)
    return ReturnRepository(session).listing(order_id=order_id)


def listing(session: Session, **facts: Any) -> Listing:  # noqa: ANN401  # columns and what they must be
    """List the returns of all orders, newest first; `facts` narrow it."""
    return ReturnRepository(session).listing(**facts)


def receive(
    session: Session,
    order_id: UUID,
    return_id: UUID,
    *,
    by: Caller,
    lines: Sequence[ReceivedLine] | None = None,
    refund_amount: Money | None = None,
    **places: UUID,
) -> Return:
    """Take in what has come back: everything that was asked for, resellable, or the units named, each in its condition.

    Resellable units go to the location named, or to where they last left from; they are worth what they were worth when
    they left. Those in quarantine go there. Damaged ones are stock no more. What has not come back is not expected any
    longer.

    Raises:
        OrderNotFound, ReturnNotFound: there is no such thing.
        ReturnEnded: it was received or cancelled before.
        LineUnknown, ExceedsShipped: naming every line that is wrong.
        QuarantineUnknown, NotAQuarantine: where quarantine is, is not said, or said wrongly.
        LocationUnknown, LocationArchived, LocationReserved, LocationDoesNotSell: the location cannot take them.
        RefundTooLarge: more would be granted than the order was worth.

    """
    order = orders.locked(session, order_id, by=by, to="receive_return")
    returns = ReturnRepository(session)
    return_ = _requested(returns.of_order(order_id, return_id, locked=True), done="received")
    received = _received(order, return_, lines)
    if refund_amount is not None and refund_amount > (left := order.total - order.cancelled_total - order.refund_total):
        raise RefundTooLarge(left=left)
    shelved = _shelved(session, order, received, places)
    if shelved:
        stock.take_back(session, return_id=return_.id, lines=shelved, by=by, reference=order.number)
    units: dict[int, int] = {}
    for line in return_.lines:
        line.resellable_quantity = received.get((line.line_no, RESELLABLE), 0)
        line.damaged_quantity = received.get((line.line_no, DAMAGED), 0)
        line.quarantined_quantity = received.get((line.line_no, QUARANTINE), 0)
        units[line.line_no] = line.received_quantity
    return_.status, return_.refund_amount = RECEIVED, refund_amount
    returns.touch(return_)
    orders.count_returned(session, order, units, refund=refund_amount)
    return_ = get(session, order.id, return_.id, by=by)
    orders.tell(session, order, "return_received", _facts(return_), by=by)
    return return_


def cancel(session: Session, order_id: UUID, return_id: UUID, *, by: Caller) -> Return:
    """Give up a return that has not come back.

    Raises:
        OrderNotFound, ReturnNotFound: there is no such thing, or it is somebody else's.
        ReturnEnded: it was received or cancelled before.

    """
    order = orders.locked(session, order_id, by=by, to="annotate")
    returns = ReturnRepository(session)
    return_ = _requested(returns.of_order(order_id, return_id, locked=True), done="cancelled")
    return_.status = CANCELLED
    returns.touch(return_)
    orders.tell(session, order, "return_cancelled", _facts(return_), by=by)
    return get(session, order.id, return_.id, by=by)


def _received(
    order: orders.Order, return_: Return, lines: Sequence[ReceivedLine] | None
) -> Mapping[tuple[int, str], int]:
    """Tell how many units of which lines have come back in which condition."""
    left = {line.line_no: line.quantity for line in return_.lines}
    if lines is None:
        return {(line_no, RESELLABLE): quantity for line_no, quantity in left.items()}
    received: dict[tuple[int, str], int] = {}
    for number, line in enumerate(lines):
        units = orders.chosen(order, [line], lambda one: left.get(one.line_no, 0), ExceedsShipped.of, first=number)
        for line_no, quantity in units.items():
            key = line_no, line.get("condition", RESELLABLE)
            received[key] = received.get(key, 0) + quantity
            left[line_no] -= quantity
    return received


def _shelved(
    session: Session, order: orders.Order, received: Mapping[tuple[int, str], int], places: Mapping[str, UUID]
) -> list[stock.Returned]:
    """Tell where units go that are stock again, and what they are worth."""
    goods = {line.line_no: line for line in order.lines if line.is_stocked}
    sources: dict[int, list[AnyRow]] = {}
    for row in ReturnRepository(session).left_from(order.id):
        sources.setdefault(row.line_no, []).append(row)
    named = places.get("location_id")
    shelved: list[stock.Returned] = []
    for (line_no, condition), quantity in sorted(received.items()):
        if line_no not in goods or condition == DAMAGED or not quantity:
            continue
        if condition == QUARANTINE:
            place = _quarantine(session, places.get("quarantine_location_id"))
        else:
            place = named or sources[line_no][0].location_id
            locations.ensure(session, place, sells=True)
        worth = money.share(
            sum(row.value for row in sources[line_no]), quantity, sum(row.quantity for row in sources[line_no])
        )
        item_id = goods[line_no].item_id
        shelved.append(stock.Returned(item_id=item_id, location_id=place, quantity=quantity, value=worth))
    return shelved


def _quarantine(session: Session, named: UUID | None) -> UUID:
    """Find the quarantine: the one named, or the only one there is."""
    if named is not None:
        locations.ensure(session, named, at="quarantine_location_id")
        if locations.get(session, named).kind != QUARANTINE:
            raise NotAQuarantine
        return named
    known, _ = locations.listing(session, kind=QUARANTINE).page(session, limit=2, after=None)
    if len(known) != 1:
        raise QuarantineUnknown
    locations.ensure(session, known[0].id, at="quarantine_location_id")
    place: UUID = known[0].id
    return place


def _requested(return_: Return | None, *, done: str) -> Return:
    return_ = _found(return_)
    if return_.status != REQUESTED:
        raise ReturnEnded(status=return_.status, done=done)
    return return_


def _found(return_: Return | None) -> Return:
    if return_ is None:
        raise ReturnNotFound
    return return_


def _facts(return_: Return) -> dict[str, Any]:
    return {
        "return_id": str(return_.id),
        "return_number": return_.number,
        "return_status": return_.status,
        "reason": return_.reason,
        "refund_amount": None if return_.refund_amount is None else str(return_.refund_amount),
        "lines": [_told(line) for line in return_.lines],
    }


def _told(line: ReturnLine) -> dict[str, Any]:
    return {
        "line_no": line.line_no,
        "item_id": str(line.item_id),
        "quantity": line.quantity,
        "resellable_quantity": line.resellable_quantity,
        "damaged_quantity": line.damaged_quantity,
        "quarantined_quantity": line.quarantined_quantity,
    }
