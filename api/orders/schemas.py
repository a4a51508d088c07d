"""The shapes of orders."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from api.rest.addresses import ContactAddressSchema
from api.rest.bulk import OutcomeSchema, RowKeyedSchema, Rows
from api.rest.fields import (
    Amount,
    AwareDateTime,
    Boolean,
    CurrencyAmount,
    Date,
    DocumentNumber,
    Email,
    JsonObject,
    List,
    Metadata,
    Nested,
    Quantity,
    SafeString,
    SignedAmount,
    Sku,
    StrictInteger,
    StrictUUID,
    Text,
    UnitPrice,
)
from api.rest.lines import ITEM_ID, ChosenLineSchema, ItemLineSchema, lines_of
from api.rest.messages import Length, Message, OneOf, Regexp
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, UpdateSchema, page_of

SKU = {"description": "The item, by SKU.", "examples": ["22423"]}
REFERENCE = {"description": "The order's number in another system.", "examples": ["WEB-10482"]}
NOTE = {"description": "Free text.", "examples": ["Ring twice."]}
METADATA = {"description": "Up to 50 strings of your own.", "examples": [{"channel": "web"}]}
STATUSES = ["placed", "on_hold", "partially_shipped", "shipped", "delivered", "returned", "cancelled"]
STATUS = {"description": f"One of: {', '.join(STATUSES)}.", "examples": ["placed"]}
LOCATION_ID = {
    "description": "Serve the order from here only; left out, the allocation policy chooses.",
    "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d46"],
}
CUSTOMER_ID = {
    "description": "Whose it is. Orders of customers are their own; staff name the customer; a guest has none.",
    "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d44"],
}
RESERVATION_ID = {
    "description": "Make the order of what this reservation keeps; `lines` is left out then.",
    "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d4c"],
}
EMAIL = {"description": "Where news about the order goes.", "examples": ["ada@example.com"]}
ADDRESS = {
    "description": "As it is now; later changes elsewhere do not touch it.",
    "examples": [{"name": "Ada Lovelace", "line1": "1 High Street", "city": "Leeds", "country": "GB"}],
}
DISCOUNTS = {
    "description": "What is taken off, as recorded: whoever sells has worked it out.",
    "examples": [[{"label": "SUMMER10", "amount": "3.83"}]],
}
TAXES = {
    "description": "What is added, as recorded: whoever sells has worked it out.",
    "examples": [[{"label": "VAT", "rate": "20", "amount": "6.89"}]],
}
HOLD_REASON = {"description": "Why it is on hold.", "examples": ["Payment review"]}
POLICY = {
    "description": "How locations are chosen: single_location (the first that has everything, else as few as possible "
    "for each item), fewest_parcels, or by_priority; left out, as the installation is set.",
    "examples": ["fewest_parcels"],
}
POLICIES = ["single_location", "fewest_parcels", "by_priority"]
MOST_CHARGES = 20
MOST_ORDERS = 100


class ChargeSchema(Schema):
    """An amount that is taken off or added."""

    label = SafeString(required=True, max_length=100, metadata={"description": "What for.", "examples": ["VAT"]})
    rate = SafeString(
        max_length=20,
        validate=[Regexp(r"^[0-9]{1,3}(\.[0-9]{1,4})?$", error='Send a rate in per cent, as in "20".')],
        metadata={"description": "Per cent, for people; nothing is worked out from it.", "examples": ["20"]},
    )
    amount = CurrencyAmount(required=True, metadata={"description": "How much.", "examples": ["6.89"]})


class ChargedSchema(ResponseSchema):
    """An amount that was taken off or added."""

    label = Text(metadata={"description": "What for.", "examples": ["VAT"]})
    rate = Text(allow_none=True, metadata={"description": "Per cent, for people.", "examples": ["20"]})
    amount = Amount(metadata={"description": "How much.", "examples": ["6.89"]})


class OrderLineSchema(ResponseSchema):
    """One line of an order, as it was when the order was placed."""

    line_no = StrictInteger(metadata={"description": "Counts from 1.", "examples": [1]})
    item_id = StrictUUID(metadata={"description": "The item.", "examples": [ITEM_ID["examples"][0]]})
    sku = Sku(metadata=SKU)
    name = Text(metadata={"description": "The item's name.", "examples": ["Regency cakestand 3 tier"]})
    quantity = StrictInteger(metadata={"description": "Units ordered.", "examples": [3]})
    cancelled_quantity = StrictInteger(metadata={"description": "Units cancelled since.", "examples": [0]})
    shipped_quantity = StrictInteger(metadata={"description": "Units that have left.", "examples": [0]})
    delivered_quantity = StrictInteger(metadata={"description": "Units of those that have arrived.", "examples": [0]})
    returned_quantity = StrictInteger(metadata={"description": "Units of those that came back.", "examples": [0]})
    outstanding_quantity = StrictInteger(metadata={"description": "Units that are still to leave.", "examples": [3]})
    backordered_quantity = StrictInteger(
        metadata={"description": "Units of those that no location has yet.", "examples": [0]}
    )
    promised_on = Date(
        allow_none=True, metadata={"description": "By when a backorder is promised.", "examples": ["2026-06-01"]}
    )
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
    email = Text(allow_none=True, metadata=EMAIL)
    shipping_address = Nested(ContactAddressSchema, allow_none=True, metadata=ADDRESS)
    billing_address = Nested(ContactAddressSchema, allow_none=True, metadata=ADDRESS)
    currency = Text(metadata={"description": "ISO 4217 code.", "examples": ["GBP"]})
    subtotal = Amount(metadata={"description": "Sum of the lines, exactly.", "examples": ["38.25"]})
    discounts = List(Nested(ChargedSchema), metadata=DISCOUNTS)
    discount_total = Amount(metadata={"description": "Their sum.", "examples": ["3.83"]})
    taxes = List(Nested(ChargedSchema), metadata=TAXES)
    tax_total = Amount(metadata={"description": "Their sum.", "examples": ["6.89"]})
    total = Amount(
        metadata={
            "description": "subtotal - discount_total + tax_total, rounded once, half to even.",
            "examples": ["41.31"],
        }
    )
    cancelled_total = Amount(metadata={"description": "The part that was cancelled.", "examples": ["0.00"]})
    refund_total = Amount(metadata={"description": "What was granted for returns.", "examples": ["0.00"]})
    paid_total = Amount(metadata={"description": "What was paid, less what was paid back.", "examples": ["0.00"]})
    balance_due = SignedAmount(
        metadata={
            "description": "total - cancelled_total - refund_total - paid_total; negative is to be paid back.",
            "examples": ["41.31"],
        }
    )
    payment_status = Text(
        metadata={
            "description": "unpaid, partially_paid, paid, overpaid or nothing_due.",
            "examples": ["unpaid"],
        }
    )
    line_count = StrictInteger(metadata={"description": "How many lines it has.", "examples": [1]})
    reservation_id = StrictUUID(
        allow_none=True, metadata={"description": "The reservation it was made of.", "examples": [None]}
    )
    created_by = StrictUUID(
        allow_none=True,
        metadata={"description": "Who placed it; null for a command.", "examples": [None], "scope": "orders:all"},
    )
    hold_reason = Text(allow_none=True, metadata=HOLD_REASON | {"scope": "orders:all"})
    version = StrictInteger(metadata={"description": "Counts changes; the ETag.", "examples": [1]})
    placed_at = AwareDateTime(metadata={"description": "When it was placed.", "examples": ["2026-05-17T09:30:00Z"]})
    held_at = AwareDateTime(allow_none=True, metadata={"description": "Since when it is on hold.", "examples": [None]})
    shipped_at = AwareDateTime(
        allow_none=True, metadata={"description": "When the last of it left.", "examples": [None]}
    )
    delivered_at = AwareDateTime(
        allow_none=True, metadata={"description": "When the last of it arrived.", "examples": [None]}
    )
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


def _charges(metadata: dict[str, Any]) -> List:
    return List(Nested(ChargeSchema), validate=Length(max=MOST_CHARGES), metadata=metadata)


class _OrderFactsSchema(Schema):
    """What can be said about an order beside what is ordered."""

    discounts = _charges(DISCOUNTS)
    taxes = _charges(TAXES)


class _NewOrderSchema(_OrderFactsSchema):
    location_id = StrictUUID(metadata=LOCATION_ID)
    allocation_policy = SafeString(validate=[OneOf(POLICIES)], metadata=POLICY)
    allow_backorders = Boolean(
        metadata={
            "description": "Whether items that can be backordered may wait; false refuses what is short.",
            "examples": [True],
        }
    )
    customer_id = StrictUUID(metadata=CUSTOMER_ID)
    email = Email(metadata=EMAIL)
    shipping_address = Nested(ContactAddressSchema, metadata=ADDRESS)
    billing_address = Nested(ContactAddressSchema, metadata=ADDRESS)
    reference = SafeString(metadata=REFERENCE)
    note = SafeString(max_length=2000, multiline=True, metadata=NOTE)
    metadata = Metadata(attribute="details", metadata=METADATA)
    hold_reason = SafeString(metadata=HOLD_REASON)


class OrderCreateSchema(_NewOrderSchema):
    """A new order; its stock is reserved when it is placed."""

    lines = lines_of(OrderLineCreateSchema, required=False)
    reservation_id = StrictUUID(metadata=RESERVATION_ID)

    @ma.validates_schema
    def _says_what(self, data: dict[str, Any], **_: object) -> None:
        if "lines" not in data and "reservation_id" not in data:
            raise ma.ValidationError(Message("Send the lines, or a reservation_id.", "required"), "lines")
        if "reservation_id" in data:
            for name in ("lines", "location_id", "allocation_policy"):
                if name in data:
                    text = "Leave it out: what is ordered, and from where, is what the reservation keeps."
                    raise ma.ValidationError(Message(text, "invalid_value"), name)


class OrderRowSchema(RowKeyedSchema, _NewOrderSchema):
    """One of several new orders."""

    lines = lines_of(OrderLineCreateSchema)


class OrderBulkSchema(Schema):
    """Several new orders."""

    orders = Rows(
        OrderRowSchema,
        most=MOST_ORDERS,
        required=True,
        metadata={"description": "1 to 100 orders, each refused or placed by itself."},
    )


class OrderOutcomeSchema(OutcomeSchema):
    """What became of one of several new orders."""

    outcome = Text(metadata={"description": "placed or refused.", "examples": ["placed"]})
    reference = Text(allow_none=True, metadata=REFERENCE)
    id = StrictUUID(allow_none=True, metadata={"description": "The order.", "examples": [None]})
    number = Text(allow_none=True, metadata={"description": "Its number.", "examples": ["SO-001001"]})
    status = Text(allow_none=True, metadata={"description": "Its status.", "examples": ["placed"]})


class OrderCountsSchema(ResponseSchema):
    """How many orders had which outcome."""

    placed = StrictInteger(dump_default=0, metadata={"description": "Placed.", "examples": [99]})
    refused = StrictInteger(dump_default=0, metadata={"description": "Refused, without effect.", "examples": [1]})


class OrderOutcomesSchema(ResponseSchema):
    """What became of several new orders."""

    outcomes = List(Nested(OrderOutcomeSchema), metadata={"description": "One for each order, in order."})
    counts = Nested(OrderCountsSchema, metadata={"description": "How many orders had which outcome."})


class OrderUpdateSchema(UpdateSchema, _OrderFactsSchema):
    """Changes to an order."""

    lines = lines_of(OrderLineCreateSchema, required=False)
    email = Email(allow_none=True, metadata=EMAIL)
    shipping_address = Nested(ContactAddressSchema, allow_none=True, metadata=ADDRESS)
    billing_address = Nested(ContactAddressSchema, allow_none=True, metadata=ADDRESS)
    reference = SafeString(allow_none=True, metadata=REFERENCE)
    note = SafeString(max_length=2000, multiline=True, allow_none=True, metadata=NOTE)
    metadata = Metadata(attribute="details", metadata=METADATA)


class OrderCancelSchema(Schema):
    """What is cancelled, and why."""

    lines = lines_of(ChosenLineSchema, required=False)
    reason = SafeString(metadata={"description": "Why.", "examples": ["Ordered twice"]})


class OrderHoldSchema(Schema):
    """Why an order is put on hold."""

    reason = SafeString(required=True, metadata=HOLD_REASON)


class OrderEventSchema(ResponseSchema):
    """Something that happened to an order."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d4d"]})
    type = Text(metadata={"description": "What happened.", "examples": ["order.placed"]})
    occurred_at = AwareDateTime(metadata={"description": "When.", "examples": ["2026-05-17T09:30:00Z"]})
    actor_id = StrictUUID(
        allow_none=True,
        metadata={"description": "Who did it; null for the system.", "examples": [None], "scope": "orders:all"},
    )
    request_id = Text(
        allow_none=True,
        metadata={"description": "The request it was done by.", "examples": [None], "scope": "orders:all"},
    )
    data = JsonObject(metadata={"description": "What is known about it.", "examples": [{"number": "SO-001001"}]})


class OrderQuerySchema(PageQuerySchema):
    """Which orders to list."""

    status = SafeString(validate=[OneOf(STATUSES)], metadata=STATUS)
    number = DocumentNumber("SO", metadata={"description": "The one with this number.", "examples": ["SO-001001"]})
    reference = SafeString(metadata=REFERENCE)
    customer_id = StrictUUID(metadata=CUSTOMER_ID)
    email = SafeString(max_length=254, metadata=EMAIL)
    item_id = StrictUUID(metadata={"description": "Those that order it.", "examples": [ITEM_ID["examples"][0]]})
    backordered = Boolean(
        metadata={"description": "Those that wait for units, or those that do not.", "examples": [True]}
    )
    placed_from = AwareDateTime(metadata={"description": "Placed then or later.", "examples": ["2026-05-01T00:00:00Z"]})
    placed_before = AwareDateTime(metadata={"description": "Placed earlier.", "examples": ["2026-06-01T00:00:00Z"]})

    @ma.validates_schema
    def _from_is_before(self, data: dict[str, Any], **_: object) -> None:
        if "placed_from" in data and "placed_before" in data and data["placed_from"] >= data["placed_before"]:
            raise ma.ValidationError(
                Message("placed_before must be later than placed_from.", "out_of_range"), "placed_before"
            )


OrderEventPageSchema = page_of(OrderEventSchema)
OrderPageSchema = page_of(OrderSummarySchema)
