"""The task queue: rows in PostgreSQL, so that a task can be enqueued in the transaction of its cause."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial, wraps
from time import monotonic
from typing import TYPE_CHECKING, Any

import procrastinate
import psycopg
import structlog
from procrastinate import BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.exceptions import ConnectorException
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from api.extensions import db
from api.jobs import service

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flask import Flask
    from procrastinate.jobs import Job as QueueJob
    from sqlalchemy.orm import Session

log = structlog.get_logger(__name__)

LONGEST_WAIT = timedelta(hours=1)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
SHUTDOWN_SECONDS = 20
"""For how long the queue waits for what it is at before it says so."""

SPARE_THREADS = 4
"""For what Python itself does in threads, as looking names up."""

tasks = procrastinate.Blueprint()
"""Where tasks are declared; a worker's queue application takes them all."""

EXPECTED = (SQLAlchemyError, ConnectorException, psycopg.Error, OSError)
"""What goes wrong when something is away; a traceback would say no more."""

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


async def serve(app: Flask, stop: asyncio.Event, *, concurrency: int) -> None:
    """Be a worker until told to stop: the queue, so many jobs at a time, and all attendants.

    Each job and each attendant has a thread to itself, so that long jobs do not hold up webhooks.
    """
    threads = concurrency + len(attendants) + SPARE_THREADS
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads, "worker"))
    async with asyncio.TaskGroup() as group:
        group.create_task(_keep_running("queue", partial(_take_jobs, concurrency=concurrency), app, stop))
        group.create_task(attend(app, stop))


async def attend(app: Flask, stop: asyncio.Event) -> None:
    """Run all attendants until told to stop; one that fails is started again after a while, and disturbs no other."""
    async with asyncio.TaskGroup() as group:
        for name, run in attendants.items():
            group.create_task(_keep_running(name, run, app, stop))


async def _take_jobs(app: Flask, stop: asyncio.Event, *, concurrency: int) -> None:
    """Do what is in the queue until told to stop; then finish what has been begun.

    It also ends when the database has gone away, with or without an error, or when other workers have taken this one
    for dead. What it was at is then taken up by `jobs.service.revive`, and whoever calls begins anew.
    """

    async def work() -> None:
        queue = queue_app(app)
        try:
            await queue.open_async()
            await queue.run_worker_async(
                concurrency=concurrency,
                install_signal_handlers=False,
                shutdown_graceful_timeout=SHUTDOWN_SECONDS,
                stalled_worker_timeout=service.SILENCE.total_seconds(),
            )
        finally:  # also of one that was being opened
            await queue.close_async()

    working, told = asyncio.create_task(work()), asyncio.create_task(stop.wait())
    await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    working.cancel()  # which lets what has been begun come to its end
    await asyncio.wait({working})
    if not working.cancelled():
        working.result()


async def _keep_running(name: str, run: Attendant, app: Flask, stop: asyncio.Event) -> None:
    pause = FIRST_PAUSE_SECONDS
    while not stop.is_set():
        begun_at, unexpected = monotonic(), None
        try:
            await run(app, stop)
            reason = "It ended although nobody had told it to."
        except Exception as error:  # noqa: BLE001  # whatever it is, the others must go on
            reason = service.reason_of(error)
            unexpected = None if isinstance(error, EXPECTED) else error
        else:
            if stop.is_set():
                return
        if monotonic() - begun_at > LONGEST_PAUSE_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        log.error("attendant_failed", attendant=name, reason=reason, again_in=pause, exc_info=unexpected)
        await _until(stop, seconds=pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


async def _until(stop: asyncio.Event, *, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def periodic(cron: str) -> Callable[[Work], Task]:
    """Declare work that one of the workers does whenever `cron` (UTC) says; it may yield, as `background` says."""

    def decorator(work: Work) -> Task:
        def begin(session: Session, *, timestamp: int) -> object:  # noqa: ARG001  # procrastinate passes the due time by this name
            return work(session)

        task = tasks.task(name=service.full(work.__name__), queueing_lock=work.__name__, pass_context=True)
        return tasks.periodic(cron=cron)(task(wraps(work)(_job(begin, retries=0))))

    return decorator


def background(*, retries: int, wait: int = 5) -> Callable[[Task], Task]:
    """Declare work that `jobs.service.defer` enqueues under the function's name.

    It gets a session, whose transaction ends well when it does, and what it was deferred with. Work that would hold
    locks for long yields now and then: what it has done so far is committed, and another transaction begins.

    When it fails it is done again, up to `retries` times, as `Backoff` says; then it is parked with the reason, for a
    person to look at. It can happen twice, when a worker dies between the end of that transaction and writing down that
    the job is done.
    """

    def decorator(work: Task) -> Task:
        retry = Backoff(retries=retries, wait=wait)
        task = tasks.task(name=service.full(work.__name__), retry=retry, pass_context=True)
        return task(wraps(work)(_job(work, retries=retries)))

    return decorator


def _job(work: Task, *, retries: int) -> Task:
    """Do work in a transaction of its own, or one for each step if it yields, and keep the reason when it fails."""

    def run(context: JobContext | None = None, **args: Any) -> None:  # noqa: ANN401  # whatever it was deferred with
        with tasks.flask_app.app_context():  # type: ignore[attr-defined]  # set by queue_app
            session = db.session()
            try:
                steps = work(session, **args)
                for _ in steps if isinstance(steps, Iterator) else ():
                    session.commit()
                session.commit()
            except Exception as error:
                session.rollback()
                if context is not None:  # else somebody calls the task like any function
                    _note_failure(context.job, error, is_last=context.job.attempts >= retries)
                raise

    return run


def _note_failure(job: QueueJob, error: Exception, *, is_last: bool) -> None:
    """Keep the reason beside the job, where it outlives the transaction that has just been rolled back."""
    reason = service.reason_of(error)
    facts = {"task": job.task_name, "job": job.id, "attempt": job.attempts + 1, "reason": reason}
    if is_last:
        log.error("job_parked", **facts, exc_info=error)
    else:
        log.warning("job_failed", **facts)
    if job.id is None:
        return
    try:
        with db.session.begin():
            service.note_failure(db.session(), job.id, reason=reason)
    except SQLAlchemyError as away:  # as it may be for the same reason
        log.warning("job_reason_lost", job=job.id, reason=service.reason_of(away))


def _is_not_told_twice(record: logging.LogRecord) -> bool:
    """Leave out procrastinate's own line about a job that failed: it quotes what the job was deferred with."""
    return getattr(record, "action", None) != "job_error"


def queue_app(app: Flask) -> procrastinate.App:
    """Build the queue application of a worker, with every declared task; a process may do so again and again.

    Tasks bear their full names already: a namespace added here would be added once more each time.
    """
    logging.getLogger("procrastinate.worker").addFilter(_is_not_told_twice)
    url = make_url(app.extensions["stockroom"].sqlalchemy_url).set(drivername="postgresql")
    connector = procrastinate.PsycopgConnector(conninfo=url.render_as_string(hide_password=False))
    queue = procrastinate.App(connector=connector)
    tasks.flask_app = app  # type: ignore[attr-defined]  # tasks run outside any request and need their application
    queue.add_tasks_from(tasks, namespace="")
    return queue
