"""The shapes of returns."""

from __future__ import annotations

from api.rest.fields import (
    Amount,
    AwareDateTime,
    CurrencyAmount,
    List,
    Nested,
    SafeString,
    StrictInteger,
    StrictUUID,
    Text,
)
from api.rest.lines import ITEM_ID, ChosenLineSchema, lines_of
from api.rest.messages import OneOf
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, page_of

STATUSES = ["requested", "received", "cancelled"]
CONDITIONS = ["resellable", "damaged", "quarantine"]
STATUS = {"description": "requested until it is received or cancelled.", "examples": ["requested"]}
ORDER_ID = {"description": "The order.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d48"]}
REASON = {"description": "Why it comes back.", "examples": ["Broken on arrival"]}
NOTE = {"description": "Free text.", "examples": ["Ada will bring it."]}
CONDITION = {
    "description": "resellable is stock again, quarantine lies apart to be looked at, damaged is stock no more.",
    "examples": ["resellable"],
}
LOCATION_ID = {
    "description": "Where resellable units go; left out, to where they last left from.",
    "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d46"],
}
QUARANTINE_ID = {
    "description": "Where units in quarantine go; left out, to the only location of that kind.",
    "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d4a"],
}
REFUND = {"description": "What is granted for it; the balance due falls by it.", "examples": ["12.75"]}


class ReturnLineSchema(ResponseSchema):
    """Units of one order line that are to come back, and how they came."""

    line_no = StrictInteger(metadata={"description": "The order's line.", "examples": [1]})
    item_id = StrictUUID(metadata={"description": "The item.", "examples": [ITEM_ID["examples"][0]]})
    sku = Text(metadata={"description": "The item's SKU.", "examples": ["22423"]})
    name = Text(metadata={"description": "The item's name.", "examples": ["Regency cakestand 3 tier"]})
    quantity = StrictInteger(metadata={"description": "Units asked to come back.", "examples": [2]})
    resellable_quantity = StrictInteger(metadata={"description": "Units that are stock again.", "examples": [1]})
    damaged_quantity = StrictInteger(metadata={"description": "Units that are stock no more.", "examples": [1]})
    quarantined_quantity = StrictInteger(metadata={"description": "Units that lie in quarantine.", "examples": [0]})


class ReturnSchema(ResponseSchema):
    """Units of one order that are to come back."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d4f"]})
    number = Text(metadata={"description": "The number people use.", "examples": ["RT-001001"]})
    order_id = StrictUUID(metadata=ORDER_ID)
    status = Text(metadata=STATUS)
    reason = Text(allow_none=True, metadata=REASON)
    note = Text(allow_none=True, metadata=NOTE)
    refund_amount = Amount(allow_none=True, metadata=REFUND)
    lines = List(Nested(ReturnLineSchema), metadata={"description": "By line of the order."})
    created_by = StrictUUID(
        allow_none=True,
        metadata={"description": "Who asked for it; null for a command.", "examples": [None], "scope": "orders:all"},
    )
    version = StrictInteger(metadata={"description": "Counts changes; the ETag.", "examples": [1]})
    requested_at = AwareDateTime(
        metadata={"description": "When it was asked for.", "examples": ["2026-05-20T10:00:00Z"]}
    )
    received_at = AwareDateTime(allow_none=True, metadata={"description": "When it came back.", "examples": [None]})
    cancelled_at = AwareDateTime(allow_none=True, metadata={"description": "When it was given up.", "examples": [None]})
    created_at = AwareDateTime(metadata={"description": "When it was recorded.", "examples": ["2026-05-20T10:00:00Z"]})
    updated_at = AwareDateTime(metadata={"description": "When it last changed.", "examples": ["2026-05-20T10:00:00Z"]})


class ReturnCreateSchema(Schema):
    """What is to come back; without lines everything that was shipped."""

    lines = lines_of(ChosenLineSchema, required=False)
    reason = SafeString(metadata=REASON)
    note = SafeString(max_length=2000, multiline=True, metadata=NOTE)


class ReceivedLineSchema(ChosenLineSchema):
    """Units that have come back, in one condition."""

    condition = SafeString(load_default="resellable", validate=[OneOf(CONDITIONS)], metadata=CONDITION)


class ReturnReceiveSchema(Schema):
    """What has come back; without lines everything, resellable."""

    lines = lines_of(ReceivedLineSchema, required=False)
    location_id = StrictUUID(metadata=LOCATION_ID)
    quarantine_location_id = StrictUUID(metadata=QUARANTINE_ID)
    refund_amount = CurrencyAmount(metadata=REFUND)


class ReturnQuerySchema(PageQuerySchema):
    """Which returns to list."""

    status = SafeString(validate=[OneOf(STATUSES)], metadata=STATUS)
    order_id = StrictUUID(metadata=ORDER_ID)


ReturnPageSchema = page_of(ReturnSchema)
