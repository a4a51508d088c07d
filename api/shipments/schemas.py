"""The shapes of shipments."""

from __future__ import annotations

from api.rest.fields import Amount, AwareDateTime, List, Nested, SafeString, StrictInteger, StrictUUID, Text, WebAddress
from api.rest.lines import ITEM_ID, ChosenLineSchema, lines_of
from api.rest.messages import OneOf
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, UpdateSchema, page_of

STATUSES = ["shipped", "delivered"]
STATUS = {"description": "shipped, then delivered.", "examples": ["shipped"]}
SHIPMENT_ID = {"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d4e"]}
ORDER_ID = {"description": "The order.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d48"]}
NUMBER = {"description": "The number people use.", "examples": ["SH-001001"]}
ORDER_NUMBER = {"description": "The order's number.", "examples": ["SO-001001"]}
LOCATION_ID = {"description": "Where they leave from.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d46"]}
CARRIER = {"description": "Who carries it.", "examples": ["Royal Mail"]}
TRACKING_NUMBER = {"description": "The carrier's number.", "examples": ["RM123456789GB"]}
TRACKING_URL = {"description": "Where to follow it.", "examples": ["https://example.com/track/RM123456789GB"]}
NOTE = {"description": "Free text.", "examples": ["Left with the neighbour."]}
LINE_NO = {"description": "The order's line.", "examples": [1]}
SKU = {"description": "The item's SKU.", "examples": ["22423"]}
NAME = {"description": "The item's name.", "examples": ["Regency cakestand 3 tier"]}


class ShipmentLineSchema(ResponseSchema):
    """Units of one order line that left one location."""

    line_no = StrictInteger(attribute="order_line_no", metadata=LINE_NO)
    item_id = StrictUUID(metadata={"description": "The item.", "examples": [ITEM_ID["examples"][0]]})
    sku = Text(metadata=SKU)
    name = Text(metadata=NAME)
    quantity = StrictInteger(metadata={"description": "Units that left.", "examples": [2]})
    location_id = StrictUUID(
        allow_none=True, metadata={"description": "Where from; null for what is not stocked.", "examples": [None]}
    )
    location_code = Text(allow_none=True, metadata={"description": "Its code.", "examples": ["MAIN"]})
    value = Amount(metadata={"description": "What the units had cost.", "examples": ["10.20"], "scope": "costs:read"})


class ShipmentSchema(ResponseSchema):
    """Units of one order that have left."""

    id = StrictUUID(metadata=SHIPMENT_ID)
    number = Text(metadata=NUMBER)
    order_id = StrictUUID(metadata=ORDER_ID)
    status = Text(metadata=STATUS)
    carrier = Text(allow_none=True, metadata=CARRIER)
    tracking_number = Text(allow_none=True, metadata=TRACKING_NUMBER)
    tracking_url = Text(allow_none=True, metadata=TRACKING_URL)
    note = Text(allow_none=True, metadata=NOTE)
    lines = List(Nested(ShipmentLineSchema), metadata={"description": "What has left, and from where."})
    created_by = StrictUUID(
        allow_none=True,
        metadata={"description": "Who shipped it; null for a command.", "examples": [None], "scope": "orders:all"},
    )
    version = StrictInteger(metadata={"description": "Counts changes; the ETag.", "examples": [1]})
    shipped_at = AwareDateTime(metadata={"description": "When it left.", "examples": ["2026-05-18T08:00:00Z"]})
    delivered_at = AwareDateTime(allow_none=True, metadata={"description": "When it arrived.", "examples": [None]})
    created_at = AwareDateTime(metadata={"description": "When it was recorded.", "examples": ["2026-05-18T08:00:00Z"]})
    updated_at = AwareDateTime(metadata={"description": "When it last changed.", "examples": ["2026-05-18T08:00:00Z"]})


class _PapersSchema(Schema):
    """What is written down about a shipment."""

    carrier = SafeString(max_length=100, allow_none=True, metadata=CARRIER)
    tracking_number = SafeString(max_length=100, allow_none=True, metadata=TRACKING_NUMBER)
    tracking_url = WebAddress(allow_none=True, metadata=TRACKING_URL)
    note = SafeString(max_length=2000, multiline=True, allow_none=True, metadata=NOTE)


class ShipmentCreateSchema(_PapersSchema):
    """What leaves; without lines everything that lies ready."""

    lines = lines_of(ChosenLineSchema, required=False)
    location_id = StrictUUID(metadata=LOCATION_ID)


class ShipmentUpdateSchema(UpdateSchema, _PapersSchema):
    """Changes to what is written down about a shipment."""


class ShipmentDeliverSchema(Schema):
    """When a shipment arrived."""

    delivered_at = AwareDateTime(
        metadata={"description": "When, if that was earlier.", "examples": ["2026-05-19T14:20:00Z"]}
    )


class PickedLineSchema(ResponseSchema):
    """Units of one order line."""

    line_no = StrictInteger(metadata=LINE_NO)
    item_id = StrictUUID(metadata={"description": "The item.", "examples": [ITEM_ID["examples"][0]]})
    sku = Text(metadata=SKU)
    name = Text(metadata=NAME)
    quantity = StrictInteger(metadata={"description": "Units.", "examples": [2]})


class PickedLocationSchema(ResponseSchema):
    """What lies ready at one location."""

    location_id = StrictUUID(metadata={"description": "The location.", "examples": [LOCATION_ID["examples"][0]]})
    location_code = Text(metadata={"description": "Its code.", "examples": ["MAIN"]})
    location_name = Text(metadata={"description": "Its name.", "examples": ["Main warehouse"]})
    lines = List(Nested(PickedLineSchema), metadata={"description": "What to fetch there."})


class PickListSchema(ResponseSchema):
    """What lies ready for an order, and where."""

    order_id = StrictUUID(metadata=ORDER_ID)
    number = Text(metadata=ORDER_NUMBER)
    status = Text(metadata={"description": "The order's status.", "examples": ["placed"]})
    locations = List(Nested(PickedLocationSchema), metadata={"description": "In the order of their priority."})
    backordered = List(Nested(PickedLineSchema), metadata={"description": "What no location has yet."})


class ShipmentQuerySchema(PageQuerySchema):
    """Which shipments to list."""

    status = SafeString(validate=[OneOf(STATUSES)], metadata=STATUS)
    order_id = StrictUUID(metadata=ORDER_ID)
    tracking_number = SafeString(max_length=100, metadata=TRACKING_NUMBER)
    shipped_from = AwareDateTime(
        metadata={"description": "Shipped then or later.", "examples": ["2026-05-01T00:00:00Z"]}
    )
    shipped_before = AwareDateTime(metadata={"description": "Shipped earlier.", "examples": ["2026-06-01T00:00:00Z"]})


ShipmentPageSchema = page_of(ShipmentSchema)
