"""The shapes of logging in."""

from __future__ import annotations

from marshmallow import fields

from api.rest import caller
from api.rest.fields import AwareDateTime, Email, SafeString, Secret, StrictInteger, StrictUUID, Text
from api.rest.messages import OneOf
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, page_of

ID = "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"
TOKEN = {"description": "Send it as Authorization: Bearer …", "examples": ["eyJhbGciOiJSUzI1NiIsImtpZCI6Ij…"]}
OTP = {
    "description": "The six digits of the authenticator, or a recovery code, where the account has a second factor.",
    "examples": ["492039"],
}


class CredentialsSchema(Schema):
    """A username, which is an e-mail address, and a password."""

    username = Email(required=True, metadata={"description": "The account's e-mail.", "examples": ["ada@example.com"]})
    password = Secret(required=True, metadata={"description": "The password.", "examples": ["correct horse battery"]})
    otp = SafeString(load_default=None, max_length=40, metadata=OTP)


class PasswordGrantSchema(CredentialsSchema):
    """The OAuth 2 password form (RFC 6749 section 4.3.2), as Swagger UI's Authorize button sends it."""

    grant_type = SafeString(
        validate=[OneOf(["password"])], metadata={"description": "Always `password`.", "examples": ["password"]}
    )
    scope = fields.String(metadata={"description": "Ignored: a role decides.", "examples": ["items:read"]})
    client_id = fields.String(metadata={"description": "Ignored.", "examples": [""]})
    client_secret = fields.String(metadata={"description": "Ignored.", "examples": [""]})


class ConfirmationSchema(Schema):
    """The credentials of whoever is logged in, once more."""

    password = Secret(required=True, metadata={"description": "The password.", "examples": ["correct horse battery"]})
    otp = SafeString(load_default=None, max_length=40, metadata=OTP)


class RefreshSchema(Schema):
    """A refresh token."""

    refresh_token = SafeString(
        required=True, max_length=200, metadata={"description": "The newest one.", "examples": [f"{ID}.1.kq0…"]}
    )


class TokenSchema(ResponseSchema):
    """A pair of tokens (RFC 6749 section 5.1)."""

    access_token = Text(metadata=TOKEN)
    refresh_token = Text(metadata={"description": "Good once, for the next pair.", "examples": [f"{ID}.2.m3x…"]})
    token_type = Text(metadata={"description": "Always `Bearer`.", "examples": ["Bearer"]})
    expires_in = StrictInteger(metadata={"description": "Life of the access token in seconds.", "examples": [600]})


class KeySetSchema(ResponseSchema):
    """A JSON Web Key Set (RFC 7517 section 5)."""

    keys = fields.List(
        fields.Dict(),
        metadata={
            "description": "Public keys, each with `kid`, `alg` and `use`.",
            "examples": [[{"kty": "RSA", "kid": ID, "alg": "RS256", "use": "sig", "n": "0vx7…", "e": "AQAB"}]],
        },
    )


class SessionSchema(ResponseSchema):
    """A login."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": [ID]})
    user_id = StrictUUID(metadata={"description": "Whose it is.", "examples": [ID]})
    is_current = fields.Function(
        lambda row: row.id == caller.whoever().session_id,
        metadata={"type": "boolean", "description": "Whether this request was made with it.", "examples": [True]},
    )
    address = Text(allow_none=True, metadata={"description": "Where it was begun.", "examples": ["192.0.2.7"]})
    agent = Text(allow_none=True, metadata={"description": "With what.", "examples": ["Mozilla/5.0"]})
    created_at = AwareDateTime(metadata={"description": "When it was begun.", "examples": ["2026-05-17T09:30:00Z"]})
    refreshed_at = AwareDateTime(
        attribute="rotated_at",
        metadata={"description": "When it was last refreshed.", "examples": ["2026-05-17T11:00:00Z"]},
    )
    expires_at = AwareDateTime(metadata={"description": "When it ends at last.", "examples": ["2026-06-16T09:30:00Z"]})


class SessionQuerySchema(PageQuerySchema):
    """Which logins to list."""

    user_id = StrictUUID(
        load_default=None,
        metadata={"description": "Whose, for those who may see all: left out, everybody's.", "examples": [ID]},
    )


SessionPageSchema = page_of(SessionSchema)
