"""Every statement about the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import BigInteger, DateTime, Integer, String, case, cast, column, func, select, table, text
from sqlalchemy.dialects.postgresql import insert

from api.core.paging import Listing
from api.jobs.models import JobNote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta
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

NAMESPACE = "stockroom"
"""What the names of our tasks begin with in the queue."""

WORDS = {
    "todo": "waiting",
    "doing": "running",
    "aborting": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "aborted": "cancelled",
}
"""The queue's words for the state of a job, and ours."""

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


_STALLED = text("""
    SELECT job.id, job.attempts, job.queueing_lock, note.reason, EXISTS (
        SELECT FROM procrastinate_jobs AS other WHERE other.queueing_lock = job.queueing_lock AND other.status = 'todo'
    ) AS is_replaced
    FROM procrastinate_jobs AS job LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
    LEFT JOIN job_notes AS note ON note.job_id = job.id
    WHERE job.status = 'doing' AND (worker.id IS NULL OR worker.last_heartbeat < now() - :silence)
    ORDER BY job.id DESC FOR NO KEY UPDATE OF job SKIP LOCKED
""")
_RETRY = text("SELECT procrastinate_retry_job_v2(:id, now(), NULL, NULL, NULL)")
_END = text("SELECT procrastinate_finish_job_v1(:id, CAST(:status AS procrastinate_job_status), false)")
_OVERVIEW = text("""
    SELECT job.id, job.task_name AS task, job.status::text, job.attempts, job.scheduled_at, note.reason, note.failed_at,
           (SELECT max(at) FROM procrastinate_events WHERE job_id = job.id AND type <> 'scheduled') AS changed_at,
           job.args
    FROM procrastinate_jobs AS job LEFT JOIN job_notes AS note ON note.job_id = job.id
    WHERE job.status::text = ANY(CAST(:statuses AS text[]))
    AND (CAST(:task AS text) IS NULL OR job.task_name = :task)
    AND (CAST(:id AS bigint) IS NULL OR job.id = :id)
    ORDER BY job.id DESC LIMIT :limit
""")
_HISTORY = text("SELECT type::text, at FROM procrastinate_events WHERE job_id = :id ORDER BY id")
_RETRIABLE = text("""
    WITH parked AS MATERIALIZED (
        SELECT id, queueing_lock FROM procrastinate_jobs
        WHERE status = 'failed' AND (CAST(:task AS text) IS NULL OR task_name = :task)
        AND (CAST(:id AS bigint) IS NULL OR id = :id)
        ORDER BY id FOR NO KEY UPDATE
    )
    SELECT DISTINCT ON (coalesce(queueing_lock, id::text)) id FROM parked
    WHERE NOT EXISTS (
        SELECT FROM procrastinate_jobs AS other
        WHERE other.queueing_lock = parked.queueing_lock AND other.status = 'todo'
    )
    ORDER BY coalesce(queueing_lock, id::text), id DESC
""")
_PURGE = text("""
    DELETE FROM procrastinate_jobs AS job
    WHERE status::text = ANY(CAST(:statuses AS text[])) AND NOT EXISTS (
        SELECT FROM procrastinate_events WHERE job_id = job.id AND at >= now() - :age
    )
""")
_DEPTH = text("""
    SELECT task_name AS task, status::text, count(*) AS jobs,
           extract(epoch FROM now() - min(coalesce(scheduled_at, (
               SELECT min(at) FROM procrastinate_events WHERE job_id = job.id
           ))))::float AS seconds
    FROM procrastinate_jobs AS job WHERE status IN ('todo', 'doing', 'failed')
    GROUP BY task_name, status ORDER BY task_name, status
""")


def stalled(session: Session, *, silence: timedelta) -> Sequence[AnyRow]:
    """Find jobs whose worker is gone, or has given no sign of life for so long."""
    return session.execute(_STALLED, {"silence": silence}).all()


def retry(session: Session, job_id: int) -> None:
    """Put a job that runs, or is parked, back into the queue."""
    session.execute(_RETRY, {"id": job_id})


def hasten(session: Session, job_id: int) -> bool:
    """Let a job that waits for its time begin at once; tells whether it was waiting."""
    due = text("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE id = :id AND status = 'todo' RETURNING id")
    return session.scalar(due, {"id": job_id}) is not None


def number_of(session: Session, public_id: UUID) -> int | None:
    """Find the number in the queue of a job that is known by an id outside."""
    return session.scalar(select(JobNote.job_id).where(JobNote.public_id == public_id))


def end(session: Session, job_id: int, *, status: str) -> None:
    """Take a running job for failed, or aborted."""
    session.execute(_END, {"id": job_id, "status": status})


def overview(
    session: Session,
    *,
    statuses: Iterable[str] = tuple(WORDS),
    task: str | None = None,
    job_id: int | None = None,
    limit: int = 1,
) -> Sequence[AnyRow]:
    """Read jobs, newest first, with what is noted about them."""
    facts = {"statuses": list(statuses), "task": task, "id": job_id, "limit": limit}
    return session.execute(_OVERVIEW, facts).all()


def history(session: Session, job_id: int) -> Sequence[AnyRow]:
    """Read what has become of a job so far."""
    return session.execute(_HISTORY, {"id": job_id}).all()


def retriable(session: Session, *, task: str | None = None, job_id: int | None = None) -> list[int]:
    """Lock and name parked jobs that can go back into the queue; of those that exclude each other, the latest."""
    return list(session.scalars(_RETRIABLE, {"task": task, "id": job_id}))


def purge(session: Session, *, statuses: Sequence[str], age: timedelta) -> int:
    """Forget jobs that ended so long ago; tell how many."""
    return session.execute(_PURGE, {"statuses": list(statuses), "age": age}).rowcount  # type: ignore[attr-defined,no-any-return]  # of a cursor result


def depth(session: Session) -> Sequence[AnyRow]:
    """Count jobs that wait, run or are parked, by task, and tell since how many seconds the oldest could have run."""
    return session.execute(_DEPTH).all()


def _started() -> Select[Any]:
    of_job = _EVENTS.c.job_id == JobNote.job_id
    begun = select(func.min(_EVENTS.c.at)).where(of_job).scalar_subquery()
    changed = select(func.max(_EVENTS.c.at)).where(of_job).scalar_subquery()
    status = case(WORDS, value=cast(_JOBS.c.status, String))
    return select(
        JobNote.public_id,
        JobNote.public_id.label("id"),
        JobNote.job_id,
        JobNote.started_by,
        JobNote.reason,
        func.substr(_JOBS.c.task_name, len(NAMESPACE) + 2).label("task"),
        status.label("status"),
        _JOBS.c.attempts,
        _JOBS.c.scheduled_at,
        begun.label("created_at"),
        case((status.in_(("succeeded", "failed", "cancelled")), changed)).label("finished_at"),
    ).join_from(JobNote, _JOBS, _JOBS.c.id == JobNote.job_id)
