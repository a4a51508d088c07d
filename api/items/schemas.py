"""The shapes of items."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, validates_schema

from api.rest.bulk import OutcomeSchema, RowKeyedSchema, Rows
from api.rest.fields import (
    AttributeFilter,
    Attributes,
    AwareDateTime,
    Barcode,
    Boolean,
    CommaList,
    List,
    Nested,
    SafeString,
    Sku,
    SortKeys,
    StrictInteger,
    StrictUUID,
    Tags,
    Text,
    UnitPrice,
    WebAddress,
)
from api.rest.messages import Message, OneOf, Range, Regexp
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, SparseSchema, UpdateSchema, page_of

LARGEST_REORDER = 1_000_000
LONGEST_LEAD_TIME = 3650
SORTS = ("sku", "name", "unit_price", "category", "created_at", "updated_at")

SKU = {"description": "Stock-keeping unit, unique without regard to case.", "examples": ["22423"]}
NAME = {"description": "Name shown to people.", "examples": ["Regency cakestand 3 tier"]}
PRICE = {"description": "Price per unit, a decimal string with up to four places.", "examples": ["12.75"]}
COST = {"description": "What a unit costs to buy, a decimal string with up to four places.", "examples": ["5.10"]}
DESCRIPTION = {"description": "Longer text.", "examples": ["Three tiers, hand painted."]}
UNIT = {"description": "The base unit quantities count; settled when the item is created.", "examples": ["each"]}
STOCKED = {"description": "False for postage and services, which are ordered without stock.", "examples": [True]}
BARCODE = {
    "description": "GTIN (EAN, UPC) of 8, 12, 13 or 14 digits with a right check digit, unique whatever zeros stand "
    "before it.",
    "examples": ["4006381333931"],
}
CATEGORY = {"description": "What kind of thing it is.", "examples": ["Tableware"]}
TAGS = {
    "description": "Up to 20 words to sort things by, kept in lower case, each once, in order.",
    "examples": [["cake", "wedding"]],
}
ATTRIBUTES = {
    "description": "Facts of your own: up to 50 texts, numbers, booleans or lists of texts, together at most 8 kB. "
    "A change replaces them as a whole.",
    "examples": [{"colour": "green", "tiers": 3}],
}
IMAGE = {"description": "Address of a picture, http or https.", "examples": ["https://example.com/22423.jpg"]}
REORDER_POINT = {
    "description": "Stock is low, at each location that sells, when no more than this is available.",
    "examples": [12],
}
REORDER_QUANTITY = {"description": "How many to order when stock is low.", "examples": [48]}
BACKORDERS = {
    "description": "Whether more may be ordered than is available: deny, or allow, and the order waits for the next "
    "units that come.",
    "examples": ["deny"],
}
LEAD_TIME_DAYS = {"description": "Days within which a backorder is promised to be shipped.", "examples": [14]}
BACKORDER_POLICIES = ["deny", "allow"]


def _backorders() -> SafeString:
    return SafeString(validate=[OneOf(BACKORDER_POLICIES)], metadata=BACKORDERS)


def _lead_time_days() -> StrictInteger:
    return StrictInteger(allow_none=True, validate=Range(min=0, max=LONGEST_LEAD_TIME), metadata=LEAD_TIME_DAYS)


def _reorder_point() -> StrictInteger:
    return StrictInteger(allow_none=True, validate=Range(min=0, max=LARGEST_REORDER), metadata=REORDER_POINT)


def _reorder_quantity() -> StrictInteger:
    return StrictInteger(allow_none=True, validate=Range(min=1, max=LARGEST_REORDER), metadata=REORDER_QUANTITY)


class ItemSchema(SparseSchema):
    """A thing that is stocked and sold."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"]})
    sku = Sku(metadata=SKU)
    name = Text(metadata=NAME)
    description = Text(allow_none=True, metadata=DESCRIPTION)
    barcode = Barcode(allow_none=True, metadata=BARCODE)
    category = Text(allow_none=True, metadata=CATEGORY)
    tags = List(Text(), metadata=TAGS)
    attributes = Attributes(metadata=ATTRIBUTES)
    image_url = WebAddress(allow_none=True, metadata=IMAGE)
    unit = Text(metadata=UNIT)
    unit_price = UnitPrice(metadata=PRICE)
    cost_price = UnitPrice(allow_none=True, metadata=COST | {"scope": "costs:read"})
    reorder_point = StrictInteger(allow_none=True, metadata=REORDER_POINT)
    reorder_quantity = StrictInteger(allow_none=True, metadata=REORDER_QUANTITY)
    backorders = Text(metadata=BACKORDERS)
    lead_time_days = StrictInteger(allow_none=True, metadata=LEAD_TIME_DAYS)
    is_stocked = Boolean(metadata=STOCKED)
    archived_at = AwareDateTime(
        allow_none=True, metadata={"description": "When it left the catalogue.", "examples": [None]}
    )
    version = StrictInteger(metadata={"description": "Counts changes; the ETag.", "examples": [1]})
    created_at = AwareDateTime(metadata={"description": "When it was added.", "examples": ["2026-05-17T09:30:00Z"]})
    updated_at = AwareDateTime(metadata={"description": "When it last changed.", "examples": ["2026-05-17T09:30:00Z"]})


class _FactsSchema(Schema):
    """What can be said about an item beside its SKU, name and price."""

    description = SafeString(max_length=5000, multiline=True, allow_none=True, metadata=DESCRIPTION)
    barcode = Barcode(allow_none=True, metadata=BARCODE)
    category = SafeString(max_length=100, allow_none=True, metadata=CATEGORY)
    tags = Tags(metadata=TAGS)
    attributes = Attributes(metadata=ATTRIBUTES)
    image_url = WebAddress(allow_none=True, metadata=IMAGE)
    cost_price = UnitPrice(allow_none=True, metadata=COST)
    reorder_point = _reorder_point()
    reorder_quantity = _reorder_quantity()
    backorders = _backorders()
    lead_time_days = _lead_time_days()


class ItemCreateSchema(_FactsSchema):
    """A new item."""

    sku = Sku(required=True, metadata=SKU)
    name = SafeString(required=True, metadata=NAME)
    unit_price = UnitPrice(required=True, metadata=PRICE)
    unit = SafeString(validate=[OneOf(["each", "g", "ml"])], metadata=UNIT)
    is_stocked = Boolean(metadata=STOCKED)


class ItemUpdateSchema(UpdateSchema, _FactsSchema):
    """Changes to an item."""

    sku = Sku(metadata=SKU)
    name = SafeString(metadata=NAME)
    unit_price = UnitPrice(metadata=PRICE)


class ItemRowSchema(ItemCreateSchema):
    """An item to create, or what to change about the one that has the SKU."""

    name = SafeString(metadata=NAME | {"description": "Name shown to people; a new item needs one."})
    unit_price = UnitPrice(metadata=PRICE | {"description": "Price per unit; a new item needs one."})
    version = StrictInteger(
        validate=Range(min=1, max=2**53),
        metadata={"description": "Only change the item if it is at this version.", "examples": [3]},
    )


class ItemKeyedRowSchema(ItemRowSchema, RowKeyedSchema):
    """An item to create, or what to change about the one that has the SKU."""


class ItemBulkSchema(Schema):
    """Items to create or to change."""

    items = Rows(
        ItemKeyedRowSchema,
        required=True,
        metadata={
            "description": "From 1 to 1,000 rows; a row of another form is refused by itself.",
            "examples": [[{"sku": "22423", "unit_price": "11.50"}]],
        },
    )
    dry_run = Boolean(
        load_default=False,
        metadata={"description": "Tell what would happen, and write nothing.", "examples": [False]},
    )


class ItemOutcomeSchema(OutcomeSchema):
    """What became of one item."""

    sku = Text(allow_none=True, metadata={"description": "Its SKU; null in a row without.", "examples": ["22423"]})
    id = StrictUUID(
        allow_none=True,
        metadata={
            "description": "The item; null where there is none, as with what a dry run would create.",
            "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"],
        },
    )
    version = StrictInteger(allow_none=True, metadata={"description": "The item's version.", "examples": [1]})


class CountsSchema(ResponseSchema):
    """How many rows had which outcome."""

    created = StrictInteger(dump_default=0, metadata={"description": "New items.", "examples": [1]})
    updated = StrictInteger(dump_default=0, metadata={"description": "Changed items.", "examples": [0]})
    unchanged = StrictInteger(
        dump_default=0, metadata={"description": "Items that were like this already.", "examples": [0]}
    )
    refused = StrictInteger(dump_default=0, metadata={"description": "Rows without effect.", "examples": [0]})


class ItemOutcomesSchema(ResponseSchema):
    """What became of many items."""

    outcomes = List(Nested(ItemOutcomeSchema), metadata={"description": "One for each row, in the order of the rows."})
    counts = Nested(CountsSchema, metadata={"description": "How many rows had which outcome."})
    dry_run = Boolean(metadata={"description": "Whether nothing was written.", "examples": [False]})


class ItemQuerySchema(PageQuerySchema):
    """Which items to list."""

    q = SafeString(
        metadata={
            "description": "Words that SKU, name, barcode, category or tags have, or begin with, in any order, letter "
            "case and accents; up to 8 count. A word without digits that nothing begins with is taken for misspelt.",
            "examples": ["cakstand"],
        }
    )
    sku = Sku(metadata={"description": "Exactly this SKU, in any letter case.", "examples": ["22423"]})
    barcode = SafeString(
        max_length=14,
        validate=[Regexp(r"^[0-9]+$", error="Send up to 14 digits.")],
        metadata={
            "description": "Exactly this barcode, with any zeros before it.",
            "examples": ["4006381333931"],
        },
    )
    category = SafeString(max_length=100, metadata={"description": "Exactly this category.", "examples": ["Tableware"]})
    tag = CommaList(folded=True, metadata={"description": "All of these tags.", "examples": ["cake,wedding"]})
    attribute = AttributeFilter(
        metadata={
            "description": "An attribute and its value, or one of its values; numbers and booleans count as both "
            "themselves and text.",
            "examples": ["colour:green"],
        }
    )
    is_stocked = Boolean(metadata={"description": "Only those with stock, or only those without.", "examples": [True]})
    archived = Boolean(metadata={"description": "Those out of the catalogue, not those in it.", "examples": [False]})
    price_min = UnitPrice(metadata={"description": "At least this price.", "examples": ["1.00"]})
    price_max = UnitPrice(metadata={"description": "At most this price.", "examples": ["20.00"]})
    created_since = AwareDateTime(
        metadata={"description": "Added at this moment or later.", "examples": ["2026-05-17T09:30:00Z"]}
    )
    updated_since = AwareDateTime(
        metadata={
            "description": "Changed at this moment or later; with `sort=updated_at` it tells what is new.",
            "examples": ["2026-05-17T09:30:00Z"],
        }
    )
    sort = SortKeys(
        SORTS,
        metadata={
            "description": f"Names separated by commas, of {', '.join(SORTS)}; a minus turns one around.",
            "examples": ["category,-unit_price"],
        },
    )
    shown = CommaList(
        tuple(ItemSchema._declared_fields),  # noqa: SLF001  # marshmallow has no public name for them
        data_key="fields",
        at_most=len(ItemSchema._declared_fields),  # noqa: SLF001
        metadata={"description": "Only these fields of each item.", "examples": ["id,sku,name"]},
    )

    @validates_schema
    def _is_a_span(self, data: dict[str, Any], **_: object) -> None:
        if "price_min" in data and "price_max" in data and data["price_min"] > data["price_max"]:
            raise ValidationError(Message("It is below price_min.", "out_of_range"), "price_max")


ItemPageSchema = page_of(ItemSchema)
