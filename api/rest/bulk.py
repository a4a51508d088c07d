"""Many rows in one request: each is read, refused, done and repeated by itself."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from marshmallow import ValidationError

from api.core.outcomes import Outcome, refusal
from api.rest.fields import Boolean, List, Nested, SafeString, StrictInteger, Text
from api.rest.messages import Length, Refusal, Regexp
from api.rest.parser import flatten
from api.rest.row_keys import RowKeys
from api.rest.schemas import ProblemSchema, ResponseSchema, Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.core.errors import Problem

MOST_ROWS = 1000


class RowKeyedSchema(Schema):
    """A row that can be sent again without a second effect."""

    idempotency_key = SafeString(
        max_length=255,
        validate=[Regexp(r"^[\x20-\x7e]+$", error="Use printable ASCII characters.")],
        metadata={
            "description": "A fresh value for each new row, the same for a repetition: a row whose key was used gets "
            "its first outcome again and does nothing. Kept for 24 hours, refused rows excepted.",
            "examples": ["row-10482"],
        },
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was sent: the values it holds, or all that is wrong with it."""

    line: int
    sent: Any
    values: Mapping[str, Any]
    problems: tuple[Problem, ...] = ()

    @property
    def key(self) -> str | None:
        """The key that says which rows are one and the same."""
        return self.values.get("idempotency_key")

    def content(self) -> bytes:
        """Write what the row says, its key aside, always in the same way."""
        content = {name: value for name, value in self.sent.items() if name != "idempotency_key"}
        return json.dumps(content, sort_keys=True).encode()


def read_rows(schema: Schema, sent: Sequence[Any]) -> list[Row]:
    """Read every row by itself, so that what is wrong with one is said of that one."""
    return [_read(schema, line, row) for line, row in enumerate(sent)]


def _read(schema: Schema, line: int, sent: Any) -> Row:
    try:
        return Row(line, sent, schema.load(sent))
    except ValidationError as error:
        return Row(line, sent, {}, tuple(flatten(error.messages)))


class Rows(List):
    """From 1 to 1,000 rows, or fewer; one that is wrong is kept with its problems, and does not spoil the others."""

    def __init__(self, schema: type[Schema], *, most: int = MOST_ROWS, **kwargs: Any) -> None:
        """Name the schema of one row."""
        self.row_schema, self.most = schema, most
        super().__init__(Nested(schema), validate=Length(min=1, max=most), **kwargs)

    @cached_property
    def _schema(self) -> Schema:
        return self.row_schema()

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Refusal("invalid_type", "Send a list.")
        Length(min=1, max=self.most)(value)
        return read_rows(self._schema, value)


class OutcomeSchema(ResponseSchema):
    """What became of one row."""

    line = StrictInteger(metadata={"description": "Which row, counted from 0.", "examples": [0]})
    outcome = Text(metadata={"description": "What became of it; `refused` has no effect.", "examples": ["created"]})
    replayed = Boolean(
        metadata={
            "description": "Whether it is that of an earlier row with the same key.",
            "examples": [False],
        }
    )
    problems = List(
        Nested(ProblemSchema),
        metadata={"description": "All that is wrong with the row; `field` is within the row.", "examples": [[]]},
    )


def each_once(
    session: Session,
    rows: Sequence[Row],
    apply: Callable[[Sequence[tuple[int, Mapping[str, Any]]]], Sequence[Outcome]],
    *,
    facts: Sequence[str],
    dry_run: bool = False,
) -> dict[str, Any]:
    """Apply the rows that can be read and were not applied before, all in one call; tells what became of each.

    `facts` are what every outcome names; the first of them is read from rows that cannot be applied, too. A dry run
    claims no keys, and leaves it to `apply` to change nothing.
    """
    readable = {row.line: row for row in rows if not row.problems}
    outcomes = {row.line: refusal(row.line, *row.problems) for row in rows if row.problems}
    keys = RowKeys(session, {row.line: (row.key, row.content()) for row in readable.values() if row.key})
    outcomes |= keys.settled(dry_run=dry_run)
    fresh = [(line, row.values) for line, row in readable.items() if line not in outcomes and line not in keys.repeated]
    outcomes |= {outcome.line: outcome for outcome in apply(fresh)}
    outcomes |= keys.repetitions(outcomes)
    keys.keep(outcomes)
    blank = {row.line: dict.fromkeys(facts) | _named(row, facts[0]) for row in rows}
    return {
        "outcomes": [blank[line] | shown(outcomes[line]) for line in sorted(outcomes)],
        "counts": dict(Counter(outcome.outcome for outcome in outcomes.values())),
        "dry_run": dry_run,
    }


def shown(outcome: Outcome) -> dict[str, Any]:
    """Put an outcome into the form in which it is answered."""
    problems = [problem.as_dict() for problem in outcome.problems]
    return {
        **outcome.facts,
        "line": outcome.line,
        "outcome": outcome.outcome,
        "replayed": outcome.replayed,
        "problems": problems,
    }


def _named(row: Row, fact: str) -> dict[str, object]:
    name = row.sent.get(fact) if isinstance(row.sent, dict) else None
    return {fact: name} if isinstance(name, str) else {}
