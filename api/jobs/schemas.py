"""The shapes of background jobs."""

from __future__ import annotations

from api.rest.fields import AwareDateTime, StrictInteger, StrictUUID, Text
from api.rest.schemas import ResponseSchema, page_of

ID = "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d48"
MOMENT = "2026-05-17T09:30:00Z"


class JobSchema(ResponseSchema):
    """Background work that somebody started."""

    id = StrictUUID(metadata={"description": "Identifier.", "examples": [ID]})
    task = Text(metadata={"description": "What is done.", "examples": ["redeliver_webhooks"]})
    status = Text(
        metadata={"description": "waiting, running, succeeded, failed or cancelled.", "examples": ["succeeded"]}
    )
    attempts = StrictInteger(metadata={"description": "How often it has been begun.", "examples": [1]})
    reason = Text(allow_none=True, metadata={"description": "Why it failed the last time.", "examples": [None]})
    created_at = AwareDateTime(metadata={"description": "When it was started.", "examples": [MOMENT]})
    scheduled_at = AwareDateTime(
        allow_none=True, metadata={"description": "When it is tried next, if that is later.", "examples": [None]}
    )
    finished_at = AwareDateTime(allow_none=True, metadata={"description": "When it ended.", "examples": [MOMENT]})


JobPageSchema = page_of(JobSchema)
