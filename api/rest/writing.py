"""Writing answers as marshmallow would, with what can be known beforehand found out once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import marshmallow as ma

from api.core import money
from api.rest.fields import (
    Attributes,
    AwareDateTime,
    Boolean,
    JsonObject,
    List,
    Metadata,
    Nested,
    SafeString,
    StrictInteger,
    StrictUUID,
    Text,
    UnitPrice,
    currency_places,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from decimal import Decimal


class Step(NamedTuple):
    """How one field of an answer is written."""

    key: str
    attribute: str | None
    """None for what is made from the whole object."""

    write: Callable[[Any], Any] | None
    """None for what goes out as it is."""

    scope: str | None
    default: Any


class Plan:
    """How objects of one shape are written: what can be known beforehand is found out once."""

    def __init__(self, steps: Iterable[Step]) -> None:
        """Take the fields in their order."""
        self._steps = tuple(steps)
        self._keys = [step.key for step in self._steps]
        names = [step.attribute or "__class__" for step in self._steps]  # the class is overwritten, it keeps the place
        self._read: Callable[[Any], tuple[Any, ...]] = attrgetter(*names) if len(names) > 1 else _reads_few(names)
        kept = [(step.key, step.write) for step in self._steps if step.write and step.attribute is not None]
        self._prices = [key for key, write in kept if write is _price]
        self._integers = [key for key, write in kept if write is _integer]
        self._wrote = [(key, write) for key, write in kept if write not in {_price, _integer}]
        self._made = [(step.key, step.write) for step in self._steps if step.write and step.attribute is None]

    def write(self, *objects: Any) -> list[dict[str, Any]]:
        """Write objects or mappings; attributes that one lacks are left out, unless they have a default."""
        places = currency_places() if self._prices else 0
        return [self._write(obj, places) for obj in objects]

    def _write(self, obj: Any, places: int) -> dict[str, Any]:
        if _is_mapping(type(obj)):  # type: ignore[arg-type]  # classes are hashable
            return self._write_parts(obj, obj.get)
        try:
            written = dict(zip(self._keys, self._read(obj), strict=True))
        except AttributeError:
            return self._write_parts(obj, partial(getattr, obj))
        for key in self._prices:
            if (price := written[key]) is not None:
                written[key] = money.render(price, places=places)
        for key in self._integers:
            if type(number := written[key]) is not int:
                written[key] = _integer(number)
        for key, write in self._wrote:
            written[key] = write(written[key])
        for key, write in self._made:
            written[key] = write(obj)
        return written

    def _write_parts(self, obj: Any, read: Callable[[str, Any], Any]) -> dict[str, Any]:
        written = {}
        for key, attribute, write, _, default in self._steps:
            value = obj if attribute is None else read(attribute, default)
            if value is not ma.missing:
                written[key] = value if write is None else write(value)
        return written


@cache
def _is_mapping(kind: type) -> bool:
    return issubclass(kind, Mapping)


def _reads_few(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Read as `attrgetter` does, which makes a tuple only of two or more."""
    return lambda obj: tuple(getattr(obj, name) for name in names)


AS_IT_IS = (Text, SafeString, Boolean, Attributes, JsonObject, Metadata, StrictUUID, AwareDateTime)
"""Fields whose values are in JSON what they are in Python, or that `strict_json.dumps` writes as they should be."""


def step_of(name: str, field: ma.fields.Field[Any]) -> Step:
    """Find out how a field is written."""
    key, scope = field.data_key or name, field.metadata.get("scope")
    if not field._CHECK_ATTRIBUTE:  # noqa: SLF001  # marshmallow's mark of fields that are made from the whole object
        return Step(key, None, lambda obj: field._serialize(None, name, obj), scope, ma.missing)  # noqa: SLF001  # as below
    attribute = field.attribute or name
    return Step(key, attribute, _writer(field, attribute), scope, field.dump_default)


def _writer(field: ma.fields.Field[Any], attribute: str) -> Callable[[Any], Any] | None:
    if isinstance(field, AS_IT_IS) or (isinstance(field, List) and isinstance(field.inner, AS_IT_IS)):
        return None
    if isinstance(field, StrictInteger):
        return _integer
    if isinstance(field, UnitPrice):
        return _price
    if isinstance(field, Nested):
        return partial(_write_nested, field.schema, bool(field.many))
    if isinstance(field, List) and isinstance(field.inner, Nested):
        return partial(_write_nested, field.inner.schema, True)  # noqa: FBT003  # partial takes it by position
    return lambda value: field._serialize(value, attribute, None)  # noqa: SLF001  # what marshmallow itself calls


def _integer(value: Any) -> int | None:
    return None if value is None else int(value)  # PostgreSQL's sums of bigints come as decimals


def _price(value: Decimal | None) -> str | None:
    return None if value is None else money.render(value, places=currency_places())


def _write_nested(schema: ma.Schema, many: bool, value: Any) -> Any:  # noqa: FBT001  # the same
    return None if value is None else schema.dump(value, many=many)
