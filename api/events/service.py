"""How news travels upwards: a domain records what happened, others read the feed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.events import repository

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.paging import Listing


def record(session: Session, type_: str, subject_id: UUID, data: dict[str, Any], *, by: Caller) -> None:
    """Say what happened, in the transaction in which it happened; a rolled-back change leaves no event.

    `type_` is `subject.past_participle`, as in `order.placed`; `data` must be representable in JSON.
    """
    repository.add(session, type_, subject_id, data, by=by)


def record_all(session: Session, type_: str, news: Sequence[tuple[UUID, dict[str, Any]]], *, by: Caller) -> None:
    """Say the same of many subjects, each with data of its own, in one statement."""
    if news:
        repository.add_all(session, type_, news, by=by)


def of_subject(session: Session, subject_id: UUID, *, without: Sequence[str] = ()) -> Listing:  # noqa: ARG001  # as all lists
    """List what happened to a subject, oldest first, without events of some types."""
    return repository.of_subject(subject_id, without=without)
