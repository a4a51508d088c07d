"""`flask worker`."""

from __future__ import annotations

import asyncio

import click
from flask import current_app
from flask.cli import with_appcontext

from api.jobs.app import queue_app

SHUTDOWN_SECONDS = 20


@click.command("worker")
@click.option("--concurrency", default=2, show_default=True, type=click.IntRange(1, 64), help="Tasks at a time.")
@with_appcontext
def worker(concurrency: int) -> None:
    """Run background tasks until told to stop."""
    queue = queue_app(current_app._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001  # the proxied app itself, to be used in other threads

    async def run() -> None:
        async with queue.open_async():
            await queue.run_worker_async(concurrency=concurrency, shutdown_graceful_timeout=SHUTDOWN_SECONDS)

    asyncio.run(run())
