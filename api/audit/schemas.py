"""The shapes of the security log."""

from __future__ import annotations

from marshmallow import fields

from api.rest.fields import AwareDateTime, SafeString, StrictUUID, Text
from api.rest.messages import OneOf
from api.rest.schemas import PageQuerySchema, ResponseSchema, page_of

ID = "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45"
ACTION = {"description": "What happened, as `thing.past_participle`.", "examples": ["password.changed"]}
OUTCOME = {"description": "`done`, or `refused`.", "examples": ["done"]}
ACTOR_ID = {"description": "Who did it; null for strangers and for the console.", "examples": [ID]}
SUBJECT_ID = {"description": "The account, login or key it was done to.", "examples": [ID]}


class AuditEntrySchema(ResponseSchema):
    """One security event."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": [ID]})
    action = Text(metadata=ACTION)
    outcome = Text(metadata=OUTCOME)
    occurred_at = AwareDateTime(metadata={"description": "When.", "examples": ["2026-05-17T09:30:00Z"]})
    actor_id = StrictUUID(allow_none=True, metadata=ACTOR_ID)
    role = Text(metadata={"description": "The actor's role, `stranger` or `system`.", "examples": ["admin"]})
    session_id = StrictUUID(allow_none=True, metadata={"description": "The login it was done with.", "examples": [ID]})
    api_key_id = StrictUUID(
        allow_none=True, metadata={"description": "The API key it was done with.", "examples": [None]}
    )
    subject_id = StrictUUID(allow_none=True, metadata=SUBJECT_ID)
    address = Text(allow_none=True, metadata={"description": "Network address.", "examples": ["192.0.2.7"]})
    agent = Text(allow_none=True, metadata={"description": "The User-Agent it named.", "examples": ["curl/8.11"]})
    request_id = Text(
        allow_none=True, metadata={"description": "As in X-Request-ID.", "examples": ["0198c1f0-3f9e-7c3a"]}
    )
    facts = fields.Dict(metadata={"description": "What else is known.", "examples": [{"role": "clerk"}]})


class AuditQuerySchema(PageQuerySchema):
    """Which lines to list."""

    action = SafeString(
        load_default=None,
        max_length=60,
        metadata={"description": "Only actions that begin so, as `login`.", "examples": ["login"]},
    )
    outcome = SafeString(load_default=None, validate=[OneOf(["done", "refused"])], metadata=OUTCOME)
    actor_id = StrictUUID(load_default=None, metadata=ACTOR_ID)
    subject_id = StrictUUID(load_default=None, metadata=SUBJECT_ID)
    since = AwareDateTime(
        load_default=None, metadata={"description": "Not before.", "examples": ["2026-05-17T00:00:00Z"]}
    )
    until = AwareDateTime(load_default=None, metadata={"description": "Before.", "examples": ["2026-05-18T00:00:00Z"]})


AuditPageSchema = page_of(AuditEntrySchema)
