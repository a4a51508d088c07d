"""What validation says: sentences for people that carry a stable code for programs."""

from __future__ import annotations

from typing import Any, Self

import marshmallow as ma
from marshmallow import validate

FIELD_CODES = {
    "invalid_character": "Text holds a control, invisible or unpaired character.",
    "invalid_format": "A string does not have the form its field demands.",
    "invalid_type": "The JSON type is wrong, as a string where an integer belongs.",
    "invalid_value": "The value is refused for another reason; the message says which.",
    "null_not_allowed": "The field was null and may not be.",
    "out_of_range": "A number, date or time lies outside its bounds.",
    "repeated_parameter": "A query parameter or form field was sent more than once.",
    "required": "A field that must be there is missing.",
    "too_many_decimals": "A price has more decimal places than are kept.",
    "unknown_choice": "The value is none of those the field allows.",
    "unknown_field": "There is no such field or parameter here.",
    "wrong_length": "A string or list is too short or too long.",
}
"""The codes of problems with single fields; all come with 422."""


class Message(str):
    """A validation message that knows its stable code, one of `FIELD_CODES`."""

    __slots__ = ("code",)
    code: str

    def __new__(cls, text: str, code: str) -> Self:
        """Attach a code to a sentence."""
        if code not in FIELD_CODES:
            raise KeyError(code)
        message = super().__new__(cls, text)
        message.code = code
        return message

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]  # copying needs the code too
        """Tell what a copy is made from."""
        return str(self), self.code


class Refusal(ma.ValidationError):
    """A validation error with a code of its own."""

    def __init__(self, code: str, text: str) -> None:
        """Say what is wrong in a sentence that tells what to send instead."""
        super().__init__(Message(text, code))


class Length(validate.Length):
    """A length within bounds."""

    def _format_error(self, value: Any, message: str) -> str:
        return Message(super()._format_error(value, message), "wrong_length")


class Range(validate.Range):
    """A number within bounds."""

    def _format_error(self, value: Any, message: str) -> str:
        return Message(super()._format_error(value, message), "out_of_range")


class Regexp(validate.Regexp):
    """Text of a given form."""

    def _format_error(self, value: str | bytes) -> str:
        return Message(super()._format_error(value), "invalid_format")


class OneOf(validate.OneOf):
    """One of a few words."""

    def _format_error(self, value: Any) -> str:
        return Message(super()._format_error(value), "unknown_choice")
