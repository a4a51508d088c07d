"""Every statement about events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import insert, select, text

from api.core import bulk, ids
from api.core.paging import Listing
from api.events.models import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller

TYPES = {"id": "uuid", "subject_id": "uuid", "data": "jsonb"}
_ADD_ALL = text(f"""
    INSERT INTO events (id, type, subject_id, data, actor_id, request_id)
    SELECT line.id, :type, line.subject_id, line.data, CAST(:actor_id AS uuid), CAST(:request_id AS text)
    FROM {bulk.unnest("line", TYPES)}
""")  # noqa: S608  # only names from the tables above are put into the text


def add(session: Session, type_: str, subject_id: UUID, data: dict[str, Any], *, by: Caller) -> None:
    """Append one line to the feed."""
    values = {"id": ids.new(), "type": type_, "subject_id": subject_id, "data": data}
    session.execute(insert(Event), values | {"actor_id": by.user_id, "request_id": by.request_id})


def add_all(session: Session, type_: str, news: Iterable[tuple[UUID, dict[str, Any]]], *, by: Caller) -> None:
    """Append many lines of one type to the feed, with one statement."""
    rows = [(ids.new(), subject_id, orjson.dumps(data).decode()) for subject_id, data in news]
    facts = {"type": type_, "actor_id": by.user_id, "request_id": by.request_id}
    session.execute(_ADD_ALL, facts | bulk.arrays("line", TYPES, rows))


def of_subject(subject_id: UUID, *, without: Sequence[str]) -> Listing:
    """List what happened to a subject in the order in which it was written."""
    query = select(Event).where(Event.subject_id == subject_id)
    if without:
        query = query.where(Event.type.not_in(without))
    return Listing(query, keys=(Event.position,))
