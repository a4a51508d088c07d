"""Every type of event there is: what it says, who may see it, and the JSON Schema of its data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

type JsonSchema = dict[str, Any]

ID: JsonSchema = {"type": "string", "format": "uuid"}
TEXT: JsonSchema = {"type": "string"}
UNITS: JsonSchema = {"type": "integer"}
MONEY: JsonSchema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
MOMENT: JsonSchema = {"type": "string", "format": "date-time"}
FLAG: JsonSchema = {"type": "boolean"}
WORDS: JsonSchema = {"type": "array", "items": TEXT}


def _or_null(schema: JsonSchema) -> JsonSchema:
    return schema | {"type": [schema["type"], "null"]}


def _object(properties: dict[str, JsonSchema], optional: tuple[str, ...] = ()) -> JsonSchema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _lines(**properties: JsonSchema) -> JsonSchema:
    return {"type": "array", "items": _object(properties)}


@dataclass(frozen=True)
class EventType:
    """One type of event. Receivers must bear fields they do not know: data may grow, and never shrinks."""

    name: str
    says: str
    subject: str
    scopes: tuple[str, ...]
    properties: dict[str, JsonSchema]
    optional: tuple[str, ...] = ()

    @cached_property
    def schema(self) -> JsonSchema:
        """The JSON Schema (draft 2020-12) of `data`."""
        return _object(self.properties, self.optional)


NOTHING_MORE: dict[str, JsonSchema] = {}
ORDERS = ("orders:read", "orders:all")
ORDER = {"number": TEXT, "status": TEXT}
REASON = {"reason": _or_null(TEXT)}
LINES = {"lines": _lines(line_no=UNITS, item_id=ID, sku=TEXT, quantity=UNITS)}
SHIPMENT = {
    "shipment_id": ID,
    "shipment_number": TEXT,
    "carrier": _or_null(TEXT),
    "tracking_number": _or_null(TEXT),
    "lines": _lines(line_no=UNITS, item_id=ID, sku=TEXT, quantity=UNITS, location_id=_or_null(ID)),
}
RETURN = {
    "return_id": ID,
    "return_number": TEXT,
    "return_status": TEXT,
    "reason": _or_null(TEXT),
    "refund_amount": _or_null(MONEY),
    "lines": _lines(
        line_no=UNITS,
        item_id=ID,
        quantity=UNITS,
        resellable_quantity=UNITS,
        damaged_quantity=UNITS,
        quarantined_quantity=UNITS,
    ),
}
PAYMENT = {"payment_id": ID, "amount": MONEY, "method": TEXT, "reference": _or_null(TEXT)}
RESERVATION = {"expires_at": MOMENT, "reference": _or_null(TEXT)}
ITEM = {"sku": TEXT, "name": TEXT, "unit_price": MONEY, "is_stocked": FLAG}
LOCATION = {"code": TEXT, "name": TEXT, "kind": TEXT, "priority": UNITS}
MOVED = {"item_id": ID, "quantity": UNITS}
POSTED = {"kind": TEXT, "reason": _or_null(TEXT), "reference": _or_null(TEXT), "lines": _lines(**MOVED)}
LEVEL = {"item_id": ID, "location_id": ID, "available": UNITS, "reorder_point": _or_null(UNITS)}
TRANSFER = {
    "from_location_id": ID,
    "to_location_id": ID,
    "status": TEXT,
    "reference": _or_null(TEXT),
    "lines": _lines(**MOVED),
}
COUNT = {"location_id": ID, "reference": _or_null(TEXT)}
CORRECTED = {"corrections": UNITS, "units_found": UNITS, "units_missing": UNITS, "lines": _lines(**MOVED)}
ENDPOINT = {"host": TEXT, "reason": TEXT, "created_by": _or_null(ID)}

_BACKORDERED = _lines(line_no=UNITS, item_id=ID, sku=TEXT, quantity=UNITS, backordered_quantity=UNITS)
_TOTALS = {"customer_id": _or_null(ID), "currency": TEXT, "total": MONEY}
_COMPARED = _lines(line_no=UNITS, before=UNITS, after=UNITS)
_FILLED = _lines(line_no=UNITS, item_id=ID, location_id=ID, quantity=UNITS)

_TYPES = (
    EventType("order.placed", "An order was placed", "order", ORDERS, ORDER | _TOTALS | {"lines": _BACKORDERED}),
    EventType(
        "order.edited",
        "An order was changed; `lines` are those whose quantity differs",
        "order",
        ORDERS,
        ORDER | {"changed": WORDS, "total": MONEY, "lines": _COMPARED},
    ),
    EventType("order.held", "An order was put on hold", "order", ORDERS, ORDER | REASON),
    EventType("order.resumed", "A held order goes on", "order", ORDERS, ORDER),
    EventType(
        "order.cancelled", "Nothing of an order is outstanding any more", "order", ORDERS, ORDER | REASON | LINES
    ),
    EventType("order.units_cancelled", "A part of an order was cancelled", "order", ORDERS, ORDER | REASON | LINES),
    EventType(
        "order.backorder_filled", "Units that an order waited for are there", "order", ORDERS, {"lines": _FILLED}
    ),
    EventType("order.shipped", "A parcel of an order is on its way", "order", ORDERS, ORDER | SHIPMENT),
    EventType(
        "order.delivered", "A parcel of an order arrived", "order", ORDERS, ORDER | SHIPMENT | {"delivered_at": MOMENT}
    ),
    EventType("order.return_requested", "Units of an order are to come back", "order", ORDERS, ORDER | RETURN),
    EventType("order.return_received", "Units of an order came back", "order", ORDERS, ORDER | RETURN),
    EventType("order.return_cancelled", "A return will not happen", "order", ORDERS, ORDER | RETURN),
    EventType("order.payment_recorded", "Money came in for an order", "order", ORDERS, ORDER | PAYMENT),
    EventType("order.refund_recorded", "Money of an order went back", "order", ORDERS, ORDER | PAYMENT),
    EventType(
        "reservation.created",
        "Stock was set aside for a while",
        "reservation",
        ORDERS,
        RESERVATION | {"lines": _lines(item_id=ID, sku=TEXT, quantity=UNITS)},
    ),
    EventType("reservation.extended", "A reservation lasts longer", "reservation", ORDERS, RESERVATION),
    EventType("reservation.released", "A reservation was given up", "reservation", ORDERS, RESERVATION),
    EventType("reservation.lapsed", "A reservation's time was over", "reservation", ORDERS, {"expires_at": MOMENT}),
    EventType(
        "reservation.ordered", "A reservation became an order", "reservation", ORDERS, RESERVATION | {"order_id": ID}
    ),
    EventType("stock.received", "Units came in", "location", ("stock:read",), POSTED),
    EventType("stock.adjusted", "Units were corrected", "location", ("stock:read",), POSTED),
    EventType("stock.low", "What is available fell to the reorder point", "item", ("stock:read",), LEVEL),
    EventType("stock.replenished", "What is available is above the reorder point", "item", ("stock:read",), LEVEL),
    EventType(
        "stock.transfer_sent", "Units left for elsewhere", "transfer", ("stock:read",), TRANSFER | {"in_transit": FLAG}
    ),
    EventType("stock.transfer_received", "Units arrived", "transfer", ("stock:read",), TRANSFER),
    EventType("stock.transfer_cancelled", "Units under way came back", "transfer", ("stock:read",), TRANSFER | REASON),
    EventType("stock.transfer_written_off", "Units were lost", "transfer", ("stock:read",), TRANSFER | REASON),
    EventType("stock.count_opened", "A stock count began", "count", ("stock:read",), COUNT),
    EventType("stock.count_posted", "A stock count corrected stock", "count", ("stock:read",), COUNT | CORRECTED),
    EventType("stock.count_cancelled", "A stock count was given up", "count", ("stock:read",), COUNT),
    EventType("item.created", "An item is new in the catalogue", "item", ("items:read",), ITEM),
    EventType("item.updated", "An item was changed", "item", ("items:read",), ITEM),
    EventType("item.archived", "An item is sold no more", "item", ("items:read",), ITEM),
    EventType("item.restored", "An archived item is back", "item", ("items:read",), ITEM),
    EventType("item.deleted", "An item that was never used is gone", "item", ("items:read",), ITEM),
    EventType("location.created", "A location is new", "location", ("locations:read",), LOCATION),
    EventType("location.updated", "A location was changed", "location", ("locations:read",), LOCATION),
    EventType("location.archived", "A location is used no more", "location", ("locations:read",), LOCATION),
    EventType("location.restored", "An archived location is back", "location", ("locations:read",), LOCATION),
    EventType("location.deleted", "A location that was never used is gone", "location", ("locations:read",), LOCATION),
    EventType("user.created", "Somebody has an account", "user", ("users:read",), {"role": TEXT}),
    EventType("user.updated", "An account was changed", "user", ("users:read",), {"changed": WORDS}),
    EventType(
        "webhook_endpoint.disabled",
        "A webhook endpoint gets nothing more",
        "webhook_endpoint",
        ("webhooks:read",),
        ENDPOINT,
    ),
)
CATALOGUE: dict[str, EventType] = {one.name: one for one in _TYPES}


def matching(patterns: list[str]) -> tuple[set[str], list[str]]:
    """Find the types that names and beginnings (`order.*`) stand for, and those of them that stand for none."""
    found: set[str] = set()
    unknown = []
    for pattern in patterns:
        beginning = pattern.removesuffix("*") if pattern.endswith(".*") else None
        names = {name for name in CATALOGUE if name == pattern or (beginning and name.startswith(beginning))}
        found |= names
        if not names:
            unknown.append(pattern)
    return found, unknown


@lru_cache(maxsize=256)
def visible(scopes: frozenset[str]) -> frozenset[str]:
    """Find the types whose subjects somebody with these scopes may see."""
    return frozenset(one.name for one in _TYPES if scopes.issuperset(one.scopes))
