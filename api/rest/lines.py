"""Lines of a document, each about one item: what orders, receipts, transfers and counts are made of."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from api.rest.fields import List, Nested, Quantity, Sku, StrictInteger, StrictUUID
from api.rest.messages import Length, Message, Range
from api.rest.schemas import Schema

MAXIMUM_LINES = 1000
MOST_LINE_NUMBERS = 2**15 - 1
MOST_UNITS = 2**31 - 1
"""As many as can lie anywhere."""

ITEM_ID = {"description": "The item; or name it by `sku`.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"]}
SKU = {"description": "The item's SKU, in any letter case; or name it by `item_id`.", "examples": ["22423"]}


class ItemLineSchema(Schema):
    """An item, by id or by SKU."""

    item_id = StrictUUID(metadata=ITEM_ID)
    sku = Sku(metadata=SKU)

    @ma.validates_schema
    def _names_one_item(self, data: dict[str, Any], **_: object) -> None:
        if ("item_id" in data) == ("sku" in data):
            raise ma.ValidationError(
                Message("Name the item by item_id or by sku, one of the two.", "required"), "item_id"
            )


class MovedLineSchema(ItemLineSchema):
    """An item whose units are moved, if its level is still as expected."""

    expected_on_hand = StrictInteger(
        validate=Range(min=0, max=MOST_UNITS),
        metadata={"description": "Refuse the whole unless on_hand is just this.", "examples": [120]},
    )
    expected_version = StrictInteger(
        validate=Range(min=0, max=2**53),
        metadata={"description": "Refuse the whole unless the level's version is just this.", "examples": [7]},
    )


class ChosenLineSchema(Schema):
    """Units of an order's line, which is named by its number, or by its item."""

    line_no = StrictInteger(
        validate=Range(min=1, max=MOST_LINE_NUMBERS),
        metadata={"description": "The order's line; or name its item.", "examples": [1]},
    )
    item_id = StrictUUID(metadata=ITEM_ID)
    sku = Sku(metadata=SKU)
    quantity = Quantity(required=True, metadata={"description": "How many units.", "examples": [1]})

    @ma.validates_schema
    def _names_one_line(self, data: dict[str, Any], **_: object) -> None:
        if len({"line_no", "item_id", "sku"} & data.keys()) != 1:
            message = Message("Name the line by line_no, item_id or sku, one of the three.", "required")
            raise ma.ValidationError(message, "line_no")


def lines_of(schema: type[Schema], *, required: bool = True) -> List:
    """Make the field that holds a document's lines."""
    return List(
        Nested(schema),
        required=required,
        validate=Length(min=1, max=MAXIMUM_LINES),
        metadata={"description": "1 to 1,000 lines."},
    )
