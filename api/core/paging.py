"""Keyset pages: the cost of a page does not depend on how deep it lies."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import tuple_

from api.core.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Select
    from sqlalchemy.orm import InstrumentedAttribute, Session


class CursorInvalid(Malformed):
    """A cursor that was tampered with, or that belongs to another list, filter or caller."""

    code = "cursor_invalid"
    message = "The cursor does not belong to this list and its filters; start again without a cursor."
    field = "cursor"


@dataclass(frozen=True, slots=True)
class Listing:
    """A query with the unique, indexed key that puts its rows in order."""

    query: Select[Any]
    keys: tuple[InstrumentedAttribute[Any], ...]
    descending: bool = False

    def page(self, session: Session, *, limit: int, after: Sequence[object] | None) -> tuple[list[Any], list[Any]]:
        """Read up to `limit` rows that follow the key values `after`.

        Returns:
            The rows, and the key values to continue after (empty when there is nothing more).

        """
        query = self.query
        if after is not None:
            position = tuple_(*self.keys)
            query = query.where(position < tuple(after) if self.descending else position > tuple(after))
        query = query.order_by(*(key.desc() if self.descending else key.asc() for key in self.keys))
        result = session.execute(query.limit(limit + 1))
        one_entity = len(self.query.column_descriptions) == 1
        rows = list(result.scalars()) if one_entity else list(result)
        if len(rows) <= limit:
            return rows, []
        rows.pop()
        return rows, [getattr(rows[-1], key.key) for key in self.keys]

    def types(self) -> tuple[type, ...]:
        """Tell the Python types of the key's parts."""
        return tuple(key.type.python_type for key in self.keys)


def seal(values: Sequence[object], *, secret: str, scope: object) -> str:
    """Write key values as an opaque, signed cursor that is good for `scope` only."""
    return _serializer(secret, scope).dumps([_plain(value) for value in values])


def unseal(cursor: str, *, types: Sequence[type], secret: str, scope: object) -> list[object]:
    """Read a cursor back.

    Raises:
        CursorInvalid: when it was not made by `seal` for the same scope.

    """
    try:
        values = _serializer(secret, scope).loads(cursor)
        return [_typed(value, kind) for value, kind in zip(values, types, strict=True)]
    except (BadSignature, ValueError, TypeError, UnicodeError):
        raise CursorInvalid from None


def _serializer(secret: str, scope: object) -> URLSafeSerializer:
    digest = hashlib.sha256(json.dumps(scope, sort_keys=True, default=str).encode()).hexdigest()
    return URLSafeSerializer(
        secret, salt=f"cursor:{digest}", signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
    )


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID | Decimal) else value


def _typed(value: object, kind: type) -> object:
    if kind is datetime:
        return datetime.fromisoformat(str(value))
    return kind(value)
