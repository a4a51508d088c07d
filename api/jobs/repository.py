"""Every statement about the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from sqlalchemy import BigInteger, DateTime, Integer, String, column, func, select, table, text
from sqlalchemy.dialects.postgresql import insert

from api.core.paging import Listing
from api.jobs.models import JobNote

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow

# procrastinate's own function, the one its clients call; called here so that the job is part of our transaction.
_DEFER = text("""
    SELECT (procrastinate_defer_jobs_v1(ARRAY[
        ROW('default', :task, 0, NULL, NULL, CAST(:args AS jsonb), NULL)::procrastinate_job_to_defer_v1
    ]))[1]
""")

_JOBS = table(
    "procrastinate_jobs",
    column("id", BigInteger),
    column("task_name", String),
    column("status", String),
    column("attempts", Integer),
    column("scheduled_at", DateTime(timezone=True)),
)
_EVENTS = table(
    "procrastinate_events", column("job_id", BigInteger), column("type", String), column("at", DateTime(timezone=True))
)
"""The queue's own tables, as far as they are read here."""


def defer(session: Session, task: str, args: dict[str, object]) -> int:
    """Enqueue one task; tells the job's number."""
    job_id: int = session.execute(_DEFER, {"task": task, "args": orjson.dumps(args).decode()}).scalar_one()
    return job_id


def note_start(session: Session, job_id: int, *, public_id: UUID, started_by: UUID | None) -> None:
    """Note who has started a job, and the id it is known by outside."""
    values = {"job_id": job_id, "public_id": public_id, "started_by": started_by}
    session.execute(insert(JobNote).values(values))


def note_failure(session: Session, job_id: int, *, reason: str) -> None:
    """Note why a job has failed."""
    query = insert(JobNote).values(job_id=job_id, reason=reason, failed_at=func.now())
    session.execute(
        query.on_conflict_do_update(index_elements=["job_id"], set_={"reason": reason, "failed_at": func.now()})
    )


def started(session: Session, public_id: UUID) -> AnyRow | None:
    """Find a job that somebody started."""
    return session.execute(_started().where(JobNote.public_id == public_id)).one_or_none()


def listing(*, started_by: UUID | None) -> Listing:
    """List jobs that somebody started, newest first."""
    query = _started().where(JobNote.public_id.is_not(None))
    if started_by is not None:
        query = query.where(JobNote.started_by == started_by)
    return Listing(query, keys=(JobNote.public_id,), descending=True)


def _started() -> Select[tuple[object, ...]]:
    at = select(func.min(_EVENTS.c.at)).where(_EVENTS.c.job_id == JobNote.job_id).scalar_subquery()
    ended = (
        select(func.max(_EVENTS.c.at))
        .where(_EVENTS.c.job_id == JobNote.job_id, _JOBS.c.status.in_(("succeeded", "failed", "cancelled", "aborted")))
        .correlate(JobNote, _JOBS)
        .scalar_subquery()
    )
    return select(
        JobNote.public_id,
        JobNote.job_id,
        JobNote.started_by,
        JobNote.reason,
        _JOBS.c.task_name,
        _JOBS.c.status,
        _JOBS.c.attempts,
        _JOBS.c.scheduled_at,
        at.label("created_at"),
        ended.label("finished_at"),
    ).join_from(JobNote, _JOBS, _JOBS.c.id == JobNote.job_id)
