"""The shapes of webhooks."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from marshmallow import fields, validates

from api.rest.fields import (
    AwareDateTime,
    Boolean,
    CodedField,
    List,
    Nested,
    SafeString,
    StrictInteger,
    StrictUUID,
    Text,
)
from api.rest.messages import Length, OneOf, Range, Refusal
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, UpdateSchema, page_of
from api.webhooks.sender import is_allowed_header

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_HEADERS = 20
ID = "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d48"
MOMENT = "2026-05-17T09:30:00Z"
URL = {
    "description": "Where to send events, by POST. It must lead to a public address; an installation can allow others.",
    "examples": ["https://shop.example.com/stockroom"],
}
DESCRIPTION = {"description": "What it is for.", "examples": ["The web shop"]}
TYPES = {
    "description": "Which events, as in the feed; `order.*` stands for all that begin so; empty for whatever you see.",
    "examples": [["order.*", "stock.low"]],
}
HEADERS = {
    "description": "Headers to send along, as an authorization. They are kept encrypted and not shown again; sent once "
    "more, they replace all of them.",
    "examples": [{"Authorization": "Bearer 6f1c"}],
}
MAX_IN_FLIGHT = {"description": "How many requests it may get at a time, from 1 to 20.", "examples": [4]}
IS_ACTIVE = {"description": "Whether anything is sent.", "examples": [True]}
STATUS = {"description": "pending, delivered, failed (tried often enough) or cancelled.", "examples": ["delivered"]}
TYPE = {"description": "Type of the event, or `webhook.test`.", "examples": ["order.placed"]}


class Headers(CodedField, fields.Dict):
    """Header names and values that may be sent along."""

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401  # handed to marshmallow
        """Bound their number."""
        super().__init__(
            keys=SafeString(max_length=100),
            values=SafeString(max_length=2000),
            validate=Length(max=MOST_HEADERS),
            **kwargs,
        )


class WebhookEndpointSchema(ResponseSchema):
    """A subscriber's URL."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": [ID]})
    url = Text(metadata=URL)
    description = Text(allow_none=True, metadata=DESCRIPTION)
    types = List(Text(), metadata=TYPES)
    header_names = List(Text(), metadata={"description": "Headers sent along.", "examples": [["Authorization"]]})
    max_in_flight = StrictInteger(metadata=MAX_IN_FLIGHT)
    is_active = Boolean(metadata=IS_ACTIVE)
    disabled_at = AwareDateTime(allow_none=True, metadata={"description": "Off since when.", "examples": [None]})
    disabled_reason = Text(
        allow_none=True,
        metadata={
            "description": "`by_hand`; `gone`: it answered 410; `failing`: nothing else for five days.",
            "examples": [None],
        },
    )
    created_by = StrictUUID(
        allow_none=True, metadata={"description": "Its owner; it gets what they may see.", "examples": [ID]}
    )
    rotated_at = AwareDateTime(
        allow_none=True, metadata={"description": "When its secret was last changed.", "examples": [None]}
    )
    created_at = AwareDateTime(metadata={"description": "When it was added.", "examples": [MOMENT]})
    updated_at = AwareDateTime(metadata={"description": "When it was last changed.", "examples": [MOMENT]})


class _EndpointFields:
    url = SafeString(max_length=2000, metadata=URL)
    description = SafeString(allow_none=True, max_length=500, metadata=DESCRIPTION)
    types = List(SafeString(max_length=80), validate=Length(max=100), metadata=TYPES)
    headers = Headers(metadata=HEADERS)
    max_in_flight = StrictInteger(validate=Range(min=1, max=20), metadata=MAX_IN_FLIGHT)

    @validates("headers")
    def _can_be_sent(self, value: Mapping[str, str], **_: object) -> None:
        for name, content in value.items():
            if not is_allowed_header(name, content):
                raise Refusal("invalid_value", f"The header {name!a} cannot be set, or its value not be sent.")
        if twice := [name for name, count in Counter(map(str.lower, value)).items() if count > 1]:
            raise Refusal("invalid_value", f"The header {twice[0]!a} is there more than once; case does not matter.")


class WebhookEndpointCreateSchema(_EndpointFields, Schema):
    """An endpoint to be added."""

    url = SafeString(required=True, max_length=2000, metadata=URL)


class WebhookEndpointUpdateSchema(_EndpointFields, UpdateSchema):
    """What to change about an endpoint."""

    is_active = Boolean(metadata=IS_ACTIVE)


class WebhookSecretSchema(ResponseSchema):
    """What messages are signed with."""

    secret = Text(
        metadata={"description": "The present secret.", "examples": ["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]}
    )
    previous = Text(
        allow_none=True, metadata={"description": "The one before, while it is used too.", "examples": [None]}
    )
    previous_until = AwareDateTime(allow_none=True, metadata={"description": "Until when.", "examples": [None]})


class WebhookRotateSchema(Schema):
    """How to change the secret."""

    keep_previous = Boolean(
        load_default=True,
        metadata={"description": "Whether to sign with both for a day; false when it has leaked.", "examples": [True]},
    )


class WebhookStateSchema(ResponseSchema):
    """How an endpoint has been doing."""

    failures = StrictInteger(metadata={"description": "Failed attempts in a row.", "examples": [0]})
    failing_since = AwareDateTime(allow_none=True, metadata={"description": "Since when.", "examples": [None]})
    resume_at = AwareDateTime(
        allow_none=True,
        metadata={"description": "Nothing is sent before; then one attempt at a time.", "examples": [None]},
    )
    last_success_at = AwareDateTime(allow_none=True, metadata={"description": "The last 2xx.", "examples": [MOMENT]})
    last_failure_at = AwareDateTime(allow_none=True, metadata={"description": "The last failure.", "examples": [None]})
    pending = StrictInteger(metadata={"description": "Deliveries on their way.", "examples": [3]})
    in_flight = StrictInteger(
        metadata={"description": "Those a worker is sending; after its death, for half a minute.", "examples": [1]}
    )
    oldest_pending_at = AwareDateTime(
        allow_none=True, metadata={"description": "Since when the oldest of them is.", "examples": [MOMENT]}
    )


class WebhookDeliverySchema(ResponseSchema):
    """One event on its way to one endpoint."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": [ID]})
    event_id = StrictUUID(metadata={"description": "The event; sent as `webhook-id`.", "examples": [ID]})
    event_type = Text(metadata=TYPE)
    position = StrictInteger(
        allow_none=True, metadata={"description": "Of the event in the feed.", "examples": [20951]}
    )
    status = Text(metadata=STATUS)
    attempts = StrictInteger(metadata={"description": "How often it has been tried.", "examples": [1]})
    due_at = AwareDateTime(
        metadata={"description": "When it is tried next, while it is pending.", "examples": [MOMENT]}
    )
    last_status = StrictInteger(
        allow_none=True, metadata={"description": "The last answer's status.", "examples": [204]}
    )
    last_error = Text(
        allow_none=True, metadata={"description": "Why the last attempt failed.", "examples": ["timeout"]}
    )
    created_at = AwareDateTime(metadata={"description": "When it was made.", "examples": [MOMENT]})
    finished_at = AwareDateTime(allow_none=True, metadata={"description": "When it ended.", "examples": [MOMENT]})


class WebhookAttemptSchema(ResponseSchema):
    """One request, and what came of it."""

    number = StrictInteger(metadata={"description": "Which attempt.", "examples": [1]})
    started_at = AwareDateTime(metadata={"description": "When.", "examples": [MOMENT]})
    duration_ms = StrictInteger(metadata={"description": "How long it took, in milliseconds.", "examples": [87]})
    status = StrictInteger(allow_none=True, metadata={"description": "HTTP status, if any.", "examples": [503]})
    error = Text(allow_none=True, metadata={"description": "Why it failed.", "examples": ["timeout"]})
    detail = Text(allow_none=True, metadata={"description": "The same for people.", "examples": ["No answer in 15 s."]})
    excerpt = Text(
        allow_none=True, metadata={"description": "The beginning of the answer.", "examples": ["Bad gateway"]}
    )


class WebhookDeliveryDetailSchema(ResponseSchema):
    """A delivery with all attempts."""

    delivery = Nested(WebhookDeliverySchema, metadata={"description": "The delivery."})
    attempts = List(Nested(WebhookAttemptSchema), metadata={"description": "Every attempt, in order."})


class WebhookDeliveryQuerySchema(PageQuerySchema):
    """Which deliveries to list."""

    status = SafeString(
        load_default=None, validate=[OneOf(["pending", "delivered", "failed", "cancelled"])], metadata=STATUS
    )
    event_type = SafeString(data_key="type", load_default=None, max_length=80, metadata=TYPE)


class WebhookRedeliverSchema(Schema):
    """What to send once more."""

    since = AwareDateTime(
        required=True, metadata={"description": "Events recorded at this moment and later.", "examples": [MOMENT]}
    )
    only_failed = Boolean(
        load_default=False,
        metadata={"description": "Leave out what has been delivered.", "examples": [True]},
    )

    @validates("since")
    def _is_past(self, value: datetime, **_: object) -> None:
        if value > datetime.now(UTC):
            raise Refusal("invalid_value", "This moment lies ahead; send one from which on there are events.")


WebhookEndpointPageSchema = page_of(WebhookEndpointSchema)
WebhookDeliveryPageSchema = page_of(WebhookDeliverySchema)
