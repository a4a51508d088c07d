"""The shapes of second factors."""

from __future__ import annotations

from api.rest.fields import Boolean, List, SafeString, StrictInteger, Text
from api.rest.schemas import ResponseSchema, Schema


class SecondFactorSchema(ResponseSchema):
    """Where an account stands."""

    is_on = Boolean(metadata={"description": "Whether logins ask for a code.", "examples": [True]})
    recovery_codes_left = StrictInteger(
        metadata={"description": "Recovery codes that have not been used.", "examples": [10]}
    )


class EnrolmentSchema(ResponseSchema):
    """What an authenticator needs to know."""

    secret = Text(metadata={"description": "In base 32, to type in.", "examples": ["JBSWY3DPEHPK3PXP…"]})
    uri = Text(metadata={"description": "The same, to show as a QR code.", "examples": ["otpauth://totp/Stockroom:…"]})


class OtpSchema(Schema):
    """A code of the authenticator."""

    otp = SafeString(
        required=True, max_length=40, metadata={"description": "The present six digits.", "examples": ["492039"]}
    )


class RecoveryCodesSchema(ResponseSchema):
    """Codes for the day the authenticator is lost."""

    recovery_codes = List(
        Text(), metadata={"description": "Each is good once; shown this once.", "examples": [["k7d2-mwq4-ab3x-yz56"]]}
    )
