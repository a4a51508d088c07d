"""The shapes of opening an account and looking after it."""

from __future__ import annotations

from api.rest.fields import AwareDateTime, Boolean, Email, SafeString, Secret, StrictInteger, StrictUUID, Text
from api.rest.messages import OneOf
from api.rest.schemas import ResponseSchema, Schema

ID = "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"
EMAIL = {"description": "Address.", "examples": ["ada@example.com"]}
NAME = {"description": "Name shown to people.", "examples": ["Ada Lovelace"]}
ROLE = {"description": "What the account may do.", "examples": ["clerk"]}
PASSWORD = {"description": "The password from now on.", "examples": ["correct horse battery"]}
TOKEN = {"description": "The token of the mail.", "examples": [f"{ID}.kq0…"]}


class SignUpSchema(Schema):
    """Who wants an account."""

    email = Email(required=True, metadata=EMAIL)
    name = SafeString(required=True, metadata=NAME)


class InvitationSchema(Schema):
    """Who is invited."""

    email = Email(required=True, metadata=EMAIL)
    role = SafeString(required=True, validate=[OneOf(["customer", "clerk", "manager", "admin"])], metadata=ROLE)
    name = SafeString(load_default=None, metadata=NAME)


class AccountConfirmationSchema(Schema):
    """What opens an account."""

    token = SafeString(required=True, max_length=100, metadata=TOKEN)
    password = Secret(required=True, metadata=PASSWORD)
    name = SafeString(load_default=None, metadata=NAME)


class AddressSchema(Schema):
    """An address."""

    email = Email(required=True, metadata=EMAIL)


class PasswordSchema(Schema):
    """A new password."""

    password = Secret(required=True, metadata=PASSWORD)


class PasswordResetSchema(PasswordSchema):
    """A new password for whoever forgot theirs."""

    token = SafeString(required=True, max_length=100, metadata=TOKEN)


class PasswordChangeSchema(Schema):
    """A new password for whoever knows theirs."""

    current_password = Secret(
        required=True, metadata={"description": "The present password.", "examples": ["correct horse battery"]}
    )
    new_password = Secret(required=True, metadata=PASSWORD)


class EmailTokenSchema(Schema):
    """What proves that an address is read."""

    token = SafeString(required=True, max_length=100, metadata=TOKEN)


class MessageSchema(ResponseSchema):
    """What happens next."""

    message = Text(metadata={"description": "For people.", "examples": ["A mail says how to go on."]})


class AccountSchema(ResponseSchema):
    """An account."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": [ID]})
    email = Email(allow_none=True, metadata=EMAIL)
    name = Text(metadata=NAME)
    role = Text(metadata=ROLE)
    is_active = Boolean(metadata={"description": "Whether it may log in.", "examples": [True]})
    version = StrictInteger(metadata={"description": "Counts changes; the ETag.", "examples": [1]})
    created_at = AwareDateTime(metadata={"description": "When it was opened.", "examples": ["2026-05-17T09:30:00Z"]})
