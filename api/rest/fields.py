"""Strict field types: each accepts one spelling of a value and says so when it gets another."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit
from uuid import UUID

import marshmallow as ma
from flask import current_app
from marshmallow import fields
from stdnum import ean

from api.core import money
from api.rest.messages import Length, Message, OneOf, Range, Refusal, Regexp
from api.rest.strict_json import is_broken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAXIMUM_QUANTITY = 1_000_000
MOST_SECRET_BYTES = 1024
EARLIEST_YEAR, LATEST_YEAR = 1900, 9000
LARGEST_NUMBER = 2**53
"""Up to here every reader of JSON has the same number (RFC 7493)."""

MOST_ATTRIBUTES = 50
LONGEST_KEY = 40
LONGEST_VALUE = 500
MOST_VALUES = 20
MOST_ATTRIBUTE_BYTES = 8192
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,30})?", re.ASCII)
_DIGITS = re.compile(r"-?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_WEB_ADDRESS = re.compile(r"https?://[^\s<>\"\\^`{|}]+", re.ASCII | re.IGNORECASE)
_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+", re.ASCII)


class CodedField(fields.Field[Any]):
    """Gives marshmallow's own messages a code: the key under which the message is kept."""

    codes: ClassVar[dict[str, str]] = {"null": "null_not_allowed", "validator_failed": "invalid_value"}

    def make_error(self, key: str, **kwargs: Any) -> ma.ValidationError:
        """Build the error for one of `error_messages`."""
        (text,) = super().make_error(key, **kwargs).messages
        code = self.codes.get(key, key if key == "required" else "invalid_value")
        return ma.ValidationError(Message(text, code))


class StrictInteger(CodedField, fields.Integer):
    """A JSON integer: no string, no float, no boolean."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if type(value) is not int:
            raise Refusal("invalid_type", "Send an integer, as in 12.")
        return value


class QueryInteger(CodedField, fields.Integer):
    """An integer in a query string: ASCII digits only."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if not isinstance(value, str) or not _DIGITS.fullmatch(value):
            raise Refusal("invalid_type", "Send an integer, as in 12.")
        return int(value)


class Quantity(StrictInteger):
    """Units of an item, from 1 to 1,000,000."""

    def __init__(self, **kwargs: Any) -> None:
        """Set the bounds."""
        super().__init__(validate=Range(min=1, max=MAXIMUM_QUANTITY), **kwargs)


class SignedQuantity(StrictInteger):
    """Units added (positive) or taken away (negative), up to 1,000,000, never 0."""

    def __init__(self, **kwargs: Any) -> None:
        """Set the bounds."""
        super().__init__(validate=[Range(min=-MAXIMUM_QUANTITY, max=MAXIMUM_QUANTITY), _not_zero], **kwargs)


def _not_zero(value: int) -> None:
    if value == 0:
        raise Refusal("out_of_range", "Zero changes nothing; send a positive or a negative number.")


class Boolean(CodedField, fields.Boolean):
    """True or false; in a query string the words `true` and `false`."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if isinstance(value, bool):
            return value
        if data is not None and not isinstance(data, dict) and value in {"true", "false"}:
            return bool(value == "true")
        raise Refusal("invalid_type", "Send true or false.")


class SafeString(CodedField, fields.String):
    """Text in NFC without control and invisible formatting characters, trimmed, not empty."""

    def __init__(self, *, max_length: int = 200, min_length: int = 1, multiline: bool = False, **kwargs: Any) -> None:
        """Bound the length, counted after trimming; `multiline` lets line breaks and tabs pass."""
        self.allowed = "\n\r\t" if multiline else ""
        validators = [Length(min=min_length, max=max_length), *kwargs.pop("validate", ())]
        super().__init__(validate=validators, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise Refusal("invalid_type", "Send text.")
        if is_broken(value) or any(
            unicodedata.category(character) in {"Cc", "Cf", "Cs"} and character not in self.allowed
            for character in value
            if not " " <= character <= "~"
        ):
            raise Refusal("invalid_character", "Remove control and invisible characters.")
        return unicodedata.normalize("NFC", value).strip()


class Text(CodedField, fields.String):
    """Text in an answer."""


class Sku(SafeString):
    """A stock-keeping unit: letters, digits and ` . _ / -`, at most 64, unique without regard to case."""

    def __init__(self, **kwargs: Any) -> None:
        """Set the form."""
        form = Regexp(
            r"^[A-Za-z0-9](?:[A-Za-z0-9 ._/-]*[A-Za-z0-9])?$",
            error="Use letters, digits, spaces and . _ / - only, with a letter or digit at both ends.",
        )
        super().__init__(max_length=64, validate=[form], **kwargs)


class Email(SafeString):
    """An e-mail address in its canonical form: NFKC, lower case."""

    def __init__(self, **kwargs: Any) -> None:
        """Bound the length."""
        super().__init__(max_length=254, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = unicodedata.normalize("NFKC", super()._deserialize(value, attr, data, **kwargs)).casefold().rstrip(".")
        if not _EMAIL.fullmatch(text):
            raise Refusal("invalid_format", "Send an e-mail address, as in ada@example.com.")
        return text


class Secret(CodedField, fields.String):
    """A password as typed: never trimmed, never normalised, never shown."""

    def __init__(self, **kwargs: Any) -> None:
        """Refuse what no hash should be asked to digest."""
        super().__init__(validate=[Length(min=1, max=MOST_SECRET_BYTES), _not_too_many_bytes], load_only=True, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise Refusal("invalid_type", "Send text.")
        if is_broken(value):
            raise Refusal("invalid_character", "Remove the character that is not text.")
        return value


def _not_too_many_bytes(value: str) -> None:
    if len(value.encode()) > MOST_SECRET_BYTES:
        raise Refusal("wrong_length", f"A password has at most {MOST_SECRET_BYTES} bytes in UTF-8.")


class StrictUUID(CodedField, fields.UUID):
    """A UUID in its canonical, hyphenated form."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> UUID:
        if not isinstance(value, str) or not _UUID.fullmatch(value):
            raise Refusal("invalid_format", "Send a UUID, as in 0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45.")
        return UUID(value)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else str(value)


class UnitPrice(CodedField, fields.Field[Decimal]):
    """A price per unit: a decimal string with at most four places, not negative."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Decimal:
        if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
            raise Refusal("invalid_type", 'Send a price as a decimal string, as in "2.55".')
        price = Decimal(value)
        if len(value.partition(".")[2]) > money.UNIT_PRICE_PLACES:
            raise Refusal("too_many_decimals", f"A unit price has at most {money.UNIT_PRICE_PLACES} decimal places.")
        if price >= money.UNIT_PRICE_LIMIT:
            raise Refusal("out_of_range", f"A unit price is below {money.UNIT_PRICE_LIMIT}.")
        return price

    def _serialize(self, value: Decimal | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else money.render(value, places=currency_places())


class Amount(UnitPrice):
    """An amount of money in an answer: a decimal string with at least the currency's own places."""


class SignedAmount(UnitPrice):
    """An amount of money in an answer that may be less than nothing."""


class CurrencyAmount(UnitPrice):
    """An amount of money in a request: a decimal string with at most the currency's own places."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Decimal:
        amount = super()._deserialize(value, attr, data, **kwargs)
        places = currency_places()
        if amount != round(amount, places):
            raise Refusal("too_many_decimals", f"An amount has at most {places} decimal places in this currency.")
        return amount


class DocumentNumber(CodedField, fields.Field[int]):
    """The number of a document in a query, as in SO-001001."""

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        """Name the letters it begins with."""
        self.prefix = prefix
        super().__init__(**kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        match = re.fullmatch(rf"{self.prefix}-([0-9]{{1,18}})", str(value).strip().upper(), re.ASCII)
        if match is None:
            raise Refusal("invalid_format", f"Send a number as in {self.prefix}-001001.")
        return int(match[1])


class AwareDateTime(CodedField, fields.Field[datetime]):
    """An RFC 3339 date and time with its offset; kept and shown in UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        if not isinstance(value, str) or not _RFC3339.fullmatch(value):
            raise Refusal("invalid_format", "Send a date and time with offset, as in 2026-05-17T09:30:00Z.")
        try:
            moment = datetime.fromisoformat(value.upper())
        except ValueError:
            raise Refusal("invalid_format", "There is no such date.") from None
        if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
            raise Refusal("out_of_range", f"Send a year from {EARLIEST_YEAR} to {LATEST_YEAR}.")
        return moment.astimezone(UTC)

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Date(CodedField, fields.Date):
    """A day in an answer, as in 2026-05-17."""


class Barcode(SafeString):
    """A GTIN of 8, 12, 13 or 14 digits (EAN, UPC), the last of which checks the others."""

    def __init__(self, **kwargs: Any) -> None:
        """Set the form."""
        form = Regexp(r"^(?:[0-9]{8}|[0-9]{12,14})$", error="Send 8, 12, 13 or 14 digits.")
        super().__init__(max_length=14, validate=[form, _has_right_check_digit], **kwargs)


def _has_right_check_digit(value: str) -> None:
    if not ean.is_valid(value):
        raise Refusal("invalid_value", "The check digit, the last one, does not fit the others.")


class WebAddress(SafeString):
    """An http or https address, without a user name or password in it."""

    def __init__(self, **kwargs: Any) -> None:
        """Bound the length."""
        super().__init__(max_length=2000, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        address = super()._deserialize(value, attr, data, **kwargs)
        if not _WEB_ADDRESS.fullmatch(address) or not _is_whole(address):
            raise Refusal("invalid_format", "Send a web address, as in https://example.com/teapot.jpg.")
        if "@" in urlsplit(address).netloc:
            raise Refusal("invalid_value", "Leave user name and password out of the address.")
        return address


def _is_whole(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is none
        return False


class Tags(CodedField, fields.List[Any]):
    """Up to 20 short words to sort things by: in lower case, each once, in order."""

    def __init__(self, **kwargs: Any) -> None:
        """Bound their number and length."""
        plain = Regexp(r"^[^,]*$", error="A tag has no comma, which stands between tags in a filter.")
        super().__init__(
            SafeString(max_length=LONGEST_KEY, validate=[plain]), validate=Length(max=MOST_VALUES), **kwargs
        )

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[Any]:
        if isinstance(value, list):
            Length(max=MOST_VALUES)(value)
        given = super()._deserialize(value, attr, data, **kwargs)
        return sorted({folded_tag(str(tag)) for tag in given})


def folded_tag(tag: str) -> str:
    """Tell how a tag is kept, however it is typed."""
    return unicodedata.normalize("NFC", tag.casefold())


class Attributes(CodedField, fields.Field[dict[str, Any]]):
    """Facts of one's own about a thing: up to 50 short texts, numbers, booleans or lists of texts under short keys."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Refusal("invalid_type", "Send a JSON object.")
        Length(max=MOST_ATTRIBUTES)(value)
        result: dict[str, Any] = {}
        problems: dict[str, Any] = {}
        for key, inner in value.items():
            try:
                result[str(_KEY.deserialize(key))] = _attribute(inner)
            except ma.ValidationError as error:
                problems[key] = error.messages
        if problems:
            raise ma.ValidationError(problems)
        if len(result) != len(value):
            raise Refusal("invalid_value", "Two keys are the same once they are trimmed.")
        if len(json.dumps(result, ensure_ascii=False).encode()) > MOST_ATTRIBUTE_BYTES:
            raise Refusal("wrong_length", f"All attributes together have at most {MOST_ATTRIBUTE_BYTES} bytes as JSON.")
        return result


_KEY = SafeString(max_length=LONGEST_KEY)
_VALUE = SafeString(max_length=LONGEST_VALUE)
_VALUES = fields.List[str](_VALUE)


def _attribute(value: Any) -> Any:
    """Read the value of one attribute."""
    match value:
        case bool():
            return value
        case str():
            return _VALUE.deserialize(value)
        case int() | float():
            if not abs(value) <= LARGEST_NUMBER:  # so put, NaN is refused too
                raise Refusal("out_of_range", f"Send a number from -{LARGEST_NUMBER} to {LARGEST_NUMBER}.")
            return value + 0  # which makes -0.0 the 0.0 that it is read back as
        case list():
            Length(max=MOST_VALUES)(value)
            return _VALUES.deserialize(value)
    raise Refusal("invalid_type", "Send text, a number, true, false, or a list of texts.")


class CommaList(CodedField, fields.Field[list[str]]):
    """Several words in one query parameter, separated by commas: some of `choices`, or any."""

    def __init__(
        self, choices: Sequence[str] | None = None, *, at_most: int = MOST_VALUES, folded: bool = False, **kwargs: Any
    ) -> None:
        """Bound the words; `folded` reads them as tags are kept."""
        self.choices, self.at_most, self.folded = choices, at_most, folded
        self.word = SafeString(max_length=LONGEST_KEY, validate=[] if choices is None else [OneOf(choices)])
        super().__init__(**kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[str]:
        if not isinstance(value, str):
            raise Refusal("invalid_type", "Send words separated by commas.")
        words = value.split(",")
        Length(min=1, max=self.at_most)(words)
        read = (self.word.deserialize(word) for word in words)
        return list(dict.fromkeys(folded_tag(word) if self.folded else word for word in read))


class SortKeys(CodedField, fields.Field[list[tuple[str, bool]]]):
    """What a list is sorted by: names separated by commas, each once; a minus turns the order of one around."""

    def __init__(self, choices: Sequence[str], **kwargs: Any) -> None:
        """Set what can be sorted by."""
        self.choices = choices
        super().__init__(**kwargs)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> list[tuple[str, bool]]:
        if not isinstance(value, str):
            raise Refusal("invalid_type", "Send names separated by commas.")
        keys = [(name.removeprefix("-"), name.startswith("-")) for name in map(str.strip, value.split(","))]
        names = [name for name, _ in keys]
        if unknown := set(names) - set(self.choices):
            listed = ", ".join(self.choices)
            shown = ascii(min(unknown)[:LONGEST_KEY])
            raise Refusal("unknown_choice", f"There is no sorting by {shown}; choose from: {listed}.")
        if len(set(names)) < len(names):
            raise Refusal("unknown_choice", "Name each key once.")
        return keys


class AttributeFilter(CodedField, fields.Field[tuple[str, str]]):
    """An attribute and its value in one query parameter, as in `color:red`."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[str, str]:
        key, _, wanted = str(value).partition(":")
        if not key.strip() or not wanted.strip():
            raise Refusal("invalid_format", "Send a key and a value, as in color:red.")
        return _KEY.deserialize(key), _VALUE.deserialize(wanted)


class Nested(CodedField, fields.Nested):
    """An object within an object."""


class List(CodedField, fields.List[Any]):
    """A list; a wrong length is refused before anything in it is read."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[Any]:
        for validator in self.validators if isinstance(value, list) else ():
            if isinstance(validator, Length):
                validator(value)
        return super()._deserialize(value, attr, data, **kwargs)


class JsonObject(CodedField, fields.Dict):
    """An object in an answer whose members depend on what it is about."""


class Metadata(CodedField, fields.Dict):
    """Up to 50 short strings under short keys, both trimmed."""

    def __init__(self, **kwargs: Any) -> None:
        """Bound keys and values."""
        super().__init__(
            keys=SafeString(max_length=40), values=SafeString(max_length=500), validate=Length(max=50), **kwargs
        )

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Mapping[Any, Any]:
        result: Mapping[Any, Any] = super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]  # marshmallow's
        if len(result) != len(value):
            raise Refusal("invalid_value", "Two keys are the same once they are trimmed.")
        return result


def currency_places() -> int:
    """Tell how many decimal places amounts have in this installation's currency."""
    return int(current_app.extensions["currency"].places)
