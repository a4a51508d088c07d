"""What apispec cannot tell from a field by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.rest import fields
from api.rest.bulk import Rows

if TYPE_CHECKING:
    from marshmallow.fields import Field

UUID_PATTERN = "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
PRICE_PATTERN = r"^(0|[1-9][0-9]{0,9})(\.[0-9]{1,4})?$"
AMOUNT_PATTERN = r"^-?[0-9]+(\.[0-9]+)?$"

BARCODE_PATTERN = "^([0-9]{8}|[0-9]{12,14})$"

_SHORT_TEXT = {"type": "string", "minLength": 1, "maxLength": fields.LONGEST_VALUE}
ATTRIBUTES = {
    "type": "object",
    "maxProperties": fields.MOST_ATTRIBUTES,
    "propertyNames": {"minLength": 1, "maxLength": fields.LONGEST_KEY},
    "additionalProperties": {
        "anyOf": [
            _SHORT_TEXT,
            {"type": "number", "minimum": -fields.LARGEST_NUMBER, "maximum": fields.LARGEST_NUMBER},
            {"type": "boolean"},
            {"type": "array", "maxItems": fields.MOST_VALUES, "items": _SHORT_TEXT},
        ]
    },
}

DESCRIPTIONS: tuple[tuple[type[Any], dict[str, Any]], ...] = (
    (fields.Barcode, {"type": "string", "pattern": BARCODE_PATTERN}),
    (fields.WebAddress, {"type": "string", "format": "uri", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://"}),
    (fields.Attributes, ATTRIBUTES),
    (fields.AttributeFilter, {"type": "string", "pattern": "^[^:]+:.+$"}),
    (fields.Amount, {"type": "string", "pattern": AMOUNT_PATTERN}),
    (fields.SignedAmount, {"type": "string", "pattern": AMOUNT_PATTERN}),
    (fields.UnitPrice, {"type": "string", "pattern": PRICE_PATTERN}),
    (fields.AwareDateTime, {"type": "string", "format": "date-time"}),
    (fields.StrictUUID, {"type": "string", "format": "uuid", "pattern": UUID_PATTERN}),
    (fields.Email, {"type": "string", "format": "email"}),
    (fields.Secret, {"type": "string", "format": "password"}),
)

REFUSED_ALONE = {"description": "A row of any other form is refused by itself, and the others are not."}

IDEMPOTENCY_KEY = {
    "description": "A fresh random value for each new thing, the same value for a repetition. "
    "A repetition gets the first answer, marked `Idempotency-Replayed: true`; kept for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "examples": ["web-10482"]},
}


def describe_field(_: Any, field: Field[Any], *, ret: dict[str, Any], **__: Any) -> dict[str, Any]:
    """Give the JSON Schema keywords of the house's own fields (an apispec attribute function)."""
    facts = dict(next((facts for kind, facts in DESCRIPTIONS if isinstance(field, kind)), {}))
    match field:
        case fields.CommaList(choices=None):
            facts = {"type": "string", "pattern": "^[^,]+(,[^,]+)*$"}
        case fields.CommaList(choices=[*choices]):
            facts = {"type": "string", "pattern": _listed(f"({'|'.join(choices)})")}
        case fields.SortKeys(choices=choices):
            facts = {"type": "string", "pattern": _listed(f"-?({'|'.join(choices)})")}
        case fields.DocumentNumber(prefix=prefix):
            facts = {"type": "string", "pattern": f"^{prefix}-[0-9]{{1,18}}$"}
        case Rows():
            facts = {"items": {"anyOf": [ret["items"], REFUSED_ALONE]}}
    if field.allow_none and "type" in facts:
        facts["type"] = [facts["type"], "null"]
    if scope := field.metadata.get("scope"):
        facts["description"] = f"{field.metadata['description']} Left out for callers without `{scope}`."
    return facts


def _listed(word: str) -> str:
    return f"^{word}(,{word})*$"
