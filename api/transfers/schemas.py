"""The shapes of transfers."""

from __future__ import annotations

from api.rest.fields import AwareDateTime, Boolean, List, Nested, Quantity, SafeString, StrictInteger, StrictUUID, Text
from api.rest.lines import ITEM_ID, ItemLineSchema, MovedLineSchema, lines_of
from api.rest.messages import OneOf
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, page_of

STATUSES = ["in_transit", "completed", "cancelled"]
LOSSES = ["damaged", "expired", "lost", "stolen"]
"""Why units that left may never arrive."""

TRANSFER_ID = {"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d4b"]}
FROM_LOCATION_ID = {"description": "Where it starts.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d46"]}
TO_LOCATION_ID = {"description": "Where it goes.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d4a"]}
STATUS = {
    "description": "in_transit while any unit is; then completed, or cancelled when none had arrived before it was.",
    "examples": ["in_transit"],
}
REFERENCE = {"description": "A document this belongs to, as a waybill.", "examples": ["WB-2026-0042"]}
NOTE = {"description": "Free text.", "examples": ["Two pallets."]}
OCCURRED_AT = {
    "description": "When it left, if that was earlier.",
    "examples": ["2026-05-17T09:30:00Z"],
}


class TransferLineSchema(ResponseSchema):
    """So many units of one item, and what has become of them."""

    line_no = StrictInteger(metadata={"description": "Counts from 1.", "examples": [1]})
    item_id = StrictUUID(metadata={"description": "The item.", "examples": [ITEM_ID["examples"][0]]})
    sku = Text(metadata={"description": "The item's SKU.", "examples": ["22423"]})
    name = Text(metadata={"description": "The item's name.", "examples": ["Regency cakestand 3 tier"]})
    quantity = StrictInteger(metadata={"description": "Units sent.", "examples": [24]})
    received_quantity = StrictInteger(metadata={"description": "Units that have arrived.", "examples": [20]})
    returned_quantity = StrictInteger(metadata={"description": "Units that were called back.", "examples": [0]})
    lost_quantity = StrictInteger(metadata={"description": "Units that were written off.", "examples": [1]})
    outstanding_quantity = StrictInteger(metadata={"description": "Units still in transit.", "examples": [3]})


class TransferSummarySchema(ResponseSchema):
    """A transfer without its lines."""

    id = StrictUUID(metadata=TRANSFER_ID)
    from_location_id = StrictUUID(metadata=FROM_LOCATION_ID)
    from_location_code = Text(metadata={"description": "Its code.", "examples": ["MAIN"]})
    to_location_id = StrictUUID(metadata=TO_LOCATION_ID)
    to_location_code = Text(metadata={"description": "Its code.", "examples": ["SHOP"]})
    status = Text(metadata=STATUS)
    reference = Text(allow_none=True, metadata=REFERENCE)
    note = Text(allow_none=True, metadata=NOTE)
    created_by = StrictUUID(
        allow_none=True, metadata={"description": "Who sent it; null for a command.", "examples": [None]}
    )
    sent_at = AwareDateTime(metadata={"description": "When it left.", "examples": ["2026-05-17T09:30:00Z"]})
    completed_at = AwareDateTime(
        allow_none=True, metadata={"description": "Since when nothing of it is in transit.", "examples": [None]}
    )
    version = StrictInteger(metadata={"description": "Counts changes; the ETag.", "examples": [1]})
    created_at = AwareDateTime(metadata={"description": "When it was recorded.", "examples": ["2026-05-17T09:30:00Z"]})
    updated_at = AwareDateTime(metadata={"description": "When it last changed.", "examples": ["2026-05-17T09:30:00Z"]})


class TransferSchema(TransferSummarySchema):
    """A transfer."""

    lines = List(Nested(TransferLineSchema), metadata={"description": "In the order they were given."})


class SentLineSchema(MovedLineSchema):
    """Units of one item that leave, if its level where they come from is still as expected."""

    quantity = Quantity(required=True, metadata={"description": "How many.", "examples": [24]})


class TransferCreateSchema(Schema):
    """A new transfer; each item on one line."""

    from_location_id = StrictUUID(required=True, metadata=FROM_LOCATION_ID)
    to_location_id = StrictUUID(required=True, metadata=TO_LOCATION_ID)
    lines = lines_of(SentLineSchema)
    in_transit = Boolean(
        load_default=False,
        metadata={"description": "Whether the units are on the road until received.", "examples": [True]},
    )
    reference = SafeString(metadata=REFERENCE)
    note = SafeString(max_length=2000, multiline=True, metadata=NOTE)
    occurred_at = AwareDateTime(metadata=OCCURRED_AT)


class CarriedLineSchema(ItemLineSchema):
    """Units of one item that are in transit."""

    quantity = Quantity(required=True, metadata={"description": "How many.", "examples": [20]})


class TransferReceiveSchema(Schema):
    """What has arrived; without lines everything outstanding."""

    lines = lines_of(CarriedLineSchema, required=False)


class TransferCancelSchema(Schema):
    """Why a transfer is called back."""

    reason = SafeString(metadata={"description": "Why; the event tells it.", "examples": ["Sent to the wrong shop"]})


class TransferWriteOffSchema(Schema):
    """What will not arrive; without lines everything outstanding."""

    reason = SafeString(
        required=True,
        validate=[OneOf(LOSSES)],
        metadata={"description": f"Why: {', '.join(LOSSES)}.", "examples": ["lost"]},
    )
    lines = lines_of(CarriedLineSchema, required=False)


class TransferQuerySchema(PageQuerySchema):
    """Which transfers to list."""

    status = SafeString(validate=[OneOf(STATUSES)], metadata=STATUS)
    from_location_id = StrictUUID(metadata=FROM_LOCATION_ID)
    to_location_id = StrictUUID(metadata=TO_LOCATION_ID)
    reference = SafeString(metadata=REFERENCE)
    item_id = StrictUUID(metadata={"description": "Those that move it.", "examples": [ITEM_ID["examples"][0]]})


TransferPageSchema = page_of(TransferSummarySchema)
