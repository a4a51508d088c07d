"""The task queue: rows in PostgreSQL, so that a task can be enqueued in the transaction of its cause."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

import procrastinate
import structlog
from procrastinate import BaseRetryStrategy, JobContext, RetryDecision
from sqlalchemy.engine import make_url

from api.extensions import db
from api.jobs import service
from api.jobs.service import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flask import Flask
    from procrastinate.jobs import Job as QueueJob
    from sqlalchemy.orm import Session

log = structlog.get_logger(__name__)

LONGEST_WAIT = timedelta(hours=1)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0

tasks = procrastinate.Blueprint()
"""Where tasks are declared; a worker's queue application takes them all."""

type Work = Callable[[Session], object]
type Task = Callable[..., Any]
type Attendant = Callable[[Flask, asyncio.Event], Awaitable[None]]


attendants: dict[str, Attendant] = {}
"""What runs beside the queue in every worker, by name."""


class Backoff(BaseRetryStrategy):
    """Tries again after `wait` seconds, then `wait` squared, cubed, and so on up to an hour, each a little longer.

    The little, up to a quarter, is drawn anew each time, so that what failed together does not come back together.
    """

    def __init__(self, *, retries: int, wait: int) -> None:
        """Set how often, and how long to wait the first time."""
        self.retries, self.wait = retries, wait

    def get_retry_decision(self, *, exception: BaseException, job: QueueJob) -> RetryDecision | None:  # noqa: ARG002  # every failure is treated alike
        """Tell when to try again; None parks the job."""
        if job.attempts >= self.retries:
            return None
        seconds = min(float(self.wait ** (job.attempts + 1)), LONGEST_WAIT.total_seconds())
        return RetryDecision(retry_in={"seconds": round(seconds * random.uniform(1, 1.25))})  # noqa: S311  # spreads load, guards nothing


def attendant(run: Attendant) -> Attendant:
    """Declare an endless coroutine that runs in every worker, beside the queue, until `stop` is set.

    Several workers run it at once; that they do not do things twice is its own business.
    """
    attendants[run.__name__] = run
    return run


def continuous(*, every: float) -> Callable[[Callable[[Session], bool]], Callable[[Session], bool]]:
    """Declare work that every worker does all the time, each turn in a transaction and a thread of its own.

    It tells whether there may be more to do at once; if not, it is done again after `every` seconds.
    """

    def decorator(work: Callable[[Session], bool]) -> Callable[[Session], bool]:
        async def attend(app: Flask, stop: asyncio.Event) -> None:
            while not stop.is_set():
                if not await asyncio.to_thread(turn, app, work):
                    await _until(stop, seconds=every)

        attendants[work.__name__] = attend
        return work

    return decorator


def turn(app: Flask, work: Callable[[Session], bool]) -> bool:
    """Do continuous work once."""
    with app.app_context():
        session = db.session()
        has_more = work(session)
        session.commit()
        return has_more


async def attend(app: Flask, stop: asyncio.Event) -> None:
    """Run all attendants until told to stop; one that fails is started again after a while, and disturbs no other."""
    async with asyncio.TaskGroup() as group:
        for name, run in attendants.items():
            group.create_task(_keep_running(name, run, app, stop))


async def _keep_running(name: str, run: Attendant, app: Flask, stop: asyncio.Event) -> None:
    pause = FIRST_PAUSE_SECONDS
    while not stop.is_set():
        try:
            await run(app, stop)
        except Exception as error:  # noqa: BLE001  # whatever it is, the others must go on
            log.error("attendant_failed", attendant=name, reason=service.reason_of(error), again_in=pause)  # noqa: TRY400  # it will be back
            await _until(stop, seconds=pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


async def _until(stop: asyncio.Event, *, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def periodic(cron: str) -> Callable[[Work], Task]:
    """Declare work that one of the workers does whenever `cron` (UTC) says, in a transaction of its own."""

    def decorator(work: Work) -> Task:
        @wraps(work)
        def run(timestamp: int) -> None:  # noqa: ARG001  # procrastinate passes the due time by this name
            with tasks.flask_app.app_context(), db.session.begin():  # type: ignore[attr-defined]  # set by queue_app
                work(db.session())

        return tasks.periodic(cron=cron)(tasks.task(name=work.__name__, queueing_lock=work.__name__)(run))

    return decorator


def background(*, retries: int, wait: int = 5) -> Callable[[Task], Task]:
    """Declare work that `jobs.service.defer` enqueues under the function's name.

    It gets a session, whose transaction ends well when it does, and what it was deferred with. When it fails it is done
    again, up to `retries` times, as `Backoff` says; then it is parked with the reason, for a person to look at.
    """

    def decorator(work: Task) -> Task:
        @wraps(work)
        def run(context: JobContext | None = None, **args: Any) -> None:  # noqa: ANN401  # whatever it was deferred with
            with tasks.flask_app.app_context():  # type: ignore[attr-defined]  # set by queue_app
                try:
                    with db.session.begin():
                        work(db.session(), **args)
                except Exception as error:
                    if context is not None:  # else somebody calls the task like any function
                        _note_failure(context.job, error)
                    raise

        retry = Backoff(retries=retries, wait=wait)
        return tasks.task(name=work.__name__, retry=retry, pass_context=True)(run)  # type: ignore[arg-type]  # `wraps` hides the context from the types

    return decorator


def _note_failure(job: QueueJob, error: Exception) -> None:
    """Keep the reason beside the job, where it outlives the transaction that has just been rolled back."""
    reason = service.reason_of(error)
    log.warning("job_failed", task=job.task_name, job=job.id, attempt=job.attempts + 1, reason=reason)
    if job.id is not None:
        with db.session.begin():
            service.note_failure(db.session(), job.id, reason=reason)


def queue_app(app: Flask) -> procrastinate.App:
    """Build the queue application of a worker process, with every declared task."""
    url = make_url(app.extensions["stockroom"].sqlalchemy_url).set(drivername="postgresql")
    connector = procrastinate.PsycopgConnector(conninfo=url.render_as_string(hide_password=False))
    queue = procrastinate.App(connector=connector)
    tasks.flask_app = app  # type: ignore[attr-defined]  # tasks run outside any request and need their application
    queue.add_tasks_from(tasks, namespace=NAMESPACE)
    return queue
