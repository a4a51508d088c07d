"""The shapes of locations."""

from __future__ import annotations

from api.rest.addresses import PostalAddressSchema
from api.rest.fields import AwareDateTime, Boolean, Nested, SafeString, StrictInteger, StrictUUID, Text
from api.rest.messages import OneOf, Range, Regexp
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, UpdateSchema, page_of

CODE = {"description": "Short code, unique without regard to case.", "examples": ["MAIN"]}
NAME = {"description": "Name shown to people.", "examples": ["Main warehouse"]}
PRIORITY = {"description": "Orders are served from the lowest number that can serve them.", "examples": [100]}


KIND = {
    "description": "warehouse and store serve orders and have reorder points; quarantine keeps goods that are not for "
    "sale. It never changes. transit stands for goods on the road between two locations.",
    "examples": ["warehouse"],
}
ADDRESS = {
    "description": "Where it is, for people and carriers.",
    "examples": [{"line1": "1 High St", "city": "Leeds"}],
}
CHOSEN_KINDS = ["warehouse", "store", "quarantine"]


class Code(SafeString):
    """A location's code: letters, digits and `. _ -`, at most 40."""

    def __init__(self, *, required: bool = False) -> None:
        """Set the form."""
        form = Regexp(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", error="Use letters, digits and . _ - only.")
        super().__init__(max_length=40, validate=[form], required=required, metadata=CODE)


class Priority(StrictInteger):
    """From 0, asked first, to 1,000."""

    def __init__(self) -> None:
        """Set the bounds."""
        super().__init__(validate=Range(min=0, max=1000), metadata=PRIORITY)


class LocationSchema(ResponseSchema):
    """A place that holds stock."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": ["0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d46"]})
    code = Code()
    name = Text(metadata=NAME)
    kind = Text(metadata=KIND)
    address = Nested(PostalAddressSchema, allow_none=True, metadata=ADDRESS)
    priority = Priority()
    archived_at = AwareDateTime(
        allow_none=True, metadata={"description": "When it was taken out of use.", "examples": [None]}
    )
    version = StrictInteger(metadata={"description": "Counts changes; the ETag.", "examples": [1]})
    created_at = AwareDateTime(metadata={"description": "When it was added.", "examples": ["2026-05-17T09:30:00Z"]})
    updated_at = AwareDateTime(metadata={"description": "When it last changed.", "examples": ["2026-05-17T09:30:00Z"]})


class LocationCreateSchema(Schema):
    """A new location."""

    code = Code(required=True)
    name = SafeString(required=True, metadata=NAME)
    kind = SafeString(validate=[OneOf(CHOSEN_KINDS)], metadata=KIND)
    address = Nested(PostalAddressSchema, allow_none=True, metadata=ADDRESS)
    priority = Priority()


class LocationUpdateSchema(UpdateSchema):
    """Changes to a location."""

    code = Code()
    name = SafeString(metadata=NAME)
    address = Nested(PostalAddressSchema, allow_none=True, metadata=ADDRESS)
    priority = Priority()


class LocationQuerySchema(PageQuerySchema):
    """Which locations to list."""

    kind = SafeString(validate=[OneOf([*CHOSEN_KINDS, "transit"])], metadata=KIND)
    code = Code()
    archived = Boolean(metadata={"description": "Those out of use instead of those in use.", "examples": [False]})


LocationPageSchema = page_of(LocationSchema)
