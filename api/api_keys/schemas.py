"""The shapes of API keys."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from api.api_keys.errors import LONGEST_DAYS
from api.core.scopes import SCOPES
from api.rest.fields import AwareDateTime, List, SafeString, StrictInteger, StrictUUID, Text
from api.rest.messages import Length, Message, OneOf, Range
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, page_of

ID = "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"
LONGEST_OVERLAP = 604_800
NAME = {"description": "What it is for, in words of your own.", "examples": ["Till in the shop"]}


class ApiKeySchema(ResponseSchema):
    """An API key, without its secret."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": [ID]})
    user_id = StrictUUID(metadata={"description": "Whose it is; it acts as this account.", "examples": [ID]})
    name = Text(metadata=NAME)
    prefix = Text(metadata={"description": "Its public part: `sr_prefix_…`.", "examples": ["k3v7q2mzx4ab"]})
    scopes = List(
        Text(),
        metadata={
            "description": "What it may do, as far as its owner may at that moment.",
            "examples": [["orders:read", "orders:write"]],
        },
    )
    created_at = AwareDateTime(metadata={"description": "When it was made.", "examples": ["2026-05-17T09:30:00Z"]})
    expires_at = AwareDateTime(allow_none=True, metadata={"description": "When it ends by itself.", "examples": [None]})
    last_used_at = AwareDateTime(
        allow_none=True, metadata={"description": "When it was last used, to the minute or so.", "examples": [None]}
    )
    revoked_at = AwareDateTime(allow_none=True, metadata={"description": "When it was revoked.", "examples": [None]})
    replaces_id = StrictUUID(
        allow_none=True, metadata={"description": "The key it was rotated from.", "examples": [None]}
    )


class ApiKeyIssuedSchema(ApiKeySchema):
    """A new API key, with its secret, which is never shown again."""

    key = Text(
        metadata={
            "description": "Send it as Authorization: Bearer … Keep it: it is shown only now.",
            "examples": ["sr_k3v7q2mzx4ab_…"],
        }
    )


class ApiKeyCreateSchema(Schema):
    """A new API key."""

    name = SafeString(required=True, max_length=100, metadata=NAME)
    scopes = List(
        SafeString(
            max_length=40,
            validate=[OneOf(list(SCOPES))],
            metadata={"description": "One permission.", "examples": ["orders:read"]},
        ),
        required=True,
        validate=Length(min=1, max=100),
        metadata={
            "description": "What it may do: at most what its maker may, and never `account`.",
            "examples": [["orders:read", "orders:write"]],
        },
    )
    expires_in_days = StrictInteger(
        load_default=None,
        validate=Range(min=1, max=LONGEST_DAYS),
        metadata={"description": "How long it is good; left out, until it is revoked.", "examples": [90]},
    )
    expires_at = AwareDateTime(
        load_default=None,
        metadata={"description": "The same as a moment; send one of the two.", "examples": ["2027-05-17T00:00:00Z"]},
    )

    @ma.validates_schema
    def _ends_once(self, data: dict[str, Any], **_: object) -> None:
        if data.get("expires_in_days") is not None and data.get("expires_at") is not None:
            raise ma.ValidationError(
                Message("Send either expires_in_days or expires_at, not both.", "invalid_value"), "expires_at"
            )


class ApiKeyRotateSchema(Schema):
    """How an API key is rotated."""

    overlap_seconds = StrictInteger(
        load_default=86_400,
        validate=Range(min=0, max=LONGEST_OVERLAP),
        metadata={
            "description": f"How long the old key stays good: 0 to {LONGEST_OVERLAP} seconds, which is a week.",
            "examples": [86_400],
        },
    )


class ApiKeyQuerySchema(PageQuerySchema):
    """Which API keys to list."""

    user_id = StrictUUID(
        load_default=None,
        metadata={"description": "Whose, for those who may see all: left out, everybody's.", "examples": [ID]},
    )


ApiKeyPageSchema = page_of(ApiKeySchema)
