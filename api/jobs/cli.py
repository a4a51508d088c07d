"""`flask worker` and `flask jobs`."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click
from flask import current_app
from flask.cli import AppGroup, with_appcontext

from api.jobs import service
from api.jobs.app import attendants, serve
from api.rest.console import Refused, as_json_option, show, transaction, yes_option

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from api.core.orm import AnyRow

ENDED = {"succeeded": ("succeeded",), "failed": ("failed",), "cancelled": ("cancelled", "aborted")}
WORDS_TO_END = (signal.SIGTERM, signal.SIGINT)
STATUSES = ("waiting", "running", *ENDED)
SHOWN = ("id", "task", "status", "attempts", "changed_at", "scheduled_at", "reason")

jobs = AppGroup("jobs", help="Background work: what waits, runs, and has been parked because it failed too often.")


@click.command("worker")
@click.option("--concurrency", default=2, show_default=True, type=click.IntRange(1, 64), help="Tasks at a time.")
@with_appcontext
def worker(concurrency: int) -> None:
    """Run background tasks, and deliver webhooks and notifications, until told to stop."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001  # the proxied app itself, to be used in other threads
    needed, pool = concurrency + len(attendants), app.extensions["stockroom"].database_pool_size
    if needed > pool:
        raise Refused(f"--concurrency {concurrency} needs a DATABASE_POOL_SIZE of {needed} or more; it is {pool}.")  # noqa: TRY003  # said once, here

    async def run() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        def end() -> None:
            stop.set()
            for word in WORDS_TO_END:  # who says it twice does not want to wait
                loop.remove_signal_handler(word)

        for word in WORDS_TO_END:
            loop.add_signal_handler(word, end)
        await serve(app, stop, concurrency=concurrency)

    asyncio.run(run())


@jobs.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only those; without it, all that has not succeeded.")
@click.option("--task", help="Only those of this task, as send_mail.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many at most.")
@as_json_option
def list_jobs(status: str | None, task: str | None, limit: int, *, as_json: bool) -> None:
    """List jobs, newest first; those that failed are parked."""
    with transaction() as session:
        found = service.overview(session, status=status, task=task, limit=limit)
        rows = [_shown(row) for row in found]
    show(rows, title="Jobs", as_json=as_json)


@jobs.command("show")
@click.argument("job", metavar="NUMBER|ID")
@as_json_option
def show_job(job: str, *, as_json: bool) -> None:
    """Show one job, by its number or the id the API knows it by, and what has become of it so far."""
    with transaction() as session:
        number = _number(session, job)
        found, history = service.show(session, number)
        facts = _shown(found) | {"failed_at": _moment(found.failed_at), "args": found.args}
        steps = [{"at": _moment(step.at), "what": step.type} for step in history]
    if as_json:
        show([facts | {"history": steps}], title="", as_json=True)
        return
    show([{"": name, " ": value} for name, value in facts.items()], title=f"Job {number}", as_json=False)
    show(steps, title="What has become of it", as_json=False)


@jobs.command("retry")
@click.argument("job", metavar="[NUMBER|ID]", required=False)
@click.option("--all-failed", is_flag=True, help="Every parked job.")
@click.option("--task", help="With --all-failed: only those of this task.")
def retry_jobs(job: str | None, task: str | None, *, all_failed: bool) -> None:
    """Have a parked job done once more, or all of them; one that waits for its next try begins at once."""
    if (job is None) is not all_failed:
        raise Refused("Name a job, or send --all-failed.")  # noqa: TRY003  # said once, here
    with transaction() as session:
        if job is not None:
            service.retry_number(session, _number(session, job))
            total = 1
        else:
            total = service.retry_all(session, task=task)
    click.echo(f"Put {total} back into the queue.")


@jobs.command("purge")
@click.option("--older-than", default=7, show_default=True, type=click.IntRange(0), help="Days since they ended.")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(list(ENDED)), default=["succeeded"], show_default=True
)
@yes_option
def purge_jobs(older_than: int, statuses: tuple[str, ...], *, yes: bool) -> None:
    """Forget jobs that have ended."""
    if not yes:
        click.confirm(f"Forget jobs that ended more than {older_than} days ago ({', '.join(statuses)})?", abort=True)
    with transaction() as session:
        words = [word for status in statuses for word in ENDED[status]]
        total = service.purge(session, statuses=words, age=timedelta(days=older_than))
    click.echo(f"Forgot {total}.")


def _number(session: Session, job: str) -> int:
    if job.isascii() and job.isdigit():
        return int(job)
    try:
        return service.number_of(session, UUID(job))
    except ValueError:
        raise Refused("Name a job by its number in the queue, or by the id the API gave.") from None  # noqa: TRY003  # said once, here


def _shown(row: AnyRow) -> dict[str, Any]:
    task, status = row.task.removeprefix(f"{service.NAMESPACE}:"), service.WORDS[row.status]
    moments = {name: _moment(getattr(row, name)) for name in ("changed_at", "scheduled_at")}
    facts = {"id": row.id, "task": task, "status": status, "attempts": row.attempts, "reason": row.reason}
    return {name: (facts | moments)[name] for name in SHOWN}


def _moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z") if at else None
