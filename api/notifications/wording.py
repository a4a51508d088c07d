"""What notifications say: plain text out of the facts of an event, and the facts a mail is written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from api.core import money
from api.notifications.kinds import BY_EVENT, CUSTOMER, LOW_STOCK, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from api.events.service import Event
    from api.orders.service import Addressee, Currency

LISTED = 20
"""How many lines of an order a mail lists at most; of the others it tells how many there are."""

LONGEST_TITLE, LONGEST_TEXT = 200, 2000

type LevelKey = tuple[UUID, UUID]
type LineKey = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class News:
    """One event, in words."""

    event: Event
    kind: Kind
    title: str
    text: str
    data: dict[str, Any]
    """What a program is told beside the words."""

    facts: dict[str, Any]
    """What its mail is written from."""

    addressee: Addressee | None = None


@dataclass(slots=True)
class Known:
    """What events do not say themselves, read for all of them at once."""

    currency: Currency
    orders: Mapping[UUID, Addressee] = field(default_factory=dict)
    lines: Mapping[LineKey, Mapping[str, str]] = field(default_factory=dict)
    levels: Mapping[LevelKey, Mapping[str, Any]] = field(default_factory=dict)


def order_ids(events: Iterable[Event]) -> set[UUID]:
    """Name the orders that events are about."""
    return {event.subject_id for event in events if BY_EVENT[event.type].audience == CUSTOMER}


def lines_of(events: Iterable[Event]) -> set[LineKey]:
    """Name the lines of orders that mails about events will list."""
    return {
        (event.subject_id, line_no)
        for event in events
        if BY_EVENT[event.type].audience == CUSTOMER
        for line_no in list(_quantities(event.data))[:LISTED]
    }


def levels_of(events: Iterable[Event]) -> list[LevelKey]:
    """Name the levels that events are about."""
    return list({_level(event.data): None for event in events if BY_EVENT[event.type].name == LOW_STOCK})


def write(event: Event, known: Known) -> News | None:
    """Put an event into words; None when what it is about is gone."""
    kind = BY_EVENT[event.type]
    if kind.audience == CUSTOMER:
        return _of_order(event, kind, known)
    if kind.name == LOW_STOCK:
        return _low_stock(event, kind, known)
    return _disabled(event, kind)


def _of_order(event: Event, kind: Kind, known: Known) -> News | None:
    addressee = known.orders.get(event.subject_id)
    if addressee is None:
        return None
    data, quantities = event.data, _quantities(event.data)
    units = sum(quantities.values())
    listed = [
        {"quantity": quantities[line_no], **known.lines[event.subject_id, line_no]}
        for line_no in list(quantities)[:LISTED]
        if (event.subject_id, line_no) in known.lines
    ]
    told = {name: data[name] for name in _TOLD[kind.name] if data.get(name) is not None}
    for name in _AMOUNTS & told.keys():
        told |= {name: money.render(Decimal(told[name]), places=known.currency.places), "currency": known.currency.code}
    title, text = _SAID[kind.name](addressee.number, units, told)
    told = {"number": addressee.number, "units": units} | told
    facts = told | {"lines": listed, "more": len(quantities) - len(listed), "text": text}
    return _news(event, kind, title, text, told, facts, addressee)


def _quantities(data: Mapping[str, Any]) -> dict[int, int]:
    """Add up the units of each line, which may come from several places."""
    quantities: dict[int, int] = {}
    for line in data["lines"]:
        quantities[line["line_no"]] = quantities.get(line["line_no"], 0) + _quantity(line)
    return {line_no: quantity for line_no, quantity in quantities.items() if quantity}


def _quantity(line: Mapping[str, int]) -> int:
    """Tell how many units a line is about; of what comes back, how many have."""
    if "resellable_quantity" not in line:
        return line["quantity"]
    return line["resellable_quantity"] + line["damaged_quantity"] + line["quarantined_quantity"]


def _placed(number: str, units: int, told: Mapping[str, Any]) -> tuple[str, str]:
    return f"Order {number} has come in", f"{_units(units)}, {told['total']} {told['currency']} in all."


def _shipped(number: str, units: int, told: Mapping[str, Any]) -> tuple[str, str]:
    carrier = f" with {told['carrier']}" if "carrier" in told else ""
    tracking = f" Tracking number: {told['tracking_number']}." if "tracking_number" in told else ""
    return f"Order {number} is on its way", f"{_units(units)} left{carrier}.{tracking}"


def _cancelled(number: str, units: int, told: Mapping[str, Any]) -> tuple[str, str]:
    reason = f" Reason: {told['reason']}" if "reason" in told else ""
    return f"Order {number} is cancelled", f"{_units(units)} will not be sent.{reason}"


def _returned(number: str, units: int, told: Mapping[str, Any]) -> tuple[str, str]:
    refund = f" You are granted {told['refund_amount']} {told['currency']}." if "refund_amount" in told else ""
    return f"Your return for order {number} has arrived", f"{_units(units)} came back.{refund}"


def _filled(number: str, units: int, _: Mapping[str, Any]) -> tuple[str, str]:
    return f"Order {number}: what you waited for is there", f"{_units(units)} can be sent now."


_AMOUNTS = {"total", "refund_amount"}
_TOLD = {
    "order_placed": ("total",),
    "order_shipped": ("carrier", "tracking_number", "shipment_number"),
    "order_cancelled": ("reason",),
    "return_received": ("return_number", "refund_amount"),
    "backorder_filled": (),
}
_SAID = {
    "order_placed": _placed,
    "order_shipped": _shipped,
    "order_cancelled": _cancelled,
    "return_received": _returned,
    "backorder_filled": _filled,
}


def _low_stock(event: Event, kind: Kind, known: Known) -> News | None:
    words = known.levels.get(_level(event.data))
    if words is None:
        return None
    data = event.data | {"sku": words["sku"], "name": words["name"], "location": words["location"]}
    level = data | {"suggested": suggestion(data["available"], data["reorder_point"], words["reorder_quantity"])}
    text = (
        f"{data['name']}: {data['available']} available, reorder point {data['reorder_point']}. "
        f"Suggested order: {level['suggested']}."
    )
    return _news(event, kind, f"{data['sku']} runs low at {data['location']}", text, data, level)


def suggestion(available: int, reorder_point: int | None, reorder_quantity: int | None) -> int:
    """Tell how much to order so that more is there than the reorder point: what is usually ordered, as often as needed.

    Where nothing is usually ordered, what is missing.
    """
    missing = (reorder_point or 0) + 1 - available
    if not reorder_quantity:
        return missing
    return max(1, -(-missing // reorder_quantity)) * reorder_quantity


def _disabled(event: Event, kind: Kind) -> News:
    host, reason = event.data["host"], event.data["reason"]
    title = f"The webhook endpoint at {host} is switched off"
    text = f"It gets nothing more, because it {_WHY.get(reason, reason)}. Put it right, then switch it on again."
    data = {"host": host, "reason": reason}
    return _news(event, kind, title, text, data, data | {"text": text, "endpoint_id": str(event.subject_id)})


_WHY = {"gone": "has answered that it is gone for good (410)", "failing": "has only failed for days"}


def _news(
    event: Event,
    kind: Kind,
    title: str,
    text: str,
    data: dict[str, Any],
    facts: dict[str, Any],
    addressee: Addressee | None = None,
) -> News:
    title, text = title[:LONGEST_TITLE], text[:LONGEST_TEXT]
    return News(event, kind, title, text, data, facts | {"kind": kind.name, "title": title}, addressee)


def _units(units: int) -> str:
    return "1 unit" if units == 1 else f"{units} units"


def _level(data: Mapping[str, Any]) -> LevelKey:
    return UUID(data["item_id"]), UUID(data["location_id"])
