"""JSON that is read strictly (RFC 8259, I-JSON RFC 7493) and written fast."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson
from flask import Response
from flask.json.provider import DefaultJSONProvider

from api.core.errors import Malformed, Problem, RuleViolation

if TYPE_CHECKING:
    from collections.abc import Iterator

MAXIMUM_DEPTH = 32


class MalformedJson(Malformed):
    """The body is not JSON."""

    code = "malformed_json"
    message = "The body is not valid JSON: {reason}."


class DuplicateKey(Malformed):
    """An object names the same key twice, and readers would disagree on which one counts."""

    code = "duplicate_key"
    message = "The key {key!r} occurs twice in one object; send it once."


class JsonTooDeep(Malformed):
    """Nesting beyond what any schema here needs."""

    code = "json_too_deep"
    message = "The body is nested deeper than {limit} levels."


class InvalidCharacter(RuleViolation):
    """A NUL or half of a surrogate pair: not text, and nothing PostgreSQL can store."""

    code = "invalid_character"
    message = "The text holds a NUL or an unpaired surrogate; remove it."


def loads(raw: bytes) -> Any:
    """Read a JSON document.

    Raises:
        MalformedJson: not UTF-8, not JSON, a number no double or 4,300-digit integer can hold, NaN or Infinity.
        DuplicateKey: an object has a key twice.
        JsonTooDeep: more than `MAXIMUM_DEPTH` levels.
        InvalidCharacter: a string holds NUL or a lone surrogate.

    """
    try:
        document = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite
        )
    except UnicodeDecodeError:
        raise MalformedJson(reason="it is not UTF-8") from None
    except json.JSONDecodeError as error:
        reason = f"{error.msg[:1].lower()}{error.msg[1:]} at line {error.lineno} column {error.colno}"
        raise MalformedJson(reason=reason) from None
    except RecursionError:
        raise JsonTooDeep(limit=MAXIMUM_DEPTH) from None
    except ValueError:
        raise MalformedJson(reason="a number has too many digits") from None
    if raw.count(b"[") + raw.count(b"{") > MAXIMUM_DEPTH:
        _check_depth(document)
    if b"\\u" in raw:
        _check_text(document)
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        raise DuplicateKey(key=next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]  # add() returns None: the first repetition is what remains
    return members


def _refuse_constant(name: str) -> Any:
    raise MalformedJson(reason=f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise MalformedJson(reason="a number is too large")
    return number


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(index), part) for index, part in enumerate(value))


def _check_depth(document: Any) -> None:
    level, depth = [document], 0
    while level:
        depth += any(isinstance(value, dict | list) for value in level)
        if depth > MAXIMUM_DEPTH:
            raise JsonTooDeep(limit=MAXIMUM_DEPTH)
        level = [child for value in level for _, child in _children(value)]


def _check_text(document: Any) -> None:
    problems = tuple(
        Problem(InvalidCharacter.code, InvalidCharacter.message, path) for path in _paths_of_broken_text(document)
    )
    if problems:
        raise InvalidCharacter(at=problems[0].field, problems=problems)


def _paths_of_broken_text(document: Any) -> Iterator[str]:
    waiting: list[tuple[tuple[str, ...], Any]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str) and is_broken(value):
            yield ".".join(path)
        for key, child in _children(value):
            if is_broken(key):
                yield ".".join((*path, visible(key)))
            else:
                waiting.append(((*path, key), child))


def is_broken(text: str) -> bool:
    """Tell whether text holds NUL or a lone surrogate."""
    return "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text)


def visible(name: str) -> str:
    """Write a name that cannot go out as text with backslashes; any other stays as it is."""
    return ascii(name)[1:-1] if is_broken(name) else name


def dumps(value: Any) -> bytes:
    """Write compact JSON; moments, which all are in UTC here, end with Z (RFC 3339)."""
    return orjson.dumps(value, default=_default, option=orjson.OPT_UTC_Z)


def plain(value: Any) -> Any:
    """Tell what a reader of the JSON has: moments and ids as text."""
    return orjson.loads(dumps(value))


class StrictJSONProvider(DefaultJSONProvider):
    """Flask's JSON, read strictly and written by orjson."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """Write compact JSON."""
        return dumps(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """Read JSON strictly."""
        return loads(s.encode() if isinstance(s, str) else s)

    def response(self, *args: Any, **kwargs: Any) -> Any:
        """Make a response straight from bytes."""
        return Response(dumps(self._prepare_response_obj(args, kwargs)), mimetype="application/json")


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    message = f"{type(value).__name__} has no JSON form"
    raise TypeError(message)
