"""The shapes of users."""

from __future__ import annotations

from api.core.scopes import LADDER
from api.rest.fields import AwareDateTime, Boolean, Email, List, SafeString, Secret, StrictInteger, StrictUUID, Text
from api.rest.messages import OneOf
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, UpdateSchema, page_of

ROLE = {"description": "What the account may do.", "examples": ["clerk"]}
NAME = {"description": "Name shown to people.", "examples": ["Ada Lovelace"]}
IS_ACTIVE = {"description": "Whether it may log in.", "examples": [True]}
SECURITY = {"scope": "audit:read"}
"""What tells how an account could be entered is for those who read the security log."""


class UserSchema(ResponseSchema):
    """An account."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"]})
    email = Email(
        allow_none=True, metadata={"description": "Address, in canonical form.", "examples": ["ada@example.com"]}
    )
    name = Text(metadata=NAME)
    role = Text(metadata=ROLE)
    is_active = Boolean(metadata=IS_ACTIVE)
    email_verified_at = AwareDateTime(
        allow_none=True,
        metadata={"description": "When its owner proved to read mail there.", "examples": [None]} | SECURITY,
    )
    password_changed_at = AwareDateTime(
        allow_none=True, metadata={"description": "When its password was last set.", "examples": [None]} | SECURITY
    )
    version = StrictInteger(metadata={"description": "Counts changes; the ETag.", "examples": [1]})
    created_at = AwareDateTime(metadata={"description": "When it was opened.", "examples": ["2026-05-17T09:30:00Z"]})


class ProfileSchema(UserSchema):
    """One's own account, with what one may do."""

    email_verified_at = AwareDateTime(
        allow_none=True, metadata={"description": "When I proved to read mail there.", "examples": [None]}
    )
    password_changed_at = AwareDateTime(
        allow_none=True, metadata={"description": "When my password was last set.", "examples": [None]}
    )
    scopes = List(Text(), metadata={"description": "What I may do with this token.", "examples": [["items:read"]]})


class ProfileUpdateSchema(UpdateSchema):
    """What anybody can change about their own account."""

    name = SafeString(metadata=NAME)


class UserUpdateSchema(UpdateSchema):
    """What can be changed about an account."""

    name = SafeString(metadata=NAME)
    role = SafeString(validate=[OneOf(list(LADDER))], metadata=ROLE)
    is_active = Boolean(metadata=IS_ACTIVE)


class UserCreateSchema(Schema):
    """A new account."""

    email = Email(required=True, metadata={"description": "Address.", "examples": ["ada@example.com"]})
    name = SafeString(required=True, metadata=NAME)
    password = Secret(
        required=True, metadata={"description": "Its first password.", "examples": ["correct horse battery"]}
    )
    role = SafeString(required=True, validate=[OneOf(list(LADDER))], metadata=ROLE)


class UserQuerySchema(PageQuerySchema):
    """Which users to list."""

    role = SafeString(load_default=None, validate=[OneOf(list(LADDER))], metadata=ROLE)
    is_active = Boolean(load_default=None, metadata=IS_ACTIVE)
    email = Email(load_default=None, metadata={"description": "Address.", "examples": ["ada@example.com"]})


UserPageSchema = page_of(UserSchema)
