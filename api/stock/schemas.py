"""The shapes of stock."""

from __future__ import annotations

from api.rest.fields import (
    Amount,
    AwareDateTime,
    Boolean,
    List,
    Nested,
    Quantity,
    SafeString,
    SignedQuantity,
    Sku,
    StrictInteger,
    StrictUUID,
    Text,
    UnitPrice,
)
from api.rest.lines import MovedLineSchema, lines_of
from api.rest.messages import OneOf
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, page_of

ITEM_ID = {"description": "The item.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"]}
SKU = {"description": "The item's SKU.", "examples": ["22423"]}
LOCATION_ID = {"description": "The location.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d46"]}
LOCATION_CODE = {"description": "The location's code.", "examples": ["MAIN"]}
LOCATION_NAME = {"description": "The location's name.", "examples": ["Main warehouse"]}
LOCATION_KIND = {"description": "warehouse, store, quarantine or transit.", "examples": ["warehouse"]}
ON_HAND = {"description": "Units that lie there.", "examples": [120]}
RESERVED = {"description": "Units promised to open orders, or to transfers under way.", "examples": [20]}
AVAILABLE = {"description": "Units that can still be promised: on_hand - reserved.", "examples": [100]}
REFERENCE = {"description": "A document this belongs to, as a delivery note.", "examples": ["DN-2026-0117"]}
OCCURRED_AT = {
    "description": "When it happened, if that was earlier; `recorded_at` keeps when it was written.",
    "examples": ["2026-05-17T09:30:00Z"],
}
AS_OF = {
    "description": "How it was at this moment, as it is known today; leave it out for how it is.",
    "examples": ["2026-05-17T09:30:00Z"],
}
VALUE = {"description": "What the units are worth together.", "examples": ["612.00"], "scope": "costs:read"}
REASONS = ["correction", "damaged", "expired", "found", "lost", "stolen", "sample", "internal_use"]
KINDS = ["receipt", "adjustment", "transfer", "count", "reserve", "release"]


class LevelSchema(ResponseSchema):
    """How much of an item lies at a location."""

    item_id = StrictUUID(metadata=ITEM_ID)
    sku = Text(metadata=SKU)
    name = Text(metadata={"description": "The item's name.", "examples": ["Regency cakestand 3 tier"]})
    unit = Text(metadata={"description": "What the quantities count.", "examples": ["each"]})
    location_id = StrictUUID(metadata=LOCATION_ID)
    location_code = Text(metadata=LOCATION_CODE)
    location_name = Text(metadata=LOCATION_NAME)
    location_kind = Text(metadata=LOCATION_KIND)
    on_hand = StrictInteger(metadata=ON_HAND)
    reserved = StrictInteger(metadata=RESERVED)
    available = StrictInteger(metadata=AVAILABLE)
    reorder_point = StrictInteger(
        allow_none=True,
        metadata={
            "description": "The item's, where orders are served from; null elsewhere, and in the past.",
            "examples": [20],
        },
    )
    is_low = Boolean(
        allow_none=True,
        metadata={"description": "Whether available is at or below it; null in the past.", "examples": [False]},
    )
    value = Amount(allow_none=True, metadata=VALUE)
    average_cost = UnitPrice(
        allow_none=True,
        metadata={
            "description": "Value per unit, the weighted average of what came in; null where nothing lies.",
            "examples": ["5.10"],
            "scope": "costs:read",
        },
    )
    version = StrictInteger(metadata={"description": "How many movements there have been.", "examples": [7]})
    moved_at = AwareDateTime(
        allow_none=True, metadata={"description": "When it last moved.", "examples": ["2026-05-17T09:30:00Z"]}
    )


class LocationAvailabilitySchema(ResponseSchema):
    """How much of an item lies at one location."""

    location_id = StrictUUID(metadata=LOCATION_ID)
    location_code = Text(metadata=LOCATION_CODE)
    location_name = Text(metadata=LOCATION_NAME)
    location_kind = Text(metadata=LOCATION_KIND)
    on_hand = StrictInteger(metadata=ON_HAND)
    reserved = StrictInteger(metadata=RESERVED)
    available = StrictInteger(metadata=AVAILABLE)


class AvailabilitySchema(ResponseSchema):
    """How much of an item there is, in all and per location. The sums count locations that serve orders."""

    item_id = StrictUUID(metadata=ITEM_ID)
    on_hand = StrictInteger(metadata=ON_HAND)
    reserved = StrictInteger(metadata=RESERVED)
    available = StrictInteger(metadata=AVAILABLE)
    in_transit = StrictInteger(metadata={"description": "Units on the road between locations.", "examples": [0]})
    in_quarantine = StrictInteger(metadata={"description": "Units where nothing is sold.", "examples": [0]})
    locations = List(Nested(LocationAvailabilitySchema), metadata={"description": "The same per location."})


class MovementSchema(ResponseSchema):
    """One immutable line of the ledger."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d47"]})
    item_id = StrictUUID(metadata=ITEM_ID)
    location_id = StrictUUID(metadata=LOCATION_ID)
    sequence = StrictInteger(metadata={"description": "Counts this level's movements, without gaps.", "examples": [7]})
    kind = Text(metadata={"description": f"One of {', '.join(KINDS)}.", "examples": ["receipt"]})
    quantity = StrictInteger(metadata={"description": "Units moved, signed.", "examples": [24]})
    on_hand_change = StrictInteger(metadata={"description": "What it did to on_hand.", "examples": [24]})
    reserved_change = StrictInteger(metadata={"description": "What it did to reserved.", "examples": [0]})
    value_change = Amount(metadata=VALUE | {"description": "What it did to the value.", "examples": ["122.40"]})
    on_hand = StrictInteger(metadata={"description": "on_hand after it.", "examples": [120]})
    reserved = StrictInteger(metadata={"description": "reserved after it.", "examples": [20]})
    value = Amount(metadata=VALUE | {"description": "The level's value after it."})
    reason = Text(allow_none=True, metadata={"description": "Why, for an adjustment.", "examples": ["damaged"]})
    reference = Text(allow_none=True, metadata=REFERENCE)
    source_id = StrictUUID(
        allow_none=True, metadata={"description": "The order, transfer or count behind it.", "examples": [None]}
    )
    actor_id = StrictUUID(allow_none=True, metadata={"description": "Who; null for a command.", "examples": [None]})
    request_id = Text(allow_none=True, metadata={"description": "In which request.", "examples": ["0198c1f0-3f9e"]})
    occurred_at = AwareDateTime(metadata={"description": "When it happened.", "examples": ["2026-05-17T09:30:00Z"]})
    recorded_at = AwareDateTime(metadata={"description": "When it was written.", "examples": ["2026-05-17T09:30:00Z"]})
    is_late = Boolean(
        metadata={"description": "Whether it happened before a movement that has a lower number.", "examples": [False]}
    )


class LedgerLineSchema(MovementSchema):
    """One immutable line of the ledger, with the names of its item and location."""

    sku = Text(metadata=SKU)
    location_code = Text(metadata=LOCATION_CODE)


class ReceiptLineSchema(MovedLineSchema):
    """Units of one item that came in."""

    quantity = Quantity(required=True, metadata={"description": "How many.", "examples": [24]})
    unit_cost = UnitPrice(
        allow_none=True,
        metadata={
            "description": "What one unit cost; without it the item's cost price, else the average of those there.",
            "examples": ["5.10"],
        },
    )


class AdjustmentLineSchema(MovedLineSchema):
    """A correction of one item's units."""

    quantity = SignedQuantity(required=True, metadata={"description": "How many more, or fewer.", "examples": [-2]})


class ReceiptSchema(Schema):
    """Goods that came in at a location; each item on one line."""

    location_id = StrictUUID(required=True, metadata=LOCATION_ID)
    lines = lines_of(ReceiptLineSchema)
    reference = SafeString(metadata=REFERENCE)
    occurred_at = AwareDateTime(metadata=OCCURRED_AT)


class AdjustmentSchema(Schema):
    """Corrections at a location, all for one reason; each item on one line."""

    location_id = StrictUUID(required=True, metadata=LOCATION_ID)
    reason = SafeString(
        required=True, validate=[OneOf(REASONS)], metadata={"description": "Why.", "examples": ["damaged"]}
    )
    lines = lines_of(AdjustmentLineSchema)
    reference = SafeString(metadata=REFERENCE)
    occurred_at = AwareDateTime(metadata=OCCURRED_AT)


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
    sku = Sku(metadata={"description": "The item with this SKU, in any letter case.", "examples": ["22423"]})
    location_id = StrictUUID(metadata=LOCATION_ID)
    low = Boolean(metadata={"description": "Only those at or below their reorder point, or not.", "examples": [True]})
    as_of = AwareDateTime(metadata=AS_OF)


class MovementFilterSchema(Schema):
    """Which movements."""

    item_id = StrictUUID(metadata=ITEM_ID)
    sku = Sku(metadata={"description": "The item with this SKU, in any letter case.", "examples": ["22423"]})
    location_id = StrictUUID(metadata=LOCATION_ID)
    source_id = StrictUUID(
        metadata={"description": "Caused by this order, transfer or count.", "examples": [ITEM_ID["examples"][0]]}
    )
    kind = SafeString(validate=[OneOf(KINDS)], metadata={"description": "Only this kind.", "examples": ["receipt"]})
    reason = SafeString(
        validate=[OneOf(REASONS)], metadata={"description": "Only for this reason.", "examples": ["damaged"]}
    )
    reference = SafeString(metadata=REFERENCE)
    occurred_from = AwareDateTime(
        metadata={"description": "That happened then or later.", "examples": ["2026-05-01T00:00:00Z"]}
    )
    occurred_before = AwareDateTime(
        metadata={"description": "That happened earlier.", "examples": ["2026-06-01T00:00:00Z"]}
    )


class MovementQuerySchema(PageQuerySchema, MovementFilterSchema):
    """Which movements to list."""


class AsOfSchema(Schema):
    """A moment of the past."""

    as_of = AwareDateTime(metadata=AS_OF)


class ExportQuerySchema(MovementFilterSchema):
    """Which movements to export, and in what form."""

    format = SafeString(
        load_default="csv",
        validate=[OneOf(["csv", "ndjson"])],
        metadata={"description": "The form.", "examples": ["csv"]},
    )


class ValuationQuerySchema(Schema):
    """What to value."""

    location_id = StrictUUID(metadata=LOCATION_ID)
    item_id = StrictUUID(metadata=ITEM_ID)
    as_of = AwareDateTime(metadata=AS_OF)


class LocationValueSchema(ResponseSchema):
    """What lies at one location and what it is worth."""

    location_id = StrictUUID(metadata=LOCATION_ID)
    location_code = Text(metadata=LOCATION_CODE)
    location_name = Text(metadata=LOCATION_NAME)
    location_kind = Text(metadata=LOCATION_KIND)
    on_hand = StrictInteger(metadata={"description": "Units that lie there.", "examples": [18402]})
    value = Amount(metadata={"description": "What they are worth.", "examples": ["48211.40"]})


class ValuationSchema(ResponseSchema):
    """What all stock is worth, at the weighted average cost of what came in."""

    as_of = AwareDateTime(metadata={"description": "The moment it holds for.", "examples": ["2026-05-17T09:30:00Z"]})
    currency = Text(metadata={"description": "ISO 4217 code.", "examples": ["GBP"]})
    on_hand = StrictInteger(metadata={"description": "All units.", "examples": [18402]})
    value = Amount(metadata={"description": "What they are worth.", "examples": ["48211.40"]})
    locations = List(Nested(LocationValueSchema), metadata={"description": "The same per location."})


class VerificationQuerySchema(Schema):
    """What to verify."""

    item_id = StrictUUID(metadata=ITEM_ID)
    location_id = StrictUUID(metadata=LOCATION_ID)


class DifferenceSchema(ResponseSchema):
    """Two numbers that ought to be the same, and the ledger line where that began."""

    kind = Text(metadata={"description": "What differs from what.", "examples": ["on_hand differs from the ledger"]})
    item_id = StrictUUID(allow_none=True, metadata=ITEM_ID)
    location_id = StrictUUID(allow_none=True, metadata=LOCATION_ID)
    order_id = StrictUUID(allow_none=True, metadata={"description": "The order.", "examples": [None]})
    transfer_id = StrictUUID(allow_none=True, metadata={"description": "The transfer.", "examples": [None]})
    reservation_id = StrictUUID(allow_none=True, metadata={"description": "The reservation.", "examples": [None]})
    found = StrictInteger(metadata={"description": "What is there.", "examples": [11]})
    expected = StrictInteger(metadata={"description": "What the ledger says.", "examples": [10]})
    movement_id = StrictUUID(
        allow_none=True,
        metadata={"description": "The first wrong line of the level's ledger, or the last right.", "examples": [None]},
    )
    sequence = StrictInteger(allow_none=True, metadata={"description": "Its number.", "examples": [7]})
    actor_id = StrictUUID(allow_none=True, metadata={"description": "Who wrote it.", "examples": [None]})
    request_id = Text(allow_none=True, metadata={"description": "In which request.", "examples": ["0198c1f0-3f9e"]})
    occurred_at = AwareDateTime(
        allow_none=True, metadata={"description": "When it happened.", "examples": ["2026-05-17T09:30:00Z"]}
    )
    recorded_at = AwareDateTime(
        allow_none=True, metadata={"description": "When it was written.", "examples": ["2026-05-17T09:30:00Z"]}
    )


class VerificationSchema(ResponseSchema):
    """Whether ledger, balances, values, promises, orders and transfers agree."""

    agrees = Boolean(metadata={"description": "True when there is no difference.", "examples": [True]})
    differences = List(Nested(DifferenceSchema), metadata={"description": "Every difference; there are none."})


LevelPageSchema = page_of(LevelSchema)
LedgerLinePageSchema = page_of(LedgerLineSchema)
