"""The bases of request and response schemas."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import Any

import marshmallow as ma
from flask import g

from api.rest import caller
from api.rest.fields import (
    Boolean,
    List,
    Nested,
    QueryInteger,
    SafeString,
    StrictInteger,
    Text,
)
from api.rest.messages import Message, Range
from api.rest.reading import Reading
from api.rest.writing import Plan, Step, step_of


class Schema(ma.Schema):
    """A shape of JSON; what it does not name is refused on the way in."""

    class Meta:
        """Marshmallow's options."""

        unknown = ma.RAISE

    error_messages: dict[str, str] = {  # noqa: RUF012  # declared so by marshmallow
        "unknown": Message("There is no such field here.", "unknown_field"),
        "type": Message("Send a JSON object.", "invalid_type"),
    }

    def load(self, data: Any, *, many: bool | None = None, partial: Any = None, unknown: Any = None) -> Any:
        """Read input. What is right is read in one go; the rest again, by marshmallow, which says all that is wrong."""
        is_plain = type(data) is dict and not (many or self.many or partial or self.partial)
        if is_plain and unknown in {None, ma.RAISE} and self._reading is not None:
            with suppress(ma.ValidationError):
                return self._reading.read(data)
        return super().load(data, many=many, partial=partial, unknown=unknown)

    @cached_property
    def _reading(self) -> Reading | None:
        return Reading.of(self)


MOST_PLANS = 64
"""A schema keeps no more; who reads lists chooses among their fields."""


class ResponseSchema(Schema):
    """A shape that only goes out; it may grow fields, so the document does not rule further ones out.

    What it dumps is for `strict_json.dumps`: ids and moments are written there, many times faster.

    A field whose metadata names a `scope` is left out for callers who do not hold it.
    """

    class Meta:
        """Marshmallow's options."""

        unknown = ma.EXCLUDE

    def _serialize(self, obj: Any, *, many: bool = False) -> Any:
        """Write an object, or many, as marshmallow would."""
        hidden = self._hidden()
        plan = self._plans.get(hidden)
        if plan is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            plan = self._plans[hidden] = Plan(step for step in self._steps if step.key not in hidden)
        return plan.write(*obj) if many else plan.write(obj)[0]

    def _hidden(self) -> frozenset[str]:
        """Name the fields that this caller is not shown."""
        return frozenset(key for key, scope in self._scopes if not caller.whoever().may(scope))

    @cached_property
    def _plans(self) -> dict[frozenset[str], Plan]:
        """One for each set of fields that are hidden."""
        return {}

    @cached_property
    def _steps(self) -> list[Step]:
        return [step_of(name, field) for name, field in self.dump_fields.items()]

    @cached_property
    def _scopes(self) -> list[tuple[str, str]]:
        """The fields that not everybody is shown, and what shows them."""
        return [(step.key, step.scope) for step in self._steps if step.scope is not None]


class SparseSchema(ResponseSchema):
    """The rows of a list whose query can name the fields it wants (as `shown`); the others are left out."""

    def _hidden(self) -> frozenset[str]:
        shown = g.get("shown")
        hidden = super()._hidden()
        return hidden if shown is None else hidden.union(step.key for step in self._steps if step.key not in shown)


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

    def _serialize(self, obj: Any, *, many: bool = False) -> Any:
        """Write problems with all their facts; they come in the form in which they are answered."""
        return [dict(problem) for problem in obj] if many else dict(obj)


class ErrorBodySchema(ProblemSchema):
    """The first problem, all of them, and the id that finds the request in the log."""

    details = List(Nested(ProblemSchema), metadata={"description": "Every problem, the first one included."})
    request_id = Text(metadata={"description": "As in X-Request-ID.", "examples": ["0198c1f0-3f9e-7c3a"]})


class ErrorSchema(ResponseSchema):
    """The envelope every failure comes in."""

    error = Nested(ErrorBodySchema, metadata={"description": "What went wrong."})
