"""The shapes of locations."""

from __future__ import annotations

from api.rest.fields import AwareDateTime, SafeString, StrictInteger, StrictUUID, Text
from api.rest.messages import Range, Regexp
from api.rest.schemas import PageQuerySchema, ResponseSchema, Schema, UpdateSchema, page_of

CODE = {"description": "Short code, unique without regard to case.", "examples": ["MAIN"]}
NAME = {"description": "Name shown to people.", "examples": ["Main warehouse"]}
PRIORITY = {"description": "Orders are served from the lowest number that can serve them.", "examples": [100]}


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
    priority = Priority()
    version = StrictInteger(metadata={"description": "Counts changes; the ETag.", "examples": [1]})
    created_at = AwareDateTime(metadata={"description": "When it was added.", "examples": ["2026-05-17T09:30:00Z"]})
    updated_at = AwareDateTime(metadata={"description": "When it last changed.", "examples": ["2026-05-17T09:30:00Z"]})


class LocationCreateSchema(Schema):
    """A new location."""

    code = Code(required=True)
    name = SafeString(required=True, metadata=NAME)
    priority = Priority()


class LocationUpdateSchema(UpdateSchema):
    """Changes to a location."""

    code = Code()
    name = SafeString(metadata=NAME)
    priority = Priority()


class LocationQuerySchema(PageQuerySchema):
    """Which locations to list."""


LocationPageSchema = page_of(LocationSchema)
