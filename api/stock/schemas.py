"""The shapes of stock."""

from __future__ import annotations

from api.rest.fields import (
    AwareDateTime,
    List,
    Nested,
    Quantity,
    SafeString,
    SignedQuantity,
    StrictInteger,
    StrictUUID,
    Text,
)
from api.rest.messages import Length, OneOf
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, page_of

MAXIMUM_LINES = 1000
ITEM_ID = {"description": "The item.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"]}
LOCATION_ID = {"description": "The location.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d46"]}
ON_HAND = {"description": "Units that lie there.", "examples": [120]}
RESERVED = {"description": "Units promised to open orders.", "examples": [20]}
AVAILABLE = {"description": "Units that can still be promised: on_hand - reserved.", "examples": [100]}
REFERENCE = {"description": "A document this belongs to, as a delivery note.", "examples": ["DN-2026-0117"]}
REASONS = ["correction", "damaged", "expired", "found", "lost", "stolen", "sample", "internal_use"]


class LevelSchema(ResponseSchema):
    """How much of an item lies at a location."""

    item_id = StrictUUID(metadata=ITEM_ID)
    location_id = StrictUUID(metadata=LOCATION_ID)
    on_hand = StrictInteger(metadata=ON_HAND)
    reserved = StrictInteger(metadata=RESERVED)
    available = StrictInteger(metadata=AVAILABLE)
    version = StrictInteger(metadata={"description": "How many movements there have been.", "examples": [7]})
    updated_at = AwareDateTime(metadata={"description": "When it last changed.", "examples": ["2026-05-17T09:30:00Z"]})


class LocationAvailabilitySchema(ResponseSchema):
    """How much of an item lies at one location."""

    location_id = StrictUUID(metadata=LOCATION_ID)
    on_hand = StrictInteger(metadata=ON_HAND)
    reserved = StrictInteger(metadata=RESERVED)
    available = StrictInteger(metadata=AVAILABLE)


class AvailabilitySchema(ResponseSchema):
    """How much of an item there is, in all and per location."""

    item_id = StrictUUID(metadata=ITEM_ID)
    on_hand = StrictInteger(metadata=ON_HAND)
    reserved = StrictInteger(metadata=RESERVED)
    available = StrictInteger(metadata=AVAILABLE)
    locations = List(Nested(LocationAvailabilitySchema), metadata={"description": "The same per location."})


class MovementSchema(ResponseSchema):
    """One immutable line of the ledger."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d47"]})
    item_id = StrictUUID(metadata=ITEM_ID)
    location_id = StrictUUID(metadata=LOCATION_ID)
    sequence = StrictInteger(metadata={"description": "Counts this level's movements, without gaps.", "examples": [7]})
    kind = Text(metadata={"description": "receipt, adjustment, reserve or release.", "examples": ["receipt"]})
    quantity = StrictInteger(metadata={"description": "Units moved, signed.", "examples": [24]})
    on_hand_change = StrictInteger(metadata={"description": "What it did to on_hand.", "examples": [24]})
    reserved_change = StrictInteger(metadata={"description": "What it did to reserved.", "examples": [0]})
    on_hand = StrictInteger(metadata={"description": "on_hand after it.", "examples": [120]})
    reserved = StrictInteger(metadata={"description": "reserved after it.", "examples": [20]})
    reason = Text(allow_none=True, metadata={"description": "Why, for an adjustment.", "examples": ["damaged"]})
    reference = Text(allow_none=True, metadata=REFERENCE)
    source_id = StrictUUID(allow_none=True, metadata={"description": "The order that caused it.", "examples": [None]})
    actor_id = StrictUUID(allow_none=True, metadata={"description": "Who; null for a command.", "examples": [None]})
    request_id = Text(allow_none=True, metadata={"description": "In which request.", "examples": ["0198c1f0-3f9e"]})
    occurred_at = AwareDateTime(metadata={"description": "When it happened.", "examples": ["2026-05-17T09:30:00Z"]})
    recorded_at = AwareDateTime(metadata={"description": "When it was written.", "examples": ["2026-05-17T09:30:00Z"]})


class ReceiptLineSchema(Schema):
    """Units of one item that came in."""

    item_id = StrictUUID(required=True, metadata=ITEM_ID)
    quantity = Quantity(required=True, metadata={"description": "How many.", "examples": [24]})


class AdjustmentLineSchema(Schema):
    """A correction of one item's units."""

    item_id = StrictUUID(required=True, metadata=ITEM_ID)
    quantity = SignedQuantity(required=True, metadata={"description": "How many more, or fewer.", "examples": [-2]})


class ReceiptSchema(Schema):
    """Goods that came in at a location; each item on one line."""

    location_id = StrictUUID(required=True, metadata=LOCATION_ID)
    lines = List(
        Nested(ReceiptLineSchema),
        required=True,
        validate=Length(min=1, max=MAXIMUM_LINES),
        metadata={"description": "1 to 1,000 lines."},
    )
    reference = SafeString(metadata=REFERENCE)


class AdjustmentSchema(Schema):
    """Corrections at a location, all for one reason; each item on one line."""

    location_id = StrictUUID(required=True, metadata=LOCATION_ID)
    reason = SafeString(
        required=True, validate=[OneOf(REASONS)], metadata={"description": "Why.", "examples": ["damaged"]}
    )
    lines = List(
        Nested(AdjustmentLineSchema),
        required=True,
        validate=Length(min=1, max=MAXIMUM_LINES),
        metadata={"description": "1 to 1,000 lines."},
    )
    reference = SafeString(metadata=REFERENCE)


class PostingSchema(ResponseSchema):
    """What was written to the ledger."""

    data = List(
        Nested(MovementSchema),
        attribute="movements",
        metadata={"description": "The movements, in the order of the lines."},
    )


class LevelQuerySchema(PageQuerySchema):
    """Which levels to list."""

    item_id = StrictUUID(metadata=ITEM_ID)
    location_id = StrictUUID(metadata=LOCATION_ID)


class MovementQuerySchema(LevelQuerySchema):
    """Which movements to list."""

    source_id = StrictUUID(metadata={"description": "Caused by this order.", "examples": [ITEM_ID["examples"][0]]})
    kind = SafeString(
        validate=[OneOf(["receipt", "adjustment", "reserve", "release"])],
        metadata={"description": "Only this kind.", "examples": ["receipt"]},
    )


LevelPageSchema = page_of(LevelSchema)
MovementPageSchema = page_of(MovementSchema)
