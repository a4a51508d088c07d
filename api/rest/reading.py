"""Reading input in which nothing is wrong, which is most of it, without marshmallow's search for what is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import marshmallow as ma
from marshmallow.decorators import POST_LOAD, PRE_LOAD, VALIDATES, VALIDATES_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Reading:
    """How an object is read in which nothing is wrong: what can be known beforehand is found out once."""

    def __init__(self, schema: ma.Schema, checks: Iterable[Callable[..., None]]) -> None:
        """Take the fields, and what checks the whole."""
        named = {field.data_key or name: (field.attribute or name, field) for name, field in schema.load_fields.items()}
        self._fields = {key: (attribute, field.deserialize) for key, (attribute, field) in named.items()}
        self._required = {key for key, (_, field) in named.items() if field.required}
        self._defaults = [
            (key, attribute, field.load_default)
            for key, (attribute, field) in named.items()
            if field.load_default is not ma.missing
        ]
        self._checks = tuple(checks)

    @classmethod
    def of(cls, schema: ma.Schema) -> Self | None:
        """Prepare to read what a schema describes, unless it has more to say than its fields do, and checks of all."""
        hooks = schema._hooks  # noqa: SLF001  # marshmallow's table of decorated methods
        checks = hooks.get(VALIDATES_SCHEMA, [])
        has_more = any(hooks.get(hook) for hook in (PRE_LOAD, POST_LOAD, VALIDATES))
        if has_more or schema.unknown != ma.RAISE or any(options["pass_original"] for *_, options in checks):
            return None
        return cls(schema, [getattr(schema, name) for name, *_ in checks])

    def read(self, data: dict[str, Any]) -> dict[str, Any]:
        """Read an object.

        Raises:
            ValidationError: something is wrong, whatever it is.

        """
        read = {}
        for key, value in data.items():
            found = self._fields.get(key)
            if found is None:
                raise ma.ValidationError(key)
            attribute, deserialize = found
            read[attribute] = deserialize(value, key, data)
        if not self._required <= data.keys():
            raise ma.ValidationError("required")
        for key, attribute, default in self._defaults:
            if key not in data:
                read[attribute] = default() if callable(default) else default
        for check in self._checks:
            check(read, partial=None, many=False, unknown=ma.RAISE)
        return read
