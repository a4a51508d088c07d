"""The shapes of stock counts."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from api.rest.fields import AwareDateTime, Boolean, List, Nested, SafeString, StrictInteger, StrictUUID, Text
from api.rest.lines import ITEM_ID, MOST_UNITS, ItemLineSchema, lines_of
from api.rest.messages import Message, OneOf, Range
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, page_of

STATUSES = ["open", "posted", "cancelled"]
UNCOUNTED = ["keep", "zero"]

COUNT_ID = {"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d4c"]}
THE_ITEM = {"description": "The item.", "examples": [ITEM_ID["examples"][0]]}
ITS_SKU = {"description": "The item's SKU.", "examples": ["22423"]}
LOCATION_ID = {"description": "The location counted.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d46"]}
STATUS = {"description": "open, then posted or cancelled.", "examples": ["open"]}
REFERENCE = {"description": "A document this belongs to.", "examples": ["STOCKTAKE-2026"]}
NOTE = {"description": "Free text.", "examples": ["Ground floor only."]}
QUANTITY = {"description": "Units found; 0 where there are none.", "examples": [11]}
COUNTED_BY = {"description": "Who counted it last; null for a command, or for nobody.", "examples": [None]}
COUNTED_AT = {"description": "When it was counted last.", "examples": ["2026-05-17T09:30:00Z"]}


class CountSummarySchema(ResponseSchema):
    """A stock count without what was found."""

    id = StrictUUID(metadata=COUNT_ID)
    location_id = StrictUUID(metadata=LOCATION_ID)
    location_code = Text(metadata={"description": "Its code.", "examples": ["MAIN"]})
    status = Text(metadata=STATUS)
    reference = Text(allow_none=True, metadata=REFERENCE)
    note = Text(allow_none=True, metadata=NOTE)
    created_by = StrictUUID(
        allow_none=True, metadata={"description": "Who opened it; null for a command.", "examples": [None]}
    )
    closed_by = StrictUUID(allow_none=True, metadata={"description": "Who posted or cancelled it.", "examples": [None]})
    closed_at = AwareDateTime(allow_none=True, metadata={"description": "When that was.", "examples": [None]})
    created_at = AwareDateTime(metadata={"description": "When it was opened.", "examples": ["2026-05-17T09:30:00Z"]})
    updated_at = AwareDateTime(
        metadata={"description": "When it was opened or closed.", "examples": ["2026-05-17T09:30:00Z"]}
    )


class CountSchema(CountSummarySchema):
    """A stock count, and what was found in all."""

    items_counted = StrictInteger(metadata={"description": "Items that somebody counted.", "examples": [412]})
    items_differing = StrictInteger(
        metadata={"description": "Those of which other was found than should have lain there.", "examples": [9]}
    )
    items_moved = StrictInteger(
        metadata={"description": "Those that moved between two entries, and should be recounted.", "examples": [0]}
    )
    version = StrictInteger(metadata={"description": "Counts changes and entries; the ETag.", "examples": [1]})


class CountLineSchema(ResponseSchema):
    """What was found of one item, beside what should have been."""

    item_id = StrictUUID(metadata=THE_ITEM)
    sku = Text(metadata=ITS_SKU)
    name = Text(metadata={"description": "The item's name.", "examples": ["Regency cakestand 3 tier"]})
    counted = StrictInteger(
        allow_none=True, metadata={"description": "Units found; null if nobody has counted it.", "examples": [11]}
    )
    expected = StrictInteger(
        allow_none=True, metadata={"description": "on_hand at the time of its latest entry.", "examples": [12]}
    )
    difference = StrictInteger(
        allow_none=True, metadata={"description": "counted - expected; what posting books.", "examples": [-1]}
    )
    on_hand = StrictInteger(metadata={"description": "Units that lie there now, by the ledger.", "examples": [12]})
    moved_between_entries = Boolean(
        allow_none=True,
        metadata={"description": "Whether on_hand differed between its entries: recount it.", "examples": [False]},
    )
    entries = StrictInteger(allow_none=True, metadata={"description": "Entries that add up to it.", "examples": [1]})
    counted_by = StrictUUID(allow_none=True, metadata=COUNTED_BY)
    counted_at = AwareDateTime(allow_none=True, metadata=COUNTED_AT)


class CountEntrySchema(ResponseSchema):
    """What one person found of one item at one time."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d4d"]})
    item_id = StrictUUID(metadata=THE_ITEM)
    sku = Text(metadata=ITS_SKU)
    quantity = StrictInteger(metadata=QUANTITY)
    on_hand = StrictInteger(metadata={"description": "Units that should have lain there then.", "examples": [12]})
    counted_by = StrictUUID(allow_none=True, metadata={"description": "Who; null for a command.", "examples": [None]})
    counted_at = AwareDateTime(metadata={"description": "When.", "examples": ["2026-05-17T09:30:00Z"]})
    is_replaced = Boolean(metadata={"description": "Whether a recount has replaced it.", "examples": [False]})


class CountEntriesSchema(ResponseSchema):
    """What was entered."""

    data = List(Nested(CountEntrySchema), attribute="entries", metadata={"description": "In the order of the lines."})


class CountOpenSchema(Schema):
    """A new count of a location."""

    location_id = StrictUUID(required=True, metadata=LOCATION_ID)
    reference = SafeString(metadata=REFERENCE)
    note = SafeString(max_length=2000, multiline=True, metadata=NOTE)


class FoundLineSchema(ItemLineSchema):
    """Units of one item that somebody found."""

    quantity = StrictInteger(required=True, validate=Range(min=0, max=MOST_UNITS), metadata=QUANTITY)
    recount = Boolean(
        load_default=False,
        metadata={
            "description": "Whether it replaces what was entered for the item before, instead of adding to it.",
            "examples": [False],
        },
    )


class CountEnterSchema(Schema):
    """What somebody found; each item on one line."""

    lines = lines_of(FoundLineSchema)


class CountPostSchema(Schema):
    """How to post a count."""

    uncounted = SafeString(
        load_default="keep",
        validate=[OneOf(UNCOUNTED)],
        metadata={
            "description": "What becomes of items that nobody has counted: keep them, or book them away (zero).",
            "examples": ["keep"],
        },
    )


class CountCancelSchema(Schema):
    """Nothing more needs to be said."""


class CountQuerySchema(PageQuerySchema):
    """Which counts to list."""

    location_id = StrictUUID(metadata=LOCATION_ID)
    status = SafeString(validate=[OneOf(STATUSES)], metadata=STATUS)


class CountLineQuerySchema(PageQuerySchema):
    """Which items of a count to list."""

    differing = Boolean(
        load_default=False,
        metadata={"description": "Only those of which other was found than expected.", "examples": [True]},
    )
    uncounted = Boolean(
        load_default=False,
        metadata={"description": "Instead, items that lie there and that nobody has counted.", "examples": [True]},
    )

    @ma.validates_schema
    def _asks_for_one_kind(self, data: dict[str, Any], **_: object) -> None:
        if data["differing"] and data["uncounted"]:
            raise ma.ValidationError(
                Message("What nobody has counted does not differ; leave out one of the two.", "invalid_value"),
                "uncounted",
            )


class CountEntryQuerySchema(PageQuerySchema):
    """Which entries to list."""

    item_id = StrictUUID(metadata=THE_ITEM)


CountPageSchema = page_of(CountSummarySchema)
CountLinePageSchema = page_of(CountLineSchema)
CountEntryPageSchema = page_of(CountEntrySchema)
