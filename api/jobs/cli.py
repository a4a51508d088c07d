"""`flask worker`."""

from __future__ import annotations

import asyncio

import click
from flask import current_app
from flask.cli import with_appcontext

from api.jobs.app import attend, queue_app

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
