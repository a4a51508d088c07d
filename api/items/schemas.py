"""The shapes of items."""

from __future__ import annotations

from api.rest.fields import AwareDateTime, Boolean, SafeString, Sku, StrictInteger, StrictUUID, Text, UnitPrice
from api.rest.messages import OneOf
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, UpdateSchema, page_of

SKU = {"description": "Stock-keeping unit, unique without regard to case.", "examples": ["22423"]}
NAME = {"description": "Name shown to people.", "examples": ["Regency cakestand 3 tier"]}
PRICE = {"description": "Price per unit, a decimal string with up to four places.", "examples": ["12.75"]}
DESCRIPTION = {"description": "Longer text.", "examples": ["Three tiers, hand painted."]}
UNIT = {"description": "The base unit quantities count.", "examples": ["each"]}
STOCKED = {"description": "False for postage and services, which are ordered without stock.", "examples": [True]}


class ItemSchema(ResponseSchema):
    """A thing that is stocked and sold."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"]})
    sku = Sku(metadata=SKU)
    name = Text(metadata=NAME)
    description = Text(allow_none=True, metadata=DESCRIPTION)
    unit = Text(metadata=UNIT)
    unit_price = UnitPrice(metadata=PRICE)
    is_stocked = Boolean(metadata=STOCKED)
    archived_at = AwareDateTime(
        allow_none=True, metadata={"description": "When it left the catalogue.", "examples": [None]}
    )
    version = StrictInteger(metadata={"description": "Counts changes; the ETag.", "examples": [1]})
    created_at = AwareDateTime(metadata={"description": "When it was added.", "examples": ["2026-05-17T09:30:00Z"]})
    updated_at = AwareDateTime(metadata={"description": "When it last changed.", "examples": ["2026-05-17T09:30:00Z"]})


class ItemCreateSchema(Schema):
    """A new item."""

    sku = Sku(required=True, metadata=SKU)
    name = SafeString(required=True, metadata=NAME)
    unit_price = UnitPrice(required=True, metadata=PRICE)
    description = SafeString(max_length=5000, multiline=True, allow_none=True, metadata=DESCRIPTION)
    unit = SafeString(validate=[OneOf(["each", "g", "ml"])], metadata=UNIT)
    is_stocked = Boolean(metadata=STOCKED)


class ItemUpdateSchema(UpdateSchema):
    """Changes to an item."""

    sku = Sku(metadata=SKU)
    name = SafeString(metadata=NAME)
    unit_price = UnitPrice(metadata=PRICE)
    description = SafeString(max_length=5000, multiline=True, allow_none=True, metadata=DESCRIPTION)


class ItemQuerySchema(PageQuerySchema):
    """Which items to list."""

    q = SafeString(metadata={"description": "Text that SKU or name contain, in any letter case.", "examples": ["cake"]})
    sku = Sku(metadata={"description": "Exactly this SKU, in any letter case.", "examples": ["22423"]})


ItemPageSchema = page_of(ItemSchema)
