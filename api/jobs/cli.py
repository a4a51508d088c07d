"""`flask worker` and `flask jobs`."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import click
from flask import current_app
from flask.cli import AppGroup, with_appcontext

from api.jobs import service
from api.jobs.app import attend, queue_app
from api.rest.console import Refused, as_json_option, show, transaction, yes_option

ENDED = ("succeeded", "failed", "cancelled", "aborted")
SHOWN = ("id", "task", "status", "attempts", "changed_at", "scheduled_at", "reason")

jobs = AppGroup("jobs", help="Background work: what waits, runs, and has been parked because it failed too often.")

SHUTDOWN_SECONDS = 20


@click.command("worker")
@click.option("--concurrency", default=2, show_default=True, type=click.IntRange(1, 64), help="Tasks at a time.")
@with_appcontext
def worker(concurrency: int) -> None:
    """Run background tasks, and deliver webhooks and notifications, until told to stop."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001  # the proxied app itself, to be used in other threads
    queue = queue_app(app)

    async def run() -> None:
        stop = asyncio.Event()
        async with queue.open_async():
            beside = asyncio.create_task(attend(app, stop))
            try:
                await queue.run_worker_async(concurrency=concurrency, shutdown_graceful_timeout=SHUTDOWN_SECONDS)
            finally:
                stop.set()
                await asyncio.wait_for(beside, SHUTDOWN_SECONDS)

    asyncio.run(run())


@jobs.command("list")
@click.option("--status", type=click.Choice(["todo", "doing", *ENDED]), help="Only those; `failed` are parked.")
@click.option("--task", help="Only those of this task, as send_mail.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many at most.")
@as_json_option
def list_jobs(status: str | None, task: str | None, limit: int, *, as_json: bool) -> None:
    """List jobs, newest first."""
    with transaction() as session:
        found = service.overview(session, status=status, task=task, limit=limit)
        rows = [{name: getattr(row, name) for name in SHOWN} for row in found]
    show(rows, title="Jobs", as_json=as_json)


@jobs.command("show")
@click.argument("number", type=int)
@as_json_option
def show_job(number: int, *, as_json: bool) -> None:
    """Show one job, and what has become of it so far."""
    with transaction() as session:
        job, history = service.show(session, number)
        facts = {name: getattr(job, name) for name in (*SHOWN, "failed_at", "args")}
        steps = [{"at": step.at, "what": step.type} for step in history]
    if as_json:
        show([facts | {"history": steps}], title="", as_json=True)
        return
    show([{"": name, " ": value} for name, value in facts.items()], title=f"Job {number}", as_json=False)
    show(steps, title="What has become of it", as_json=False)


@jobs.command("retry")
@click.argument("number", type=int, required=False)
@click.option("--all-failed", is_flag=True, help="Every parked job.")
@click.option("--task", help="With --all-failed: only those of this task.")
def retry_jobs(number: int | None, task: str | None, *, all_failed: bool) -> None:
    """Have a parked job done once more, or all of them."""
    if (number is None) is not all_failed:
        raise Refused("Name a job, or send --all-failed.")  # noqa: TRY003  # said once, here
    with transaction() as session:
        if number is not None:
            service.retry_number(session, number)
            total = 1
        else:
            total = service.retry_all(session, task=task)
    click.echo(f"Put {total} back into the queue.")


@jobs.command("purge")
@click.option("--older-than", default=7, show_default=True, type=click.IntRange(0), help="Days since they ended.")
@click.option("--status", "statuses", multiple=True, type=click.Choice(ENDED), default=["succeeded"], show_default=True)
@yes_option
def purge_jobs(older_than: int, statuses: tuple[str, ...], *, yes: bool) -> None:
    """Forget jobs that have ended."""
    if not yes:
        click.confirm(f"Forget jobs that ended more than {older_than} days ago ({', '.join(statuses)})?", abort=True)
    with transaction() as session:
        total = service.purge(session, statuses=statuses, age=timedelta(days=older_than))
    click.echo(f"Forgot {total}.")
