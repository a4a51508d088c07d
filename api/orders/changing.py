"""What happens to orders after they are placed: changed, held, cancelled, and counted as shipped, returned and paid.

Everything goes the same way: lock the order, ask the state machine, change quantities, and let the status follow.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypedDict

from api.events import service as events
from api.orders import drafts, placing, states
from api.orders.errors import (
    AlreadyShipped,
    ChargedByHand,
    ExceedsOutstanding,
    Excess,
    ItemArchived,
    LineUnknown,
    OrderNotFound,
)
from api.orders.models import CANCELLED, DISCOUNT, ON_HOLD, TAX, OrderLine
from api.orders.repository import OrderRepository
from api.stock import service as stock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.errors import Conflict
    from api.core.money import Money
    from api.items.service import ItemFacts
    from api.orders.drafts import Currency
    from api.orders.models import Order

type Units = Mapping[int, int]
"""How many units of which lines, by line number."""


class LineChoice(TypedDict, total=False):
    """Units of an order's lines, named by item or by line number."""

    item_id: UUID
    sku: str
    line_no: int
    quantity: int


class OrderChanges(TypedDict, total=False):
    """What can be changed about an order."""

    lines: Sequence[placing.LineRequest]
    discounts: Sequence[drafts.Charge]
    taxes: Sequence[drafts.Charge]
    email: str | None
    shipping_address: Mapping[str, str] | None
    billing_address: Mapping[str, str] | None
    reference: str | None
    note: str | None
    details: Mapping[str, str]


def get(session: Session, order_id: UUID, *, by: Caller) -> Order:
    """Find an order with its lines.

    Raises:
        OrderNotFound: there is none, or it is somebody else's.

    """
    return _owned(OrderRepository(session).with_lines(order_id), by)


def locked(session: Session, order_id: UUID, *, by: Caller, to: str) -> Order:
    """Lock an order with its lines, to do something with it that the state machine names.

    Raises:
        OrderNotFound: there is none, or it is somebody else's.
        InvalidTransition: its status does not allow that.

    """
    order = _owned(OrderRepository(session).with_lines(order_id, locked=True), by)
    states.ensure(order.status, to)
    return order


def chosen(
    order: Order,
    lines: Sequence[LineChoice] | None,
    available: Callable[[OrderLine], int],
    error: Callable[[Sequence[Excess]], Conflict] = ExceedsOutstanding.of,
    *,
    first: int = 0,
) -> dict[int, int]:
    """Turn the lines of a request into units of the order's lines; without lines, everything that is available.

    An item that is on several lines of the order is taken from them in their order. `first` is the place of the first
    line in the request.

    Raises:
        LineUnknown: naming every line that the order does not have.
        Conflict: what `error` makes of lines that name more than there is.

    """
    left = {line.line_no: available(line) for line in order.lines}
    if lines is None:
        return {line_no: quantity for line_no, quantity in left.items() if quantity}
    units: dict[int, int] = {}
    unknown, excesses = [], []
    for number, line in enumerate(lines, start=first):
        meant = [one.line_no for one in order.lines if _is_meant(one, line)]
        if not meant:
            name = next(name for name in ("line_no", "item_id", "sku") if name in line)
            unknown.append(LineUnknown(at=f"lines.{number}.{name}"))
            continue
        there = sum(left[line_no] for line_no in meant)
        if line["quantity"] > there:
            excesses.append(Excess(number, requested=line["quantity"], available=there))
            continue
        wanted = line["quantity"]
        for line_no in meant:
            quantity = min(wanted, left[line_no])
            if quantity:
                units[line_no] = units.get(line_no, 0) + quantity
                left[line_no] -= quantity
                wanted -= quantity
    if unknown:
        raise LineUnknown(at=unknown[0].problem.field, problems=tuple(one.problem for one in unknown))
    if excesses:
        raise error(excesses)
    return units


def _is_meant(line: OrderLine, choice: LineChoice) -> bool:
    if "line_no" in choice:
        return line.line_no == choice["line_no"]
    if "item_id" in choice:
        return line.item_id == choice["item_id"]
    return line.sku.lower() == choice["sku"].lower()


def edit(
    session: Session,
    order: Order,
    changes: OrderChanges,
    *,
    currency: Currency,
    by: Caller,
    policy: str = stock.DEFAULT_POLICY,
) -> Order:
    """Change a locked order; its lines and charges only while nothing has shipped.

    `lines` are those the order is to have: a line of an item that it has keeps its price, unless one is given; an item
    it does not have is added at the catalogue's; a line that is not named is dropped.

    Raises:
        InvalidTransition, AlreadyShipped: the order is past that.
        InsufficientStock: more is wanted than is available, and may not be backordered; nothing is changed.
        ItemUnknown, ItemArchived, PriceNotAllowed, FieldNotAllowed, DiscountTooLarge, AmountTooLarge: as when placing.

    """
    placing.check_allowed(changes, by)
    if not _NOTES.issuperset(changes):
        states.ensure(order.status, "edit")
    is_repriced = not _PRICED.isdisjoint(changes)
    if is_repriced and any(line.shipped_quantity for line in order.lines):
        raise AlreadyShipped
    if "lines" in changes:
        _check_charges(order, by)
    before = _wanted(order)
    if "lines" in changes:
        _change_lines(session, order, changes["lines"], policy=policy, by=by)
    for name in changes.keys() - _PRICED:
        setattr(order, name, changes[name])  # type: ignore[literal-required]  # all are keys
    if is_repriced:
        _charge(order, changes)
        _add_up(order, places=currency.places)
    OrderRepository(session).touch(order)
    told = {"changed": sorted(changes), "total": str(order.total), "lines": _compared(before, _wanted(order))}
    tell(session, order, "edited", told, by=by)
    return get(session, order.id, by=by)


_NOTES = frozenset({"reference", "note", "details"})
"""What can be changed in every status."""

_PRICED = frozenset({"lines", "discounts", "taxes"})
"""What changes the total."""


def _wanted(order: Order) -> dict[int, int]:
    return {line.line_no: line.quantity - line.cancelled_quantity for line in order.lines}


def _compared(before: Units, after: Units) -> list[dict[str, int]]:
    """Tell how many units each line was to have and is to have now, where that differs."""
    return [
        {"line_no": line_no, "before": before.get(line_no, 0), "after": after.get(line_no, 0)}
        for line_no in sorted({*before, *after})
        if before.get(line_no, 0) != after.get(line_no, 0)
    ]


def _change_lines(
    session: Session, order: Order, wanted: Sequence[placing.LineRequest], *, policy: str, by: Caller
) -> None:
    """Give the order the lines it is to have, and the stock that goes with them."""
    known = placing.known_items(session, wanted)
    kept, new, dropped = _matched(order, wanted, known)
    if not by.may("orders:price"):
        new |= _at_the_price_of_now(kept, known)
    _check_sold(kept, known)
    first_new = max(line.line_no for line in order.lines) + 1
    added = placing.resolve(dict(sorted(new.items())), known, first_no=first_new)
    for fresh in added:
        fresh.may_wait = fresh.may_wait and order.allow_backorders
    less = {line.line_no: line.quantity - line.cancelled_quantity for line in dropped}
    demands = [
        (number, line.demand(at=number)) for number, line in zip(sorted(new), added, strict=True) if line.is_stocked
    ]
    for number, (line, request) in kept.items():
        change = request["quantity"] - (line.quantity - line.cancelled_quantity)
        line.quantity += change
        line.unit_price = request.get("unit_price", line.unit_price)
        if change < 0:
            less[line.line_no] = -change
        if change > 0 and line.is_stocked:
            may_wait = order.allow_backorders and known[line.item_id].may_wait
            demands.append((number, stock.Demand(line.line_no, line.item_id, change, may_wait, line.sku, at=number)))
    held = {line.line_no for line in order.lines if line.is_stocked}
    demanded = [demand for _, demand in sorted(demands, key=itemgetter(0))]
    policy = order.allocation_policy or policy
    promise = stock.Promise(order.id, demanded, location_id=order.location_id, policy=policy)
    waiting = stock.revise(session, promise, {no: units for no, units in less.items() if no in held}, by=by)
    _drop(order, dropped)
    order.lines += [_as_line(line) for line in added]
    order.line_count = len(order.lines)
    _promise_dates(session, order, known, waiting)


def _matched(
    order: Order, wanted: Sequence[placing.LineRequest], known: placing.Facts
) -> tuple[dict[int, tuple[OrderLine, placing.LineRequest]], dict[int, placing.LineRequest], list[OrderLine]]:
    """Find the order's line for each that is wanted, by its place; tell which are new, and which are not wanted."""
    unmatched = [line for line in order.lines if line.quantity > line.cancelled_quantity]
    kept, new = {}, {}
    for number, request in enumerate(wanted):
        item = known.get(request["item_id"] if "item_id" in request else request["sku"].lower())
        meant = _is_of(item, request)
        line = next((line for line in unmatched if meant(line)), None)
        if line is None:
            new[number] = request
        else:
            kept[number] = (line, request)
            unmatched.remove(line)
    return kept, new, unmatched


def _is_of(item: ItemFacts | None, request: placing.LineRequest) -> Callable[[OrderLine], bool]:
    """Tell which lines of an order a request means: those of the item that has the SKU now, else had it then."""
    if item is not None:
        return lambda line: line.item_id == item.id
    return lambda line: _is_meant(line, request)  # type: ignore[arg-type]  # it has the keys that are read


def _at_the_price_of_now(
    kept: dict[int, tuple[OrderLine, placing.LineRequest]], known: placing.Facts
) -> dict[int, placing.LineRequest]:
    """Make lines of their own of units that are added where the price is another one now."""
    added: dict[int, placing.LineRequest] = {}
    for number, (line, request) in kept.items():
        more = request["quantity"] - (line.quantity - line.cancelled_quantity)
        item = known.get(line.item_id)
        if more > 0 and item is not None and item.unit_price != line.unit_price:
            added[number] = placing.LineRequest(item_id=line.item_id, quantity=more)
            kept[number] = line, placing.LineRequest(item_id=line.item_id, quantity=request["quantity"] - more)
    return added


def _check_sold(kept: Mapping[int, tuple[OrderLine, placing.LineRequest]], known: placing.Facts) -> None:
    """Make sure that nothing is added of an item that is no longer sold."""
    for number, (line, request) in kept.items():
        item = known.get(line.item_id)
        is_more = request["quantity"] > line.quantity - line.cancelled_quantity
        if is_more and (item is None or item.archived_at is not None):
            raise ItemArchived(at=f"lines.{number}.quantity", name=line.sku)


def _drop(order: Order, dropped: Sequence[OrderLine]) -> None:
    """Drop lines; of those that were cancelled in part, what was cancelled stays."""
    for line in dropped:
        if line.cancelled_quantity:
            line.quantity = line.cancelled_quantity
        else:
            order.lines.remove(line)


def _as_line(line: drafts.Line) -> OrderLine:
    return OrderLine(
        line_no=line.line_no,
        item_id=line.item_id,
        sku=line.sku,
        name=line.name,
        quantity=line.quantity,
        unit_price=line.unit_price,
        is_stocked=line.is_stocked,
        cancelled_quantity=0,
        shipped_quantity=0,
        delivered_quantity=0,
        returned_quantity=0,
    )


def _promise_dates(session: Session, order: Order, known: placing.Facts, waiting: Units) -> None:
    """Note until when lines are promised that wait."""
    if waiting:
        today = stock.clock(session).date()
        for line in order.lines:
            item = known.get(line.item_id)
            if line.line_no in waiting and item is not None:
                line.promised_on = placing.promised_on(today, item.lead_time_days)


def cancel(
    session: Session,
    order_id: UUID,
    *,
    currency: Currency,
    by: Caller,
    reason: str | None = None,
    lines: Sequence[LineChoice] | None = None,
) -> Order:
    """Cancel what is outstanding of an order, or the units named, and give back the stock they hold.

    Raises:
        OrderNotFound: there is none, or it is somebody else's.
        InvalidTransition: nothing of it is outstanding.
        LineUnknown, ExceedsOutstanding: naming every line that is wrong.

    """
    order = locked(session, order_id, by=by, to="cancel")
    if lines is not None:
        _check_charges(order, by)
    units = chosen(order, lines, lambda line: line.outstanding_quantity)
    stocked = {line.line_no for line in order.lines if line.is_stocked}
    held = {line_no: quantity for line_no, quantity in units.items() if line_no in stocked}
    stock.release(session, order.id, by=by, quantities=held)
    for line in order.lines:
        line.cancelled_quantity += units.get(line.line_no, 0)
    _add_up(order, places=currency.places)
    _follow(order, "cancel")
    if order.status == CANCELLED:
        order.cancel_reason = reason
    OrderRepository(session).touch(order, begins=order.status)
    what = "cancelled" if order.status == CANCELLED else "units_cancelled"
    tell(session, order, what, {"reason": reason, "lines": _told(order, units)}, by=by)
    return get(session, order.id, by=by)


def hold(session: Session, order_id: UUID, *, reason: str, by: Caller) -> Order:
    """Put an order on hold: it keeps its stock, and nothing of it is shipped until it is taken up again.

    Raises:
        OrderNotFound: there is none.
        InvalidTransition: nothing of it is outstanding, or it is on hold.

    """
    order = locked(session, order_id, by=by, to="hold")
    order.held_at, order.hold_reason = stock.clock(session), reason
    _follow(order, "hold")
    OrderRepository(session).touch(order)
    tell(session, order, "held", {"reason": reason}, by=by)
    return order


def resume(session: Session, order_id: UUID, *, by: Caller) -> Order:
    """Take an order up again that was on hold.

    Raises:
        OrderNotFound: there is none.
        InvalidTransition: it is not on hold.

    """
    order = locked(session, order_id, by=by, to="resume")
    order.held_at = order.hold_reason = None
    _follow(order, "resume")
    OrderRepository(session).touch(order)
    tell(session, order, "resumed", {}, by=by)
    return order


def count_shipped(session: Session, order: Order, units: Units) -> None:
    """Count units of a locked order as shipped."""
    for line in order.lines:
        line.shipped_quantity += units.get(line.line_no, 0)
    _settle(session, order, "ship")


def count_delivered(session: Session, order: Order, units: Units) -> None:
    """Count shipped units of a locked order as delivered."""
    for line in order.lines:
        line.delivered_quantity += units.get(line.line_no, 0)
    _settle(session, order, "deliver")


def count_returned(session: Session, order: Order, units: Units, *, refund: Money | None = None) -> None:
    """Count shipped units of a locked order as returned, and what is granted for them."""
    for line in order.lines:
        line.returned_quantity += units.get(line.line_no, 0)
    if refund:
        order.refund_total += refund
    _settle(session, order, "receive_return")


def count_paid(session: Session, order: Order, amount: Money) -> None:
    """Count money as paid for a locked order; less than nothing was paid back."""
    order.paid_total += amount
    _settle(session, order, "pay")


def tell(session: Session, order: Order, what: str, data: Mapping[str, Any], *, by: Caller) -> None:
    """Say what happened to an order; `what` is a past participle. Its timeline is made of this."""
    facts = {"number": order.number, "status": order.status}
    events.record(session, f"order.{what}", order.id, facts | dict(data), by=by)


def _settle(session: Session, order: Order, action: str) -> None:
    before = order.status
    _follow(order, action)
    OrderRepository(session).touch(order, begins=order.status if order.status != before else None)


def _follow(order: Order, action: str) -> None:
    """Let the status follow from the lines; a hold ends when nothing is left to be held."""
    if action == "pay":
        return
    order.status = states.follow(order.status, action, order.lines, is_held=order.held_at is not None)
    if order.held_at is not None and order.status != ON_HOLD:
        order.held_at = order.hold_reason = None


def _check_charges(order: Order, by: Caller) -> None:
    """Make sure that a customer does not change what discounts and taxes were worked out for."""
    if order.charges and not by.may("orders:all"):
        raise ChargedByHand


def _charge(order: Order, changes: OrderChanges) -> None:
    charges = []
    for kind, name in ((DISCOUNT, "discounts"), (TAX, "taxes")):
        if name in changes:
            charges += drafts.charged(kind, changes[name])  # type: ignore[literal-required]  # both are keys
        else:
            charges += [charge for charge in order.charges if charge["kind"] == kind]
    order.charges = charges


def _add_up(order: Order, *, places: int) -> None:
    sums = drafts.add_up(order.lines, order.charges, places=places)
    order.subtotal, order.discount_total, order.tax_total = sums.subtotal, sums.discount_total, sums.tax_total
    order.total, order.cancelled_total = sums.total, min(sums.cancelled_total, sums.total - order.refund_total)


def _owned(order: Order | None, by: Caller) -> Order:
    if order is None or not (by.may("orders:all") or order.customer_id == by.user_id):
        raise OrderNotFound
    return order


def _told(order: Order, units: Units) -> list[dict[str, Any]]:
    return [
        {"line_no": line.line_no, "item_id": str(line.item_id), "sku": line.sku, "quantity": units[line.line_no]}
        for line in order.lines
        if line.line_no in units
    ]
