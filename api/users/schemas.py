"""The shapes of users."""

from __future__ import annotations

from api.rest.fields import AwareDateTime, Boolean, Email, OneOf, SafeString, Secret, StrictInteger, StrictUUID, Text
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, page_of

ROLE = {"description": "What the account may do.", "example": "clerk"}


class UserSchema(ResponseSchema):
    """An account."""

    id = StrictUUID(metadata={"description": "Identifier.", "example": "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"})
    email = Email(metadata={"description": "Address, in canonical form.", "example": "ada@example.com"})
    name = Text(metadata={"description": "Name shown to people.", "example": "Ada Lovelace"})
    role = Text(metadata=ROLE)
    is_active = Boolean(metadata={"description": "Whether it may log in.", "example": True})
    version = StrictInteger(metadata={"description": "Counts changes; the ETag.", "example": 1})
    created_at = AwareDateTime(metadata={"description": "When it was opened.", "example": "2026-05-17T09:30:00Z"})


class UserCreateSchema(Schema):
    """A new account."""

    email = Email(required=True, metadata={"description": "Address.", "example": "ada@example.com"})
    name = SafeString(required=True, metadata={"description": "Name shown to people.", "example": "Ada Lovelace"})
    password = Secret(
        required=True, metadata={"description": "Its first password.", "example": "correct horse battery"}
    )
    role = SafeString(required=True, validate=[OneOf(["customer", "clerk", "manager", "admin"])], metadata=ROLE)


class UserQuerySchema(PageQuerySchema):
    """Which users to list."""


UserPageSchema = page_of(UserSchema)
