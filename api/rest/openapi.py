"""What apispec cannot tell from a field by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.rest import fields

if TYPE_CHECKING:
    from marshmallow.fields import Field

UUID_PATTERN = "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
PRICE_PATTERN = r"^(0|[1-9][0-9]{0,9})(\.[0-9]{1,4})?$"
AMOUNT_PATTERN = r"^-?[0-9]+(\.[0-9]+)?$"

DESCRIPTIONS: tuple[tuple[type[Any], dict[str, Any]], ...] = (
    (fields.Amount, {"type": "string", "pattern": AMOUNT_PATTERN}),
    (fields.UnitPrice, {"type": "string", "pattern": PRICE_PATTERN}),
    (fields.AwareDateTime, {"type": "string", "format": "date-time"}),
    (fields.StrictUUID, {"type": "string", "format": "uuid", "pattern": UUID_PATTERN}),
    (fields.Email, {"type": "string", "format": "email"}),
    (fields.Secret, {"type": "string", "format": "password"}),
)

IDEMPOTENCY_KEY = {
    "description": "A fresh random value for each new thing, the same value for a repetition. "
    "A repetition gets the first answer, marked `Idempotency-Replayed: true`; kept for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "examples": ["web-10482"]},
}


def describe_field(_: Any, field: Field[Any], **__: Any) -> dict[str, Any]:
    """Give the JSON Schema keywords of the house's own fields (an apispec attribute function)."""
    facts = dict(next((facts for kind, facts in DESCRIPTIONS if isinstance(field, kind)), {}))
    if field.allow_none and "type" in facts:
        facts["type"] = [facts["type"], "null"]
    if scope := field.metadata.get("scope"):
        facts["description"] = f"{field.metadata['description']} Left out for callers without `{scope}`."
    return facts
