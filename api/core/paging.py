"""Keyset pages: the cost of a page does not depend on how deep it lies."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import and_, bindparam, func, literal, literal_column, or_, select, tuple_

from api.core.errors import Malformed
from api.core.orm import Base
from api.core.prepared import Prepared, named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Column, ColumnElement, Select
    from sqlalchemy.orm import InstrumentedAttribute, Session


_PURPOSE = "cursor"
"""What a signature is for: the secret signs other things, too."""


class CursorInvalid(Malformed):
    """A cursor that was tampered with, or that belongs to another list, filter or caller."""

    code = "cursor_invalid"
    message = "The cursor does not belong to this list and its filters; start again without a cursor."
    field = "cursor"


@dataclass(frozen=True, slots=True)
class Key:
    """One part of the order of a list: a column or an indexed expression, never null, and how a row shows its value."""

    column: ColumnElement[Any] | InstrumentedAttribute[Any]
    read: Callable[[Any], object]
    descending: bool = False

    def follows(self, value: object) -> ColumnElement[bool]:
        """Tell which rows come after those that have this value."""
        return self.column < value if self.descending else self.column > value

    def not_before(self, value: object) -> ColumnElement[bool]:
        """Tell which rows come no earlier; beside a finer condition, it lets an index on this key be entered."""
        return self.column <= value if self.descending else self.column >= value

    def ordered(self) -> ColumnElement[Any]:
        """Put rows in this order."""
        return self.column.desc() if self.descending else self.column.asc()


@dataclass(frozen=True, slots=True)
class Listing:
    """A query with the unique key that puts its rows in order; an index on the key makes every page cost the same."""

    query: Select[Any]
    keys: tuple[InstrumentedAttribute[Any] | Column[Any] | Key, ...]
    descending: bool = False
    """The direction of the keys that are plain columns."""

    counted: Select[Any] | None = None
    """The same rows without what is only shown beside them, where that makes counting cheaper."""

    def page(self, session: Session, *, limit: int, after: Sequence[object] | None) -> tuple[list[Any], list[Any]]:
        """Read up to `limit` rows that follow the key values `after`.

        Returns:
            The rows, and the key values to continue after (empty when there is nothing more).

        """
        rows = self._read(session, limit=limit + 1, after=after)
        if len(rows) <= limit:
            return rows, []
        rows.pop()
        return rows, [key.read(rows[-1]) for key in self._keys()]

    def count(self, session: Session, *, at_most: int) -> int:
        """Count the rows of all pages together, but no further than `at_most`."""
        rows = self.query if self.counted is None else self.counted
        rows = rows.with_only_columns(literal_column("1"), maintain_column_froms=True).limit(at_most)
        return int(session.scalar(select(func.count()).select_from(rows.subquery())) or 0)

    def types(self) -> tuple[type, ...]:
        """Tell the Python types of the key's parts."""
        return tuple(key.column.type.python_type for key in self._keys())

    def _read(self, session: Session, *, limit: int, after: Sequence[object] | None) -> list[Any]:
        types = [key.column.type for key in self._keys()]
        values = None if after is None else [literal(value, kind) for value, kind in zip(after, types, strict=True)]
        result = session.execute(self._query(values).limit(limit))
        found = result.all()
        if found and len(found[0]) == 1 and isinstance(found[0][0], Base):
            return [entity for (entity,) in found]
        return list(map(named(tuple(result.keys())), found))

    def _query(self, after: Sequence[ColumnElement[Any]] | None) -> Select[Any]:
        keys = self._keys()
        query = self.query if after is None else self.query.where(_beyond(keys, after))
        return query.order_by(*(key.ordered() for key in keys))

    def _keys(self) -> list[Key]:
        return [key if isinstance(key, Key) else Key(key, attrgetter(key.key), self.descending) for key in self.keys]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedListing(Listing):
    """A list of columns that is asked for often and is always the same: its pages are statements that are made once.

    How many rows a page has is written into the statement, so that PostgreSQL, too, plans it once.
    """

    def _read(self, session: Session, *, limit: int, after: Sequence[object] | None) -> list[Any]:
        statement = _page(self, limit, is_first=after is None)
        return statement.rows(session, {f"after_{place}": value for place, value in enumerate(after or ())})

    def _page(self, limit: int, *, is_first: bool) -> Prepared[Any]:
        types = [key.column.type for key in self._keys()]
        after = [bindparam(f"after_{place}", type_=kind) for place, kind in enumerate(types)]
        query = self._query(None if is_first else after).limit(literal_column(str(limit)))
        return Prepared(query, named(tuple(query.selected_columns.keys())))


@lru_cache(maxsize=256)
def _page(listing: PreparedListing, limit: int, *, is_first: bool) -> Prepared[Any]:
    return listing._page(limit, is_first=is_first)  # noqa: SLF001  # of this module


def _beyond(keys: Sequence[Key], after: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
    """Tell which rows come after those with these key values; one comparison of rows where all go one way."""
    descending = keys[0].descending
    if all(key.descending is descending for key in keys):
        position = tuple_(*(key.column for key in keys))
        return position < tuple_(*after) if descending else position > tuple_(*after)
    first, *others = keys
    if not others:
        return first.follows(after[0])
    is_equal = first.column == after[0]
    return and_(first.not_before(after[0]), or_(first.follows(after[0]), and_(is_equal, _beyond(others, after[1:]))))


def seal(values: Sequence[object], *, secret: str, scope: object) -> str:
    """Write key values as an opaque, signed cursor that is good for `scope` only."""
    payload = urlsafe_b64encode(json.dumps([_plain(value) for value in values]).encode()).rstrip(b"=").decode()
    return f"{payload}.{_signature(payload, secret, scope).decode()}"


def unseal(cursor: str, *, types: Sequence[type], secret: str, scope: object) -> list[object]:
    """Read a cursor back.

    Raises:
        CursorInvalid: when it was not made by `seal` for the same scope.

    """
    payload, _, signature = cursor.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(payload, secret, scope)):
        raise CursorInvalid
    try:
        values = json.loads(urlsafe_b64decode(payload + "=="))
        return [_typed(value, kind) for value, kind in zip(values, types, strict=True)]
    except (ValueError, TypeError):  # another version has made it, whose lists had other keys
        raise CursorInvalid from None


def _signature(payload: str, secret: str, scope: object) -> bytes:
    written = json.dumps([_PURPOSE, payload, scope], default=str, sort_keys=True)
    return urlsafe_b64encode(hmac.digest(secret.encode(), written.encode(), "sha256")).rstrip(b"=")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID | Decimal) else value


def _typed(value: object, kind: type) -> object:
    if kind is datetime:
        return datetime.fromisoformat(str(value))
    return kind(value)
