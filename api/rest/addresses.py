"""Postal addresses, of places and of people."""

from __future__ import annotations

from api.rest.fields import SafeString
from api.rest.messages import Regexp
from api.rest.schemas import Schema


class PostalAddressSchema(Schema):
    """A postal address."""

    line1 = SafeString(metadata={"description": "Street and number.", "examples": ["1 High Street"]})
    line2 = SafeString(metadata={"description": "Building, unit.", "examples": ["Unit 4"]})
    city = SafeString(max_length=100, metadata={"description": "Town.", "examples": ["Leeds"]})
    region = SafeString(max_length=100, metadata={"description": "State or county.", "examples": ["West Yorkshire"]})
    postal_code = SafeString(max_length=20, metadata={"description": "Post code.", "examples": ["LS1 4AP"]})
    country = SafeString(
        validate=[Regexp(r"^[A-Z]{2}$", error="Send a country code of ISO 3166-1, as in GB.")],
        metadata={"description": "Country, ISO 3166-1 alpha-2.", "examples": ["GB"]},
    )


class ContactAddressSchema(PostalAddressSchema):
    """Where somebody gets goods, or a bill."""

    name = SafeString(metadata={"description": "Who.", "examples": ["Ada Lovelace"]})
    company = SafeString(metadata={"description": "Company.", "examples": ["Analytical Engines Ltd"]})
    phone = SafeString(max_length=40, metadata={"description": "Phone number.", "examples": ["+44 113 496 0000"]})
