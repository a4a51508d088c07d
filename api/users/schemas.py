"""The shapes of users."""

from __future__ import annotations

from api.rest.fields import AwareDateTime, Boolean, Email, SafeString, Secret, StrictInteger, StrictUUID, Text
from api.rest.messages import OneOf
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, page_of

ROLE = {"description": "What the account may do.", "examples": ["clerk"]}


class UserSchema(ResponseSchema):
    """An account."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"]})
    email = Email(
        allow_none=True, metadata={"description": "Address, in canonical form.", "examples": ["ada@example.com"]}
    )
    name = Text(metadata={"description": "Name shown to people.", "examples": ["Ada Lovelace"]})
    role = Text(metadata=ROLE)
    is_active = Boolean(metadata={"description": "Whether it may log in.", "examples": [True]})
    version = StrictInteger(metadata={"description": "Counts changes; the ETag.", "examples": [1]})
    created_at = AwareDateTime(metadata={"description": "When it was opened.", "examples": ["2026-05-17T09:30:00Z"]})


class UserCreateSchema(Schema):
    """A new account."""

    email = Email(required=True, metadata={"description": "Address.", "examples": ["ada@example.com"]})
    name = SafeString(required=True, metadata={"description": "Name shown to people.", "examples": ["Ada Lovelace"]})
    password = Secret(
        required=True, metadata={"description": "Its first password.", "examples": ["correct horse battery"]}
    )
    role = SafeString(required=True, validate=[OneOf(["customer", "clerk", "manager", "admin"])], metadata=ROLE)


class UserQuerySchema(PageQuerySchema):
    """Which users to list."""


UserPageSchema = page_of(UserSchema)
