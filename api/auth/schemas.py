"""The shapes of logging in."""

from __future__ import annotations

from marshmallow import fields

from api.rest.fields import Email, SafeString, Secret, StrictInteger, Text
from api.rest.messages import OneOf
from api.rest.schemas import ResponseSchema, Schema

TOKEN = {"description": "Send it as Authorization: Bearer …", "examples": ["eyJhbGciOiJSUzI1NiIsImtpZCI6Ij…"]}


class CredentialsSchema(Schema):
    """A username, which is an e-mail address, and a password."""

    username = Email(required=True, metadata={"description": "The account's e-mail.", "examples": ["ada@example.com"]})
    password = Secret(required=True, metadata={"description": "The password.", "examples": ["correct horse battery"]})


class PasswordGrantSchema(CredentialsSchema):
    """The OAuth 2 password form (RFC 6749 section 4.3.2), as Swagger UI's Authorize button sends it."""

    grant_type = SafeString(
        validate=[OneOf(["password"])], metadata={"description": "Always `password`.", "examples": ["password"]}
    )
    scope = fields.String(metadata={"description": "Ignored: a role decides.", "examples": ["items:read"]})
    client_id = fields.String(metadata={"description": "Ignored.", "examples": [""]})
    client_secret = fields.String(metadata={"description": "Ignored.", "examples": [""]})


class RefreshSchema(Schema):
    """A refresh token."""

    refresh_token = SafeString(
        required=True, max_length=200, metadata={"description": "The newest one.", "examples": ["0198c1f0-….kq0…"]}
    )


class TokenSchema(ResponseSchema):
    """A pair of tokens (RFC 6749 section 5.1)."""

    access_token = Text(metadata=TOKEN)
    refresh_token = Text(metadata={"description": "Good once, for the next pair.", "examples": ["0198c1f0-….kq0…"]})
    token_type = Text(metadata={"description": "Always `Bearer`.", "examples": ["Bearer"]})
    expires_in = StrictInteger(metadata={"description": "Life of the access token in seconds.", "examples": [600]})
