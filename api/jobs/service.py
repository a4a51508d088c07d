"""Work for later: enqueued in the transaction of its cause, so that neither happens without the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from api.core import ids
from api.jobs import repository
from api.jobs.errors import JobNotFailed, JobNotFound, JobReplaced

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from api.core.caller import Caller
    from api.core.orm import AnyRow
    from api.core.paging import Listing

NAMESPACE, WORDS = repository.NAMESPACE, repository.WORDS

LONGEST_REASON = 500
SILENCE = timedelta(seconds=60)
"""A worker that has given no sign of life for so long is dead; one that lives gives one every ten seconds."""

MOST_DEATHS = 5
"""A job that so many attempts have not survived is parked when another dies: it may be what kills its workers."""

DIED = "The worker died while it was at it."
SUCCEEDED_KEPT, FAILED_KEPT = timedelta(days=7), timedelta(days=90)


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
    repository.defer(session, full(task), args)


def start(session: Session, task: str, *, by: Caller, **args: object) -> Job:
    """Have a worker run a task that somebody asked for, who can follow it by its id; otherwise as `defer`."""
    job_id, public_id = repository.defer(session, full(task), args), ids.new()
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
    return Job(
        id=found.id,
        task=found.task,
        status=found.status,
        attempts=found.attempts,
        reason=found.reason,
        created_at=found.created_at,
        scheduled_at=found.scheduled_at,
        finished_at=found.finished_at,
    )


def listing(session: Session, *, by: Caller) -> Listing:  # noqa: ARG001  # as all lists
    """List jobs, newest first: those the caller has started, or everybody's."""
    return repository.listing(started_by=None if by.may("jobs:all") else by.own_id)


def retry(session: Session, public_id: UUID, *, by: Caller) -> Job:
    """Have a job done once more that has failed for good.

    Raises:
        JobNotFound: there is none, or it is somebody else's.
        JobNotFailed: it has not failed.

    """
    get(session, public_id, by=by)
    number = number_of(session, public_id)
    if not repository.retriable(session, job_id=number):
        raise JobNotFailed(status=get(session, public_id, by=by).status)
    repository.retry(session, number)
    return get(session, public_id, by=by)


def overview(
    session: Session, *, status: str | None = None, task: str | None = None, limit: int = 50
) -> Sequence[AnyRow]:
    """Read the queue, newest first; without a status, what has not simply succeeded."""
    wanted = [word for word, ours in WORDS.items() if ours == status or (status is None and ours != "succeeded")]
    return repository.overview(session, statuses=wanted, task=full(task) if task else None, limit=limit)


def number_of(session: Session, public_id: UUID) -> int:
    """Find the number in the queue of a job that somebody started.

    Raises:
        JobNotFound: there is none.

    """
    number = repository.number_of(session, public_id)
    if number is None:
        raise JobNotFound
    return number


def show(session: Session, number: int) -> tuple[AnyRow, Sequence[AnyRow]]:
    """Find a job by its number in the queue, and what has become of it so far.

    Raises:
        JobNotFound: there is none.

    """
    found = repository.overview(session, job_id=number)
    if not found:
        raise JobNotFound
    return found[0], repository.history(session, number)


def retry_number(session: Session, number: int) -> None:
    """Have a parked job done once more, and one that waits for its next try at once.

    Raises:
        JobNotFound: there is none.
        JobNotFailed: it has not failed.
        JobReplaced: its successor is waiting already.

    """
    show(session, number)
    if repository.hasten(session, number):
        return
    if not repository.retriable(session, job_id=number):
        job, _ = show(session, number)
        raise JobReplaced(number=number) if job.status == "failed" else JobNotFailed(status=WORDS[job.status])
    repository.retry(session, number)


def retry_all(session: Session, *, task: str | None = None) -> int:
    """Have every parked job, or those of one task, done once more; tell how many."""
    parked = repository.retriable(session, task=full(task) if task else None)
    for number in parked:
        repository.retry(session, number)
    return len(parked)


def revive(session: Session) -> int:
    """Put jobs back into the queue whose worker has died; tell how many there were.

    Of those that exclude each other one waits at a time; what has a successor, such as a periodic task, is given up.
    """
    stalled = repository.stalled(session, silence=SILENCE)
    back: set[str] = set()
    for job in stalled:
        has_died_again = job.reason == DIED and job.attempts + 1 >= MOST_DEATHS
        if job.is_replaced or job.queueing_lock in back:
            repository.end(session, job.id, status="aborted")
        elif has_died_again:
            repository.end(session, job.id, status="failed")
        else:
            repository.retry(session, job.id)
            back.update([job.queueing_lock] if job.queueing_lock else [])
        repository.note_failure(session, job.id, reason=DIED)
    return len(stalled)


def purge(session: Session, *, statuses: Sequence[str], age: timedelta) -> int:
    """Forget jobs that ended so long ago; tell how many."""
    return repository.purge(session, statuses=statuses, age=age)


def purge_old(session: Session) -> None:
    """Forget what went well a week ago, and what failed three months ago."""
    purge(session, statuses=("succeeded", "cancelled", "aborted"), age=SUCCEEDED_KEPT)
    purge(session, statuses=("failed",), age=FAILED_KEPT)


def depth(session: Session) -> Sequence[AnyRow]:
    """Count jobs by task and status, and tell since how many seconds the oldest could have run."""
    return repository.depth(session)


def full(task: str) -> str:
    """Write a task's name as the queue has it."""
    return task if ":" in task else f"{NAMESPACE}:{task}"


def note_failure(session: Session, job_id: int, *, reason: str) -> None:
    """Keep the reason why a job has failed."""
    repository.note_failure(session, job_id, reason=reason)


def reason_of(error: BaseException) -> str:
    """Say in a line what went wrong, without what a statement was given, and so that the database can keep it."""
    first = next(iter(str(error).strip().splitlines()), "").strip().replace("\0", "\ufffd")
    reason = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return reason.encode(errors="replace").decode()[:LONGEST_REASON]
