"""The shapes of payments."""

from __future__ import annotations

from api.rest.fields import Amount, AwareDateTime, CurrencyAmount, SafeString, StrictUUID, Text
from api.rest.messages import OneOf
from api.rest.schemas import ResponseSchema, Schema, page_of

KINDS = ["payment", "refund"]
KIND = {"description": "payment: money came in; refund: money went back.", "examples": ["payment"]}
AMOUNT = {"description": "How much, above zero.", "examples": ["38.25"]}
METHOD = {"description": "How it was paid, in words of your own.", "examples": ["card"]}
REFERENCE = {
    "description": "What it is called where it was paid; the same kind, method and reference is recorded once.",
    "examples": ["pi_3PqZk2"],
}
NOTE = {"description": "Free text.", "examples": ["Paid at the till."]}
RETURN_ID = {"description": "The return it is paid back for.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d4f"]}
PAID_AT = {"description": "When, if that was earlier.", "examples": ["2026-05-17T09:31:00Z"]}


class PaymentSchema(ResponseSchema):
    """Money that came in for an order, or went back."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d50"]})
    order_id = StrictUUID(metadata={"description": "The order.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d48"]})
    kind = Text(metadata=KIND)
    amount = Amount(metadata=AMOUNT)
    method = Text(metadata=METHOD)
    reference = Text(allow_none=True, metadata=REFERENCE)
    note = Text(allow_none=True, metadata=NOTE)
    return_id = StrictUUID(allow_none=True, metadata=RETURN_ID)
    created_by = StrictUUID(
        allow_none=True,
        metadata={"description": "Who recorded it; null for a command.", "examples": [None], "scope": "orders:all"},
    )
    paid_at = AwareDateTime(metadata={"description": "When.", "examples": ["2026-05-17T09:31:00Z"]})
    created_at = AwareDateTime(metadata={"description": "When it was recorded.", "examples": ["2026-05-17T09:31:00Z"]})


class PaymentCreateSchema(Schema):
    """A payment to be recorded."""

    amount = CurrencyAmount(required=True, metadata=AMOUNT)
    method = SafeString(required=True, max_length=40, metadata=METHOD)
    kind = SafeString(validate=[OneOf(KINDS)], metadata=KIND)
    reference = SafeString(metadata=REFERENCE)
    note = SafeString(max_length=2000, multiline=True, metadata=NOTE)
    return_id = StrictUUID(metadata=RETURN_ID)
    paid_at = AwareDateTime(metadata=PAID_AT)


PaymentPageSchema = page_of(PaymentSchema)
