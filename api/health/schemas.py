"""The shapes of health."""

from __future__ import annotations

from api.rest.fields import List, SafeString
from api.rest.schemas import ResponseSchema


class HealthSchema(ResponseSchema):
    """Alive."""

    status = SafeString(metadata={"description": "Always `ok`.", "example": "ok"})


class ReadinessSchema(ResponseSchema):
    """Ready."""

    status = SafeString(metadata={"description": "Always `ready`.", "example": "ready"})
    checks = List(SafeString(), metadata={"description": "What was looked at.", "example": ["database", "redis"]})
