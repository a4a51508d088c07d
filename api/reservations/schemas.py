"""The shapes of reservations."""

from __future__ import annotations

from api.rest.fields import AwareDateTime, List, Nested, Quantity, SafeString, StrictInteger, StrictUUID, Text
from api.rest.lines import ITEM_ID, ItemLineSchema, lines_of
from api.rest.messages import OneOf, Range
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, page_of

STATUSES = ["held", "released", "ordered", "lapsed"]
WITHIN_30_DAYS = Range(min=1, max=30 * 86_400)

RESERVATION_ID = {"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d4c"]}
STATUS = {
    "description": "held until it is released or ordered, or its time is over: then it has lapsed.",
    "examples": ["held"],
}
TTL_SECONDS = {"description": "For how long, from now: up to 30 days.", "examples": [900]}
CUSTOMER_ID = {
    "description": "For whom; takes the permission orders:all. What customers reserve is their own.",
    "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d44"],
}
LOCATION_ID = {
    "description": "Keep it here only; left out, the allocation policy chooses.",
    "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d46"],
}
REFERENCE = {"description": "What it belongs to elsewhere, as a cart.", "examples": ["CART-7"]}
NOTE = {"description": "Free text.", "examples": ["Will call back."]}


class ReservationLineSchema(ResponseSchema):
    """So many units of one item."""

    line_no = StrictInteger(metadata={"description": "Counts from 1.", "examples": [1]})
    item_id = StrictUUID(metadata={"description": "The item.", "examples": [ITEM_ID["examples"][0]]})
    sku = Text(metadata={"description": "The item's SKU.", "examples": ["22423"]})
    name = Text(metadata={"description": "The item's name.", "examples": ["Regency cakestand 3 tier"]})
    quantity = StrictInteger(metadata={"description": "Units kept.", "examples": [3]})


class ReservationSummarySchema(ResponseSchema):
    """A reservation without its lines."""

    id = StrictUUID(metadata=RESERVATION_ID)
    status = Text(attribute="status_now", metadata=STATUS)
    customer_id = StrictUUID(
        allow_none=True, metadata={"description": "For whom; null for a guest.", "examples": [None]}
    )
    reference = Text(allow_none=True, metadata=REFERENCE)
    note = Text(allow_none=True, metadata=NOTE)
    created_by = StrictUUID(
        allow_none=True,
        metadata={"description": "Who made it; null for a command.", "examples": [None], "scope": "orders:all"},
    )
    expires_at = AwareDateTime(metadata={"description": "Until when.", "examples": ["2026-05-17T09:45:00Z"]})
    ended_at = AwareDateTime(
        attribute="ended_now",
        allow_none=True,
        metadata={"description": "When it was released or ordered, or lapsed.", "examples": [None]},
    )
    order_id = StrictUUID(allow_none=True, metadata={"description": "The order it became.", "examples": [None]})
    version = StrictInteger(
        attribute="version_now", metadata={"description": "Counts changes; the ETag.", "examples": [1]}
    )
    created_at = AwareDateTime(metadata={"description": "When it was made.", "examples": ["2026-05-17T09:30:00Z"]})
    updated_at = AwareDateTime(
        attribute="updated_now", metadata={"description": "When it last changed.", "examples": ["2026-05-17T09:30:00Z"]}
    )


class ReservationSchema(ReservationSummarySchema):
    """A reservation."""

    lines = List(Nested(ReservationLineSchema), metadata={"description": "In the order they were given."})


class KeptLineSchema(ItemLineSchema):
    """An item, by id or by SKU, and how many of it; each item on one line."""

    quantity = Quantity(required=True, metadata={"description": "How many.", "examples": [3]})


class ReservationCreateSchema(Schema):
    """A new reservation."""

    lines = lines_of(KeptLineSchema)
    ttl_seconds = StrictInteger(load_default=900, validate=WITHIN_30_DAYS, metadata=TTL_SECONDS)
    location_id = StrictUUID(metadata=LOCATION_ID)
    customer_id = StrictUUID(metadata=CUSTOMER_ID)
    reference = SafeString(metadata=REFERENCE)
    note = SafeString(max_length=2000, multiline=True, metadata=NOTE)


class ReservationExtendSchema(Schema):
    """How much longer."""

    ttl_seconds = StrictInteger(required=True, validate=WITHIN_30_DAYS, metadata=TTL_SECONDS)


class ReservationQuerySchema(PageQuerySchema):
    """Which reservations to list."""

    status = SafeString(validate=[OneOf(STATUSES)], metadata=STATUS)
    customer_id = StrictUUID(metadata=CUSTOMER_ID)
    reference = SafeString(metadata=REFERENCE)


ReservationPageSchema = page_of(ReservationSummarySchema)
