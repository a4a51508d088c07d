"""Work for later: enqueued in the transaction of its cause, so that neither happens without the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.core import ids
from api.jobs import repository
from api.jobs.errors import JobNotFound

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.orm import AnyRow
    from api.core.paging import Listing

NAMESPACE = "stockroom"
"""What the names of our tasks begin with in the queue."""

LONGEST_REASON = 500
STATUSES = {
    "todo": "waiting",
    "doing": "running",
    "aborting": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "aborted": "cancelled",
}
"""The queue's words for the state of a job, and ours."""


@dataclass(frozen=True, slots=True)
class Job:
    """Background work that somebody started, and how far it is."""

    id: UUID
    task: str
    status: str
    attempts: int
    reason: str | None
    created_at: datetime
    scheduled_at: datetime | None
    finished_at: datetime | None


def defer(session: Session, task: str, **args: object) -> None:
    """Have a worker run a task soon after the present transaction commits.

    `task` is the name of a function declared with `jobs.app.background`; `args` must be representable in JSON and hold
    no secrets, for they lie in the database.
    """
    repository.defer(session, f"{NAMESPACE}:{task}", args)


def start(session: Session, task: str, *, by: Caller, **args: object) -> Job:
    """Have a worker run a task that somebody asked for, who can follow it by its id; otherwise as `defer`."""
    job_id, public_id = repository.defer(session, f"{NAMESPACE}:{task}", args), ids.new()
    repository.note_start(session, job_id, public_id=public_id, started_by=by.user_id)
    return get(session, public_id, by=by)


def get(session: Session, public_id: UUID, *, by: Caller) -> Job:
    """Find a job.

    Raises:
        JobNotFound: there is none, or it is somebody else's.

    """
    found = repository.started(session, public_id)
    if found is None or not (by.may("jobs:all") or found.started_by == by.user_id):
        raise JobNotFound
    return as_job(found)


def listing(session: Session, *, by: Caller) -> Listing:  # noqa: ARG001  # as all lists
    """List jobs, newest first: those the caller has started, or everybody's."""
    return repository.listing(started_by=None if by.may("jobs:all") else by.own_id)


def as_job(row: AnyRow) -> Job:
    """Tell in our words how far a job is."""
    return Job(
        id=row.public_id,
        task=row.task_name.removeprefix(f"{NAMESPACE}:"),
        status=STATUSES[row.status],
        attempts=row.attempts,
        reason=row.reason,
        created_at=row.created_at,
        scheduled_at=row.scheduled_at,
        finished_at=row.finished_at,
    )


def note_failure(session: Session, job_id: int, *, reason: str) -> None:
    """Keep the reason why a job has failed."""
    repository.note_failure(session, job_id, reason=reason)


def reason_of(error: BaseException) -> str:
    """Say in a line what went wrong, without what a statement was given."""
    first, _, _ = str(error).strip().partition("\n")
    return f"{type(error).__name__}: {first}"[:LONGEST_REASON]
