"""The shapes of health."""

from __future__ import annotations

from api.rest.fields import List, Text
from api.rest.schemas import ResponseSchema


class HealthSchema(ResponseSchema):
    """Alive."""

    status = Text(metadata={"description": "Always `ok`.", "examples": ["ok"]})


class ReadinessSchema(ResponseSchema):
    """Ready."""

    status = Text(metadata={"description": "Always `ready`.", "examples": ["ready"]})
    checks = List(Text(), metadata={"description": "What was looked at.", "examples": [["database", "redis"]]})
