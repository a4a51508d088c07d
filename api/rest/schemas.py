"""The bases of request and response schemas."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import marshmallow as ma
from flask import g

from api.rest import caller
from api.rest.fields import Boolean, List, Nested, QueryInteger, SafeString, StrictInteger, Text
from api.rest.messages import Message, Range


class Schema(ma.Schema):
    """A shape of JSON; what it does not name is refused on the way in."""

    class Meta:
        """Marshmallow's options."""

        unknown = ma.RAISE

    error_messages: dict[str, str] = {  # noqa: RUF012  # declared so by marshmallow
        "unknown": Message("There is no such field here.", "unknown_field"),
        "type": Message("Send a JSON object.", "invalid_type"),
    }


class ResponseSchema(Schema):
    """A shape that only goes out; it may grow fields, so the document does not rule further ones out.

    A field whose metadata names a `scope` is left out for callers who do not hold it.
    """

    class Meta:
        """Marshmallow's options."""

        unknown = ma.EXCLUDE

    @ma.post_dump
    def _leave_out_what_the_caller_may_not_see(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        for name, scope in self._scopes.items():
            if not caller.whoever().may(scope):
                data.pop(name, None)
        return data

    @cached_property
    def _scopes(self) -> dict[str, str]:
        scopes = {field.data_key or name: field.metadata.get("scope") for name, field in self.dump_fields.items()}
        return {name: scope for name, scope in scopes.items() if scope}


class SparseSchema(ResponseSchema):
    """The rows of a list whose query can name the fields it wants (as `shown`); the others are left out."""

    @ma.post_dump
    def _leave_out_what_was_not_asked_for(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        shown = g.get("shown")
        return data if shown is None else {name: value for name, value in data.items() if name in shown}


class UpdateSchema(Schema):
    """The shape of a PATCH: every field optional, at least one given."""

    @ma.validates_schema
    def _says_something(self, data: dict[str, Any], **_: Any) -> None:
        if not data:
            raise ma.ValidationError(Message("Name at least one field to change.", "required"))


class PageQuerySchema(Schema):
    """The query parameters of every list."""

    limit = QueryInteger(
        load_default=50,
        validate=Range(min=1, max=200),
        metadata={"description": "How many rows a page has, from 1 to 200.", "examples": [50]},
    )
    cursor = SafeString(
        load_default=None,
        max_length=2000,
        metadata={"description": "Where to go on: `next_cursor` of the page before.", "examples": ["WyIyMjQyMyJd.x"]},
    )
    count = Boolean(
        load_default=False,
        metadata={"description": "Whether to count the rows of all pages together, up to 100,000.", "examples": [True]},
    )


def page_of(schema: type[Schema]) -> type[Schema]:
    """Make the schema of one page of a list."""
    name = f"{schema.__name__.removesuffix('Schema')}PageSchema"
    return type(
        name,
        (ResponseSchema,),
        {
            "__doc__": f"One page of {schema.__name__.removesuffix('Schema').lower()}s.",
            "__module__": schema.__module__,
            "data": List(Nested(schema), metadata={"description": "The rows of this page."}),
            "next_cursor": Text(
                allow_none=True,
                metadata={
                    "description": "Send it as `cursor` for the next page; null on the last one.",
                    "examples": [None],
                },
            ),
            "total": StrictInteger(
                metadata={"description": "All rows of all pages; only with `count=true`.", "examples": [1204]}
            ),
            "total_is_exact": Boolean(
                metadata={"description": "False when there are more than `total`.", "examples": [True]}
            ),
        },
    )


class ProblemSchema(ResponseSchema):
    """One thing that is wrong. Some codes add facts, as `insufficient_stock` does with `requested`."""

    class Meta:
        """Marshmallow's options."""

        unknown = ma.INCLUDE

    code = Text(metadata={"description": "Stable; what programs decide on.", "examples": ["insufficient_stock"]})
    message = Text(metadata={"description": "For people.", "examples": ["Only 3 are available."]})
    field = Text(allow_none=True, metadata={"description": "Where.", "examples": ["lines.0.quantity"]})


class ErrorBodySchema(ProblemSchema):
    """The first problem, all of them, and the id that finds the request in the log."""

    details = List(Nested(ProblemSchema), metadata={"description": "Every problem, the first one included."})
    request_id = Text(metadata={"description": "As in X-Request-ID.", "examples": ["0198c1f0-3f9e-7c3a"]})


class ErrorSchema(ResponseSchema):
    """The envelope every failure comes in."""

    error = Nested(ErrorBodySchema, metadata={"description": "What went wrong."})
