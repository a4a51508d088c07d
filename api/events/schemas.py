"""The shapes of events."""

from __future__ import annotations

from marshmallow import fields

from api.rest.fields import (
    AwareDateTime,
    Boolean,
    CommaList,
    JsonObject,
    List,
    Nested,
    QueryInteger,
    StrictInteger,
    StrictUUID,
    Text,
)
from api.rest.messages import Range
from api.rest.schemas import ResponseSchema, Schema

LONGEST_WAIT = 25
LARGEST_POSITION = 2**53 - 1
ID = "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d48"
TYPE = {"description": "What happened, as `subject.past_participle`.", "examples": ["order.placed"]}


class EventSchema(ResponseSchema):
    """One thing that happened."""

    id = StrictUUID(metadata={"description": "Identifier; a webhook's `webhook-id`.", "examples": [ID]})
    type = Text(metadata=TYPE)
    position = StrictInteger(
        metadata={"description": "Its place in the feed: 1, 2, 3, … without gaps.", "examples": [20951]}
    )
    subject_type = Text(metadata={"description": "What it happened to.", "examples": ["order"]})
    subject_id = StrictUUID(metadata={"description": "Which one.", "examples": [ID]})
    sequence = StrictInteger(
        metadata={"description": "Its place among the events of this subject: 1, 2, 3, …", "examples": [1]}
    )
    occurred_at = AwareDateTime(metadata={"description": "When.", "examples": ["2026-05-17T09:30:00Z"]})
    actor_id = StrictUUID(
        allow_none=True, metadata={"description": "Who did it; null for commands and tasks.", "examples": [ID]}
    )
    request_id = Text(
        allow_none=True,
        metadata={"description": "X-Request-ID of the request that did it.", "examples": ["0198c1f0-3f9e-7c3a"]},
    )
    data = fields.Dict(
        metadata={
            "description": "What is to be known, by the type's schema. It may get further fields.",
            "examples": [{"number": "SO-001001", "status": "placed"}],
        }
    )


class EventQuerySchema(Schema):
    """Which events to read."""

    after = QueryInteger(
        load_default=None,
        validate=Range(min=0, max=LARGEST_POSITION),
        metadata={
            "description": "Only what follows this position: `next_after` of the answer before. Without it, from the "
            "first event that is kept.",
            "examples": [20950],
        },
    )
    types = CommaList(
        load_default=None,
        metadata={
            "description": "Only events of these types, comma-separated; `order.*` stands for all that begin so.",
            "examples": ["order.placed,stock.*"],
        },
    )
    subject_id = StrictUUID(
        data_key="subject",
        load_default=None,
        metadata={"description": "Only what happened to this order, item, …", "examples": [ID]},
    )
    wait = QueryInteger(
        load_default=0,
        validate=Range(min=0, max=LONGEST_WAIT),
        metadata={"description": "How many seconds to wait for an event when there is none yet.", "examples": [25]},
    )
    limit = QueryInteger(
        load_default=100,
        validate=Range(min=1, max=1000),
        metadata={"description": "How many events at most, from 1 to 1,000.", "examples": [100]},
    )


class EventSliceSchema(ResponseSchema):
    """A part of the feed."""

    data = List(Nested(EventSchema), metadata={"description": "Events in the order of their positions."})
    next_after = StrictInteger(
        metadata={
            "description": "Remember it, and send it as `after`. It moves on even when no event was of a wanted type.",
            "examples": [20951],
        }
    )
    has_more = Boolean(metadata={"description": "Whether to ask again at once.", "examples": [False]})


class EventTypeSchema(ResponseSchema):
    """One type of event."""

    type = Text(attribute="name", metadata=TYPE)
    description = Text(attribute="says", metadata={"description": "What it says.", "examples": ["An order was placed"]})
    subject_type = Text(attribute="subject", metadata={"description": "What it happens to.", "examples": ["order"]})
    data_schema = JsonObject(
        attribute="schema",
        metadata={"description": "JSON Schema (draft 2020-12) of `data`.", "examples": [{"type": "object"}]},
    )


class EventTypesSchema(ResponseSchema):
    """The catalogue."""

    data = List(Nested(EventTypeSchema), metadata={"description": "Every type of event the caller may see."})
