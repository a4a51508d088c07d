"""The shapes of orders."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from api.rest.fields import (
    Amount,
    AwareDateTime,
    Boolean,
    List,
    Metadata,
    Nested,
    Quantity,
    SafeString,
    Sku,
    StrictInteger,
    StrictUUID,
    Text,
    UnitPrice,
)
from api.rest.lines import ITEM_ID, ItemLineSchema, lines_of
from api.rest.messages import Message, OneOf
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, page_of

SKU = {"description": "The item, by SKU.", "examples": ["22423"]}
REFERENCE = {"description": "The order's number in another system.", "examples": ["WEB-10482"]}
NOTE = {"description": "Free text.", "examples": ["Ring twice."]}
METADATA = {"description": "Up to 50 strings of your own.", "examples": [{"channel": "web"}]}
STATUS = {"description": "placed or cancelled.", "examples": ["placed"]}
LOCATION_ID = {
    "description": "Serve the order from here only; left out, locations are chosen by priority.",
    "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d46"],
}


class OrderLineSchema(ResponseSchema):
    """One line of an order, as it was when the order was placed."""

    line_no = StrictInteger(metadata={"description": "Counts from 1.", "examples": [1]})
    item_id = StrictUUID(metadata={"description": "The item.", "examples": [ITEM_ID["examples"][0]]})
    sku = Sku(metadata=SKU)
    name = Text(metadata={"description": "The item's name.", "examples": ["Regency cakestand 3 tier"]})
    quantity = StrictInteger(metadata={"description": "Units ordered.", "examples": [3]})
    cancelled_quantity = StrictInteger(metadata={"description": "Units cancelled since.", "examples": [0]})
    unit_price = UnitPrice(metadata={"description": "Price per unit.", "examples": ["12.75"]})
    amount = Amount(metadata={"description": "quantity × unit_price, exactly.", "examples": ["38.25"]})
    is_stocked = Boolean(metadata={"description": "Whether it reserves stock.", "examples": [True]})


class OrderSummarySchema(ResponseSchema):
    """An order without its lines."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d48"]})
    number = Text(metadata={"description": "The number people use.", "examples": ["SO-001001"]})
    status = Text(metadata=STATUS)
    customer_id = StrictUUID(
        allow_none=True, metadata={"description": "Whose it is; null for a guest.", "examples": [None]}
    )
    reference = Text(allow_none=True, metadata=REFERENCE)
    note = Text(allow_none=True, metadata=NOTE)
    metadata = Metadata(attribute="details", metadata=METADATA)
    currency = Text(metadata={"description": "ISO 4217 code.", "examples": ["GBP"]})
    total = Amount(metadata={"description": "Sum of the lines, rounded once, half to even.", "examples": ["38.25"]})
    line_count = StrictInteger(metadata={"description": "How many lines it has.", "examples": [1]})
    version = StrictInteger(metadata={"description": "Counts changes; the ETag.", "examples": [1]})
    placed_at = AwareDateTime(metadata={"description": "When it was placed.", "examples": ["2026-05-17T09:30:00Z"]})
    cancelled_at = AwareDateTime(
        allow_none=True, metadata={"description": "When it was cancelled.", "examples": [None]}
    )
    cancel_reason = Text(allow_none=True, metadata={"description": "Why it was cancelled.", "examples": [None]})
    created_at = AwareDateTime(metadata={"description": "When it was recorded.", "examples": ["2026-05-17T09:30:00Z"]})
    updated_at = AwareDateTime(metadata={"description": "When it last changed.", "examples": ["2026-05-17T09:30:00Z"]})


class OrderSchema(OrderSummarySchema):
    """An order."""

    lines = List(Nested(OrderLineSchema), metadata={"description": "In the order they were given."})


class OrderLineCreateSchema(ItemLineSchema):
    """An item, by id or by SKU, and how many of it."""

    quantity = Quantity(required=True, metadata={"description": "How many.", "examples": [3]})
    unit_price = UnitPrice(
        metadata={"description": "A price by hand, for those who may; else the catalogue's.", "examples": ["11.50"]}
    )


class OrderCreateSchema(Schema):
    """A new order; its stock is reserved when it is placed."""

    lines = lines_of(OrderLineCreateSchema)
    location_id = StrictUUID(metadata=LOCATION_ID)
    reference = SafeString(metadata=REFERENCE)
    note = SafeString(max_length=2000, multiline=True, metadata=NOTE)
    metadata = Metadata(attribute="details", metadata=METADATA)


class OrderCancelSchema(Schema):
    """Why an order is cancelled."""

    reason = SafeString(metadata={"description": "Why.", "examples": ["Ordered twice"]})


class OrderQuerySchema(PageQuerySchema):
    """Which orders to list."""

    status = SafeString(validate=[OneOf(["placed", "cancelled"])], metadata=STATUS)
    reference = SafeString(metadata=REFERENCE)
    placed_from = AwareDateTime(metadata={"description": "Placed then or later.", "examples": ["2026-05-01T00:00:00Z"]})
    placed_before = AwareDateTime(metadata={"description": "Placed earlier.", "examples": ["2026-06-01T00:00:00Z"]})

    @ma.validates_schema
    def _from_is_before(self, data: dict[str, Any], **_: object) -> None:
        if "placed_from" in data and "placed_before" in data and data["placed_from"] >= data["placed_before"]:
            raise ma.ValidationError(
                Message("placed_before must be later than placed_from.", "out_of_range"), "placed_before"
            )


OrderPageSchema = page_of(OrderSummarySchema)
